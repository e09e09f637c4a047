"""Does the energy of the simulated site add up, and does it behave as an ESS does?"""

from __future__ import annotations

import pytest

from bridge.simulator.plant import Flow, Plant, PlantConfig
from bridge.simulator.sun import Array
from bridge.simulator.systems import SYSTEMS

NOON_S = 12.0 * 3600.0
MIDNIGHT_S = 0.0


def imbalance_w(flow: Flow) -> float:
    supply_w = flow.grid_w + flow.dc_pv_w + flow.ac_pv_w - flow.battery_w
    return supply_w - flow.load_w - flow.dc_load_w - flow.loss_w


def plant(at_s: float = NOON_S, seed: int = 1, **config: object) -> Plant:
    base = {"dc_arrays": (Array(5000.0),), "base_load_w": (400.0,)}
    return Plant(PlantConfig(**{**base, **config}), seed, at_s)  # type: ignore[arg-type]


def steps(one: Plant, count: int, dt_s: float = 1.0) -> Flow:
    for _ in range(count):
        one.step(dt_s)
    return one.flow


@pytest.mark.parametrize("system", sorted(SYSTEMS))
@pytest.mark.parametrize("seed", [1, 7])
def test_grid_sun_and_battery_cover_loads_and_losses_at_every_step_of_a_day(system: str, seed: int) -> None:
    """What comes in is what goes out, with and without the grid, the BMS or a full battery, to a microwatt."""
    one = Plant(SYSTEMS[system](seed).plant, seed, MIDNIGHT_S)
    for number in range(2880):
        one.has_grid = bool(one.houses) and number % 400 < 340
        one.has_bms = number % 700 < 650
        flow = one.step(30.0)
        assert abs(imbalance_w(flow)) < 1e-6
        assert flow.loss_w >= 0.0
        for phase in flow.phases:
            supply_w = phase.grid_w + phase.ac_pv_w + phase.inverter_w if flow.has_grid else phase.inverter_w
            assert supply_w == pytest.approx(phase.load_out_w + phase.load_in_w, abs=1e-6)


def test_the_state_of_charge_counts_the_current() -> None:
    """A battery that discharges with 40 A for a quarter of an hour has lost 10 Ah."""
    one = plant(MIDNIGHT_S)
    battery = one.battery
    before = battery.soc
    drawn_ah = 0.0
    for _ in range(900):
        one.step(1.0)
        drawn_ah -= battery.current_a / 3600.0
    assert drawn_ah > 0.0
    assert before - battery.soc == pytest.approx(drawn_ah / battery.capacity_ah * 100.0, rel=1e-6)


def test_at_night_the_battery_carries_the_house_and_the_grid_only_the_setpoint() -> None:
    """Self-consumption: the grid gives the setpoint, give or take what a controller misses by."""
    flow = steps(plant(MIDNIGHT_S), 60)
    assert flow.battery_w < -200.0
    assert abs(flow.grid_w - 40.0) < 40.0


def test_surplus_charges_the_battery_before_it_feeds_the_grid() -> None:
    """At noon the sun charges; with a full battery the same sun is exported (negative grid power)."""
    one = plant()
    assert steps(one, 30).battery_w > 1500.0
    assert abs(one.flow.grid_w - 40.0) < 40.0
    one.battery.soc = 100.0
    flow = steps(one, 30)
    assert flow.grid_w < -1000.0
    assert abs(flow.battery_w) < 200.0


def test_the_minimum_state_of_charge_ends_the_discharge_and_the_grid_takes_over() -> None:
    """At the limit the battery gives nothing but the idle loss of the inverter."""
    one = plant(MIDNIGHT_S)
    one.battery.soc = one.min_soc - 0.1
    flow = steps(one, 10)
    assert flow.battery_w >= -1.0
    assert flow.grid_w > 250.0


def test_without_a_grid_the_input_is_dead_and_the_output_lives() -> None:
    """Grid power, volts and hertz are 0, the loads before the inverter are dark, the battery carries the rest."""
    one = plant(MIDNIGHT_S)
    steps(one, 5)
    one.has_grid = False
    flow = steps(one, 5)
    (phase,) = flow.phases
    assert (phase.grid_w, phase.grid_v, phase.grid_hz, phase.load_in_w) == (0.0, 0.0, 0.0, 0.0)
    assert phase.inverter_w == pytest.approx(phase.load_out_w)
    assert phase.out_v == pytest.approx(230.0, abs=3.0)
    assert flow.battery_w < -phase.load_out_w


@pytest.mark.parametrize(("has_grid", "added_w"), [(True, 13_000.0), (False, 5_500.0)])
def test_too_much_load_overloads_the_inverter(has_grid: bool, added_w: float) -> None:
    """With the grid the transfer switch carries its 32 A first; without it the rating is the limit."""
    one = plant(MIDNIGHT_S)
    one.has_grid = has_grid
    assert steps(one, 5).overload < 1.0
    one.houses[0].extra_w = added_w
    assert steps(one, 2).overload > 1.2


def test_curtailed_sun_never_charges_a_full_battery_off_grid() -> None:
    """Off grid, with a full battery, the sun is held back to what the house takes."""
    one = plant()
    one.has_grid = False
    one.battery.soc = 100.0
    flow = steps(one, 20)
    assert flow.battery_w < 1.0
    assert flow.dc_pv_w < 2500.0


def test_the_same_seed_gives_the_same_day_and_another_seed_another() -> None:
    """A course is a function of the seed and the steps alone."""
    courses = [[plant(seed=seed).step(5.0) for _ in range(3)] + [steps(plant(seed=seed), 500)] for seed in (3, 3, 4)]
    assert courses[0] == courses[1]
    assert courses[0] != courses[2]


def test_the_sun_is_down_at_night_and_the_load_peaks_in_the_evening() -> None:
    """A day has a shape: no sun at 3, some at 13; more load at 19:30 than at 4."""
    one = plant(MIDNIGHT_S, dc_arrays=(Array(5000.0),))
    sun_w: dict[int, float] = {}
    load_w: dict[int, list[float]] = {}
    for _ in range(8640):
        flow = one.step(10.0)
        hour = int(flow.day_s // 3600)
        sun_w[hour] = max(sun_w.get(hour, 0.0), one.sun.power_w(Array(1000.0)))
        load_w.setdefault(hour, []).append(flow.load_w)
    assert sun_w[3] == 0.0
    assert sun_w[13] > 300.0
    assert sum(load_w[19]) > 1.5 * sum(load_w[4])
