"""`victron-bridge demo`: a simulated GX, a broker and the bridge at work, shown in the terminal.

Everything runs on this machine and on loopback: the simulator in this process, the broker and `victron-bridge run`
as children, and a subscriber that shows what any other subscriber would see.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bridge.commands.demo_broker import DemoBroker, start_broker
from bridge.commands.demo_screen import LineScreen, Screen, TerminalScreen
from bridge.core.values import parse_json
from bridge.errors import SinkError
from bridge.simulator.simulator import Simulator

EPILOG = """\
example:
  victron-bridge demo
  victron-bridge demo --duration 60 --scenario grid-lost

Look at it from outside with the commands it prints, for instance
  mosquitto_sub -h 127.0.0.1 -p PORT -t 'victron/#' -v
"""
SITE = "demo"
# Faster than on a real GX, so that something moves on the screen.
CONFIG = """\
site: demo
gx: http://127.0.0.1:{gx_port}
broker: {{host: 127.0.0.1, port: {broker_port}, protocol: {protocol}}}
poll: {{tiers: {{critical: 2s, extended: 4s, health: 10s}}}}
state: {state}
log: {{level: warning}}
"""
READY_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument(
        "--duration", type=float, metavar="S", help="end after so many seconds (default: Ctrl-C ends it)"
    )
    parser.add_argument("--scenario", default="demo", metavar="NAME|FILE", help="what happens (see simulate --list)")
    parser.add_argument(
        "--speed", type=float, default=60.0, metavar="N", help="simulated per real second (default: 60)"
    )


def run(args: argparse.Namespace) -> int:
    """Show the demo until its end.

    Raises:
        ConfigErrors: the scenario is wrong.
        SinkError: there is no broker on this machine, neither mosquitto nor the embedded one.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    screen: Screen = TerminalScreen(SITE) if sys.stdout.isatty() else LineScreen(SITE)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="victron-bridge-demo-")))
        gx = stack.enter_context(Simulator("ess", args.scenario, args.speed))
        gx.announce = screen.announce
        gx_port = gx.start()
        broker = start_broker(directory, stack)
        bridge = _start_bridge(directory, gx_port, broker, stack)
        screen.intro(f"http://127.0.0.1:{gx_port}", broker.name, broker.port)
        client = _subscribe(broker.port, screen, stack, stopping)
        until = time.monotonic() + args.duration if args.duration else float("inf")
        while not stopping.wait(0.25) and time.monotonic() < until:
            if bridge.poll() is not None:
                print((directory / "bridge.log").read_text(errors="replace"), file=sys.stderr)
                return 3
            screen.draw(client.is_connected())
    screen.outro()
    return 0


def _start_bridge(directory: Path, gx_port: int, broker: DemoBroker, stack: ExitStack) -> subprocess.Popen[bytes]:
    config = directory / "config.yaml"
    places = {"gx_port": gx_port, "broker_port": broker.port, "state": directory / "state"}
    config.write_text(CONFIG.format(**places, protocol=broker.protocol))
    log = stack.enter_context(open(directory / "bridge.log", "wb"))
    command = [sys.executable, "-m", "bridge", "run", "--config", str(config)]
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - our own program
    stack.callback(end, process)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """End a child politely, then not."""
    process.terminate()
    try:
        process.wait(3.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _subscribe(port: int, screen: Screen, stack: ExitStack, stopping: threading.Event) -> Any:
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2, client_id="victron-bridge-demo-screen")

    def on_message(_client: Client, _data: Any, message: MQTTMessage) -> None:
        show(screen, message.topic.removeprefix(f"victron/{SITE}/"), bytes(message.payload))

    client.on_message = on_message
    client.on_connect = lambda client, *_: client.subscribe(f"victron/{SITE}/#", 1)
    if _connect(client, port, stopping):
        client.loop_start()
        stack.callback(client.loop_stop)
        stack.callback(client.disconnect)
    return client


def show(screen: Screen, topic: str, payload: bytes) -> None:
    """Show one message; anybody may publish anything to this broker, so nothing is taken for granted."""
    text = payload.decode("utf-8", "replace")
    if topic != "alerts":
        screen.value(topic, text)
    if topic not in ("alerts", "alerts/active"):
        return
    document = parse_json(text)
    if not isinstance(document, dict):
        return
    if topic == "alerts":
        screen.event(document)
    else:
        listed = document.get("alerts")
        alerts = [alert for alert in listed if isinstance(alert, dict)] if isinstance(listed, list) else []
        screen.active([alert for alert in alerts if alert.get("phase") == "firing"])


def _connect(client: Any, port: int, stopping: threading.Event) -> bool:
    """Connect as soon as the broker listens; return False when the demo is to end before that."""
    deadline = time.monotonic() + READY_S
    while not stopping.is_set():
        try:
            client.connect("127.0.0.1", port, keepalive=20)
            return True
        except OSError as error:
            if time.monotonic() > deadline:
                raise SinkError(f"the demo's broker does not answer: {error}") from error
            stopping.wait(0.2)
    return False
