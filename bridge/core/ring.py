"""The memory that functions over time share: buckets in a ring.

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
from math import ceil, fsum
from typing import Any, Protocol

from bridge.core.formula import Window

COVERAGE = 0.8  # rules.md section 2
BUCKETS = 120  # of a long window; the contract allows 360, this is a third of the memory and exact to 1 %
POLL_S = 10.0  # the shortest poll interval: narrower buckets would be empty
FEWEST = 12  # buckets of a short window
GRAIN = 1024  # widths are whole multiples of 1/1024 s: so the bounds of buckets are exact numbers in any year
NEVER = -1.0  # the end of a bucket that nothing came into yet
MARGIN = 0.999  # of a time for which a result surely holds, against rounding


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

    def patience_s(self, result: float, low: float, high: float) -> float:
        """Return for how long the result surely stays between two limits if no other value comes."""

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
        self._needed_s = window.span_s * COVERAGE
        width_s = max(window.span_s / BUCKETS, min(POLL_S, window.span_s / FEWEST))
        self._count = max(1, round(window.span_s / width_s))
        self.every_s = ceil(window.span_s / self._count * GRAIN) / GRAIN
        self.span_s = self._count * self.every_s  # of the full buckets
        self._constants = window.constants
        self._known = [0.0] * self._count  # seconds
        for name in self.rings:
            setattr(self, name, [0.0] * self._count)
        self._full_s = 0.0  # known seconds of the full buckets
        self._part_s = 0.0  # and of the newest
        self._at = 0.0
        self._bucket = 0  # number of the newest bucket since time began
        self._end = NEVER  # when it is full
        self._place = 0  # of the oldest in the ring, which the newest will take
        self._is_whole = False  # everything in the window is known: then `_part_s` is not kept
        self._was_clean = False  # a round of buckets has ended, without a hole
        self._beyond_s = self.span_s + self.every_s
        self._value: Any = None

    def step(self, now: float, value: Any, local: float) -> Any:
        if self._is_whole:
            self._count_part()
        if now < self._at:
            now = self._at  # a moved memory is up to half a bucket ahead
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

    def _count_part(self) -> None:
        """Keep `_part_s` again: from here on something may be unknown."""
        self._is_whole = False
        self._part_s = self._at - self._bucket * self.every_s

    def _pass(self, now: float) -> None:
        """Go on to `now`, which lies beyond the newest bucket."""
        bucket = int(now // self.every_s)
        if self._end == NEVER:
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

    def known_s(self) -> float:
        """Return how many seconds of the window data covers."""
        return self.span_s if self._is_whole else min(self.span_s, self._full_s + self._part_s)

    def patience_s(self, result: float, low: float, high: float) -> float:
        return 0.0

    def pause(self) -> None:
        if self._is_whole:
            self._count_part()
        self._take(None)
        self._value = None

    def dump(self) -> list[Any]:
        rings = [list(getattr(self, name)) for name in ("_known", *self.rings)]
        return [self._count, rings, [self._out(name) for name in (*_PLAIN, *self.plain)]]

    def load(self, state: list[Any], shift_s: float) -> None:
        count, rings, plain = state
        if count != self._count:
            return  # another window: begin anew
        for name, values in zip(("_known", *self.rings), rings):
            setattr(self, name, [float(one) for one in values])
        for name, kept in zip((*_PLAIN, *self.plain), plain):
            self._in(name, kept)
        if shift_s and self._end != NEVER:
            self._move(round(shift_s / self.every_s))

    def _move(self, buckets: int) -> None:
        """Move the memory in time by whole buckets, so that their bounds stay whole multiples of their width."""
        if self._is_whole:
            self._count_part()
        self._bucket += buckets
        self._at += buckets * self.every_s
        self._end += buckets * self.every_s

    def _out(self, name: str) -> Any:
        value = getattr(self, name)
        if isinstance(value, deque):
            return [list(pair) for pair in value]
        return list(value) if isinstance(value, list) else value

    def _in(self, name: str, kept: Any) -> None:
        old = getattr(self, name)
        setattr(self, name, deque(tuple(pair) for pair in kept) if isinstance(old, deque) else kept)


_PLAIN = ("_is_whole", "_was_clean", "_full_s", "_part_s", "_at", "_bucket", "_end", "_place", "_value")
