"""Page -> samples: which point a path is, what its value means, and whether it changed.

The catalogue is an allow-list: a path it does not know makes no sample (unless raw publishing is on, and then never
one that looks like a secret). Each path of each service is resolved once; after that a page costs one comparison
per value. A path that vanished from a complete page has no valid value any more, also when the service was restarted
or the device was away in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, NamedTuple

from bridge.core.catalogue import Catalogue, ClassSpec
from bridge.core.devices import INFO_FIELDS, Devices, Presence, class_of, device_info
from bridge.core.intervals import Intervals
from bridge.core.paths import PathTree
from bridge.core.sums import Sums
from bridge.core.values import (
    MAX_FIRMWARE,
    REFUSED,
    Converter,
    convert_any,
    converter,
    firmware_text,
    looks_secret,
    parse_json,
    pick,
)
from bridge.model import Device, Kind, Page, Point, PointSpec, Read, Sample, Tier

__all__ = ["MAX_PATHS", "MAX_SITE_PATHS", "STALE_TURNS", "Batch", "Intervals", "Normalizer"]

STALE_TURNS = 3  # a group not read for so many of its intervals is stale: rules.md section 3
MAX_PATHS = 5000  # per service; the largest real one (settings) has about 600
MAX_SITE_PATHS = 50_000  # of all devices, present and gone
_MAX_KEPT = 1000  # devices and classes whose paths are kept while no service speaks for them
_NEW = object()  # is no raw value: a path never seen, or not seen since its service was bound
# What `Sample(...)` does in the end, without the function in Python that a NamedTuple puts before it.
_sample: Callable[[tuple[Any, ...]], Sample] = partial(tuple.__new__, Sample)
_NOTHING_WANTED: tuple[tuple[str, ...] | None, float] = None, 0.0
_INFO_PATHS = frozenset(path for paths in INFO_FIELDS.values() for path in paths)
_ONLINE = PointSpec(Kind.BOOL, "online", "", "", {}, Tier.CRITICAL, 0, 0.0, (), "Is the device on the GX?", "", "")
_RAW = PointSpec(Kind.STRING, "", "", "", {}, Tier.EXTENDED, 3, 0.0, (), "Not in the catalogue", "", "")


class Batch(NamedTuple):
    """What one page or list of services amounts to."""

    samples: list[Sample]
    reads: list[Read]
    presences: list[Presence]
    infos: list[tuple[Device, dict[str, Any]]]


class _Slot(NamedTuple):
    """What is done with the values of one path."""

    point: Point
    spec: PointSpec
    convert: Converter
    is_raw: bool = False  # published as it is; any value of it may be a secret
    way: tuple[str | int, ...] = ()  # where it stands inside a JSON value


class _Binding:
    """What is known of one service: its device, the point of each path, and the last raw value of each."""

    __slots__ = ("device", "group", "info", "is_root", "last", "slots", "spec", "sums_of")

    def __init__(self, spec: ClassSpec, device: Device | None, is_root: bool, paths: Iterable[str]) -> None:
        self.spec = spec
        self.device = device
        self.is_root = is_root
        self.group = device.path if device else spec.name
        # Paths of the service that was this device before: a page without them is news, one with them too.
        self.last: dict[str, Any] = dict.fromkeys(paths, _NEW)
        self.slots: dict[str, _Slot | list[_Slot] | None] = {}  # a list: a JSON value whose parts are points
        self.sums_of: dict[str, list[str]] = {}  # point -> sums that it is part of
        self.info: dict[str, Any] | None = None

    def group_of(self, path: str) -> str:
        """Return what is read together with `path`: all of a root, and a leaf only with itself."""
        return self.group if self.is_root else f"{self.group}@{path}"


class Normalizer:
    """Turns what one GX says into samples. Holds state; one thread."""

    def __init__(self, catalogue: Catalogue, intervals: Intervals, publish_raw: bool = False) -> None:
        self._catalogue = catalogue
        self._intervals = intervals
        self._publish_raw = publish_raw
        self._bindings: dict[str, _Binding] = {}
        self._wanted: dict[str, tuple[tuple[str, ...] | None, float]] = {}  # service -> its paths, its interval
        self._sums = Sums(catalogue)
        self._last: dict[str, dict[str, Any]] = {}  # of each device or class without instance, the newest binding's
        self._paths = 0  # in all of them
        self.devices = Devices()
        self.counters: Counter[str] = Counter()

    # -- PollPlan -------------------------------------------------------------------------------------------------

    def interval(self, service: str, paths: Collection[str]) -> float:
        """Return how often a service with these paths wants to be read: the shortest interval of its points."""
        now = tuple(paths)
        known, wanted_s = self._wanted.get(service, _NOTHING_WANTED)
        if known != now:  # a service lists the same paths in the same order, nearly always
            wanted_s = self._wanted_interval(service, now)
            self._wanted[service] = now, wanted_s
        return wanted_s

    def _wanted_interval(self, service: str, paths: Collection[str]) -> float:
        kind = class_of(service)
        if kind is None:
            return self._intervals.tiers[Tier.STATIC]
        spec = self._catalogue.get(kind)
        wanted = (self._path_interval(spec, path) for path in paths)
        return min(filter(None, wanted), default=self._intervals.tiers[Tier.STATIC])

    def _path_interval(self, spec: ClassSpec, path: str) -> float | None:
        found = spec.resolve(path)
        if found is None:
            return None
        row, name = found
        delivers: list[str] = []
        if self._intervals.points:
            delivers += [_part_name(row, part, path) for _, part in row.fields]
            delivers += self._sums.names(name) if spec.singleton else []
        return self._intervals.of(spec.name, row, name, delivers)

    def leafs(self, service: str) -> list[tuple[str, float]]:
        kind = class_of(service)
        if kind is None:
            return []
        spec = self._catalogue.get(kind)
        static_s = self._intervals.tiers[Tier.STATIC]
        rows = {path: self._path_interval(spec, path) or static_s for path, _ in spec.known_leafs()}
        identity = rows.pop("DeviceInstance", static_s)
        return [("DeviceInstance", identity), *sorted(rows.items(), key=lambda row: row[1])]

    # -- pages ----------------------------------------------------------------------------------------------------

    def services(self, names: frozenset[str], now: float) -> Batch:
        """The complete list of services was read."""
        for name in self._bindings.keys() - names:
            del self._bindings[name]
        for name in self._wanted.keys() - names:
            del self._wanted[name]
        presences = self.devices.listed(names)
        return Batch([self._online(presence, now) for presence in presences], [], presences, [])

    def page(self, page: Page) -> Batch:
        """Return what changed with `page`."""
        binding = self._binding(page)
        if binding is None:
            return Batch([], [], [], [])
        device = binding.device
        changes = self._changes(binding, page)
        samples = self._samples(binding, changes, page.at)
        if device is None:  # only site points are parts of sums
            samples += self._sums.update(samples, binding.sums_of, page.at)
        presences = self.devices.seen(device) if device else []
        samples += [self._online(presence, page.at) for presence in presences]
        infos = self._info(binding, page.service, changes, bool(presences)) if device else []
        groups = [binding.group] if page.is_root else map(binding.group_of, page.values)
        stale_after_s = STALE_TURNS * page.every_s
        return Batch(samples, [Read(group, page.at, stale_after_s) for group in groups], presences, infos)

    def _binding(self, page: Page) -> _Binding | None:
        kind = class_of(page.service)
        if kind is None:
            self.counters["foreign_services"] += 1
            return None
        binding = self._bindings.get(page.service)
        spec = self._catalogue.get(kind)
        device = self._identify(page, spec)
        if device is None and not (spec.singleton and self.devices.hold(page.service, kind)):
            self.counters["duplicates"] = self.devices.duplicates
            self.counters["unidentified_pages"] += 1
            self._bindings.pop(page.service, None)  # whoever it will be: everything is published again
            return None
        if binding is None or binding.device != device or binding.is_root is not page.is_root:
            binding = self._bind(page, spec, device)
        return binding

    def _identify(self, page: Page, spec: ClassSpec) -> Device | None:
        if spec.singleton:
            return None
        if page.is_root:
            return self.devices.identify(page.service, spec.name, page.values.get("DeviceInstance", []))
        # A leaf is asked for on purpose: its [] is an answer. Other leafs say nothing about the instance.
        return self.devices.identify(page.service, spec.name, page.values.get("DeviceInstance"), is_final=True)

    def _bind(self, page: Page, spec: ClassSpec, device: Device | None) -> _Binding:
        key = device.path if device else spec.name
        for name in [name for name, other in self._bindings.items() if other.group == key]:
            del self._bindings[name]  # what it knew is taken over
        binding = self._bindings[page.service] = _Binding(spec, device, page.is_root, self._last.pop(key, ()))
        self._last[key] = binding.last
        if len(self._last) > _MAX_KEPT:
            self._drop_unbound()
        return binding

    def _drop_unbound(self) -> None:
        """Forget the paths of what no service speaks for."""
        bound = {binding.group for binding in self._bindings.values()}
        for key in self._last.keys() - bound:
            self._paths -= len(self._last.pop(key))

    def _changes(self, binding: _Binding, page: Page) -> list[tuple[str, Any]]:
        last = binding.last
        values = page.values
        changed = [(path, raw) for path, raw in values.items() if last.get(path, _NEW) != raw]
        before = len(last)
        if before + len(changed) > MAX_PATHS or self._paths + len(changed) > MAX_SITE_PATHS:
            changed = self._within_limits(last, changed)
        last.update(changed)
        self._paths += len(last) - before
        if page.is_root and len(last) > len(values):
            changed += [(path, []) for path in last if path not in values and last[path] != []]
            last.update((path, []) for path, raw in changed if raw == [])
        return changed

    def _within_limits(self, last: dict[str, Any], changed: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """Return the changes without those of paths for which there is no room; known paths have theirs."""
        fresh = [path for path, _ in changed if path not in last]
        if self._paths + len(fresh) > MAX_SITE_PATHS:
            self._drop_unbound()
        room = max(0, min(MAX_PATHS - len(last), MAX_SITE_PATHS - self._paths))
        refused = set(fresh[room:])
        self.counters["paths_over_limit"] += len(refused)
        return [(path, raw) for path, raw in changed if path not in refused]

    def _samples(self, binding: _Binding, changes: list[tuple[str, Any]], at: float) -> list[Sample]:
        slots = binding.slots
        samples: list[Sample | None] = []
        for path, raw in changes:
            try:
                slot = slots[path]
            except KeyError:
                slot = slots[path] = self._resolve(binding, path)
            if isinstance(slot, _Slot):
                samples.append(self._sample(slot, raw, at))
            elif slot is not None:
                tree = parse_json(raw)
                samples += [self._sample(part, pick(tree, part.way), at) for part in slot]
        return [sample for sample in samples if sample is not None]

    def _sample(self, slot: _Slot, raw: Any, at: float) -> Sample | None:
        point, spec, convert, is_raw, _ = slot
        if raw is None or raw == []:  # no value, as `convert` says
            return Sample(point, None, at)
        if is_raw and looks_secret("", raw):
            self.counters["withheld_values"] += 1
            return None
        converted = convert(raw, spec)
        if converted is REFUSED:
            self.counters["refused_values"] += 1
            return Sample(point, None, at)
        value, code = converted
        return _sample((point, value, at, code))

    # -- points ---------------------------------------------------------------------------------------------------

    def _resolve(self, binding: _Binding, path: str) -> _Slot | list[_Slot] | None:
        found = binding.spec.resolve(path)
        group = binding.group_of(path)
        if found is None:
            return self._raw_slot(binding, path, group)
        prefix = f"{binding.device.path}/" if binding.device else ""
        spec, name = found
        if not spec.fields:
            return _slot(Point(prefix + name, spec, binding.device, group))
        return [
            _slot(Point(prefix + _part_name(spec, part, path), part, binding.device, group), way)
            for way, part in spec.fields
        ]

    def _raw_slot(self, binding: _Binding, path: str, group: str) -> _Slot | None:
        self.counters["unknown_paths"] += 1
        levels = path.split("/")
        is_name = all(level.replace("_", "a").isalnum() and level.isascii() for level in levels)
        if not self._publish_raw or not is_name or len(path) > 200:
            return None
        if looks_secret(path, None):
            self.counters["withheld_paths"] += 1
            return None
        point = Point(f"raw/{binding.group}/{path}", _RAW, binding.device, group)
        return _Slot(point, _RAW, convert_any, is_raw=True)

    # -- devices --------------------------------------------------------------------------------------------------

    def _online(self, presence: Presence, at: float) -> Sample:
        device = presence.device
        return Sample(Point(f"{device.path}/online", _ONLINE, device, "presence"), presence.is_online, at)

    def _info(
        self, binding: _Binding, service: str, changes: list[tuple[str, Any]], is_new: bool
    ) -> list[tuple[Device, dict[str, Any]]]:
        device = binding.device
        if device is None or (not is_new and binding.info and _INFO_PATHS.isdisjoint(path for path, _ in changes)):
            return []
        packed = binding.last.get("FirmwareVersion")
        firmware = firmware_text(packed) if type(packed) is int and 0 < packed <= MAX_FIRMWARE else None
        info = device_info(device, service, binding.last, firmware)
        if info == binding.info and not is_new:
            return []
        binding.info = info
        return [(device, info)]


def _slot(point: Point, way: tuple[str | int, ...] = ()) -> _Slot:
    return _Slot(point, point.spec, converter(point.spec.kind), way=way)


def _part_name(spec: PointSpec, part: PointSpec, path: str) -> str:
    """Return the point of one part of a JSON value: its placeholders are those of the whole's path."""
    tree = PathTree()
    tree.add(spec.path[1:], (part, part.point))
    found = tree.find(path)
    return found[1] if found else part.point
