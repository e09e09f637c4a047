"""The phases of an alert.

Six phases, three of which a person sees as one. What an alert is told is a signal:

    ON       inactive, pending: the expression is true.     firing: it is not clear yet
    OFF      inactive, pending: the expression is false.    firing: the recovery condition is true
    UNKNOWN  what it takes to tell is unknown and `on_unknown` is hold
    DUE      the running clock is over: `for` while pending, `keep_firing_for` while clearing

                  ON                 OFF                UNKNOWN             DUE
    inactive      pending, start     -                  -
    pending       -                  inactive, drop     waiting, pause      firing, drop
    waiting       pending, go on     inactive, drop     -
    firing        -                  clearing, start    -
    clearing      firing, drop       -                  holding, pause      inactive, drop
    holding       firing, drop       clearing, go on    -

`waiting` is pending and `holding` clearing with the clock stopped: UNKNOWN neither starts nor ends an alert, and the
time it lasts counts neither for nor against. A clock of no duration is due at once. DUE where no clock runs is
impossible; the table has no entry, and `Clock` refuses it.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import NamedTuple


class Phase(Enum):
    """Where an alert is in its life. The value is the phase that people see."""

    INACTIVE = ("inactive", "inactive")
    PENDING = ("pending", "pending")
    WAITING = ("waiting", "pending")
    FIRING = ("firing", "firing")
    CLEARING = ("clearing", "firing")
    HOLDING = ("holding", "firing")

    def __init__(self, word: str, seen_as: str) -> None:
        self.word = word
        self.seen_as = seen_as


class Signal(Enum):
    """What an alert is told."""

    ON = ("on", 0)
    OFF = ("off", 1)
    UNKNOWN = ("unknown", 2)
    DUE = ("due", 3)

    def __init__(self, word: str, column: int) -> None:
        self.word = word
        self.column = column


class Run(Enum):
    """What a transition does to the clock."""

    START = "start"
    GO_ON = "go on"
    PAUSE = "pause"
    DROP = "drop"


class Move(NamedTuple):
    """One entry of the table."""

    to: Phase
    run: Run


TABLE: dict[tuple[Phase, Signal], Move | None] = {
    (Phase.INACTIVE, Signal.ON): Move(Phase.PENDING, Run.START),
    (Phase.INACTIVE, Signal.OFF): None,
    (Phase.INACTIVE, Signal.UNKNOWN): None,
    (Phase.PENDING, Signal.ON): None,
    (Phase.PENDING, Signal.OFF): Move(Phase.INACTIVE, Run.DROP),
    (Phase.PENDING, Signal.UNKNOWN): Move(Phase.WAITING, Run.PAUSE),
    (Phase.PENDING, Signal.DUE): Move(Phase.FIRING, Run.DROP),
    (Phase.WAITING, Signal.ON): Move(Phase.PENDING, Run.GO_ON),
    (Phase.WAITING, Signal.OFF): Move(Phase.INACTIVE, Run.DROP),
    (Phase.WAITING, Signal.UNKNOWN): None,
    (Phase.FIRING, Signal.ON): None,
    (Phase.FIRING, Signal.OFF): Move(Phase.CLEARING, Run.START),
    (Phase.FIRING, Signal.UNKNOWN): None,
    (Phase.CLEARING, Signal.ON): Move(Phase.FIRING, Run.DROP),
    (Phase.CLEARING, Signal.OFF): None,
    (Phase.CLEARING, Signal.UNKNOWN): Move(Phase.HOLDING, Run.PAUSE),
    (Phase.CLEARING, Signal.DUE): Move(Phase.INACTIVE, Run.DROP),
    (Phase.HOLDING, Signal.ON): Move(Phase.FIRING, Run.DROP),
    (Phase.HOLDING, Signal.OFF): Move(Phase.CLEARING, Run.GO_ON),
    (Phase.HOLDING, Signal.UNKNOWN): None,
}
"""All that can happen. None: nothing changes. A pair that is missing cannot be."""

_IMPOSSIBLE = Move(Phase.INACTIVE, Run.DROP)
# The same, the way it is quickest to look up: by phase, then by the signal's column.
_ROWS: dict[str, tuple[Move | None, ...]] = {
    phase.word: tuple(TABLE.get((phase, signal), _IMPOSSIBLE) for signal in Signal) for phase in Phase
}


class Clock:
    """Phase and clock of one alert. The clock knows how long it ran and when it will be over.

    Args:
        for_s: how long the expression must be true before the alert fires.
        keep_s: how long it must be clear before the alert is over.
    """

    __slots__ = ("_moves", "_ran_s", "_since", "due", "for_s", "is_firing", "is_idle", "keep_s", "phase")

    def __init__(self, for_s: float, keep_s: float) -> None:
        self.for_s = for_s
        self.keep_s = keep_s
        self.due = inf  # steady time
        self._ran_s = 0.0
        self._since = 0.0
        self._enter(Phase.INACTIVE)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._moves = _ROWS[phase.word]
        self.is_idle = phase is Phase.INACTIVE
        self.is_firing = phase.seen_as == "firing"

    def tell(self, signal: Signal, now: float) -> bool:
        """Apply a signal; return whether the phase changed. A clock that is over at once is followed up.

        Raises:
            ValueError: the signal cannot occur in this phase.
        """
        move = self._moves[signal.column]
        if move is None:
            return False
        if move is _IMPOSSIBLE:
            raise ValueError(f"no clock runs while {self.phase.word}")
        self._enter(move.to)
        _RUNS[move.run](self, now)
        if self.due <= now:
            self.tell(Signal.DUE, now)
        return True

    def ran_s(self, now: float) -> float:
        """Return how long the running or stopped clock has run."""
        return self._ran_s + (now - self._since if self.due < inf else 0.0)

    def restart(self, now: float) -> None:
        """Begin a running or stopped clock anew: too little is known of the time that has passed."""
        self._ran_s = 0.0
        if self.due < inf:
            self._go_on(now)

    def _start(self, now: float) -> None:
        self._ran_s = 0.0
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        limit_s = self.for_s if self.phase is Phase.PENDING else self.keep_s
        self._since = now
        self.due = now + limit_s - self._ran_s

    def _pause(self, now: float) -> None:
        self._ran_s += now - self._since
        self.due = inf

    def _drop(self, now: float) -> None:
        self._ran_s = 0.0
        self.due = inf

    def dump(self) -> list[str | float | None]:
        """Return the state as JSON can hold it."""
        return [self.phase.word, self._ran_s, self._since, None if self.due == inf else self.due]

    def load(self, state: list[str | float | None], shift_s: float) -> None:
        """Take over a dumped state, its times moved by `shift_s`."""
        word, ran_s, since, due = state
        self._enter(next(phase for phase in Phase if phase.word == word))
        self._ran_s = float(ran_s or 0.0)
        self._since = float(since or 0.0) + shift_s
        self.due = inf if due is None else float(due) + shift_s


_RUNS = {Run.START: Clock._start, Run.GO_ON: Clock._go_on, Run.PAUSE: Clock._pause, Run.DROP: Clock._drop}
