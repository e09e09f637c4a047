"""Tests of the engine: devices, freshness, unknown, time, and the laws that hold for every history."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.engine import Engine
from bridge.core.rules import Program
from bridge.errors import RuleError
from bridge.model import Device, Read
from tests.core.small_site import alert, engine, feed, program, run, samples, told

LOW = alert("low", "battery.soc < 20", for_="30s", clear="battery.soc >= 25")


# -- the walk of an alert -----------------------------------------------------------------------------------------


def test_the_example_of_the_contract() -> None:
    """Fires below the limit after 30 s and clears with hysteresis: rules.md section 6."""
    rule = alert("battery_soc_critical", "battery.soc < 10", for_="30s", clear="battery.soc >= 15")
    series = [50.0] * 6 + [9.5] * 5 + [12.0] * 3 + [15.1] * 3
    happened = run(engine(rule), *((turn * 10.0, {"battery.soc": soc}) for turn, soc in enumerate(series)))
    assert happened == [(90.0, "firing", "battery_soc_critical"), (140.0, "resolved", "battery_soc_critical")]


def test_an_event_tells_everything() -> None:
    """Value, peak, points, texts, times: what topics.md section 3 asks for."""
    rule = alert(
        "low",
        "battery.soc < params.limit",
        for_="10s",
        labels={"component": "battery"},
        summary="At {battery.soc:.1f} %, {battery.power:.0f} W",
        description="below {params.limit}",
        action="shed {system.state}",
        severity="critical",
    )
    made = engine(rule, params={"limit": 20})
    made.set_wall_offset(1000.0)
    feed(made, 0, {"battery.soc": 18, "battery.power": -500, "system.state": ("bulk", 3)})
    firing = made.step(12, [])[0]
    feed(made, 20, {"battery.soc": 11})
    resolved = feed(made, 30, {"battery.soc": 30})[0]
    assert (firing.event, firing.seq, firing.value, firing.severity) == ("firing", 1, 18, "critical")
    assert (firing.starts_at, firing.ends_at, firing.ts, firing.duration_s) == (1010, None, 1010, 0)
    assert (firing.summary, firing.description, firing.action) == ("At 18.0 %, -500 W", "below 20", "shed bulk")
    assert firing.points == (("battery/soc", 18, "%"),)
    assert firing.labels == {"component": "battery"}
    assert (resolved.event, resolved.seq, resolved.value, resolved.value_at_firing) == ("resolved", 2, 30, 18)
    assert (resolved.peak, resolved.starts_at, resolved.ends_at, resolved.duration_s) == (11, 1010, 1030, 20)


@pytest.mark.parametrize(
    ("expr", "value", "series", "peak"),
    [
        ("battery.soc > 80", None, [85, 95, 90, 10], 95),
        ("80 < battery.soc", None, [85, 95, 90, 10], 95),
        ("not battery.soc >= 20", None, [15, 5, 10, 90], 5),
        ("abs(battery.soc - 50) > 10", "battery.soc", [30, 20, 35, 50], 20),
        ("abs(battery.soc - 50) > 10", "battery.soc", [70, 95, 65, 50], 95),
        ("battery.soc - battery.power > 3", "battery.soc - battery.power", [5, 9, 4, 0], 9),
    ],
)
def test_the_peak_is_the_worst_value(expr: str, value: str | None, series: list[float], peak: float) -> None:
    """Worst is on the far side of the threshold, or farthest from where it ended."""
    made = engine(alert("a", expr, **({"value": value} if value else {})))
    events = [e for turn, soc in enumerate(series) for e in feed(made, turn, {"battery.soc": soc, "battery.power": 0})]
    assert [event.event for event in events] == ["firing", "resolved"]
    assert events[1].peak == peak


def test_labels_are_told_as_text() -> None:
    """Inside, labels are numbers; people read words, also where only the number came in."""
    rule = alert("a", 'vebus.alarms.grid_lost >= "warning"', each="vebus", summary="{vebus.alarms.grid_lost}")
    made = engine(rule)
    event = feed(made, 0, {"vebus.276.alarms.grid_lost": ("alarm", 2)})[0]
    assert (event.id, event.device, event.value) == ("a/vebus/276", Device("vebus", 276), "alarm")
    assert (event.summary, event.points) == ("alarm", (("vebus/276/alarms/grid_lost", "alarm", ""),))
    assert feed(made, 1, {"vebus.276.alarms.grid_lost": "ok"})[0].value == "ok"


def test_clocks_are_due_when_told() -> None:
    """`next_clock` names the moment of the next event, and the event has that time however late one steps."""
    for late in (30.0, 31.0, 500.0):
        made = engine(LOW)
        feed(made, 0, {"battery.soc": 10})
        assert made.next_clock() == 30.0
        assert told(made.step(late, []))[0] == (30.0, "firing", "low")


def test_keep_firing_for_waits_after_the_end() -> None:
    """The condition must stay clear for so long; a relapse goes on as the same alert."""
    made = engine(alert("a", "battery.soc < 20", keep_firing_for="60s"))
    happened = run(
        made, (0, {"battery.soc": 10}), (10, {"battery.soc": 30}), (50, {"battery.soc": 10}), (60, {"battery.soc": 30})
    )
    assert happened == [(0, "firing", "a")]
    assert told(made.step(200, [])) == [(120, "resolved", "a")]


# -- devices ------------------------------------------------------------------------------------------------------


def test_each_device_has_its_own_alert() -> None:
    """One rule, as many alerts as there are devices with the points it needs."""
    made = engine(alert("a", "battery.cell_voltage.max - battery.cell_voltage.min > 0.1", each="battery"))
    feed(made, 0, {"battery.1.soc": 50, "battery.2.cell_voltage.max": 3.4})
    assert made.alert_states == {}
    events = feed(made, 1, {"battery.2.cell_voltage.min": 3.2, "battery.3.cell_voltage.min": 3.2})
    events += feed(made, 2, {"battery.3.cell_voltage.max": 3.21})
    assert [event.id for event in events] == ["a/battery/2"]
    assert sorted(made.alert_states) == ["a/battery/2", "a/battery/3"]


def test_what_a_rule_can_do_without_is_not_waited_for() -> None:
    """A point inside coalesce may be missing; one of several phases is enough."""
    rule = alert(
        "a",
        "max(coalesce(vebus.alarms.l1.overload, vebus.alarms.l2.overload), "
        'coalesce(vebus.alarms.l2.overload, vebus.alarms.l1.overload)) >= "alarm"',
        each="vebus",
    )
    made = engine(rule)
    assert run(made, (0, {"vebus.276.alarms.l2.overload": ("alarm", 2)})) == [(0, "firing", "a/vebus/276")]


def test_a_rule_for_every_device_has_one_alert_each() -> None:
    """`each: "*"` watches whatever there is."""
    made = engine(alert("gone", "not device.online", each="*", summary="{device.name} is gone"))
    run(made, (0, {"battery.512.online": True, "vebus.276.online": True, "vebus.276.custom_name": "Left"}))
    events = feed(made, 5, {"battery.512.online": False, "vebus.276.online": False})
    assert [(event.id, event.summary) for event in events] == [
        ("gone/battery/512", "battery 512 is gone"),
        ("gone/vebus/276", "Left is gone"),
    ]
    assert run(made, (9, {"vebus.276.online": True})) == [(9, "resolved", "gone/vebus/276")]


def test_aggregates_grow_with_the_devices() -> None:
    """A device that appears is counted from its first value on."""
    made = engine(alert("a", "sum(battery[*].soc) > 100"))
    assert run(made, (0, {"battery.1.soc": 60})) == []
    assert run(made, (1, {"battery.2.soc": 60})) == [(1, "firing", "a")]
    assert run(made, (2, {"battery.1.soc": 20})) == [(2, "resolved", "a")]


def test_one_device_can_be_named() -> None:
    """A selector reads a device from a rule of the site."""
    made = engine(alert("a", "battery[2].soc < battery.soc - 10"))
    assert run(made, (0, {"battery.1.soc": 0, "battery.2.soc": 50, "battery.soc": 55})) == []
    assert run(made, (1, {"battery.2.soc": 40})) == [(1, "firing", "a")]


def test_records_are_points() -> None:
    """A record is told like any point, once per change, and other rules read it."""
    record = {"record": "battery.cell_spread", "each": "battery", "unit": "V", "precision": 3}
    record["expr"] = "battery.cell_voltage.max - battery.cell_voltage.min"
    made = engine(record, alert("a", "max(battery[*].cell_spread) > 0.2"))
    feed(made, 0, {"battery.1.cell_voltage.max": 3.5, "battery.1.cell_voltage.min": 3.25})
    (told_,) = made.take_records()
    assert (told_.point.name, told_.value, told_.at) == ("battery/1/cell_spread", 0.25, 0)
    assert (told_.point.device, told_.point.spec.unit, told_.point.spec.precision) == (Device("battery", 1), "V", 3)
    assert [one.id for one in made.alerts()] == ["a"]
    feed(made, 1, {"battery.1.cell_voltage.max": 3.5})
    assert made.take_records() == []
    feed(made, 2, {"battery.1.cell_voltage.max": None})
    assert [one.value for one in made.take_records()] == [None]


# -- unknown ------------------------------------------------------------------------------------------------------


def test_unknown_neither_starts_nor_ends() -> None:
    """The GX says "no value": pending waits, firing stays, the clock stands still."""
    made = engine(LOW)
    happened = run(
        made,
        (0, {"battery.soc": 10}),
        (20, {"battery.soc": None}),
        (500, {"battery.soc": 10}),
        (509, {}),
        (510, {}),
        (520, {"battery.soc": None}),
        (900, {}),
        (910, {"battery.soc": 30}),
    )
    assert happened == [(510, "firing", "low"), (910, "resolved", "low")]


@pytest.mark.parametrize(
    ("on_unknown", "expected"),
    [
        ("hold", [(5, "firing", "a"), (40, "resolved", "a")]),
        ("clear", [(5, "firing", "a"), (10, "resolved", "a"), (20, "firing", "a"), (40, "resolved", "a")]),
        ("fire", [(0, "firing", "a"), (40, "resolved", "a")]),
    ],
)
def test_on_unknown_says_what_unknown_counts_as(on_unknown: str, expected: list[Any]) -> None:
    """hold waits, clear takes it as over, fire as true."""
    made = engine(alert("a", "battery.soc < 20", on_unknown=on_unknown))
    turns = [(0, None), (5, 10), (10, None), (20, 10), (30, None), (40, 50)]
    if on_unknown == "clear":
        turns.remove((30, None))
    assert run(made, *((at, {"battery.soc": soc}) for at, soc in turns)) == expected


def test_what_is_not_read_goes_stale() -> None:
    """A group that was not read for three intervals is unknown; a read makes it known again, changed or not."""
    made = engine(LOW, alert("missing", "absent(battery.soc)"))
    made.step(0, samples({"battery.soc": 10}, 0), [Read("system", 0, 20.0)])
    assert made.next_clock() == 20.0
    assert told(made.step(100, [])) == [(20, "firing", "missing")]
    assert told(made.step(101, [], [Read("system", 101, 20.0)])) == [(101, "resolved", "missing")]
    assert told(made.step(111, [], [Read("system", 111, 20.0)])) == [(111, "firing", "low")]


def test_points_without_reads_are_judged_by_their_samples() -> None:
    """Where nobody tells of reads, a value that is long unheard of is unknown until it is heard again."""
    made = engine(alert("missing", "absent(battery.soc)", for_="10s"))
    made.step(0, samples({"battery.soc": 10}, 0))
    made.step(800, samples({"battery.soc": 10}, 800))
    assert made.step(1690, []) == []
    assert told(made.step(1800, [])) == [(1710, "firing", "missing")]
    assert told(made.step(1900, samples({"battery.soc": 10}, 1900))) == [(1900, "resolved", "missing")]


def test_age_counts_from_the_last_good_read() -> None:
    """Reads without a change keep a value young; "no value" lets it age."""
    made = engine(alert("old", "age(battery.soc) > 25"))
    made.step(0, samples({"battery.soc": 10}, 0), [Read("system", 0, 1e9)])
    for at in (10, 20, 30, 40):
        assert made.step(at, [], [Read("system", at, 1e9)]) == []
    made.step(50, samples({"battery.soc": None}, 50), [Read("system", 50, 1e9)])
    assert told(made.step(100, [], [Read("system", 100, 1e9)])) == [(70, "firing", "old")]


@pytest.mark.parametrize("gone", ["battery.1.online", "site.online"])
def test_what_does_not_answer_is_unknown(gone: str) -> None:
    """A device that is offline, or a GX that does not answer, makes its points unknown: nothing fires, nothing ends."""
    made = engine(alert("a", "battery.soc < 20", each="battery"), alert("b", "absent(battery.soc)", each="battery"))
    assert run(made, (0, {"battery.1.soc": 10, "battery.1.online": True, "site.online": True})) == [
        (0, "firing", "a/battery/1")
    ]
    assert run(made, (10, {gone: False})) == [(10, "firing", "b/battery/1")]
    assert run(made, (20, {"battery.1.soc": 50})) == []
    assert run(made, (30, {gone: True})) == [(30, "resolved", "a/battery/1"), (30, "resolved", "b/battery/1")]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "text", True, 10**400, -1, None, "", 1e308])
def test_no_value_raises(value: Any) -> None:
    """Whatever a point says, the engine goes on."""
    made = engine(
        alert("a", "battery.soc * battery.soc ** 3 / battery.power < 20 or avg_over_time(battery.soc, 20s) > 3"),
        alert("b", 'vebus.state == "bulk" or max(vebus[*].alarms.l1.overload) > "ok"', each="vebus"),
        alert("c", "not system.low_soc and increase(system.counter, 20s) > stddev_over_time(battery.soc, 20s)"),
        {"record": "x.y", "expr": "battery.soc * 1e18 * 1e18"},
    )
    names = ["battery.soc", "battery.power", "vebus.1.state", "vebus.1.alarms.l1.overload", "system.low_soc"]
    for at in range(0, 60, 3):
        feed(made, at, dict.fromkeys([*names, "system.counter"], value if at % 2 else 50))
        made.take_records()
        made.take_alerts()
    json.dumps(made.dump())


# -- time ---------------------------------------------------------------------------------------------------------


def test_the_time_is_asked_again_and_again() -> None:
    """A rule that asks for the time needs no change to become true."""
    made = engine(alert("late", "now() - system.time > 100", value="system.time"), alert("night", "hour() >= 22"))
    made.set_wall_offset(50_000.0, utc_offset_s=3600.0)
    feed(made, 0, {"system.time": 50_000.0})
    assert told(made.step(101, [])) == []
    assert told(made.step(115, [])) == [(50_110, "firing", "late")]
    ends = 22 * 3600 - 53_600
    assert told(made.step(ends + 120.0, []))[0][1:] == ("firing", "night")


def test_a_step_of_the_wall_clock_is_no_alert() -> None:
    """Durations count steady seconds; only the time stamps move."""
    made = engine(LOW)
    feed(made, 0, {"battery.soc": 10})
    made.set_wall_offset(1e9)
    assert made.step(29, []) == []
    event = made.step(31, [])[0]
    assert (event.ts, event.duration_s) == (1e9 + 30, 0)


def test_time_does_not_go_back() -> None:
    """An earlier step counts as the same moment."""
    made = engine(LOW)
    feed(made, 100, {"battery.soc": 10})
    assert run(made, (50, {"battery.soc": 9})) == []
    assert told(made.step(131, [])) == [(130, "firing", "low")]


def test_a_long_pause_is_gone_through_quickly() -> None:
    """A process that slept for a year does not count every clock of it."""
    made = engine(alert("late", "now() > 1e12"), alert("avg", "avg_over_time(battery.soc, 1m) < 3"))
    feed(made, 0, {"battery.soc": 50})
    before = made.counters["evaluations"]
    made.step(366 * 86400.0, [])
    assert made.counters["evaluations"] - before < 5000


# -- memory -------------------------------------------------------------------------------------------------------


def reborn(first: Engine, rules: Program, now: float) -> Engine:
    """Return an engine that went through JSON."""
    second = Engine("site", rules)
    second.load(json.loads(json.dumps(first.dump())), now)
    return second


def test_a_short_gap_lets_for_go_on() -> None:
    """Within three poll intervals the clock goes on where it was."""
    rules = program([LOW])
    first = Engine("site", rules)
    first.step(0, samples({"battery.soc": 10}, 0), [Read("system", 0, 60.0)])
    first.step(10, [], [Read("system", 10, 60.0)])
    assert told(reborn(first, rules, 40).step(41, [], [Read("system", 41, 60.0)])) == [(40, "firing", "low")]


def test_a_long_gap_starts_for_again() -> None:
    """After more than three poll intervals nothing is known of the time between."""
    rules = program([LOW])
    first = Engine("site", rules)
    first.step(0, samples({"battery.soc": 10}, 0), [Read("system", 0, 15.0)])
    first.step(10, [], [Read("system", 10, 15.0)])
    second = reborn(first, rules, 100)
    assert second.step(100, [], [Read("system", 100, 15.0)]) == []
    assert second.step(110, [], [Read("system", 110, 15.0)]) == []
    assert second.step(120, [], [Read("system", 120, 15.0)]) == []
    assert told(second.step(131, [], [Read("system", 131, 15.0)])) == [(130, "firing", "low")]


def test_a_clock_that_went_back_moves_everything() -> None:
    """A GX without a battery-backed clock boots in 1970: nothing then waits for years."""
    rules = program([{**LOW, "repeat": "1h"}])
    first = Engine("site", rules)
    feed(first, 1.7e9, {"battery.soc": 10})
    assert [event.event for event in first.step(1.7e9 + 40, [])] == ["firing"]
    second = reborn(first, rules, 1000.0)
    assert [event.event for event in second.step(1000.0 + 3700.0, [])] == ["reminder"]
    assert [event.event for event in feed(second, 5000.0, {"battery.soc": 50})] == ["resolved"]


def test_nothing_is_announced_twice_and_nothing_is_lost() -> None:
    """What fired before the power went fires on afterwards, and is told to be over when it is."""
    rules = program([LOW])
    first = Engine("site", rules)
    feed(first, 0, {"battery.soc": 10})
    assert [event.seq for event in first.step(30, [])] == [1]
    second = reborn(first, rules, 5000)
    assert [one.id for one in second.alerts()] == ["low"]
    assert feed(second, 5001, {"battery.soc": 10}) == []
    assert [(event.event, event.seq) for event in feed(second, 5002, {"battery.soc": 50})] == [("resolved", 2)]


@pytest.mark.parametrize("state", [{}, {"version": 0}, {"version": 99, "alerts": {"x": 1}}])
def test_a_strange_state_is_no_state(state: dict[str, Any]) -> None:
    """A state of another version begins anew."""
    made = engine(LOW)
    made.load(state, 100)
    assert run(made, (100, {"battery.soc": 10}), (131, {})) == [(130, "firing", "low")]


def test_rules_may_change_over_a_restart() -> None:
    """What today's rules no longer know is dropped, what is new begins."""
    first = engine(LOW, alert("old", "battery.power < 0"), alert("old2", "avg_over_time(battery.soc, 5m) < 20"))
    feed(first, 0, {"battery.soc": 10, "battery.power": -5, "battery.1.soc": 3})
    second = reborn(first, program([LOW, alert("new", "battery.soc < 90")]), 1)
    assert told(second.step(31, [])) == [(1, "resolved", "old"), (1, "firing", "new"), (30, "firing", "low")]


# -- laws that hold for every history -----------------------------------------------------------------------------

RULES: list[dict[str, Any]] = [
    {"record": "x.sum", "expr": "battery.soc + coalesce(battery.power, 0)"},
    LOW,
    alert(
        "held", "battery.soc < 50", on_unknown="hold", repeat="60s", escalate={"after": "90s", "severity": "critical"}
    ),
    alert("quick", "battery.power > 0", keep_firing_for="20s", inhibited_by=["low"]),
    alert("flaps", "system.low_soc"),
    alert("fire", "battery.power > 10", on_unknown="fire", for_="15s"),
    alert("clear", "x.sum > 90", on_unknown="clear", clear="x.sum < 80"),
    alert("avg", "avg_over_time(battery.soc, 60s) < 30 or increase(system.counter, 60s) > 3"),
    alert("each", "battery.soc < 40 and device.online", each="battery", inhibited_by=["gone"], for_="10s"),
    alert("any", "any(battery[*].soc < 10) or max(max_over_time(battery[*].soc, 30s)) > 60"),
    alert("gone", "not device.online", each="*"),
    alert("age", "age(battery.soc) > 45"),
]
PROGRAM = program(RULES)
_NAMES = ("battery.soc", "battery.power", "system.low_soc", "system.counter", "battery.1.soc", "battery.2.soc")
_NAMES += ("battery.1.online", "site.online")
_CHANGES = st.dictionaries(st.sampled_from(_NAMES), st.integers(0, 3), max_size=4)
_CHOICES = {name: [None, 5.0, 22.0, 45.0] for name in _NAMES} | {
    "battery.power": [None, -5.0, 5.0, 15.0],
    "system.low_soc": [False, True, False, True],
    "system.counter": [None, 0, 2, 9],
    "battery.1.soc": [None, 5.0, 70.0, 35.0],
    "battery.1.online": [True, True, False, True],
    "site.online": [True, True, True, False],
}
_ACTIONS = st.sampled_from(["", "", "", "", "ack", "unack", "silence", "unsilence"])
_HISTORIES = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 5.0, 10.0, 10.0, 12.5, 40.0, 300.0]), _CHANGES, st.booleans(), _ACTIONS),
    max_size=25,
)


def _turn(on: Engine, now: float, changes: dict[str, int], is_read: bool, action: str) -> list[Any]:
    values = {name: _CHOICES[name][choice] for name, choice in changes.items()}
    groups = ("system", "battery/1", "battery/2")
    found = on.step(now, samples(values, now), [Read(group, now, 30.0) for group in groups] if is_read else [])
    try:
        if action == "ack":
            found += on.acknowledge("held", now, "seen")
        if action == "unack":
            found += on.unacknowledge("held", now)
        if action == "silence":
            found += on.silence({"alert": ["low", "quick", "flaps"]}, now + 35.0, now, "quiet")[1]
        if action == "unsilence":
            found += on.unsilence(1, now)
    except RuleError:
        pass
    return found


@settings(max_examples=70)
@given(_HISTORIES, st.integers(0, 25))
def test_a_dump_between_any_two_steps_changes_nothing(history: list[Any], cut: int) -> None:
    """Equal inputs give equal events, records and states, with or without a dump and load in between."""
    first, second = Engine("site", PROGRAM), Engine("site", PROGRAM)
    now = 1000.0
    for index, (wait_s, changes, is_read, action) in enumerate(history):
        if index == cut:
            second = reborn(second, PROGRAM, now)
            second.take_records()
            first.take_records()
        now += wait_s
        assert _turn(first, now, changes, is_read, action) == _turn(second, now, changes, is_read, action)
        assert first.alerts() == second.alerts()
    assert first.silences() == second.silences()


@settings(max_examples=50)
@given(_HISTORIES, st.data())
def test_it_does_not_matter_how_often_one_steps(history: list[Any], data: st.DataObject) -> None:
    """Steps in between, with nothing in them, change no event."""
    first, second = Engine("site", PROGRAM), Engine("site", PROGRAM)
    now = 1000.0
    few, many = first.step(now, []), second.step(now, [])
    for wait_s, changes, is_read, action in history:
        for share in sorted(data.draw(st.lists(st.floats(0, 0.99), max_size=2))):
            many += second.step(now + share * wait_s, [])
        now += wait_s
        few += _turn(first, now, changes, is_read, action)
        many += _turn(second, now, changes, is_read, action)
    assert few == many


@settings(max_examples=70)
@given(_HISTORIES)
def test_every_history_keeps_the_laws_of_events(history: list[Any]) -> None:
    """seq has no gap, time does not go back, what is announced is told to be over, and nothing is told twice."""
    made = Engine("site", PROGRAM)
    now, events = 1000.0, []
    for wait_s, changes, is_read, action in history:
        now += wait_s
        events += _turn(made, now, changes, is_read, action)
    calm = {"battery.soc": 80.0, "battery.power": -5.0, "system.low_soc": False, "system.counter": 0}
    calm |= {"battery.1.soc": 50.0, "battery.2.soc": 50.0, "battery.1.online": True, "site.online": True}
    for turn in range(100):
        now += 40.0
        groups = ("system", "battery/1", "battery/2")
        events += made.step(now, samples(calm, now) if turn == 0 else [], [Read(one, now, 90.0) for one in groups])
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.ts for event in events] == sorted(event.ts for event in events)
    open_: set[str] = set()
    for event in events:
        if event.event == "firing":
            assert event.id not in open_
            open_.add(event.id)
        else:
            assert event.id in open_
            open_ -= {event.id} if event.event == "resolved" else set()
            assert (event.ends_at is not None) is (event.event == "resolved")
    assert open_ == set()
    assert [one for one in made.alerts() if one.phase == "firing"] == []


@settings(max_examples=50)
@given(_HISTORIES)
def test_what_changes_is_told_as_changed(history: list[Any]) -> None:
    """Whoever takes only the changes knows the state of every alert."""
    made = Engine("site", PROGRAM)
    now, known = 1000.0, {}
    for wait_s, changes, is_read, action in history:
        now += wait_s
        _turn(made, now, changes, is_read, action)
        known |= {one.id: one for one in made.take_alerts()}
        flags = ("phase", "severity", "acknowledged", "silenced", "inhibited", "flapping", "starts_at", "since")
        for one in made.alerts():
            assert [getattr(known[one.id], flag) for flag in flags] == [getattr(one, flag) for flag in flags]
        active = {one.id for one in made.alerts()}
        assert {key for key, one in known.items() if one.phase != "inactive"} == active


_WINDOWS = ["avg_over_time", "increase", "rate", "min_over_time", "max_over_time", "stddev_over_time", "delta"]
_TURNS = st.lists(
    st.tuples(st.sampled_from([0.0, 3.0, 10.0, 10.0, 30.0, 100.0, 1000.0]), st.none() | st.integers(0, 9)), max_size=30
)


@settings(max_examples=150)
@given(st.sampled_from(_WINDOWS), st.sampled_from("<>"), st.sampled_from([0.5, 2.0, 3.5, 7.0]), st.booleans(), _TURNS)
def test_a_window_that_sleeps_misses_nothing(
    function: str, sign: str, limit: float, is_fraction: bool, turns: list[Any]
) -> None:
    """A window that is compared with a constant sleeps until it can have got there: no event is other or later.

    Its twin is added to something, so that it has to be computed each time.
    """
    limit = limit / 60 if function == "rate" and is_fraction else limit
    made = engine(
        alert("sleeps", f"{function}(battery.soc, 60s) {sign} {limit}"),
        alert("wakes", f"{function}(battery.soc * 1, 60s) * 1 {sign} {limit}"),
    )
    events, now = [], 0.0
    for wait_s, value in turns:
        now += wait_s
        events += feed(made, now, {"battery.soc": value})
    events += made.step(now + 500.0, [])
    both = [[(event.ts, event.event) for event in events if event.alert == name] for name in ("sleeps", "wakes")]
    assert both[0] == both[1]


def test_memory_per_rule_is_small() -> None:
    """A rule of a device costs less than 2 kB, whatever the number of devices."""
    import gc
    import tracemalloc

    rules = program(
        [alert(f"a{index}", "battery.soc < 20 and battery.voltage > 40", each="battery") for index in range(20)]
    )
    made = Engine("site", rules)
    feed(made, 0, {"battery.1.soc": 50, "battery.1.voltage": 50})
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for instance in range(2, 52):
        feed(made, 1, {f"battery.{instance}.soc": 50, f"battery.{instance}.voltage": 50})
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(made.alert_states) == 20 * 51
    assert used / (20 * 50) < 2048


def test_only_what_can_matter_is_evaluated() -> None:
    """A value that crosses no threshold wakes no rule."""
    made = engine(*(alert(f"a{limit}", f"battery.soc < {limit}") for limit in range(10, 60, 10)))
    feed(made, 0, {"battery.soc": 75})
    before = made.counters["evaluations"]
    for at in range(1, 20):
        assert feed(made, at, {"battery.soc": 75 - at * 0.5}) == []
    assert made.counters["evaluations"] - before <= 5
    assert len(feed(made, 30, {"battery.soc": 35})) == 2


@pytest.mark.parametrize("read", ["system.state", "battery[512].soc"])
def test_what_came_before_the_device_is_known_to_its_rules(read: str) -> None:
    """A rule per device reads other points whose only sample came before its device was seen."""
    expr = f'{read} == "bulk"' if read == "system.state" else f"{read} > 5"
    made = engine(alert("watched", f"vebus.alarms.grid_lost >= 'ok' and {expr}", each="vebus"))
    value = ("bulk", 3) if read == "system.state" else 50
    feed(made, 0, {read.replace("[", ".").replace("]", ""): value})
    events = feed(made, 1, {"vebus.276.alarms.grid_lost": ("ok", 0)})
    assert [event.id for event in events] == ["watched/vebus/276"]
