"""Which D-Bus path a column of a VRM export is: device and measurement as the portal words them.

Law: a name stands here only where its meaning is certain; every other column is left out and counted, never guessed.
Counters that the portal exports per period (charged energy, yield since the last update) are left out for that reason.

Source: names, units and texts of the portal's data attributes as public tools and documents quote them, together with
the D-Bus path each belongs to; no export of ours. A path is that of the catalogue, its unit the catalogue's, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Column(NamedTuple):
    """What a column is: its D-Bus path, the unit that the path has ("" for none), and the texts that are numbers."""

    path: str
    unit: str = ""
    texts: Mapping[str, int] = {}


ALARMS = {"ok": 0, "no alarm": 0, "warning": 1, "almost discharged": 1, "alarm": 2}
_GRID = {**ALARMS, "grid ok": 0, "grid lost": 2}
_YES = {"no": 0, "yes": 1}
_INPUTS = {"ac input 1": 0, "ac input 2": 1, "disconnected": 240}
_SOURCES = {"not available": 0, "grid": 1, "generator": 2, "shore": 3, "inverting": 240}
_VEBUS_STATES = {
    "off": 0,
    "low power": 1,
    "fault": 2,
    "bulk": 3,
    "absorption": 4,
    "float": 5,
    "storage": 6,
    "equalize": 7,
    "passthru": 8,
    "inverting": 9,
    "power assist": 10,
    "power supply": 11,
    "external control": 252,
}
_CHARGER_STATES = {
    "off": 0,
    "fault": 2,
    "bulk": 3,
    "absorption": 4,
    "float": 5,
    "storage": 6,
    "equalize": 7,
    "external control": 252,
}
_BATTERY_STATES = {"idle": 0, "charging": 1, "discharging": 2}
_NO_ERROR = {"no error": 0}


def _alarms(paths: Mapping[str, str]) -> dict[str, Column]:
    return {name: Column(f"Alarms/{path}", texts=ALARMS) for name, path in paths.items()}


def _phases(template: str, path: str, unit: str) -> dict[str, Column]:
    """Return a column for each of three phases; `{n}` in both texts is its number."""
    return {template.format(n=n): Column(path.format(n=n), unit) for n in (1, 2, 3)}


_BATTERY = {
    "State of charge": Column("Soc", "%"),
    "State of health": Column("Soh", "%"),
    "Voltage": Column("Dc/0/Voltage", "V"),
    "Current": Column("Dc/0/Current", "A"),
    "Battery voltage": Column("Dc/0/Voltage", "V"),
    "Battery current": Column("Dc/0/Current", "A"),
    "Battery power": Column("Dc/0/Power", "W"),
    "Battery temperature": Column("Dc/0/Temperature", "°C"),
    "Time to go": Column("TimeToGo", "s"),
    "Consumed Amphours": Column("ConsumedAmphours", "Ah"),
    "Minimum cell voltage": Column("System/MinCellVoltage", "V"),
    "Maximum cell voltage": Column("System/MaxCellVoltage", "V"),
    "System; minimum cell voltage": Column("System/MinCellVoltage", "V"),
    "System; maximum cell voltage": Column("System/MaxCellVoltage", "V"),
    "Minimum cell temperature": Column("System/MinCellTemperature", "°C"),
    "Maximum cell temperature": Column("System/MaxCellTemperature", "°C"),
    "Number of offline modules": Column("System/NrOfModulesOffline"),
    "Number of online modules": Column("System/NrOfModulesOnline"),
    "Number of modules blocking charge": Column("System/NrOfModulesBlockingCharge"),
    "Number of modules blocking discharge": Column("System/NrOfModulesBlockingDischarge"),
    "CCL - Charge Current Limit": Column("Info/MaxChargeCurrent", "A"),
    "CVL - Charge Voltage Limit": Column("Info/MaxChargeVoltage", "V"),
    "DCL - Discharge Current Limit": Column("Info/MaxDischargeCurrent", "A"),
    **_alarms(
        {
            "Low voltage alarm": "LowVoltage",
            "High voltage alarm": "HighVoltage",
            "Low state-of-charge alarm": "LowSoc",
            "Low battery temperature alarm": "LowTemperature",
            "High battery temperature alarm": "HighTemperature",
            "Mid-voltage alarm": "MidVoltage",
            "Cell Imbalance alarm": "CellImbalance",
            "High charge current alarm": "HighChargeCurrent",
            "High discharge current alarm": "HighDischargeCurrent",
            "Internal failure": "InternalFailure",
            "High charge temperature alarm": "HighChargeTemperature",
            "Low charge temperature alarm": "LowChargeTemperature",
            "Low cell voltage": "LowCellVoltage",
            "Low cell voltage alarm": "LowCellVoltage",
        }
    ),
}

_VEBUS = {
    **_phases("Input voltage phase {n}", "Ac/ActiveIn/L{n}/V", "V"),
    **_phases("Input current phase {n}", "Ac/ActiveIn/L{n}/I", "A"),
    **_phases("Input frequency {n}", "Ac/ActiveIn/L{n}/F", "Hz"),
    **_phases("Input power {n}", "Ac/ActiveIn/L{n}/P", "W"),
    **_phases("Output voltage phase {n}", "Ac/Out/L{n}/V", "V"),
    **_phases("Output current phase {n}", "Ac/Out/L{n}/I", "A"),
    **_phases("Output power {n}", "Ac/Out/L{n}/P", "W"),
    "Output frequency": Column("Ac/Out/L1/F", "Hz"),
    "Active input": Column("Ac/ActiveIn/ActiveInput", texts=_INPUTS),
    "Voltage": Column("Dc/0/Voltage", "V"),
    "Current": Column("Dc/0/Current", "A"),
    "VE.Bus state of charge": Column("Soc", "%"),
    "VE.Bus state": Column("State", texts=_VEBUS_STATES),
    "VE.Bus Error": Column("VebusError", texts=_NO_ERROR),
    "Grid alarm": Column("Alarms/GridLost", texts=_GRID),
    **_alarms(
        {
            "Low battery": "LowBattery",
            "Overload": "Overload",
            "Temperature": "HighTemperature",
            "Temperature sensor alarm": "TemperatureSensor",
            "Voltage sensor alarm": "VoltageSensor",
            **{f"Overload L{n}": f"L{n}/Overload" for n in (1, 2, 3)},
            **{f"Low battery L{n}": f"L{n}/LowBattery" for n in (1, 2, 3)},
            **{f"Temperature L{n}": f"L{n}/HighTemperature" for n in (1, 2, 3)},
        }
    ),
}

_SYSTEM = {
    "Battery SOC": Column("Dc/Battery/Soc", "%"),
    "Battery Voltage": Column("Dc/Battery/Voltage", "V"),
    "Battery Current": Column("Dc/Battery/Current", "A"),
    "Battery Power": Column("Dc/Battery/Power", "W"),
    "Battery State of Charge (System)": Column("Dc/Battery/Soc", "%"),
    "Battery Voltage (System)": Column("Dc/Battery/Voltage", "V"),
    "Battery Current (System)": Column("Dc/Battery/Current", "A"),
    "Battery Power (System)": Column("Dc/Battery/Power", "W"),
    "Battery state": Column("Dc/Battery/State", texts=_BATTERY_STATES),
    "PV - DC-coupled": Column("Dc/Pv/Power", "W"),
    "AC-Input": Column("Ac/ActiveIn/Source", texts=_SOURCES),
    **_phases("Grid L{n}", "Ac/Grid/L{n}/Power", "W"),
    **_phases("Genset L{n}", "Ac/Genset/L{n}/Power", "W"),
    **_phases("AC Consumption L{n}", "Ac/Consumption/L{n}/Power", "W"),
    **_phases("PV - AC-coupled on output L{n}", "Ac/PvOnOutput/L{n}/Power", "W"),
    **_phases("PV - AC-coupled on input L{n}", "Ac/PvOnGrid/L{n}/Power", "W"),
}

_SOLAR_CHARGER = {
    "PV power": Column("Yield/Power", "W"),
    "PV voltage": Column("Pv/V", "V"),
    "Voltage": Column("Dc/0/Voltage", "V"),
    "Current": Column("Dc/0/Current", "A"),
    "Battery voltage": Column("Dc/0/Voltage", "V"),
    "Battery current": Column("Dc/0/Current", "A"),
    "Battery temperature": Column("Dc/0/Temperature", "°C"),
    "Yield today": Column("History/Daily/0/Yield", "kWh"),
    "Yield yesterday": Column("History/Daily/1/Yield", "kWh"),
    "Charge state": Column("State", texts=_CHARGER_STATES),
    "Error code": Column("ErrorCode", texts=_NO_ERROR),
}

_METER = {
    **_phases("L{n} Power", "Ac/L{n}/Power", "W"),
    **_phases("L{n} Voltage", "Ac/L{n}/Voltage", "V"),
    **_phases("L{n} Current", "Ac/L{n}/Current", "A"),
}
_TEMPERATURE = {"Temperature": Column("Temperature", "°C"), "Humidity": Column("Humidity", "%")}
_TANK = {"Tank level": Column("Level", "%"), "Fluid remaining": Column("Remaining", "m³")}
_GRID_METER = {
    **_METER,
    **_phases("Grid L{n} - Power", "Ac/L{n}/Power", "W"),
}

_CLASSES = {
    "Battery Monitor": ("battery", _BATTERY),
    "VE.Bus System": ("vebus", _VEBUS),
    "System overview": ("system", _SYSTEM),
    "Solar Charger": ("solarcharger", _SOLAR_CHARGER),
    "Grid meter": ("grid", _GRID_METER),
    "PV Inverter": ("pvinverter", _METER),
    "AC Load": ("acload", _METER),
    "Temperature sensor": ("temperature", _TEMPERATURE),
    "Tank": ("tank", _TANK),
    "Tank sensor": ("tank", _TANK),
}

DEVICES: Mapping[str, tuple[str, Mapping[str, Column]]] = {
    name.lower(): (kind, {measurement.lower(): column for measurement, column in columns.items()})
    for name, (kind, columns) in _CLASSES.items()
}
"""Name of a device without its instance -> D-Bus class, and columns by the name of the measurement; in lower case."""

CONVERSIONS: Mapping[tuple[str, str], float] = {
    ("h", "s"): 3600.0,
    ("min", "s"): 60.0,
    ("kW", "W"): 1000.0,
    ("Wh", "kWh"): 0.001,
    ("m3", "m³"): 1.0,
    ("l", "m³"): 0.001,
    ("VAC", "V"): 1.0,
    ("V AC", "V"): 1.0,
    ("V DC", "V"): 1.0,
    ("A AC", "A"): 1.0,
    ("A DC", "A"): 1.0,
    ("VA", "W"): 1.0,  # older portals head the powers of a VE.Bus system so, which are watts on D-Bus
}
"""What a number in the first unit is to be multiplied with to be one in the second."""
