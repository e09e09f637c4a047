"""What holds of events for every history: restarts, clocks that step, silences, rules that change.

`test_engine` has the laws for a fixed program; here rules, maintenance, gaps and steps of the clock are drawn too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.engine import Engine
from bridge.core.maintenance import Maintenance
from bridge.core.rules import Program
from bridge.errors import RuleError
from bridge.model import Event, Read
from tests.core.small_site import alert, engine, feed, program, run, samples, told

EVERY_DAY = frozenset(range(1, 8))
MAINTENANCE = (Maintenance(EVERY_DAY, 600, 1500, "", {"severity": "warning"}, "works"),)
START = 1.7e9 // 86400 * 86400  # a midnight
GROUPS = ("system", "battery/1", "battery/2")

_EXPRESSIONS = [
    ("battery.soc < 20", None),
    ("battery.soc < 20 and battery.power > 0", None),
    ("system.low_soc", None),
    ("x.sum > 60", None),
    ("avg_over_time(battery.soc, 100s) < 30", None),
    ("max_over_time(battery.soc, 60s) > 50 or changes(battery.power, 90s) >= 2", None),
    ("increase(system.counter, 60s) > 3", None),
    ("held(battery.soc < 50) > 25 or last_change(battery.power) > 200", None),
    ("ewma(battery.soc, 30s) > 40", None),
    ("zscore(battery.soc, 60s) > 1 or stddev_over_time(battery.soc, 60s) > 20", None),
    ("age(battery.soc) > 70", None),
    ("absent(battery.power)", None),
    ("hour() < 1 and battery.soc < 50", None),
    ("any(battery[*].soc < 10)", None),
    ("battery.soc < 40", "battery"),
    ("not device.online", "*"),
    ("device.online and delta(battery.soc, 60s) < 0", "battery"),
]
_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "for": st.sampled_from(["10s", "30s", "2m"]),
        "keep_firing_for": st.sampled_from(["15s", "1m"]),
        "on_unknown": st.sampled_from(["hold", "clear", "fire"]),
        "repeat": st.sampled_from(["60s", "5m"]),
        "escalate": st.sampled_from([{"after": "50s", "severity": "critical"}, {"after": "4m", "severity": "warning"}]),
        "clear": st.just("battery.soc > 60"),
        "severity": st.sampled_from(["info", "warning", "critical"]),
        "inhibited_by": st.sampled_from([["a0"], ["a1"], ["a0", "a1"]]),
    },
)


def _rules(drawn: list[Any]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [{"record": "x.sum", "expr": "battery.soc + coalesce(battery.power, 0)"}]
    for index, ((expr, each), keys) in enumerate(drawn):
        own = {key: value for key, value in keys.items() if key != "inhibited_by" or index > 1}
        if "escalate" in own:  # to what is higher than what the alert has
            own["severity"] = "info"
        rules.append(alert(f"a{index}", expr, **({"each": each} if each else {}), **own))
    return rules


_RULES = st.lists(st.tuples(st.sampled_from(_EXPRESSIONS), _KEYS), min_size=2, max_size=6).map(_rules)
_CHOICES: dict[str, list[Any]] = {
    "battery.soc": [None, 5.0, 15.0, 25.0, 55.0, 90.0],
    "battery.power": [None, -5.0, 5.0, 15.0],
    "system.low_soc": [False, True, None],
    "system.counter": [None, 0, 2, 9],
    "battery.1.soc": [None, 5.0, 70.0, 35.0],
    "battery.2.soc": [None, 8.0, 70.0, 35.0],
    "battery.1.online": [True, False],
    "site.online": [True, True, False],
}
_CHANGE = st.sampled_from(sorted(_CHOICES)).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(_CHOICES[name]))
)
_ACTIONS = ["ack a0", "ack a1", "unack a0", "silence", "silence warning", "silence critical", "unsilence"]
_TURN = st.tuples(
    st.sampled_from([0.0, 1.0, 5.0, 10.0, 10.0, 10.0, 12.5, 40.0, 130.0, 600.0]),
    st.lists(_CHANGE, max_size=3).map(dict),
    st.booleans(),
    st.sampled_from([""] * 10 + _ACTIONS),
)
_HISTORY = st.lists(_TURN, min_size=12, max_size=25)


def turn(on: Engine, now: float, changes: dict[str, Any], is_read: bool, action: str) -> list[Event]:
    events = on.step(now, samples(changes, now), [Read(group, now, 90.0) for group in GROUPS] if is_read else [])
    return events + act(on, now, action)


def act(on: Engine, now: float, action: str) -> list[Event]:
    """Do what somebody asks for."""
    events: list[Event] = []
    verb, _, what = action.partition(" ")
    try:
        if verb == "ack":
            events += on.acknowledge(what, now, "seen")
        if verb == "unack":
            events += on.unacknowledge(what, now)
        if verb == "silence":
            matcher = {"severity": what} if what else {"alert": ["a0", "a2"]}
            events += on.silence(matcher, now + 75.0, now, "quiet")[1]
        if verb == "unsilence":
            events += on.unsilence(1, now)
    except RuleError:
        pass
    return events


def reborn(on: Engine, rules: Program, now: float, maintenance: Sequence[Maintenance] = MAINTENANCE) -> Engine:
    second = Engine("site", rules, maintenance)
    second.load(json.loads(json.dumps(on.dump())), now)
    return second


LETTERS = {"firing": "f", "escalated": "e", "reminder": "m", "acknowledged": "k", "silenced": "s", "unsilenced": "u"}
WORD = re.compile(r"(f[emk]*(s[emk]*u[emk]*)*(s[emk]*)?r)*(f[emk]*(s[emk]*u[emk]*)*(s[emk]*)?)?")


def truths(on: Engine) -> dict[str, bool | None]:
    """Return what every alert holds of its condition, also of those that are inactive."""
    return {key: alert.truth for key, alert in on.alert_states.items()}


def check_law(events: list[Event]) -> None:
    """Hold all events ever told against the law of events."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    for key in {event.id for event in events}:
        word = "".join(LETTERS.get(event.event, "r") for event in events if event.id == key)
        assert WORD.fullmatch(word), (key, word)


def open_alerts(events: list[Event]) -> set[str]:
    last = {event.id: event.event for event in events}
    return {key for key, event in last.items() if event != "resolved"}


CALM = {"battery.soc": 55.0, "battery.power": -5.0, "system.low_soc": False, "system.counter": 0, "site.online": True}
CALM |= {"battery.1.soc": 60.0, "battery.2.soc": 60.0, "battery.1.online": True}


def calm(on: Engine, now: float) -> list[Event]:
    """Let everything be well for two hours."""
    events = []
    for step in range(120):
        now += 60.0
        changes = CALM if step == 0 else {}
        # What asks how long nothing changed is told to be over by a change.
        changes = {**changes, "battery.power": -5.0 - step % 2}
        events += turn(on, now, changes, True, "")
    return events


@settings(max_examples=40)
@given(_RULES, _HISTORY)
def test_every_history_of_any_rules_keeps_the_law(rules: list[dict[str, Any]], history: list[Any]) -> None:
    """seq has no gap, each alert's events are a legal word, and what is over is told to be over."""
    on = Engine("site", program(rules), MAINTENANCE)
    on.set_wall_offset(0.0)
    now, events = START, []
    for wait_s, changes, is_read, action in history:
        now += wait_s
        events += turn(on, now, changes, is_read, action)
    events += calm(on, now)
    check_law(events)
    still = {one.id for one in on.alerts() if one.phase == "firing"}
    assert open_alerts(events) <= still
    assert still <= open_alerts(events) | {one.id for one in on.alerts() if one.inhibited or one.silenced}


@settings(max_examples=40)
@given(_RULES, _HISTORY, st.integers(0, 25), st.integers(0, 25), st.sampled_from(["", *_ACTIONS]))
def test_a_restart_between_any_two_steps_changes_nothing(
    rules: list[dict[str, Any]], history: list[Any], cut: int, again: int, asked: str
) -> None:
    """Events, alerts and silences are equal with and without dumps and loads through JSON, whatever the rules are.

    So they are when somebody asks for something before the first step.
    """
    compiled = program(rules)
    first, second = Engine("site", compiled, MAINTENANCE), Engine("site", compiled, MAINTENANCE)
    now = START
    for index, (wait_s, changes, is_read, action) in enumerate(history):
        if index in (cut, again) and index:
            second = reborn(second, compiled, now)
            assert act(first, now, asked) == act(second, now, asked)
        now += wait_s
        assert turn(first, now, changes, is_read, action) == turn(second, now, changes, is_read, action)
        assert first.alerts() == second.alerts()
        assert truths(first) == truths(second)
    assert first.silences() == second.silences()


@settings(max_examples=40)
@given(_RULES, _HISTORY, st.data())
def test_it_does_not_matter_how_often_one_steps(rules: list[dict[str, Any]], history: list[Any], data: Any) -> None:
    """Stepping at every clock, or at any moment between, tells the same as stepping when something came in."""
    compiled = program(rules)
    first, second = Engine("site", compiled, MAINTENANCE), Engine("site", compiled, MAINTENANCE)
    now = START
    few, many = first.step(now, []), second.step(now, [])
    for wait_s, changes, is_read, action in history:
        until = now + wait_s
        if data.draw(st.booleans()):
            while (due := second.next_clock()) < until:
                many += second.step(max(due, now), [])
        else:
            for share in sorted(data.draw(st.lists(st.floats(0, 0.99), max_size=2))):
                many += second.step(now + share * wait_s, [])
        now = until
        few += turn(first, now, changes, is_read, action)
        many += turn(second, now, changes, is_read, action)
    assert few == many


@settings(max_examples=40)
@given(_RULES, _RULES, _HISTORY, st.integers(1, 24), st.sampled_from([0.0, 20.0, 100.0, 5000.0, 4e7, -1e9, -50.0]))
def test_a_restart_with_other_rules_later_or_earlier_loses_no_resolve(
    before: list[dict[str, Any]], after: list[dict[str, Any]], history: list[Any], cut: int, gap_s: float
) -> None:
    """Nothing is announced twice and nothing stays open, whatever rules, gaps and clocks do over a restart."""
    on, now, events = Engine("site", program(before), MAINTENANCE), START, []
    for wait_s, changes, is_read, action in history[:cut]:
        now += wait_s
        events += turn(on, now, changes, is_read, action)
    now += gap_s
    on = reborn(on, program(after), now)
    for wait_s, changes, is_read, action in history[cut:]:
        now += wait_s
        events += turn(on, now, changes, is_read, action)
    events += calm(on, now)
    check_law(events)
    still = {one.id for one in on.alerts() if one.phase == "firing"}
    assert open_alerts(events) <= still
    assert still <= open_alerts(events) | {one.id for one in on.alerts() if one.inhibited or one.silenced}


# -- what people do changes what is told, not what is -------------------------------------------------------------


@settings(max_examples=40)
@given(_RULES, _HISTORY)
def test_what_withholds_events_changes_no_phase(rules: list[dict[str, Any]], history: list[Any]) -> None:
    """With and without inhibition, silences, acknowledgements and maintenance, phases and their clocks are equal."""
    plain = [{key: value for key, value in rule.items() if key != "inhibited_by"} for rule in rules]
    loud, quiet = Engine("site", program(plain)), Engine("site", program(rules), MAINTENANCE)
    now = START
    for wait_s, changes, is_read, action in history:
        now += wait_s
        turn(loud, now, changes, is_read, "")
        turn(quiet, now, changes, is_read, action)
        both = [{key: one.clock.dump() for key, one in on.alert_states.items()} for on in (loud, quiet)]
        assert both[0] == both[1]
        since = [{one.id: (one.phase, one.since) for one in on.alerts()} for on in (loud, quiet)]
        assert since[0] == since[1]


# -- clocks that step ---------------------------------------------------------------------------------------------

_TIMELESS = [rule for rule in _EXPRESSIONS if "hour" not in rule[0]]


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(_TIMELESS), _KEYS), min_size=2, max_size=5).map(_rules),
    _HISTORY,
    st.lists(st.sampled_from([0.0, 3600.0, -3600.0, 1e9, -1.6e9, 0.5]), min_size=25, max_size=25),
)
def test_a_wall_clock_that_steps_moves_no_event(
    rules: list[dict[str, Any]], history: list[Any], offsets: list[float]
) -> None:
    """Jumps by years, forth and back, change the times that are told and nothing else."""
    compiled = program(rules)
    first, second = Engine("site", compiled), Engine("site", compiled)
    now = START
    for (wait_s, changes, is_read, action), offset in zip(history, offsets):
        second.set_wall_offset(offset, 3600.0 if offset > 0 else 0.0)
        now += wait_s
        both = [turn(on, now, changes, is_read, action) for on in (first, second)]
        plain = [[(one.event, one.id, one.seq, one.duration_s, one.value) for one in events] for events in both]
        assert plain[0] == plain[1]


def test_a_gx_that_reboots_fires_nothing() -> None:
    """Counters begin at 0, devices are away for a while, the GX says 1970: no rule about change or time fires."""
    on = engine(
        alert("grows", "increase(system.counter, 5m) > 50"),
        alert("rate", "rate(system.counter, 5m) > 1"),
        alert("low", "battery.soc < 20", each="battery"),
        alert("sum", "sum(battery[*].soc) < 60"),
        alert("mean", "avg_over_time(battery.soc, 5m) < 20"),
        alert("late", "now() - system.time > 600"),
        alert("fall", "delta(battery.soc, 5m) < -20", each="battery"),
    )
    now, events = START, []
    batteries = {"battery.1.soc": 50.0, "battery.2.soc": 50.0}
    presence = {"battery.1.online": True, "battery.2.online": True, "site.online": True}
    for index in range(60):
        now += 10.0
        events += feed(
            on, now, {**batteries, **presence, "battery.soc": 50.0, "system.counter": 10**6 + index, "system.time": now}
        )
    events += feed(on, now + 5, {"site.online": False, "battery.1.online": False, "battery.2.online": False})
    now += 300.0
    on.set_wall_offset(-now + 10.0)
    events += feed(on, now, {"site.online": True, "system.counter": 0, "system.time": 10.0})
    for index in range(6):
        now += 10.0
        events += feed(on, now, {"system.counter": index, "system.time": 20.0 + 10.0 * index})
    on.set_wall_offset(0.0)
    for index in range(60):
        now += 10.0
        events += feed(
            on, now, {**batteries, **presence, "battery.soc": 50.0, "system.counter": 7 + index, "system.time": now}
        )
    assert told(events) == []


# -- mistakes that these tests found ------------------------------------------------------------------------------


def test_a_reminder_that_a_rule_no_longer_has_is_not_told() -> None:
    """A rule that lost `repeat` and `escalate` over a restart neither divides by zero nor has no severity."""
    written = alert("a", "battery.soc < 20")
    on = engine({**written, "repeat": "60s", "escalate": {"after": "50s", "severity": "critical"}})
    feed(on, START, {"battery.soc": 10})
    on.step(START + 55, [])
    second = reborn(on, program([written]), START + 56, ())
    assert second.step(START + 500, []) == []
    assert second.alerts()[0].severity == "warning"
    third = reborn(second, program([{**written, "repeat": "60s"}]), START + 500, ())
    assert [event.ts - START for event in third.step(START + 570, [])] == [560]


def test_an_alert_whose_rule_is_gone_is_told_to_be_over() -> None:
    """What was announced gets its resolve when a restart comes without the rule, with what it was."""
    on = engine(alert("gone", "battery.soc < 20", each="battery", labels={"a": "b"}), alert("never", "battery.soc < 0"))
    feed(on, START, {"battery.1.soc": 10})
    second = reborn(on, program([alert("other", "battery.soc < 0")]), START + 100, ())
    (event,) = second.step(START + 100, [])
    assert (event.event, event.id, event.seq, event.comment) == ("resolved", "gone/battery/1", 2, "the rule is gone")
    assert (event.device, event.labels, event.starts_at, event.ends_at) == (
        ("battery", 1),
        {"a": "b"},
        START,
        START + 100,
    )
    assert event.duration_s == 100
    assert reborn(second, program([alert("other", "battery.soc < 0")]), START + 200, ()).step(START + 200, []) == []


def test_an_inhibition_that_is_gone_after_a_restart_lets_go() -> None:
    """What nothing inhibits any more is announced at once."""
    rules = [alert("low", "battery.soc < 20", inhibited_by=["off"]), alert("off", "battery.power < 0")]
    on = engine(*rules)
    assert run(on, (START, {"battery.soc": 10, "battery.power": -5})) == [(START, "firing", "off")]
    second = reborn(on, program([alert("low", "battery.soc < 20")]), START + 10, ())
    assert told(second.step(START + 10, [])) == [(START + 10, "resolved", "off"), (START + 10, "firing", "low")]


@pytest.mark.parametrize(("silenced", "words"), [("warning", ["firing"]), ("critical", [])])
def test_an_alert_that_escalates_meets_the_silences_of_its_new_severity(silenced: str, words: list[str]) -> None:
    """A silence of warnings keeps quiet no critical alert."""
    on = engine(alert("a", "battery.soc < 20", escalate={"after": "60s", "severity": "critical"}))
    on.step(START, [])
    on.silence({"severity": silenced}, START + 1000, START)
    begun = [event.event for event in feed(on, START + 1, {"battery.soc": 10})]
    assert begun == ([] if silenced == "warning" else ["firing"])
    assert [event.event for event in on.step(START + 100, [])] == (words or ["silenced"])


def test_reminders_come_back_after_flapping() -> None:
    """An alert that flapped and stays is reminded of once it is quiet."""
    on = engine(alert("a", "battery.soc < 20", repeat="10m"))
    for index in range(13):
        feed(on, START + 10 * index, {"battery.soc": 50 if index % 2 else 10})
    events = on.step(START + 7200, [])
    assert events
    assert {event.event for event in events} == {"reminder"}


@pytest.mark.parametrize("series", [[277, 300, 13321], [277, 13321], [277, 13321, 9000]])
def test_the_peak_of_what_has_no_side_is_far_from_where_it_began(series: list[float]) -> None:
    """While an alert fires its worst value is not the one farthest from now."""
    on = engine(alert("a", "system.low_soc", value="battery.power", repeat="60s"))
    events = feed(on, START, {"system.low_soc": True, "battery.power": series[0]})
    for index, value in enumerate(series[1:]):
        events += feed(on, START + index + 1, {"battery.power": value})
    events += on.step(START + 70, [])
    assert [event.peak for event in events] == [277, 13321]
    over = feed(on, START + 80, {"battery.power": 250, "system.low_soc": False})
    assert (over[0].peak, over[0].value_at_firing) == (13321, 277)
    again = feed(on, START + 90, {"battery.power": 5, "system.low_soc": True})
    assert (again[0].peak, again[0].value_at_firing) == (5, 5)


def test_what_a_silence_lets_go_is_told_in_the_order_of_devices() -> None:
    """Not in the order in which they appeared, which a restart does not keep."""
    on = engine(alert("a", "battery.soc < 20", each="battery"))
    feed(on, START, {"battery.2.soc": 50, "battery.1.soc": 50})
    on.silence({}, START + 60, START)
    feed(on, START + 1, {"battery.1.soc": 5, "battery.2.soc": 5})
    assert [event.id for event in on.step(START + 100, [])] == ["a/battery/1", "a/battery/2"]
