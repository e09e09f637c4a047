"""What a rule reads and whether the GX has it: the first question when an alert stays silent."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from bridge.core.alerts import Rule
from bridge.core.engine import Engine
from bridge.core.formula import Formula, Input
from bridge.core.rules import Program
from bridge.model import Device

_PRESENCE = ("online", "stale", "site/online", "site/stale")


class InputState(Enum):
    """Whether the value of a point is known."""

    GOOD = "good"
    INVALID = "no value"  # the GX says so
    STALE = "stale"  # it was not read in time, or its device or the GX is offline
    MISSING = "missing"  # it never came


class RuleInput(NamedTuple):
    """A point that a rule reads, as rules write it. `state` None: nobody looked."""

    point: str
    state: InputState | None


def inputs_of(program: Program, rule: Rule) -> list[RuleInput]:
    """Return the points that a rule reads, under functions over time too."""
    each = f"{rule.each}[*]." if rule.each not in (None, "*") else "device."
    named = [(each if one.each else "") + one.name.replace("/", ".") for one in rule.points]
    grouped = [f"{kind}[*].{one.name.replace('/', '.')}" for kind, one in _members(program, rule)]
    return [RuleInput(name, None) for name in dict.fromkeys([*named, *grouped])]


def input_states(engine: Engine, rule: Rule, device: Device | None) -> list[RuleInput]:
    """Return the points that a rule reads, for one device, with the state of each now."""
    prefix = f"{device.path}/" if device else ""
    found = {one.of(prefix): _state(engine, one, one.of(prefix)) for one in rule.points}
    for kind, one in _members(engine.program, rule):
        for other in engine.store.devices:
            if other.kind == kind:
                name = f"{other.path}/{one.name}"
                found[name] = _state(engine, one, name)
    return [RuleInput(_dotted(name), state) for name, state in found.items()]


def _state(engine: Engine, one: Input, name: str) -> InputState:
    store = engine.store
    slot = store.slot(name, one.type.labels)
    if store.values[slot] is not None:
        return InputState.GOOD
    if store.is_stale[slot]:
        return InputState.STALE
    is_known = store.group_at(slot) is not None or name in engine.derived_states or one.name in _PRESENCE
    return InputState.INVALID if is_known else InputState.MISSING


def _members(program: Program, rule: Rule) -> Iterator[tuple[str, Input]]:
    """Yield what the aggregates of a rule read of every device, with the class."""
    derived = {(one.derived.each, one.derived.name): one.derived.formula for one in program.derived}
    formulas: list[Formula] = rule.formulas()
    while formulas:
        formula = formulas.pop()
        for members in formula.members:
            yield from ((members.kind, one) for one in members.inputs if not one.name.startswith("~"))
        inner = (derived.get((rule.each if one.each else None, one.name)) for one in formula.inputs)
        formulas += [one for one in inner if one is not None]


def _dotted(name: str) -> str:
    head, _, rest = name.partition("/")
    number, _, below = rest.partition("/")
    return f"{head}[{number}].{below.replace('/', '.')}" if number.isdigit() else name.replace("/", ".")
