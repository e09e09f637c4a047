"""What a GX tells of its site makes the site's rules anew: see `core.profile`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from bridge.core.engine import Engine
from bridge.core.maintenance import Maintenance
from bridge.core.profile import SETTLES_S, Watch, differ
from bridge.core.rules import Program
from bridge.errors import ConfigErrors
from bridge.model import Sample

log = logging.getLogger(__name__)


class Facts:
    """Makes the engine of one site, and makes it anew when the facts that its rules rest on have changed.

    Args:
        program: the rules with what is known at the start; used when nothing was told.
        reprogram: returns the rules with what the GX told; None: they never change.
        maintenance: the site's maintenance windows.
        told: what the GX told before the restart.
    """

    def __init__(
        self,
        program: Program,
        reprogram: Callable[[Mapping[str, Any]], Program] | None = None,
        maintenance: Sequence[Maintenance] = (),
        told: Mapping[str, Any] = {},
    ) -> None:
        self._reprogram = reprogram
        self._maintenance = maintenance
        self._watch = Watch(told)
        self._program = program
        self._due = inf
        self._complained: set[str] = set()
        if differ(program.facts, told):
            self._make_anew()

    @property
    def told(self) -> Mapping[str, Any]:
        """What is to be kept over a restart."""
        return self._watch.told

    def engine(self, site: str) -> Engine:
        return Engine(site, self._program, self._maintenance)

    def take(self, records: Sequence[Sample], now: float) -> None:
        """Take the points of `record` rules that changed."""
        if self._reprogram is not None and self._watch.take(records, now):
            self._due = now + SETTLES_S

    def renewed(self, engine: Engine, now: float) -> Engine | None:
        """Return an engine to go on with when other facts have settled; it has taken over everything that was."""
        if now < self._due or self._reprogram is None:
            return None
        self._due = inf
        if not self._watch.has_news(now, self._program.facts) or not self._make_anew():
            return None
        log.info("site %s: rules made anew with what the GX tells: %s", engine.site, self._facts())
        new = self.engine(engine.site)
        new.set_wall_offset(*engine.clocks)
        new.load(engine.dump(), now)
        new.counters.update(engine.counters)
        return new

    def _make_anew(self) -> bool:
        """Make the program with what was told; a rule that cannot take it must not end the site, so none gets it."""
        if self._reprogram is None:
            return False
        try:
            self._program = self._reprogram(self.told)
        except ConfigErrors as found:
            for text in {str(error): None for error in found.errors}:
                if text not in self._complained:
                    self._complained.add(text)
                    log.error("the rules go on without what the GX tells (%s): %s", self._facts(), text)
            return False
        return True

    def _facts(self) -> str:
        return ", ".join(f"{key} {value}" for key, value in self.told.items())
