"""The clock of the simulated GX.

Physics may run faster than real time, time stamps never do: the `Date` header, `/Device/Time` and
`/Vrm/TimeLastContact` always follow the wall clock, so that what counts as stale or lost stays true at any speed.
The one exception is a reboot: like a GX without a battery-backed clock it comes up in 1970 until it is set.
"""

from __future__ import annotations

import time
from typing import Protocol


class Time(Protocol):
    """What the simulator calls real time."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def wall(self) -> float:
        """Return Unix time."""


class RealTime:
    """The time of this machine."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


class OwnTime:
    """A time that only passes when it is told to: a day can be over in seconds.

    Args:
        begins_at: Unix time.
    """

    def __init__(self, begins_at: float) -> None:
        self._at = begins_at

    def monotonic(self) -> float:
        return self._at

    def wall(self) -> float:
        return self._at

    def go_on(self, seconds: float) -> None:
        self._at += seconds


class GxClock:
    """Unix time as the GX believes it, and how long the GX has been up."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._lag_s = 0.0
        self._booted_at = time.monotonic()

    def now(self) -> float:
        """Return the GX's idea of Unix time."""
        return self._time.wall() - self._lag_s

    def uptime_s(self) -> float:
        """Return the seconds since the last boot."""
        return max(0.0, self._time.monotonic() - self._booted_at)

    def boot(self, in_s: float) -> None:
        """Be up `in_s` seconds from now, at 1970-01-01 00:00:10 and with an uptime of zero."""
        self._lag_s = self._time.wall() + in_s - 10.0
        self._booted_at = self._time.monotonic() + in_s

    def set_right(self) -> None:
        """Step to the real time, as NTP does once there is a network."""
        self._lag_s = 0.0
