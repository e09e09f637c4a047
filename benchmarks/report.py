"""How figures are printed."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of all lie; NaN when there is none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def goal(what: str, value: float, limit: float) -> bool:
    """Print a figure beside its goal; return whether it is reached."""
    is_reached = value <= limit
    print(f"{'reached' if is_reached else 'MISSED ':8} {what}: {value:.2f} (goal: at most {limit:g})")
    return is_reached
