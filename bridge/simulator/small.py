"""The small services of a GX: ESS control, VRM logger, temperature sensors, Bluetooth and a virtual switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.simulator.leafs import leafs
from bridge.simulator.noise import Wander, stream
from bridge.simulator.site import Site
from bridge.simulator.store import Root

FAKE_KEY = "FA4EFA4EFA4EFA4EFA4EFA4EFA4EFA4E"
FAKE_BLE_MAC = "02:00:00:FA:CE:02"
VRM_INTERVAL_S = 60.0

HUB4_LEAFS = leafs("""
AcPowerSetpoint = 40.0
Alarms/NoGridMeter = 0
Connected = 1
DeviceInstance = 0
FirmwareVersion
IsPeakShaving = 0
MaxChargePower
MaxDischargePower
Mgmt/Connection = "local"
Mgmt/ProcessName = "hub4control"
Mgmt/ProcessVersion = "1.86"
Overrides/FeedInExcess = 0
Overrides/ForceCharge = 0
Overrides/MaxDischargePower = -1.0
Overrides/Setpoint
ProductId
ProductName = "Hub4"
Pv/Disable = 0
PvPowerLimiterActive = 0
""")

LOGGER_LEAFS = leafs("""
Buffer/{Count,ErrorState,Location} = 0
Buffer/FreeDiskSpace = 4218433536
Buffer/OldestTimestamp
Connected = 1
DeviceInstance = 0
FirmwareVersion
HardwareVersion
Mgmt/Connection = "Internet"
Mgmt/ProcessName = "/opt/victronenergy/vrmlogger/vrmlogger.py"
Mgmt/ProcessVersion = "2.97"
ProductId
ProductName = "VRM logger"
Storage/MountState = 0
Vrm/ConnectionError = 0
Vrm/ConnectionErrorMessage = ""
Vrm/ScheduledReboot
Vrm/TimeLastContact = 0
""")

TEMPERATURE_LEAFS = leafs("""
Connected = 1
CustomName = ""
DeviceInstance = 26
FilterLength = 10
Mgmt/Connection = "Temperature input 3"
Mgmt/ProcessName = "dbus-adc"
Mgmt/ProcessVersion = "1.32"
Offset = 0.0
ProductId = 41314
ProductName = "Generic Temperature Input"
RawUnit = "V"
RawValue
Scale = 1.0
Status = 0
Temperature
TemperatureType = 2
""")

BLE_LEAFS = leafs(f"""
ContinuousScan = 0
Devices/fa4e00000001/Enabled = 1
Devices/fa4e00000001/Key = "{FAKE_KEY}"
Devices/fa4e00000001/Name = "Ruuvi 0001"
Interfaces/hci0/Address = "{FAKE_BLE_MAC}"
Socket/BindAddress = "127.0.0.1"
Socket/Port = 8199
""")

SWITCH_LEAFS = leafs("""
Connected = 1
CustomName = "AI_write"
DeviceInstance = 102
Mgmt/Connection = "Virtual"
Mgmt/ProcessName = "dbus-victron-virtual"
Mgmt/ProcessVersion = "0.1.14"
ProductId = 49257
ProductName = "Virtual switch"
Serial = "51a0c0ffee000102"
State = 256
SwitchableOutput/output_1/Name = "Output 1"
SwitchableOutput/output_1/Settings/{CustomName,Group} = ""
SwitchableOutput/output_1/Settings/{Type,ValidTypes} = 1
SwitchableOutput/output_1/State = 0
SwitchableOutput/output_1/Status = 0
""")


class Hub4:
    """The ESS controller: what it asks of the inverter."""

    key = "hub4"
    service = "com.victronenergy.hub4"
    root = Root.TREE

    def leafs(self) -> dict[str, Any]:
        return dict(HUB4_LEAFS)

    def update(self, site: Site) -> Mapping[str, Any]:
        has_meter = site.service("grid") is not None
        return {
            "AcPowerSetpoint": round(-sum(phase.inverter_w for phase in site.plant.flow.phases), 1),
            "MaxChargePower": round(site.plant.battery.max_charge_w, 1),
            "MaxDischargePower": round(site.plant.battery.max_discharge_w, 1),
            "Alarms/NoGridMeter": 0 if has_meter else 2,
        }


class Logger:
    """The link to VRM: contact every minute of real time, unless a scenario cut it."""

    key = "logger"
    service = "com.victronenergy.logger"
    root = Root.TREE

    def leafs(self) -> dict[str, Any]:
        return dict(LOGGER_LEAFS)

    def update(self, site: Site) -> Mapping[str, Any]:
        if site.vrm_contact_at is None:
            contact = int(site.clock.now() // VRM_INTERVAL_S * VRM_INTERVAL_S)
            return {
                "Vrm/TimeLastContact": contact,
                "Vrm/ConnectionError": 0,
                "Vrm/ConnectionErrorMessage": "",
                "Buffer/Count": 0,
            }
        return {
            "Vrm/TimeLastContact": int(site.vrm_contact_at),
            "Vrm/ConnectionError": 155,
            "Vrm/ConnectionErrorMessage": "Could not resolve host",
            "Buffer/Count": max(1, int((site.clock.now() - site.vrm_contact_at) / VRM_INTERVAL_S)),
            "Buffer/OldestTimestamp": int(site.vrm_contact_at),
        }


class Temperature:
    """A wired sensor: a slow wander around a mean."""

    root = Root.TREE

    def __init__(self, seed: int, pin: int, instance: int, name: str, mean_c: float) -> None:
        self.key = f"temperature/{instance}"
        self.service = f"com.victronenergy.temperature.adc_builtin0_{pin}"
        self._own = {"CustomName": name, "DeviceInstance": instance, "Mgmt/Connection": f"Temperature input {9 - pin}"}
        self._mean_c = mean_c
        self._wander = Wander(stream(seed, self.key), 1.2, 600.0)

    def leafs(self) -> dict[str, Any]:
        return {**TEMPERATURE_LEAFS, **self._own}

    def update(self, site: Site) -> Mapping[str, Any]:
        warm_c = self._mean_c + self._wander.step(1.0)
        return {"Temperature": round(warm_c, 2), "RawValue": round((warm_c + 273.15) / 100.0, 4)}


class Still:
    """A service whose values only change when somebody writes them."""

    def __init__(self, key: str, service: str, values: Mapping[str, Any], root: Root = Root.TREE) -> None:
        self.key = key
        self.service = service
        self.root = root
        self._values = dict(values)

    def leafs(self) -> dict[str, Any]:
        return dict(self._values)

    def update(self, site: Site) -> Mapping[str, Any]:
        return {}
