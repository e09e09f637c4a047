"""What a roof makes of a day: a bell from sunrise to sunset, with clouds passing.

No place on earth is meant: the sun rises at 06:10 and sets at 20:20 every day. An array is described by its peak
power and by how far it looks east (negative hours) or west.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from bridge.simulator.noise import Wander, clamp, stream

DAY_S = 86400.0
SUNRISE_S = 6.17 * 3600
SUNSET_S = 20.33 * 3600


class Array(NamedTuple):
    """One string of panels."""

    peak_w: float
    shift_h: float = 0.0


def bell(day_s: float, shift_h: float = 0.0) -> float:
    """Return the clear-sky share of the peak power, 0 to 1, at `day_s` seconds after midnight."""
    share = (day_s - shift_h * 1800.0 - SUNRISE_S) / (SUNSET_S - SUNRISE_S)
    if not 0.0 < share < 1.0:
        return 0.0
    return float(math.sin(math.pi * share) ** 1.4)


class Sun:
    """The clouds of one site. `step` moves them; `power_w` asks what an array gives now."""

    def __init__(self, seed: int, cloudiness: float = 0.35) -> None:
        self._fronts = Wander(stream(seed, "fronts"), 1.0, 5400.0)
        self._puffs = Wander(stream(seed, "puffs"), 1.0, 240.0)
        self._cloudiness = cloudiness
        self.clear_share = 1.0
        self._day_s = 0.0

    def step(self, day_s: float, dt_s: float) -> None:
        """Advance the clouds by `dt_s` to the time of day `day_s`."""
        self._day_s = day_s
        front = self._fronts.step(dt_s)
        puff = self._puffs.step(dt_s)
        cover = clamp(self._cloudiness * (0.6 + 0.7 * front) + 0.12 * puff, 0.0, 0.88)
        self.clear_share = 1.0 - cover

    def power_w(self, array: Array) -> float:
        """Return what `array` could deliver now, in W."""
        return array.peak_w * 0.92 * bell(self._day_s, array.shift_h) * self.clear_share
