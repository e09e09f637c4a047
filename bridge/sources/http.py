"""One GET to the GX's HTTP server, under a deadline for the whole answer and a limit on its size.

The server speaks HTTP/1.0, closes after each answer and announces no length, so the end of the connection is the
end of the body. A plain socket does that in 0.4 ms less CPU per request than `http.client` and 1.2 ms less than
`requests` (x86-64), and unlike both it bounds the time of the *whole* answer: a server that drips one byte a second
cannot hold it. `https://` (a reverse proxy in front of a GX) is the same transport with TLS around its socket; the
certificate is checked against the authorities that the system trusts.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import SplitResult, quote, urlsplit

from bridge.errors import Garbled, Unreachable

if TYPE_CHECKING:
    import ssl

MAX_BODY = 5_000_000  # bytes; /settings of a large system has 81 kB
_CHUNK = 65536
_KNOWN_S = 300.0  # the address of a name is kept so long
_LEAST_WAIT_S = 0.001  # a socket takes a time-out of 0 for "do not wait"

_Address = tuple[socket.AddressFamily, Any]


class Answer(NamedTuple):
    """Status and body of one response. `date` is the server's Date header, or ""."""

    status: int
    body: bytes
    date: str


class Transport(Protocol):
    """How a GET reaches the GX."""

    def get(self, target: str, timeout_s: float) -> Answer:
        """Return the answer to `GET target`.

        Raises:
            Unreachable: no connection, or no complete answer in `timeout_s`.
            Garbled: the connection was cut, what came is not HTTP, or it is larger than MAX_BODY.
        """

    def abort(self) -> None:
        """Make a `get` that waits in another thread fail now, and all later ones."""


def open_transport(url: str) -> Transport:
    """Return the transport for `url` (`http://host[:8088]` or `https://host[:443][/prefix]`)."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return SocketTransport(parts)
    import ssl  # 2 MB that a GX in the local network does not need

    return SocketTransport(parts, ssl.create_default_context())


class SocketTransport:
    """HTTP/1.0 over one short-lived socket at a time, with TLS when there is a `context`."""

    def __init__(self, url: SplitResult, context: ssl.SSLContext | None = None) -> None:
        self._host = url.hostname or ""
        self._port_as_given = f":{url.port}" if url.port else ""
        self._prefix = quote(url.path.rstrip("/"), safe="/%")
        plain_port = 80 if url.path.strip("/") else 8088
        self._port = url.port or (443 if url.scheme == "https" else plain_port)
        self._context = context
        # The last address that took a connection: saves looking up the name, which costs CPU even for a number.
        self._known: _Address | None = None
        self._known_until = 0.0
        self._socket: socket.socket | None = None
        self._is_aborted = False

    def get(self, target: str, timeout_s: float) -> Answer:
        deadline = time.monotonic() + timeout_s
        connection = self._open(deadline, timeout_s)
        try:
            connection.settimeout(_left(deadline))
            connection.sendall(self._request(target))
            data = _read_all(connection, deadline)
            if self._is_aborted:  # what came is cut off
                raise Unreachable("stopped")
            return parse_answer(data)
        except TimeoutError as error:
            raise Unreachable(f"no complete answer to {target} in {timeout_s:.0f} s", True) from error
        except OSError as error:
            raise Garbled(f"connection lost during {target}: {_reason(error)}") from error
        finally:
            self._socket = None
            connection.close()

    def _open(self, deadline: float, timeout_s: float) -> socket.socket:
        """Return a connection, or say why there is none."""
        try:
            return self._connect(deadline)
        except TimeoutError as error:
            self._known = None
            raise Unreachable(f"no connection to {self._host}:{self._port} in {timeout_s:.0f} s", True) from error
        except OSError as error:
            self._known = None
            raise Unreachable(f"cannot connect to {self._host}:{self._port}: {_reason(error)}") from error
        except UnicodeError as error:  # an empty label or one of more than 63 characters
            raise Unreachable(f"cannot connect to {self._host!r}: this is no name of a host") from error

    def _connect(self, deadline: float) -> socket.socket:
        if self._known is not None and time.monotonic() < self._known_until:
            return self._connect_to(self._known, deadline)
        addresses = self._look_up()
        for index, address in enumerate(addresses):
            share_s = _left(deadline) / (len(addresses) - index)  # one that is silent leaves time for the others
            try:
                connection = self._connect_to(address, time.monotonic() + share_s)
            except OSError:
                if address is addresses[-1] or self._is_aborted:
                    raise
            else:
                self._known, self._known_until = address, time.monotonic() + _KNOWN_S
                return connection
        raise OSError(f"{self._host} has no address")

    def _look_up(self) -> list[_Address]:
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]

    def _connect_to(self, address: _Address, deadline: float) -> socket.socket:
        family, place = address
        connection = socket.socket(family, socket.SOCK_STREAM)
        with contextlib.ExitStack() as when_it_fails:
            when_it_fails.callback(connection.close)
            if self._context is not None:
                connection = self._context.wrap_socket(
                    connection, do_handshake_on_connect=False, server_hostname=self._host
                )
                when_it_fails.callback(connection.close)
            self._socket = connection  # from here on `abort` reaches it
            if self._is_aborted:
                raise Unreachable("stopped")
            connection.settimeout(_left(deadline))
            connection.connect(place)
            if self._context is not None:
                connection.settimeout(_left(deadline))
                connection.do_handshake()  # type: ignore[attr-defined]
            when_it_fails.pop_all()
        return connection

    def _request(self, target: str) -> bytes:
        host = self._host.encode("idna").decode("ascii")
        place = f"[{host}]" if ":" in host else host
        lines = (f"GET {self._prefix}{target} HTTP/1.0", f"Host: {place}{self._port_as_given}", "Connection: close")
        return "\r\n".join((*lines, "", "")).encode("ascii")

    def abort(self) -> None:
        self._is_aborted = True
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                # The method of the plain socket: that of a TLS socket would pull the session from under the reader.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _left(deadline: float) -> float:
    return max(_LEAST_WAIT_S, deadline - time.monotonic())


def _read_all(connection: socket.socket, deadline: float) -> bytes:
    """Return everything up to the end of the connection."""
    chunks: list[bytes] = []
    size = 0
    while True:
        connection.settimeout(_left(deadline))
        chunk = connection.recv(_CHUNK)
        if not chunk:
            return b"".join(chunks)
        if time.monotonic() > deadline:
            raise TimeoutError
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise Garbled(f"answer larger than {MAX_BODY} bytes")


def parse_answer(data: bytes) -> Answer:
    """Return status and body of a complete HTTP/1.x response without transfer coding.

    Raises:
        Garbled: this is no HTTP, or nothing at all.
    """
    if not data:
        raise Garbled("the server closed the connection without an answer")
    head, separator, body = data.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if not separator or len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise Garbled("the answer is not HTTP")
    return Answer(int(words[1][:3]), body, _date(head))


def _date(head: bytes) -> str:
    start = head.find(b"\r\nDate: ")
    if start < 0:
        return ""
    return head[start + 8 : start + 48].partition(b"\r\n")[0].decode("latin-1")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
