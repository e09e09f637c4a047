"""`victron-bridge demo`: values and an alert come by themselves, with either broker; what it shows is true."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from bridge.commands import demo
from bridge.commands.demo_screen import LineScreen, Screen, TerminalScreen
from bridge.core.announce import FLAPPING_FIRINGS, FLAPPING_WITHIN_S
from bridge.simulator import scenario as scenarios
from bridge.simulator.plant import Plant
from bridge.simulator.systems import ess
from tests.end_to_end.programs import Program, python
from tests.mosquitto import free_port, wait_until

WITHOUT_MOSQUITTO = (
    "import shutil, sys; from bridge.commands import demo_broker; demo_broker.shutil.which = lambda *a, **k: None; "
    "from bridge.cli import main; sys.exit(main(sys.argv[1:]))"
)
FIRING = {"phase": "firing", "severity": "critical", "alert": "grid_lost", "summary": "The grid is lost", "action": "x"}


@pytest.mark.parametrize("is_embedded", [False, True], ids=["mosquitto", "embedded"])
def test_the_demo_shows_values_and_an_alert(is_embedded: bool) -> None:
    """Within a minute the grid fails, the alert is shown and resolved; SIGTERM ends it cleanly."""
    if is_embedded and importlib.util.find_spec("amqtt") is None:
        pytest.skip("the embedded broker (extra demo) is not installed")
    command = (sys.executable, "-c", WITHOUT_MOSQUITTO, "demo") if is_embedded else python("demo")
    with Program(*command) as program:
        wait_until(lambda: "VALUES battery/soc" in program.output(), 40.0, "values are shown")
        wait_until(lambda: "ALERT  firing critical grid_lost" in program.output(), 40.0, "the alert is shown")
        assert ("amqtt" in program.output()) is is_embedded
        assert program.end() == 0
        assert "Traceback" not in program.output()
        assert "ended; " in program.output().splitlines()[-1]


def drawn(screen: Screen, capsys: pytest.CaptureFixture[str]) -> str:
    screen.draw(True)
    return capsys.readouterr().out


def test_what_is_active_comes_from_the_retained_document(capsys: pytest.CaptureFixture[str]) -> None:
    """An alert whose last event was `firing` is not shown when the document does not list it as firing."""
    screen = TerminalScreen("demo")
    demo.show(screen, "alerts", json.dumps({**FIRING, "event": "firing"}).encode())
    listed = [FIRING, {**FIRING, "phase": "pending"}, {**FIRING, "phase": "inactive"}]
    demo.show(screen, "alerts/active", json.dumps({"alerts": listed}).encode())
    assert "1 active" in drawn(screen, capsys)
    demo.show(screen, "alerts/active", json.dumps({"alerts": listed[1:]}).encode())
    screen._next = 0.0
    assert "none active" in drawn(screen, capsys)


@pytest.mark.parametrize("make", [LineScreen, TerminalScreen])
@pytest.mark.parametrize("topic", ["alerts", "alerts/active", "battery/soc"])
@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"{}", b"null", b"\xff\x00", b'{"alerts": [1, {"phase": "firing"}]}']
)
def test_no_payload_ends_the_demo(
    make: Callable[[str], Screen], topic: str, payload: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever anybody publishes, the screen is drawn and ends with a line."""
    screen = make("demo")
    demo.show(screen, topic, payload)
    screen.draw(True)
    screen.outro()
    assert "ended; " in capsys.readouterr().out.splitlines()[-1]


def test_ctrl_c_ends_the_wait_for_the_broker() -> None:
    """Nobody listens, and the wait is over as soon as the demo is to end."""
    stopping = threading.Event()
    answers: list[Any] = []
    client = Client(CallbackAPIVersion.VERSION2)
    waiting = threading.Thread(target=lambda: answers.append(demo._connect(client, free_port(), stopping)), daemon=True)
    waiting.start()
    stopping.set()
    waiting.join(5.0)
    assert answers == [False]


def test_ctrl_c_at_the_start_ends_it() -> None:
    """Also before anything was shown, without a traceback."""
    with Program(*python("demo")) as program:
        wait_until(lambda: "simulated GX at" in program.output(), 40.0, "the demo has begun")
        assert program.end(signal.SIGINT) == 0
        assert "Traceback" not in program.output()


def test_no_alert_of_the_demo_flaps_and_the_battery_lasts() -> None:
    """Half an hour at its usual speed: fewer firings an hour than flapping takes, and never a low battery."""
    found = scenarios.load("demo")
    assert found.repeat_every_s is not None and found.start_at_s is not None
    assert FLAPPING_WITHIN_S / found.repeat_every_s + 1 < FLAPPING_FIRINGS
    plant, speed = Plant(ess(1).plant, 1, found.start_at_s), 60.0
    lowest = plant.battery.soc
    for moment in range(1800):
        second = moment % found.repeat_every_s
        plant.has_grid = not 10 <= second < 25
        plant.houses[0].extra_w = 13000.0 if 32 <= second < 47 else 0.0
        plant.step(speed)
        lowest = min(lowest, plant.battery.soc)
    assert lowest > 30.0
