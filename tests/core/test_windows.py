"""Tests of functions over time against naive references that keep everything."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.formula import Window
from bridge.core.ring import COVERAGE
from bridge.core.spans import FEWEST_WEEKS, every_s, series
from bridge.core.windows import RINGS

SPAN_S = 120.0
Turn = tuple[float, Any]  # when, and the value from then on
Stretch = tuple[float, float, Any]  # from, to, known value


class Reference:
    """All that was ever said, looked at anew each time."""

    def __init__(self, width_s: float) -> None:
        self.width_s = width_s
        self.turns: list[Turn] = []

    def start(self, now: float) -> float:
        """Return where the window begins: so many full buckets before the newest."""
        return (now // self.width_s - round(SPAN_S / self.width_s)) * self.width_s

    def stretches(self, now: float, begin: float | None = None) -> list[Stretch]:
        begin = self.start(now) if begin is None else begin
        ends = [at for at, _ in self.turns[1:]] + [now]
        cut = [(max(at, begin), end, value) for (at, value), end in zip(self.turns, ends) if value is not None]
        return [(at, end, value) for at, end, value in cut if end > at]

    def known_s(self, now: float) -> float:
        return math.fsum(end - at for at, end, _ in self.stretches(now))


def _mean(parts: list[Stretch]) -> float:
    return math.fsum((end - at) * value for at, end, value in parts) / math.fsum(end - at for at, end, _ in parts)


def _average(of: Reference, now: float) -> float:
    return _mean(of.stretches(now))


def _deviation(of: Reference, now: float) -> float:
    parts = of.stretches(now)
    mean = _mean(parts)
    return math.sqrt(max(0.0, _mean([(at, end, (value - mean) ** 2) for at, end, value in parts])))


def _values(of: Reference, now: float) -> list[float]:
    here = [of.turns[-1][1]] if of.turns[-1][1] is not None else []
    return [value for _, _, value in of.stretches(now)] + here + _instants(of, now)


def _instants(of: Reference, now: float) -> list[float]:
    """Values that were replaced in the moment in which they came."""
    return [value for at, value in of.turns if value is not None and at >= of.start(now)]


def _gains(of: Reference, now: float, gain: Callable[[float, float], float]) -> float:
    total = 0.0
    for (_, before), (at, after) in zip(of.turns, of.turns[1:]):
        if before is not None and after is not None and before != after and at >= of.start(now):
            total += gain(before, after)
    return total


def _counted(before: float, after: float) -> float:
    return after - before if after >= before else max(0.0, after)


def _delta(of: Reference, now: float) -> float | None:
    last = of.turns[-1][1]
    if last is None:
        return None
    parts = of.stretches(now)
    held = [(at, 1, value) for at, _, value in parts]
    came = [(at, 0, value) for at, value in of.turns if value is not None]
    firsts = sorted(came + held, key=lambda one: one[:2])
    return last - next(value for at, _, value in firsts if at >= of.start(now))


def _trend(of: Reference, now: float) -> tuple[float, float, float] | None:
    """Return mean time, mean and slope of the line that fits best."""
    parts = of.stretches(now)
    origin = parts[0][0]
    total = math.fsum(end - at for at, end, _ in parts)
    t = math.fsum(((end - origin) ** 2 - (at - origin) ** 2) / 2 for at, end, _ in parts) / total
    x = _mean(parts)
    xt = math.fsum(value * ((end - origin) ** 2 - (at - origin) ** 2) / 2 for at, end, value in parts) / total
    tt = math.fsum(((end - origin) ** 3 - (at - origin) ** 3) / 3 for at, end, _ in parts) / total
    return (t + origin, x, (xt - t * x) / (tt - t * t))


def _slope(of: Reference, now: float) -> float:
    found = _trend(of, now)
    assert found
    return found[2]


def _forecast(of: Reference, now: float) -> float:
    found = _trend(of, now)
    assert found
    return found[1] + found[2] * (now + 60.0 - found[0])


def _quantile(of: Reference, now: float) -> float | None:
    """Of the means of the full buckets."""
    means = []
    newest = now // of.width_s
    for bucket in range(int(newest) - round(SPAN_S / of.width_s), int(newest)):
        begin = bucket * of.width_s
        parts = [
            (at, min(end, begin + of.width_s), v) for at, end, v in of.stretches(now, begin) if at < begin + of.width_s
        ]
        known = math.fsum(end - at for at, end, _ in parts)
        if known > 0:
            means.append((_mean(parts), known))
    means.sort()
    wanted, passed = 0.9 * math.fsum(known for _, known in means), 0.0
    for mean, known in means:
        passed += known
        if passed >= wanted - 1e-9:
            return mean
    return None


NAIVE: dict[str, Callable[[Reference, float], float | None]] = {
    "avg_over_time": _average,
    "stddev_over_time": _deviation,
    "min_over_time": lambda of, now: min(_values(of, now)),
    "max_over_time": lambda of, now: max(_values(of, now)),
    "increase": lambda of, now: _gains(of, now, _counted),
    "rate": lambda of, now: _gains(of, now, _counted) / of.known_s(now),
    "changes": lambda of, now: _gains(of, now, lambda before, after: 1),
    "delta": _delta,
    "deriv": _slope,
    "predict_linear": _forecast,
    "quantile_over_time": _quantile,
}
CONSTANTS = {"predict_linear": (60.0,), "quantile_over_time": (0.9,)}

_VALUES = st.none() | st.integers(-5, 20).map(float) | st.floats(-50, 50)
_WAITS = st.sampled_from([0.0, 1.0, 5.0, 10.0, 10.0, 10.0, 10.0, 13.0, 60.0, 500.0]) | st.floats(0, 30)
_TURNS = st.lists(st.tuples(_WAITS, _VALUES, st.booleans()), min_size=1, max_size=60)


@pytest.mark.parametrize("function", sorted(NAIVE))
@settings(max_examples=60)
@given(start=st.sampled_from([0.0, 7.0, 1_700_000_003.5]), turns=_TURNS)
def test_every_window_equals_a_naive_reference(function: str, start: float, turns: list[Any]) -> None:
    """On irregular series with gaps each window gives what keeping everything would give, and no less often."""
    window = Window(function, SPAN_S, CONSTANTS.get(function, ()))
    one = series(window)
    reference = Reference(one.every_s)
    now, value = start, None
    for wait_s, new_value, is_kept in turns:
        now += wait_s
        value = value if is_kept else new_value
        reference.turns.append((now, value))
        got = one.step(now, value, 0.0)
        if abs(reference.known_s(now) - COVERAGE * SPAN_S) < 1e-6:
            continue  # just at the limit rounding decides
        if reference.known_s(now) < COVERAGE * SPAN_S:
            assert got is None
            continue
        expected = NAIVE[function](reference, now)
        if expected is None:
            assert got is None
        elif got is None:
            assert function in ("deriv", "predict_linear")
        elif function != "quantile_over_time":
            # A deviation is a small difference of large squares: a millionth of the largest value is its grain.
            assert got == pytest.approx(expected, rel=1e-6, abs=2e-4 if function == "stddev_over_time" else 1e-6)
        else:
            assert min(_values(reference, now)) - 1e-6 <= got <= max(_values(reference, now)) + 1e-6


def test_a_quantile_is_that_of_the_means_of_the_buckets() -> None:
    """Nine tenths of the time the value is at or below the 0.9 quantile."""
    one = series(Window("quantile_over_time", SPAN_S, (0.9,)))
    reference = Reference(one.every_s)
    got = None
    for turn in range(40):
        now = turn * 10.0
        value = float(turn * 7 % 13)
        reference.turns.append((now, value))
        got = one.step(now, value, 0.0)
    assert got == _quantile(reference, 390.0)


@pytest.mark.parametrize("function", sorted(NAIVE))
def test_a_window_says_nothing_until_most_of_it_is_known(function: str) -> None:
    """Four fifths of the window must be covered by data."""
    one = series(Window(function, SPAN_S, CONSTANTS.get(function, ())))
    told = [one.step(now * 1.0, 5.0, 0.0) is not None for now in range(121)]
    assert not any(told[: int(COVERAGE * SPAN_S)])
    assert all(told[int(COVERAGE * SPAN_S) + 1 :])


@pytest.mark.parametrize(("span_s", "most"), [(2.0, 13), (60.0, 13), (300.0, 31), (86400.0, 121), (366 * 86400.0, 121)])
@pytest.mark.parametrize("function", sorted(RINGS))
def test_memory_does_not_grow(function: str, span_s: float, most: int) -> None:
    """However long the window and however many the samples, the buckets stay few."""
    one = series(Window(function, span_s, CONSTANTS.get(function, ())))
    assert span_s / one.every_s < most
    for turn in range(3000):
        one.step(turn * span_s / 700, float(turn * 7919 % 101), 0.0)
    assert len(json.dumps(one.dump())) < 8000 + 60 * most
    for name in ("_queue", "_firsts"):
        assert len(getattr(one, name, ())) <= most


def test_a_score_compares_with_the_time_before() -> None:
    """zscore is the distance from the mean of the full buckets, in their standard deviations."""
    one = series(Window("zscore", SPAN_S, ()))
    values = [10.0, 12.0] * 10
    for turn, value in enumerate(values):
        one.step(turn * 10.0, value, 0.0)
    assert one.step(200.0, 15.0, 0.0) == pytest.approx((15 - 11) / 1.0)
    assert one.step(201.0, 11.0, 0.0) == pytest.approx(0)


def test_a_constant_has_no_score() -> None:
    """Where nothing ever moved there is nothing to measure by."""
    one = series(Window("zscore", SPAN_S, ()))
    assert {one.step(turn * 10.0, 10.1, 0.0) for turn in range(40)} == {None}


def test_a_counter_that_was_unknown_gains_nothing() -> None:
    """What came while nobody looked would seem to have come at once."""
    one = series(Window("increase", SPAN_S, ()))
    for turn in range(20):
        one.step(turn * 10.0, 100.0, 0.0)
    one.step(200.0, None, 0.0)
    assert one.step(210.0, 5000.0, 0.0) == 0


def test_held_counts_known_time_without_a_break() -> None:
    """Unknown time stops the count, false ends it."""
    one = series(Window("held", 0.0, ()))
    turns = [
        (0, True, 0),
        (10, True, 10),
        (20, None, None),
        (50, True, 20),
        (60, True, 30),
        (70, False, 0),
        (80, True, 0),
    ]
    assert [one.step(float(now), value, 0.0) for now, value, _ in turns] == [held for _, _, held in turns]


def test_last_change_counts_from_the_change() -> None:
    """A gap is no change."""
    one = series(Window("last_change", 0.0, ()))
    turns = [(0, "a", 0), (10, "a", 10), (20, None, None), (30, "a", 30), (40, "b", 0), (45, "b", 5)]
    assert [one.step(float(now), value, 0.0) for now, value, _ in turns] == [since for _, _, since in turns]


def test_a_half_life_halves_the_distance() -> None:
    """ewma comes half way in one half-life, whatever the steps are, and is known from then on."""
    for step_s in (1.0, 7.0, 60.0):
        one = series(Window("ewma", 0.0, (60.0,)))
        one.step(0.0, 10.0, 0.0)
        one.step(0.0, 20.0, 0.0)
        got, now = None, 0.0
        while now < 60.0:
            assert got is None
            now = min(60.0, now + step_s)
            got = one.step(now, 20.0, 0.0)
        assert got == pytest.approx(15.0)


def test_an_hour_of_the_week_is_compared_with_its_like() -> None:
    """What is usual on this weekday at this hour has score 0, and is unknown for some weeks."""
    one = series(Window("seasonal_zscore", 0.0, ()))
    scores: list[list[float | None]] = []
    for week in range(6):
        told = []
        for hour in range(168):
            usual = 100.0 if hour == 50 else 5.0
            now = (week * 168 + hour) * 3600.0
            told.append(one.step(now, usual + week % 2, 0.0))
        scores.append(told)
    assert all(score is None for told in scores[:FEWEST_WEEKS] for score in told)
    late = scores[-1]
    assert late[50] is not None and abs(late[50]) < 3
    assert one.step((6 * 168 + 50) * 3600.0, 5.0, 0.0) < -20
    assert statistics.fmean(abs(score) for score in late if score is not None) < 3


@pytest.mark.parametrize("function", sorted({*RINGS, "held", "last_change", "ewma", "seasonal_zscore"}))
@settings(max_examples=40)
@given(turns=_TURNS, cut=st.integers(0, 60))
def test_a_dumped_memory_goes_on_as_the_first(function: str, turns: list[Any], cut: int) -> None:
    """Through JSON and back, to the last bit."""
    constants = {"ewma": (60.0,)}.get(function) or CONSTANTS.get(function, ())
    window = Window(function, SPAN_S, constants)
    first = second = series(window)
    now = 0.0
    for index, (wait_s, number, _) in enumerate(turns):
        now += wait_s
        value = None if number is None else number > 0 if function in ("held", "ratio_over_time") else number
        if index == cut:
            second = series(window)
            second.load(json.loads(json.dumps(first.dump())), 0.0)
        expected = first.step(now, value, 0.0)
        if second is not first:
            assert second.step(now, value, 0.0) == expected


def test_a_window_is_looked_at_once_per_bucket() -> None:
    """What changes by the passing of time alone is asked for as often as it can change."""
    assert every_s(Window("avg_over_time", 300.0, ())) == 10.0
    assert every_s(Window("avg_over_time", 86400.0, ())) == 720.0
