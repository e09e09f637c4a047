"""The MQTT sink against a real mosquitto: what a subscriber sees, and what it may rely on."""

from __future__ import annotations

import time

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.model import Message, Meta
from tests.mosquitto import Mosquitto, Subscriber, wait_until
from tests.sinks.makers import JSON_V, STATUS, TEXT, event, make_sink, state


@pytest.fixture(scope="module")
def broker():
    with Mosquitto() as mosquitto:
        yield mosquitto


@pytest.fixture
def sink(broker):
    sink = make_sink(broker.port)
    sink.start()
    yield sink
    sink.stop(1.0)


def test_state_carries_what_mqtt_5_can_say(broker, sink):
    """A state message arrives with content type, format, expiry and the user properties unit, ts and code."""
    with Subscriber(broker.port) as subscriber:
        at = time.time()
        sink.publish([Message("v/a/battery/state", "bulk", 0, True, JSON_V, at, code=3)])
        seen = subscriber.wait_for("v/a/battery/state", "bulk")
    assert (seen.content_type, seen.payload_format, seen.qos) == ("application/json", 1, 0)
    assert seen.expiry_s in (179, 180)
    assert seen.user["unit"] == "V"
    assert seen.user["code"] == "3"
    assert seen.user["ts"] == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


def test_state_is_retained_and_expiry_counts_down(broker, sink):
    """A later subscriber gets the retained value, with the expiry interval that is left."""
    sink.publish([state("v/b/power", "12.5", age_s=100.0)])
    with Subscriber(broker.port, "v/b/#") as subscriber:
        seen = subscriber.wait_for("v/b/power", "12.5")
        wait_until(lambda: subscriber.find("v/b/power") is not None)
    assert 70 <= seen.expiry_s <= 80


def test_wall_offset_moves_only_the_time_stamp(broker, sink):
    """The user property ts is the wall clock, the steady clock plus the sink's offset."""
    sink.wall_offset_s = 3600.0
    at = 1_700_000_000.0
    sink.publish([Message("v/c/power", "1", 0, True, TEXT, at)])
    with Subscriber(broker.port, "v/c/#") as subscriber:
        assert subscriber.wait_for("v/c/power").user["ts"] == "2023-11-14T23:13:20.000Z"


def test_an_empty_payload_deletes(broker, sink):
    """A retained message without payload removes the topic at the broker and from what is sent again."""
    with Subscriber(broker.port, "v/d/#") as subscriber:
        sink.publish([state("v/d/power", "1"), state("v/d/other", "2")])
        subscriber.wait_for("v/d/other")
        topics = sink.health()["topics"]
        sink.publish([state("v/d/power", "")])
        subscriber.wait_for("v/d/power", "")
        wait_until(lambda: sink.health()["topics"] == topics - 1)
    with Subscriber(broker.port, "v/d/#") as late:
        late.wait_for("v/d/other")
        assert late.find("v/d/power") is None


def test_birth_is_online_and_stop_is_offline(broker):
    """The status topic says online after the login and offline after a clean stop, both retained."""
    with Subscriber(broker.port, STATUS) as subscriber:
        sink = make_sink(broker.port, client_id="birth")
        sink.start()
        subscriber.wait_for(STATUS, "online")
        assert sink.stop(2.0) == []
        subscriber.wait_for(STATUS, "offline")
    with Subscriber(broker.port, STATUS) as late:
        assert late.wait_for(STATUS).payload == "offline"


def test_events_come_once_and_in_order(broker):
    """More events than the window holds arrive in order, each once, and each is settled."""
    settled: list[Message] = []
    events = [event(number, "v/e/alerts") for number in range(60)]
    with Subscriber(broker.port, "v/e/#") as subscriber:
        sink = make_sink(broker.port, client_id="events", settled=settled.append)
        sink.publish(events)
        sink.start()
        wait_until(lambda: len(settled) == len(events))
        subscriber.wait_for("v/e/alerts", events[-1].payload)
        assert sink.stop(2.0) == []
    assert subscriber.payloads("v/e/alerts") == [message.payload for message in events]
    assert settled == events


def test_events_go_before_state(broker, sink):
    """An event of the same turn arrives before state that was handed over before it."""
    with Subscriber(broker.port, "v/j/#") as subscriber:
        sink.publish([state("v/j/power"), state("v/j/status", "online", qos=1), event(1, "v/j/alerts")])
        subscriber.wait_for("v/j/power")
        subscriber.wait_for("v/j/status")
    assert [message.topic for message in subscriber.messages] == ["v/j/alerts", "v/j/status", "v/j/power"]


def test_requests_reach_their_handler_and_a_failing_one_hurts_nobody(broker, sink):
    """A handler gets topic, payload, response topic and correlation; one that raises is counted, the thread lives."""
    heard = []

    def handle(request):
        heard.append(request)
        if request.payload == b"bad":
            raise RuntimeError("a handler's fault")

    sink.subscribe("v/f/request/+", handle)
    with Subscriber(broker.port, "v/f/#") as subscriber:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = "v/f/answer"
        properties.CorrelationData = b"\x01\x02"
        wait_until(lambda: "v/f/request/+" in broker.log())
        subscriber.publish("v/f/request/ack", "bad", retain=False)
        subscriber.publish("v/f/request/ack", "good", properties=properties)
        wait_until(lambda: len(heard) == 2)
        assert (heard[1].topic, heard[1].payload, heard[1].is_retained) == ("v/f/request/ack", b"good", False)
        assert (heard[1].response_topic, heard[1].correlation) == ("v/f/answer", b"\x01\x02")
        sink.publish([Message("v/f/answer", "{}", 1, False, Meta("application/json", 0, (), b"\x01\x02"), time.time())])
        assert subscriber.wait_for("v/f/answer").correlation == b"\x01\x02"
    assert sink.health()["handler_errors"] == 1


def test_a_retained_request_is_flagged_and_a_large_one_dropped(broker, sink):
    """A request that was retained says so; one above 64 KiB is counted and never reaches the handler."""
    heard = []
    with Subscriber(broker.port, "v/g/#") as subscriber:
        subscriber.publish("v/g/request/ack", "old", retain=True)
        sink.subscribe("v/g/request/#", heard.append)
        wait_until(lambda: heard)
        assert heard[0].is_retained
        subscriber.publish("v/g/request/ack", b"x" * 65_537)
        subscriber.publish("v/g/request/ack", b"y" * 65_536)
        wait_until(lambda: len(heard) == 2)
        assert heard[1].payload[:1] == b"y"
        subscriber.publish("v/g/request/ack", "", retain=True)
    assert sink.health()["refused_requests"] == 1


def test_mqtt_3_has_no_properties_and_all_the_rest(broker):
    """With protocol 3.1.1 state is retained, events are acknowledged and stop says offline."""
    with Subscriber(broker.port, "#") as subscriber:
        sink = make_sink(broker.port, client_id="three", protocol="3.1.1")
        sink.start()
        sink.publish([state("v/h/power", "7"), event(1, "v/h/alerts")])
        seen = subscriber.wait_for("v/h/power", "7")
        subscriber.wait_for("v/h/alerts")
        wait_until(lambda: sink.health()["queued_events"] == 0)
        assert (sink.health()["protocol"], seen.user, seen.expiry_s) == ("3.1.1", {}, None)
        assert sink.stop(2.0) == []
        subscriber.wait_for(STATUS, "offline")


def test_invalid_topics_are_refused_here(broker, sink):
    """A wildcard or a control character in a topic is counted and does not cost the connection."""
    before = sink.health()
    with Subscriber(broker.port, "v/i/#") as subscriber:
        sink.publish([state("v/i/+/x"), state("v/i/#"), state("v/i/a\nb", qos=1), state("v/i/fine")])
        subscriber.wait_for("v/i/fine")
    after = sink.health()
    assert after["dropped"] - before["dropped"] == 3
    assert after["reconnects"] == before["reconnects"]
