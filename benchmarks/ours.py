"""The bridge as `victron-bridge run` wires it, with a clock that the benchmark steps: each cycle reads all services.

The sink is the real one: its own thread, MQTT 5. The supervisor's ticks are made as often as it makes them.
"""

from __future__ import annotations

import gc
from typing import Any

from benchmarks import lane
from benchmarks.workload import SITE, TICK_S
from bridge.assemble import Assembly
from bridge.core.engine import Engine
from bridge.core.normalize import Normalizer
from bridge.core.summary import Summary
from bridge.core.topics import BridgeTopics, SiteTopics, StateTopics
from bridge.cycle import Cycle
from bridge.files.compiled import load_lean
from bridge.sinks.mqtt import BrokerOptions, MqttSink
from bridge.supervisor import TICK_S as SUPERVISOR_TICK_S

_START = 1_780_000_000.0  # any steady time
_TICKS = round(TICK_S / SUPERVISOR_TICK_S)


class SteppedClock:
    """Steady time that only moves when told to."""

    def __init__(self) -> None:
        self.at = _START

    def now(self) -> float:
        return self.at

    def wall_offset(self) -> float:
        return 0.0


class Ours:
    """One site's cycle and the sink behind it."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._clock = clock = SteppedClock()
        settings, compiled = load_lean({"config": job["config"], "state": job["state"]}, {})
        parts = Assembly(settings, compiled, clock).site(settings.sites[0])  # type: ignore[arg-type]
        topics = BridgeTopics(settings.base_topic, "ours")
        options = BrokerOptions(settings.broker.host, "ours", settings.broker.port)
        self._sink = MqttSink(options, topics.status(False, clock.now()), lambda: (), clock.now)
        self._sink.start()
        normalizer = Normalizer(parts.catalogue, parts.intervals, parts.publish_raw)
        self._source = parts.open_source(normalizer)
        self._engine = _CountingEngine(SITE, parts.program)
        self._cycle = Cycle(
            source=self._source,
            normalizer=normalizer,
            engine=self._engine,
            state_topics=StateTopics(parts.base_topic, SITE, parts.format),
            site_topics=SiteTopics(parts.base_topic, SITE),
            summary=Summary(SITE),
            sink=self._sink,
        )

    def cycle(self) -> None:
        """Step the clock by one interval and do all that is due then."""
        self._clock.at += TICK_S
        now = self._clock.at
        while self._source.next_due() <= now:
            self._cycle.turn(now, self._clock.now)
        for number in range(1, _TICKS):
            self._cycle.tick(now + number * SUPERVISOR_TICK_S)

    def is_idle(self) -> bool:
        health = self._sink.health()
        return health["queue_depth"] == 0 and health["inflight"] == 0

    def counts(self) -> dict[str, Any]:
        sink, source = self._sink.health(), self._source.health()
        return {
            "messages": sink["published"],
            "dropped": sink["dropped"],
            "errors": sum(source[name] or 0 for name in ("timeouts", "unreachable", "refused", "garbled")),
            **self._engine.events,
        }


class _CountingEngine(Engine):
    """The engine, and how many events of each kind its thresholds made."""

    def __init__(self, site: str, program: Any) -> None:
        super().__init__(site, program)
        self.events: dict[str, int] = {"firing": 0, "resolved": 0}

    def step(self, now: float, samples: Any, reads: Any) -> Any:
        events = super().step(now, samples, reads)
        for event in events:
            if event.alert.startswith("threshold"):
                self.events[event.event] = self.events.get(event.event, 0) + 1
        return events


def main() -> None:
    ours = Ours(lane.job())
    gc.collect()  # as `commands/run.py` does
    gc.freeze()
    lane.serve(lane.Variant(ours.cycle, ours.is_idle, ours.counts))


if __name__ == "__main__":
    main()
