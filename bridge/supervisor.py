"""Many sites, one broker connection: starts, watches, reports and ends them.

The main thread does nothing but look after the others: it lets clocks run out while requests hang, publishes health,
writes the state when an alert changed, and turns SIGTERM or Ctrl-C into an orderly end within two seconds.
"""

from __future__ import annotations

import logging
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bridge import __version__
from bridge.clock import SteadyClock
from bridge.core.topics import BridgeTopics
from bridge.core.values import iso_time
from bridge.files.state import StateStore
from bridge.model import Message
from bridge.sinks.base import Sink
from bridge.site import SiteParts, SiteRunner
from bridge.site_state import SiteState
from bridge.zones import next_quarter

log = logging.getLogger(__name__)

TICK_S = 0.25
HEALTH_EVERY_S = 60.0
WALL_EVERY_S = 10.0
WALL_STEP_S = 1.0  # a wall clock that drifts less than this is only slewing
SITES_END_S = 0.5
SINK_ENDS_S = 1.0


Settled = Callable[[Message], None]


class BridgeParts(NamedTuple):
    """What the process is made of, decided before it starts."""

    sites: Sequence[SiteParts]
    topics: BridgeTopics
    info: Mapping[str, Any]
    open_store: Callable[[str], StateStore]  # name of a document -> where it is kept
    open_sink: Callable[[Message, Callable[[], Sequence[Message]], Callable[[], float], Settled], Sink]
    # will, births, steady clock, settled


class Supervisor:
    """The running bridge."""

    def __init__(self, parts: BridgeParts, clock: SteadyClock) -> None:
        self._parts = parts
        self._clock = clock
        self._stop = threading.Event()
        now = clock.now()
        self._names_store = parts.open_store("bridge")
        self._names_lock = threading.Lock()
        self._names: dict[str, str] = dict((self._names_store.load() or {}).get("names", {}))
        self._sink = parts.open_sink(parts.topics.status(False, now), self._births, clock.now, self._settled)
        self._runners = [
            SiteRunner(site, self._sink, clock, self._open_state, self._names.get(site.gx, ""), self._is_free)
            for site in parts.sites
        ]
        self._started = now
        self._info: Mapping[str, Any] = {}
        self._health_due = now + 1.0
        self._wall_due = now
        self._wall_offset = 0.0
        self._cpu = (now, time.process_time())
        self.faults = 0

    def run(self) -> int:
        """Run until SIGTERM, SIGINT or `stop`; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        self.start()
        try:
            while not self._stop.wait(TICK_S):
                self._tick()
        finally:
            self._end()
        return 0

    def start(self) -> None:
        self._sink.start()
        for runner in self._runners:
            runner.start()

    def stop(self) -> None:
        self._stop.set()

    def _births(self) -> list[Message]:
        """Return what is said first at every login: that we are here."""
        return [self._parts.topics.status(True, self._clock.now())]

    def _tick(self) -> None:
        now = self._clock.now()
        if now >= self._wall_due:  # first: a window of maintenance ends by the clock that people see
            self._follow_wall(now)
        for runner in self._runners:
            self._guarded(runner.name, runner.tick, now)
        if now >= self._health_due:
            self._health_due = now + HEALTH_EVERY_S
            self._guarded("health", self._publish_health, now)

    def _guarded(self, name: str, work: Callable[[float], None], now: float) -> None:
        """Let a fault in our own code cost one site one turn, not all sites everything."""
        try:
            work(now)
        except Exception:
            self.faults += 1
            log.exception("%s: a fault of ours; going on", name)

    def _publish_health(self, now: float) -> None:
        health = self.health(now)
        messages = [self._parts.topics.health(health, now, HEALTH_EVERY_S)]
        sites = sorted(runner.name for runner in self._runners if runner.name)
        info = {
            "version": __version__,
            "sites": sites,
            "protocol": health["mqtt"].get("protocol"),
            "started_at": iso_time(self._started + self._wall_offset),
            **self._parts.info,
        }
        if info != self._info:
            self._info = info
            messages.append(self._parts.topics.info(info, now))
        self._sink.publish(messages)

    def _follow_wall(self, now: float) -> None:
        """Tell everyone what people's clocks show: after a step of NTP, and when summer time begins or ends."""
        offset_s = self._clock.wall_offset()
        if abs(offset_s - self._wall_offset) >= WALL_STEP_S:
            log.info("the wall clock moved by %.0f s against the steady clock", offset_s - self._wall_offset)
            self._wall_offset = self._sink.wall_offset_s = offset_s
        for runner in self._runners:
            runner.set_wall_offset(self._wall_offset)
        quarter = next_quarter(now + self._wall_offset) - self._wall_offset  # summer time begins and ends on one
        self._wall_due = min(now + WALL_EVERY_S, quarter)

    # -- state ------------------------------------------------------------------------------------------------------

    def _open_state(self, site: str) -> SiteState:
        """Return the state of a site; a name that the GX gave is kept, for a start at which the GX is down."""
        with self._names_lock:  # sites learn their names in threads of their own
            known = {runner.gx: runner.name or self._names.get(runner.gx, "") for runner in self._runners}
            names = {gx: name for gx, name in known.items() if name}
            if names != self._names:
                self._names = names
                self._names_store.save({"names": names})
        return SiteState(self._parts.open_store(f"site-{site}"), self._parts.open_store(f"site-{site}.history"))

    def _is_free(self, name: str) -> bool:
        return all(runner.name != name for runner in self._runners)

    def _settled(self, message: Message) -> None:
        """Tell every site's state that the broker has this event; only one knows it. In the sink's thread."""
        for runner in self._runners:
            if runner.state is not None:
                runner.state.settled(message, self._clock.now())

    # -- health -----------------------------------------------------------------------------------------------------

    def health(self, now: float) -> dict[str, Any]:
        """Return the health document: what each part says of itself, and what the process costs."""
        cpu_at, cpu_s = self._cpu
        self._cpu = (now, time.process_time())
        share = (self._cpu[1] - cpu_s) / (now - cpu_at) if now > cpu_at else 0.0
        return {
            "uptime_s": round(now - self._started),
            "cpu_percent": round(100 * share, 2),
            "rss_mb": _rss_mb(),
            "mqtt": dict(self._sink.health()),
            "faults": self.faults,
            "sites": {runner.name or f"unnamed_{index}": runner.health() for index, runner in enumerate(self._runners)},
        }

    # -- end --------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        for runner in self._runners:
            runner.stop()
        deadline = self._clock.now() + SITES_END_S
        for runner in self._runners:
            runner.join(deadline - self._clock.now())
        for runner in self._runners:
            if runner.cycle is not None:
                self._guarded(runner.name, runner.cycle.end, self._clock.now())
        left = self._sink.stop(SINK_ENDS_S)
        for runner in self._runners:  # what the broker took in its last second must not be sent again
            if runner.cycle is not None:
                self._guarded(runner.name, runner.cycle.save, self._clock.now())
        if left:
            log.warning("%d alert events were not delivered; they are kept for the next start", len(left))


def _rss_mb() -> float:
    """Return the resident memory of this process in MB."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return round(int(stream.read().split()[1]) * resource.getpagesize() / 1e6, 1)
    except OSError:
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
