"""Property bytes, read back with paho's own decoder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from bridge.model import Message, Meta
from bridge.sinks.properties import PropertyPacker, text_field, variable_length


def unpack(data: bytes) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    _, length = properties.unpack(data)
    assert length == len(data)
    return properties


def message(meta: Meta, at: float = 0.0, code: int | None = None) -> Message:
    return Message("v/a", "1", 0, True, meta, at, code)


@given(st.integers(0, 268_435_455))
def test_variable_length_is_what_paho_writes(number):
    """Every length is encoded as paho encodes it."""
    assert variable_length(number) == VariableByteIntegers.encode(number)


def test_everything_a_message_says_is_read_back():
    """Format, content type, expiry, unit, time and code come out as they went in."""
    meta = Meta("application/json", 180, (("unit", "°C"), ("site", "home")))
    seen = unpack(PropertyPacker().pack(message(meta, 1_700_000_000.25, -3), 42))
    assert (seen.PayloadFormatIndicator, seen.ContentType, seen.MessageExpiryInterval) == (1, "application/json", 42)
    assert seen.UserProperty == [
        ("unit", "°C"),
        ("site", "home"),
        ("ts", "2023-11-14T22:13:20.250Z"),
        ("code", "-3"),
    ]


def test_a_message_without_expiry_and_code_has_neither():
    """Expiry 0 means never: no expiry property is written; no code, no user property."""
    seen = unpack(PropertyPacker().pack(message(Meta("text/plain", 0, ())), 0))
    assert not hasattr(seen, "MessageExpiryInterval")
    assert [name for name, _ in seen.UserProperty] == ["ts"]


def test_correlation_data_goes_back_to_who_asked():
    """A response carries the request's correlation data, byte for byte."""
    meta = Meta("application/json", 0, (), b"\x00\xff\x01")
    packer = PropertyPacker()
    for _ in range(2):
        assert unpack(packer.pack(message(meta), 0)).CorrelationData == b"\x00\xff\x01"


def test_the_offset_reaches_the_time_stamp_at_once():
    """Changing wall_offset_s changes `ts` of the next message, also for a time that was packed before."""
    packer = PropertyPacker()
    sent = message(Meta("text/plain", 0, ()), 1_000.0)
    assert dict(unpack(packer.pack(sent, 0)).UserProperty)["ts"] == "1970-01-01T00:16:40.000Z"
    packer.wall_offset_s = 60.0
    assert dict(unpack(packer.pack(sent, 0)).UserProperty)["ts"] == "1970-01-01T00:17:40.000Z"


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\x7fb", "a\ud800b", "a\ufffeb"])
def test_what_brokers_refuse_in_a_string_becomes_a_space(text):
    """Control characters, surrogates and non-characters never reach the wire."""
    assert text_field(text) == b"\x00\x03a b"


def test_a_text_that_is_too_long_is_cut_at_a_character():
    """A string of more than 65 535 bytes is cut and stays valid UTF-8."""
    field = text_field("ä" * 40_000)
    assert len(field) == 2 + 65_534
    assert field[2:].decode() == "ä" * 32_767


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=200)), max_size=5), st.text(max_size=30))
def test_any_meta_is_readable(user, content_type):
    """Whatever texts a catalogue holds, the block can be read by another implementation."""
    meta = Meta(content_type, 0, tuple(user))
    seen = unpack(PropertyPacker().pack(message(meta), 7))
    assert len(seen.UserProperty) == len(user) + 1
    assert seen.MessageExpiryInterval == 7


def test_caches_stay_small():
    """Ten thousand different times and units do not stay in memory."""
    packer = PropertyPacker()
    for number in range(10_000):
        packer.pack(message(Meta("text/plain", number, ()), float(number)), 0)
    assert len(packer._shared) <= 1_024
    assert len(packer._stamps) <= 1_024
