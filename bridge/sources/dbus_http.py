"""Source `dbus-http`: polls the DBus HTTP API of one GX, politely.

The server answers one request at a time and carries out what was abandoned, so at most one request is in flight,
and after each answer the GX gets at least as much rest as the answer took. After a time-out, or when nothing
listens, the source *probes*: only `/services` is asked, patiently, until it answers; anything else would queue up
behind the request that hangs. Facts this module lives by: 404 is "unknown", never "removed"; an empty list of
services is "the bus is down", never "all devices are gone"; online means that a read from the bus worked.
"""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bridge.errors import Garbled, Refused, SourceError, Unreachable
from bridge.model import Page
from bridge.sources.base import Poll, PollPlan
from bridge.sources.gx_api import SYSTEM, GxApi
from bridge.sources.http import Transport
from bridge.sources.schedule import Phases, Task, probe_pause

_ROOT = ""
_IDENTITY = "DeviceInstance"
_UNKNOWN_LEAF_S = 3600.0  # a leaf that answered 404 is tried again this rarely
_DURATIONS_KEPT = 256
_NEWS_AFTER = 3  # failures in a row, of one service or of the whole GX, that are worth a line in the log


class Options(NamedTuple):
    """How patient to be, in seconds."""

    timeout_s: float = 5.0
    probe_timeout_s: float = 60.0  # a hung D-Bus service blocks the server for 50 s; the probe outlasts that
    services_every_s: float = 15.0
    rediscover_s: float = 2.0  # list the services this soon after one answered 404
    silent_offline_s: float = 90.0  # connects but gets no answer: one hang of 50 s must not count as offline
    refused_offline_s: float = 30.0  # nothing listens: a restart of the server takes less
    first_failures: int = 3  # a GX that was never reached counts as offline after so many attempts


class DbusHttpSource:
    """Polls one GX. `clock` returns steady seconds. `poll` and `identify` are for one thread, the rest for any."""

    def __init__(
        self, transport: Transport, plan: PollPlan, clock: Callable[[], float], options: Options | None = None
    ) -> None:
        self._transport = transport
        self._api = GxApi(transport)
        self._plan = plan
        self._clock = clock
        self._options = options or Options()
        self._tasks: dict[str, list[Task]] = {}
        self._services = Task("", "/services", -math.inf, self._options.services_every_s)
        self._phases = Phases()
        self._rest_until = -math.inf
        self._is_probing = False
        self._attempts_failed = 0  # in a row, without any good read between them
        self._last_good: float | None = None
        self._first_failure_at: float | None = None
        self._is_refused = False  # the last failure was "nothing listens"
        self._wants_refresh = False
        self._counts: Counter[str] = Counter()
        self._durations: deque[float] = deque(maxlen=_DURATIONS_KEPT)
        self._last_error = ""
        self._is_told = False  # the log says that the GX fails

    # -- Source ---------------------------------------------------------------------------------------------------

    def next_due(self) -> float:
        if self._is_probing:
            return self._services.due
        if self._wants_refresh:
            return self._rest_until
        task = self._next_task()
        return max(min(self._services.due, task.due if task else math.inf), self._rest_until)

    def poll(self, now: float) -> Poll:
        if self._wants_refresh and not self._is_probing:
            self._make_all_due(now)
        task = self._next_task()
        if task is None or self._is_probing or self._services.due <= now:
            return self._guarded(self._services, self._list_services)
        chosen = task
        return self._guarded(chosen, lambda: self._read(chosen))

    def identify(self, now: float) -> str | None:
        """Return the serial of the GX, or None when it cannot be told yet (ask again at `next_due`).

        Source: `com.victronenergy.system /Serial`, which is also the VRM portal id.
        """
        serial = ""

        def ask() -> Poll:
            nonlocal serial
            value = self._api.value(SYSTEM, "/Serial", self._options.timeout_s)
            serial = value if isinstance(value, str) else ""
            return self._good(self._clock())

        self._guarded(Task(SYSTEM, "/Serial", now, self._options.services_every_s), ask)
        if not serial:
            self._services.due = max(self._services.due, self._clock() + probe_pause(self._attempts_failed or 1))
            return None
        self._services.due = -math.inf
        return serial

    def is_online(self, now: float) -> bool | None:
        if self._attempts_failed == 0:
            return None if self._last_good is None else True
        if self._last_good is None and self._attempts_failed >= self._options.first_failures:
            return False
        since = self._last_good if self._last_good is not None else self._first_failure_at
        limit_s = self._options.refused_offline_s if self._is_refused else self._options.silent_offline_s
        if since is not None and now - since > limit_s:
            return False
        return None if self._last_good is None else True

    def refresh(self) -> None:
        self._wants_refresh = True

    def close(self) -> None:
        self._transport.abort()

    def health(self) -> Mapping[str, float | int | str | None]:
        times = sorted(self._durations)
        last_good = self._last_good
        return {
            "requests": self._counts["requests"],
            "timeouts": self._counts["timeouts"],
            "unreachable": self._counts["unreachable"],
            "refused": self._counts["refused"],
            "garbled": self._counts["garbled"],
            "request_p50_ms": _percentile_ms(times, 0.50),
            "request_p95_ms": _percentile_ms(times, 0.95),
            "services": len(self._tasks),
            "services_resting": sum(tasks[0].hangs > 0 for tasks in list(self._tasks.values()) if tasks),
            "last_read_age_s": None if last_good is None else round(self._clock() - last_good, 1),
            "last_error": self._last_error or None,
        }

    # -- one request ----------------------------------------------------------------------------------------------

    def _guarded(self, task: Task, ask: Callable[[], Poll]) -> Poll:
        """Do one request, keep the books, and turn a failure into a fact."""
        started = self._clock()
        self._counts["requests"] += 1
        try:
            return ask()
        except SourceError as error:
            return self._failed(task, error)
        finally:
            took_s = self._clock() - started
            self._durations.append(took_s)
            self._rest_until = self._clock() + min(took_s, self._options.timeout_s)

    def _list_services(self) -> Poll:
        timeout_s = self._options.probe_timeout_s if self._is_probing else self._options.timeout_s
        names = self._api.services(timeout_s)
        if not names:
            raise Garbled("the list of services is empty: D-Bus on the GX is down or restarting")
        now = self._clock()
        self._services.succeeded(now)
        for name in sorted(names - self._tasks.keys()):
            self._tasks[name] = [Task(name, _ROOT, now, self._plan.interval(name, ()))]
        for name in self._tasks.keys() - names:
            del self._tasks[name]
        return self._good(now, Poll(services=names))

    def _read(self, task: Task) -> Poll:
        if task.path:
            return self._read_leaf(task)
        values = self._api.root(task.service, self._options.timeout_s)
        now = self._clock()
        if not values:
            self._tasks[task.service] = self._leaf_tasks(task.service, now)
            return self._good(now)
        task.every_s = self._plan.interval(task.service, values.keys())
        task.succeeded(now, self._phase(task))
        return self._good(now, Poll((Page(task.service, now, values, True, task.every_s),)))

    def _read_leaf(self, task: Task) -> Poll:
        try:
            value = self._api.value(task.service, "/" + task.path, self._options.timeout_s)
        except Refused as error:
            if error.status != 404 or task.service not in self._tasks:
                raise
            # This service has no such path. The identity is the exception worth telling: the device has no instance.
            task.every_s = _UNKNOWN_LEAF_S
            task.succeeded(self._clock())
            if task.path != _IDENTITY:
                return Poll()
            value = []
        now = self._clock()
        task.succeeded(now, self._phase(task))
        return self._good(now, Poll((Page(task.service, now, {task.path: value}, False, task.every_s),)))

    def _leaf_tasks(self, service: str, now: float) -> list[Task]:
        # A hair apart, so that the identity, which comes first, is asked first.
        leafs = enumerate(self._plan.leafs(service))
        return [Task(service, path, now + index * 1e-3, every_s) for index, (path, every_s) in leafs]

    def _phase(self, task: Task) -> float:
        return 1.0 if task.has_succeeded else self._phases.draw()

    def _good(self, now: float, poll: Poll | None = None) -> Poll:
        """A read from the bus worked."""
        poll = poll or Poll()
        if self._is_told:
            self._is_told = False
            poll = poll._replace(news="the GX answers again")
        self._last_good = now
        self._attempts_failed = 0
        self._first_failure_at = None
        self._is_probing = False
        self._last_error = ""
        return poll

    # -- failures -------------------------------------------------------------------------------------------------

    def _failed(self, task: Task, error: SourceError) -> Poll:
        now = self._clock()
        self._last_error = str(error)
        if self._first_failure_at is None:
            self._first_failure_at = now
        self._attempts_failed += 1
        self._is_refused = isinstance(error, Unreachable) and not error.timed_out
        if isinstance(error, Unreachable):
            self._unreachable(task, error, now)
        elif isinstance(error, Refused) and error.status == 404 and task is not self._services:
            self._counts["refused"] += 1
            self._services.due = min(self._services.due, now + self._options.rediscover_s)
            task.refused(now)
        else:
            self._counts["garbled"] += 1
            task.garbled(now)
        return Poll(error=str(error), news=self._news(task, str(error)))

    def _news(self, task: Task, error: str) -> str:
        """Return the failure as news when it lasts: said once for the GX until it answers, once for each service."""
        if self._attempts_failed >= _NEWS_AFTER and not self._is_told:
            self._is_told = True
            return error
        is_service = bool(task.service) and not self._is_told
        if is_service and (task.hangs == 1 or task.failures == _NEWS_AFTER):
            return f"{task.service} does not answer ({error}); the others go on"
        return ""

    def _unreachable(self, task: Task, error: Unreachable, now: float) -> None:
        self._counts["timeouts" if error.timed_out else "unreachable"] += 1
        if error.timed_out and task is not self._services:
            task.hung(now)
        self._is_probing = True
        pause_s = probe_pause(self._attempts_failed)
        self._services.due = now + pause_s * random.uniform(0.75, 1.25)

    # -- tasks ----------------------------------------------------------------------------------------------------

    def _next_task(self) -> Task | None:
        every = (task for tasks in self._tasks.values() for task in tasks)
        return min(every, key=lambda task: task.due, default=None)

    def _make_all_due(self, now: float) -> None:
        self._wants_refresh = False
        self._services.due = now
        for tasks in self._tasks.values():
            for task in tasks:
                if not task.hangs:
                    task.due = min(task.due, now)


def _percentile_ms(sorted_times: list[float], share: float) -> float | None:
    if not sorted_times:
        return None
    return round(1000 * sorted_times[min(int(len(sorted_times) * share), len(sorted_times) - 1)], 1)
