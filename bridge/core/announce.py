"""What people hear of alerts: events, and what withholds them.

Law: an alert that was announced is always told to be over; nothing is told twice; every event takes the next `seq`.

After each moment `settle` compares what an alert is with what was said of it and says the difference:

    it fires, not announced    `firing`, unless silenced, inhibited, or flapping and told so
    it is over, announced      `resolved`, unless flapping: then when it has become quiet
    announced, silence begins  `silenced`;  the silence ends, still firing: `unsilenced`

Inhibition lasts while the inhibited alert is being cleared: when a cause goes, its consequences go with it, each at its
own pace, and are no news. Reminders and escalation are told of what is announced and neither acknowledged, silenced,
inhibited nor flapping. Their clocks stand still while an alert that fires is UNKNOWN on hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from bridge.core.alerts import AlertState, as_shown
from bridge.core.compile import LOCAL, WALL, Code
from bridge.core.lifecycle import Phase
from bridge.core.maintenance import Maintenance
from bridge.core.store import Store
from bridge.errors import RuleError
from bridge.model import Alert, Device, Event, Value

FLAPPING_FIRINGS, FLAPPING_WITHIN_S, FLAPPING_QUIET_S = 5, 3600.0, 1800.0  # rules.md section 4
MAX_SILENCES = 100
MATCHERS = ("alert", "severity", "site", "device", "labels")


class Silence(NamedTuple):
    """Alerts that match are not told of until `until` (steady time)."""

    id: int
    matcher: dict[str, Any]
    until: float
    comment: str


class Announcer:
    """Turns what happened to alerts into events. Knows silences, inhibition and flapping of one site."""

    def __init__(
        self,
        site: str,
        store: Store,
        read: Callable[[AlertState, Code], Any],
        maintenance: Sequence[Maintenance] = (),
    ) -> None:
        self._site = site
        self._store = store
        self._read = read
        self._maintenance = maintenance
        self.opened: tuple[Silence, ...] = ()  # maintenance windows that are open, as the silences that they are
        self.zones: Mapping[str, float] = {}  # seconds ahead of UTC, of zones other than the site's
        self.seq = 0
        self.silences: dict[int, Silence] = {}
        self.next_silence = 1
        self.by_rule: dict[int, list[AlertState]] = {}  # alerts by the order of their rule
        self.inhibits: dict[int, list[int]] = {}  # rule -> rules that it makes redundant
        self.events: list[Event] = []
        self.changed: dict[str, AlertState] = {}
        self._announced: list[AlertState] = []

    def wall(self, at: float) -> float:
        """Return the wall clock at a steady time."""
        return at + float(self._store.values[WALL])

    # -- what happened --------------------------------------------------------------------------------------------

    def settle(self, moved: Iterable[AlertState], now: float) -> None:
        """Take alerts whose phase changed at `now` and say what is to be said."""
        alerts = {}
        for alert in moved:
            if alert.clock.is_firing or alert.announced or alert.fired_at > alert.ended_at:
                alerts[alert.id] = alert
            else:  # it came to nothing, or not yet to anything
                self.changed[alert.id] = alert
                alert.since = self.wall(now)
                if alert.is_idle:
                    alert.forget_value()
        if alerts:
            self._settle(alerts, now)

    def _settle(self, alerts: dict[str, AlertState], now: float) -> None:
        for alert in sorted(alerts.values(), key=_order):
            self._note(alert, now)
        affected = [other for alert in alerts.values() for other in self._inhibited_by(alert)]
        for alert in affected:
            alerts[alert.id] = alert
        for alert in sorted(alerts.values(), key=_order):
            self.reconcile(alert, now)

    def _note(self, alert: AlertState, now: float) -> None:
        """Keep the books of a phase that began."""
        self.changed[alert.id] = alert
        alert.since = self.wall(now)
        if alert.is_firing and alert.ended_at >= alert.fired_at:
            self._fired(alert, now)
        elif not alert.is_firing and alert.fired_at > alert.ended_at:
            alert.ended_at = now
            alert.remind_at = alert.escalate_at = inf
            self._unrest(alert, now)

    def _fired(self, alert: AlertState, now: float) -> None:
        alert.fired_at, alert.ended_at = now, -inf
        if not alert.announced:
            alert.starts_at, alert.began_at = self.wall(now), now
            alert.value_at_firing = alert.value()
        elif alert.rule.repeat_s:  # it flaps, and fires again
            alert.remind_at = now + alert.rule.repeat_s
        alert.escalated = False
        alert.escalate_at = now + alert.rule.escalate_s if alert.rule.escalate_s else inf
        alert.silenced = self._silence_of(alert) is not None
        alert.inhibited = self._is_inhibited(alert)
        alert.firings = (*(at for at in alert.firings if at > now - FLAPPING_WITHIN_S), now)[-FLAPPING_FIRINGS:]
        if len(alert.firings) == FLAPPING_FIRINGS:
            alert.flapping = True
        self._unrest(alert, now)

    def _unrest(self, alert: AlertState, now: float) -> None:
        if alert.flapping:
            alert.quiet_until = now + FLAPPING_QUIET_S

    def reconcile(self, alert: AlertState, now: float) -> None:
        """Say what an alert is, where that differs from what was said."""
        if not alert.is_firing:
            self._tell_end(alert, now)
            return
        outlived = alert.inhibited and not alert.announced and alert.clock.phase is not Phase.FIRING
        is_inhibited = outlived or self._is_inhibited(alert)
        if is_inhibited != alert.inhibited:
            alert.inhibited = is_inhibited
            self.changed[alert.id] = alert
        if not alert.announced:
            self._tell_start(alert, now)
        elif alert.silenced != alert.told_silenced:
            alert.told_silenced = alert.silenced
            silence = self._silence_of(alert)
            self._say("silenced" if silence else "unsilenced", alert, now, silence.comment if silence else "")

    def _tell_start(self, alert: AlertState, now: float) -> None:
        if alert.silenced or alert.inhibited or (alert.flapping and alert.flap_told):
            return
        if alert.clock.phase is not Phase.FIRING:
            return  # its condition is over, it only waits for `keep_firing_for`: nobody need hear of it any more
        alert.announced = True
        alert.announced_at = now
        self._announced.append(alert)
        alert.flap_told = alert.flapping
        alert.remind_at = alert.told_at(now) + alert.rule.repeat_s if alert.rule.repeat_s else inf
        self._say("firing", alert, now, "flapping: it comes and goes" if alert.flapping else "")

    def _tell_end(self, alert: AlertState, now: float) -> None:
        if alert.flapping:
            return
        if alert.announced:
            self._say("resolved", alert, now)
        alert.announced = alert.acknowledged = alert.told_silenced = alert.silenced = alert.inhibited = False
        alert.escalated = False
        if alert.is_idle:
            alert.forget_value()

    def take_announced(self) -> list[AlertState]:
        """Return what was announced since the last call: its reminders are yet to be put on the agenda."""
        announced, self._announced = self._announced, []
        return announced

    # -- time -----------------------------------------------------------------------------------------------------

    def ring(self, alert: AlertState, now: float) -> None:
        """Do what is due of an alert besides its phase: reminder, escalation, end of flapping."""
        known = alert.told_at(now)
        if alert.remind_at <= known:
            alert.remind_at += alert.rule.repeat_s * (1 + (known - alert.remind_at) // alert.rule.repeat_s)
            if self._is_open(alert):
                self._say("reminder", alert, now)
        if alert.escalate_at <= known:
            self._escalate(alert, now)
        if alert.quiet_until <= now:
            alert.quiet_until = inf
            alert.flapping = alert.flap_told = False
            alert.firings = ()
            self.changed[alert.id] = alert
            self.reconcile(alert, now)

    def _escalate(self, alert: AlertState, now: float) -> None:
        alert.escalate_at = inf
        if alert.acknowledged:
            return
        was_announced, alert.escalated = alert.announced, True
        self.changed[alert.id] = alert
        alert.silenced = self._silence_of(alert) is not None  # it may be by severity
        self.reconcile(alert, now)
        if was_announced and self._is_open(alert):
            self._say("escalated", alert, now)

    def _is_open(self, alert: AlertState) -> bool:
        """Announced, and nothing keeps it quiet."""
        quiet = alert.acknowledged or alert.silenced or alert.inhibited or alert.flapping
        return alert.is_firing and alert.announced and not quiet

    # -- people ---------------------------------------------------------------------------------------------------

    def acknowledge(self, alert: AlertState, now: float, comment: str) -> None:
        """Stop reminders and escalation of a firing alert."""
        if alert.acknowledged:
            return
        alert.acknowledged = True
        self.changed[alert.id] = alert
        if alert.announced:
            self._say("acknowledged", alert, now, comment)

    def unacknowledge(self, alert: AlertState, now: float) -> None:
        """Let reminders and escalation go on."""
        if not alert.acknowledged:
            return
        alert.acknowledged = False
        self.changed[alert.id] = alert
        escalate_s = alert.rule.escalate_s
        if escalate_s and not alert.escalated and alert.escalate_at == inf:
            alert.escalate_at = max(alert.told_at(now), alert.fired_at + escalate_s)
            if alert.escalate_at <= now and alert.unknown_at == inf:
                self._escalate(alert, now)

    def silence(self, matcher: Mapping[str, Any], until: float, comment: str) -> Silence:
        """Begin a silence.

        Raises:
            RuleError: the matcher names what no alert has, or there are too many silences.
        """
        for key in matcher:
            if key not in MATCHERS:
                raise RuleError(f'a silence matches by {", ".join(MATCHERS)}, not by "{key}"')
        if not isinstance(matcher.get("labels", {}), Mapping):
            raise RuleError("labels of a silence are a map of names to values")
        if len(self.silences) >= MAX_SILENCES:
            raise RuleError(f"there are {MAX_SILENCES} silences already; end one first")
        silence = Silence(self.next_silence, dict(matcher), until, comment)
        self.next_silence += 1
        self.silences[silence.id] = silence
        return silence

    def apply_silences(self, now: float) -> None:
        """Say what silences that began or ended at `now` change."""
        self.silences = {key: one for key, one in self.silences.items() if one.until > now}
        for alert in sorted((one for alerts in self.by_rule.values() for one in alerts), key=_order):
            is_silenced = alert.is_firing and self._silence_of(alert) is not None
            if is_silenced != alert.silenced:
                alert.silenced = is_silenced
                self.changed[alert.id] = alert
            elif not alert.is_firing:
                continue
            self.reconcile(alert, now)  # after a restart what inhibits it may be another, too

    def open_windows(self, now: float) -> float:
        """Look which maintenance windows are open; return when that next changes.

        `apply_silences` is to be called at that moment, too.
        """
        opened, turns = [], []
        for window in self._maintenance:
            ahead_s = float(self._store.values[WALL]) + self.zones.get(window.zone, float(self._store.values[LOCAL]))
            until = window.next_turn(now + ahead_s) - ahead_s
            turns.append(until)
            if window.is_open(now + ahead_s):
                opened.append(Silence(0, dict(window.matcher), until, window.comment or "maintenance"))
        self.opened = tuple(opened)
        return min(turns)

    def silences_of(self, alert: AlertState) -> list[Silence]:
        """Return the silences, and the maintenance windows that are open, which match an alert."""
        kept = (*self.silences.values(), *self.opened)
        return [one for one in kept if self._matches(one.matcher, alert)]

    def _silence_of(self, alert: AlertState) -> Silence | None:
        return next(iter(self.silences_of(alert)), None)

    def _matches(self, matcher: Mapping[str, Any], alert: AlertState) -> bool:
        own = {
            "alert": alert.rule.name,
            "severity": alert.severity,
            "site": self._site,
            "device": alert.device.path if alert.device else "",
        }
        labels: Mapping[str, Any] = matcher.get("labels", {})
        return all(_is_one_of(own[key], value) for key, value in matcher.items() if key != "labels") and all(
            _is_one_of(alert.rule.labels.get(key), value) for key, value in labels.items()
        )

    # -- inhibition -----------------------------------------------------------------------------------------------

    def _inhibited_by(self, alert: AlertState) -> list[AlertState]:
        """Return the firing alerts that `alert` makes redundant, or no longer does."""
        rules = self.inhibits.get(alert.rule.order, ())
        return [other for order in rules for other in self.by_rule.get(order, ()) if other.is_firing]

    def _is_inhibited(self, alert: AlertState) -> bool:
        return bool(self.inhibitors(alert))

    def inhibitors(self, alert: AlertState) -> list[AlertState]:
        """Return the alerts that fire and make this one redundant."""
        return [one for order in alert.rule.inhibited_by for one in self._firing(order, alert.device)]

    def _firing(self, order: int, device: Device | None) -> list[AlertState]:
        """Return where a rule fires: for this device if it is one of such devices, else anywhere on the site."""
        alerts = [alert for alert in self.by_rule.get(order, ()) if alert.is_firing]
        if device is not None and alerts and alerts[0].rule.each in ("*", device.kind):
            return [alert for alert in alerts if alert.device == device]
        return alerts

    # -- words ----------------------------------------------------------------------------------------------------

    def _say(self, event: str, alert: AlertState, now: float, comment: str = "") -> None:
        self.seq += 1
        rule = alert.rule
        is_over = event == "resolved"
        ended_at = alert.ended_at if is_over else now
        summary, description, action = self._texts(alert)
        self.events.append(
            Event(
                event=event,
                id=alert.id,
                seq=self.seq,
                alert=rule.name,
                severity=alert.severity,
                device=alert.device,
                value=alert.shown(alert.value()),
                points=self._points(alert),
                summary=summary,
                description=description,
                action=action,
                labels=rule.labels,
                starts_at=alert.starts_at,
                ends_at=self.wall(ended_at) if is_over else None,
                ts=self.wall(now),
                value_at_firing=alert.shown(alert.value_at_firing),
                peak=alert.shown(alert.peak()),
                duration_s=max(0.0, ended_at - alert.began_at),
                comment=comment,
            )
        )
        self.changed[alert.id] = alert

    def _texts(self, alert: AlertState) -> tuple[str, str, str]:
        def read(code: Code) -> Any:
            return as_shown(self._read(alert, code), code.formula.root.type)

        rule = alert.rule
        return rule.summary.render(read), rule.description.render(read), rule.action.render(read)

    def _points(self, alert: AlertState) -> tuple[tuple[str, Value | None, str], ...]:
        prefix = f"{alert.device.path}/" if alert.device else ""
        told = []
        for one in alert.rule.points:
            name = one.of(prefix)
            told.append((name, as_shown(self._store.values[self._store.slot(name)], one.type), one.unit))
        return tuple(told)

    def state(self, alert: AlertState) -> Alert:
        """Return the record of an alert's present state."""
        summary, description, action = self._texts(alert)
        return Alert(
            id=alert.id,
            alert=alert.rule.name,
            phase=alert.clock.phase.seen_as,
            severity=alert.severity,
            device=alert.device,
            value=alert.shown(alert.value()),
            summary=summary,
            description=description,
            action=action,
            labels=alert.rule.labels,
            since=alert.since,
            starts_at=alert.starts_at if alert.is_firing else None,
            peak=alert.shown(alert.peak()),
            acknowledged=alert.acknowledged,
            silenced=alert.silenced,
            inhibited=alert.inhibited,
            flapping=alert.flapping,
        )


def _order(alert: AlertState) -> Any:
    return alert.order


def _is_one_of(own: str | None, wanted: Any) -> bool:
    return own in wanted if isinstance(wanted, list | tuple) else own == wanted
