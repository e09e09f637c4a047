"""What a D-Bus path means: an allow-list from (class, path) to a point.

A row's path and point are templates: `/Ac/Out/{phase}/V` -> `ac_out/{phase}/voltage`. A placeholder in the path
captures text, the point takes it over in the order of appearance, in snake case. Rows of the document `any` hold
for every class; a class's own row wins. A class with `singleton: true` has no instance level and its points are
named from the site down.

Documents come from `bridge/catalogue/*.yaml` (see `schemas/catalogue.schema.json`), already validated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from bridge.model import Kind, PointSpec, Tier

Document = Mapping[str, Any]

ALARM_LABELS = {0: "ok", 1: "warning", 2: "alarm"}
BOOL_LABELS = {0: "false", 1: "true"}
_PRECISION_BY_UNIT = {"V": 2, "A": 2, "W": 1, "VA": 1, "Hz": 2, "%": 1, "°C": 1, "kWh": 2, "Ah": 1, "s": 0, "min": 0}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NAME = r"([A-Za-z0-9_]{1,64})"
_NUMBER = r"(\d{1,5})"
_PATTERNS = {
    "phase": r"(L[123])",
    "n": _NUMBER,
    "input": _NUMBER,
    "tracker": _NUMBER,
    "device": _NUMBER,
    "day": _NUMBER,
    "slot": _NUMBER,
    "distributor": r"([A-H])",
    "generator": r"(Generator\d|FischerPanda\d)",
}
# What a service whose root cannot be listed is asked for, leaf by leaf.
_GUESSES = {
    "phase": ("L1", "L2", "L3"),
    "input": ("1", "2"),
    "tracker": ("0", "1", "2", "3"),
    "device": ("0", "1", "2"),
    "n": ("0", "1"),
    "day": ("0", "1"),
}
_LETTERS = {"V": "voltage", "I": "current", "P": "power", "S": "apparent_power", "F": "frequency"}


def snake_case(text: str) -> str:
    """Return `text` in lower snake case: `MaxCellVoltage` -> `max_cell_voltage`, `Power assist` -> `power_assist`."""
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", text)
    text = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text)
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def point_name(path: str) -> str:
    """Return the name that topics.md section 6 gives a D-Bus path for which no row fixes one.

    `/Dc/0/Voltage` -> `dc/0/voltage`, `/Ac/Out/L1/V` -> `ac_out/l1/voltage` is a row's choice and not derived here.
    """
    levels = [part for part in path.split("/") if part]
    return "/".join(_LETTERS.get(level) or snake_case(level) or "x" for level in levels)


class ClassSpec:
    """All rows of one D-Bus class, and the answer to "what is this path?"."""

    def __init__(self, name: str, singleton: bool, rows: Iterable[PointSpec]) -> None:
        self.name = name
        self.singleton = singleton
        self._exact: dict[str, PointSpec] = {}
        self._templates: dict[str, list[tuple[re.Pattern[str], PointSpec]]] = {}
        for spec in rows:
            self._add(spec)

    def _add(self, spec: PointSpec) -> None:
        path = spec.path[1:]
        if "{" not in path:
            self._exact[path] = spec
            return
        first = path.partition("/")[0]
        index = "" if "{" in first else first
        self._templates.setdefault(index, []).insert(0, (_path_pattern(path), spec))

    def resolve(self, path: str) -> tuple[PointSpec, str] | None:
        """Return the row of `path` (no leading slash) and its point with placeholders filled, or None if unknown."""
        spec = self._exact.get(path)
        if spec is not None:
            return spec, spec.point
        for index in (path.partition("/")[0], ""):
            for pattern, row in self._templates.get(index, ()):
                match = pattern.fullmatch(path)
                if match:
                    return row, fill(row.point, match.groups())
        return None

    def rows(self) -> Iterator[PointSpec]:
        """Yield every row, own rows and those of any class."""
        yield from self._exact.values()
        for group in self._templates.values():
            for _, spec in group:
                yield spec

    def known_leafs(self) -> list[tuple[str, Tier]]:
        """Return the paths (no leading slash) worth asking one by one when the service cannot be listed."""
        return [(path, spec.tier) for spec in self.rows() for path in _guesses(spec.path[1:])]


class Catalogue:
    """Every class the project knows. Immutable once built; classes are built when first asked for."""

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self._documents = documents
        self._enums: Mapping[str, Any] = documents.get("enums", {}).get("enums", {})
        self._classes: dict[str, ClassSpec] = {}

    def class_names(self) -> list[str]:
        return sorted(name for name in self._documents if name not in ("any", "enums"))

    def get(self, name: str) -> ClassSpec:
        """Return the rows of class `name`; a class that the catalogue does not know has those of `any` only."""
        spec = self._classes.get(name)
        if spec is None:
            spec = self._classes[name] = self._build(name)
        return spec

    def _build(self, name: str) -> ClassSpec:
        document = self._documents.get(name, {})
        singleton = bool(document.get("singleton", False))
        rows: dict[str, PointSpec] = {}
        for path, row in self._documents.get("any", {}).get("points", {}).items():
            spec = self._row(path, row)
            rows[path] = spec._replace(point=f"{name}/{spec.point}") if singleton else spec
        for path, row in document.get("points", {}).items():
            rows[path] = self._row(path, row)
        return ClassSpec(name, singleton, (spec for spec in rows.values() if spec.point or spec.fields))

    def _row(self, path: str, row: Mapping[str, Any]) -> PointSpec:
        kind = Kind(row["kind"])
        unit = row.get("unit", "")
        precision = row.get("precision", _PRECISION_BY_UNIT.get(unit, 2) if kind is Kind.FLOAT else 0)
        return PointSpec(
            kind=kind,
            point=row.get("point", "") if not row.get("not_on_device") else "",
            path=path,
            unit=unit,
            labels=self._labels(kind, row.get("labels")),
            tier=Tier(row.get("tier", "extended")),
            precision=precision,
            deadband=row.get("deadband", 0.0),
            invalid=tuple(row.get("invalid", ())),
            about=row.get("about", ""),
            ha_class=row.get("ha_class", ""),
            ha_state=row.get("ha_state", ""),
            fields=tuple((tuple(part["at"]), self._row(path, part)) for part in row.get("fields", ())),
        )

    def _labels(self, kind: Kind, labels: Any) -> Mapping[int, str]:
        if isinstance(labels, str):
            labels = self._enums[labels]
        if labels is None:
            return ALARM_LABELS if kind is Kind.ALARM else BOOL_LABELS if kind is Kind.BOOL else {}
        return {int(number): label for number, label in labels.items()}

    def sums(self) -> Mapping[str, tuple[str, ...]]:
        """Return the site points that are sums of others: name -> templates of the parts."""
        return {name: tuple(parts) for name, parts in self._documents.get("system", {}).get("sums", {}).items()}

    def site_points(self) -> Iterator[PointSpec]:
        """Yield the rows of all classes without an instance level."""
        for name in self.class_names():
            if self._documents[name].get("singleton"):
                yield from self.get(name).rows()


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


def fill(template: str, captured: Iterable[str]) -> str:
    """Return `template` with its placeholders replaced, in order, by the captured texts.

    CamelCase becomes snake_case; what is no CamelCase (`HQ2308C9WMH_input_1`, `L1`) is only lowered.
    """
    texts = iter(captured)
    return _PLACEHOLDER.sub(lambda match: _level(next(texts)), template)


def _level(text: str) -> str:
    return snake_case(text) if re.search(r"[a-z][A-Z]", text) else text.lower()


def point_pattern(template: str) -> re.Pattern[str]:
    """Return a pattern that matches every name which `template` can give."""
    pieces = _PLACEHOLDER.split(template)
    return re.compile(
        "".join(_name_pattern(piece) if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
    )


def _name_pattern(placeholder: str) -> str:
    if placeholder == "phase":
        return "l[123]"
    return r"\d+" if _PATTERNS.get(placeholder) == _NUMBER else "[a-z0-9_]+"


def _path_pattern(path: str) -> re.Pattern[str]:
    pieces = _PLACEHOLDER.split(path)
    return re.compile(
        "".join(_PATTERNS.get(piece, _NAME) if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
    )


def _guesses(path: str) -> list[str]:
    match = _PLACEHOLDER.search(path)
    if match is None:
        return [path]
    filled = (path[: match.start()] + value + path[match.end() :] for value in _GUESSES.get(match.group(1), ()))
    return [guess for one in filled for guess in _guesses(one)]
