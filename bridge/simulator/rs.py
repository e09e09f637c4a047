"""Multi RS Solar units (class multi, VE.Can) and the system they form (class acsystem).

The driver of acsystem cannot list itself: its root answers `[]` and its nodes 404, only its leafs are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.simulator.leafs import leafs
from bridge.simulator.site import Site
from bridge.simulator.solar import DAY_LEAFS
from bridge.simulator.store import Root
from bridge.simulator.vebus import NO_INPUT

MULTI_LEAFS = leafs("""
Ac/ActiveIn/ActiveInput = 0
Ac/Control/IgnoreAcIn1 = 0
Ac/In/1/{CurrentLimit,CurrentLimitIsAdjustable,Type} = 1
Ac/In/{1,2}/{L1,L2,L3}/{V,I,P,F}
Ac/In/2/{CurrentLimit,CurrentLimitIsAdjustable,Type}
Ac/NumberOfAcInputs = 2
Ac/NumberOfPhases = 1
Ac/Out/{L1,L2,L3}/{V,I,P,F,S,NominalInverterPower}
Alarms/{EnergyMeterMissing,GridLost,HighTemperature,HighVoltage,HighVoltageAcOut,LowSoc,LowTemperature} = 0
Alarms/{LowVoltage,LowVoltageAcOut,Overload,PhaseRotation,Ripple,ShortCircuit} = 0
Connected = 1
CustomName = ""
Dc/0/{Voltage,Current,Power,Temperature,RippleVoltage}
DeviceInstance = 0
DeviceOffReason = 0
Devices/0/{CustomName,Gateway,Nad,ProductName}
Energy/{AcIn1ToAcOut,AcIn1ToInverter,AcOutToAcIn1,InverterToAcIn1,InverterToAcOut,OutToInverter} = 0.0
Energy/{SolarToAcIn1,SolarToAcOut,SolarToBattery} = 0.0
ErrorCode = 0
Ess/{AcPowerSetpoint,InverterPowerSetpoint} = 0.0
Ess/{DisableCharge,DisableFeedIn,Sustain,UseInverterPowerSetpoint,OffsetAddedToVoltageSetpoint} = 0
Ess/CurrentLimitedDueToHighTemp = 0
FirmwareVersion = 75519
GroupId
History/Overall/DaysAvailable = 2
History/Overall/LastError{1..4} = 0
History/Overall/{MaxBatteryVoltage,MaxPvVoltage,MinBatteryVoltage} = 55.9
Link/{ChargeCurrent,DischargeCurrent}
Mgmt/Connection = "VE.Can"
Mgmt/ProcessName = "vecan-dbus"
Mgmt/ProcessVersion = "2.91"
Mode = 3
MppOperationMode = 0
N2kUniqueNumber = 0
NrOfTrackers = 2
ProductId = 42051
ProductName = "Multi RS Solar 48V/6000VA/100A"
Pv/{0,1}/Enabled = 1
Pv/{0,1}/MppOperationMode = 0
Pv/{0,1}/{Name,P,V}
Pv/Disable = 0
Pv/V
Relay/0/State = 0
Serial = ""
Settings/AlarmLevel/{HighTemperature,HighVoltage,HighVoltageAcOut,LowSoc,LowVoltage,LowVoltageAcOut} = 2
Settings/AlarmLevel/{Overload,Ripple,ShortCircuit} = 2
Settings/{BmsPresent,EnergyMeterEnable} = 1
Settings/ChargeCurrentLimit = 100.0
Settings/Ess/MinimumSocLimit = 25.0
Settings/Ess/Mode = 1
Settings/GridCode = 13
Settings/System/AcPhase = 0
Soc
State = 252
TimeToGo
Yield/Power = 0.0
Yield/{System,User} = 0.0
""")

ACSYSTEM_LEAFS = leafs("""
Ac/ActiveIn/ActiveInput = 0
Ac/In/1/CurrentLimit = 50.0
Ac/In/1/Type = 1
Ac/In/1/P
Ac/In/1/{L1,L2,L3}/{V,I,P,F}
Ac/NumberOfAcInputs = 2
Ac/NumberOfPhases = 3
Ac/Out/P
Ac/Out/{L1,L2,L3}/{V,I,P,F}
Alarms/{GridLost,HighTemperature,Overload,PhaseRotation} = 0
Capabilities/{HasAcPassthroughSupport,HasDynamicEssSupport} = 1
Connected = 1
CustomName = ""
Dc/0/{Voltage,Current,Power}
DeviceInstance = 0
Devices/0/Instance = 0
Devices/1/Instance = 1
Devices/2/Instance = 2
Devices/{0..2}/Service = ""
Ess/{AcPowerSetpoint,InverterPowerSetpoint} = 0.0
Ess/ActiveSocLimit = 25.0
Ess/{DisableFeedIn,Sustain} = 0
Mgmt/Connection = "VE.Can"
Mgmt/ProcessName = "dbus-acsystem"
Mgmt/ProcessVersion = "0.14"
Mode = 3
ProductId = 42051
ProductName = "RS system"
Pv/Disable = 0
Settings/Ac/In/CurrentLimitEnergyMeter = 25.0
Settings/Ess/MinimumSocLimit = 25.0
Settings/Ess/Mode = 1
Soc
State = 252
""")


class MultiRs:
    """One unit: one phase of the site, two trackers."""

    root = Root.TREE

    def __init__(self, phase: int) -> None:
        self.key = f"multi/{phase}"
        self.service = f"com.victronenergy.multi.socketcan_can1_vi{phase}_uc31763{phase}"
        self._phase = phase

    def leafs(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "DeviceInstance": self._phase,
            "Serial": f"HQ0000SIM3{self._phase}",
            "CustomName": f"RS phase {self._phase + 1}",
            "N2kUniqueNumber": 317630 + self._phase,
            "Devices/0/Nad": 36 + self._phase,
            "Devices/0/Gateway": "can1",
            "Devices/0/ProductName": MULTI_LEAFS["ProductName"],
            "Settings/System/AcPhase": self._phase,
            "Ac/In/1/CurrentLimit": 25.0,
            "Pv/0/Name": "East",
            "Pv/1/Name": "West",
            f"Ac/Out/L{self._phase + 1}/NominalInverterPower": 6000,
        }
        days = {f"History/Daily/{day}/{leaf}": value for day in range(2) for leaf, value in DAY_LEAFS.items()}
        trackers = leafs("History/Daily/{0,1}/Pv/{0,1}/{Yield,MaxPower,MaxVoltage} = 0.0")
        return {**MULTI_LEAFS, **days, **trackers, **own}

    def update(self, site: Site) -> Mapping[str, Any]:
        return {**self._ac(site), **self._dc(site), **self._sun(site), **self._energy(site)}

    def _ac(self, site: Site) -> dict[str, Any]:
        name = f"L{self._phase + 1}"
        phase = site.plant.flow.phases[self._phase]
        in_w = phase.load_out_w - phase.inverter_w
        has_grid = site.plant.has_grid
        levels = site.alarms.levels
        return {
            f"Ac/In/1/{name}/V": round(phase.grid_v, 1) if has_grid else [],
            f"Ac/In/1/{name}/I": round(in_w / phase.grid_v, 1) if has_grid else [],
            f"Ac/In/1/{name}/P": round(in_w) if has_grid else [],
            f"Ac/In/1/{name}/F": round(phase.grid_hz, 2) if has_grid else [],
            "Ac/ActiveIn/ActiveInput": 0 if has_grid else NO_INPUT,
            f"Ac/Out/{name}/V": round(phase.out_v, 1),
            f"Ac/Out/{name}/I": round(phase.load_out_w / phase.out_v, 1),
            f"Ac/Out/{name}/P": round(phase.load_out_w),
            f"Ac/Out/{name}/S": round(phase.load_out_w * 1.05),
            f"Ac/Out/{name}/F": round(phase.out_hz, 2),
            "Alarms/GridLost": levels.get("grid_lost", 0),
            "Alarms/Overload": levels.get("overload", 0) if phase.inverter_w > site.plant.config.inverter_w else 0,
            "State": 252 if has_grid else 9,
            "Ess/AcPowerSetpoint": round(-phase.inverter_w, 0),
        }

    def _dc(self, site: Site) -> dict[str, Any]:
        battery = site.plant.battery
        power_w = sum(self._arrays_w(site)) - site.plant.flow.phases[self._phase].inverter_dc_w
        return {
            "Dc/0/Voltage": round(battery.voltage_v - 0.02 * self._phase, 2),
            "Dc/0/Current": round(power_w / battery.voltage_v, 1),
            "Dc/0/Power": round(power_w),
            "Dc/0/RippleVoltage": round(0.012 + abs(power_w) * 3e-6, 3),
            "Link/ChargeCurrent": round(battery.charge_limit_a / len(site.plant.flow.phases), 1),
            "Link/DischargeCurrent": round(battery.discharge_limit_a / len(site.plant.flow.phases), 1),
            "Soc": round(battery.soc, 1),
        }

    def _arrays_w(self, site: Site) -> tuple[float, ...]:
        return site.plant.flow.arrays_w[2 * self._phase : 2 * self._phase + 2]

    def _sun(self, site: Site) -> dict[str, Any]:
        arrays_w = self._arrays_w(site)
        first = 2 * self._phase
        yields = site.energy.yields_kwh[first : first + 2]
        values: dict[str, Any] = {
            "Yield/Power": round(sum(arrays_w), 1),
            "Yield/User": round(sum(yields), 2),
            "Yield/System": round(sum(yields), 2),
            "MppOperationMode": 2 if sum(arrays_w) > 5.0 else 0,
        }
        for number, power_w in enumerate(arrays_w):
            values[f"Pv/{number}/P"] = round(power_w, 1)
            values[f"Pv/{number}/V"] = round(312.0 - power_w * 0.012, 1) if power_w > 5.0 else 0.6
            values[f"Pv/{number}/MppOperationMode"] = 2 if power_w > 5.0 else 0
        for day in (0, 1):
            days = [site.energy.days[first + number][day] for number in (0, 1)]
            values[f"History/Daily/{day}/Yield"] = round(sum(one.yield_kwh for one in days), 2)
            values[f"History/Daily/{day}/MaxPower"] = round(sum(one.max_w for one in days))
            for number, one in enumerate(days):
                values[f"History/Daily/{day}/Pv/{number}/Yield"] = round(one.yield_kwh, 2)
                values[f"History/Daily/{day}/Pv/{number}/MaxPower"] = round(one.max_w)
        return values

    def _energy(self, site: Site) -> dict[str, Any]:
        energy = site.energy.phases[self._phase]
        return {
            "Energy/AcIn1ToAcOut": round(energy.in_to_out, 2),
            "Energy/AcIn1ToInverter": round(energy.in_to_inverter, 2),
            "Energy/InverterToAcIn1": round(energy.inverter_to_in, 2),
            "Energy/InverterToAcOut": round(energy.inverter_to_out, 2),
        }


class AcSystem:
    """The units as one system."""

    key = "acsystem"
    service = "com.victronenergy.acsystem.socketcan_can1_sys0"
    root = Root.EMPTY

    def leafs(self) -> dict[str, Any]:
        members = {f"Devices/{number}/Service": MultiRs(number).service for number in range(3)}
        return {**ACSYSTEM_LEAFS, **members}

    def update(self, site: Site) -> Mapping[str, Any]:
        flow = site.plant.flow
        volts = site.plant.battery.voltage_v
        dc_w = flow.dc_pv_w - sum(phase.inverter_dc_w for phase in flow.phases)
        values: dict[str, Any] = {
            "Ac/ActiveIn/ActiveInput": 0 if flow.has_grid else NO_INPUT,
            "Ac/In/1/P": round(sum(p.load_out_w - p.inverter_w for p in flow.phases)) if flow.has_grid else [],
            "Ac/Out/P": round(sum(phase.load_out_w for phase in flow.phases)),
            "Alarms/GridLost": site.alarms.levels.get("grid_lost", 0),
            "Alarms/Overload": site.alarms.levels.get("overload", 0),
            "Dc/0/Voltage": round(volts, 2),
            "Dc/0/Current": round(dc_w / volts, 1),
            "Dc/0/Power": round(dc_w),
            "Soc": round(site.plant.battery.soc, 1),
            "State": 252 if flow.has_grid else 9,
        }
        for number, phase in enumerate(flow.phases, 1):
            in_w = phase.load_out_w - phase.inverter_w
            values[f"Ac/In/1/L{number}/V"] = round(phase.grid_v, 1) if flow.has_grid else []
            values[f"Ac/In/1/L{number}/I"] = round(in_w / phase.grid_v, 1) if flow.has_grid else []
            values[f"Ac/In/1/L{number}/P"] = round(in_w) if flow.has_grid else []
            values[f"Ac/In/1/L{number}/F"] = round(phase.grid_hz, 2) if flow.has_grid else []
            values[f"Ac/Out/L{number}/V"] = round(phase.out_v, 1)
            values[f"Ac/Out/L{number}/I"] = round(phase.load_out_w / phase.out_v, 1)
            values[f"Ac/Out/L{number}/P"] = round(phase.load_out_w)
            values[f"Ac/Out/L{number}/F"] = round(phase.out_hz, 2)
        return values
