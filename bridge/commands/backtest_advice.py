"""Which `keep_firing_for`, or which recovery condition, would have kept alerts from flapping.

For every flap it is known how long the alert was clear and how far its value had recovered. What exceeds the largest
of them would have made one firing of all. Either is only a suggestion until the rules were run with it: to hold an
alert longer can bring its next firing close.

A recovery limit is suggested only when it lies no farther from the rule's own limit than half the size of that: a
rule for more than 42 W that clears below -3600 W would in truth never clear.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bridge.commands.backtest_watch import Flap
from bridge.core.alerts import Rule
from bridge.core.compile import Code
from bridge.core.formula import Expr, Formula, Input, constant
from bridge.core.points import NUMBER, TRUTH
from bridge.core.rules import Program

_STEPS_S = ((60.0, 5.0), (3600.0, 60.0), (math.inf, 3600.0))  # up to there, in whole steps of
_FARTHEST = 0.5  # of the limit's size


class Advice(NamedTuple):
    """What to write into a rule."""

    rule: str
    flaps: int
    keep_s: float
    clear_at: float | None  # the recovery condition's limit; None: no usable one
    sign: str  # >= or <=
    value: str  # what is compared, as the rule's author would write it
    unit: str
    limit: float | None  # what the rule's own condition compares it with

    def keep(self) -> str:
        """Return the key and value for the rule."""
        return f"keep_firing_for: {written(self.keep_s)}"

    def clear(self) -> str:
        return f"clear: {self.value} {self.sign} {self.clear_at:g}"

    def distance(self) -> str:
        """Return how far the recovery condition is from the limit."""
        if self.limit is None or self.clear_at is None:
            return ""
        side = "above" if self.sign == ">=" else "below"
        return f" ({abs(self.clear_at - self.limit):.4g}{' ' + self.unit if self.unit else ''} {side} the limit)"


def advise(rule: Rule, flaps: Sequence[Flap]) -> Advice:
    """Return what would have prevented these flaps of a rule, at least one."""
    point = _plain(rule.value)
    limit = _limit(rule, point)
    name = "" if point is None else f"{rule.each}.{point.name}" if point.each else point.name
    return Advice(
        rule=rule.name,
        flaps=len(flaps),
        keep_s=_keep(flaps),
        clear_at=_clear_at(rule, flaps, limit),
        sign=">=" if rule.peak < 0 else "<=",
        value=name.replace("/", "."),
        unit="" if point is None else point.unit,
        limit=limit,
    )


def advise_more(advice: Advice, rule: Rule, kept: Sequence[Flap], cleared: Sequence[Flap]) -> Advice:
    """Return the advice, wide enough also for the flaps that were left when the rules were run with it."""
    if kept:
        advice = advice._replace(keep_s=max(advice.keep_s, _keep(kept)))
    if cleared and advice.clear_at is not None:
        advice = advice._replace(clear_at=_clear_at(rule, cleared, advice.limit))
    return advice


def _keep(flaps: Sequence[Flap]) -> float:
    return _beyond(max(flap.clear_s for flap in flaps))


def _clear_at(rule: Rule, flaps: Sequence[Flap], limit: float | None) -> float | None:
    recovered = [flap.recovered for flap in flaps if flap.recovered is not None]
    if limit is None or not rule.peak or rule.value_type != NUMBER or len(recovered) < len(flaps):
        return None
    clear_at = _past(recovered, -rule.peak, limit)
    return clear_at if abs(clear_at - limit) <= _FARTHEST * abs(limit) else None


def _plain(code: Code | None) -> Input | None:
    """Return the point that a formula is, when that is all there is to it."""
    if code is None or code.formula.root.op != "input":
        return None
    index: int = code.formula.root.value
    return code.formula.inputs[index]


def _limit(rule: Rule, point: Input | None) -> float | None:
    """Return the one number that the condition compares the value with."""
    for one, limits in zip(rule.expr.formula.inputs, rule.expr.limits):
        if point is not None and (one.each, one.name) == (point.each, point.name):
            return limits[0] if limits and len(limits) == 1 else None
    return None


def _beyond(seconds: float) -> float:
    """Return the next longer duration that one would write."""
    step_s = next(step_s for up_to_s, step_s in _STEPS_S if seconds < up_to_s)
    return (math.floor(seconds / step_s) + 1) * step_s


def _past(values: Sequence[float], side: int, limit: float) -> float:
    """Return a number beyond all values on one side (1: above), to two digits of its distance from the limit."""
    farthest = max(value * side for value in values)
    distance = farthest - limit * side
    digits = 1 if distance > 0 else 2
    size = distance if distance > 0 else abs(farthest) or 1.0
    grain: float = 10.0 ** (math.floor(math.log10(size)) - digits)
    return float(f"{(math.floor(farthest / grain + 1e-9) + 1) * grain * side:.12g}")


def with_keep(program: Program, advice: Mapping[str, Advice]) -> Program:
    """Return the program with the `keep_firing_for` of these suggestions, by alert."""
    return _changed(program, {name: {"keep_s": one.keep_s} for name, one in advice.items()})


def with_clear(program: Program, advice: Mapping[str, Advice]) -> Program:
    """Return the program with the recovery conditions of these suggestions, where there is one."""
    rules = {rule.name: rule for rule in program.rules}
    found = {}
    for name, one in advice.items():
        value = rules[name].value
        if one.clear_at is not None and value is not None:
            of = value.formula
            root = Expr("compare", (one.sign,), (of.root, constant(one.clear_at)), TRUTH)
            found[name] = {"clear": Code(Formula(root, of.inputs, of.members))}
    return _changed(program, found)


def _changed(program: Program, changes: Mapping[str, Mapping[str, Any]]) -> Program:
    return program._replace(rules=tuple(rule._replace(**changes.get(rule.name, {})) for rule in program.rules))


def written(seconds: float) -> str:
    """Return a duration as a rule's author writes it: `90s`, `12m`, `2h`."""
    for unit, size_s in (("h", 3600), ("m", 60)):
        if seconds >= size_s and seconds % size_s == 0:
            return f"{seconds / size_s:g}{unit}"
    return f"{seconds:g}s"
