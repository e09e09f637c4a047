"""Tests of text -> tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.parser import KEYWORDS, MAX_DEPTH, MAX_LENGTH, Name, Tree, duration_s, parse, unparse
from bridge.errors import RuleError


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("2 ** 3 ** 2", "2 ** (3 ** 2)"),
        ("-2 ** 2", "-(2 ** 2)"),
        ("2 ** -1", "2 ** (-1)"),
        ("a or b and not c", "a or (b and (not c))"),
        ("not a == b", "not (a == b)"),
        ("not a in (1, 2)", "not (a in (1, 2))"),
        ("a if b else c if d else e", "a if b else (c if d else e)"),
        ("a or b if c else d", "(a or b) if c else d"),
        ("a < b + 1", "a < (b + 1)"),
        ("6 // 4 % 3", "(6 // 4) % 3"),
    ],
)
def test_operators_bind_as_documented(text: str, same_as: str) -> None:
    """Parentheses that say what the precedence says anyway change nothing."""
    assert parse(text) == parse(same_as)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("battery.soc", "name", Name(("battery", "soc"))),
        ("battery[512].cell_voltage.max", "name", Name(("battery", "cell_voltage", "max"), 512)),
        ("solarcharger[*].power", "name", Name(("solarcharger", "power"), "*")),
        ("system.relay.0.state", "name", Name(("system", "relay", "0", "state"))),
        ("500ms", "number", (500.0, "ms")),
        ("2.5", "number", (2.5, "")),
        ("1e3", "number", (1000.0, "")),
        ('"a \\"b\\""', "text", 'a "b"'),
        ("'x'", "text", "x"),
        ("true", "truth", True),
        ("1 <= x < 3", "compare", ("<=", "<")),
    ],
)
def test_every_kind_of_leaf_is_read(text: str, kind: str, value: object) -> None:
    """Names, selectors, numbers, durations and texts keep what they say."""
    tree = parse(text)
    assert (tree.kind, tree.value) == (kind, value)


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("", 1, 1, "expected a value, the text ends"),
        ("battery.soc <", 1, 14, "expected a value, the text ends"),
        ("battery.soc = 3", 1, 13, "== compares"),
        ("a && b", 1, 3, "write `and`"),
        ("a\n and\n  )", 3, 3, 'expected a value, found ")"'),
        ("(1 + 2", 1, 7, 'expected ")" to close the parenthesis'),
        ("max(1, 2", 1, 9, "or a comma in max(...)"),
        ("30x", 1, 1, '"30x" is no duration: units are ms, s, m, h, d, w'),
        ("1e99", 1, 1, "too large"),
        ("battery[x].soc", 1, 1, "a selector is [*] or [an instance number]"),
        ("battery[1", 1, 1, "a selector is [*] or [an instance number]"),
        ("a b", 1, 3, "expected an operator or the end"),
        ("x in 3", 1, 6, "and a list, as in `in (1, 2)`"),
        ("x in ()", 1, 7, "expected a value"),
        ('"open', 1, 1, "the text has no end"),
        ("a if b", 1, 7, 'expected "else" after the condition'),
        ("battery.soc(1)", 1, 1, "is a point, not a function"),
        ("1 < 2 in (3)", 1, 7, "expected an operator or the end"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, line: int, column: int, part: str) -> None:
    """An error says line, column and what would be right."""
    with pytest.raises(RuleError) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert part in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "(" * 60 + "1" + ")" * 60,
        "not " * 60 + "x",
        "-" * 60 + "1",
        "2" + " ** 2" * 60,
        "1" + " + 1" * 60,
        "a if b else " * 60 + "c",
        "abs(" * 60 + "1" + ")" * 60,
        " or ".join(["a"] * 300),
        "max(" + ", ".join(["1"] * 300) + ")",
        " + ".join(["rate(x, 5m)"] * 17),
        "1" * (MAX_LENGTH + 1),
    ],
)
def test_size_is_bounded(text: str) -> None:
    """Too long, too deep, too wide and too many windows are refused, each with a way out."""
    with pytest.raises(RuleError, match="split it with a record"):
        parse(text)


def test_what_is_just_within_the_bounds_is_read() -> None:
    """The bounds are no tighter than they say."""
    assert parse("(" * (MAX_DEPTH - 1) + "1" + ")" * (MAX_DEPTH - 1)) == parse("1")
    assert len(parse(" or ".join(["a"] * 256)).parts) == 256


@given(st.text(max_size=200) | st.text(alphabet="()[]*.,<>=!-+/% \n\t\"'\\abnotrdif0123456789msx_é", max_size=200))
def test_no_text_raises_anything_but_rule_error(text: str) -> None:
    """Whatever is written, the answer is a tree or a RuleError inside the text."""
    try:
        parse(text)
    except RuleError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert 1 <= error.column <= len(text) + 1


_WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True).filter(lambda word: word not in KEYWORDS)
_NAMES = st.builds(
    lambda words, selector: Tree("name", Name(tuple(words), selector)),
    st.lists(_WORDS, min_size=1, max_size=3),
    st.none() | st.just("*") | st.integers(0, 999),
)
_NUMBERS = st.builds(
    lambda value, unit: Tree("number", (value, unit)),
    st.floats(0, 1e18, allow_nan=False) | st.integers(0, 1000).map(float),
    st.sampled_from(["", "", "ms", "s", "m", "h", "d", "w"]),
)
_LEAFS = (
    _NAMES
    | _NUMBERS
    | st.builds(lambda text: Tree("text", text), st.text(st.characters(exclude_characters="\n"), max_size=8))
    | st.builds(lambda truth: Tree("truth", truth), st.booleans())
)


def _grown(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    few = st.lists(inner, min_size=1, max_size=3)
    return (
        st.builds(lambda sign, a: Tree("unary", sign, (a,)), st.sampled_from(["-", "+", "not"]), inner)
        | st.builds(
            lambda sign, a, b: Tree("binary", sign, (a, b)),
            st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]),
            inner,
            inner,
        )
        | st.builds(
            lambda word, parts: Tree("junction", word, tuple(parts)),
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=2, max_size=3),
        )
        | st.builds(
            lambda first, rest: Tree("compare", tuple(sign for sign, _ in rest), (first, *(one for _, one in rest))),
            inner,
            st.lists(st.tuples(signs, inner), min_size=1, max_size=3),
        )
        | st.builds(lambda first, items: Tree("in", None, (first, *items)), inner, few)
        | st.builds(lambda a, b, c: Tree("choice", None, (a, b, c)), inner, inner, inner)
        | st.builds(lambda name, parts: Tree("call", name, tuple(parts)), _WORDS, few)
    )


TREES = st.recursive(_LEAFS, _grown, max_leaves=12)


@given(TREES)
def test_what_is_written_parses_back_to_the_same(tree: Tree) -> None:
    """unparse and parse are each other's inverse, for every tree of the grammar."""
    text = unparse(tree)
    if len(text) <= MAX_LENGTH and tree.depth < MAX_DEPTH:
        assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("7d", 604800), ("4w", 2419200)]
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    """Each unit has its length."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "5M", "1h30m", "٣s", "5m\n"])
def test_other_texts_are_no_durations(text: str) -> None:
    """Nothing is guessed."""
    assert duration_s(text) is None
