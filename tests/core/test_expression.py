"""Tests of tree -> formula -> code: names, types, and that the code means what `semantics` says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import semantics
from bridge.core.compile import HOSTILE, Code
from bridge.core.expression import resolve
from bridge.core.formula import Derived, Expr, Formula, Scope, limits
from bridge.core.points import TRUTH, PointIndex, Type
from bridge.errors import RuleError
from tests.core.small_site import catalogue

PARAMS = {"limit": 20, "name": "bulk", "nothing": None, "span": 300.0}
PROFILE = {"grid_frequency": 50, "inverter_rating": None}
_INDEX = PointIndex(catalogue())


def scope(each: str | None = None, derived: list[Derived] | None = None) -> Scope:
    return Scope(_INDEX, each, PARAMS, PROFILE, (derived if derived is not None else []).append)


def formula(text: str, each: str | None = None, wanted: Type | None = None) -> Formula:
    return resolve(text, scope(each), wanted)


def value(text: str, each: str | None = None, **values: Any) -> Any:
    """Return what an expression is when its inputs, by last word of their names, have these values."""
    made = formula(text, each)
    board = [0.0, 0.0, 0.0, *(values.get(one.name.rpartition("/")[2]) for one in made.inputs)]
    slots = range(3, len(board))
    return Code(made).bind(board, [0] * len(board), lambda slot: None, slots, [])()


# -- names and types ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "each", "inputs"),
    [
        ("battery.soc", None, [(False, "battery/soc")]),
        ("battery.soc", "battery", [(True, "soc")]),
        ("site.battery.soc", "battery", [(False, "battery/soc")]),
        ("battery.power", "battery", [(False, "battery/power")]),
        ("battery[512].cell_voltage.max", None, [(False, "battery/512/cell_voltage/max")]),
        ("vebus.alarms.l2.overload", "vebus", [(True, "alarms/l2/overload")]),
        ("grid.l1.power + grid.power", None, [(False, "grid/l1/power"), (False, "grid/power")]),
        ("site.online", None, [(False, "site/online")]),
        ("device.online", "*", [(True, "online")]),
        ("device.name", "vebus", [(True, "custom_name"), (True, "product_name"), (True, "@label")]),
        ("battery[512].online", None, [(False, "battery/512/online")]),
        ("params.limit + profile.grid_frequency", None, []),
    ],
)
def test_names_become_inputs(text: str, each: str | None, inputs: list[tuple[bool, str]]) -> None:
    """A name means this device's point where the class has one, else the site's."""
    assert [(one.each, one.name) for one in formula(text, each).inputs] == inputs


@pytest.mark.parametrize(
    ("text", "each", "part"),
    [
        ("battery.sox < 3", None, 'there is no point battery.sox; did you mean "battery.soc"?'),
        ("battery.sox < 3", "battery", 'no battery has the point battery.sox; did you mean "soc"?'),
        ("vebus.state", None, "is a point of each vebus device: add `each: vebus`"),
        ("vebus[276].stat", None, 'no vebus has the point stat; did you mean "state"?'),
        ("vebux[276].state", None, 'there is no class of devices vebux; did you mean "vebus"?'),
        ("battery[*].soc < 3", None, "is many values: put it in an aggregate, as in max(battery[*].soc)"),
        ("max(battery[*].soc + vebus[*].state)", None, "one aggregate reads one class"),
        ("max(max(battery[*].soc))", None, "cannot stand inside another"),
        ("sum(battery.soc)", None, "sum needs all devices of a class, as in sum(battery[*].power)"),
        ("max(battery.soc)", None, "write max(a, b)"),
        ("device.name", None, "needs a rule with `each`"),
        ("device.serial", "vebus", "a device has name, instance, online and stale"),
        ("params.limits", None, 'there is no params.limits; did you mean "params.limit"?'),
        ("not profile.inverter_rating", None, "profile.inverter_rating is a number, and this needs a condition"),
        ('profile.inverter_rating == "x"', None, '"x" is a text, but profile.inverter_rating is a number'),
        ("profile.voltage", None, "there is no profile.voltage; there are grid_frequency, inverter_rating"),
        ("input.price", None, "list it under `inputs:`"),
        ("arg(1)", None, 'there is no function arg; did you mean "avg"?'),
        ("clamp(1)", None, "clamp is called as clamp(x, low, high), here with 1 arguments"),
        ('battery.soc == "ten"', None, '"ten" is a text, but battery.soc is a number'),
        ('vebus.state == "bulc"', "vebus", 'vebus.state is never "bulc"; did you mean "bulk"?'),
        ("vebus.state == 3", "vebus", 'has labels: write vebus.state == "off", or code(vebus.state)'),
        ('vebus.state > "off"', "vebus", "has no order"),
        ("vebus.state + 1", "vebus", "its number is code(vebus.state)"),
        ("system.low_soc + 1", None, "is a condition, and this needs a number"),
        ("battery.soc and true", None, "is a number, and this needs a condition"),
        ('system.firmware < "v3"', None, "a text has no order"),
        ("avg_over_time(battery.soc, battery.power)", None, "must be a constant, known before the rule runs"),
        ("avg_over_time(battery.soc, 0s)", None, "it lasts from 1s to 366d"),
        ("quantile_over_time(battery.soc, 2, 1h)", None, "a quantile lies between 0 and 1"),
        ("ratio_over_time(battery.soc, 1h)", None, "is a number, not a condition"),
        ("round(battery.soc, 99)", None, "a whole number from 0 to 9"),
        ("age(battery.soc + 1)", None, "asks about a point"),
        ("code(battery.soc)", None, "and battery.soc has none"),
    ],
)
def test_what_cannot_be_is_refused(text: str, each: str | None, part: str) -> None:
    """Unknown names and types that do not fit are told with what would be right."""
    with pytest.raises(RuleError) as caught:
        formula(text, each)
    assert part in caught.value.message


def test_an_alert_needs_a_condition() -> None:
    """A number is no condition, and nothing guesses which numbers are true."""
    with pytest.raises(RuleError, match="is a number, not a condition"):
        formula("battery.soc - 20", wanted=TRUTH)


def test_the_place_of_a_mistake_is_that_of_the_name() -> None:
    """Line and column point at the word that is wrong, also inside a function over time."""
    for text in ("battery.soc < 3 and\n battery.sox < 3", "battery.soc < 3 and\n avg_over_time(battery.sox, 1h) < 3"):
        with pytest.raises(RuleError) as caught:
            formula(text)
        assert (caught.value.line, caught.value.column) == (2, text.rpartition("\n")[2].index("battery") + 1)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("params.limit + 5", 25.0),
        ("2 * 30s", 60.0),
        ("1 / 0", None),
        ("params.nothing + 1", None),
        ("10 ** 400", None),
        ("(-8) ** 0.5", None),
        ("1e18 ** 17", 1e306),
        ("max(2, 3) if true else 1", 3.0),
        ("round(2.345, 2)", 2.35),
        ("not (1 < 2 < 3)", False),
        ('"a" in ("b", "a")', True),
        ("profile.inverter_rating > 5", None),
        ("true or profile.inverter_rating > 5", True),
    ],
)
def test_constants_are_computed_beforehand(text: str, folded: Any) -> None:
    """What depends on no point costs nothing while the rule runs."""
    root = formula(text).root
    assert root.op == "const"
    assert root.value == folded if folded is None else root.value == pytest.approx(folded)


def test_equal_functions_over_time_are_one() -> None:
    """Two rules that ask for the same average share its memory; another param makes another one."""
    derived: list[Derived] = []
    for text in ("avg_over_time(battery.soc, 5m) < 3", "4 > avg_over_time(battery.soc, params.span)"):
        resolve(text, scope(None, derived))
    resolve("avg_over_time(battery.soc + params.limit, 5m) < 3", scope(None, derived))
    assert len(derived) == 3
    assert len({one.name for one in derived}) == 2


# -- what the code computes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "each", "values", "result"),
    [
        ("battery.soc < params.limit", None, {"soc": 19.9}, True),
        ("battery.soc < params.limit", None, {"soc": 20}, False),
        ("battery.soc < params.limit", None, {"soc": None}, None),
        ('vebus.state == "bulk"', "vebus", {"state": 3}, True),
        ('vebus.state in ("bulk", "float")', "vebus", {"state": 5}, True),
        ('vebus.state != "bulk"', "vebus", {"state": None}, None),
        ("code(vebus.state) == 3", "vebus", {"state": 3}, True),
        ('vebus.alarms.grid_lost >= "warning"', "vebus", {"grid_lost": 2}, True),
        ('vebus.alarms.grid_lost >= "warning"', "vebus", {"grid_lost": 0}, False),
        ('"ok" < vebus.alarms.grid_lost <= "alarm"', "vebus", {"grid_lost": 1}, True),
        ("49.5 <= battery.soc <= 50.5", None, {"soc": 50}, True),
        ("49.5 <= battery.soc <= battery.power", None, {"soc": 40, "power": None}, False),
        ("battery.soc < 2 < 1", None, {"soc": None}, False),
        ("battery.soc < 1 < 2", None, {"soc": None}, None),
        ("battery.soc / battery.power", None, {"soc": 1, "power": 0}, None),
        ("battery.soc % battery.power", None, {"soc": 1, "power": 0.0}, None),
        ("battery.soc ** 0.5", None, {"soc": -4}, None),
        ("battery.soc ** 0.5", None, {"soc": 4}, 2),
        ("coalesce(battery.soc, battery.power, 7)", None, {}, 7),
        ("coalesce(battery.soc, battery.power, 7)", None, {"power": 5}, 5),
        ("absent(battery.soc)", None, {}, True),
        ("present(battery.soc)", None, {"soc": 0}, True),
        ("clamp(battery.soc, 10, 20)", None, {"soc": 30}, 20),
        ("min(battery.soc, battery.power)", None, {"soc": 30, "power": None}, None),
        ("1 if system.low_soc else 2", None, {"low_soc": False}, 2),
        ("1 if system.low_soc else 2", None, {}, None),
        ("system.low_soc == true", None, {"low_soc": True}, True),
        ("battery.soc < 20 and system.low_soc", None, {"soc": 30, "low_soc": None}, False),
        ("battery.soc < 20 or system.low_soc", None, {"soc": 30, "low_soc": None}, None),
        ('system.firmware != "v3"', None, {"firmware": "v4"}, True),
        ("device.name", "vebus", {"custom_name": "", "product_name": "Multi"}, "Multi"),
        ("device.name", "vebus", {"custom_name": "Left", "product_name": "Multi"}, "Left"),
    ],
)
def test_expressions_mean_what_the_contract_says(
    text: str, each: str | None, values: dict[str, Any], result: Any
) -> None:
    """Values, labels and UNKNOWN go through every operation as documented."""
    assert value(text, each, **values) == result


_OVER = [
    ("sum(battery[*].soc)", [10, 20, 30], 60),
    ("avg(battery[*].soc)", [10, 20, 30], 20),
    ("min(battery[*].soc)", [10, 20, 30], 10),
    ("max(battery[*].soc)", [10, 20, 30], 30),
    ("spread(battery[*].soc)", [10, 20, 30], 20),
    ("median(battery[*].soc)", [10, 20, 90], 20),
    ("median(battery[*].soc)", [10, 20, 30, 90], 25),
    ("stddev(battery[*].soc)", [10, 30], 10),
    ("count(battery[*].soc)", [10, None, 30], 2),
    ("count(battery[*].soc > 15)", [10, 20, 30], 2),
    ("any(battery[*].soc > 25)", [10, 20, 30], True),
    ("all(battery[*].soc > 5)", [10, 20, 30], True),
    ("all(battery[*].soc > 15)", [10, 20, 30], False),
    ("sum(battery[*].soc)", [10, None, 30], 40),
    ("sum(battery[*].soc)", [], None),
    ("any(battery[*].soc > 25)", [], None),
    ("count(battery[*].soc)", [], 0),
]


@pytest.mark.parametrize(("text", "values", "result"), _OVER)
def test_aggregates_look_at_all_devices(text: str, values: list[Any], result: Any) -> None:
    """A device without a value is left out; nothing is known of no devices."""
    board = [0.0, 0.0, 0.0, *values]
    rows = [(slot,) for slot in range(3, len(board))]
    assert Code(formula(text)).bind(board, [0] * len(board), lambda slot: None, (), [rows])() == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("sum(battery[*].soc)", None),
        ("max(battery[*].soc)", None),
        ("count(battery[*].soc)", 1),
        ("count(battery[*].soc > 15)", None),
        ("any(battery[*].soc > 15)", True),
        ("any(battery[*].soc > 25)", None),
        ("all(battery[*].soc > 15)", None),
        ("all(battery[*].soc > 25)", False),
    ],
)
def test_a_stale_device_makes_aggregates_unknown(text: str, result: Any) -> None:
    """What is not known now is not left out: it could be anything, and Kleene decides."""
    board = [0.0, 0.0, 0.0, 20, None]
    assert Code(formula(text)).bind(board, [0, 0, 0, 0, 1], lambda slot: None, (), [[(3,), (4,)]])() == result


_NUMBERS = ["battery.soc", "battery.power", "system.counter", "grid.power"]
_VALUES = st.none() | st.integers(-3, 3) | st.floats(-5, 5) | st.sampled_from([0, 0.0, 1, 20, 1e300])


def _number_texts(inner: st.SearchStrategy[str], truth: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return (
        st.builds(lambda a, sign, b: f"({a} {sign} {b})", inner, st.sampled_from("+-*/%"), inner)
        | st.builds(lambda a, b: f"({a} // {b})", inner, inner)
        | st.builds(lambda a, b: f"({a} ** {b})", inner, inner)
        | st.builds(lambda name, a, b: f"{name}({a}, {b})", st.sampled_from(["min", "max", "coalesce"]), inner, inner)
        | st.builds(lambda name, a: f"{name}({a})", st.sampled_from(["abs", "-", "floor", "ceil", "round"]), inner)
        | st.builds(lambda a, c, b: f"({a} if {c} else {b})", inner, truth, inner)
        | st.builds(lambda a: f"clamp({a}, 0, 3)", inner)
    )


def _truth_texts(number: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sign = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    plain = (
        st.builds(lambda a, s, b: f"{a} {s} {b}", number, sign, number)
        | st.builds(lambda a, s, b, t, c: f"{a} {s} {b} {t} {c}", number, sign, number, sign, number)
        | st.builds(lambda a, b, c: f"{a} in ({b}, {c})", number, number, number)
        | st.builds(lambda name: f"absent({name})", st.sampled_from(_NUMBERS))
        | st.sampled_from(["system.low_soc", "true"])
    )
    return st.recursive(
        plain,
        lambda inner: st.builds(lambda a, word, b: f"({a} {word} {b})", inner, st.sampled_from(["and", "or"]), inner)
        | st.builds(lambda a: f"not ({a})", inner),
        max_leaves=4,
    )


_LEAF_TEXTS = st.sampled_from([*_NUMBERS, *_NUMBERS, "0", "1", "2.5", "params.limit", "params.nothing"])
TEXTS = _truth_texts(
    st.recursive(_LEAF_TEXTS, lambda inner: _number_texts(inner, _truth_texts(_LEAF_TEXTS)), max_leaves=5)
)


def interpret(expr: Expr, values: list[Any]) -> Any:
    """Return what a node is, by `semantics` alone and without looking at less than everything."""
    if expr.op == "const":
        return expr.value
    if expr.op == "input":
        return values[expr.value]
    parts = [interpret(part, values) for part in expr.parts]
    if expr.op == "compare":
        return semantics.compare(expr.value, parts)
    if expr.op == "in":
        return semantics.contains(parts[0], parts[1:])
    if expr.op in ("absent", "present"):
        return (parts[0] is None) == (expr.op == "absent")
    return semantics.OPERATIONS[expr.op](*parts)


@given(TEXTS, st.lists(_VALUES, min_size=5, max_size=5))
def test_the_code_means_what_semantics_says(text: str, numbers: list[Any]) -> None:
    """Generated code and plain interpretation agree on every expression and every mix of known and unknown."""
    made = formula(text)
    values = [
        None if number is None else bool(number) if one.type == TRUTH else number
        for one, number in zip(made.inputs, numbers)
    ]
    board = [0.0, 0.0, 0.0, *values]
    run = Code(made).bind(board, [0] * len(board), lambda slot: None, range(3, len(board)), [])
    try:
        expected = interpret(made.root, values)
    except HOSTILE:
        return  # an overflow, which the engine takes as UNKNOWN
    try:
        got = run()
    except HOSTILE:
        pytest.fail("the code raises where the meaning is plain")
    assert got is expected or got == expected or (got != got and expected != expected), (got, expected)


@given(TEXTS, st.lists(_VALUES, min_size=5, max_size=5), st.floats(-6, 6))
def test_a_change_between_two_limits_changes_no_truth(text: str, numbers: list[Any], other: float) -> None:
    """`limits` is right: while an input stays between the constants it is compared with, nothing changes."""
    made = formula(text)
    known = limits(made)
    values = [
        None if number is None else bool(number) if one.type == TRUTH else number
        for one, number in zip(made.inputs, numbers)
    ]
    for index, constants in enumerate(known):
        before = values[index]
        if constants is None or before is None or before in constants or other in constants:
            continue
        if sum(one < before for one in constants) != sum(one < other for one in constants):
            continue
        after = [*values[:index], other, *values[index + 1 :]]
        try:
            assert interpret(made.root, values) == interpret(made.root, after)
        except HOSTILE:
            continue


_TRUTHS = st.sampled_from([True, False, None])


@given(_TRUTHS, _TRUTHS, _TRUTHS)
def test_kleene_laws_hold(a: bool | None, b: bool | None, c: bool | None) -> None:
    """Commutative, associative, distributive, de Morgan; false decides `and`, true decides `or`."""
    both, either = (lambda *x: semantics.conjunction(x)), (lambda *x: semantics.disjunction(x))
    opposite = semantics.OPERATIONS["not"]
    assert both(a, b) is both(b, a)
    assert either(a, b) is either(b, a)
    assert both(a, both(b, c)) is both(both(a, b), c)
    assert both(a, either(b, c)) is either(both(a, b), both(a, c))
    assert opposite(both(a, b)) is either(opposite(a), opposite(b))
    assert both(False, a) is False
    assert either(True, a) is True
    assert both(True, a) is a
    assert either(False, a) is a


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("battery.soc < 20", ((20.0,),)),
        ("10 < battery.soc < 20 or battery.soc == 5", ((5.0, 10.0, 20.0),)),
        ("battery.soc < 20 and battery.power > 5", ((20.0,), (5.0,))),
        ("battery.soc < battery.power", (None, None)),
        ("battery.soc < 20 and battery.soc + 1 > 3", (None,)),
        ("absent(battery.soc) or battery.soc < 3", ((3.0,),)),
        ("not system.low_soc", (None,)),
    ],
)
def test_limits_are_the_constants_a_point_is_compared_with(text: str, known: Any) -> None:
    """Only plain comparisons have limits; everything else wants to see each value."""
    assert limits(formula(text)) == known


@given(st.integers(0, 200_000))
def test_the_calendar_is_right(days: int) -> None:
    """Weekday and month agree with Python's calendar over five centuries."""
    import datetime

    local = days * 86400 + 3600 * 5 + 1
    expected = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=local)
    assert (semantics.hour(local), semantics.weekday(local), semantics.month(local)) == (
        expected.hour,
        expected.isoweekday(),
        expected.month,
    )
