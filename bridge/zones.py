"""How far the clocks of a time zone are ahead of UTC.

A GX image lacks Python's zoneinfo, some systems the zone data: then every zone counts as the process's own, which on
a GX is the one set in its menu. That is said once per zone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from math import inf

log = logging.getLogger(__name__)
QUARTER_S = 900.0  # summer time begins and ends on one
_missed: set[str] = set()


def utc_offset_s(zone: str, at: float) -> float:
    """Return the seconds that local time is ahead of UTC.

    Args:
        zone: IANA name such as `Europe/Berlin`; "" for the zone of the process.
        at: Unix time (wall clock); summer time depends on it.
    """
    if zone:
        try:
            from zoneinfo import ZoneInfo

            ahead = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
            return ahead.total_seconds()
        except (ImportError, KeyError, ValueError, OSError):  # no module; unknown name; impossible name; no data
            if zone not in _missed:
                _missed.add(zone)
                log.warning("time zone %s is not known on this system; its own zone is taken instead", zone)
    return float(time.localtime(at).tm_gmtoff)


def next_quarter(at: float) -> float:
    """Return the wall time after `at` at which a quarter of an hour begins, and with it perhaps summer time."""
    return (at // QUARTER_S + 1) * QUARTER_S


class Local:
    """The clocks of one site: its own zone and those of its maintenance windows.

    Args:
        zone: of the site, as for `utc_offset_s`.
        others: zones that maintenance windows name.
    """

    def __init__(self, zone: str, others: Iterable[str]) -> None:
        self._zone = zone
        self._others = {one for one in others if one}
        self._due = -inf
        self._last: tuple[float, dict[str, float]] | None = None

    def offsets(self, at: float) -> tuple[float, dict[str, float]]:
        """Return the seconds ahead of UTC of the site's zone, and of the others by name."""
        return utc_offset_s(self._zone, at), {zone: utc_offset_s(zone, at) for zone in self._others}

    def moved(self, at: float) -> tuple[float, dict[str, float]] | None:
        """Return the offsets when they are others than at the last call; looked up once in a quarter of an hour."""
        if at < self._due:
            return None
        self._due = next_quarter(at)
        last, self._last = self._last, self.offsets(at)
        return self._last if self._last != last else None
