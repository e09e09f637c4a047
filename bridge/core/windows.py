"""Functions over time, computed as the values come in.

Time is cut into buckets that lie on whole multiples of their width. A series of values holds each until the next;
what is unknown counts as no data. A window is made of the newest bucket and the full ones before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from bridge.core.formula import Window


class Series(Protocol):
    """The memory of one function over time."""

    every_s: float  # how often its result changes by the passing of time alone; 0 for never

    def step(self, now: float, value: Any) -> float | None:
        """Take the value that holds from `now` on and return the result."""

    def dump(self) -> Any:
        """Return the memory as JSON can hold it."""

    def load(self, state: Any, shift_s: float) -> None:
        """Take over a dumped memory, its times moved by `shift_s`."""


def series(window: Window) -> Series:
    """Return an empty memory for a function over time."""
    return _SERIES[window.function](window)


def every_s(window: Window) -> float:
    """Return how often a function over time is to be computed although nothing changed."""
    return series(window).every_s


_SERIES: dict[str, Callable[[Window], Series]] = {}
