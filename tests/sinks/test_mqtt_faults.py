"""The MQTT sink when the broker, the network or another client misbehaves."""

from __future__ import annotations

import json
import logging
import socket
import time
from contextlib import contextmanager

import pytest

from tests.mosquitto import Mosquitto, Subscriber, free_port, wait_until
from tests.proxy import Proxy
from tests.sinks.fake_broker import CONNACK_3, CONNACK_3_BAD_VERSION, CONNACK_5, FakeBroker
from tests.sinks.makers import JSON_V, STATUS, event, make_sink, state

UNSUPPORTED_VERSION_5 = b"\x20\x03\x00\x84\x00"


@contextmanager
def running(port: int, **options):
    """A started sink that is stopped at the end."""
    sink = make_sink(port, **options)
    sink.start()
    try:
        yield sink
    finally:
        sink.stop(1.0)


@pytest.fixture(scope="module")
def broker():
    """One mosquitto for the tests that only disturb the way to it."""
    with Mosquitto() as mosquitto:
        yield mosquitto


@pytest.fixture
def proxy(broker):
    with Proxy(broker.port) as proxy:
        yield proxy


def is_connected(sink):
    return lambda: sink.health()["connected"]


def test_a_broker_that_is_down_at_start_is_waited_for():
    """Without a broker the sink says so in a sentence, and delivers everything when it comes up."""
    port = free_port()
    with running(port, client_id="late") as sink:
        sink.publish([state("v/a/power", "5"), event(1)])
        wait_until(lambda: "Nobody listens" in sink.health()["last_error"])
        with Mosquitto(port=port), Subscriber(port) as subscriber:
            subscriber.wait_for("v/a/power", "5")
            subscriber.wait_for("v/home/alerts")
            assert sink.health()["last_error"] == ""


def test_a_killed_broker_gets_the_whole_picture_again():
    """After kill -9, which loses retained messages, all state comes again, and the events of the outage."""
    with Mosquitto() as mosquitto, running(mosquitto.port) as sink:
        sink.publish([state(f"v/a/p{number}", str(number)) for number in range(600)])
        with Subscriber(mosquitto.port) as subscriber:
            subscriber.wait_for("v/a/p599")
        mosquitto.kill()
        wait_until(lambda: not sink.health()["connected"])
        sink.publish([event(1), event(2), state("v/a/p0", "new")])
        mosquitto.start()
        with Subscriber(mosquitto.port) as subscriber:
            wait_until(lambda: len({m.topic for m in subscriber.messages if m.topic.startswith("v/a/")}) == 600)
            subscriber.wait_for("v/a/p0", "new")
            subscriber.wait_for(STATUS, "online")
            wait_until(lambda: sink.health()["queued_events"] == 0)
        health = sink.health()
        assert (health["reconnects"], health["dropped"]) == (1, 0)


def test_old_state_is_not_told_again(broker, proxy):
    """After a reconnect, state older than its expiry is dropped and counted, fresh state comes again."""
    with running(proxy.port, client_id="old") as sink, Subscriber(broker.port, "v/old/#") as subscriber:
        short = JSON_V._replace(expiry_s=1)
        sink.publish([state("v/old/short", meta=short), state("v/old/long")])
        subscriber.wait_for("v/old/long")
        proxy.refuse()
        proxy.cut()
        time.sleep(1.0)  # the expiry itself
        proxy.refuse(False)
        wait_until(lambda: len(subscriber.payloads("v/old/long")) == 2)
        assert len(subscriber.payloads("v/old/short")) == 1
        assert (sink.health()["topics"], sink.health()["dropped"]) == (1, 1)


def test_events_survive_cuts_in_order_and_say_that_they_are_late(broker, proxy):
    """Over a connection that breaks again and again every event arrives; those sent later say replayed."""
    events = [event(number, "v/cut/alerts") for number in range(200)]
    with Subscriber(broker.port, "v/cut/#") as subscriber:
        with running(proxy.port, client_id="cut") as sink:
            subscriber_topic = "v/cut/alerts"
            for cut_after in (1_500, 4_000, 2_500):
                proxy.cut_after(cut_after)
                reconnects = sink.health()["reconnects"]
                sink.publish(events[:50])
                del events[:50]
                wait_until(lambda: sink.health()["reconnects"] > reconnects)  # noqa: B023
            sink.publish(events)
            wait_until(lambda: sink.health()["queued_events"] == 0)
        wait_until(lambda: len({json.loads(p)["seq"] for p in subscriber.payloads(subscriber_topic)}) == 200)
    documents = [json.loads(payload) for payload in subscriber.payloads(subscriber_topic)]
    firsts = list(dict.fromkeys(document["seq"] for document in documents))
    assert firsts == sorted(firsts)
    assert documents[0]["replayed"] is False
    assert any(document["replayed"] for document in documents)


def test_an_event_older_than_a_minute_says_replayed(broker):
    """An event that is sent more than 60 s after it happened carries replayed: true, a younger one does not."""
    with running(broker.port, client_id="minute") as sink, Subscriber(broker.port, "v/m/#") as subscriber:
        sink.publish([event(1, "v/m/alerts", age_s=61.0), event(2, "v/m/alerts", age_s=50.0)])
        wait_until(lambda: len(subscriber.messages) == 2)
    assert [json.loads(m.payload)["replayed"] for m in subscriber.messages] == [True, False]


def test_a_dead_link_is_noticed_within_twice_the_keepalive(broker, proxy):
    """A link that swallows everything is given up after two keepalive times, and a new one is made."""
    with running(proxy.port, client_id="dead", keepalive_s=1) as sink, Subscriber(broker.port, "v/k/#") as subscriber:
        wait_until(is_connected(sink))
        proxy.blackhole()
        started = time.monotonic()
        sink.publish([state("v/k/power", "1"), event(1, "v/k/alerts")])
        wait_until(lambda: not sink.health()["connected"], 5.0)
        assert time.monotonic() - started < 3.5
        proxy.blackhole(False)
        subscriber.wait_for("v/k/power", "1")
        assert json.loads(subscriber.wait_for("v/k/alerts").payload)["replayed"] is True


def test_a_broker_that_never_acknowledges_is_left():
    """Pings are answered but messages are not acknowledged: the connection is given up, with the reason."""
    with FakeBroker({5: CONNACK_5}, acks=False) as fake, running(fake.port, keepalive_s=1) as sink:
        wait_until(lambda: sink.health()["last_error"] == "The broker answers but does not acknowledge messages.")
        wait_until(lambda: len(fake.versions) >= 2)


def test_a_short_cut_does_not_publish_the_will_and_a_long_one_does():
    """Within the will delay a reconnect keeps `online`; a bridge that stays away becomes `offline`."""
    with (
        Mosquitto() as mosquitto,
        Proxy(mosquitto.port) as proxy,
        running(proxy.port, will_delay_s=2) as sink,
        Subscriber(mosquitto.port, STATUS) as subscriber,
    ):
        subscriber.wait_for(STATUS, "online")
        proxy.cut()
        wait_until(lambda: len(subscriber.payloads(STATUS)) >= 2)
        assert set(subscriber.payloads(STATUS)) == {"online"}
        proxy.refuse()
        proxy.cut()
        subscriber.wait_for(STATUS, "offline", 6.0)
        proxy.refuse(False)
        wait_until(lambda: subscriber.last(STATUS) == "online")
        assert sink.health()["reconnects"] == 2


@pytest.mark.parametrize(
    "answers",
    [
        {5: UNSUPPORTED_VERSION_5, 4: CONNACK_3},
        {5: CONNACK_3_BAD_VERSION, 4: CONNACK_3},
        {5: b"", 4: CONNACK_3},
    ],
    ids=["refused with 0x84", "refused as MQTT 3.1.1 does", "hung up"],
)
def test_a_broker_that_cannot_speak_5_is_spoken_to_in_3(answers):
    """Refusing version 5, in either way, or hanging up on it twice, leads to 3.1.1, which is remembered."""
    with FakeBroker(answers) as fake, running(fake.port) as sink:
        sink.publish([state("v/a/power")])
        wait_until(lambda: len(fake.published) >= 2)
        assert sink.health()["protocol"] == "3.1.1"
        assert fake.versions[-1] == 4
        assert fake.versions.count(5) <= 2


def test_a_broker_that_falls_silent_at_version_5_is_asked_in_3_1_1():
    """Two logins without any answer are taken for a broker that does not know version 5."""
    with FakeBroker({5: None, 4: CONNACK_3}) as fake, running(fake.port, connect_timeout_s=0.3) as sink:
        wait_until(lambda: sink.health()["connected"])
        assert fake.versions == [5, 5, 4]


def test_protocol_5_only_never_falls_back():
    """With protocol "5" a broker that refuses it is an error, not a reason for 3.1.1."""
    with FakeBroker({5: UNSUPPORTED_VERSION_5}) as fake, running(fake.port, protocol="5") as sink:
        wait_until(lambda: len(fake.versions) >= 3)
        assert set(fake.versions) == {5}
        assert "does not speak this version" in sink.health()["last_error"]


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff\xff", b"\x40\x05\x00\x01\xfe\x7f\x00", b"\x30\x02\xff\xff"])
def test_garbage_from_the_broker_ends_only_the_connection(garbage):
    """Bytes that are no MQTT make the sink connect again, with a sentence and without a fault of ours."""
    with FakeBroker({5: CONNACK_5}, after_login=garbage) as fake, running(fake.port) as sink:
        wait_until(lambda: len(fake.versions) >= 3)
        assert sink.health()["last_error"]
        assert "Internal fault" not in sink.health()["last_error"]


def test_receive_maximum_is_honoured():
    """No more QoS 1 messages are in flight than the broker's Receive Maximum allows."""
    connack = b"\x20\x06\x00\x00\x03\x21\x00\x03"
    with FakeBroker({5: connack}) as fake, running(fake.port) as sink:
        sink.publish([event(number) for number in range(10)])
        wait_until(lambda: sink.health()["queued_events"] == 0)
    assert fake.most_in_flight == 3


def test_a_packet_above_the_brokers_maximum_is_refused_here():
    """On MQTT 5 a message above Maximum Packet Size is counted, settled, logged and costs no connection."""
    settled = []
    with (
        Mosquitto("max_packet_size 2000") as mosquitto,
        Subscriber(mosquitto.port) as subscriber,
        running(mosquitto.port, settled=settled.append) as sink,
    ):
        large = event(1)._replace(payload=json.dumps({"replayed": False, "text": "x" * 3000}))
        sink.publish([large, event(2), state("v/a/large", "y" * 3000), state("v/a/info", "z" * 3000, qos=1)])
        sink.publish([state("v/a/small", "1")])
        subscriber.wait_for("v/a/small")
        wait_until(lambda: len(settled) == 2)
        assert (sink.health()["dropped"], sink.health()["reconnects"]) == (3, 0)
        assert not any(len(message.payload) > 2000 for message in subscriber.messages)


def test_a_message_that_makes_the_broker_hang_up_is_parked():
    """MQTT 3.1.1 has no Maximum Packet Size: the message that costs the connection again and again is found."""
    with (
        Mosquitto("max_packet_size 2000") as mosquitto,
        Subscriber(mosquitto.port) as subscriber,
        running(mosquitto.port, protocol="3.1.1") as sink,
    ):
        sink.publish([state("v/a/one"), state("v/a/large", "y" * 3000), state("v/a/two"), event(1)])
        wait_until(lambda: sink.health()["parked"] == 1, 15.0)
        subscriber.wait_for("v/a/two")
        subscriber.wait_for("v/home/alerts")
        wait_until(lambda: sink.health()["queue_depth"] == 0 and sink.health()["connected"])
        reconnects = sink.health()["reconnects"]
        sink.publish([state("v/a/large", "y" * 3000), state("v/a/three")])
        subscriber.wait_for("v/a/three")
        assert sink.health()["reconnects"] == reconnects


def test_an_event_that_makes_the_broker_hang_up_is_given_up():
    """A poisonous event is parked and settled, and the events behind it arrive."""
    settled = []
    large = event(1)._replace(payload=json.dumps({"seq": 1, "replayed": False, "text": "x" * 3000}))
    with (
        Mosquitto("max_packet_size 2000") as mosquitto,
        Subscriber(mosquitto.port, "v/home/alerts") as subscriber,
        running(mosquitto.port, protocol="3.1.1", settled=settled.append) as sink,
    ):
        sink.publish([large, event(2), event(3)])
        wait_until(lambda: len(settled) == 3, 15.0)
        assert large in settled
        assert {json.loads(payload)["seq"] for payload in subscriber.payloads("v/home/alerts")} == {2, 3}
        assert sink.health()["queued_events"] == 0


def test_a_broker_without_retained_messages_is_used_without_them():
    """A broker that refuses retained messages, in the will too, gets everything unretained."""
    with (
        Mosquitto("retain_available false") as mosquitto,
        Subscriber(mosquitto.port) as subscriber,
        running(mosquitto.port) as sink,
    ):
        wait_until(is_connected(sink))
        sink.publish([state("v/a/power", "3"), state("v/a/status", "online", qos=1)])
        subscriber.wait_for("v/a/power", "3")
        subscriber.wait_for("v/a/status")


def test_a_broker_without_qos_1_is_used_without_it():
    """A broker with Maximum QoS 0 gets events and state as QoS 0."""
    config = "max_qos 0"
    with (
        Mosquitto(config) as mosquitto,
        Subscriber(mosquitto.port, qos=0) as subscriber,
        running(mosquitto.port) as sink,
    ):
        sink.publish([event(1), state("v/a/status", "online", qos=1), state("v/a/power")])
        subscriber.wait_for("v/home/alerts")
        subscriber.wait_for("v/a/status")
        subscriber.wait_for("v/a/power")
        assert sink.health()["queued_events"] == 0


def test_a_topic_without_permission_is_told_and_others_go_on():
    """An event that the ACL refuses is tried three times, counted and settled; other events are not held up."""
    acl = "topic readwrite v/home/#\ntopic readwrite victron/#\n"
    settled = []
    with (
        Mosquitto("acl_file {dir}/acl", {"acl": acl}) as mosquitto,
        Subscriber(mosquitto.port) as subscriber,
        running(mosquitto.port, settled=settled.append) as sink,
    ):
        sink.publish([event(1, "secret/alerts"), event(2), state("secret/status", "online", qos=1)])
        subscriber.wait_for("v/home/alerts", event(2).payload)
        wait_until(lambda: len(settled) == 2)
        assert [message.topic for message in settled] == ["v/home/alerts", "secret/alerts"]
        assert (sink.health()["rejected"], sink.health()["reconnects"]) == (4, 0)


def test_a_wrong_password_is_said_and_tried_slowly(caplog):
    """A refused login is told once, without the password, and not tried again for half a minute."""
    caplog.set_level(logging.DEBUG)
    with (
        Mosquitto("password_file {dir}/pw", {"pw": ""}, anonymous=False) as mosquitto,
        running(mosquitto.port, username="me", password="hunter2") as sink,
    ):
        wait_until(lambda: "check broker.username" in sink.health()["last_error"])
        attempts = mosquitto.log().count("New connection")
        time.sleep(1.2)  # more than the longest ordinary pause here
        assert mosquitto.log().count("New connection") == attempts
        started = time.monotonic()
    assert time.monotonic() - started < 0.5
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(sink._options)


def test_two_clients_with_one_id_are_told_so():
    """When two bridges throw each other out, health names the id instead of only counting reconnects."""
    with Mosquitto() as mosquitto, running(mosquitto.port, client_id="twin") as one:
        wait_until(is_connected(one))
        with running(mosquitto.port, client_id="twin") as two:
            wait_until(lambda: one.health()["takeovers"] + two.health()["takeovers"] >= 1)
            victim = one if one.health()["takeovers"] else two
            assert "another client uses the id twin" in victim.health()["last_error"]


def test_session_taken_over_is_told_at_once():
    """A broker that says so with MQTT 5's reason code needs no guessing, and is not fought over."""
    taken_over = b"\xe0\x06\x8e\x04\x1f\x00\x01x"  # with a reason string: paho 2.1 reads no shorter one
    with FakeBroker({5: CONNACK_5}, after_login=taken_over) as fake, running(fake.port, client_id="twin") as sink:
        wait_until(lambda: "Another client uses the id twin" in sink.health()["last_error"])
        time.sleep(1.0)  # more than the longest ordinary pause here
        assert len(fake.versions) == 1


def test_the_same_trouble_is_logged_once(caplog):
    """A broker that stays away is one line in the log, however often it is tried."""
    with running(free_port()) as sink:
        wait_until(lambda: sink.health()["last_error"])
        time.sleep(1.0)
    assert len([record for record in caplog.records if "Nobody listens" in record.getMessage()]) == 1


def test_a_frozen_broker_costs_no_more_memory_than_the_picture(broker):
    """While the broker takes nothing, updates replace each other: the queue never exceeds the number of topics."""
    with Mosquitto() as mosquitto, running(mosquitto.port, keepalive_s=30) as sink:
        wait_until(is_connected(sink))
        mosquitto.pause()
        for round_number in range(400):
            sink.publish([state(f"v/a/p{number}", f"{round_number}" * 100) for number in range(100)])
        assert sink.health()["queue_depth"] <= 100
        mosquitto.resume()
        with Subscriber(mosquitto.port, "v/a/#") as subscriber:
            subscriber.wait_for("v/a/p99", "399" * 100)


def test_too_many_topics_and_events_are_bounded():
    """Topics above the limit are refused and counted; of too many events the oldest go."""
    port = free_port()
    sink = make_sink(port, max_topics=10, max_events=5)
    sink.publish([state(f"v/a/p{number}") for number in range(12)])
    sink.publish([event(number) for number in range(8)])
    health = sink.health()
    assert (health["topics"], health["queued_events"], health["dropped"]) == (10, 5, 5)
    assert [json.loads(message.payload)["seq"] for message in sink.stop(0.1)] == [3, 4, 5, 6, 7]


@contextmanager
def hanging_port():
    """A port whose connections are never completed: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


@contextmanager
def silent_port():
    """A port that takes connections and says nothing."""
    with FakeBroker({5: None, 4: None}) as fake:
        yield fake.port


@contextmanager
def frozen_broker():
    """A broker that answered the login and then froze."""
    with Mosquitto() as mosquitto:
        yield mosquitto


@pytest.mark.parametrize("place", [hanging_port, silent_port], ids=["no TCP", "no CONNACK"])
def test_stop_keeps_its_deadline_where_nothing_answers(place):
    """stop() returns in time while connecting, with every event that was not acknowledged."""
    with place() as port:
        sink = make_sink(port, connect_timeout_s=2.0)
        sink.start()
        sink.publish([event(1), event(2)])
        time.sleep(0.2)  # let it be in the middle of connecting
        started = time.monotonic()
        left = sink.stop(0.5)
        assert time.monotonic() - started < 0.7
        assert [json.loads(message.payload)["seq"] for message in left] == [1, 2]


def test_stop_keeps_its_deadline_when_the_broker_froze():
    """stop() gives up on acknowledgements in time, and the broker then publishes the will."""
    with Mosquitto() as mosquitto:
        sink = make_sink(mosquitto.port, will_delay_s=0)
        sink.start()
        wait_until(is_connected(sink))
        wait_until(lambda: sink.health()["inflight"] == 0)
        mosquitto.pause()
        sink.publish([event(1)])
        started = time.monotonic()
        left = sink.stop(0.6)
        assert time.monotonic() - started < 0.8
        assert len(left) == 1
        mosquitto.resume()
        with Subscriber(mosquitto.port) as subscriber:
            subscriber.wait_for(STATUS, "offline")


def test_stop_while_waiting_to_reconnect_is_immediate():
    """During the pause before a reconnect stop() does not wait for anything."""
    sink = make_sink(free_port(), retry_min_s=20.0, retry_max_s=30.0)
    sink.start()
    wait_until(lambda: sink.health()["last_error"])
    started = time.monotonic()
    sink.stop(5.0)
    assert time.monotonic() - started < 0.3


def test_stop_sends_what_is_queued(broker):
    """Messages handed over just before stop() arrive before `offline`."""
    with Subscriber(broker.port, "v/last/#") as subscriber, Subscriber(broker.port, STATUS) as status:
        sink = make_sink(broker.port, client_id="last")
        sink.start()
        sink.publish([state(f"v/last/p{number}", str(number)) for number in range(500)] + [event(1, "v/last/alerts")])
        assert sink.stop(5.0) == []
        status.wait_for(STATUS, "offline")
        wait_until(lambda: len(subscriber.messages) == 501)
