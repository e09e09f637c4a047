"""The list of leafs of a service, written compactly: one line per path, braces for what repeats.

    Ac/Out/{L1,L2,L3}/{V,I,P}            three times three leafs without a value
    Devices/{0..2}/ProductId = 9763      a JSON value; without `=` the leaf has none (`[]`)

Lines may be indented; empty lines and lines that start with `#` do not count.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

_BRACES = re.compile(r"\{([^{}]*)\}")


def leafs(text: str) -> dict[str, Any]:
    """Return path (no leading slash) -> value for every line of `text`, in the order of the lines."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        pattern, equals, value = line.strip().partition(" = ")
        if not pattern or pattern.startswith("#"):
            continue
        for path in expand(pattern):
            found[path] = json.loads(value) if equals else []
    return found


def expand(pattern: str) -> list[str]:
    """Return the paths that `pattern` stands for: `A/{0..1}/{x,y}` gives four."""
    pieces = _BRACES.split(pattern)
    choices = [_choices(piece) if index % 2 else [piece] for index, piece in enumerate(pieces)]
    return ["".join(parts) for parts in itertools.product(*choices)]


def _choices(text: str) -> list[str]:
    first, dots, last = text.partition("..")
    return [str(number) for number in range(int(first), int(last) + 1)] if dots else text.split(",")
