"""Which values are known: groups that were read in time, devices that are on the GX, a GX that answers.

Freshness belongs to the group, the points that are read together; the groups in `ALWAYS_FRESH` tell of presence
itself and never go stale. A stale group makes its values unknown at once. People hear of it later, as `device.stale`
and `site.stale`: a device that hangs blocks the GX's only HTTP thread for up to 50 s, and then nobody is read; what
was away or offline is given its time again when it is back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf

from bridge.core.groups import DEVICE_OFFLINE, SITE_OFFLINE, STALE, Group, Owner, belongs_to_site
from bridge.core.slots import FIRST_SLOT, Slots
from bridge.model import Read

TIMELESS = ("/custom_name", "/product_name", "/online", "/stale")  # a device that is gone is still called what it was
LEAST_OVERDUE_S = 90.0  # a hang of 50 s and the rest after it must not make all other devices look stale


class Freshness(Slots):
    """Slots that are known or not.

    Args:
        at_time: called to be rung for a group at a time.
    """

    def __init__(self, at_time: Callable[[float, Group], None]) -> None:
        super().__init__()
        self._at_time = at_time
        self._at: list[float] = [-inf] * FIRST_SLOT  # of the last sample, where only samples tell of freshness
        self._good_at: list[float] = [-inf] * FIRST_SLOT  # of the last good read, while there is no value
        self._group_of: list[Group | None] = [None] * FIRST_SLOT
        self._met: dict[str, int | None] = {}  # every point that came in; None: no rule reads it
        self.groups: dict[str, Group] = {}
        self._owners: dict[str, Owner] = {}
        self._silent: set[Group] = set()  # stale groups that only samples tell of
        self._site_overdue: set[Group] = set()  # of those that belong to no device: a log has a group for each topic
        self.is_site_offline = False
        self.put(self.slot("site/stale"), False, False)

    def _grow(self, name: str) -> None:
        super()._grow(name)
        self._at.append(-inf)
        self._good_at.append(-inf)
        self._group_of.append(None)
        self._met.pop(name, None)

    def age(self, slot: int) -> float | None:
        """Return the seconds since the last good read of a slot, None when there was none."""
        group = self._group_of[slot]
        if group is None:
            return None
        good_at = self._good_at[slot]
        if self.raw[slot] is not None:
            good_at = group.at if group.has_read else self._at[slot]
        return self.values[0] - good_at if good_at > -inf else None

    def group_at(self, slot: int) -> Group | None:
        """Return the group that a slot's freshness comes from; None before its first sample."""
        return self._group_of[slot]

    # -- groups ---------------------------------------------------------------------------------------------------

    def read(self, reads: Iterable[Read]) -> None:
        """Apply reads: the groups are fresh."""
        for name, at, stale_after_s in reads:
            group = self._group(name)
            if group.is_left:
                self._change_over(group.owner, group.is_path)
            group.has_read = True
            if at > group.at:
                group.before, group.at = group.at, at
            group.stale_after_s = stale_after_s
            if at + stale_after_s < group.rung_at and group.is_watched:
                self._watch(group, at + stale_after_s)
            if group.flags & STALE:
                self._silent.discard(group)
                self._unflag(group, STALE)
                self._set_overdue(group, False)
                self._judge(group.owner)

    def ring(self, group: Group, now: float) -> None:
        """Look whether a group is stale, or has been for long; its time has come."""
        group.rung_at = inf
        stale_at = self._fresh_at(group) + group.stale_after_s
        if stale_at > now:
            self._watch(group, stale_at)
            return
        if not group.has_read:
            self._silent.add(group)
        self._flag(group, STALE)
        overdue_at = self._overdue_at(group)
        if overdue_at > now:
            self._watch(group, overdue_at)
        elif group.has_read and not group.is_left:
            self._set_overdue(group, True)
            self._judge(group.owner)

    def watch_again(self) -> None:
        """Have all groups rung after a restart. What became due meanwhile has its time again: nobody could read it."""
        now = self.values[0]
        for group in self.groups.values():
            is_stale = bool(group.flags & STALE)
            if not group.is_watched or group.is_overdue or (is_stale and (group.is_left or not group.has_read)):
                continue
            due = self._overdue_at(group) if is_stale else self._fresh_at(group) + group.stale_after_s
            if due <= now:
                group.owner.since = now
            self._watch(group, max(due, now))

    def _fresh_at(self, group: Group) -> float:
        return group.at if group.has_read else max((self._at[slot] for slot in group.slots), default=group.at)

    def _overdue_at(self, group: Group) -> float:
        return max(group.at, group.owner.since) + max(group.stale_after_s, LEAST_OVERDUE_S)

    def _watch(self, group: Group, due: float) -> None:
        group.rung_at = due
        self._at_time(due, group)

    def _hear(self) -> None:
        """Wake stale groups of which a sample came in."""
        for group in [group for group in self._silent if self._fresh_at(group) > group.at]:
            self._silent.discard(group)
            group.at = self._fresh_at(group)
            self._watch(group, group.at + group.stale_after_s)
            self._unflag(group, STALE)

    def _join(self, slot: int, name: str) -> None:
        """Tie a slot to the group that its freshness comes from, and from no other."""
        if self.names[slot].endswith(TIMELESS):
            return
        group, before = self._group(name), self._group_of[slot]
        if group is before:
            return
        if before is not None:
            before.slots.remove(slot)
        self._group_of[slot] = group
        group.slots.append(slot)
        is_stale = int(bool(group.flags))
        if self.is_stale[slot] != is_stale:
            self._know(slot, is_stale)
        if group.rung_at == inf and not group.flags & STALE and group.is_watched:
            self._watch(group, (group.at if group.has_read else self.values[0]) + group.stale_after_s)

    def _group(self, name: str) -> Group:
        group = self.groups.get(name)
        if group is None:
            owner = self._owner(name.partition("@")[0])
            group = self.groups[name] = Group(name, owner)
            owner.groups.append(group)
            group.flags = DEVICE_OFFLINE if owner.is_offline else 0
            if self.is_site_offline and belongs_to_site(name):
                group.flags |= SITE_OFFLINE
        return group

    def _owner(self, name: str) -> Owner:
        owner = self._owners.get(name)
        if owner is None:
            owner = self._owners[name] = Owner(name)
        return owner

    def _change_over(self, owner: Owner, reads_paths: bool) -> None:
        """Let slots go to the groups that are read from now on, each with its next sample."""
        owner.reads_paths = reads_paths
        for group in owner.groups:
            if group.is_left:
                self._set_overdue(group, False)
                for slot in group.slots:
                    self._met.pop(self.names[slot], None)

    def _flag(self, group: Group, flag: int) -> None:
        was_known = not group.flags
        group.flags |= flag
        if was_known:
            for slot in group.slots:
                self._know(slot, 1)

    def _unflag(self, group: Group, flag: int) -> None:
        group.flags &= ~flag
        if not group.flags:
            for slot in group.slots:
                self._know(slot, 0)

    def _know(self, slot: int, is_stale: int) -> None:
        self.is_stale[slot] = is_stale
        self.values[slot] = None if is_stale else self.raw[slot]
        self.low[slot] = inf
        self.touch(slot)

    # -- presence -------------------------------------------------------------------------------------------------

    def set_device_offline(self, owner: Owner, is_offline: bool) -> None:
        """All points of the device are unknown from now on, or known again."""
        owner.is_offline = is_offline
        for group in owner.groups:
            (self._flag if is_offline else self._unflag)(group, DEVICE_OFFLINE)
        self._give_time(owner)
        self._judge(owner)

    def set_site_offline(self, is_offline: bool) -> None:
        """All points of the site are unknown from now on, or known again."""
        if is_offline == self.is_site_offline:
            return
        self.is_site_offline = is_offline
        for group in self.groups.values():
            if belongs_to_site(group.name):
                (self._flag if is_offline else self._unflag)(group, SITE_OFFLINE)
        for owner in self._owners.values():
            self._give_time(owner)
            self._judge(owner)

    def _give_time(self, owner: Owner) -> None:
        """Count what nobody could read as if it had been read now."""
        owner.since = self.values[0]
        for group in owner.groups:
            self._set_overdue(group, False)
            if group.flags & STALE:
                self._watch(group, self._overdue_at(group))

    def _set_overdue(self, group: Group, is_overdue: bool) -> None:
        group.is_overdue = is_overdue
        if not group.owner.is_device and belongs_to_site(group.name):
            (self._site_overdue.add if is_overdue else self._site_overdue.discard)(group)

    def _judge(self, owner: Owner) -> None:
        """Say whether a device, or what belongs to no device, has not been read for long though it is there.

        Of a device that is enough for one group that rules read, and for all groups together.
        """
        if owner.is_device:
            slot = self._slots.get(f"{owner.name}/stale")
            groups = [group for group in owner.groups if not group.is_left]
            is_overdue = any(group.is_overdue and group.slots for group in groups)
            is_overdue = is_overdue or (bool(groups) and all(group.is_overdue for group in groups))
        else:
            slot = self._slots["site/stale"]
            is_overdue = any(group.slots for group in self._site_overdue)
        is_stale = is_overdue and not owner.is_offline and not self.is_site_offline
        if slot is not None and self.raw[slot] is not is_stale:
            self.put(slot, is_stale, False)
