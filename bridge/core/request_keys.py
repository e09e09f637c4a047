"""What the keys of a request may hold: a check, and the words that say what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from bridge.core.parser import duration_s

MAX_ID = 200
MAX_COMMENT = 500
MAX_CHOICES = 50  # texts in a list of a matcher, and labels
_LONGEST_S = 1e12  # beyond any time; a silence is bounded where it is made
_DEVICE = re.compile(r"[a-z0-9_]{1,64}/[0-9]{1,9}", re.ASCII)
SEVERITIES = ("info", "warning", "critical")


class Key(NamedTuple):
    """What a key may hold."""

    is_right: Callable[[Any], bool]
    wanted: str


def seconds_of(value: Any) -> float | None:
    """Return the seconds of a duration such as `2h`, or of a number of them; None when it is neither."""
    if isinstance(value, str):
        return duration_s(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _LONGEST_S else None  # false for NaN too


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest


def _is_choice(value: Any, is_right: Callable[[Any], bool]) -> bool:
    """Tell whether it is one right value, or a list of such."""
    if isinstance(value, list):
        return 0 < len(value) <= MAX_CHOICES and all(is_right(one) for one in value)
    return is_right(value)


def _is_name(value: Any) -> bool:
    return _is_text(value, MAX_ID) and bool(value)


def _is_device(value: Any) -> bool:
    return isinstance(value, str) and bool(_DEVICE.fullmatch(value))


def _is_labels(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) > MAX_CHOICES:
        return False
    return all(_is_name(name) and _is_choice(one, lambda text: _is_text(text, MAX_ID)) for name, one in value.items())


ALERT_ID = Key(_is_name, 'the id of an alert such as "battery_soc_low" or "battery_temperature_high/battery/512"')
SILENCE_ID = Key(
    lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53,
    "the number of a silence such as 3",
)
COMMENT = Key(lambda value: _is_text(value, MAX_COMMENT), f"a text of at most {MAX_COMMENT} characters")
DURATION = Key(lambda value: seconds_of(value) is not None, 'a duration such as "2h", or a number of seconds')
MOMENT = Key(lambda value: _is_text(value, 64), 'a time with its zone such as "2026-12-24T18:00:00+01:00"')
MATCHER = Key(lambda value: isinstance(value, dict), 'a map such as {"severity": "info"}; {} means every alert')
MATCHER_KEYS = {
    "alert": Key(lambda value: _is_choice(value, _is_name), "the name of an alert, or a list of names"),
    "severity": Key(
        lambda value: _is_choice(value, SEVERITIES.__contains__), '"info", "warning" or "critical", or a list of them'
    ),
    "device": Key(lambda value: _is_choice(value, _is_device), 'a device such as "battery/512", or a list of them'),
    "labels": Key(_is_labels, 'a map such as {"component": "battery"}, of texts or lists of texts'),
}
