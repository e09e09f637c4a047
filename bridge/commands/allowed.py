"""What of a page may be written to a file that people will send around: nothing that looks like a secret, ever."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bridge.core.catalogue import Catalogue
from bridge.core.devices import class_of
from bridge.core.values import looks_secret, parse_json, without_secrets
from bridge.model import Page

_WITHHELD = object()


class Allowed:
    """Picks the values of pages. A JSON value, or a JSON text, is written without the parts that look secret."""

    def __init__(self, catalogue: Catalogue, is_all: bool) -> None:
        self._catalogue = catalogue
        self._is_all = is_all
        self._is_known: dict[tuple[str, str], bool] = {}
        self._withheld: set[tuple[str, str]] = set()

    def values(self, page: Page) -> dict[str, Any]:
        """Return the leafs of `page` that may be written."""
        kind = class_of(page.service) or ""
        found = {}
        for path, raw in page.values.items():
            is_known = self._knows(kind, path)
            if not is_known and not self._is_all:
                continue
            clean = _clean("" if is_known else path, raw)
            if clean is _WITHHELD:
                self._withheld.add((kind, path))
            else:
                found[path] = clean
        return found

    def left_out(self) -> Mapping[str, int]:
        """Return how many paths were left out, by why."""
        unknown = 0 if self._is_all else sum(not is_known for is_known in self._is_known.values())
        return {"paths that are no point": unknown, "that look like a secret": len(self._withheld)}

    def _knows(self, kind: str, path: str) -> bool:
        is_known = self._is_known.get((kind, path))
        if is_known is None:
            is_known = self._catalogue.get(kind).resolve(path) is not None
            self._is_known[kind, path] = is_known
        return is_known


def _clean(path: str, raw: Any) -> Any:
    """Return `raw` as it may be written. `path` is "" where the catalogue allows it: then only the value counts."""
    if path and looks_secret(path, ""):
        return _WITHHELD
    try:
        if isinstance(raw, list | dict):
            return without_secrets(raw)
        if not isinstance(raw, str) or not looks_secret("", raw):
            return raw
        tree = parse_json(raw)
        return _WITHHELD if tree is None else json.dumps(without_secrets(tree))
    except RecursionError:
        return _WITHHELD
