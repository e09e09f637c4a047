"""Solar chargers: MPPTs on VE.Direct, classes solarcharger, and an AC-coupled inverter, class pvinverter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.simulator.bms import float32
from bridge.simulator.leafs import leafs
from bridge.simulator.site import Site
from bridge.simulator.store import Root

OFF, BULK, ABSORPTION, FLOAT, EXTERNAL = 0, 3, 4, 5, 252
NO_PANEL_POWER = 1024

MPPT_LEAFS = leafs("""
Alarms/{Alarm,HighVoltage,LowVoltage}
Capabilities/Capabilities1 = 134868854
Connected = 1
CustomName = ""
Dc/0/{Current,Temperature,Voltage}
DeviceInstance = 278
DeviceOffReason = 0
Devices/0/{CustomName,VregLink}
Devices/0/{DeviceInstance,FirmwareVersion,ProductId,ProductName,ServiceName}
Equalization/{Pending,TimeRemaining}
ErrorCode = 0
FirmwareVersion = 359
GroupId
HardwareVersion
History/Overall/DaysAvailable = 31
History/Overall/LastError{1..4} = 0
History/Overall/MaxBatteryVoltage = 56.119998931884766
History/Overall/MaxPvVoltage = 141.32000732421875
History/Overall/MinBatteryVoltage = 46.869998931884766
Link/{BatteryCurrent,ChargeCurrent,ChargeVoltage,TemperatureSense,VoltageSense}
Link/NetworkMode = 13
Link/NetworkStatus = 4
Link/TemperatureSenseActive = 0
Link/VoltageSenseActive = 1
Load/{I,State}
Mgmt/Connection = "VE.Direct"
Mgmt/ProcessName = "vedirect-dbus"
Mgmt/ProcessVersion = "3.65"
Mode = 1
MppOperationMode = 0
NrOfTrackers = 1
ProductId = 41047
ProductName = "SmartSolar Charger MPPT 150/60"
Pv/{I,V}
Relay/0/State = 0
Serial
Settings/BmsPresent = 1
Settings/ChargeCurrentLimit = 60.0
State = 0
VEDirect/{HexChecksumErrors,HexInvalidCharacterErrors,HexUnfinishedErrors} = 0
VEDirect/{TextChecksumErrors,TextParseError,TextUnfinishedErrors} = 0
Yield/Power = 0.0
Yield/{System,User} = 0.0
""")
DAY_LEAFS = leafs("""
Consumption
LastError{1..4} = 0
MaxBatteryCurrent = 41.5
MaxBatteryVoltage = 55.880001068115234
MaxPvVoltage = 138.5500030517578
MaxPower = 0.0
MinBatteryVoltage = 51.79999923706055
Nr = 0
TimeInAbsorption = 62.0
TimeInBulk = 401.0
TimeInFloat = 118.0
Yield = 0.0
""")

PVINVERTER_LEAFS = leafs("""
Ac/{Current,Frequency,Power,PowerFactor,Voltage}
Ac/Energy/Forward = 0.0
Ac/{L1,L2,L3}/{Current,Power,Voltage}
Ac/{L1,L2,L3}/Energy/Forward = 0.0
Ac/MaxPower = 5000.0
Ac/NumberOfPhases = 3
Ac/PowerLimit
AllowedRoles
Connected = 1
CustomName = "Barn roof"
DeviceInstance = 20
ErrorCode = 0
FirmwareVersion = "0.3.22-1"
HardwareVersion
Mgmt/Connection = "192.0.2.31"
Mgmt/ProcessName = "dbus-fronius"
Mgmt/ProcessVersion = "2.14.0"
NrOfPhases = 3
Position = 0
PositionIsAdjustable = 0
ProductId = 41285
ProductName = "Fronius PV inverter"
Role = "pvinverter"
Serial = "SIM31270001"
StatusCode = 7
""")


class Mppt:
    """A single-tracker solar charger that works array `array` of the plant."""

    root = Root.TREE

    def __init__(self, array: int, port: str, instance: int, serial: str, name: str = "") -> None:
        self.key = f"solarcharger/{instance}"
        self.service = f"com.victronenergy.solarcharger.{port}"
        self._array = array
        self._own = {"DeviceInstance": instance, "Serial": serial, "CustomName": name}

    def leafs(self) -> dict[str, Any]:
        days = {f"History/Daily/{day}/{leaf}": value for day in range(31) for leaf, value in DAY_LEAFS.items()}
        link = {f"Devices/0/{leaf}": MPPT_LEAFS[leaf] for leaf in ("FirmwareVersion", "ProductId", "ProductName")}
        link |= {"Devices/0/ServiceName": self.service, "Devices/0/DeviceInstance": self._own["DeviceInstance"]}
        numbers = {f"History/Daily/{day}/Nr": 178 - day for day in range(31)}
        return {**MPPT_LEAFS, **link, **self._own, **days, **numbers}

    def update(self, site: Site) -> Mapping[str, Any]:
        power_w = site.plant.flow.arrays_w[self._array]
        battery = site.plant.battery
        is_on = power_w > 3.0
        pv_v = 88.0 + 38.0 * (1.0 - 0.25 * power_w / site.plant.config.dc_arrays[self._array].peak_w) if is_on else 2.4
        values = {
            "Yield/Power": float32(round(power_w, 0)),
            "Yield/User": float32(round(site.energy.yields_kwh[self._array], 2)),
            "Yield/System": float32(round(site.energy.yields_kwh[self._array], 2)),
            "Pv/V": float32(round(pv_v, 2)),
            "Pv/I": float32(round(power_w / pv_v, 1)) if is_on else 0.0,
            "Dc/0/Voltage": float32(round(battery.voltage_v, 2)),
            "Dc/0/Current": float32(round(power_w / battery.voltage_v, 1)),
            "State": charge_state(site, is_on),
            "MppOperationMode": 0 if not is_on else 1 if battery.soc > 99.5 else 2,
            "DeviceOffReason": 0 if is_on else NO_PANEL_POWER,
            "Link/ChargeVoltage": 56.0,
            "Link/ChargeCurrent": float32(battery.charge_limit_a),
            "Link/BatteryCurrent": float32(round(battery.current_a, 1)),
            "Link/VoltageSense": float32(round(battery.voltage_v, 2)),
        }
        for number, day in enumerate(site.energy.days[self._array]):
            values[f"History/Daily/{number}/Yield"] = float32(round(day.yield_kwh, 2))
            values[f"History/Daily/{number}/MaxPower"] = float32(round(day.max_w, 0))
        return values


class PvInverter:
    """A three-phase PV inverter on the AC input."""

    key = "pvinverter"
    service = "com.victronenergy.pvinverter.pv_31_SIM31270001"
    root = Root.TREE

    def leafs(self) -> dict[str, Any]:
        return dict(PVINVERTER_LEAFS)

    def update(self, site: Site) -> Mapping[str, Any]:
        flow = site.plant.flow
        values: dict[str, Any] = {
            "Ac/Power": round(flow.ac_pv_w, 1),
            "Ac/Energy/Forward": round(sum(phase.ac_pv for phase in site.energy.phases), 2),
            "Ac/Frequency": round(flow.phases[0].out_hz, 2),
            "Ac/Current": round(flow.ac_pv_w / flow.phases[0].out_v, 2),
            "Ac/Voltage": round(flow.phases[0].out_v, 1),
            "StatusCode": 7 if flow.ac_pv_w > 5.0 else 8,
        }
        for number, phase in enumerate(flow.phases, 1):
            values[f"Ac/L{number}/Power"] = round(phase.ac_pv_w, 1)
            values[f"Ac/L{number}/Voltage"] = round(phase.out_v, 1)
            values[f"Ac/L{number}/Current"] = round(phase.ac_pv_w / phase.out_v, 2)
            values[f"Ac/L{number}/Energy/Forward"] = round(site.energy.phases[number - 1].ac_pv, 2)
        return values


def charge_state(site: Site, is_on: bool) -> int:
    """Return the charger state: with a managed battery it is under external control all day."""
    if not is_on:
        return OFF
    if site.plant.battery.soc > 99.5:
        return FLOAT
    return EXTERNAL if site.service("battery") and site.plant.houses else BULK
