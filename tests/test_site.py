"""One site's runner: under which name it answers, and what its clocks show from the first moment."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from bridge.clock import SteadyClock
from bridge.core.compile import LOCAL, WALL
from bridge.core.maintenance import Maintenance
from bridge.core.normalize import Intervals
from bridge.core.topics import Format
from bridge.core.values import iso_time
from bridge.files.state import StateStore
from bridge.model import Tier
from bridge.site import SiteParts, SiteRunner
from bridge.site_state import SiteState
from bridge.sources.base import Poll
from tests.core.small_site import alert, catalogue, engine, feed, program
from tests.mosquitto import wait_until
from tests.test_incoming import INPUTS, RULES, Desk, Source

WINDOW = Maintenance(frozenset(range(1, 8)), 0, 0, "Pacific/Kiritimati", {}, "always")  # 24 hours each day


class Named(Source):
    """A GX that tells the serial that the test gives it."""

    serial: str | None = None

    def identify(self, now: float) -> str | None:
        return self.serial


class Patient(Source):
    """A GX that is polled every 30 s, and at once when it is asked to."""

    def __init__(self) -> None:
        self.due = time.time() + 30.0
        self.is_asked = False
        self.polled_at: list[float] = []

    def next_due(self) -> float:
        due, self.is_asked = self.due, True
        return due

    def poll(self, now: float) -> Poll:
        self.polled_at.append(time.time())
        self.due = time.time() + 30.0
        return Poll()

    def refresh(self) -> None:
        self.due = 0.0


def runner_of(source: Source, desk: Desk, state: Path, name: str = "", kept: str = "", **parts: Any) -> SiteRunner:
    made = SiteParts(
        name, "http://gx", "victron", catalogue(), Intervals(dict.fromkeys(Tier, 10.0)),
        program([*RULES, alert("night", "hour() < 6")], inputs=[one.known for one in INPUTS]), Format(), False, None,
        lambda plan: source, inputs=INPUTS, **parts,
    )  # fmt: skip

    def open_state(site: str) -> SiteState:
        return SiteState(StateStore(state, name=f"site-{site}"), StateStore(state, name=f"site-{site}.history"))

    return SiteRunner(made, desk, SteadyClock(), open_state, kept)


def test_a_site_answers_under_its_present_name_only(tmp_path: Path) -> None:
    """A GX that was replaced while we were away: what is asked of the old name is not answered any more."""
    source, desk = Named(), Desk()
    runner = runner_of(source, desk, tmp_path, kept="old1")
    assert desk.ask("refresh", {}, "old1") == [], "it has no name yet"
    runner._turn()  # the GX does not answer: it goes by the name that it had
    assert [topic for topic, _ in desk.ask("refresh", {}, "old1")] == ["victron/old1/response/refresh"]
    source.serial = "NEW2"
    runner._turn()
    assert desk.ask("refresh", {}, "old1") == []
    assert [topic for topic, _ in desk.ask("refresh", {}, "new2")] == ["victron/new2/response/refresh"]
    assert runner.health()["requests"]["done"] == 1


def test_the_clocks_of_a_site_are_right_before_its_first_step(tmp_path: Path) -> None:
    """Rules and windows never see UTC where a zone is configured, not even for the first seconds."""
    runner = runner_of(Named(), Desk(), tmp_path, kept="home", time_zone="Pacific/Kiritimati", maintenance=(WINDOW,))
    runner.set_wall_offset(7.0)  # the supervisor does not wait for a name
    runner._turn()
    assert runner.cycle is not None
    engine = runner.cycle.engine
    assert (engine.store.values[WALL], engine.store.values[LOCAL]) == (7.0, 14 * 3600.0)
    assert engine.announcer.zones == {"Pacific/Kiritimati": 14 * 3600.0}


def test_a_site_without_a_zone_has_that_of_the_process(tmp_path: Path) -> None:
    """Windows of other zones are looked up, the rest follows the process."""
    runner = runner_of(Named(), Desk(), tmp_path, kept="home", maintenance=(WINDOW._replace(zone=""),))
    runner._turn()
    assert runner.cycle is not None
    assert runner.cycle.engine.announcer.zones == {}


def test_the_clocks_of_a_site_are_right_before_its_state_is_read(tmp_path: Path) -> None:
    """An alert whose rule is gone ended at the time of the wall, on a GX that booted in 1970, too."""
    old = engine(alert("gone", "battery.soc < 20"))
    feed(old, 1000.0, {"battery.soc": 10})
    StateStore(tmp_path, name="site-home").save({"engine": old.dump(False)})
    desk = Desk()
    runner = runner_of(Named(), desk, tmp_path, kept="home")
    before = time.time()
    runner.set_wall_offset(5000.0)
    runner._turn()
    runner.tick(time.time())
    (event,) = [json.loads(one.payload) for one in desk.messages if one.topic == "victron/home/alerts"]
    assert (event["event"], event["id"], event["comment"]) == ("resolved", "gone", "the rule is gone")
    assert iso_time(before + 5000) <= event["ts"] <= iso_time(time.time() + 5000)


def test_a_refresh_is_polled_at_once(tmp_path: Path) -> None:
    """The site's thread does not sleep on until the next poll, which may be half a minute off."""
    source, desk = Patient(), Desk()
    runner = runner_of(source, desk, tmp_path, name="home")
    runner.start()
    try:
        wait_until(lambda: source.is_asked)  # the thread knows of no reason to poll, as nearly always
        asked_at = time.time()
        ((_, answer),) = desk.ask("refresh", {})
        assert answer["status"] == "ok"
        wait_until(lambda: source.polled_at)
        assert source.polled_at[0] - asked_at < 1.0
    finally:
        runner.stop()
        runner.join(1.0)
