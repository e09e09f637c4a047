"""Maintenance windows: when they are open, and what they withhold."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from bridge.core.engine import Engine
from bridge.core.maintenance import Maintenance
from tests.core.small_site import alert, program, run, told

EVERY_DAY = frozenset(range(1, 8))


def at(text: str) -> float:
    """Return the Unix time of a local time; the zone is the caller's business."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def window(days: frozenset[int], begin: str, end: str) -> Maintenance:
    def seconds(text: str) -> int:
        hours, minutes = map(int, text.split(":"))
        return hours * 3600 + minutes * 60

    return Maintenance(days, seconds(begin), seconds(end), "", {}, "")


# 2026-01-05 is a Monday.
CASES = [
    (EVERY_DAY, "02:00", "04:00", "2026-01-07T01:59:59", False, "2026-01-07T02:00"),
    (EVERY_DAY, "02:00", "04:00", "2026-01-07T02:00", True, "2026-01-07T04:00"),
    (EVERY_DAY, "02:00", "04:00", "2026-01-07T04:00", False, "2026-01-08T02:00"),
    (frozenset({1}), "22:00", "06:00", "2026-01-06T05:59", True, "2026-01-06T06:00"),
    (frozenset({1}), "22:00", "06:00", "2026-01-06T22:00", False, "2026-01-12T22:00"),
    (frozenset({7}), "22:00", "06:00", "2026-01-05T00:30", True, "2026-01-05T06:00"),
    (frozenset({6, 7}), "00:00", "00:00", "2026-01-10T00:00", True, "2026-01-11T00:00"),
    (frozenset({6, 7}), "00:00", "00:00", "2026-01-12T00:00", False, "2026-01-17T00:00"),
]


@pytest.mark.parametrize(("days", "begin", "end", "now", "is_open", "turn"), CASES)
def test_a_window_is_open_on_its_days_and_past_midnight(
    days: frozenset[int], begin: str, end: str, now: str, is_open: bool, turn: str
) -> None:
    """A window belongs to the day on which it begins, also when it ends on the next."""
    one = window(days, begin, end)
    assert one.is_open(at(now)) is is_open
    assert one.next_turn(at(now)) == at(turn)


SOC = alert("soc", "battery.soc < 20")
NIGHT = Maintenance(EVERY_DAY, 2 * 3600, 4 * 3600, "", {"severity": "warning"}, "backup at night")
DAY = at("2026-01-05T00:00")


def engine(*windows: Maintenance, **keys: object) -> Engine:
    return Engine("site", program([{**SOC, **keys}]), windows)


def test_an_alert_of_a_maintenance_window_is_told_when_it_ends() -> None:
    """What began within the window and still fires at its end is announced once, then."""
    made = engine(NIGHT)
    assert run(made, (DAY + 3600, {"battery.soc": 50}), (DAY + 3 * 3600, {"battery.soc": 10})) == []
    assert made.alerts()[0].silenced
    assert told(made.step(DAY + 10 * 3600, [])) == [(DAY + 4 * 3600, "firing", "soc")]
    assert told(made.step(DAY + 49 * 3600, [])) == [
        (DAY + 26 * 3600, "silenced", "soc"),
        (DAY + 28 * 3600, "unsilenced", "soc"),
    ]


def test_an_alert_that_comes_and_goes_within_the_window_is_not_told() -> None:
    """Nobody wants to hear in the morning of what was expected at night."""
    made = engine(NIGHT)
    low, fine = {"battery.soc": 10}, {"battery.soc": 50}
    assert run(made, (DAY + 7300, low), (DAY + 8000, fine), (DAY + 9 * 3600, fine)) == []


def test_a_window_says_why_and_matches_like_a_silence() -> None:
    """The event carries the comment; an alert that does not match is told as always."""
    made = engine(NIGHT)
    run(made, (DAY, {"battery.soc": 10}))
    (event,) = made.step(DAY + 7200, [])
    assert (event.event, event.comment) == ("silenced", "backup at night")
    assert run(engine(NIGHT, severity="critical"), (DAY + 8000, {"battery.soc": 10})) == [(DAY + 8000, "firing", "soc")]


def test_a_window_follows_the_clock_of_its_zone() -> None:
    """The site's zone unless it names another; a step of the clock opens and closes windows at once."""
    made = engine(NIGHT)
    made.set_wall_offset(0.0, 3600.0)
    assert run(made, (DAY + 3600, {"battery.soc": 10})) == []
    made.set_wall_offset(0.0, 0.0)
    assert told(made.step(DAY + 3601, [])) == [(DAY + 3601, "firing", "soc")]
    other = engine(NIGHT._replace(zone="Pacific/Apia"))
    other.set_wall_offset(0.0, 0.0, {"Pacific/Apia": 13 * 3600.0})
    assert run(other, (DAY + 14 * 3600, {"battery.soc": 10})) == []


def test_a_restart_within_a_window_keeps_it() -> None:
    """A dump and load in the middle changes no event."""
    made = engine(NIGHT)
    run(made, (DAY + 8000, {"battery.soc": 10}))
    again = engine(NIGHT)
    again.load(json.loads(json.dumps(made.dump())), DAY + 8005)
    assert told(again.step(DAY + 20000, [])) == [(DAY + 4 * 3600, "firing", "soc")]
