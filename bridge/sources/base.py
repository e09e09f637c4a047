"""What the cycle asks of a source of values.

A source decides what is due, asks for it politely, and never raises for what the other side does: failures are
counted and told as facts. All times are steady-clock seconds (see `model`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from bridge.model import Page


class Poll(NamedTuple):
    """What one call of `poll` found out.

    `services` is the complete list of D-Bus services when it was read in this call, else None ("nothing new").
    `error` says what went wrong, "" when all went well. `news` is what a person should read in the log: a fault that
    lasts, and its end; a single bad answer is no news.
    """

    pages: tuple[Page, ...] = ()
    services: frozenset[str] | None = None
    error: str = ""
    news: str = ""


class Source(Protocol):
    """Anything that can be polled for pages: the HTTP API, a recording, later D-Bus itself."""

    def next_due(self) -> float:
        """Return the steady-clock time at which `poll` has something to do; inf when it never will again."""

    def poll(self, now: float) -> Poll:
        """Do the one thing that is most overdue, at most one request, and return what came of it."""

    def identify(self, now: float) -> str | None:
        """Return the serial of the GX, which names a site without a name; None when it cannot be told yet."""

    def is_online(self, now: float) -> bool | None:
        """Tell whether the GX answers: None while nothing is known yet. May be called from another thread."""

    def refresh(self) -> None:
        """Make everything due now (the user asked). May be called from another thread."""

    def close(self) -> None:
        """End a `poll` that waits in another thread, at once. Nothing may be asked afterwards."""

    def health(self) -> Mapping[str, float | int | str | None]:
        """Return counters and durations for the health topic. May be called from another thread."""


class PollPlan(Protocol):
    """What the source must know about the catalogue: how often, and which leafs. Paths have no leading slash."""

    def interval(self, service: str, paths: Collection[str]) -> float:
        """Return the interval in seconds at which a service with these paths wants to be read; inf for never."""

    def leafs(self, service: str) -> Sequence[tuple[str, float]]:
        """Return (path, interval in seconds) of each leaf to ask when the root cannot be listed.

        The first is the identity: until it was read, or is known to be missing, the others are not asked.
        """
