"""The one sentence on top of an explanation: what an alert does now, why, and who heard of it."""

from __future__ import annotations

from bridge.core.alerts import CLEAR, FIRE, AlertState
from bridge.core.compile import WALL
from bridge.core.engine import Engine
from bridge.core.explain_tree import Node
from bridge.core.explain_words import reason
from bridge.core.lifecycle import Phase
from bridge.core.templates import duration_text
from bridge.core.values import iso_time


def verdict(engine: Engine, alert: AlertState, expr: Node, clear: Node | None, now: float) -> str:
    """Return what a technician wants to hear first.

    Args:
        expr: the tree of the rule's expression.
        clear: that of its recovery condition, None when it is the opposite of `expr`.
        now: steady time.
    """
    phase = alert.clock.phase
    if phase is Phase.INACTIVE:
        return _inactive(engine, alert, expr, now)
    if phase in (Phase.PENDING, Phase.WAITING):
        return _pending(alert, expr, now)
    wall_s = float(engine.store.values[WALL])
    began = alert.starts_at - wall_s
    since = f"firing for {duration_text(max(0.0, now - began))} (since {_moment(alert.starts_at)})"
    return f"{since}{_told(engine, alert)}: {_firing(alert, expr, clear, now)}"


def _inactive(engine: Engine, alert: AlertState, expr: Node, now: float) -> str:
    if alert.announced:
        wall_s = float(engine.store.values[WALL])
        calm = f"it is told to be over if it stays quiet until {_moment(alert.quiet_until + wall_s)}"
        return f"not firing, but flapping ({calm}): {reason(expr)}"
    if expr.value is not None:
        return f"not firing: {reason(expr)}"
    return (
        f"not firing, as unknown counts as clear: {reason(expr)}" if _counts(alert) else f"cannot tell: {reason(expr)}"
    )


def _counts(alert: AlertState) -> bool:
    return alert.rule.on_unknown == CLEAR


def _pending(alert: AlertState, expr: Node, now: float) -> str:
    clock = alert.clock
    ran = f"{duration_text(clock.ran_s(now))} of {duration_text(clock.for_s)}"
    if clock.phase is Phase.WAITING:
        return f"pending, its clock stopped after {ran}: {reason(expr)}"
    why = "unknown counts as true: " if expr.value is None and alert.rule.on_unknown == FIRE else ""
    return f"pending for {ran}: {why}{reason(expr)}"


def _firing(alert: AlertState, expr: Node, clear: Node | None, now: float) -> str:
    clock = alert.clock
    ran = f"{duration_text(clock.ran_s(now))} of {duration_text(clock.keep_s)}"
    if clock.phase is Phase.CLEARING:
        over = f"over in {duration_text(max(0.0, clock.due - now))} if it stays clear"
        counts = "unknown counts as clear: " if (clear or expr).value is None else ""
        return f"{over}: {counts}{reason(clear or expr)}"
    if clock.phase is Phase.HOLDING:
        return f"clear for {ran}, where the clock stopped: {reason(clear or expr)}"
    if expr.value is None and alert.rule.on_unknown == FIRE:
        return f"unknown counts as true: {reason(expr)}"
    if expr.value is False and clear is not None:
        return f"{reason(expr)} any more, but it is over only when clear holds: {reason(clear)}"
    if expr.value is None:
        return f"it stays so until it is known again: {reason(expr)}"
    return reason(expr)


def _told(engine: Engine, alert: AlertState) -> str:
    """Return who heard of an alert that fires."""
    quiet = _quiet(engine, alert)
    if not alert.announced:
        seen = " but acknowledged" if alert.acknowledged else ""
        return f", not announced{seen}: {quiet or 'it has yet to be'}"
    seen = " and acknowledged" if alert.acknowledged else ""
    return f", announced{seen}" + (f", now {quiet}" if quiet else "")


def _quiet(engine: Engine, alert: AlertState) -> str:
    """Return all that keeps an alert quiet."""
    announcer = engine.announcer
    wall_s = float(engine.store.values[WALL])
    kept = []
    if alert.silenced:
        kept += [
            f"silenced until {_moment(one.until + wall_s)}" + (f' ("{one.comment}")' if one.comment else "")
            for one in announcer.silences_of(alert)
        ]
    if alert.inhibited:
        causes = ", ".join(one.id for one in announcer.inhibitors(alert))
        kept.append(f"inhibited by {causes}" if causes else "inhibited until it is over, as what inhibited it is")
    if alert.flapping:
        kept.append("flapping")
    return "; ".join(kept)


def _moment(wall: float) -> str:
    return f"{iso_time(wall)[:19].replace('T', ' ')} UTC"
