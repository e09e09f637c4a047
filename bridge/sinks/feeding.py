"""From the queue to one connection: what goes first, how much at once, and what an answer means.

Order: births (who we are, retained), events (alerts first), answers, acknowledged state, telemetry. Acknowledged
messages share a window, because brokers name a limit (Receive Maximum) and paho gets slow with long lists.
Telemetry takes no window: one encoded batch, one write.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from bridge.model import Message
from bridge.sinks.connection import Ack, Connection
from bridge.sinks.outbox import Pending
from bridge.sinks.packets import EXPIRED, Encoder, payload_bytes
from bridge.sinks.queue import Queue
from bridge.sinks.suspects import Suspects

_BATCH = 256  # messages per write: some 40 kB, a fraction of a socket's buffer


class Refusal(NamedTuple):
    """A message that was not delivered, for the log."""

    topic: str
    reason: str
    is_final: bool


class Feeder:
    """Feeds one connection after the other from one queue.

    Args:
        clock: the steady clock, in Unix seconds.
        settled: called with each event that needs no more sending.
        refused: called with each message that was not delivered.
    """

    def __init__(
        self,
        queue: Queue,
        encoder: Encoder,
        suspects: Suspects,
        clock: Callable[[], float],
        settled: Callable[[Message], None],
        refused: Callable[[Refusal], None],
    ) -> None:
        self.rejected = 0
        self._sent = 0
        self._births: deque[Message] = deque()
        self._queue = queue
        self._encoder = encoder
        self._suspects = suspects
        self._clock = clock
        self._settled = settled
        self._refused = refused
        self._window = 1
        self._has_acks = True

    @property
    def published(self) -> int:
        return self._sent + self._encoder.encoded

    @property
    def dropped(self) -> Counter[str]:
        return self._encoder.dropped

    def connected(self, connection: Connection, window: int, births: Iterable[Message]) -> None:
        """Adapt to what the broker grants, and make births and all state wait again."""
        limits = connection.limits
        if limits is None:
            return
        encoder = self._encoder
        encoder.has_properties = connection.version == 5
        encoder.largest_packet = limits.largest_packet
        encoder.retain = limits.retain
        self._has_acks = limits.qos > 0
        self._window = min(window, limits.window)
        self._births = deque(births)
        self._queue.connected(self._clock())

    def feed(self, connection: Connection) -> bool:
        """Send what may be sent now; return whether there is more that the connection would take at once."""
        if not connection.is_clear:
            return False
        self._feed_births(connection)
        self._feed_events(connection)
        connection.flush()  # somebody waits for these; what follows may take as long as they took
        self._feed_answers(connection)
        self._feed_certain(connection)
        connection.flush()
        if self._suspects.is_careful:
            self._feed_carefully(connection)
            return False
        return self._feed_telemetry(connection)

    def _has_room(self, connection: Connection) -> bool:
        window = 1 if self._suspects.is_careful else self._window
        return connection.in_flight < window and connection.ending is None

    def _feed_births(self, connection: Connection) -> None:
        while self._births and self._has_room(connection):
            self._send_state(connection, self._births.popleft())

    def _feed_events(self, connection: Connection) -> None:
        while self._has_room(connection):
            now = self._clock()
            pending = self._queue.take_event(now)
            if pending is None:
                return
            if pending.message in self._suspects.parked:
                self._give_up(pending, "the broker hangs up when it is sent")
                continue
            payload = pending.payload(now, self._queue.connects)
            if not self._send(connection, pending, pending.message, payload):
                self._give_up(pending, "")

    def _feed_answers(self, connection: Connection) -> None:
        while self._has_room(connection):
            message = self._queue.take_answer()
            if message is None:
                return
            self._send(connection, message, message, message.payload)

    def _feed_certain(self, connection: Connection) -> None:
        while self._has_room(connection):
            message = self._queue.take_certain()
            if message is None:
                return
            self._send_state(connection, message)

    def _feed_carefully(self, connection: Connection) -> None:
        while self._has_room(connection):
            batch = self._queue.take_telemetry(1)
            if not batch:
                break
            self._send_state(connection, batch[0])
        connection.flush()
        if not connection.in_flight and self._queue.is_empty():
            self._suspects.everything_sent()

    def _send_state(self, connection: Connection, message: Message) -> None:
        if message.topic in self._suspects.parked:
            return
        if self._encoder.expiry_left_s(message, self._clock()) < 0:
            self._encoder.dropped[EXPIRED] += 1
            self._queue.forget(message)
            return
        self._send(connection, message, message, message.payload)

    def _feed_telemetry(self, connection: Connection) -> bool:
        if not connection.is_clear:
            return False
        batch = self._queue.take_telemetry(_BATCH)
        if not batch:
            return False
        parked = self._suspects.parked
        if parked:
            batch = [message for message in batch if message.topic not in parked]
        packets = self._encoder.encode(batch, self._clock())
        connection.write(packets)
        self._hear_complaints()
        return len(batch) == _BATCH and connection.is_clear

    def _send(self, connection: Connection, item: object, message: Message, text: str) -> bool:
        """Send one message for which an acknowledgement is wanted; return whether it went out."""
        encoder = self._encoder
        payload = payload_bytes(text)
        properties = encoder.properties(message, self._clock())
        if not encoder.check(message, payload, properties):
            self._hear_complaints()
            return False
        if self._has_acks:
            self._sent += 1
            connection.publish(item, message.topic, payload, message.retain and encoder.retain, properties)
        else:
            connection.write(encoder.encode((message._replace(payload=text),), self._clock()))
            self.answered(Ack(item, ""))
        return True

    def answered(self, ack: Ack) -> None:
        """Act on the broker's answer to a message."""
        item = ack.item
        if isinstance(item, Pending):
            self._event_answered(item, ack.reason)
            return
        if ack.reason:
            self.rejected += 1
            self._refused(Refusal(item.topic, ack.reason, is_final=True))
        if item.retain and not item.payload:
            self._queue.forget(item)

    def _event_answered(self, pending: Pending, reason: str) -> None:
        if not reason:
            self._queue.acknowledged(pending)
            self._settled(pending.message)
            return
        self.rejected += 1
        is_final = self._queue.refused(pending, self._clock())
        self._refused(Refusal(pending.message.topic, reason, is_final))
        if is_final:
            self._settled(pending.message)

    def _give_up(self, pending: Pending, reason: str) -> None:
        self._queue.acknowledged(pending)
        if reason:
            self._refused(Refusal(pending.message.topic, reason, is_final=True))
        self._settled(pending.message)

    def _hear_complaints(self) -> None:
        for message, reason in self._encoder.complaints:
            if reason == EXPIRED:
                self._queue.forget(message)
            else:
                self._refused(Refusal(message.topic, reason, is_final=True))
        self._encoder.complaints.clear()

    def say(self, connection: Connection, message: Message) -> None:
        """Send `message` now, past the queue: the goodbye."""
        self._send(connection, message, message, message.payload)
        connection.flush()

    def wait_s(self, limit_s: float) -> float:
        """Return how long the loop may sleep when nothing happens: until a refused event is due again."""
        due = self._queue.next_event_due()
        if due is None:
            return limit_s
        left_s = due - self._clock()
        return min(max(left_s, 0.0), limit_s) if left_s > 0 else limit_s


def key_of(item: object) -> object:
    """Return what `Suspects` knows a message in flight by: events are singular, state is known by its topic."""
    if isinstance(item, Pending):
        return item.message
    return item.topic if isinstance(item, Message) and item.retain else item
