"""Points from elsewhere: what an MQTT message of somebody else says, as `input.<name>` of rules."""

from __future__ import annotations

from typing import NamedTuple

from bridge.core.points import NUMBER, TEXT, TRUTH, Known

_TYPES = {"number": NUMBER, "truth": TRUTH, "text": TEXT}


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
        return Known(f"input/{self.name}", self.unit, _TYPES[self.kind])
