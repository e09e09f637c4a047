"""Batteries: a CAN-bus BMS with modules and cells (instance 512), and a shunt (instance 256) for small systems."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from bridge.simulator.leafs import leafs
from bridge.simulator.site import Site
from bridge.simulator.store import Root

CAN_LEAFS = leafs("""
AirTemperature
Alarms/Alarm
Alarms/{CellImbalance,ChargeBlocked,DischargeBlocked,HighCellVoltage,HighChargeCurrent,HighChargeTemperature} = 0
Alarms/{HighDischargeCurrent,HighTemperature,InternalFailure,LowCellVoltage,LowChargeTemperature,LowTemperature} = 0
Alarms/{LowVoltage,HighVoltage,HighCurrent,HighInternalTemperature,BmsCable,Contactor,FirmwareUpdateFailure} = 0
Balancer/Status = 1
Balancing = 0
BusVoltage
Capacity
Connected = 1
ConnectionInformation
ConsumedAmphours
CustomName = ""
Dc/0/{Current,MidVoltage,MidVoltageDeviation,Power,Temperature,Voltage}
Dc/1/Voltage
DeviceInstance = 512
Diagnostics/LastErrors/1/Error
Diagnostics/Module{0..3}/Alarms/{CellImbalance,HighCellVoltage,HighChargeCurrent,HighChargeTemperature} = 0
Diagnostics/Module{0..3}/Alarms/{HighDischargeCurrent,HighTemperature,InternalFailure,LowChargeTemperature} = 0
Diagnostics/Module{0..3}/Alarms/{LowTemperature,LowVoltage} = 0
Diagnostics/Module{0..3}/Id = ""
ErrorCode
Errors/SmartLithium/{Communication,InvalidConfiguration,NrOfBatteries,Voltage}
Family
FirmwareVersion = 4124
HardwareVersion
History/{AutomaticSyncs,AverageDischarge,ChargeCycles,ChargedEnergy,DeepestDischarge,DischargedEnergy,FullDischarges}
History/{HighVoltageAlarms,LastDischarge,LowVoltageAlarms,MaximumCellVoltage,MaximumTemperature,MaximumVoltage}
History/{MinimumCellVoltage,MinimumTemperature,MinimumVoltage,TimeSinceLastFullCharge,TotalAhDrawn}
Id
Info/BatteryLowVoltage = 46.4
Info/{ChargeRequest,FullChargeRequest} = 0
Info/{MaxChargeCurrent,MaxChargeVoltage,MaxDischargeCurrent}
InstalledCapacity
Io/{AllowToCharge,AllowToDischarge} = 1
Manufacturer = "SIMCELL"
Mgmt/Connection = "CAN-bus"
Mgmt/ProcessName = "can-bus-bms"
Mgmt/ProcessVersion = "v0.66"
Mode
N2kDeviceInstance = 0
NrOfDistributors
NumberOfBmses = "2/2"
ProductId = 45065
ProductName = "Simulated LFP battery"
Redetect = 0
Relay/0/State
Sense/{Current,Soc,Temperature,Voltage}
Serial = "SIM512000017"
Settings/{HasSettings,HasStarterVoltage,HasTemperature}
Soc = 0.0
Soh = 98.0
State
System/{MaxCellTemperature,MaxCellVoltage,MinCellTemperature,MinCellVoltage}
System/{MaxTemperatureCellId,MaxVoltageCellId,MinTemperatureCellId,MinVoltageCellId} = ""
System/{NrOfBatteries,NrOfCellsPerBattery}
System/BatteriesParallel = 4
System/BatteriesSeries = 1
System/{NrOfModulesBlockingCharge,NrOfModulesBlockingDischarge,NrOfModulesOffline} = 0
System/NrOfModulesOnline = 4
TimeToGo
Voltages/Cell{1..16}
Voltages/{Diff,Sum}
""")
# What a BMS sends many times a second: gone when it is silent.
_LIVE = tuple(
    path
    for path in CAN_LEAFS
    if path.startswith(("Dc/0/", "System/M", "System/N", "Voltages/", "Info/Max", "Io/"))
    or path in ("Soc", "Soh", "TimeToGo", "ConsumedAmphours", "Capacity")
)

SHUNT_LEAFS = leafs("""
Alarms/Alarm
Alarms/{HighStarterVoltage,HighTemperature,HighVoltage,LowSoc,LowStarterVoltage,LowTemperature,LowVoltage} = 0
Alarms/MidVoltage = 0
Connected = 1
ConsumedAmphours = 0.0
CustomName = "Cabin battery"
Dc/0/{Current,MidVoltage,MidVoltageDeviation,Power,Temperature,Voltage}
Dc/1/Voltage
DeviceInstance = 256
FirmwareVersion = 1046
GroupId
HardwareVersion
History/{AutomaticSyncs,ChargeCycles,FullDischarges} = 3
History/{AverageDischarge,LastDischarge} = -41.5
History/{ChargedEnergy,DischargedEnergy,TotalAhDrawn} = 0.0
History/DeepestDischarge = -164.20001220703125
History/{HighStarterVoltageAlarms,LowStarterVoltageAlarms,MaximumStarterVoltage,MinimumStarterVoltage}
History/{HighVoltageAlarms,LowVoltageAlarms} = 0
History/MaximumVoltage = 56.09000015258789
History/MinimumVoltage = 47.2400016784668
History/TimeSinceLastFullCharge = 40200
Mgmt/Connection = "VE.Direct"
Mgmt/ProcessName = "vedirect-dbus"
Mgmt/ProcessVersion = "3.65"
ProductId = 41865
ProductName = "SmartShunt 500A/50mV"
Relay/0/State
Serial = "HQ0000SIM08"
Settings/{HasMidVoltage,HasStarterVoltage,HasTemperature} = 0
Soc = 0.0
TimeToGo
VEDirect/{HexChecksumErrors,HexInvalidCharacterErrors,HexUnfinishedErrors} = 0
VEDirect/{TextChecksumErrors,TextParseError,TextUnfinishedErrors} = 0
""")


class CanBattery:
    """A battery bank that its BMS reports over CAN."""

    key = "battery"
    service = "com.victronenergy.battery.socketcan_can0"
    root = Root.TREE

    def leafs(self) -> dict[str, Any]:
        return dict(CAN_LEAFS)

    def update(self, site: Site) -> Mapping[str, Any]:
        if not site.plant.has_bms:
            return {**{path: [] for path in _LIVE}, "Connected": 0}
        return {**_bank(site), **_cells(site), **_modules(site), "Connected": 1}


def _bank(site: Site) -> dict[str, Any]:
    battery = site.plant.battery
    levels = site.alarms.levels
    installed_ah = battery.config.module_ah * battery.config.modules
    return {
        "Soc": round(battery.soc, 1),
        "Soh": 98.0,
        "Dc/0/Voltage": round(battery.voltage_v, 2),
        "Dc/0/Current": round(battery.current_a, 1),
        "Dc/0/Power": round(battery.power_w, 0),
        "Dc/0/Temperature": round(battery.temperature_c, 1),
        "InstalledCapacity": installed_ah,
        "Capacity": round(battery.capacity_ah * battery.soc / 100.0, 1),
        "ConsumedAmphours": round(-battery.capacity_ah * (100.0 - battery.soc) / 100.0, 1),
        "TimeToGo": time_to_go(site),
        "Info/MaxChargeCurrent": battery.charge_limit_a,
        "Info/MaxDischargeCurrent": battery.discharge_limit_a,
        "Info/MaxChargeVoltage": 56.0,
        "Io/AllowToCharge": int(battery.charge_limit_a > 0.0),
        "Io/AllowToDischarge": int(battery.discharge_limit_a > 0.0),
        "Alarms/CellImbalance": levels.get("cell_imbalance", 0),
        "Alarms/LowCellVoltage": levels.get("low_cell", 0),
        "Alarms/HighCellVoltage": levels.get("high_cell", 0),
        "Alarms/HighTemperature": levels.get("high_temperature", 0),
        "History/ChargedEnergy": round(site.energy.charged_kwh, 2),
        "History/DischargedEnergy": round(site.energy.discharged_kwh, 2),
        "History/TotalAhDrawn": round(-site.energy.drawn_ah, 1),
        "History/ChargeCycles": int(site.energy.drawn_ah / installed_ah),
    }


def _cells(site: Site) -> dict[str, Any]:
    cells_v = site.plant.battery.cell_voltages()
    high, low = max(cells_v), min(cells_v)
    warm_c = site.plant.battery.temperature_c
    return {
        **{f"Voltages/Cell{number}": volts for number, volts in enumerate(cells_v, 1)},
        "Voltages/Sum": round(sum(cells_v), 3),
        "Voltages/Diff": round(high - low, 3),
        "System/MaxCellVoltage": high,
        "System/MinCellVoltage": low,
        "System/MaxVoltageCellId": f"01{cells_v.index(high) + 1:02d}",
        "System/MinVoltageCellId": f"01{cells_v.index(low) + 1:02d}",
        "System/MaxCellTemperature": round(warm_c + 0.8, 1),
        "System/MinCellTemperature": round(warm_c - 0.6, 1),
        "System/MaxTemperatureCellId": "0102",
        "System/MinTemperatureCellId": "0304",
        "System/NrOfCellsPerBattery": len(cells_v),
    }


def _modules(site: Site) -> dict[str, Any]:
    battery = site.plant.battery
    return {
        "System/NrOfBatteries": battery.config.modules,
        "System/NrOfModulesOnline": battery.config.modules - battery.modules_offline,
        "System/NrOfModulesOffline": battery.modules_offline,
        "System/NrOfModulesBlockingCharge": 0,
        "System/NrOfModulesBlockingDischarge": 0,
    }


class Shunt:
    """A battery monitor on VE.Direct: 32-bit floats, noise and all."""

    key = "battery"
    service = "com.victronenergy.battery.ttyO1"
    root = Root.TREE

    def leafs(self) -> dict[str, Any]:
        return dict(SHUNT_LEAFS)

    def update(self, site: Site) -> Mapping[str, Any]:
        battery = site.plant.battery
        return {
            "Soc": float32(round(battery.soc, 1)),
            "Dc/0/Voltage": float32(round(battery.voltage_v, 2)),
            "Dc/0/Current": float32(round(battery.current_a, 1)),
            "Dc/0/Power": float32(round(battery.power_w, 0)),
            "ConsumedAmphours": float32(round(-battery.capacity_ah * (100.0 - battery.soc) / 100.0, 1)),
            "TimeToGo": time_to_go(site),
            "Alarms/LowSoc": site.alarms.levels.get("low_soc", 0),
            "History/ChargedEnergy": float32(round(site.energy.charged_kwh, 2)),
            "History/DischargedEnergy": float32(round(site.energy.discharged_kwh, 2)),
            "History/TotalAhDrawn": float32(round(-site.energy.drawn_ah, 1)),
        }


def time_to_go(site: Site) -> Any:
    """Return the seconds until empty at this current, or no value while not discharging."""
    battery = site.plant.battery
    if battery.current_a > -0.5:
        return []
    return float(min(864000, round(battery.capacity_ah * battery.soc / 100.0 / -battery.current_a * 3600.0, -1)))


def float32(value: float) -> float:
    """Return `value` as it looks after a 32-bit float: 52.21 becomes 52.209999084472656."""
    return float(struct.unpack("f", struct.pack("f", value))[0])
