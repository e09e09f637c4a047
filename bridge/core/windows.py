"""Functions over time that weigh values by how long they held: averages, deviations, trends, quantiles."""

from __future__ import annotations

from math import fsum, inf, sqrt
from typing import Any

from bridge.core.formula import Window
from bridge.core.ring import MARGIN, Ring
from bridge.core.steps import Changes, Counted, Delta, Extreme

ROUNDING = 1e-12  # share of the squares that a variance may be without being one


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
    """avg_over_time, ratio_over_time.

    While all in the window is known, what passes is written out here. `_bounds` are the lowest and highest value of
    this round of the ring and of the one before: the average cannot move faster than they let it.
    """

    plain: tuple[str, ...] = ("_full", "_part", "_bounds")

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._bounds = [inf, -inf, inf, -inf]

    def step(self, now: float, value: Any, local: float) -> Any:
        if not self._is_whole or value is None:
            return super().step(now, value, local)
        if now >= self._end:
            self._catch_up(now)
        else:
            self._part += self._value * (now - self._at)
        self._at = now
        if value != self._value:
            self._take(value)
            self._value = value
        return (self._full + self._part) / (self._beyond_s + now - self._end)

    def _catch_up(self, now: float) -> None:
        """Let the held value pass through the buckets up to `now`."""
        held, newest = self._value, int(now // self.every_s)
        passed = newest - self._bucket
        part = self._part + held * (self._end - self._at)
        if passed > self._count + 1:  # it fills the whole window
            passed, part = self._count + 1, held * self.every_s
        if passed > 0:
            self._put([part] + [held * self.every_s] * (passed - 1))
            self._part = held * (now - newest * self.every_s)
            self._bucket = newest
            self._end = (newest + 1) * self.every_s

    def _put(self, new: list[float]) -> None:
        """Put full buckets in the places of the oldest."""
        area, place = self._area, self._place
        stop = place + len(new)
        if stop < self._count:
            self._full += sum(new) - sum(area[place:stop])
            area[place:stop] = new
            self._place = stop
            return
        for part in new:
            area[place] = part
            place = (place + 1) % self._count
        self._place = place
        self._sum_up()

    def _take(self, value: Any) -> None:
        bounds = self._bounds
        if value is not None and value < bounds[0]:
            bounds[0] = value
        if value is not None and value > bounds[1]:
            bounds[1] = value

    def _sum_up(self) -> None:
        super()._sum_up()
        self._next_round()

    def _next_round(self) -> None:
        low, high, _, _ = self._bounds
        held = self._value
        self._bounds = [inf, -inf, low, high] if held is None else [held, held, low, high]

    def patience_s(self, result: float, low: float, high: float) -> float:
        if not self._is_whole:
            return 0.0
        lowest, highest, lowest_before, highest_before = self._bounds
        spread = max(highest, highest_before) - min(lowest, lowest_before)
        if spread <= 0:
            return inf
        room = result - low if result - low < high - result else high - result
        return room / spread * self.span_s * MARGIN - self.every_s

    def _result(self, value: Any) -> float | None:
        return (self._full + self._part) / (self._full_s + self._part_s)


class _Deviation(_Area):
    """stddev_over_time. Squares are of the distance to a value nearby, so that no digits are lost."""

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
        """Count distances from the present mean again, so that they stay small."""
        seconds = fsum(self._known)
        if seconds > 0 and self._origin is not None:
            shift = fsum(self._area) / seconds
            self._origin += shift
            for place, known in enumerate(self._known):
                self._squares[place] += shift * shift * known - 2 * shift * self._area[place]
                self._area[place] -= shift * known
        super()._sum_up()
        self._full_squares = fsum(self._squares)

    def _result(self, value: Any) -> float | None:
        seconds = self._full_s + self._part_s
        mean, square = (self._full + self._part) / seconds, (self._full_squares + self._part_squares) / seconds
        variance = square - mean * mean
        return sqrt(variance) if variance > ROUNDING * square else 0.0


class _Score(_Deviation):
    """zscore: how far the value is from the mean of the full buckets before, in their standard deviations."""

    def _result(self, value: Any) -> float | None:
        if value is None or self._full_s < self._needed_s:
            return None
        mean = self._full / self._full_s
        variance = self._full_squares / self._full_s - mean * mean
        if variance <= ROUNDING * self._full_squares / self._full_s:
            return None  # a constant has no spread to measure by
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

    def _move(self, buckets: int) -> None:
        super()._move(buckets)
        self._zero += buckets * self.every_s

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


class _Quantile(_Area):
    """quantile_over_time, of the means of the full buckets; computed anew once per bucket."""

    plain: tuple[str, ...] = ("_full", "_part", "_computed", "_quantile")

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._computed: int | None = None  # the bucket in which `_quantile` was
        self._quantile: float | None = None

    def _move(self, buckets: int) -> None:
        super()._move(buckets)
        self._computed = None

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


RINGS: dict[str, type[Ring]] = {
    "avg_over_time": _Average,
    "ratio_over_time": _Average,
    "stddev_over_time": _Deviation,
    "zscore": _Score,
    "deriv": _Trend,
    "predict_linear": _Trend,
    "min_over_time": Extreme,
    "max_over_time": Extreme,
    "quantile_over_time": _Quantile,
    "increase": Counted,
    "rate": Counted,
    "changes": Changes,
    "delta": Delta,
}
