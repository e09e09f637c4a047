"""What the system calculator says of the battery: the values of the one it chose, and how it names its choice."""

from __future__ import annotations

import json
from typing import Any

from bridge.simulator.site import Site

_GONE = ("Soc", "Current", "Power", "State", "TimeToGo", "ConsumedAmphours", "Temperature", "TemperatureService")
# system leaf -> leaf of the battery that it repeats
_COPIED = {
    "Soc": "/Soc",
    "Voltage": "/Dc/0/Voltage",
    "Current": "/Dc/0/Current",
    "Power": "/Dc/0/Power",
    "TimeToGo": "/TimeToGo",
    "ConsumedAmphours": "/ConsumedAmphours",
    "ProductId": "/ProductId",
    "Temperature": "/Dc/0/Temperature",
}


def battery_leafs(site: Site) -> dict[str, Any]:
    """Return the leafs about the battery: those of the service that is on the bus now, or none."""
    name = site.service("battery")
    if name is None or not site.plant.has_bms:
        return _no_battery(site, name)
    has_bms = name.rpartition(".")[2].startswith("socketcan")
    label = str(site.store.peek(name, "/CustomName") or site.store.peek(name, "/ProductName"))
    copied: dict[str, Any] = {f"Dc/Battery/{leaf}": site.store.peek(name, path) for leaf, path in _COPIED.items()}
    return {
        **copied,
        **_services(site, name, label, copied["Dc/Battery/Temperature"] != []),
        **_bms(site, name, label, has_bms),
        "Dc/Battery/State": _state(site),
        "Batteries": [_summary(site, name, label)],
    }


def _state(site: Site) -> int:
    """Return 0 idle, 1 charging, 2 discharging."""
    power_w = site.plant.battery.power_w
    return 1 if power_w > 30.0 else 2 if power_w < -30.0 else 0


def _summary(site: Site, name: str, label: str) -> dict[str, Any]:
    battery = site.plant.battery
    return {
        "id": name,
        "name": label,
        "instance": site.instance("battery"),
        "active_battery_service": True,
        "soc": round(battery.soc, 1),
        "voltage": round(battery.voltage_v, 2),
        "current": round(battery.current_a, 1),
        "power": round(battery.power_w, 0),
        "state": _state(site),
    }


def _services(site: Site, name: str, label: str, has_sensor: bool) -> dict[str, Any]:
    instance = site.instance("battery")
    service = f"com.victronenergy.battery/{instance}"
    measurement = f"com_victronenergy_battery_{instance}/Dc/0"
    sensors = {f"{service}/Dc/0/Temperature": label} if has_sensor else {}
    names = {"default": "Automatic", "nobattery": "No battery monitor"}
    return {
        "ActiveBatteryService": service,
        "AutoSelectedBatteryService": label,
        "AutoSelectedBatteryMeasurement": measurement,
        "AutoSelectedTemperatureService": label if has_sensor else [],
        "AvailableBatteries": json.dumps({service: {"name": label, "channel": None, "type": "battery"}}),
        "AvailableBatteryMeasurements": {**names, measurement: label},
        "AvailableBatteryServices": json.dumps({**names, service: label}),
        "AvailableTemperatureServices": {"default": "Automatic", "nosensor": "No sensor", **sensors},
        "Dc/Battery/BatteryService": name,
        "Dc/Battery/TemperatureService": name if has_sensor else [],
        "Dc/Battery/VoltageService": name,
    }


def _bms(site: Site, name: str, label: str, has_bms: bool) -> dict[str, Any]:
    instance = site.instance("battery")
    return {
        "ActiveBmsInstance": instance if has_bms else [],
        "ActiveBmsService": name if has_bms else [],
        "AvailableBmsServices": [{"name": label, "instance": instance}] if has_bms else [],
        "Control/BmsParameters": int(has_bms),
        "Control/EffectiveChargeVoltage": 56.0 if has_bms else [],
        "Dc/Battery/Capacity": site.plant.battery.capacity_ah if has_bms else [],
        "Dc/Battery/ChargeVoltage": 56.0 if has_bms else [],
    }


def _no_battery(site: Site, name: str | None) -> dict[str, Any]:
    """Return what is left when no battery speaks: the inverter's voltage, if there is an inverter."""
    service = site.service("vebus")
    return {
        **{f"Dc/Battery/{leaf}": [] for leaf in _GONE},
        "Dc/Battery/Voltage": round(site.plant.battery.voltage_v, 2) if service else [],
        "Dc/Battery/VoltageService": service or [],
        "Dc/Battery/BatteryService": name or [],
        "ActiveBmsService": [],
        "ActiveBmsInstance": [],
        "AvailableBmsServices": [],
        "Batteries": [],
    }
