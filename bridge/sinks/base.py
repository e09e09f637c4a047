"""What the cycle asks of a sink.

`publish` never blocks and never raises for what the broker does: state is kept as the latest message per topic,
events in order until they are acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from bridge.model import Message


class Request(NamedTuple):
    """A message that arrived on a subscribed topic. `correlation` and `response_topic` are MQTT 5's, or empty."""

    topic: str
    payload: bytes
    is_retained: bool
    response_topic: str
    correlation: bytes


class Sink(Protocol):
    """Anything that takes messages: an MQTT broker, a terminal, a recording.

    `wall_offset_s` is what to add to a message's steady `at` to get the wall clock.
    """

    wall_offset_s: float

    def publish(self, messages: Sequence[Message]) -> None:
        """Take messages of one turn, in order. Thread-safe; returns at once."""

    def subscribe(self, topic: str, handler: Callable[[Request], None]) -> None:
        """Call `handler` in the sink's thread for every message on `topic` (may hold wildcards)."""

    def start(self) -> None:
        """Begin connecting in the background."""

    def stop(self, timeout_s: float) -> list[Message]:
        """Send what is queued, disconnect cleanly, and return the events that were not acknowledged in time."""

    def health(self) -> Mapping[str, Any]:
        """Return connection state, queue depth and counters for the health topic."""
