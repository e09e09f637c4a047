"""Points from elsewhere: what an MQTT message of somebody else says, as `input.<name>` of rules."""

from __future__ import annotations

from typing import NamedTuple


class InputSpec(NamedTuple):
    """One input of a site, from the config's `inputs:`."""

    name: str  # rules write input.<name>
    topic: str  # an MQTT topic without wildcards
    path: tuple[str | int, ...]  # where in the JSON document; empty: the payload itself
    kind: str  # number, truth, text
    unit: str
    max_age_s: float  # it is unknown when nothing came for longer
