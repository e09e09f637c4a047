"""What the operations of the rule language mean, UNKNOWN included. UNKNOWN is None.

Law: arithmetic with UNKNOWN is UNKNOWN, and so is what has no result (a division by zero, a root of a negative
number). `and`, `or` and `not` follow Kleene. Nothing here raises, whatever the values are. A number too large is
larger than any other while it is compared, and UNKNOWN once it leaves the expression (see `finite`).

`compile` writes the same operations as straight code; tests hold both against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_MOST = 1.7976931348623157e308  # the largest float; JSON has nothing for what lies beyond

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def conjunction(truths: Iterable[bool | None]) -> bool | None:
    """Return Kleene's `and`: false when one is false, else UNKNOWN when one is UNKNOWN."""
    result: bool | None = True
    for truth in truths:
        if truth is False:
            return False
        if truth is None:
            result = None
    return result


def disjunction(truths: Iterable[bool | None]) -> bool | None:
    """Return Kleene's `or`: true when one is true, else UNKNOWN when one is UNKNOWN."""
    result: bool | None = False
    for truth in truths:
        if truth:
            return True
        if truth is None:
            result = None
    return result


def compare(signs: Sequence[str], values: Sequence[Any]) -> bool | None:
    """Return whether each value stands to the next as the sign between them says."""
    return conjunction(
        None if a is None or b is None else _COMPARISONS[sign](a, b) for sign, a, b in zip(signs, values, values[1:])
    )


def finite(value: Any) -> Any:
    """Return what an expression gave, UNKNOWN for a number that no float holds or that is none."""
    return None if isinstance(value, int | float) and not -_MOST <= value <= _MOST else value


def contains(value: Any, items: Sequence[Any]) -> bool | None:
    """Return whether `value` equals one of `items`."""
    return disjunction(None if value is None or item is None else value == item for item in items)


def power(base: Any, exponent: Any) -> float | None:
    """Return a power; on floats, so that no exponent can fill the memory."""
    if base is None or exponent is None:
        return None
    try:
        return math.pow(base, exponent)
    except (ArithmeticError, ValueError):
        return None


def _divided(sign: str) -> Callable[[Any, Any], Any]:
    work: dict[str, Callable[[Any, Any], Any]] = {
        "/": lambda a, b: a / b,
        "//": lambda a, b: a // b,
        "%": lambda a, b: a % b,
    }
    divide = work[sign]
    return lambda a, b: None if a is None or b is None or b == 0 else divide(a, b)


def coalesce(*values: Any) -> Any:
    """Return the first value that is not UNKNOWN."""
    return next((value for value in values if value is not None), None)


def clamp(value: Any, low: Any, high: Any) -> Any:
    """Return `value`, or the limit that it passes."""
    return None if value is None or low is None or high is None else max(low, min(high, value))


def _known(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return `work` for values none of which is UNKNOWN; UNKNOWN for others."""
    return lambda *values: None if any(value is None for value in values) else work(*values)


def filled(text: Any) -> str | None:
    """Return a text, or UNKNOWN for an empty one."""
    return text or None


OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": _known(lambda a, b: a + b),
    "-": _known(lambda a, b: a - b),
    "*": _known(lambda a, b: a * b),
    "/": _divided("/"),
    "//": _divided("//"),
    "%": _divided("%"),
    "**": power,
    "negative": _known(lambda a: -a),
    "not": _known(lambda a: not a),
    "and": lambda *truths: conjunction(truths),
    "or": lambda *truths: disjunction(truths),
    "choice": lambda then, condition, otherwise: None if condition is None else (then if condition else otherwise),
    "abs": _known(abs),
    "min": _known(min),
    "max": _known(max),
    "round": _known(lambda a, digits: round(a, int(digits))),
    "floor": _known(math.floor),
    "ceil": _known(math.ceil),
    "clamp": clamp,
    "coalesce": coalesce,
    "filled": filled,
}


# -- over devices -------------------------------------------------------------------------------------------------


def median(values: Sequence[Any]) -> float:
    """Return the middle of the sorted values, or the mean of the two in the middle."""
    order = sorted(values)
    half = len(order) // 2
    return float(order[half] if len(order) % 2 else (order[half - 1] + order[half]) / 2)


def deviation(values: Sequence[Any]) -> float:
    """Return the standard deviation of a whole population; 0 for one value."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


_OVER: dict[str, Callable[[Sequence[Any]], Any]] = {
    "sum": math.fsum,
    "avg": lambda values: math.fsum(values) / len(values),
    "min": min,
    "max": max,
    "spread": lambda values: max(values) - min(values),
    "stddev": deviation,
    "median": median,
}


def over_devices(function: str, values: Sequence[Any], is_blind: bool) -> Any:
    """Return an aggregate over the devices of a class.

    Args:
        function: which one.
        values: one per device that has a valid value; for `count`, `any` and `all` of a condition, its truths.
        is_blind: the value of some device is not known now (stale), as opposed to "it has none".
    """
    if function == "any":
        return disjunction([*values, None] if is_blind or not values else values)
    if function == "all":
        return conjunction([*values, None] if is_blind or not values else values)
    if function == "count":
        return len(values)
    if function == "count_true":
        return None if is_blind else sum(map(bool, values))
    return None if is_blind or not values else _OVER[function](values)


# -- time of day --------------------------------------------------------------------------------------------------


def hour(local: float) -> int:
    """Return the hour, 0 to 23, of Unix seconds shifted into the site's time zone."""
    return int(local // 3600 % 24)


def weekday(local: float) -> int:
    """Return the day of the week, 1 (Monday) to 7 (Sunday). The first of January 1970 was a Thursday."""
    return int((local // 86400 + 3) % 7 + 1)


def month(local: float) -> int:
    """Return the month, 1 to 12. Counts in years that begin in March, so that the leap day comes last."""
    day_of_era = (int(local // 86400) + 719468) % 146097
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    return ((5 * day_of_year + 2) // 153 + 2) % 12 + 1
