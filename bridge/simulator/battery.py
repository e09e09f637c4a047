"""A lithium iron phosphate battery of 16 cells: charge counted in ampere-hours, voltage from charge and current.

Currents and powers are positive when charging. The battery itself refuses nothing; its limits say what a charger
or an inverter may do, as the BMS of a real one says over CAN.
"""

from __future__ import annotations

from typing import NamedTuple

from bridge.simulator.noise import Wander, clamp, stream

CELLS = 16
# Resting voltage of one LFP cell over its state of charge in percent: flat in the middle, steep at both ends.
REST_V = (
    (0, 2.80),
    (4, 3.02),
    (10, 3.18),
    (20, 3.245),
    (35, 3.278),
    (60, 3.298),
    (80, 3.328),
    (96, 3.345),
    (100, 3.42),
)
MAX_CELL_V = 3.50


class BatteryConfig(NamedTuple):
    """Size of a battery: `modules` alike in parallel, of 16 cells each."""

    module_ah: float = 100.0
    modules: int = 4
    max_current_a: float = 200.0
    resistance_ohm: float = 0.011
    soc: float = 62.0


class Battery:
    """State of one battery bank, moved on by `step`."""

    def __init__(self, config: BatteryConfig, seed: int) -> None:
        rng = stream(seed, "cells")
        self.config = config
        self.soc = config.soc
        self.power_w = 0.0
        self.current_a = 0.0
        self.temperature_c = 23.5
        self.heat_c = 0.0  # what a scenario adds
        self.modules_offline = 0
        self._own_v = [rng.uniform(-0.002, 0.002) for _ in range(CELLS)]
        self.cell_offsets_v = [0.0] * CELLS  # what a scenario adds
        self._ripple = Wander(stream(seed, "ripple"), 0.0004, 30.0)
        self._ambient_c = 22.0
        self.voltage_v = CELLS * rest_voltage(self.soc)

    @property
    def capacity_ah(self) -> float:
        """Ampere-hours of the modules that are online."""
        return self.config.module_ah * (self.config.modules - self.modules_offline)

    @property
    def max_charge_w(self) -> float:
        """What may be put in now, in W: tapers off above 94 %, nothing when full or too hot."""
        return self.charge_limit_a * self.voltage_v if self.soc < 99.9 else 0.0

    @property
    def charge_limit_a(self) -> float:
        """The charge current limit that the BMS sends."""
        taper = clamp((100.0 - self.soc) / 6.0, 0.02, 1.0)
        return round(self._share_online * self.config.max_current_a * taper * self._heat_share, 1)

    @property
    def discharge_limit_a(self) -> float:
        """The discharge current limit that the BMS sends."""
        taper = clamp(self.soc / 5.0, 0.0, 1.0)
        return round(self._share_online * self.config.max_current_a * taper * self._heat_share, 1)

    @property
    def max_discharge_w(self) -> float:
        """What may be taken out now, in W."""
        return self.discharge_limit_a * self.voltage_v

    @property
    def _share_online(self) -> float:
        return 1.0 - self.modules_offline / self.config.modules

    @property
    def _heat_share(self) -> float:
        return clamp((60.0 - self.temperature_c) / 10.0, 0.0, 1.0)

    def step(self, power_w: float, day_s: float, dt_s: float) -> None:
        """Let `power_w` flow (+ charges) for `dt_s` seconds."""
        self.power_w = power_w
        self.current_a = power_w / self.voltage_v
        self.soc = clamp(self.soc + self.current_a * dt_s / 36.0 / max(self.capacity_ah, 1.0), 0.0, 100.0)
        ripple_v = self._ripple.step(dt_s)
        self.voltage_v = CELLS * rest_voltage(self.soc) + self.current_a * self.config.resistance_ohm + CELLS * ripple_v
        self._warm(day_s, dt_s)

    def _warm(self, day_s: float, dt_s: float) -> None:
        """Follow the room and the heat of the current, slowly: half a ton of cells takes hours."""
        room_c = self._ambient_c + 2.5 * _afternoon(day_s)
        own_c = 0.00016 * self.current_a**2
        share = clamp(dt_s / 5400.0, 0.0, 1.0)
        self.temperature_c += share * (room_c + own_c - (self.temperature_c - self.heat_c))

    def add_heat(self, target_c: float) -> None:
        """Bring the cells to `target_c` at once and keep the difference until told otherwise."""
        self.heat_c += target_c - self.temperature_c
        self.temperature_c = target_c

    def cell_voltages(self) -> list[float]:
        """Return the voltages of the 16 cells; they drift apart a little when nearly full or empty."""
        mean_v = self.voltage_v / CELLS
        stretch = 1.0 + 3.0 * clamp((self.soc - 95.0) / 5.0, 0.0, 1.0) + 3.0 * clamp((8.0 - self.soc) / 8.0, 0.0, 1.0)
        return [
            round(mean_v + stretch * own_v + added_v, 3) for own_v, added_v in zip(self._own_v, self.cell_offsets_v)
        ]


def rest_voltage(soc: float) -> float:
    """Return the resting voltage of one cell at `soc` percent."""
    for (low, low_v), (high, high_v) in zip(REST_V, REST_V[1:]):
        if soc <= high:
            return low_v + (high_v - low_v) * (soc - low) / (high - low)
    return REST_V[-1][1]


def _afternoon(day_s: float) -> float:
    """Return -1 in the small hours, +1 at four in the afternoon."""
    hour = day_s / 3600.0
    return 1.0 - abs(((hour - 16.0 + 12.0) % 24.0) - 12.0) / 6.0
