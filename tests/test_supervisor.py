"""The supervisor's turn on a clock of the test's own: what it tells the sites of the time that people see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest

from bridge.core.compile import LOCAL, WALL
from bridge.core.maintenance import Maintenance
from bridge.core.normalize import Intervals
from bridge.core.topics import BridgeTopics, Format
from bridge.files.state import StateStore
from bridge.model import Read, Tier
from bridge.site import SiteParts, SiteRunner
from bridge.supervisor import TICK_S, BridgeParts, Supervisor
from tests.core.small_site import alert, catalogue, program, sample
from tests.test_incoming import Desk, Source

SUMMER_ENDS = 1_792_890_000.0  # 2026-10-25 01:00 UTC: in Berlin 03:00 is 02:00 again
NIGHT = Maintenance(frozenset(range(1, 8)), 7200, 10800, "", {}, "works")


class Silent(Source):
    """A GX that is never due."""

    def next_due(self) -> float:
        return inf


class Clock:
    """Stands still until the test moves it."""

    def __init__(self) -> None:
        self.at = SUMMER_ENDS - 1800.0
        self.offset_s = 0.0

    def now(self) -> float:
        return self.at

    def wall_offset(self) -> float:
        return self.offset_s


class Broker(Desk):
    """A desk that can be opened and closed."""

    def start(self) -> None:
        """Nothing to do."""

    def stop(self, within_s: float) -> list[Any]:
        return []

    def health(self) -> dict[str, Any]:
        return {}

    def events(self) -> list[tuple[str, str]]:
        told = [json.loads(one.payload) for one in self.messages if one.topic == "victron/home/alerts"]
        return [(event["ts"], event["event"]) for event in told]


class Bridge:
    """A supervisor of one site in Berlin, whose ticks are the test's."""

    def __init__(self, state: Path) -> None:
        self.clock, self.broker = Clock(), Broker()
        site = SiteParts(
            "home", "http://gx", "victron", catalogue(), Intervals(dict.fromkeys(Tier, 10.0)),
            program([alert("low", "battery.soc < 20")]), Format(), False, None, lambda plan: Silent(),
            maintenance=(NIGHT,), time_zone="Europe/Berlin",
        )  # fmt: skip
        parts = BridgeParts(
            [site], BridgeTopics("victron", "b"), {}, lambda name: StateStore(state, name=name), lambda *_: self.broker
        )
        self.supervisor = Supervisor(parts, self.clock)  # type: ignore[arg-type]
        (self.runner,) = self.supervisor._runners
        self.supervisor.start()

    def run(self, until: float) -> None:
        while self.clock.at < until:
            self.clock.at += TICK_S
            self.supervisor._tick()

    def soc(self, value: float) -> None:
        at = self.clock.at
        assert self.runner.cycle is not None
        self.runner.cycle.take(at, [sample("battery/soc", value, at)], [Read("system", at, 1e9)])


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    one = Bridge(tmp_path)
    yield one
    one.supervisor._end()


def clocks(runner: SiteRunner) -> tuple[float, float]:
    assert runner.cycle is not None
    values = runner.cycle.engine.store.values
    return values[WALL], values[LOCAL]


def test_sites_follow_the_wall(bridge: Bridge) -> None:
    """When NTP answers a GX that booted in 1970, rules see the hour of the present within ten seconds."""
    bridge.run(bridge.clock.at + 1.0)
    assert clocks(bridge.runner) == (0.0, 7200.0)
    bridge.clock.offset_s = 86400.0
    bridge.run(bridge.clock.at + 10.0)
    assert clocks(bridge.runner) == (86400.0, 3600.0)


def test_a_window_does_not_end_at_the_first_of_two_ends(bridge: Bridge) -> None:
    """When summer time ends, the window from 02:00 to 03:00 goes on without an event; it ends when it is 03:00 again.

    The bridge has followed the wall some seconds before, as it does every ten.
    """
    bridge.run(bridge.clock.at + 3.0)
    bridge.soc(10.0)
    bridge.clock.at = SUMMER_ENDS - 4.0
    bridge.run(SUMMER_ENDS + 15.0)
    assert bridge.broker.events() == []
    assert clocks(bridge.runner) == (0.0, 3600.0)
    bridge.clock.at = SUMMER_ENDS + 3595.0
    bridge.run(SUMMER_ENDS + 3605.0)
    assert bridge.broker.events() == [("2026-10-25T02:00:00Z", "firing")]
