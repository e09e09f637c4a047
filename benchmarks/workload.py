"""What is measured: one GX with five services and 530 values, and 120 rules over them. Deterministic by seed.

Values have catalogued paths and kinds, so that the bridge has to normalize and publish all of them. Each float walks
on a grid whose step is larger than the deadband: what changes on the GX changes on MQTT, for every variant alike.
The rules are W1's: 100 thresholds with a `for` of three ticks, every second one of two conditions, and 20 windows of
30 ticks. They are kept as data, and each variant makes of them what it runs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bridge.core.catalogue import Catalogue
from bridge.core.paths import guesses
from bridge.model import Kind, PointSpec

ROOT = Path(__file__).parent.parent
SITE = "bench"
BASE = "victron"
TICK_S = 1.0
FOR_TICKS = 3
WINDOW_TICKS = 30
PAGE_BYTES = 51_000
CHANGING = 0.2
_REACH = 60  # grid steps to either side that a value may walk

# Service, device instance (None: one per GX), number of values.
SERVICES = (
    ("com.victronenergy.system", None, 150),
    ("com.victronenergy.vebus.ttyS4", 276, 180),
    ("com.victronenergy.battery.socketcan_can0", 512, 90),
    ("com.victronenergy.grid.cg_BX1", 30, 45),
    ("com.victronenergy.solarcharger.ttyO1", 279, 65),
)
_WALKERS = 0.6  # share of a service's values that are floats
_COUNTERS = 4  # of these, how many only ever rise


class Value(NamedTuple):
    """One value of the GX. A walker's raw value is `origin + step * position`; others stay `start`."""

    path: str  # without leading slash
    name: str  # its point below the site: `vebus/276/ac_in/l1/voltage`
    start: Any
    origin: float
    step: float  # 0: never changes
    is_counter: bool


class Rule(NamedTuple):
    """One of W1's rules. `window` is "" for a threshold, else `avg` or `increase`."""

    alert: str
    window: str
    points: tuple[str, ...]  # names below the site
    operators: tuple[str, ...]
    limits: tuple[float, ...]


class Workload(NamedTuple):
    services: dict[str, list[Value]]
    rules: list[Rule]


@cache
def documents() -> dict[str, Any]:
    """Return the catalogue as it is written: class -> document."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    directory = ROOT / "bridge" / "catalogue"
    return {path.stem: yaml.load(path.read_text("utf-8"), loader) for path in sorted(directory.glob("*.yaml"))}


def make(seed: int) -> Workload:
    """Return the workload of `seed`."""
    catalogue = Catalogue(documents())
    chance = random.Random(f"values {seed}")
    services = {service: _values(catalogue, service, instance, count, chance) for service, instance, count in SERVICES}
    _pad(services)
    return Workload(services, list(_rules([value for values in services.values() for value in values], seed)))


def _values(catalogue: Catalogue, service: str, instance: int | None, count: int, chance: random.Random) -> list[Value]:
    kind = service.split(".")[2]
    spec = catalogue.get(kind)
    prefix = "" if spec.singleton else f"{kind}/{instance}/"
    rows: dict[str, tuple[str, PointSpec]] = {}
    for path in (guess for row in spec.rows() for guess in guesses(row.path[1:])):
        found = spec.resolve(path)
        if found is not None and not found[0].fields and found[0].kind is not Kind.JSON:
            rows.setdefault(found[1], (path, found[0]))
    identity = [] if spec.singleton else [Value("DeviceInstance", f"{prefix}instance", instance, 0.0, 0.0, False)]
    named = [(prefix + name, path, row) for name, (path, row) in rows.items() if path != "DeviceInstance"]
    walkers = [one for one in named if one[2].kind is Kind.FLOAT][: round(count * _WALKERS)]
    others = [one for one in named if one[2].kind is not Kind.FLOAT]
    chance.shuffle(others)
    counters = {name for name, _, row in walkers if row.unit == "kWh"} or {name for name, _, _ in walkers[-_COUNTERS:]}
    made = [_walker(name, path, row, name in counters) for name, path, row in walkers]
    made += [Value(path, name, _constant(row, chance), 0.0, 0.0, False) for name, path, row in others]
    return (identity + made)[:count]


def _walker(name: str, path: str, row: PointSpec, is_counter: bool) -> Value:
    step = max(2 * row.deadband, 2.0 * 10.0**-row.precision)
    origin = 0.0 if is_counter else math.ceil(100 * step)  # well above zero, so no sentinel is near
    return Value(path, name, origin, origin, step, is_counter)


def _constant(row: PointSpec, chance: random.Random) -> Any:
    if row.kind in (Kind.STRING, Kind.FIRMWARE):
        return f"text {row.point}"
    if row.kind in (Kind.ENUM, Kind.ALARM) and row.labels:
        return chance.choice([number for number in row.labels if number not in row.invalid])
    if row.kind is Kind.BOOL:
        return chance.randrange(2)
    return 1_700_000_000 if row.kind is Kind.TIMESTAMP else chance.randrange(1, 9)


def _pad(services: dict[str, list[Value]]) -> None:
    """Lengthen texts until a cycle's bodies have the size of real ones, which hold JSON texts and long numbers."""
    texts = [
        (values, index)
        for values in services.values()
        for index, value in enumerate(values)
        if isinstance(value.start, str)
    ]
    size = sum(len(value.path) + 27 for values in services.values() for value in values)
    missing = (PAGE_BYTES - size) // len(texts)
    for values, index in texts:
        values[index] = values[index]._replace(start=values[index].start.ljust(missing, "x"))


# -- rules --------------------------------------------------------------------------------------------------------


def _rules(values: list[Value], seed: int) -> Iterator[Rule]:
    chance = random.Random(f"rules {seed}")
    usable = [value for value in values if value.step and all(map(str.isidentifier, _levels(value.name)))]
    walkers = [value for value in usable if not value.is_counter]
    counters = [value for value in usable if value.is_counter]
    for number in range(100):
        first, second = chance.sample(walkers, 2)
        watched = (first, second) if number % 2 else (first,)
        operators = tuple(chance.choice("<>") for _ in watched)
        limits = tuple(_limit(value, sign, chance) for value, sign in zip(watched, operators))
        yield Rule(f"threshold_{number}", "", tuple(value.name for value in watched), operators, limits)
    for number in range(10):
        value = chance.choice(walkers)
        yield Rule(f"average_{number}", "avg", (value.name,), (">",), (_limit(value, ">", chance),))
    for number in range(10):
        value = chance.choice(counters)
        yield Rule(f"increase_{number}", "increase", (value.name,), (">",), (value.step * 25.5,))


def _levels(name: str) -> list[str]:
    """Return the levels of a point that a rule has to write out."""
    parts = name.split("/")
    return parts[2:] if len(parts) > 2 and parts[1].isdigit() else parts


def _limit(value: Value, operator: str, chance: random.Random) -> float:
    """Return a limit half a step off the grid and so far from the start that an alert fires every some ten cycles."""
    distance = (chance.randrange(20, 50) + 0.5) * value.step
    return round(value.origin + (distance if operator == ">" else -distance), 6)


def pack_of(rules: list[Rule]) -> dict[str, Any]:
    """Return the rules as the document of a rule pack (rules/README.md)."""
    return {"pack": "bench", "description": "The rules of workload W1.", "rules": [_written(rule) for rule in rules]}


def _written(rule: Rule) -> dict[str, Any]:
    shape = {"": "{}", "avg": "avg_over_time({}, %ds)", "increase": "increase({}, %ds)"}[rule.window]
    shape = shape % (WINDOW_TICKS * TICK_S) if rule.window else shape
    tests = zip(rule.points, rule.operators, rule.limits)
    return {
        "alert": rule.alert,
        "expr": " and ".join(f"{shape.format(dotted(name))} {sign} {limit!r}" for name, sign, limit in tests),
        "for": f"{1000 * (FOR_TICKS - 0.5) * TICK_S:.0f}ms",  # over between two ticks, so that no two things coincide
        "severity": "warning",
        "summary": f"{rule.alert} holds",
        "description": "A rule of the benchmark.",
        "action": "None.",
        "source": "benchmarks/workload.py",
    }


def dotted(name: str) -> str:
    """Return how a rule writes a point: `vebus/276/ac_in/l1/voltage` -> `vebus[276].ac_in.l1.voltage`."""
    parts = name.split("/")
    if len(parts) > 2 and parts[1].isdigit():
        return f"{parts[0]}[{parts[1]}].{'.'.join(parts[2:])}"
    return ".".join(parts)


REACH = _REACH
