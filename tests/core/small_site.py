"""A small catalogue, rules on it and samples of it, for the tests of the rule engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bridge.core.catalogue import Catalogue
from bridge.core.engine import Engine
from bridge.core.rules import Pack, Program, compile_packs
from bridge.model import Device, Event, Kind, Point, PointSpec, Read, Sample, Tier

STATES = {0: "off", 3: "bulk", 4: "absorption", 5: "float", 9: "inverting", 252: "external_control"}
DOCUMENTS: dict[str, Any] = {
    "any": {
        "points": {
            "/CustomName": {"kind": "string", "point": "custom_name"},
            "/ProductName": {"kind": "string", "point": "product_name"},
        }
    },
    "system": {
        "singleton": True,
        "points": {
            "/Dc/Battery/Soc": {"kind": "float", "point": "battery/soc", "unit": "%"},
            "/Dc/Battery/Power": {"kind": "float", "point": "battery/power", "unit": "W"},
            "/Ac/Grid/{phase}/Power": {"kind": "float", "point": "grid/{phase}/power", "unit": "W"},
            "/SystemState/State": {"kind": "enum", "point": "system/state", "labels": STATES},
            "/SystemState/LowSoc": {"kind": "bool", "point": "system/low_soc"},
            "/Counter": {"kind": "int", "point": "system/counter"},
            "/Time": {"kind": "timestamp", "point": "system/time"},
            "/Firmware": {"kind": "string", "point": "system/firmware"},
        },
        "sums": {"grid/power": {"of": ["grid/{phase}/power"], "kind": "float", "unit": "W"}},
    },
    "battery": {
        "points": {
            "/Soc": {"kind": "float", "point": "soc", "unit": "%"},
            "/Dc/0/Voltage": {"kind": "float", "point": "voltage", "unit": "V"},
            "/Dc/0/Temperature": {"kind": "float", "point": "temperature", "unit": "°C"},
            "/System/MaxCellVoltage": {"kind": "float", "point": "cell_voltage/max", "unit": "V"},
            "/System/MinCellVoltage": {"kind": "float", "point": "cell_voltage/min", "unit": "V"},
        }
    },
    "vebus": {
        "points": {
            "/State": {"kind": "enum", "point": "state", "labels": STATES},
            "/Alarms/GridLost": {"kind": "alarm", "point": "alarms/grid_lost"},
            "/Alarms/{phase}/Overload": {"kind": "alarm", "point": "alarms/{phase}/overload"},
        }
    },
}
FRESH_S = 1e9  # a read after which nothing goes stale within a test


def catalogue() -> Catalogue:
    return Catalogue(DOCUMENTS)


def pack(rules: list[dict[str, Any]], params: Mapping[str, Any] | None = None, name: str = "small") -> Pack:
    data: dict[str, Any] = {"pack": name, "rules": rules}
    if params:
        data["params"] = dict(params)
    return Pack(f"{name}.yaml", data)


def alert(name: str, expr: str, **keys: Any) -> dict[str, Any]:
    """Return a written alert with what every alert needs; `for_` and `each` and so on are its other keys."""
    written = {"alert": name, "expr": expr, "severity": "warning", "summary": name, "source": "a test"}
    return {**written, **{key.rstrip("_"): value for key, value in keys.items()}}


def program(rules: list[dict[str, Any]], params: Mapping[str, Any] | None = None, **more: Any) -> Program:
    return compile_packs([pack(rules, params)], catalogue(), **more)


def engine(*rules: dict[str, Any], params: Mapping[str, Any] | None = None, **more: Any) -> Engine:
    return Engine("site", program(list(rules), params, **more))


def point(name: str) -> Point:
    """Return the live point of a topic name such as `battery/512/soc` or `battery/soc`."""
    head, _, rest = name.partition("/")
    number, _, inner = rest.partition("/")
    device = Device(head, int(number)) if number.isdigit() else None
    spec = PointSpec(Kind.FLOAT, inner, "", "", {}, Tier.CRITICAL, 3, 0.0, (), "", "", "")
    group = device.path if device else "system"
    if name == "site/online":
        group = "site"
    elif inner == "online":
        group = "presence"
    return Point(name, spec, device, group)


def sample(name: str, value: Any, at: float, code: int | None = None) -> Sample:
    return Sample(point(name), value, at, code)


def samples(values: Mapping[str, Any], at: float) -> list[Sample]:
    """Return samples by dotted name; a tuple is (label, number)."""
    made = []
    for name, value in values.items():
        topic = name.replace(".", "/")
        made.append(sample(topic, *((value[0], at, value[1]) if isinstance(value, tuple) else (value, at))))
    return made


def reads(values: Iterable[Sample], at: float, fresh_s: float = FRESH_S) -> list[Read]:
    return [Read(group, at, fresh_s) for group in dict.fromkeys(one.point.group for one in values)]


def run(on: Engine, *turns: tuple[float, Mapping[str, Any]]) -> list[tuple[float, str, str]]:
    """Step through turns of (time, values by dotted name) and return (time, event, id) of what was told."""
    return told([event for at, values in turns for event in feed(on, at, values)])


def feed(on: Engine, at: float, values: Mapping[str, Any]) -> list[Event]:
    taken = samples(values, at)
    return on.step(at, taken, reads(taken, at))


def told(events: Iterable[Event]) -> list[tuple[float, str, str]]:
    return [(event.ts, event.event, event.id) for event in events]
