"""Functions over time without a window: what has held, when something changed, what is usual at this hour."""

from __future__ import annotations

from math import sqrt
from typing import Any

from bridge.core.formula import Window
from bridge.core.ring import Series
from bridge.core.windows import RINGS

CLOCK_S = 10.0  # how often to look at what grows with the time that passes
HOURS = 168  # of a week
FEWEST_WEEKS = 3  # before an hour of the week has a usual value
WEEKS = 8  # that count: older ones fade


class _Memory:
    """Named values that JSON can hold, among them times."""

    every_s = CLOCK_S
    plain: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    _value: Any = None

    def patience_s(self, result: float, low: float, high: float) -> float:
        return 0.0

    def pause(self) -> None:
        self._value = None

    def dump(self) -> list[Any]:
        values = [getattr(self, name) for name in (*self.plain, *self.times)]
        return [list(value) if isinstance(value, list) else value for value in values]

    def load(self, state: list[Any], shift_s: float) -> None:
        for name, kept in zip((*self.plain, *self.times), state):
            setattr(self, name, kept + shift_s if name in self.times and kept is not None else kept)


class Held(_Memory):
    """held: seconds that a condition has been true without a break. UNKNOWN is no break, and does not count."""

    plain = ("_held_s", "_was")
    times = ("_at",)

    def __init__(self, window: Window) -> None:
        self._held_s = 0.0
        self._was: bool | None = None
        self._at = 0.0

    def pause(self) -> None:
        self._was = None

    def step(self, now: float, value: Any, local: float) -> float | None:
        if self._was:
            self._held_s += now - self._at
        if value is False:
            self._held_s = 0.0
        self._was, self._at = value, now
        return None if value is None else self._held_s


class LastChange(_Memory):
    """last_change: seconds since the value changed, or since it was first seen."""

    plain = ("_last",)
    times = ("_changed_at",)

    def __init__(self, window: Window) -> None:
        self._last: Any = None
        self._changed_at = 0.0

    def step(self, now: float, value: Any, local: float) -> float | None:
        if value is None:
            return None
        if value != self._last:
            self._last, self._changed_at = value, now
        return now - self._changed_at


class Smoothed(_Memory):
    """ewma: a mean in which what is a half-life old counts half. UNKNOWN until one half-life is known."""

    plain = ("_mean", "_known_s", "_value")
    times = ("_at",)

    def __init__(self, window: Window) -> None:
        self._half_life_s = window.constants[0]
        self._mean: float | None = None
        self._known_s = 0.0
        self._value: Any = None
        self._at = 0.0

    def step(self, now: float, value: Any, local: float) -> float | None:
        if self._value is not None and self._mean is not None:
            seconds = now - self._at
            self._known_s += seconds
            self._mean = self._value + (self._mean - self._value) * 0.5 ** (seconds / self._half_life_s)
        if self._mean is None and value is not None:
            self._mean = float(value)
        self._value, self._at = value, now
        return self._mean if self._known_s >= self._half_life_s else None

    def known_s(self) -> float:
        """Return for how many seconds there was a value."""
        return self._known_s


class Seasonal(_Memory):
    """seasonal_zscore: how far the value is from what is usual at this hour of the week, in standard deviations.

    Each hour's mean goes into the mean and spread of its place in the week, in which eight weeks count.
    """

    every_s = 60.0
    plain = ("_weeks", "_means", "_spreads", "_area", "_known_s", "_value", "_hour")
    times = ("_at",)

    def __init__(self, window: Window) -> None:
        self._weeks = [0] * HOURS
        self._means = [0.0] * HOURS
        self._spreads = [0.0] * HOURS
        self._area = self._known_s = 0.0
        self._value: Any = None
        self._hour = -1
        self._at = 0.0

    def step(self, now: float, value: Any, local: float) -> float | None:
        hour = int((now + local) // 3600)
        if self._hour >= 0 and self._value is not None:
            self._area += self._value * (now - self._at)
            self._known_s += now - self._at
        if hour != self._hour:
            self._close()
            self._hour = hour
        self._value, self._at = value, now
        place = hour % HOURS
        if value is None or self._weeks[place] < FEWEST_WEEKS or self._spreads[place] <= 0:
            return None
        return float((value - self._means[place]) / sqrt(self._spreads[place]))

    def weeks_known(self, local_at: float) -> int:
        """Return in how many weeks the hour of a moment on the local clock was seen."""
        return self._weeks[int(local_at // 3600) % HOURS]

    def _close(self) -> None:
        """Take the hour that ended into its place in the week, unless half of it is unknown."""
        if self._known_s >= 1800:
            place = self._hour % HOURS
            self._weeks[place] += 1
            share = max(1 / self._weeks[place], 1 / WEEKS)
            off = self._area / self._known_s - self._means[place]
            self._means[place] += share * off
            self._spreads[place] = (1 - share) * (self._spreads[place] + share * off * off)
        self._area = self._known_s = 0.0


_SPANS: dict[str, type[Held] | type[LastChange] | type[Smoothed] | type[Seasonal]] = {
    "held": Held,
    "last_change": LastChange,
    "ewma": Smoothed,
    "seasonal_zscore": Seasonal,
}


def series(window: Window) -> Series:
    """Return an empty memory for a function over time."""
    ring = RINGS.get(window.function)
    return ring(window) if ring is not None else _SPANS[window.function](window)


def every_s(window: Window) -> float:
    """Return how often a function over time is to be computed although nothing changed."""
    return series(window).every_s
