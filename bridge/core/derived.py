"""Points that the engine computes: records of rules, and functions over time that rules read.

A derived point has a level: above everything it reads. The engine computes what changed in the order of the levels
and then the alerts, so each is computed at most once per moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from bridge.core.alerts import as_shown
from bridge.core.compile import Bound, Code
from bridge.core.formula import Derived, Input
from bridge.core.points import TRUTH
from bridge.core.ring import Series
from bridge.core.spans import series
from bridge.model import Device, Kind, Point, PointSpec, Sample, Tier

_KINDS = {"truth": Kind.BOOL, "label": Kind.ENUM, "text": Kind.STRING}


class DerivedRule:
    """A derived point as the program knows it, its code shared by all devices."""

    __slots__ = ("code", "derived", "every_s", "level")

    def __init__(self, derived: Derived, level: int, every_s: float) -> None:
        self.derived = derived
        self.code = Code(derived.formula)
        self.level = level
        self.every_s = every_s  # 0, or how often to compute it although nothing changed

    @property
    def is_record(self) -> bool:
        return self.derived.window is None

    def needs(self) -> Sequence[Input]:
        """Return the inputs that a device must have for the point to be computed."""
        return self.derived.formula.inputs

    def spec(self) -> PointSpec:
        """Return what a record is, as the catalogue would say it."""
        type_ = self.derived.formula.root.type
        kind = _KINDS.get(type_.name, Kind.FLOAT)
        kind = Kind.ALARM if type_.is_ordered else kind
        name, unit, digits = self.derived.name, self.derived.unit, self.derived.precision
        state = "measurement" if kind is Kind.FLOAT else ""
        return PointSpec(kind, name, "", unit, type_.labels, Tier.CRITICAL, digits, 0.0, (), "", "", state)


class DerivedState:
    """A derived point of one device (or of the site).

    `source` is the slot that it is computed of when that is all there is to it, so that the engine need not ask.
    """

    __slots__ = ("key", "level", "point", "read", "rule", "series", "slot", "source", "sources", "step", "wake_at")

    def __init__(self, rule: DerivedRule, device: Device | None, slot: int) -> None:
        self.rule = rule
        self.level = rule.level
        self.slot = slot
        self.key = f"{device.path}/{rule.derived.name}" if device else rule.derived.name
        self.read: Bound = _nothing
        self.source = 0
        self.wake_at = -inf  # until then the passing of time alone cannot bring it to a limit
        self.sources: tuple[int, ...] = ()
        window = rule.derived.window
        self.series: Series | None = series(window) if window else None
        self.step = self.series.step if self.series is not None else _as_it_is
        self.point: Point | None = None
        if rule.is_record:
            self.point = Point(self.key, rule.spec(), device, "rules")

    def bind(self, read: Bound, sources: tuple[int, ...]) -> None:
        """Take the bound formula and the slots that it reads."""
        self.read, self.sources = read, sources
        root = self.rule.derived.formula.root
        if root.op == "input" and root.type != TRUTH:
            self.source = sources[root.value]

    def rest(self, value: float, now: float, low: float, high: float) -> None:
        """Sleep for as long as the value surely stays between the limits that its readers know.

        Only what is computed of one point by itself may: else time could change more than the window.
        """
        if self.source and self.series is not None:
            self.wake_at = now + self.series.patience_s(value, low, high)

    def sample(self, value: Any, now: float) -> Sample | None:
        """Return the sample of a record; a function over time is nobody's business outside."""
        if self.point is None:
            return None
        type_ = self.rule.derived.formula.root.type
        return Sample(self.point, as_shown(value, type_), now, value if type_.name == "label" else None)


def _nothing() -> None:
    return None


def _as_it_is(now: float, value: Any, local: float) -> Any:
    """Return the value of a record."""
    return value
