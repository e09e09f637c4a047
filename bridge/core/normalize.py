"""Page -> samples: which point a path is, what its value means, and whether it changed.

The catalogue is an allow-list: a path it does not know makes no sample (unless raw publishing is on, and then never
one that looks like a secret). Each path of each service is resolved once; after that a page costs one comparison
per value. A path that vanished from a complete page has no valid value any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from bridge.core.catalogue import Catalogue, ClassSpec
from bridge.core.devices import INFO_FIELDS, Devices, Presence, class_of, device_info
from bridge.core.paths import PathTree, point_pattern
from bridge.core.values import REFUSED, Converter, converter, firmware_text, looks_secret, parse_json, pick
from bridge.model import Device, Kind, Page, Point, PointSpec, Read, Sample, Tier

STALE_TURNS = 3  # a group not read for so many of its intervals is stale: rules.md section 3
MAX_PATHS = 5000  # per service; the largest real one (settings) has about 600
_NEW = object()
# What `Sample(...)` does in the end, without the function in Python that a NamedTuple puts before it.
_sample: Callable[[tuple[Any, ...]], Sample] = partial(tuple.__new__, Sample)
_NOTHING_WANTED: tuple[tuple[str, ...] | None, float] = None, 0.0
_INFO_PATHS = frozenset(path for paths in INFO_FIELDS.values() for path in paths)
_ONLINE = PointSpec(Kind.BOOL, "online", "", "", {}, Tier.CRITICAL, 0, 0.0, (), "Is the device on the GX?", "", "")
_RAW = PointSpec(Kind.JSON, "", "", "", {}, Tier.EXTENDED, 3, 0.0, (), "Not in the catalogue", "", "")


class Batch(NamedTuple):
    """What one page or list of services amounts to."""

    samples: list[Sample]
    reads: list[Read]
    presences: list[Presence]
    infos: list[tuple[Device, dict[str, Any]]]


class Intervals(NamedTuple):
    """How often points want to be read, in seconds. The most specific one wins: point, class, tier."""

    tiers: Mapping[Tier, float]
    classes: Mapping[str, float] = {}
    points: Mapping[str, float] = {}  # "battery.soc", "grid.power": class or site point

    def of(self, kind: str, spec: PointSpec, name: str) -> float:
        dotted = name.replace("/", ".")
        special = self.points.get(dotted) or self.points.get(f"{kind}.{dotted}")
        if special:
            return special
        tier_s = self.tiers[spec.tier]
        class_s = self.classes.get(kind)
        if class_s is None:
            return tier_s
        # What is rarely of interest does not become hot because its class is.
        return max(class_s, tier_s) if spec.tier in (Tier.HEALTH, Tier.STATIC) else class_s


class _Slot(NamedTuple):
    """What is done with the values of one path."""

    point: Point
    spec: PointSpec
    convert: Converter
    is_raw: bool = False  # published as it is; any value of it may be a secret
    way: tuple[str | int, ...] = ()  # where it stands inside a JSON value


class _Binding:
    """What is known of one service: its device, the point of each path, and the last raw value of each."""

    __slots__ = ("device", "info", "last", "slots", "spec")

    def __init__(self, spec: ClassSpec, device: Device | None) -> None:
        self.spec = spec
        self.device = device
        self.last: dict[str, Any] = {}
        self.slots: dict[str, _Slot | list[_Slot] | None] = {}  # a list: a JSON value whose parts are points
        self.info: dict[str, Any] | None = None


class Normalizer:
    """Turns what one GX says into samples. Holds state; one thread."""

    def __init__(self, catalogue: Catalogue, intervals: Intervals, publish_raw: bool = False) -> None:
        self._catalogue = catalogue
        self._intervals = intervals
        self._publish_raw = publish_raw
        self._bindings: dict[str, _Binding] = {}
        self._wanted: dict[str, tuple[tuple[str, ...] | None, float]] = {}  # service -> its paths, its interval
        self._sums = _Sums(catalogue)
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
        found = (spec.resolve(path) for path in paths)
        wanted = [self._intervals.of(kind, row, name) for row, name in filter(None, found)]
        return min(wanted, default=self._intervals.tiers[Tier.STATIC])

    def leafs(self, service: str) -> list[tuple[str, float]]:
        kind = class_of(service)
        if kind is None:
            return []
        spec = self._catalogue.get(kind)
        rows = {path: self._intervals.tiers[tier] for path, tier in spec.known_leafs()}
        identity = rows.pop("DeviceInstance", self._intervals.tiers[Tier.STATIC])
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
        group = device.path if device else binding.spec.name
        if not page.is_root:
            group = f"{group}@{page.every_s:g}"  # leafs asked one by one are fresh by their own interval
        changes = self._changes(binding, page)
        samples = self._samples(binding, changes, page.at, group)
        if device is None:  # only site points are parts of sums
            samples += self._sums.update(samples, page.at)
        presences = self.devices.seen(device) if device else []
        samples += [self._online(presence, page.at) for presence in presences]
        infos = self._info(binding, page.service, changes, bool(presences)) if device else []
        return Batch(samples, [Read(group, page.at, STALE_TURNS * page.every_s)], presences, infos)

    def _binding(self, page: Page) -> _Binding | None:
        kind = class_of(page.service)
        if kind is None:
            self.counters["foreign_services"] += 1
            return None
        binding = self._bindings.get(page.service)
        spec = self._catalogue.get(kind)
        device = None
        if not spec.singleton:
            instance = page.values.get("DeviceInstance", [] if page.is_root else None)
            device = self.devices.identify(page.service, kind, instance)
            if device is None:
                self.counters["unidentified_pages"] += 1
                return None
        if binding is None or binding.device != device:
            binding = self._bindings[page.service] = _Binding(spec, device)
        return binding

    def _changes(self, binding: _Binding, page: Page) -> list[tuple[str, Any]]:
        last = binding.last
        values = page.values
        changed = [(path, raw) for path, raw in values.items() if last.get(path, _NEW) != raw]
        if len(last) + len(changed) > MAX_PATHS:
            room = MAX_PATHS - len(last)
            fresh = [(path, raw) for path, raw in changed if path not in last]
            self.counters["paths_over_limit"] += max(0, len(fresh) - room)
            refused = {path for path, _ in fresh[max(0, room) :]}
            changed = [(path, raw) for path, raw in changed if path not in refused]
        last.update(changed)
        if page.is_root and len(last) > len(values):
            changed += [(path, []) for path in last if path not in values and last[path] != []]
            last.update((path, []) for path, raw in changed if raw == [])
        return changed

    def _samples(self, binding: _Binding, changes: list[tuple[str, Any]], at: float, group: str) -> list[Sample]:
        slots = binding.slots
        samples: list[Sample | None] = []
        for path, raw in changes:
            try:
                slot = slots[path]
            except KeyError:
                slot = slots[path] = self._resolve(binding, path, raw, group)
            if isinstance(slot, _Slot):
                samples.append(self._sample(slot, raw, at))
            elif slot is not None:
                tree = parse_json(raw)
                samples += [self._sample(part, pick(tree, part.way), at) for part in slot]
        return [sample for sample in samples if sample is not None]

    def _sample(self, slot: _Slot, raw: Any, at: float) -> Sample | None:
        point, spec, convert, is_raw, _ = slot
        if is_raw and looks_secret("", raw):
            self.counters["withheld_values"] += 1
            return None
        if raw is None or raw == []:  # no value, as `convert` says
            return Sample(point, None, at)
        converted = convert(raw, spec)
        if converted is REFUSED:
            self.counters["refused_values"] += 1
            return Sample(point, None, at)
        value, code = converted
        return _sample((point, value, at, code))

    # -- points ---------------------------------------------------------------------------------------------------

    def _resolve(self, binding: _Binding, path: str, raw: Any, group: str) -> _Slot | list[_Slot] | None:
        found = binding.spec.resolve(path)
        if found is None:
            return self._raw_slot(binding, path, raw, group)
        prefix = f"{binding.device.path}/" if binding.device else ""
        spec, name = found
        if not spec.fields:
            return _slot(Point(prefix + name, spec, binding.device, group))
        return [
            _slot(Point(prefix + _part_name(spec, part, path), part, binding.device, group), way)
            for way, part in spec.fields
        ]

    def _raw_slot(self, binding: _Binding, path: str, raw: Any, group: str) -> _Slot | None:
        self.counters["unknown_paths"] += 1
        levels = path.split("/")
        is_name = all(level.replace("_", "a").isalnum() and level.isascii() for level in levels)
        if not self._publish_raw or not is_name or len(path) > 200:
            return None
        if looks_secret(path, raw) or isinstance(raw, list | dict):
            self.counters["withheld_paths"] += 1
            return None
        where = binding.device.path if binding.device else binding.spec.name
        kind = Kind.FLOAT if isinstance(raw, int | float) else Kind.STRING
        point = Point(f"raw/{where}/{path}", _RAW._replace(kind=kind), binding.device, group)
        return _slot(point)._replace(is_raw=True)

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
        firmware = firmware_text(packed) if isinstance(packed, int) and packed > 0 else None
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


class _Sums:
    """Site points that are sums of others: a sum exists when one of its parts has a value."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._rules = [
            (name, spec, [point_pattern(part) for part in parts]) for name, (spec, parts) in catalogue.sums().items()
        ]
        self._parts: dict[str, dict[str, float | None]] = {}
        self._sums_of: dict[str, list[str]] = {}
        self._points: dict[str, Point] = {}

    def update(self, samples: Iterable[Sample], at: float) -> list[Sample]:
        touched: dict[str, None] = {}
        for point, value, _, _ in samples:
            sums = self._sums_of.get(point.name)
            if sums is None:
                sums = self._sums_of[point.name] = self._find(point)
            for name in sums:
                self._parts[name][point.name] = value if isinstance(value, int | float) else None
                touched[name] = None
        return [Sample(self._points[name], self._total(name), at) for name in touched]

    def _find(self, point: Point) -> list[str]:
        found = []
        for name, spec, patterns in self._rules:
            if any(pattern.fullmatch(point.name) for pattern in patterns):
                self._parts.setdefault(name, {})
                self._points.setdefault(name, Point(name, spec, None, point.group))
                found.append(name)
        return found

    def _total(self, name: str) -> float | None:
        parts = [part for part in self._parts[name].values() if part is not None]
        return sum(parts) if parts else None
