"""The phases of an alert against the table as people read it, and against a naive account of its clock."""

from __future__ import annotations

import re
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import lifecycle
from bridge.core.lifecycle import TABLE, Clock, Move, Phase, Run, Signal

_PHASES = {phase.word: phase for phase in Phase}
_COLUMNS = (Signal.ON, Signal.OFF, Signal.UNKNOWN, Signal.DUE)


def _documented() -> dict[tuple[Phase, Signal], Move | None]:
    """Return the table that the module's text shows."""
    found: dict[tuple[Phase, Signal], Move | None] = {}
    for line in (lifecycle.__doc__ or "").splitlines():
        word, *cells = re.split(r"\s{2,}", line.strip())
        if word not in _PHASES or not cells:
            continue
        for signal, cell in zip(_COLUMNS, cells):
            to, _, run = cell.partition(", ")
            found[_PHASES[word], signal] = None if cell == "-" else Move(_PHASES[to], Run(run))
    return found


def test_the_table_is_the_one_in_the_text() -> None:
    """Every row of the code is a row of the text, and there is no other."""
    assert _documented() == TABLE
    assert len(TABLE) == len(Phase) * len(Signal) - 4


@pytest.mark.parametrize("phase", list(Phase), ids=str)
def test_every_phase_has_an_answer_to_every_truth(phase: Phase) -> None:
    """Only a clock that does not run has no row: true, false and UNKNOWN can come at any time."""
    assert {signal for signal in Signal if (phase, signal) not in TABLE} <= {Signal.DUE}


class Account:
    """An alert as one would keep it on paper: seconds that count, one by one."""

    def __init__(self, for_s: float, keep_s: float) -> None:
        self.for_s, self.keep_s = for_s, keep_s
        self.is_firing = False
        self.counted_s: float | None = None  # towards firing, or towards the end
        self.is_paused = False

    def pass_on(self, seconds: float) -> None:
        if self.counted_s is not None and not self.is_paused:
            self.counted_s += seconds
            self._look()

    def hear(self, signal: Signal) -> None:
        if signal is Signal.UNKNOWN:
            self.is_paused = True
            return
        self.is_paused = False
        if (signal is Signal.ON) is self.is_firing:
            self.counted_s = None
        elif self.counted_s is None:
            self.counted_s = 0.0
        self._look()

    def _look(self) -> None:
        if self.counted_s is not None and self.counted_s >= (self.keep_s if self.is_firing else self.for_s):
            self.is_firing, self.counted_s = not self.is_firing, None


_EIGHTHS = st.integers(0, 400).map(lambda eighths: eighths / 8)
_SIGNALS = st.lists(
    st.tuples(_EIGHTHS, st.sampled_from([Signal.ON, Signal.OFF, Signal.UNKNOWN])), min_size=15, max_size=40
)


@given(_SIGNALS, st.sampled_from([0.0, 5.0, 30.0, 60.0]), st.sampled_from([0.0, 5.0, 30.0, 60.0]))
def test_a_clock_is_what_counting_gives(steps: list[tuple[float, Signal]], for_s: float, keep_s: float) -> None:
    """Fires when so many true seconds were counted, ends when so many clear ones were; unknown ones count for nothing."""
    clock, account, now = Clock(for_s, keep_s), Account(for_s, keep_s), 0.0
    for wait_s, signal in steps:
        now += wait_s
        while clock.due <= now:
            clock.tell(Signal.DUE, clock.due)
        clock.tell(signal, now)
        account.pass_on(wait_s)
        account.hear(signal)
        assert clock.is_firing is account.is_firing
        left_s = inf
        if account.counted_s is not None and not account.is_paused:
            left_s = (keep_s if account.is_firing else for_s) - account.counted_s
        assert clock.due == now + left_s
