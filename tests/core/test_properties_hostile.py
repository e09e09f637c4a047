"""Whatever a file, a text or a GX says: an error of ours or an answer, soon, in little memory."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.expression import resolve
from bridge.core.formula import Derived, Scope
from bridge.core.functions import FUNCTIONS
from bridge.core.parser import WINDOWS, parse
from bridge.core.points import PointIndex
from bridge.core.rule_fields import ALERT_KEYS, PACK_KEYS, RECORD_KEYS
from bridge.core.rules import Pack, compile_packs
from bridge.core.semantics import finite
from bridge.core.templates import template
from bridge.errors import ConfigErrors, RuleError
from tests.core.small_site import alert, catalogue, engine, feed, program

_CATALOGUE = catalogue()
_INDEX = PointIndex(_CATALOGUE)


def scope(derived: list[Derived] | None = None, each: str | None = None) -> Scope:
    return Scope(
        _INDEX, each, {"limit": 20, "huge": 1e308, "text": "x"}, {}, (derived if derived is not None else []).append
    )


# -- texts --------------------------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [*FUNCTIONS, "battery.soc", "battery[1].soc", "battery[*].soc", "vebus.state", "system.low_soc", "params.limit"]
    + [
        "device.name",
        "site.online",
        "input.x",
        "params.huge",
        "profile.cells",
        '"bulk"',
        "1e18",
        "0",
        "2.5",
        "9m",
        "4w",
    ]
    + ["(", "(", ")", ")", ",", ",", " and ", " or ", " not ", " if ", " else ", " in ", "true", "[", "]", "."]
    + [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "<",
        "<=",
        "==",
        "!=",
        "{",
        "}",
        ":",
        ":.1f",
        ":duration",
        "\n",
        "\x00",
        "é",
        "٣",
    ]
)
_GARBAGE = st.lists(_PIECES, max_size=25).map("".join) | st.text(max_size=60)


@settings(max_examples=120)
@given(_GARBAGE, st.sampled_from([None, "battery", "*", "nothing"]))
def test_no_expression_raises_anything_but_rule_error(text: str, each: str | None) -> None:
    """Pieces of the language in any order, and anything else, are a formula or a RuleError with a place."""
    try:
        resolve(text, scope(each=each))
    except RuleError as error:
        assert error.line >= 1


@settings(max_examples=60)
@given(st.lists(_GARBAGE | st.just("{battery.soc:.1f}") | st.just("{{"), max_size=5).map("{".join))
def test_no_template_raises_anything_but_rule_error(text: str) -> None:
    """Braces around anything are a template that can be written, or a RuleError."""
    try:
        made = template(text, scope())
    except RuleError:
        return
    for value in (None, True, 5, 1e308, "text", -0.0):
        assert isinstance(made.render(lambda code, value=value: value), str)


_LEVELS = 60
DEEP = [
    ("1 + 1 * abs(", ")"),
    ("coalesce(1, ", ")"),
    ("max(1, 2 * -", ")"),
    ("not (1 < ", ")"),
    ("1 if true else ", ""),
    ("avg_over_time(", ", 5m)"),
    ("(1, ", ")"),
    ("2 ** -", ""),
    ("1 in (", ")"),
]


def _at_depth(frames: int, work: Any) -> Any:
    return work() if frames == 0 else _at_depth(frames - 1, work)


@pytest.mark.parametrize(("opening", "closing"), DEEP)
@pytest.mark.parametrize("levels", [5, 12, 24, 48, 49, 60, 300])
def test_no_depth_is_too_deep_for_python(opening: str, closing: str, levels: int) -> None:
    """The bound is ours and is told, long before the interpreter's; also where the caller stands deep already."""
    text = opening * levels + "1" + closing * levels
    try:
        _at_depth(150, lambda: resolve(text, scope()))
    except RuleError:
        return


@pytest.mark.parametrize(
    "text",
    [
        "10 ** 10 ** 10",
        "1e18 ** 1e18 ** 1e18",
        "*".join(["floor(1e18 ** 17)"] * 16),
        "battery.soc > " + "*".join(["floor(1e18 ** 17)"] * 16),
        "floor(battery.soc * 1e18 ** 15) * floor(battery.soc * 1e18 ** 15) * floor(battery.soc * 1e18 ** 15)",
        "battery.soc ** 1e18 ** 9",
        "battery.soc * 1e18 ** 17 * 1e18",
        "battery.soc * 1e18 ** 17 * 1e18 - battery.soc * 1e18 ** 17 * 1e18",
        "round(battery.soc * 1e18 ** 17, 9)",
        "battery.soc % 1e-300",
        "battery.soc // 1e-300",
    ],
)
def test_no_number_is_too_large(text: str) -> None:
    """What no float holds is UNKNOWN wherever it comes out: in values, texts, records and windows."""
    condition = f"battery.soc > 0 and {text}" + ("" if ">" in text else " > 5")
    number = text.partition("> ")[2] or text
    made = engine(
        alert("a", condition, value=number, summary=f"{{{number}}} {{{number}:.3f}} {{{number}:duration}}"),
        alert("b", "battery.soc > 0", value=number, summary=f"{{{number}}} {{{number}:.3f}} {{{number}:duration}}"),
        alert("c", f"battery.soc > 0 and (avg_over_time({number}, 20s) > 1 or stddev_over_time({number}, 20s) > 1)"),
        {"record": "x.y", "expr": number},
    )
    for turn in range(10):
        events = feed(made, turn * 5.0, {"battery.soc": 1e18 if turn < 3 else 3.0})
        told = [event.value for event in events] + [one.value for one in made.take_records()]
        assert all(finite(value) == value for value in told)
        json.dumps([told, [event._asdict() for event in events]], allow_nan=False, default=str)
        json.dumps(made.dump())


def test_windows_that_differ_a_little_are_two() -> None:
    """Spans and constants that agree in six digits are not the same."""
    derived: list[Derived] = []
    for text in ("1000000s", "1000001s"):
        resolve(f"avg_over_time(battery.soc, {text})", scope(derived))
    resolve("quantile_over_time(battery.soc, 1, 1h) + quantile_over_time(battery.soc, 0.9999999, 1h)", scope(derived))
    assert len({one.name for one in derived}) == 4


# -- packs --------------------------------------------------------------------------------------------------------

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["battery", "*", "5m", "warning", "a", "x.y", "battery.soc < 3", "{battery.soc}", "{", "hold", ""]
    )
    | st.text(max_size=8)
)
_DATA = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.text(max_size=3) | st.integers() | st.none() | st.tuples(st.text(max_size=2)), inner, max_size=3
    ),
    max_leaves=6,
)
_SANE: dict[str, Any] = {
    "alert": "a",
    "record": "x.y",
    "each": "battery",
    "expr": "battery.soc < 20",
    "severity": "warning",
    "summary": "{battery.soc}",
    "source": "a test",
}


def _rule(keys: tuple[str, ...]) -> st.SearchStrategy[Any]:
    sane = {key: _SANE[key] for key in keys if key in _SANE}
    return st.dictionaries(st.sampled_from([*keys, "extra"]) | st.integers(), _DATA, max_size=4).map(
        lambda odd: {**sane, **odd}
    )


_RULES = st.lists(_rule(ALERT_KEYS) | _rule(RECORD_KEYS) | _DATA, max_size=3)
_PACKS = _DATA | st.dictionaries(st.sampled_from(PACK_KEYS), _DATA, max_size=4).flatmap(
    lambda odd: _RULES.map(lambda rules: {"pack": "small", "rules": rules, **odd})
)


@settings(max_examples=60)
@given(st.lists(_PACKS, min_size=1, max_size=2))
def test_no_pack_raises_anything_but_config_errors(documents: list[Any]) -> None:
    """Rules whose fields hold anything at all are a program, or a list of mistakes that can be printed."""
    packs = [Pack(f"{index}.yaml", document) for index, document in enumerate(documents)]
    try:
        compile_packs(packs, _CATALOGUE)
    except ConfigErrors as errors:
        assert all(str(error) for error in errors.errors)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["small", "x"]), st.dictionaries(st.sampled_from(["limit", "y"]), _SCALARS)))
def test_no_override_raises_anything_but_config_errors(overrides: dict[str, Any]) -> None:
    """Params of the config that hold any scalar are taken or refused."""
    rules = [alert("a", "battery.soc < params.limit", summary="{params.limit}")]
    try:
        program(rules, {"limit": 20}, overrides=overrides)
    except ConfigErrors as errors:
        assert all(str(error) for error in errors.errors)


# -- bounds -------------------------------------------------------------------------------------------------------


def test_the_windows_of_an_expression_are_all_bounded() -> None:
    """The parser counts every function that has a memory."""
    assert {name for name in FUNCTIONS if "_over_time" in name} | {
        *("delta", "increase", "rate", "deriv", "predict_linear", "changes", "last_change", "held"),
        *("zscore", "seasonal_zscore", "ewma"),
    } == WINDOWS
    for name in sorted(WINDOWS):
        with pytest.raises(RuleError, match="functions over time"):
            parse(" + ".join([f"{name}(x)"] * 17))


def test_records_in_a_row_are_bounded() -> None:
    """A chain that the interpreter could not follow is a mistake that is told, as is a ring of it."""
    for last in ("battery.soc", "x.r0"):
        rules = [{"record": f"x.r{index}", "expr": f"x.r{index + 1} + 1"} for index in range(3000)]
        with pytest.raises(ConfigErrors) as caught:
            program([*rules, {"record": "x.r3000", "expr": last}])
        assert "records read each other in a row" in str(caught.value.errors[0])
    rules = [{"record": f"x.r{index}", "expr": f"x.r{index + 1} + 1"} for index in range(90)]
    assert len(program([*rules, {"record": "x.r90", "expr": "battery.soc"}]).derived) == 91


def test_the_windows_of_all_rules_are_bounded() -> None:
    """Expressions and texts of many rules cannot fill the memory with windows."""
    text = "".join(f"{{avg_over_time(battery.soc, {span}s)}}" for span in range(100, 190))
    rules = [alert(f"a{index}", "battery.soc < 3", summary=text.replace("s)", f"{index}s)")) for index in range(6)]
    assert program(rules[:5])
    with pytest.raises(ConfigErrors, match="540 different functions over time, more than 500"):
        program(rules)


@settings(max_examples=60)
@given(st.text(st.sampled_from(string.printable + "é°\u2028\ud800"), max_size=30))
def test_texts_of_rules_are_told_as_they_are(text: str) -> None:
    """No character in a text of a rule or of a device breaks an event."""
    made = engine(
        alert("a", "battery.soc < 20", each="battery", description=text.replace("{", "{{").replace("}", "}}"))
    )
    feed(made, 0, {"battery.1.custom_name": text, "battery.1.soc": 5})
    (told,) = made.alerts()
    assert told.description == text.strip()
