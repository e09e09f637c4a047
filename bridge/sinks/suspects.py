"""Finding the message that makes a broker hang up.

Some brokers answer a message they dislike (too large, a topic without permission, retain not allowed) by closing
the connection, without a word. Sent again after the reconnect it does the same, for ever. So after some connections
in a row that the broker closed early, messages go one at a time, each acknowledged before the next. What is in
flight when the broker hangs up is a suspect; the second time it is parked and everything else gets through.

A broker that hangs up again and again with nothing in flight has another reason: most likely a second client uses
our id, and the two throw each other out. MQTT 5 has a reason code for it, which mosquitto 2.0 does not send.

| state   | event                                   | next                                         |
|---------|-----------------------------------------|----------------------------------------------|
| normal  | closed early, `_EARLY_IN_A_ROW` times   | careful                                      |
| careful | closed with one message in flight       | careful; its second time: that one is parked |
| careful | everything is sent                      | normal, until the connection ends early      |
| any     | a connection lasted                     | normal                                       |
"""

from __future__ import annotations

from collections import Counter, deque

from bridge.sinks.broker import End
from bridge.sinks.reconnect import STABLE_S

_EARLY_IN_A_ROW = 2
_GUILTY_AFTER = 2
_IDLE_CLOSES = 4
_IDLE_CLOSES_WITHIN_S = 180.0
_TAKEOVER_OVER_S = 300.0
_MAX_PARKED = 1_000


class Suspects:
    """Decides how carefully to send, and which topics not to send on at all.

    `parked` holds keys: the topic of a state message, the whole message of an event.
    """

    def __init__(self) -> None:
        self.is_careful = False
        self.is_taken_over = False
        self.parked: set[object] = set()
        self._early = 0
        self._seen: Counter[object] = Counter()
        self._idle_closes: deque[float] = deque(maxlen=_IDLE_CLOSES)

    def ended(self, end: End, lasted_s: float, in_flight: list[object], now: float) -> object | None:
        """Learn from the end of a connection; return the key of a message that is parked because of it.

        Args:
            lasted_s: seconds since the login, 0 when there was none.
            in_flight: keys of the messages that were not acknowledged.
            now: any clock, in seconds.
        """
        if lasted_s >= _TAKEOVER_OVER_S:
            self.is_taken_over = False
        is_early = lasted_s < STABLE_S
        if not is_early:
            self._early = 0
            self.is_careful = False
            self._seen.clear()
        if end is not End.CLOSED:
            return None
        self._note_idle_close(in_flight, now)
        if not is_early:
            return None
        self._early += 1
        was_careful, self.is_careful = self.is_careful, self._early >= _EARLY_IN_A_ROW
        return self._accuse(in_flight[0]) if was_careful and len(in_flight) == 1 else None

    def _note_idle_close(self, in_flight: list[object], now: float) -> None:
        if in_flight:
            self._idle_closes.clear()  # there is another explanation
            return
        self._idle_closes.append(now)
        if len(self._idle_closes) == _IDLE_CLOSES and now - self._idle_closes[0] <= _IDLE_CLOSES_WITHIN_S:
            self.is_taken_over = True
            self.parked.clear()  # whoever was accused before may only have been there

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
        self._seen.clear()
