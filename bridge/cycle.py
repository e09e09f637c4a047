"""One site's turn from poll to publish: START READING HERE.

    source.poll        -> pages                I/O: at most one request, without the lock
    normalizer         -> samples              which point, which value, what changed
    engine.step        -> events               rules over samples, reads and clocks
    topics             -> messages             what is worth a message, and its topic
    sink.publish                               hands over and returns at once

`turn` is called by the site's own thread when the source has something due; `tick` by the supervisor for clocks that
run out while a request hangs. Both apply under one lock, so the stages never overlap.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from bridge.core.engine import Engine
from bridge.core.normalize import Batch, Normalizer
from bridge.core.summary import Summary
from bridge.core.topics import SiteTopics, StateTopics
from bridge.model import Device, Kind, Message, Point, PointSpec, Read, Sample, Tier
from bridge.sinks.base import Sink
from bridge.sources.base import Source

SUMMARY_EVERY_S = 10.0
_ONLINE = Point(
    "site/online",
    PointSpec(Kind.BOOL, "site/online", "", "", {}, Tier.CRITICAL, 0, 0.0, (), "Does the GX answer?", "", ""),
    None,
    "site",
)


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
    ) -> None:
        self.source = source
        self.normalizer = normalizer
        self.engine = engine
        self._state_topics = state_topics
        self._topics = site_topics
        self._summary = summary
        self._sink = sink
        self._forget_after_s = forget_after_s
        self._gone_since: dict[Device, float] = {}
        self._lock = threading.Lock()
        self._is_online: bool | None = None
        self._summary_due = 0.0
        self._has_transition = False
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
        """Let clocks run out: `for`, staleness, the site going offline, the summary."""
        with self._lock:
            is_online = self.source.is_online(now)
            if now >= self.engine.next_clock() or is_online is not self._is_online or self._is_summary_due(now):
                self._apply(now, [])
            if self._gone_since:
                self._forget(now)

    def next_clock(self) -> float:
        return self.engine.next_clock()

    def _apply(self, now: float, batches: list[Batch]) -> None:
        samples: list[Sample] = []
        reads: list[Read] = []
        messages = self._presence_messages(now, batches, samples)
        for batch in batches:
            samples += batch.samples
            reads += batch.reads
        events = self.engine.step(now, samples, reads)
        samples += self.engine.take_records()
        messages += [self._topics.alert_event(event, now) for event in events]
        messages += self._alert_states(now)
        if reads:  # derived points were looked at again too, and are refreshed like those that they come from
            reads.append(Read("rules", now, max(read.stale_after_s for read in reads)))
        messages += self._state_topics.messages(samples, reads)
        self._summary.update(samples)
        if self._is_summary_due(now):
            messages.append(self._summary_message(now))
        if messages:
            self._sink.publish(messages)

    def _presence_messages(self, now: float, batches: list[Batch], samples: list[Sample]) -> list[Message]:
        messages = []
        is_online = self.source.is_online(now)
        if is_online is not None and is_online is not self._is_online:
            self._is_online = is_online
            samples.append(Sample(_ONLINE, is_online, now))
            messages.append(self._topics.status(is_online, now))
            self._summary.changed = True
        for batch in batches:
            for device, info in batch.infos:
                messages.append(self._topics.device_info(device, info, now))
            for presence in batch.presences:
                messages.append(self._topics.device_status(presence.device, presence.is_online, now))
                if presence.is_online:
                    self._gone_since.pop(presence.device, None)
                elif self._forget_after_s is not None:
                    self._gone_since[presence.device] = now
                self._summary.changed = True
        return messages

    def _forget(self, now: float) -> None:
        """Clear the retained topics of devices that have been gone for `publish.forget_after`."""
        limit_s = self._forget_after_s
        for device in [device for device, since in self._gone_since.items() if limit_s and now - since >= limit_s]:
            del self._gone_since[device]
            topics = self._state_topics.forget(device)
            self._sink.publish([*topics, *self._topics.forget(device)])

    def _alert_states(self, now: float) -> list[Message]:
        changed = self.engine.take_alerts()
        if not changed:
            return []
        self._has_transition = True
        self._summary.changed = True
        self._summary_due = now  # an alert is worth a summary at once
        states = [self._topics.alert_state(alert, now) for alert in changed]
        return [*states, self._topics.active_alerts(self.engine.alerts(), now)]

    def _is_summary_due(self, now: float) -> bool:
        return self._summary.changed and now >= self._summary_due

    def _summary_message(self, now: float) -> Message:
        self._summary_due = now + SUMMARY_EVERY_S
        online = len(self.normalizer.devices.online)
        return self._topics.summary(self._summary.document(bool(self._is_online), online, self.engine.alerts()), now)

    # -- start, stop, health: any thread ----------------------------------------------------------------------------

    def birth(self, now: float) -> None:
        """Publish what is known before the GX answers: the alerts that were active when the process ended."""
        with self._lock:
            alerts = self.engine.alerts()
            messages = [self._topics.active_alerts(alerts, now)]
            messages += [self._topics.alert_state(alert, now) for alert in alerts]
            self._sink.publish(messages)

    def dump(self) -> dict[str, Any]:
        """Return what must survive a restart, as JSON-able data."""
        with self._lock:
            devices = sorted(self.normalizer.devices.online)
            return {"engine": self.engine.dump(), "devices": [list(device) for device in devices]}

    def load(self, state: Mapping[str, Any], now: float) -> None:
        """Take over what `dump` returned before the restart."""
        with self._lock:
            self.engine.load(state.get("engine", {}), now)
            self.normalizer.devices.expect(Device(kind, instance) for kind, instance in state.get("devices", ()))

    def take_transition(self) -> bool:
        """Tell whether an alert changed since the last call: worth a write to the disk."""
        had, self._has_transition = self._has_transition, False
        return had

    def set_wall_offset(self, offset_s: float, utc_offset_s: float) -> None:
        """Say how far the wall clock is from the steady clock, and local time from UTC."""
        with self._lock:
            self.engine.set_wall_offset(offset_s, utc_offset_s)

    def health(self) -> Mapping[str, Any]:
        return {
            "online": self._is_online,
            "devices": len(self.normalizer.devices.online),
            "source": dict(self.source.health()),
            "refused": dict(self.normalizer.counters),
            "rules": dict(self.engine.counters),
            "alerts": len(self.engine.alerts()),
        }
