"""Are scenarios checked before anything starts, and played when their time comes?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ConfigErrors
from bridge.files import paths, yaml_text
from bridge.simulator import scenario as scenarios
from bridge.simulator.simulator import Simulator
from tests.simulator.client import VEBUS, eventually, post, running

HEAD = "scenario: x\ndescription: y\nexpect_alerts: []\n"
REQUIRED = {"quiet-day", "grid-lost", "cell-imbalance", "bms-lost", "overload", "can-errors", "gx-reboot", "demo"}


def parse(text: str) -> scenarios.Scenario:
    return scenarios.parse(yaml_text.load(text, "my.yaml"))


def test_every_shipped_scenario_is_valid_and_fits_its_system() -> None:
    """All names of the project's list are there, load, and name only services that exist."""
    assert set(scenarios.names()) >= REQUIRED
    for name in scenarios.names():
        found = scenarios.load(name)
        assert found.name == name
        Simulator(found.system, found)


def test_the_schema_and_the_table_of_actions_know_the_same_words() -> None:
    """No action without a form, no form without an action."""
    schema = json.loads((paths.schemas_directory() / "scenario.schema.json").read_text(encoding="utf-8"))
    described = set(schema["properties"]["steps"]["items"]["properties"]) - {"at"}
    assert set(Simulator("dc-only").actions._table) == described


def test_the_demo_shows_its_alerts_within_a_minute() -> None:
    """Someone who watches sees the grid, an overload and a cell go wrong in the first 60 real seconds."""
    demo = scenarios.load("demo")
    early = [name for step in demo.steps if step.at_s <= 60.0 for name in step.actions]
    assert {"grid", "load", "cell"} <= set(early)
    assert {"grid_lost", "inverter_overload"} <= set(demo.expect_alerts)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (HEAD + "steps:\n  - at: 1\n    gird: lost\n", 6, 'did you mean "grid"'),
        (HEAD + "steps:\n  - at: 1\n    grid: off\n", 6, "it must be lost or back"),
        (HEAD + "steps:\n  - at: soon\n    grid: lost\n", 5, "scenario seconds"),
        (HEAD + "steps:\n  - grid: lost\n    bms: back\n", 5, 'the key "at" is missing'),
        (HEAD + "steps:\n  - at: 5\n    grid: lost\n  - at: 2\n    grid: back\n", 7, "put steps in order"),
        (HEAD.replace("[]", "[grid_lots]") + "steps: []\n", 3, 'did you mean "grid_lost"'),
        (HEAD + "start_at: noon\nsteps: []\n", 4, "a time of day such as 18:30"),
        (HEAD + "steps:\n  - at: 1\n    load: {add_kw: 3}\n", 6, "add_w"),
        ("scenario: [\n", 2, "not valid YAML"),
    ],
)
def test_a_wrong_file_is_told_with_its_line_and_what_would_be_right(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    """File, line and advice, before anything runs."""
    file = tmp_path / "my.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigErrors) as caught:
        scenarios.load(str(file))
    assert any(error.line == line and message in str(error) for error in caught.value.errors), str(caught.value)
    assert all(error.file == str(file) for error in caught.value.errors)


@pytest.mark.parametrize(
    ("system", "step", "message"),
    [
        ("ess", "drop: toaster", 'no service "toaster"'),
        ("ess", "hang: solarcharger", "solarcharger/<instance>"),
        ("ess", "load: {add_w: 10, phase: 3}", "has 1 AC phases"),
        ("dc-only", "load: {add_w: 10}", "has 0 AC phases"),
        ("dc-only", "set: {service: vebus, path: /Mode, value: 1}", 'no service "vebus"'),
    ],
)
def test_a_step_for_something_that_the_system_lacks_is_refused(system: str, step: str, message: str) -> None:
    """Services and phases are checked against the system, with the line of the step."""
    found = parse(HEAD + f"steps:\n  - at: 1\n    {step}\n")
    with pytest.raises(ConfigErrors) as caught:
        Simulator(system, found)
    (error,) = caught.value.errors
    assert (error.file, error.line) == ("my.yaml", 5)
    assert message in error.message


def test_an_unknown_scenario_is_told_with_the_known_ones() -> None:
    """Neither a name nor a file."""
    with pytest.raises(ConfigErrors, match="grid-lost"):
        scenarios.load("grid-lots")


def test_steps_run_in_order_at_their_real_seconds_whatever_the_speed() -> None:
    """A step at 0.6 s comes after about 0.6 s, at 600 times the speed too, and says its line."""
    found = parse(
        HEAD + "steps:\n  - {at: 0, say: one}\n  - {at: 0.6, say: two, grid: lost}\n  - {at: 60, say: three}\n"
    )
    said: list[tuple[str, float]] = []
    gx = Simulator("ess", found, speed=600.0)
    gx.announce = lambda text: said.append((text, gx.scenario_s()))
    with gx:
        gx.start()
        assert eventually(lambda: len(said) == 2)
        assert [text for text, _ in said] == ["one", "two"]
        assert 0.6 <= said[1][1] <= 1.6
        assert not gx.site.plant.has_grid


def test_seek_plays_the_steps_up_to_a_moment_at_once() -> None:
    """A test does not have to wait for a scenario's minutes."""
    with running("ess", "cell-imbalance") as (gx, port):
        assert post(port, "/_seek", {"at": 25}).status == 200
        assert gx.value("com.victronenergy.battery.socketcan_can0", "/Voltages/Diff") > 0.18
        gx.seek(150)
        assert gx.value("com.victronenergy.battery.socketcan_can0", "/Voltages/Diff") < 0.05


def test_a_repeating_scenario_begins_again() -> None:
    """After `repeat_every_s` the steps come round."""
    found = parse(HEAD + "repeat_every_s: 1\nsteps:\n  - {at: 0.1, say: tick}\n")
    said: list[str] = []
    gx = Simulator("dc-only", found)
    gx.announce = said.append
    with gx:
        gx.start()
        assert eventually(lambda: len(said) >= 3, 6.0)


@pytest.mark.parametrize(
    ("steps", "path", "expected"),
    [
        ([{"set": {"service": "vebus", "values": {"/Mode": 4, "/State": 0}}}], "/Mode", 4),
        ([{"set": {"service": "vebus/276", "path": "/Mode", "value": 4}}, {"unset": {"service": "vebus"}}], "/Mode", 3),
        ([{"remove": {"service": "vebus", "path": "/Mode"}}], "/Mode", None),
        ([{"drop": "vebus"}], "/Mode", None),
        ([{"drop": "vebus"}, {"restore": "vebus"}], "/Mode", 3),
        ([{"rename": {"service": "vebus", "to": "com.victronenergy.vebus.ttyUSB1"}}], "/Mode", None),
    ],
)
def test_actions_on_services(steps: list[dict[str, Any]], path: str, expected: Any) -> None:
    """Set, unset, remove, drop, restore and rename do what they say; None stands for 404."""
    gx = Simulator("ess")
    for step in steps:
        gx.actions.do(step)
    if expected is None:
        with pytest.raises(KeyError):
            gx.value(VEBUS, path)
    else:
        assert gx.value(VEBUS, path) == expected
