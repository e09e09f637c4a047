"""The broker of the demo: the system's mosquitto, else the embedded amqtt in a process of its own. Demo only.

Run as a module it is the embedded broker: `python -m bridge.commands.demo_broker PORT`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bridge.errors import SinkError

_PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"))


class DemoBroker(NamedTuple):
    """A running broker on loopback."""

    name: str
    port: int
    protocol: str  # for broker.protocol


def start_broker(directory: Path, stack: ExitStack) -> DemoBroker:
    """Start a broker on a free port; it ends with `stack`.

    Raises:
        SinkError: neither mosquitto nor amqtt is installed.
    """
    port = _free_port()
    mosquitto = shutil.which("mosquitto", path=_PLACES)
    if mosquitto:
        config = directory / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        name, protocol, command = "mosquitto", "auto", [mosquitto, "-c", str(config)]
    elif importlib.util.find_spec("amqtt"):
        name, protocol = "amqtt (embedded, demo only)", '"3.1.1"'
        command = [sys.executable, "-m", "bridge.commands.demo_broker", str(port)]
    else:
        raise SinkError(
            "the demo needs a broker: install mosquitto (Debian: apt install mosquitto) "
            "or the embedded one (pip install 'victron-bridge[demo]')"
        )
    log = stack.enter_context(open(directory / "broker.log", "wb"))
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - see above
    stack.callback(process.wait)
    stack.callback(process.kill)
    return DemoBroker(name, port, protocol)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(port: int) -> None:
    """Be the embedded broker on loopback until killed."""
    import asyncio

    from amqtt.broker import Broker

    async def forever() -> None:
        listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        broker = Broker({"listeners": listeners, "plugins": plugins})
        await broker.start()
        await asyncio.Event().wait()

    asyncio.run(forever())


if __name__ == "__main__":
    serve(int(sys.argv[1]))
