"""One alert of one device while the engine runs: is it true, since when, what is its value.

What is said about it, and when, is `announce`'s business.
"""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

from bridge.core.compile import HOSTILE, Bound, Code
from bridge.core.formula import Formula, Input
from bridge.core.lifecycle import Clock, Signal
from bridge.core.points import Type
from bridge.core.semantics import finite
from bridge.core.templates import Template
from bridge.model import Device, Value

HOLD, CLEAR, FIRE = "hold", "clear", "fire"
_SIGNALS = {True: Signal.ON, False: Signal.OFF}


class Rule(NamedTuple):
    """An alert as its author wrote it, every name resolved."""

    order: int  # place among all rules: what happens at one moment is told in this order
    name: str
    pack: str
    each: str | None
    expr: Code
    clear: Code | None  # None: the opposite of expr
    value: Code | None
    value_type: Type
    peak: int  # the worst value is the lowest (-1), the highest (1), or the one farthest off (0)
    for_s: float
    keep_s: float
    on_unknown: str
    severity: str
    repeat_s: float  # 0: no reminders
    escalate_s: float  # 0: never
    escalate_to: str
    labels: dict[str, str]
    inhibited_by: tuple[int, ...]  # orders of other rules
    summary: Template
    description: Template
    action: Template
    points: tuple[Input, ...]  # what an event tells the values of
    every_s: float  # 0, or how often to look although nothing changed: it asks for the time
    source: str

    def formulas(self) -> list[Formula]:
        """Return what wakes the alert: the formulas of expr, clear and value."""
        return [code.formula for code in (self.expr, self.clear, self.value) if code is not None]

    def needs(self) -> list[Input]:
        """Return the inputs that a device must have for the alert to be watched."""
        codes = [code for code in (self.expr, self.clear) if code is not None]
        return [part for code in codes for part in code.formula.inputs]

    def texts(self) -> list[Formula]:
        """Return the formulas of the texts, which are computed when an event is told."""
        return [formula for text in (self.summary, self.description, self.action) for formula in text.formulas()]


class AlertState:
    """A rule bound to a device (or to the site)."""

    __slots__ = (
        "acknowledged",
        "announced",
        "announced_at",
        "began_at",
        "clock",
        "device",
        "ended_at",
        "escalated",
        "escalate_at",
        "fired_at",
        "firings",
        "first",
        "flap_told",
        "flapping",
        "high",
        "id",
        "inhibited",
        "is_idle",
        "is_clear",
        "is_loud",
        "level",
        "low",
        "order",
        "quiet_until",
        "read_value",
        "remind_at",
        "rung_at",
        "rule",
        "silenced",
        "since",
        "slots",
        "starts_at",
        "test",
        "told_silenced",
        "truth",
        "unknown_at",
        "value_at_firing",
    )

    def __init__(self, rule: Rule, device: Device | None) -> None:
        self.rule = rule
        self.device = device
        self.id = rule.name if device is None else f"{rule.name}/{device.path}"
        self.order = (rule.order, device or Device("", 0))
        self.level = 0
        self.clock = Clock(rule.for_s, rule.keep_s)
        self.is_idle = True  # inactive: as long as its truth stays, there is nothing to do
        self.is_loud = False  # it sees every value of its slots
        self.slots: tuple[int, ...] = ()
        self.truth: bool | None = False
        self.test: Bound = _unbound
        self.is_clear: Bound | None = None
        self.read_value: Bound | None = None
        self.first: Any = None  # the value with which the alert became pending
        self.low: Any = None  # extremes of the value since then
        self.high: Any = None
        self.value_at_firing: Any = None
        self.since = 0.0  # wall clock, of the phase that people see
        self.starts_at = 0.0  # wall clock
        self.began_at = 0.0  # steady, like all below: when what was announced began
        self.announced_at = 0.0
        self.fired_at = 0.0
        self.ended_at = 0.0
        self.remind_at = inf
        self.escalate_at = inf
        self.unknown_at = inf  # since when it fires and cannot be told: so long reminders and escalation stand still
        self.quiet_until = inf  # when flapping ends, if it stays as it is
        self.rung_at = inf  # the earliest time at which the engine was asked to ring
        self.firings: tuple[float, ...] = ()
        self.announced = self.acknowledged = self.escalated = False
        self.silenced = self.told_silenced = self.inhibited = self.flapping = self.flap_told = False

    @property
    def is_firing(self) -> bool:
        return self.clock.is_firing

    @property
    def severity(self) -> str:
        return self.rule.escalate_to if self.escalated else self.rule.severity

    def due(self) -> float:
        """Return the next time at which something of this alert is due."""
        due = min(self.clock.due, self.quiet_until)
        return due if self.unknown_at < inf else min(due, self.remind_at, self.escalate_at)

    def told_at(self, now: float) -> float:
        """Return the time that the clocks of reminders and escalation show."""
        return min(now, self.unknown_at)

    def follow(self, truth: bool | None, now: float) -> bool:
        """Take a new truth of the expression; return whether the phase changed."""
        self.truth = truth
        clock = self.clock
        on_unknown = self.rule.on_unknown
        if clock.is_firing:
            signal = self._signal_while_firing(truth, on_unknown)
        else:
            signal = _signal(truth, on_unknown, on_unknown == FIRE)
        is_changed = clock.tell(signal, now)
        self._stand_still(clock.is_firing and signal is Signal.UNKNOWN, now)
        self.is_idle = clock.is_idle
        if not self.is_idle:
            self._watch_value()
        return is_changed

    def _stand_still(self, is_unknown: bool, now: float) -> None:
        """Stop the clocks of reminders and escalation, or let them go on with what was left."""
        if is_unknown:
            self.unknown_at = min(self.unknown_at, now)
        elif self.unknown_at < inf:
            self.remind_at += now - self.unknown_at
            self.escalate_at += now - self.unknown_at
            self.unknown_at = inf

    def ring(self, now: float) -> bool:
        """Tell the clock when it is over; return whether the phase changed."""
        if self.clock.due > now:
            return False
        self.clock.tell(Signal.DUE, now)
        self.is_idle = self.clock.is_idle
        return True

    def _signal_while_firing(self, truth: bool | None, on_unknown: str) -> Signal:
        if truth:
            return Signal.ON
        if self.is_clear is None:
            cleared = None if truth is None else True
        else:
            cleared = attempt(self.is_clear)
        return _signal(None if cleared is None else not cleared, on_unknown, on_unknown != CLEAR)

    # -- value ----------------------------------------------------------------------------------------------------

    def value(self) -> Any:
        """Return what the alert reports now, a label as its number; None when it is unknown."""
        return attempt(self.read_value) if self.read_value is not None else None

    def _watch_value(self) -> None:
        value = self.value()
        if value is None:
            return
        try:
            if self.low is None:
                self.first = value
            if self.low is None or value < self.low:
                self.low = value
            if self.high is None or value > self.high:
                self.high = value
        except TypeError:  # a text where a number was
            self.first = self.low = self.high = value

    def forget_value(self) -> None:
        self.first = self.low = self.high = self.value_at_firing = None

    def peak(self) -> Any:
        """Return the worst value since the alert is pending, as its number.

        Where one cannot tell which side is worse, it is the one farthest from where it began, and once the alert is
        over from where it ended.
        """
        if self.rule.peak or self.low == self.high or isinstance(self.low, str):
            return self.low if self.rule.peak < 0 else self.high
        value = self.first if self.is_firing else self.value()
        if not isinstance(value, int | float):
            return self.high
        return self.low if value - self.low > self.high - value else self.high

    def shown(self, value: Any) -> Value | None:
        """Return a value as people read it: a label for its number."""
        return as_shown(value, self.rule.value_type)


def _unbound() -> None:
    return None


def attempt(read: Bound) -> Any:
    """Return what a bound formula says; UNKNOWN for values that no GX sends."""
    try:
        return finite(read())
    except HOSTILE:
        return None


def _signal(truth: bool | None, on_unknown: str, counts_as: bool) -> Signal:
    """Return the signal of a truth; UNKNOWN counts as true or false unless `hold` says to wait."""
    if truth is None:
        return Signal.UNKNOWN if on_unknown == HOLD else _SIGNALS[counts_as]
    return _SIGNALS[truth]


def as_shown(value: Any, type_: Type) -> Value | None:
    """Return a value as people read it: the label of an enum or alarm for its number."""
    if type_.name != "label" or value is None:
        shown: Value | None = value
        return shown
    return type_.labels.get(value, str(value))
