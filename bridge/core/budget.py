"""How much of something is allowed per second, with a reserve for what comes at once (a token bucket).

What is not used is saved up to `reserve`, and no further: after a quiet hour a burst is as bounded as ever.
"""

from __future__ import annotations


class Budget:
    """So much per second.

    Args:
        per_s: what comes in, in units that the caller chooses.
        reserve: the most that is saved up, and what there is at the start.
    """

    def __init__(self, per_s: float, reserve: float) -> None:
        self._per_s = per_s
        self._reserve = reserve
        self._left = reserve
        self._at = 0.0

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Pay `cost` and return true, or return false when there is not enough."""
        if now > self._at:
            self._left = min(self._reserve, self._left + (now - self._at) * self._per_s)
            self._at = now
        if cost > self._left:
            return False
        self._left -= cost
        return True
