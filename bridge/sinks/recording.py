"""A sink that appends every message to a file, one JSON object per line, for comparing and replaying.

The file is bounded: what would make it larger than `max_bytes` is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TextIO

from bridge.errors import SinkError
from bridge.model import Message
from bridge.sinks.base import Request
from bridge.sinks.stdout import to_line

_MAX_BYTES = 1 << 30  # a day of a large site is some 200 MB


class RecordingSink:
    """Writes messages to the file `path`, which is appended to when it exists."""

    def __init__(self, path: Path, max_bytes: int = _MAX_BYTES) -> None:
        self.wall_offset_s = 0.0
        self._path = path
        self._max_bytes = max_bytes
        self._file: TextIO | None = None
        self._size = 0
        self._lock = Lock()
        self._published = 0
        self._dropped = 0
        self._last_error = ""

    def start(self) -> None:
        """Open the file.

        Raises:
            SinkError: it cannot be written.
        """
        try:
            self._file = open(self._path, "a", encoding="utf-8", errors="replace")  # noqa: SIM115  # closed by stop()
        except OSError as error:
            raise SinkError(f"Cannot write {self._path}: {error.strerror}.", retry=False) from error
        self._size = self._file.tell()

    def publish(self, messages: Sequence[Message]) -> None:
        """Append one line per message, and flush once."""
        with self._lock:
            if self._file is None:
                self._dropped += len(messages)
                return
            lines = [to_line(message, self.wall_offset_s) + "\n" for message in messages]
            kept = [line for line in lines if self._has_room(line)]
            self._dropped += len(lines) - len(kept)
            try:
                self._file.writelines(kept)
                self._file.flush()
            except OSError as error:
                self._dropped += len(kept)
                self._last_error = f"Cannot write {self._path}: {error.strerror}."
            else:
                self._published += len(kept)

    def _has_room(self, line: str) -> bool:
        size = len(line.encode(errors="replace"))
        if self._size + size > self._max_bytes:
            self._last_error = f"{self._path} has reached its limit of {self._max_bytes} bytes."
            return False
        self._size += size
        return True

    def subscribe(self, topic: str, handler: Callable[[Request], None]) -> None:
        """Hear nothing: nobody speaks to a file."""

    def stop(self, timeout_s: float) -> list[Message]:
        """Close the file; everything is written."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
        return []

    def health(self) -> Mapping[str, Any]:
        """Return the counters."""
        return {
            "connected": self._file is not None,
            "published": self._published,
            "dropped": self._dropped,
            "last_error": self._last_error,
        }
