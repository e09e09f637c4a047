"""What is due when: the clocks of alerts, groups of points and things that are computed every so often.

An entry holds for as long as what it is about has the same `rung_at`; who wants to be rung earlier makes another
one, and the old one is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf
from typing import Any, Protocol


class Rung(Protocol):
    """Something that is to be rung at a time."""

    rung_at: float


class Ticker:
    """Everything that is computed every so many seconds because it asks for the time or has a window."""

    __slots__ = ("alerts", "derived", "every_s", "rung_at")

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self.alerts: list[Any] = []
        self.derived: list[Any] = []
        self.rung_at = inf


class Agenda:
    """A heap of times. None stands for "look at the silences"."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Rung | None]] = []
        self._pushed = 0
        self._tickers: dict[float, Ticker] = {}

    def push(self, at: float, what: Rung | None) -> None:
        """Have `what` rung at a time; its `rung_at` says the same."""
        self._pushed += 1
        heappush(self._heap, (at, self._pushed, what))

    def first(self) -> float:
        """Return the earliest time of all entries, valid or not; inf when there is none."""
        return self._heap[0][0] if self._heap else inf

    def next_due(self) -> float:
        """Return the earliest time at which something is to be rung; inf when never."""
        heap = self._heap
        while heap and not _holds(heap[0]):
            heappop(heap)
        return self.first()

    def due(self, now: float) -> Iterator[Rung | None]:
        """Take off and yield what is due at `now`."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            entry = heappop(heap)
            if _holds(entry):
                yield entry[2]

    def ticker(self, every_s: float, now: float) -> Ticker:
        """Return the ticker of a pace; a new one ticks for the first time on its next whole multiple after `now`."""
        ticker = self._tickers.get(every_s)
        if ticker is None:
            ticker = self._tickers[every_s] = Ticker(every_s)
            self.next_tick(ticker, now)
        return ticker

    def next_tick(self, ticker: Ticker, now: float) -> None:
        """Have a ticker rung on its next whole multiple after `now`; before time has begun, as soon as it does."""
        ticker.rung_at = (now // ticker.every_s + 1) * ticker.every_s if now > -inf else -inf
        self.push(ticker.rung_at, ticker)

    def restart(self) -> None:
        """Forget everything; the tickers are to be asked for their next ticks by `go_on`."""
        self._heap.clear()

    def go_on(self, now: float) -> None:
        """Let all tickers tick again."""
        for ticker in self._tickers.values():
            self.next_tick(ticker, now)


def _holds(entry: tuple[float, int, Rung | None]) -> bool:
    at, _, what = entry
    return what is None or what.rung_at == at
