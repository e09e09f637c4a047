"""The project's catalogue, parsed once for all tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bridge.core.catalogue import Catalogue

DIRECTORY = Path(__file__).parent.parent / "bridge" / "catalogue"


@cache
def documents() -> dict[str, Any]:
    """Return class -> document of every file in `bridge/catalogue`."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {path.stem: yaml.load(path.read_text(), loader) for path in sorted(DIRECTORY.glob("*.yaml"))}


@cache
def catalogue() -> Catalogue:
    return Catalogue(documents())
