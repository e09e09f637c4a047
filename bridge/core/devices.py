"""Which device a D-Bus service is, and which devices are on the GX.

A device is its class and DeviceInstance; the service name ends in a port and changes with the cable. A number belongs
to the first service that claims it, for as long as that service is listed and goes on claiming it. Nothing is decided
by a single miss: a device counts as gone only when two lists of services in a row miss it and no other service has
taken its place, and a number is guessed only when a service fails to tell one again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bridge.core.values import clean_text, looks_secret
from bridge.model import Device

_PREFIX = "com.victronenergy."
_MISSING_LISTS = 2
_MAX_DEVICES = 1000  # a GX has tens; a server that invents names must not fill the memory
_MAX_INSTANCE = 0xFFFFFFFF
_BLANK_PAGES = 3  # a driver that starts lists its paths before it knows its number
_NUMBERLESS = frozenset(("gps",))  # old GPS drivers never have one; others like them are one per GX
_MAX_INFO_TEXT = 256

INFO_FIELDS = {  # key of the info document -> D-Bus paths, first one with a value wins
    "name": ("CustomName", "DeviceName"),
    "product": ("ProductName", "Model"),
    "serial": ("Serial", "Devices/0/SerialNumber"),
    "firmware": ("FirmwareVersion", "Mgmt/ProcessVersion"),
}


class Presence(NamedTuple):
    """A device came or went."""

    device: Device
    is_online: bool


def class_of(service: str) -> str | None:
    """Return the D-Bus class in a service name: `battery` of `com.victronenergy.battery.ttyO1`; None if it has none."""
    if not service.startswith(_PREFIX):
        return None
    name = service[len(_PREFIX) :].partition(".")[0].lower()
    return name if name.isidentifier() and name.isascii() and len(name) <= 64 else None


class Devices:
    """The devices of one GX. Fed with lists of services and with the DeviceInstance of each service."""

    def __init__(self) -> None:
        self._by_service: dict[str, Device] = {}
        self._service_of: dict[Device, str] = {}
        self._guessed: set[str] = set()  # services whose number they do not tell (any more)
        self._blank: dict[str, int] = {}  # pages in a row without a number, by service
        self._holders: dict[str, str] = {}  # of the classes without instance: class -> service
        self._listed: frozenset[str] = frozenset()
        self._missed: dict[Device, int] = {}
        self._expected: set[Device] = set()
        self.online: set[Device] = set()
        self.duplicates = 0

    def identify(self, service: str, kind: str, instance: Any, is_final: bool = False) -> Device | None:
        """Return the device behind `service`.

        Args:
            instance: its raw DeviceInstance, None when not in the page.
            is_final: a number that is missing now will not come later.

        Returns:
            None: not known yet, or another listed service already is this device.
        """
        known = self._by_service.get(service)
        if instance is None:
            return known
        number = _number(instance)
        if number is None:
            return self._without_number(service, kind, is_final)
        self._blank.pop(service, None)
        self._guessed.discard(service)
        if known is not None:
            if known.instance == number:
                return known
            self._release(service)
        device = Device(kind, number)
        holder = self._service_of.get(device)
        if holder in self._listed and holder not in self._guessed:
            self.duplicates += 1
            return None
        return self._take(service, device)

    def hold(self, service: str, kind: str) -> bool:
        """Tell whether `service` is the one that speaks for a class of which there is one per GX."""
        holder = self._holders.setdefault(kind, service)
        if holder != service and holder in self._listed:
            self.duplicates += 1
            return False
        self._holders[kind] = service
        return True

    def _without_number(self, service: str, kind: str, is_final: bool) -> Device | None:
        pages = self._blank[service] = self._blank.get(service, 0) + 1
        device = self._by_service.get(service)
        if device is None:
            if pages < _BLANK_PAGES and not is_final and kind not in _NUMBERLESS:
                return None
            device = self._take(service, self._guess(service, kind))
            pages = _BLANK_PAGES
        if device is not None and pages >= _BLANK_PAGES:
            self._guessed.add(service)
        return device

    def _guess(self, service: str, kind: str) -> Device:
        """Return the device whose place `service` takes, else the first free one."""
        if service in self._listed:  # without a list nobody can be known to be gone
            gone = [self._by_service[other] for other in self._guessed - self._listed]
            replaced = min((device for device in gone if device.kind == kind), default=None)
            if replaced is not None:
                return replaced
        taken = {device.instance for device in self._service_of if device.kind == kind}
        return Device(kind, next(number for number in range(len(taken) + 1) if number not in taken))

    def _take(self, service: str, device: Device) -> Device | None:
        holder = self._service_of.get(device)
        if holder is not None:
            self._release(holder)
        if len(self._service_of) >= _MAX_DEVICES:
            present = self.online | self._expected
            for other, where in list(self._service_of.items()):
                if where not in self._listed and other not in present:
                    self._release(where)
        if len(self._service_of) >= _MAX_DEVICES:
            return None
        self._by_service[service] = device
        self._service_of[device] = service
        return device

    def _release(self, service: str) -> None:
        del self._service_of[self._by_service.pop(service)]
        self._guessed.discard(service)

    def expect(self, devices: Iterable[Device]) -> None:
        """Name the devices that were there before a restart: they are announced as gone if they do not come back."""
        self._expected.update(devices)

    def seen(self, device: Device) -> list[Presence]:
        """A page of `device` was read."""
        self._missed.pop(device, None)
        self._expected.discard(device)
        if device in self.online:
            return []
        self.online.add(device)
        return [Presence(device, True)]

    def listed(self, services: frozenset[str]) -> list[Presence]:
        """The GX gave the complete list of its services."""
        self._listed = services
        self._blank = {service: pages for service, pages in self._blank.items() if service in services}
        gone = []
        for device in sorted(self.online | self._expected):
            if self._service_of.get(device) in services:
                self._missed.pop(device, None)
                continue
            self._missed[device] = self._missed.get(device, 0) + 1
            if self._missed[device] >= _MISSING_LISTS:
                gone.append(device)
        for device in gone:
            self.online.discard(device)
            self._expected.discard(device)
            del self._missed[device]
        return [Presence(device, False) for device in gone]

    def service_of(self, device: Device) -> str:
        return self._service_of.get(device, "")


def _number(raw: Any) -> int | None:
    if isinstance(raw, int | float) and not isinstance(raw, bool) and 0 <= raw <= _MAX_INSTANCE:
        return int(raw)
    return None


def device_info(device: Device, service: str, values: Mapping[str, Any], firmware: str | None) -> dict[str, Any]:
    """Return the info document of a device (topics.md section 2); what the device does not tell is null."""
    info: dict[str, Any] = {"class": device.kind, "instance": device.instance}
    for key, paths in INFO_FIELDS.items():
        texts = (values.get(path) for path in paths)
        text = next((text for text in texts if isinstance(text, str) and text), None)
        info[key] = _info_text(text, is_serial=key == "serial")
    info["firmware"] = firmware or info["firmware"]
    info["service"] = _info_text(service)
    return info


def _info_text(text: str | None, is_serial: bool = False) -> str | None:
    """Return what a device calls itself, unless a stranger could use it: users name things after their keys."""
    if text is None or (not is_serial and looks_secret("", text)):
        return None
    return clean_text(text[:_MAX_INFO_TEXT])
