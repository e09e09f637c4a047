"""What comes in over MQTT for a site: handlers called as the sink calls them, and a real broker with both protocols."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.core.engine import Engine
from bridge.core.inputs import InputSpec
from bridge.core.normalize import Intervals, Normalizer
from bridge.core.summary import Summary
from bridge.core.topics import RESPONSE_EXPIRY_S, Format, SiteTopics, StateTopics
from bridge.cycle import Cycle
from bridge.files.state import StateStore
from bridge.incoming import INPUT_EVERY_S, REQUESTS_AT_ONCE, Incoming
from bridge.model import Message, Read, Tier
from bridge.sinks.base import Request
from bridge.site_state import SiteState
from bridge.sources.base import Poll
from tests.core.small_site import alert, catalogue, program, sample
from tests.mosquitto import Mosquitto, Subscriber, wait_until
from tests.sinks.makers import make_sink

NOW = 1_769_860_800.0
PRICE = InputSpec("price", "tariff/price", (), "number", "ct/kWh", 600.0)
TOTAL = InputSpec("total", "tariff/price", ("total",), "number", "", 600.0)
SUN = InputSpec("sun", "weather/sun", (), "truth", "", 600.0)
RULES = [
    alert("soc_low", "battery.soc < 20"),
    alert("cheap", "input.price < 10"),
    alert("sunny", "input.sun"),
    alert("dear", "input.total > 90"),
]
INPUTS = (PRICE, TOTAL, SUN)


class Source:
    """A GX that says nothing, and counts how often it is asked to be read again."""

    refreshed = 0

    def next_due(self) -> float:
        return 0.0

    def poll(self, now: float) -> Poll:
        return Poll()

    def identify(self, now: float) -> str | None:
        return None

    def is_online(self, now: float) -> bool | None:
        return True

    def refresh(self) -> None:
        self.refreshed += 1

    def close(self) -> None:
        """Nothing to do."""

    def health(self) -> dict[str, Any]:
        return {}


class Desk:
    """A sink that calls handlers itself and keeps what is published."""

    def __init__(self) -> None:
        self.wall_offset_s = 0.0
        self.messages: list[Message] = []
        self.handlers: list[tuple[str, Callable[[Request], None]]] = []

    def publish(self, messages: Any) -> None:
        self.messages += messages

    def subscribe(self, topic: str, handler: Callable[[Request], None]) -> None:
        self.handlers.append((topic, handler))

    def bring(self, topic: str, payload: Any, **more: Any) -> None:
        """Deliver a message as a broker would."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        values = {"is_retained": False, "response_topic": "", "correlation": b"", **more}
        for filter_, handler in self.handlers:
            if topic == filter_ or (filter_.endswith("/#") and f"{topic}/".startswith(filter_[:-1])):
                handler(Request(topic, data, **values))

    def ask(self, verb: str, payload: Any, site: str = "home", **more: Any) -> list[tuple[str, Any]]:
        """Send a request and return the responses: topic and document."""
        self.messages.clear()
        self.bring(f"victron/{site}/request/{verb}", payload, **more)
        return [(one.topic, json.loads(one.payload)) for one in self.messages if one.payload.startswith('{"status":')]

    def last(self, topic: str) -> Any:
        return next(json.loads(one.payload) for one in reversed(self.messages) if one.topic == topic)


class Site:
    """A site with a cycle, and its incoming messages."""

    def __init__(self, sink: Any, name: str = "home", state: Path | None = None, rules: Any = RULES) -> None:
        self.at = NOW
        self.source = Source()
        memory = None
        if state is not None:
            memory = SiteState(StateStore(state, name=f"site-{name}"), StateStore(state, name=f"site-{name}.history"))
        topics = SiteTopics("victron", name)
        self.engine = Engine(name, program(rules, inputs=[one.known for one in INPUTS]))
        self.cycle = Cycle(
            self.source, Normalizer(catalogue(), Intervals(dict.fromkeys(Tier, 10.0))), self.engine,
            StateTopics("victron", name, Format()), topics, Summary(name), sink, None, memory,
        )  # fmt: skip
        if memory is not None:
            self.cycle.load(memory.engine, memory.devices, memory.wall_offset_s, self.at)
        self.incoming = Incoming("victron", INPUTS, self.cycle, topics, sink, lambda: self.at)

    def soc(self, value: float) -> None:
        self.cycle.take(self.at, [sample("battery/soc", value, self.at)], [Read("system", self.at, 1e9)])

    def value(self, name: str) -> Any:
        return self.cycle.look(lambda engine: engine.store.values[engine.store.slot(name)])


# -- requests -------------------------------------------------------------------------------------------------------


def test_a_request_is_answered_and_told() -> None:
    """An acknowledgement changes the alert, tells the event, and is answered with its transaction."""
    desk = Desk()
    site = Site(desk)
    site.soc(10.0)
    ((topic, answer),) = desk.ask("ack", {"id": "soc_low", "transaction": "t1"})
    assert topic == "victron/home/response/ack"
    assert (answer["status"], answer["error"], answer["transaction"]) == ("ok", None, "t1")
    assert answer["data"]["acknowledged"] is True
    assert desk.last("victron/home/alerts")["event"] == "acknowledged"
    assert desk.last("victron/home/alerts/soc_low")["acknowledged"] is True
    response = next(one for one in desk.messages if one.topic == topic)
    assert (response.qos, response.retain, response.meta.content_type) == (1, False, "application/json")


@pytest.mark.parametrize(
    ("verb", "payload", "topic", "words"),
    [
        ("ack", b"\xff", "victron/home/response/ack", "not UTF-8"),
        ("ack", {"id": "x"}, "victron/home/response/ack", "firing now: none"),
        ("akc", {}, "victron/home/response/akc", 'did you mean "ack"?'),
        ("a b", {}, "victron/home/response/unknown", 'unknown verb "a b"'),
        ("", {}, "victron/home/response/unknown", 'unknown verb ""'),
        ("ack/soc_low", {}, "victron/home/response/unknown", 'unknown verb "ack/soc_low"'),
        ("ack/", {"id": "soc_low"}, "victron/home/response/unknown", 'did you mean "ack"?'),
        ("x" * 500, {}, "victron/home/response/unknown", "unknown verb"),
        ("explain", {"id": "socc_low"}, "victron/home/response/explain", "soc_low"),
    ],
)
def test_what_is_wrong_gets_an_error(verb: str, payload: Any, topic: str, words: str) -> None:
    """Every request that is refused is answered with a sentence."""
    desk = Desk()
    Site(desk)
    ((where, answer),) = desk.ask(verb, payload)
    assert (where, answer["status"], answer["data"]) == (topic, "error", None)
    assert words in answer["error"]


def test_the_response_topic_and_correlation_of_the_request_win() -> None:
    """MQTT 5: the answer goes where the request says, with its correlation data."""
    desk = Desk()
    Site(desk)
    ((topic, _),) = desk.ask("refresh", {}, response_topic="app/7", correlation=b"\x00\xff")
    assert topic == "app/7"
    assert desk.messages[-1].meta.correlation == b"\x00\xff"


def test_a_response_topic_that_is_ours_is_refused_and_nothing_is_done() -> None:
    """The error goes to the usual topic; the request is not carried out."""
    desk = Desk()
    site = Site(desk)
    ((topic, answer),) = desk.ask("refresh", {}, response_topic="victron/home/battery/soc", correlation=b"c")
    assert (topic, answer["error"]) == (
        "victron/home/response/refresh", "a response topic below victron/ begins with victron/home/response/",
    )  # fmt: skip
    assert desk.messages[-1].meta.correlation == b"c"
    assert site.source.refreshed == 0


def test_a_retained_request_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    """It would be carried out again with every connection; the log says so once."""
    desk = Desk()
    site = Site(desk)
    for _ in range(3):
        assert desk.ask("refresh", {}, is_retained=True) == []
    assert site.source.refreshed == 0
    assert site.incoming.health()["requests"]["retained"] == 3
    (record,) = caplog.records
    assert "a retained request on 'victron/home/request/refresh' was ignored" in record.getMessage()


def test_an_empty_message_is_a_request_only_where_nothing_is_to_be_said(caplog: pytest.LogCaptureFixture) -> None:
    """`refresh` has no keys; elsewhere an empty message clears a retained one, which is nobody's mistake."""
    desk = Desk()
    site = Site(desk)
    for verb in ("ack", "silence", "explain", "nothing", ""):
        assert desk.ask(verb, b"") == []
    assert desk.ask("refresh", b"", is_retained=True) == []
    assert (site.source.refreshed, caplog.records) == (0, [])
    ((_, answer),) = desk.ask("refresh", b"")
    assert (answer["status"], site.source.refreshed) == ("ok", 1)


def test_refresh_reads_the_gx_again() -> None:
    """The source is told, and the answer does not wait for it."""
    desk = Desk()
    site = Site(desk)
    ((_, answer),) = desk.ask("refresh", {})
    assert (answer["status"], answer["data"], site.source.refreshed) == ("ok", None, 1)


def test_explain_tells_of_one_alert() -> None:
    """The data of `explain` is about the alert that was asked for."""
    desk = Desk()
    site = Site(desk)
    site.soc(10.0)
    ((_, answer),) = desk.ask("explain", {"id": "soc_low"})
    assert answer["status"] == "ok"
    assert "soc_low" in json.dumps(answer["data"])
    ((_, answer),) = desk.ask("explain", {"id": "*"})
    assert all(rule["alert"] in json.dumps(answer["data"]) for rule in RULES)


def test_explain_names_the_topic_of_an_input() -> None:
    """Who asks why a rule on an input is unknown is told where the message would have to come."""
    desk = Desk()
    Site(desk)
    ((_, answer),) = desk.ask("explain", {"id": "cheap"})
    assert answer["data"]["verdict"].endswith("input.price is not known (no message came on tariff/price yet)")


def test_silences_are_listed_with_the_alerts() -> None:
    """`alerts/active` tells what keeps alerts quiet, at once when a silence begins and when it ends by itself."""
    desk = Desk()
    site = Site(desk)
    desk.ask("silence", {"matcher": {"severity": "info"}, "for": 60, "comment": "works"})
    assert desk.last("victron/home/alerts/active")["silences"] == [
        {"id": 1, "matcher": {"severity": "info"}, "until": "2026-01-31T12:01:00Z", "comment": "works"}
    ]
    desk.messages.clear()
    site.cycle.tick(NOW + 61.0)
    assert desk.last("victron/home/alerts/active")["silences"] == []


def test_what_a_request_changed_survives_a_power_cut(tmp_path: Path) -> None:
    """An acknowledgement and a silence are on the disk when they are answered, also when they tell no event."""
    desk = Desk()
    site = Site(desk, state=tmp_path)
    desk.ask("silence", {"id": "soc_low", "for": "2h"})
    site.soc(10.0)  # silenced: fires without an event
    ((_, answer),) = desk.ask("ack", {"id": "soc_low"})
    assert answer["data"]["acknowledged"] is True
    assert not [one for one in desk.messages if one.topic == "victron/home/alerts"]
    again = Site(Desk(), state=tmp_path)
    assert [silence["id"] for silence in again.engine.silences()] == [1]
    assert [shown.acknowledged for shown in again.engine.alerts()] == [True]


def test_a_flood_of_requests_is_bounded() -> None:
    """Beyond the allowance requests are dropped and counted, and at most one answer per second says so."""
    desk = Desk()
    site = Site(desk)
    answers = [answer for _ in range(1000) for _, answer in desk.ask("ack", {"id": "soc_low"})]
    assert len([one for one in answers if "too many requests" in one["error"]]) == 1
    assert len(answers) == REQUESTS_AT_ONCE + 1
    assert site.incoming.health()["requests"]["too_many"] == 1000 - REQUESTS_AT_ONCE
    site.at += 10.0
    ((_, answer),) = desk.ask("ack", {"id": "soc_low"})
    assert "firing now" in answer["error"]


def test_a_closed_site_answers_nothing() -> None:
    """A site that got another name answers under the new one only, and hears its inputs once."""
    desk = Desk()
    old, new = Site(desk, "old"), Site(desk, "new")
    old.incoming.close()
    assert desk.ask("refresh", {}, "old") == []
    assert len(desk.ask("refresh", {}, "new")) == 1
    desk.bring("tariff/price", b"5")
    assert (old.value("input/price"), new.value("input/price")) == (None, 5.0)


# -- inputs ---------------------------------------------------------------------------------------------------------


def test_one_topic_feeds_many_inputs_of_many_sites() -> None:
    """Each input reads the same message in its own way; what does not fit one of them is unknown there only."""
    desk = Desk()
    one, two = Site(desk, "one"), Site(desk, "two")
    desk.bring("tariff/price", {"total": 3.5})
    for site in (one, two):
        assert (site.value("input/price"), site.value("input/total")) == (None, 3.5)
        assert site.incoming.health()["inputs"] == {"heard": 1, "left_out": 0, "refused": 1}
    assert len([topic for topic, _ in desk.handlers if topic == "tariff/price"]) == 2, "once per site"


def test_a_retained_message_counts_as_read_when_it_arrives() -> None:
    """An input is known as soon as the broker delivers what it kept, for the input's age."""
    desk = Desk()
    site = Site(desk)
    desk.bring("tariff/price", b"5", is_retained=True)
    assert site.value("input/price") == 5.0
    site.cycle.tick(NOW + 600.0)
    assert site.value("input/price") is None


def test_what_is_malformed_makes_an_input_unknown_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The old value does not stay, and a sender that goes on does not fill the log."""
    desk = Desk()
    site = Site(desk)
    desk.bring("weather/sun", b"true")
    for _ in range(5):
        site.at += 1.0
        desk.bring("weather/sun", b"sunny")
    assert site.value("input/sun") is None
    assert site.incoming.health()["inputs"] == {"heard": 1, "left_out": 0, "refused": 5}
    (record,) = [one for one in caplog.records if "input.sun" in one.getMessage()]
    assert "neither true nor false (true, false, on, off, 1, 0): 'sunny'" in record.getMessage()


def test_of_a_flood_the_last_value_counts() -> None:
    """Values that come too fast cost no evaluation each; the last is never lost."""
    desk = Desk()
    site = Site(desk)
    for price in range(1000):
        desk.bring("tariff/price", price)
    assert site.value("input/price") == 0.0
    site.incoming.tick(NOW + 2 * INPUT_EVERY_S)
    assert site.value("input/price") == 999.0
    assert site.incoming.health()["inputs"]["left_out"] == 2 * 998, "of both inputs of this topic"


# -- with a broker --------------------------------------------------------------------------------------------------


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as one:
        yield one


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_requests_over_a_broker(broker: Mosquitto, protocol: str) -> None:
    """With both protocols a request is heard and answered; with MQTT 5 at the place that it names."""
    sink = make_sink(broker.port, protocol=protocol)
    site = Site(sink)
    site.at = time.time()
    site.soc(10.0)
    sink.start()
    try:
        wait_until(lambda: "home/request/#" in broker.log())
        with Subscriber(broker.port, v5=protocol == "5") as client:
            client.publish("victron/home/request/ack", b"garbage")
            answer = client.wait_for("victron/home/response/ack")
            assert (json.loads(answer.payload)["status"], answer.qos, answer.is_retained) == ("error", 1, False)
            wanted = Properties(PacketTypes.PUBLISH)
            wanted.ResponseTopic, wanted.CorrelationData = "app/1", b"\x01\x02"
            where = "app/1" if protocol == "5" else "victron/home/response/silence"
            payload = json.dumps({"id": "soc_low", "for": "1h", "transaction": 9})
            client.publish("victron/home/request/silence", payload, properties=wanted if protocol == "5" else None)
            answer = client.wait_for(where)
            assert json.loads(answer.payload)["data"]["matches"] == ["soc_low"]
            assert answer.correlation == (b"\x01\x02" if protocol == "5" else None)
            if protocol == "5":
                assert RESPONSE_EXPIRY_S - 10 < answer.expiry_s <= RESPONSE_EXPIRY_S
    finally:
        sink.stop(2.0)


def test_a_retained_request_is_ignored_also_while_connected(broker: Mosquitto) -> None:
    """With MQTT 5 the flag survives on the way to a bridge that is connected: the request is not carried out."""
    sink = make_sink(broker.port, protocol="5")
    site = Site(sink)
    sink.start()
    try:
        wait_until(lambda: "home/request/#" in broker.log())
        with Subscriber(broker.port) as client:
            client.publish("victron/home/request/refresh", "{}", retain=True)
            client.publish("victron/home/request/explain", '{"id": "*"}')  # what follows is answered
            client.wait_for("victron/home/response/explain")
            assert site.source.refreshed == 0
            assert site.incoming.health()["requests"]["retained"] == 1
    finally:
        sink.stop(2.0)


def test_inputs_are_heard_again_after_the_broker_comes_back(broker: Mosquitto) -> None:
    """Subscriptions are made again with every connection; a retained value is there at once."""
    sink = make_sink(broker.port)
    site = Site(sink)
    sink.start()
    try:
        with Subscriber(broker.port, "tariff/#") as client:
            client.publish("tariff/price", "5", retain=True)
        wait_until(lambda: site.value("input/price") == 5.0)
        broker.restart()
        site.at += 1.0
        with Subscriber(broker.port, "tariff/#") as client:
            client.publish("tariff/price", "6", retain=True)
        wait_until(lambda: site.value("input/price") == 6.0)
    finally:
        sink.stop(2.0)
