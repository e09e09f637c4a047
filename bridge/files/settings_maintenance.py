"""What `maintenance:` and `time_zone:` of the config say: times of the week at which alerts keep quiet.

Law: light, `run` imports it. The data has the form that the schema asks for. Time zones are looked up only when the
config is checked: a GX has neither the module nor the data, and there a name is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.core.maintenance import Maintenance
from bridge.core.nearest import nearest

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MATCHERS = ("alert", "severity", "device", "labels")  # of a silence; the site is the one that the window belongs to


def maintenance_of(entries: Sequence[Mapping[str, Any]]) -> tuple[Maintenance, ...]:
    """Return the windows of a site."""
    return tuple(
        Maintenance(
            days=days_of(entry.get("days", "daily")),
            from_s=_seconds(entry["from"]),
            to_s=_seconds(entry["to"]),
            zone=entry.get("time_zone", ""),
            matcher={key: entry[key] for key in MATCHERS if key in entry},
            comment=entry.get("comment", ""),
        )
        for entry in entries
    )


def days_of(value: str | Sequence[str]) -> frozenset[int]:
    """Return the days, 1 (Monday) to 7, of `daily`, `mon`, `mon-fri`, `sat-tue` or a list of such texts."""
    if not isinstance(value, str):
        return frozenset(day for one in value for day in days_of(one))
    if value == "daily":
        return frozenset(range(1, 8))
    first, _, last = value.partition("-")
    begin = DAYS.index(first)
    length = (DAYS.index(last or first) - begin) % 7 + 1
    return frozenset((begin + day) % 7 + 1 for day in range(length))


def zone_fault(name: str) -> str:
    """Return what is wrong with the name of a time zone, or nothing; where there is no data any name is right."""
    try:
        from zoneinfo import ZoneInfo, available_timezones
    except ImportError:
        return ""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not there; not a name; the name of a directory
        known = available_timezones()
        if known:
            meant = nearest(name, sorted(known))
            return f'there is no time zone "{name}"; ' + (
                f'did you mean "{meant}"?' if meant else "it is written Europe/Berlin or UTC"
            )
    return ""


def _seconds(time: str) -> int:
    hours, _, minutes = time.partition(":")
    return int(hours) * 3600 + int(minutes) * 60
