"""`simulate --record`: a recording of a scenario, made at once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from bridge.cli import main
from bridge.commands.simulate_recording import Recorder
from bridge.files.paths import schemas_directory
from bridge.simulator.scenario import load, names

pytestmark = pytest.mark.usefixtures("environment")


def lines(scenario: str, lasts_s: float) -> list[str]:
    found = load(scenario)
    return list(Recorder(found.system, found).lines(lasts_s))


def test_the_same_scenario_gives_the_same_recording() -> None:
    """What a document shows of it stays true."""
    assert lines("grid-lost", 90.0) == lines("grid-lost", 90.0)


def test_every_line_fits_the_schema() -> None:
    """It is a recording like any other, a reboot with its silence included."""
    validator = Draft202012Validator(json.loads((schemas_directory() / "recording.schema.json").read_text()))
    documents = [json.loads(line) for line in lines("gx-reboot", 120.0)]
    assert [error.message for document in documents for error in validator.iter_errors(document)] == []
    assert any(document.get("online") is False for document in documents)


@pytest.mark.parametrize("scenario", [name for name in names() if name != "demo"])
def test_a_scenario_raises_the_alerts_that_its_file_names(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exactly those of the essential pack, no more, through the stages of `run`."""
    path = tmp_path / "gx.jsonl.gz"
    assert main(["simulate", "--scenario", scenario, "--record", str(path), "--lasts", "10m"]) == 0
    with gzip.open(path, "rt") as stream:
        assert json.loads(stream.readline())["schema"] == "victron-bridge/recording/1"
    assert main(["replay", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert sorted({event["alert"] for event in document["events"]}) == sorted(load(scenario).expect_alerts)


def test_an_existing_file_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless --force says so."""
    path = tmp_path / "gx.jsonl"
    path.write_text("mine")
    command = ["simulate", "--record", str(path), "--lasts", "10s"]
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert main([*command, "--force"]) == 0
    assert path.read_text().startswith('{"schema"')
