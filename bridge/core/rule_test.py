"""One rule test: points with their values over time go through the engine, as they would in a live run.

At each interval everything that is read comes in at once: what changed as samples, and a read per group. Between
two intervals the engine's own clocks run out at their own moments, so the times of events are exact. While the GX
is offline nothing is read at all, and while a device is offline nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from bridge.core.alerts import AlertState
from bridge.core.engine import Engine
from bridge.core.formula import Input, limits
from bridge.core.rules import Program
from bridge.core.series import Cell
from bridge.model import Device, Event, Kind, Point, PointSpec, Read, Sample, Tier, Value

STALE_TURNS = 3  # as everywhere: a point is stale when it was not read for so many intervals
NEAR = 0.1  # how far from a limit, as a share of it, "just below" may be
SITE_ONLINE = "site/online"


class Case(Enum):
    """What a test can show of an alert."""

    FIRES = "fires"
    BELOW = "below"
    CLEARS = "clears"
    UNKNOWN = "unknown"


class Lane(NamedTuple):
    """A point and its values, one cell after the other. After the last it keeps what it has."""

    point: Point
    cells: tuple[Cell, ...]


class Want(NamedTuple):
    """An event that is expected. `at_s` counts from the beginning of the test; None: at any time."""

    at_s: float | None
    alert: str
    event: str
    fields: Mapping[str, Any]  # device (battery/512), severity, value, peak, summary, description, action


class WantPoint(NamedTuple):
    """A value that a record is expected to have. `within` None: equal but for rounding."""

    at_s: float
    name: str
    value: Value | None
    within: float | None


class RuleTest(NamedTuple):
    """One test as its author wrote it, every name resolved."""

    name: str
    line: int
    alerts: tuple[str, ...]  # that it is about
    cases: tuple[Case, ...]  # what it shows of them
    start: float  # Unix seconds
    interval_s: float
    lasts_s: float
    lanes: tuple[Lane, ...]
    expect: tuple[Want, ...]
    is_whole: bool  # expect is all that may happen
    points: tuple[WantPoint, ...]


class Watched(NamedTuple):
    """What was seen of an alert, on any device: everything that a case needs."""

    cases: frozenset[Case]
    missing: Mapping[Case, str]  # why the other cases were not shown


class Outcome(NamedTuple):
    """What a test led to. `points` holds for each record its values with their times, the latest last."""

    events: tuple[Event, ...]
    points: Mapping[str, Sequence[tuple[float, Value | None]]]
    watched: Mapping[str, Watched]


def play(test: RuleTest, program: Program, pack: str) -> Outcome:
    """Run a test.

    Args:
        pack: only what its alerts say is of interest.
    """
    engine = Engine("test", program)
    own = {rule.name for rule in program.rules if rule.pack == pack}
    watchers = {name: _Watcher(name) for name in test.alerts}
    events: list[Event] = []
    points: dict[str, list[tuple[float, Value | None]]] = {}
    for now, samples, reads in _turns(test):
        events += [event for event in engine.step(now, samples, reads) if event.alert in own]
        for sample in engine.take_records():
            points.setdefault(sample.point.name, []).append((sample.at - test.start, sample.value))
        for watcher in watchers.values():
            watcher.look(engine)
    watched = {name: watcher.result(events) for name, watcher in watchers.items()}
    return Outcome(tuple(events), points, watched)


# -- what comes in --------------------------------------------------------------------------------------------------


def _turns(test: RuleTest) -> Iterator[tuple[float, list[Sample], list[Read]]]:
    """Yield for each interval its time, the samples that changed and the groups that were read."""
    changes = _changes(test.lanes)
    is_read = dict.fromkeys((lane.point.name for lane in test.lanes), True)
    pending: dict[str, tuple[Point, Cell]] = {}  # what changed while nobody could read it
    offline: set[Device | None] = set()
    stale_after_s = STALE_TURNS * test.interval_s
    last = round(test.lasts_s / test.interval_s)
    for turn in range(last + 1):
        now = test.start + turn * test.interval_s
        samples = _presences(changes.get(turn, ()), offline, now)
        for point, cell in changes.get(turn, ()):
            if not is_presence(point):
                is_read[point.name] = cell.is_read
                pending[point.name] = (point, cell)
        for name, (point, cell) in list(pending.items()):
            if _is_reachable(point, offline) and is_read[name]:
                del pending[name]
                samples.append(Sample(point, cell.value, now, cell.code))
        groups = {
            lane.point.group: None
            for lane in test.lanes
            if is_read[lane.point.name] and not is_presence(lane.point) and _is_reachable(lane.point, offline)
        }
        yield now, samples, [Read(group, now, stale_after_s) for group in groups]


def _changes(lanes: Sequence[Lane]) -> dict[int, list[tuple[Point, Cell]]]:
    """Return for each turn what changes at it. The GX and every device are there unless a test says otherwise."""
    changes: dict[int, list[tuple[Point, Cell]]] = {0: []}
    given = {lane.point.name for lane in lanes}
    there = [_presence(device) for device in dict.fromkeys((None, *(lane.point.device for lane in lanes)))]
    changes[0] += [(point, Cell(True, None, 1)) for point in there if point.name not in given]
    for lane in lanes:
        turn, before = 0, None
        for cell in lane.cells:
            now = cell._replace(times=1)
            if now != before:
                changes.setdefault(turn, []).append((lane.point, now))
            turn, before = turn + cell.times, now
    return changes


def _presences(changes: Sequence[tuple[Point, Cell]], offline: set[Device | None], now: float) -> list[Sample]:
    """Return who came and went, and note it in `offline`; None there is the GX itself."""
    samples = []
    for point, cell in changes:
        if is_presence(point):
            (offline.add if cell.value is False else offline.discard)(point.device)
            samples.append(Sample(point, cell.value, now))
    return samples


def _is_reachable(point: Point, offline: set[Device | None]) -> bool:
    if point.group.startswith("input/"):
        return True
    return not offline or (None not in offline and (point.device is None or point.device not in offline))


def is_presence(point: Point) -> bool:
    """Tell whether a point says that the GX or a device is there."""
    return point.group in ("site", "presence")


def _presence(device: Device | None) -> Point:
    return live_point(f"{device.path}/online" if device else SITE_ONLINE, device, "presence" if device else "site")


def live_point(name: str, device: Device | None, group: str) -> Point:
    """Return a live point; rules ask nothing of it but where it belongs."""
    return Point(name, _SPEC, device, group)


_SPEC = PointSpec(Kind.FLOAT, "", "", "", {}, Tier.CRITICAL, 3, 0.0, (), "", "", "")


# -- what is seen ---------------------------------------------------------------------------------------------------


class _Watcher:
    """Looks at one alert after each turn."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._states: list[AlertState] = []
        self._devices = -1
        self._inputs: list[tuple[int, Input, tuple[float, ...]]] = []  # slot, and the limits that it is compared with
        self._nearest: tuple[float, float, str] | None = None  # distance as a share of the limit, value, limit
        self._has_known = self._has_fired = self._was_unknown = False

    def look(self, engine: Engine) -> None:
        if len(engine.alert_states) != self._devices:
            self._devices = len(engine.alert_states)
            self._states = [state for state in engine.alert_states.values() if state.rule.name == self._name]
            self._inputs = [found for state in self._states for found in _limited(engine, state)]
        for state in self._states:
            self._has_known |= state.truth is not None
            self._has_fired |= state.is_firing
            self._was_unknown |= state.truth is None and not state.is_idle
        for slot, one, known in self._inputs:
            value = engine.store.values[slot]
            if isinstance(value, int | float):
                self._approach(value, one, known)

    def _approach(self, value: float, one: Input, known: tuple[float, ...]) -> None:
        for limit in known:
            distance = abs(value - limit) / (abs(limit) or 1.0)
            if self._nearest is None or distance < self._nearest[0]:
                self._nearest = (distance, value, f"{one.name.replace('/', '.')} came no nearer to {limit:g} than")

    def result(self, events: Sequence[Event]) -> Watched:
        told = {event.event for event in events if event.alert == self._name}
        missing = {case: why for case, why in self._missing(told) if why}
        if not self._states:
            missing = dict.fromkeys(Case, "nothing in the test has the points that the alert needs")
        return Watched(frozenset(Case) - missing.keys(), missing)

    def _missing(self, told: set[str]) -> Iterator[tuple[Case, str]]:
        yield Case.FIRES, "" if "firing" in told else "it did not fire"
        yield Case.CLEARS, "" if "resolved" in told else "it did not resolve"
        yield Case.UNKNOWN, "" if self._was_unknown else "it was never unknown while it was pending or firing"
        if self._has_fired:
            yield Case.BELOW, "it fired"
        elif not self._has_known:
            yield Case.BELOW, "its expression was unknown all the time"
        elif self._nearest is not None and self._nearest[0] > NEAR:
            yield Case.BELOW, f"{self._nearest[2]} {self._nearest[1]:g}; within {NEAR:.0%} of it is just below"


def _limited(engine: Engine, state: AlertState) -> Iterator[tuple[int, Input, tuple[float, ...]]]:
    """Yield the numbers that an alert compares with constants. What lies between two labels is no matter of degree."""
    formula = state.rule.expr.formula
    prefix = f"{state.device.path}/" if state.device else ""
    for one, known in zip(formula.inputs, limits(formula)):
        if known and one.type.name == "number" and not one.name.startswith(("~", "@")):
            yield engine.store.input_slot(one, prefix), one, known
