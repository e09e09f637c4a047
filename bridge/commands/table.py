"""Columns for a terminal: aligned, cut to a width, and free of what a device's text could do to the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

_NARROWEST = 20  # letters of a column that is wrapped, however narrow the terminal is
WIDEST = 100  # characters of a cell; what is longer is in the JSON output


def table(header: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Return the lines of a table, the header first; no rows give no lines."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if not cells:
        return []
    cells.insert(0, list(header))
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return [indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def wrapped_table(header: Sequence[str], rows: Iterable[Sequence[str]], width: int | None) -> list[str]:
    """Return the lines of a table whose last column is broken into lines that fit, whole words each.

    Args:
        header: names of the columns.
        rows: their cells.
        width: of a line; None: as long as it takes.
    """
    rows = [[*row[:-1], printable(row[-1], len(row[-1]) * 10)] for row in rows]
    firsts = table([*header[:-1], ""], [[*row[:-1], ""] for row in rows])
    if not firsts:
        return []
    begin = max(map(len, firsts)) + 2
    room = None if width is None else max(_NARROWEST, width - begin)
    lines = []
    for first, last in zip(firsts, [header[-1], *(row[-1] for row in rows)]):
        parts = [last] if room is None else textwrap.wrap(last, room, break_on_hyphens=False)
        lines += [f"{left:{begin}}{part}".rstrip() for left, part in zip([first, *[""] * len(parts)], parts or [""])]
    return lines


def terminal_width() -> int | None:
    """Return how wide the terminal is; None when the output goes to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def printable(text: str, widest: int = WIDEST) -> str:
    """Return `text` with control characters written out (an escape sequence in a name must stay text), and cut."""
    clean = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return clean if len(clean) <= widest else clean[: widest - 1] + "…"
