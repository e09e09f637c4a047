"""A subscriber that is hardly there: MQTT 3.1.1, QoS 0, by hand, with the time at which each message arrived."""

from __future__ import annotations

import select
import socket
import time
from types import TracebackType
from typing import NamedTuple

_QUIET_S = 0.3  # after this long without a retained message there are no more


class Received(NamedTuple):
    """A message and the monotonic time at which its bytes were read."""

    topic: str
    payload: bytes
    at: float


class Subscriber:
    """One connection. Use as a context manager; it is subscribed when the constructor returns."""

    def __init__(self, port: int, filters: list[str]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._buffer = b""
        self._socket.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00")
        fields = b"".join(len(one).to_bytes(2, "big") + one.encode() + b"\0" for one in filters)
        self._socket.sendall(b"\x82" + bytes((2 + len(fields),)) + b"\x00\x01" + fields)

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._socket.close()

    def skip_retained(self) -> None:
        """Read what the broker had kept, until it is quiet."""
        while self.receive(_QUIET_S):
            pass

    def receive(self, timeout_s: float) -> list[Received]:
        """Return the messages that arrived, an empty list after `timeout_s` without any."""
        deadline = time.monotonic() + timeout_s
        while True:
            if not select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return []
            data = self._socket.recv(1 << 16)
            at = time.monotonic()
            if not data:
                raise SystemExit("the broker closed the connection")
            self._buffer += data
            received = self._parse(at)
            if received:
                return received

    def _parse(self, at: float) -> list[Received]:
        found, data, start = [], self._buffer, 0
        while True:
            size, body, shift = 0, start + 1, 0
            while body < len(data):
                size |= (data[body] & 127) << shift
                shift += 7
                body += 1
                if data[body - 1] < 128:
                    break
            else:
                break
            if body + size > len(data):
                break
            if data[start] >> 4 == 3:
                end = body + 2 + int.from_bytes(data[body : body + 2], "big")
                found.append(Received(data[body + 2 : end].decode(), data[end : body + size], at))
            start = body + size
        self._buffer = data[start:]
        return found
