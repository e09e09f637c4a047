"""Site points that are sums of others: a sum exists when one of its parts has a value.

What a sum is made of is matched once per point of a service; the service remembers it, so that names which come and
go take no memory here.
"""

from __future__ import annotations

from collections.abc import Iterable

from bridge.core.catalogue import Catalogue
from bridge.core.paths import point_pattern
from bridge.model import Point, Sample


class Sums:
    """The sums of one site and the present values of their parts."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._rules = [
            (name, spec, [point_pattern(part) for part in parts]) for name, (spec, parts) in catalogue.sums().items()
        ]
        self._parts: dict[str, dict[str, float | None]] = {}
        self._points: dict[str, Point] = {}

    def names(self, part: str) -> list[str]:
        """Return the names of the sums that the point `part` belongs to."""
        return [name for name, _, patterns in self._rules if any(pattern.fullmatch(part) for pattern in patterns)]

    def update(self, samples: Iterable[Sample], sums_of: dict[str, list[str]], at: float) -> list[Sample]:
        """Return the sums that these samples change; `sums_of` is what the service of the samples remembers."""
        touched: dict[str, None] = {}
        for point, value, _, _ in samples:
            sums = sums_of.get(point.name)
            if sums is None:
                sums = sums_of[point.name] = self._join(point)
            for name in sums:
                self._parts[name][point.name] = value if isinstance(value, int | float) else None
                touched[name] = None
        return [Sample(self._points[name], self._total(name), at) for name in touched]

    def _join(self, point: Point) -> list[str]:
        found = self.names(point.name)
        specs = {name: spec for name, spec, _ in self._rules}
        for name in found:
            self._parts.setdefault(name, {})
            self._points[name] = Point(name, specs[name], None, point.group)  # read together with its parts
        return found

    def _total(self, name: str) -> float | None:
        parts = [part for part in self._parts[name].values() if part is not None]
        return sum(parts) if parts else None
