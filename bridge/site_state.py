"""What one site must not forget: its alerts, the events nobody has taken yet, and which topics it left on the broker.

Law: an event is on the disk before it is offered to the broker, in one document with the engine that made it, so a
power cut at any moment loses no event and gives no number twice. What the broker has acknowledged leaves the disk with
the next save; a cut before that sends it once more, marked as replayed. What functions over time remember is large, is
not worth a write at every event, and stands in a document of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge.files.state import StateStore
from bridge.model import Alert, Message
from bridge.sinks.outbox import mark_replayed

SETTLE_S = 2.0  # acknowledgements are written down this long after the first of them, in one go
STEADY_EVERY_S = 300.0  # without events, and for the history: flash wears
MAX_OUTBOX = 1000


class SiteState:
    """What is on the disk of a site. `save` is called under the cycle's lock, `settled` from the sink's thread.

    Args:
        store: of the state.
        history: of what functions over time remember.
    """

    def __init__(self, store: StateStore, history: StateStore) -> None:
        self._store = store
        self._history = history
        self._lock = threading.Lock()
        self._outbox: dict[str, Message] = {}
        self._alerts: dict[str, str] = {}  # topic of every alert that was published as not inactive -> its id
        self._saved_at = 0.0
        self._history_at: float | None = None
        self._settled_at: float | None = None
        self.dropped = 0
        document = store.load() or {}
        self.engine: dict[str, Any] = document.get("engine", {})
        if self.engine:
            self.engine["history"] = (history.load() or {}).get("history", {})
        self.wall_offset_s = float(document.get("wall_offset_s", 0.0))
        self.devices: list[Any] = document.get("devices", [])
        self.profile: dict[str, Any] = document.get("profile", {})
        self.old_alerts: dict[str, str] = document.get("alerts", {})
        for row in document.get("outbox", []):
            message = Message.from_row(row)
            self._outbox[message.payload] = message

    @property
    def failures(self) -> int:
        return self._store.failures + self._history.failures

    def undelivered(self) -> list[Message]:
        """Return the events that the last process could not deliver, marked as replayed."""
        with self._lock:
            rows = [message._replace(payload=mark_replayed(message.payload)) for message in self._outbox.values()]
            self._outbox = {message.payload: message for message in rows}
            return rows

    def add(self, events: Sequence[Message]) -> None:
        """Take events that are about to be offered; the oldest go when far too many wait."""
        with self._lock:
            self._outbox.update((event.payload, event) for event in events)
            while len(self._outbox) > MAX_OUTBOX:
                del self._outbox[next(iter(self._outbox))]
                self.dropped += 1

    def settled(self, message: Message, now: float) -> None:
        """The broker has taken `message`, or nobody ever will."""
        with self._lock:
            if self._outbox.pop(message.payload, None) is not None and self._settled_at is None:
                self._settled_at = now

    def note_alerts(self, topics: Iterable[tuple[str, Alert]]) -> None:
        """Remember which alert topics on the broker say something else than inactive."""
        for topic, alert in topics:
            if alert.phase == "inactive":
                self._alerts.pop(topic, None)
            else:
                self._alerts[topic] = alert.id

    def is_due(self, now: float) -> bool:
        settled_at = self._settled_at
        return now - self._saved_at >= STEADY_EVERY_S or (settled_at is not None and now - settled_at >= SETTLE_S)

    def save(self, now: float, document: Mapping[str, Any]) -> None:
        """Write everything; a disk that cannot be written is the store's to tell."""
        with self._lock:
            outbox = [message.to_row() for message in self._outbox.values()]
            self._settled_at = None
        self._saved_at = now
        self._store.save({**document, "alerts": self._alerts, "outbox": outbox})

    def is_history_due(self, now: float) -> bool:
        """Tell whether five minutes have passed; a process that keeps dying writes nothing at its start."""
        if self._history_at is None:
            self._history_at = now
        return now - self._history_at >= STEADY_EVERY_S

    def save_history(self, now: float, history: Mapping[str, Any]) -> None:
        """Write what functions over time remember; nothing when there are none."""
        self._history_at = now
        if history["series"]:
            self._history.save({"history": history})
