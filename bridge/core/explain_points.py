"""How good the value of a point is, its age, and why it is not known: told by what brings it, the GX or a message."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite
from typing import Any

from bridge.core.groups import DEVICE_OFFLINE, SITE_OFFLINE, Group
from bridge.core.store import Store
from bridge.core.templates import duration_text

_INPUT = "input/"
_NEVER = "the GX has never told it"
NOT_COMPUTED = {
    "quality": "never seen",
    "age_s": None,
    "why": "it is not computed, as the device lacks points that it needs",
}


class PointReader:
    """Reads the quality of points off a store. Changes nothing in it.

    Args:
        now: steady time, at the last step or later; ages hold for it.
        topics: of inputs by their point; None where nobody hears messages.
    """

    def __init__(self, store: Store, now: float, topics: Mapping[str, str] | None) -> None:
        self._store = store
        self._now = now
        self._late_s = max(0.0, now - float(store.values[0]))
        self._topics = topics

    def quality(self, slot: int) -> dict[str, Any]:
        """Return how good the value of a point is, its age, and why it is not known."""
        store = self._store
        group, age_s = store.group_at(slot), store.age(slot)
        if age_s is not None:
            age_s = round(age_s + self._late_s, 3)
        name = store.names[slot]
        if name.startswith(_INPUT):
            return self._input_quality(slot, name, group, age_s)
        if group is None:
            known = store.raw[slot] is not None
            return {"quality": "good" if known else "never seen", "age_s": None, "why": None if known else _NEVER}
        if store.is_stale[slot]:
            return {"quality": "stale", "age_s": age_s, "why": self._why_stale(group, age_s)}
        if store.values[slot] is None:
            lasts = f" for {duration_text(age_s)}" if age_s else ""
            why = f"the GX has had no value for it{lasts}" if lasts else "the GX has no value for it"
            return {"quality": "invalid", "age_s": age_s, "why": why}
        return {"quality": "good", "age_s": age_s, "why": None}

    def _why_stale(self, group: Group, age_s: float | None) -> str:
        if group.flags & SITE_OFFLINE:
            return "the GX does not answer"
        if group.flags & DEVICE_OFFLINE:
            return "the device is gone from the GX"
        if group.has_read:
            age_s = self._now - group.at
        since = f" for {duration_text(age_s)}" if age_s is not None and isfinite(age_s) else ""
        return f"not read{since}, {duration_text(group.stale_after_s)} are allowed"

    def _input_quality(self, slot: int, name: str, group: Group | None, age_s: float | None) -> dict[str, Any]:
        if self._topics is None:
            return {"quality": "never seen", "age_s": None, "why": "a recording does not hold what others publish"}
        topic = self._topics.get(name)
        if topic is None:
            return {"quality": "never seen", "age_s": None, "why": f"the site's config has no {name.replace('/', '.')}"}
        came_at = group.at if group is not None and group.has_read else -inf
        if group is None or came_at == -inf:
            return {"quality": "never seen", "age_s": age_s, "why": f"no message came on {topic} yet"}
        ago = duration_text(max(0.0, self._now - came_at))
        if self._store.is_stale[slot]:
            allowed = duration_text(group.stale_after_s)
            return {
                "quality": "stale",
                "age_s": age_s,
                "why": f"no message on {topic} for {ago}, {allowed} are allowed",
            }
        if self._store.values[slot] is None:
            why = f"the last message on {topic}, {ago} ago, is empty or could not be read"
            return {"quality": "invalid", "age_s": age_s, "why": why}
        return {"quality": "good", "age_s": age_s, "why": None}
