"""What the cycle asks of a source of values.

A source decides what is due, asks for it politely, and never raises for what the other side does: failures are
counted and told as facts. All times are steady-clock seconds (see `model`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from bridge.model import Page


class Poll(NamedTuple):
    """What one call of `poll` found out.

    `services` is the complete list of D-Bus services when it was read in this call, else None ("nothing new").
    `is_reachable`: True after a good read, False when the source now counts as down (long enough to say so), None
    when this call says nothing about it. `error` is a sentence for the log and for health, "" when all went well.
    """

    pages: tuple[Page, ...] = ()
    services: frozenset[str] | None = None
    is_reachable: bool | None = None
    error: str = ""


class Source(Protocol):
    """Anything that can be polled for pages: the HTTP API, a recording, later D-Bus itself."""

    def next_due(self) -> float:
        """Return the steady-clock time at which `poll` has something to do; inf when it never will again."""

    def poll(self, now: float) -> Poll:
        """Do the one thing that is most overdue, at most one request, and return what came of it."""

    def refresh(self) -> None:
        """Make everything due now (the user asked). May be called from another thread."""

    def close(self) -> None:
        """End a `poll` that waits in another thread, at once. Nothing may be asked afterwards."""

    def health(self) -> Mapping[str, float | int | str | None]:
        """Return counters and durations for the health topic. May be called from another thread."""
