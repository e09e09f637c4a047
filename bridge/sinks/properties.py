"""MQTT 5 properties of a PUBLISH packet, as bytes, ready before they are needed.

Messages of one point share their `Meta`, messages of one page share their time: both parts are encoded once and
joined per message. paho's own `Properties.pack()` searches name tables for each property and costs ten times a
whole packet of ours.

Source: MQTT 5.0, sections 1.5 (data types), 2.2.2 (properties) and 3.3.2.3 (properties of PUBLISH).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from bridge.model import Message, Meta

_FORMAT_IS_TEXT = b"\x01\x01"
_EXPIRY = b"\x02"
_CONTENT_TYPE = b"\x03"
_CORRELATION = b"\x09"
_USER = b"\x26"
_LONGEST_FIELD = 65_535
_MAX_CACHED = 1_024  # a site has some dozens of units and one time per page


@lru_cache(maxsize=4_096)
def variable_length(number: int) -> bytes:
    """Return `number` (0 to 268 435 455) as a variable byte integer: seven bits per byte, the lowest first."""
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def binary_field(data: bytes) -> bytes:
    """Return `data` behind its length in two bytes."""
    return len(data).to_bytes(2, "big") + data


def text_field(text: str) -> bytes:
    """Return `text` as an MQTT string; what brokers refuse inside one (control characters) becomes a space."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    data = text.encode()
    if len(data) > _LONGEST_FIELD:
        data = data[:_LONGEST_FIELD].decode(errors="ignore").encode()
    return binary_field(data)


def user_property(name: str, value: str) -> bytes:
    """Return one user property."""
    return _USER + text_field(name) + text_field(value)


class Packed:
    """Ready property bytes in the shape that paho's `publish` asks of its `properties`: an object with `pack()`."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def pack(self) -> bytes:
        return self._data


class PropertyPacker:
    """Turns what a message says about itself into property bytes, remembering the parts that repeat.

    `wall_offset_s` is added to a message's time to get the wall clock that subscribers see in `ts`.
    """

    def __init__(self) -> None:
        self.wall_offset_s = 0.0
        self._shared: dict[Meta, bytes] = {}
        self._stamps: dict[float, bytes] = {}

    def pack(self, message: Message, expiry_left_s: int) -> bytes:
        """Return the whole property block of `message`, its length in front.

        Args:
            expiry_left_s: seconds until the message is worth nothing; 0 or less when it never expires.
        """
        meta = message.meta
        at = message.at + self.wall_offset_s
        body = (self._shared.get(meta) or self._share(meta)) + (self._stamps.get(at) or self._stamp(at))
        if expiry_left_s > 0:
            body += _EXPIRY + expiry_left_s.to_bytes(4, "big")
        if message.code is not None:
            body += _code(message.code)
        return variable_length(len(body)) + body

    def _share(self, meta: Meta) -> bytes:
        data = _FORMAT_IS_TEXT
        if meta.content_type:
            data += _CONTENT_TYPE + text_field(meta.content_type)
        data += b"".join(user_property(name, value) for name, value in meta.user)
        if meta.correlation:  # belongs to one request: not worth remembering
            return data + _CORRELATION + binary_field(meta.correlation[:_LONGEST_FIELD])
        if len(self._shared) >= _MAX_CACHED:
            self._shared.clear()
        self._shared[meta] = data
        return data

    def _stamp(self, at: float) -> bytes:
        if len(self._stamps) >= _MAX_CACHED:
            self._stamps.clear()
        text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data = self._stamps[at] = user_property("ts", text)
        return data


@lru_cache(maxsize=_MAX_CACHED)
def _code(code: int) -> bytes:
    return user_property("code", str(code))
