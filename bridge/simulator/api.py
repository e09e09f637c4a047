"""The answers of the DBus HTTP API, endpoint by endpoint: a request comes in as data, status and document go out.

Nothing here knows sockets. What goes wrong on the bus is a 404 that does not say why, as on a real GX.
"""

from __future__ import annotations

import json
import random
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from bridge.simulator.clock import GxClock
from bridge.simulator.settings import LIMITS, documented
from bridge.simulator.store import Service, Store
from bridge.simulator.text import text_of

VERSION = "3.2.0"
SETTINGS = "com.victronenergy.settings"
OFF = "AI_write switch is OFF. Enable it in NodeRED or VRM to allow write operations."
ON = "AI_write switch is ON. Write operations are allowed."
MISSING = "AI_write switch not found. Create it in NodeRED to allow write operations."
CONFIG_PATH = "/data/dbus-api/config.json"
REASON = "Value may be out of range, invalid type, or path does not support writing"
# Leafs outside of settings that accept a write; the rest refuses it.
WRITABLE = (
    "Mode",
    "CustomName",
    "State",
    "CurrentLimit",
    "Setpoint",
    "ForceCharge",
    "Offset",
    "Scale",
    "TemperatureType",
)

Document = dict[str, Any]


class Answer(NamedTuple):
    """Status and JSON document of one answer."""

    status: int
    document: Document


class Api:
    """The endpoints of one simulated GX."""

    def __init__(self, store: Store, clock: GxClock, seed: int) -> None:
        self._store = store
        self._clock = clock
        self._rng = random.Random(f"{seed}/key order")
        self.started_at = clock.now()
        self._get = {
            "/": self._root,
            "/health": self._health,
            "/services": self._services,
            "/settings": self._settings,
            "/ai-write-status": self._ai_write,
            "/config": self._config,
        }

    def touched(self, target: str) -> tuple[str, ...]:
        """Return the services that a GET of `target` waits for: what makes it hang when one of them does."""
        path, service, _ = parse(target)
        if path in ("/value", "/text"):
            return (service,)
        if path in ("/", "/ai-write-status", "/settings"):
            return (SETTINGS,)
        return ()

    def get(self, target: str) -> Answer:
        """Answer a GET."""
        path, service, leaf = parse(target)
        if path in ("/value", "/text"):
            if not service or not leaf:
                return failure(400, "Missing service or path parameter")
            return self._value(service, leaf) if path == "/value" else self._text(service, leaf)
        answer = self._get.get(path)
        return Answer(200, answer()) if answer else failure(404, "Not found")

    def not_available(self, target: str) -> Answer:
        """Return the 404 for whatever is wrong behind `/value` or `/text`."""
        path, service, leaf = parse(target)
        return _unavailable("text" if path == "/text" else "value", service, leaf)

    def _value(self, service: str, path: str) -> Answer:
        try:
            value = self._store.value(service, path)
        except KeyError:
            return _unavailable("value", service, path)
        if isinstance(value, dict) and path != "/":
            value = self._shuffled(service, path, value)
        return Answer(200, {"service": service, "path": path, "value": value, "success": True})

    def _shuffled(self, service: str, path: str, value: Document) -> Document:
        """Return a dictionary leaf in another key order each time; nodes keep the service's order."""
        found = self._store.find(service)
        if found is None or path[1:] not in found.values:
            return value
        items = list(value.items())
        self._rng.shuffle(items)
        return dict(items)

    def _text(self, service: str, path: str) -> Answer:
        try:
            with self._store.lock:
                value = self._store.value(service, path)
                found = self._store.find(service)
                text = text_of(found, path.lstrip("/"), value) if found else ""
        except KeyError:
            return _unavailable("text", service, path)
        return Answer(200, {"service": service, "path": path, "text": text, "success": True})

    def _root(self) -> Document:
        status = self._ai_write()
        return {
            "name": "Victron DBus API Server",
            "version": VERSION,
            "mode": "read-write",
            "ai_write_enabled": status["enabled"],
            "ai_write_status": status["message"],
            "control_port": 8089,
            "endpoints": dict(_ENDPOINTS),
        }

    def _health(self) -> Document:
        return {
            "service": "dbus-api-server",
            "version": VERSION,
            "status": "healthy",
            "started_at": datetime.fromtimestamp(self.started_at).isoformat(),
            "uptime_seconds": max(0, int(self._clock.now() - self.started_at)),
            "success": True,
        }

    def _services(self) -> Document:
        names = self._store.names()
        return {"services": names, "count": len(names), "success": True}

    def _settings(self) -> Document:
        with self._store.lock:
            service = self._store.find(SETTINGS)
            return {"settings": documented(service.leafs()) if service else {}, "success": True}

    def _switch(self) -> Service | None:
        for name in self._store.names():
            service = self._store.find(name) if name.startswith("com.victronenergy.switch.") else None
            if service and service.leafs().get("CustomName") == "AI_write":
                return service
        return None

    def _ai_write(self) -> Document:
        with self._store.lock:
            switch = self._switch()
            settings = self._store.find(SETTINGS)
            is_on = switch is not None and switch.leafs().get("SwitchableOutput/output_1/State") == 1
        is_large = settings is not None and settings.leafs().get("Settings/System/ImageType") == 1
        return {
            "enabled": is_on,
            "message": ON if is_on else OFF if switch else MISSING,
            "switch_service": switch.name if switch else None,
            "details": {
                "venus_image_type": "Large" if is_large else "Normal",
                "nodered_enabled": is_large,
                "nodered_running": is_large,
                "switch_found": switch is not None,
                "switch_state": int(is_on) if switch else None,
            },
            "faq": {},
            "success": True,
        }

    def _config(self) -> Document:
        return {"config": {}, "path": CONFIG_PATH, "message": "No configuration file found", "success": True}

    def post(self, path: str, body: bytes) -> Answer:
        """Answer a POST; only `/value` and `/config` exist."""
        if path not in ("/value", "/config"):
            return failure(404, "Not found")
        if not body:
            return failure(400, "Request body is required")
        try:
            wanted = json.loads(body.decode("utf-8"))
        except UnicodeDecodeError as error:
            return failure(500, str(error))
        except json.JSONDecodeError as error:
            return failure(400, f"Invalid JSON: {error}")
        if path == "/config":
            return Answer(200, {"message": "Configuration saved", "path": CONFIG_PATH, "success": True})
        status = self._ai_write()
        if not status["enabled"]:
            return Answer(403, _forbidden(status))
        if not isinstance(wanted, dict):
            return failure(500, f"'{type(wanted).__name__}' object has no attribute 'get'")
        return self._write(wanted)

    def _write(self, wanted: Document) -> Answer:
        service, path, value = wanted.get("service"), wanted.get("path"), wanted.get("value")
        if not service or not path:
            return failure(400, "Missing service or path in request body")
        if value is None:
            return failure(400, "Missing value in request body")
        with self._store.lock:
            found = self._store.find(str(service))
            if found is None or not _accepts(found, str(path), value):
                return Answer(400, _refused(service, path, value))
            old = found.leaf(path[1:])
            new = type(old)(value) if isinstance(old, (int, float)) and not isinstance(old, bool) else value
            found.values[path[1:]] = new
        answer = {"service": service, "path": path, "value": new, "previous_value": old, "success": True}
        return Answer(200, answer)


_ENDPOINTS = {
    "GET /": "API information",
    "GET /health": "Health check with uptime",
    "GET /services": "List all Victron dbus services",
    "GET /settings": "Get all settings from com.victronenergy.settings",
    "GET /value?service=X&path=Y": "Get value from specific dbus path",
    "GET /text?service=X&path=Y": "Get text representation of value",
    "GET /ai-write-status": "Check AI write switch status",
    "GET /config": "Get stored agent configuration",
    "POST /value": "Set value (requires AI_write switch ON)",
    "POST /config": "Save agent configuration",
}


def parse(target: str) -> tuple[str, str, str]:
    """Return path, `service` and `path` parameter of a request target; the first of repeated parameters wins."""
    url = urlsplit(target)
    query = parse_qs(url.query, keep_blank_values=True)
    return url.path, query.get("service", [""])[0], query.get("path", [""])[0]


def failure(status: int, error: str) -> Answer:
    """Return an answer that says only what went wrong."""
    return Answer(status, {"error": error, "success": False})


def _unavailable(key: str, service: str, path: str) -> Answer:
    error = f"Path {path} not available on {service}"
    return Answer(404, {"service": service, "path": path, key: None, "error": error, "success": False})


def _forbidden(status: Document) -> Document:
    return {
        "error": "AI write is disabled",
        "message": status["message"],
        "details": status["details"],
        "hint": "Enable the AI_write virtual switch in VRM or NodeRED to allow write operations",
        "success": False,
    }


def _refused(service: Any, path: Any, value: Any) -> Document:
    names = {"service": service, "path": path, "requested_value": value}
    return {"error": "Failed to set value", "reason": REASON, **names, "success": False}


def _accepts(service: Service, path: str, value: Any) -> bool:
    """Return whether the service takes this write: an existing, writable leaf, a number within its limits."""
    leaf = path[1:]
    if leaf not in service.values or isinstance(value, (list, dict)):
        return False
    if service.name != SETTINGS and leaf.rpartition("/")[2] not in WRITABLE:
        return False
    old = service.values[leaf]
    if not isinstance(old, (int, float)):
        return True
    try:
        number = float(value)
    except ValueError:
        return False
    low, high = LIMITS.get(leaf, (-(2.0**31), 2.0**31 - 1))
    return low <= number <= high and abs(number) < 2.0**31
