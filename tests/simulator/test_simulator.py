"""Do the simulated systems show on their bus what happens in them?"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from bridge.simulator.platform import FAKE_MAC, FAKE_SSID
from bridge.simulator.settings import FAKE_PASSWORD, FAKE_TOKEN
from bridge.simulator.simulator import Simulator
from bridge.simulator.small import FAKE_BLE_MAC, FAKE_KEY
from tests.simulator.client import (
    BATTERY,
    LOGGER,
    PLATFORM,
    SYSTEM,
    VEBUS,
    eventually,
    get,
    post,
    request,
    running,
)

GRID = "com.victronenergy.grid.cgwacs_ttyUSB0_mb1"
ACSYSTEM = "com.victronenergy.acsystem.socketcan_can1_sys0"


def settled(gx: Simulator, **actions: Any) -> Simulator:
    """Do actions on a simulator that is not started, and let its devices tell of them."""
    gx.actions.do(actions)
    gx.site.advance(3.0, 0.0, time.monotonic())
    gx.site.alarms.update(gx.site.plant, time.monotonic() + 10.0)
    gx._publish()
    return gx


@pytest.mark.parametrize(
    ("system", "classes"),
    [
        (
            "ess",
            "battery ble grid hub4 logger platform settings solarcharger solarcharger switch system temperature "
            "temperature vebus",
        ),
        ("three-phase", "acsystem battery grid hub4 logger multi multi multi platform pvinverter settings system"),
        ("dc-only", "battery logger platform settings solarcharger system"),
    ],
)
def test_each_system_has_its_services(system: str, classes: str) -> None:
    """The classes on the bus, one word per service."""
    assert [name.split(".")[2] for name in Simulator(system).store.names()] == classes.split()


@pytest.mark.parametrize("system", ["ess", "three-phase", "dc-only"])
def test_site_powers_on_the_bus_balance_with_the_signs_of_a_gx(system: str) -> None:
    """Grid + sun - battery = loads + losses also after rounding and splitting over services; losses are small."""
    gx = Simulator(system, start_at_s=12 * 3600.0)
    gx.site.advance(60.0, 0.0, time.monotonic())
    gx._publish()
    values = gx.value(SYSTEM, "/")

    def total(group: str) -> float:
        return sum(v for n in (1, 2, 3) if (v := values[f"Ac/{group}/L{n}/Power"]) != [])

    dc_load_w = values["Dc/System/Power"] or 0.0
    supply_w = total("Grid") + values["Dc/Pv/Power"] + total("PvOnGrid") - values["Dc/Battery/Power"]
    loss_w = supply_w - total("Consumption") - dc_load_w
    assert values["Dc/Battery/Power"] > 0.0  # noon: it charges
    assert values["Dc/Battery/Power"] == pytest.approx(
        values["Dc/Battery/Voltage"] * values["Dc/Battery/Current"], rel=0.05, abs=10.0
    )
    assert -2.0 <= loss_w <= 0.1 * values["Dc/Pv/Power"] + 80.0


def test_grid_loss_shows_as_on_a_real_system() -> None:
    """ActiveIn values are `[]`, the input is 240 in vebus and system, the grid has no power; the meter is dark."""
    gx = settled(Simulator("ess"), grid="lost")
    vebus = gx.value(VEBUS, "/Ac/ActiveIn")
    assert {leaf: vebus[f"L1/{leaf}"] for leaf in "VIPFS"} == dict.fromkeys("VIPFS", [])
    assert vebus["ActiveInput"] == 240
    assert gx.value(SYSTEM, "/Ac/ActiveIn/Source") == 240
    assert gx.value(SYSTEM, "/Ac/Grid/L1/Power") == []
    assert gx.value(GRID, "/Ac/Power") == []
    assert gx.value(VEBUS, "/Alarms/GridLost") == 2
    assert gx.value(VEBUS, "/Ac/Out/L1/P") > 0
    assert gx.value(PLATFORM, "/Notifications/0/Trigger") == "/Alarms/GridLost"
    assert gx.value(PLATFORM, "/Notifications/0/Active") is True
    settled(gx, grid="back")
    assert gx.value(VEBUS, "/Alarms/GridLost") == 0
    assert gx.value(VEBUS, "/Ac/ActiveIn/ActiveInput") == 0
    assert gx.value(SYSTEM, "/Ac/Grid/L1/Power") != []
    assert gx.value(PLATFORM, "/Notifications/NumberOfActiveNotifications") == 0


def test_the_grid_lost_alarm_follows_two_real_seconds_later_at_any_speed() -> None:
    """The values go at once, the alarm after a delay on the wall clock, physics speed or not."""
    with running("ess", speed=600.0) as (gx, port):
        gone_at = time.monotonic()
        post(port, "/_do", {"grid": "lost"})
        assert eventually(lambda: get(port, VEBUS, "/Ac/ActiveIn/L1/V").document["value"] == [], 1.0)
        assert get(port, VEBUS, "/Alarms/GridLost").document["value"] == 0
        assert eventually(lambda: get(port, VEBUS, "/Alarms/GridLost").document["value"] == 2, 4.0)
        assert 1.7 <= time.monotonic() - gone_at <= 3.2


@pytest.mark.parametrize(
    ("action", "service", "path", "expected"),
    [
        ({"load": {"add_w": 13000}}, VEBUS, "/Alarms/L1/Overload", 2),
        ({"bms": "lost"}, VEBUS, "/Alarms/BmsConnectionLost", 2),
        ({"bms": "lost"}, BATTERY, "/Connected", 0),
        ({"bms": "lost"}, BATTERY, "/Soc", []),
        ({"bms": "lost"}, SYSTEM, "/Dc/Battery/Soc", []),
        ({"cell": {"number": 7, "offset_v": -0.3}}, BATTERY, "/System/MinVoltageCellId", "0107"),
        ({"cell": {"number": 7, "offset_v": -0.3}}, BATTERY, "/Alarms/CellImbalance", 2),
        ({"battery": {"soc": 8}}, BATTERY, "/Soc", 8.0),
        ({"battery": {"soc": 8}}, SYSTEM, "/Dc/Battery/Soc", 8.0),
        ({"battery": {"temperature_c": 58}}, BATTERY, "/Dc/0/Temperature", 58.0),
        ({"battery": {"modules_offline": 1}}, BATTERY, "/System/NrOfModulesOffline", 1),
        ({"grid_frequency_hz": 51.3}, GRID, "/Ac/Frequency", 51.3),
        ({"vrm": {"silent_s": 7200}}, LOGGER, "/Vrm/ConnectionError", 155),
        (
            {"set": {"service": "platform", "path": "/Device/DataPartitionFullError", "value": 1}},
            PLATFORM,
            "/Device/DataPartitionFullError",
            1,
        ),
        ({"drop": "battery"}, SYSTEM, "/Dc/Battery/Soc", []),
    ],
)
def test_actions_show_where_a_rule_looks(action: dict[str, Any], service: str, path: str, expected: Any) -> None:
    """Each action changes the leaf that its alert is made of."""
    value = settled(Simulator("ess"), **action).value(service, path)
    assert value == pytest.approx(expected, abs=0.15) if isinstance(expected, float) else value == expected


def test_can_errors_grow_in_the_statistics_text() -> None:
    """The JSON text of can0 counts them; the state worsens; can1 is untouched."""
    gx = Simulator("ess")
    gx.actions.do({"can_errors": {"per_s": 20}})
    counts = []
    for _ in range(3):
        gx.site.advance(1.0, 4.0, time.monotonic())
        gx._publish()
        counts.append(json.loads(gx.value(PLATFORM, "/CanBus/Interface/can0/Statistics"))[0])
    assert [one["stats64"]["rx"]["errors"] for one in counts] == [80, 160, 240]
    assert [one["linkinfo"]["info_data"]["state"] for one in counts] == [
        "ERROR-ACTIVE",
        "ERROR-PASSIVE",
        "ERROR-PASSIVE",
    ]
    other = json.loads(gx.value(PLATFORM, "/CanBus/Interface/can1/Statistics"))[0]
    assert other["stats64"]["rx"]["errors"] == 0


def test_energy_counters_only_grow() -> None:
    """Over a day with import, export, charge and discharge no kWh counter goes back, and those in use move."""
    gx = Simulator("ess", start_at_s=0.0)
    paths = [
        (GRID, "/Ac/Energy/Forward"),
        (GRID, "/Ac/Energy/Reverse"),
        (VEBUS, "/Energy/InverterToAcOut"),
        (BATTERY, "/History/ChargedEnergy"),
        (BATTERY, "/History/DischargedEnergy"),
        ("com.victronenergy.solarcharger.ttyS5", "/Yield/User"),
    ]
    course = []
    for _ in range(48):
        gx.site.advance(1800.0, 0.0, time.monotonic(), 30.0)
        gx._publish()
        course.append([gx.value(*path) for path in paths])
    for before, after in zip(course, course[1:]):
        assert all(a >= b for a, b in zip(after, before))
    assert all(last > first for first, last in zip(course[0], course[-1]))


def test_rs_units_are_three_phases_and_their_system_cannot_be_listed() -> None:
    """acsystem's root is `[]`, its nodes 404, its leafs there; each unit has values on its own phase only."""
    with running("three-phase") as (_, port):
        assert get(port, ACSYSTEM, "/").document["value"] == []
        assert get(port, ACSYSTEM, "/Ac").status == 404
        assert get(port, ACSYSTEM, "/Ac/Out/L3/V").document["value"] > 200.0
        unit = get(port, "com.victronenergy.multi.socketcan_can1_vi1_uc317631", "/Ac/Out").document["value"]
        assert unit["L2/V"] > 200.0
        assert unit["L1/V"] == unit["L3/V"] == []


def test_float32_noise_of_ve_direct_devices_is_kept() -> None:
    """A voltage of two decimals comes with the tail of a 32-bit float."""
    volts = Simulator("dc-only").value("com.victronenergy.battery.ttyO1", "/Dc/0/Voltage")
    assert len(repr(volts)) > 8
    assert volts == pytest.approx(round(volts, 2), abs=1e-5)


def test_a_renamed_service_is_followed_by_the_system() -> None:
    """Another port, the same instance: the system's mapping and choice name the new service."""
    gx = Simulator("ess")
    gx.rename(BATTERY, "com.victronenergy.battery.socketcan_can1")
    gx._publish()
    assert (
        gx.value(SYSTEM, "/ServiceMapping/com_victronenergy_battery_512") == "com.victronenergy.battery.socketcan_can1"
    )
    assert gx.value(SYSTEM, "/Dc/Battery/BatteryService") == "com.victronenergy.battery.socketcan_can1"


def test_time_stamps_follow_the_wall_clock_at_any_speed() -> None:
    """Date header, Device/Time and last VRM contact are now, however fast the day passes."""
    with running("ess", speed=3600.0) as (gx, port):
        clock = request(port, "GET /_state").document["time_of_day"]
        assert eventually(lambda: request(port, "GET /_state").document["time_of_day"] > clock)
        assert abs(get(port, PLATFORM, "/Device/Time").document["value"] - time.time()) < 2.5
        contact = get(port, LOGGER, "/Vrm/TimeLastContact").document["value"]
        assert 0 <= time.time() - contact <= 62.0
        shown = request(port, "GET /health").header("Date")
        stamps = [time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + off)) for off in (-1, 0, 1)]
        assert shown in stamps


def test_a_reboot_closes_the_port_and_starts_in_1970_with_services_one_by_one() -> None:
    """Refused, then a clock in 1970 and few services, then all of them and the right time."""
    with running("ess") as (gx, port):
        names = gx.store.names()
        gx.reboot(down_s=0.6, gap_s=0.15, clock_s=1.2)

        def documents() -> tuple[list[str], str] | None:
            try:
                reply = request(port, "GET /services")
                return reply.document["services"], reply.header("Date") or ""
            except (OSError, ValueError, IndexError):  # refused, or cut while it was answered
                return None

        assert eventually(lambda: documents() is None, 1.0)
        assert eventually(lambda: documents() is not None, 3.0)
        seen = documents()
        assert seen is not None
        assert len(seen[0]) < len(names)
        assert "1970" in seen[1]
        assert eventually(lambda: gx.store.names() == names, 8.0)
        assert eventually(lambda: "1970" not in (documents() or ([], "1970"))[1], 3.0)


def test_secrets_are_there_to_be_kept_back() -> None:
    """Passwords, keys, tokens, network names and MAC addresses stand on the bus, all of them invented."""
    gx = Simulator("ess")
    everything = json.dumps([gx.value(name, "/") for name in gx.store.names()])
    for secret in (FAKE_PASSWORD, FAKE_TOKEN, FAKE_SSID, FAKE_MAC, FAKE_KEY, FAKE_BLE_MAC):
        assert secret in everything


def test_serial_numbers_tell_systems_and_seeds_apart() -> None:
    """Many simulated sites do not share an identity, and platform and system agree on theirs."""
    serials = set()
    for system in ("ess", "three-phase", "dc-only"):
        for seed in (1, 2):
            gx = Simulator(system, seed=seed)
            serials.add(gx.value(SYSTEM, "/Serial"))
            assert gx.value(SYSTEM, "/Serial") == gx.value(PLATFORM, "/Device/UniqueId")
    assert len(serials) == 6
    assert all(len(serial) == 12 for serial in serials)


def test_one_seed_is_one_course() -> None:
    """Two simulators with the same seed show the same values after the same steps; a third does not."""
    pages = []
    for seed in (4, 4, 5):
        gx = Simulator("ess", seed=seed)
        for _ in range(7):
            gx.site.advance(13.0, 0.0, 0.0)
        gx._publish()
        pages.append({name: gx.value(name, "/") for name in (VEBUS, BATTERY, GRID)})
    for page in pages:
        page[VEBUS].pop("Devices/0/UpTime")  # real time
    assert pages[0] == pages[1]
    assert pages[0] != pages[2]
