"""Tests of thresholds as people write them: their direction, their severity, and what cannot be told."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.files.extra_limits import limits, parse_range
from bridge.files.extra_trigger import parse_trigger
from bridge.model import Kind


def found(entry: dict[str, Any], point: str = "battery/thing", kind: Kind = Kind.FLOAT) -> list[str]:
    result = limits(entry, kind, point)
    assert result.problems == []
    return [f"{limit.severity} {limit.sign} {limit.value:g}" for limit in result.limits]


def problems(entry: dict[str, Any], point: str = "battery/thing", kind: Kind = Kind.FLOAT) -> list[tuple[str, str]]:
    return [tuple(problem) for problem in limits(entry, kind, point).problems]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"critical_threshold_low": 10, "warning_threshold": 20}, ["critical < 10", "warning < 20"]),
        ({"critical_high": 10, "warning_threshold": 8}, ["critical > 10", "warning > 8"]),
        ({"warning_threshold": 85, "critical_threshold": 70}, ["warning < 85", "critical < 70"]),
        ({"warning_threshold": 3.35, "critical_threshold": 3.4}, ["warning > 3.35", "critical > 3.4"]),
        ({"warning_threshold_bytes": 9, "critical_threshold_bytes": 4}, ["warning < 9", "critical < 4"]),
        ({"min_safe": 45, "max_safe": 53}, ["critical < 45", "critical > 53"]),
        ({"warning_threshold_min": 49, "warning_threshold_max": 51}, ["warning < 49", "warning > 51"]),
        ({"warning_low": 210, "warning_high": 240}, ["warning < 210", "warning > 240"]),
        ({"normal_range": "20-40"}, ["info < 20", "info > 40"]),
        ({"normal_range": [20, 40], "warning_threshold": 50}, ["warning > 50", "info < 20", "info > 40"]),
        ({"normal_range": [20, 40], "warning_threshold": 10}, ["warning < 10", "info < 20", "info > 40"]),
        ({"max_safe": 9, "min_safe": 1, "critical_threshold": 2, "warning_threshold": 3},
         ["critical < 1", "critical > 9", "critical < 2", "warning < 3"]),
        ({"direction": "above", "warning_threshold": 5}, ["warning > 5"]),
        ({"direction": "below", "critical_threshold": 5}, ["critical < 5"]),
        ({"critical_if": 1}, ["critical == 1"]),
        ({"warning_if_not": 3}, ["warning != 3"]),
        ({"critical_if_greater_than": 0}, ["critical > 0"]),
        ({"info_if_below": 7}, ["info < 7"]),
        ({"critical_if": True}, ["critical == 1"]),
        ({"max_age_seconds": 600}, ["warning age 600"]),
        ({"critical": False}, []),
        ({"description": "no threshold"}, []),
    ],
)  # fmt: skip
def test_limits_of_an_entry(entry: dict[str, Any], expected: list[str]) -> None:
    """Each spelling gives its severity and direction, from companions, order or the normal range."""
    assert sorted(found(entry)) == sorted(expected)


@pytest.mark.parametrize(
    ("point", "sign"),
    [
        ("battery/soc", "<"),
        ("platform/network/wifi/signal_strength", "<"),
        ("tank/0/level", "<"),
        ("battery/temperature", ">"),
        ("platform/canbus/can0/rx/errors", ">"),
        ("battery/cell_voltage/max", ">"),
        ("battery/cell_voltage/min", "<"),
    ],
)
def test_a_lone_threshold_takes_the_side_that_the_point_fears(point: str, sign: str) -> None:
    """A state of charge is bad when low, a temperature when high."""
    assert found({"warning_threshold": 40}, point) == [f"warning {sign} 40"]


@pytest.mark.parametrize(
    ("kind", "point", "value"),
    [
        (Kind.ALARM, "alarms/grid_lost", 1),
        (Kind.BOOL, "device/data_partition_error", 1),
        (Kind.BOOL, "ac_in/connected", 0),
        (Kind.INT, "connected", 0),
    ],
)
def test_a_flag_means_the_bad_state(kind: Kind, point: str, value: int) -> None:
    """`critical: true` is the alarm, the error, or the connection that is not there."""
    assert found({"critical": True}, point, kind) == [f"critical == {value}"]


@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ({"warning_threshold": 40}, "warning_threshold", "direction: below or direction: above"),
        ({"warning_threshold": 30, "normal_range": [20, 40]}, "warning_threshold", "cannot be told"),
        ({"warning_threshold": 5, "critical_threshold": 5}, "critical_threshold", "cannot be told"),
        ({"warning_threshold": 5, "direction": "up"}, "direction", "below or above"),
        ({"warning_low": "x"}, "warning_low", "number"),
        ({"critical_if": [1]}, "critical_if", "number"),
        ({"warning_low": True}, "warning_low", "number"),
        ({"critical": True}, "critical", "critical_if: 0, critical_if: 1"),
        ({"critical": "yes"}, "critical", "true or false"),
        ({"normal_range": "wide"}, "normal_range", "[20, 40]"),
        ({"normal_range": [40, 20]}, "normal_range", "from low to high"),
        ({"critical_low": 20, "warning_low": 10}, "warning_low", "swap them"),
        ({"critical_high": 20, "warning_high": 30}, "warning_high", "swap them"),
        ({"max_age_seconds": None}, "max_age_seconds", "number"),
    ],
)
def test_what_cannot_be_told_names_the_keys_that_would(entry: dict[str, Any], key: str, words: str) -> None:
    """A threshold without a direction, or of the wrong form, is a problem at its key."""
    assert any(at == key and words in message for at, message in problems(entry))


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        ("20-40", (20, 40)),
        ("-10--5", (-10, -5)),
        ("-10 - 40 V", (-10, 40)),
        ("20..40", (20, 40)),
        ("20 to 40", (20, 40)),
        ("50 +/- 0.1", (49.9, 50.1)),
        ("50±0.1Hz", (49.9, 50.1)),
        ([1, 2.5], (1, 2.5)),
        ({"min": 1, "max": 2}, (1, 2)),
        ({"min": 1}, None),
        ([1], None),
        ("1", None),
        (7, None),
        (None, None),
    ],
)
def test_ranges(value: Any, limits: tuple[float, float] | None) -> None:
    """A range is read in every spelling that documents use."""
    assert parse_range(value) == limits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Soc < 10%", (("Soc",), "", (("<", 10.0),))),
        ("Temperature > 55C", (("Temperature",), "", ((">", 55.0),))),
        ("GridLost == 1", (("GridLost",), "", (("==", 1.0),))),
        ("Frequency < 49.5 or > 50.5 Hz", (("Frequency",), "", (("<", 49.5), (">", 50.5)))),
        ("MaxCellVoltage - MinCellVoltage > 0.15V", (("MaxCellVoltage", "MinCellVoltage"), "-", ((">", 0.15),))),
        ("TimeLastContact > 600 seconds", (("TimeLastContact",), "", ((">", 600.0),))),
        ("Error count increase > 100 in 5 minutes", None),
        ("InstalledVersion != LatestVersion", None),
        ("Soc < 10% and Power < 0", None),
        ("abs(Current) > 5", None),
        ("", None),
    ],
)
def test_triggers(text: str, expected: Any) -> None:
    """A comparison with numbers is understood whole, and prose not at all."""
    assert parse_trigger(text) == expected
