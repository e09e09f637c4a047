"""A quick-reference document: a JSON file of D-Bus paths with intervals and thresholds, made part of a site.

Its entries may stand in any section, as a map by name or a list. What comes of one: a catalogue row when the path is
not known yet, an interval for its point, and alerts for its thresholds, collected in one rule pack named after the
file. Law: every key of an entry is understood, or told: what stops an entry from meaning something is an error, what
has no effect here is a warning. A threshold is the user's own choice and is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bridge.core.catalogue import Catalogue, replacements
from bridge.core.nearest import nearest
from bridge.core.paths import snake_case
from bridge.core.values import looks_secret
from bridge.errors import ConfigError
from bridge.files import address, extra_limits, json_text, yaml_text
from bridge.files.extra_pack import PackWriter, Subject
from bridge.files.extra_rows import TYPES, UNITS, extended, points_of, row_of
from bridge.files.extra_trigger import parse_trigger
from bridge.files.schema import key_path, place
from bridge.files.yaml_text import Document, Marks, Path_
from bridge.model import Kind, PointSpec

_DEPTH = 4  # sections, groups, lists
_INTERVALS = ("poll_interval_seconds", "poll_interval", "polling_frequency_seconds")
_PROSE = frozenset(["service", "path", "name", "description", "note", "type", "unit", "priority", "example_value"])
_RULE_KEYS = frozenset(["trigger", "severity", "action"])
_SEVERITIES = {"major": "critical", "error": "critical", "minor": "warning", "warn": "warning"}
_CLASS = re.compile(r"[a-z][a-z0-9]*")


class Extra(NamedTuple):
    """What one file adds. `pack` is None when it holds no threshold; `marks` are the pack's, into the file."""

    file: str
    rows: dict[str, dict[str, dict[str, Any]]]  # class -> path -> row
    points_s: dict[str, float]  # dotted point -> interval
    pack: dict[str, Any] | None
    marks: Marks
    errors: list[ConfigError]
    warnings: list[ConfigError]


def load_extra(path: Path, documents: Mapping[str, Any]) -> Extra:
    """Return what a quick-reference file adds to the catalogue's documents; faults are in `errors`."""
    try:
        document = json_text.load(yaml_text.read(path), str(path))
    except ConfigError as error:
        return Extra(str(path), {}, {}, None, {}, [error], [])
    return _Reader(document, documents).read()


class _Reader:
    def __init__(self, document: Document, documents: Mapping[str, Any]) -> None:
        self._document = document
        self._documents = documents
        self._catalogue = Catalogue(documents)
        self._absent = {(row.kind, row.path): row.instead for row in replacements(documents)}
        stem = snake_case(Path(document.file).stem) or "extra"
        self._pack = PackWriter(stem if stem[0].isalpha() else f"extra_{stem}", Path(document.file).name)
        self._extra = Extra(document.file, {}, {}, None, {}, [], [])

    def read(self) -> Extra:
        data = self._document.data
        if not isinstance(data, dict):
            self._error((), "this must be a map of sections, each with entries that have a service and a path")
            return self._extra
        entries = list(_entries(data, (), ""))
        for path, name, entry in entries:
            self._entry(path, name, entry)
        if not entries:
            self._error((), "no entry has a service and a path")
        pack, marks = self._pack.document()
        return self._extra._replace(pack=pack, marks=marks)

    def _entry(self, path: Path_, name: str, entry: Mapping[str, Any]) -> None:
        kind = self._class_of(path, entry)
        if kind is None:
            return
        interval_s = self._interval(path, entry)
        if entry.get("path") == "/":
            self._warning((*path, "path"), "services are always read whole; entries for their root have no effect")
            return
        spec_point = self._point(path, kind, entry, interval_s)
        if "trigger" in entry:
            self._trigger(path, name, kind, entry, spec_point)
        elif spec_point is not None:
            self._thresholds(path, name, kind, entry, spec_point, interval_s)
        elif not self._is_told(path):
            self._error((*path, "path"), "this is no D-Bus path; write it like /Dc/0/Voltage")
        if spec_point is not None and interval_s is not None:
            for point in points_of(*spec_point, str(entry.get("path"))):
                dotted = self._subject(kind, point).dotted
                self._extra.points_s[dotted] = min(interval_s, self._extra.points_s.get(dotted, interval_s))

    def _class_of(self, path: Path_, entry: Mapping[str, Any]) -> str | None:
        service = entry.get("service")
        if not isinstance(service, str):
            self._error(path, 'the key "service" is missing; give a D-Bus service such as com.victronenergy.system')
            return None
        kind = service.removeprefix("com.victronenergy.").partition(".")[0]
        is_foreign = "." in service and not service.startswith("com.victronenergy.")
        if is_foreign or not _CLASS.fullmatch(kind):
            self._error((*path, "service"), f'"{service}" is no D-Bus service such as com.victronenergy.battery')
            return None
        known = self._catalogue.class_names()
        if kind not in known:
            meant = nearest(kind, known)
            advice = f'; did you mean "{meant}"?' if meant else ""
            self._warning((*path, "service"), f'no class is called "{kind}" in the catalogue{advice}')
        return kind

    def _interval(self, path: Path_, entry: Mapping[str, Any]) -> float | None:
        for key in _INTERVALS:
            if key not in entry:
                continue
            value = entry[key]
            try:
                seconds = address.duration_s(value) if isinstance(value, (int, float, str)) else 0.0
            except ValueError:
                seconds = 0.0
            if isinstance(value, bool) or not 1 <= seconds <= 604_800:
                self._error((*path, key), "this must be 1 or more seconds, a week at most")
                return None
            return seconds
        return None

    # -- points ---------------------------------------------------------------------------------------------------

    def _point(
        self, path: Path_, kind: str, entry: Mapping[str, Any], interval_s: float | None
    ) -> tuple[PointSpec, str] | None:
        """Return row and point of an entry's path; a path that is not known becomes a row."""
        written = entry.get("path")
        if not isinstance(written, str) or not re.fullmatch(r"(/[A-Za-z0-9_]+)+", written):
            return None
        instead = self._absent.get((kind, written))
        if instead:
            self._warning((*path, "path"), f"no device has {written}: {instead}")
            return None
        found = self._catalogue.get(kind).resolve(written[1:])
        if found is not None:
            self._compare_unit(path, entry, found[0])
            return found
        if "trigger" in entry:  # the names in the trigger say which points are meant
            return None
        if looks_secret(written, None) or self._is_secret(kind, written):
            self._error((*path, "path"), f"{written} looks like a secret; such paths are never read")
            return None
        row = row_of(written, entry, interval_s)
        if row is None:
            self._error((*path, "type"), f"this must be one of {', '.join(TYPES)}")
            return None
        self._extra.rows.setdefault(kind, {})[written] = row
        self._extend(kind, written, row)
        return self._catalogue.get(kind).resolve(written[1:])

    def _is_secret(self, kind: str, written: str) -> bool:
        row = self._documents.get(kind, {}).get("points", {}).get(written, {})
        return bool(row.get("secret"))

    def _extend(self, kind: str, written: str, row: dict[str, Any]) -> None:
        self._documents = extended(self._documents, {kind: {written: row}})
        self._catalogue = Catalogue(self._documents)

    def _compare_unit(self, path: Path_, entry: Mapping[str, Any], spec: PointSpec) -> None:
        unit = entry.get("unit")
        if isinstance(unit, str) and UNITS.get(unit, unit) not in (spec.unit, ""):
            have = f"in {spec.unit}" if spec.unit else "without a unit"
            self._warning(
                (*path, "unit"), f'"{unit}" has no effect: the value comes {have}, and so are thresholds meant'
            )

    def _subject(self, kind: str, point: str) -> Subject:
        return Subject(None if self._catalogue.get(kind).singleton else kind, point)

    # -- thresholds -----------------------------------------------------------------------------------------------

    def _thresholds(
        self,
        path: Path_,
        name: str,
        kind: str,
        entry: Mapping[str, Any],
        spec_point: tuple[PointSpec, str],
        interval_s: float | None,
    ) -> None:
        spec, point = spec_point
        found = extra_limits.limits(entry, spec.kind, point)
        for key, message in found.problems:
            self._error((*path, key), message)
        self._tell_unused(path, entry, found.used | _PROSE | {"action"} | set(_INTERVALS) | self._enum_key(kind, entry))
        subject = self._subject(kind, point)
        for limit in [] if found.problems else found.limits:
            condition = self._pack.condition((subject,), "", spec, limit.sign, limit.value)
            if condition is None:
                self._error((*path, limit.key), f"a value of kind {spec.kind.value} cannot be compared with a number")
                continue
            self._write(path, limit.key, f"{name}_{limit.name}", (subject,), condition, limit, spec, entry, interval_s)

    def _trigger(
        self,
        path: Path_,
        name: str,
        kind: str,
        entry: Mapping[str, Any],
        spec_point: tuple[PointSpec, str] | None,
    ) -> None:
        self._tell_unused(path, entry, _PROSE | _RULE_KEYS | set(_INTERVALS))
        severity = str(entry.get("severity", "warning")).lower()
        severity = _SEVERITIES.get(severity, severity)
        if severity not in extra_limits.SEVERITIES:
            self._error((*path, "severity"), "this must be critical, warning or info")
            return
        trigger = parse_trigger(str(entry["trigger"]))
        found = [self._named(kind, one, spec_point) for one in trigger.names] if trigger else []
        if trigger is None or None in found:
            message = f'"{entry["trigger"]}" makes no alert: only comparisons of the path with numbers are understood; '
            self._warning((*path, "trigger"), message + "write it as a rule in a pack of your own")
            return
        points = [one for one in found if one is not None]
        subjects = tuple(self._subject(kind, point) for _, point in points)
        for sign, value in trigger.comparisons:
            if points[0][0].kind is Kind.TIMESTAMP and sign in (">", ">="):
                sign = "age"
            condition = self._pack.condition(subjects, trigger.joint, points[0][0], sign, value)
            if condition is None:
                self._error((*path, "trigger"), f"a value of kind {points[0][0].kind.value} cannot be compared so")
                return
            side = {"<": "low", "<=": "low", "age": "old"}.get(sign, "high")
            suffix = f"{severity}_{side}" if len(trigger.comparisons) > 1 else severity
            limit = extra_limits.Limit(severity, sign, value, suffix, "trigger")
            self._write(path, "trigger", f"{name}_{suffix}", subjects, condition, limit, points[0][0], entry, None)

    def _named(self, kind: str, name: str, spec_point: tuple[PointSpec, str] | None) -> tuple[PointSpec, str] | None:
        """Return the point that a name in a trigger means: the entry's own path, or the one leaf of the class."""
        wanted = snake_case(name)
        if spec_point is not None:
            spec, point = spec_point
            if wanted in (point.rpartition("/")[2], snake_case(spec.path.rpartition("/")[2])):
                return spec_point
        rows = [
            row
            for row in self._catalogue.get(kind).rows()
            if row.path.rpartition("/")[2] == name and "{" not in row.path and row.point
        ]
        return (rows[0], rows[0].point) if len(rows) == 1 else None

    def _write(
        self,
        path: Path_,
        key: str,
        name: str,
        subjects: tuple[Subject, ...],
        condition: str,
        limit: extra_limits.Limit,
        spec: PointSpec,
        entry: Mapping[str, Any],
        interval_s: float | None,
    ) -> None:
        twin = self._pack.add(
            name,
            subjects,
            condition,
            limit,
            spec,
            entry,
            min(interval_s or 0.0, 60.0),
            place(self._document, (*path, key)),
        )
        if twin:
            self._warning((*path, key), f"this says the same as the alert {twin}, which is used")

    def _enum_key(self, kind: str, entry: Mapping[str, Any]) -> set[str]:
        """Labels are used in a row that this file adds; for a known path the catalogue's hold."""
        return {"enum"} if entry.get("path") in self._extra.rows.get(kind, {}) else set()

    def _tell_unused(self, path: Path_, entry: Mapping[str, Any], used: set[str] | frozenset[str]) -> None:
        for key in entry:
            if key in used:
                continue
            if key == "enum":
                self._warning((*path, key), "the labels have no effect; the catalogue's are used")
                continue
            meant = nearest(key, _SPELLINGS)
            advice = f'; did you mean "{meant}"?' if meant else f"; thresholds are given by {extra_limits.KEYS}"
            self._warning((*path, key), f'the key "{key}" is not known and has no effect{advice}')

    def _is_told(self, path: Path_) -> bool:
        prefix = key_path(path)
        return any(fault.key.startswith(prefix) for fault in (*self._extra.errors, *self._extra.warnings))

    def _error(self, path: Path_, message: str) -> None:
        self._extra.errors.append(self._fault(path, message))

    def _warning(self, path: Path_, message: str) -> None:
        self._extra.warnings.append(self._fault(path, message))

    def _fault(self, path: Path_, message: str) -> ConfigError:
        line, column = place(self._document, path, is_key=True)
        return ConfigError(message, self._document.file, line, column, key_path(path))


_SPELLINGS = (
    *_INTERVALS,
    *("direction", "normal_range", "min_safe", "max_safe", "max_age_seconds", "trigger", "severity", "action", "enum"),
    *(f"{severity}{end}" for severity in extra_limits.SEVERITIES for end in ("", "_if", "_threshold")),
    *(f"{severity}_{side}" for severity in extra_limits.SEVERITIES for side in ("low", "high", "if_greater_than")),
    *(f"{severity}_threshold_{side}" for severity in extra_limits.SEVERITIES for side in ("low", "high", "min", "max")),
    *_PROSE,
)


def _entries(data: Any, path: Path_, name: str) -> Iterator[tuple[Path_, str, Mapping[str, Any]]]:
    """Yield (place, name, entry) of everything that has a path, however it is grouped."""
    if len(path) > _DEPTH:
        return
    if isinstance(data, dict):
        if "path" in data:
            yield path, snake_case(str(data.get("name") or name)) or "entry", data
            return
        for key, value in data.items():
            yield from _entries(value, (*path, key), key)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            named = value.get("path") if isinstance(value, dict) and isinstance(value.get("path"), str) else None
            yield from _entries(value, (*path, index), named or f"{name}_{index + 1}")
