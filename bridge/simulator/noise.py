"""Randomness with a memory: values that wander around a mean instead of jumping.

The law: the same seed and name give the same course, whatever else draws random numbers in between.
"""

from __future__ import annotations

import math
import random


class Wander:
    """A mean-reverting random walk (Ornstein-Uhlenbeck): around 0, with a standard deviation of `size`.

    Args:
        rng: where the randomness comes from; one per wander keeps courses independent of each other.
        size: standard deviation of the value, in its unit.
        tau_s: seconds after which the value has mostly forgotten where it was.
    """

    def __init__(self, rng: random.Random, size: float, tau_s: float) -> None:
        self._rng = rng
        self._size = size
        self._tau_s = tau_s
        self.value = 0.0

    def step(self, dt_s: float) -> float:
        """Advance by `dt_s` seconds and return the new value; exact for any step length."""
        keep = math.exp(-dt_s / self._tau_s)
        self.value = self.value * keep + self._size * math.sqrt(1.0 - keep * keep) * self._rng.gauss(0.0, 1.0)
        return self.value


def stream(seed: int, name: str) -> random.Random:
    """Return the random stream `name` of `seed`; streams of one seed do not disturb each other."""
    return random.Random(f"{seed}/{name}")


def clamp(value: float, low: float, high: float) -> float:
    """Return `value`, or the bound it is beyond."""
    return low if value < low else high if value > high else value
