"""Values in flat lists, who reads them, and which changes wake nobody.

Compiled rules read values by number. What changed marks its readers as dirty, and only those are evaluated. Most
changes cannot matter, though: a state of charge that goes from 62 to 61 crosses no threshold. So each slot has a
quiet interval, between the two thresholds next to its value: inside it no comparison changes its result, and no
reader need be asked. It is empty (`low` is infinite) while a reader is more than a comparison with constants, or
wants to see every value because its alert is pending or firing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, Protocol

from bridge.core.formula import Input

SINK, PRESENCE, FIRST_SLOT = 3, 4, 5
"""The first three places hold the clock (see `compile`), then come those of what no rule reads and of presence."""


class Reader(Protocol):
    """What is evaluated when a slot changes: an alert or a derived point."""

    level: int  # 0 for alerts; derived points are computed in the order of their levels, before all alerts


class Slots:
    """The values of one site."""

    def __init__(self) -> None:
        self.values: list[Any] = [0.0] * FIRST_SLOT
        self.raw: list[Any] = [None] * FIRST_SLOT  # as it came in, known now or not
        self.is_stale: list[int] = [0] * FIRST_SLOT
        self.low = [inf] * FIRST_SLOT
        self.high = [inf] * FIRST_SLOT
        self.names: list[str] = [""] * FIRST_SLOT
        self.dirty: set[Any] = set()
        self.dirty_derived: set[Any] = set()
        self._slots: dict[str, int] = {}
        self._limits: list[list[float] | None] = [None] * FIRST_SLOT
        self._loud: list[int] = [0] * FIRST_SLOT  # how many readers want to see every value
        self._codes: list[Mapping[str, int]] = [{}] * FIRST_SLOT
        self._readers: list[tuple[Reader, ...]] = [()] * FIRST_SLOT
        self._derived_readers: list[tuple[Reader, ...]] = [()] * FIRST_SLOT
        self._levels = 0

    def slot(self, name: str, labels: Mapping[int, str] | None = None) -> int:
        """Return the slot of a point, a new one without a value when nobody asked for it before."""
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = len(self.values)
            self._grow(name)
        if labels and not self._codes[slot]:
            self._codes[slot] = {label: code for code, label in reversed(list(labels.items()))}
        return slot

    def _grow(self, name: str) -> None:
        self.values.append(None)
        self.raw.append(None)
        self.is_stale.append(0)
        self.low.append(inf)
        self.high.append(inf)
        self.names.append(name)
        self._limits.append([])
        self._loud.append(0)
        self._codes.append(_NO_CODES)
        self._readers.append(())
        self._derived_readers.append(())

    def input_slot(self, one: Input, prefix: str) -> int:
        """Return the slot of a formula's input, for the device with that prefix."""
        return self.slot(one.of(prefix), one.type.labels)

    def read_by(self, slot: int, reader: Reader, limits: Iterable[float] | None) -> None:
        """Have `reader` marked dirty when the slot changes.

        Args:
            limits: the constants that it compares the value with, when it does nothing else with it; else None.
        """
        self._levels = max(self._levels, reader.level)
        readers = self._derived_readers if reader.level else self._readers
        if reader not in readers[slot]:
            readers[slot] += (reader,)
        known = self._limits[slot]
        self._limits[slot] = None if known is None or limits is None else sorted({*known, *limits})
        self.low[slot] = inf

    def touch(self, slot: int) -> None:
        """Mark the readers of a slot as dirty."""
        self.dirty.update(self._readers[slot])
        if self._derived_readers[slot]:
            self.dirty_derived.update(self._derived_readers[slot])

    def put(self, slot: int, value: Any, is_stale: bool) -> None:
        """Set a slot whose value the engine computed."""
        self.raw[slot] = self.values[slot] = value
        self.is_stale[slot] = is_stale
        self.touch(slot)
        self.calm(slot, value)

    def calm(self, slot: int, value: Any) -> None:
        """Make the quiet interval of a slot anew, round a value that its readers are about to see."""
        limits = self._limits[slot]
        if limits is None or self._loud[slot] or not isinstance(value, _NUMBERS):
            self.low[slot] = inf
            return
        below, above = bisect_left(limits, value), bisect_right(limits, value)
        is_limit = below != above
        self.low[slot] = inf if is_limit else limits[below - 1] if below else -inf
        self.high[slot] = limits[above] if above < len(limits) else inf

    def mind(self, slots: Iterable[int], is_loud: bool) -> None:
        """Let every change of some slots wake their readers, or no longer."""
        for slot in slots:
            self._loud[slot] += 1 if is_loud else -1
            self.low[slot] = inf

    def take_derived(self) -> list[Any]:
        """Return the dirty derived points of the lowest level, which thereby are clean."""
        dirty = self.dirty_derived
        if self._levels == 1:
            batch = list(dirty)
            dirty.clear()
            return batch
        lowest = min(one.level for one in dirty)
        batch = [one for one in dirty if one.level == lowest]
        dirty.difference_update(batch)
        return batch


_NO_CODES: Mapping[str, int] = {}
_NUMBERS = (int, float)  # a tuple is three times as quick to ask as int | float
