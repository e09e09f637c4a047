"""One site's turn from poll to publish: START READING HERE.

    source.poll        -> pages                I/O: at most one request, without the lock
    normalizer         -> samples              which point, which value, what changed
    engine.step        -> events               rules over samples, reads and clocks
    topics             -> messages             what is worth a message, and its topic
    sink.publish                               hands over and returns at once

`turn` is called by the site's own thread when the source has something due; `tick` by the supervisor for clocks that
run out while a request hangs; `take`, `ask`, `look` and `refresh` when something came over MQTT. All apply under one
lock, so the stages never overlap.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from bridge.core.engine import Engine
from bridge.core.normalize import Batch, Normalizer
from bridge.core.silencing import quiet_documents
from bridge.core.summary import Summary
from bridge.core.topics import SiteTopics, StateTopics
from bridge.facts import Facts
from bridge.model import Alert, Device, Event, Kind, Message, Point, PointSpec, Read, Sample, Tier
from bridge.sinks.base import Sink
from bridge.sources.base import Source

log = logging.getLogger(__name__)
T = TypeVar("T")

SUMMARY_EVERY_S = 10.0
DOCUMENTS_EVERY_S = 300.0  # status, info and alert topics are sent again this often, and expire after three times that
ALERTS_EVERY_S = 30.0  # values of alerts that go on are followed this closely
_ONLINE = Point(
    "site/online",
    PointSpec(Kind.BOOL, "site/online", "", "", {}, Tier.CRITICAL, 0, 0.0, (), "Does the GX answer?", "", ""),
    None,
    "site",
)


class Memory(Protocol):
    """What a cycle keeps over a restart (see `site_state`)."""

    def add(self, events: Sequence[Message]) -> None: ...
    def note_alerts(self, topics: Iterable[tuple[str, Alert]]) -> None: ...
    def is_due(self, now: float) -> bool: ...
    def save(self, now: float, document: Mapping[str, Any]) -> None: ...
    def is_history_due(self, now: float) -> bool: ...
    def save_history(self, now: float, history: Mapping[str, Any]) -> None: ...


class Cycle:
    """The walk of one site's values."""

    def __init__(
        self,
        source: Source,
        normalizer: Normalizer,
        engine: Engine,
        state_topics: StateTopics,
        site_topics: SiteTopics,
        summary: Summary,
        sink: Sink,
        forget_after_s: float | None = None,
        memory: Memory | None = None,
        facts: Facts | None = None,
        wake: Callable[[], object] = lambda: None,  # the site's thread, which sleeps until the source has something due
    ) -> None:
        self.source = source
        self.normalizer = normalizer
        self.engine = engine
        self._facts = facts
        self._wake = wake
        self._state_topics = state_topics
        self._topics = site_topics
        self._summary = summary
        self._sink = sink
        self._forget_after_s = forget_after_s
        self._memory = memory
        self._gone_since: dict[Device, float] = {}
        self._lock = threading.Lock()
        self._is_online: bool | None = None
        self._summary_due = 0.0
        self._alerts: dict[str, Alert] = {}  # that are pending or firing, as they were last published
        self._quiet = quiet_documents(engine)  # as it was last published
        self._documents: dict[str, Message] = {}
        self._documents_due = 0.0
        self._alerts_due = 0.0
        self._wall_offset_s = 0.0
        self.news = ""

    def turn(self, now: float, clock_now: Callable[[], float]) -> None:
        """Do what is due at the source and let it through all stages. `clock_now()` tells when the answer came."""
        poll = self.source.poll(now)
        self.news = poll.news
        with self._lock:
            now = clock_now()
            batches = [self.normalizer.page(page) for page in poll.pages]
            if poll.services is not None:
                batches.append(self.normalizer.services(poll.services, now))
            self._apply(now, batches)

    def tick(self, now: float) -> None:
        """Let clocks run out: `for`, staleness, the site going offline, the summary, refreshes, the state."""
        with self._lock:
            is_online = self.source.is_online(now)
            if now >= self.engine.next_clock() or is_online is not self._is_online or self._is_summary_due(now):
                self._apply(now, [])
            if self._gone_since:
                self._forget(now)
            if now >= self._alerts_due:
                self._alerts_due = now + ALERTS_EVERY_S
                self._follow_alerts(now)
            if now >= self._documents_due:
                self._documents_due = now + DOCUMENTS_EVERY_S
                self._sink.publish(self._fresh([message._replace(at=now) for message in self._documents.values()]))
            if self._memory is not None:
                self._keep(self._memory, now)

    def next_clock(self) -> float:
        return self.engine.next_clock()

    # -- what comes over MQTT: the sink's thread --------------------------------------------------------------------

    def take(self, now: float, samples: Sequence[Sample], reads: Sequence[Read]) -> None:
        """Let values through that are not the GX's own; they are known to their sender and not published."""
        with self._lock:
            self._publish(now, [], [], [], self.engine.step(now, samples, reads))
            self._renew(now)

    def ask(self, now: float, work: Callable[[Engine], list[Event]]) -> None:
        """Let `work` change alerts and publish the events that it returns. What it raises, nothing has changed.

        The state is written each time: an acknowledgement or a silence may not lead to any event.

        Raises:
            RuleError: `work` did.
        """
        with self._lock:
            self._publish(now, [], [], [], work(self.engine))
            if self._memory is not None:
                self._memory.save(now, self._dump())

    def look(self, work: Callable[[Engine], T]) -> T:
        """Return what `work` reads from the engine while nothing moves."""
        with self._lock:
            return work(self.engine)

    def refresh(self) -> None:
        """Read everything from the GX now, and publish all of it again, changed or not."""
        with self._lock:
            self._state_topics.refresh()
            self._documents_due = 0.0
            self._summary.changed, self._summary_due = True, 0.0
        self.source.refresh()
        self._wake()

    def _apply(self, now: float, batches: list[Batch]) -> None:
        samples: list[Sample] = []
        reads: list[Read] = []
        documents = self._presence_documents(now, batches, samples)
        for batch in batches:
            samples += batch.samples
            reads += batch.reads
        self._publish(now, samples, reads, documents, self.engine.step(now, samples, reads))
        self._renew(now)

    def _publish(
        self, now: float, samples: list[Sample], reads: list[Read], documents: list[Message], events: list[Event]
    ) -> None:
        records = self.engine.take_records()
        samples += records
        documents += self._alert_documents(now)
        told = self._events(now, events)
        if reads:  # derived points were looked at again too, and are refreshed like those that they come from
            reads.append(Read("rules", now, max(read.stale_after_s for read in reads)))
        states = self._state_topics.messages(samples, reads)
        self._summary.update(samples)
        if self._is_summary_due(now):
            documents.append(self._summary_document(now))
        messages = [*told, *self._fresh(documents), *states]
        if messages:
            self._sink.publish(messages)
        if self._facts is not None:
            self._facts.take(records, now)

    def _renew(self, now: float) -> None:
        """Go on with other rules when the GX has told other facts. Only right after a step: a gap restarts clocks."""
        if self._facts is not None:
            self.engine = self._facts.renewed(self.engine, now) or self.engine

    def _events(self, now: float, events: list[Event]) -> list[Message]:
        """Return the messages of what the rules have to say, after it was written down."""
        messages = [self._topics.alert_event(event, now) for event in events]
        for event in events:
            log.info("site %s: %s %s: %s", self.engine.site, event.event, event.id, event.summary)
        if messages and self._memory is not None:
            self._memory.add(messages)
            self._memory.save(now, self._dump())
        return messages

    def _fresh(self, documents: Iterable[Message]) -> list[Message]:
        """Return retained documents with an expiry, and remember them: they are sent again until they change."""
        expiry_s = int(3 * DOCUMENTS_EVERY_S)
        messages = [message._replace(meta=message.meta._replace(expiry_s=expiry_s)) for message in documents]
        self._documents.update((message.topic, message) for message in messages)
        return messages

    def _presence_documents(self, now: float, batches: list[Batch], samples: list[Sample]) -> list[Message]:
        documents = []
        is_online = self.source.is_online(now)
        if is_online is not None and is_online is not self._is_online:
            self._is_online = is_online
            log.info("site %s: the GX is %s", self.engine.site, "online" if is_online else "offline")
            samples.append(Sample(_ONLINE, is_online, now))
            documents.append(self._topics.status(is_online, now))
            self._summary.changed = True
        for batch in batches:
            for device, info in batch.infos:
                documents.append(self._topics.device_info(device, info, now))
            for device, is_there in batch.presences:
                documents.append(self._topics.device_status(device, is_there, now))
                self._summary.changed = True
                if is_there:
                    self._gone_since.pop(device, None)
                elif self._forget_after_s is not None:
                    self._gone_since[device] = now
        return documents

    def _forget(self, now: float) -> None:
        """Clear the retained topics of devices that have been gone for `publish.forget_after`."""
        limit_s = self._forget_after_s
        for device in [device for device, since in self._gone_since.items() if limit_s and now - since >= limit_s]:
            del self._gone_since[device]
            alerts = [topic for topic in self._documents if topic.endswith(f"/{device.path}") and "/alerts/" in topic]
            cleared = [*self._state_topics.forget(device), *self._topics.forget(device)]
            cleared += [self._documents[topic]._replace(payload="", at=now) for topic in alerts]
            for message in cleared:
                self._documents.pop(message.topic, None)
            self._sink.publish(cleared)

    def _alert_documents(self, now: float) -> list[Message]:
        changed, quiet = self.engine.take_alerts(), quiet_documents(self.engine)
        if changed:
            self._summary.changed = True
            self._summary_due = now  # an alert is worth a summary at once
        elif quiet == self._quiet:
            return []
        return [*self._alert_states(changed, now), self._active_alerts(now)]

    def _active_alerts(self, now: float) -> Message:
        self._quiet = quiet_documents(self.engine)
        return self._topics.active_alerts(self._active(), now, *self._quiet)

    def _alert_states(self, alerts: Sequence[Alert], now: float) -> list[Message]:
        """Return the retained topics of alerts, and remember what they say."""
        for alert in alerts:
            self._alerts[alert.id] = alert
            if alert.phase == "inactive":
                del self._alerts[alert.id]
        states = [self._topics.alert_state(alert, now) for alert in alerts]
        if self._memory is not None:
            self._memory.note_alerts((state.topic, alert) for state, alert in zip(states, alerts))
        return states

    def _follow_alerts(self, now: float) -> None:
        """Publish alerts whose value moved while they are pending or firing; a display shows them as they are."""
        moved = [alert for alert in self.engine.alerts() if alert != self._alerts.get(alert.id)]
        if moved:
            self._sink.publish(self._fresh([*self._alert_states(moved, now), self._active_alerts(now)]))

    def _active(self) -> list[Alert]:
        return sorted(self._alerts.values(), key=lambda alert: self.engine.alert_states[alert.id].order)

    def _is_summary_due(self, now: float) -> bool:
        return self._summary.changed and now >= self._summary_due

    def _summary_document(self, now: float) -> Message:
        self._summary_due = now + SUMMARY_EVERY_S
        online = len(self.normalizer.devices.online)
        return self._topics.summary(self._summary.document(bool(self._is_online), online, self._active()), now)

    # -- start, stop, health: any thread ----------------------------------------------------------------------------

    def birth(self, now: float, left: Iterable[str] = ()) -> None:
        """Publish what is known before the GX answers: the alerts that were active when the process ended.

        Args:
            left: alert topics on the broker that say something else than inactive; those of rules and devices that
                are no more are cleared.
        """
        with self._lock:
            self._documents_due = now + DOCUMENTS_EVERY_S
            states = self._alert_states(self.engine.alerts(), now)
            active = self._active_alerts(now)
            gone = set(left) - {state.topic for state in states}
            cleared = [active._replace(topic=topic, payload="") for topic in sorted(gone)]
            self._sink.publish([*self._fresh([active, *states]), *cleared])

    def end(self, now: float) -> None:
        """Say that nobody listens to this GX any more, and write the state."""
        with self._lock:
            if self._is_online:
                self._sink.publish([self._topics.status(False, now)])
        self.save(now)

    def save(self, now: float) -> None:
        """Write everything; costs nothing where it is what was written last."""
        with self._lock:
            if self._memory is not None:
                self._memory.save(now, self._dump())
                self._memory.save_history(now, self.engine.history())

    def _keep(self, memory: Memory, now: float) -> None:
        """Write what is due."""
        if memory.is_due(now):
            memory.save(now, self._dump())
        if memory.is_history_due(now):
            memory.save_history(now, self.engine.history())

    def _dump(self) -> dict[str, Any]:
        """Return what must survive a restart, as JSON-able data."""
        devices = [list(device) for device in sorted(self.normalizer.devices.online)]
        return {
            "engine": self.engine.dump(has_history=False),
            "devices": devices,
            "profile": dict(self._facts.told) if self._facts else {},
            "wall_offset_s": self._wall_offset_s,
        }

    def load(self, engine: Mapping[str, Any], devices: Iterable[Any], wall_offset_s: float, now: float) -> None:
        """Take over what was saved before the restart; `wall_offset_s` is how far that clock was from the truth."""
        with self._lock:
            self.engine.load(engine, now, wall_offset_s)
            self.normalizer.devices.expect(Device(kind, instance) for kind, instance in devices)

    def set_wall_offset(self, offset_s: float, utc_offset_s: float, zones: Mapping[str, float] = {}) -> None:
        """Say how far the wall clock is from the steady clock, and the site's and other time zones from UTC."""
        with self._lock:
            self._wall_offset_s = self._state_topics.wall_offset_s = offset_s
            self.engine.set_wall_offset(offset_s, utc_offset_s, zones)

    def health(self) -> Mapping[str, Any]:
        with self._lock:
            return {
                "online": self._is_online,
                "devices": len(self.normalizer.devices.online),
                "source": dict(self.source.health()),
                "refused": {**self.normalizer.counters, **self._state_topics.counters},
                "rules": dict(self.engine.counters),
                "alerts": len(self._alerts),
            }
