"""What a GX tells of its site becomes facts of its rules, without an event too many or too few."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from bridge.core.maintenance import Maintenance
from bridge.core.profile import SETTLES_S
from bridge.core.rules import Program
from bridge.errors import ConfigError, ConfigErrors
from bridge.facts import Facts
from bridge.model import Sample
from tests.core.small_site import alert, feed, point, program, told

LOW = alert("low", "battery.soc < profile.inverter_rating / 100")


class Compiler:
    """Makes the program anew, and counts."""

    def __init__(self, *rules: dict[str, Any]) -> None:
        self.calls: list[dict[str, Any]] = []
        self._rules = list(rules) or [LOW]

    def __call__(self, told_facts: Mapping[str, Any]) -> Program:
        self.calls.append(dict(told_facts))
        return program(self._rules, profile=told_facts)


def refuse(told_facts: Mapping[str, Any]) -> Program:
    """Stand for rules that cannot take what the GX tells."""
    raise ConfigErrors(
        [ConfigError("q must be from 0 to 1", "own.yaml", 7, 11), ConfigError("and more", "own.yaml", 9)]
    )


def rated(watts: float) -> list[Sample]:
    return [Sample(point("profile/inverter_rating"), watts, 0.0)]


def test_a_fact_that_has_settled_makes_the_rules_anew() -> None:
    """Not before a minute; what fires goes on firing, and its resolve comes from the new engine."""
    compiler = Compiler()
    facts = Facts(program([LOW], profile={"inverter_rating": 5000}), compiler)
    engine = facts.engine("site")
    assert told(feed(engine, 0, {"battery.soc": 40})) == [(0, "firing", "low")]
    facts.take(rated(3000.0), 10)
    assert facts.renewed(engine, 10 + SETTLES_S - 1) is None
    renewed = facts.renewed(engine, 10 + SETTLES_S)
    assert renewed is not None
    assert (compiler.calls, dict(facts.told)) == ([{"inverter_rating": 3000}], {"inverter_rating": 3000})
    assert told(renewed.step(80, [])) == [(70, "resolved", "low")]
    assert facts.renewed(renewed, 1000) is None


def test_what_is_known_already_changes_nothing() -> None:
    """The same value is told at every start."""
    compiler = Compiler()
    facts = Facts(program([LOW]), compiler, told={"inverter_rating": 3000})
    assert len(compiler.calls) == 1, "the rules begin with what was told before the restart"
    engine = facts.engine("site")
    facts.take(rated(3000.0), 0)
    assert facts.renewed(engine, 1000) is None
    assert len(compiler.calls) == 1


def test_a_value_that_does_not_last_is_no_fact() -> None:
    """A GX that starts publishes what it has not read yet."""
    compiler = Compiler()
    facts = Facts(program([LOW], profile={"inverter_rating": 3000}), compiler)
    engine = facts.engine("site")
    facts.take(rated(10.0), 0)
    facts.take(rated(3000.0), 30)
    assert facts.renewed(engine, 30 + SETTLES_S) is None
    assert compiler.calls == []


def test_the_new_rules_have_the_clocks_and_the_counters_of_the_old() -> None:
    """A window of maintenance in local time goes on, rules see the hour of the site, and health counts on."""
    rules = [LOW, alert("late", "hour() == 13")]
    compiler = Compiler(*rules)
    window = Maintenance(
        frozenset(range(1, 8)), 13 * 3600, 14 * 3600, "Pacific/Kiritimati", {"alert": ["low"]}, "works"
    )
    facts = Facts(program(rules, profile={"inverter_rating": 1000}), compiler, (window,))
    engine = facts.engine("site")
    engine.set_wall_offset(1800.0, 12.5 * 3600, {"Pacific/Kiritimati": 13 * 3600.0})
    assert told(feed(engine, 0, {"battery.soc": 40})) == [(1800, "firing", "late")]
    facts.take(rated(9000.0), 10)
    counted = dict(engine.counters)
    renewed = facts.renewed(engine, 10 + SETTLES_S)
    assert renewed is not None
    assert (renewed.counters, renewed.clocks) == (counted, engine.clocks)
    assert renewed.step(80, []) == [], "late goes on, and low is silenced by the window"
    assert renewed.alert_states["low"].silenced and renewed.alert_states["late"].is_firing


def test_what_functions_over_time_remember_survives_new_rules() -> None:
    """A mean of an hour does not begin again when a GX tells its rating."""
    rules = [alert("mean", "avg_over_time(battery.soc, 1h) < profile.inverter_rating / 100")]
    compiler = Compiler(*rules)
    facts = Facts(program(rules, profile={"inverter_rating": 1000}), compiler)
    engine = facts.engine("site")
    feed(engine, 0, {"battery.soc": 40})
    feed(engine, 3000, {"battery.soc": 60})
    facts.take(rated(5000.0), 3000)
    renewed = facts.renewed(engine, 3600)
    assert renewed is not None
    assert told(renewed.step(3600, [])) == [(3600, "firing", "mean")], "40 for 50 minutes, then 60 for 10"


def test_a_fact_that_the_rules_cannot_take_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Not the start and not the site at work: the rules stay as they are, and each mistake is said once."""
    with caplog.at_level(logging.ERROR):
        facts = Facts(program([LOW], profile={"inverter_rating": 5000}), refuse, told={"inverter_rating": 3000})
        engine = facts.engine("site")
        assert told(feed(engine, 0, {"battery.soc": 40})) == [(0, "firing", "low")]
        for at, watts in ((10, 4000.0), (200, 4500.0)):
            facts.take(rated(watts), at)
            assert facts.renewed(engine, at + SETTLES_S) is None
    assert [record.getMessage() for record in caplog.records] == [
        "the rules go on without what the GX tells (inverter_rating 3000): own.yaml:7:11: q must be from 0 to 1",
        "the rules go on without what the GX tells (inverter_rating 3000): own.yaml:9: and more",
    ]
    assert facts.told == {"inverter_rating": 4500}, "other rules may take it at the next start"


def test_a_fact_that_no_rule_reads_is_no_news() -> None:
    """Another rating than the default must not cost a site its share of the common program."""
    compiler = Compiler()
    plain = program([alert("low", "battery.soc < 20")])
    facts = Facts(plain, compiler, told={"inverter_rating": 4000})
    engine = facts.engine("site")
    facts.take(rated(3000.0), 0)
    assert facts.renewed(engine, 1000) is None
    assert (compiler.calls, dict(facts.told)) == ([], {"inverter_rating": 3000})
