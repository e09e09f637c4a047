"""What a rule reads and whether the GX has it: the first question when an alert stays silent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from bridge.core.alerts import Rule
from bridge.core.derived import DerivedRule
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


class Reads(NamedTuple):
    """A rule, and what it reads of the site, of its device, and of all devices of a class."""

    each: str | None
    points: tuple[Input, ...]
    members: tuple[tuple[str, Input], ...]


def reads_of_alert(program: Program, rule: Rule) -> Reads:
    """Return what an alert reads, under functions over time too."""
    return Reads(rule.each, rule.points, tuple(_members(program, rule.each, rule.formulas())))


def reads_of_record(program: Program, rule: DerivedRule) -> Reads:
    """Return what a record reads, under functions over time too."""
    each, formula = rule.derived.each, rule.derived.formula
    points = {(one.each, one.name): one for one in _leafs(program, each, formula)}
    return Reads(each, tuple(points.values()), tuple(_members(program, each, [formula])))


def written_inputs(reads: Reads) -> list[RuleInput]:
    """Return the points as a rule names them, of no device in particular."""
    each = "device." if reads.each == "*" else f"{reads.each}[*]."
    named = [(each if one.each else "") + one.name.replace("/", ".") for one in reads.points]
    grouped = [f"{kind}[*].{one.name.replace('/', '.')}" for kind, one in reads.members]
    return [RuleInput(name, None) for name in dict.fromkeys([*named, *grouped])]


def input_states(engine: Engine, reads: Reads, device: Device | None) -> list[RuleInput]:
    """Return the points that a rule reads for one device, with the state of each now."""
    prefix = f"{device.path}/" if device else ""
    found = {one.of(prefix): _state(engine, one, one.of(prefix)) for one in reads.points}
    for kind, one in reads.members:
        for other in engine.store.devices:
            if other.kind == kind:
                name = f"{other.path}/{one.name}"
                found[name] = _state(engine, one, name)
    return [RuleInput(dotted(name), state) for name, state in found.items()]


def _state(engine: Engine, one: Input, name: str) -> InputState:
    store = engine.store
    slot = store.slot(name, one.type.labels)
    if store.values[slot] is not None:
        return InputState.GOOD
    if store.is_stale[slot]:
        return InputState.STALE
    is_known = store.group_at(slot) is not None or name in engine.derived_states or one.name in _PRESENCE
    return InputState.INVALID if is_known else InputState.MISSING


def _derived(program: Program) -> dict[tuple[str | None, str], DerivedRule]:
    return {(one.derived.each, one.derived.name): one for one in program.derived}


def _leafs(program: Program, each: str | None, formula: Formula) -> Iterator[Input]:
    """Yield what a formula reads; of a function over time, what that reads."""
    for one in formula.inputs:
        inner = _derived(program).get((each if one.each else None, one.name))
        if inner is not None and not inner.is_record:
            yield from _leafs(program, each, inner.derived.formula)
        elif not one.name.startswith("@"):
            yield one


def _members(program: Program, each: str | None, formulas: Iterable[Formula]) -> Iterator[tuple[str, Input]]:
    """Yield what the aggregates in formulas read of every device, with the class."""
    for formula in formulas:
        for members in formula.members:
            yield from ((members.kind, one) for one in members.inputs if not one.name.startswith("~"))
        for one in formula.inputs:
            inner = _derived(program).get((each if one.each else None, one.name))
            if inner is not None and not inner.is_record:
                yield from _members(program, each, [inner.derived.formula])


def dotted(name: str) -> str:
    """Return a topic name as rules write it: `battery[512].soc`."""
    head, _, rest = name.partition("/")
    number, _, below = rest.partition("/")
    return f"{head}[{number}].{below.replace('/', '.')}" if number.isdigit() else name.replace("/", ".")
