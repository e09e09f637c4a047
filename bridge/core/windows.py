"""Functions over time, computed as the values come in.

A value holds until the next one; UNKNOWN is time without data. Time is cut into buckets that lie on whole multiples
of their width. A window is the bucket that is being filled and the full ones before it that together last as long
as was asked for: so it is never shorter, and longer by less than one bucket (a hundredth for long windows). A result
is UNKNOWN until data covers COVERAGE of the window.

Memory does not grow with the length of a window nor with the number of samples; a sample costs the same always, and
so does the passing of a bucket. Sums that are added to and taken from are summed anew once per round, so that
rounding errors cannot pile up.
"""

from __future__ import annotations

from collections import deque
from math import fsum, sqrt
from typing import Any, Protocol

from bridge.core.formula import Window

COVERAGE = 0.8  # rules.md section 2
BUCKETS = 120  # of a long window; the contract allows 360, this is a third of the memory and exact to 1 %
POLL_S = 10.0  # the shortest poll interval: narrower buckets would be empty
FEWEST = 12  # buckets of a short window
CLOCK_S = 10.0  # how often to look at what grows with the time that passes


class Series(Protocol):
    """The memory of one function over time."""

    every_s: float  # how often its result changes by the passing of time alone

    def step(self, now: float, value: Any, local: float) -> Any:
        """Take the value that holds from `now` on and return the result.

        Args:
            now: steady time; never goes back.
            value: a number, a truth or a text; None is UNKNOWN.
            local: what to add for the wall clock of the site's time zone.
        """

    def pause(self) -> None:
        """What holds is not known any more from the last step on."""

    def dump(self) -> list[Any]:
        """Return the memory as JSON can hold it."""

    def load(self, state: list[Any], shift_s: float) -> None:
        """Take over a dumped memory, its times moved by `shift_s`."""


class Ring:
    """Full buckets in a ring, the one that is being filled beside it, and the value that holds.

    Subclasses say what a stretch of the held value adds to the newest bucket (`_add`), how it goes into the ring in
    the place of the oldest (`_close`), what a new value does (`_take`) and what comes out (`_result`).
    """

    rings: tuple[str, ...] = ()  # names of further lists, one number per full bucket
    plain: tuple[str, ...] = ()  # names of further state that JSON can hold

    def __init__(self, window: Window) -> None:
        self.span_s = window.span_s
        self._needed_s = window.span_s * COVERAGE
        width_s = max(self.span_s / BUCKETS, min(POLL_S, self.span_s / FEWEST))
        self._count = max(1, round(self.span_s / width_s))
        self.every_s = self.span_s / self._count
        self._constants = window.constants
        self._known = [0.0] * self._count  # seconds
        for name in self.rings:
            setattr(self, name, [0.0] * self._count)
        self._full_s = 0.0  # known seconds of the full buckets
        self._part_s = 0.0  # and of the newest
        self._at = 0.0
        self._bucket = 0  # number of the newest bucket since time began
        self._end = -1.0  # when it is full; before 0: nothing came in yet
        self._place = 0  # of the oldest in the ring, which the newest will take
        self._is_whole = False  # everything in the window is known: then `_part_s` is not kept
        self._was_clean = False  # a round of buckets has ended, without a hole
        self._last = self._count - 1
        self._beyond_s = self.span_s + self.every_s
        self._value: Any = None

    def step(self, now: float, value: Any, local: float) -> Any:
        if self._is_whole:
            self._is_whole = False
            self._part_s = self._at - self._bucket * self.every_s
        if now >= self._end:
            self._pass(now)
        elif self._value is not None:
            self._hold(now - self._at)
        self._at = now
        self._take(value)
        self._value = value
        if self._was_clean:
            self._was_clean = False
            self._is_whole = value is not None
        return self._result(value) if self._full_s + self._part_s >= self._needed_s else None

    def _pass(self, now: float) -> None:
        """Go on to `now`, which lies beyond the newest bucket."""
        bucket = int(now // self.every_s)
        if self._end < 0:
            self._at, self._bucket = now, bucket
            self._begin(now)
        elif bucket - self._bucket > self._count + 1:  # nothing of what was is left
            self._bucket = bucket - self._count - 1
            self._at = self._bucket * self.every_s
        while self._bucket < bucket:
            end = (self._bucket + 1) * self.every_s
            if self._value is not None and end > self._at:
                self._hold(end - self._at)
            self._at = end
            self._turn()
        if self._value is not None and now > self._at:
            self._hold(now - self._at)
        self._end = (bucket + 1) * self.every_s

    def _hold(self, seconds: float) -> None:
        self._part_s += seconds
        self._add(seconds)

    def _turn(self) -> None:
        """Put the newest bucket in the place of the oldest and begin the next."""
        place = self._place
        self._full_s += self._part_s - self._known[place]
        self._known[place] = self._part_s
        self._part_s = 0.0
        self._close(place)
        self._bucket += 1
        self._place = (place + 1) % self._count
        if self._place == 0:
            self._full_s = fsum(self._known)
            self._was_clean = self._value is not None and min(self._known) >= self.every_s * (1 - 1e-9)
            self._sum_up()

    def _begin(self, now: float) -> None:
        pass

    def _add(self, seconds: float) -> None:
        pass

    def _close(self, place: int) -> None:
        pass

    def _take(self, value: Any) -> None:
        pass

    def _sum_up(self) -> None:
        pass

    def _result(self, value: Any) -> Any:
        raise NotImplementedError

    def pause(self) -> None:
        self._take(None)
        self._value = None

    def dump(self) -> list[Any]:
        rings = [list(getattr(self, name)) for name in ("_known", *self.rings)]
        return [self._count, rings, [self._out(name) for name in (*_PLAIN, *self.plain)]]

    def load(self, state: list[Any], shift_s: float) -> None:
        count, rings, plain = state
        if count != self._count or shift_s:
            return  # another window, or a clock that went back: begin anew
        for name, values in zip(("_known", *self.rings), rings):
            setattr(self, name, [float(one) for one in values])
        for name, kept in zip((*_PLAIN, *self.plain), plain):
            self._in(name, kept)

    def _out(self, name: str) -> Any:
        value = getattr(self, name)
        return [list(pair) for pair in value] if isinstance(value, deque) else value

    def _in(self, name: str, kept: Any) -> None:
        old = getattr(self, name)
        setattr(self, name, deque(tuple(pair) for pair in kept) if isinstance(old, deque) else kept)


_PLAIN = ("_is_whole", "_was_clean", "_full_s", "_part_s", "_at", "_bucket", "_end", "_place", "_value")


class _Area(Ring):
    """The integral of the value."""

    rings: tuple[str, ...] = ("_area",)
    plain: tuple[str, ...] = ("_full", "_part")
    _area: list[float]

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._full = 0.0
        self._part = 0.0

    def _add(self, seconds: float) -> None:
        self._part += self._value * seconds

    def _close(self, place: int) -> None:
        self._full += self._part - self._area[place]
        self._area[place] = self._part
        self._part = 0.0

    def _sum_up(self) -> None:
        self._full = fsum(self._area)


class _Average(_Area):
    """avg_over_time, ratio_over_time."""

    def step(self, now: float, value: Any, local: float) -> Any:
        """As in Ring, written out for the usual case: all is known, and at most one bucket has passed."""
        end = self._end
        if not self._is_whole or value is None or now >= end + self.every_s or self._place == self._last:
            return super().step(now, value, local)
        if now < end:
            self._part += self._value * (now - self._at)
        else:
            place, area = self._place, self._area
            part = self._part + self._value * (end - self._at)
            self._full += part - area[place]
            area[place] = part
            self._part = self._value * (now - end)
            self._place = place + 1
            self._bucket += 1
            self._end = end + self.every_s
        self._at = now
        self._value = value
        return (self._full + self._part) / (self._beyond_s + now - self._end)

    def _result(self, value: Any) -> float | None:
        return (self._full + self._part) / (self._full_s + self._part_s)


class _Deviation(_Area):
    """stddev_over_time. Squares are of the distance to the first value, so that no digits are lost."""

    rings: tuple[str, ...] = ("_area", "_squares")
    plain: tuple[str, ...] = ("_full", "_part", "_full_squares", "_part_squares", "_origin")
    _squares: list[float]

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._full_squares = 0.0
        self._part_squares = 0.0
        self._origin: float | None = None

    def _take(self, value: Any) -> None:
        if self._origin is None and value is not None:
            self._origin = float(value)

    def _add(self, seconds: float) -> None:
        off = self._value - (self._origin or 0.0)
        self._part += off * seconds
        self._part_squares += off * off * seconds

    def _close(self, place: int) -> None:
        super()._close(place)
        self._full_squares += self._part_squares - self._squares[place]
        self._squares[place] = self._part_squares
        self._part_squares = 0.0

    def _sum_up(self) -> None:
        super()._sum_up()
        self._full_squares = fsum(self._squares)

    def _result(self, value: Any) -> float | None:
        seconds = self._full_s + self._part_s
        mean = (self._full + self._part) / seconds
        return sqrt(max(0.0, (self._full_squares + self._part_squares) / seconds - mean * mean))


class _Score(_Deviation):
    """zscore: how far the value is from the mean of the full buckets before, in their standard deviations."""

    def _result(self, value: Any) -> float | None:
        if value is None or self._full_s < self._needed_s:
            return None
        mean = self._full / self._full_s
        variance = self._full_squares / self._full_s - mean * mean
        # What remains of rounding is no spread: a constant has none to measure by.
        if variance <= 1e-12 * max(1.0, mean * mean):
            return None
        return float((value - (self._origin or 0.0) - mean) / sqrt(variance))


class _Trend(Ring):
    """deriv, predict_linear: the straight line that fits best, every moment counting the same.

    Per bucket the integrals of x, t, x·t and t² over the known time; t counts from `_zero`, a moment nearby.
    """

    rings: tuple[str, ...] = ("_x", "_t", "_xt", "_tt")
    plain: tuple[str, ...] = ("_parts", "_zero")
    _x: list[float]
    _t: list[float]
    _xt: list[float]
    _tt: list[float]

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._is_forecast = window.function == "predict_linear"
        self._parts = [0.0, 0.0, 0.0, 0.0]  # of the newest bucket
        self._zero = 0.0

    def _begin(self, now: float) -> None:
        self._zero = now

    def _add(self, seconds: float) -> None:
        begin = self._at - self._zero  # `_at` is where the stretch begins
        end = begin + seconds
        times = (end * end - begin * begin) / 2
        parts, value = self._parts, self._value
        parts[0] += value * seconds
        parts[1] += times
        parts[2] += value * times
        parts[3] += (end**3 - begin**3) / 3

    def _close(self, place: int) -> None:
        self._x[place], self._t[place], self._xt[place], self._tt[place] = self._parts
        self._parts = [0.0, 0.0, 0.0, 0.0]

    def _sum_up(self) -> None:
        """Count times from a moment nearby again, so that they stay small."""
        shift = self._bucket * self.every_s - self._zero
        self._zero += shift
        for place, known in enumerate(self._known):
            x, t = self._x[place], self._t[place]
            self._tt[place] += shift * shift * known - 2 * shift * t
            self._xt[place] -= shift * x
            self._t[place] -= shift * known

    def _result(self, value: Any) -> float | None:
        seconds = self._full_s + self._part_s
        totals = [fsum(ring) + part for ring, part in zip((self._x, self._t, self._xt, self._tt), self._parts)]
        mean, mean_time, product, squares = (total / seconds for total in totals)
        spread = squares - mean_time * mean_time
        if spread <= 0:
            return None
        slope = (product - mean_time * mean) / spread
        if not self._is_forecast:
            return slope
        return mean + slope * (self._at + self._constants[0] - self._zero - mean_time)


class _Extreme(Ring):
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

    def _result(self, value: Any) -> float | None:
        return self._queue[0][1] if self._queue else None


class _Quantile(_Area):
    """quantile_over_time, of the means of the full buckets; computed anew once per bucket."""

    plain: tuple[str, ...] = ("_full", "_part", "_computed", "_quantile")

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._computed = -1
        self._quantile: float | None = None

    def _result(self, value: Any) -> float | None:
        if self._computed != self._bucket:
            self._computed = self._bucket
            means = sorted((area / known, known) for area, known in zip(self._area, self._known) if known > 0)
            wanted_s = self._constants[0] * fsum(known for _, known in means)
            passed_s = 0.0
            for mean, known in means:
                passed_s += known
                self._quantile = mean
                if passed_s >= wanted_s:
                    break
        return self._quantile


class _Counted(Ring):
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
        """As in Ring, written out for the usual case: all is known, and at most one bucket has passed."""
        end = self._end
        if not self._is_whole or value is None or now >= end + self.every_s or self._place == self._last:
            return super().step(now, value, local)
        if now >= end:
            place, gained, part = self._place, self._gained, self._part
            if part or gained[place]:
                self._full += part - gained[place]
                gained[place] = part
                self._part = 0.0
            self._place = place + 1
            self._bucket += 1
            self._end = end + self.every_s
        self._at = now
        if value != self._value:
            self._part += self._gain(value, self._value)
            self._value = value
        if self._is_rate:
            return (self._full + self._part) / (self._beyond_s + now - self._end)
        return self._full + self._part

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


class _Changes(_Counted):
    def _gain(self, value: Any, last: Any) -> float:
        return 1.0


class _Delta(Ring):
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

    def _result(self, value: Any) -> float | None:
        return None if value is None or not self._firsts else value - self._firsts[0][1]


RINGS: dict[str, type[Ring]] = {
    "avg_over_time": _Average,
    "ratio_over_time": _Average,
    "stddev_over_time": _Deviation,
    "zscore": _Score,
    "deriv": _Trend,
    "predict_linear": _Trend,
    "min_over_time": _Extreme,
    "max_over_time": _Extreme,
    "quantile_over_time": _Quantile,
    "increase": _Counted,
    "rate": _Counted,
    "changes": _Changes,
    "delta": _Delta,
}
