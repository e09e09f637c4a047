"""The project's catalogue, parsed once for all tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from bridge.core.catalogue import Catalogue
from bridge.files.yaml_text import load_file

DIRECTORY = Path(__file__).parent.parent / "bridge" / "catalogue"


@cache
def documents() -> dict[str, Any]:
    """Return class -> document of every file in `bridge/catalogue`."""
    return {path.stem: load_file(path).data for path in sorted(DIRECTORY.glob("*.yaml"))}


@cache
def catalogue() -> Catalogue:
    return Catalogue(documents())
