"""The records that travel from a source to a sink, and the closed sets they use.

A value walks as Page (one answer of the GX) -> Sample (a named, typed value) -> Message (what MQTT carries);
a rule that changes its mind makes an Event. Missing is "no sample" or None, never NaN, -1 or "".

Times: `at` is when something was measured, `now` when it is looked at. Both are Unix seconds (UTC, float) of the
*steady clock*: the wall clock at the start of the process plus the monotonic time since. A step of the wall clock
(NTP on a GX that booted in 1970) therefore never moves a duration.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

Value = float | int | bool | str
"""A normalized value: numbers in the unit of the catalogue, labels of enums and alarms as text."""


class Kind(Enum):
    """What a value means, and so how it is read and written."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    ENUM = "enum"  # a number with a label; published as the label
    ALARM = "alarm"  # an enum ordered ok < warning < alarm
    BITMASK = "bitmask"  # bits added up; published as the number
    STRING = "string"
    FIRMWARE = "firmware"  # a packed number (hex nibbles) or text; published as text such as v3.70~33
    TIMESTAMP = "timestamp"  # Unix seconds on D-Bus, ISO 8601 in UTC on MQTT
    DURATION = "duration"  # a number in the unit of the row: s, min, ms
    JSON = "json"  # a list, a map or JSON text; published as compact JSON with sorted keys


class Tier(Enum):
    """How often a point wants to be read; the intervals are configured."""

    CRITICAL = "critical"
    EXTENDED = "extended"
    HEALTH = "health"
    STATIC = "static"


class Device(NamedTuple):
    """Identity of a device: D-Bus class and DeviceInstance. Names, ports and serials are data, not identity."""

    kind: str
    instance: int

    @property
    def path(self) -> str:
        return f"{self.kind}/{self.instance}"


class PointSpec(NamedTuple):
    """One row of the catalogue: what a D-Bus path of a class means. Templates hold `{placeholders}`."""

    kind: Kind
    point: str  # template of the topic below the device (or below the site): cell_voltage/max
    path: str  # template of the D-Bus path: /System/MaxCellVoltage
    unit: str  # "" when it has none
    labels: Mapping[int, str]  # enum and alarm: number -> snake_case label; bitmask: bit value -> label
    tier: Tier
    precision: int  # decimals that are published
    deadband: float  # smallest change that is published, in the unit
    invalid: tuple[float, ...]  # sentinels that mean "no value"
    about: str
    ha_class: str  # Home Assistant device class, or ""
    ha_state: str  # Home Assistant state class, or ""
    fields: tuple[tuple[tuple[str | int, ...], PointSpec], ...] = ()
    # Parts of a JSON value that are points of their own: where in the value, and what it means.
    # A row with fields is not published whole.


class Point(NamedTuple):
    """A live point of one site: a catalogue row bound to a device.

    `name` is its topic below the site: `battery/512/soc`, `grid/power`. `device` is None for a site point.
    `group` names what is read together (`battery/512`, `system`): freshness belongs to the group.
    """

    name: str
    spec: PointSpec
    device: Device | None
    group: str


class Page(NamedTuple):
    """One answer of a source: leafs of one service, read at one moment.

    `values` maps D-Bus paths without the leading slash to raw JSON values; `[]` is D-Bus's "no value".
    `is_root` is true when these are all leafs that the service has now, false for single leafs of one tier.
    `every_s` is the interval at which this page is read: the group counts as stale after three of them.
    """

    service: str
    at: float
    values: Mapping[str, Any]
    is_root: bool
    every_s: float


class Sample(NamedTuple):
    """A value that changed. `value` None: the GX says that there is no valid value now.

    `code` is the number behind the label of an enum or alarm, else None.
    """

    point: Point
    value: Value | None
    at: float
    code: int | None = None


class Read(NamedTuple):
    """A group of points was read, changed or not: what freshness (`age`, stale) is counted from."""

    group: str
    at: float
    stale_after_s: float


class Event(NamedTuple):
    """One transition of one alert that a person or a program should hear of (topics.md section 3)."""

    event: str  # firing escalated reminder acknowledged silenced unsilenced resolved
    id: str  # stable per alert and device: `battery_soc_critical`, `cell_spread/battery/512`
    seq: int  # per site, gapless, survives restarts
    alert: str
    severity: str  # info warning critical
    device: Device | None
    value: Value | None
    points: tuple[tuple[str, Value | None, str], ...]  # name, value, unit of every input
    summary: str
    description: str
    action: str
    labels: Mapping[str, str]
    starts_at: float
    ends_at: float | None
    ts: float  # when it happened, wall clock; kept through an outage
    value_at_firing: Value | None
    peak: Value | None
    duration_s: float
    comment: str = ""


class Alert(NamedTuple):
    """The present state of one alert, for its retained topic. Same words as Event."""

    id: str
    alert: str
    phase: str  # inactive pending firing
    severity: str
    device: Device | None
    value: Value | None
    summary: str
    description: str
    action: str
    labels: Mapping[str, str]
    since: float  # wall clock: when this phase began
    starts_at: float | None
    peak: Value | None
    acknowledged: bool
    silenced: bool
    inhibited: bool
    flapping: bool


class Meta(NamedTuple):
    """What MQTT 5 says about a message besides its payload. Shared by all messages of a point: packed once."""

    content_type: str  # text/plain or application/json
    expiry_s: int  # 0: never
    user: tuple[tuple[str, str], ...]
    correlation: bytes = b""  # answers a request: its correlation data, given back


class Message(NamedTuple):
    """One MQTT message. An empty payload with retain deletes the topic."""

    topic: str
    payload: str
    qos: int
    retain: bool
    meta: Meta
    at: float  # when the value was measured: user property `ts`, and what message expiry counts from
    code: int | None = None  # user property `code` of an enum

    def to_row(self) -> list[Any]:
        """Return an event as JSON-able data, for the state file; events neither expire nor answer a request."""
        return [self.topic, self.payload, self.qos, self.retain, self.meta.content_type, self.meta.user, self.at]

    @classmethod
    def from_row(cls, row: list[Any]) -> Message:
        """Return the message that `to_row` wrote."""
        topic, payload, qos, retain, content_type, user, at = row
        return cls(topic, payload, qos, retain, Meta(content_type, 0, tuple((key, value) for key, value in user)), at)
