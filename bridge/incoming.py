"""What comes in over MQTT for one site: requests, which are answered, and inputs, which become points of rules.

Handlers run in the sink's thread, so what they do is bounded: requests by an allowance per second, inputs by letting
through at most one value per input and moment, the last one always.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.core.budget import Budget
from bridge.core.engine import Engine
from bridge.core.input_values import point_of, read_input
from bridge.core.inputs import InputSpec
from bridge.core.requests import (
    Asked,
    Outcome,
    Way,
    cost_of,
    error,
    needs_payload,
    ok,
    response_topic_fault,
    understand,
)
from bridge.core.topics import SiteTopics
from bridge.cycle import Cycle
from bridge.errors import RuleError
from bridge.model import Event, Read, Sample
from bridge.sinks.base import Request, Sink

log = logging.getLogger(__name__)

REQUESTS_PER_S, REQUESTS_AT_ONCE = 3.0, 30.0  # per site; people click, and a dashboard acknowledges a page of alerts
COMPLAINTS_PER_S = 1.0  # responses that say "too many"
INPUT_EVERY_S = 0.1  # per input; what comes faster waits for the next tick of the site


def request_prefix(base: str, site: str) -> str:
    """Return the topic below which requests to a site come in."""
    return f"{base}/{site}/request"


class Requests:
    """Answers what is asked of one site."""

    def __init__(
        self,
        base: str,
        inputs: Sequence[InputSpec],
        cycle: Cycle,
        topics: SiteTopics,
        sink: Sink,
        now: Callable[[], float],
    ) -> None:
        self._base = base
        self._cycle = cycle
        self._site = cycle.engine.site
        self._topics = topics
        self._sink = sink
        self._now = now
        self._input_topics = {point_of(spec).name: spec.topic for spec in inputs}
        self._prefix = request_prefix(base, self._site)
        self._has_complained = False
        self._allowance = Budget(REQUESTS_PER_S, REQUESTS_AT_ONCE)
        self._complaints = Budget(COMPLAINTS_PER_S, COMPLAINTS_PER_S)
        self.counters: Counter[str] = Counter(done=0, refused=0, too_many=0)

    def hear(self, request: Request) -> None:
        """Carry out a request and answer it. In the sink's thread."""
        name = request.topic.removeprefix(self._prefix).removeprefix("/")
        if not request.payload and (request.is_retained or needs_payload(name)):
            return  # somebody clears what was retained
        if request.is_retained:
            self._ignore(request)
            return
        now = self._now()
        is_allowed = self._allowance.take(now, cost_of(name))
        if not is_allowed:
            self.counters["too_many"] += 1
            if not self._complaints.take(now):
                return  # before it is read: what is dropped must cost next to nothing
        asked = understand(name, request.payload)
        if is_allowed:
            document = self._answer(request, asked, now)
        else:
            document = error("there are too many requests; ask again in a few seconds", asked.transaction)
        fault = self._fault(request)
        to = "" if fault else request.response_topic
        self._sink.publish([self._topics.response(name, document, now, to, request.correlation)])

    def _ignore(self, request: Request) -> None:
        """Leave out what would come again with every connection; somebody's mistake."""
        self.counters["retained"] += 1
        if not self._has_complained:
            self._has_complained = True
            log.warning(
                "site %s: a retained request on %.200r was ignored, as all such are: send requests without the retain "
                "flag, and clear this one with an empty retained message",
                self._site,
                request.topic,
            )

    def _answer(self, request: Request, asked: Asked, now: float) -> dict[str, Any]:
        fault = self._fault(request) or asked.fault
        try:
            if fault or asked.verb is None:
                raise RuleError(fault)
            data = self._carry_out(asked.verb.way, asked, now)
        except RuleError as refused:
            self.counters["refused"] += 1
            return error(refused.message, asked.transaction)
        self.counters["done"] += 1
        if asked.verb.way is Way.CHANGE:
            verb = request.topic.rpartition("/")[2]  # one that there is has no more levels
            log.info("site %s: %s %s", self._site, verb, json.dumps(asked.keys)[:300])
        return ok(data, asked.transaction)

    def _fault(self, request: Request) -> str:
        return response_topic_fault(request.response_topic, self._base, self._site) if request.response_topic else ""

    def _carry_out(self, way: Way, asked: Asked, now: float) -> Any:
        outcome = Outcome([], None)

        def work(engine: Engine) -> list[Event]:
            nonlocal outcome
            assert asked.verb is not None
            outcome = asked.verb.work(engine, asked.keys, now, self._input_topics)
            return outcome.events

        if way is Way.CHANGE:
            self._cycle.ask(now, work)
        elif way is Way.LOOK:
            self._cycle.look(work)
        else:
            self._cycle.refresh()
        return outcome.data


class Inputs:
    """Hears the inputs of one site and hands them to its rules."""

    def __init__(self, specs: Sequence[InputSpec], cycle: Cycle, now: Callable[[], float]) -> None:
        self._specs = specs
        self._cycle = cycle
        self._now = now
        self._points = {spec: point_of(spec) for spec in specs}
        self._lock = threading.Lock()  # the sink's thread hears, the supervisor's ticks
        self._waiting: dict[InputSpec, tuple[bytes, float]] = {}
        self._taken_at: dict[InputSpec, float] = {}
        self._complained: set[InputSpec] = set()
        self.counters: Counter[str] = Counter(heard=0, left_out=0, refused=0)

    def hear(self, request: Request) -> None:
        """Take a message on the topic of one or more inputs. In the sink's thread."""
        now = self._now()
        with self._lock:
            for spec in self._specs:
                if spec.topic == request.topic:
                    self.counters["left_out"] += spec in self._waiting
                    self._waiting[spec] = (request.payload, now)
        self.tick(now)

    def tick(self, now: float) -> None:
        """Let through what waits long enough; only that is read."""
        with self._lock:
            due = [spec for spec in self._waiting if now - self._taken_at.get(spec, 0.0) >= INPUT_EVERY_S]
            if not due:
                return
            self._taken_at.update(dict.fromkeys(due, now))
            taken = [self._read(spec, *self._waiting.pop(spec)) for spec in due]
            self._cycle.take(now, [sample for sample, _ in taken], [read for _, read in taken])

    def _read(self, spec: InputSpec, payload: bytes, at: float) -> tuple[Sample, Read]:
        heard = read_input(spec, payload)
        self.counters["refused" if heard.fault else "heard"] += 1
        if heard.fault and spec not in self._complained:
            self._complained.add(spec)
            site = self._cycle.engine.site
            log.warning("site %s: input.%s is unknown: on %s %s", site, spec.name, spec.topic, heard.fault)
        point = self._points[spec]
        return Sample(point, heard.value, at), Read(point.group, at, spec.max_age_s)


class Incoming:
    """All that one site hears, under the name that it has. A site that gets another name gets another `Incoming`."""

    def __init__(
        self,
        base: str,
        inputs: Sequence[InputSpec],
        cycle: Cycle,
        topics: SiteTopics,
        sink: Sink,
        now: Callable[[], float],
    ) -> None:
        self._requests = Requests(base, inputs, cycle, topics, sink, now)
        self._inputs = Inputs(inputs, cycle, now)
        self._is_closed = False
        # All levels, not one: who writes request/ack/ or request/ack/<id> is told what is wrong.
        requests = f"{request_prefix(base, cycle.engine.site)}/#"
        sink.subscribe(requests, self._unless_closed(self._requests.hear))
        for topic in dict.fromkeys(spec.topic for spec in inputs):
            sink.subscribe(topic, self._unless_closed(self._inputs.hear))

    def _unless_closed(self, hear: Callable[[Request], None]) -> Callable[[Request], None]:
        def handler(request: Request) -> None:
            if not self._is_closed:
                hear(request)

        return handler

    def close(self) -> None:
        """Answer and hear nothing any more."""
        self._is_closed = True

    def tick(self, now: float) -> None:
        self._inputs.tick(now)

    def health(self) -> Mapping[str, Any]:
        return {"requests": dict(self._requests.counters), "inputs": dict(self._inputs.counters)}
