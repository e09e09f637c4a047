"""When each request is due, and how a failure moves it: arithmetic on times, no I/O.

A task that refuses or garbles is asked again after its own growing pause. A service that let a request time out
rests as a whole, all its leafs together, for at least a minute: the server stays busy with the abandoned request for
up to 50 s, and a hung service hangs on each of its leafs. Requests are spread: the first read puts a task on a grid
of its own, at a golden-ratio fraction of its interval, which keeps any number of tasks apart without planning; after
an outage or a refresh the task returns to that grid within one turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_GOLDEN = 0.6180339887498949
_RETRY_S = 2.0  # first retry after a garbled or failed answer
_RETRY_MAX_S = 300.0
_REFUSED_LEAF_MAX_S = 3600.0  # a leaf that always answers 404 does not exist there
_HANG_PAUSE_S = 60.0  # a service that timed out rests at least this long: the server may be stuck with it for 50 s
_HANG_PAUSE_MAX_S = 900.0
_PROBE_MAX_S = 30.0
_MAX_DOUBLINGS = 10
_ROOT = ""
_ROOT_AGAIN_S = (300.0, 900.0, 3600.0)  # the root of a service that could not be listed; the last one repeats
_LEAF_SPREAD_S = 0.05  # between the first turns of the leafs of one service
_MISSING_AFTER = 3  # 404s of the identity in a row, each with a fresh list of services before it
_SMOOTHING = 0.5  # weight of the newest gap between two reads
_OUTLIER = 3.0  # a gap counts as at most so many usual ones


class Task:
    """One recurring request: the root of a service or, where that cannot be listed, one leaf (`path`)."""

    __slots__ = ("_anchor", "_every_s", "_pace_s", "_read_at", "due", "failures", "path", "service")

    def __init__(self, service: str, path: str, due: float, every_s: float) -> None:
        self.service = service
        self.path = path
        self.due = due
        self.failures = 0
        self._every_s = self._pace_s = every_s
        self._anchor: float | None = None  # the grid of its turns; None before the first read
        self._read_at: float | None = None  # None after a failure: that gap says nothing about the pace

    @property
    def has_succeeded(self) -> bool:
        return self._anchor is not None

    @property
    def every_s(self) -> float:
        """The interval that is wanted."""
        return self._every_s

    @property
    def real_every_s(self) -> float:
        """The interval at which the task is really read, in steps of half the wanted one, which is the least.

        On a slow GX the turns come more slowly than wanted; what counts as stale must follow.
        """
        if not math.isfinite(self._every_s) or self._every_s <= 0.0:
            return self._every_s
        return max(1.0, math.ceil(2.0 * self._pace_s / self._every_s - 0.4) / 2.0) * self._every_s

    def want(self, every_s: float) -> None:
        """Change the interval from the next turn on."""
        if every_s != self._every_s:
            self._every_s = self._pace_s = every_s

    def succeeded(self, now: float, phase: float = 1.0) -> None:
        """Plan the next turn; `phase` (0 to 1) is the share of the interval that the first pause gets."""
        self.failures = 0
        if self._read_at is not None:
            gap_s = min(max(now - self._read_at, self._every_s), _OUTLIER * self._pace_s)
            self._pace_s += _SMOOTHING * (gap_s - self._pace_s) if math.isfinite(gap_s) else 0.0
        self._read_at = now
        if not math.isfinite(self._every_s):
            self._anchor = now
            self.due = math.inf
        elif self._anchor is None:
            self._anchor = self.due = now + self._every_s * phase
        else:  # the next place on the grid: however late this turn was, there is no burst
            turns = math.floor((now - self._anchor) / self._every_s + 1e-6) + 1
            self.due = self._anchor + turns * self._every_s

    def garbled(self, now: float) -> None:
        """Ask again after 2, 4, 8 … s: a bad answer says nothing about the next one."""
        self.interrupted()
        self.failures += 1
        self.due = now + _doubled(_RETRY_S, self.failures, _RETRY_MAX_S)

    def refused(self, now: float) -> None:
        """Ask again at the normal pace, then ever more rarely: the bus says no, and asking is not free."""
        self.interrupted()
        self.failures += 1
        most_s = _REFUSED_LEAF_MAX_S if self.path else _RETRY_MAX_S
        self.due = now + _doubled(self._every_s, self.failures, max(self._every_s, most_s))

    def interrupted(self) -> None:
        """Forget the last read: the gap after it comes from a failure, not from a slow GX."""
        self._read_at = None


class Service:
    """The tasks of one D-Bus service, and what they share: its hangs, and how its leafs are found."""

    def __init__(self, name: str, now: float, every_s: float) -> None:
        self.root = Task(name, _ROOT, now, every_s)
        self.tasks = [self.root]
        self.hangs = 0  # in a row
        self.identity: Task | None = None  # the first leaf, asked alone until it is known; None: the root is listed
        self.is_identified = False
        self._hidden: list[Task] = []  # the other leafs, until the identity is known
        self._unlisted = 0  # how often the root was `[]` in a row
        self._missing = 0  # 404s of the identity
        self._missing_at = -math.inf

    def answered(self) -> None:
        self.hangs = 0

    def hung(self, now: float) -> None:
        """Let the whole service rest for 1, 2, 4 … min."""
        self.hangs += 1
        self._missing = 0
        until = now + _doubled(_HANG_PAUSE_S, self.hangs, _HANG_PAUSE_MAX_S)
        for task in self.tasks:
            task.due = max(task.due, until)
        self.interrupted()

    def interrupted(self) -> None:
        """Leave the present gap out of every task's pace."""
        for task in self.tasks:
            task.interrupted()

    def try_again(self, now: float) -> None:
        """Forget the refusals and ask what was refused, a little apart: they came from an outage."""
        for index, task in enumerate(self.tasks):
            if task.failures and not self.hangs:
                task.failures = 0
                task.due = min(task.due, now + index * _LEAF_SPREAD_S)

    def listed(self) -> None:
        """The root was listed: it holds everything, no leaf needs to be asked."""
        self.tasks = [self.root]
        self.identity = None
        self.is_identified = False
        self._hidden = []
        self._unlisted = self._missing = 0

    def unlisted(self, leafs: Sequence[tuple[str, float]], now: float) -> None:
        """The root was `[]`: ask leaf by leaf, the identity first, and the root again after 5, 15, then 60 min."""
        self.root.interrupted()
        self.root.failures = 0
        self.root.due = now + _ROOT_AGAIN_S[min(self._unlisted, len(_ROOT_AGAIN_S) - 1)]
        self._unlisted += 1
        if self._unlisted > 1 or not leafs:
            return
        self.identity, *self._hidden = (Task(self.root.service, path, now, every_s) for path, every_s in leafs)
        self.tasks = [self.root, self.identity]

    def identified(self, now: float) -> None:
        """It is known whose values these are: start with the other leafs, a little apart so that others get a turn."""
        self.is_identified = True
        for index, task in enumerate(self._hidden):
            task.due = now + index * _LEAF_SPREAD_S
        self.tasks = [*self.tasks, *self._hidden]
        self._hidden = []

    def missed_identity(self, now: float, listed_at: float) -> bool:
        """Note a 404 of the identity; return whether it is certain by now that the device has none.

        A dead bus answers 404 to everything, so one counts only if the services were listed since the one before.
        """
        if self._missing == 0 or listed_at > self._missing_at:
            self._missing += 1
            self._missing_at = now
        return self._missing >= _MISSING_AFTER


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
