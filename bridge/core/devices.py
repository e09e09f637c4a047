"""Which device a D-Bus service is, and which devices are on the GX.

A device is its class and DeviceInstance; the service name ends in a port and changes with the cable. Nothing is
decided by a guess: a device counts as gone only when two lists of services in a row miss it and no other service
has taken its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bridge.model import Device

_PREFIX = "com.victronenergy."
_MISSING_LISTS = 2
_MAX_DEVICES = 1000  # a GX has tens; a server that invents names must not fill the memory
_MAX_INSTANCE = 0xFFFFFFFF

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
        self._listed: frozenset[str] = frozenset()
        self._missed: dict[Device, int] = {}
        self._expected: set[Device] = set()
        self.online: set[Device] = set()
        self.duplicates = 0

    def identify(self, service: str, kind: str, instance: Any) -> Device | None:
        """Return the device behind `service`; `instance` is its raw DeviceInstance, None when not in the page.

        None: not known yet, or another listed service already is this device.
        """
        known = self._by_service.get(service)
        if instance is None:
            return known
        number = self._instance(service, kind, instance)
        device = Device(kind, number)
        holder = self._service_of.get(device, service)
        if holder != service and holder in self._listed:
            self.duplicates += 1
            return None
        if device not in self._service_of and len(self._service_of) >= _MAX_DEVICES:
            return None
        if known is not None and known != device:
            self._service_of.pop(known, None)
        self._by_service.pop(holder, None)
        self._by_service[service] = device
        self._service_of[device] = service
        return device

    def _instance(self, service: str, kind: str, raw: Any) -> int:
        if isinstance(raw, int | float) and not isinstance(raw, bool) and 0 <= raw <= _MAX_INSTANCE:
            return int(raw)
        # Old GPS and modem drivers have none. Keep what it was, else take the first free number.
        known = self._by_service.get(service)
        if known is not None:
            return known.instance
        taken = {device.instance for device in self._service_of if device.kind == kind}
        return next(number for number in range(len(taken) + 1) if number not in taken)

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


def device_info(device: Device, service: str, values: Mapping[str, Any], firmware: str | None) -> dict[str, Any]:
    """Return the info document of a device (topics.md section 2); what the device does not tell is null."""
    info: dict[str, Any] = {"class": device.kind, "instance": device.instance}
    for key, paths in INFO_FIELDS.items():
        texts = (values.get(path) for path in paths)
        info[key] = next((text for text in texts if isinstance(text, str) and text), None)
    info["firmware"] = firmware or info["firmware"]
    info["service"] = service
    return info
