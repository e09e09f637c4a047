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

from array import array
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


class _Ring:
    """Buckets, how much of each is known, and the value that holds. What else a bucket keeps is its subclass's.

    Subclasses say what a stretch of the held value adds to the newest bucket (`_add`), what is lost with the oldest
    (`_drop`), what a new value does (`_take`) and what comes out (`_result`).
    """

    rings: tuple[str, ...] = ()  # names of the further arrays
    plain: tuple[str, ...] = ()  # names of further state that JSON can hold

    def __init__(self, window: Window) -> None:
        self.span_s = window.span_s
        width_s = max(self.span_s / BUCKETS, min(POLL_S, self.span_s / FEWEST))
        self._count = max(1, round(self.span_s / width_s))
        self.every_s = self.span_s / self._count
        self._constants = window.constants
        self._size = self._count + 1
        self._known = array("d", bytes(8 * self._size))  # seconds
        for name in self.rings:
            setattr(self, name, array("d", bytes(8 * self._size)))
        self._total_s = 0.0
        self._at: float | None = None
        self._bucket = 0  # number of the newest bucket since time began
        self._place = 0  # where it lies in the ring
        self._value: Any = None

    def step(self, now: float, value: Any, local: float) -> Any:
        if self._at is None:
            self._bucket = int(now // self.every_s)
            self._begin(now)
        elif now > self._at:
            self._pass(now, self._at)
        self._at = now
        self._take(value)
        self._value = value
        return self._result(value) if self._total_s >= self.span_s * COVERAGE else None

    def _pass(self, now: float, at: float) -> None:
        """Let the held value hold from `at` to `now`."""
        bucket = int(now // self.every_s)
        if bucket - self._bucket > self._size:  # nothing of what was is left
            at = (bucket - self._size) * self.every_s
            self._bucket = bucket - self._size
        held = self._value is not None
        while self._bucket < bucket:
            end = (self._bucket + 1) * self.every_s
            if held and end > at:
                self._hold(end - at)
            at = max(at, end)
            self._turn()
        if held and now > at:
            self._hold(now - at)

    def _hold(self, seconds: float) -> None:
        self._known[self._place] += seconds
        self._total_s += seconds
        self._add(seconds)

    def _turn(self) -> None:
        """Begin the next bucket in the place of the oldest."""
        self._bucket += 1
        self._place = place = (self._place + 1) % self._size
        self._total_s -= self._known[place]
        self._known[place] = 0.0
        self._drop(place)
        if place == 0:
            self._total_s = fsum(self._known)
            self._sum_up()

    def _begin(self, now: float) -> None:
        pass

    def _add(self, seconds: float) -> None:
        pass

    def _drop(self, place: int) -> None:
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
        plain = [self._out(name) for name in ("_total_s", *self.plain)]
        return [self._size, self._at, self._bucket, self._place, self._value, rings, plain]

    def load(self, state: list[Any], shift_s: float) -> None:
        size, at, bucket, place, value, rings, plain = state
        if size != self._size or shift_s:
            return  # another window, or a clock that went back: begin anew
        self._at, self._bucket, self._place, self._value = at, bucket, place, value
        for name, values in zip(("_known", *self.rings), rings):
            setattr(self, name, array("d", values))
        for name, kept in zip(("_total_s", *self.plain), plain):
            self._in(name, kept)

    def _out(self, name: str) -> Any:
        value = getattr(self, name)
        return [list(pair) for pair in value] if isinstance(value, deque) else value

    def _in(self, name: str, kept: Any) -> None:
        old = getattr(self, name)
        setattr(self, name, deque(tuple(pair) for pair in kept) if isinstance(old, deque) else kept)


class _Average(_Ring):
    """avg_over_time, ratio_over_time."""

    rings: tuple[str, ...] = ("_area",)
    plain: tuple[str, ...] = ("_total",)
    _area: array[float]

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._total = 0.0

    def _add(self, seconds: float) -> None:
        area = self._value * seconds
        self._area[self._place] += area
        self._total += area

    def _drop(self, place: int) -> None:
        self._total -= self._area[place]
        self._area[place] = 0.0

    def _sum_up(self) -> None:
        self._total = fsum(self._area)

    def _result(self, value: Any) -> float | None:
        return self._total / self._total_s


class _Deviation(_Average):
    """stddev_over_time. Squares are of the distance to the first value, so that no digits are lost."""

    rings: tuple[str, ...] = ("_area", "_squares")
    plain: tuple[str, ...] = ("_total", "_total_squares", "_origin")
    _squares: array[float]

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._total_squares = 0.0
        self._origin: float | None = None

    def _take(self, value: Any) -> None:
        if self._origin is None and value is not None:
            self._origin = float(value)

    def _add(self, seconds: float) -> None:
        off = self._value - (self._origin or 0.0)
        self._area[self._place] += off * seconds
        self._total += off * seconds
        self._squares[self._place] += off * off * seconds
        self._total_squares += off * off * seconds

    def _drop(self, place: int) -> None:
        super()._drop(place)
        self._total_squares -= self._squares[place]
        self._squares[place] = 0.0

    def _sum_up(self) -> None:
        super()._sum_up()
        self._total_squares = fsum(self._squares)

    def _result(self, value: Any) -> float | None:
        mean = self._total / self._total_s
        return sqrt(max(0.0, self._total_squares / self._total_s - mean * mean))


class _Score(_Deviation):
    """zscore: how far the value is from the mean of the full buckets before, in their standard deviations."""

    def _result(self, value: Any) -> float | None:
        place = self._place
        seconds = self._total_s - self._known[place]
        if value is None or seconds < self.span_s * COVERAGE:
            return None
        mean = (self._total - self._area[place]) / seconds
        variance = (self._total_squares - self._squares[place]) / seconds - mean * mean
        # What remains of rounding is no spread: a constant has none to measure by.
        if variance <= 1e-12 * max(1.0, mean * mean):
            return None
        return float((value - (self._origin or 0.0) - mean) / sqrt(variance))


class _Trend(_Ring):
    """deriv, predict_linear: the straight line that fits best, every moment counting the same."""

    rings: tuple[str, ...] = ("_area", "_times", "_areas_by_time", "_times_squared")
    plain: tuple[str, ...] = ("_zero",)
    _area: array[float]
    _times: array[float]
    _areas_by_time: array[float]
    _times_squared: array[float]

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._is_forecast = window.function == "predict_linear"
        self._zero = 0.0  # a moment in the window, from which times are counted

    def _begin(self, now: float) -> None:
        self._zero = now

    def _add(self, seconds: float) -> None:
        place, value = self._place, self._value
        end = (self._at or 0.0) - self._zero
        # `_at` is where the stretch that is being held began, or the start of the newest bucket if that is later.
        begin = max(end, self._bucket * self.every_s - self._zero)
        end = begin + seconds
        first = (end * end - begin * begin) / 2
        self._area[place] += value * seconds
        self._times[place] += first
        self._areas_by_time[place] += value * first
        self._times_squared[place] += (end**3 - begin**3) / 3

    def _drop(self, place: int) -> None:
        for name in self.rings:
            getattr(self, name)[place] = 0.0

    def _sum_up(self) -> None:
        """Count times from a moment nearby again, so that they stay small."""
        if self._at is None:
            return
        shift = self._bucket * self.every_s - self._zero
        self._zero += shift
        for place in range(self._size):
            known, times, area = self._known[place], self._times[place], self._area[place]
            self._times_squared[place] += shift * shift * known - 2 * shift * times
            self._areas_by_time[place] -= shift * area
            self._times[place] -= shift * known

    def _result(self, value: Any) -> float | None:
        seconds = self._total_s
        mean_time = fsum(self._times) / seconds
        mean = fsum(self._area) / seconds
        spread = fsum(self._times_squared) / seconds - mean_time * mean_time
        if spread <= 0:
            return None
        slope = (fsum(self._areas_by_time) / seconds - mean_time * mean) / spread
        if not self._is_forecast:
            return slope
        return mean + slope * ((self._at or 0.0) + self._constants[0] - self._zero - mean_time)


class _Extreme(_Ring):
    """min_over_time, max_over_time: a queue of the values that could still become the extreme."""

    plain: tuple[str, ...] = ("_queue",)

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._sign = -1.0 if window.function == "min_over_time" else 1.0
        self._queue: deque[tuple[int, float]] = deque()  # (bucket, value), values falling

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

    def _drop(self, place: int) -> None:
        oldest = self._bucket - self._count
        while self._queue and self._queue[0][0] < oldest:
            self._queue.popleft()

    def _result(self, value: Any) -> float | None:
        return self._queue[0][1] if self._queue else None


class _Quantile(_Average):
    """quantile_over_time, of the means of the buckets; computed anew once per bucket."""

    plain: tuple[str, ...] = ("_total", "_computed", "_quantile")

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


class _Counted(_Ring):
    """increase, rate, changes: something that is counted when a value comes in.

    What a counter gained while nobody looked is not counted: it would seem to have come all at once.
    """

    rings: tuple[str, ...] = ("_gained",)
    plain: tuple[str, ...] = ("_total", "_last")
    _gained: array[float]

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._total = 0.0
        self._last: Any = None
        self._is_rate = window.function == "rate"

    def _take(self, value: Any) -> None:
        if value is not None and self._last is not None and value != self._last:
            gain = self._gain(value)
            self._gained[self._place] += gain
            self._total += gain
        self._last = value

    def _gain(self, value: Any) -> float:
        # A counter that falls was reset and has counted from 0 since.
        return float(value - self._last if value >= self._last else max(0.0, value))

    def _drop(self, place: int) -> None:
        self._total -= self._gained[place]
        self._gained[place] = 0.0

    def _sum_up(self) -> None:
        self._total = fsum(self._gained)

    def _result(self, value: Any) -> float | None:
        return self._total / self._total_s if self._is_rate else self._total


class _Changes(_Counted):
    def _gain(self, value: Any) -> float:
        return 1.0


class _Delta(_Ring):
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

    def _drop(self, place: int) -> None:
        oldest = self._bucket - self._count
        while self._firsts and self._firsts[0][0] < oldest:
            self._firsts.popleft()

    def _result(self, value: Any) -> float | None:
        return None if value is None or not self._firsts else value - self._firsts[0][1]


RINGS: dict[str, type[_Ring]] = {
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
