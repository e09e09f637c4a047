"""The transport: one GET over a plain socket, bounded in time and size, abortable. Servers are real sockets."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bridge.errors import Garbled, SourceError, Unreachable
from bridge.sources.http import MAX_BODY, SocketTransport, open_transport, parse_answer

OK = b"HTTP/1.0 200 OK\r\nDate: Sun, 22 Nov 2026 09:02:38 GMT\r\nContent-type: application/json\r\n\r\n"


@contextmanager
def server(behave: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Accept connections on loopback, let `behave` answer each one, and give the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10.0)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(10.0)
            with suppress(OSError), tls.wrap_socket(connection, server_side=True) if tls else connection as spoken:
                behave(spoken)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
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


def abort_ends(transport: SocketTransport, is_waiting: threading.Event) -> None:
    """Let `transport` ask in a thread, abort it when the server is reached, and see it end with an error."""
    errors: list[SourceError] = []

    def ask() -> None:
        try:
            transport.get("/services", 30.0)
        except SourceError as error:
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert is_waiting.wait(5.0)
    transport.abort()
    thread.join(3.0)
    assert not thread.is_alive()
    assert errors
    with pytest.raises(SourceError):
        transport.get("/services", 5.0)


def dripping(is_waiting: threading.Event) -> Callable[[socket.socket], None]:
    """Answer with a head at once and then one byte at a time."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(OK)
        is_waiting.set()
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.05)

    return behave


def silent(is_waiting: threading.Event) -> Callable[[socket.socket], None]:
    """Take the request and say nothing."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        is_waiting.set()
        connection.recv(1)

    return behave


@pytest.mark.parametrize("manner", [dripping, silent])
def test_abort_ends_a_waiting_request_at_once(manner: Callable) -> None:
    """Ctrl-C does not wait for a GX that hangs or drips."""
    is_waiting = threading.Event()
    with server(manner(is_waiting)) as url:
        abort_ends(SocketTransport(urlsplit(url)), is_waiting)


@pytest.mark.parametrize("name", ["a..b", "x" * 64, "x" * 64 + ".local"])
def test_a_name_that_no_host_can_have_is_unreachable(name: str) -> None:
    """What Python's name lookup refuses to encode is a failure like any other."""
    with pytest.raises(Unreachable) as caught:
        open_transport(f"http://{name}:8088").get("/services", 2.0)
    assert not caught.value.timed_out


def test_the_name_is_looked_up_again_after_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A known address saves the lookup, but a GX that got another address is found although the old one answers."""
    lookups = []
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: lookups.append(args) or real(*args, **kwargs))

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(OK + b"{}")

    with server(behave) as url:
        transport = open_transport(url)
        for later_s, expected in ((0.0, 1), (0.0, 1), (301.0, 2), (301.0, 2)):
            start = time.monotonic
            with monkeypatch.context() as patch:
                patch.setattr(time, "monotonic", lambda later_s=later_s, start=start: start() + later_s)
                assert transport.get("/services", 5.0).status == 200
            assert len(lookups) == expected


def test_a_silent_address_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two addresses of one name the first may swallow everything: the second is still tried within the time-out."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(OK + b"{}")

    with full_listener() as deaf, server(behave) as url:
        good = ("127.0.0.1", urlsplit(url).port)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in (deaf, good)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        assert open_transport("http://gx.test").get("/services", 2.0).status == 200


@contextmanager
def full_listener() -> Iterator[tuple[str, int]]:
    """Give an address that takes no more connections and does not refuse them either."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        place = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(place)
        try:
            yield place
        finally:
            for filler in fillers:
                filler.close()


# -- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates")
    directory = tmp_path_factory.mktemp("certificates")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gx"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *files], cwd=directory, check=True, capture_output=True)
    return directory / "cert.pem", directory / "key.pem"


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """What the server speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def trusting(url: str, certificate: tuple[Path, Path]) -> SocketTransport:
    return SocketTransport(urlsplit(url), ssl.create_default_context(cafile=str(certificate[0])))


def test_https_is_the_same_question_with_tls(tls: ssl.SSLContext, certificate: tuple[Path, Path]) -> None:
    """A reverse proxy below a prefix is asked with the prefix and its own name."""
    heads = []

    def behave(connection: socket.socket) -> None:
        heads.append(request_of(connection))
        connection.sendall(OK + b"{}")

    with server(behave, tls) as url:
        assert trusting(url + "/gx", certificate).get("/services", 5.0).body == b"{}"
    assert heads[0].startswith(b"GET /gx/services HTTP/1.0\r\nHost: 127.0.0.1:")


def test_an_unknown_certificate_is_refused(tls: ssl.SSLContext) -> None:
    """Nobody is asked whose certificate the system does not trust, and the error says so."""
    with server(request_of, tls) as url, pytest.raises(Unreachable, match="(?i)certificate"):
        open_transport(url).get("/services", 5.0)


def test_https_that_drips_cannot_hold_the_client(tls: ssl.SSLContext, certificate: tuple[Path, Path]) -> None:
    """The deadline for the whole answer holds with TLS as well."""
    started = time.monotonic()
    with server(dripping(threading.Event()), tls) as url, pytest.raises(Unreachable) as caught:
        trusting(url, certificate).get("/services", 0.5)
    assert caught.value.timed_out
    assert time.monotonic() - started < 4.0


@pytest.mark.parametrize("manner", [dripping, silent])
def test_abort_ends_https_at_once(manner: Callable, tls: ssl.SSLContext, certificate: tuple[Path, Path]) -> None:
    """Ctrl-C does not wait for a proxy that hangs or drips."""
    is_waiting = threading.Event()
    with server(manner(is_waiting), tls) as url:
        abort_ends(trusting(url, certificate), is_waiting)


def test_abort_ends_a_handshake(certificate: tuple[Path, Path]) -> None:
    """A server that takes the connection and does not speak TLS holds nobody either."""
    is_waiting = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.recv(1)
        is_waiting.set()
        while connection.recv(4096):
            pass

    with server(behave) as url:
        abort_ends(trusting(url.replace("http:", "https:"), certificate), is_waiting)
