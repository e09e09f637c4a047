"""Maintenance windows: when they are open, and what they withhold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge.core.maintenance import Maintenance

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
