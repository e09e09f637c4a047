"""The functions of the rule language: how each is called and what node a call becomes.

One table holds them all; `rules/README.md` documents them and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from bridge.core.formula import Expr, Window, constant
from bridge.core.parser import Tree, unparse
from bridge.core.points import ANY, NUMBER, TRUTH, Type

if TYPE_CHECKING:
    from bridge.core.expression import Resolver

MIN_WINDOW_S = 1.0
MAX_WINDOW_S = 366 * 86400.0  # a year; a longer one would never have its 80 % of data
MAX_DIGITS = 9


class Function(NamedTuple):
    """How a function is called. `usage` is what an error shows."""

    usage: str
    least: int
    most: int
    build: Callable[[Resolver, Tree], Expr]


def call(resolver: Resolver, tree: Tree) -> Expr:
    """Return the node of a call of a known function."""
    function = FUNCTIONS[str(tree.value)]
    if not function.least <= len(tree.parts) <= function.most:
        raise resolver.fault(tree, f"{tree.value} is called as {function.usage}, here with {len(tree.parts)} arguments")
    return function.build(resolver, tree)


# -- scalars ------------------------------------------------------------------------------------------------------


def _scalar(resolver: Resolver, tree: Tree) -> Expr:
    """All arguments numbers, the result a number."""
    parts = [resolver.number(part, resolver.expr(part)) for part in tree.parts]
    return resolver.fold(str(tree.value), parts, NUMBER)


def _round(resolver: Resolver, tree: Tree) -> Expr:
    value = resolver.number(tree.parts[0], resolver.expr(tree.parts[0]))
    digits = _constant(resolver, tree, 1, "a number of digits") if len(tree.parts) == 2 else 0.0
    if digits != int(digits) or not 0 <= digits <= MAX_DIGITS:
        raise resolver.fault(tree.parts[1], f"the digits of round are a whole number from 0 to {MAX_DIGITS}")
    return resolver.fold("round", (value, constant(int(digits))), NUMBER)


def _coalesce(resolver: Resolver, tree: Tree) -> Expr:
    parts = resolver.optional(lambda: resolver.alike(tree, tree.parts))
    return resolver.fold("coalesce", parts, next((part.type for part in parts if part.type is not ANY), ANY))


def _code(resolver: Resolver, tree: Tree) -> Expr:
    part = resolver.expr(tree.parts[0])
    if part.type.name not in ("label", "any"):
        raise resolver.fault(tree, f"code gives the number of a label, and {unparse(tree.parts[0])} has none")
    return part._replace(type=NUMBER)


def _point(resolver: Resolver, tree: Tree) -> Expr:
    """age, absent, present: ask about a point, not about its value."""
    part = resolver.optional(lambda: resolver.expr(tree.parts[0]))
    if part.op not in ("input", "member"):
        raise resolver.fault(tree, f"{tree.value} asks about a point, and {unparse(tree.parts[0])} is none")
    return Expr(str(tree.value), None, (part,), NUMBER if tree.value == "age" else TRUTH)


def _clock(resolver: Resolver, tree: Tree) -> Expr:
    return Expr(str(tree.value), None, (), NUMBER)


# -- over devices -------------------------------------------------------------------------------------------------


def _over_devices(resolver: Resolver, tree: Tree) -> Expr:
    if not resolver.has_selector(tree.parts[0]):
        advice = "for several values of one device write max(a, b)" if tree.value in ("min", "max") else ""
        raise resolver.fault(
            tree, f"{tree.value} needs all devices of a class, as in {_usage(tree)}" + (advice and f"; {advice}")
        )
    inner, group = resolver.of_devices(tree.parts[0])
    function = str(tree.value)
    if function in ("any", "all"):
        if inner.type not in (TRUTH, ANY):
            raise resolver.fault(tree, f"{function} needs a condition per device, as in {_usage(tree)}")
        return Expr("over", (function, group), (inner,), TRUTH)
    if function == "count":
        return Expr("over", ("count_true" if inner.type is TRUTH else "count", group), (inner,), NUMBER)
    keeps_label = function in ("min", "max") and inner.type.is_ordered
    if not keeps_label:
        resolver.number(tree.parts[0], inner)
    return Expr("over", (function, group), (inner,), inner.type)


def _usage(tree: Tree) -> str:
    return FUNCTIONS[str(tree.value)].usage


def _least_or_most(resolver: Resolver, tree: Tree) -> Expr:
    """min and max: of the devices of a class, or of several values."""
    if len(tree.parts) == 1:
        return _over_devices(resolver, tree)
    parts = resolver.alike(tree, tree.parts)
    type_ = next((part.type for part in parts if part.type is not ANY), ANY)
    if type_ not in (NUMBER, ANY) and not type_.is_ordered:
        raise resolver.fault(tree, f"{tree.value} needs numbers or alarms")
    return resolver.fold(str(tree.value), parts, type_)


# -- over time ----------------------------------------------------------------------------------------------------


def _over_time(resolver: Resolver, tree: Tree) -> Expr:
    function = str(tree.value)
    has_window = function not in ("last_change", "held", "seasonal_zscore", "ewma")
    constants = [_constant(resolver, tree, at, "a constant") for at in range(1, len(tree.parts))]
    span_s = constants.pop() if has_window and function != "predict_linear" else 0.0
    if function == "predict_linear":
        span_s, constants = constants[0], constants[1:]
    if has_window and not MIN_WINDOW_S <= span_s <= MAX_WINDOW_S:
        raise resolver.fault(tree, f"a window of {span_s:g} s; it lasts from 1s to 366d")
    _check_constants(resolver, tree, function, constants)
    return resolver.over_time(tree, Window(function, span_s, tuple(constants)), _WANTED.get(function, NUMBER))


_WANTED: dict[str, Type | None] = {"ratio_over_time": TRUTH, "held": TRUTH, "changes": None, "last_change": None}


def _check_constants(resolver: Resolver, tree: Tree, function: str, constants: list[float]) -> None:
    if function == "quantile_over_time" and not 0 <= constants[0] <= 1:
        raise resolver.fault(tree.parts[1], f"a quantile lies between 0 and 1, not {constants[0]:g}")
    if function == "ewma" and not MIN_WINDOW_S <= constants[0] <= MAX_WINDOW_S:
        raise resolver.fault(tree.parts[1], f"a half-life of {constants[0]:g} s; it lasts from 1s to 366d")


def _constant(resolver: Resolver, tree: Tree, at: int, what: str) -> float:
    part = resolver.number(tree.parts[at], resolver.expr(tree.parts[at]))
    if part.op != "const" or part.value is None:
        raise resolver.fault(tree.parts[at], f"{unparse(tree.parts[at])} must be {what}, known before the rule runs")
    return float(part.value)


_DEVICES = {
    "sum": "sum(battery[*].power)",
    "avg": "avg(battery[*].soc)",
    "spread": "spread(battery[*].voltage)",
    "stddev": "stddev(battery[*].soc)",
    "median": "median(battery[*].temperature)",
    "count": "count(battery[*].soc < 20)",
    "any": "any(battery[*].soc < 20)",
    "all": "all(battery[*].soc < 20)",
}
_SPANS = {
    "avg_over_time": "avg_over_time(x, 1h)",
    "min_over_time": "min_over_time(x, 1h)",
    "max_over_time": "max_over_time(x, 1h)",
    "stddev_over_time": "stddev_over_time(x, 1h)",
    "quantile_over_time": "quantile_over_time(x, 0.95, 1h)",
    "delta": "delta(x, 1h)",
    "increase": "increase(x, 1h)",
    "rate": "rate(x, 5m)",
    "deriv": "deriv(x, 1h)",
    "predict_linear": "predict_linear(x, 1h, 4h)",
    "changes": "changes(x, 1h)",
    "last_change": "last_change(x)",
    "ratio_over_time": "ratio_over_time(x > 1, 1h)",
    "held": "held(x > 1)",
    "zscore": "zscore(x, 1h)",
    "seasonal_zscore": "seasonal_zscore(x)",
    "ewma": "ewma(x, 10m)",
}

FUNCTIONS: dict[str, Function] = {
    "abs": Function("abs(x)", 1, 1, _scalar),
    "floor": Function("floor(x)", 1, 1, _scalar),
    "ceil": Function("ceil(x)", 1, 1, _scalar),
    "round": Function("round(x) or round(x, digits)", 1, 2, _round),
    "clamp": Function("clamp(x, low, high)", 3, 3, _scalar),
    "coalesce": Function("coalesce(a, b)", 2, 16, _coalesce),
    "code": Function("code(vebus.state)", 1, 1, _code),
    "age": Function("age(point)", 1, 1, _point),
    "absent": Function("absent(point)", 1, 1, _point),
    "present": Function("present(point)", 1, 1, _point),
    "now": Function("now()", 0, 0, _clock),
    "hour": Function("hour()", 0, 0, _clock),
    "weekday": Function("weekday()", 0, 0, _clock),
    "month": Function("month()", 0, 0, _clock),
    "min": Function("min(a, b) or min(battery[*].soc)", 1, 16, _least_or_most),
    "max": Function("max(a, b) or max(battery[*].soc)", 1, 16, _least_or_most),
    **{name: Function(usage, 1, 1, _over_devices) for name, usage in _DEVICES.items()},
    **{name: Function(usage, usage.count(",") + 1, usage.count(",") + 1, _over_time) for name, usage in _SPANS.items()},
}
