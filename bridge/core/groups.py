"""What the store keeps beside values: groups of points, who owns them, devices, and lists of devices for aggregates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import Any

from bridge.core.formula import Input, Members
from bridge.core.slots import Reader
from bridge.model import Device

DEFAULT_STALE_AFTER_S = 900.0  # of points that come without a Read: three turns of the slowest tier that changes
ALWAYS_FRESH = frozenset(("site", "presence"))
STALE, DEVICE_OFFLINE, SITE_OFFLINE = 1, 2, 4


class Owner:
    """What groups belong to: a device, or a class without instance such as `system`.

    It has one group when everything of it is read at once, else a group for each path: `battery/512` or
    `battery/512@Soc`. When that changes, the groups of the other sort are left: nothing reads them any more.
    """

    __slots__ = ("groups", "is_device", "is_offline", "name", "reads_paths", "since")

    def __init__(self, name: str) -> None:
        head, _, number = name.partition("/")
        self.name = name
        self.is_device = number.isdigit() and head != "input"
        self.is_offline = False
        self.since = -inf  # of when it came back to the GX, or the GX to us: before, nobody could read it
        self.groups: list[Group] = []
        self.reads_paths = False


class Group:
    """Points that are read together. Its name begins with its owner's."""

    __slots__ = (
        "at",
        "before",
        "flags",
        "has_read",
        "is_overdue",
        "is_path",
        "name",
        "owner",
        "rung_at",
        "slots",
        "stale_after_s",
    )

    def __init__(self, name: str, owner: Owner) -> None:
        self.name = name
        self.owner = owner
        self.is_path = "@" in name
        self.slots: list[int] = []
        self.at = -inf
        self.before = -inf  # the read before the last
        self.stale_after_s = DEFAULT_STALE_AFTER_S
        self.has_read = False
        self.flags = 0
        self.is_overdue = False  # stale for so long that people should hear of it
        self.rung_at = inf  # when it is to be looked whether the group is stale

    @property
    def is_left(self) -> bool:
        return self.is_path is not self.owner.reads_paths

    @property
    def is_watched(self) -> bool:
        """What no rule reads goes stale unseen, unless it tells of its device."""
        return (bool(self.slots) or self.owner.is_device) and self.name not in ALWAYS_FRESH


class MemberList:
    """The slots that an aggregate reads, one tuple per device, and who reads the aggregate."""

    __slots__ = ("devices", "members", "readers", "rows")

    def __init__(self, members: Members) -> None:
        self.members = members
        self.rows: list[tuple[int, ...]] = []
        self.devices: set[int] = set()
        self.readers: list[Reader] = []


class DeviceState:
    """A device that was seen, by number of appearance. `seen` holds the names of its points that rules read."""

    __slots__ = ("device", "owner", "prefix", "seen")

    def __init__(self, device: Device, owner: Owner) -> None:
        self.device = device
        self.owner = owner
        self.prefix = f"{device.path}/"
        self.seen: set[str] = {"stale"}


def has_inputs(state: DeviceState, inputs: Iterable[Input]) -> bool:
    """Tell whether a device has what a formula needs of it: all that is needed, and at least something."""
    own = [one for one in inputs if one.each and not one.name.startswith("@")]
    if any(one.is_needed and one.name not in state.seen for one in own):
        return False
    return not own or any(one.name in state.seen for one in own)


def site_inputs(rules: Iterable[Any], derived: Iterable[Any]) -> Iterator[Input]:
    """Yield the points that rules read and that are not below their device.

    They have places before there is any device, for what came then and never changes again.
    """
    formulas = [formula for rule in rules for formula in (*rule.formulas(), *rule.texts())]
    for formula in (*formulas, *(one.derived.formula for one in derived)):
        yield from (one for one in formula.inputs if not one.each)


def belongs_to_site(group: str) -> bool:
    """Tell whether a group is unknown while the GX does not answer."""
    return group not in ALWAYS_FRESH and not group.startswith("input/")


def time_out(at: float) -> float | str:
    """Return a time as JSON can hold it: infinities as text."""
    return at if -inf < at < inf else ("never" if at > 0 else "before")


def time_in(at: float | str) -> float:
    """Return what `time_out` was given."""
    return {"never": inf, "before": -inf}[at] if isinstance(at, str) else float(at)
