"""Finding the message that makes a broker hang up.

Some brokers answer a message they dislike (too large, a topic without permission, retain not allowed) by closing
the connection, without a word. Sent again after the reconnect it does the same, for ever. So after some connections
in a row that the broker closed early, messages go one at a time, each acknowledged before the next. What is in
flight when the broker hangs up is a suspect; the second time it is parked and everything else gets through.
A broker that hangs up after it has taken everything has another reason: most likely a second client with our id.

| state   | event                                   | next                                         |
|---------|-----------------------------------------|----------------------------------------------|
| normal  | closed early, `_EARLY_IN_A_ROW` times   | careful                                      |
| careful | closed with one message in flight       | careful; its second time: that one is parked |
| careful | everything is sent                      | normal until the connection ends             |
| any     | a connection lasted                     | normal                                       |
"""

from __future__ import annotations

from collections import Counter

from bridge.sinks.broker import End
from bridge.sinks.reconnect import STABLE_S

_EARLY_IN_A_ROW = 2
_GUILTY_AFTER = 2
_IDLE_CLOSES_FOR_TAKEOVER = 3
_MAX_PARKED = 1_000


class Suspects:
    """Decides how carefully to send, and which topics not to send on at all.

    `parked` holds keys: the topic of a state message, the whole message of an event.
    """

    def __init__(self) -> None:
        self.is_careful = False
        self.parked: set[object] = set()
        self._early = 0
        self._is_proven = False
        self._idle_closes = 0
        self._seen: Counter[object] = Counter()

    @property
    def is_taken_over(self) -> bool:
        """Return whether the broker hung up again and again, early, after it had taken everything."""
        return self._idle_closes >= _IDLE_CLOSES_FOR_TAKEOVER

    def ended(self, end: End, lasted_s: float, in_flight: list[object]) -> object | None:
        """Learn from the end of a connection; return the key of a message that is parked because of it."""
        is_proven, self._is_proven = self._is_proven, False
        if lasted_s >= STABLE_S:
            self._early = self._idle_closes = 0
            self.is_careful = False
            self._seen.clear()
        if end is not End.CLOSED or lasted_s >= STABLE_S:
            return None
        self._early += 1
        if is_proven and not in_flight:
            self._idle_closes += 1
        was_careful, self.is_careful = self.is_careful, self._early >= _EARLY_IN_A_ROW
        return self._accuse(in_flight[0]) if was_careful and len(in_flight) == 1 else None

    def _accuse(self, key: object) -> object | None:
        self._seen[key] += 1
        if self._seen[key] < _GUILTY_AFTER:
            return None
        if len(self.parked) >= _MAX_PARKED:
            self.parked.clear()
        self.parked.add(key)
        self._seen.clear()
        return key

    def everything_sent(self) -> None:
        """Note that the broker has taken all that waited: whatever it disliked is parked or over."""
        self.is_careful = False
        self._is_proven = True
        self._seen.clear()
