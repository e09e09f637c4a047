"""Tests of what people hear: acknowledgement, silence, inhibition, reminders, escalation, flapping."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.core.engine import Engine
from bridge.errors import RuleError
from bridge.model import Event
from tests.core.small_site import alert, engine, feed, program, run, told

SOC = alert("soc", "battery.soc < 20")


def fired(*more: dict[str, Any], **keys: Any) -> Engine:
    """Return an engine in which `soc` fires since time 0."""
    made = engine({**SOC, **keys}, *more)
    assert [event.event for event in feed(made, 0, {"battery.soc": 10}) if event.alert == "soc"] == ["firing"]
    return made


def names(events: list[Event]) -> list[str]:
    return [event.event for event in events]


# -- acknowledge --------------------------------------------------------------------------------------------------


def test_an_acknowledgement_is_told_once_and_ends_with_the_alert() -> None:
    """It is the alert's, not the rule's: the next one is not acknowledged."""
    made = fired()
    (event,) = made.acknowledge("soc", 5, "on my way")
    assert (event.event, event.comment, event.seq) == ("acknowledged", "on my way", 2)
    assert made.acknowledge("soc", 6) == []
    assert made.alerts()[0].acknowledged
    assert run(made, (10, {"battery.soc": 50}), (20, {"battery.soc": 10})) == [
        (10, "resolved", "soc"),
        (20, "firing", "soc"),
    ]
    assert not made.alerts()[0].acknowledged


def test_only_what_fires_can_be_acknowledged() -> None:
    """The error says what fires instead."""
    made = fired()
    for name in ("sok", ""):
        with pytest.raises(RuleError, match="firing now: soc"):
            made.acknowledge(name, 5)
    feed(made, 10, {"battery.soc": 50})
    with pytest.raises(RuleError, match="firing now: none"):
        made.unacknowledge("soc", 11)


# -- reminders and escalation -------------------------------------------------------------------------------------


def test_reminders_come_until_somebody_acknowledges() -> None:
    """Every `repeat`, and again when the acknowledgement is taken back."""
    made = fired(repeat="100s")
    assert told(made.step(350, [])) == [(100, "reminder", "soc"), (200, "reminder", "soc"), (300, "reminder", "soc")]
    made.acknowledge("soc", 360)
    assert made.step(550, []) == []
    assert made.unacknowledge("soc", 560) == []
    assert told(made.step(650, [])) == [(600, "reminder", "soc")]
    assert names(feed(made, 660, {"battery.soc": 50})) == ["resolved"]
    assert made.step(10_000, []) == []


def test_an_alert_nobody_acknowledges_escalates() -> None:
    """The severity changes once; the next alert begins with the rule's own."""
    made = fired(escalate={"after": "2m", "severity": "critical"})
    (event,) = made.step(500, [])
    assert (event.ts, event.event, event.severity) == (120, "escalated", "critical")
    assert made.alerts()[0].severity == "critical"
    assert feed(made, 510, {"battery.soc": 50})[0].severity == "critical"
    assert feed(made, 520, {"battery.soc": 10})[0].severity == "warning"


def test_an_acknowledged_alert_does_not_escalate() -> None:
    """Unless the acknowledgement is taken back, then at once."""
    made = fired(escalate={"after": "2m", "severity": "critical"})
    made.acknowledge("soc", 60)
    assert made.step(500, []) == []
    assert names(made.unacknowledge("soc", 501)) == ["escalated"]
    assert made.step(1000, []) == []


# -- silence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matcher", "matches"),
    [
        ({}, True),
        ({"alert": "soc"}, True),
        ({"alert": ["other", "soc"]}, True),
        ({"alert": "so"}, False),
        ({"severity": "warning"}, True),
        ({"severity": "critical"}, False),
        ({"site": "site"}, True),
        ({"site": "other"}, False),
        ({"device": "battery/1"}, True),
        ({"device": "battery/2"}, False),
        ({"labels": {"component": "battery"}}, True),
        ({"labels": {"component": "grid"}}, False),
        ({"labels": {"nothing": "x"}}, False),
        ({"alert": "soc", "labels": {"component": "grid"}}, False),
    ],
)
def test_a_silence_matches_by_what_an_alert_has(matcher: dict[str, Any], matches: bool) -> None:
    """All that the matcher names must be so; a list means one of them."""
    made = engine({**SOC, "each": "battery", "labels": {"component": "battery"}})
    made.step(0, [])
    made.silence(matcher, 100, 0)
    assert bool(feed(made, 1, {"battery.1.soc": 10})) is not matches


def test_what_fires_during_a_silence_is_told_when_it_ends() -> None:
    """Once, and with the time at which it began; what is over by then is never told."""
    made = engine(SOC, alert("power", "battery.power < 0"))
    made.step(0, [])
    assert made.silence({}, 100, 0, "works")[1] == []
    assert run(made, (10, {"battery.soc": 10, "battery.power": -5}), (20, {"battery.power": 5})) == []
    (event,) = made.step(200, [])
    assert (event.event, event.id, event.ts, event.starts_at, event.seq) == ("firing", "soc", 100, 10, 1)
    assert made.silences() == []


def test_an_announced_alert_is_told_to_be_silenced() -> None:
    """silenced, unsilenced; in between no reminder; the resolve always comes."""
    made = fired(repeat="60s")
    _, (event,) = made.silence({"alert": "soc"}, 100, 5, "works")
    assert (event.event, event.comment) == ("silenced", "works")
    assert made.alerts()[0].silenced
    assert told(made.step(105, [])) == [(100, "unsilenced", "soc")]
    assert told(made.step(125, [])) == [(120, "reminder", "soc")]
    made.silence({"alert": "soc"}, 200, 126)
    assert names(feed(made, 150, {"battery.soc": 50})) == ["resolved"]
    assert made.step(300, []) == []


def test_a_silence_can_be_ended() -> None:
    """By its number, which `silences` tells."""
    made = fired()
    made.silence({"alert": "soc"}, 100, 5, "works")
    (silence,) = made.silences()
    assert (silence["id"], silence["until"], silence["comment"]) == (1, 100, "works")
    assert names(made.unsilence(1, 6)) == ["unsilenced"]
    with pytest.raises(RuleError, match="no silence 1"):
        made.unsilence(1, 7)
    made.silence({"alert": "x"}, 100, 8)
    assert made.silences()[0]["id"] == 2


@pytest.mark.parametrize(
    ("matcher", "part"), [({"alrt": "soc"}, 'not by "alrt"'), ({"labels": ["a"]}, "labels of a silence are a map")]
)
def test_a_matcher_that_matches_by_nothing_known_is_refused(matcher: dict[str, Any], part: str) -> None:
    """A misspelt silence would otherwise silence nothing, or everything."""
    with pytest.raises(RuleError, match=part):
        engine(SOC).silence(matcher, 100, 0)


def test_silences_are_bounded() -> None:
    """Nobody fills the memory with silences."""
    made = engine(SOC)
    with pytest.raises(RuleError, match="100 silences already"):
        for _ in range(101):
            made.silence({"alert": "x"}, 100, 0)


# -- inhibition ---------------------------------------------------------------------------------------------------


def test_an_inhibited_alert_is_announced_when_it_is_no_longer_redundant() -> None:
    """It lives on unheard; when what made it redundant is over and it still fires, it is told."""
    made = engine(alert("power", "battery.power < 0", inhibited_by=["soc"]), SOC)
    assert run(made, (0, {"battery.soc": 10, "battery.power": -5})) == [(0, "firing", "soc")]
    assert [(one.id, one.phase, one.inhibited) for one in made.alerts()] == [
        ("power", "firing", True),
        ("soc", "firing", False),
    ]
    assert run(made, (10, {"battery.soc": 50})) == [(10, "firing", "power"), (10, "resolved", "soc")]


def test_what_outlives_its_cause_only_to_be_cleared_is_no_news() -> None:
    """It is told when its condition is true again, not because its recovery takes longer than that of its cause."""
    made = engine(alert("power", "battery.power < 0", inhibited_by=["soc"], keep_firing_for="60s"), SOC)
    assert run(made, (0, {"battery.soc": 10, "battery.power": -5})) == [(0, "firing", "soc")]
    assert run(made, (10, {"battery.soc": 50, "battery.power": 5})) == [(10, "resolved", "soc")]
    assert [(one.id, one.phase, one.inhibited) for one in made.alerts()] == [("power", "firing", True)]
    assert run(made, (20, {"battery.power": -5}), (30, {"battery.power": 5})) == [(20, "firing", "power")]
    assert told(made.step(100, [])) == [(90, "resolved", "power")]
    assert run(made, (110, {"battery.soc": 10, "battery.power": -5})) == [(110, "firing", "soc")]
    assert run(made, (120, {"battery.power": 5}), (130, {"battery.soc": 50})) == [(130, "resolved", "soc")]
    assert [one.phase for one in made.alerts()] == ["firing"]
    assert made.step(200, []) == []
    assert made.alerts() == []


def test_inhibition_withholds_announcements_only() -> None:
    """What was announced before is told to be over, inhibited or not."""
    made = engine(alert("power", "battery.power < 0", inhibited_by=["soc"], repeat="60s"), SOC)
    assert run(made, (0, {"battery.power": -5}), (5, {"battery.soc": 10})) == [
        (0, "firing", "power"),
        (5, "firing", "soc"),
    ]
    assert made.step(130, []) == []
    assert run(made, (140, {"battery.power": 5})) == [(140, "resolved", "power")]


def test_what_is_announced_late_is_reminded_of_too() -> None:
    """Reminders count from the announcement, whatever withheld it."""
    made = engine(alert("power", "battery.power < 0", inhibited_by=["soc"], repeat="60s"), SOC)
    run(made, (0, {"battery.soc": 10, "battery.power": -5}), (10, {"battery.soc": 50}))
    assert told(made.step(75, [])) == [(70, "reminder", "power")]
    made = engine(alert("power", "battery.power < 0", repeat="60s"))
    made.step(0, [])
    made.silence({}, 20, 0)
    feed(made, 5, {"battery.power": -5})
    assert told(made.step(85, [])) == [(20, "firing", "power"), (80, "reminder", "power")]


def test_devices_inhibit_their_own() -> None:
    """An alert of a device inhibits that device's, an alert of the site inhibits all."""
    made = engine(
        alert("low", "battery.soc < 20", each="battery", inhibited_by=["hot", "gone", "site"]),
        alert("hot", "battery.temperature > 50", each="battery"),
        alert("gone", "not device.online", each="*"),
        alert("site", "battery.soc < 1"),
    )
    base = {"battery.1.temperature": 60, "battery.2.temperature": 20, "battery.3.temperature": 20}
    feed(made, 0, {**base, "battery.3.online": False, "vebus.1.online": False, "battery.4.online": True})
    run(made, (5, {"battery.1.soc": 50, "battery.2.soc": 50, "battery.4.soc": 50, "battery.4.temperature": 60}))
    assert run(made, (10, {"battery.1.soc": 10, "battery.2.soc": 10, "battery.4.soc": 10})) == [
        (10, "firing", "low/battery/2")
    ]
    assert run(made, (20, {"battery.soc": 0, "battery.2.soc": 50})) == [
        (20, "resolved", "low/battery/2"),
        (20, "firing", "site"),
    ]
    assert run(made, (30, {"battery.2.soc": 10, "battery.1.temperature": 20})) == [(30, "resolved", "hot/battery/1")]
    assert run(made, (40, {"battery.soc": 50})) == [
        (40, "firing", "low/battery/1"),
        (40, "firing", "low/battery/2"),
        (40, "resolved", "site"),
    ]


# -- flapping -----------------------------------------------------------------------------------------------------


def flap(made: Engine, times: int, begin: float = 0.0) -> list[tuple[float, str, str]]:
    turns = [(begin + 10 * turn, {"battery.soc": 50 if turn % 2 else 10}) for turn in range(2 * times)]
    return run(made, *turns)


def test_what_comes_and_goes_is_told_once_and_then_kept_quiet() -> None:
    """After five firings in an hour it is flapping, until it was stable for half an hour."""
    made = engine(SOC)
    happened = flap(made, 8)
    assert len(happened) == 4 * 2 + 1
    assert happened[-1] == (80, "firing", "soc")
    assert [one for one in made.take_alerts() if one.flapping]
    (event,) = made.step(5000, [])
    assert (event.event, event.ts, event.ends_at) == ("resolved", 150 + 1800, 150)
    assert run(made, (5100, {"battery.soc": 10})) == [(5100, "firing", "soc")]


def test_flapping_that_ends_firing_says_nothing_new() -> None:
    """It was announced and still fires: the resolve comes when it is over."""
    made = engine(SOC)
    flap(made, 6)
    assert run(made, (130, {"battery.soc": 10}), (3000, {})) == []
    assert not made.alerts()[0].flapping
    assert run(made, (3010, {"battery.soc": 50})) == [(3010, "resolved", "soc")]


def test_five_firings_in_more_than_an_hour_are_no_flapping() -> None:
    """Slow changes are told each time."""
    made = engine(SOC)
    turns = [(1000.0 * turn, {"battery.soc": 50 if turn % 2 else 10}) for turn in range(20)]
    assert len(run(made, *turns)) == 20


def test_the_flapping_event_says_so() -> None:
    """The announcement carries the reason why it will be quiet."""
    made = engine(SOC)
    events = [event for turn in range(9) for event in feed(made, 10 * turn, {"battery.soc": 50 if turn % 2 else 10})]
    assert [event.comment for event in events] == [""] * 8 + ["flapping: it comes and goes"]


def test_a_silence_that_would_be_over_is_refused() -> None:
    """Also when the engine has gone on beyond the time of who asks; what is made is told by its id."""
    made = engine(SOC)
    made.step(50, [])
    for until in (40, 50):
        with pytest.raises(RuleError, match="ends later than now"):
            made.silence({}, until, 30)
    assert made.silences() == []
    assert [made.silence({}, 60, 30)[0].id, made.silence({}, 55, 30)[0].id] == [1, 2]


def test_reminders_and_escalation_wait_while_nothing_is_known() -> None:
    """An alert on hold is UNKNOWN from 30 to 530: what was left of the clocks passes after it, also over a restart."""
    keys = {"repeat": "60s", "escalate": {"after": "100s", "severity": "critical"}}
    rules = program([alert("low", "battery.soc < 20", **keys)])
    for is_restarted in (False, True):
        on = Engine("site", rules)
        events = feed(on, 0, {"battery.soc": 10})
        events += feed(on, 30, {"battery.soc": None})
        events += on.step(300, [])
        if is_restarted:
            state, on = json.loads(json.dumps(on.dump())), Engine("site", rules)
            on.load(state, 300)
        events += feed(on, 530, {"battery.soc": 9})
        events += on.step(650, [])
        assert told(events) == [
            (0, "firing", "low"),
            (560, "reminder", "low"),
            (600, "escalated", "low"),
            (620, "reminder", "low"),
        ]


@pytest.mark.parametrize(("soc", "expected"), [(9, [(100, "escalated"), (160, "reminder")]), (50, [(100, "resolved")])])
def test_an_acknowledgement_taken_back_while_nothing_is_known_waits(
    soc: float, expected: list[tuple[float, str]]
) -> None:
    """It escalates at once when the alert is known, and not at all when it is over."""
    keys = {"repeat": "60s", "escalate": {"after": "40s", "severity": "critical"}}
    on = engine(alert("low", "battery.soc < 20", **keys))
    feed(on, 0, {"battery.soc": 10})
    on.acknowledge("low", 10)
    assert feed(on, 60, {"battery.soc": None}) == []
    assert on.unacknowledge("low", 70) == []
    assert on.step(90, []) == []
    events = feed(on, 100, {"battery.soc": soc})
    assert [(event.ts, event.event) for event in events + on.step(165, [])] == expected


def test_what_was_kept_quiet_and_is_over_is_not_told_any_more() -> None:
    """An alert that only waits for `keep_firing_for` when its inhibitor ends says nothing, unless it comes again."""
    cause = alert("cause", "battery.power > 100")
    effect = alert("effect", "battery.soc < 20", inhibited_by=["cause"], keep_firing_for="10m")
    made = engine(cause, effect)
    assert run(
        made,
        (0, {"battery.power": 200, "battery.soc": 10}),
        (10, {"battery.soc": 50}),
        (20, {"battery.power": 0}),
    ) == [(0, "firing", "cause"), (20, "resolved", "cause")]
    assert run(made, (30, {"battery.soc": 10})) == [(30, "firing", "effect")]
    again = engine(cause, effect)
    run(again, (0, {"battery.power": 200, "battery.soc": 10}), (10, {"battery.soc": 50}), (20, {"battery.power": 0}))
    assert again.step(2000, []) == []
