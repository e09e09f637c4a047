"""One connection to a broker, from the login to its end. A new connection is a new object and a new paho client.

paho speaks the protocol (login, acknowledgements, subscriptions, pings) through its public external loop: we wait
for the socket, it reads and writes when told to. Three laws keep the two sides apart:

- Nothing is handed to paho before the CONNACK, so nothing overtakes the login, and nothing survives in paho's own
  queue: what is unacknowledged at the end is the caller's to send again.
- QoS 0 packets are encoded outside and written here, many in one write, only while paho has nothing half-written
  (`want_write()` is false); paho is told to write only after our own rest is out. So packets never mix.
- Callbacks only note facts. What they mean is decided outside, where an exception cannot end a network thread.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple, cast

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.properties import MQTTException, Properties  # type: ignore[attr-defined]
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.model import Message
from bridge.sinks.base import Request
from bridge.sinks.broker import BrokerOptions, End, Ending, Limits, goodbye, login_answer
from bridge.sinks.client import connect, make_client
from bridge.sinks.dialing import Wake
from bridge.sinks.properties import Packed

MAX_REQUEST_BYTES = 65_536
_KEEPALIVE_TIMEOUT = 141
# What paho lets out of its parser for a broken packet; 2.1 has no exception of its own for it.
_GARBLED = (ValueError, LookupError, struct.error, MQTTException)
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError)


class Flight(NamedTuple):
    """A QoS 1 message that the broker has not acknowledged yet. `item` is what the sender wants to know it by."""

    item: Any
    sent_at: float  # monotonic


class Ack(NamedTuple):
    """The broker's answer to a QoS 1 message. `reason` is "" when it took the message."""

    item: Any
    reason: str


class Connection:
    """A paho client, its socket, and what it has told."""

    def __init__(self, options: BrokerOptions, version: int, will: Message, last_limits: Limits, wake: Wake) -> None:
        self.version = version
        self.ending: Ending | None = None
        self.limits: Limits | None = None  # None until the broker has accepted the login
        self.connected_at = 0.0
        self.acks: deque[Ack] = deque()
        self.inbox: deque[Request] = deque()  # emptied after each turn, and a turn reads few packets
        self.refused_filters: list[str] = []
        self.last_ack_at: float | None = None
        self._options = options
        self._wake = wake
        self._flights: dict[int, Flight] = {}
        self._filters: dict[int, str] = {}
        self._refused = 0
        self._rest: memoryview[int] | None = None
        self._is_writing = False
        self._opened_at = monotonic()
        self._heard_at = self._opened_at
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake, selectors.EVENT_READ)
        self._client = make_client(options, version, will, last_limits)
        self._set_callbacks()

    # -- opening and closing

    def _set_callbacks(self) -> None:
        client = self._client
        client.on_socket_close = self._on_socket_close
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe

    def open(self) -> None:
        """Connect the socket and send the login. Blocks: see `client.connect`."""
        connect(self._client, self._options, self.version)

    def begin(self) -> None:
        """Start to watch the socket that `open` has opened."""
        sock = self._client.socket()
        if sock is None:
            self._end(End.LOST, "The connection was closed at once.")
            return
        self._opened_at = self._heard_at = monotonic()
        self._selector.register(cast(socket.socket, sock), selectors.EVENT_READ)

    def say_goodbye(self) -> None:
        """Send DISCONNECT, so that the broker drops the will."""
        if self.ending is None:
            self.ending = Ending(End.STOPPED, "")
            self._client.disconnect()
            self._client.loop_write()

    def close(self) -> None:
        """Close the socket, whatever state it is in."""
        self._client.on_socket_close = None
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        self._selector.close()

    # -- the loop

    def turn(self, timeout_s: float) -> None:
        """Wait for the socket or a wake-up, then read, and write what is left over."""
        if self._has_decrypted_bytes():
            timeout_s = 0.0
        self._want_write(self._rest is not None or self._client.want_write())
        is_readable = self._has_decrypted_bytes()
        for key, mask in self._selector.select(timeout_s):
            if key.fileobj is self._wake:
                self._wake.clear()
            elif mask & selectors.EVENT_READ:
                is_readable = True
        if is_readable:
            self._heard_at = monotonic()
            self._call(self._client.loop_read)
        self.flush()

    def flush(self) -> None:
        """Write what waits, our rest first; at most as much as the socket takes now."""
        if self._rest is not None:
            rest, self._rest = self._rest, None
            self._send(rest)
        if self._rest is None and self.ending is None and self._client.want_write():
            self._call(self._client.loop_write)

    def check(self) -> None:
        """Do what is due by time: pings, and ending a connection that is silent. Call it every few seconds."""
        if self.ending is not None:
            return
        now = monotonic()
        patience_s = 2.0 * self._options.keepalive_s
        if self.limits is None:
            if now - self._opened_at > self._options.connect_timeout_s:
                # Some brokers without version 5 just fall silent when they meet it.
                self._end(
                    End.CLOSED_EARLY,
                    f"{self._options.host} takes connections but does not answer: is it an MQTT port?",
                )
            return
        oldest = next(iter(self._flights.values()), None)
        if oldest is not None and now - oldest.sent_at > patience_s:
            self._end(End.LOST, "The broker answers but does not acknowledge messages.")
        elif now - self._heard_at > patience_s:
            self._end(End.LOST, "The broker has been silent for too long.")
        else:
            self._call(self._client.loop_misc)

    def _call(self, loop: Callable[[], int]) -> None:
        try:
            code = loop()
        except OSError as error:
            self._end(End.LOST, f"The connection broke: {error.strerror or error}.")
        except _GARBLED:
            self._end(End.LOST, "The broker sent something that is not MQTT.")
        else:
            if code and self.ending is None:
                self.ending = self._hangup()

    def _end(self, end: End, sentence: str) -> None:
        if self.ending is None:
            self.ending = Ending(end, sentence)

    def _hangup(self) -> Ending:
        if self.limits is None:
            return Ending(End.CLOSED_EARLY, "The broker hangs up when this client logs in.")
        return Ending(End.CLOSED, "The broker closed the connection.")

    def _want_write(self, is_wanted: bool) -> None:
        sock = self._client.socket()
        if sock is None or is_wanted == self._is_writing:
            return
        self._is_writing = is_wanted
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if is_wanted else 0)
        self._selector.modify(cast(socket.socket, sock), mask)

    def _has_decrypted_bytes(self) -> bool:
        # TLS may have read more from the socket than paho has asked for; `select` does not see that.
        sock = self._client.socket()
        return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0

    # -- sending

    @property
    def is_clear(self) -> bool:
        """Return whether a whole packet may be written now."""
        return self.limits is not None and self.ending is None and self._rest is None and not self._client.want_write()

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    def flying(self) -> list[Any]:
        """Return the items of all messages that are not acknowledged, in order."""
        return [flight.item for flight in self._flights.values()]

    def write(self, packets: bytes) -> None:
        """Write whole QoS 0 packets at once. Only when `is_clear` was true and nothing was published since."""
        if self._rest is not None:
            self._rest = memoryview(bytes(self._rest) + packets)
        elif packets:
            self._send(memoryview(packets))

    def _send(self, data: memoryview[int]) -> None:
        sock = self._client.socket()
        if sock is None:
            return
        try:
            sent = sock.send(data)  # type: ignore[arg-type]  # paho's Protocol is narrower than a socket
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self._end(End.LOST, f"The connection broke: {error.strerror or error}.")
            return
        if sent < len(data):
            self._rest = data[sent:]

    def publish(self, item: Any, topic: str, payload: bytes, retain: bool, properties: bytes) -> None:
        """Hand a QoS 1 message to paho. `item` comes back in `acks`. Call `flush` when all are handed over."""
        packed = cast(Properties, Packed(properties)) if properties else None
        info = self._client.publish(topic, payload, 1, retain, packed)
        self._flights[info.mid] = Flight(item, monotonic())

    def subscribe(self, topic_filter: str) -> None:
        """Ask for messages on `topic_filter`, QoS 1; with MQTT 5 each keeps the retain flag that it was sent with."""
        if self.version == 5:
            _, mid = self._client.subscribe(topic_filter, options=SubscribeOptions(1, retainAsPublished=True))
        else:
            _, mid = self._client.subscribe(topic_filter, 1)
        if mid is not None:
            self._filters[mid] = topic_filter

    def take_refused(self) -> int:
        """Return how many incoming messages were too large or had an unreadable topic, since the last call."""
        refused, self._refused = self._refused, 0
        return refused

    # -- what paho tells: facts only

    def _on_socket_close(self, _client: Client, _data: Any, sock: Any) -> None:
        if sock.fileno() in self._selector.get_map():
            self._selector.unregister(sock)

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self.ending = login_answer(reason.value, str(reason), self._options.client_id)
            return
        self.connected_at = monotonic()
        self.limits = Limits.of(properties)

    def _on_disconnect(self, _client: Client, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if self.ending is not None:
            return
        if flags.is_disconnect_packet_from_server:
            self.ending = goodbye(reason.value, str(reason), self._options.client_id)
        elif reason.value == _KEEPALIVE_TIMEOUT:
            self.ending = Ending(End.LOST, "The broker does not answer pings.")
        else:
            self.ending = self._hangup()

    def _on_publish(self, _client: Client, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self.last_ack_at = monotonic()
        flight = self._flights.pop(mid, None)
        if flight is not None:
            self.acks.append(Ack(flight.item, str(reason) if reason.is_failure else ""))

    def _on_subscribe(self, _client: Client, _data: Any, mid: int, reasons: Any, _properties: Any) -> None:
        topic_filter = self._filters.pop(mid, "")
        if any(reason.is_failure for reason in reasons):
            self.refused_filters.append(topic_filter)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if len(message.payload) > MAX_REQUEST_BYTES:
            self._refused += 1
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._refused += 1
            return
        properties = message.properties
        self.inbox.append(
            Request(
                topic,
                bytes(message.payload),
                bool(message.retain),
                getattr(properties, "ResponseTopic", ""),
                getattr(properties, "CorrelationData", b""),
            )
        )
