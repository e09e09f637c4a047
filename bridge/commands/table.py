"""Columns for a terminal: aligned, cut to a width, and free of what a device's text could do to the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

WIDEST = 100  # characters of a cell; what is longer is in the JSON output


def table(header: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Return the lines of a table, the header first; no rows give no lines."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if not cells:
        return []
    cells.insert(0, list(header))
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def printable(text: str, widest: int = WIDEST) -> str:
    """Return `text` with control characters written out (an escape sequence in a name must stay text), and cut."""
    clean = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return clean if len(clean) <= widest else clean[: widest - 1] + "…"
