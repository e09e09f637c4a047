"""What a restart does to what functions over time remember: holes, clocks that were moved, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.engine import Engine
from bridge.core.maintenance import Maintenance
from bridge.core.rules import Program
from bridge.model import Read
from tests.core.small_site import alert, feed, program, samples

START = 1.7e9
FUNCTIONS = {
    "avg_over_time": "avg_over_time(battery.soc, 100s)",
    "ratio_over_time": "ratio_over_time(battery.soc > 53, 100s)",
    "increase": "increase(battery.soc, 100s)",
    "rate": "rate(battery.soc, 100s)",
    "changes": "changes(battery.soc, 100s)",
    "stddev_over_time": "stddev_over_time(battery.soc, 100s)",
    "zscore": "zscore(battery.soc, 100s)",
    "min_over_time": "min_over_time(battery.soc, 100s)",
    "max_over_time": "max_over_time(battery.soc, 100s)",
    "quantile_over_time": "quantile_over_time(battery.soc, 0.5, 100s)",
    "delta": "delta(battery.soc, 100s)",
    "deriv": "deriv(battery.soc, 100s)",
    "predict_linear": "predict_linear(battery.soc, 100s, 60s)",
    "held": "held(battery.soc > 51)",
    "last_change": "last_change(battery.soc)",
    "ewma": "ewma(battery.soc, 60s)",
    "seasonal_zscore": "seasonal_zscore(battery.soc)",
}
_RECORDS = [{"record": f"x.{name}", "expr": expr} for name, expr in FUNCTIONS.items()]
_ALL = program(_RECORDS)


def _feed(on: Engine, at: float, soc: float | None) -> None:
    on.step(at, samples({"battery.soc": soc}, at), [Read("system", at, 1e9)])


def _results(on: Engine) -> dict[str, Any]:
    return {name: on.store.values[on.store.slot(f"x/{name}")] for name in FUNCTIONS}


def _near(expected: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value is None else pytest.approx(value, rel=1e-6) for name, value in expected.items()}


def _soc(turn: int) -> float:
    return 50.0 + turn * 3 % 7


def _reborn(state: dict[str, Any], now: float, rules: Program = _ALL, shift_s: float = 0.0) -> Engine:
    on = Engine("site", rules)
    on.load(json.loads(json.dumps(state)), now, shift_s)
    return on


@settings(max_examples=25)
@given(before=st.integers(1, 40), lost=st.integers(1, 15), away_s=st.sampled_from([0.0, 5.0, 100.0]))
def test_a_history_older_than_the_state_leaves_a_hole(before: int, lost: int, away_s: float) -> None:
    """After a kill every function goes on as one that was told UNKNOWN since its history was written."""
    killed, holed, now = Engine("site", _ALL), Engine("site", _ALL), START
    for turn in range(before):
        now += 10.0
        for on in (killed, holed):
            _feed(on, now, _soc(turn))
    history = killed.history()
    _feed(holed, now, None)
    for turn in range(before, before + lost):
        now += 10.0
        _feed(killed, now, _soc(turn))
    now += away_s
    killed = _reborn({**killed.dump(False), "history": history}, now)
    for turn in range(before + lost, before + lost + 40):
        for on in (killed, holed):
            _feed(on, now, _soc(turn))
        assert _results(killed) == _near(_results(holed)), turn
        now += 10.0


@pytest.mark.parametrize("away_s", [31.0, 45.0, 75.0])
def test_what_was_away_for_long_leaves_a_hole(away_s: float) -> None:
    """An orderly restart after more than three poll intervals: what a window over a record knew of the time is lost."""
    rules = program([{"record": "x.sum", "expr": "battery.soc + 0"}, *_of_the_sum()])
    first, holed, now = Engine("site", rules), Engine("site", rules), START
    for turn in range(40):
        now += 10.0
        for on in (first, holed):
            on.step(now, samples({"battery.soc": _soc(turn)}, now), [Read("system", now, 90.0)])
    second = _reborn(first.dump(), now + away_s, rules)
    _feed(holed, now, None)
    now += away_s
    _feed(holed, now, _soc(39))
    second.step(now, [])
    for turn in range(40, 80):
        assert _results(second) == _near(_results(holed)), turn
        now += 10.0
        for on in (second, holed):
            _feed(on, now, _soc(turn))
    assert None not in [value for name, value in _results(second).items() if name != "seasonal_zscore"]


def _of_the_sum() -> list[dict[str, Any]]:
    return [{**one, "expr": one["expr"].replace("battery.soc", "x.sum")} for one in _RECORDS]


def test_a_dumped_history_stays_as_it_was() -> None:
    """What the engine does after the dump, while it waits to be written, is no part of it."""
    on, now = Engine("site", _ALL), START
    for turn in range(40):
        now += 10.0
        _feed(on, now, _soc(turn))
    history = on.history()
    written = json.dumps(history)
    _feed(on, now + 4000.0, 5.0)
    assert json.dumps(history) == written


def test_what_was_unknown_is_unknown_after_a_restart() -> None:
    """Also of alerts that are inactive; what came true by the time that passed is told at its own moment."""
    rules = program(
        [
            alert("unknown", "battery.power > 1"),
            alert("window", "avg_over_time(battery.soc, 1h) > 90"),
            alert("known", "battery.soc < 20"),
            alert("late", "age(battery.soc) > 60"),
        ]
    )
    first = Engine("site", rules)
    _feed(first, START, 50.0)
    second = _reborn(first.dump(), START + 65.0, rules)
    assert {key: one.truth for key, one in second.alert_states.items()} == {
        "unknown": None,
        "window": None,
        "known": False,
        "late": False,
    }
    assert [event.id for event in second.step(START + 80.0, [])] == ["late"]


def test_records_are_told_again_after_a_restart() -> None:
    """All that are known, changed or not: whoever publishes begins with nothing."""
    rules = program([{"record": "x.double", "expr": "battery.soc * 2"}, {"record": "x.none", "expr": "battery.power"}])
    first = Engine("site", rules)
    _feed(first, START, 50.0)
    assert [one.value for one in first.take_records()] == [100.0]
    second = _reborn(first.dump(), START + 5, rules)
    second.step(START + 5, [])
    assert [(one.point.name, one.value) for one in second.take_records()] == [("x/double", 100.0)]
    second.step(START + 10, [])
    assert second.take_records() == []


@pytest.mark.parametrize(("wall_s", "words"), [(0.0, []), (3600.0, ["firing"])])
def test_a_request_before_the_first_step_knows_maintenance(wall_s: float, words: list[str]) -> None:
    """What somebody asks for between the load and the first step tells nothing inside a window."""
    rules, windows = program([alert("low", "battery.soc < 20")]), [Maintenance(_DAYS, 0, 600, "", {}, "works")]
    first = Engine("site", rules, windows)
    assert feed(first, _MIDNIGHT, {"battery.soc": 10}) == []
    second = Engine("site", rules, windows)
    second.load(json.loads(json.dumps(first.dump())), _MIDNIGHT + 5)
    second.set_wall_offset(wall_s)
    assert [event.event for event in second.silence({"severity": "info"}, _MIDNIGHT + 999, _MIDNIGHT + 5)[1]] == words
    assert second.step(_MIDNIGHT + 6, []) == []


_MIDNIGHT = START // 86400 * 86400
_DAYS = frozenset(range(1, 8))


@pytest.mark.parametrize(
    ("fired_s", "acknowledged", "expected"),
    [(30.0, False, [(60.0, "escalated")]), (500.0, False, [(500.0, "escalated")]), (30.0, True, [])],
)
def test_a_rule_that_gains_an_escalation_escalates(
    fired_s: float, acknowledged: bool, expected: list[tuple[float, str]]
) -> None:
    """It counts from when the alert fired, also when the rule did not say so yet."""
    written = alert("low", "battery.soc < 20")
    first = Engine("site", program([written]))
    feed(first, START, {"battery.soc": 10})
    if acknowledged:
        first.acknowledge("low", START + 1)
    rules = program([{**written, "escalate": {"after": "60s", "severity": "critical"}}])
    second = _reborn(first.dump(), START + fired_s, rules)
    events = second.step(START + 1000.0, [])
    assert [(event.ts - START, event.event) for event in events] == expected


@pytest.mark.parametrize("shift_s", [0.3, -0.3, 1.2, -1.2, 3.0, -4.5, 3600.0, -3600.0, 86400.5, 10.0 - START])
def test_a_memory_that_is_moved_in_time_goes_on(shift_s: float) -> None:
    """A steady clock that began elsewhere loses no history: half a bucket is the most by which a window is off."""
    rules = program([{"record": f"x.{name}", "expr": f"{name}(battery.soc, 1h)"} for name in _OF_AN_HOUR])
    first, now = Engine("site", rules), START
    for turn in range(800):
        now += 10.0
        _feed(first, now, 50.0 + turn // 60)
    second = _reborn(first.dump(), now + shift_s, rules, shift_s)
    for turn in range(800, 1200):
        now += 10.0
        _feed(first, now, 50.0 + turn // 60)
        _feed(second, now + shift_s, 50.0 + turn // 60)
        got, expected = (
            {name: on.store.values[on.store.slot(f"x/{name}")] for name in _OF_AN_HOUR} for on in (second, first)
        )
        assert got == {name: pytest.approx(value, abs=_OF_AN_HOUR[name]) for name, value in expected.items()}, turn


_OF_AN_HOUR = {  # and by how much half a minute of a ramp of 6 an hour may move it
    "avg_over_time": 0.1,
    "increase": 1.0,
    "rate": 1.0 / 3600,
    "changes": 1.0,
    "stddev_over_time": 0.1,
    "zscore": 0.2,
    "min_over_time": 1.0,
    "max_over_time": 0.0,
    "delta": 1.0,
    "deriv": 0.2 / 3600,
}


@pytest.mark.parametrize(
    ("state", "next_seq"), [({}, 1), ({"version": 1, "seq": 41, "alerts": []}, 42), ({"seq": "x"}, 1)]
)
def test_the_state_of_another_version_gives_the_last_number(state: dict[str, Any], next_seq: int) -> None:
    """Alerts begin anew, numbers do not: a receiver would take them for repetitions."""
    made = Engine("site", program([alert("low", "battery.soc < 20")]))
    made.load(state, START)
    (event,) = feed(made, START + 1, {"battery.soc": 10})
    assert event.seq == next_seq
