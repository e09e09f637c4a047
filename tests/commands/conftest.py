"""What tests of commands share: an environment without settings, a simulated GX, a port that speaks something else."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.commands import broker_hops, broker_session
from bridge.simulator.simulator import Simulator
from tests.mosquitto import wait_until


@pytest.fixture(scope="session")
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for state that all tests share, so that the catalogue is read once."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, state_home: Path) -> None:
    """No setting of the machine that runs the tests reaches a command."""
    for name in [name for name in os.environ if name.startswith("VICTRON_BRIDGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(state_home))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker on this machine needs no patience."""
    monkeypatch.setattr(broker_session, "_QUIET_S", 0.2)
    monkeypatch.setattr(broker_hops, "_LIVE_S", 0.5)


@pytest.fixture
def gx() -> Iterator[Simulator]:
    with Simulator("ess", seed=1) as simulator:
        yield simulator


@pytest.fixture
def gx_url(gx: Simulator) -> str:
    return f"http://127.0.0.1:{gx.start()}"


@pytest.fixture
def stranger() -> Iterator[Callable[[bytes], int]]:
    """Start servers that say something and hang up; each call returns a port."""
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, words: bytes) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(2.0)
                try:
                    client.sendall(words)
                    client.recv(65536)
                except OSError:
                    continue

    def start(words: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, words), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


SSH = b"SSH-2.0-OpenSSH_9.2p1\r\n"
WEB = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html><title>It works!</title></html>"


def once(condition: Callable[[], bool], action: Callable[[], object]) -> None:
    """Do `action` in the background as soon as `condition` holds."""

    def wait() -> None:
        wait_until(condition)
        action()

    threading.Thread(target=wait, daemon=True).start()
