"""What waits for the broker: the latest message of each state topic, events in order, answers that go once.

State is a picture, not a history: a newer message of a topic replaces an older one that was not sent yet, so the
queue never grows with time. The whole picture is kept and sent again on every new connection, because a broker may
come back without its retained messages. All methods may be called from any thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from threading import Lock

from bridge.model import Message
from bridge.sinks.outbox import Outbox, Pending, is_event

_MAX_ANSWERS = 1_000


class Queue:
    """The picture of all state, what of it is not sent yet, the outbox of events, and answers.

    Telemetry (QoS 0) and acknowledged state (QoS 1: status, alerts, discovery, and every deletion) wait apart,
    because the second kind needs a place in the in-flight window.
    """

    def __init__(self, max_topics: int, max_events: int) -> None:
        self.connects = 0
        self.refused_topics = 0
        self.dropped_answers = 0
        self.expired = 0
        self._lock = Lock()
        self._max_topics = max_topics
        self._state: dict[str, Message] = {}
        self._telemetry: dict[str, Message] = {}
        self._certain: dict[str, Message] = {}
        self._answers: deque[Message] = deque()
        self._outbox = Outbox(max_events)

    def put(self, messages: Iterable[Message]) -> None:
        """Take messages of one turn, in order."""
        with self._lock:
            state, telemetry, certain = self._state, self._telemetry, self._certain
            for message in messages:
                if not message.retain:
                    self._put_once(message)
                    continue
                topic = message.topic
                if topic not in state and len(state) >= self._max_topics:
                    self.refused_topics += 1
                    continue
                state[topic] = message
                if message.qos or not message.payload:  # _is_certain(), inlined on the hot path
                    certain[topic] = message
                    telemetry.pop(topic, None)
                else:
                    telemetry[topic] = message
                    if certain:
                        certain.pop(topic, None)

    def _put_once(self, message: Message) -> None:
        if is_event(message):
            self._outbox.add(message, self.connects)
            return
        if len(self._answers) >= _MAX_ANSWERS:
            self._answers.popleft()
            self.dropped_answers += 1
        self._answers.append(message)

    def connected(self, now: float) -> None:
        """Make the whole picture wait again, without what is too old to be told. `now` is the steady clock."""
        with self._lock:
            self.connects += 1
            old = [topic for topic, message in self._state.items() if _is_expired(message, now)]
            for topic in old:
                del self._state[topic]
            self.expired += len(old)
            self._certain = {topic: message for topic, message in self._state.items() if _is_certain(message)}
            self._telemetry = {topic: message for topic, message in self._state.items() if not _is_certain(message)}

    def disconnected(self) -> None:
        """Put events back that were in flight."""
        with self._lock:
            self._outbox.connection_lost()

    def take_telemetry(self, limit: int) -> Sequence[Message]:
        """Remove and return up to `limit` QoS 0 messages, the longest waiting first."""
        with self._lock:
            waiting = self._telemetry
            if len(waiting) <= limit:
                self._telemetry = {}
                return list(waiting.values())
            taken = list(islice(waiting.values(), limit))
            for message in taken:
                del waiting[message.topic]
            return taken

    def take_certain(self) -> Message | None:
        """Remove and return the next state message that wants an acknowledgement."""
        with self._lock:
            topic = next(iter(self._certain), None)
            return None if topic is None else self._certain.pop(topic)

    def take_answer(self) -> Message | None:
        """Remove and return the next answer."""
        with self._lock:
            return self._answers.popleft() if self._answers else None

    def take_event(self, now: float) -> Pending | None:
        """Return the next event to send; it stays here, in flight, until `acknowledged` or `refused`."""
        with self._lock:
            return self._outbox.next(now)

    def next_event_due(self) -> float | None:
        """Return the earliest time at which an event can be taken, None when none waits."""
        with self._lock:
            return self._outbox.next_due()

    def acknowledged(self, pending: Pending) -> None:
        """Forget an event that needs no more sending."""
        with self._lock:
            self._outbox.acknowledged(pending)

    def refused(self, pending: Pending, now: float) -> bool:
        """Note that the broker refused an event; return whether it is given up now."""
        with self._lock:
            return self._outbox.refused(pending, now)

    def forget(self, message: Message) -> None:
        """Take `message` out of the picture unless its topic has a newer one: it was a deletion, or it is too old."""
        with self._lock:
            if self._state.get(message.topic) is message:
                del self._state[message.topic]

    def events(self) -> list[Message]:
        """Return the events that are not acknowledged, in order."""
        with self._lock:
            return self._outbox.messages()

    def is_empty(self) -> bool:
        """Return whether nothing waits to be sent and no event is in flight."""
        return not (self._telemetry or self._certain or self._answers or len(self._outbox))

    @property
    def has_unsent_state(self) -> bool:
        return bool(self._telemetry or self._certain or self._answers)

    def sizes(self) -> dict[str, int]:
        """Return the counts for health."""
        return {
            "topics": len(self._state),
            "queued_state": len(self._telemetry) + len(self._certain),
            "queued_events": len(self._outbox),
            "dropped": self._outbox.dropped + self.refused_topics + self.dropped_answers,
        }


def _is_expired(message: Message, now: float) -> bool:
    expiry_s = message.meta.expiry_s
    return bool(expiry_s) and now - message.at >= expiry_s


def _is_certain(message: Message) -> bool:
    return bool(message.qos) or not message.payload
