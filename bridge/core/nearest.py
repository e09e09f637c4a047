"""The nearest known name for a misspelt one, for messages that say what would be right.

`difflib` is missing on a GX, so this counts edits itself: insert, delete, replace, and swapping two neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` that `word` was probably meant to be.

    Args:
        word: what was written.
        known: the names that would have been right; may be empty.

    Returns:
        The closest name, at most a third of its letters (and at least one) away, the first of equals in
        alphabetical order; None when nothing is close enough to be a help.
    """
    best: tuple[int, str] | None = None
    for name in known:
        limit = max(1, max(len(word), len(name)) // 3)
        if abs(len(word) - len(name)) > limit:
            continue
        found = (_edits(word.lower(), name.lower()), name)
        if found[0] <= limit and (best is None or found < best):
            best = found
    return best[1] if best else None


def _edits(one: str, other: str) -> int:
    """Return how many edits lead from `one` to `other` (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, left in enumerate(one, 1):
        line = [row]
        for column, right in enumerate(other, 1):
            cost = min(last[column] + 1, line[column - 1] + 1, last[column - 1] + (left != right))
            if row > 1 and column > 1 and left == other[column - 2] and one[row - 2] == right:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, last = last, line
    return last[-1]
