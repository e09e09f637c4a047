"""When each request is due, and how a failure moves it: arithmetic on times, no I/O.

A task that refuses or garbles is asked again after its own growing pause. One that let a request time out rests at
least a minute, since the server stays busy with the abandoned request for up to 50 s. Requests are spread: after
the first read at start-up a task's next turn falls at a golden-ratio fraction of its interval, which keeps any
number of tasks apart without planning.
"""

from __future__ import annotations

_GOLDEN = 0.6180339887498949
_RETRY_S = 2.0  # first retry after a garbled or failed answer
_RETRY_MAX_S = 300.0
_HANG_PAUSE_S = 60.0  # a service that timed out rests at least this long: the server may be stuck with it for 50 s
_HANG_PAUSE_MAX_S = 900.0
_PROBE_MAX_S = 30.0
_MAX_DOUBLINGS = 10


class Task:
    """One recurring request: the root of a service or, where that cannot be listed, one leaf (`path`)."""

    __slots__ = ("due", "every_s", "failures", "has_succeeded", "hangs", "path", "service")

    def __init__(self, service: str, path: str, due: float, every_s: float) -> None:
        self.service = service
        self.path = path
        self.due = due
        self.every_s = every_s
        self.failures = 0
        self.hangs = 0
        self.has_succeeded = False

    def succeeded(self, now: float, phase: float = 1.0) -> None:
        """Plan the next turn; `phase` (0 to 1) is the share of the interval that the first pause gets."""
        self.failures = self.hangs = 0
        if not self.has_succeeded:
            self.has_succeeded = True
            self.due = now + self.every_s * phase
        elif now - self.due < self.every_s:
            self.due += self.every_s
        else:  # late by a whole turn: go on from here instead of catching up in a burst
            self.due = now + self.every_s

    def garbled(self, now: float) -> None:
        """Ask again after 2, 4, 8 … s: a bad answer says nothing about the next one."""
        self.failures += 1
        self.due = now + _doubled(_RETRY_S, self.failures, _RETRY_MAX_S)

    def refused(self, now: float) -> None:
        """Ask again at the normal pace, then ever more rarely: the bus says no, and asking is not free."""
        self.failures += 1
        self.due = now + _doubled(self.every_s, self.failures, max(self.every_s, _RETRY_MAX_S))

    def hung(self, now: float) -> None:
        """Rest for 1, 2, 4 … min."""
        self.hangs += 1
        self.due = now + _doubled(_HANG_PAUSE_S, self.hangs, _HANG_PAUSE_MAX_S)


class Phases:
    """Draws 0.618, 0.236, 0.854 …: fractions that stay well apart however many are drawn."""

    def __init__(self) -> None:
        self._count = 0

    def draw(self) -> float:
        self._count += 1
        return self._count * _GOLDEN % 1.0


def probe_pause(failures: int) -> float:
    """Return the seconds to wait before the next attempt to reach a GX that `failures` attempts did not reach."""
    return _doubled(1.0, failures, _PROBE_MAX_S)


def _doubled(base_s: float, count: int, limit_s: float) -> float:
    return min(base_s * 2.0 ** min(count - 1, _MAX_DOUBLINGS), limit_s)
