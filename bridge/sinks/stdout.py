"""A sink that writes each message as one line: for `--dry-run`, for pipes, and for looking.

As JSON lines (`{"topic": …, "payload": …, …}`) or, for people, `topic payload`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, TextIO

from bridge.model import Message
from bridge.sinks.base import Request


def to_line(message: Message, wall_offset_s: float = 0.0) -> str:
    """Return `message` as one JSON object without a line break; `at` is the wall clock."""
    document: dict[str, Any] = {
        "at": round(message.at + wall_offset_s, 3),
        "topic": message.topic,
        "payload": message.payload,
        "qos": message.qos,
        "retain": message.retain,
    }
    if message.code is not None:
        document["code"] = message.code
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def to_text(message: Message, _wall_offset_s: float = 0.0) -> str:
    """Return `message` as `topic payload`, line breaks inside the payload made visible."""
    return f"{message.topic} {message.payload}".replace("\r", "\\r").replace("\n", "\\n")


class StdoutSink:
    """Writes to a stream, by default standard output.

    A reader that goes away (`| head`) ends the writing, not the program: the rest is counted as dropped.
    """

    def __init__(self, stream: TextIO | None = None, is_json: bool = True) -> None:
        self.wall_offset_s = 0.0
        self._stream = sys.stdout if stream is None else stream
        self._format = to_line if is_json else to_text
        self._lock = Lock()
        self._published = 0
        self._dropped = 0
        self._last_error = ""

    def publish(self, messages: Sequence[Message]) -> None:
        """Write one line per message, and flush once."""
        if not messages:
            return
        text = "".join(self._format(message, self.wall_offset_s) + "\n" for message in messages)
        with self._lock:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._dropped += len(messages)
                self._last_error = f"Nobody reads the output any more: {error}."
            else:
                self._published += len(messages)

    def subscribe(self, topic: str, handler: Callable[[Request], None]) -> None:
        """Hear nothing: nobody speaks to a terminal."""

    def start(self) -> None:
        """Have nothing to connect."""

    def stop(self, timeout_s: float) -> list[Message]:
        """Return at once: everything is written."""
        return []

    def health(self) -> Mapping[str, Any]:
        """Return the counters."""
        return {
            "connected": not self._last_error,
            "published": self._published,
            "dropped": self._dropped,
            "last_error": self._last_error,
        }
