"""The trigger of an anomaly rule ("Soc < 10%", "MaxCellVoltage - MinCellVoltage > 0.15V") to names and comparisons.

Law: only what is a comparison of one value, or of the sum or difference of two, with numbers is understood; prose
("Error count increase > 100 in 5 minutes") is None, never half understood.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SIGN = r"<=|>=|==|!=|<|>"
_VALUE = rf"\s*({_SIGN})\s*([-+]?\d+(?:\.\d+)?)\s*(?:%|°?[A-Za-z]+)?"
_TRIGGER = re.compile(rf"\s*([A-Za-z]\w*)(?:\s*([-+])\s*([A-Za-z]\w*))?{_VALUE}((?:\s+or{_VALUE})*)\s*")
_MORE = re.compile(rf"\s+or{_VALUE}")


class Trigger(NamedTuple):
    """`names` are one or two, joined by `joint` (+ or -); any one of the comparisons is enough."""

    names: tuple[str, ...]
    joint: str
    comparisons: tuple[tuple[str, float], ...]


def parse_trigger(text: str) -> Trigger | None:
    """Return what a trigger says, or None when it is no comparison with numbers."""
    match = _TRIGGER.fullmatch(text)
    if match is None:
        return None
    comparisons = [(match[4], float(match[5]))]
    comparisons += [(more[1], float(more[2])) for more in _MORE.finditer(match[6])]
    names = (match[1], match[3]) if match[3] else (match[1],)
    return Trigger(names, match[2] or "", tuple(comparisons))
