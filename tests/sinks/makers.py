"""Sinks and messages that the tests of this directory share."""

from __future__ import annotations

import json
import time

from bridge.model import Message, Meta
from bridge.sinks.mqtt import BrokerOptions, MqttSink

JSON_V = Meta("application/json", 180, (("unit", "V"),))
TEXT = Meta("text/plain", 0, ())
STATUS = "victron/bridge/test/status"
WILL = Message(STATUS, "offline", 1, True, TEXT, time.time())


def births() -> list[Message]:
    return [Message(STATUS, "online", 1, True, TEXT, time.time())]


def make_sink(port: int, **options: object) -> MqttSink:
    values: dict[str, object] = {"retry_min_s": 0.1, "retry_max_s": 0.5, "client_id": "test", **options}
    settled = values.pop("settled", lambda message: None)
    return MqttSink(BrokerOptions("127.0.0.1", port=port, **values), WILL, births, settled=settled)  # type: ignore


def state(topic: str, payload: str = "1", qos: int = 0, meta: Meta = JSON_V, age_s: float = 0.0) -> Message:
    return Message(topic, payload, qos, True, meta, time.time() - age_s)


def event(seq: int, topic: str = "v/home/alerts", age_s: float = 0.0) -> Message:
    payload = json.dumps({"seq": seq, "replayed": False})
    return Message(topic, payload, 1, False, Meta("application/json", 0, ()), time.time() - age_s)
