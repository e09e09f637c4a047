"""The HTTP server of the simulated GX: one thread, one request at a time, HTTP/1.0, and no socket timeout.

A client that connects and says nothing blocks everybody else: that is what the real server does, and what a bridge
must live with. Only `stop` gets through: it cuts the connection that is being served.
"""

from __future__ import annotations

import json
import logging
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from bridge.simulator.api import Answer, Api
from bridge.simulator.faults import GARBAGE, Faults

BACKLOG = 5
_POLL_S = 0.1
_log = logging.getLogger(__name__)


class Gx(Protocol):
    """What the server needs of the simulator."""

    api: Api
    faults: Faults

    def now(self) -> float:
        """Return the clock of the GX."""

    def control(self, method: str, path: str, body: bytes) -> Answer:
        """Answer a request of the control interface (`/_...`)."""


class Handler(BaseHTTPRequestHandler):
    """One connection: reads one request, answers it, closes."""

    server: Listener

    def do_GET(self) -> None:
        self._serve("GET", b"")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._serve("POST", self.rfile.read(length) if length > 0 else b"")

    def do_OPTIONS(self) -> None:
        self._head(204)

    def _serve(self, method: str, body: bytes) -> None:
        if self.path.startswith("/_"):
            self._send(self.server.gx.control(method, self.path, body))
        elif self.server.is_control:
            self._send(Answer(404, {"ok": False, "error": "only control requests are answered here"}))
        elif method == "POST":
            self._send(self.server.gx.api.post(self.path.partition("?")[0], body))
        else:
            self._get()

    def _get(self) -> None:
        gx = self.server.gx
        self.server.pause(gx.faults.latency_ms / 1000.0)
        self.server.wait_while(lambda: gx.faults.mute, float("inf"))
        fault = gx.faults.draw()
        touched = gx.api.touched(self.path)
        if touched and (fault == "hang" or not gx.faults.hung.isdisjoint(touched)):
            self._hang(touched, fault == "hang")
            return
        self._send(gx.api.get(self.path), fault)

    def _hang(self, touched: tuple[str, ...], by_chance: bool) -> None:
        """Wait as long as the bus would, then answer 404; at once when the service recovers meanwhile."""
        gx = self.server.gx
        has_timed_out = self.server.wait_while(
            lambda: by_chance or not gx.faults.hung.isdisjoint(touched), gx.faults.hang_s
        )
        is_leaf = self.path.lstrip("/").startswith(("value", "text"))
        self._send(gx.api.not_available(self.path) if has_timed_out and is_leaf else gx.api.get(self.path))

    def _send(self, answer: Answer, fault: str = "") -> None:
        body = json.dumps(answer.document, indent=2).encode("ascii")
        if fault in ("close", "reset"):
            self._cut(fault == "reset")
            return
        if fault in ("500", "404"):
            body = json.dumps({"error": "Injected fault", "success": False}, indent=2).encode("ascii")
            answer = Answer(int(fault), {})
        elif fault in ("truncate", "half"):
            body = body[: len(body) // 2]
        elif fault:
            body = GARBAGE[fault]
        self._head(answer.status)
        self.wfile.write(body)

    def _cut(self, with_reset: bool) -> None:
        if with_reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def _head(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-type", "application/json")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
        self.send_header("Access-Control-Allow-Headers", "Content-Type")
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the `Date` header: the GX's clock, not the host's."""
        return super().date_time_string(self.server.gx.now() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)


class Listener(socketserver.TCPServer):
    """One listening socket. Requests are served in the thread that calls `handle_request`."""

    allow_reuse_address = True
    request_queue_size = BACKLOG
    timeout = _POLL_S

    def __init__(self, address: tuple[str, int], gx: Gx, stopping: threading.Event, is_control: bool = False) -> None:
        self.gx = gx
        self.is_control = is_control
        self._stopping = stopping
        self._open: set[socket.socket] = set()
        self._is_cut = False
        super().__init__(address, Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = super().get_request()
        if self._is_cut:
            connection.close()
            raise OSError("this port is closing")  # handle_request expects and forgets it
        self._open.add(connection)
        return connection, peer

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """End what is being served, for good: the blocked thread comes back at once."""
        self._is_cut = True
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it went by itself

    def pause(self, for_s: float) -> None:
        """Sleep, unless the simulator stops."""
        if for_s > 0.0:
            self._stopping.wait(for_s)

    def wait_while(self, is_true: Callable[[], bool], for_s: float) -> bool:
        """Wait until `is_true` ends or `for_s` seconds are over; return whether the time ran out."""
        until = time.monotonic() + for_s
        while is_true():
            if time.monotonic() >= until:
                return True
            if self._is_cut or self._stopping.wait(0.02):
                break
        return False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Forget clients that left before the answer; anything else is a bug of ours and must be seen."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError) and not isinstance(error, ValueError):
            _log.error("request failed", exc_info=error)


class ThreadingListener(socketserver.ThreadingMixIn, Listener):
    """The control port: every request has a thread, so that a hanging API can still be steered."""

    daemon_threads = True


class ApiServer:
    """The thread that owns the API's port, closes it for a while on request, and opens it again."""

    def __init__(self, gx: Gx) -> None:
        self._gx = gx
        self._stopping = threading.Event()
        self._address = ("127.0.0.1", 0)
        self._down_until = 0.0
        self._listener: Listener | None = None
        self._control: Listener | None = None
        self._threads: list[threading.Thread] = []

    def start(self, host: str, port: int, control_port: int | None) -> tuple[int, int | None]:
        """Open the ports and serve in the background.

        Args:
            port, control_port: 0 picks a free one; None means no control port.

        Returns:
            The port of the API, and that of the control interface.

        Raises:
            OSError: the address is taken or not ours.
        """
        self._listener = Listener((host, port), self._gx, self._stopping)
        self._address = (host, int(self._listener.server_address[1]))
        self._begin(self._serve, "gx api")
        if control_port is None:
            return self._address[1], None
        self._control = ThreadingListener((host, control_port), self._gx, self._stopping, is_control=True)
        self._begin(self._serve_control, "gx control")
        return self._address[1], int(self._control.server_address[1])

    def _begin(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def down_for(self, for_s: float) -> None:
        """Refuse connections for `for_s` seconds; what is being served is cut."""
        self._down_until = time.monotonic() + for_s
        listener = self._listener
        if listener is not None:
            listener.cut()

    def stop(self) -> None:
        """Close the ports and end the threads, whatever they wait for."""
        self._stopping.set()
        for listener in (self._listener, self._control):
            if listener is not None:
                listener.cut()
        for thread in self._threads:
            thread.join(timeout=2.0)
        self._threads.clear()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            if time.monotonic() < self._down_until:
                self._close()
                self._stopping.wait(0.05)
            elif self._listener is None:
                self._reopen()
            else:
                self._listener.handle_request()
        self._close()

    def _serve_control(self) -> None:
        control = self._control
        while control is not None and not self._stopping.is_set():
            control.handle_request()
        if control is not None:
            control.server_close()

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.server_close()
            self._listener = None

    def _reopen(self) -> None:
        try:
            self._listener = Listener(self._address, self._gx, self._stopping)
        except OSError as error:
            _log.warning("port %s is still taken: %s", self._address[1], error)
            self._stopping.wait(0.2)
