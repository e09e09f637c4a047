"""A TCP proxy that fails on command: cut, refuse, blackhole, delay, or cut after a number of bytes.

One thread, no retries: what happens to a connection through it is what the test said and nothing else.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from types import TracebackType

_CHUNK = 65_536


class Proxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target`, with faults that apply from the moment they are set."""

    def __init__(self, target: int) -> None:
        self.accepted = 0
        self.delay_s = 0.0
        self._target = target
        self._is_refusing = False
        self._is_blackhole = False
        self._bytes_left: int | None = None
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.port = int(self._listener.getsockname()[1])
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._late: deque[tuple[float, socket.socket, bytes]] = deque()
        self._lock = threading.RLock()
        self._is_closing = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Reset every open connection; new ones are accepted."""
        with self._lock:
            for client in list(self._clients):
                self._drop(client)

    def refuse(self, is_on: bool = True) -> None:
        """Hang up on each new connection at once."""
        self._is_refusing = is_on

    def blackhole(self, is_on: bool = True) -> None:
        """Keep connections open, take what comes, and forward nothing in either direction."""
        self._is_blackhole = is_on

    def cut_after(self, count: int | None) -> None:
        """Cut the connection when `count` more bytes came from the client; None: never."""
        with self._lock:
            self._bytes_left = count

    def _run(self) -> None:
        while not self._is_closing:
            for key, _ in self._selector.select(0.01 if self._late else 0.05):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._pairs:
                        self._forward(key.fileobj)  # type: ignore[arg-type]
            with self._lock:
                self._send_late()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        if self._is_refusing:
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=1.0)
        except OSError:
            client.close()
            return
        self._clients.add(client)
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(1.0)
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, sender: socket.socket) -> None:
        try:
            data = sender.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            self._drop(sender)
            return
        if self._is_blackhole:
            return
        is_over = False
        if self._bytes_left is not None and sender in self._clients:
            data, is_over = data[: self._bytes_left], len(data) >= self._bytes_left
            self._bytes_left -= len(data)
        if self.delay_s:
            self._late.append((time.monotonic() + self.delay_s, self._pairs[sender], data))
        else:
            self._send(self._pairs[sender], data)
        if is_over:
            self._bytes_left = None
            self._drop(sender)

    def _send_late(self) -> None:
        while self._late and self._late[0][0] <= time.monotonic():
            _, receiver, data = self._late.popleft()
            self._send(receiver, data)

    def _send(self, receiver: socket.socket, data: bytes) -> None:
        try:
            receiver.sendall(data)
        except OSError:
            self._drop(receiver)

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs.get(one)
        for side in (one, other):
            if side is not None and self._pairs.pop(side, None) is not None:
                self._selector.unregister(side)
                self._clients.discard(side)
                side.close()

    def close(self) -> None:
        self._is_closing = True
        self._thread.join(5.0)
        self.cut()
        self._selector.close()
        self._listener.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
