"""A device that hangs on the GX: the simulated GX and all stages of the bridge, on a clock that only the test moves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bridge.core.engine import Engine
from bridge.core.normalize import Intervals, Normalizer
from bridge.core.rules import Pack, compile_packs
from bridge.core.summary import Summary
from bridge.core.topics import Format, SiteTopics, StateTopics
from bridge.cycle import Cycle
from bridge.errors import Unreachable
from bridge.files.yaml_text import load_file
from bridge.model import Message, Tier
from bridge.simulator.simulator import Simulator
from bridge.sources.dbus_http import DbusHttpSource
from bridge.sources.http import Answer
from tests.catalogue import catalogue

RULES = Path(__file__).parent.parent / "rules" / "essential.yaml"
TIERS = {Tier.CRITICAL: 10.0, Tier.EXTENDED: 30.0, Tier.HEALTH: 60.0, Tier.STATIC: 3600.0}
BATTERY = "com.victronenergy.battery.socketcan_can0"


class Hanging:
    """The simulator's API as a transport that takes time, one request after the other, and is the clock."""

    def __init__(self, gx: Simulator) -> None:
        self.gx = gx
        self.now = 1_000_000.0
        self.busy_until = 0.0  # the server carries out what was abandoned
        self.is_up = True
        self.wait: Callable[[], None] = lambda: None

    def get(self, target: str, timeout_s: float) -> Answer:
        if not self.is_up:
            raise Unreachable("connection refused")
        hangs = self.gx.faults.hung.intersection(parse_qs(urlsplit(target).query).get("service", ()))
        begins = max(self.now, self.busy_until)
        ends = begins + (self.gx.faults.hang_s if hangs else 0.02)
        give_up = self.now + timeout_s
        self.busy_until = ends
        self._pass(min(ends, give_up))
        if ends > give_up:
            raise Unreachable("no answer", timed_out=True)
        answer = self.gx.api.not_available(target) if hangs else self.gx.api.get(target)
        return Answer(answer.status, json.dumps(answer.document).encode(), "")

    def _pass(self, until: float) -> None:
        while self.now < until:
            self.now = min(until, math.floor(self.now) + 1.0)
            self.wait()

    def abort(self) -> None:
        """Nothing waits in another thread."""


class Bridge:
    """All stages, and the events that were published."""

    def __init__(self, gx: Hanging) -> None:
        self.gx = gx
        self.wall_offset_s = 0.0
        self.told: list[tuple[float, str, str]] = []
        normalizer = Normalizer(catalogue(), Intervals(TIERS))
        self.source = DbusHttpSource(gx, normalizer, lambda: gx.now)
        program = compile_packs([Pack(str(RULES), load_file(RULES).data)], catalogue())
        self.cycle = Cycle(
            source=self.source,
            normalizer=normalizer,
            engine=Engine("home", program),
            state_topics=StateTopics("victron", "home", Format()),
            site_topics=SiteTopics("victron", "home"),
            summary=Summary("home"),
            sink=self,
        )
        gx.wait = lambda: self.cycle.tick(gx.now)

    def publish(self, messages: list[Message]) -> None:
        for message in messages:
            if message.topic.endswith("/alerts"):
                event = json.loads(message.payload)
                self.told.append((self.gx.now, event["event"], event["id"]))

    def run(self, for_s: float) -> list[tuple[float, str, str]]:
        """Live for some seconds; return what was told meanwhile, as (time, event, id)."""
        self.told = []
        end = self.gx.now + for_s
        while self.gx.now < end:
            due = min(self.source.next_due(), math.floor(self.gx.now) + 1.0)
            self.gx.now = max(self.gx.now, due)
            if self.source.next_due() <= self.gx.now:
                self.cycle.turn(self.gx.now, lambda: self.gx.now)
            self.cycle.tick(self.gx.now)
        return self.told


@pytest.fixture
def bridge() -> Bridge:
    made = Bridge(Hanging(Simulator("ess", seed=1)))
    assert made.run(300.0) == []
    return made


def test_a_device_that_hangs_is_told_once(bridge: Bridge) -> None:
    """For two hours each request to it blocks the GX for 50 s; one event says so and one its end, none of others."""
    gx = bridge.gx.gx
    gx.hang(BATTERY)
    began = bridge.gx.now
    told = bridge.run(7200.0)
    assert [(event, name.partition("/")[0]) for _, event, name in told] == [("firing", "point_stale")]
    assert told[0][2].startswith("point_stale/battery/")
    assert 380.0 <= told[0][0] - began <= 391.0
    gx.hang(BATTERY, False)
    ended = bridge.run(1800.0)
    assert [event for _, event, _ in ended] == ["resolved"]
    assert bridge.run(3600.0) == []


def test_a_hang_that_passes_is_not_told(bridge: Bridge) -> None:
    """Three minutes are no alarm, and nobody who was blocked meanwhile is called stale."""
    bridge.gx.gx.hang(BATTERY)
    assert bridge.run(180.0) == []
    bridge.gx.gx.hang(BATTERY, False)
    assert bridge.run(1800.0) == []


def test_a_reboot_is_an_outage_of_the_site_and_of_nothing_else(bridge: Bridge) -> None:
    """The GX is away for five minutes and its services come back in turns: no device is called stale."""
    gx = bridge.gx.gx
    bridge.gx.is_up = False
    told = bridge.run(300.0)
    services = gx.store.names()
    for name in services:
        gx.drop(name)
    bridge.gx.is_up = True
    for name in services:
        gx.restore(name)
        told += bridge.run(5.0)
    told += bridge.run(3600.0)
    assert {name.partition("/")[0] for _, _, name in told} <= {"site_offline", "device_offline"}
