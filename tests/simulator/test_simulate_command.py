"""Does `victron-bridge simulate` start, say where it is, and end when it is told to?"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.commands import simulate
from tests.simulator.client import request

ROOT = Path(__file__).parent.parent.parent
MAIN = """
import argparse, sys
from bridge.cli import main
from bridge.commands import simulate
parser = argparse.ArgumentParser(prog="victron-bridge simulate")
simulate.add_arguments(parser)
sys.exit(simulate.run(parser.parse_args()))
"""


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    return parser.parse_args(list(words))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_ends_with_0_within_a_second(number: int) -> None:
    """The address is printed, the API answers, the end is prompt even while a client holds the server."""
    words = [sys.executable, "-c", MAIN, "--port", "0", "--scenario", "grid-lost", "--speed", "600"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            assert found, line
            assert "ess" in line
            assert "grid-lost" in line
            assert request(int(found[1]), "GET /health").status == 200
            told_at = time.monotonic()
            process.send_signal(number)
            assert process.wait(timeout=5.0) == 0
            assert time.monotonic() - told_at < 1.5
        finally:
            process.kill()


def test_list_names_every_scenario_with_its_alerts(capsys: pytest.CaptureFixture[str]) -> None:
    """--list is the help on what can happen."""
    assert simulate.run(arguments("--list")) == 0
    shown = capsys.readouterr().out
    for word in ("quiet-day", "grid-lost", "grid_lost", "demo", "alerts: none"):
        assert word in shown


def test_a_wrong_scenario_is_exit_2_with_the_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nothing starts half."""
    file = tmp_path / "my.yaml"
    file.write_text("scenario: x\nsteps: []\n", encoding="utf-8")
    assert main(["simulate", "--scenario", str(file)]) == 2
    assert f"{file}:1" in capsys.readouterr().err
    assert main(["simulate", "--scenario", "nope"]) == 2
    assert "--scenario" in capsys.readouterr().err


def test_a_taken_port_is_exit_2_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the port and the flag."""
    from tests.simulator.client import running

    with running("dc-only") as (_, port):
        assert simulate.run(arguments("--port", str(port))) == 2
    message = capsys.readouterr().err
    assert str(port) in message
    assert "--port" in message


@pytest.mark.parametrize(
    "words", [["--start-at", "25:00"], ["--start-at", "noon"], ["--speed", "-1"], ["--port", "70000"]]
)
def test_wrong_arguments_are_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """argparse's exit code 2, with what is wanted."""
    with pytest.raises(SystemExit) as caught:
        arguments(*words)
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """What it does, with a line to copy."""
    with pytest.raises(SystemExit):
        arguments("--help")
    assert "victron-bridge simulate --scenario grid-lost" in capsys.readouterr().out
