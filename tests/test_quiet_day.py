"""A healthy site is silent: a whole day of each simulated system, played to all packs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.cli import main

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "quiet"))


@pytest.mark.parametrize("system", ["ess", "three-phase", "dc-only"])
def test_a_quiet_day_raises_nothing(system: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No alert of any pack above info; sun, night, full battery and idle hours are no news."""
    path = str(tmp_path / "day.jsonl.gz")
    day = ["--system", system, "--scenario", "quiet-day", "--start-at", "00:00", "--lasts", "24h", "--every", "60s"]
    assert main(["simulate", *day, "--record", path]) == 0
    assert main(["replay", path, "--pack", "all", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pages"] > 1440
    loud = [event for event in document["events"] if event["severity"] != "info"]
    assert [(event["ts"], event["id"], event["summary"]) for event in loud] == []
