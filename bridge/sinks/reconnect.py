"""When to try again, and with which version of MQTT. Pure: time and chance are arguments.

| connection ended by          | pause before the next attempt                                   |
|------------------------------|-----------------------------------------------------------------|
| anything else                | chance between `min_s` and a limit that doubles up to `max_s`   |
| a refused login              | at least 30 s: nothing changes until somebody changes something |
| another client with our id   | longer each time, up to 60 s, so that both get some work done   |
| a refused protocol version   | none the first time: the next attempt speaks the other version  |

Herds: all bridges lose a restarted broker at the same moment; full jitter spreads their return.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.sinks.broker import End

MQTT_311 = 4
MQTT_5 = 5
STABLE_S = 10.0  # a connection that lasted this long was a good one
_LOGIN_PAUSE_S = 30.0
_TAKEOVER_MIN_S = 5.0
_TAKEOVER_MAX_S = 60.0
_TAKEOVER_OVER_S = 120.0
_EARLY_CLOSES = 2  # brokers that do not know version 5 may just hang up
_REFUSAL_MEMORY_S = 86_400.0
_HANGUP_MEMORY_S = 3_600.0


class Backoff:
    """Counts failures and turns them into pauses. `chance` returns a number from 0 to 1."""

    def __init__(self, min_s: float, max_s: float, chance: Callable[[], float]) -> None:
        self._min_s = min_s
        self._max_s = max_s
        self._chance = chance
        self._failures = 0
        self._takeovers = 0
        self._last = End.STOPPED

    def pause_s(self, end: End, lasted_s: float) -> float:
        """Return how long to wait after a connection that lasted `lasted_s` (0: none came about)."""
        if lasted_s >= STABLE_S:
            self._failures = 0
        if lasted_s >= _TAKEOVER_OVER_S:
            self._takeovers = 0
        last, self._last = self._last, end
        if end is End.VERSION and last is not End.VERSION:
            return 0.0
        if end is End.TAKEN_OVER:
            self._takeovers += 1
            limit_s = min(_TAKEOVER_MAX_S, _TAKEOVER_MIN_S * 2.0 ** min(self._takeovers, 16))
            return max(self._min_s, limit_s * (0.5 + self._chance() / 2))
        self._failures += 1
        limit_s = min(self._max_s, self._min_s * 2.0 ** min(self._failures, 16))
        pause_s = self._min_s + self._chance() * (limit_s - self._min_s)
        if end is End.LOGIN:
            return pause_s + _LOGIN_PAUSE_S
        return pause_s


class Version:
    """Which version of MQTT to speak: 5 first, 3.1.1 for brokers that cannot, and 5 again after a while.

    A broker that says no is believed for a day. One that just hangs up may as well be a proxy whose broker is
    down, so that is believed for an hour, and not at all once version 5 has worked.
    """

    def __init__(self, wanted: str) -> None:
        self._is_auto = wanted == "auto"
        self._number = MQTT_311 if wanted == "3.1.1" else MQTT_5
        self._early_closes = 0
        self._try_again_at = 0.0
        self._has_5_worked = False

    def number(self, now: float) -> int:
        """Return 5 or 4 (3.1.1) for the next attempt."""
        if self._is_auto and self._number == MQTT_311 and now >= self._try_again_at:
            self._switch(MQTT_5, now)
        return self._number

    def ended(self, end: End, now: float) -> None:
        """Learn from how an attempt ended."""
        if not self._is_auto:
            return
        if end is End.VERSION:
            self._switch(MQTT_311 if self._number == MQTT_5 else MQTT_5, now + _REFUSAL_MEMORY_S)
        elif end is End.CLOSED_EARLY and not self._has_5_worked:
            self._early_closes += 1
            if self._early_closes >= _EARLY_CLOSES:
                self._switch(MQTT_311 if self._number == MQTT_5 else MQTT_5, now + _HANGUP_MEMORY_S)

    def connected(self) -> None:
        """Note that the broker speaks the version of the last attempt."""
        self._early_closes = 0
        self._has_5_worked = self._has_5_worked or self._number == MQTT_5

    def _switch(self, number: int, try_again_at: float) -> None:
        self._number = number
        self._early_closes = 0
        self._try_again_at = try_again_at
