"""What one site says: values with their freshness, its devices, and whether they answer.

Unknown: a slot's value is None when the GX says "no value", and while its group is stale, its device offline or the
site offline (then `is_stale` is set too, and the last value waits in `raw`; see `freshness`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any

from bridge.core.formula import Members
from bridge.core.freshness import TIMELESS, Freshness
from bridge.core.groups import STALE, DeviceState, Group, MemberList, has_inputs, time_in, time_out
from bridge.core.slots import FIRST_SLOT, PRESENCE, SINK, Reader
from bridge.model import Device, Point, Sample

MAX_DEVICES = 1000  # per site; the largest known has about 60. Beyond it devices are not watched.


class Store(Freshness):
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
        super().__init__(at_time)
        self._wanted = wanted
        self._on_device = on_device
        self.devices: dict[Device, DeviceState] = {}
        self._member_lists: dict[tuple[str, tuple[tuple[str, bool], ...]], MemberList] = {}
        self.refused_devices = 0

    # -- what comes in --------------------------------------------------------------------------------------------

    def take(self, samples: Iterable[Sample]) -> None:
        """Apply samples. This is the hot path of the engine: what stays inside its quiet interval is only stored."""
        met, low, high, raw, values = self._met, self.low, self.high, self.raw, self.values
        slot: Any
        value: Any
        for sample in samples:
            point, value, at, code = () + sample  # a plain tuple is quicker to unpack
            try:
                slot = met[point.name]
                if slot is None:
                    continue
                if code is not None:
                    value = code
                if low[slot] < value and value < high[slot]:  # quicker than a chain
                    raw[slot] = values[slot] = value
                    continue
            except KeyError:
                slot = self._meet(point)
                if code is not None:
                    value = code
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
        self._met[point.name] = slot if slot != SINK else None
        if slot >= FIRST_SLOT:
            self._join(slot, point.group)
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
            state = self.devices[device] = DeviceState(device, self._owner(device.path))
            self.put(self.slot(f"{state.prefix}@instance"), device.instance, False)
            self.put(self.slot(f"{state.prefix}@label"), f"{device.kind} {device.instance}", False)
            self.put(self.slot(f"{state.prefix}stale"), False, False)
            self._on_device(state)
        return state

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
        if state is not None and state.owner.is_offline != is_offline:
            self.set_device_offline(state.owner, is_offline)
        if state is not None and "online" not in state.seen:
            state.seen.add("online")
            self._on_device(state)

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
                    group.is_overdue,
                ]
                for group in self.groups.values()
            },
            "owners": {
                one.name: [time_out(one.since), one.reads_paths]
                for one in self._owners.values()
                if one.since > -inf or one.reads_paths
            },
            "devices": [
                [one.device.kind, one.device.instance, one.owner.is_offline, sorted(one.seen)]
                for one in self.devices.values()
            ],
            "is_site_offline": self.is_site_offline,
        }

    def _is_kept(self, slot: int) -> bool:
        return self._group_of[slot] is not None or self.names[slot].endswith(TIMELESS)

    def load(self, state: Mapping[str, Any], shift_s: float) -> None:
        """Take over a dumped state, its times moved by `shift_s`."""
        self.is_site_offline = bool(state["is_site_offline"])
        for name, (at, before, stale_after_s, has_read, flags, is_overdue) in state["groups"].items():
            group = self._group(name)
            group.at, group.before = time_in(at) + shift_s, time_in(before) + shift_s
            group.stale_after_s, group.has_read, group.flags = stale_after_s, has_read, flags
            self._set_overdue(group, is_overdue)
            if flags & STALE and not has_read:
                self._silent.add(group)
        for name, (since, reads_paths) in state["owners"].items():
            owner = self._owner(name)
            owner.since, owner.reads_paths = time_in(since) + shift_s, reads_paths
        for kind, instance, is_offline, seen in state["devices"]:
            one = self._device(Device(kind, instance))
            if one is not None:
                one.owner.is_offline = is_offline
                one.seen.update(name for name in seen if not name.startswith("~"))
                self._on_device(one)
        for name, (value, at, good_at, group) in state["points"].items():
            self._load_point(name, value, (time_in(at) + shift_s, time_in(good_at) + shift_s), group)
        self.watch_again()

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
            self._join(slot, group)
            if not self._group(group).is_left:
                self._met[name] = slot
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
