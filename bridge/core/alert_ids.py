"""Ids of alerts in what people are told: in the order that they expect, and not too many at once."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bridge.core.engine import Engine
from bridge.errors import RuleError

_SHOWN = 20  # names in a sentence
_NUMBER = re.compile(r"([0-9]+)")


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence, numbers in their order; of many the first and how many more there are."""
    ordered = sorted(names, key=_natural)
    more = f" …and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return (", ".join(ordered[:_SHOWN]) or "none") + more


def _natural(name: str) -> list[str | int]:
    return [int(part) if place % 2 else part for place, part in enumerate(_NUMBER.split(name))]


def ids_of(engine: Engine, name: str) -> list[str]:
    """Return the ids of all alerts that a rule watches."""
    return [one.id for one in engine.alert_states.values() if one.rule.name == name]


def refuse_name(engine: Engine, alert_id: str) -> None:
    """Refuse the name of a rule that is for devices where the id of one alert is needed.

    Raises:
        RuleError: it is one; says which ids there are.
    """
    if alert_id in engine.alert_states or all(rule.name != alert_id for rule in engine.program.rules):
        return
    ids = ids_of(engine, alert_id)
    there_are = f"choose one: {listed(ids)}" if ids else "no device has it now"
    raise RuleError(f"{alert_id} is an alert of devices; {there_are}")
