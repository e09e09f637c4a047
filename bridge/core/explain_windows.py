"""How much a function over time knows, and how much longer it needs: what to tell while it is UNKNOWN."""

from __future__ import annotations

from bridge.core.formula import Window
from bridge.core.ring import COVERAGE, Ring, Series
from bridge.core.spans import FEWEST_WEEKS, Seasonal, Smoothed
from bridge.core.templates import duration_text

_NO_SPREAD = "what is known has no spread to measure by"


def known_s(series: Series) -> float | None:
    """Return how many seconds of its window are known; None when it has none."""
    return round(series.known_s(), 3) if isinstance(series, Ring) else None


def lack(window: Window, series: Series, local_at: float) -> str:
    """Return why a function over time is UNKNOWN although its value is not, and when it will be known.

    Args:
        local_at: the moment on the wall clock of the site's time zone.
    """
    if isinstance(series, Smoothed):
        half_life_s = window.constants[0]
        known = f"{duration_text(series.known_s())} are known, one half-life of {duration_text(half_life_s)} is needed"
        return f"{known}: {_wait(half_life_s - series.known_s())}"
    if isinstance(series, Seasonal):
        weeks = series.weeks_known(local_at)
        if weeks >= FEWEST_WEEKS:
            return _NO_SPREAD
        known = f"of this hour of the week {weeks} of {FEWEST_WEEKS} weeks are known"
        return f"{known}: {_wait((FEWEST_WEEKS - weeks) * 7 * 86400.0)}"
    needed_s = window.span_s * COVERAGE
    if isinstance(series, Ring) and series.known_s() < needed_s:
        known = f"{duration_text(series.known_s())} of {duration_text(window.span_s)} are known"
        return f"{known}, {COVERAGE * 100:.0f} % are needed: {_wait(needed_s - series.known_s())}"
    return _NO_SPREAD if window.function == "zscore" else "it cannot be told of what is known"


def _wait(seconds: float) -> str:
    return f"in {duration_text(seconds)} at the earliest"
