"""A rule that no device is watched by: which points are missing for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bridge.core.alerts import Rule
from bridge.core.engine import Engine
from bridge.core.formula import Input
from bridge.core.groups import DeviceState
from bridge.model import Device


def find_unwatched(engine: Engine, alert_id: str) -> tuple[Rule | None, Device | None]:
    """Return the rule of an id that the engine watches nothing for, and the device that the id names."""
    name, _, path = alert_id.partition("/")
    rule = next((one for one in engine.program.rules if one.name == name), None)
    if rule is None or not path:
        return rule, None
    device = next((one for one in engine.store.devices if one.path == path), None)
    is_for = device is not None and rule.each in ("*", device.kind)
    return (rule, device) if is_for else (None, None)


def missing_points(engine: Engine, rule: Rule, device: Device | None) -> list[dict[str, Any]]:
    """Return for each device of the rule's class (or for one) the points that it lacks."""
    states = [
        state
        for state in engine.store.devices.values()
        if rule.each in ("*", state.device.kind) and device in (None, state.device)
    ]
    return [
        {
            "device": {"class": state.device.kind, "instance": state.device.instance},
            "points": [name.replace("/", ".") for name in _lacks(engine, rule, state)],
        }
        for state in states
    ]


def _lacks(engine: Engine, rule: Rule, state: DeviceState) -> list[str]:
    own = list(_leafs(engine, rule.needs(), rule.each))
    lacking = [one.name for one in own if one.is_needed and one.name not in state.seen]
    return list(dict.fromkeys(lacking or (one.name for one in own if one.name not in state.seen)))


def _leafs(engine: Engine, needs: Iterable[Input], each: str | None) -> Iterable[Input]:
    """Return the points that the GX would have to tell: for one that the engine computes, those it is computed of."""
    for one in needs:
        if not one.each or one.name.startswith("@"):
            continue
        key = (each, one.name)
        rule = next((rule for rule in engine.program.derived if (rule.derived.each, rule.derived.name) == key), None)
        if rule is None:
            yield one
            continue
        for inner in _leafs(engine, rule.derived.formula.inputs, rule.derived.each):
            yield inner._replace(is_needed=inner.is_needed and one.is_needed)


def unwatched_verdict(rule: Rule, missing: Sequence[dict[str, Any]], device: Device | None = None) -> str:
    """Return in one sentence why the rule watches nothing."""
    what = "device" if rule.each == "*" else str(rule.each)
    if not missing:
        return f"watches nothing: the GX has no {what}"
    lacked = [set(one["points"]) for one in missing]
    common = [point for point in missing[0]["points"] if all(point in points for points in lacked)]
    names = ", ".join(common or missing[0]["points"])
    if device is not None:
        return f"not watched: {device.path} has no {names}"
    return f"watches nothing: no {what} has {names}"
