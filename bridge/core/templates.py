"""Texts of alerts with places for values: "Battery at {battery.soc:.0f} %".

Between braces stands an expression, after a colon how it is written: `.0f` to `.9f` (decimals) or `duration`
("2 h 5 min"). Without one, numbers are written short. What is unknown is written `unknown`. `{{` is a brace.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from bridge.core.compile import Code
from bridge.core.expression import resolve
from bridge.core.formula import Formula, Scope
from bridge.errors import RuleError

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FORMAT = re.compile(r":\s*(\.[0-9]f|duration)\s*$")
_NO_FORMAT = re.compile(r":\s*([^:\"']*)$")
_MAX_LENGTH = 4000
_SPANS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


class Place(NamedTuple):
    """One `{…}` of a text."""

    code: Code
    format: str  # "", "duration" or ".2f"


class Template(NamedTuple):
    """A text in pieces: literal ones and places for values."""

    pieces: tuple[str | Place, ...]

    def formulas(self) -> list[Formula]:
        return [piece.code.formula for piece in self.pieces if isinstance(piece, Place)]

    def render(self, read: Callable[[Code], Any]) -> str:
        """Return the text; `read` gives the value of a place as people read it."""
        return "".join(piece if isinstance(piece, str) else _written(read(piece.code), piece) for piece in self.pieces)


def template(text: str, scope: Scope) -> Template:
    """Return the template of `text`.

    Raises:
        RuleError: a brace without its partner, a name that does not exist, a format that does not fit.
    """
    if len(text) > _MAX_LENGTH:
        raise RuleError(f"the text has {len(text)} characters, more than {_MAX_LENGTH}")
    pieces: list[str | Place] = []
    end = 0
    for match in _PIECE.finditer(text):
        pieces.append(text[end : match.start()])
        end = match.end()
        if match[1] is not None:
            pieces.append(_place(match[1], scope))
        elif len(match[0]) == 2:
            pieces.append(match[0][0])
        else:
            raise RuleError(f'"{match[0]}" has no partner; write {match[0] * 2} for the character itself')
    pieces.append(text[end:])
    return Template(tuple(piece for piece in pieces if piece))


def _place(inner: str, scope: Scope) -> Place:
    form = _FORMAT.search(inner)
    written = inner[: form.start()] if form else inner
    if not written.strip():
        raise RuleError("{} is empty; name a point, or write {{}} for the characters")
    other = None if form else _NO_FORMAT.search(inner)
    if other:
        raise RuleError(f"{{{inner}}}: there is no format {other[1].strip()}; there are .0f to .9f, and duration")
    try:
        formula = resolve(written, scope)
    except RuleError as error:
        raise RuleError(f"{{{inner}}}: {error.message}") from None
    if form and formula.root.type.name not in ("number", "any"):
        raise RuleError(f"{{{inner}}}: the format {form[1]} is for numbers, and this is none; leave it out")
    return Place(Code(formula), form[1] if form else "")


def _written(value: Any, place: Place) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if place.format == "duration":
        return duration_text(value)
    return f"{value:{place.format}}" if place.format else f"{value:.6g}"


def duration_text(seconds: float) -> str:
    """Return seconds in their two largest units: 7500 is `2 h 5 min`."""
    rest = int(abs(seconds))
    parts: list[str] = []
    for name, size in _SPANS:
        count, rest = divmod(rest, size)
        if count or (parts and len(parts) < 2) or size == 1:
            parts.append(f"{count} {name}")
    told = [part for part in parts[:2] if not part.startswith("0 ")] or parts[:1]
    return ("-" if seconds < 0 else "") + " ".join(told)
