"""The steady clock: wall time at the start of the process plus the monotonic time since.

A GX boots in 1970 and steps to the present when NTP answers. Durations (`for`, staleness, intervals) count in steady
seconds and never notice; only what people read (`ts`, `starts_at`) gets `wall_offset` added.
"""

from __future__ import annotations

import time


class SteadyClock:
    """Shared by all threads of the process."""

    def __init__(self) -> None:
        self._start = time.time() - time.monotonic()

    def now(self) -> float:
        """Return steady Unix seconds."""
        return time.monotonic() + self._start

    def wall_offset(self) -> float:
        """Return by how much the wall clock has left the steady clock since the start, in seconds."""
        return time.time() - self.now()
