"""Silences as people ask for them and are told of them: which alerts, until when.

Inside, a silence ends at a steady time; people write and read the wall clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bridge.core.alert_ids import listed, refuse_name
from bridge.core.compile import WALL
from bridge.core.engine import Engine
from bridge.core.nearest import nearest
from bridge.core.request_keys import MATCHER_KEYS, seconds_of
from bridge.core.values import iso_time
from bridge.errors import RuleError

SHORTEST_S = 1.0  # what is over before it is made would be no silence
LONGEST_S = 366 * 86400.0  # an alert that is unwanted for longer is left out in the config


def matcher_of(engine: Engine, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a request to silence matches.

    Raises:
        RuleError: it says neither or both of `id` and `matcher`, or names what does not exist.
    """
    if ("id" in keys) == ("matcher" in keys):
        raise RuleError(
            'say which alerts: either "id": the id of one, or "matcher": a map such as {"severity": "info"}; '
            "{} means every alert of the site"
        )
    if "id" in keys:
        refuse_name(engine, keys["id"])
        alert = engine.alert_states.get(keys["id"])
        if alert is None:
            raise RuleError(_no_such_alert(keys["id"], engine.alert_states))
        return {"alert": alert.rule.name, **({"device": alert.device.path} if alert.device else {})}
    _check_matcher(engine, keys["matcher"])
    return dict(keys["matcher"])


def _check_matcher(engine: Engine, matcher: Mapping[str, Any]) -> None:
    for key, value in matcher.items():
        known = MATCHER_KEYS.get(key)
        if known is None:
            close = nearest(key[:100], MATCHER_KEYS)
            right = f'did you mean "{close}"?' if close else f"there are: {', '.join(MATCHER_KEYS)}"
            raise RuleError(f'unknown key "{key[:60]}" of a matcher; {right}')
        if not known.is_right(value):
            raise RuleError(f'"{key}" of a matcher is {known.wanted}')
    names = {rule.name for rule in engine.program.rules}
    for name in _choices(matcher, "alert"):
        if name not in names:
            raise RuleError(_no_such_alert(name, names))
    classes = {rule.each for rule in engine.program.rules if rule.each} | {one.kind for one in engine.store.devices}
    for path in _choices(matcher, "device"):
        kind = path.partition("/")[0]
        if kind not in classes:
            raise RuleError(f'no alert is of devices of the class "{kind}"{_meant(kind, classes - {"*"})}')
    labels = {label for rule in engine.program.rules for label in rule.labels}
    for label in matcher.get("labels", {}):
        if label not in labels:
            raise RuleError(f'no alert has the label "{label[:60]}"{_meant(label, labels)}')


def _choices(matcher: Mapping[str, Any], key: str) -> list[str]:
    """Return what a matcher takes for a key: a text alone is a list of one."""
    wanted = matcher.get(key, [])
    return wanted if isinstance(wanted, list) else [wanted]


def _meant(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about a wrong name: what would be right."""
    close = nearest(name[:100], known)
    return f'; did you mean "{close}"?' if close else f"; there are: {listed(known)}"


def _no_such_alert(name: str, known: Iterable[str]) -> str:
    close = nearest(name, known)
    return f'there is no alert "{name[:60]}"' + (f'; did you mean "{close}"?' if close else "")


def until_of(engine: Engine, keys: Mapping[str, Any], now: float) -> float:
    """Return the steady time at which a silence that is asked for ends.

    Raises:
        RuleError: it says neither or both of `for` and `until`, or a time that is over or too far off.
    """
    if ("for" in keys) == ("until" in keys):
        raise RuleError('say how long: either "for": "2h", or "until": "2026-12-24T18:00:00+01:00"')
    if "for" in keys:
        lasts_s = seconds_of(keys["for"]) or 0.0
        if lasts_s < SHORTEST_S:
            raise RuleError('"for" is one second at least, such as "2h"')
    else:
        lasts_s = _moment(keys["until"]) - (now + _wall(engine))
        if lasts_s < SHORTEST_S:
            raise RuleError(f'"until" is over: it is {iso_time(now + _wall(engine))}')
    if lasts_s > LONGEST_S:
        raise RuleError("a silence lasts a year at most; leave the alert out in the config (rules.disable) instead")
    return now + lasts_s


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (ValueError, OverflowError):
        raise RuleError('"until" is a time with its zone such as "2026-12-24T18:00:00+01:00"') from None
    raise RuleError('"until" needs its zone: "2026-12-24T18:00:00+01:00", or Z for UTC')


def _wall(engine: Engine) -> float:
    return float(engine.store.values[WALL])


def described(engine: Engine, silence: Mapping[str, Any]) -> dict[str, Any]:
    """Return a silence for people, with the ids of the alerts that it matches now."""
    matches = [
        alert.id
        for alert in engine.alert_states.values()
        if not alert.is_idle and any(one.id == silence["id"] for one in engine.announcer.silences_of(alert))
    ]
    return {**silence_document(silence, _wall(engine)), "matches": sorted(matches)}


def caution(engine: Engine, matcher: Mapping[str, Any]) -> str:
    """Return what of a matcher fits nothing that there is now, although it may later; "" when all of it does."""
    devices = {one.path for one in engine.store.devices}
    notes = [f"no device {path} has been seen yet" for path in _choices(matcher, "device") if path not in devices]
    for label in matcher.get("labels", {}):
        values = {rule.labels.get(label) for rule in engine.program.rules}
        notes += [
            f'no alert has {label} "{value[:60]}"'
            for value in _choices(matcher["labels"], label)
            if value not in values
        ]
    return "; ".join(notes)


def quiet_documents(engine: Engine) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the silences and the open maintenance windows as `alerts/active` lists them."""
    wall_s = _wall(engine)
    silences = [silence_document(silence, wall_s) for silence in engine.silences()]
    windows = [silence_document(window._asdict(), wall_s) for window in engine.announcer.opened]
    for window in windows:
        del window["id"]  # nobody can end it
    return silences, windows


def silence_document(silence: Mapping[str, Any], wall_offset_s: float) -> dict[str, Any]:
    """Return a silence for people."""
    return {**silence, "until": iso_time(silence["until"] + wall_offset_s)}
