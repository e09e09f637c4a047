"""Pages -> samples with the real catalogue: names, identity, changes, secrets, hostile input."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bridge.core.normalize import MAX_PATHS, MAX_SITE_PATHS, Batch, Intervals, Normalizer
from bridge.model import Device, Page, Tier
from tests.catalogue import catalogue

TIERS = {Tier.CRITICAL: 10.0, Tier.EXTENDED: 60.0, Tier.HEALTH: 300.0, Tier.STATIC: 3600.0}
SYSTEM = "com.victronenergy.system"
BATTERY = "com.victronenergy.battery.ttyO1"


def normalizer(raw: bool = False, **intervals: Any) -> Normalizer:
    return Normalizer(catalogue(), Intervals(TIERS, **intervals), raw)


def page(service: str, values: dict[str, Any], at: float = 1000.0, is_root: bool = True) -> Page:
    return Page(service, at, values, is_root, 10.0)


def values_of(batch: Batch) -> dict[str, Any]:
    return {sample.point.name: sample.value for sample in batch.samples}


def test_a_page_of_a_device_becomes_points_below_class_and_instance() -> None:
    """Points are named by class and DeviceInstance, never by the port in the service name."""
    batch = normalizer().page(page(BATTERY, {"DeviceInstance": 512, "Soc": 81.0, "Dc/0/Voltage": 49.8, "Nobody": 1}))
    found = values_of(batch)
    assert found["battery/512/soc"] == 81.0
    assert found["battery/512/voltage"] == 49.8
    assert found["battery/512/online"] is True
    assert not any("nobody" in name.lower() for name in found)
    assert batch.reads[0].group == "battery/512"
    assert batch.reads[0].stale_after_s == 30.0


def test_only_what_changed_makes_a_sample() -> None:
    """A second page yields samples for changed values only, but is a read all the same."""
    one = normalizer()
    one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 81.0, "Dc/0/Voltage": 49.8}))
    batch = one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 81.0, "Dc/0/Voltage": 49.9}, 1010.0))
    assert values_of(batch) == {"battery/0/voltage": 49.9}
    assert batch.reads[0].at == 1010.0


def test_no_value_is_none_and_comes_back() -> None:
    """Number, `[]`, number: the point goes to None and returns."""
    one = normalizer()
    seen = [
        values_of(one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": soc})))["battery/0/soc"]
        for soc in (81.0, [], 80.0, math.nan)
    ]
    assert seen == [81.0, None, 80.0, None]


def test_a_path_that_vanished_from_a_root_has_no_value() -> None:
    """Paths may vanish while a service runs; their points become null, once."""
    one = normalizer()
    one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 81.0}))
    assert values_of(one.page(page(BATTERY, {"DeviceInstance": 0}))) == {"battery/0/soc": None}
    assert values_of(one.page(page(BATTERY, {"DeviceInstance": 0}))) == {}
    assert values_of(one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 81.0}))) == {"battery/0/soc": 81.0}


def test_site_sums_add_the_phases_that_have_a_value() -> None:
    """grid/power is the sum of its phases, null when none has a value, absent when none exists."""
    one = normalizer()
    first = values_of(
        one.page(page(SYSTEM, {"Ac/Grid/L1/Power": 100, "Ac/Grid/L2/Power": 50.5, "Ac/Grid/L3/Power": []}))
    )
    assert first["grid/power"] == 150.5
    assert "genset/power" not in first
    lost = values_of(one.page(page(SYSTEM, {"Ac/Grid/L1/Power": [], "Ac/Grid/L2/Power": [], "Ac/Grid/L3/Power": []})))
    assert lost["grid/power"] is None


def test_pv_power_is_the_sum_of_dc_and_ac_coupled_pv() -> None:
    """pv/power adds solar chargers and PV inverters wherever they are connected."""
    values = {
        "Dc/Pv/Power": 1000,
        "Ac/PvOnGrid/L1/Power": 200,
        "Ac/PvOnOutput/L1/Power": 300,
        "Ac/PvOnGenset/L1/Power": 1,
    }
    assert values_of(normalizer().page(page(SYSTEM, values)))["pv/power"] == 1501


def test_a_new_port_keeps_the_topic() -> None:
    """A battery that moves from ttyO1 to ttyUSB0 keeps its instance, its topics and stays online."""
    one = normalizer()
    one.services(frozenset([BATTERY]), 0)
    one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 81.0}))
    moved = "com.victronenergy.battery.ttyUSB0"
    assert one.services(frozenset([moved]), 15).presences == []
    batch = one.page(page(moved, {"DeviceInstance": 0, "Soc": 80.0}))
    assert values_of(batch)["battery/0/soc"] == 80.0
    assert batch.presences == []
    assert [info["service"] for _, info in batch.infos] == [moved]
    assert one.services(frozenset([moved]), 30).presences == []


def test_a_device_is_gone_after_two_lists_without_it_and_returns() -> None:
    """One list that misses a device proves nothing; two do."""
    one = normalizer()
    one.services(frozenset([BATTERY, SYSTEM]), 0)
    one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 81.0}))
    assert one.services(frozenset([SYSTEM]), 15).presences == []
    gone = one.services(frozenset([SYSTEM]), 30)
    assert [(p.device, p.is_online) for p in gone.presences] == [(Device("battery", 0), False)]
    assert values_of(gone) == {"battery/0/online": False}
    one.services(frozenset([BATTERY, SYSTEM]), 45)
    back = one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 81.0}))
    assert values_of(back) == {"battery/0/soc": 81.0, "battery/0/device_instance": 0, "battery/0/online": True}


def test_a_device_expected_from_before_the_restart_is_announced_gone() -> None:
    """What was there before a restart and does not come back is said to be offline."""
    one = normalizer()
    one.devices.expect([Device("battery", 7), Device("battery", 0)])
    one.page(page(BATTERY, {"DeviceInstance": 0}))
    one.services(frozenset([BATTERY]), 0)
    gone = one.services(frozenset([BATTERY]), 15)
    assert [(p.device, p.is_online) for p in gone.presences] == [(Device("battery", 7), False)]


def test_two_services_with_one_instance_do_not_mix() -> None:
    """While both are listed the second is refused and counted, so values never flip between two devices."""
    one = normalizer()
    other = "com.victronenergy.battery.ttyO2"
    one.services(frozenset([BATTERY, other]), 0)
    one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 81.0}))
    assert one.page(page(other, {"DeviceInstance": 0, "Soc": 10.0})).samples == []
    assert one.devices.duplicates == 1


def test_several_devices_of_a_class_stay_apart() -> None:
    """Two batteries have two trees."""
    one = normalizer()
    one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 81.0}))
    batch = one.page(page("com.victronenergy.battery.ttyO2", {"DeviceInstance": 1, "Soc": 10.0}))
    assert values_of(batch)["battery/1/soc"] == 10.0


@pytest.mark.parametrize("instance", [[], "x", -1, True, 1e30, None, {"a": 1}])
def test_a_device_without_a_usable_instance_gets_the_first_free_number(instance: Any) -> None:
    """Old GPS drivers tell no instance; the first one is number 0 and stays it."""
    one = normalizer()
    gps = "com.victronenergy.gps.ttyACM0"
    values = {"Fix": 1} if instance is None else {"DeviceInstance": instance, "Fix": 1}
    assert values_of(one.page(page(gps, values)))["gps/0/fix"] is True
    assert values_of(one.page(page(gps, values | {"Fix": 0})))["gps/0/fix"] is False


def test_leafs_read_one_by_one_wait_for_the_identity() -> None:
    """Values of a service that cannot be listed are published once its instance is known."""
    one = normalizer()
    service = "com.victronenergy.acsystem.rs"
    assert one.page(page(service, {"State": 3}, is_root=False)).samples == []
    one.page(page(service, {"DeviceInstance": 4}, is_root=False))
    batch = one.page(page(service, {"State": 3}, is_root=False))
    assert values_of(batch) == {"acsystem/4/state": "bulk"}
    assert batch.reads[0].group == "acsystem/4@State"


def test_each_leaf_is_fresh_on_its_own() -> None:
    """A leaf that cannot be read goes stale alone: point and read of each path share a group of their own."""
    one = normalizer()
    service = "com.victronenergy.acsystem.rs"
    one.page(page(service, {"DeviceInstance": 4}, is_root=False))
    batch = one.page(page(service, {"State": 3, "Mode": 1}, is_root=False))
    assert {sample.point.group for sample in batch.samples} == {"acsystem/4@State", "acsystem/4@Mode"}
    assert [read.group for read in batch.reads] == ["acsystem/4@State", "acsystem/4@Mode"]


def test_a_service_that_becomes_listable_moves_its_points() -> None:
    """Points tell the group they are read with now, and what the root does not have is null."""
    one = normalizer()
    service = "com.victronenergy.acsystem.rs"
    one.page(page(service, {"DeviceInstance": 4}, is_root=False))
    one.page(page(service, {"State": 3}, is_root=False))
    one.page(page(service, {"Mode": 1}, is_root=False))
    batch = one.page(page(service, {"DeviceInstance": 4, "State": 3}))
    assert {sample.point.group for sample in batch.samples} == {"acsystem/4"}
    assert values_of(batch) == {"acsystem/4/device_instance": 4, "acsystem/4/state": "bulk", "acsystem/4/mode": None}
    (sample,) = one.page(page(service, {"State": 3}, is_root=False)).samples
    assert sample.point.group == "acsystem/4@State"


@pytest.mark.parametrize("lists_without", [1, 3])
def test_a_path_that_is_gone_after_a_restart_has_no_value(lists_without: int) -> None:
    """The driver comes back, at another port and perhaps after the device was offline, with a path less."""
    one = normalizer()
    one.services(frozenset([BATTERY]), 0)
    one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 81.0, "Dc/0/Voltage": 49.8}))
    for turn in range(lists_without):
        one.services(frozenset([SYSTEM]), 15.0 + turn)
    moved = "com.victronenergy.battery.ttyUSB0"
    one.services(frozenset([moved]), 90)
    found = values_of(one.page(page(moved, {"DeviceInstance": 0, "Soc": 81.0})))
    assert (found["battery/0/voltage"], found["battery/0/soc"]) == (None, 81.0)
    assert values_of(one.page(page(moved, {"DeviceInstance": 0, "Soc": 81.0}))) == {}


def test_a_sum_loses_the_parts_that_a_restart_took() -> None:
    """A phase that is gone after a restart of the system service no longer counts."""
    one = normalizer()
    one.services(frozenset([SYSTEM]), 0)
    one.page(page(SYSTEM, {"Ac/Grid/L1/Power": 100, "Ac/Grid/L2/Power": 50}))
    one.services(frozenset([BATTERY]), 15)
    one.services(frozenset([SYSTEM]), 30)
    assert values_of(one.page(page(SYSTEM, {"Ac/Grid/L1/Power": 100})))["grid/power"] == 100


def test_batteries_that_exchange_their_numbers_exchange_their_topics() -> None:
    """After a reboot the numbers are the other way round; within two rounds each value stands where it belongs."""
    one = normalizer()
    other = "com.victronenergy.battery.ttyO2"
    one.services(frozenset([BATTERY, other]), 0)
    one.page(page(BATTERY, {"DeviceInstance": 512, "Soc": 10.0}))
    one.page(page(other, {"DeviceInstance": 513, "Soc": 20.0}))
    found: dict[str, Any] = {}
    for _ in range(2):
        found |= values_of(one.page(page(other, {"DeviceInstance": 512, "Soc": 20.0})))
        found |= values_of(one.page(page(BATTERY, {"DeviceInstance": 513, "Soc": 10.0})))
    assert (found["battery/512/soc"], found["battery/513/soc"]) == (20.0, 10.0)
    assert one.counters["duplicates"] == 1


def test_two_services_of_a_class_without_instances_do_not_take_turns() -> None:
    """vecan.can0 and vecan.can1 would write the same topics: the first keeps them, the second is refused, counted."""
    one = normalizer()
    can0, can1 = "com.victronenergy.vecan.can0", "com.victronenergy.vecan.can1"
    one.services(frozenset([can0, can1]), 0)
    assert values_of(one.page(page(can0, {"ProductName": "a"})))
    assert one.page(page(can1, {"ProductName": "b"})) == Batch([], [], [], [])
    assert one.counters["duplicates"] == 1
    one.services(frozenset([can1]), 15)
    assert "b" in values_of(one.page(page(can1, {"ProductName": "b"}))).values()


def test_invented_names_take_no_memory_for_ever() -> None:
    """Twenty rounds of other services with other paths leave no more behind than the limits allow."""
    one = normalizer(raw=True)
    for turn in range(20):
        names = [f"com.victronenergy.battery.t{turn}x{number}" for number in range(10)]
        one.services(frozenset([*names, SYSTEM]), 15.0 * turn)
        for number, name in enumerate(names):
            paths = {f"P{turn}x{path}": path for path in range(1000)}
            one.page(page(name, {"DeviceInstance": 100 * turn + number, **paths}))
        one.page(page(SYSTEM, {f"S{turn}x{path}": path for path in range(400)}))
    assert len(one._bindings) == 11
    assert one._paths == sum(map(len, one._last.values())) <= MAX_SITE_PATHS
    assert one.page(page(BATTERY, {"DeviceInstance": 0, "Soc": 50.0})).samples != []


def test_two_services_that_were_never_listed_share_one_memory() -> None:
    """Whoever spoke last for a device owns what is known of it; what the other one knew is taken over, not added."""
    one = normalizer()
    for turn in range(5):
        for service in (BATTERY, "com.victronenergy.battery.ttyO2"):
            one.page(page(service, {"DeviceInstance": 0, f"P{turn}": 1}))
    for service in ("com.victronenergy.vecan.can0", "com.victronenergy.vecan.can1") * 2:
        one.page(page(service, {"A": 1, service[-4:]: 1}))
    assert one._paths == sum(map(len, one._last.values())) == 6 + 3
    assert len(one._bindings) == 2


def test_paths_of_all_devices_together_are_bounded() -> None:
    """Fifteen devices with the most paths each: what is beyond the site's limit is refused and counted."""
    one = normalizer()
    names = [f"com.victronenergy.battery.x{number}" for number in range(15)]
    one.services(frozenset(names), 0)
    for number, name in enumerate(names):
        one.page(page(name, {"DeviceInstance": number} | {f"P{path}": path for path in range(MAX_PATHS - 1)}))
    assert one._paths == MAX_SITE_PATHS
    assert one.counters["paths_over_limit"] == 15 * MAX_PATHS - MAX_SITE_PATHS
    assert values_of(one.page(page(names[0], {"DeviceInstance": 0, "P0": 5}))) == {}


def test_a_driver_that_starts_is_no_device_yet() -> None:
    """Before its instance is known a battery makes no topic, so none is left behind below a wrong number."""
    one = normalizer()
    one.services(frozenset([BATTERY]), 0)
    for _ in range(2):
        assert one.page(page(BATTERY, {"DeviceInstance": [], "Soc": 81.0})).samples == []
    assert one.counters["unidentified_pages"] == 2
    assert values_of(one.page(page(BATTERY, {"DeviceInstance": 512, "Soc": 81.0})))["battery/512/soc"] == 81.0


def test_can_statistics_in_a_text_become_points() -> None:
    """The JSON text of a CAN interface is taken apart; the text itself is not published."""
    text = json.dumps(
        [
            {
                "linkinfo": {"info_data": {"state": "ERROR-ACTIVE", "bittiming": {"bitrate": 500000}}},
                "stats64": {"rx": {"packets": 5, "errors": 0}, "tx": {"packets": 7, "errors": 649}},
            }
        ]
    )
    found = values_of(normalizer().page(page("com.victronenergy.platform", {"CanBus/Interface/can0/Statistics": text})))
    assert found["platform/canbus/can0/state"] == "ERROR-ACTIVE"
    assert found["platform/canbus/can0/bitrate"] == 500000
    assert found["platform/canbus/can0/tx/errors"] == 649
    assert not any("statistics" in name for name in found)


def test_device_info_names_the_device_and_follows_changes() -> None:
    """The info document is there with the first page and again when the user renames the device."""
    one = normalizer()
    values = {"DeviceInstance": 0, "ProductName": "SmartShunt", "CustomName": "", "FirmwareVersion": 1046, "Serial": []}
    ((device, info),) = one.page(page(BATTERY, values)).infos
    assert device == Device("battery", 0)
    assert info == {
        "class": "battery",
        "instance": 0,
        "name": None,
        "product": "SmartShunt",
        "serial": None,
        "firmware": "v4.16",
        "service": BATTERY,
    }
    assert one.page(page(BATTERY, values)).infos == []
    ((_, info),) = one.page(page(BATTERY, values | {"CustomName": "Батарея"})).infos
    assert info["name"] == "Батарея"


SECRETS = {
    "com.victronenergy.settings": {"Settings/Services/AccessPointPassword": "hunter2", "Settings/Foo/Bar": 5},
    "com.victronenergy.ble": {"Devices/a14b9f23c5e6_ruuvi/Key": "0123456789ABCDEF0123456789ABCDEF"},
    "com.victronenergy.platform": {
        "Network/Services": json.dumps({"wifi": {"MySsid": {"Mac": "11:22:33:AA:BB:CC", "Address": "10.0.0.1"}}}),
        "Network/Wifi/Ssid": "MySsid",
        "Odd/Place": "11:22:33:AA:BB:CC",
    },
}


@pytest.mark.parametrize("service", SECRETS)
@pytest.mark.parametrize("raw", [False, True])
def test_secrets_reach_no_sample_even_in_raw_mode(service: str, raw: bool) -> None:
    """Passwords, keys, SSIDs and MAC addresses of settings, ble and platform make no sample at all."""
    batch = normalizer(raw).page(page(service, SECRETS[service]))
    text = repr([(sample.point.name, sample.value) for sample in batch.samples])
    for secret in ("hunter2", "0123456789ABCDEF", "MySsid", "11:22:33"):
        assert secret not in text


def test_a_raw_value_that_becomes_a_secret_later_is_withheld() -> None:
    """The check is made on every value, not only on the first."""
    one = normalizer(raw=True)
    one.page(page("com.victronenergy.platform", {"Odd/Place": "fine"}))
    batch = one.page(page("com.victronenergy.platform", {"Odd/Place": "11:22:33:AA:BB:CC"}))
    assert batch.samples == []


def test_raw_publishing_gives_unknown_paths_a_topic_of_their_own() -> None:
    """With publish.raw a path nobody catalogued appears below raw/, with its D-Bus spelling."""
    batch = normalizer(raw=True).page(page(BATTERY, {"DeviceInstance": 3, "Foo/BarBaz": 5, "Some": "text"}))
    found = values_of(batch)
    assert found["raw/battery/3/Foo/BarBaz"] == 5
    assert found["raw/battery/3/Some"] == "text"


def test_raw_points_take_what_comes() -> None:
    """No value at first, then a boolean, a number, a text: each is published as it is; a list is withheld."""
    one = normalizer(raw=True)
    seen = [
        values_of(one.page(page(SYSTEM, {"Odd": raw}))).get("raw/system/Odd")
        for raw in ([], True, 5, "text", [1], 2.5, {"a": 1})
    ]
    assert seen == [None, True, 5, "text", None, 2.5, None]


@pytest.mark.parametrize(
    "key", ["a/+/b", "#", "$SYS/x", "a b", "a\n", "/", "", "..", "x" * 10_000, "ä", "a//b", "\x00"]
)
def test_hostile_keys_reach_no_topic(key: str) -> None:
    """Topic characters, controls and endless names make no sample, raw or not."""
    assert values_of(normalizer(raw=True).page(page(SYSTEM, {key: 1}))) == {}


@pytest.mark.parametrize(
    "service",
    [
        "",
        "com.victronenergy",
        "com.victronenergy.",
        "com.victronenergy.a+b",
        "org.other.victron",
        "com.victronenergy." + "x" * 300,
    ],
)
def test_foreign_service_names_are_ignored(service: str) -> None:
    """What is no com.victronenergy.<class> makes no device and no topic."""
    assert normalizer().page(page(service, {"DeviceInstance": 0, "Soc": 1})).samples == []


def test_a_million_keys_cost_a_counter() -> None:
    """Paths beyond the limit are dropped and counted; known ones go on."""
    one = normalizer(raw=True)
    values: dict[str, Any] = {"DeviceInstance": 0, "Soc": 50} | {f"K{n}": n for n in range(200_000)}
    batch = one.page(page(BATTERY, values))
    assert len(batch.samples) <= MAX_PATHS + 1
    assert one.counters["paths_over_limit"] == len(values) - MAX_PATHS
    assert values_of(one.page(page(BATTERY, values | {"Soc": 51})))["battery/0/soc"] == 51


@pytest.mark.parametrize(
    ("intervals", "kind", "paths", "expected"),
    [
        ({}, "battery", ["Soc", "ProductName"], 10.0),
        ({}, "battery", ["ProductName"], 3600.0),
        ({"classes": {"battery": 5.0}}, "battery", ["Soc"], 5.0),
        ({"classes": {"battery": 5.0}}, "battery", ["ProductName"], 3600.0),
        ({"points": {"battery.soc": 7.0}}, "battery", ["Soc", "Dc/0/Voltage"], 7.0),
        ({"points": {"battery.soc": 30.0}}, "battery", ["Soc"], 30.0),
        ({}, "battery", ["Unheard"], 3600.0),
        ({}, "platform", ["CanBus/Interface/can0/Statistics"], 300.0),
        ({"classes": {"platform": 30.0}}, "platform", ["CanBus/Interface/can0/Statistics"], 30.0),
        ({"classes": {"battery": 900.0}}, "battery", ["Soc"], 900.0),
        ({"classes": {"battery": 5.0}, "points": {"battery.soc": 7.0}}, "battery", ["Soc"], 7.0),
        ({"points": {"grid.power": 2.0}}, "system", ["Ac/Grid/L1/Power"], 2.0),
        ({"points": {"grid.power": 60.0}}, "system", ["Ac/Grid/L1/Power"], 10.0),
        ({"points": {"grid.power": 2.0}}, "system", ["Ac/Consumption/L1/Power"], 10.0),
        ({"points": {"platform.canbus.can0.tx.errors": 7.0}}, "platform", ["CanBus/Interface/can0/Statistics"], 7.0),
        ({"points": {"vebus.ac_out.l1.power": 3.0}}, "vebus", ["Ac/Out/L1/P"], 3.0),
    ],
)
def test_a_service_is_read_as_often_as_its_keenest_point_wants(
    intervals: dict[str, Any], kind: str, paths: list[str], expected: float
) -> None:
    """Point beats class beats tier; static points keep theirs; sums and parts of texts speed up what they come from."""
    assert normalizer(**intervals).interval(f"com.victronenergy.{kind}.x", paths) == expected


def test_the_identity_is_the_first_leaf_to_ask() -> None:
    """A service that cannot be listed is asked for its instance before anything else."""
    leafs = normalizer().leafs("com.victronenergy.acsystem.rs")
    assert leafs[0][0] == "DeviceInstance"
    assert ("Mode", 60.0) in leafs
    assert ("Mode", 5.0) in normalizer(classes={"acsystem": 5.0}).leafs("com.victronenergy.acsystem.rs")
