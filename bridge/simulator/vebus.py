"""A MultiPlus-II 48/5000 on the VE.Bus, with ESS: class vebus, instance 276 (the on-board port of a Cerbo)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.simulator.leafs import leafs
from bridge.simulator.site import Site
from bridge.simulator.store import Root

LEAFS = leafs("""
Ac/Out/{L1,L2,L3}/{V,F,I,S,P}
Ac/Out/L1/NominalInverterPower = 4000
Ac/Out/S = 0
Ac/Out/P = 0
Ac/Out/NominalInverterPower = 4000
Ac/ActiveIn/{L1,L2,L3}/{V,F,I,S,P}
Ac/ActiveIn/S = 0
Ac/ActiveIn/P = 0
Ac/ActiveIn/ActiveInput = 0
Ac/ActiveIn/CurrentLimit = 32.0
Ac/ActiveIn/CurrentLimitIsAdjustable = 1
Ac/ActiveIn/Connected = 1
Ac/In/1/CurrentLimit = 32.0
Ac/In/1/CurrentLimitIsAdjustable = 1
Ac/In/2/{CurrentLimit,CurrentLimitIsAdjustable}
Ac/Control/IgnoreAcIn1 = 0
Ac/PowerMeasurementType = 4
Ac/State/{SplitPhaseL2L1OutSummed,IgnoreAcIn1} = 0
Ac/State/SplitPhaseL2Passthru
Ac/State/RemoteGeneratorSelected
Ac/State/AcIn1Available = 1
Ac/NumberOfAcInputs = 1
Ac/NumberOfPhases = 1
AcSensor/{0..8}/{Power,Phase,Voltage,Location,Current,Energy}
AcSensor/Count
Alarms/{L1,L2,L3}/{HighTemperature,LowBattery,Overload,Ripple,MainsImbalance,InverterImbalance} = 0
Alarms/{GridLost,BmsConnectionLost,HighDcVoltage,HighDcCurrent,HighTemperature,LowBattery,Overload,Ripple} = 0
Alarms/{PhaseRotation,TemperatureSensor,VoltageSensor} = 0
Alarms/{BatteryOvervoltageProtection,BmsPreAlarm}
BatteryOperationalLimits/BatteryLowVoltage = 46.4
BatteryOperationalLimits/{MaxChargeCurrent,MaxChargeVoltage,MaxDischargeCurrent}
BatterySense/{Voltage,Temperature}
Bms/{AllowToCharge,AllowToDischarge} = 1
Bms/AllowToChargeRate = 100
Bms/{BmsExpected,BmsType,Error} = 0
Bms/PreAlarm
Connected = 1
CustomName = "Simulated MultiPlus"
Dc/0/{Voltage,Current,Power,MaxChargeCurrent,Temperature,PreferRenewableEnergy}
DeviceInstance = 276
Devices/0/Ac/In/{P,L2/P}
Devices/0/Ac/Inverter/P
Devices/0/Ac/Out/{P,L2/P}
Devices/0/Assistants = [139, 1, 12, 200, 0, 0, 4, 129]
Devices/0/CNBFirmwareVersion = 2205012
Devices/0/Diagnostics/{UBatRipple,UBatTerminal,UBatVSense}
Devices/0/ExtendStatus/{HighDcCurrent,HighDcVoltage,IgnoreAcIn1,ChargeIsDisabled,SustainMode,SocTooLowToInvert} = 0
Devices/0/ExtendStatus/{BolTimeoutOccured,TemperatureHighForceBypass,PowerPackPreOverload,WaitingForRelayTest} = 0
Devices/0/ExtendStatus/{PcvPotmeterOnZero,ChargeDisabledDueToLowTemp,PreferRenewableEnergy} = 0
Devices/0/ExtendStatus/{IgnoreAcIn1AssistantsVs,VeBusNetworkQualityCounter,GridRelayReport/Reset} = 0
Devices/0/ExtendStatus/SwitchoverInfo/{Connecting,Delay,ErrorFlags} = 0
Devices/0/ExtendStatus/{AcIn1Available,MainsPllLocked} = 1
Devices/0/ExtendStatus/RawFlags0 = 262160
Devices/0/ExtendStatus/{RawFlags1,RelayTestOk,NPFGeneratorSelected,DMCGeneratorSelected,PreferRenewableEnergyActive}
Devices/0/ExtendStatus/{ExternalBackfeedRelaySystem,GridRelayReport/Code,GridRelayReport/Count}
Devices/0/FirmwareSubVersion = 0
Devices/0/FirmwareVersion = 1283
Devices/0/Info/DeltaTBatNominalTBatMinimum = 45
Devices/0/Info/MaximumRelayCurrentAC1 = 50
Devices/0/Info/MaximumRelayCurrentAC2 = 0
Devices/0/InterfaceProtectionLog/{0..4}/{ErrorFlags,Time}
Devices/0/ProductId = 9763
Devices/0/SerialNumber = "HQ0000SIM01"
Devices/0/Settings/{ReadProgress,WriteProgress} = 100
Devices/0/Settings/{PowerAssistEnabled,UpsFunction} = true
Devices/0/Settings/AssistCurrentBoostFactor = 2
Devices/0/Settings/InverterOutputVoltage = 230
Devices/0/Settings/ResetRequired = 0
Devices/0/UpTime = 0
Devices/0/Version = 2780504
Devices/{Bms,Dmc}/Version
Devices/NumberOfMultis = 1
Energy/{AcIn1ToAcOut,AcIn1ToInverter,InverterToAcIn1,InverterToAcOut,OutToInverter} = 0.0
Energy/{AcIn2ToAcOut,AcIn2ToInverter,AcOutToAcIn1,AcOutToAcIn2,InverterToAcIn2} = 0.0
ExtraBatteryCurrent = 0
FirmwareFeatures/{BolFrame,BolUBatAndTBatSense,CommandWriteViaId,IBatSOCBroadcast,NewPanelFrame,SetChargeState} = 1
FirmwareSubVersion = 0
FirmwareVersion = 1283
Hub4/AssistantId = 5
Hub4/{DisableCharge,DisableFeedIn,Sustain,TargetPowerIsMaxFeedIn} = 0
Hub4/{DoNotFeedInOvervoltage,FixSolarOffsetTo100mV} = 1
Hub4/L1/AcPowerSetpoint = 40
Hub4/L1/{CurrentLimitedDueToHighTemp,FrequencyVariationOccurred,OffsetAddedToVoltageSetpoint} = 0
Hub4/L1/MaxFeedInPower = 32766
Hub4/L1/OverruledShoreLimit
Interfaces/Mk2/Connection = "/dev/ttyS4"
Interfaces/Mk2/ProductId = 4464
Interfaces/Mk2/ProductName = "MK3"
Interfaces/Mk2/Status/Baudrate = 115200
Interfaces/Mk2/Status/BusFreeMode = 1
Interfaces/Mk2/Version = 1170216
IsInverterCharger
Leds/{Mains,Bulk,Absorption,Float,Inverter,Overload,LowBattery,Temperature} = 0
Mgmt/Connection = "VE.Bus"
Mgmt/ProcessName = "mk2-dbus"
Mgmt/ProcessVersion = "3.83"
Mode = 3
ModeIsAdjustable = 1
ProductId = 9763
ProductName = "MultiPlus-II 48/5000/70-50"
PvInverter/Disable = 0
Quirks = 0
RedetectSystem = 0
Service
Settings/Alarm/System/GridLost = 1
Settings/AssistCurrentBoostFactor = 2.0
Settings/GridCode = 0
Settings/InverterOutputVoltage = 230.0
Settings/{PowerAssistEnabled,UpsFunction} = true
Settings/SystemSetup/AcInput1 = 1
Settings/SystemSetup/AcInput2 = 0
ShortIds = 1
Soc
State = 3
SystemReset
VebusChargeState = 1
VebusError = 0
VebusMainState = 9
VebusSetChargeState = 0
""")
NO_INPUT = 240


class Vebus:
    """The inverter/charger of the default system."""

    key = "vebus"
    service = "com.victronenergy.vebus.ttyS4"
    root = Root.TREE

    def leafs(self) -> dict[str, Any]:
        return dict(LEAFS)

    def update(self, site: Site) -> Mapping[str, Any]:
        return {**_ac(site), **_dc(site), **_state(site), **_energy(site)}


def _ac(site: Site) -> dict[str, Any]:
    phase = site.plant.flow.phases[0]
    out_w = round(phase.load_out_w)
    values: dict[str, Any] = {
        "Ac/Out/L1/V": round(phase.out_v, 2),
        "Ac/Out/L1/F": round(phase.out_hz, 6),
        "Ac/Out/L1/I": round(phase.load_out_w / phase.out_v, 2),
        "Ac/Out/L1/P": out_w,
        "Ac/Out/L1/S": round(out_w * 1.06),
        "Ac/Out/P": out_w,
        "Ac/Out/S": round(out_w * 1.06),
        "Devices/0/Ac/Out/P": out_w,
        "Devices/0/Ac/Inverter/P": round(phase.inverter_w),
    }
    return {**values, **_input(site)}


def _input(site: Site) -> dict[str, Any]:
    """Return what the AC input says: nothing at all, and input 240, without a grid."""
    phase = site.plant.flow.phases[0]
    if not site.plant.has_grid:
        return {
            **{f"Ac/ActiveIn/L1/{leaf}": [] for leaf in "VFIPS"},
            **{path: [] for path in ("Ac/ActiveIn/P", "Ac/ActiveIn/S", "Devices/0/Ac/In/P")},
            "Ac/ActiveIn/ActiveInput": NO_INPUT,
            "Ac/ActiveIn/Connected": 0,
            "Ac/State/AcIn1Available": 0,
            "Devices/0/ExtendStatus/AcIn1Available": 0,
            "Devices/0/ExtendStatus/MainsPllLocked": 0,
        }
    in_w = round(phase.load_out_w - phase.inverter_w)
    return {
        "Ac/ActiveIn/L1/V": round(phase.grid_v, 2),
        "Ac/ActiveIn/L1/F": round(phase.grid_hz, 6),
        "Ac/ActiveIn/L1/I": round(in_w / phase.grid_v, 2),
        "Ac/ActiveIn/L1/P": in_w,
        "Ac/ActiveIn/L1/S": round(abs(in_w) * 1.04),
        "Ac/ActiveIn/P": in_w,
        "Ac/ActiveIn/S": round(abs(in_w) * 1.04),
        "Devices/0/Ac/In/P": in_w,
        "Ac/ActiveIn/ActiveInput": 0,
        "Ac/ActiveIn/Connected": 1,
        "Ac/State/AcIn1Available": 1,
        "Devices/0/ExtendStatus/AcIn1Available": 1,
        "Devices/0/ExtendStatus/MainsPllLocked": 1,
    }


def _dc(site: Site) -> dict[str, Any]:
    phase = site.plant.flow.phases[0]
    battery = site.plant.battery
    volts = round(battery.voltage_v - 0.03, 2)
    return {
        "Dc/0/Voltage": volts,
        "Dc/0/Current": round(-phase.inverter_dc_w / battery.voltage_v, 1),
        "Dc/0/Power": round(-phase.inverter_dc_w),
        "Dc/0/MaxChargeCurrent": 70,
        "Devices/0/Diagnostics/UBatTerminal": volts,
        "Devices/0/Diagnostics/UBatVSense": volts,
        "Devices/0/Diagnostics/UBatRipple": round(0.02 + abs(phase.inverter_w) * 4e-5, 3),
        "BatterySense/Voltage": volts,
        "BatteryOperationalLimits/MaxChargeCurrent": battery.charge_limit_a if site.plant.has_bms else 0.0,
        "BatteryOperationalLimits/MaxDischargeCurrent": battery.discharge_limit_a if site.plant.has_bms else 0.0,
        "BatteryOperationalLimits/MaxChargeVoltage": 56.0,
        "Soc": round(battery.soc, 1),
    }


def _state(site: Site) -> dict[str, Any]:
    levels = site.alarms.levels
    has_grid = site.plant.has_grid
    is_full = site.plant.battery.soc > 99.5
    overload = levels.get("overload", 0)
    low = levels.get("low_soc", 0)
    return {
        "Alarms/GridLost": levels.get("grid_lost", 0),
        "Alarms/BmsConnectionLost": levels.get("bms_lost", 0),
        "Alarms/Overload": overload,
        "Alarms/L1/Overload": overload,
        "Alarms/LowBattery": low,
        "Alarms/L1/LowBattery": low,
        "State": 9 if not has_grid else 8 if not site.plant.has_bms else 5 if is_full else 3,
        "VebusChargeState": 3 if is_full else 1,
        "VebusMainState": 8 if not has_grid else 9,
        "Leds/Mains": int(has_grid),
        "Leds/Inverter": int(not has_grid),
        "Leds/Bulk": int(has_grid and not is_full),
        "Leds/Float": int(has_grid and is_full),
        "Leds/Overload": int(overload > 0),
        "Leds/LowBattery": int(low > 0),
        "Hub4/L1/AcPowerSetpoint": round(site.plant.setpoint_w),
        "Hub4/Sustain": 0,
        "Devices/0/UpTime": int(site.clock.uptime_s()) + 86400,
    }


def _energy(site: Site) -> dict[str, Any]:
    energy = site.energy.phases[0]
    return {
        "Energy/AcIn1ToAcOut": round(energy.in_to_out, 2),
        "Energy/AcIn1ToInverter": round(energy.in_to_inverter, 2),
        "Energy/InverterToAcOut": round(energy.inverter_to_out, 2),
        "Energy/InverterToAcIn1": round(energy.inverter_to_in, 2),
        "Energy/OutToInverter": round(energy.out_to_inverter, 2),
    }
