"""Points from elsewhere: what an MQTT message of somebody else says, as `input.<name>` of rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bridge.core.points import NUMBER, TEXT, TRUTH, Known, PointIndex
from bridge.core.rule_fields import Fields

KINDS = {"number": NUMBER, "truth": TRUTH, "text": TEXT}


class InputSpec(NamedTuple):
    """One input of a site, from the config's `inputs:`."""

    name: str  # rules write input.<name>
    topic: str  # an MQTT topic without wildcards
    path: tuple[str | int, ...]  # where in the JSON document; empty: the payload itself
    kind: str  # number, truth, text
    unit: str
    max_age_s: float  # it is unknown when nothing came for longer

    @property
    def known(self) -> Known:
        """The point that rules may name."""
        return Known(f"input/{self.name}", self.unit, KINDS[self.kind])


def declare_inputs(pack: Fields, points: PointIndex) -> None:
    """Add the external points that a pack declares: known at a site without them, too, and UNKNOWN there."""
    written = pack.data.get("inputs") or {}
    if not isinstance(written, Mapping):
        pack.fault("inputs", "inputs must be a map of names to what they are, as in price: {unit: EUR/kWh}")
        return
    for name, data in written.items():
        if not isinstance(data, Mapping):
            pack.fault("inputs", f"the input {name} must be a map with the keys kind and unit")
            continue
        fields = Fields(pack.pack, ("inputs", name), data, pack.faults)
        fields.check_keys(("kind", "unit"), ())
        kind = fields.choice("kind", tuple(KINDS), "number")
        known = Known(f"input/{name}", fields.text("unit"), KINDS[kind])
        site = points.site(known.name)
        if site is None:
            points.add_site(known)
        elif site.type != known.type:
            fields.fault(
                None, f"the input {name} is a {kind} here, but a {site.type.name} at the site or in another pack"
            )
