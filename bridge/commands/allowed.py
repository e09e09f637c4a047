"""What of a page may be written to a file that people will send around: nothing that looks like a secret, ever.

Law: of a JSON value whose parts are points, those parts are written and nothing else, so that a replay gives the same
points. Any other JSON is written without what looks secret, map keys included: connman names Wi-Fi services by MAC
and SSID.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import dropwhile
from typing import Any, NamedTuple

from bridge.core.catalogue import Catalogue
from bridge.core.devices import class_of
from bridge.core.values import looks_secret, parse_json, without_secrets
from bridge.model import Kind, Page, PointSpec

_WITHHELD = object()
_SECRET_NAME = re.compile(r"[0-9a-f]{12}|wifi_", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"(?:wifi|ethernet)_[0-9a-f]{12}", re.IGNORECASE)


class _Part(NamedTuple):
    """A point inside a JSON value: where it stands there, and its kind."""

    way: tuple[str | int, ...]
    kind: Kind


class Allowed:
    """Picks the values of pages, and the parts of JSON values."""

    def __init__(self, catalogue: Catalogue, is_all: bool) -> None:
        self._catalogue = catalogue
        self._is_all = is_all
        self._rows: dict[tuple[str, str], PointSpec | None] = {}
        self._withheld: set[tuple[str, str]] = set()

    def values(self, page: Page) -> dict[str, Any]:
        """Return the leafs of `page` that may be written."""
        kind = class_of(page.service) or ""
        found = {}
        for path, raw in page.values.items():
            row = self._row(kind, path)
            if row is None and not self._is_all:
                continue
            clean = _parts(row, raw) if row is not None and row.fields else _clean("" if row else path, raw)
            if clean is _WITHHELD:
                self._withheld.add((kind, path))
            else:
                found[path] = clean
        return found

    def left_out(self) -> Mapping[str, int]:
        """Return how many paths were left out, by why."""
        unknown = 0 if self._is_all else sum(row is None for row in self._rows.values())
        return {"paths that are no point": unknown, "that look like a secret": len(self._withheld)}

    def _row(self, kind: str, path: str) -> PointSpec | None:
        if (kind, path) not in self._rows:
            found = self._catalogue.get(kind).resolve(path)
            self._rows[kind, path] = found[0] if found else None
        return self._rows[kind, path]


# -- parts of a JSON value --------------------------------------------------------------------------------------------


def _parts(row: PointSpec, raw: Any) -> Any:
    """Return a JSON value with the parts that are points of `row`, in the form in which it came."""
    tree = parse_json(raw)
    if tree is None:  # a text that is cut off may hold anything
        return _WITHHELD if isinstance(raw, str) and raw else raw
    parts = [_Part(way, part.kind) for way, part in row.fields]
    try:
        kept = _picked(tree, parts)
    except RecursionError:
        return _WITHHELD
    return json.dumps(kept) if isinstance(raw, str) else kept


def _picked(tree: Any, parts: list[_Part]) -> Any:
    """Return `tree` with nothing but `parts`, found as `values.pick` finds them; items of lists keep their place."""
    ends = [part.kind for part in parts if not part.way]
    if ends:
        return _end(tree, ends)
    if isinstance(tree, list):
        size = len(tree)
        return [_item(item, [part for part in parts if part.way[0] in (i, i - size)]) for i, item in enumerate(tree)]
    # Where there is no list, an index is skipped.
    parts = [part._replace(way=tuple(dropwhile(_is_index, part.way))) for part in parts]
    ends = [part.kind for part in parts if not part.way]
    if ends:
        return _end(tree, ends)
    if not isinstance(tree, dict):
        return []
    names = dict.fromkeys(str(part.way[0]) for part in parts)
    return {name: _below(tree[name], parts, name) for name in names if name in tree}


def _is_index(step: str | int) -> bool:
    return isinstance(step, int)


def _item(item: Any, parts: list[_Part]) -> Any:
    return _picked(item, [part._replace(way=part.way[1:]) for part in parts]) if parts else None


def _below(tree: Any, parts: list[_Part], name: str) -> Any:
    return _picked(tree, [part._replace(way=part.way[1:]) for part in parts if part.way[0] == name])


def _end(value: Any, kinds: list[Kind]) -> Any:
    """Return the value of a part. A list or map is one for a part of that kind only; for others it is no value."""
    if isinstance(value, list | dict) and Kind.JSON not in kinds:
        return []
    return _without_secrets(value)


# -- whole values -----------------------------------------------------------------------------------------------------


def _clean(path: str, raw: Any) -> Any:
    """Return `raw` as it may be written. `path` is "" where the catalogue allows it: then only the value counts."""
    if path and looks_secret(path, ""):
        return _WITHHELD
    try:
        if isinstance(raw, list | dict):
            return _without_secrets(raw)
        if not isinstance(raw, str):
            return raw
        tree = parse_json(raw) if raw.lstrip()[:1] in ("{", "[") else None
        if tree is None:
            return _WITHHELD if looks_secret("", raw) or _SECRET_TEXT.search(raw) else raw
        clean = _without_secrets(tree)
    except RecursionError:
        return _WITHHELD
    return raw if clean == tree else json.dumps(clean)


def _without_secrets(tree: Any) -> Any:
    """Return a JSON tree as `values.without_secrets` does, and without the names that connman gives to services."""
    return without_secrets(_without_names(tree))


def _without_names(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_names(value) for key, value in tree.items() if not _SECRET_NAME.search(key)}
    if isinstance(tree, list):
        return [_without_names(item) for item in tree]
    return None if isinstance(tree, str) and _SECRET_TEXT.search(tree) else tree
