"""Does the battery look like 16 LFP cells?"""

from __future__ import annotations

import pytest

from bridge.simulator.battery import CELLS, Battery, BatteryConfig, rest_voltage


def test_resting_voltage_rises_with_the_charge() -> None:
    """More charge is never less voltage, flat in the middle, steep at the ends."""
    course = [rest_voltage(soc) for soc in range(101)]
    assert course == sorted(course)
    assert course[70] - course[40] < 0.05
    assert course[10] - course[0] > 0.3


@pytest.mark.parametrize(("power_w", "sign"), [(3000.0, 1), (-3000.0, -1), (0.0, 0)])
def test_current_has_the_sign_of_the_power_and_moves_the_voltage(power_w: float, sign: int) -> None:
    """Charging is positive and lifts the voltage, discharging is negative and sinks it."""
    battery = Battery(BatteryConfig(), seed=1)
    resting_v = battery.voltage_v
    battery.step(power_w, 0.0, 1.0)
    assert battery.current_a * sign > 50.0 if sign else battery.current_a == 0.0
    assert (battery.voltage_v - resting_v) * sign > 0.3 if sign else abs(battery.voltage_v - resting_v) < 0.05


def test_cells_add_up_to_the_pack_and_stay_close_over_the_whole_range() -> None:
    """16 cells, their sum the pack voltage, and a spread far from any alarm without a fault."""
    battery = Battery(BatteryConfig(), seed=2)
    for soc in (3.0, 40.0, 99.5):
        battery.soc = soc
        battery.step(0.0, 0.0, 1.0)
        cells_v = battery.cell_voltages()
        assert len(cells_v) == CELLS
        assert sum(cells_v) == pytest.approx(battery.voltage_v, abs=0.2)
        assert max(cells_v) - min(cells_v) < 0.03


def test_a_drifting_cell_is_the_lowest() -> None:
    """The offset of a scenario shows in the spread."""
    battery = Battery(BatteryConfig(), seed=2)
    battery.cell_offsets_v[6] = -0.2
    cells_v = battery.cell_voltages()
    assert cells_v.index(min(cells_v)) == 6
    assert max(cells_v) - min(cells_v) == pytest.approx(0.2, abs=0.01)


def test_limits_taper_when_full_empty_hot_or_short_of_modules() -> None:
    """The BMS asks for less near the ends, above 50 degrees, and when modules are missing."""
    battery = Battery(BatteryConfig(), seed=1)
    assert battery.charge_limit_a == battery.discharge_limit_a == battery.config.max_current_a
    battery.modules_offline = 1
    assert battery.charge_limit_a == 150.0
    battery.soc = 100.0
    assert battery.max_charge_w == 0.0
    battery.soc = 0.0
    assert battery.max_discharge_w == 0.0
    battery.soc = 50.0
    battery.add_heat(60.0)
    assert battery.charge_limit_a == 0.0


def test_added_heat_stays() -> None:
    """A hot battery of a scenario does not cool down within minutes."""
    battery = Battery(BatteryConfig(), seed=1)
    battery.add_heat(58.0)
    for _ in range(600):
        battery.step(0.0, 0.0, 1.0)
    assert battery.temperature_c == pytest.approx(58.0, abs=1.5)
