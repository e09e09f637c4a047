"""Thresholds of a quick-reference entry, as people write them, to limits with a direction.

Law: nothing is guessed that the entry or the meaning of the point does not say. A threshold without a direction
(`warning_threshold: 40`) takes it from the first of these that tells: the key `direction`, companions with `_low` or
`_high` in their name, the order of warning and critical, the side of `normal_range` it lies on, and the point's name
(a state of charge is bad when low, a temperature when high). When none does, that is an error that names the keys
which would tell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from bridge.model import Kind

SEVERITIES = ("info", "warning", "critical")
KEYS = (
    "<severity>_threshold (with direction: below or above), <severity>_threshold_low, <severity>_low, <severity>_if, "
    "<severity>_if_greater_than, min_safe, max_safe, normal_range, max_age_seconds and <severity>: true, "
    "where <severity> is critical, warning or info"
)
"""The keys of thresholds, for messages; docs/configuration.md explains each."""
_SIDED = re.compile(r"(info|warning|critical)_(?:threshold_)?(low|high|min|max)(?:_bytes|_seconds|_percent)?")
_OPEN = re.compile(r"(info|warning|critical)_threshold(?:_bytes|_seconds|_percent)?")
_IF = re.compile(r"(info|warning|critical)_if(?:_(greater_than|above|less_than|below|not))?")
_SIGNS = {"low": "<", "min": "<", "below": "<", "high": ">", "max": ">", "above": ">"}
_IF_SIGNS = {"greater_than": ">", "above": ">", "less_than": "<", "below": "<", "not": "!=", None: "=="}
_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*(?:-|\.\.|to|–)\s*({_NUMBER})\s*[^\d\s]*\s*")
_AROUND = re.compile(rf"\s*({_NUMBER})\s*(?:\+/-|±)\s*({_NUMBER})\s*[^\d\s]*\s*")

# Levels of point names that say which side is bad. Looked for from the last level to the first.
_BAD_WHEN_LOW = frozenset(
    ["soc", "soh", "health", "signal_strength", "signal", "free", "remaining", "time_to_go", "level", "min", "cell_min"]
)
_BAD_WHEN_HIGH = frozenset(
    ["temperature", "errors", "error", "offline", "ripple", "max", "spread", "utilization", "load", "humidity"]
)
# A yes-or-no point is bad when it is true, unless its last level says that true is the good state.
_GOOD_WHEN_TRUE = frozenset(["connected", "online", "present", "enabled", "available", "running"])
_BAD_WHEN_TRUE = re.compile(r"error|fault|alarm|lost|fail|overload|blocked|shutdown|problem|offline|damaged")


class Limit(NamedTuple):
    """One condition that an entry asks to be told of: `sign` is < > == != or `age` (older than `value` seconds)."""

    severity: str
    sign: str
    value: float
    name: str  # distinguishes the limits of an entry: critical_low, warning_if
    key: str  # where it is written


class Problem(NamedTuple):
    """What is wrong at a key of an entry."""

    key: str
    message: str


class Found(NamedTuple):
    """Everything that an entry's thresholds come to. `used` are the keys that were understood."""

    limits: list[Limit]
    problems: list[Problem]
    used: set[str]


def limits(entry: Mapping[str, Any], kind: Kind, point: str) -> Found:
    """Return the limits of an entry.

    Args:
        entry: the entry as written.
        kind, point: what the catalogue says of its path; the point is a topic name such as `battery/soc`.
    """
    found = Found([], [], {"direction"})
    for read in (_sided, _safe, _conditions, _flags, _age):
        read(entry, kind, point, found)
    normal = _normal_range(entry, found)
    _open(entry, point, normal, found)
    if normal is not None:
        found.limits.append(Limit("info", "<", normal[0], "below_normal", "normal_range"))
        found.limits.append(Limit("info", ">", normal[1], "above_normal", "normal_range"))
    _check_order(found)
    return found


def _sided(entry: Mapping[str, Any], kind: Kind, point: str, found: Found) -> None:
    for key, match in _matches(entry, _SIDED, found):
        value = _number(entry[key], key, found)
        if value is not None:
            side = "low" if _SIGNS[match[2]] == "<" else "high"
            found.limits.append(Limit(match[1], _SIGNS[match[2]], value, f"{match[1]}_{side}", key))


def _safe(entry: Mapping[str, Any], kind: Kind, point: str, found: Found) -> None:
    """Outside what is safe is critical."""
    for key, sign, name in (("min_safe", "<", "critical_low"), ("max_safe", ">", "critical_high")):
        if key in entry:
            found.used.add(key)
            value = _number(entry[key], key, found)
            if value is not None:
                found.limits.append(Limit("critical", sign, value, name, key))


def _conditions(entry: Mapping[str, Any], kind: Kind, point: str, found: Found) -> None:
    for key, match in _matches(entry, _IF, found):
        value = entry[key]
        number = float(value) if isinstance(value, bool) else _number(value, key, found)
        if number is not None:
            name = f"{match[1]}_{match[2] or 'state'}"
            found.limits.append(Limit(match[1], _IF_SIGNS[match[2]], number, name, key))


def _flags(entry: Mapping[str, Any], kind: Kind, point: str, found: Found) -> None:
    """`critical: true`: this yes-or-no value or alarm is critical in its bad state."""
    for key in SEVERITIES:
        if key not in entry:
            continue
        found.used.add(key)
        if entry[key] is False:
            continue
        bad = _bad_state(kind, point)
        if entry[key] is not True:
            found.problems.append(Problem(key, "this must be true or false"))
        elif bad is None:
            message = f"which value is bad cannot be told; write {key}_if: 0, {key}_if: 1 or {key}_if_greater_than: …"
            found.problems.append(Problem(key, message))
        else:
            found.limits.append(Limit(key, "==", bad, key, key))


def _bad_state(kind: Kind, point: str) -> float | None:
    last = point.rpartition("/")[2]
    if kind is Kind.ALARM:
        return 1
    if kind not in (Kind.BOOL, Kind.INT, Kind.ENUM):
        return None
    if last in _GOOD_WHEN_TRUE:
        return 0
    return 1 if kind is Kind.BOOL and _BAD_WHEN_TRUE.search(last) else None


def _age(entry: Mapping[str, Any], kind: Kind, point: str, found: Found) -> None:
    if "max_age_seconds" in entry:
        found.used.add("max_age_seconds")
        value = _number(entry["max_age_seconds"], "max_age_seconds", found)
        if value is not None:
            found.limits.append(Limit("warning", "age", value, "too_old", "max_age_seconds"))


def _open(entry: Mapping[str, Any], point: str, normal: tuple[float, float] | None, found: Found) -> None:
    """Give each threshold without a side its direction, the same for all of them."""
    values = {}
    for key, match in _matches(entry, _OPEN, found):
        value = _number(entry[key], key, found)
        if value is not None:
            values[key] = (match[1], value)
    if not values:
        return
    sign = _direction(entry, dict(values.values()), point, normal, found)
    for key, (severity, value) in values.items():
        if sign is None:
            message = f"whether to tell below or above {value:g} cannot be told; write direction: below or direction: "
            message += f"above, or {severity}_threshold_low or {severity}_threshold_high for {key}"
            found.problems.append(Problem(key, message))
        else:
            side = "low" if sign == "<" else "high"
            found.limits.append(Limit(severity, sign, value, f"{severity}_{side}", key))


def _direction(
    entry: Mapping[str, Any],
    values: Mapping[str, float],
    point: str,
    normal: tuple[float, float] | None,
    found: Found,
) -> str | None:
    written = entry.get("direction")
    if written is not None:
        if written not in ("below", "above"):
            found.problems.append(Problem("direction", "this must be below or above"))
        return _SIGNS.get(written) if isinstance(written, str) else None
    companions = {limit.sign for limit in found.limits if limit.sign in "<>"}
    if len(companions) == 1:
        return companions.pop()
    ordered = [values[severity] for severity in SEVERITIES if severity in values]
    if len(ordered) > 1 and ordered[0] != ordered[-1]:
        return ">" if ordered[0] < ordered[-1] else "<"
    if normal is not None:
        sides = {">" if value >= normal[1] else "<" if value <= normal[0] else "" for value in values.values()}
        return (sides.pop() or None) if len(sides) == 1 else None
    return _side_by_name(point)


def _side_by_name(point: str) -> str | None:
    for level in reversed(point.split("/")):
        is_low = level in _BAD_WHEN_LOW or level.endswith(("_free_space", "_remaining", "_signal"))
        is_high = level in _BAD_WHEN_HIGH or level.endswith(("_temperature", "_errors", "_offline"))
        if is_low or is_high:
            return "<" if is_low else ">"
    return None


def _normal_range(entry: Mapping[str, Any], found: Found) -> tuple[float, float] | None:
    if "normal_range" not in entry:
        return None
    found.used.add("normal_range")
    value = entry["normal_range"]
    limits = parse_range(value)
    if limits is None or limits[0] > limits[1]:
        message = "this must be a range from low to high, such as [20, 40], 20-40 or 50 +/- 0.1"
        found.problems.append(Problem("normal_range", message))
        return None
    return limits


def parse_range(value: Any) -> tuple[float, float] | None:
    """Return low and high of `[20, 40]`, `{"min": 20, "max": 40}`, `20-40`, `20..40 V` or `50 +/- 0.1`, else None."""
    if isinstance(value, Mapping):
        value = [value.get("min"), value.get("max")]
    if isinstance(value, list):
        is_pair = len(value) == 2 and all(_is_number(item) for item in value)
        return (float(value[0]), float(value[1])) if is_pair else None
    if not isinstance(value, str):
        return None
    around = _AROUND.fullmatch(value)
    if around:
        middle, width = float(around[1]), float(around[2])
        return round(middle - width, 9), round(middle + width, 9)
    span = _RANGE.fullmatch(value)
    return (float(span[1]), float(span[2])) if span else None


def _check_order(found: Found) -> None:
    """A warning beyond its critical limit never comes first: most likely the two are swapped."""
    for sign, word in (("<", "below"), (">", "above")):
        values = {limit.severity: limit for limit in found.limits if limit.sign == sign}
        warning, critical = values.get("warning"), values.get("critical")
        if warning and critical and (warning.value < critical.value if sign == "<" else warning.value > critical.value):
            message = f"the warning {word} {warning.value:g} lies beyond the critical {critical.value:g}; swap them"
            found.problems.append(Problem(warning.key, message))


def _matches(entry: Mapping[str, Any], pattern: re.Pattern[str], found: Found) -> list[tuple[str, re.Match[str]]]:
    matches = [(key, match) for key in entry if (match := pattern.fullmatch(key))]
    found.used.update(key for key, _ in matches)
    return matches


def _number(value: Any, key: str, found: Found) -> float | None:
    if _is_number(value):
        return float(value)
    found.problems.append(Problem(key, "this must be a number"))
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
