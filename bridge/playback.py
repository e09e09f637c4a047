"""A recording through all stages, on the recording's own time: the walk of `run` without waiting.

Source, clock and sink differ from `run`, nothing else. Between two lines of the recording time stops wherever the
engine has something to decide, so a `for` of 30 s fires 30 s after its condition became true, as it would have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from bridge.core.engine import Engine
from bridge.core.normalize import Normalizer
from bridge.core.summary import Summary
from bridge.core.topics import SiteTopics, StateTopics
from bridge.cycle import Cycle
from bridge.facts import Facts
from bridge.sinks.base import Sink
from bridge.site import SiteParts
from bridge.sources.base import Source
from bridge.zones import Local, next_quarter


class Playback:
    """One recording and what it is played to.

    Args:
        parts: of the site, rules included.
        name: of the site.
        source: the recording (`sources.recording`), or anything else that ends.
        sink: takes what `run` would have published.
    """

    def __init__(self, parts: SiteParts, name: str, source: Source, sink: Sink) -> None:
        self._source = source
        facts = Facts(parts.program, parts.reprogram, parts.maintenance)
        self.normalizer = Normalizer(parts.catalogue, parts.intervals, parts.publish_raw)
        self._cycle = Cycle(
            source=source,
            normalizer=self.normalizer,
            engine=facts.engine(name),
            state_topics=StateTopics(parts.base_topic, name, parts.format),
            site_topics=SiteTopics(parts.base_topic, name),
            summary=Summary(name),
            sink=sink,
            facts=facts,
        )
        self._local = local_of(parts)
        self.began_at = self.now = source.next_due()  # inf: the recording is empty
        self.last_at = self.began_at  # of the last line that was taken

    @property
    def engine(self) -> Engine:
        """The engine as it is now: another one when the rules were made anew."""
        return self._cycle.engine

    def run(self, until: float = math.inf) -> None:
        """Take every line up to `until` at its time, and every clock of the engine that runs out before it."""
        while (due := self._source.next_due()) < math.inf:
            for clock in clocks_before(min(due, until), self.now, self._cycle.next_clock, self._follow):
                self._cycle.tick(clock)
            if due > until:
                break
            self.now = self.last_at = due
            self._follow(due)
            self._cycle.turn(due, lambda: self.now)
        if self.now < until < math.inf:
            self.now = until
            self._follow(until)
            self._cycle.tick(until)

    def _follow(self, at: float) -> bool:
        """Set the clocks of the site's time zones; tell whether they moved."""
        offsets = self._local.moved(at)
        if offsets is not None:
            self._cycle.set_wall_offset(0.0, *offsets)
        return offsets is not None


def local_of(parts: SiteParts) -> Local:
    """Return the clocks of a site."""
    return Local(parts.time_zone, (window.zone for window in parts.maintenance))


def clocks_before(
    until: float, since: float, next_clock: Callable[[], float], follow: Callable[[float], bool]
) -> Iterator[float]:
    """Yield every clock that runs out between `since` and `until`, each once; the caller goes on to it meanwhile.

    Args:
        next_clock: returns the engine's next one.
        follow: is called when a quarter of an hour begins; tells whether the site's clocks moved, which is yielded too.
    """
    while since < until:
        clock = next_clock()
        due = min(clock if clock > since else math.inf, next_quarter(since))
        if due >= until:
            return
        since = due
        if follow(due) or due == clock:
            yield due
