"""The GX itself: com.victronenergy.platform with CAN ports, network, firmware, notifications.

It holds what looks like secrets (Wi-Fi names, MAC addresses), all of it invented: a bridge must never publish them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from bridge.simulator.leafs import leafs
from bridge.simulator.site import Site
from bridge.simulator.store import Root

FAKE_SSID = "FAKE-SSID-do-not-publish"
FAKE_MAC = "02:00:00:FA:CE:01"

LEAFS = leafs("""
CanBus/Interface/{can0,can1}/Statistics = ""
CanBus/Interface/{can0,can1}/Rescan = 0
ConnectVrmTunnel = true
Connected = 1
Device/DataPartitionError = 0
Device/DataPartitionFullError = 0
Device/HQSerialNumber = "HQ0000SIM00"
Device/Model = "Cerbo GX"
Device/Name = "simulator"
Device/ProductId = "C00A"
Device/Reboot = 0
Device/RestartGui = 0
Device/SimulatedUniqueId
Device/Time = 0
Device/UniqueId = ""
DeviceInstance = 0
Firmware/Backup/AvailableBuild = "20250821134212"
Firmware/Backup/AvailableVersion = "v3.65"
Firmware/Installed/Build = "20251103120000"
Firmware/Installed/ImageType = 1
Firmware/Installed/Version = "v3.70"
Firmware/Offline/{AvailableBuild,AvailableVersion}
Firmware/Online/AvailableBuild = "20251103120000"
Firmware/Online/AvailableVersion = "v3.70"
Firmware/Online/Check = 0
Firmware/Online/Install
Firmware/Progress
Firmware/State = 1000
Led/State
Mgmt/Connection = "local"
Mgmt/ProcessName = "venus-platform"
Mgmt/ProcessVersion = "2.79"
ModificationChecks/DataPartitionFreeSpace = 4187593114
ModificationChecks/{FsModifiedState,SystemHooksState,StartCheck} = 0
ModificationChecks/SshKeyForRootPresent = 1
Mqtt/Bridges/{GXdbus,GXrpc}/Connected = 1
Mqtt/Bridges/{GXdbus,GXrpc}/ConnectionStatus = "Connected"
Mqtt/RegisterOnVrm = 0
Network/{ConfigChanged,SetValue} = 0
Network/Ethernet/LinkLocalIpAddress = "169.254.77.1"
Network/HasBluetoothSupport = 1
Network/Services = "{}"
Network/Wifi/Scan = 0
Network/Wifi/SignalStrength = 68
Network/Wifi/State = "ready"
Notifications/AcknowledgeAll = 0
Notifications/Alarm = false
Notifications/Alert = false
Notifications/NumberOf{Notifications,ActiveNotifications,ActiveAlarms,ActiveWarnings,ActiveInformations} = 0
Notifications/NumberOfUnAcknowledged{Alarms,Warnings,Informations} = 0
ProductName = "Cerbo GX"
Relay/0/State
Security/Api = ""
Services/AccessPoint/Enabled = 1
Services/Evcc/{Enabled,Installed} = 0
Services/NodeRed/Mode = 1
Services/SignalK/Enabled = 0
""")
_KEPT = 6  # notifications that the platform remembers


class Notification(NamedTuple):
    """One line of the GX's notification page."""

    at: float
    service: str
    path: str
    text: str
    device: str
    level: int
    is_active: bool


class Platform:
    """The GX's own service."""

    key = "platform"
    service = "com.victronenergy.platform"
    root = Root.TREE

    def __init__(self, serial: str, can_ports: tuple[str, ...] = ("can0", "can1")) -> None:
        self._serial = serial
        self._can_ports = can_ports
        self._notes: list[Notification] = []

    def leafs(self) -> dict[str, Any]:
        ports = [{"config": 0, "interface": name, "name": name} for name in self._can_ports]
        kept = {path: value for path, value in LEAFS.items() if not path.startswith("CanBus") or self._can_ports}
        return {
            **kept,
            "Device/UniqueId": self._serial,
            "CanBus/Interfaces": json.dumps(ports),
            "Network/Services": json.dumps(_networks()),
        }

    def update(self, site: Site) -> Mapping[str, Any]:
        self._notice(site)
        up_s = site.clock.uptime_s()
        ports = {
            f"CanBus/Interface/{name}/Statistics": json.dumps(
                [_statistics(name, up_s, site.can_errors if name == "can0" else 0.0)]
            )
            for name in self._can_ports
        }
        return {**ports, **self._notifications(), "Device/Time": int(site.clock.now())}

    def _notice(self, site: Site) -> None:
        """Turn alarms that came or went into notifications."""
        alarms = {alarm[:2]: alarm for alarm in _alarms(site)}
        for index, note in enumerate(self._notes):
            if note.is_active and (note.service, note.path) not in alarms:
                self._notes[index] = note._replace(is_active=False)
        active = {(note.service, note.path) for note in self._notes if note.is_active}
        for (service, path), (_, _, text, device, level) in alarms.items():
            if (service, path) not in active:
                self._notes.insert(0, Notification(site.clock.now(), service, path, text, device, level, True))
        del self._notes[_KEPT:]

    def _notifications(self) -> dict[str, Any]:
        active = [note for note in self._notes if note.is_active]
        alarms = sum(1 for note in active if note.level == 2)
        values: dict[str, Any] = {
            "Notifications/Alarm": alarms > 0,
            "Notifications/Alert": bool(active),
            "Notifications/NumberOfNotifications": len(self._notes),
            "Notifications/NumberOfActiveNotifications": len(active),
            "Notifications/NumberOfActiveAlarms": alarms,
            "Notifications/NumberOfActiveWarnings": len(active) - alarms,
            "Notifications/NumberOfUnAcknowledgedAlarms": sum(1 for note in self._notes if note.level == 2),
            "Notifications/NumberOfUnAcknowledgedWarnings": sum(1 for note in self._notes if note.level == 1),
        }
        for index, note in enumerate(self._notes):
            fields = {
                "Acknowledged": False,
                "Silenced": 0,
                "Active": note.is_active,
                "AlarmValue": note.level,
                "DateTime": int(note.at),
                "Description": note.text,
                "DeviceName": note.device,
                "Service": note.service,
                "Trigger": note.path,
                "Type": 1 if note.level == 2 else 0,
                "Value": str(note.level),
            }
            values |= {f"Notifications/{index}/{field}": value for field, value in fields.items()}
        return values


_TEXTS = (
    ("grid_lost", "vebus", "/Alarms/GridLost", "Grid lost"),
    ("grid_lost", "acsystem", "/Alarms/GridLost", "Grid lost"),
    ("overload", "vebus", "/Alarms/L1/Overload", "Inverter overload"),
    ("bms_lost", "vebus", "/Alarms/BmsConnectionLost", "BMS connection lost"),
    ("cell_imbalance", "battery", "/Alarms/CellImbalance", "Cell imbalance"),
    ("high_temperature", "battery", "/Alarms/HighTemperature", "High battery temperature"),
)


def _alarms(site: Site) -> list[tuple[str, str, str, str, int]]:
    """Return (service, path, text, device, level) of every alarm that is on."""
    found = []
    for name, key, path, text in _TEXTS:
        level = site.alarms.levels.get(name, 0)
        service = site.service(key)
        if level and service:
            found.append((service, path, text, service.split(".")[2], level))
    return found


def _statistics(port: str, up_s: float, errors: float) -> dict[str, Any]:
    """Return what `ip -details -statistics link` says of a CAN port; the state worsens with the errors."""
    packets = int(up_s * 410)
    state = "ERROR-PASSIVE" if errors >= 128 else "ERROR-WARNING" if errors >= 96 else "ERROR-ACTIVE"
    return {
        "ifindex": 3,
        "ifname": port,
        "flags": ["NOARP", "UP", "LOWER_UP", "ECHO"],
        "operstate": "UP",
        "link_type": "can",
        "linkinfo": {
            "info_kind": "can",
            "info_data": {
                "state": state,
                "berr_counter": {"tx": 0, "rx": min(127, int(errors))},
                "restart_ms": 100,
                "bittiming": {"bitrate": 500000, "sample_point": "0.875"},
                "clock": 24000000,
            },
            "info_xstats": {
                "restarts": 0,
                "bus_error": int(errors),
                "arbitration_lost": 0,
                "error_warning": int(errors >= 96),
                "error_passive": int(errors >= 128),
                "bus_off": 0,
            },
        },
        "stats64": {
            "rx": {"bytes": packets * 7, "packets": packets, "errors": int(errors), "dropped": 0, "over_errors": 0},
            "tx": {"bytes": packets * 2, "packets": packets // 4, "errors": 0, "dropped": 0, "carrier_errors": 0},
        },
    }


def _networks() -> dict[str, Any]:
    common = {"Mac": FAKE_MAC, "Method": "dhcp", "Nameservers": ["192.0.2.1"], "Netmask": "255.255.255.0"}
    wired = {"Address": "192.0.2.8", "Gateway": "192.0.2.1", "State": "online", "Service": "ethernet_fake", **common}
    wifi = {
        "Address": "",
        "Gateway": "",
        "State": "idle",
        "Service": "wifi_fake",
        "Strength": 68,
        "Secured": "yes",
        **common,
    }
    return {"ethernet": {"Wired": wired}, "wifi": {FAKE_SSID: wifi}}
