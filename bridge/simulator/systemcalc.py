"""com.victronenergy.system: what the GX works out from all devices, instance 0.

It sees what is on the bus: a device that was dropped or renamed shows here as on a real GX.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bridge.simulator.leafs import leafs
from bridge.simulator.site import Site
from bridge.simulator.store import Root

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

    def __init__(self, serial: str, system_type: str, instances: Mapping[str, int]) -> None:
        self._serial = serial
        self._system_type = system_type
        self._instances = dict(instances)  # key of a device -> its DeviceInstance

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
            **self._services(site),
            **self._battery(site),
            **_dc(site),
            **_ac(site),
            **self._inverter(site),
            **_control(site),
        }

    def _services(self, site: Site) -> dict[str, Any]:
        """Return the map from class and instance to bus names; a device that went keeps its last name."""
        return {
            f"ServiceMapping/com_victronenergy_{name.split('.')[2]}_{instance}": name
            for key, instance in self._instances.items()
            if (name := site.service(key))
        }

    def _battery(self, site: Site) -> dict[str, Any]:
        name = site.service("battery")
        if name is None or not site.plant.has_bms:
            return _no_battery(site, name)
        battery = site.plant.battery
        label = str(site.store.value(name, "/CustomName") or site.store.value(name, "/ProductName"))
        instance = self._instances["battery"]
        temperature = site.store.value(name, "/Dc/0/Temperature")
        has_bms = name.rpartition(".")[2].startswith("socketcan")
        state = 1 if battery.power_w > 30.0 else 2 if battery.power_w < -30.0 else 0
        found = {
            "id": name,
            "name": label,
            "instance": instance,
            "active_battery_service": True,
            "soc": round(battery.soc, 1),
            "voltage": round(battery.voltage_v, 2),
            "current": round(battery.current_a, 1),
            "power": round(battery.power_w, 0),
            "state": state,
        }
        service = f"com.victronenergy.battery/{instance}"
        measurement = f"com_victronenergy_battery_{instance}/Dc/0"
        return {
            "Dc/Battery/Soc": site.store.value(name, "/Soc"),
            "Dc/Battery/Voltage": site.store.value(name, "/Dc/0/Voltage"),
            "Dc/Battery/Current": site.store.value(name, "/Dc/0/Current"),
            "Dc/Battery/Power": site.store.value(name, "/Dc/0/Power"),
            "Dc/Battery/State": state,
            "Dc/Battery/TimeToGo": site.store.value(name, "/TimeToGo"),
            "Dc/Battery/ConsumedAmphours": site.store.value(name, "/ConsumedAmphours"),
            "Dc/Battery/ProductId": site.store.value(name, "/ProductId"),
            "Dc/Battery/Capacity": battery.capacity_ah if has_bms else [],
            "Dc/Battery/Temperature": temperature,
            "Dc/Battery/TemperatureService": name if temperature != [] else [],
            "Dc/Battery/BatteryService": name,
            "Dc/Battery/VoltageService": name,
            "Dc/Battery/ChargeVoltage": 56.0 if has_bms else [],
            "ActiveBatteryService": service,
            "ActiveBmsService": name if has_bms else [],
            "ActiveBmsInstance": instance if has_bms else [],
            "AvailableBmsServices": [{"name": label, "instance": instance}] if has_bms else [],
            "AutoSelectedBatteryService": label,
            "AutoSelectedBatteryMeasurement": measurement,
            "AutoSelectedTemperatureService": label if temperature != [] else [],
            "AvailableBatteryServices": json.dumps(
                {"default": "Automatic", "nobattery": "No battery monitor", service: label}
            ),
            "AvailableBatteryMeasurements": {
                "default": "Automatic",
                "nobattery": "No battery monitor",
                measurement: label,
            },
            "AvailableTemperatureServices": {
                "default": "Automatic",
                "nosensor": "No sensor",
                f"{service}/Dc/0/Temperature": label,
            },
            "AvailableBatteries": json.dumps({service: {"name": label, "channel": None, "type": "battery"}}),
            "Batteries": [found],
            "Control/BmsParameters": int(has_bms),
            "Control/EffectiveChargeVoltage": 56.0 if has_bms else [],
        }

    def _inverter(self, site: Site) -> dict[str, Any]:
        key = "vebus" if "vebus" in self._instances else "acsystem" if "acsystem" in self._instances else ""
        name = site.service(key) if key else None
        if name is None:
            return {"Ac/In/NumberOfAcInputs": 0, "Ac/HasAcLoads": 0} if not key else {}
        source = GRID if site.plant.has_grid else NOT_CONNECTED
        values: dict[str, Any] = {
            "Ac/In/0/ServiceName": name,
            "Ac/In/0/ServiceType": key,
            "Ac/In/0/DeviceInstance": self._instances[key],
            "Ac/In/0/VrmDeviceInstance": self._instances[key],
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
                "VebusInstance": self._instances[key],
                "Devices/NumberOfVebusDevices": 1,
            }
        return values


def _no_battery(site: Site, name: str | None) -> dict[str, Any]:
    """Return what is left when no battery speaks: the inverter's voltage, if there is an inverter."""
    leafs_gone = (
        "Soc",
        "Current",
        "Power",
        "State",
        "TimeToGo",
        "ConsumedAmphours",
        "Temperature",
        "TemperatureService",
    )
    service = site.service("vebus")
    return {
        **{f"Dc/Battery/{leaf}": [] for leaf in leafs_gone},
        "Dc/Battery/Voltage": round(site.plant.battery.voltage_v, 2) if service else [],
        "Dc/Battery/VoltageService": service or [],
        "Dc/Battery/BatteryService": name or [],
        "ActiveBmsService": [],
        "ActiveBmsInstance": [],
        "AvailableBmsServices": [],
        "Batteries": [],
    }


def _timers(site: Site) -> dict[str, Any]:
    up_s = int(site.clock.uptime_s())
    if not site.plant.houses:
        return {"Timers/TimeOff": up_s}
    return {"Timers/TimeOnGrid" if site.plant.has_grid else "Timers/TimeOnInverter": up_s}


def _dc(site: Site) -> dict[str, Any]:
    flow = site.plant.flow
    volts = site.plant.battery.voltage_v
    chargers = [key for key in site.names if key.startswith("solarcharger/") and site.service(key)]
    inverter_w = -sum(phase.inverter_dc_w for phase in flow.phases)
    has_vebus = site.service("vebus") is not None
    return {
        "Dc/Pv/Power": round(flow.dc_pv_w, 1) if chargers or _has_rs(site) else [],
        "Dc/Pv/Current": round(flow.dc_pv_w / volts, 2) if chargers else [],
        "Dc/System/Power": round(flow.dc_load_w, 1) if flow.dc_load_w else [],
        "Dc/System/Current": round(flow.dc_load_w / volts, 2) if flow.dc_load_w else [],
        "Dc/System/MeasurementType": 0 if flow.dc_load_w else [],
        "Dc/Vebus/Power": round(inverter_w) if has_vebus else [],
        "Dc/Vebus/Current": round(inverter_w / volts, 1) if has_vebus else [],
        "Dc/InverterCharger/Power": round(inverter_w) if flow.phases else [],
        "Dc/InverterCharger/Current": round(inverter_w / volts, 1) if flow.phases else [],
    }


def _has_rs(site: Site) -> bool:
    return any(key.startswith("multi/") for key in site.names)


def _ac(site: Site) -> dict[str, Any]:
    flow = site.plant.flow
    count = len(flow.phases)
    if not count:
        return {}
    has_meter = site.service("grid") is not None
    is_tied = flow.has_grid
    has_ac_pv = site.service("pvinverter") is not None
    values: dict[str, Any] = {
        "Ac/Grid/NumberOfPhases": count if is_tied else [],
        "Ac/Grid/ProductId": 45058 if has_meter and is_tied else [],
        "Ac/Grid/DeviceType": 71 if has_meter and is_tied else [],
        "Ac/ActiveIn/NumberOfPhases": count if is_tied else [],
        "Ac/Consumption/NumberOfPhases": count,
        "Ac/ConsumptionOnOutput/NumberOfPhases": count,
        "Ac/ConsumptionOnInput/NumberOfPhases": count if is_tied else [],
        "Ac/PvOnGrid/NumberOfPhases": count if has_ac_pv else [],
        "PvInvertersProductIds": [41285] if has_ac_pv else [],
    }
    for number, phase in enumerate(flow.phases, 1):
        volts = phase.out_v
        watts = {
            "Grid": phase.grid_w if is_tied else None,
            "ActiveIn": phase.load_out_w - phase.inverter_w if is_tied else None,
            "Consumption": phase.load_out_w + phase.load_in_w,
            "ConsumptionOnOutput": phase.load_out_w,
            "ConsumptionOnInput": phase.load_in_w if is_tied else None,
            "PvOnGrid": phase.ac_pv_w if has_ac_pv else None,
        }
        for group, power_w in watts.items():
            values[f"Ac/{group}/L{number}/Power"] = [] if power_w is None else round(power_w, 1)
            values[f"Ac/{group}/L{number}/Current"] = [] if power_w is None else round(power_w / volts, 2)
    return values


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
