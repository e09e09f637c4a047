"""QoS 0 packets, read back by a small decoder, and what is refused."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from bridge.model import Message, Meta
from bridge.sinks.packets import EXPIRED, INVALID, TOO_LARGE, Encoder
from bridge.sinks.properties import PropertyPacker

NUMBER = Meta("application/json", 180, (("unit", "V"),))


class Decoded(NamedTuple):
    topic: str
    payload: str
    is_retained: bool
    expiry_s: int | None
    user: dict[str, str]


def decode(data: bytes, has_properties: bool = True) -> list[Decoded]:
    found = []
    while data:
        first, (size, width) = data[0], VariableByteIntegers.decode(data[1:6])
        body, data = data[1 + width : 1 + width + size], data[1 + width + size :]
        assert len(body) == size
        assert first in (0x30, 0x31)
        length = int.from_bytes(body[:2], "big")
        rest = body[2 + length :]
        properties = Properties(PacketTypes.PUBLISH)
        if has_properties:
            _, used = properties.unpack(rest)
            rest = rest[used:]
        found.append(
            Decoded(
                body[2 : 2 + length].decode(),
                rest.decode(),
                first == 0x31,
                getattr(properties, "MessageExpiryInterval", None),
                dict(getattr(properties, "UserProperty", [])),
            )
        )
    return found


def state(topic: str, payload: str = "1", at: float = 0.0, code: int | None = None, meta: Meta = NUMBER) -> Message:
    return Message(topic, payload, 0, True, meta, at, code)


@pytest.mark.parametrize("has_properties", [True, False])
@given(st.lists(st.tuples(st.text("abc/ä", min_size=1, max_size=200), st.text(max_size=300)), max_size=20))
def test_what_goes_in_comes_out(has_properties, pairs):
    """Every topic and payload is read back, in order, with and without properties."""
    encoder = Encoder(PropertyPacker())
    encoder.has_properties = has_properties
    messages = [state(topic, payload) for topic, payload in pairs]
    seen = decode(encoder.encode(messages, 0.0), has_properties)
    assert [(one.topic, one.payload) for one in seen] == pairs
    assert encoder.encoded == len(pairs)


def test_messages_that_share_their_properties_keep_what_is_their_own():
    """Code, unit and time belong to each message, also between others of the same page."""
    amperes = NUMBER._replace(user=(("unit", "A"),))
    messages = [
        state("v/1", at=10.0),
        state("v/2", at=10.0, code=7),
        state("v/3", at=10.0),
        state("v/4", at=10.0, meta=amperes),
        state("v/5", at=11.0),
        state("v/6", at=10.0, meta=NUMBER._replace(expiry_s=0)),
    ]
    seen = decode(Encoder(PropertyPacker()).encode(messages, 20.0))
    assert [one.user.get("code") for one in seen] == [None, "7", None, None, None, None]
    assert [one.user["unit"] for one in seen] == ["V", "V", "V", "A", "V", "V"]
    assert [one.user["ts"][-7:-1] for one in seen] == ["10.000"] * 4 + ["11.000", "10.000"]
    assert [one.expiry_s for one in seen] == [170, 170, 170, 170, 171, None]


@pytest.mark.parametrize(
    ("age_s", "left_s"), [(0.0, 180), (-5.0, 180), (0.1, 180), (1.0, 179), (179.5, 1), (180.0, None), (1e9, None)]
)
def test_expiry_is_what_is_left(age_s, left_s):
    """The interval sent is the rest, rounded up; a message whose time is over is dropped and counted."""
    encoder = Encoder(PropertyPacker())
    seen = decode(encoder.encode([state("v/a", at=0.0)], age_s))
    assert [one.expiry_s for one in seen] == ([] if left_s is None else [left_s])
    assert encoder.dropped[EXPIRED] == (left_s is None)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a#", "a\x00b", "a\nb", "x" * 65_536])
def test_topics_that_cost_the_connection_are_refused(topic):
    """An invalid topic is dropped and told; its neighbours go out."""
    encoder = Encoder(PropertyPacker())
    seen = decode(encoder.encode([state("v/a"), state(topic), state("v/b")], 0.0))
    assert [one.topic for one in seen] == ["v/a", "v/b"]
    assert encoder.dropped[INVALID] == 1
    assert [(message.topic, reason) for message, reason in encoder.complaints] == [(topic, INVALID)]


def test_packets_above_the_brokers_limit_are_refused():
    """No packet is longer than what the broker said it takes."""
    encoder = Encoder(PropertyPacker())
    encoder.largest_packet = 300
    messages = [state("v/a", "x" * length) for length in range(100, 300)]
    for message in messages:
        assert len(encoder.encode([message], 0.0)) <= 300
    assert 0 < encoder.dropped[TOO_LARGE] < 200


def test_retain_is_left_out_where_the_broker_has_none():
    """A broker without retained messages gets the same values unretained."""
    encoder = Encoder(PropertyPacker())
    encoder.retain = False
    assert [one.is_retained for one in decode(encoder.encode([state("v/a")], 0.0))] == [False]


def test_broken_text_does_not_stop_a_batch():
    """A lone surrogate in a payload becomes a question mark."""
    seen = decode(Encoder(PropertyPacker()).encode([state("v/a", "x\ud800y")], 0.0))
    assert seen[0].payload == "x?y"


def test_complaints_are_bounded():
    """A thousand bad topics fill no list."""
    encoder = Encoder(PropertyPacker())
    encoder.encode([state(f"a/+/{number}") for number in range(1_000)], 0.0)
    assert len(encoder.complaints) == 100
    assert encoder.dropped[INVALID] == 1_000
