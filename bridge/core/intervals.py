"""How often points want to be read. The most specific setting wins: a point's own, its class's, its tier's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bridge.model import PointSpec, Tier


class Intervals(NamedTuple):
    """The configured intervals, in seconds."""

    tiers: Mapping[Tier, float]
    classes: Mapping[str, float] = {}
    points: Mapping[str, float] = {}  # "battery.soc", "grid.power": class or site point

    def of(self, kind: str, spec: PointSpec, name: str, delivers: Iterable[str] = ()) -> float:
        """Return the interval of the point `name` of class `kind`.

        Args:
            name: below the device, or below the site where there is none: `soc`, `grid/l1/power`.
            delivers: the points that are made from this one; what they are set to can only make it faster.
        """
        wanted_s = self._own(kind, name) or self._usual(kind, spec)
        made = (self._own(kind, other) for other in delivers)
        return min([wanted_s, *(other_s for other_s in made if other_s)])

    def _own(self, kind: str, name: str) -> float | None:
        dotted = name.replace("/", ".")
        return self.points.get(dotted) or self.points.get(f"{kind}.{dotted}")

    def _usual(self, kind: str, spec: PointSpec) -> float:
        tier_s = self.tiers[spec.tier]
        # Names and versions do not become hot because their class is.
        return tier_s if spec.tier is Tier.STATIC else self.classes.get(kind, tier_s)
