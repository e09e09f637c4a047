"""com.victronenergy.settings: a good hundred of the settings of a GX, with their limits for `/settings`.

Each line is a value, optionally followed by `| min max`; `inf` occurs, as in the gauges of a stock system, and makes
`/settings` a document that is not JSON. What looks like a secret is invented and must never be published.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bridge.simulator.leafs import leafs
from bridge.simulator.site import Site
from bridge.simulator.store import Root

FAKE_PASSWORD = "fake-password-do-not-publish"  # noqa: S105
FAKE_TOKEN = "fake-token-do-not-publish"  # noqa: S105


class Limits(NamedTuple):
    """What a setting accepts."""

    low: float
    high: float


_TEXT = """
Alarm/System/GridLost = 1 | 0 1
Alarm/Vebus/{HighDcCurrent,HighDcRipple,HighDcVoltage,HighTemperature,InverterOverload,LowBattery} = 1 | 0 2
Alarm/Vebus/{TemperatureSenseError,VoltageSenseError,VeBusError} = 1 | 0 2
Alarm/Audible = 1 | 0 1
CGwacs/{AcExportLimit,AcInputLimit} = -1 | -1 inf
CGwacs/AcPowerSetPoint = 40.0 | -100000 100000
CGwacs/{AlwaysPeakShave,BatteryUse,RunWithoutGridMeter,PreventFeedback} = 0 | 0 1
CGwacs/OvervoltageFeedIn = 1 | 0 1
CGwacs/Hub4Mode = 1 | 0 3
CGwacs/{MaxChargePercentage,MaxDischargePercentage} = 100 | 0 100
CGwacs/{MaxChargePower,MaxDischargePower,MaxFeedInPower} = -1 | -1 inf
CGwacs/PvPowerSetpointOffset = 200 | 0 1000
CGwacs/BatteryLife/State = 10 | 0 12
CGwacs/BatteryLife/{Flags,DischargedTime} = 0
CGwacs/BatteryLife/SocLimit = 25.0 | 0 100
CGwacs/BatteryLife/MinimumSocLimit = 25.0 | 0 100
CGwacs/BatteryLife/Schedule/Charge/{0..4}/Day = -7
CGwacs/BatteryLife/Schedule/Charge/{0..4}/{Start,Duration,AllowDischarge} = 0
CGwacs/BatteryLife/Schedule/Charge/{0..4}/Soc = 100 | 0 100
Canbus/{can0,can1}/Profile = 3 | 0 11
DynamicEss/{Mode,OperatingMode} = 0
DynamicEss/BatteryCapacity = 20.5
DynamicEss/{BatteryChargeLimit,BatteryDischargeLimit,GridImportLimit,GridExportLimit} = -1.0
DynamicEss/FullChargeInterval = 14
DynamicEss/FullChargeDuration = 2
DynamicEss/SystemEfficiency = 90.0 | 50 100
DynamicEss/Schedule/{0..47}/{Start,Duration,Soc,AllowGridFeedIn,Restrictions,Strategy,Flags} = 0
DynamicEss/Schedule/{0..47}/TargetSoc = 0.0
Gps/Format = 0
Gps/SpeedUnit = "km/h"
Gui/{ColorScheme,TouchEnabled,Gauges/AutoMax} = 1
Gui/{DemoMode,ElectricalPowerIndicator} = 0
Gui/Gauges/Ac/In/{0,1}/Current/Max = 32.0 | 0 inf
Gui/Gauges/Ac/In/{0,1}/Current/Min = 0.0 | -inf 0
Gui/Gauges/{Pv,Dc/System,Dc/Input,MotorDrive}/Power/Max = 8000.0 | 0 inf
Gui/Gauges/Ac/{NoAcIn,AcIn1,AcIn2}/Consumption/Current/Max = 40.0 | 0 inf
Gui2/StartPage = 0
Gui2/StartPageName = ""
LoadSheddingApi/{Mode,PreparationTime} = 0
LoadSheddingApi/Token = "TOKEN"
ModbusClient/tcp/AutoScan = 1
ModbusClient/tcp/Devices = ""
Network/VrmPortal = 2 | 0 2
Relay/{0,1}/Function = 2 | -1 6
Relay/{0,1}/{CustomName,Group} = ""
Relay/{0,1}/{InitialState,ShowUIControl} = 0
Services/{AccessPoint,BleSensors,Bluetooth,Modbus,MqttLocal,NodeRed} = 1 | 0 3
Services/{Bol,SignalK,MqttLocalInsecure} = 0 | 0 3
Services/AccessPointPassword = "PASSWORD"
Services/Wifi/Passphrase = "PASSWORD"
System/{AccessLevel,ImageType} = 1
System/{AutoUpdate,ReleaseType,RemoteSupport,SSHLocal,SecurityProfile,VncLocal} = 0
System/TimeZone = "/UTC"
System/VncPassword = "PASSWORD"
System/Units/Temperature = "celsius"
SystemSetup/{AcInput1,HasAcInLoads,HasAcOutSystem,SharedTemperatureSense,BatteryCurrentSense} = 1 | 0 3
SystemSetup/{AcInput2,HasDcSystem,CanBmsSense,DvccControlAllMultis} = 0 | 0 3
SystemSetup/{BatteryService,TemperatureService} = "default"
SystemSetup/BmsInstance = -1
SystemSetup/MaxChargeCurrent = -1 | -1 10000
SystemSetup/MaxChargeVoltage = 0.0 | 0 80
SystemSetup/SharedVoltageSense = 2 | 0 3
SystemSetup/SystemName = "Simulated site"
Vrmlogger/LogInterval = 60 | 1 86400
Vrmlogger/HttpsEnabled = 1 | 0 1
Watchdog/VrmTimeout = 0
"""


def _parse(text: str) -> tuple[dict[str, Any], dict[str, Limits]]:
    values: dict[str, Any] = {}
    limits: dict[str, Limits] = {}
    for line in text.splitlines():
        setting, _, bounds = line.partition(" | ")
        found = {f"Settings/{path}": value for path, value in leafs(setting).items()}
        values |= found
        if bounds:
            low, high = (float(bound) for bound in bounds.split())
            limits |= dict.fromkeys(found, Limits(low, high))
    secrets = {"PASSWORD": FAKE_PASSWORD, "TOKEN": FAKE_TOKEN}
    return {path: secrets.get(str(value), value) for path, value in values.items()}, limits


LEAFS, LIMITS = _parse(_TEXT)
SETPOINT = "Settings/CGwacs/AcPowerSetPoint"
MIN_SOC = "Settings/CGwacs/BatteryLife/MinimumSocLimit"


class Settings:
    """The settings service. Two of its settings steer the plant: the grid setpoint and the minimum charge."""

    key = "settings"
    service = "com.victronenergy.settings"
    root = Root.TREE

    def leafs(self) -> dict[str, Any]:
        return dict(LEAFS)

    def update(self, site: Site) -> Mapping[str, Any]:
        found = site.store.find(self.service)
        if found is not None:
            values = found.leafs()
            site.plant.setpoint_w = _number(values.get(SETPOINT), site.plant.setpoint_w)
            site.plant.min_soc = _number(values.get(MIN_SOC), site.plant.min_soc)
        return {}


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) else default


def documented(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of `GET /settings` for the leafs `values` (paths without the leading slash)."""
    document = {}
    for path, value in values.items():
        entry: dict[str, Any] = {"Value": value, "Text": str(value)}
        if path in LIMITS:
            kind = type(value) if isinstance(value, (int, float)) else float
            entry |= {"Max": _bound(LIMITS[path].high, kind), "Min": _bound(LIMITS[path].low, kind)}
        document["/" + path] = {**entry, "Default": LEAFS.get(path, value)}
    return document


def _bound(bound: float, kind: type) -> float | int:
    return int(bound) if kind is int and abs(bound) != float("inf") else bound
