"""Functions over time that look at single values and their steps: extremes, counters, changes."""

from __future__ import annotations

from collections import deque
from math import fsum, inf
from typing import Any

from bridge.core.formula import Window
from bridge.core.ring import MARGIN, Ring


class Extreme(Ring):
    """min_over_time, max_over_time: a queue of the values that could still become the extreme."""

    plain: tuple[str, ...] = ("_queue",)

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._sign = -1.0 if window.function == "min_over_time" else 1.0
        self._queue: deque[tuple[int, float]] = deque()  # (bucket, value), from the extreme on

    def _push(self, value: float) -> None:
        queue, sign = self._queue, self._sign
        while queue and sign * queue[-1][1] <= sign * value:
            queue.pop()
        queue.append((self._bucket, value))

    def _add(self, seconds: float) -> None:
        self._push(self._value)

    def _take(self, value: Any) -> None:
        if value is not None:
            self._push(value)

    def _close(self, place: int) -> None:
        oldest = self._bucket + 1 - self._count
        while self._queue and self._queue[0][0] < oldest:
            self._queue.popleft()

    def _move(self, buckets: int) -> None:
        super()._move(buckets)
        self._queue = deque((bucket + buckets, kept) for bucket, kept in self._queue)

    def _result(self, value: Any) -> float | None:
        return self._queue[0][1] if self._queue else None

    def patience_s(self, result: float, low: float, high: float) -> float:
        """Without another value a highest can only fall, a lowest only rise."""
        is_safe = high == inf if self._sign < 0 else low == -inf
        is_known = self._value is not None and self._full_s >= self.span_s * MARGIN
        return inf if is_safe and is_known else 0.0


class Counted(Ring):
    """increase, rate, changes: something that is counted when a value comes in.

    What a counter gained while nobody looked is not counted: it would seem to have come all at once.
    """

    rings: tuple[str, ...] = ("_gained",)
    plain: tuple[str, ...] = ("_full", "_part")
    _gained: list[float]

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._full = 0.0
        self._part = 0.0
        self._is_rate = window.function == "rate"

    def step(self, now: float, value: Any, local: float) -> Any:
        """As in Ring; while all in the window is known, what passes is written out here."""
        if not self._is_whole or value is None:
            return super().step(now, value, local)
        if now >= self._end:
            self._catch_up(now)
        self._at = now
        if value != self._value:
            self._part += self._gain(value, self._value)
            self._value = value
        total = self._full + self._part
        return total / (self._beyond_s + now - self._end) if self._is_rate else total

    def _catch_up(self, now: float) -> None:
        """Let nothing happen through the buckets up to `now`."""
        newest = int(now // self.every_s)
        passed = newest - self._bucket
        if passed <= 0:
            return
        gained, place, count = self._gained, self._place, self._count
        stop = place + passed
        if stop < count:
            lost = sum(gained[place:stop])
            if lost:
                gained[place:stop] = [0.0] * passed
            gained[place] = self._part
            self._full += self._part - lost
        else:
            for turn in range(min(passed, count + 1)):
                gained[(place + turn) % count] = 0.0 if turn else self._part
            self._full = fsum(gained)
        self._part = 0.0
        self._place = stop % count
        self._bucket = newest
        self._end = (newest + 1) * self.every_s

    def patience_s(self, result: float, low: float, high: float) -> float:
        """Without another value the total can only fall; a rate also moves with the length of the window."""
        is_below = low == -inf and (not self._is_rate or (self._full + self._part) / self.span_s < high * MARGIN)
        return inf if self._is_whole and (is_below or self._full + self._part == 0) else 0.0

    def _take(self, value: Any) -> None:
        last = self._value
        if value is not None and last is not None and value != last:
            self._part += self._gain(value, last)

    def _gain(self, value: Any, last: Any) -> float:
        # A counter that falls was reset and has counted from 0 since.
        return float(value - last if value >= last else max(0.0, value))

    def _close(self, place: int) -> None:
        self._full += self._part - self._gained[place]
        self._gained[place] = self._part
        self._part = 0.0

    def _sum_up(self) -> None:
        self._full = fsum(self._gained)

    def _result(self, value: Any) -> float | None:
        total = self._full + self._part
        return total / (self._full_s + self._part_s) if self._is_rate else total


class Changes(Counted):
    """changes: how often the value became another."""

    def _gain(self, value: Any, last: Any) -> float:
        return 1.0


class Delta(Ring):
    """delta: the value now, less the first one in the window."""

    plain: tuple[str, ...] = ("_firsts",)

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._firsts: deque[tuple[int, float]] = deque()  # (bucket, first known value in it)

    def _note(self, value: float) -> None:
        if not self._firsts or self._firsts[-1][0] != self._bucket:
            self._firsts.append((self._bucket, value))

    def _add(self, seconds: float) -> None:
        self._note(self._value)

    def _take(self, value: Any) -> None:
        if value is not None:
            self._note(value)

    def _close(self, place: int) -> None:
        oldest = self._bucket + 1 - self._count
        while self._firsts and self._firsts[0][0] < oldest:
            self._firsts.popleft()

    def _move(self, buckets: int) -> None:
        super()._move(buckets)
        self._firsts = deque((bucket + buckets, kept) for bucket, kept in self._firsts)

    def _result(self, value: Any) -> float | None:
        return None if value is None or not self._firsts else value - self._firsts[0][1]
