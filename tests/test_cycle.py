"""One site's turn with real stages, a scripted source and a sink that keeps what it gets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.clock import SteadyClock
from bridge.core.engine import Engine
from bridge.core.normalize import Intervals, Normalizer
from bridge.core.rules import Pack, Program, compile_packs
from bridge.core.summary import Summary
from bridge.core.topics import Format, SiteTopics, StateTopics
from bridge.cycle import DOCUMENTS_EVERY_S, Cycle
from bridge.files.state import StateStore
from bridge.model import Message, Page, Tier
from bridge.site import SiteParts, SiteRunner
from bridge.site_state import SETTLE_S, SiteState
from bridge.sources.base import Poll
from tests.catalogue import catalogue

VEBUS = "com.victronenergy.vebus.ttyS4"
TIERS = dict.fromkeys(Tier, 10.0)
PACK = {
    "pack": "test",
    "description": "d",
    "rules": [
        {
            "alert": "grid_lost", "each": "vebus", "expr": 'vebus.alarms.grid_lost >= "warning"', "severity": "critical",
            "summary": "The grid is lost", "description": "d", "action": "a", "source": "s",
        },
        {
            "alert": "output_high", "each": "vebus", "expr": "avg_over_time(vebus.ac_out.l1.voltage, 10m) > 240",
            "severity": "info", "summary": "high", "description": "d", "action": "a", "source": "s",
        },
    ],
}  # fmt: skip


class Script:
    """A source that gives what the test puts into it."""

    def __init__(self) -> None:
        self.poll_now = Poll()
        self.online: bool | None = None
        self.serial: str | None = None

    def next_due(self) -> float:
        return 0.0

    def poll(self, now: float) -> Poll:
        return self.poll_now

    def identify(self, now: float) -> str | None:
        return self.serial

    def is_online(self, now: float) -> bool | None:
        return self.online

    def refresh(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def health(self) -> Mapping[str, float | int | str | None]:
        return {}


class Kept:
    """A sink that keeps every message, and what was on the disk when it came."""

    def __init__(self, state: Path | None = None) -> None:
        self.wall_offset_s = 0.0
        self.messages: list[Message] = []
        self.outboxes: list[str] = []
        self._state = state

    def publish(self, messages: Sequence[Message]) -> None:
        self.messages += messages
        on_disk = self._state.read_text() if self._state and self._state.exists() else ""
        self.outboxes += [on_disk for message in messages if message.topic.endswith("/alerts")]

    def subscribe(self, topic: str, handler: Any) -> None:
        """Nobody asks."""

    def last(self, topic: str) -> Message | None:
        return next((message for message in reversed(self.messages) if message.topic == topic), None)


def program() -> Program:
    return compile_packs([Pack("test.yaml", PACK, {})], catalogue())


def cycle_of(source: Script, sink: Any, memory: SiteState | None = None, forget_after_s: float | None = None) -> Cycle:
    return Cycle(
        source, Normalizer(catalogue(), Intervals(TIERS)), Engine("home", program()),
        StateTopics("victron", "home", Format()), SiteTopics("victron", "home"), Summary("home"), sink, forget_after_s, memory,
    )  # fmt: skip


def state_of(directory: Path) -> SiteState:
    return SiteState(StateStore(directory, name="site-home"), StateStore(directory, name="site-home.history"))


def turn(
    cycle: Cycle, source: Script, at: float, grid_lost: int = 0, services: tuple[str, ...] | None = (VEBUS,)
) -> None:
    values = {"DeviceInstance": 276, "Alarms/GridLost": grid_lost, "Ac/Out/L1/V": 230.0}
    pages = (Page(VEBUS, at, values, True, 10.0),) if services is None or VEBUS in services else ()
    source.online = True
    source.poll_now = Poll(pages, frozenset(services) if services is not None else None)
    cycle.turn(at, lambda: at)


def test_an_event_is_on_the_disk_before_it_is_offered(tmp_path: Path) -> None:
    """When the sink gets the event, the state file already holds it, and the engine that has told it."""
    source, sink = Script(), Kept(tmp_path / "site-home.json")
    cycle = cycle_of(source, sink, state_of(tmp_path))
    turn(cycle, source, 1000.0)
    turn(cycle, source, 1010.0, grid_lost=2)
    (on_disk,) = sink.outboxes
    document = json.loads(on_disk.partition("\n")[2])
    assert [json.loads(row[1])["event"] for row in document["outbox"]] == ["firing"]
    assert document["engine"]["seq"] == 1


def test_what_the_broker_took_leaves_the_disk_soon(tmp_path: Path) -> None:
    """An acknowledged event is gone from the outbox with the save that follows; nothing is written before."""
    source, sink = Script(), Kept()
    memory = state_of(tmp_path)
    cycle = cycle_of(source, sink, memory)
    turn(cycle, source, 1000.0, grid_lost=2)
    event = next(message for message in sink.messages if message.topic == "victron/home/alerts")
    memory.settled(event, 1000.5)
    cycle.tick(1001.0)
    assert len(state_of(tmp_path).undelivered()) == 1
    cycle.tick(1000.5 + SETTLE_S)
    assert state_of(tmp_path).undelivered() == []


def test_what_the_broker_took_at_the_very_end_is_not_sent_again(tmp_path: Path) -> None:
    """Between the end of the turns and the last save the broker still acknowledges; that counts."""
    source, sink = Script(), Kept()
    memory = state_of(tmp_path)
    cycle = cycle_of(source, sink, memory)
    turn(cycle, source, 1000.0, grid_lost=2)
    cycle.end(1001.0)
    memory.settled(next(m for m in sink.messages if m.topic == "victron/home/alerts"), 1001.1)
    cycle.save(1001.2)
    assert state_of(tmp_path).undelivered() == []


def test_a_restart_tells_nothing_twice_and_clears_what_no_rule_knows(tmp_path: Path) -> None:
    """A firing alert goes on silently; the retained topic of an alert that is no more gets an empty payload."""
    source, sink = Script(), Kept()
    first = cycle_of(source, sink, state_of(tmp_path))
    turn(first, source, 1000.0, grid_lost=2)
    first.end(1001.0)
    state = state_of(tmp_path)
    source, sink = Script(), Kept()
    second = cycle_of(source, sink, state)
    second.load(state.engine, state.devices, state.wall_offset_s, 1005.0)
    second.birth(1005.0, [*state.old_alerts, "victron/home/alerts/old_rule"])
    turn(second, source, 1010.0, grid_lost=2)
    assert [message for message in sink.messages if message.topic == "victron/home/alerts"] == []
    assert sink.last("victron/home/alerts/old_rule").payload == ""
    assert json.loads(sink.last("victron/home/alerts/grid_lost/vebus/276").payload)["phase"] == "firing"


def test_the_topic_of_an_alert_follows_its_value() -> None:
    """A display shows how bad it is now, not how bad it was when it began; nothing is sent while nothing moves."""
    source, sink = Script(), Kept()
    cycle = cycle_of(source, sink)

    def shown() -> Any:
        return json.loads(sink.last("victron/home/alerts/output_high/vebus/276").payload)["value"]

    def mean(at: float, volts: float) -> None:
        values = {"DeviceInstance": 276, "Alarms/GridLost": 0, "Ac/Out/L1/V": volts}
        source.online, source.poll_now = True, Poll((Page(VEBUS, at, values, True, 10.0),), frozenset({VEBUS}))
        cycle.turn(at, lambda: at)
        cycle.tick(at)

    for at in range(0, 700, 10):
        mean(float(at), 250.0)
    assert shown() == 250
    for at in range(700, 1300, 10):
        mean(float(at), 260.0)
    assert shown() > 259
    cycle.tick(1350.0)
    count = len(sink.messages)
    cycle.tick(1385.0)
    assert [m.topic for m in sink.messages[count:] if "/alerts/" in m.topic and not m.topic.endswith("active")] == []


def test_windows_survive_a_restart_and_are_written_seldom(tmp_path: Path) -> None:
    """What ten minutes of voltage have filled is known at once after a restart; an event does not write it."""
    source, sink = Script(), Kept()
    first = cycle_of(source, sink, state_of(tmp_path))
    history = tmp_path / "site-home.history.json"
    for at in range(1000, 1300, 10):
        turn(first, source, float(at), grid_lost=2 * (at > 1100))
        first.tick(float(at))
        assert not history.exists()
    for at in range(1300, 1700, 10):
        turn(first, source, float(at))
        first.tick(float(at))
    written = history.stat().st_mtime_ns
    first.tick(1700.0)
    assert history.stat().st_mtime_ns == written, "not again within five minutes"
    first.end(1705.0)

    state = state_of(tmp_path)
    source, sink = Script(), Kept()
    second = cycle_of(source, sink, state)
    second.load(state.engine, state.devices, state.wall_offset_s, 1710.0)
    (window,) = (one for one in second.engine.derived_states.values() if one.series is not None)
    turn(second, source, 1710.0)
    assert second.engine.store.values[window.slot] == pytest.approx(230.0)


def test_a_clock_that_was_wrong_before_the_restart_bends_no_duration(tmp_path: Path) -> None:
    """Fired on a GX in 1970 whose clock then stepped; after the restart the alert is minutes old, not decades."""
    source, sink = Script(), Kept()
    first = cycle_of(source, sink, state_of(tmp_path))
    turn(first, source, 100.0)
    turn(first, source, 110.0, grid_lost=2)
    first.set_wall_offset(1_750_000_000.0, 0.0)
    first.end(120.0)
    state = state_of(tmp_path)
    second = cycle_of(source, sink, state)
    second.load(state.engine, state.devices, state.wall_offset_s, 1_750_000_130.0)
    turn(second, source, 1_750_000_140.0, grid_lost=0)
    event = json.loads([m for m in sink.messages if m.topic == "victron/home/alerts"][-1].payload)
    assert event["event"] == "resolved"
    assert 0 <= event["duration_s"] < 60


def test_status_and_alert_topics_expire_and_are_sent_again(tmp_path: Path) -> None:
    """A status that nobody refreshes vanishes; a living bridge repeats it with a new time."""
    source, sink = Script(), Kept()
    cycle = cycle_of(source, sink)
    cycle.birth(1000.0)
    turn(cycle, source, 1000.0)
    status = sink.last("victron/home/status")
    assert (status.payload, status.meta.expiry_s) == ("online", int(3 * DOCUMENTS_EVERY_S))
    sink.messages.clear()
    cycle.tick(1000.0 + DOCUMENTS_EVERY_S)
    for topic in ("status", "vebus/276/status", "vebus/276/info", "alerts/active"):
        assert sink.last(f"victron/home/{topic}").at == 1000.0 + DOCUMENTS_EVERY_S


def test_a_device_is_forgotten_after_its_time() -> None:
    """publish.forget_after clears every retained topic of a device that is gone, its alerts included."""
    source, sink = Script(), Kept()
    cycle = cycle_of(source, sink, forget_after_s=100.0)
    cycle.birth(1000.0)
    turn(cycle, source, 1000.0, grid_lost=2)
    for at in (1015.0, 1030.0):
        turn(cycle, source, at, services=("com.victronenergy.system",))
    assert sink.last("victron/home/vebus/276/status").payload == "offline"
    cycle.tick(1129.0)
    assert sink.last("victron/home/vebus/276/status").payload == "offline"
    cycle.tick(1131.0)
    for topic in ("status", "info", "ac_out/l1/voltage", "alarms/grid_lost"):
        assert sink.last(f"victron/home/vebus/276/{topic}").payload == ""
    assert sink.last("victron/home/alerts/grid_lost/vebus/276").payload == ""


def test_the_end_says_offline_for_the_site() -> None:
    """Nobody hears the GX any more: its status says so, and the device's own does not change."""
    source, sink = Script(), Kept()
    cycle = cycle_of(source, sink)
    turn(cycle, source, 1000.0)
    cycle.end(1001.0)
    assert sink.last("victron/home/status").payload == "offline"


@pytest.mark.parametrize("serial", ["a/b/#", "../..", "x" * 300, "bridge", "", "$SYS", "a b", "+"])
def test_a_serial_that_is_no_name_makes_no_topic(serial: str, tmp_path: Path) -> None:
    """What the GX calls its serial is checked before it becomes a level of a topic."""
    source, sink = Script(), Kept()
    source.serial = serial
    parts = SiteParts(
        "", "http://gx", "victron", catalogue(), Intervals(TIERS), program(), Format(), False, None, lambda plan: source
    )
    runner = SiteRunner(parts, sink, SteadyClock(), lambda _: state_of(tmp_path))
    runner._turn()
    assert (runner.cycle, sink.messages) == (None, [])
    source.serial = "C0FFEE"
    runner._turn()
    assert runner.name == "c0ffee"
