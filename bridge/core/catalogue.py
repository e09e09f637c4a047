"""What a D-Bus path means: an allow-list from (class, path) to a point.

A row's path and point are templates: `/Ac/Out/{phase}/V` -> `ac_out/{phase}/voltage`. A placeholder in the path
captures text, the point takes it over in the order of appearance, in snake case. Rows of the document `any` hold
for every class; a class's own row wins. A class with `singleton: true` has no instance level and its points are
named from the site down.

Not every row is a point: `not_on_device` rows are named in documents but exist on no device, `secret` rows are
never read, and an `alias` is another spelling of a row that is a point.

Documents come from `bridge/catalogue/*.yaml` (see `schemas/catalogue.schema.json`), already validated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from bridge.core.paths import Leaf, PathTree, fill, guesses, point_name, point_pattern, snake_case
from bridge.model import Kind, PointSpec, Tier

__all__ = ["Catalogue", "ClassSpec", "fill", "point_name", "point_pattern", "replacements", "snake_case"]

Document = Mapping[str, Any]

MAX_UNKNOWN = 100  # classes without a document that are kept: a GX that invents names must not fill the memory
ALARM_LABELS = {0: "ok", 1: "warning", 2: "alarm"}
BOOL_LABELS = {0: "false", 1: "true"}


class _Grain(NamedTuple):
    """How fine a measured number is published: decimals, and the smallest change that is worth a message."""

    precision: int
    deadband: float


# What a row gets that states nothing of its own: fine enough for every threshold in the rules, coarse enough that
# the last digit of a noisy sensor does not fill a database.
_GRAIN_BY_UNIT = {
    "V": _Grain(2, 0.01),
    "A": _Grain(2, 0.05),
    "W": _Grain(1, 1.0),
    "VA": _Grain(1, 1.0),
    "Hz": _Grain(2, 0.01),
    "%": _Grain(1, 0.1),
    "°C": _Grain(1, 0.1),
    "kWh": _Grain(2, 0.01),
    "Ah": _Grain(1, 0.1),
    "rpm": _Grain(0, 1.0),
    "°": _Grain(1, 0.5),
    "m³": _Grain(3, 0.001),
    "kPa": _Grain(1, 0.1),
    "g": _Grain(3, 0.01),
    "km": _Grain(1, 0.1),
    "m": _Grain(1, 0.5),
    "m/s": _Grain(1, 0.1),
    "W/m²": _Grain(0, 1.0),
    "lx": _Grain(0, 1.0),
    "ppm": _Grain(0, 1.0),
    "µg/m³": _Grain(1, 0.1),
    "dBm": _Grain(0, 1.0),
}
_GRAIN_WITHOUT_UNIT = _Grain(2, 0.01)
_EXACT = _Grain(0, 0.0)


class ClassSpec:
    """All rows of one D-Bus class, and the answer to "what is this path?"."""

    def __init__(
        self, name: str, singleton: bool, rows: Iterable[PointSpec], aliases: Iterable[tuple[str, str]] = ()
    ) -> None:
        self.name = name
        self.singleton = singleton
        self._rows = {spec.path: spec for spec in rows}
        self._exact: dict[str, Leaf] = {}
        self._tree = PathTree()
        for path, spec in self._rows.items():
            self._add(path, (spec, spec.point))
        for path, target in aliases:
            self._add(path, self._target(target))

    def _add(self, path: str, leaf: Leaf) -> None:
        if "{" in path:
            self._tree.add(path[1:], leaf)
        else:
            self._exact[path[1:]] = leaf

    def _target(self, path: str) -> Leaf:
        spec = self._rows.get(path)
        leaf = (spec, spec.point) if spec is not None else self.resolve(path[1:])
        if leaf is None:
            raise KeyError(f"alias of {path}, which is no row of {self.name}")
        return leaf

    def resolve(self, path: str) -> Leaf | None:
        """Return the row of `path` (no leading slash) and its point with placeholders filled, or None if unknown."""
        return self._exact.get(path) or self._tree.find(path)

    def rows(self) -> Iterator[PointSpec]:
        """Yield every row that is a point, own rows and those of any class; aliases are no rows of their own."""
        yield from self._rows.values()

    def known_leafs(self) -> list[tuple[str, Tier]]:
        """Return the paths (no leading slash) worth asking one by one when the service cannot be listed."""
        return [(path, spec.tier) for spec in self.rows() for path in guesses(spec.path[1:])]


class Catalogue:
    """Every class the project knows. Immutable once built; classes are built when first asked for."""

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self._documents = documents
        self._classes: dict[str, ClassSpec] = {}
        self._unknown: deque[str] = deque()  # classes that no document describes, the oldest first
        self._lists: dict[str, Mapping[int, str]] = {}
        self._any_rows = self._rows_of(documents.get("any", {}))

    def class_names(self) -> list[str]:
        return sorted(name for name in self._documents if name not in ("any", "enums"))

    def get(self, name: str) -> ClassSpec:
        """Return the rows of class `name`; a class that the catalogue does not know has those of `any` only."""
        spec = self._classes.get(name)
        if spec is None:
            if name not in self._documents:
                self._unknown.append(name)
                if len(self._unknown) > MAX_UNKNOWN:
                    self._classes.pop(self._unknown.popleft(), None)  # of two threads one may have been here
            spec = self._classes[name] = self._build(name, self._documents.get(name, {}))
        return spec

    def _build(self, name: str, document: Document) -> ClassSpec:
        singleton = bool(document.get("singleton", False))
        points = document.get("points", {})
        rows = {path: spec for path, spec in self._any_rows.items() if path not in points}
        if singleton:
            rows = {path: spec._replace(point=f"{name}/{spec.point}") for path, spec in rows.items()}
        rows.update(self._rows_of(document))
        aliases = [(path, row["alias"]) for path, row in points.items() if "alias" in row]
        return ClassSpec(name, singleton, rows.values(), aliases)

    def _rows_of(self, document: Document) -> dict[str, PointSpec]:
        points = document.get("points", {})
        return {path: self._row(path, row) for path, row in points.items() if "kind" in row}

    def _row(self, path: str, row: Mapping[str, Any]) -> PointSpec:
        kind = Kind(row["kind"])
        unit = row.get("unit", "")
        grain = _GRAIN_BY_UNIT.get(unit, _GRAIN_WITHOUT_UNIT) if kind is Kind.FLOAT else _EXACT
        fields = row.get("fields")
        return PointSpec(
            kind=kind,
            point=row.get("point", ""),
            path=path,
            unit=unit,
            labels=self._labels(kind, row.get("labels")),
            tier=Tier(row.get("tier", "extended")),
            precision=row.get("precision", grain.precision),
            deadband=row.get("deadband", grain.deadband),
            invalid=tuple(row.get("invalid", ())),
            about=row.get("about", ""),
            ha_class=row.get("ha_class", ""),
            ha_state=row.get("ha_state", ""),
            fields=tuple((tuple(part["at"]), self._row(path, part)) for part in fields) if fields else (),
        )

    def _labels(self, kind: Kind, labels: Any) -> Mapping[int, str]:
        if labels is None:
            return ALARM_LABELS if kind is Kind.ALARM else BOOL_LABELS if kind is Kind.BOOL else _NO_LABELS
        if not isinstance(labels, str):
            return {int(number): label for number, label in labels.items()}
        if not self._lists:  # all at once: reading a document can mean decoding it
            for name, written in self._documents["enums"]["enums"].items():
                self._lists[name] = {int(number): label for number, label in written.items()}
        return self._lists[labels]

    def sums(self) -> Mapping[str, tuple[PointSpec, tuple[str, ...]]]:
        """Return the site points that are sums of others: name -> (what it is, point templates of its parts)."""
        written = self._documents.get("system", {}).get("sums", {})
        return {name: (self._row("", {**row, "point": name}), tuple(row["of"])) for name, row in written.items()}

    def site_points(self) -> Iterator[PointSpec]:
        """Yield the rows of all classes without an instance level."""
        for name in self.class_names():
            spec = self._classes.get(name)
            if spec is None:
                document = self._documents[name]
                if not document.get("singleton"):
                    continue
                spec = self._classes[name] = self._build(name, document)
            if spec.singleton:
                yield from spec.rows()


_NO_LABELS: Mapping[int, str] = {}


class Replacement(NamedTuple):
    """A path that documents name and no device has, with what to use instead."""

    kind: str
    path: str
    instead: str


def replacements(documents: Mapping[str, Document]) -> list[Replacement]:
    """Return the rows marked `not_on_device`: named in documents, never polled."""
    return [
        Replacement(name, path, row["not_on_device"])
        for name, document in documents.items()
        for path, row in document.get("points", {}).items()
        if row.get("not_on_device")
    ]
