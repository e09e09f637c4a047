"""The kWh counters of a site: they only grow, and what flows is what they count."""

from __future__ import annotations

from typing import NamedTuple

from bridge.simulator.plant import Flow

HISTORY_DAYS = 31


class Day(NamedTuple):
    """What a solar charger remembers of one day."""

    yield_kwh: float
    max_w: float


class PhaseEnergy:
    """Counters of one phase, in kWh."""

    def __init__(self, start_kwh: float) -> None:
        self.imported = start_kwh
        self.exported = start_kwh * 0.43
        self.ac_pv = start_kwh * 0.6
        self.in_to_out = start_kwh * 0.31
        self.in_to_inverter = start_kwh * 0.07
        self.inverter_to_out = start_kwh * 0.52
        self.inverter_to_in = start_kwh * 0.4
        self.out_to_inverter = 0.0

    def add(
        self, grid_w: float, active_in_w: float, inverter_w: float, out_w: float, ac_pv_w: float, hours: float
    ) -> None:
        """Count `hours` of these flows. `active_in_w` is what passes the inverter's AC input."""
        kwh = hours / 1000.0
        self.imported += max(0.0, grid_w) * kwh
        self.exported += max(0.0, -grid_w) * kwh
        self.ac_pv += ac_pv_w * kwh
        self.in_to_out += min(max(0.0, active_in_w), max(0.0, out_w)) * kwh
        self.in_to_inverter += max(0.0, min(-inverter_w, active_in_w)) * kwh
        self.inverter_to_out += max(0.0, min(inverter_w, out_w)) * kwh
        self.inverter_to_in += max(0.0, min(inverter_w, -active_in_w)) * kwh


class Energy:
    """All counters of a site. `count` is called once per step of the physics."""

    def __init__(self, flow: Flow) -> None:
        self.phases = [PhaseEnergy(2400.0 - 310.0 * index) for index in range(len(flow.phases))]
        self.yields_kwh = [1812.0 + 97.0 * index for index in range(len(flow.arrays_w))]
        self.days = [
            [Day(round(6.1 + (n * 7 % 11) / 2.0, 2), 1480.0 + n * 13 % 90) for n in range(HISTORY_DAYS)]
            for _ in flow.arrays_w
        ]
        for history in self.days:
            history[0] = Day(0.0, 0.0)
        self.charged_kwh = 5210.0
        self.discharged_kwh = 4985.0
        self.drawn_ah = 96400.0
        self._day = int(flow.at_s // 86400)

    def count(self, flow: Flow, battery_a: float, dt_s: float) -> None:
        """Count `dt_s` seconds of `flow`."""
        hours = dt_s / 3600.0
        if int(flow.at_s // 86400) != self._day:
            self._day = int(flow.at_s // 86400)
            self._new_day()
        for counter, phase in zip(self.phases, flow.phases):
            active_in_w = phase.load_out_w - phase.inverter_w if flow.has_grid else 0.0
            counter.add(phase.grid_w, active_in_w, phase.inverter_w, phase.load_out_w, phase.ac_pv_w, hours)
        for index, power_w in enumerate(flow.arrays_w):
            self.yields_kwh[index] += power_w * hours / 1000.0
            today = self.days[index][0]
            self.days[index][0] = Day(today.yield_kwh + power_w * hours / 1000.0, max(today.max_w, power_w))
        self.charged_kwh += max(0.0, flow.battery_w) * hours / 1000.0
        self.discharged_kwh += max(0.0, -flow.battery_w) * hours / 1000.0
        self.drawn_ah += max(0.0, -battery_a) * hours

    def _new_day(self) -> None:
        for history in self.days:
            history.insert(0, Day(0.0, 0.0))
            history.pop()
