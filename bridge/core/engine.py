"""The core's only door for rules: samples in, events out.

A step goes through time: first every clock that was due before now, each at its own moment, then what came in, then
the clocks due now. So it does not matter how often one steps: an event has the time at which it happened. Within
one moment derived points are computed in the order of their levels, then the alerts whose inputs changed, then it
is said what is to be said, in the order of the rules.

Deterministic: equal inputs give equal events, with or without a dump and load between any two steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any

from bridge.core.agenda import Ticker
from bridge.core.alerts import AlertState
from bridge.core.announce import Silence
from bridge.core.binding import Binding
from bridge.core.compile import HOSTILE, LOCAL, WALL
from bridge.core.groups import Group
from bridge.core.maintenance import Maintenance
from bridge.core.memory import dump_engine, dump_history, is_state, last_seq, load_engine
from bridge.core.rules import Program
from bridge.core.semantics import finite
from bridge.errors import RuleError
from bridge.model import Alert, Event, Read, Sample

MAX_CATCH_UP_S = 3600.0  # of a longer pause only the last hour is computed clock by clock


class Engine(Binding):
    """All rules of one site. One thread; no clock of its own.

    Args:
        site: its name, which silences may match.
        program: what `compile_packs` returned; shared by any number of engines.
        maintenance: times of the week at which alerts are not told of.
    """

    def __init__(self, site: str, program: Program, maintenance: Sequence[Maintenance] = ()) -> None:
        super().__init__(site, program, maintenance)
        self.site = site
        self._horizon = -inf
        self.clocks: tuple[float, float, Mapping[str, float]] = (0.0, 0.0, {})
        self._has_maintenance = bool(maintenance)
        self._is_wall_moved = False
        self._records: dict[str, Sample] = {}
        self.counters = {"evaluations": 0, "events": 0}
        if maintenance:
            self._agenda.push(-inf, None)

    # -- the walk of a step ---------------------------------------------------------------------------------------

    def step(self, now: float, samples: Iterable[Sample], reads: Iterable[Read] = ()) -> list[Event]:
        """Go on to `now` and return what happened on the way.

        Args:
            now: steady time; earlier than the last step counts as the same moment.
            samples: values that changed, the latest last.
            reads: groups that were read, changed or not.
        """
        if now < self._now:
            now = self._now
        agenda = self._agenda
        self._horizon = now - MAX_CATCH_UP_S
        while agenda.first() < now and self._now > -inf:
            self._advance(max(agenda.first(), self._now))
        self._now = self.store.values[0] = now
        if self._is_wall_moved:
            self._is_wall_moved = False
            self._agenda.push(now, None)  # a window may have begun or ended by that
        if reads:
            self.store.read(reads)
        self.store.take(samples)
        self._advance(now)
        return self._told()

    def _told(self) -> list[Event]:
        events, self.announcer.events = self.announcer.events, []
        self.counters["events"] += len(events)
        return events

    def _advance(self, now: float) -> None:
        """Do everything that is due at `now`."""
        self._now = self.store.values[0] = now
        rung: list[AlertState] = []
        has_silences_due = self._ring(now, rung) if self._agenda.first() <= now else False
        if has_silences_due:
            self._open_windows()
        moved = self._evaluate(now, rung)
        for alert in rung:
            if alert.ring(now):
                moved.append(alert)
        if moved:
            self.announcer.settle(moved, now)
        for alert in sorted(rung, key=lambda one: one.order):
            self.announcer.ring(alert, now)
        if has_silences_due:
            self.announcer.apply_silences(now)
        if moved or rung or has_silences_due:
            self._follow_up((*moved, *rung, *self.announcer.take_announced()))

    def _ring(self, now: float, rung: list[AlertState]) -> bool:
        """Do what is due; alerts that are due are added to `rung`. Tell whether a silence is due."""
        has_silences_due = False
        for what in self._agenda.due(now):
            if isinstance(what, AlertState):
                what.rung_at = inf
                rung.append(what)
            elif isinstance(what, Ticker):
                self.store.dirty.update(what.alerts)
                self.store.dirty_derived.update([one for one in what.derived if one.wake_at <= now])
                self._agenda.next_tick(what, max(now, self._horizon))
            elif isinstance(what, Group):
                self.store.ring(what, now)
            else:
                has_silences_due = True
        return has_silences_due

    def _evaluate(self, now: float, rung: list[AlertState]) -> list[AlertState]:
        """Compute what is dirty; return the alerts whose phase changed. `rung` gets those whose clocks go on."""
        store = self.store
        while store.dirty_derived:
            self._compute(now)
        moved = []
        dirty = store.dirty
        self.counters["evaluations"] += len(dirty)
        for alert in dirty:
            test = alert.test  # two lines: Python is quicker to call what it has in hand
            try:
                truth = test()
            except HOSTILE:
                truth = None
            if truth is alert.truth and alert.is_idle:
                continue
            was_known = alert.unknown_at == inf
            if alert.follow(truth, now):
                moved.append(alert)
            if not was_known and alert.unknown_at == inf and alert not in rung:
                rung.append(alert)
        dirty.clear()
        return moved

    def _compute(self, now: float) -> None:
        """Compute the dirty derived points of the lowest level."""
        store = self.store
        batch = store.take_derived()
        self.counters["evaluations"] += len(batch)
        values, raw, low, high = store.values, store.raw, store.low, store.high
        local = values[WALL] + values[LOCAL]
        for one in batch:
            source, slot, step = one.source, one.slot, one.step
            try:
                value = finite(step(now, values[source] if source else finite(one.read()), local))
            except HOSTILE:
                value = None
            if one.point is None and value is not None and low[slot] < value < high[slot]:
                raw[slot] = values[slot] = value
                one.rest(value, now, low[slot], high[slot])
                continue
            one.wake_at = -inf
            if raw[slot] != value:
                store.put(slot, value, value is None and any(store.is_stale[source] for source in one.sources))
                if one.point is not None:
                    self._records[one.key] = one.sample(value, now)

    def _follow_up(self, alerts: Iterable[AlertState]) -> None:
        """Have alerts rung when they are next due, and see every value as long as they are not idle."""
        for alert in alerts:
            if alert.is_loud is alert.is_idle:
                alert.is_loud = not alert.is_idle
                self.store.mind(alert.slots, alert.is_loud)
                for slot in alert.slots:
                    if slot in self._windows:
                        self._windows[slot].wake_at = -inf
            due = alert.due()
            if due < alert.rung_at:
                alert.rung_at = due
                self._agenda.push(due, alert)

    # -- what the caller asks -------------------------------------------------------------------------------------

    def next_clock(self) -> float:
        """Return the steady time at which `step` has something to do without samples; inf when never."""
        return self._now if self._is_wall_moved else self._agenda.next_due()

    def take_records(self) -> list[Sample]:
        """Return the points of `record` rules that changed since the last call."""
        records, self._records = self._records, {}
        return [records[key] for key in sorted(records)]

    def take_alerts(self) -> list[Alert]:
        """Return the alerts whose state changed since the last call."""
        changed, self.announcer.changed = self.announcer.changed, {}
        return [self.announcer.state(alert) for alert in sorted(changed.values(), key=lambda one: one.order)]

    def alerts(self) -> list[Alert]:
        """Return every alert that is pending or firing."""
        states = sorted(self.alert_states.values(), key=lambda one: one.order)
        return [self.announcer.state(alert) for alert in states if not alert.is_idle]

    def set_wall_offset(self, seconds: float, utc_offset_s: float = 0.0, zones: Mapping[str, float] = {}) -> None:
        """Say how far the wall clock is ahead of the steady one, and time zones ahead of UTC.

        Args:
            utc_offset_s: of the site's time zone.
            zones: of the other zones that maintenance windows name.
        """
        clocks = (seconds, utc_offset_s, zones)
        if clocks == self.clocks:
            return
        self.clocks = clocks
        self.store.values[WALL] = seconds
        self.store.values[LOCAL] = utc_offset_s
        self.announcer.zones = zones
        self._is_wall_moved = self._has_maintenance  # looked at with the next step, not as of the last one

    # -- what people ask ------------------------------------------------------------------------------------------

    def acknowledge(self, alert_id: str, now: float, comment: str = "") -> list[Event]:
        """Acknowledge a firing alert: no reminders and no escalation until it is over.

        Raises:
            RuleError: no such alert fires.
        """
        self.announcer.acknowledge(self._firing(alert_id), max(now, self._now), comment)
        return self._told()

    def unacknowledge(self, alert_id: str, now: float) -> list[Event]:
        """Take an acknowledgement back.

        Raises:
            RuleError: no such alert fires.
        """
        alert = self._firing(alert_id)
        self.announcer.unacknowledge(alert, max(now, self._now))
        self._follow_up([alert])
        return self._told()

    def silence(
        self, matcher: Mapping[str, Any], until: float, now: float, comment: str = ""
    ) -> tuple[Silence, list[Event]]:
        """Withhold the events of alerts that match, until a steady time; return the silence and what it made told.

        Raises:
            RuleError: the matcher names what no alert has, or the silence would be over already.
        """
        if until <= max(now, self._now):
            raise RuleError("a silence ends later than now")
        silence = self.announcer.silence(matcher, until, comment)
        self._agenda.push(silence.until, None)
        self._apply_silences(now)
        return silence, self._told()

    def unsilence(self, silence_id: int, now: float) -> list[Event]:
        """End a silence.

        Raises:
            RuleError: there is no such silence.
        """
        if self.announcer.silences.pop(silence_id, None) is None:
            raise RuleError(f"there is no silence {silence_id}")
        self._apply_silences(now)
        return self._told()

    def _apply_silences(self, now: float) -> None:
        if self._now > -inf:
            self._open_windows()  # before the first step after a restart nobody has looked
        self.announcer.apply_silences(max(now, self._now))
        self._follow_up(self.announcer.take_announced())

    def silences(self) -> list[dict[str, Any]]:
        """Return the silences that hold: id, matcher, until (steady time), comment."""
        return [silence._asdict() for silence in self.announcer.silences.values()]

    def _firing(self, alert_id: str) -> AlertState:
        alert = self.alert_states.get(alert_id)
        if alert is None or not alert.is_firing:
            firing = ", ".join(sorted(one.id for one in self.alert_states.values() if one.is_firing)) or "none"
            raise RuleError(f'no alert "{alert_id}" is firing; firing now: {firing}')
        return alert

    # -- memory ---------------------------------------------------------------------------------------------------

    def dump(self, has_history: bool = True) -> dict[str, Any]:
        """Return what `load` needs to go on, as JSON can hold it; `history` may be kept apart from it."""
        state = dump_engine(self.store, self.announcer, self.alert_states, self.derived_states, self._now)
        return {**state, "history": self.history()} if has_history else state

    def history(self) -> dict[str, Any]:
        """Return what functions over time remember, as JSON can hold it."""
        return dump_history(self.derived_states, self._now)

    def load(self, state: Mapping[str, Any], now: float, shift_s: float = 0.0) -> None:
        """Go on from a dumped state. To be called once, before the first step.

        What the rules no longer know is dropped. After a gap of more than three poll intervals, or when the clock
        went backwards, the clocks of `for` and `keep_firing_for` begin anew. Of a state that another version of the
        program has written only the number of the last event is taken: receivers pass over numbers that they had.
        """
        if not is_state(state):
            self.announcer.seq = last_seq(state)
            return
        self._agenda.restart()
        load_engine(state, now, self.store, self.announcer, self.alert_states, self.derived_states, shift_s)
        self._now = now
        self.store.values[0] = now
        self._agenda.go_on(now)
        self._agenda.push(now, None)  # what is new is evaluated now, not when the next clock happens to be due
        for silence in self.announcer.silences.values():
            self._agenda.push(silence.until, None)
        self._open_windows()
        self._follow_up(self.alert_states.values())
        for one in self.derived_states.values():  # whoever publishes may not know them any more
            sample = one.sample(self.store.raw[one.slot], now)
            if sample is not None and sample.value is not None:
                self._records[one.key] = sample

    def _open_windows(self) -> None:
        if self._has_maintenance:
            self._agenda.push(self.announcer.open_windows(self._now), None)
