"""An engine's memory as JSON can hold it, so that a restart or a power cut loses nothing.

There are two parts. The state (phases, clocks, acknowledgements, values) is small and of this moment. The history, what
functions over time remember, is large and changes all the time; it may be dumped more seldom than the state. What
happened between the two is then time without data.

Times are dumped as they are. When the clock went backwards since (a GX without a battery-backed clock boots in
1970), all of them are moved by the difference, so that nothing waits for years.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any
from zlib import crc32

from bridge.core.alerts import FIRE, AlertState, attempt
from bridge.core.announce import Announcer, Silence
from bridge.core.derived import DerivedState
from bridge.core.groups import time_in, time_out
from bridge.core.store import Store
from bridge.model import Alert, Device, Event

VERSION = 3
DEFAULT_GAP_S = 30.0  # three of the shortest poll intervals, for alerts whose inputs tell no other
_TIMES = ("began_at", "announced_at", "fired_at", "ended_at", "remind_at", "escalate_at", "quiet_until")
_FLAGS = ("announced", "acknowledged", "escalated", "silenced", "told_silenced", "inhibited", "flapping", "flap_told")
_PLAIN = ("first", "low", "high", "value_at_firing", "since", "starts_at")


def dump_engine(
    store: Store,
    announcer: Announcer,
    alerts: Mapping[str, AlertState],
    derived: Mapping[str, DerivedState],
    now: float,
) -> dict[str, Any]:
    """Return the state without the history."""
    return {
        "version": VERSION,
        "at": time_out(now),
        "seq": announcer.seq,
        "next_silence": announcer.next_silence,
        "silences": [list(silence) for silence in announcer.silences.values()],
        "store": store.dump(),
        "alerts": {key: _dump_alert(alert, announcer) for key, alert in alerts.items() if _has_memory(alert)},
        "derived": {key: _dump_derived(one, store) for key, one in derived.items()},
        "known": {key: _fingerprint(alert) for key, alert in alerts.items()},
    }


def dump_history(derived: Mapping[str, DerivedState], now: float) -> dict[str, Any]:
    """Return what functions over time remember, by point, with the expression that it is of."""
    series = {
        key: [one.rule.code.canonical, one.series.dump()] for key, one in derived.items() if one.series is not None
    }
    return {"at": time_out(now), "series": series}


def is_state(state: Mapping[str, Any]) -> bool:
    """Tell whether a state is one of ours, of an engine that has been running."""
    return state.get("version") == VERSION and time_in(state["at"]) > -inf


def last_seq(state: Mapping[str, Any]) -> int:
    """Return the number of the last event, 0 when there is none."""
    seq = state.get("seq", 0)
    return seq if isinstance(seq, int) else 0


def load_engine(
    state: Mapping[str, Any],
    now: float,
    store: Store,
    announcer: Announcer,
    alerts: Mapping[str, AlertState],
    derived: Mapping[str, DerivedState],
    shift_s: float = 0.0,
) -> None:
    """Take over a state, as far as the rules of today know it. All its times are moved by `shift_s` first."""
    at = time_in(state["at"]) + shift_s
    is_back = now < at
    if is_back:
        shift_s += now - at
    announcer.seq = int(state["seq"])
    announcer.next_silence = int(state["next_silence"])
    for key, matcher, until, comment in state["silences"]:
        announcer.silences[int(key)] = Silence(int(key), dict(matcher), float(until) + shift_s, comment)
    store.values[0] = now
    store.load(state["store"], shift_s)
    gap_s = inf if is_back else now - at
    for key, alert in alerts.items():
        kept = state["alerts"].get(key)
        if kept is not None:
            _load_alert(alert, kept, now, shift_s)
            if gap_s > _patience_s(_sources(alert, store), store):
                alert.clock.restart(now)
        if state["known"].get(key) == _fingerprint(alert):
            store.dirty.discard(alert)  # it was evaluated with these values already
    for key, kept in state["alerts"].items():
        if key not in alerts and kept.get("told"):
            _tell_gone(kept, now, shift_s, announcer)
    history = state.get("history", {})
    is_old = history.get("at") != state["at"]
    for key, kept in state["derived"].items():
        one = derived.get(key)
        if one is None or not _load_derived(one, kept, store, shift_s):
            continue
        store.dirty_derived.discard(one)
        if one.series is not None:
            _load_series(one, history.get("series", {}).get(key), shift_s)
            if is_old or gap_s > _patience_s(one.sources, store):
                one.series.pause()
                store.dirty_derived.add(one)
    for key, alert in alerts.items():
        if key not in state["alerts"] and alert not in store.dirty:
            _guess_truth(alert)


def _guess_truth(alert: AlertState) -> None:
    """Set the truth of an alert that nothing was kept of: it was inactive, so UNKNOWN or false.

    What has come true by the passing of time alone since is to be seen as an event at its own moment, not here.
    """
    if alert.rule.on_unknown != FIRE and attempt(alert.test) is None:
        alert.truth = None


def _fingerprint(alert: AlertState) -> int:
    """Return a number that changes when what the rule looks at changes, such as a param."""
    rule = alert.rule
    texts = [code.canonical for code in (rule.expr, rule.clear, rule.value) if code is not None]
    return crc32(repr((texts, rule.for_s, rule.keep_s, rule.on_unknown)).encode())


def _dump_derived(one: DerivedState, store: Store) -> list[Any]:
    return [one.rule.code.canonical, store.raw[one.slot], store.is_stale[one.slot], time_out(one.wake_at)]


def _load_derived(one: DerivedState, kept: list[Any], store: Store, shift_s: float) -> bool:
    text, value, is_stale, wake_at = kept
    if text != one.rule.code.canonical:
        return False
    store.raw[one.slot] = store.values[one.slot] = value
    store.is_stale[one.slot] = is_stale
    one.wake_at = -inf if shift_s else time_in(wake_at)
    return True


def _load_series(one: DerivedState, kept: list[Any] | None, shift_s: float) -> None:
    if one.series is not None and kept is not None and kept[0] == one.rule.code.canonical:
        one.series.load(kept[1], shift_s)


def _sources(alert: AlertState, store: Store) -> list[int]:
    prefix = f"{alert.device.path}/" if alert.device else ""
    return [store.slot(one.of(prefix)) for one in alert.rule.points]


def _patience_s(slots: Iterable[int], store: Store) -> float:
    """Return the longest gap over which a clock goes on: three poll intervals of what it depends on."""
    groups = [store.group_at(slot) for slot in slots]
    return min((group.stale_after_s for group in groups if group is not None and group.has_read), default=DEFAULT_GAP_S)


def _has_memory(alert: AlertState) -> bool:
    return not alert.is_idle or bool(alert.firings) or any(getattr(alert, name) for name in _FLAGS)


def _dump_alert(alert: AlertState, announcer: Announcer) -> dict[str, Any]:
    return {
        "told": list(announcer.state(alert)) if alert.announced else None,
        "clock": alert.clock.dump(),
        "truth": alert.truth,
        "firings": list(alert.firings),
        "flags": [name for name in _FLAGS if getattr(alert, name)],
        **{name: time_out(getattr(alert, name)) for name in (*_TIMES, "unknown_at")},
        **{name: getattr(alert, name) for name in _PLAIN},
    }


def _load_alert(alert: AlertState, kept: Mapping[str, Any], now: float, shift_s: float) -> None:
    alert.clock.load(kept["clock"], shift_s)
    alert.is_idle = alert.clock.phase.seen_as == "inactive"
    alert.truth = kept["truth"]
    alert.firings = tuple(float(at) + shift_s for at in kept["firings"])
    for name in _FLAGS:
        setattr(alert, name, name in kept["flags"])
    for name in _TIMES:
        setattr(alert, name, time_in(kept[name]) + shift_s)
    alert.unknown_at = time_in(kept["unknown_at"]) + shift_s if "unknown_at" in kept else inf
    for name in _PLAIN:
        setattr(alert, name, kept[name])
    rule = alert.rule  # it may have changed since
    if not rule.repeat_s:
        alert.remind_at = inf
    elif alert.announced and alert.is_firing and alert.remind_at == inf:
        alert.remind_at = alert.told_at(now) + rule.repeat_s
    if not rule.escalate_s:
        alert.escalated, alert.escalate_at = False, inf
    elif alert.is_firing and not alert.escalated and not alert.acknowledged and alert.escalate_at == inf:
        alert.escalate_at = max(alert.told_at(now), alert.fired_at + rule.escalate_s)


def _tell_gone(kept: Mapping[str, Any], now: float, shift_s: float, announcer: Announcer) -> None:
    """Tell the end of an alert that was announced and that today's rules know no more."""
    announcer.seq += 1
    was, at = Alert(*kept["told"]), announcer.wall(now)
    announcer.events.append(
        Event(
            event="resolved",
            id=was.id,
            seq=announcer.seq,
            alert=was.alert,
            severity=was.severity,
            device=Device(*was.device) if was.device else None,
            value=None,
            points=(),
            summary=was.summary,
            description=was.description,
            action=was.action,
            labels=was.labels,
            starts_at=kept["starts_at"],
            ends_at=at,
            ts=at,
            value_at_firing=None,
            peak=was.peak,
            duration_s=max(0.0, now - time_in(kept["began_at"]) - shift_s),
            comment="the rule is gone",
        )
    )
