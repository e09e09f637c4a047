"""What can be made to go wrong between the devices and the client, at random or on purpose.

The random part has a seed of its own: the same requests in the same order meet the same faults.
"""

from __future__ import annotations

import random
from typing import Any

FAIL_KINDS = ("500", "404", "close", "reset", "truncate")
GARBAGE_KINDS = ("html", "empty", "half", "text", "binary")
GARBAGE = {
    "html": b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    "empty": b"",
    "text": b"Traceback (most recent call last):\n",
    "binary": bytes(range(256)),
}


class Faults:
    """Rates (0 to 1), delays and switches; all off to begin with."""

    def __init__(self, seed: int) -> None:
        self.fail_rate = 0.0
        self.fail_kinds: tuple[str, ...] = FAIL_KINDS
        self.garbage_rate = 0.0
        self.garbage_kinds: tuple[str, ...] = GARBAGE_KINDS
        self.hang_rate = 0.0
        self.hang_s = 50.0  # two D-Bus timeouts, what the real server takes
        self.latency_ms = 0.0
        self.mute = False  # accepts and never answers: the deadlock after a SIGTERM
        self.hung: set[str] = set()
        self._rng = random.Random(f"{seed}/faults")

    def change(self, wanted: dict[str, Any]) -> None:
        """Set the fields named in `wanted`.

        Raises:
            ValueError: an unknown field or kind, or a rate that is no number.
        """
        for name, value in wanted.items():
            if name not in ("mute", "fail_kinds", "garbage_kinds") and name not in _NUMBERS:
                raise ValueError(f"no fault named {name!r}; there are {', '.join(sorted(self.as_dict()))}")
            setattr(self, name, _CHECKS.get(name, _number)(name, value))

    def as_dict(self) -> dict[str, Any]:
        """Return the present settings, for the state of the simulator."""
        names = (*_NUMBERS, "fail_kinds", "garbage_kinds", "mute")
        return {name: getattr(self, name) for name in names}

    def draw(self) -> str:
        """Return what happens to the next answer: "" for nothing, else `hang` or a kind of failure or garbage."""
        if self._rng.random() < self.hang_rate:
            return "hang"
        if self._rng.random() < self.fail_rate:
            return self._rng.choice(self.fail_kinds)
        if self._rng.random() < self.garbage_rate:
            return self._rng.choice(self.garbage_kinds)
        return ""


_NUMBERS = ("fail_rate", "garbage_rate", "hang_rate", "hang_s", "latency_ms")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"{name} must be a number of at least 0, not {value!r}")
    return float(value)


def _kinds(name: str, value: Any) -> tuple[str, ...]:
    known = FAIL_KINDS if name == "fail_kinds" else GARBAGE_KINDS
    if not isinstance(value, list) or not value or not all(kind in known for kind in value):
        raise ValueError(f"{name} must be a list of {', '.join(known)}, not {value!r}")
    return tuple(value)


_CHECKS: dict[str, Any] = {"fail_kinds": _kinds, "garbage_kinds": _kinds, "mute": lambda name, value: bool(value)}
