"""A client that sees what is really on the wire: raw bytes, segment by segment."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from bridge.simulator.simulator import Simulator

VEBUS = "com.victronenergy.vebus.ttyS4"
BATTERY = "com.victronenergy.battery.socketcan_can0"
SYSTEM = "com.victronenergy.system"
SETTINGS = "com.victronenergy.settings"
PLATFORM = "com.victronenergy.platform"
LOGGER = "com.victronenergy.logger"
SWITCH = "com.victronenergy.switch.virtual_51a0c0ffee000102"


class Reply(NamedTuple):
    """One answer as it came."""

    status_line: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.status_line.split()[1])

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


@contextmanager
def running(*args: Any, **kwargs: Any) -> Iterator[tuple[Simulator, int]]:
    """Run a simulator on a free port for the length of a test."""
    with Simulator(*args, **kwargs) as gx:
        yield gx, gx.start()


def exchange(port: int, raw: bytes, timeout_s: float = 5.0) -> bytes:
    """Send bytes, return all bytes until the server closes."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(raw)
        while chunk := connection.recv(65536):
            received += chunk
    return received


def request(port: int, line: str, body: bytes | None = None, timeout_s: float = 5.0) -> Reply:
    """Send one request (`GET /health`) and take the answer apart."""
    length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
    raw = f"{line} HTTP/1.1\r\nHost: gx\r\nConnection: keep-alive\r\n{length}\r\n".encode() + (body or b"")
    head, _, rest = exchange(port, raw, timeout_s).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin1").split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    return Reply(first, [(name, value) for name, _, value in pairs], rest)


def get(port: int, service: str, path: str, endpoint: str = "value", timeout_s: float = 5.0) -> Reply:
    """Ask for one path."""
    return request(port, f"GET /{endpoint}?service={service}&path={path}", timeout_s=timeout_s)


def post(port: int, path: str, document: Any) -> Reply:
    """Post a document."""
    return request(port, f"POST {path}", json.dumps(document).encode())


def eventually(is_true: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Return whether `is_true` becomes so before the deadline."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.02)
    return is_true()
