"""One site at work: its thread, from the first contact with the GX to the last turn.

A site whose name is not configured is named by the GX's serial, so nothing can be published for it until the GX has
told it once. The name is kept in the state: at the next start a GX that is down can be said to be offline.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bridge.clock import SteadyClock
from bridge.core.catalogue import Catalogue
from bridge.core.inputs import InputSpec
from bridge.core.maintenance import Maintenance
from bridge.core.normalize import Intervals, Normalizer
from bridge.core.rules import Program
from bridge.core.summary import Summary
from bridge.core.topics import Format, SiteTopics, StateTopics
from bridge.cycle import Cycle
from bridge.facts import Facts
from bridge.files.settings_records import RESERVED_SITES
from bridge.incoming import Incoming
from bridge.sinks.base import Sink
from bridge.site_state import SiteState
from bridge.sources.base import Source
from bridge.zones import Local

log = logging.getLogger(__name__)

SITE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LONGEST_WAIT_S = 60.0
_AFTER_CRASH_S = 5.0


class SiteParts(NamedTuple):
    """What a site is made of, decided before it starts."""

    name: str  # "": the serial of the GX
    gx: str  # address, for the log and to find the name again after a restart
    base_topic: str
    catalogue: Catalogue
    intervals: Intervals
    program: Program
    format: Format
    publish_raw: bool
    forget_after_s: float | None
    open_source: Callable[[Normalizer], Source]
    inputs: tuple[InputSpec, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    time_zone: str = ""  # IANA name; "": that of the process
    reprogram: Callable[[Mapping[str, Any]], Program] | None = None  # makes the program with what the GX told


class SiteRunner:
    """Runs one site in its own thread: a hung GX delays no other."""

    def __init__(
        self,
        parts: SiteParts,
        sink: Sink,
        clock: SteadyClock,
        open_state: Callable[[str], SiteState],
        kept_name: str = "",
        is_free: Callable[[str], bool] = lambda name: True,
    ) -> None:
        self._parts = parts
        self._sink = sink
        self._clock = clock
        self._open_state = open_state
        self._is_free = is_free
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._normalizer = Normalizer(parts.catalogue, parts.intervals, parts.publish_raw)
        self.source = parts.open_source(self._normalizer)
        self.cycle: Cycle | None = None
        self.state: SiteState | None = None
        self._incoming: Incoming | None = None
        self._wall_offset_s = 0.0
        self._local = Local(parts.time_zone, (window.zone for window in parts.maintenance))
        self.name = parts.name
        self.gx = parts.gx
        self._kept_name = kept_name
        self._is_named = bool(parts.name)
        self.crashes = 0
        self._said = ""
        self._thread = threading.Thread(target=self._run, name=f"site {parts.name or 'unnamed'}", daemon=True)

    def start(self) -> None:
        if self._is_named:
            self._open_cycle()
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; a request that waits is cut off."""
        self._stop.set()
        self._wake.set()
        self.source.close()

    def join(self, timeout_s: float) -> None:
        self._thread.join(max(0.0, timeout_s))

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._turn()
            except Exception:
                # Thread top: a fault in our own code must not end the site for good.
                self.crashes += 1
                log.exception("site %s: a turn failed; going on in %.0f s", self.name or "unnamed", _AFTER_CRASH_S)
                self._stop.wait(_AFTER_CRASH_S)

    def _turn(self) -> None:
        pause_s = self.source.next_due() - self._clock.now()
        if pause_s > 0:
            self._wake.wait(min(pause_s, _LONGEST_WAIT_S))
            self._wake.clear()
            return
        cycle = self.cycle
        if cycle is None or not self._is_named:
            self._identify()
        else:
            cycle.turn(self._clock.now(), self._clock.now)
            self._say(cycle.news)

    def _identify(self) -> None:
        serial = self.source.identify(self._clock.now())
        if serial is None:
            self._say(f"the GX at {self._parts.gx} does not tell its serial yet, which names this site")
            if self.cycle is None and self._kept_name:
                self._take_name(self._kept_name)
            return
        name = serial.lower()
        if not SITE_NAME.fullmatch(name) or name in RESERVED_SITES:
            self._say(f"the serial {serial[:80]!r} of {self._parts.gx} is no name of a site; give it one in the config")
        elif name != self.name and not self._is_free(name):
            self._say(f"{self._parts.gx} and another site are both named {name}; give them names in the config")
        else:
            self._is_named = True
            self._take_name(name)

    def _take_name(self, name: str) -> None:
        if self.cycle is not None and name == self.name:
            return
        self.name = name
        log.info("the site of %s is %s", self._parts.gx, name)
        self._open_cycle()

    def _open_cycle(self) -> None:
        parts, name = self._parts, self.name
        if self._incoming is not None:
            self._incoming.close()
        state = self._open_state(name)
        topics = SiteTopics(parts.base_topic, name)
        facts = Facts(parts.program, parts.reprogram, parts.maintenance, state.profile)
        cycle = Cycle(
            source=self.source,
            normalizer=self._normalizer,
            engine=facts.engine(name),
            state_topics=StateTopics(parts.base_topic, name, parts.format),
            site_topics=topics,
            summary=Summary(name),
            sink=self._sink,
            forget_after_s=parts.forget_after_s,
            memory=state,
            facts=facts,
            wake=self._wake.set,
        )
        now = self._clock.now()
        self._set_clocks(cycle)  # first: what is gone ended at the time of the wall; a window is open from the start
        cycle.load(state.engine, state.devices, state.wall_offset_s, now)
        self._sink.publish(state.undelivered())
        cycle.birth(now, state.old_alerts)
        self.state = state
        self.cycle = cycle
        self._incoming = Incoming(parts.base_topic, parts.inputs, cycle, topics, self._sink, self._clock.now)

    def _say(self, news: str) -> None:
        """Log what a source has to tell, unless it is what was said last."""
        if news and news != self._said and not self._stop.is_set():
            log.warning("site %s: %s", self.name or "unnamed", news)
            self._said = news

    # -- for the supervisor -----------------------------------------------------------------------------------------

    def set_wall_offset(self, offset_s: float) -> None:
        """Say how far the wall clock is from the steady clock; the site's time zones follow it."""
        self._wall_offset_s = offset_s
        if self.cycle is not None:
            self._set_clocks(self.cycle)

    def _set_clocks(self, cycle: Cycle) -> None:
        cycle.set_wall_offset(self._wall_offset_s, *self._local.offsets(self._clock.now() + self._wall_offset_s))

    def tick(self, now: float) -> None:
        if self.cycle is not None:
            self.cycle.tick(now)
        if self._incoming is not None:
            self._incoming.tick(now)

    def health(self) -> dict[str, Any]:
        state = self.state
        document: dict[str, Any] = {
            "crashes": self.crashes,
            "state_failures": state.failures if state else 0,
            "events_dropped": state.dropped if state else 0,
            **(self._incoming.health() if self._incoming else {}),
        }
        return document | (dict(self.cycle.health()) if self.cycle else {"source": dict(self.source.health())})
