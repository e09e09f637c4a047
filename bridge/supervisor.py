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
from bridge.sinks.outbox import mark_replayed
from bridge.site import SiteParts, SiteRunner

log = logging.getLogger(__name__)

TICK_S = 0.25
HEALTH_EVERY_S = 60.0
STATE_EVERY_S = 300.0
WALL_EVERY_S = 10.0
WALL_STEP_S = 1.0  # a wall clock that drifts less than this is only slewing
SITES_END_S = 0.5
SINK_ENDS_S = 1.0


class BridgeParts(NamedTuple):
    """What the process is made of, decided before it starts."""

    sites: Sequence[SiteParts]
    topics: BridgeTopics
    info: Mapping[str, Any]
    state: StateStore
    open_sink: Callable[[Message, Callable[[], Sequence[Message]], Callable[[], float]], Sink]  # will, births, clock


class Supervisor:
    """The running bridge."""

    def __init__(self, parts: BridgeParts, clock: SteadyClock) -> None:
        self._parts = parts
        self._clock = clock
        self._stop = threading.Event()
        now = clock.now()
        self._sink = parts.open_sink(parts.topics.status(False, now), self._births, clock.now)
        self._state = dict(parts.state.load() or {})
        names = self._state.get("names", {})
        self._runners = [
            SiteRunner(site, self._sink, clock, self._site_state, names.get(site.gx, "")) for site in parts.sites
        ]
        self._started = now
        self._health_due = now + 1.0
        self._state_due = now + STATE_EVERY_S
        self._wall_due = now
        self._wall_offset = 0.0
        self._cpu = (now, time.process_time())
        self._saved: dict[str, Any] = {}

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
        self._sink.publish(self._undelivered())
        self._sink.start()
        for runner in self._runners:
            runner.start()

    def stop(self) -> None:
        self._stop.set()

    def _births(self) -> list[Message]:
        """Return what is said first at every login: that we are here, and who we are."""
        now = self._clock.now()
        sites = [runner.name for runner in self._runners if runner.name]
        info = {"version": __version__, "sites": sites, "started_at": iso_time(self._started), **self._parts.info}
        return [self._parts.topics.status(True, now), self._parts.topics.info(info, now)]

    def _tick(self) -> None:
        now = self._clock.now()
        for runner in self._runners:
            runner.tick(now)
        if now >= self._wall_due:
            self._follow_wall(now)
        if now >= self._health_due:
            self._health_due = now + HEALTH_EVERY_S
            self._sink.publish([self._parts.topics.health(self.health(now), now, HEALTH_EVERY_S)])
        if now >= self._state_due or self._has_transition():
            self._state_due = now + STATE_EVERY_S
            self._save([])

    def _follow_wall(self, now: float) -> None:
        """Tell everyone what people's clocks show: after a step of NTP, and when summer time begins or ends."""
        self._wall_due = now + WALL_EVERY_S
        offset_s, utc_offset_s = self._clock.wall_offset(), time.localtime().tm_gmtoff
        if abs(offset_s - self._wall_offset) >= WALL_STEP_S:
            log.info("the wall clock moved by %.0f s against the steady clock", offset_s - self._wall_offset)
            self._wall_offset = self._sink.wall_offset_s = offset_s
        for runner in self._runners:
            if runner.cycle is not None:
                runner.cycle.set_wall_offset(self._wall_offset, utc_offset_s)

    # -- state ------------------------------------------------------------------------------------------------------

    def _site_state(self, site: str) -> Mapping[str, Any]:
        state = self._state.get("sites", {}).get(site, {})
        return state if isinstance(state, Mapping) else {}

    def _undelivered(self) -> list[Message]:
        """Return the events that the last process could not deliver; they go out first, marked as replayed."""
        events = map(Message.from_row, self._state.get("outbox", []))
        return [event._replace(payload=mark_replayed(event.payload)) for event in events]

    def _has_transition(self) -> bool:
        return any(runner.cycle is not None and runner.cycle.take_transition() for runner in self._runners)

    def _save(self, outbox: Sequence[Message]) -> None:
        sites = {runner.name: runner.cycle.dump() for runner in self._runners if runner.cycle is not None}
        # A site that has not answered yet keeps what was known of it.
        state = {
            "sites": {**self._state.get("sites", {}), **sites},
            "names": {runner.gx: runner.name for runner in self._runners if runner.name},
            "outbox": [message.to_row() for message in outbox],
        }
        if state != self._saved:
            self._parts.state.save(state)
            self._saved = state

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
            "state_failures": self._parts.state.failures,
            "sites": {runner.name or f"unnamed_{index}": runner.health() for index, runner in enumerate(self._runners)},
        }

    # -- end --------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        for runner in self._runners:
            runner.stop()
        deadline = self._clock.now() + SITES_END_S
        for runner in self._runners:
            runner.join(deadline - self._clock.now())
        outbox = self._sink.stop(SINK_ENDS_S)
        self._save(outbox)
        if outbox:
            log.warning("%d alert events were not delivered; they are kept for the next start", len(outbox))


def _rss_mb() -> float:
    """Return the resident memory of this process in MB."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return round(int(stream.read().split()[1]) * resource.getpagesize() / 1e6, 1)
    except OSError:
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
