"""A server that speaks just enough MQTT to misbehave in ways that a real broker cannot be asked for."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

CONNACK_5 = b"\x20\x03\x00\x00\x00"
CONNACK_3 = b"\x20\x02\x00\x00"
CONNACK_3_BAD_VERSION = b"\x20\x02\x00\x01"
CONNECT, PUBLISH, PINGREQ, DISCONNECT = 1, 3, 12, 14


class FakeBroker:
    """Answers each CONNECT with `answers[version]`; b"" hangs up, None says nothing.

    Args:
        answers: protocol version (4 or 5) -> bytes to send after the CONNECT.
        acks: whether QoS 1 messages are acknowledged.
        after_login: bytes to send right behind the answer.
    """

    def __init__(self, answers: dict[int, bytes | None], acks: bool = True, after_login: bytes = b"") -> None:
        self.versions: list[int] = []
        self.published: list[bytes] = []
        self.most_in_flight = 0
        self._answers = answers
        self._acks = acks
        self._after_login = after_login
        self._open: list[socket.socket] = []
        self._is_closing = False
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(8)
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._is_closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        unacknowledged: list[bytes] = []
        with client:
            try:
                while True:
                    # Acknowledge only when the client has stopped sending: that shows how much it keeps in flight.
                    client.settimeout(0.05 if unacknowledged else 30.0)
                    try:
                        first, body = _read_packet(client)
                    except TimeoutError:
                        client.sendall(b"".join(b"\x40\x02" + mid for mid in unacknowledged))
                        unacknowledged.clear()
                        continue
                    if first >> 4 == CONNECT:
                        self.versions.append(body[6])
                        answer = self._answers[body[6]]
                        if answer == b"":
                            return
                        client.sendall((answer or b"") + (self._after_login if answer else b""))
                    elif first >> 4 == PINGREQ:
                        client.sendall(b"\xd0\x00")
                    elif first >> 4 == DISCONNECT:
                        return
                    elif first >> 4 == PUBLISH:
                        self.published.append(body)
                        if first & 0x06 and self._acks:
                            length = int.from_bytes(body[:2], "big")
                            unacknowledged.append(body[2 + length : 4 + length])
                            self.most_in_flight = max(self.most_in_flight, len(unacknowledged))
            except (OSError, EOFError):
                return

    def close(self) -> None:
        self._is_closing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._open:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5.0)

    def __enter__(self) -> FakeBroker:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _read_packet(client: socket.socket) -> tuple[int, bytes]:
    first = _read(client, 1)[0]
    length = shift = 0
    while True:
        octet = _read(client, 1)[0]
        length |= (octet & 127) << shift
        shift += 7
        if octet < 128:
            return first, _read(client, length)


def _read(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = client.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
