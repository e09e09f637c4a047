"""Events on their way: in order, bounded, and kept until the broker has acknowledged each of them.

    waiting --next()--> in flight --acknowledged()--> gone
                        in flight --refused()-------> waiting, behind the others, or gone after the third time
                        in flight --connection_lost()-> waiting, in the old order, before all others

Delivery is at least once: an acknowledgement that got lost sends the event again. Not thread-safe: `Queue` locks.
"""

from __future__ import annotations

import json
from collections import deque

from bridge.model import Message

MAX_REFUSALS = 3
REPLAYED_AFTER_S = 60.0
_RETRY_S = 1.0


def is_event(message: Message) -> bool:
    """Return whether `message` is an alert event (kept until acknowledged), not just an answer to a request.

    An answer begins with its status; what it repeats of the request may hold any word.
    """
    payload = message.payload
    return not message.retain and message.qos > 0 and '"replayed"' in payload and not payload.startswith('{"status":')


class Pending:
    """One event on its way. `connects` is how often the sink had connected when the event was made."""

    __slots__ = ("message", "connects", "refusals", "not_before")

    def __init__(self, message: Message, connects: int) -> None:
        self.message = message
        self.connects = connects
        self.refusals = 0
        self.not_before = 0.0

    def payload(self, now: float, connects: int) -> str:
        """Return the payload to send now: marked as replayed when it is late or survived a lost connection."""
        is_late = now - self.message.at > REPLAYED_AFTER_S or connects > max(self.connects, 1)
        return mark_replayed(self.message.payload) if is_late else self.message.payload


def mark_replayed(payload: str) -> str:
    """Return the JSON document `payload` with its key `replayed` set to true; other texts come back as they are."""
    try:
        document = json.loads(payload)
    except ValueError:
        return payload
    if not isinstance(document, dict) or document.get("replayed") is not False:
        return payload
    document["replayed"] = True
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


class Outbox:
    """Events in order. `dropped` counts those that had to go because `limit` newer ones came."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self._limit = limit
        self._waiting: deque[Pending] = deque()
        self._flying: dict[Pending, None] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._flying)

    def add(self, message: Message, connects: int) -> None:
        """Append an event; the oldest one that waits makes room when there is none."""
        if len(self) >= self._limit and self._waiting:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(Pending(message, connects))

    def next(self, now: float) -> Pending | None:
        """Return the next event to send and count it as in flight, or None."""
        for index, pending in enumerate(self._waiting):
            if pending.not_before <= now:
                del self._waiting[index]
                self._flying[pending] = None
                return pending
        return None

    def next_due(self) -> float | None:
        """Return the earliest time at which `next` has an event, None when there is none."""
        return min((pending.not_before for pending in self._waiting), default=None)

    def acknowledged(self, pending: Pending) -> None:
        """Forget an event that the broker has, or that nobody will ever take."""
        self._flying.pop(pending, None)

    def refused(self, pending: Pending, now: float) -> bool:
        """Note that the broker said no; return whether that was once too often and the event is gone."""
        self._flying.pop(pending, None)
        pending.refusals += 1
        if pending.refusals >= MAX_REFUSALS:
            return True
        pending.not_before = now + _RETRY_S * pending.refusals
        self._waiting.append(pending)
        return False

    def connection_lost(self) -> None:
        """Put everything in flight back, in its order, before what waits."""
        self._waiting.extendleft(reversed(self._flying))
        self._flying.clear()

    def messages(self) -> list[Message]:
        """Return every event that is not acknowledged, in order."""
        return [pending.message for pending in (*self._flying, *self._waiting)]
