"""Who is who: instances that move, clash, are missing; singleton classes; what a device says about itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.core.devices import Devices, device_info
from bridge.model import Device

A, B, C = (f"com.victronenergy.battery.tty{port}" for port in "ABC")
GPS = "com.victronenergy.gps.ttyACM0"


def listed(*services: str) -> Devices:
    devices = Devices()
    devices.listed(frozenset(services))
    return devices


def claim(devices: Devices, service: str, instance: Any, is_final: bool = False) -> int | None:
    device = devices.identify(service, service.split(".")[2], instance, is_final)
    return None if device is None else device.instance


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({A: 512, B: 513}, {A: 513, B: 512}),
        ({A: 512, B: 513}, {B: 512, A: 513}),
        ({A: 1, B: 2, C: 3}, {A: 2, B: 3, C: 1}),
        ({A: 1, B: 2, C: 3}, {C: 2, B: 1, A: 3}),
    ],
)
def test_services_may_exchange_their_numbers(before: dict[str, int], after: dict[str, int]) -> None:
    """A number that its holder no longer claims is free: after a few rounds everybody is who it says it is."""
    devices = listed(*before)
    for service, number in before.items():
        assert claim(devices, service, number) == number
    for _ in before:
        for service, number in after.items():
            claim(devices, service, number)
    refused = devices.duplicates
    for service, number in after.items():
        assert claim(devices, service, number) == number
        assert devices.service_of(Device("battery", number)) == service
    assert devices.duplicates == refused


def test_a_true_duplicate_never_takes_over() -> None:
    """Of two services that go on claiming one number the first keeps it, and each refusal is counted."""
    devices = listed(A, B)
    claim(devices, A, 512)
    claim(devices, B, 513)
    for _ in range(5):
        assert claim(devices, B, 512) is None
        assert claim(devices, A, 512) == 512
    assert devices.duplicates == 5


def test_the_refused_one_follows_when_the_holder_is_gone() -> None:
    """A number whose holder is no longer listed goes to whoever claims it."""
    devices = listed(A, B)
    claim(devices, A, 512)
    assert claim(devices, B, 512) is None
    devices.listed(frozenset([B]))
    assert claim(devices, B, 512) == 512


def test_a_number_is_guessed_only_after_three_pages_without_one() -> None:
    """A driver that starts lists its paths before it knows its instance; a page with a number starts the count anew."""
    devices = listed(A, B)
    assert [claim(devices, A, raw) for raw in ([], [], 512)] == [None, None, 512]
    assert [claim(devices, B, raw) for raw in ([], "x", -1, [])] == [None, None, 0, 0]


def test_a_leaf_without_a_number_is_an_answer() -> None:
    """Where the instance was asked for on purpose, [] means that there is none."""
    assert claim(listed(A), A, [], is_final=True) == 0
    assert claim(listed(A), A, None, is_final=True) is None


def test_a_gps_that_is_replugged_stays_what_it_was() -> None:
    """A service that replaces one that is gone takes over the number which was guessed for it."""
    devices = listed(GPS)
    assert claim(devices, GPS, []) == 0
    other = GPS[:-1] + "1"
    devices.listed(frozenset([other]))
    assert claim(devices, other, []) == 0
    assert devices.service_of(Device("gps", 0)) == other
    devices.listed(frozenset([other, GPS]))
    assert claim(devices, GPS, []) == 1


def test_a_real_number_evicts_a_guessed_one() -> None:
    """The device that tells its number gets it; the other one gets a free number and keeps that."""
    devices = listed(GPS, GPS[:-1] + "1")
    assert claim(devices, GPS, []) == 0
    assert claim(devices, GPS[:-1] + "1", 0) == 0
    assert [claim(devices, GPS, []) for _ in range(3)] == [1, 1, 1]
    assert claim(devices, GPS[:-1] + "1", 0) == 0
    assert devices.duplicates == 0


def test_one_page_without_the_number_gives_nothing_away() -> None:
    """A service that misses its number once is still who it was, also for one that claims the same number."""
    devices = listed(A, B)
    claim(devices, A, 512)
    assert claim(devices, A, []) == 512
    assert claim(devices, B, 512) is None


def test_one_service_speaks_for_a_class_without_instances() -> None:
    """The first one does, as long as it is listed."""
    can0, can1 = "com.victronenergy.vecan.can0", "com.victronenergy.vecan.can1"
    devices = listed(can0, can1)
    assert [devices.hold(name, "vecan") for name in (can0, can1, can0, can1)] == [True, False, True, False]
    assert devices.duplicates == 2
    devices.listed(frozenset([can1]))
    assert devices.hold(can1, "vecan")


def test_invented_devices_leave_room_once_they_are_gone() -> None:
    """A server that invents names fills the table, not for ever."""
    names = [f"com.victronenergy.battery.x{number}" for number in range(1001)]
    devices = listed(*names)
    known = [claim(devices, name, number) for number, name in enumerate(names)]
    assert known.count(None) == 1
    devices.listed(frozenset([A]))
    assert claim(devices, A, 5000) == 5000


MAC = "11:22:33:AA:BB:CC"
INFO: dict[str, Any] = {"class": "battery", "instance": 512, "name": None, "product": None, "serial": None}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"CustomName": "x" * 1000}, {"name": "x" * 256}),
        ({"CustomName": MAC, "Serial": MAC}, {"name": None, "serial": MAC}),
        ({"ProductName": "0123456789abcdef" * 2}, {"product": None}),
        ({"CustomName": "a\ud800b"}, {"name": "a?b"}),
        ({"CustomName": "Батарея"}, {"name": "Батарея"}),
    ],
)
def test_what_a_device_says_about_itself_is_cut_and_cleaned(values: dict[str, Any], expected: dict[str, Any]) -> None:
    """Texts of the info document are short, hold no MAC address but in the serial, and can be written as UTF-8."""
    info = device_info(Device("battery", 512), A, values, None)
    assert info == INFO | {"firmware": None, "service": A} | expected
    json.dumps(info, ensure_ascii=False).encode()
