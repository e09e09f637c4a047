"""Tests of explain: the tree says what the engine sees, the sentence says what decides, nothing is changed by asking."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bridge.core.engine import Engine
from bridge.core.explain import explain
from bridge.core.explain_tree import TreeReader
from bridge.core.input_values import point_of
from bridge.core.inputs import InputSpec
from bridge.core.maintenance import Maintenance
from bridge.core.rules import Pack, Program, compile_packs
from bridge.errors import RuleError
from bridge.files.paths import rules_directory, schemas_directory
from bridge.files.yaml_text import load_file
from bridge.model import Read, Sample
from tests.catalogue import catalogue as full_catalogue
from tests.core.small_site import alert, catalogue, engine, feed, program, samples

ALL_KEYS = Path(__file__).parent.parent / "fixtures" / "rules.all.good.yaml"
LOW = alert("low", "battery.soc < params.low", for_="30s", clear="battery.soc >= params.low + 5")


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads((schemas_directory() / "explain.schema.json").read_text()))


def asked(on: Engine, alert_id: str, now: float, topics: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return an explanation that is JSON, and valid."""
    document: dict[str, Any] = json.loads(json.dumps(explain(on, alert_id, now, topics), allow_nan=False))
    assert [f"{error.json_path}: {error.message}" for error in validator().iter_errors(document)] == []
    return document


def verdict(on: Engine, alert_id: str, now: float) -> str:
    return str(asked(on, alert_id, now)["verdict"])


def leafs(node: dict[str, Any], op: str = "point") -> list[dict[str, Any]]:
    """Return the nodes of a kind in a tree."""
    return [*([node] if node["op"] == op else []), *(one for part in node["parts"] for one in leafs(part, op))]


# -- the sentence -------------------------------------------------------------------------------------------------

FRESH: dict[str, Any] = {"site.online": True, "battery.soc": 62.0}


def test_the_sentence_follows_the_life_of_an_alert() -> None:
    """Not firing, pending with its clock, stopped, firing, waiting for the recovery condition: each says why."""
    on = engine(LOW, params={"low": 10})
    feed(on, 1000.0, FRESH)
    assert verdict(on, "low", 1000.0) == "not firing: battery.soc 62 % is not < 10 %"
    feed(on, 1010.0, {"battery.soc": 9.5})
    assert verdict(on, "low", 1022.0) == "pending for 12 s of 30 s: battery.soc 9.5 % < 10 %"
    assert verdict(on, "low", 900.0) == "pending for 0 s of 30 s: battery.soc 9.5 % < 10 %"  # its last step is later
    feed(on, 1025.0, {"battery.soc": None})
    assert verdict(on, "low", 1031.0) == (
        "pending, its clock stopped after 15 s of 30 s: "
        "battery.soc is invalid (the GX has had no value for it for 21 s)"
    )
    feed(on, 1040.0, {"battery.soc": 9.0})
    feed(on, 1060.0, {})
    since = "firing for 5 s (since 1970-01-01 00:17:35 UTC), announced"
    assert verdict(on, "low", 1060.0) == f"{since}: battery.soc 9 % < 10 %"
    feed(on, 1060.0, {"battery.soc": 12.0})
    assert verdict(on, "low", 1060.0) == (
        f"{since}: battery.soc 12 % is not < 10 % any more, but it is over only when clear holds: "
        "battery.soc 12 % is not >= 15 %"
    )


def test_keep_firing_for_is_told_with_its_clock() -> None:
    """An alert that is clear but kept says when it is over, and where the clock stopped when that is unknown."""
    on = engine(alert("low", "battery.soc < 10", keep_firing_for="1m"))
    feed(on, 1000.0, {**FRESH, "battery.soc": 5.0})
    feed(on, 1010.0, {"battery.soc": 20.0})
    document = asked(on, "low", 1030.0)
    assert document["verdict"].endswith("over in 40 s if it stays clear: battery.soc 20 % is not < 10 %")
    assert document["inner_phase"] == "clearing"
    assert document["clocks"]["keep_firing_for"] == {
        "state": "running",
        "limit_s": 60.0,
        "ran_s": 20.0,
        "due": {"at": "1970-01-01T00:17:50Z", "in_s": 40.0},
    }
    feed(on, 1040.0, {"battery.soc": None})
    document = asked(on, "low", 1099.0)
    assert "clear for 30 s of 1 min, where the clock stopped: battery.soc is invalid" in document["verdict"]
    assert (document["inner_phase"], document["phase"]) == ("holding", "firing")


def test_what_is_clear_is_told_by_the_recovery_condition() -> None:
    """While it is kept, the condition that would end it is the reason, not the one that began it."""
    on = engine(alert("low", "battery.soc < 10", clear="battery.soc > 15", keep_firing_for="1m"))
    feed(on, 1000.0, {**FRESH, "battery.soc": 5.0})
    feed(on, 1010.0, {"battery.soc": 20.0})
    assert verdict(on, "low", 1010.0).endswith("over in 1 min if it stays clear: battery.soc 20 % > 15 %")


@pytest.mark.parametrize(
    ("expr", "values", "sentence"),
    [
        (
            "battery.soc < 10 and battery.power > 5",
            {"battery.soc": 9.0, "battery.power": 1.0},
            "battery.power 1 W is not > 5 W",
        ),
        (
            "battery.soc < 10 or battery.power > 5",
            {"battery.soc": 9.0, "battery.power": 1.0},
            "battery.soc 9 % < 10 %",
        ),
        (
            "battery.soc < 5 or battery.power > 5",
            {"battery.soc": 9.0, "battery.power": 1.0},
            "battery.soc 9 % is not < 5 % and battery.power 1 W is not > 5 W",
        ),
        ("not system.low_soc", {"system.low_soc": True}, "system.low_soc is true"),
        ('vebus[276].state == "bulk"', {"vebus.276.state": ("bulk", 3)}, 'vebus[276].state is "bulk"'),
        ('vebus[276].state != "bulk"', {"vebus.276.state": ("bulk", 3)}, 'vebus[276].state is "bulk"'),
        ('vebus[276].state == "off"', {"vebus.276.state": ("bulk", 3)}, 'vebus[276].state "bulk" is not "off"'),
        (
            'vebus[276].state in ("off", "float")',
            {"vebus.276.state": ("bulk", 3)},
            'vebus[276].state "bulk" is none of "off", "float"',
        ),
        ("49 < battery.soc <= 51", {"battery.soc": 50.0}, "49 < battery.soc 50 % <= 51"),
        ("49 < battery.soc <= 51", {"battery.soc": 52.0}, "battery.soc 52 % is not <= 51 %"),
        ("any(battery[*].soc < 20)", {"battery.1.soc": 50, "battery.2.soc": 9}, "battery[2].soc 9 % < 20 %"),
        ("any(battery[*].soc < 5)", {"battery.1.soc": 50}, "any(battery[*].soc < 5) is false for all of 1"),
        ("all(battery[*].soc < 20)", {"battery.1.soc": 50, "battery.2.soc": 9}, "battery[1].soc 50 % is not < 20 %"),
        ("max(battery[*].soc) > 90", {"battery.1.soc": 50}, "max(battery[*].soc) 50 % is not > 90 %"),
        ("battery.soc < 9 if system.low_soc else false", {"system.low_soc": False}, "system.low_soc is false"),
        (
            "battery.soc < 9 if system.low_soc else false",
            {"system.low_soc": True, "battery.soc": 5},
            "battery.soc 5 % < 9 %",
        ),
        ("coalesce(battery.soc < 9, true)", {"battery.soc": 50}, "battery.soc 50 % is not < 9 %"),
        ("coalesce(battery.soc < 9, true)", {}, "coalesce(battery.soc < 9, true) is true"),
        ("absent(battery.soc)", {"battery.soc": 50}, "battery.soc is there (50 %)"),
        ("age(battery.soc) > 300", {"battery.soc": 50}, "age(battery.soc) 0 s is not > 5 min"),
        (
            "battery.soc / battery.power > 1",
            {"battery.soc": 5, "battery.power": 0},
            "battery.soc / battery.power is not known (it has no result, as a division by zero has none)",
        ),
        (
            "battery.soc > (5 if system.low_soc else 0 / 0)",
            {"battery.soc": 5, "system.low_soc": False},
            "0 / 0 is not known (it has no result, as a division by zero has none)",
        ),
        ("battery.soc > 1", {"battery.power": 0}, "battery.soc is not known (the GX has never told it)"),
        ("max(battery[*].soc) > 90", {}, "max(battery[*].soc) has no device to look at"),
        (
            "ewma(battery.soc, 10m) < 9",
            {"battery.soc": 5},
            "ewma(battery.soc, 10m) is not known (0 s are known, one half-life of 10 min is needed: "
            "in 10 min at the earliest)",
        ),
        (
            "seasonal_zscore(battery.soc) > 3",
            {"battery.soc": 5},
            "seasonal_zscore(battery.soc) is not known (of this hour of the week 0 of 3 weeks are known: "
            "in 21 d at the earliest)",
        ),
        (
            "avg_over_time(battery.soc, 5m) < 9",
            {"battery.soc": 5},
            "avg_over_time(battery.soc, 5m) is not known (0 s of 5 min are known, 80 % are needed: "
            "in 4 min at the earliest)",
        ),
    ],
)
def test_the_sentence_tells_what_decides(expr: str, values: dict[str, Any], sentence: str) -> None:
    """Of an `and` what is false, of an `or` what is true, of an aggregate which device; of unknown what and why."""
    on = engine(alert("it", expr))
    feed(on, 1000.0, {"site.online": True, **values})
    assert verdict(on, "it", 1000.0).endswith(f": {sentence}")


def test_unknown_may_count_as_something() -> None:
    """`on_unknown: clear` does not say that it cannot tell, `fire` says what it took for true."""
    on = engine(
        alert("clear", "battery.soc < 5", on_unknown="clear"),
        alert("fire", "battery.soc < 5", on_unknown="fire", for_="1m"),
    )
    feed(on, 1000.0, {"site.online": True})
    assert verdict(on, "clear", 1000.0).startswith("not firing, as unknown counts as clear: battery.soc is not known")
    assert verdict(on, "fire", 1000.0).startswith("pending for 0 s of 1 min: unknown counts as true: battery.soc")
    feed(on, 1061.0, {})
    assert ", announced: unknown counts as true: battery.soc is not known" in verdict(on, "fire", 1061.0)


def test_what_is_kept_and_unknown_counts_as_clear_says_so() -> None:
    """With `on_unknown: clear` an alert goes out because nobody knows: that is not a value that is good again."""
    on = engine(alert("low", "battery.soc < 10", keep_firing_for="1m", on_unknown="clear"))
    feed(on, 1000.0, {**FRESH, "battery.soc": 5.0})
    feed(on, 1010.0, {"battery.soc": None})
    said = "over in 1 min if it stays clear: unknown counts as clear: battery.soc is invalid"
    assert said in verdict(on, "low", 1010.0)


@pytest.mark.parametrize(
    ("happens", "quality", "why"),
    [
        ("stale", "stale", "not read for 1 min 35 s, 30 s are allowed"),
        ("gone", "stale", "the device is gone from the GX"),
        ("offline", "stale", "the GX does not answer"),
        ("invalid", "invalid", "the GX has had no value for it for 1 min 35 s"),
    ],
)
def test_a_point_says_why_it_is_not_known(happens: str, quality: str, why: str) -> None:
    """Not read, device gone, GX gone, no value: each has its own words, and the age goes on."""
    on = engine(alert("low", "battery.soc < 10", each="battery"))
    taken = samples({"site.online": True, "battery.512.online": True, "battery.512.soc": 50.0}, 1000.0)
    on.step(1000.0, taken, [Read("battery/512", 1000.0, 30.0 if happens == "stale" else 1e6)])
    after = {
        "stale": {},
        "gone": {"battery.512.online": False},
        "offline": {"site.online": False},
        "invalid": {"battery.512.soc": None},
    }
    read = [Read("battery/512", 1090.0, 1e6)] if happens == "invalid" else []
    on.step(1090.0, samples(after[happens], 1090.0), read)
    (point,) = leafs(asked(on, "low", 1095.0)["expr"])
    assert (point["quality"], point["why"], point["age_s"]) == (quality, why, 95.0)
    assert (point["name"], point["text"], point["value"], point["unit"]) == (
        "battery/512/soc",
        "battery.soc",
        None,
        "%",
    )
    assert verdict(on, "low", 1095.0) == f"cannot tell: battery.soc is {quality} ({why})"


def test_one_stale_device_makes_an_aggregate_unknown() -> None:
    """It is named; the devices that are known keep their values in the tree."""
    on = engine(alert("far", "max(battery[*].soc) - min(battery[*].soc) > 50"))
    taken = samples({"site.online": True, "battery.1.soc": 50.0, "battery.2.soc": 60.0}, 1000.0)
    on.step(1000.0, taken, [Read("battery/1", 1000.0, 30.0), Read("battery/2", 1000.0, 1e6)])
    on.step(1060.0, [])
    assert verdict(on, "far", 1060.0) == ("cannot tell: battery[1].soc is stale (not read for 1 min, 30 s are allowed)")
    tree = asked(on, "far", 1060.0)["expr"]
    assert [part["value"] for part in leafs(tree, "over_devices")] == [None, None]
    assert [point["value"] for point in leafs(tree)] == [None, 60.0, None, 60.0]


# -- who heard of it ----------------------------------------------------------------------------------------------


def test_what_keeps_an_alert_quiet_is_named() -> None:
    """Inhibition names the alert that fires, a silence its comment and end, an acknowledgement is told."""
    on = engine(
        alert("offline", "not site.online"),
        alert("low", "battery.soc < 10", inhibited_by=["offline"], on_unknown="hold"),
        alert("empty", "battery.soc < 5"),
    )
    feed(on, 1000.0, {"site.online": True, "battery.soc": 50.0})
    feed(on, 1001.0, {"site.online": False})
    assert asked(on, "low", 1001.0)["inhibited_by"] == ["offline"]
    assert not asked(on, "low", 1001.0)["inhibited"]  # it does not fire
    on.silence({"alert": "empty"}, 4600.0, 1002.0, "works on the roof")
    feed(on, 1003.0, {"site.online": True, "battery.soc": 4.0})
    empty, low = asked(on, "empty", 1013.0), asked(on, "low", 1013.0)
    assert empty["verdict"] == (
        "firing for 10 s (since 1970-01-01 00:16:43 UTC), not announced: silenced until 1970-01-01 01:16:40 UTC "
        '("works on the roof"): battery.soc 4 % < 5 %'
    )
    assert (empty["announced"], empty["silenced"]) == (None, True)
    assert empty["silences"] == [
        {
            "kind": "silence",
            "id": 1,
            "comment": "works on the roof",
            "until": {"at": "1970-01-01T01:16:40Z", "in_s": 3587.0},
        }
    ]
    assert low["announced"] == {"at": "1970-01-01T00:16:43Z", "ago_s": 10.0}
    on.acknowledge("low", 1020.0)
    assert ", announced and acknowledged: battery.soc" in verdict(on, "low", 1020.0)
    on.silence({"alert": "low"}, 4600.0, 1021.0)
    told = ", announced and acknowledged, now silenced until 1970-01-01 01:16:40 UTC: battery.soc 4 % < 10 %"
    assert told in verdict(on, "low", 1021.0)
    on.acknowledge("empty", 1022.0)
    assert ", not announced but acknowledged: silenced until" in verdict(on, "empty", 1022.0)
    lines = {one["id"]: one for one in asked(on, "*", 1022.0)["alerts"]}
    marks = ("acknowledged", "silenced", "inhibited")
    assert [[lines[name][mark] for mark in marks] for name in ("offline", "low", "empty")] == [
        [False, False, False],
        [True, True, False],
        [True, True, False],
    ]


def test_an_inhibited_alert_says_by_what() -> None:
    """What fires while something else makes it redundant names it."""
    on = engine(alert("all", "system.low_soc"), alert("low", "battery.soc < 10", inhibited_by=["all"]))
    feed(on, 1000.0, {"site.online": True, "system.low_soc": True, "battery.soc": 5.0})
    assert ", not announced: inhibited by all: battery.soc 5 % < 10 %" in verdict(on, "low", 1000.0)


def test_maintenance_is_told_as_such() -> None:
    """A window of the config has no id to end it by."""
    window = Maintenance(frozenset(range(1, 8)), 0, 86400, "", {}, "")
    on = Engine("site", program([alert("low", "battery.soc < 10")]), [window])
    feed(on, 1000.0, {"site.online": True, "battery.soc": 5.0})
    (silence,) = asked(on, "low", 1000.0)["silences"]
    assert (silence["kind"], silence["id"], silence["comment"]) == ("maintenance", None, "maintenance")


def test_flapping_reminders_and_escalation_are_told() -> None:
    """The clocks beside the phase: when the next reminder, the escalation, the end of flapping are due."""
    rule = alert("flaps", "system.low_soc", repeat="1h", escalate={"after": "2h", "severity": "critical"})
    on = engine(rule)
    for turn in range(9):
        feed(on, 1000.0 + 10 * turn, {"site.online": True, "system.low_soc": turn % 2 == 0})
    document = asked(on, "flaps", 1085.0)
    assert (document["flapping"], document["firings_last_hour"]) == (True, 5)
    clocks = document["clocks"]
    assert clocks["flapping_until"] == {"at": "1970-01-01T00:48:00Z", "in_s": 1795.0}
    assert clocks["reminder"] == {"every_s": 3600.0, "due": None}  # it does not remind while it flaps
    assert clocks["escalation"] == {
        "after_s": 7200.0,
        "severity": "critical",
        "is_done": False,
        "due": {"at": "1970-01-01T02:18:00Z", "in_s": 7195.0},
    }
    feed(on, 1090.0, {"system.low_soc": False})
    assert "not firing, but flapping (it is told to be over if it stays quiet until" in verdict(on, "flaps", 1090.0)


def test_what_will_not_be_told_has_no_time() -> None:
    """Reminders are due while nothing keeps the alert quiet, the escalation while it is not acknowledged."""
    rule = alert("low", "system.low_soc", repeat="1h", escalate={"after": "2h", "severity": "critical"})
    on = engine(rule)
    feed(on, 1000.0, {"site.online": True, "system.low_soc": True})

    def due(clock: str) -> float | None:
        found = asked(on, "low", 1100.0)["clocks"][clock]["due"]
        return found["in_s"] if found else None

    assert (due("reminder"), due("escalation")) == (3500.0, 7100.0)
    on.silence({}, 2000.0, 1050.0)
    assert (due("reminder"), due("escalation")) == (None, 7100.0)
    on.unsilence(1, 1060.0)
    on.acknowledge("low", 1070.0)
    assert (due("reminder"), due("escalation")) == (None, None)


def test_an_input_is_told_by_its_messages() -> None:
    """The GX is not to blame for what others publish; the age is that of the last message."""
    price = InputSpec("price", "tariff/price", (), "number", "ct", 60.0)
    on = engine(alert("cheap", "input.price < 10"), inputs=[price.known])
    topics = {"input/price": price.topic}
    point = point_of(price)

    def why(now: float, heard: Mapping[str, str] | None = topics) -> str:
        return str(asked(on, "cheap", now, heard)["verdict"]).partition("input.price is ")[2]

    feed(on, 1000.0, {"site.online": True})
    assert why(1000.0) == "not known (no message came on tariff/price yet)"
    assert why(1000.0, {}) == "not known (the site's config has no input.price)"
    assert why(1000.0, None) == "not known (a recording does not hold what others publish)"
    on.step(1010.0, [Sample(point, None, 1010.0)], [Read(point.group, 1010.0, 60.0)])
    assert why(1015.0) == "invalid (the last message on tariff/price, 5 s ago, is empty or could not be read)"
    on.step(1020.0, [Sample(point, 12.0, 1020.0)], [Read(point.group, 1020.0, 60.0)])
    assert "input.price 12 ct is not < 10 ct" in asked(on, "cheap", 1021.0, topics)["verdict"]
    on.step(1090.0, [])
    assert why(1100.0) == "stale (no message on tariff/price for 1 min 20 s, 1 min are allowed)"
    on.step(1110.0, [Sample(point, None, 1110.0)], [Read(point.group, 1110.0, 60.0)])
    on.step(1200.0, [])
    assert why(1200.0) == "stale (no message on tariff/price for 1 min 30 s, 1 min are allowed)"


def test_many_ids_are_listed_in_order_and_cut() -> None:
    """Numbers stand in their order, and it is said how many were left out."""
    on = engine(alert("low", "battery.soc < 10", each="battery"))
    feed(on, 1000.0, {f"battery.{number}.soc": 50.0 for number in (*range(25, 1, -1), 100)})
    with pytest.raises(RuleError) as caught:
        explain(on, "nothing_like_it", 1000.0)
    listed = caught.value.message.partition("; there are ")[2]
    assert listed.startswith("low, low/battery/2, low/battery/3,")
    assert listed.endswith("low/battery/19, low/battery/20 …and 6 more")
    with pytest.raises(RuleError) as caught:
        explain(on, "low", 1000.0)
    assert caught.value.message.startswith("25 devices have the alert low; choose one: low/battery/2, low/battery/3,")
    assert caught.value.message.endswith("low/battery/21 …and 5 more")


# -- the tree -----------------------------------------------------------------------------------------------------


def test_params_are_shown_by_name() -> None:
    """`params.low + 5` shows its result, and what the param is."""
    on = engine(LOW, params={"low": 10})
    feed(on, 1000.0, FRESH)
    document = asked(on, "low", 1000.0)
    total = document["clear"]["parts"][1]
    assert (total["text"], total["value"]) == ("params.low + 5", 15.0)
    assert [(one["text"], one["value"]) for one in leafs(document["clear"], "params")] == [("params.low", 10)]


def test_below_a_record_stands_what_it_is_computed_of() -> None:
    """A record has its own value and, below, the tree of its expression on the same device."""
    on = engine(
        {
            "record": "battery.spread",
            "each": "battery",
            "unit": "V",
            "expr": "battery.cell_voltage.max - battery.cell_voltage.min",
        },
        alert("spread", "battery.spread > 0.1", each="battery"),
        alert("worst", "max(battery[*].spread) > 0.2"),
        alert("one", "battery[2].spread > 0.3"),
    )
    feed(
        on,
        1000.0,
        {
            "site.online": True,
            **{f"battery.{n}.cell_voltage.{x}": v for n in (1, 2) for x, v in (("max", 3.5), ("min", 3.5 - n / 4))},
        },
    )
    (record,) = leafs(asked(on, "spread/battery/2", 1000.0)["expr"], "record")
    assert (record["name"], record["value"], record["unit"]) == ("battery/2/spread", 0.5, "V")
    assert [point["name"] for point in leafs(record)] == ["battery/2/cell_voltage/max", "battery/2/cell_voltage/min"]
    worst = asked(on, "worst", 1000.0)["expr"]["parts"][0]
    assert [(part["device"]["instance"], part["value"], part["text"]) for part in worst["parts"]] == [
        (1, 0.25, "battery[1].spread"),
        (2, 0.5, "battery[2].spread"),
    ]
    assert leafs(worst)[3]["text"] == "battery[2].cell_voltage.min"
    assert leafs(asked(on, "one", 1000.0)["expr"])[0]["text"] == "battery[2].cell_voltage.max"


def test_a_function_over_time_tells_how_much_it_knows() -> None:
    """Window, what of it is known, and the value of now, even while the engine lets it rest."""
    on = engine(alert("avg", "avg_over_time(battery.soc, 5m) < 20"), alert("held", "held(battery.soc < 20) > 60"))
    feed(on, 1000.0, {"site.online": True, "battery.soc": 50.0})
    for turn in range(1, 80):
        feed(on, 1000.0 + 10 * turn, {"battery.soc": 50.0 if turn < 60 else 80.0})
    before = json.dumps(on.dump())
    (node,) = leafs(asked(on, "avg", 1790.0)["expr"], "over_time")
    assert json.dumps(on.dump()) == before
    assert (node["function"], node["window_s"], node["known_s"]) == ("avg_over_time", 300.0, 300.0)
    assert node["value"] == pytest.approx(50 + 30 * 190 / 300, abs=1)
    assert [(point["text"], point["value"]) for point in leafs(node)] == [("battery.soc", 80.0)]
    (held,) = leafs(asked(on, "held", 1790.0)["expr"], "over_time")
    assert (held["value"], held["window_s"], held["known_s"], held["unit"]) == (0.0, None, None, "s")


def test_a_constant_has_nothing_to_be_measured_by() -> None:
    """A score whose window is known, but of one value only, does not say that it needs more of it."""
    on = engine(alert("odd", "zscore(battery.soc, 5m) > 3"))
    for turn in range(60):
        feed(on, 1000.0 + 10 * turn, {"site.online": True, "battery.soc": 50.0})
    told = "cannot tell: zscore(battery.soc, 5m) is not known (what is known has no spread to measure by)"
    assert verdict(on, "odd", 1590.0) == told


def test_explaining_changes_nothing() -> None:
    """An engine that was asked about everything dumps the same state as before."""
    on = Engine("site", everything())
    feed(on, 1000.0, {"site.online": True, "battery.soc": 5.0, "battery.512.soc": 5.0, "vebus.276.state": ("bulk", 3)})
    feed(on, 1400.0, {"battery.soc": 6.0})
    before, slots = json.dumps(on.dump()), list(on.store.names)
    for alert_id in ("*", *on.alert_states):
        asked(on, alert_id, 1500.0)
    assert (json.dumps(on.dump()), on.store.names) == (before, slots)


def everything() -> Program:
    return compile_packs([Pack("all.yaml", load_file(ALL_KEYS).data)], catalogue())


def test_every_function_has_a_tree() -> None:
    """A rule with every key and every function is explained, known or not."""
    on = Engine("site", everything())
    for now, values in (
        (1000.0, {}),
        (1010.0, {"battery.soc": 5.0, "battery.512.soc": 7.0}),
        (1020.0, {"site.online": False}),
    ):
        feed(on, now, values)
        for alert_id in ("*", *on.alert_states):
            asked(on, alert_id, now)


@pytest.mark.parametrize("is_shipped", [False, True])
def test_what_is_shown_means_what_was_written(is_shipped: bool) -> None:
    """Every expression, shown and compiled again, is the same rule: names, labels, params, windows, parentheses."""
    known = full_catalogue() if is_shipped else catalogue()
    files = sorted(rules_directory().glob("*.yaml")) if is_shipped else [ALL_KEYS]
    data = [load_file(file).data for file in files]
    first = Engine("site", compile_packs([Pack(one["pack"], one) for one in data], known))
    again = [{**one, "rules": [as_shown(first, rule) for rule in one["rules"]]} for one in data]
    second = compile_packs([Pack(one["pack"], one) for one in again], known)
    assert [rule.expr.canonical for rule in second.rules] == [rule.expr.canonical for rule in first.program.rules]


def as_shown(on: Engine, rule: dict[str, Any]) -> dict[str, Any]:
    """Return a written rule with its expression as explain shows it."""
    return {**rule, "expr": shown(on, rule["alert"])} if "alert" in rule else rule


def shown(on: Engine, name: str) -> str:
    rule = next(rule for rule in on.program.rules if rule.name == name)
    return TreeReader(on, 0.0).unread(rule.expr.formula, rule.each).text


_NAMES = ("battery.soc", "battery.power", "battery.1.soc", "battery.2.soc", "battery.1.online", "site.online")
_VALUES = st.sampled_from([None, 0.0, 5.0, 22.0, 70.0])
_TURNS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 10.0, 20.0, 40.0]),
        st.dictionaries(st.sampled_from(_NAMES[:4]), _VALUES),
        st.sampled_from([True] * 5 + [False]),
    ),
    min_size=3,
    max_size=12,
)
_PROGRAM = program(
    [
        {"record": "x.sum", "expr": "battery.soc + coalesce(battery.power, 0)"},
        alert("sum", "x.sum > 20 and not battery.power / battery.soc > 2"),
        alert("any", "any(battery[*].soc < 10) or max(battery[*].soc) - min(battery[*].soc) > 50"),
        alert("count", "count(battery[*].soc < 30) >= 2 or all(battery[*].soc > 60)"),
        alert("avg", "avg_over_time(battery.soc, 60s) < 30 or held(battery.power > 1) > 30"),
        alert("each", "battery.soc < 40 if site.battery.soc > 10 else battery.soc in (0, 5)", each="battery"),
        alert("far", "abs(clamp(battery.soc, 10, 60) - 30) >= max(battery.power, 7) ** 0.5 or absent(battery.power)"),
    ]
)


@settings(max_examples=60, deadline=None)
@given(_TURNS)
def test_the_tree_is_true_when_the_rule_is(turns: list[Any]) -> None:
    """At every moment the root of every tree has the truth that the compiled rule gave to the alert."""
    on = Engine("site", _PROGRAM)
    now = 1000.0
    for wait_s, values, is_online in turns:
        now += wait_s
        taken = samples({**values, "site.online": is_online}, now)
        on.step(now, taken, [Read(group, now, 30.0) for group in {one.point.group for one in taken}])
        for alert_id, state in on.alert_states.items():
            assert explain(on, alert_id, now)["expr"]["value"] is state.truth


# -- which alert --------------------------------------------------------------------------------------------------

CELLS = alert("cells", "battery.cell_voltage.max > 3.6 and device.online", each="battery")


def test_a_name_is_enough_where_one_device_has_it() -> None:
    """On several devices the ids are listed."""
    on = engine(CELLS)
    feed(on, 1000.0, {"battery.1.online": True, "battery.1.cell_voltage.max": 3.4})
    assert asked(on, "cells", 1000.0)["id"] == "cells/battery/1"
    feed(on, 1000.0, {"battery.2.online": True, "battery.2.cell_voltage.max": 3.4})
    with pytest.raises(RuleError, match="2 devices have the alert cells; choose one: cells/battery/1, cells/battery/2"):
        explain(on, "cells", 1000.0)


@pytest.mark.parametrize(
    ("alert_id", "message"),
    [
        ("cell", 'there is no alert "cell"; did you mean "cells"'),
        ("cells/battery/7", 'there is no alert "cells/battery/7"; did you mean "cells/battery/1"'),
        ("wind", 'there is no alert "wind"; there are cells, cells/battery/1'),
        ("", 'there is no alert ""; there are cells'),
    ],
)
def test_an_unknown_id_is_answered_with_the_nearest(alert_id: str, message: str) -> None:
    """Nobody has to guess what would be right."""
    on = engine(CELLS)
    feed(on, 1000.0, {"battery.1.online": True, "battery.1.cell_voltage.max": 3.4})
    with pytest.raises(RuleError) as found:
        explain(on, alert_id, 1000.0)
    assert message in str(found.value)


def test_a_rule_that_watches_nothing_says_what_is_missing() -> None:
    """Which points no device has, records resolved to what the GX would have to tell."""
    spread = {
        "record": "battery.spread",
        "each": "battery",
        "expr": "battery.cell_voltage.max - battery.cell_voltage.min",
    }
    on = engine(
        spread,
        alert("far", "battery.spread > 1", each="battery"),
        CELLS,
        alert("bulk", 'vebus.state == "bulk"', each="vebus"),
    )
    assert verdict(on, "far", 0.0) == "watches nothing: the GX has no battery"
    feed(on, 1000.0, {"battery.1.cell_voltage.max": 3.4, "battery.2.soc": 50.0})
    document = asked(on, "far", 1000.0)
    assert document["verdict"] == "watches nothing: no battery has cell_voltage.min"
    assert document["missing"] == [
        {"device": {"class": "battery", "instance": 1}, "points": ["cell_voltage.min"]},
        {"device": {"class": "battery", "instance": 2}, "points": ["cell_voltage.max", "cell_voltage.min"]},
    ]
    assert (document["phase"], document["expr"]["text"]) == (None, "battery.spread > 1")
    assert verdict(on, "far/battery/1", 1000.0) == "not watched: battery/1 has no cell_voltage.min"
    assert verdict(on, "bulk", 1000.0) == "watches nothing: the GX has no vebus"


def test_all_alerts_in_one_line_each() -> None:
    """`*` lists what is watched and what is not, in the order of the rules."""
    on = engine(LOW, CELLS, alert("any", "any(battery[*].soc < 10)"), params={"low": 10})
    feed(on, 1000.0, {"site.online": True, "battery.soc": 9.0, "battery.1.soc": 4.0})
    lines = asked(on, "*", 1000.0)["alerts"]
    assert [(line["id"], line["phase"], line["truth"]) for line in lines] == [
        ("low", "pending", True),
        ("cells", None, None),
        ("any", "firing", True),
    ]
    assert lines[0]["verdict"] == verdict(on, "low", 1000.0)
