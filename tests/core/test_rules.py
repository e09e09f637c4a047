"""Tests of packs -> program: every static mistake is found, in one go, with its place."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.core.catalogue import Catalogue
from bridge.core.engine import Engine
from bridge.core.functions import FUNCTIONS
from bridge.core.points import Known, Type
from bridge.core.rule_fields import ALERT_KEYS, RECORD_KEYS
from bridge.core.rules import PROFILE, Pack, compile_packs
from bridge.errors import ConfigErrors
from bridge.files.schema import validate
from bridge.files.yaml_text import load, load_file
from tests.core.small_site import alert, catalogue, engine, feed, pack, program

ROOT = Path(__file__).parent.parent.parent
FIXTURES = ROOT / "tests" / "fixtures"


def pack_of(path: Path) -> Pack:
    document = load_file(path, path.name)
    return Pack(path.name, document.data, document.marks, document.keys)


def faults(*packs: Pack, **more: Any) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        compile_packs(packs, catalogue(), **more)
    return [str(error) for error in caught.value.errors]


@pytest.fixture(scope="module")
def real_catalogue() -> Catalogue:
    return Catalogue({path.stem: load_file(path).data for path in (ROOT / "bridge" / "catalogue").glob("*.yaml")})


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("rules.*.bad.yaml")), ids=lambda path: path.name)
def test_bad_packs_get_the_errors_they_state(path: Path) -> None:
    """Every `# expect line:column message` of a bad pack comes true, and nothing else is reported."""
    expected = re.findall(r"^# expect (\d+):(\d+) (.+)$", path.read_text(encoding="utf-8"), re.M)
    with pytest.raises(ConfigErrors) as caught:
        compile_packs([pack_of(path)], catalogue())
    found = [(str(error.line), str(error.column), error.message) for error in caught.value.errors]
    assert found == expected
    assert all(str(error).startswith(f"{path.name}:{error.line}:") for error in caught.value.errors)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("rules.*.good.yaml")), ids=lambda path: path.name)
def test_good_packs_compile_and_satisfy_the_schema(path: Path) -> None:
    """What is right is accepted by compiler and schema alike."""
    compiled = compile_packs([pack_of(path)], catalogue())
    assert compiled.rules
    assert validate(load_file(path), "rules") == []


def test_the_good_pack_shows_every_key_and_function() -> None:
    """The fixture with everything leaves nothing out, so the test above means something."""
    text = (FIXTURES / "rules.all.good.yaml").read_text(encoding="utf-8")
    for key in (*ALERT_KEYS, *RECORD_KEYS):
        assert re.search(rf"\b{key}: ", text), key
    for name in FUNCTIONS:
        assert re.search(rf"\b{name}\(", text), name


def test_the_schema_knows_the_keys_of_the_compiler() -> None:
    """Schema and compiler agree about the keys of a rule."""
    import json

    schema = json.loads((ROOT / "schemas" / "rules.schema.json").read_text(encoding="utf-8"))
    assert set(schema["$defs"]["alert"]["properties"]) == set(ALERT_KEYS)
    assert set(schema["$defs"]["record"]["properties"]) == set(RECORD_KEYS)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("pack: x\nrules: [{alert: a, expr: 'true'}]", "summary"),
        ("pack: x\nrules: [{record: a, expr: 'true'}]", "dotted name"),
        ("pack: x\nrules: [{alert: a, expr: 'true', severity: bad, summary: a}]", "info, warning or critical"),
        ("pack: x\nrules: [{alert: a, expr: 'true', severity: info, summary: a, for: 5}]", "duration"),
        ("pack: x\nrules: []\nextra: 1", "extra"),
    ],
)
def test_the_schema_refuses_what_has_the_wrong_shape(text: str, part: str) -> None:
    """The schema, which editors use, finds plain mistakes on its own."""
    assert any(part in str(fault) for fault in validate(load(text, "x.yaml"), "rules"))


def test_mistakes_of_all_files_come_together() -> None:
    """One run tells the mistakes of every pack, in the order of files and lines."""
    one = pack([alert("a", "batery.soc < 3")], name="one")
    two = pack([alert("b", "battery.soc < 3", severity="loud"), alert("a", "true")], name="two")
    found = faults(one, two)
    assert [text.partition(":")[0] for text in found] == ["one.yaml", "two.yaml", "two.yaml"]
    assert any('rule "a": an alert of that name stands in one.yaml too' in text for text in found)


def test_marks_may_be_a_function() -> None:
    """A caller that computes places need not build a table."""
    bad = Pack("x.yaml", {"pack": "x", "rules": [alert("a", "battery.sox < 3")]}, lambda path: (len(path), 7))
    assert faults(bad)[0].startswith("x.yaml:3:7: ")


def test_two_packs_of_one_name_are_refused() -> None:
    """The name of a pack is how a site sets its params, so it must be one pack's."""
    other = Pack("b.yaml", {"pack": "a", "rules": [alert("one", "battery.sox < 3")]})
    found = faults(pack([alert("one", "battery.soc < params.low")], {"low": 3}, name="a"), other)
    assert found == ['b.yaml: the name "a" is taken by a.yaml; give this pack another']


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"summary": "{battery.soc:.0q}"}, "there is no format .0q; there are .0f to .9f, and duration"),
        ({"summary": "{battery.soc:}"}, "there is no format ; there are .0f to .9f, and duration"),
        ({"expr": "battery.soc < 20%"}, "the sign of percent is not written: 20, not 20 %"),
        ({"expr": "battery.soc < 20 % and site.online"}, "the sign of percent is not written: 20, not 20 %"),
        ({"expr": "battery.soc < " + "1 + " * 1100 + "1"}, "more than 4096"),
        ({"expr": "(" * 60 + "battery.soc < 3" + ")" * 60}, "nested deeper than 50 levels"),
    ],
)
def test_a_slip_of_the_pen_is_told_with_what_would_be_right(keys: dict[str, Any], message: str) -> None:
    """Formats that there are, percent that is not written, limits by their number."""
    found = faults(pack([{**alert("one", "battery.soc < 3"), **keys}]))
    assert len(found) == 1
    assert message in found[0]


def test_a_pack_that_needs_another_says_so() -> None:
    """The mistake names what is missing and where to add it; together the two compile."""
    first = pack([alert("low", "battery.soc < 20")], name="first")
    second = pack([alert("lower", "battery.soc < 10", inhibited_by=["low"])], name="second")
    second = second._replace(data={**second.data, "needs": ["first"]})
    assert faults(second) == ['second.yaml: the pack "first", which this one needs, is missing; add it to rules.packs']
    assert len(compile_packs([first, second], catalogue()).rules) == 2


def test_a_date_is_a_moment() -> None:
    """A param written as a date can be compared with the time; no date is UNKNOWN."""
    rule = alert("old", "now() - params.installed_on > 365d")
    made = engine(rule, params={"installed_on": "2021-05-01"})
    assert [event.event for event in made.step(1_619_827_200.0 + 366 * 86400, [])] == ["firing"]
    assert engine(rule, params={"installed_on": None}).step(4e9, []) == []


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        ({"smal": {"limit": 1}}, 'rules.params.smal: there is no pack "smal"; did you mean "small"?'),
        ({"small": {"limits": 1}}, 'has no param "limits"; did you mean "limit"?'),
        ({"small": {"limit": "much"}}, "'much' is a text, but the param is a number (20)"),
    ],
)
def test_params_of_the_config_are_checked(overrides: dict[str, Any], part: str) -> None:
    """A param that no pack has, or of another kind, would silently change nothing."""
    found = faults(pack([alert("a", "battery.soc < params.limit")], {"limit": 20}), overrides=overrides)
    assert any(part in text for text in found)


def test_params_and_profile_change_what_a_rule_does() -> None:
    """The config's values win over the pack's, the profile's over the defaults."""
    rule = alert("a", "battery.soc < params.limit + profile.cells")
    for overrides, soc, fires in (({}, 30, True), ({"small": {"limit": 10}}, 30, False)):
        made = engine(rule, params={"limit": 20}, overrides=overrides)
        assert bool(feed(made, 0, {"battery.soc": soc})) is fires
    assert not feed(engine(rule, params={"limit": 20}, profile={"cells": 4}), 0, {"battery.soc": 30})
    assert PROFILE["grid_frequency"] == 50


def test_a_disabled_alert_is_not_there() -> None:
    """It neither fires nor inhibits; a name that does not exist is a mistake."""
    rules = [alert("a", "battery.soc < 3"), alert("b", "battery.soc < 3", inhibited_by=["a"])]
    made = engine(*rules, disabled=["a"])
    assert [event.alert for event in feed(made, 0, {"battery.soc": 1})] == ["b"]
    assert 'there is no alert "c" to disable' in faults(pack(rules), disabled=["c"])[0]


def test_external_inputs_are_points() -> None:
    """What the config lists under `inputs` can be named as input.x."""
    known = [Known("input/price", "€/kWh", Type("number"))]
    made = engine(alert("a", "input.price > 0.3"), inputs=known)
    assert feed(made, 0, {"input.price": 0.4})[0].points == (("input/price", 0.4, "€/kWh"),)


def test_a_pack_declares_its_inputs() -> None:
    """A site without such an input can use the pack: the point is UNKNOWN there. With one, it is the site's."""
    reads = Pack("a.yaml", {"pack": "a", "inputs": {"price": {"unit": "€/kWh"}, "mode": {"kind": "text"}}})
    reads.data["rules"] = [alert("dear", 'coalesce(input.price, 1) > 0.3 and input.mode != "off"')]
    made = Engine("home", compile_packs([reads], catalogue()))
    assert feed(made, 0, {"input.mode": "on"})[0].points == (("input/price", None, "€/kWh"), ("input/mode", "on", ""))
    site = [Known("input/price", "ct/kWh", Type("number"))]
    made = Engine("home", compile_packs([reads], catalogue(), inputs=site))
    assert feed(made, 0, {"input.mode": "on", "input.price": 30})[0].points[0] == ("input/price", 30, "ct/kWh")


@pytest.mark.parametrize(
    ("inputs", "part"),
    [
        ({"price": {"kind": "text"}}, "the input price is a text here, but a number at the site or in another pack"),
        ({"price": {"kind": "numbr"}}, 'kind "numbr" is none of number, truth, text; did you mean "number"?'),
        ({"price": {"units": "€"}}, 'the key "units" is unknown; did you mean "unit"?'),
        ({"price": "€/kWh"}, "the input price must be a map with the keys kind and unit"),
        (["price"], "inputs must be a map of names to what they are"),
    ],
)
def test_inputs_of_packs_are_checked(inputs: Any, part: str) -> None:
    """What a pack declares must be sound, and fit what the site's config and other packs say."""
    bad = Pack("a.yaml", {"pack": "a", "inputs": inputs, "rules": []})
    assert any(part in text for text in faults(bad, inputs=[Known("input/price", "", Type("number"))]))


@pytest.mark.parametrize(
    ("expr", "needs"),
    [
        ("battery.soc < 20", True),
        ("battery.soc < params.limit", True),
        ("not system.low_soc", False),
        ('system.state == "bulk"', False),
        ("system.low_soc == params.flag", False),
    ],
)
def test_a_threshold_needs_a_source(expr: str, needs: bool) -> None:
    """A number in the condition, its own or a param's, must say where it comes from."""
    rule = alert("a", expr)
    del rule["source"]
    bare = pack([rule], {"limit": 20, "flag": True})
    if needs:
        assert "needs a `source`" in faults(bare)[0]
    else:
        assert compile_packs([bare], catalogue()).rules


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        7,
        {"pack": 1, "rules": 2},
        {"pack": "a", "rules": [None, 1, [], {"alert": []}, {"alert": None}]},
    ]
    + [{"pack": "a", "rules": [dict.fromkeys(ALERT_KEYS, value)]} for value in (None, 1, [], {}, True, "x", 1e400)]
    + [{"pack": "a", "rules": [dict.fromkeys(RECORD_KEYS, value)]} for value in (None, 1, [], {}, True, "x")],
)
def test_no_data_raises_anything_but_config_errors(data: Any) -> None:
    """Whatever a file holds, the answer is a list of mistakes."""
    assert faults(Pack("x.yaml", data))


def test_records_are_computed_after_what_they_read() -> None:
    """Records may stand in any order in the file."""
    rules = [
        {"record": "x.double", "expr": "x.sum * 2"},
        {"record": "x.sum", "expr": "battery.soc + 1"},
        alert("a", "x.double > 100"),
    ]
    made = engine(*rules)
    assert [event.value for event in feed(made, 0, {"battery.soc": 50})] == [102]
    assert {one.point.name: one.value for one in made.take_records()} == {"x/sum": 51, "x/double": 102}


def test_a_program_can_be_kept() -> None:
    """A program survives pickling, so that start-up need not compile it again."""
    rules = [alert("a", "avg_over_time(battery.soc, 5m) < 20 or max(battery[*].soc) > 90", each="battery")]
    kept = pickle.loads(pickle.dumps(program(rules)))
    assert [rule.name for rule in kept.rules] == ["a"]


def test_the_essential_pack_is_faultless(real_catalogue: Catalogue) -> None:
    """The pack that everybody runs compiles against the real catalogue and satisfies the schema."""
    path = ROOT / "rules" / "essential.yaml"
    compiled = compile_packs([pack_of(path)], real_catalogue)
    assert validate(load_file(path), "rules") == []
    assert all(rule.description.pieces and rule.action.pieces for rule in compiled.rules)
    for rule in load_file(path).data["rules"]:
        keys = ALERT_KEYS if "alert" in rule else RECORD_KEYS
        assert list(rule) == [key for key in keys if key in rule]  # the order that the contract gives


def test_the_essential_pack_scales_with_the_grid(real_catalogue: Catalogue) -> None:
    """A site of 60 Hz is judged by 60 Hz."""
    from bridge.core.engine import Engine

    compiled = compile_packs(
        [pack_of(ROOT / "rules" / "essential.yaml")], real_catalogue, profile={"grid_frequency": 60}
    )
    made = Engine("site", compiled)
    feed(made, 0, {"vebus.276.ac_in.l1.frequency": 60.1})
    assert [alert.id for alert in made.alerts()] == []
    feed(made, 1, {"vebus.276.ac_in.l1.frequency": 60.7})
    assert "grid_frequency_out_of_range/vebus/276" in [alert.id for alert in made.alerts()]


def test_functions_over_time_are_computed_for_those_who_read_them() -> None:
    """A window costs time at every moment: that of an alert that is left out is left out, too."""
    rules = [
        {"record": "system.mean", "expr": "avg_over_time(battery.soc, 1h)"},
        alert("kept", "battery.soc < 5", summary="{max_over_time(battery.soc, 1d):.0f}"),
        alert("left_out", "avg_over_time(battery.soc, 1h) + delta(min_over_time(battery.soc, 5m), 1h) < 20"),
    ]
    whole, part = program(rules), program(rules, disabled=["left_out"])
    names = [[one.derived.name for one in compiled.derived] for compiled in (whole, part)]
    assert len(names[0]) == 5
    assert [name for name in names[0] if name not in names[1]] == [name for name in names[0] if "min_over" in name]


def _rows() -> list[tuple[str, str]]:
    text = (ROOT / "rules" / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `(\w+)\(.*?\| `(.+?)` \|$", text, re.M)


@pytest.mark.parametrize(("name", "example"), _rows())
def test_the_functions_of_the_readme_compile(name: str, example: str, real_catalogue: Catalogue) -> None:
    """Each function is shown in an expression that works."""
    assert f"{name}(" in example
    written = alert("a", example, each="battery")
    assert compile_packs([pack([written])], real_catalogue).rules


def test_the_readme_shows_every_function_and_key() -> None:
    """The reference leaves nothing out."""
    text = (ROOT / "rules" / "README.md").read_text(encoding="utf-8")
    assert {name for name, _ in _rows()} == set(FUNCTIONS)
    for key in (*ALERT_KEYS, *RECORD_KEYS):
        assert f"`{key}`" in text, key
