"""Tests of the nearest known name."""

from __future__ import annotations

import pytest

from bridge.core.nearest import nearest

KNOWN = ["battery.soc", "battery.voltage", "grid.power", "port", "host"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("battery.soc", "battery.soc"),
        ("batery.soc", "battery.soc"),
        ("battery.sco", "battery.soc"),
        ("Battery.Soc", "battery.soc"),
        ("grid.powr", "grid.power"),
        ("prot", "port"),
        ("hots", "host"),
        ("xyz", None),
        ("", None),
        ("solarcharger.yield", None),
    ],
)
def test_names_what_was_probably_meant(word: str, expected: str | None) -> None:
    """A slip of one letter in three finds its name, and a different word finds nothing."""
    assert nearest(word, KNOWN) == expected


def test_equals_are_told_in_alphabetical_order() -> None:
    """Of two names that are equally near the first of the alphabet wins, whatever the order given."""
    assert nearest("l4", ["l2", "l1"]) == nearest("l4", ["l1", "l2"]) == "l1"


def test_nothing_known_gives_nothing() -> None:
    """An empty list of known names is no error."""
    assert nearest("port", []) is None
