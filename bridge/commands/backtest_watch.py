"""What one engine's alerts did: when each fired and ended, and how long it could not be told.

Looks at every alert after every step, so nothing that happened is missed; what an alert is between two steps it was
after the first. An alert is watched while the GX answers and its device is on it. Times before the span warm the
rules up and are not counted.

A flap is a firing that begins within `flap_s` of the end of the one before. Of each it is kept how far the value had
recovered in between, and how long it had been clear before the condition was true again: that is what a recovery
condition or `keep_firing_for` would have had to exceed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from math import inf
from typing import Any, NamedTuple

from bridge.core.alerts import AlertState
from bridge.core.engine import Engine
from bridge.core.lifecycle import Phase
from bridge.model import Device, Event


class Flap(NamedTuple):
    """A firing soon after another."""

    clear_s: float  # the longest time that it was clear in between
    recovered: float | None  # the best value in between; None when that cannot be told


class Tally(NamedTuple):
    """What happened to one alert of one device (or of the site)."""

    rule: str
    device: str
    durations_s: tuple[float, ...]  # of its firings, in order
    is_open: bool  # the last one had not ended
    flaps: tuple[Flap, ...]
    existed_s: float
    firing_s: float
    watched_s: float
    unknown_s: float


class _Record:
    """The books of one alert."""

    __slots__ = (
        "alert",
        "clear_at",
        "durations",
        "ended_at",
        "existed",
        "fired_at",
        "firing",
        "flaps",
        "gap",
        "is_watched",
        "recovered",
        "since",
        "unknown",
        "was",
        "watched",
    )

    def __init__(self, alert: AlertState, now: float) -> None:
        self.alert = alert
        self.since = now
        self.was: tuple[Phase, bool | None] = (Phase.INACTIVE, False)
        self.is_watched = True
        self.existed = self.firing = self.watched = self.unknown = 0.0
        self.durations: list[float] = []
        self.flaps: list[Flap] = []
        self.clear_at = self.fired_at = now
        self.ended_at = -inf
        self.gap = 0.0  # the longest time that it was clear since it fired
        self.recovered: float | None = None

    def count(self, until: float, begin: float) -> None:
        """Book the time from the last change to `until`."""
        span_s = max(0.0, until - max(self.since, begin))
        self.since = until
        phase, truth = self.was
        self.existed += span_s
        self.firing += span_s if phase.seen_as == "firing" else 0.0
        if self.is_watched:
            self.watched += span_s
            self.unknown += span_s if truth is None else 0.0

    def move(self, to: Phase, now: float, begin: float, flap_s: float) -> None:
        """Book a phase that began."""
        phase = self.was[0]
        was_firing = phase.seen_as == "firing"
        if to.seen_as != "firing":
            if was_firing:
                self._end(now, phase, begin)
            elif to is Phase.INACTIVE:
                self.clear_at = now
            if phase is Phase.INACTIVE:
                self.gap = max(self.gap, now - self.clear_at)
            return
        if not was_firing:
            self._fire(now, phase, begin, flap_s)
        elif to is Phase.CLEARING and phase is Phase.FIRING:
            self.clear_at, self.recovered = now, None

    def _fire(self, now: float, phase: Phase, begin: float, flap_s: float) -> None:
        if phase is Phase.INACTIVE:
            self.gap = max(self.gap, now - self.clear_at)
        if now - self.ended_at <= flap_s and now >= begin:
            self.flaps.append(Flap(self.gap, self.recovered))
        self.fired_at, self.ended_at = now, -inf

    def _end(self, now: float, phase: Phase, begin: float) -> None:
        if phase is Phase.FIRING:
            self.clear_at, self.recovered = now, None
        self.ended_at, self.gap = now, 0.0
        if self.fired_at >= begin:
            self.durations.append(now - self.fired_at)

    def recover(self) -> None:
        """Look how far the value has recovered."""
        value, best, side = self.alert.value(), self.recovered, self.alert.rule.peak
        if side and isinstance(value, int | float) and (best is None or (value - best) * side < 0):
            self.recovered = value


class Watch:
    """Keeps the books of one engine.

    Args:
        begin: what was before is not counted.
        flap_s: how soon after its end a firing is a flap.
    """

    def __init__(self, engine: Engine, begin: float, flap_s: float) -> None:
        self.events: Counter[tuple[str, str]] = Counter()  # (event, alert), as they were told
        self._engine = engine
        self._begin = begin
        self._flap_s = flap_s
        self._met = 0  # alerts of the engine
        self._places: dict[str, int] = {}  # id -> where it stands in the lists
        self._alerts: list[AlertState] = []
        self._records: list[_Record] = []
        self._truths: list[bool | None] = []
        self._phases: list[Phase] = []
        self._recovering: list[_Record] = []
        self._is_online: bool | None = None
        self._online: Set[Device] = frozenset()
        self._placed = 0  # records that know whether they are watched

    def look(self, now: float, events: Sequence[Event]) -> None:
        """Take what a step brought about."""
        for event in events:
            if now >= self._begin:
                self.events[event.event, event.alert] += 1
        if len(self._engine.alert_states) != self._met:
            self._meet(now)
        truths = [alert.truth for alert in self._alerts]
        phases = [alert.clock.phase for alert in self._alerts]
        if truths != self._truths or phases != self._phases:
            self._truths, self._phases = truths, phases
            self._compare(now)
        if self._recovering:
            self._recover(now)

    def follow(self, engine: Engine) -> None:
        """Go on with an engine that has taken over everything from the one before."""
        self._engine, self._met = engine, 0

    def _meet(self, now: float) -> None:
        for name, alert in self._engine.alert_states.items():
            place = self._places.setdefault(name, len(self._alerts))
            if place < len(self._alerts):
                self._alerts[place] = self._records[place].alert = alert
            else:
                self._alerts.append(alert)
                self._records.append(_Record(alert, now))
        self._met = len(self._engine.alert_states)

    def _compare(self, now: float) -> None:
        for record, phase, truth in zip(self._records, self._phases, self._truths):
            if record.was == (phase, truth):
                continue
            record.count(now, self._begin)
            if phase is not record.was[0]:
                record.move(phase, now, self._begin, self._flap_s)
                if record not in self._recovering and phase in (Phase.INACTIVE, Phase.CLEARING):
                    self._recovering.append(record)
            record.was = phase, truth

    def _recover(self, now: float) -> None:
        """Look at the values of alerts that are clear, until they are true again or flapping is over."""
        still = []
        for record in self._recovering:
            phase = record.was[0]
            is_clear = phase in (Phase.CLEARING, Phase.HOLDING)
            if is_clear or (phase is Phase.INACTIVE and now - record.ended_at <= self._flap_s):
                record.recover()
                still.append(record)
            elif phase is not Phase.FIRING and now - record.ended_at <= self._flap_s:
                still.append(record)  # true again, and perhaps not for long
        self._recovering = still

    def presence(self, now: float, is_online: bool | None, online: Set[Device]) -> None:
        """Take which devices are on the GX, and whether it answers."""
        if is_online is self._is_online and len(self._records) == self._placed and online == self._online:
            return
        self._is_online, self._online, self._placed = is_online, frozenset(online), len(self._records)
        for record in self._records:
            device = record.alert.device
            is_watched = is_online is not False and (device is None or device in online)
            if is_watched is not record.is_watched:
                record.count(now, self._begin)
                record.is_watched = is_watched

    def tallies(self, now: float) -> list[Tally]:
        """Close the books and return them, one per alert."""
        return [self._tally(record, now) for record in self._records]

    def _tally(self, record: _Record, now: float) -> Tally:
        record.count(now, self._begin)
        is_open = record.was[0].seen_as == "firing" and record.fired_at >= self._begin
        durations = [*record.durations, *([now - record.fired_at] if is_open else [])]
        return Tally(
            rule=record.alert.rule.name,
            device=record.alert.device.path if record.alert.device else "",
            durations_s=tuple(durations),
            is_open=is_open,
            flaps=tuple(record.flaps),
            existed_s=record.existed,
            firing_s=record.firing,
            watched_s=record.watched,
            unknown_s=record.unknown,
        )


def median(values: Sequence[float]) -> float:
    """Return the middle of some values, at least one. (The library's own is not on a GX.)"""
    ordered: list[Any] = sorted(values)
    middle = len(ordered) // 2
    return float(ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2)
