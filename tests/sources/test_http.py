"""The transport: one GET over a plain socket, bounded in time and size, abortable. Servers are real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from bridge.errors import Garbled, SourceError, Unreachable
from bridge.sources.http import MAX_BODY, RequestsTransport, SocketTransport, open_transport, parse_answer

OK = b"HTTP/1.0 200 OK\r\nDate: Sun, 22 Nov 2026 09:02:38 GMT\r\nContent-type: application/json\r\n\r\n"


@contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept connections on loopback, let `behave` answer each one, and give the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10.0)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10.0)
                with suppress(OSError):
                    behave(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5.0)


def request_of(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    return data


def test_a_body_in_many_pieces_is_complete() -> None:
    """Headers and body come in several segments; the end of the connection ends the body."""
    heads = []

    def behave(connection: socket.socket) -> None:
        heads.append(request_of(connection))
        for piece in (OK, b'{"a": ', b"1}"):
            connection.sendall(piece)

    with server(behave) as url:
        answer = open_transport(url).get("/value?service=a&path=/b", 5.0)
    assert (answer.status, answer.body, answer.date) == (200, b'{"a": 1}', "Sun, 22 Nov 2026 09:02:38 GMT")
    assert heads[0].startswith(b"GET /value?service=a&path=/b HTTP/1.0\r\nHost: 127.0.0.1:")


def test_nothing_listening_is_unreachable_but_no_timeout() -> None:
    """A refused connection is told apart from silence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable) as caught:
        open_transport(f"http://127.0.0.1:{port}").get("/services", 2.0)
    assert not caught.value.timed_out


@pytest.mark.parametrize("first", [b"", OK, OK + b'{"a":'])
def test_a_silent_server_times_out(first: bytes) -> None:
    """Whether nothing, a head or half a body came: after the deadline it is a time-out."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(first)
        connection.recv(1)  # until the client leaves

    with server(behave) as url, pytest.raises(Unreachable) as caught:
        open_transport(url).get("/services", 0.3)
    assert caught.value.timed_out


def test_a_dripping_server_cannot_hold_the_client() -> None:
    """The deadline is for the whole answer, not for each piece of it."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(OK)
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.05)

    started = time.monotonic()
    with server(behave) as url, pytest.raises(Unreachable) as caught:
        open_transport(url).get("/services", 0.5)
    assert caught.value.timed_out
    assert time.monotonic() - started < 4.0


def test_an_endless_body_is_cut_at_the_limit() -> None:
    """More than 5 MB is refused while it comes, not after it filled the memory."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(OK)
        for _ in range(3 * MAX_BODY // 65536):
            connection.sendall(b" " * 65536)

    with server(behave) as url, pytest.raises(Garbled, match="larger"):
        open_transport(url).get("/services", 10.0)


@pytest.mark.parametrize(
    "data", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.0 abc\r\n\r\n", b"\x00\xff" * 50]
)
def test_what_is_not_http_is_garbled(data: bytes) -> None:
    """An empty answer, another protocol or half a head are said to be no HTTP."""
    with pytest.raises(Garbled):
        parse_answer(data)


def test_a_redirect_is_not_followed() -> None:
    """The status is handed up; no other host is ever asked."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")

    with server(behave) as url:
        assert open_transport(url).get("/services", 5.0).status == 302


@pytest.mark.parametrize("kind", [SocketTransport, RequestsTransport])
def test_abort_ends_a_waiting_request_at_once(kind: type) -> None:
    """Ctrl-C does not wait for a GX that hangs."""
    waiting = threading.Event()

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        waiting.set()
        connection.recv(1)

    if kind is RequestsTransport:
        transport = RequestsTransport("http://user:secret@127.0.0.1:1")
        transport.abort()
        with pytest.raises(SourceError):
            transport.get("/services", 5.0)
        return
    errors: list[SourceError] = []

    def ask(url: str) -> None:
        try:
            transports[0].get("/services", 30.0)
        except SourceError as error:
            errors.append(error)

    with server(behave) as url:
        transports = [open_transport(url)]
        thread = threading.Thread(target=ask, args=(url,))
        thread.start()
        assert waiting.wait(5.0)
        transports[0].abort()
        thread.join(3.0)
        assert not thread.is_alive()
    assert errors


def test_a_password_goes_into_the_header_and_into_no_error() -> None:
    """A reverse proxy with a login is reached through requests; its password shows in no message."""
    heads = []

    def behave(connection: socket.socket) -> None:
        heads.append(request_of(connection))
        connection.sendall(OK + b"{}")

    with server(behave) as url:
        transport = open_transport(url.replace("//", "//user:hunter2@"))
        assert isinstance(transport, RequestsTransport)
        assert transport.get("/services", 5.0).body == b"{}"
    assert b"Authorization: Basic" in heads[0]
    with pytest.raises(SourceError) as caught:
        transport.get("/services", 1.0)
    assert "hunter2" not in repr(caught.value) + str(caught.value.__cause__)
