"""Tests of quick-reference documents: points, intervals and rules of a file, and its faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.core.catalogue import Catalogue
from bridge.files.extra import Extra, load_extra
from bridge.files.extra_rows import extended
from bridge.files.schema import validate
from bridge.files.yaml_text import Document
from tests.catalogue import documents

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


def load(directory: Path, data: Any) -> Extra:
    path = directory / "My Paths.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent="\t"), encoding="utf-8")
    return load_extra(path, documents())


def one(directory: Path, **entry: Any) -> Extra:
    entry = {"service": "com.victronenergy.battery.ttyO1", "path": "/Dc/0/Temperature"} | entry
    return load(directory, {"health": {"entry": entry}})


def rules(extra: Extra) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in (extra.pack or {"rules": []})["rules"]}


def test_the_whole_document() -> None:
    """A document with every key that the reference uses loads without an error."""
    extra = load_extra(FIXTURES / "quick_reference.json", documents())
    assert extra.errors == []
    assert extra.pack is not None
    assert extra.pack["pack"] == "quick_reference"
    found = {name.removeprefix("quick_reference_"): rule for name, rule in rules(extra).items()}
    expected = {
        "battery_soc_critical_low": "battery.soc < params.battery_soc_critical_low",
        "battery_soc_warning_low": "battery.soc < params.battery_soc_warning_low",
        "battery_voltage_critical_high": "battery.voltage > params.battery_voltage_critical_high",
        "grid_lost_alarm_critical": 'vebus.alarms.grid_lost >= "warning"',
        "modules_offline_critical_greater_than": "battery.modules.offline > params.modules_offline_critical_greater_than",
        "grid_frequency_below_normal": "vebus.ac_in.l1.frequency < params.grid_frequency_below_normal",
        "ac_active_in_connected_critical": "vebus.ac_in.connected == false",
        "vrm_last_contact_too_old": "now() - vrm.last_contact > params.vrm_last_contact_too_old",
        "data_partition_error_critical": "platform.device.data_partition_error == true",
        "cell_imbalance_warning": "battery.cell_voltage.max - battery.cell_voltage.min > params.cell_imbalance_warning",
        "fan_speed_warning_high": "vebus.fan.speed > params.fan_speed_warning_high",
    }
    assert {name: found[name]["expr"] for name in expected} == expected
    assert len(found) == 36
    assert extra.pack["params"]["grid_frequency_below_normal"] == 49.9
    assert found["grid_lost_alarm_critical"]["each"] == "vebus"
    assert "each" not in found["battery_soc_critical_low"]
    assert extra.points_s["vebus.alarms.grid_lost"] == 5.0
    assert extra.points_s["platform.canbus.can0.rx.errors"] == 300.0
    assert [key.key.rpartition(".")[2] for key in extra.warnings] == ["enum", "path", *["trigger"] * 6]


def test_its_rules_are_ordinary_ones() -> None:
    """The pack passes the schema of packs, and every alert says where its threshold comes from."""
    extra = load_extra(FIXTURES / "quick_reference.json", documents())
    assert validate(Document(extra.pack, extra.marks, {}, extra.file), "rules") == []
    assert all(rule["source"].startswith("quick_reference.json, ") for rule in rules(extra).values())


def test_a_path_that_is_not_known_becomes_a_row() -> None:
    """The row has a name by the rules of the topics, and the catalogue resolves it then."""
    extra = load_extra(FIXTURES / "quick_reference.json", documents())
    row = {"point": "fan/speed", "kind": "int", "tier": "health", "unit": "rpm"}
    assert extra.rows == {"vebus": {"/Fan/Speed": row | {"about": "A path that the catalogue does not know"}}}
    assert extra.points_s["vebus.fan.speed"] == 120.0
    found = Catalogue(extended(documents(), extra.rows)).get("vebus").resolve("Fan/Speed")
    assert found is not None
    assert found[1] == "fan/speed"
    assert Catalogue(documents()).get("vebus").resolve("Fan/Speed") is None


def test_a_class_that_is_not_known_gets_a_document(tmp_path: Path) -> None:
    """A driver of the user's own has its points, and the class is told in case it was a slip."""
    extra = one(tmp_path, service="com.victronenergy.batery.x", path="/A/B", type="int", enum={"0": "Not ok"})
    assert 'did you mean "battery"?' in extra.warnings[0].message
    row = extra.rows["batery"]["/A/B"]
    assert (row["point"], row["kind"], row["labels"]) == ("a/b", "enum", {"0": "not_ok"})


@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ({"service": None}, "", "service"),
        ({"service": "org.freedesktop.DBus"}, ".service", "no D-Bus service"),
        ({"path": "Dc/0"}, ".path", "no D-Bus path"),
        ({"path": 5}, ".path", "no D-Bus path"),
        ({"poll_interval_seconds": 0.5}, ".poll_interval_seconds", "1 or more seconds"),
        ({"poll_interval": "often"}, ".poll_interval", "1 or more seconds"),
        ({"poll_interval_seconds": True}, ".poll_interval_seconds", "1 or more seconds"),
        ({"path": "/Voltage2", "warning_threshold": 3}, ".warning_threshold", "direction: below"),
        ({"path": "/ProductName", "warning_high": 3}, ".warning_high", "kind string cannot be compared"),
        ({"path": "/Network/Password", "service": "platform"}, ".path", "looks like a secret"),
        ({"path": "/New", "type": "blob"}, ".type", "one of float, double"),
        ({"trigger": "Temperature > 5", "severity": "loud"}, ".severity", "critical, warning or info"),
    ],
)
def test_errors_of_an_entry(tmp_path: Path, entry: dict[str, Any], key: str, words: str) -> None:
    """What stops an entry from meaning something is an error at its key."""
    (error,) = one(tmp_path, **entry).errors
    assert error.key == f"health.entry{key}"
    assert words in error.message
    assert error.line > 0


@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ({"critical_treshold": 5}, "critical_treshold", 'did you mean "critical_threshold"?'),
        ({"unit": "K"}, "unit", "comes in °C"),
        ({"trigger": "it is too hot"}, "trigger", "makes no alert"),
        ({"trigger": "Nonsense > 5"}, "trigger", "makes no alert"),
        ({"service": "com.victronenergy.pvinverter.x", "path": "/Ac/Yield/D"}, "path", "no device has"),
    ],
)
def test_warnings_of_an_entry(tmp_path: Path, entry: dict[str, Any], key: str, words: str) -> None:
    """What has no effect is told, at its key, and stops nothing."""
    extra = one(tmp_path, **entry)
    assert [fault.key for fault in extra.warnings] == [f"health.entry.{key}"]
    assert words in extra.warnings[0].message


def test_an_unknown_key_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    """Who writes `thresholds` learns how thresholds are written; `action` belongs to them and is used."""
    extra = one(tmp_path, thresholds={"warning": 40}, critical_threshold=50, action="Open the door.")
    (warning,) = extra.warnings
    assert all(
        word in warning.message for word in ("no effect", "<severity>_threshold_low", "normal_range", "min_safe")
    )
    assert [rule["action"] for rule in rules(extra).values()] == ["Open the door."]


def test_secrets_of_the_catalogue_stay_secret(tmp_path: Path) -> None:
    """A path that the catalogue marks as secret cannot be added."""
    assert "secret" in one(tmp_path, service="com.victronenergy.modem", path="/IMEI").errors[0].message


def test_prose_cannot_break_a_template(tmp_path: Path) -> None:
    """Braces in the user's texts do not become references."""
    extra = one(tmp_path, warning_high=50, description="hot {battery.nonsense}", action="{x")
    (rule,) = rules(extra).values()
    assert (rule["description"], rule["action"]) == ("hot battery.nonsense", "x")


def test_a_shorter_interval_wins(tmp_path: Path) -> None:
    """When two entries name one point, it is read as often as the more curious one asks."""
    entry = {"service": "com.victronenergy.system", "path": "/Dc/Battery/Soc"}
    data = {"a": {"x": entry | {"poll_interval_seconds": 20}}, "b": [entry | {"poll_interval": "5s"}]}
    assert load(tmp_path, data).points_s == {"battery.soc": 5.0}


def test_names_are_unique_and_the_pack_is_named_after_the_file(tmp_path: Path) -> None:
    """Two entries of one name get two alerts."""
    entry = {"name": "x", "service": "com.victronenergy.battery.x"}
    data = {"a": [entry | {"path": "/Soc", "critical_low": 5}, entry | {"path": "/Soh", "critical_low": 5}]}
    assert list(rules(load(tmp_path, data))) == ["my_paths_x_critical_low", "my_paths_x_critical_low_2"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "not valid JSON"),
        ('{"a": 1,\n "b": }', 2, "not valid JSON"),
        ('{"a": 1,\n "a": 2}', 2, "twice"),
        ("[1]", 1, "map of sections"),
        ('{"a": 1}', 1, "no entry"),
        ("[" * 5000 + "]" * 5000, None, "nested"),
    ],
)
def test_files_that_are_no_such_document(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    """What is no JSON, or holds no entry, is one error with its line."""
    (error,) = load(tmp_path, text).errors
    assert words in error.message
    assert line in (None, error.line)  # None: found by one parser or the other, as the version of Python is


def test_characters_beyond_the_basic_plane(tmp_path: Path) -> None:
    """Escaped emoji, as Python writes them, are read as what they are."""
    extra = one(tmp_path, warning_high=50, description="hot \U0001f525")
    assert next(iter(rules(extra).values()))["description"] == "hot \U0001f525"
    assert extra.errors == []
