"""The energy flows of one site: sun, house, battery, inverters and grid, which add up at every moment.

The balance, per phase on the AC side and once on the DC side (signs as on a GX: grid + imports, battery + charges,
inverter + gives AC, loads and sun always positive):

    grid + ac_pv + inverter_ac           = load_out + load_in          (each phase)
    dc_pv                                = battery + inverter_dc + dc_load
    loss                                 = inverter_dc - inverter_ac   (never negative)

so that grid + all sun - battery = all loads + losses. With the grid there the inverters aim at a small import (self
consumption); without it they carry what hangs on their output, and too much of it is an overload.
"""

from __future__ import annotations

from typing import NamedTuple

from bridge.simulator.battery import Battery, BatteryConfig
from bridge.simulator.loads import Household
from bridge.simulator.noise import Wander, clamp, stream
from bridge.simulator.sun import DAY_S, Array, Sun

STANDBY_W = 18.0
INPUT_SHARE = 0.25  # part of the house that hangs before the inverter and is dark without the grid
_PASSES = 4  # the losses depend on the power they limit; four rounds settle it to well below 1 W


class PlantConfig(NamedTuple):
    """What a site is made of. `base_load_w` has one entry per phase; none means a site without AC."""

    dc_arrays: tuple[Array, ...]
    base_load_w: tuple[float, ...] = ()
    inverter_w: float = 4000.0  # continuous, per phase
    input_limit_a: float = 32.0  # what the transfer switch of one phase carries
    ac_arrays: tuple[Array, ...] = ()
    dc_load_w: float = 0.0
    battery: BatteryConfig = BatteryConfig()


class Phase(NamedTuple):
    """One phase at one moment. Without a grid its volts, hertz and watts are 0."""

    grid_v: float
    grid_hz: float
    grid_w: float
    inverter_w: float  # AC side, + towards the loads
    inverter_dc_w: float  # DC side, + out of the battery
    load_out_w: float
    load_in_w: float
    ac_pv_w: float
    out_v: float
    out_hz: float


class Flow(NamedTuple):
    """The whole site at one moment."""

    at_s: float  # simulated seconds since midnight of the first day
    has_grid: bool
    phases: tuple[Phase, ...]
    arrays_w: tuple[float, ...]  # DC side, one per array, after curtailing
    battery_w: float
    dc_load_w: float
    loss_w: float
    overload: float  # share of the continuous power that the most loaded inverter gives

    @property
    def day_s(self) -> float:
        return self.at_s % DAY_S

    @property
    def grid_w(self) -> float:
        return sum(phase.grid_w for phase in self.phases)

    @property
    def load_w(self) -> float:
        return sum(phase.load_out_w + phase.load_in_w for phase in self.phases)

    @property
    def dc_pv_w(self) -> float:
        return sum(self.arrays_w)

    @property
    def ac_pv_w(self) -> float:
        return sum(phase.ac_pv_w for phase in self.phases)


class Plant:
    """A site that lives: `step` moves it on, the attributes are what settings and scenarios turn."""

    def __init__(self, config: PlantConfig, seed: int, at_s: float) -> None:
        phases = range(len(config.base_load_w))
        self.config = config
        self.at_s = at_s
        self.sun = Sun(seed)
        self.battery = Battery(config.battery, seed)
        self.houses = [Household(seed, index, config.base_load_w[index]) for index in phases]
        self.has_grid = bool(phases)
        self.has_bms = True
        self.grid_hz = 50.0
        self.setpoint_w = 40.0
        self.min_soc = 25.0
        self._holds = False  # at the minimum state of charge: only the sun may be used
        self._volts = [Wander(stream(seed, f"grid/{index}"), 1.6, 300.0) for index in phases]
        self._hertz = Wander(stream(seed, "frequency"), 0.015, 40.0)
        self._regulation = Wander(stream(seed, "regulation"), 9.0, 6.0)  # no controller hits its setpoint to the watt
        self._dc_noise = Wander(stream(seed, "dc"), 0.1, 300.0)
        self.flow = self._solve(0.0)

    def step(self, dt_s: float) -> Flow:
        """Advance by `dt_s` simulated seconds and return the flows at the end."""
        self.at_s += dt_s
        day_s = self.at_s % DAY_S
        self.sun.step(day_s, dt_s)
        self._regulation.step(dt_s)
        for house in self.houses:
            house.step(day_s, dt_s)
        self.flow = self._solve(dt_s)
        self.battery.step(self.flow.battery_w, day_s, dt_s)
        return self.flow

    def _solve(self, dt_s: float) -> Flow:
        config = self.config
        arrays_w = [self.sun.power_w(array) for array in config.dc_arrays]
        count = len(self.houses)
        # A PV inverter on the AC input stops without the grid.
        ac_pv_w = sum(self.sun.power_w(array) for array in config.ac_arrays) / max(count, 1) if self.has_grid else 0.0
        out_w = [house.power_w * (1.0 - INPUT_SHARE) + house.extra_w * INPUT_SHARE for house in self.houses]
        in_w = [(house.power_w - house.extra_w) * INPUT_SHARE if self.has_grid else 0.0 for house in self.houses]
        dc_load_w = max(0.0, config.dc_load_w * (1.0 + self._dc_noise.step(dt_s)))
        low_w, high_w = self._battery_limits()
        wanted_w = self._wishes(out_w, in_w, ac_pv_w)
        inverter_w = self._limited(wanted_w, out_w, sum(arrays_w) - dc_load_w, low_w, high_w)
        dc_w = [dc_side(power_w) for power_w in inverter_w]
        spill_w = max(0.0, sum(arrays_w) - dc_load_w - sum(dc_w) - high_w)
        keep = 1.0 - min(1.0, spill_w / sum(arrays_w)) if spill_w > 0.0 and sum(arrays_w) > 0.0 else 1.0
        arrays_w = [power_w * keep for power_w in arrays_w]
        phases = self._phases(inverter_w, dc_w, out_w, in_w, ac_pv_w, dt_s)
        return Flow(
            at_s=self.at_s,
            has_grid=self.has_grid,
            phases=phases,
            arrays_w=tuple(arrays_w),
            battery_w=sum(arrays_w) - dc_load_w - sum(dc_w),
            dc_load_w=dc_load_w,
            loss_w=sum(dc_w) - sum(inverter_w),
            overload=max((abs(power_w) for power_w in inverter_w), default=0.0) / config.inverter_w,
        )

    def _battery_limits(self) -> tuple[float, float]:
        """Return what the battery may do now: the lowest (most discharging) and the highest power, in W."""
        if not self.has_bms:
            # A lost BMS stops charging; with a grid also discharging, without one the house goes on.
            return (0.0 if self.has_grid else -self.battery.max_discharge_w), 0.0
        soc = self.battery.soc
        self._holds = soc <= self.min_soc or (self._holds and soc < self.min_soc + 2.0)
        if self._holds and self.has_grid:
            return 0.0, self.battery.max_charge_w
        return -self.battery.max_discharge_w, self.battery.max_charge_w

    def _wishes(self, out_w: list[float], in_w: list[float], ac_pv_w: float) -> list[float]:
        """Return what each inverter should give when the battery can: all of its output, or all but the setpoint."""
        if not self.has_grid:
            return list(out_w)
        share_w = (self.setpoint_w + self._regulation.value) / max(len(out_w), 1)
        limit_w = self.config.inverter_w
        wishes_w = [clamp(out + into - ac_pv_w - share_w, -limit_w, limit_w) for out, into in zip(out_w, in_w)]
        # Power assist: what the transfer switch cannot carry the inverter must give, beyond its rating too.
        through_w = self.config.input_limit_a * 230.0
        return [max(wish, out - ac_pv_w - through_w) for wish, out in zip(wishes_w, out_w)]

    def _limited(
        self, wanted_w: list[float], out_w: list[float], dc_w: float, low_w: float, high_w: float
    ) -> list[float]:
        """Return the inverter powers that keep the battery within its limits as far as the grid allows.

        Args:
            wanted_w: AC power per inverter when nothing limits it.
            out_w: load on the outputs.
            dc_w: sun minus DC loads.
            low_w, high_w: limits of the battery power.
        """
        powers_w = list(wanted_w)
        if not self.has_grid or not powers_w:
            return powers_w
        limit_w = self.config.inverter_w
        floor_w = [out - self.config.input_limit_a * 230.0 for out in out_w]  # what the switch carries at most
        for _ in range(_PASSES):
            battery_w = dc_w - sum(dc_side(power_w) for power_w in powers_w)
            miss_w = battery_w - clamp(battery_w, low_w, high_w)
            if abs(miss_w) < 0.5:
                break
            share_w = miss_w / len(powers_w)
            powers_w = [
                clamp(power_w + share_w, max(-limit_w, floor), max(limit_w, wanted))
                for power_w, floor, wanted in zip(powers_w, floor_w, wanted_w)
            ]
        return powers_w

    def _phases(
        self,
        inverter_w: list[float],
        dc_w: list[float],
        out_w: list[float],
        in_w: list[float],
        ac_pv_w: float,
        dt_s: float,
    ) -> tuple[Phase, ...]:
        hertz = self.grid_hz + self._hertz.step(dt_s)
        phases = []
        for index, volts in enumerate(self._volts):
            grid_w = out_w[index] + in_w[index] - ac_pv_w - inverter_w[index] if self.has_grid else 0.0
            grid_v = 231.0 + volts.step(dt_s) - 0.0006 * grid_w if self.has_grid else 0.0
            phases.append(
                Phase(
                    grid_v=grid_v,
                    grid_hz=hertz if self.has_grid else 0.0,
                    grid_w=grid_w,
                    inverter_w=inverter_w[index],
                    inverter_dc_w=dc_w[index],
                    load_out_w=out_w[index],
                    load_in_w=in_w[index],
                    ac_pv_w=ac_pv_w,
                    out_v=grid_v if self.has_grid else 230.0 - 0.0004 * inverter_w[index],
                    out_hz=hertz if self.has_grid else 50.0,
                )
            )
        return tuple(phases)


def dc_side(ac_w: float) -> float:
    """Return the DC power of an inverter that gives `ac_w` (negative: charges), its losses included."""
    return ac_w + STANDBY_W + 0.035 * abs(ac_w) + 3e-6 * ac_w * ac_w
