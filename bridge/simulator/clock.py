"""The clock of the simulated GX.

Physics may run faster than real time, time stamps never do: the `Date` header, `/Device/Time` and
`/Vrm/TimeLastContact` always follow the wall clock, so that what counts as stale or lost stays true at any speed.
The one exception is a reboot: like a GX without a battery-backed clock it comes up in 1970 until it is set.
"""

from __future__ import annotations

import time


class GxClock:
    """Unix time as the GX believes it, and how long the GX has been up."""

    def __init__(self) -> None:
        self._lag_s = 0.0
        self._booted_at = time.monotonic()

    def now(self) -> float:
        """Return the GX's idea of Unix time."""
        return time.time() - self._lag_s

    def uptime_s(self) -> float:
        """Return the seconds since the last boot."""
        return max(0.0, time.monotonic() - self._booted_at)

    def boot(self, in_s: float) -> None:
        """Be up `in_s` seconds from now, at 1970-01-01 00:00:10 and with an uptime of zero."""
        self._lag_s = time.time() + in_s - 10.0
        self._booted_at = time.monotonic() + in_s

    def set_right(self) -> None:
        """Step to the real time, as NTP does once there is a network."""
        self._lag_s = 0.0
