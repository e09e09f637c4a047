"""The notation of values over time in rule tests: `50 x6 9.5 x5 _ x2 unread x4 20..10/1`.

One value holds for one interval of the test, `xN` after it for N of them. `_` is UNKNOWN: the GX says that there is
no value. `unread` is different: nobody asks, so the point goes stale after three intervals. `from..to/step` is a
ramp, its end included where a step falls on it. `@30m` is a moment: the Unix time 30 minutes after the test began.

Law: what a value may be is the point's type, as the catalogue has it, so a test cannot feed what no GX would send.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from bridge.core.nearest import nearest
from bridge.core.parser import duration_s
from bridge.core.points import Type
from bridge.errors import RuleError
from bridge.model import Value

MAX_INTERVALS = 200_000  # of one test: 23 days in steps of 10 s

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')
_TIMES = re.compile(r"x([0-9]{1,7})")
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")
_RAMP = re.compile(r"(?P<first>\S+?)\.\.(?P<last>[^\s/]+)(?:/(?P<step>\S+))?")
_ESCAPE = re.compile(r"\\(.)")
_EXAMPLES = {"number": "a number such as 9.5", "truth": "true or false", "text": 'a text such as "LYNK II"'}


class Cell(NamedTuple):
    """A value and for how many intervals it holds. Not read: then the value says nothing."""

    value: Value | None
    code: int | None
    times: int
    is_read: bool = True


def read_cells(text: str, type_: Type, start: float) -> list[Cell]:
    """Return the cells that `text` writes.

    Args:
        text: values with a space between them, each with its `xN`, if any.
        type_: of the point.
        start: when the test begins, Unix seconds.

    Raises:
        RuleError: this is no such notation, or the point has no such value.
    """
    cells: list[Cell] = []
    pending: list[Cell] = []  # what the last word wrote, until it is known how often
    for match in _WORD.finditer(text):
        word, column = match[0], match.start() + 1
        times = _TIMES.fullmatch(word)
        if times is None:
            cells += pending
            pending = _cells_of(word, type_, start, column)
        elif not pending or int(times[1]) < 1:
            raise RuleError(f"{word} must follow a value and be x1 at least, as in 9.5 {word}", 1, column)
        else:
            cells += [cell._replace(times=int(times[1])) for cell in pending]
            pending = []
    cells += pending
    if sum(cell.times for cell in cells) > MAX_INTERVALS:
        raise RuleError(f"these are more than {MAX_INTERVALS} intervals; choose a longer interval")
    return cells


def read_value(word: str, type_: Type, start: float = 0.0) -> tuple[Value | None, int | None]:
    """Return the value and the code that a point has when `word` is written for it.

    Raises:
        RuleError: no point of this type has such a value.
    """
    (cell,) = _plain(word, type_, start, 1)
    return cell.value, cell.code


def _cells_of(word: str, type_: Type, start: float, column: int) -> list[Cell]:
    if word == "unread":
        return [Cell(None, None, 1, is_read=False)]
    ramp = _RAMP.fullmatch(word) if type_.name == "number" else None
    return _ramp(ramp, start, column) if ramp else _plain(word, type_, start, column)


def _plain(word: str, type_: Type, start: float, column: int) -> list[Cell]:
    if word == "_":
        return [Cell(None, None, 1)]
    if type_.name == "number":
        return [Cell(_number(word, start, column), None, 1)]
    if type_.name == "truth":
        if word not in ("true", "false"):
            raise RuleError(f"{word} is no value of this point; write true or false{_READ_AS}", 1, column)
        return [Cell(word == "true", None, 1)]
    text = _ESCAPE.sub(r"\1", word[1:-1]) if word.startswith('"') else word
    if type_.name == "label":
        return [_label(text, type_.labels, column)]
    return [Cell(text, None, 1)]


_READ_AS = " (_ is UNKNOWN, unread is not read)"


def _number(word: str, start: float, column: int) -> float | int:
    moment = word.startswith("@")
    if moment:
        seconds = duration_s(word[1:].removeprefix("-"))
        if seconds is not None:
            return start + (-seconds if word[1] == "-" else seconds)
    elif _NUMBER.fullmatch(word):
        return float(word) if re.search(r"[.eE]", word) else int(word)
    wanted = "a moment such as @30m or @-5m" if moment else _EXAMPLES["number"]
    raise RuleError(f"{word} is no value of this point; write {wanted}{_READ_AS}", 1, column)


def _label(word: str, labels: Mapping[int, str], column: int) -> Cell:
    for code, label in labels.items():
        if word == label:
            return Cell(label, code, 1)
    if re.fullmatch(r"-?[0-9]{1,9}", word):  # a number that the catalogue has no label for is published as it is
        return Cell(labels.get(int(word)) or word, int(word), 1)
    near = nearest(word, labels.values())
    advice = f'did you mean "{near}"?' if near else f"it has {', '.join(labels.values())}"
    raise RuleError(f'"{word}" is no value of this point; {advice}{_READ_AS}', 1, column)


def _ramp(match: re.Match[str], start: float, column: int) -> list[Cell]:
    first, last = (_number(match[name], start, column) for name in ("first", "last"))
    written = match["step"] or "1"
    step = duration_s(written) if match["first"].startswith("@") else None
    if step is None:
        step = abs(_number(written, start, column)) if _NUMBER.fullmatch(written) else 0
    if not step:
        raise RuleError(f"{match[0]} is no ramp; write from..to/step, as in 20..10/0.5 or @0s..@1h/10s", 1, column)
    number = int(abs(last - first) / step + 1e-9)
    if number > MAX_INTERVALS:
        raise RuleError(f"{match[0]} has more than {MAX_INTERVALS} values; choose a larger step", 1, column)
    if last < first:
        step = -step
    return [Cell(round(first + index * step, 9), None, 1) for index in range(number + 1)]
