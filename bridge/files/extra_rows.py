"""Catalogue rows for paths that only a quick-reference document knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bridge.core.paths import fill, point_name, snake_case
from bridge.model import PointSpec

TYPES = {
    "float": "float",
    "double": "float",
    "number": "float",
    "int": "int",
    "integer": "int",
    "bool": "bool",
    "boolean": "bool",
    "string": "string",
    "str": "string",
    "text": "string",
    "json": "json",
}
UNITS = {"C": "°C", "degC": "°C", "bytes": "B", "unix_timestamp": "", "percent": "%", "seconds": "s"}
_TIERS = ((10.0, "critical"), (60.0, "extended"), (300.0, "health"))


def row_of(written: str, entry: Mapping[str, Any], interval_s: float | None) -> dict[str, Any] | None:
    """Return a row in the form of the catalogue's documents, or None when the entry's type is none of TYPES.

    Args:
        written: the D-Bus path.
        entry: the document's entry.
        interval_s: how often it wants to be read; the tier follows from it.
    """
    kind = TYPES.get(str(entry.get("type", "float")).lower())
    if kind is None:
        return None
    tier = next((tier for limit, tier in _TIERS if (interval_s or 60.0) <= limit), "static")
    row: dict[str, Any] = {"point": point_name(written), "kind": kind, "tier": tier}
    labels = entry.get("enum")
    if isinstance(labels, dict) and all(re.fullmatch(r"-?\d{1,9}", number) for number in labels):
        row |= {"kind": "enum", "labels": {number: snake_case(str(text)) for number, text in labels.items()}}
    unit = entry.get("unit")
    if isinstance(unit, str) and UNITS.get(unit, unit):
        row["unit"] = UNITS.get(unit, unit)
    row["about"] = str(entry.get("description", "")) or "Added by the user"
    return row


def extended(documents: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the catalogue's documents with more rows; a class that is new gets a document."""
    result = dict(documents)
    for kind, points in rows.items():
        old = result.get(kind) or {"class": kind, "title": kind, "singleton": False, "points": {}}
        result[kind] = {**old, "points": {**old.get("points", {}), **points}}
    return result


def points_of(spec: PointSpec, point: str, written: str) -> list[str]:
    """Return the points of a row: of one whose value has parts, the parts', filled as the written path fills it."""
    if not spec.fields:
        return [point]
    match = re.fullmatch(re.sub(r"\\{\w+\\}", "([A-Za-z0-9_]+)", re.escape(spec.path)), written)
    return [fill(part.point, match.groups() if match else ()) for _, part in spec.fields]
