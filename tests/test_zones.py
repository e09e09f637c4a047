"""Time zones: what the clocks of a site show, also where Python's zone data is missing."""

from __future__ import annotations

import logging
import sys
import time

import pytest

from bridge import zones
from bridge.zones import utc_offset_s

WINTER, SUMMER = 1_769_860_800.0, 1_782_820_800.0  # 2026-01-31, 2026-06-30, 12:00 UTC


@pytest.fixture(autouse=True)
def nothing_said_yet() -> None:
    zones._missed.clear()


@pytest.mark.parametrize(
    ("zone", "at", "hours"),
    [
        ("Europe/Berlin", WINTER, 1),
        ("Europe/Berlin", SUMMER, 2),
        ("Europe/Berlin", 1_774_745_999.0, 1),  # the last second of winter time, 2026-03-29T00:59:59Z
        ("Europe/Berlin", 1_774_746_000.0, 2),
        ("America/St_Johns", WINTER, -3.5),
        ("Pacific/Kiritimati", WINTER, 14),
        ("UTC", SUMMER, 0),
    ],
)
def test_a_zone_is_ahead_of_utc_by_what_its_clocks_show(zone: str, at: float, hours: float) -> None:
    """Summer time counts from the second at which it begins."""
    assert utc_offset_s(zone, at) == hours * 3600


def test_no_name_is_the_zone_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name, and summer time too, the process's own zone counts."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        assert (utc_offset_s("", WINTER), utc_offset_s("", SUMMER)) == (3600.0, 7200.0)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("zone", ["Nowhere/Atall", "../../etc/passwd", "Europe", "a\x00b"])
def test_an_unknown_zone_is_the_process_s_own_and_said_once(zone: str, caplog: pytest.LogCaptureFixture) -> None:
    """A name that the system does not know stops nothing."""
    with caplog.at_level(logging.WARNING):
        offsets = [utc_offset_s(zone, WINTER) for _ in range(3)]
    assert offsets == [float(time.localtime(WINTER).tm_gmtoff)] * 3
    assert len(caplog.records) == 1


def test_a_gx_without_zoneinfo_takes_its_own_zone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The module is missing on a GX image; every zone then counts as the GX's own, and the log says so."""
    monkeypatch.setitem(sys.modules, "zoneinfo", None)
    assert utc_offset_s("Pacific/Kiritimati", WINTER) == float(time.localtime(WINTER).tm_gmtoff)
    assert "Pacific/Kiritimati" in caplog.text
