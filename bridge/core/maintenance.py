"""Maintenance windows: times of the week at which alerts that match are not told of.

A window is a silence that comes again. It begins and ends on the clock of its time zone, so its length changes on the
day on which summer time begins or ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

DAY_S = 86400
_MONDAY = 4 * DAY_S  # 1970-01-05, the first Monday of Unix time


class Maintenance(NamedTuple):
    """One window of the week.

    `from_s` and `to_s` are seconds since local midnight; a window that ends before it begins, or when it begins, ends
    on the next day. `days` are those on which it begins, 1 (Monday) to 7.
    """

    days: frozenset[int]
    from_s: int
    to_s: int
    zone: str  # IANA name; "": that of the site
    matcher: Mapping[str, Any]  # as of a silence: alert, severity, device, labels; empty matches all
    comment: str

    @property
    def lasts_s(self) -> int:
        return (self.to_s - self.from_s) % DAY_S or DAY_S

    def is_open(self, local: float) -> bool:
        """Tell whether the window holds at a local time (Unix seconds, shifted by the zone's offset from UTC)."""
        return local - self._begun(local) < self.lasts_s

    def next_turn(self, local: float) -> float:
        """Return the local time after `local` at which the window next begins or ends."""
        end = self._begun(local) + self.lasts_s
        if local < end:
            return end
        midnight = local // DAY_S * DAY_S
        begins = (midnight + day * DAY_S + self.from_s for day in range(9))
        return next(at for at in begins if at > local and _weekday(at) in self.days)

    def _begun(self, local: float) -> float:
        """Return when the window last began."""
        midnight = local // DAY_S * DAY_S
        begins = (midnight - day * DAY_S + self.from_s for day in range(9))
        return next(at for at in begins if at <= local and _weekday(at) in self.days)


def _weekday(local: float) -> int:
    return int((local - _MONDAY) // DAY_S) % 7 + 1
