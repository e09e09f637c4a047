"""The three systems that can be simulated: which plant, and which devices tell of it.

ess          MultiPlus-II with a CAN battery, EM24, two solar chargers and all that a Cerbo GX has around it
three-phase  three Multi RS with two trackers each, a PV inverter, an EM24
dc-only      a cabin: one solar charger, a shunt, DC loads
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bridge.simulator.battery import BatteryConfig
from bridge.simulator.bms import CanBattery, Shunt
from bridge.simulator.meter import GridMeter
from bridge.simulator.plant import PlantConfig
from bridge.simulator.platform import Platform
from bridge.simulator.rs import AcSystem, MultiRs
from bridge.simulator.settings import Settings
from bridge.simulator.site import Device
from bridge.simulator.small import BLE_LEAFS, SWITCH_LEAFS, Hub4, Logger, Still, Temperature
from bridge.simulator.solar import Mppt, PvInverter
from bridge.simulator.store import Root
from bridge.simulator.sun import Array
from bridge.simulator.systemcalc import System
from bridge.simulator.vebus import Vebus

SWITCH_SERVICE = "com.victronenergy.switch.virtual_51a0c0ffee000102"


class Layout(NamedTuple):
    """A plant and the devices on its bus."""

    plant: PlantConfig
    devices: tuple[Device, ...]


def serial(kind: int, seed: int) -> str:
    """Return the GX's serial number: another one for every system and seed, so that many can be told apart."""
    return f"5e110{kind}{seed & 0xFFFFFF:06x}"


def ess(seed: int) -> Layout:
    """Return the default system."""
    plant = PlantConfig(dc_arrays=(Array(3300.0, -1.5), Array(2900.0, 2.0)), base_load_w=(420.0,), inverter_w=4000.0)
    devices: tuple[Device, ...] = (
        Settings(),
        Platform(serial(1, seed)),
        Vebus(),
        CanBattery(),
        GridMeter(),
        Mppt(0, "ttyS5", 278, "HQ0000SIM02", "East roof"),
        Mppt(1, "ttyS6", 279, "HQ0000SIM03", "West roof"),
        Temperature(seed, 5, 27, "Heat pump inlet", 31.0),
        Temperature(seed, 6, 26, "Бойлер", 58.0),  # user names are not always ASCII
        Hub4(),
        Logger(),
        Still("ble", "com.victronenergy.ble", BLE_LEAFS),
        Still("switch", SWITCH_SERVICE, SWITCH_LEAFS, Root.FLAT),
        System(serial(1, seed), "ESS"),
    )
    return Layout(plant, devices)


def three_phase(seed: int) -> Layout:
    """Return the system of three Multi RS units."""
    arrays = tuple(Array(1900.0 - 120.0 * number, shift) for number in range(3) for shift in (-1.5, 1.5))
    plant = PlantConfig(
        dc_arrays=arrays,
        base_load_w=(380.0, 260.0, 190.0),
        inverter_w=6000.0,
        input_limit_a=25.0,
        ac_arrays=(Array(4600.0, 0.0),),
        battery=BatteryConfig(modules=4, module_ah=200.0, max_current_a=300.0, resistance_ohm=0.006, soc=55.0),
    )
    devices: tuple[Device, ...] = (
        Settings(),
        Platform(serial(3, seed)),
        *(MultiRs(phase) for phase in range(3)),
        AcSystem(),
        CanBattery(),
        GridMeter(),
        PvInverter(),
        Hub4(),
        Logger(),
        System(serial(3, seed), "ESS"),
    )
    return Layout(plant, devices)


def dc_only(seed: int) -> Layout:
    """Return the cabin."""
    battery = BatteryConfig(modules=2, module_ah=100.0, max_current_a=100.0, resistance_ohm=0.02, soc=71.0)
    plant = PlantConfig(dc_arrays=(Array(1500.0),), dc_load_w=140.0, battery=battery)
    devices: tuple[Device, ...] = (
        Settings(),
        Platform(serial(0, seed), can_ports=()),
        Shunt(),
        Mppt(0, "ttyO0", 257, "HQ0000SIM09"),
        Logger(),
        System(serial(0, seed), ""),
    )
    return Layout(plant, devices)


SYSTEMS: dict[str, Callable[[int], Layout]] = {"ess": ess, "three-phase": three_phase, "dc-only": dc_only}
