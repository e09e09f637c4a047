"""Tests of the phases of an alert: every row of the table, and every pair that cannot be."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.lifecycle import TABLE, Clock, Move, Phase, Run, Signal

FOR_S, KEEP_S = 30.0, 60.0
_WAYS = {
    Phase.INACTIVE: [],
    Phase.PENDING: [Signal.ON],
    Phase.WAITING: [Signal.ON, Signal.UNKNOWN],
    Phase.FIRING: [Signal.ON, Signal.DUE],
    Phase.CLEARING: [Signal.ON, Signal.DUE, Signal.OFF],
    Phase.HOLDING: [Signal.ON, Signal.DUE, Signal.OFF, Signal.UNKNOWN],
}


def clock_in(phase: Phase) -> Clock:
    """Return a clock that was led into a phase, at time 10."""
    clock = Clock(FOR_S, KEEP_S)
    for signal in _WAYS[phase]:
        clock.tell(signal, 10.0)
    assert clock.phase is phase
    return clock


@pytest.mark.parametrize(("at", "signal"), list(TABLE), ids=str)
def test_every_row_is_followed(at: Phase, signal: Signal) -> None:
    """Phase and clock after a signal are those that the table says."""
    move = TABLE[at, signal]
    clock = clock_in(at)
    before = clock.due
    assert clock.tell(signal, 15.0) is (move is not None)
    if move is None:
        assert (clock.phase, clock.due) == (at, before)
        return
    limit_s = FOR_S if move.to is Phase.PENDING else KEEP_S
    dues = {Run.START: 15.0 + limit_s, Run.GO_ON: 15.0 + limit_s, Run.PAUSE: inf, Run.DROP: inf}
    assert (clock.phase, clock.due) == (move.to, dues[move.run])


@pytest.mark.parametrize(
    ("at", "signal"), [(at, signal) for at in Phase for signal in Signal if (at, signal) not in TABLE], ids=str
)
def test_what_cannot_be_is_refused(at: Phase, signal: Signal) -> None:
    """A clock that does not run cannot be over."""
    with pytest.raises(ValueError, match=f"no clock runs while {at.word}"):
        clock_in(at).tell(signal, 15.0)


def test_the_table_is_the_contract() -> None:
    """DUE occurs exactly where a clock runs, and unknown neither starts nor ends an alert."""
    assert {at for at, signal in TABLE if signal is Signal.DUE} == {Phase.PENDING, Phase.CLEARING}
    for (at, signal), move in TABLE.items():
        if signal is Signal.UNKNOWN and move is not None:
            assert move.to.seen_as == at.seen_as
            assert move.run is Run.PAUSE
    assert TABLE[Phase.PENDING, Signal.DUE] == Move(Phase.FIRING, Run.DROP)


def test_a_stopped_clock_goes_on_where_it_was() -> None:
    """The time that is unknown counts neither for nor against."""
    clock = Clock(30.0, 0.0)
    clock.tell(Signal.ON, 0.0)
    clock.tell(Signal.UNKNOWN, 10.0)
    assert clock.due == inf
    clock.tell(Signal.ON, 1000.0)
    assert clock.due == 1020.0


def test_a_pending_alert_that_was_false_begins_anew() -> None:
    """`for` means without a break."""
    clock = Clock(30.0, 0.0)
    clock.tell(Signal.ON, 0.0)
    clock.tell(Signal.OFF, 20.0)
    clock.tell(Signal.ON, 25.0)
    assert clock.due == 55.0


def test_no_duration_is_over_at_once() -> None:
    """Without `for` and `keep_firing_for` an alert fires and ends in the moment that it is told."""
    clock = Clock(0.0, 0.0)
    clock.tell(Signal.ON, 5.0)
    assert clock.phase is Phase.FIRING
    clock.tell(Signal.OFF, 6.0)
    assert clock.phase is Phase.INACTIVE


def test_a_restarted_clock_runs_its_whole_time_again() -> None:
    """After a gap of which nothing is known, `for` begins anew, running or stopped."""
    running, stopped = clock_in(Phase.PENDING), clock_in(Phase.WAITING)
    running.restart(100.0)
    stopped.restart(100.0)
    assert running.due == 130.0
    stopped.tell(Signal.ON, 110.0)
    assert stopped.due == 140.0


_SIGNALS = st.lists(st.tuples(st.floats(0, 50), st.sampled_from([Signal.ON, Signal.OFF, Signal.UNKNOWN])), max_size=30)


def _lead(clock: Clock, now: float, steps: list[tuple[float, Signal]]) -> float:
    for wait_s, signal in steps:
        now += wait_s
        while clock.due <= now:
            clock.tell(Signal.DUE, clock.due)
        clock.tell(signal, now)
    return now


@given(_SIGNALS, _SIGNALS)
def test_a_dumped_clock_goes_on_as_the_first(
    before: list[tuple[float, Signal]], after: list[tuple[float, Signal]]
) -> None:
    """Dump and load between any two signals change nothing."""
    first = Clock(30.0, 20.0)
    now = _lead(first, 0.0, before)
    second = Clock(30.0, 20.0)
    second.load(first.dump(), 0.0)
    _lead(first, now, after)
    _lead(second, now, after)
    assert (first.phase, first.due) == (second.phase, second.due)


@given(_SIGNALS, st.floats(0.1, 100), st.floats(0.1, 100))
def test_a_clock_runs_exactly_while_something_can_become_due(
    steps: list[tuple[float, Signal]], for_s: float, keep_s: float
) -> None:
    """There is a time at which to ring in pending and clearing, and in no other phase."""
    clock = Clock(for_s, keep_s)
    now = 0.0
    for wait_s, signal in steps:
        now = _lead(clock, now, [(wait_s, signal)])
        assert (clock.due < inf) is (clock.phase in (Phase.PENDING, Phase.CLEARING))
        assert clock.due > now
