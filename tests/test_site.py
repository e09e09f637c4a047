"""One site's runner: under which name it answers, and what its clocks show from the first moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.clock import SteadyClock
from bridge.core.compile import LOCAL, WALL
from bridge.core.maintenance import Maintenance
from bridge.core.normalize import Intervals
from bridge.core.topics import Format
from bridge.files.state import StateStore
from bridge.model import Tier
from bridge.site import SiteParts, SiteRunner
from bridge.site_state import SiteState
from tests.core.small_site import alert, catalogue, program
from tests.test_incoming import INPUTS, RULES, Desk, Source

WINDOW = Maintenance(frozenset(range(1, 8)), 0, 0, "Pacific/Kiritimati", {}, "always")  # 24 hours each day


class Named(Source):
    """A GX that tells the serial that the test gives it."""

    serial: str | None = None

    def identify(self, now: float) -> str | None:
        return self.serial


def runner_of(source: Named, desk: Desk, state: Path, name: str = "", kept: str = "", **parts: Any) -> SiteRunner:
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
