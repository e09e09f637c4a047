"""The notation of values over time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.points import NUMBER, TEXT, TRUTH, Type
from bridge.core.series import MAX_INTERVALS, Cell, read_cells, read_value
from bridge.errors import RuleError

ALARM = Type("label", {0: "ok", 1: "warning", 2: "alarm"}, True)
START = 1000.0


@pytest.mark.parametrize(
    ("text", "type_", "cells"),
    [
        ("50", NUMBER, [(50, None, 1)]),
        ("50 x6 9.5 x5", NUMBER, [(50, None, 6), (9.5, None, 5)]),
        ("-3.5 1e3", NUMBER, [(-3.5, None, 1), (1000.0, None, 1)]),
        ("1 _ x2 2", NUMBER, [(1, None, 1), (None, None, 2), (2, None, 1)]),
        ("20..18/1", NUMBER, [(20, None, 1), (19, None, 1), (18, None, 1)]),
        ("0..1/0.4 x2", NUMBER, [(0, None, 2), (0.4, None, 2), (0.8, None, 2)]),
        ("-1..1", NUMBER, [(-1, None, 1), (0, None, 1), (1, None, 1)]),
        ("0..0.3/0.1", NUMBER, [(0, None, 1), (0.1, None, 1), (0.2, None, 1), (0.3, None, 1)]),
        ("@30s @-1m x2", NUMBER, [(1030.0, None, 1), (940.0, None, 2)]),
        ("@0s..@20s/10s", NUMBER, [(1000, None, 1), (1010, None, 1), (1020, None, 1)]),
        ("true x2 false", TRUTH, [(True, None, 2), (False, None, 1)]),
        ("ok x2 alarm", ALARM, [("ok", 0, 2), ("alarm", 2, 1)]),
        ("1 7", ALARM, [("warning", 1, 1), ("7", 7, 1)]),
        ('LYNK "a \\"b\\" x2" x3', TEXT, [("LYNK", None, 1), ('a "b" x2', None, 3)]),
        ('"_" "unread" _', TEXT, [("_", None, 1), ("unread", None, 1), (None, None, 1)]),
        ("1..2", TEXT, [("1..2", None, 1)]),
    ],
)
def test_values_are_read(text: str, type_: Type, cells: list[tuple[object, object, int]]) -> None:
    """Each notation gives the values that it stands for, typed as the point is."""
    read = read_cells(text, type_, START)
    assert [(cell.value, cell.code, cell.times) for cell in read] == cells
    assert all(cell.is_read for cell in read)


def test_unread_is_no_value_but_the_lack_of_a_reading() -> None:
    """It differs from UNKNOWN, for every type."""
    for type_ in (NUMBER, TRUTH, TEXT, ALARM):
        assert read_cells("_ x2 unread x3", type_, START) == [Cell(None, None, 2), Cell(None, None, 3, False)]


@pytest.mark.parametrize(
    ("text", "type_", "column", "message"),
    [
        ("bulk", NUMBER, 1, "bulk is no value of this point; write a number such as 9.5"),
        ("5 true", NUMBER, 3, "true is no value of this point"),
        ("nan", NUMBER, 1, "nan is no value of this point"),
        ("0x10", NUMBER, 1, "0x10 is no value of this point"),
        ("@soon", NUMBER, 1, "write a moment such as @30m or @-5m"),
        ("1", TRUTH, 1, "write true or false"),
        ("5 alrm", ALARM, 3, 'did you mean "alarm"?'),
        ("grid", ALARM, 1, "it has ok, warning, alarm"),
        ("x3", NUMBER, 1, "x3 must follow a value"),
        ("5 x2 x3", NUMBER, 6, "x3 must follow a value"),
        ("5 x0", NUMBER, 3, "x0 must follow a value and be x1 at least"),
        ("1..2/0", NUMBER, 1, "1..2/0 is no ramp; write from..to/step"),
        ("1..2/a", NUMBER, 1, "1..2/a is no ramp"),
        ("1..a/1", NUMBER, 1, "a is no value of this point"),
        ("0..1e300/1", NUMBER, 1, "choose a larger step"),
        (f"0 x{MAX_INTERVALS} 1", NUMBER, 1, "choose a longer interval"),
    ],
)
def test_what_is_no_value_is_refused(text: str, type_: Type, column: int, message: str) -> None:
    """The error names the word, its place, and what would be right."""
    with pytest.raises(RuleError) as caught:
        read_cells(text, type_, START)
    assert message in caught.value.message
    assert caught.value.column == column


@given(st.text(max_size=60), st.sampled_from([NUMBER, TRUTH, TEXT, ALARM]))
def test_no_text_raises_anything_else(text: str, type_: Type) -> None:
    """Whatever is written, it is read or refused."""
    try:
        cells = read_cells(text, type_, START)
    except RuleError:
        return
    assert sum(cell.times for cell in cells) <= MAX_INTERVALS


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_numbers_are_read_as_they_are_written(value: float) -> None:
    """What Python writes of a number is read back as that number."""
    assert read_value(str(value), NUMBER) == (value, None)
