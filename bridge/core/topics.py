"""Samples, events and alerts -> messages: the public contract of `docs/topics.md`, and nothing else decides a topic.

A state topic is published when its value changed by at least the deadband, when it became valid or invalid, and
again once its refresh interval is over, but only after a successful read: a value that nobody could read is not
repeated, and with MQTT 5 it expires.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any, NamedTuple

from bridge.core.documents import alert_document, dumps, event_document
from bridge.core.values import iso_time
from bridge.model import Alert, Device, Event, Kind, Message, Meta, Point, PointSpec, Read, Sample, Value

TEXT = "text/plain"
JSON = "application/json"
RESPONSE_EXPIRY_S = 300  # nobody waits longer for an answer
MAX_TOPICS = 50_000  # per site; a large one has about 3,000
_EXPIRY_TURNS = 3
_VERB = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_JSON_META = Meta(JSON, 0, ())
_TEXT_META = Meta(TEXT, 0, ())
_UNMEASURED = (str, bool)  # values that are the same or not, with nothing between
# Deadbands are decimal fractions: 49.81 - 49.8 is a hair below 0.01.
_HAIR = 1e-9
# What `Message(...)` does in the end, without the function in Python that a NamedTuple puts before it.
_message: Callable[[tuple[Any, ...]], Message] = partial(tuple.__new__, Message)


class Format(NamedTuple):
    """How state is published; `deadbands` overrides the catalogue's by dotted name (site or class point)."""

    is_json: bool = False
    refresh_s: float = 300.0
    deadbands: Mapping[str, float] = {}


def number_text(value: float, precision: int) -> str:
    """Return the shortest decimal of `value` with at most `precision` decimals: 81.0 -> 81, 49.80 -> 49.8."""
    if isinstance(value, int):
        return str(value)
    text = "%.*f" % (precision, value)  # noqa: UP031 - a third faster than an f-string with a nested precision
    if precision > 0:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def scalar_text(value: Value | None, point_kind: Kind, precision: int) -> str:
    """Return the payload of a plain state topic (topics.md section 2)."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return value or "null"  # MQTT cannot keep an empty payload: it would delete the topic
    return iso_time(value) if point_kind is Kind.TIMESTAMP else number_text(value, precision)


class _Entry:
    """What is known of one published topic."""

    __slots__ = ("least", "metas", "precision", "published_at", "sample", "sent", "spec", "topic")

    def __init__(self, topic: str, spec: PointSpec, deadband: float, metas: tuple[Meta, Meta]) -> None:
        self.topic = topic
        self.spec = spec
        self.precision = spec.precision
        self.least = deadband * (1 - _HAIR)
        self.metas = metas
        self.sample: Sample
        self.sent: Value | None = None
        self.published_at = 0.0


class StateTopics:
    """The state topics of one site: decides what is worth a message."""

    def __init__(self, base: str, site: str, options: Format) -> None:
        self._prefix = f"{base}/{site}/"
        self._format = options
        self._entries: dict[str, _Entry] = {}
        self._groups: dict[str, dict[_Entry, None]] = {}  # in order, and quick to leave
        self._next_refresh: dict[str, float] = {}
        self._stale_after: dict[str, float] = {}
        self._metas: dict[Meta, Meta] = {}
        self.wall_offset_s = 0.0  # from the steady clock to the wall clock, for times inside of payloads
        self.counters: Counter[str] = Counter()

    def messages(self, samples: Iterable[Sample], reads: Sequence[Read]) -> list[Message]:
        """Return the messages that these changes and reads call for, in order."""
        if len(self._stale_after) > MAX_TOPICS:  # groups that come and go; those that stay are told again
            self._stale_after.clear()
        for read in reads:
            self._stale_after[read.group] = read.stale_after_s
        out: list[Message] = []
        entries = self._entries
        for sample in samples:
            point = sample[0]
            entry = entries.get(point[0])
            if entry is None:
                if point.group == "presence":
                    continue  # announced as the device's status
                if len(entries) >= MAX_TOPICS:
                    self.counters["topics_over_limit"] += 1
                    continue
                entry = self._new_entry(point)
            else:
                if entry.sample[0] is not point:
                    self._follow(entry, point)
                if not _is_worth(entry.sent, sample[1], entry.least):
                    entry.sample = sample
                    continue
            out.append(self._publish(entry, sample, sample[2]))
        for read in reads:
            if read.at >= self._next_refresh.get(read.group, 0.0):
                out += self._refresh(read)
        return out

    def refresh(self) -> None:
        """Have every topic published again when its group is next read."""
        self._next_refresh.clear()
        for entry in self._entries.values():
            entry.published_at = -inf

    def forget(self, device: Device) -> list[Message]:
        """Return the messages that clear every state topic of a device, and forget that they were there."""
        names = [name for name, entry in self._entries.items() if entry.sample.point.device == device]
        gone = [self._entries.pop(name) for name in names]
        for entry in gone:
            self._leave(entry)
        return [_cleared(entry.topic) for entry in gone]

    def _new_entry(self, point: Point) -> _Entry:
        deadbands = self._format.deadbands
        deadband = point.spec.deadband
        if deadbands:
            dotted = point.name.replace("/", ".")
            deadband = deadbands.get(dotted, deadbands.get(_class_point(point), deadband))
        entry = _Entry(self._prefix + point.name, point.spec, deadband, self._make_metas(point))
        self._entries[point.name] = entry
        self._groups.setdefault(point.group, {})[entry] = None
        return entry

    def _follow(self, entry: _Entry, point: Point) -> None:
        """Let a topic move with its point to another group: a service can be read in another way than before."""
        if entry.sample.point.group == point.group:
            return
        self._leave(entry)
        entry.metas = self._make_metas(point)
        self._groups.setdefault(point.group, {})[entry] = None

    def _leave(self, entry: _Entry) -> None:
        group = entry.sample.point.group
        members = self._groups[group]
        del members[entry]
        if not members:
            del self._groups[group]
            self._next_refresh.pop(group, None)

    def _make_metas(self, point: Point) -> tuple[Meta, Meta]:
        every_s = max(self._format.refresh_s, self._stale_after.get(point.group, 0.0) / _EXPIRY_TURNS)
        user = (("unit", point.spec.unit),) if point.spec.unit else ()
        pair = (Meta(JSON, int(_EXPIRY_TURNS * every_s), user), Meta(TEXT, int(_EXPIRY_TURNS * every_s), user))
        return self._metas.setdefault(pair[0], pair[0]), self._metas.setdefault(pair[1], pair[1])

    def _publish(self, entry: _Entry, sample: Sample, at: float) -> Message:
        _, value, _, code = sample
        entry.sample = sample
        entry.sent = value
        entry.published_at = at
        if self._format.is_json:
            return Message(
                entry.topic, _json_payload(sample, at + self.wall_offset_s), 0, True, entry.metas[0], at, code
            )
        spec = entry.spec
        if type(value) is float and spec.kind is not Kind.TIMESTAMP:  # what changes all the time takes the short way
            return _message((entry.topic, number_text(value, entry.precision), 0, True, entry.metas[0], at, code))
        payload = scalar_text(value, spec.kind, spec.precision)
        is_text = isinstance(value, str) and spec.kind is not Kind.JSON
        is_text = is_text or (value is not None and spec.kind is Kind.TIMESTAMP)
        meta = entry.metas[1 if is_text and payload != "null" else 0]
        return Message(entry.topic, payload, 0, True, meta, at, code)

    def _refresh(self, read: Read) -> list[Message]:
        """Publish again what was not published for the refresh interval, and plan the next look."""
        entries = self._groups.get(read.group)
        if entries is None:
            return []
        refresh_s = self._format.refresh_s
        due = [entry for entry in entries if read.at - entry.published_at >= refresh_s]
        out = [self._publish(entry, entry.sample, read.at) for entry in due]
        oldest = min(entry.published_at for entry in entries)
        self._next_refresh[read.group] = oldest + refresh_s
        return out


def _class_point(point: Point) -> str:
    """Return the dotted name that a point has in its class: `vebus.ac_out.l1.power` of `vebus/276/ac_out/l1/power`."""
    device = point.device
    name = point.name if device is None else point.name.replace(f"{device.path}/", f"{device.kind}/", 1)
    return name.replace("/", ".")


def _is_worth(sent: Value | None, value: Value | None, least: float) -> bool:
    """Tell whether a new value differs enough from the one published last."""
    if sent == value:
        return False
    if type(value) is float and type(sent) is float:
        return abs(value - sent) >= least
    if sent is None or value is None or isinstance(value, _UNMEASURED) or isinstance(sent, _UNMEASURED):
        return True
    return abs(value - sent) >= least


def _json_payload(sample: Sample, at: float) -> str:
    spec = sample.point.spec
    value: Any = sample.value
    if spec.kind is Kind.TIMESTAMP and isinstance(value, int | float):
        value = iso_time(value)
    elif spec.kind is Kind.JSON and isinstance(value, str):
        value = json.loads(value)
    elif isinstance(value, float):
        value = json.loads(number_text(value, spec.precision))
    document = {
        "value": value,
        "unit": spec.unit or None,
        "code": sample.code,
        "ts": iso_time(at),
        "quality": "invalid" if sample.value is None else "good",
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


# -- what is not telemetry: QoS 1 -----------------------------------------------------------------------------------


class SiteTopics:
    """Status, device, summary and alert topics of one site. Stateless; times are steady, `wall` adds the offset."""

    def __init__(self, base: str, site: str) -> None:
        self._prefix = f"{base}/{site}/"
        self.site = site

    def status(self, is_online: bool, now: float) -> Message:
        return _status(self._prefix + "status", is_online, now)

    def device_status(self, device: Device, is_online: bool, now: float) -> Message:
        return _status(f"{self._prefix}{device.path}/status", is_online, now)

    def device_info(self, device: Device, info: Mapping[str, Any], now: float) -> Message:
        return _document(f"{self._prefix}{device.path}/info", info, now)

    def forget(self, device: Device) -> list[Message]:
        """Return the messages that clear what is known of a device besides its state topics."""
        return [_cleared(f"{self._prefix}{device.path}/{leaf}") for leaf in ("status", "info")]

    def summary(self, document: Mapping[str, Any], now: float) -> Message:
        return _document(self._prefix + "summary", document, now)

    def alert_event(self, event: Event, now: float) -> Message:
        """Return the event's message: never retained, QoS 1, document of `alert.schema.json`."""
        user = (("alert", event.alert), ("severity", event.severity), ("event", event.event), ("site", self.site))
        payload = dumps(event_document(self.site, event))
        return Message(self._prefix + "alerts", payload, 1, False, Meta(JSON, 0, user), now)

    def alert_state(self, alert: Alert, now: float) -> Message:
        where = f"/{alert.device.path}" if alert.device else ""
        return _document(f"{self._prefix}alerts/{alert.alert}{where}", alert_document(self.site, alert), now)

    def active_alerts(
        self,
        alerts: Sequence[Alert],
        now: float,
        silences: Sequence[Mapping[str, Any]] = (),
        maintenance: Sequence[Mapping[str, Any]] = (),
    ) -> Message:
        """Return the list of alerts, and what keeps alerts quiet: silences, and maintenance windows that are open."""
        counts = {"pending": 0, "firing": 0, "acknowledged": 0, "silenced": 0, "info": 0, "warning": 0, "critical": 0}
        for alert in alerts:
            counts[alert.phase] += 1
            counts["acknowledged"] += alert.acknowledged
            counts["silenced"] += alert.silenced
            if alert.phase == "firing":
                counts[alert.severity] += 1
        document = {
            "counts": counts,
            "alerts": [alert_document(self.site, alert) for alert in alerts],
            "silences": list(silences),
            "maintenance": list(maintenance),
        }
        return _document(self._prefix + "alerts/active", document, now)

    def response(self, verb: str, document: Mapping[str, Any], now: float, topic: str, correlation: bytes) -> Message:
        """Return the answer to a request: never retained, QoS 1; `topic` is MQTT 5's response topic, or "".

        Only a verb that looks like one becomes a part of a topic.
        """
        leaf = verb if _VERB.fullmatch(verb) else "unknown"
        meta = Meta(JSON, RESPONSE_EXPIRY_S, (), correlation)
        return Message(topic or f"{self._prefix}response/{leaf}", dumps(document), 1, False, meta, now)


class BridgeTopics:
    """The topics of the process itself, below `<base>/bridge/<client id>`."""

    def __init__(self, base: str, client_id: str) -> None:
        self._prefix = f"{base}/bridge/{client_id}/"

    def status(self, is_online: bool, now: float) -> Message:
        return _status(self._prefix + "status", is_online, now)

    def info(self, document: Mapping[str, Any], now: float) -> Message:
        return _document(self._prefix + "info", document, now)

    def health(self, document: Mapping[str, Any], now: float, every_s: float) -> Message:
        message = _document(self._prefix + "health", document, now)
        return message._replace(meta=Meta(JSON, int(_EXPIRY_TURNS * every_s), ()))


def _status(topic: str, is_online: bool, now: float) -> Message:
    return Message(topic, "online" if is_online else "offline", 1, True, _TEXT_META, now)


def _cleared(topic: str) -> Message:
    return Message(topic, "", 1, True, _TEXT_META, 0.0)


def _document(topic: str, document: Mapping[str, Any], now: float) -> Message:
    return Message(topic, dumps(document), 1, True, _JSON_META, now)
