"""The catalogue's own data: complete, valid, unambiguous, and named as the topic contract says.

`python tests/test_catalogue_data.py` rewrites the golden list of names after a change that was meant.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from bridge.core.catalogue import Catalogue, point_pattern
from bridge.files import paths, schema, yaml_text
from bridge.model import Kind, PointSpec

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "fixtures" / "point_names.txt"
REFERENCE = HERE / "fixtures" / "reference_paths.csv"
CAPTURES = HERE.parent.parent / "shared" / "captures"
FILES = {path.stem: yaml_text.load_file(path) for path in sorted(paths.catalogue_directory().glob("*.yaml"))}
DOCUMENTS: dict[str, Any] = {name: document.data for name, document in FILES.items()}
CATALOGUE = Catalogue(DOCUMENTS)
CLASSES = CATALOGUE.class_names()
SINGLETONS = [name for name in CLASSES if DOCUMENTS[name]["singleton"]]
SAMPLE = {"phase": "L1", "distributor": "A", "generator": "Generator0", "name": "input_1", "interface": "can0"}
RESERVED = {"status", "info"}  # <class>/<instance>/status and …/info say whether and what a device is
RESERVED_FOR_SITE = {"status", "summary", "alerts", "raw", "request", "response"}


def filled(path: str) -> str:
    """Return a path with its placeholders replaced by something that a device could have."""
    return re.sub(r"\{(\w+)\}", lambda match: SAMPLE.get(match[1], "1"), path)


def names_of(spec: PointSpec) -> list[str]:
    """Return the point templates of a row: its own, or those of its fields."""
    return [part.point for _, part in spec.fields] or [spec.point]


def all_specs() -> Iterator[tuple[str, PointSpec]]:
    """Yield every point of every class with its class, fields as points of their own."""
    for name in CLASSES:
        for spec in CATALOGUE.get(name).rows():
            for row in [part for _, part in spec.fields] or [spec]:
                yield name, row


def rows() -> list[tuple[str, str, dict[str, Any]]]:
    """Return every row as written: document, path, row."""
    return [(name, path, row) for name, doc in DOCUMENTS.items() for path, row in doc.get("points", {}).items()]


def golden_lines() -> list[str]:
    """Return one line per point template: class, D-Bus path, point."""
    lines = [f"{name} {path} {row['point']}" for name, path, row in rows() if "point" in row]
    lines += [f"{name} {path} = {row['alias']}" for name, path, row in rows() if "alias" in row]
    for name, path, row in rows():
        lines += [f"{name} {path} {'.'.join(map(str, f['at']))} {f['point']}" for f in row.get("fields", ())]
    return sorted(lines + [f"system sum {name}" for name in CATALOGUE.sums()])


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_valid(name: str) -> None:
    """Each file of the catalogue keeps to its schema."""
    assert [str(error) for error in schema.validate(FILES[name], "catalogue")] == []


@pytest.mark.parametrize("name", [name for name in FILES if name != "enums"])
def test_a_file_is_named_like_its_class(name: str) -> None:
    """A class is found by the name of its file."""
    assert DOCUMENTS[name]["class"] == name


def test_the_schema_refuses_what_is_wrong() -> None:
    """A misspelt key, an unknown kind, a point in capitals and a row of two forms are faults with a place."""
    text = "\n".join(
        [
            "class: x",
            "title: X",
            "singleton: false",
            "points:",
            "  /A: {point: a, kind: float, tier: static, about: fine, unti: V}",
            "  /B: {point: b, kind: flaot, tier: static, about: fine}",
            "  /C: {point: C, kind: float, tier: static, about: fine}",
            "  /D: {point: d, kind: float, tier: static, about: fine, not_on_device: use /A}",
            "  E: {point: e, kind: float, tier: static, about: fine}",
        ]
    )
    errors = schema.validate(yaml_text.load(text, "x.yaml"), "catalogue")
    assert {error.line for error in errors} == {5, 6, 7, 8, 9}


def test_the_catalogue_is_complete() -> None:
    """All 1450 rows that were collected are there, as points or marked as what is no point, and nothing shrinks."""
    assert len(rows()) >= 1450
    assert sum("not_on_device" in row for _, _, row in rows()) >= 22
    assert {(n, p) for n, p, row in rows() if "secret" in row} == {("modem", "/IMEI")}


def test_names_are_the_golden_ones() -> None:
    """A topic name changes on purpose only: it is a breaking change for every subscriber."""
    known, now = GOLDEN.read_text(encoding="utf-8").splitlines(), golden_lines()
    gone, new = sorted(set(known) - set(now)), sorted(set(now) - set(known))
    advice = "if this is meant, run `python tests/test_catalogue_data.py` and write it into CHANGELOG.md"
    assert not gone and not new, f"gone: {gone}, new: {new}; {advice}"


def reference() -> list[tuple[str, str, str, str]]:
    """Return the paths that documents name: class, path, validity, why it is not polled."""
    with REFERENCE.open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]  # type: ignore[misc]


def test_the_reference_list_is_whole() -> None:
    """The fixture has all 608 entries, and a reason for each that is deliberately not polled."""
    entries = reference()
    assert len(entries) == 608
    assert {valid for _, _, valid, _ in entries} == {"yes", "alias", "no", "unconfirmed", "root"}
    assert sum(valid == "no" for _, _, valid, _ in entries) == 29
    assert all(bool(reason) is (valid in ("no", "root")) for _, _, valid, reason in entries)


@pytest.mark.parametrize(("service", "path", "valid", "reason"), reference())
def test_a_reference_path_is_a_point_unless_it_says_why_not(service: str, path: str, valid: str, reason: str) -> None:
    """Every documented path that devices have is reachable; the others resolve to nothing, and say why."""
    names = ("battery", "vebus", "grid") if service == "*" else (service,)
    for name in names:
        dotted = filled(path)[1:]
        found = CATALOGUE.get(name).resolve(dotted)
        if reason:
            assert found is None, f"{name}{path} is said to be unpolled: {reason}"
        else:
            assert found is not None, f"{name}{path} ({valid}) has no row"
            spec, point = found
            assert point or spec.fields


# topics.md section 6, line by line: class, path, point.
CONTRACT = [
    *[
        ("system", f"/Dc/Battery/{leaf}", f"battery/{name}")
        for leaf, name in [
            ("Soc", "soc"),
            ("Voltage", "voltage"),
            ("Current", "current"),
            ("Power", "power"),
            ("Temperature", "temperature"),
            ("TimeToGo", "time_to_go"),
            ("State", "state"),
            ("ConsumedAmphours", "consumed_amphours"),
        ]
    ],
    ("system", "/Ac/Grid/L1/Power", "grid/l1/power"),
    ("system", "/Ac/Grid/L2/Current", "grid/l2/current"),
    ("system", "/Ac/Consumption/L1/Power", "load/l1/power"),
    ("system", "/Ac/ConsumptionOnInput/L1/Power", "load/on_input/l1/power"),
    ("system", "/Ac/ConsumptionOnOutput/L3/Power", "load/on_output/l3/power"),
    ("system", "/Ac/Genset/L1/Power", "genset/l1/power"),
    ("system", "/Dc/Pv/Power", "pv/dc/power"),
    ("system", "/Ac/PvOnGrid/L1/Power", "pv/on_grid/l1/power"),
    ("system", "/Ac/PvOnOutput/L1/Power", "pv/on_output/l1/power"),
    ("system", "/Ac/PvOnGenset/L1/Power", "pv/on_genset/l1/power"),
    *[
        ("system", f"/SystemState/{leaf}", f"system/{name}")
        for leaf, name in [
            ("State", "state"),
            ("LowSoc", "low_soc"),
            ("ChargeDisabled", "charge_disabled"),
            ("DischargeDisabled", "discharge_disabled"),
            ("SlowCharge", "slow_charge"),
            ("BatteryLife", "battery_life"),
        ]
    ],
    ("system", "/SystemType", "system/type"),
    ("system", "/Timers/TimeOnGrid", "system/timers/time_on_grid"),
    ("system", "/Relay/0/State", "system/relay/0/state"),
    ("system", "/Control/EssState", "ess/state"),
    ("system", "/Control/ActiveSocLimit", "ess/active_soc_limit"),
    ("system", "/DynamicEss/TargetSoc", "dynamic_ess/target_soc"),
    ("system", "/DynamicEss/Active", "dynamic_ess/active"),
    *[
        ("battery", path, name)
        for path, name in [
            ("/Soc", "soc"),
            ("/Soh", "soh"),
            ("/Dc/0/Voltage", "voltage"),
            ("/Dc/0/Current", "current"),
            ("/Dc/0/Power", "power"),
            ("/Dc/0/Temperature", "temperature"),
            ("/TimeToGo", "time_to_go"),
            ("/InstalledCapacity", "installed_capacity"),
            ("/Capacity", "capacity"),
            ("/System/MaxCellVoltage", "cell_voltage/max"),
            ("/System/MinCellVoltage", "cell_voltage/min"),
            ("/System/MaxCellTemperature", "cell_temperature/max"),
            ("/System/MinCellTemperature", "cell_temperature/min"),
            ("/System/MaxVoltageCellId", "cell_voltage/max_id"),
            ("/System/MinVoltageCellId", "cell_voltage/min_id"),
            ("/System/MaxTemperatureCellId", "cell_temperature/max_id"),
            ("/System/MinTemperatureCellId", "cell_temperature/min_id"),
            ("/System/NrOfModulesOnline", "modules/online"),
            ("/System/NrOfModulesOffline", "modules/offline"),
            ("/System/NrOfModulesBlockingCharge", "modules/blocking_charge"),
            ("/System/NrOfModulesBlockingDischarge", "modules/blocking_discharge"),
            ("/Info/MaxChargeVoltage", "limits/max_charge_voltage"),
            ("/History/ChargedEnergy", "history/charged_energy"),
            ("/Alarms/LowCellVoltage", "alarms/low_cell_voltage"),
            ("/Io/AllowToCharge", "io/allow_to_charge"),
        ]
    ],
    *[
        ("vebus", f"/Ac/{side}/{phase}/{letter}", f"{name}/{phase.lower()}/{word}")
        for side, name in [("ActiveIn", "ac_in"), ("Out", "ac_out")]
        for phase in ("L1", "L2", "L3")
        for letter, word in [
            ("V", "voltage"),
            ("I", "current"),
            ("P", "power"),
            ("F", "frequency"),
            ("S", "apparent_power"),
        ]
    ],
    ("vebus", "/Ac/ActiveIn/Connected", "ac_in/connected"),
    ("vebus", "/Mode", "mode"),
    ("vebus", "/State", "state"),
    ("vebus", "/VebusChargeState", "charge_state"),
    ("vebus", "/Dc/0/Voltage", "dc/voltage"),
    ("vebus", "/Dc/0/Power", "dc/power"),
    ("vebus", "/Alarms/GridLost", "alarms/grid_lost"),
    ("vebus", "/Alarms/L1/Overload", "alarms/l1/overload"),
    ("vebus", "/Energy/AcIn1ToAcOut", "energy/ac_in1_to_ac_out"),
    ("vebus", "/Leds/LowBattery", "leds/low_battery"),
    *[
        (name, path, point)
        for name in ("grid", "acload", "pvinverter", "genset")
        for path, point in [
            ("/Ac/Power", "power"),
            ("/Ac/L1/Voltage", "l1/voltage"),
            ("/Ac/L1/Current", "l1/current"),
            ("/Ac/L1/Power", "l1/power"),
            ("/Ac/Energy/Forward", "energy/forward"),
            ("/Ac/Frequency", "frequency"),
        ]
    ],
    ("grid", "/Ac/L2/Energy/Forward", "l2/energy/forward"),
    ("grid", "/Ac/L2/Energy/Reverse", "l2/energy/reverse"),
    ("grid", "/Ac/Energy/Reverse", "energy/reverse"),
    ("solarcharger", "/Yield/Power", "power"),
    ("solarcharger", "/Yield/User", "yield/user"),
    ("solarcharger", "/History/Daily/30/Yield", "history/daily/30/yield"),
    ("solarcharger", "/Pv/V", "pv/voltage"),
    ("solarcharger", "/Pv/1/V", "pv/1/voltage"),
    ("solarcharger", "/Pv/1/P", "pv/1/power"),
    ("solarcharger", "/State", "state"),
    ("solarcharger", "/DeviceOffReason", "off_reason"),
    ("temperature", "/Temperature", "temperature"),
    ("temperature", "/Humidity", "humidity"),
    ("tank", "/Level", "level"),
    ("tank", "/Remaining", "remaining"),
    ("platform", "/Firmware/Installed/Version", "platform/firmware/installed/version"),
    ("platform", "/Firmware/Online/AvailableVersion", "platform/firmware/online/available_version"),
    ("platform", "/Network/Wifi/SignalStrength", "platform/network/wifi/signal_strength"),
    ("platform", "/Device/Model", "platform/device/model"),
    ("logger", "/Vrm/TimeLastContact", "vrm/last_contact"),
    ("logger", "/Vrm/ConnectionError", "vrm/connection_error"),
    ("logger", "/Buffer/FreeDiskSpace", "vrm/buffer/free_disk_space"),
    ("hub4", "/Overrides/ForceCharge", "hub4/overrides/force_charge"),
    ("settings", "/Settings/CGwacs/Hub4Mode", "settings/cgwacs/hub4_mode"),
]


@pytest.mark.parametrize(("service", "path", "point"), CONTRACT)
def test_names_keep_to_the_contract(service: str, path: str, point: str) -> None:
    """Every line of the contract's table of names holds as it is written there."""
    found = CATALOGUE.get(service).resolve(path[1:])
    assert found is not None and found[1] == point


def test_can_statistics_are_points_of_the_port() -> None:
    """The JSON text of a CAN port gives its state, bit rate and counters as points of their own."""
    found = CATALOGUE.get("platform").resolve("CanBus/Interface/can0/Statistics")
    assert found is not None
    points = {part.point.replace("{interface}", "can0"): at for at, part in found[0].fields}
    leafs = ("state", "bitrate", "rx/packets", "rx/errors", "tx/packets", "tx/errors", "error_counter/rx", "restarts")
    assert {f"platform/canbus/can0/{leaf}" for leaf in leafs} <= set(points)
    assert points["platform/canbus/can0/state"] == (0, "linkinfo", "info_data", "state")


def test_the_state_of_a_sensor_does_not_hide_whether_it_is_there() -> None:
    """No device has a point called status or info: these two levels below a device are the bridge's own."""
    taken = [(n, spec.path) for n, spec in all_specs() if n not in SINGLETONS and spec.point.split("/")[0] in RESERVED]
    assert taken == []


@pytest.mark.parametrize("name", [*CLASSES, "any"])
def test_names_are_unique_within_a_class(name: str) -> None:
    """No two rows of a class can give the same name, whatever their placeholders capture."""
    points = [point for spec in CATALOGUE.get(name).rows() for point in names_of(spec)]
    assert [pair for pair in combinations(points, 2) if can_meet(*pair)] == []


def test_site_names_are_unique() -> None:
    """No two of all site points, sums included, can give the same name."""
    points = [point for spec in CATALOGUE.site_points() for point in names_of(spec)] + list(CATALOGUE.sums())
    assert [pair for pair in combinations(points, 2) if can_meet(*pair)] == []


def can_meet(one: str, other: str) -> bool:
    """Tell whether two point templates have a name in common, level by level."""
    levels, others = one.split("/"), other.split("/")
    return len(levels) == len(others) and all(map(_level_meets, levels, others))


def _level_meets(one: str, other: str) -> bool:
    if "{" not in one and "{" not in other:
        return one == other
    one_pattern, other_pattern = point_pattern(one), point_pattern(other)
    tries = [
        re.sub(r"\{\w+\}", value, level) for level in (one, other) for value in ("0", "l1", "a", "generator0", "x")
    ]
    return any(one_pattern.fullmatch(text) and other_pattern.fullmatch(text) for text in tries)


def test_a_site_point_is_no_device_point() -> None:
    """The second level of a site point is never a number, and the first none that the contract uses otherwise."""
    points = [point for spec in CATALOGUE.site_points() for point in names_of(spec)] + list(CATALOGUE.sums())
    for levels in (point.split("/") for point in points):
        assert len(levels) > 1 and levels[0] not in RESERVED_FOR_SITE, levels
        assert not re.match(r"[0-9]", levels[1]) and not point_pattern(levels[1]).fullmatch("1"), levels


def test_every_level_of_a_name_is_plain() -> None:
    """Levels hold a-z, 0-9, _ and - only, placeholders filled."""
    for name, spec in all_specs():
        for level in re.sub(r"\{\w+\}", "1", spec.point).split("/"):
            assert re.fullmatch(r"[a-z0-9_-]+", level), (name, spec.path, spec.point)


def test_placeholders_of_a_point_are_those_of_its_path() -> None:
    """What a point takes over, its path captures, in the same order."""
    for name, spec in all_specs():
        taken, captured = re.findall(r"\{\w+\}", spec.point), re.findall(r"\{\w+\}", spec.path)
        assert taken == captured, (name, spec.path, spec.point)


def test_the_parts_of_a_sum_exist() -> None:
    """Every part of a sum is the point of a row, with the unit of the sum."""
    units = {spec.point: spec.unit for spec in CATALOGUE.get("system").rows()}
    for name, (spec, parts) in CATALOGUE.sums().items():
        assert parts and all(units[part] == spec.unit for part in parts), name
    assert {"grid/power", "load/power", "genset/power", "pv/power"} <= set(CATALOGUE.sums())


def test_labels_are_unique_within_a_list() -> None:
    """A label names one number of its list: a rule that compares with it is never ambiguous."""
    lists = [("enums", name, labels) for name, labels in DOCUMENTS["enums"]["enums"].items()]
    lists += [(name, path, row["labels"]) for name, path, row in rows() if isinstance(row.get("labels"), dict)]
    for name, path, labels in lists:
        assert len(set(labels.values())) == len(labels), (name, path)


def test_every_shared_list_is_used_and_known() -> None:
    """A row names a list that exists, and no list stands there for nothing."""
    used = {row["labels"] for _, _, row in rows() if isinstance(row.get("labels"), str)}
    assert used == set(DOCUMENTS["enums"]["enums"])


def test_labels_fit_their_kind() -> None:
    """Enums have labels, alarms the words ok, warning and alarm, bit masks single bits, other kinds none."""
    for name, spec in all_specs():
        where = (name, spec.path)
        if spec.kind is Kind.ENUM:
            assert spec.labels, where
        elif spec.kind is Kind.ALARM:
            assert set(spec.labels.values()) <= {"ok", "warning", "alarm"} and spec.labels[0] == "ok", where
        elif spec.kind is Kind.BITMASK:
            assert all(bit > 0 and bit & (bit - 1) == 0 for bit in spec.labels), where
        elif spec.kind is not Kind.BOOL:
            assert not spec.labels, where


@pytest.mark.parametrize(
    ("service", "path", "sentinel"),
    [
        ("battery", "Info/BatteryLowVoltage", 655.35),
        ("battery", "Info/MaxChargeVoltage", 655.35),
        ("vebus", "BatteryOperationalLimits/BatteryLowVoltage", 655.35),
        ("battery", "History/MinimumTemperature", -273.15),
        ("battery", "History/MaximumTemperature", -273.15),
        ("vebus", "Hub4/L1/MaxFeedInPower", 32766),
        ("battery", "TimeToGo", 864000),
        ("system", "Dc/Battery/TimeToGo", 864000),
        ("multi", "TimeToGo", 864000),
        ("solarcharger", "MppOperationMode", 255),
        ("multi", "Pv/0/MppOperationMode", 255),
    ],
)
def test_sentinels_mean_no_value(service: str, path: str, sentinel: float) -> None:
    """The numbers that stand for "not available" are listed on their rows and have no label."""
    found = CATALOGUE.get(service).resolve(path)
    assert found is not None and sentinel in found[0].invalid and sentinel not in found[0].labels


@pytest.mark.parametrize(
    ("service", "path", "label"),
    [
        ("vebus", "Ac/ActiveIn/ActiveInput", "disconnected"),
        ("multi", "Ac/ActiveIn/ActiveInput", "disconnected"),
        ("system", "Ac/ActiveIn/Source", "not_connected"),
    ],
)
def test_no_ac_input_is_a_state(service: str, path: str, label: str) -> None:
    """240 on an AC input is a state with a label: the first sign of a lost grid must not be "unknown"."""
    found = CATALOGUE.get(service).resolve(path)
    assert found is not None and found[0].labels[240] == label and not found[0].invalid


# Words that make a path look like a secret. The one exception says only whether a key is there.
SECRET_WORDS = {"password", "passwd", "passphrase", "pass", "psk", "secret", "token", "key", "pin", "ssid", "mac"}
SECRET_WORDS |= {"imei", "imsi", "iccid", "credential", "credentials", "login", "username"}
HARMLESS = {"/ModificationChecks/SshKeyForRootPresent"}


def test_no_point_looks_like_a_secret() -> None:
    """No path that is read has a word for a password, key, token, PIN, network name or address in it."""
    for name, spec in all_specs():
        words = set(re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", spec.path))
        suspicious = {word.lower() for word in words} & SECRET_WORDS
        assert not suspicious or spec.path in HARMLESS, (name, spec.path)


def test_the_network_list_is_never_published_whole() -> None:
    """Of the text with network names and hardware addresses only harmless parts are points."""
    found = CATALOGUE.get("platform").resolve("Network/Services")
    assert found is not None and found[0].point == ""
    assert {at[-1] for at, _ in found[0].fields} == {"State", "Address"}


# Home Assistant's rules for sensors: units and state classes that a device class allows.
MEASUREMENT = frozenset(("", "measurement"))
COUNTER = frozenset(("total", "total_increasing"))
SENSOR_CLASSES: dict[str, tuple[set[str], frozenset[str]]] = {
    "voltage": ({"V"}, MEASUREMENT),
    "current": ({"A"}, MEASUREMENT),
    "power": ({"W"}, MEASUREMENT),
    "apparent_power": ({"VA"}, MEASUREMENT),
    "energy": ({"kWh"}, COUNTER),
    "energy_storage": ({"kWh"}, MEASUREMENT),
    "frequency": ({"Hz"}, MEASUREMENT),
    "temperature": ({"°C"}, MEASUREMENT),
    "battery": ({"%"}, MEASUREMENT),
    "humidity": ({"%"}, MEASUREMENT),
    "duration": ({"s", "min", "h", "ms"}, MEASUREMENT | COUNTER),
    "power_factor": ({"", "%"}, MEASUREMENT),
    "data_size": ({"B"}, MEASUREMENT | COUNTER),
    "distance": ({"m", "km"}, MEASUREMENT | COUNTER),
    "speed": ({"m/s"}, MEASUREMENT),
    "wind_speed": ({"m/s"}, MEASUREMENT),
    "pressure": ({"kPa", "hPa"}, MEASUREMENT),
    "volume_storage": ({"m³"}, MEASUREMENT),
    "water": ({"m³"}, COUNTER),
    "irradiance": ({"W/m²"}, MEASUREMENT),
    "illuminance": ({"lx"}, MEASUREMENT),
    "carbon_dioxide": ({"ppm"}, MEASUREMENT),
    "pm25": ({"µg/m³"}, MEASUREMENT),
    "enum": ({""}, frozenset(("",))),
    "timestamp": ({""}, frozenset(("",))),
}
BINARY_CLASSES = {"", "connectivity", "problem", "presence", "running"}


def test_home_assistant_accepts_the_classes() -> None:
    """Every device class stands with a unit, a state class and a kind that Home Assistant allows for it."""
    for name, spec in [*all_specs(), *(("sum", spec) for spec, _ in CATALOGUE.sums().values())]:
        where = (name, spec.path, spec.ha_class, spec.ha_state, spec.unit)
        if spec.kind is Kind.BOOL:
            assert spec.ha_class in BINARY_CLASSES and not spec.ha_state, where
        elif spec.ha_class:
            units, states = SENSOR_CLASSES[spec.ha_class]
            assert spec.unit in units and spec.ha_state in states, where
        if spec.kind in (Kind.ENUM, Kind.ALARM):
            assert spec.ha_class == "enum", where
        if spec.kind is Kind.TIMESTAMP:
            assert spec.ha_class == "timestamp", where
        if spec.kind in (Kind.STRING, Kind.JSON, Kind.FIRMWARE):
            assert not spec.ha_class and not spec.ha_state and not spec.unit, where


def test_deadbands_are_no_finer_than_what_is_printed() -> None:
    """A change smaller than the last printed digit is not worth a message; a deadband is at least that digit."""
    for name, spec in all_specs():
        if spec.kind is Kind.FLOAT:
            assert spec.deadband >= 10**-spec.precision - 1e-12, (name, spec.path)


def captured() -> list[tuple[str, str, Any]]:
    """Return every valid leaf of the recorded systems: class, path, value."""
    leafs = []
    for file in sorted(CAPTURES.glob("*/value__*.json")):
        values = json.loads(file.read_text(encoding="utf-8"))["value"]
        if isinstance(values, dict):
            leafs += [(file.name.split(".")[2], path, value) for path, value in values.items() if value != []]
    return leafs


# What the recorded systems have and nobody needs: commands, internals, identities of Bluetooth devices.
NOT_INTERESTING = re.compile(
    r"""
    acload/(PhaseConfig|SwitchPos|Latency)
    |battery/Redetect
    |ble/(Socket|Interfaces|Devices)/.*
    |digitalinput/Settings/InvertAlarm
    |generator/(AvailableTankServices|BatteryService|Capabilities|DigitalInput/Input|GeneratorStopTime|Soc)
    |generator/(OnLossCommunication|ServiceCounterReset)
    |modbusclient/Devices/\w+/Serial
    |platform/(Network/(SetValue|Wifi/Scan)|Device/RestartGui|Firmware/Online/Check|CanBus/Interface/\w+/Rescan)
    |platform/(ModificationChecks/StartCheck|Settings/System/DataPartition/Fix|Security/Api|Mqtt/RegisterOnVrm)
    |settings/.*
    |switch/SwitchableOutput/\w+/Settings/ValidTypes
    |system/(Debug|ServiceMapping)/.*|system/LoadShedding/Capabilities
    |vebus/Devices/0/(Info|Settings)/\w+|vebus/Devices/0/CNBFirmwareVersion|vebus/(ShortIds|Quirks)
    |vebus/Devices/0/ExtendStatus/(GridRelayReport/Reset|PreferRenewableEnergy|PcvPotmeterOnZero|RawFlags\d|\w+Vs)
    |vebus/FirmwareFeatures/\w+|vebus/Interfaces/Mk2/(ProductId|Status/Baudrate)
    """,
    re.VERBOSE,
)


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="no recorded systems beside this checkout")
def test_recorded_systems_hold_nothing_interesting_that_is_unknown() -> None:
    """Every valid leaf of the recorded systems is a point or known to be of no use."""
    unknown = {
        f"{name}/{path}"
        for name, path, _ in captured()
        if CATALOGUE.get(name).resolve(path) is None and not NOT_INTERESTING.fullmatch(f"{name}/{path}")
    }
    assert unknown == set()


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="no recorded systems beside this checkout")
def test_recorded_numbers_have_a_label() -> None:
    """Every number that a recorded enum or alarm shows is in its list, or a sentinel."""
    for name, path, value in captured():
        found = CATALOGUE.get(name).resolve(path)
        if found is not None and found[0].kind in (Kind.ENUM, Kind.ALARM):
            known = found[0].labels.keys() | set(found[0].invalid)
            assert value in known or path.endswith("/Day"), (name, path, value)


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(golden_lines()) + "\n", encoding="utf-8")
