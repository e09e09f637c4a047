"""Path and point templates: how `/Ac/Out/{phase}/V` matches `Ac/Out/L1/V` and names `ac_out/l1/voltage`.

Matching walks level by level and takes literal text before a placeholder, and the narrower placeholder before the
wider one. A path that no template allows is None, whatever it holds: what reaches a topic was captured by one of
the patterns below, and none of them lets `/ + # $`, spaces or control characters through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from bridge.model import PointSpec

Leaf = tuple[PointSpec, str]
"""A row and its point, placeholders filled; inside the tree, the point's template."""

MAX_PATH = 256  # characters; the longest path of a real GX has about 90
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NUMBER = "[0-9]{1,5}"
# Names of sensors, inputs and stored devices. Twelve hex digits on their own are a MAC address: never in a topic.
_NAME = r"(?!(?:\w*_)?[0-9A-Fa-f]{12}(?:_|\Z))[A-Za-z0-9_]{1,64}"
_PATTERNS = {
    "phase": "L[123]",
    "n": _NUMBER,
    "input": _NUMBER,
    "tracker": _NUMBER,
    "device": _NUMBER,
    "day": _NUMBER,
    "slot": _NUMBER,
    "distributor": "[A-H]",
    "generator": "(?:Generator|FischerPanda)[0-9]",
}
_POINT_PATTERNS = {
    "phase": "l[123]",
    "distributor": "[a-h]",
    "generator": "(?:generator|fischer_panda)[0-9]",
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


class PathTree:
    """Rows whose path has placeholders, one branch per level."""

    __slots__ = ("_leaf", "_literals", "_templates")

    def __init__(self) -> None:
        self._leaf: Leaf | None = None
        self._literals: dict[str, PathTree] = {}
        self._templates: list[tuple[str, PathTree]] = []

    def add(self, path: str, leaf: Leaf) -> None:
        """Add the row of the template `path` (no leading slash); a later row of the same path wins."""
        node = self
        for level in path.split("/"):
            node = node._branch(level)
        node._leaf = leaf

    def _branch(self, level: str) -> PathTree:
        if "{" not in level:
            return self._literals.setdefault(level, PathTree())
        for known, branch in self._templates:
            if known == level:
                return branch
        branch = PathTree()
        self._templates.append((level, branch))
        self._templates.sort(key=_width)
        return branch

    def find(self, path: str) -> Leaf | None:
        """Return the row whose template matches `path` (no leading slash), its point filled; None if there is none."""
        if len(path) > MAX_PATH:
            return None
        return self._find(path.split("/"), 0, ())

    def _find(self, levels: list[str], at: int, captured: tuple[str, ...]) -> Leaf | None:
        if at == len(levels):
            return self._leaf and (self._leaf[0], fill(self._leaf[1], captured))
        branch = self._literals.get(levels[at])
        found = branch._find(levels, at + 1, captured) if branch is not None else None
        if found is not None:
            return found
        for template, branch in self._templates:
            match = _level_pattern(template).fullmatch(levels[at])
            found = branch._find(levels, at + 1, captured + match.groups()) if match else None
            if found is not None:
                return found
        return None


def _width(branch: tuple[str, PathTree]) -> tuple[int, bool]:
    """Sort key: more literal text first, then numbers before names."""
    level = branch[0]
    literal = _PLACEHOLDER.sub("", level)
    return -len(literal), not all(name in _PATTERNS for name in _PLACEHOLDER.findall(level))


@cache
def _level_pattern(level: str) -> re.Pattern[str]:
    pieces = _PLACEHOLDER.split(level)
    return re.compile(
        "".join(
            f"({_PATTERNS.get(piece, _NAME)})" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)
        )
    )


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
    return _POINT_PATTERNS.get(placeholder) or (_NUMBER if _PATTERNS.get(placeholder) == _NUMBER else "[a-z0-9_]+")


def guesses(path: str) -> list[str]:
    """Return the concrete paths of a template that most devices have; none where a name cannot be guessed."""
    match = _PLACEHOLDER.search(path)
    if match is None:
        return [path]
    filled = (path[: match.start()] + value + path[match.end() :] for value in _GUESSES.get(match.group(1), ()))
    return [guess for one in filled for guess in guesses(one)]
