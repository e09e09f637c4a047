"""Events and alerts -> JSON documents (`schemas/alert.schema.json`, `schemas/alert-state.schema.json`).

Times are ISO 8601 in UTC; numbers are rounded to what people read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bridge.core.values import iso_time
from bridge.model import Alert, Device, Event, Value

ALERT_SCHEMA = "victron-bridge/alert/1"


def dumps(document: Mapping[str, Any]) -> str:
    """Return a document as compact JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def event_document(site: str, event: Event) -> dict[str, Any]:
    """Return the document of one alert event; times are ISO 8601 in UTC (schemas/alert.schema.json)."""
    return {
        "schema": ALERT_SCHEMA,
        "id": event.id,
        "event": event.event,
        "seq": event.seq,
        "site": site,
        "alert": event.alert,
        "severity": event.severity,
        "device": _device_document(event.device),
        "value": _tidy(event.value),
        "value_at_firing": _tidy(event.value_at_firing),
        "peak": _tidy(event.peak),
        "points": [{"name": name, "value": _tidy(value), "unit": unit or None} for name, value, unit in event.points],
        "summary": event.summary,
        "description": event.description,
        "action": event.action,
        "labels": dict(event.labels),
        "comment": event.comment,
        "starts_at": iso_time(event.starts_at),
        "ends_at": None if event.ends_at is None else iso_time(event.ends_at),
        "ts": iso_time(event.ts),
        "duration_s": round(event.duration_s, 1),
        "replayed": False,
    }


def alert_document(site: str, alert: Alert) -> dict[str, Any]:
    """Return the document of an alert's retained topic."""
    return {
        "schema": ALERT_SCHEMA,
        "id": alert.id,
        "site": site,
        "alert": alert.alert,
        "phase": alert.phase,
        "severity": alert.severity,
        "device": _device_document(alert.device),
        "value": _tidy(alert.value),
        "peak": _tidy(alert.peak),
        "summary": alert.summary,
        "description": alert.description,
        "action": alert.action,
        "labels": dict(alert.labels),
        "since": iso_time(alert.since),
        "starts_at": None if alert.starts_at is None else iso_time(alert.starts_at),
        "acknowledged": alert.acknowledged,
        "silenced": alert.silenced,
        "inhibited": alert.inhibited,
        "flapping": alert.flapping,
    }


def _device_document(device: Device | None) -> dict[str, Any] | None:
    return None if device is None else {"class": device.kind, "instance": device.instance}


def _tidy(value: Value | None) -> Value | None:
    """Round away the noise of binary floats; nobody wants to read 0.19999999999999973 V."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(f"{value:.6g}")
    return value
