"""What one site says: values with their freshness, its devices, and whether they answer.

Unknown: a slot's value is None when the GX says "no value", and while its group is stale, its device offline or the
site offline (then `is_stale` is set too, and the last value waits in `raw`). Freshness belongs to the group, the
points that are read together; the groups in `ALWAYS_FRESH` tell of presence itself and never go stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any

from bridge.core.formula import Members
from bridge.core.groups import (
    ALWAYS_FRESH,
    DEVICE_OFFLINE,
    SITE_OFFLINE,
    STALE,
    DeviceState,
    Group,
    MemberList,
    belongs_to_site,
    has_inputs,
    time_in,
    time_out,
)
from bridge.core.slots import FIRST_SLOT, PRESENCE, SINK, Reader, Slots
from bridge.model import Device, Point, Read, Sample

TIMELESS = ("/custom_name", "/product_name", "/online")  # a device that is gone is still called what it was
MAX_DEVICES = 1000  # per site; the largest known has about 60. Beyond it devices are not watched.


class Store(Slots):
    """Slots, groups and devices of one site.

    Args:
        wanted: for a class the names of points that rules read of its devices; `*` for every class.
        on_device: called when a device is new or a point of it was seen for the first time.
        at_time: called to be rung for a group at a time.
    """

    def __init__(
        self,
        wanted: Mapping[str, frozenset[str]],
        on_device: Callable[[DeviceState], None],
        at_time: Callable[[float, Group], None],
    ) -> None:
        super().__init__()
        self._wanted = wanted
        self._on_device = on_device
        self._at_time = at_time
        self._at: list[float] = [-inf] * FIRST_SLOT  # of the last sample, where only samples tell of freshness
        self._good_at: list[float] = [-inf] * FIRST_SLOT  # of the last good read, while there is no value
        self._group_of: list[Group | None] = [None] * FIRST_SLOT
        self._met: dict[str, int] = {}  # every point that came in
        self.groups: dict[str, Group] = {}
        self.devices: dict[Device, DeviceState] = {}
        self._member_lists: dict[tuple[str, tuple[tuple[str, bool], ...]], MemberList] = {}
        self._silent: set[Group] = set()  # stale groups that only samples tell of
        self.is_site_offline = False
        self.refused_devices = 0

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

    # -- what comes in --------------------------------------------------------------------------------------------

    def take(self, samples: Iterable[Sample]) -> None:
        """Apply samples. This is the hot path of the engine: what stays inside its quiet interval is only stored."""
        met, low, high, raw, values = self._met, self.low, self.high, self.raw, self.values
        value: Any
        for point, value, at, code in samples:
            if code is not None:
                value = code
            try:
                slot = met[point.name]
                if low[slot] < value < high[slot]:
                    raw[slot] = values[slot] = value
                    continue
            except KeyError:
                slot = self._meet(point)
            except TypeError:  # no value, or a text
                pass
            self._change(slot, point, value, at)
        if self._silent:
            self._hear()

    def _change(self, slot: int, point: Point, value: Any, at: float) -> None:
        if slot < FIRST_SLOT:
            if slot == PRESENCE:
                self._presence(point, value)
            return
        before, self._at[slot] = self._at[slot], at
        if self.raw[slot] == value:
            return
        group = self._group_of[slot]
        if isinstance(value, str):
            value = self._codes[slot].get(value, value)
        elif value is None or not -inf < value < inf:  # an infinity, or what is no number, is no value
            value = None
            if group is not None and self.raw[slot] is not None:
                self._good_at[slot] = group.before if group.has_read else before
        self.raw[slot] = value
        if self.is_stale[slot]:
            return
        self.values[slot] = value
        self.touch(slot)
        if group is not None and group.has_read:  # else the time of each sample counts, so each is looked at
            self.calm(slot, value)

    def read(self, reads: Iterable[Read]) -> None:
        """Apply reads: the groups are fresh."""
        for name, at, stale_after_s in reads:
            group = self._group(name)
            group.has_read = True
            if at > group.at:
                group.before, group.at = group.at, at
            group.stale_after_s = stale_after_s
            if group.slots and name not in ALWAYS_FRESH and at + stale_after_s < group.rung_at:
                self._watch(group, at + stale_after_s)
            if group.flags & STALE:
                self._silent.discard(group)
                self._unflag(group, STALE)

    def ring(self, group: Group, now: float) -> None:
        """Look whether a group is stale; its time has come."""
        group.rung_at = inf
        stale_at = self._fresh_at(group) + group.stale_after_s
        if stale_at > now:
            self._watch(group, stale_at)
            return
        if not group.has_read:
            self._silent.add(group)
        self._flag(group, STALE)

    def _fresh_at(self, group: Group) -> float:
        return group.at if group.has_read else max((self._at[slot] for slot in group.slots), default=group.at)

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

    def _meet(self, point: Point) -> int:
        """Give a point that came in for the first time its slot, or the reason why it has none."""
        if point.group == "presence" or point.name == "site/online":
            self._met[point.name] = PRESENCE
            if point.device is not None:
                self._device(point.device)
            return PRESENCE
        if point.device is None:
            slot = self._slots.get(point.name, SINK)
        else:
            slot = self._meet_of_device(point, point.device)
        self._met[point.name] = slot
        if slot >= FIRST_SLOT:
            self._join(slot, point.group, self.devices.get(point.device) if point.device else None)
        return slot

    def _meet_of_device(self, point: Point, device: Device) -> int:
        state = self._device(device)
        if state is None:
            return SINK
        name = point.name[len(state.prefix) :]
        wanted = name in self._wanted.get(device.kind, ()) or name in self._wanted.get("*", ())
        if not wanted and point.name not in self._slots:
            return SINK
        slot = self.slot(point.name)
        if name not in state.seen:
            state.seen.add(name)
            self._on_device(state)
        return slot

    def _device(self, device: Device) -> DeviceState | None:
        state = self.devices.get(device)
        if state is None:
            if len(self.devices) >= MAX_DEVICES:
                self.refused_devices += 1
                return None
            state = self.devices[device] = DeviceState(device)
            self.put(self.slot(f"{state.prefix}@instance"), device.instance, False)
            self.put(self.slot(f"{state.prefix}@label"), f"{device.kind} {device.instance}", False)
            self._on_device(state)
        return state

    def _join(self, slot: int, name: str, state: DeviceState | None) -> None:
        """Tie a slot to the group that its freshness comes from."""
        if self.names[slot].endswith(TIMELESS):
            return
        group = self._group(name)
        if state is not None and group not in state.groups:
            state.groups.append(group)
            group.flags |= DEVICE_OFFLINE if state.is_offline else 0
        self._group_of[slot] = group
        group.slots.append(slot)
        self.is_stale[slot] = int(bool(group.flags))
        if group.rung_at == inf and not group.flags & STALE and name not in ALWAYS_FRESH:
            self._watch(group, (group.at if group.has_read else self.values[0]) + group.stale_after_s)

    def _group(self, name: str) -> Group:
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
            if self.is_site_offline and belongs_to_site(name):
                group.flags = SITE_OFFLINE
        return group

    # -- presence -------------------------------------------------------------------------------------------------

    def _presence(self, point: Point, value: Any) -> None:
        is_offline = value is False
        slot = self.slot(point.name)
        if self.raw[slot] != value:
            self.put(slot, value, False)
        if point.device is None:
            self.set_site_offline(is_offline)
            return
        state = self.devices.get(point.device)
        if state is not None and state.is_offline != is_offline:
            state.is_offline = is_offline
            for group in state.groups:
                (self._flag if is_offline else self._unflag)(group, DEVICE_OFFLINE)
        if state is not None and "online" not in state.seen:
            state.seen.add("online")
            self._on_device(state)

    def set_site_offline(self, is_offline: bool) -> None:
        """All points of the site are unknown from now on, or known again."""
        if is_offline == self.is_site_offline:
            return
        self.is_site_offline = is_offline
        for group in self.groups.values():
            if belongs_to_site(group.name):
                (self._flag if is_offline else self._unflag)(group, SITE_OFFLINE)

    def _flag(self, group: Group, flag: int) -> None:
        was_known = not group.flags
        group.flags |= flag
        if was_known:
            for slot in group.slots:
                self.is_stale[slot] = 1
                self.values[slot] = None
                self.low[slot] = inf
                self.touch(slot)

    def _unflag(self, group: Group, flag: int) -> None:
        group.flags &= ~flag
        if not group.flags:
            for slot in group.slots:
                self.is_stale[slot] = 0
                self.values[slot] = self.raw[slot]
                self.touch(slot)

    # -- memory ---------------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return values, groups and devices as JSON can hold them."""
        slots = [slot for slot in range(FIRST_SLOT, len(self.names)) if self._is_kept(slot)]
        groups = self._group_of
        return {
            "points": {
                self.names[slot]: [
                    self.raw[slot],
                    time_out(self._at[slot]),
                    time_out(self._good_at[slot]),
                    group.name if (group := groups[slot]) else None,
                ]
                for slot in slots
            },
            "groups": {
                group.name: [
                    time_out(group.at),
                    time_out(group.before),
                    group.stale_after_s,
                    group.has_read,
                    group.flags,
                ]
                for group in self.groups.values()
            },
            "devices": [
                [one.device.kind, one.device.instance, one.is_offline, sorted(one.seen)]
                for one in self.devices.values()
            ],
            "is_site_offline": self.is_site_offline,
        }

    def _is_kept(self, slot: int) -> bool:
        return self._group_of[slot] is not None or self.names[slot].endswith(TIMELESS)

    def load(self, state: Mapping[str, Any], shift_s: float) -> None:
        """Take over a dumped state, its times moved by `shift_s`."""
        self.is_site_offline = bool(state["is_site_offline"])
        for name, (at, before, stale_after_s, has_read, flags) in state["groups"].items():
            group = self.groups[name] = Group(name)
            group.at, group.before = time_in(at) + shift_s, time_in(before) + shift_s
            group.stale_after_s, group.has_read, group.flags = stale_after_s, has_read, flags
            if flags & STALE and not has_read:
                self._silent.add(group)
        for kind, instance, is_offline, seen in state["devices"]:
            one = self._device(Device(kind, instance))
            if one is not None:
                one.is_offline = is_offline
                one.seen.update(name for name in seen if not name.startswith("~"))
                self._on_device(one)
        for name, (value, at, good_at, group) in state["points"].items():
            self._load_point(name, value, (time_in(at) + shift_s, time_in(good_at) + shift_s), group)
        for known in self.groups.values():
            if known.slots and not known.flags & STALE and known.name not in ALWAYS_FRESH:
                self._watch(known, self._fresh_at(known) + known.stale_after_s)

    def _load_point(self, name: str, value: Any, times: tuple[float, float], group: str | None) -> None:
        head, _, rest = name.partition("/")
        number, _, point = rest.partition("/")
        state = self.devices.get(Device(head, int(number))) if number.isdigit() and number.isascii() else None
        if name not in self._slots and (state is None or point not in state.seen):
            return  # today's rules do not read it
        slot = self.slot(name)
        self.raw[slot] = value
        self._at[slot], self._good_at[slot] = times
        if group is not None:
            self._met[name] = slot
            self._join(slot, group, state)
        self.values[slot] = None if self.is_stale[slot] else value

    # -- all devices of a class -----------------------------------------------------------------------------------

    def member_list(self, members: Members, reader: Reader | None) -> list[tuple[int, ...]]:
        """Return the list of slots that an aggregate reads; it grows as devices appear."""
        key = (members.kind, tuple((one.name, one.is_needed) for one in members.inputs))
        found = self._member_lists.get(key)
        if found is None:
            found = self._member_lists[key] = MemberList(members)
        if reader is not None and reader not in found.readers:
            found.readers.append(reader)
            for slot in (slot for row in found.rows for slot in row):
                self.read_by(slot, reader, None)
        for state in self.devices.values():
            self._admit(found, state)
        return found.rows

    def admit(self, state: DeviceState) -> None:
        """Let aggregates over the device's class read it, once it has what they need."""
        for members in self._member_lists.values():
            self._admit(members, state)

    def _admit(self, one: MemberList, state: DeviceState) -> None:
        members = one.members
        if state.device.kind != members.kind or state.device.instance in one.devices:
            return
        if not has_inputs(state, members.inputs):
            return
        row = tuple(self.input_slot(part, state.prefix) for part in members.inputs)
        one.devices.add(state.device.instance)
        one.rows.append(row)
        for slot in row:
            for reader in one.readers:
                self.read_by(slot, reader, None)
            self.touch(slot)
