"""Tests of `maintenance:` and `time_zone:` in the config."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bridge.core import announce
from bridge.core.maintenance import Maintenance
from bridge.files.settings import load_settings
from bridge.files.settings_maintenance import MATCHERS, days_of, zone_fault

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.mark.parametrize(
    ("written", "days"),
    [
        ("daily", {1, 2, 3, 4, 5, 6, 7}),
        ("mon", {1}),
        ("sun-sun", {7}),
        ("mon-fri", {1, 2, 3, 4, 5}),
        ("sat-tue", {6, 7, 1, 2}),
        (["wed", "sat-sun", "wed"], {3, 6, 7}),
        (["daily", "mon"], {1, 2, 3, 4, 5, 6, 7}),
    ],
)
def test_days_are_written_as_people_say_them(written: str | list[str], days: set[int]) -> None:
    """One day, a range over the end of the week, or a list of both."""
    assert days_of(written) == days


def test_windows_of_two_sites() -> None:
    """A site's own windows replace those of the top; times without quotes are times, 24:00 is midnight."""
    home, cabin = load_settings({"config": FIXTURES / "settings.inputs.good.yaml"}, {"HOME": "/h"}).sites
    assert (home.time_zone, cabin.time_zone) == ("Europe/Berlin", "UTC")
    daily = frozenset(range(1, 8))
    (night,) = home.maintenance
    assert night == Maintenance(daily, 81000, 86400, "", {"alert": "grid_lost"}, "")
    assert night.lasts_s == 5400
    matcher = {
        "severity": ["info", "warning"],
        "device": "vebus/276",
        "labels": {"component": ["grid", "battery"]},
    }
    assert cabin.maintenance == (
        Maintenance(frozenset({5, 6, 7, 1}), 0, 0, "", {}, ""),
        Maintenance(frozenset({6, 1, 2}), 82800, 3600, "America/New_York", matcher, "the generator is tested"),
    )
    assert [window.lasts_s for window in cabin.maintenance] == [86400, 7200]


def test_a_window_matches_as_a_silence_does() -> None:
    """The keys are those of a silence, without the site."""
    assert {*MATCHERS, "site"} == set(announce.MATCHERS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Europe/Berlin", ""),
        ("UTC", ""),
        ("Europe/Berlinn", 'did you mean "Europe/Berlin"?'),
        ("Europe", "there is no time zone"),
        ("../etc/passwd", "there is no time zone"),
        ("qqqqqq", "it is written Europe/Berlin or UTC"),
    ],
)
def test_a_time_zone_is_looked_up(name: str, words: str) -> None:
    """A name that the time zone data does not have is a fault with the nearest name."""
    assert words in zone_fault(name)
    assert bool(zone_fault(name)) == bool(words)


def test_without_the_module_any_zone_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GX there is no zoneinfo: a config that was checked elsewhere must be taken."""
    monkeypatch.setitem(sys.modules, "zoneinfo", None)
    assert zone_fault("Mars/Olympus") == ""
