"""com.victronenergy.system: what the GX works out from all devices, instance 0.

It sees what is on the bus: a device that was dropped or renamed shows here as on a real GX.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.simulator.leafs import leafs
from bridge.simulator.site import Site
from bridge.simulator.store import Root
from bridge.simulator.system_battery import battery_leafs
from bridge.simulator.system_flows import ac_leafs, dc_leafs

GRID, NOT_CONNECTED = 1, 240
DISCHARGING, SUSTAIN = 256, 257

LEAFS = leafs("""
Mgmt/ProcessName = "/opt/victronenergy/dbus-systemcalc-py/dbus_systemcalc.py"
Mgmt/ProcessVersion = "2.256"
Mgmt/Connection = "data from other dbus processes"
DeviceInstance = 0
ProductId
ProductName
FirmwareVersion = 0
HardwareVersion
Connected = 1
FirmwareBuild = "0"
Serial = ""
AvailableBatteryServices = "{}"
AvailableBatteryMeasurements
AutoSelectedBatteryService
AutoSelectedBatteryMeasurement
ActiveBatteryService
Dc/Battery/BatteryService
Ac/{Grid,Genset}/{L1,L2,L3}/{Power,Current}
Ac/{Grid,Genset}/{NumberOfPhases,ProductId,DeviceType}
Ac/{ConsumptionOnOutput,ConsumptionOnInput,Consumption}/{L1,L2,L3}/{Power,Current}
Ac/{ConsumptionOnOutput,ConsumptionOnInput,Consumption}/NumberOfPhases
Ac/{PvOnOutput,PvOnGrid,PvOnGenset}/{L1,L2,L3}/{Power,Current}
Ac/{PvOnOutput,PvOnGrid,PvOnGenset}/NumberOfPhases
Ac/Genset/{Runtime,RunningByConditionCode} = 0
Ac/Genset/LastStartTime
Ac/ActiveIn/{L1,L2,L3}/{Power,Current}
Ac/ActiveIn/{NumberOfPhases,Source,ServiceType}
Ac/ActiveIn/{GridParallel,FeedbackEnabled} = 0
Ac/In/{0,1}/{ServiceName,ServiceType,DeviceInstance,VrmDeviceInstance,Source,Connected}
Ac/In/NumberOfAcInputs = 0
Ac/HasAcLoads = 1
Dc/Pv/{Power,Current}
Dc/Battery/{Voltage,VoltageService,Current,Power,State,TimeToGo,ConsumedAmphours,ProductId,Capacity}
Dc/Battery/{Soc,ChargeVoltage,Temperature,TemperatureService,Alarms/CircuitBreakerTripped}
Dc/{Charger,FuelCell,Alternator,System}/Power
Dc/System/{Current,MeasurementType}
Dc/{Vebus,InverterCharger}/{Current,Power}
VebusService
VebusInstance
Devices/NumberOfVebusDevices = 0
Hub
SystemType
SystemState/State = 0
SystemState/{LowSoc,BatteryLife,DischargeDisabled,ChargeDisabled,SlowCharge,UserChargeLimited} = 0
SystemState/{UserDischargeLimited,PeakShaving} = 0
GpsSpeed
GpsService
DynamicEss/Available = 1
DynamicEss/{Active,ErrorCode,ChargeRate,WindowSlot,WorkingSocPrecision,ChargeHysteresis,DischargeHysteresis} = 0
DynamicEss/{TargetSoc,WindowSoc} = 0.0
DynamicEss/Capabilities = 191
DynamicEss/NumberOfSchedules = 48
DynamicEss/ReactiveStrategy = 92
DynamicEss/{MinimumSoc,LastScheduledStart,LastScheduledEnd,Strategy,Restrictions,AllowGridFeedIn,Flags}
DynamicEss/AvailableOverhead
LoadShedding/Available = 1
LoadShedding/{Capabilities,Active,ErrorCode} = 0
LoadShedding/NextDisconnect
MotorDrive/{0,1}/{Service,DeviceInstance,RPM}
MotorDrive/{Power,Voltage,Current,ConsumptionWhkm,ConsumptionAhkm,Range}
Control/{ExtraBatteryCurrent,VebusSoc,SolarChargeVoltage,SolarChargeCurrent,BmsParameters,ScheduledCharge} = 0
Control/{SolarChargerVoltageSense,BatteryVoltageSense,SolarChargerTemperatureSense,ScheduledChargeStatus} = 0
Control/BatteryCurrentSense = 1
Control/Dvcc = 1
Control/MaxChargeCurrent = true
Control/{EffectiveChargeVoltage,ActiveSocLimit,EssState,ScheduledSoc}
Debug/BatteryOperationalLimits/{SolarVoltageOffset,VebusVoltageOffset,CurrentOffset} = 0
Debug/DisableBatterySense = 0
Dvcc/Alarms/{FirmwareInsufficient,MultipleBatteries} = 0
AvailableTemperatureServices
AutoSelectedTemperatureService
Timers/{TimeOnGrid,TimeOnInverter,TimeOnGenerator,TimeOff} = 0
Batteries
AvailableBatteries = "{}"
ActiveBmsService
ActiveBmsInstance
AvailableBmsServices
PvInvertersProductIds
Pv/Disable = 0
Relay/{0,1}/State = 0
""")
TEXTLESS = ("DynamicEss/ReactiveStrategy",)


class System:
    """The system calculator of one of the simulated systems."""

    key = "system"
    service = "com.victronenergy.system"
    root = Root.TREE
    textless = TEXTLESS

    def __init__(self, serial: str, system_type: str) -> None:
        self._serial = serial
        self._system_type = system_type

    def leafs(self) -> dict[str, Any]:
        return {
            **LEAFS,
            "Serial": self._serial,
            "SystemType": self._system_type or [],
            "Hub": 4 if self._system_type == "ESS" else [],
        }

    def update(self, site: Site) -> Mapping[str, Any]:
        return {
            **_timers(site),
            **_mapping(site),
            **battery_leafs(site),
            **dc_leafs(site),
            **ac_leafs(site),
            **_inverter(site),
            **_control(site),
        }


# Classes that systemcalc lists; what lives on the GX itself (platform, logger) it does not.
_UNMAPPED = ("system", "platform", "logger", "ble", "switch", "acsystem")


def _mapping(site: Site) -> dict[str, Any]:
    """Return the map from class and instance to bus names; a device that went keeps its last name."""
    values = {}
    for key in site.names:
        kind, name = key.partition("/")[0], site.service(key)
        if name and kind not in _UNMAPPED:
            values[f"ServiceMapping/com_victronenergy_{kind}_{site.instance(key)}"] = name
    return values


def _inverter(site: Site) -> dict[str, Any]:
    key = "vebus" if "vebus" in site.names else "acsystem" if "acsystem" in site.names else ""
    name = site.service(key) if key else None
    if name is None:
        return {"Ac/In/NumberOfAcInputs": 0, "Ac/HasAcLoads": 0} if not key else {}
    source = GRID if site.plant.has_grid else NOT_CONNECTED
    values: dict[str, Any] = {
        "Ac/In/0/ServiceName": name,
        "Ac/In/0/ServiceType": key,
        "Ac/In/0/DeviceInstance": site.instance(key),
        "Ac/In/0/VrmDeviceInstance": site.instance(key),
        "Ac/In/0/Source": GRID,
        "Ac/In/0/Connected": int(site.plant.has_grid),
        "Ac/In/NumberOfAcInputs": 1,
        "Ac/ActiveIn/ServiceType": key if site.plant.has_grid else [],
        "Ac/ActiveIn/Source": source,
        "Ac/ActiveIn/GridParallel": int(site.plant.has_grid),
        "Ac/ActiveIn/FeedbackEnabled": int(site.plant.has_grid),
    }
    if key == "vebus":
        values |= {
            "VebusService": name,
            "VebusInstance": site.instance(key),
            "Devices/NumberOfVebusDevices": 1,
        }
    return values


def _timers(site: Site) -> dict[str, Any]:
    up_s = int(site.clock.uptime_s())
    if not site.plant.houses:
        return {"Timers/TimeOff": up_s}
    return {"Timers/TimeOnGrid" if site.plant.has_grid else "Timers/TimeOnInverter": up_s}


def _control(site: Site) -> dict[str, Any]:
    if not site.plant.houses:
        return {}
    battery = site.plant.battery
    is_low = battery.soc <= site.plant.min_soc
    return {
        "Control/ActiveSocLimit": site.plant.min_soc,
        "Control/EssState": 12 if is_low else 10,
        "SystemState/State": SUSTAIN if is_low else DISCHARGING if battery.power_w < -30.0 else 252,
        "SystemState/LowSoc": int(is_low),
        "SystemState/DischargeDisabled": int(is_low or not site.plant.has_bms),
        "SystemState/ChargeDisabled": int(not site.plant.has_bms),
    }
