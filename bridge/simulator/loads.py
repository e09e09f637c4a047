"""What the people in the house switch on: a base, peaks in the morning and the evening, and single appliances.

Powers are per phase, so that a three-phase house is as uneven as a real one.
"""

from __future__ import annotations

import math
import random
from typing import NamedTuple

from bridge.simulator.noise import Wander, stream


class Appliance(NamedTuple):
    """Something that runs now and then: how often it starts per day between two hours, how long, how much."""

    name: str
    power_w: float
    run_s: float
    starts_per_day: float
    from_h: float
    to_h: float


APPLIANCES = (
    Appliance("fridge", 110.0, 900.0, 24.0, 0.0, 24.0),
    Appliance("kettle", 2000.0, 170.0, 5.0, 6.0, 22.0),
    Appliance("oven", 2100.0, 2400.0, 0.8, 16.0, 20.0),
    Appliance("washing machine", 1100.0, 3600.0, 0.7, 8.0, 20.0),
    Appliance("water pump", 750.0, 120.0, 9.0, 5.0, 23.0),
)


class Household:
    """The load of one phase in W, and what a scenario adds to it."""

    def __init__(self, seed: int, phase: int, base_w: float) -> None:
        name = f"load/{phase}"
        self._rng: random.Random = stream(seed, name)
        self._noise = Wander(stream(seed, name + "/noise"), 0.06, 120.0)
        self._base_w = base_w
        self._left_s = [0.0] * len(APPLIANCES)
        self.extra_w = 0.0
        self.power_w = base_w

    def step(self, day_s: float, dt_s: float) -> float:
        """Advance by `dt_s` to the time of day `day_s` and return the load in W."""
        hour = day_s / 3600.0
        peaks = 1.0 + 1.3 * _peak(hour, 7.4, 1.0) + 0.5 * _peak(hour, 12.6, 1.1) + 2.1 * _peak(hour, 19.3, 1.7)
        steady = self._base_w * peaks * (1.0 + self._noise.step(dt_s))
        self.power_w = max(20.0, steady) + self._appliances_w(hour, dt_s) + self.extra_w
        return self.power_w

    def _appliances_w(self, hour: float, dt_s: float) -> float:
        total_w = 0.0
        for index, appliance in enumerate(APPLIANCES):
            draw = self._rng.random()  # drawn in any case: the course must not depend on what runs
            if self._left_s[index] > 0.0:
                self._left_s[index] -= dt_s
                total_w += appliance.power_w
            elif draw < _start_chance(appliance, hour, dt_s):
                self._left_s[index] = appliance.run_s
        return total_w


def _peak(hour: float, at_h: float, width_h: float) -> float:
    return math.exp(-((hour - at_h) ** 2) / (2.0 * width_h * width_h))


def _start_chance(appliance: Appliance, hour: float, dt_s: float) -> float:
    if not appliance.from_h <= hour < appliance.to_h:
        return 0.0
    return appliance.starts_per_day * dt_s / ((appliance.to_h - appliance.from_h) * 3600.0)
