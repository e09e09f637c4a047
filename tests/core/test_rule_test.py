"""Rule tests: what goes into the engine, what comes out, and how a difference is told."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.engine import Engine
from bridge.core.points import NUMBER, TRUTH, Type
from bridge.core.rule_cases import Record, lacking, records_of
from bridge.core.rule_diff import judge, span
from bridge.core.rule_test import Case, Lane, Outcome, RuleTest, Want, WantPoint, live_point, play
from bridge.core.rules import Program
from bridge.core.series import read_cells
from bridge.model import Device, Point
from tests.core.small_site import STATES, alert, program

START = 1_700_000_000.0
LABELS = {
    "alarms/grid_lost": Type("label", {0: "ok", 1: "warning", 2: "alarm"}, True),
    "state": Type("label", STATES),
}
LOW = alert("low", "battery.soc < 20", for_="30s", clear="battery.soc >= 25", summary="At {battery.soc:.0f} %")
SPREAD: dict[str, Any] = {
    "record": "battery.spread",
    "each": "battery",
    "expr": "battery.cell_voltage.max - battery.cell_voltage.min",
}


def point(name: str) -> Point:
    if name == "site/online":
        return live_point(name, None, "site")
    head, _, rest = name.partition("/")
    number, _, below = rest.partition("/")
    if not number.isdigit():
        return live_point(name, None, name if head == "input" else "system")
    device = Device(head, int(number))
    return live_point(name, device, "presence" if below == "online" else device.path)


def lane(name: str, cells: str) -> Lane:
    below = name.partition("/")[2].partition("/")[2]
    type_ = LABELS.get(below, TRUTH if name.endswith("online") else NUMBER)
    return Lane(point(name), tuple(read_cells(cells, type_, START)))


def made(series: dict[str, str], *expect: Want, **more: Any) -> RuleTest:
    lanes = tuple(lane(name, cells) for name, cells in series.items())
    longest = max(sum(cell.times for cell in one.cells) for one in lanes)
    whole: dict[str, Any] = {
        "name": "a test", "line": 1, "alerts": (), "cases": (), "start": START, "interval_s": 10.0,
        "lasts_s": longest * 10.0, "lanes": lanes, "expect": expect, "is_whole": True, "points": (),
    }  # fmt: skip
    return RuleTest(**{**whole, **more})


def played(test: RuleTest, *rules: dict[str, Any]) -> Outcome:
    return play(test, program(list(rules)), "small")


def told(outcome: Outcome) -> list[tuple[float, str, str]]:
    return [(event.ts - START, event.event, event.id) for event in outcome.events]


# -- what happens ---------------------------------------------------------------------------------------------------


def test_the_example_of_the_contract() -> None:
    """Values hold for one interval each, and events come at the engine's own moments: rules.md section 6."""
    rule = alert("critical", "battery.soc < 10", for_="30s", clear="battery.soc >= 15")
    outcome = played(made({"battery/soc": "50 x6 9.5 x5 12 x3 15.1 x3"}), rule)
    assert told(outcome) == [(90.0, "firing", "critical"), (140.0, "resolved", "critical")]


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        pytest.param({"battery/soc": "10 x2 _ x4 10 x3"}, [(70.0, "firing", "low")], id="UNKNOWN stops the clock"),
        pytest.param(
            {"battery/soc": "10 x2 unread x5 10 x4"}, [(30.0, "firing", "low")], id="a point that is unread goes stale"
        ),
        pytest.param(
            {"battery/soc": "10 x1 unread x6 10 x4"}, [(70.0, "firing", "low")], id="after three intervals only"
        ),
        pytest.param(
            {"battery/soc": "10", "site/online": "true x2 false x3 true x4"},
            [(60.0, "firing", "low")],
            id="nothing is known while the GX is offline",
        ),
        pytest.param(
            {"battery/soc": "50 x3 10 x2 50 x5", "site/online": "true x3 false x2 true x5"},
            [],
            id="what came while the GX was offline was never read",
        ),
        pytest.param({"battery/soc": "10 x2 _"}, [], id="the last value holds until the end"),
        pytest.param({"battery/soc": "10 x3"}, [(30.0, "firing", "low")], id="the end itself counts"),
    ],
)
def test_unknown_comes_about_as_in_life(series: dict[str, str], expected: list[Any]) -> None:
    """`_`, `unread` and a GX that is offline freeze the clock of `for`."""
    assert told(played(made(series), LOW)) == expected


def test_a_device_that_is_offline_is_not_read() -> None:
    """Its values are unknown meanwhile, the others go on."""
    rule = alert("lost", "vebus.alarms.grid_lost >= 'warning'", each="vebus", for_="30s")
    series = {
        "vebus/1/alarms/grid_lost": "alarm",
        "vebus/1/online": "true x2 false x3 true x5",
        "vebus/2/alarms/grid_lost": "alarm",
    }
    assert told(played(made(series), rule)) == [(30.0, "firing", "lost/vebus/2"), (60.0, "firing", "lost/vebus/1")]


def test_only_the_tested_pack_is_listened_to() -> None:
    """What other packs say is not the test's business."""
    outcome = play(made({"battery/soc": "10 x6"}), program([LOW]), "another")
    assert outcome.events == ()


def test_records_keep_their_history() -> None:
    """A record has a value at every moment: the last that it took."""
    series = {"battery/1/cell_voltage/max": "3.4 x3 3.5 x3 _", "battery/1/cell_voltage/min": "3.3"}
    outcome = played(made(series), SPREAD)
    history = outcome.points["battery/1/spread"]
    assert [at for at, _ in history] == [0.0, 30.0, 60.0]
    assert history[0][1] == pytest.approx(0.1) and history[1][1] == pytest.approx(0.2) and history[2][1] is None


def test_the_engine_gets_what_a_live_run_gives_it() -> None:
    """The same samples and reads by hand lead to the same events."""
    from bridge.model import Read, Sample

    values = [50, 50, 10, 10, 10, 10, 10, 30, 30]
    engine = Engine("site", program([LOW]))
    by_hand = []
    for turn, value in enumerate([*values, values[-1]]):
        now = START + 10.0 * turn
        samples = [Sample(point("battery/soc"), value, now)]
        by_hand += engine.step(now, samples, [Read("system", now, 30.0)])
    outcome = played(made({"battery/soc": " ".join(map(str, values))}), LOW)
    assert list(outcome.events) == by_hand


# -- what is said about it --------------------------------------------------------------------------------------------


def diff(test: RuleTest, *rules: dict[str, Any]) -> list[str]:
    return [f"{mark} {text} # {note}".removesuffix(" # ") for mark, text, note in judge(test, played(test, *rules))]


FIRES = Want(60.0, "low", "firing", {})
CLEARS = Want(100.0, "low", "resolved", {})
SERIES = {"battery/soc": "50 x3 10 x7 30 x3"}
F, C = "{at: 1m, alert: low, event: firing}", "{at: 100s, alert: low, event: resolved}"


@pytest.mark.parametrize(
    ("expect", "lines"),
    [
        pytest.param([FIRES, CLEARS], [], id="as expected"),
        pytest.param([], [f"+ {F}", f"+ {C}"], id="nothing was expected"),
        pytest.param([CLEARS], [f"+ {F}", f"  {C}"], id="one too many"),
        pytest.param([FIRES, FIRES, CLEARS], [f"  {F}", f"- {F}", f"  {C}"], id="one missing"),
        pytest.param(
            [FIRES._replace(at_s=50.0), CLEARS],
            ["- {at: 50s, alert: low, event: firing}", f"+ {F} # 10s later", f"  {C}"],
            id="later",
        ),
        pytest.param(
            [FIRES, CLEARS._replace(at_s=105.5)],
            [f"  {F}", "- {at: 105.5s, alert: low, event: resolved}", f"+ {C} # 5.5s earlier"],
            id="earlier",
        ),
        pytest.param(
            [FIRES._replace(fields={"value": 11, "severity": "warning"}), CLEARS],
            [
                "- {at: 1m, alert: low, event: firing, value: 11, severity: warning}",
                "+ {at: 1m, alert: low, event: firing, value: 10, severity: warning} # value is not as expected",
                f"  {C}",
            ],
            id="another value",
        ),
        pytest.param(
            [FIRES._replace(fields={"summary": "At 9 %"}), CLEARS],
            [
                '- {at: 1m, alert: low, event: firing, summary: "At 9 %"}',
                '+ {at: 1m, alert: low, event: firing, summary: "At 10 %"} # summary is not as expected',
                f"  {C}",
            ],
            id="another text",
        ),
    ],
)
def test_differences_are_told_as_one_would_write_them(expect: list[Want], lines: list[str]) -> None:
    """Equal events are paired first, then those that differ in time or a field, with the reason."""
    assert diff(made(SERIES, *expect), LOW) == lines


def test_some_events_may_come_among_others() -> None:
    """`expect_some` wants its events in order, at any time where it names none."""
    anytime = CLEARS._replace(at_s=None)
    assert diff(made(SERIES, anytime, is_whole=False), LOW) == []
    wrong = diff(made(SERIES, anytime, FIRES, is_whole=False), LOW)
    assert "- {alert: low, event: resolved}" in wrong or f"- {F}" in wrong


@pytest.mark.parametrize(
    ("want", "is_right"),
    [
        (WantPoint(10.0, "battery/1/spread", 0.1, None), True),
        (WantPoint(10.0, "battery/1/spread", 0.1001, None), False),
        (WantPoint(10.0, "battery/1/spread", 0.11, 0.01), True),
        (WantPoint(29.0, "battery/1/spread", 0.1, None), True),
        (WantPoint(30.0, "battery/1/spread", 0.2, None), True),
        (WantPoint(60.0, "battery/1/spread", None, None), True),
        (WantPoint(30.0, "battery/1/spread", None, None), False),
        (WantPoint(10.0, "battery/2/spread", None, None), False),  # never computed is not the same as unknown
    ],
)
def test_values_of_records_are_compared(want: WantPoint, is_right: bool) -> None:
    """At the moment that is named, but for rounding or within what is allowed."""
    series = {"battery/1/cell_voltage/max": "3.4 x3 3.5 x3 _", "battery/1/cell_voltage/min": "3.3"}
    test = made(series, points=(want,))
    assert (judge(test, played(test, SPREAD)) == []) is is_right


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (90, "90s"), (60, "1m"), (7200, "2h"), (86400, "24h"), (0.5, "0.5s"), (100.25, "100.25s")],
)
def test_spans_are_written_as_in_rules(seconds: float, text: str) -> None:
    """The largest unit that fits without a rest."""
    assert span(seconds) == text


# -- cases ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        ("50 x3 10 x6 30 x3", {Case.FIRES, Case.CLEARS}),
        ("50 x3 10 x6 _ x3", {Case.FIRES, Case.UNKNOWN}),
        ("50 x3 20 x6", {Case.BELOW}),
        ("50 x3 19 x2 20 x6", {Case.BELOW}),
        ("50 x9", set()),
        ("_ x9", set()),
        ("10 x2 _ x3 20 x3", {Case.BELOW, Case.UNKNOWN}),
    ],
)
def test_claims_are_checked(cells: str, shown: set[Case]) -> None:
    """A test shows of an alert what happened in it, and "just below" only near the limit."""
    outcome = played(made({"battery/soc": cells}, alerts=("low",)), LOW)
    assert outcome.watched["low"].cases == shown


def test_a_false_claim_fails_with_the_reason() -> None:
    """A test that says `below` and stays far away from the limit proves nothing."""
    test = made({"battery/soc": "50 x9"}, alerts=("low",), cases=(Case.BELOW, Case.FIRES))
    assert diff(test, LOW) == [
        "- case below of low # battery.soc came no nearer to 20 than 50; within 10% of it is just below",
        "- case fires of low # it did not fire",
    ]


def test_an_alert_that_nothing_has_the_points_for_shows_nothing() -> None:
    """A series of another device would else pass as `below`."""
    rule = alert("lost", "vebus.alarms.grid_lost >= 'warning'", each="vebus")
    test = made({"battery/1/soc": "50 x3"}, alerts=("lost",), cases=(Case.BELOW,))
    assert diff(test, rule) == ["- case below of lost # nothing in the test has the points that the alert needs"]


@pytest.mark.parametrize(
    ("expr", "is_needed"),
    [
        ("battery.soc < 20", True),
        ("avg_over_time(battery.soc, 5m) < 20", True),
        ("coalesce(battery.soc, 100) < 20", False),
        ("absent(battery.soc)", False),
        ("age(battery.soc) > 10m", False),
        ("held(absent(battery.soc)) > 10m", False),
        ("not site.online", False),
        ("any(battery[*].soc < 20)", True),
        ("hour() > 20 and battery.soc < 50", True),
    ],
)
def test_the_gap_is_asked_for_where_there_can_be_one(expr: str, is_needed: bool) -> None:
    """An alert that is about presence itself cannot be unknown, so no test need show it."""
    compiled = program([alert("one", expr)])
    (lack,) = lacking(compiled, "small", [], [])
    assert ("unknown" in lack.message) is is_needed


def test_a_rule_without_cases_is_refused() -> None:
    """Each alert needs its cases, each record a value, and only those of the pack."""
    compiled: Program = program([SPREAD, LOW])
    records = records_of([SPREAD, LOW])
    assert records == [Record("battery.spread", "battery", "spread")]
    lacks = [(one.rule, one.message) for one in lacking(compiled, "small", records, [])]
    assert lacks == [
        ("battery.spread", "no test expects a value of it; add one to expect_points"),
        ("low", "no test has the cases fires, below, clears, unknown of it"),
    ]
    tests = [
        made(SERIES, alerts=("low",), cases=(Case.FIRES, Case.CLEARS)),
        made(SERIES, alerts=("low",), cases=(Case.BELOW,), points=(WantPoint(0.0, "battery/7/spread", 1, None),)),
    ]
    assert [one.message for one in lacking(compiled, "small", records, tests)] == ["no test has the case unknown of it"]
    assert lacking(compiled, "another", [], []) == []
