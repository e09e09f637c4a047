"""Why is an alert in the state it is in? One document, for a person and for a program (explain.schema.json).

Nothing is changed by asking. The trees hold what the engine saw at its last step; ages and clocks are those of `now`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from bridge.core.alert_ids import ids_of, listed
from bridge.core.alerts import AlertState, Rule
from bridge.core.compile import WALL, Code
from bridge.core.engine import Engine
from bridge.core.explain_absent import find_unwatched, missing_points, unwatched_verdict
from bridge.core.explain_phase import verdict
from bridge.core.explain_tree import Node, TreeReader
from bridge.core.lifecycle import Phase
from bridge.core.nearest import nearest
from bridge.core.values import iso_time
from bridge.errors import RuleError
from bridge.model import Device

SCHEMA = "victron-bridge/explain/1"
ALL = "*"
_FOR_RUNS = {Phase.INACTIVE: "off", Phase.PENDING: "running", Phase.WAITING: "paused"}
_KEEP_RUNS = {Phase.CLEARING: "running", Phase.HOLDING: "paused"}


def explain(engine: Engine, alert_id: str, now: float, topics: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return everything there is to say about an alert, as JSON can hold it.

    Args:
        alert_id: `battery_soc_low`, `cell_spread_high/battery/512`; the name alone where only one device has it;
            `*` for one line about each alert.
        now: steady time.
        topics: of inputs by their point, such as `input/price`; None where nobody hears messages.

    Raises:
        RuleError: there is no such alert, or several devices have it; says which there are.
    """
    asker = _Asker(engine, now, topics)
    if alert_id == ALL:
        return asker.overview()
    alert = _find(engine, alert_id)
    if alert is not None:
        return asker.alert(alert)
    rule, device = find_unwatched(engine, alert_id)
    if rule is None:
        raise RuleError(_unknown(engine, alert_id))
    return asker.unwatched(rule, device)


def _find(engine: Engine, alert_id: str) -> AlertState | None:
    alert = engine.alert_states.get(alert_id)
    if alert is not None:
        return alert
    found = [one for one in engine.alert_states.values() if one.rule.name == alert_id]
    if len(found) > 1:
        ids = listed(one.id for one in found)
        raise RuleError(f"{len(found)} devices have the alert {alert_id}; choose one: {ids}")
    return found[0] if found else None


def _unknown(engine: Engine, alert_id: str) -> str:
    own = ids_of(engine, alert_id.partition("/")[0])
    names = own or {*engine.alert_states, *(rule.name for rule in engine.program.rules)}
    near = nearest(alert_id, names)
    advice = f'did you mean "{near}"?' if near else f"there are {listed(names)}"
    return f'there is no alert "{alert_id[:100]}"; {advice}'


class _Asker:
    """Looks at one engine at one moment."""

    def __init__(self, engine: Engine, now: float, topics: Mapping[str, str] | None) -> None:
        self._engine = engine
        self._now = max(now, float(engine.store.values[0]))
        self._wall_s = float(engine.store.values[WALL])
        self._reader = TreeReader(engine, self._now, topics)

    def overview(self) -> dict[str, Any]:
        """Return one line about each alert, those that no device has included."""
        engine = self._engine
        watched = {alert.rule.order for alert in engine.alert_states.values()}
        told = []
        for alert in engine.alert_states.values():
            expr, clear = self._trees(alert)
            told.append((alert.order, self._line(alert.id, alert, verdict(engine, alert, expr, clear, self._now))))
        for rule in engine.program.rules:
            if rule.order not in watched:
                absent = unwatched_verdict(rule, missing_points(engine, rule, None))
                told.append(((rule.order, Device("", 0)), self._line(rule.name, None, absent)))
        lines = [line for _, line in sorted(told, key=lambda one: one[0])]
        return {"schema": SCHEMA, "site": engine.site, "ts": iso_time(self._now + self._wall_s), "alerts": lines}

    def _line(self, alert_id: str, alert: AlertState | None, sentence: str) -> dict[str, Any]:
        return {
            "id": alert_id,
            "phase": alert.clock.phase.seen_as if alert else None,
            "truth": alert.truth if alert else None,
            "acknowledged": alert is not None and alert.acknowledged,
            "silenced": alert is not None and alert.silenced,
            "inhibited": alert is not None and alert.inhibited,
            "verdict": sentence,
        }

    def alert(self, alert: AlertState) -> dict[str, Any]:
        """Return the document of an alert that is watched."""
        engine, rule, clock = self._engine, alert.rule, alert.clock
        shown = engine.announcer.state(alert)
        expr, clear = self._trees(alert)
        return {
            **self._head(rule, alert.id, alert.device, verdict(engine, alert, expr, clear, self._now)),
            "severity": alert.severity,
            "summary": shown.summary,
            "truth": alert.truth,
            "phase": clock.phase.seen_as,
            "inner_phase": clock.phase.word,
            "since": self._past(alert.since - self._wall_s) if alert.since else None,
            "started": self._past(alert.starts_at - self._wall_s) if alert.is_firing else None,
            "value": shown.value,
            "value_at_firing": alert.shown(alert.value_at_firing),
            "peak": shown.peak,
            "unit": self._tree(alert, rule.value).unit if rule.value else "",
            "announced": self._past(alert.announced_at) if alert.announced else None,
            "acknowledged": alert.acknowledged,
            "silenced": alert.silenced,
            "silences": self._silences(alert),
            "inhibited": alert.inhibited,
            "inhibited_by": [one.id for one in engine.announcer.inhibitors(alert)],
            "flapping": alert.flapping,
            "firings_last_hour": sum(at > self._now - 3600 for at in alert.firings),
            "clocks": self._clocks(alert),
            "expr": expr.document(),
            "clear": clear.document() if clear else None,
            "missing": [],
        }

    def unwatched(self, rule: Rule, device: Device | None) -> dict[str, Any]:
        """Return the document of a rule that no device, or not this one, has the points for."""
        missing = missing_points(self._engine, rule, device)
        alert_id = f"{rule.name}/{device.path}" if device else rule.name
        return {
            **self._head(rule, alert_id, device, unwatched_verdict(rule, missing, device)),
            "severity": rule.severity,
            "phase": None,
            "expr": self._reader.unread(rule.expr.formula, rule.each).document(),
            "missing": missing,
        }

    # -- parts ------------------------------------------------------------------------------------------------------

    def _head(self, rule: Rule, alert_id: str, device: Device | None, sentence: str) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "verdict": sentence,
            "id": alert_id,
            "site": self._engine.site,
            "ts": iso_time(self._now + self._wall_s),
            "alert": rule.name,
            "device": {"class": device.kind, "instance": device.instance} if device else None,
            "pack": rule.pack,
            "on_unknown": rule.on_unknown,
            "source": rule.source,
        }

    def _trees(self, alert: AlertState) -> tuple[Node, Node | None]:
        rule = alert.rule
        return self._tree(alert, rule.expr), self._tree(alert, rule.clear) if rule.clear else None

    def _tree(self, alert: AlertState, code: Code) -> Node:
        return self._reader.read(code.formula, alert.rule.each, f"{alert.device.path}/" if alert.device else "")

    def _past(self, at: float) -> dict[str, Any]:
        return {"at": iso_time(at + self._wall_s), "ago_s": round(max(0.0, self._now - at), 3)}

    def _due(self, at: float) -> dict[str, Any] | None:
        if at == inf:
            return None
        return {"at": iso_time(at + self._wall_s), "in_s": round(max(0.0, at - self._now), 3)}

    def _silences(self, alert: AlertState) -> list[dict[str, Any]]:
        return [
            {
                "kind": "silence" if one.id else "maintenance",
                "id": one.id or None,
                "comment": one.comment,
                "until": self._due(one.until),
            }
            for one in self._engine.announcer.silences_of(alert)
        ]

    def _clocks(self, alert: AlertState) -> dict[str, Any]:
        rule, phase = alert.rule, alert.clock.phase
        escalation = reminder = None
        if rule.escalate_s:
            escalation = {
                "after_s": rule.escalate_s,
                "severity": rule.escalate_to,
                "is_done": alert.escalated,
                "due": None if alert.acknowledged else self._due(alert.escalate_at),
            }
        if rule.repeat_s:
            is_quiet = alert.acknowledged or alert.silenced or alert.inhibited or alert.flapping
            reminder = {"every_s": rule.repeat_s, "due": None if is_quiet else self._due(alert.remind_at)}
        return {
            "for": self._clock(alert, rule.for_s, _FOR_RUNS.get(phase, "over")),
            "keep_firing_for": self._clock(alert, rule.keep_s, _KEEP_RUNS.get(phase, "off")),
            "reminder": reminder,
            "escalation": escalation,
            "flapping_until": self._due(alert.quiet_until) if alert.flapping else None,
        }

    def _clock(self, alert: AlertState, limit_s: float, state: str) -> dict[str, Any]:
        is_on = state in ("running", "paused")
        ran_s = alert.clock.ran_s(self._now) if is_on else limit_s if state == "over" else 0.0
        return {
            "state": state,
            "limit_s": limit_s,
            "ran_s": round(min(ran_s, limit_s), 3),
            "due": self._due(alert.clock.due) if state == "running" else None,
        }
