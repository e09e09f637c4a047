"""What goes wrong between us and a broker: what is learned from it, and how it is told.

The same sentence is logged once, until something else happens or a connection has lasted. Health shows the newest
one; troubles that come back right after a login that worked stay there until a connection has lasted.
"""

from __future__ import annotations

import logging
import random
import time

from bridge.model import Message
from bridge.sinks.broker import NO_QOS1, NO_RETAIN, BrokerOptions, End, Ending, Limits
from bridge.sinks.feeding import Refusal
from bridge.sinks.reconnect import Backoff, Version
from bridge.sinks.suspects import Suspects

_log = logging.getLogger(__name__)
_MAX_LOGGED_TOPICS = 1_000
_FORGET_AFTER_S = 120.0
_CLINGING = (End.TAKEN_OVER, End.CLOSED)
_PROBABLY_TAKEN_OVER = (
    "The broker hangs up again and again: probably another client uses the id {id} and throws this one out; "
    "give each bridge a broker.client_id of its own."
)


class Trouble:
    """The memory of bad endings. `limits` is what the broker was found to refuse in a login."""

    def __init__(self, options: BrokerOptions) -> None:
        self.suspects = Suspects()
        self.limits = Limits()
        self.last_error = ""
        self.takeovers = 0
        self._client_id = options.client_id
        self._backoff = Backoff(options.retry_min_s, options.retry_max_s, random.random)
        self._version = Version(options.protocol)
        self._last_end = End.STOPPED
        self._logged = ""
        self._logged_topics: set[str] = set()

    def version(self) -> int:
        """Return the version of MQTT to speak next: 5 or 4 (3.1.1)."""
        return self._version.number(time.monotonic())

    def connected(self) -> None:
        """Note a login that worked."""
        self._version.connected()
        if self._last_end not in _CLINGING:
            self.last_error = ""

    def lasted(self, age_s: float) -> None:
        """Note that the connection is `age_s` old and fine; after a while the same trouble is news again."""
        if age_s >= _FORGET_AFTER_S:
            self.last_error = self._logged = ""
            self._last_end = End.STOPPED

    def blame(self, ending: Ending, lasted_s: float, in_flight: list[object]) -> None:
        """Find out whether a message made the broker hang up; such a message is parked and told."""
        key = self.suspects.ended(ending.end, lasted_s, in_flight, time.monotonic())
        if key is not None:
            topic = key.topic if isinstance(key, Message) else key
            _log.error("The broker hangs up whenever a message on %s is sent; it is not sent any more.", topic)

    def pause_s(self, ending: Ending, lasted_s: float) -> float:
        """Learn from an ending, tell it, and return how long to wait before the next attempt."""
        if ending.end is End.CLOSED and self.suspects.is_taken_over:
            ending = Ending(End.TAKEN_OVER, _PROBABLY_TAKEN_OVER.format(id=self._client_id))
        if ending.code == NO_RETAIN:
            self.limits = self.limits._replace(retain=False)
        elif ending.code == NO_QOS1:
            self.limits = self.limits._replace(qos=0)
        self.takeovers += ending.end is End.TAKEN_OVER
        self._version.ended(ending.end, time.monotonic())
        self._last_end = ending.end
        self.last_error = ending.sentence
        if ending.sentence != self._logged:
            self._logged = ending.sentence
            _log.warning("%s", ending.sentence)
        return self._backoff.pause_s(ending.end, lasted_s)

    def note_refusal(self, refusal: Refusal) -> None:
        """Tell, once per topic, that a message was not delivered."""
        if refusal.topic in self._logged_topics or len(self._logged_topics) >= _MAX_LOGGED_TOPICS:
            return
        self._logged_topics.add(refusal.topic)
        _log.warning("A message on %s was not delivered: %s.", refusal.topic, refusal.reason)
