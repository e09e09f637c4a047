"""How far the clocks of a time zone are ahead of UTC.

A GX image lacks Python's zoneinfo, some systems the zone data: then every zone counts as the process's own, which on
a GX is the one set in its menu. That is said once per zone.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

log = logging.getLogger(__name__)
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
