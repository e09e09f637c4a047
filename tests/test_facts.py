"""What a GX tells of its site becomes facts of its rules, without an event too many or too few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.core.profile import SETTLES_S
from bridge.core.rules import Program
from bridge.facts import Facts
from bridge.model import Sample
from tests.core.small_site import alert, feed, point, program, told

LOW = alert("low", "battery.soc < profile.inverter_rating / 100")


class Compiler:
    """Makes the program anew, and counts."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, told_facts: Mapping[str, Any]) -> Program:
        self.calls.append(dict(told_facts))
        return program([LOW], profile=told_facts)


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
