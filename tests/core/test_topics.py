"""Samples, alerts and events -> messages: payloads, deadband, refresh, expiry, documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.core.topics import MAX_TOPICS, BridgeTopics, Format, SiteTopics, StateTopics, number_text
from bridge.model import Alert, Device, Event, Kind, Point, PointSpec, Read, Sample, Tier

BATTERY = Device("battery", 512)


def point(
    kind: Kind = Kind.FLOAT, name: str = "battery/512/soc", precision: int = 1, deadband: float = 0.1, unit: str = "%"
) -> Point:
    spec = PointSpec(kind, "soc", "/Soc", unit, {}, Tier.CRITICAL, precision, deadband, (), "", "", "")
    return Point(name, spec, BATTERY, "battery/512")


def read(at: float, stale_after_s: float = 30.0) -> list[Read]:
    return [Read("battery/512", at, stale_after_s)]


@pytest.mark.parametrize(
    ("value", "precision", "text"),
    [
        (81.0, 1, "81"),
        (81, 1, "81"),
        (49.80, 2, "49.8"),
        (49.799, 2, "49.8"),
        (-0.04, 1, "0"),
        (0.0, 0, "0"),
        (1e-7, 2, "0"),
        (1e21, 1, "1000000000000000000000"),
        (-1.25, 3, "-1.25"),
        (100.0, 0, "100"),
        (52.209999084472656, 2, "52.21"),
    ],
)
def test_numbers_are_the_shortest_decimal(value: float, precision: int, text: str) -> None:
    """No exponent, no trailing zeros, no minus zero, float32 noise rounded away."""
    assert number_text(value, precision) == text


@pytest.mark.parametrize(
    ("kind", "value", "payload", "content_type"),
    [
        (Kind.FLOAT, 49.8, "49.8", "application/json"),
        (Kind.BOOL, True, "true", "application/json"),
        (Kind.ENUM, "bulk", "bulk", "text/plain"),
        (Kind.ALARM, "warning", "warning", "text/plain"),
        (Kind.STRING, "0101", "0101", "text/plain"),
        (Kind.TIMESTAMP, 1761248987, "2025-10-23T19:49:47Z", "text/plain"),
        (Kind.JSON, '{"a":1}', '{"a":1}', "application/json"),
        (Kind.FLOAT, None, "null", "application/json"),
        (Kind.STRING, None, "null", "application/json"),
        (Kind.STRING, "", "null", "application/json"),
        (Kind.TIMESTAMP, None, "null", "application/json"),
    ],
)
def test_payloads_are_plain_and_say_what_they_are(kind: Kind, value: Any, payload: str, content_type: str) -> None:
    """Numbers, booleans and null go out as JSON, labels and texts as text: Node-RED keeps the type by that."""
    topics = StateTopics("victron", "home", Format())
    (message,) = topics.messages([Sample(point(kind), value, 1000.0, 3)], read(1000.0))
    assert (message.topic, message.payload) == ("victron/home/battery/512/soc", payload)
    assert message.meta.content_type == content_type
    assert (message.retain, message.qos, message.code) == (True, 0, 3)
    assert message.meta.user == (("unit", "%"),)


def test_a_change_below_the_deadband_waits() -> None:
    """Small steps add up: what counts is the distance from what was published, not from the last reading."""
    topics = StateTopics("victron", "home", Format())
    sent = []
    for turn, value in enumerate([50.0, 50.05, 50.09, 50.11, 50.04]):
        now = 1000.0 + 10 * turn
        sent += [message.payload for message in topics.messages([Sample(point(precision=2), value, now)], read(now))]
    assert sent == ["50", "50.11"]


@pytest.mark.parametrize(("before", "after"), [(50.0, None), (None, 50.0), (0, None)])
def test_validity_is_always_worth_a_message(before: Any, after: Any) -> None:
    """Going to or from null is published whatever the deadband."""
    topics = StateTopics("victron", "home", Format())
    topics.messages([Sample(point(deadband=1e9), before, 1000.0)], read(1000.0))
    assert len(topics.messages([Sample(point(deadband=1e9), after, 1010.0)], read(1010.0))) == 1


def test_a_deadband_can_be_set_per_class_point_or_device_point() -> None:
    """publish.deadband knows battery.soc for all batteries and battery.512.soc for one."""
    topics = StateTopics("victron", "home", Format(deadbands={"battery.soc": 5.0, "battery.7.soc": 1.0}))
    for name, expected in (("battery/512/soc", 0), ("battery/7/soc", 1)):
        one = point(name=name)._replace(device=Device("battery", int(name.split("/")[1])))
        topics.messages([Sample(one, 50.0, 1000.0)], read(1000.0))
        assert len(topics.messages([Sample(one, 52.0, 1010.0)], read(1010.0))) == expected


@pytest.mark.parametrize(
    ("set_to", "expected"), [({"vebus.ac_out.l1.power": 5.0}, 0), ({"vebus.ac_out.l2.power": 5.0}, 1)]
)
def test_a_deadband_of_a_class_point_knows_filled_placeholders(set_to: dict[str, float], expected: int) -> None:
    """vebus.ac_out.l1.power is the first phase of every vebus, though the catalogue has one row for all phases."""
    topics = StateTopics("victron", "home", Format(deadbands=set_to))
    spec = point().spec._replace(point="ac_out/{phase}/power")
    one = Point("vebus/276/ac_out/l1/power", spec, Device("vebus", 276), "vebus/276")
    topics.messages([Sample(one, 50.0, 1000.0)], read(1000.0))
    assert len(topics.messages([Sample(one, 52.0, 1010.0)], read(1010.0))) == expected


def test_a_topic_follows_its_point_to_another_group() -> None:
    """When a service is read in another way, refreshes come from the new group's reads and no more from the old's."""
    topics = StateTopics("victron", "home", Format(refresh_s=60.0))
    topics.messages([Sample(point(), 50.0, 1000.0)], read(1000.0))
    moved = point()._replace(group="battery/512@Soc")
    topics.messages([Sample(moved, 50.0, 1010.0)], [Read("battery/512@Soc", 1010.0, 900.0)])
    assert topics.messages([], read(1100.0)) == []
    (message,) = topics.messages([], [Read("battery/512@Soc", 1100.0, 900.0)])
    assert message.meta.expiry_s == 900
    assert len(topics.forget(BATTERY)) == 1


def test_topics_are_bounded() -> None:
    """Beyond the limit new topics are refused and counted; known ones go on."""
    topics = StateTopics("victron", "home", Format())
    samples = [Sample(point(name=f"battery/512/x{number}"), 1.0, 0.0) for number in range(MAX_TOPICS + 7)]
    assert len(topics.messages(samples, [])) == MAX_TOPICS
    assert topics.counters["topics_over_limit"] == 7
    assert len(topics.messages([Sample(point(name="battery/512/x0"), 2.0, 1.0)], [])) == 1


def test_raw_points_say_what_each_value_is() -> None:
    """A point without a known type is text when its value is, and JSON when it is a number or a boolean."""
    topics = StateTopics("victron", "home", Format())
    sent = [topics.messages([Sample(point(Kind.STRING), value, 0.0)], [])[0] for value in ("text", 5, True, 5.25)]
    assert [message.payload for message in sent] == ["text", "5", "true", "5.2"]
    assert [message.meta.content_type for message in sent] == ["text/plain", *["application/json"] * 3]


def test_an_unchanged_value_is_refreshed_only_while_it_is_read() -> None:
    """Every refresh interval the value goes out again with the time of the read; without reads it stays silent."""
    topics = StateTopics("victron", "home", Format(refresh_s=60.0))
    topics.messages([Sample(point(), 50.0, 1000.0)], read(1000.0))
    sent = {}
    for now in range(1010, 1300, 10):
        for message in topics.messages([], read(float(now))):
            sent[now] = message.at
    assert sent == {1060: 1060.0, 1120: 1120.0, 1180: 1180.0, 1240: 1240.0}
    assert topics.messages([], []) == []


def test_a_value_below_the_deadband_is_refreshed_with_its_newest_reading() -> None:
    """A refresh sends what was read last, so the error never outlives the refresh interval."""
    topics = StateTopics("victron", "home", Format(refresh_s=60.0))
    topics.messages([Sample(point(precision=2), 50.0, 1000.0)], read(1000.0))
    topics.messages([Sample(point(precision=2), 50.05, 1010.0)], read(1010.0))
    (message,) = topics.messages([], read(1060.0))
    assert message.payload == "50.05"


@pytest.mark.parametrize(("refresh_s", "stale_after_s", "expiry_s"), [(300.0, 30.0, 900), (60.0, 10800.0, 10800)])
def test_expiry_outlives_three_refreshes_and_three_reads(refresh_s: float, stale_after_s: float, expiry_s: int) -> None:
    """A retained value expires only after three missed refreshes, for hourly points after three hours."""
    topics = StateTopics("victron", "home", Format(refresh_s=refresh_s))
    (message,) = topics.messages([Sample(point(), 50.0, 1000.0)], read(1000.0, stale_after_s))
    assert message.meta.expiry_s == expiry_s


@pytest.mark.parametrize(
    ("kind", "value", "code", "document"),
    [
        (Kind.FLOAT, 49.8123, None, {"value": 49.81, "unit": "V", "code": None, "quality": "good"}),
        (Kind.ENUM, "bulk", 3, {"value": "bulk", "unit": "V", "code": 3, "quality": "good"}),
        (Kind.JSON, '{"a":1}', None, {"value": {"a": 1}, "unit": "V", "code": None, "quality": "good"}),
        (Kind.FLOAT, None, None, {"value": None, "unit": "V", "code": None, "quality": "invalid"}),
    ],
)
def test_json_format_carries_value_unit_code_and_time(kind: Kind, value: Any, code: int | None, document: Any) -> None:
    """publish.format json puts everything MQTT 5 would say into the payload."""
    topics = StateTopics("victron", "home", Format(is_json=True))
    (message,) = topics.messages([Sample(point(kind, precision=2, unit="V"), value, 0.0, code)], read(0.0))
    assert json.loads(message.payload) == document | {"ts": "1970-01-01T00:00:00Z"}


def test_times_in_json_are_wall_time() -> None:
    """The payload's ts has the offset of the wall clock; the message's own time stays steady."""
    topics = StateTopics("victron", "home", Format(is_json=True))
    topics.wall_offset_s = 3600.0
    (message,) = topics.messages([Sample(point(), 50.0, 0.0)], read(0.0))
    assert json.loads(message.payload)["ts"] == "1970-01-01T01:00:00Z"
    assert message.at == 0.0


def test_presence_is_announced_as_status_not_as_a_point() -> None:
    """The online sample of a device feeds rules and makes no topic of its own."""
    online = point(Kind.BOOL, "battery/512/online")._replace(group="presence")
    assert StateTopics("victron", "home", Format()).messages([Sample(online, True, 0.0)], []) == []


def test_forgetting_a_device_clears_its_topics_and_no_others() -> None:
    """Every retained topic of the device gets an empty retained payload; a device that returns is published anew."""
    topics = StateTopics("victron", "home", Format())
    other = point(name="grid/power")._replace(device=None, group="system")
    topics.messages([Sample(point(), 50.0, 0.0), Sample(other, 1.0, 0.0)], read(0.0))
    cleared = topics.forget(BATTERY)
    assert [(message.topic, message.payload, message.retain) for message in cleared] == [
        ("victron/home/battery/512/soc", "", True)
    ]
    assert len(topics.messages([Sample(point(), 50.0, 10.0)], read(10.0))) == 1


EVENT = Event(
    event="firing",
    id="battery_soc_critical",
    seq=7,
    alert="battery_soc_critical",
    severity="critical",
    device=BATTERY,
    value=9.499999999999,
    points=(("battery/512/soc", 9.5, "%"),),
    summary="Battery at 9 %",
    description="d",
    action="a",
    labels={"component": "battery"},
    starts_at=1000.0,
    ends_at=None,
    ts=1030.0,
    value_at_firing=9.5,
    peak=9.5,
    duration_s=0.0,
)


def test_an_alert_event_is_one_document_never_retained() -> None:
    """QoS 1, all fields of the contract, times in UTC, float noise gone."""
    message = SiteTopics("victron", "home").alert_event(EVENT, 1030.0)
    document = json.loads(message.payload)
    assert (message.topic, message.qos, message.retain) == ("victron/home/alerts", 1, False)
    assert document["site"] == "home"
    assert document["value"] == 9.5
    assert document["device"] == {"class": "battery", "instance": 512}
    assert document["points"] == [{"name": "battery/512/soc", "value": 9.5, "unit": "%"}]
    assert document["starts_at"] == "1970-01-01T00:16:40Z"
    assert document["replayed"] is False


ALERT = Alert(
    id="x",
    alert="cell_spread_high",
    phase="firing",
    severity="warning",
    device=BATTERY,
    value=0.12,
    summary="s",
    description="d",
    action="a",
    labels={},
    since=0.0,
    starts_at=0.0,
    peak=0.12,
    acknowledged=False,
    silenced=True,
    inhibited=False,
    flapping=False,
)


def test_each_alert_has_its_own_retained_topic() -> None:
    """An alert of a device stands below its class and instance, one of the site below its name."""
    topics = SiteTopics("victron", "home")
    assert topics.alert_state(ALERT, 0.0).topic == "victron/home/alerts/cell_spread_high/battery/512"
    assert topics.alert_state(ALERT._replace(device=None), 0.0).topic == "victron/home/alerts/cell_spread_high"


def test_active_alerts_are_counted() -> None:
    """The overview counts phases and, for what fires, severities."""
    message = SiteTopics("victron", "home").active_alerts([ALERT, ALERT._replace(phase="pending")], 0.0)
    counts = json.loads(message.payload)["counts"]
    assert counts["firing"] == counts["pending"] == counts["warning"] == 1
    assert counts["silenced"] == 2


def test_bridge_topics_stand_below_the_client_id() -> None:
    """Status, info and health of the process are retained, QoS 1; health expires when nobody refreshes it."""
    topics = BridgeTopics("victron", "gx1")
    assert topics.status(True, 0.0)[:4] == ("victron/bridge/gx1/status", "online", 1, True)
    assert topics.health({"a": 1}, 0.0, 60.0).meta.expiry_s == 180
