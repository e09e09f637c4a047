"""One rule test: from YAML that fits the schema to a record whose names are all known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from bridge.core.alerts import Rule
from bridge.core.nearest import nearest
from bridge.core.parser import duration_s
from bridge.core.points import TRUTH, Known, PointIndex, Type, type_of
from bridge.core.rule_test import Case, Lane, RuleTest, Want, WantPoint, is_presence, live_point
from bridge.core.series import MAX_INTERVALS, Cell, read_cells, read_value
from bridge.errors import ConfigError, RuleError
from bridge.files import schema
from bridge.files.yaml_text import Document, Path_
from bridge.model import Device, Point, PointSpec, Value

_ONLINE = Known("online", "", TRUTH)
_COMPUTED = "this is computed; give the points that it comes from. What a record says is expected in expect_points"


class Names(NamedTuple):
    """What a test may name."""

    points: PointIndex
    alerts: Mapping[str, Rule]  # of the tested pack
    records: Mapping[tuple[str | None, str], PointSpec]  # by class and topic name


class RuleTestBuilder:
    """Builds one test. `faults` are its mistakes; with any the test is not to be run.

    Args:
        path: of the test in the document.
        data: the test, with the file's interval and start where it has none of its own.
    """

    def __init__(self, document: Document, path: Path_, data: Mapping[str, Any], names: Names) -> None:
        self._document = document
        self._path = path
        self._data = data
        self._names = names
        self.faults: list[ConfigError] = []

    def build(self) -> RuleTest:
        """Return the test."""
        data = self._data
        start = self._moment()
        interval_s = duration_s(data["interval"]) if data["interval"] else None
        if not interval_s:
            self._fault(("interval",), "the interval must be longer than nothing")
            interval_s = 1.0
        lanes = _read_together(list(self._lanes(start)))
        longest = max((sum(cell.times for cell in lane.cells) for lane in lanes), default=1)
        lasts_s = max(longest * interval_s, duration_s(str(data.get("lasts", ""))) or 0.0)
        if lasts_s / interval_s > MAX_INTERVALS:
            self._fault(("lasts",), f"the test has more than {MAX_INTERVALS} intervals; choose a longer interval")
        is_whole = "expect_some" not in data
        wants = [
            self._want(key, index, one, lasts_s)
            for key in ("expect", "expect_some")
            for index, one in enumerate(data.get(key, ()))
        ]
        points = [self._want_point(index, one, lasts_s) for index, one in enumerate(data.get("expect_points", ()))]
        return RuleTest(
            name=data["name"],
            line=schema.place(self._document, self._path)[0],
            alerts=tuple(self._alert(name, path) for name, path in self._listed("alert")),
            cases=tuple(Case(name) for name, _ in self._listed("case")),
            start=start,
            interval_s=interval_s,
            lasts_s=lasts_s,
            lanes=lanes,
            expect=tuple(wants),
            is_whole=is_whole and ("expect" in data),
            points=tuple(one for one in points if one is not None),
        )

    def _fault(self, path: Path_, message: str, is_key: bool = False) -> None:
        path = (*self._path, *path)
        line, column = schema.place(self._document, path, is_key)
        self.faults.append(ConfigError(message, self._document.file, line, column, schema.key_path(path)))

    def _moment(self) -> float:
        try:
            return datetime.fromisoformat(self._data["start"].replace("Z", "+00:00")).timestamp()
        except ValueError:
            self._fault(("start",), f"there is no such time: {self._data['start']}")
            return 0.0

    def _listed(self, key: str) -> Iterable[tuple[str, Path_]]:
        written = self._data.get(key, ())
        if isinstance(written, str):
            return [(written, (key,))]
        return [(name, (key, index)) for index, name in enumerate(written)]

    def _alert(self, name: str, path: Path_) -> str:
        if name not in self._names.alerts:
            near = nearest(name, self._names.alerts)
            advice = f'did you mean "{near}"?' if near else f"there are {', '.join(self._names.alerts) or 'none'}"
            self._fault(path, f'the pack has no alert "{name}"; {advice}')
        return name

    # -- series ---------------------------------------------------------------------------------------------------

    def _lanes(self, start: float) -> Iterable[Lane]:
        for name, written in self._data["series"].items():
            path = ("series", name)
            try:
                point, type_ = self._point(name)
            except RuleError as error:
                self._fault(path, error.message, is_key=True)
                continue
            cells: list[Cell] = []
            items = written if isinstance(written, list) else [written]
            for index, item in enumerate(items):
                try:
                    cells += read_cells(_text(item), type_, start)
                except RuleError as error:
                    self._fault((*path, index) if isinstance(written, list) else path, error.message)
            if is_presence(point) and not all(cell.is_read and cell.value is not None for cell in cells):
                self._fault(path, "whether it is there is always known; write true or false", is_key=True)
            yield Lane(point, tuple(cells))

    def _point(self, name: str) -> tuple[Point, Type]:
        """Return the point that a series is of.

        Raises:
            RuleError: there is none of that name, or it is computed.
        """
        head, selector, rest = name.partition("[")
        topic = name.replace(".", "/")
        if not selector:
            known = self._names.points.site(topic)
            if known is None or topic == "site/stale":
                raise RuleError(self._no_site_point(topic))
            group = "site" if topic == "site/online" else topic.partition("/")[0]
            return live_point(topic, None, topic if group == "input" else group), known.type
        number, _, below = rest.partition("].")
        if not number.isdigit() or not number.isascii() or not below:
            raise RuleError(f'"{name}" names no device; write {head}[512].soc, the number being its instance')
        return self._device_point(Device(head, int(number)), below.replace(".", "/"))

    def _device_point(self, device: Device, name: str) -> tuple[Point, Type]:
        points = self._names.points
        if not points.is_class(device.kind):
            near = nearest(device.kind, points.class_names())
            advice = f'; did you mean "{near}"?' if near else ""
            raise RuleError(f'there is no class of devices "{device.kind}"{advice}')
        if (device.kind, name) in self._names.records or name == "stale":
            raise RuleError(_COMPUTED)
        known = _ONLINE if name == "online" else points.of_class(device.kind, name)
        if known is None:
            advice = points.like_class(device.kind, name)
            raise RuleError(f"no {device.kind} has the point {name.replace('/', '.')}{advice}")
        group = "presence" if name == "online" else device.path
        return live_point(f"{device.path}/{name}", device, group), known.type

    def _no_site_point(self, topic: str) -> str:
        head, _, rest = topic.partition("/")
        if (None, topic) in self._names.records or topic == "site/stale":
            return _COMPUTED
        if head == "input":
            return f'there is no input "{rest}"; name it under inputs, with its type'
        points = self._names.points
        if points.is_class(head) and points.of_class(head, rest):
            return f"that is a point of a device; write {head}[0].{rest.replace('/', '.')}"
        return f"there is no site point {topic.replace('/', '.')}{points.like_site(topic)}"

    # -- what is expected -------------------------------------------------------------------------------------------

    def _want(self, key: str, index: int, data: Mapping[str, Any], lasts_s: float) -> Want:
        path = (key, index)
        at_s = self._at((*path, "at"), data["at"], lasts_s) if "at" in data else None
        name = self._alert(data["alert"], (*path, "alert"))
        fields = {key: value for key, value in data.items() if key not in ("at", "alert", "event")}
        for field in ("value", "peak"):
            if fields.get(field) == "_":
                fields[field] = None
        return Want(at_s, name, data["event"], fields)

    def _want_point(self, index: int, data: Mapping[str, Any], lasts_s: float) -> WantPoint | None:
        path: Path_ = ("expect_points", index)
        at_s = self._at((*path, "at"), data["at"], lasts_s)
        head, _, rest = data["point"].partition("[")
        number, _, below = rest.partition("].")
        name = (below or data["point"]).replace(".", "/")
        spec = self._names.records.get((head, name) if rest else (None, name))
        if spec is None:
            self._fault((*path, "point"), self._no_record(data["point"]))
            return None
        value: Value | None = None
        try:
            value, _ = read_value(_text(data["value"]), type_of(spec))
        except RuleError as error:
            self._fault((*path, "value"), error.message)
        return WantPoint(at_s, f"{head}/{number}/{name}" if rest else name, value, data.get("within"))

    def _no_record(self, name: str) -> str:
        known = [_dotted(each, record) for each, record in self._names.records]
        near = nearest(name, known)
        advice = f'did you mean "{near}"?' if near else f"there are {', '.join(known) or 'none'}"
        return f'the pack has no record "{name}"; {advice}'

    def _at(self, path: Path_, written: Any, lasts_s: float) -> float:
        at_s = duration_s(str(written)) or 0.0
        if at_s > lasts_s:
            self._fault(path, f"the test is over by then: it lasts {lasts_s:g}s; prolong it with `lasts`")
        return at_s


def _read_together(lanes: Sequence[Lane]) -> tuple[Lane, ...]:
    """Return the lanes with their groups: a device is read at once, or path by path when a test leaves one unread."""
    by_path = {lane.point.group for lane in lanes if not all(cell.is_read for cell in lane.cells)}
    return tuple(
        (
            lane._replace(point=lane.point._replace(group=f"{lane.point.group}@{lane.point.name}"))
            if lane.point.group in by_path
            else lane
        )
        for lane in lanes
    )


def _dotted(each: str | None, name: str) -> str:
    dotted = name.replace("/", ".")
    return f"{each}[512].{dotted}" if each else dotted


def _text(item: str | float | bool) -> str:
    """Return a value as it was written."""
    return str(item).lower() if isinstance(item, bool) else str(item)
