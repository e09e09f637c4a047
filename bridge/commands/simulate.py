"""`victron-bridge simulate`: a stand-in GX on this machine, for trying things without hardware."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from types import FrameType

from bridge.commands.arguments import duration
from bridge.commands.record import opened
from bridge.commands.simulate_recording import Recorder
from bridge.errors import ConfigError
from bridge.simulator import scenario as scenarios
from bridge.simulator.scenario import Scenario
from bridge.simulator.simulator import Simulator
from bridge.simulator.systems import SYSTEMS

EPILOG = """\
example:
  victron-bridge simulate --scenario grid-lost --speed 60
  victron-bridge run --gx http://127.0.0.1:8088 --broker localhost --site demo
  victron-bridge simulate --scenario grid-lost --record gx.jsonl.gz --lasts 2m    at once, without serving

The physics runs --speed times as fast as real time; time stamps and the seconds of a scenario stay real ones.
control requests, POST with a JSON object (GET /_state tells how it is):
  /_set      service, path and value, or values {path: value}; null is no value
  /_unset    service, path     give a path, a service or all ({}) back to the simulator
  /_remove   service, path     the path is not there any more
  /_drop     service           it leaves the bus; /_restore  service, or {} for all
  /_rename   service, to
  /_hang     service, on       its requests take long and fail; "on": false ends it
  /_fault    fail_rate, garbage_rate, hang_rate, hang_s, latency_ms, mute, fail_kinds, garbage_kinds
  /_down     for_s             connections are refused for so long
  /_do       any action of a scenario step, such as {"grid": "lost"}
  /_seek     at                run the scenario's steps up to there now
A service is named whole, or as vebus or battery/512 where that is clear:
  curl -d '{"service": "vebus", "path": "/Alarms/GridLost", "value": 2}' http://127.0.0.1:8088/_set
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `simulate`."""
    parser.description = (
        "Serve a simulated GX: sun, household, battery and grid behind the DBus HTTP API of a real one."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--system", choices=sorted(SYSTEMS), help="which system (default: the scenario's, or ess)")
    parser.add_argument(
        "--scenario", metavar="NAME|FILE", help="what happens to it (default: nothing does); see --list"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8088, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument(
        "--control-port", type=_port, help="a second port for /_ requests that answers while the API hangs"
    )
    parser.add_argument(
        "--speed", type=_speed, help="simulated per real second (default: 60; in a recording 1, as time stamps tell)"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same day (default: %(default)s)")
    parser.add_argument("--start-at", type=_time, metavar="HH:MM", help="time of day at the start (default: 11:30)")
    parser.add_argument(
        "--record",
        metavar="FILE",
        help="write a recording instead of serving, as fast as it goes; - is standard output",
    )
    parser.add_argument("--lasts", type=duration, default=600.0, metavar="10m", help="of the recording (default: 10m)")
    parser.add_argument(
        "--every", type=duration, default=10.0, metavar="10s", help="poll of the recording (default: 10s)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the recording")
    parser.add_argument("--list", action="store_true", help="list the scenarios and exit")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM, or write a recording; return the exit code.

    Raises:
        ConfigErrors: the scenario is wrong.
        ConfigError: the recording exists or cannot be made.
    """
    if args.list:
        return _list()
    chosen = scenarios.load(args.scenario) if args.scenario else None
    if args.record:
        return _record(args, chosen)
    simulator = _build(args, chosen)
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _serve(args, simulator, stopping)
    finally:
        simulator.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _record(args: argparse.Namespace, chosen: Scenario | None) -> int:
    system = args.system or (chosen.system if chosen else "ess")
    recorder = Recorder(system, chosen, _speed_of(args, 1.0), args.seed, args.start_at, args.every)
    with opened(args.record, args.force) as file:
        for line in recorder.lines(args.lasts):
            file.write(line.encode() + b"\n")
    return 0


def _speed_of(args: argparse.Namespace, default: float) -> float:
    return default if args.speed is None else float(args.speed)


def _build(args: argparse.Namespace, chosen: Scenario | None) -> Simulator:
    system = args.system or (chosen.system if chosen else "ess")
    simulator = Simulator(system, chosen, _speed_of(args, 60.0), args.seed, args.start_at)
    simulator.announce = lambda text: print(f"{simulator.scenario_s():6.1f} s  {text}", flush=True)
    return simulator


def _serve(args: argparse.Namespace, simulator: Simulator, stopping: threading.Event) -> int:
    try:
        port = simulator.start(args.host, args.port, args.control_port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        print(
            ConfigError(f"port {args.port} of {args.host}: {reason}; give another --port", key="--port"),
            file=sys.stderr,
        )
        return 2
    happening = f", scenario {simulator.scenario.name}" if simulator.scenario else ""
    print(
        f"simulated GX ({simulator.system}{happening}, speed {simulator.speed:g}) on http://{args.host}:{port}",
        flush=True,
    )
    if simulator.control_port is not None:
        print(f"control requests on http://{args.host}:{simulator.control_port}", flush=True)
    while not stopping.wait(3600.0):
        continue
    return 0


def _list() -> int:
    for name in scenarios.names():
        found = scenarios.load(name)
        alerts = ", ".join(found.expect_alerts) or "none"
        print(f"{name:15} {found.description}\n{'':15} alerts: {alerts}")
    return 0


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port from 0 to 65535 is wanted, not {text!r}")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0.0 <= speed <= 100_000.0:
        raise argparse.ArgumentTypeError(f"a number from 0 to 100000 is wanted, not {text!r}")
    return speed


def _time(text: str) -> float:
    try:
        return scenarios.time_of_day_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
