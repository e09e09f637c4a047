"""Many QoS 0 PUBLISH packets as one piece of bytes, for one write.

Nothing acknowledges a QoS 0 packet and nothing is remembered about it, so it needs no client library: header,
topic, properties, payload. What a broker would close the connection for (a wildcard in a topic, a packet above its
limit) is refused here and told in `complaints`.

Source: MQTT 3.1.1 and 5.0, section 3.3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil

from bridge.model import Message
from bridge.sinks.properties import PropertyPacker, binary_field, variable_length

_PUBLISH = b"\x30"
_PUBLISH_RETAINED = b"\x31"
_LONGEST_TOPIC = 65_535
_MAX_TOPICS = 50_000
_MAX_COMPLAINTS = 100
QOS1_OVERHEAD = 7  # fixed header of at most five bytes, packet identifier of two
LARGEST_PACKET = 268_435_460  # what the protocol itself allows

INVALID = "the topic is not valid"
TOO_LARGE = "the broker takes no packets of this size"
EXPIRED = "it is too old"


class Encoder:
    """Encodes messages for one connection.

    `has_properties` is true on MQTT 5. `largest_packet` and `retain` are what the broker's CONNACK granted.
    """

    def __init__(self, packer: PropertyPacker) -> None:
        self.has_properties = True
        self.largest_packet = LARGEST_PACKET
        self.retain = True
        self.encoded = 0
        self.dropped: Counter[str] = Counter()
        self.complaints: list[tuple[Message, str]] = []
        self._packer = packer
        self._topics: dict[str, bytes] = {}

    def encode(self, messages: Sequence[Message], now: float) -> bytes:
        """Return the QoS 0 packets of `messages`, those that may be sent at all. `now` is the steady clock."""
        topics, largest_size, retained = self._topics, self.largest_packet - 5, self.retain
        parts: list[bytes] = []
        blocks: dict[tuple[int, float], bytes] = {}  # what messages of one page and unit have in common
        for message in messages:
            name, text, _, retain, meta, at, code = message
            topic = topics.get(name) or self.topic_field(name)
            if not topic:
                self._complain(message, INVALID)
                continue
            key = id(meta), at  # the messages keep their metas alive, so an id is not used twice
            properties = blocks.get(key) if code is None else None
            if properties is None:
                properties = self._block(message, now)
                if properties is None:
                    self._complain(message, EXPIRED)
                    continue
                if code is None:
                    blocks[key] = properties
            payload = text.encode() if text.isascii() else payload_bytes(text)
            size = len(topic) + len(properties) + len(payload)
            if size > largest_size:
                self._complain(message, TOO_LARGE)
                continue
            head = _PUBLISH_RETAINED if retain and retained else _PUBLISH
            parts += (head, variable_length(size), topic, properties, payload)
        self.encoded += len(parts) // 5
        return b"".join(parts)

    def _block(self, message: Message, now: float) -> bytes | None:
        """Return the property block of `message`, None when it is too old."""
        left_s = self.expiry_left_s(message, now)
        if left_s < 0:
            return None
        return self._packer.pack(message, left_s) if self.has_properties else b""

    def check(self, message: Message, payload: bytes, properties: bytes) -> bool:
        """Return whether a QoS 1 packet of these parts may be sent; complain when not."""
        topic = self._topics.get(message.topic) or self.topic_field(message.topic)
        if not topic:
            self._complain(message, INVALID)
            return False
        if len(topic) + len(payload) + len(properties) + QOS1_OVERHEAD > self.largest_packet:
            self._complain(message, TOO_LARGE)
            return False
        return True

    def properties(self, message: Message, now: float) -> bytes:
        """Return the property block of a message that is worth sending however old it is; b"" before MQTT 5."""
        if not self.has_properties:
            return b""
        left_s = self.expiry_left_s(message, now)
        return self._packer.pack(message, max(left_s, 1) if message.meta.expiry_s else 0)

    @staticmethod
    def expiry_left_s(message: Message, now: float) -> int:
        """Return the whole seconds that `message` is still good for, 0: for ever, -1: no more."""
        expiry_s = message.meta.expiry_s
        if not expiry_s:
            return 0
        left_s = expiry_s - (now - message.at)
        return min(ceil(left_s), expiry_s) if left_s > 0 else -1

    def topic_field(self, topic: str) -> bytes:
        """Return `topic` with its length in front, b"" when no message may be published on it."""
        field = b""
        if topic and topic.isprintable() and "+" not in topic and "#" not in topic:
            data = topic.encode()
            field = binary_field(data) if len(data) <= _LONGEST_TOPIC else b""
        if len(self._topics) >= _MAX_TOPICS:
            self._topics.clear()
        self._topics[topic] = field
        return field

    def _complain(self, message: Message, reason: str) -> None:
        self.dropped[reason] += 1
        if len(self.complaints) < _MAX_COMPLAINTS:
            self.complaints.append((message, reason))


def payload_bytes(payload: str) -> bytes:
    """Return `payload` as UTF-8; a lone surrogate (broken text from a device) becomes a question mark."""
    try:
        return payload.encode()
    except UnicodeEncodeError:
        return payload.encode(errors="replace")
