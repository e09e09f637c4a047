"""What a GX tells of its site on the way through a cycle: values in, other rules and a kept fact out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.core.normalize import Intervals, Normalizer
from bridge.core.profile import SETTLES_S
from bridge.core.rules import Pack, Program, compile_packs
from bridge.core.summary import Summary
from bridge.core.topics import Format, SiteTopics, StateTopics
from bridge.cycle import Cycle
from bridge.facts import Facts
from bridge.model import Page
from bridge.site_state import SiteState
from bridge.sources.base import Poll
from tests.catalogue import catalogue
from tests.core.small_site import alert
from tests.test_cycle import TIERS, VEBUS, Kept, Script, state_of

RULES = [
    alert("overload", "vebus.ac_out.l1.power > profile.inverter_rating", each="vebus"),
    alert("out", "vebus.ac_out.l1.power > 100", each="vebus", for_="5m"),
]
EVERY_S = 10.0


def reprogram(told: Mapping[str, Any]) -> Program:
    return compile_packs([Pack("own.yaml", {"pack": "own", "rules": RULES})], catalogue(), told=told)


class Site:
    """A cycle whose VE.Bus inverter is rated at 3000 W and gives 3500 W."""

    def __init__(self, state: SiteState) -> None:
        self.source, self.sink = Script(), Kept()
        self.source.online = True
        facts = Facts(reprogram({}), reprogram, (), state.profile)
        self.cycle = Cycle(
            self.source, Normalizer(catalogue(), Intervals(TIERS)), facts.engine("home"),
            StateTopics("victron", "home", Format()), SiteTopics("victron", "home"), Summary("home"), self.sink,
            memory=state, facts=facts,
        )  # fmt: skip

    def live(self, since: float, until: float) -> float:
        """Read the inverter at its interval; return the time of the last reading."""
        at = since
        self.read(at)
        while at < until:
            at += EVERY_S
            self.read(at)
        return at

    def read(self, at: float) -> None:
        values = {"DeviceInstance": 276, "Ac/Out/L1/P": 3500, "Ac/Out/NominalInverterPower": 3000}
        self.source.poll_now = Poll((Page(VEBUS, at, values, True, EVERY_S),), frozenset({VEBUS}))
        self.cycle.turn(at, lambda: at)

    def events(self) -> list[tuple[str, str]]:
        told = [json.loads(one.payload) for one in self.sink.messages if one.topic == "victron/home/alerts"]
        return [(event["event"], event["id"]) for event in told]


def test_rules_follow_a_rating_that_a_gx_tells(tmp_path: Path) -> None:
    """A minute after it was read the rules of the running site compare with it, and after a restart from the start."""
    site = Site(state_of(tmp_path))
    site.live(1000.0, 1000.0 + SETTLES_S - EVERY_S)
    assert site.events() == [], "without a rating nothing is too much"
    last = site.live(1000.0 + SETTLES_S, 1000.0 + SETTLES_S + EVERY_S)
    assert site.events() == [("firing", "overload/vebus/276")]
    site.cycle.end(last)
    again = Site(state_of(tmp_path))
    assert again.cycle.engine is not site.cycle.engine
    again.live(last + EVERY_S, last + EVERY_S)
    assert again.events() == [("firing", "overload/vebus/276")], "this cycle was given no state but the facts"


def test_a_request_after_a_gap_does_not_begin_clocks_anew(tmp_path: Path) -> None:
    """New rules are taken up right after a step, so that a `for` goes on over them as it would without."""
    site = Site(state_of(tmp_path))
    last = site.live(1000.0, 1000.0 + SETTLES_S - EVERY_S)
    site.cycle.ask(last + 4 * EVERY_S, lambda engine: [])
    clock = site.cycle.engine.alert_states["out/vebus/276"].clock
    assert clock.ran_s(last + 4 * EVERY_S) == last + 4 * EVERY_S - 1000.0
