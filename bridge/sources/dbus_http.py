"""Source `dbus-http`: polls the DBus HTTP API of one GX, politely.

The server answers one request at a time and carries out what was abandoned, so at most one request is in flight,
and after each answer the GX gets at least as much rest as the answer took. After a time-out, or when nothing
listens, the source *probes*: only `/services` is asked, patiently, until it answers; anything else would queue up
behind the request that hangs. Facts this module lives by: 404 is "unknown", never "removed"; an empty list of
services is "the bus is down", never "all devices are gone"; online means that a read from the bus worked. One
request that hangs lets its whole service rest, and only a good read ends an "offline".
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bridge.errors import Garbled, Refused, SourceError, Unreachable
from bridge.model import Page
from bridge.sources.base import Poll, PollPlan
from bridge.sources.gx_api import SYSTEM, GxApi
from bridge.sources.http import Transport
from bridge.sources.schedule import Phases, Service, Task, probe_pause

_SLOW_S = 10.0  # an answer that took longer, also one that says no, came from a service that hangs
_SERIAL = re.compile(r"[0-9A-Za-z._-]{1,64}")  # what can name a site
_UNKNOWN_EVERY_S = 10.0  # a service that was never read is tried at this pace: it may hold what is urgent
_DURATIONS_KEPT = 256
_LASTING = 3  # failures in a row, of one service or of the whole GX, are a fault that lasts: a line in the log


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
        self._services: dict[str, Service] = {}
        self._list = Task("", "/services", -math.inf, self._options.services_every_s)
        self._listed_at = -math.inf
        self._phases = Phases()
        self._rest_until = -math.inf
        self._is_probing = False
        self._attempts_failed = 0  # in a row, without any good read between them
        self._unnamed = 0  # how often `identify` got no serial in a row
        self._last_good: float | None = None
        self._first_failure_at: float | None = None
        self._refused_since: float | None = None  # nothing listens, and nothing else was heard since
        self._offline_after: float | None = math.nan  # the `_last_good` after which "offline" was said, or NaN
        self._wants_refresh = False
        self._counts: Counter[str] = Counter()
        self._durations: deque[float] = deque(maxlen=_DURATIONS_KEPT)
        self._last_error = ""
        self._is_told = False  # the log says that the GX fails

    # -- Source ---------------------------------------------------------------------------------------------------

    def next_due(self) -> float:
        if self._is_probing:
            return self._list.due
        if self._wants_refresh:
            return self._rest_until
        task = self._next_task()
        return max(min(self._list.due, task.due if task else math.inf), self._rest_until)

    def poll(self, now: float) -> Poll:
        if self._wants_refresh and not self._is_probing:
            self._make_all_due(now)
        task = self._next_task()
        if task is None or self._is_probing or self._list.due <= now:
            return self._guarded(self._list, self._list_services)
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
            serial = value if isinstance(value, str) and _SERIAL.fullmatch(value) else ""
            return self._good(self._clock())

        self._guarded(Task(SYSTEM, "/Serial", now, self._options.services_every_s), ask)
        if not serial:
            self._unnamed += 1
            self._list.due = max(self._list.due, self._clock() + probe_pause(self._unnamed))
            return None
        self._unnamed = 0
        self._list.due = -math.inf
        return serial

    def is_online(self, now: float) -> bool | None:
        # `_last_good` is read first and written last: a verdict on it never mixes in what came after it.
        last_good = self._last_good
        is_known_offline = self._offline_after == last_good
        if is_known_offline or self._is_silent(now, last_good):
            self._offline_after = last_good
            return False
        return None if last_good is None else True

    def _is_silent(self, now: float, last_good: float | None) -> bool:
        if self._attempts_failed == 0:
            return False
        if last_good is None and self._attempts_failed >= self._options.first_failures:
            return True
        refused_since = self._refused_since
        if refused_since is not None and now - refused_since > self._options.refused_offline_s:
            return True
        since = self._first_failure_at if last_good is None else last_good
        return since is not None and now - since > self._options.silent_offline_s

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
            "slow": self._counts["slow"],
            "names_ignored": self._api.names_ignored,
            "request_p50_ms": _percentile_ms(times, 0.50),
            "request_p95_ms": _percentile_ms(times, 0.95),
            "services": len(self._services),
            "services_resting": sum(service.hangs > 0 for service in list(self._services.values())),
            "last_read_age_s": None if last_good is None else round(self._clock() - last_good, 1),
            "last_error": self._last_error or None,
        }

    # -- one request ----------------------------------------------------------------------------------------------

    def _guarded(self, task: Task, ask: Callable[[], Poll]) -> Poll:
        """Do one request, keep the books, and turn a failure into a fact."""
        started = self._clock()
        self._counts["requests"] += 1
        try:
            poll = ask()
            if self._clock() - started > _SLOW_S:
                self._slow(task)
            return poll
        except SourceError as error:
            return self._failed(task, error, self._clock() - started > _SLOW_S)
        finally:
            took_s = self._clock() - started
            self._durations.append(took_s)
            self._rest_until = self._clock() + min(took_s, self._options.timeout_s)

    def _list_services(self) -> Poll:
        timeout_s = self._options.probe_timeout_s if self._is_probing else self._options.timeout_s
        names = self._api.services(timeout_s)
        if not names:
            raise Garbled("the list of services is empty: D-Bus on the GX is down or restarting")
        now = self._listed_at = self._clock()
        if self._list.failures >= _LASTING:  # the bus is back: its 404s said nothing about anybody
            for service in self._services.values():
                service.try_again(now)
        self._list.succeeded(now)
        for name in sorted(names - self._services.keys()):
            every_s = min(self._plan.interval(name, ()), _UNKNOWN_EVERY_S)
            self._services[name] = Service(name, now, every_s)
        for name in self._services.keys() - names:
            del self._services[name]
        return self._good(now, Poll(services=names))

    def _read(self, task: Task) -> Poll:
        service = self._services[task.service]
        if task.path:
            return self._read_leaf(service, task)
        values = self._api.root(task.service, self._options.timeout_s)
        now = self._clock()
        if not values:
            service.unlisted(self._plan.leafs(task.service), now)
            return self._good(now)
        service.answered()
        service.listed()
        task.want(self._plan.interval(task.service, values.keys()))
        task.succeeded(now, self._phase(task))
        return self._good(now, Poll((Page(task.service, now, values, True, task.real_every_s),)))

    def _read_leaf(self, service: Service, task: Task) -> Poll:
        value = self._api.value(task.service, "/" + task.path, self._options.timeout_s)
        now = self._clock()
        service.answered()
        return self._good(now, self._leaf_page(service, task, value, now))

    def _leaf_page(self, service: Service, task: Task, value: Any, now: float) -> Poll:
        task.succeeded(now, self._phase(task))
        if task is service.identity and not service.is_identified:
            service.identified(now)
        return Poll((Page(task.service, now, {task.path: value}, False, task.real_every_s),))

    def _phase(self, task: Task) -> float:
        return 1.0 if task.has_succeeded else self._phases.draw()

    def _good(self, now: float, poll: Poll | None = None) -> Poll:
        """A read from the bus worked."""
        poll = poll or Poll()
        if self._is_told:
            self._is_told = False
            poll = poll._replace(news="the GX answers again")
        self._attempts_failed = 0
        self._first_failure_at = self._refused_since = None
        self._is_probing = False
        self._last_error = ""
        self._last_good = now
        return poll

    # -- failures -------------------------------------------------------------------------------------------------

    def _failed(self, task: Task, error: SourceError, is_slow: bool) -> Poll:
        now = self._clock()
        service = self._services.get(task.service)
        is_unknown = isinstance(error, Refused) and error.status == 404 and task is not self._list
        if is_unknown:
            self._counts["refused"] += 1
            self._list.due = min(self._list.due, now + self._options.rediscover_s)
        if is_unknown and service is not None and task.path and not is_slow:
            return self._leaf_unknown(service, task, now)
        self._note_failure(error, now)
        if isinstance(error, Unreachable):
            self._unreachable(error, now)
        elif is_unknown:
            task.refused(now)
        else:
            self._counts["garbled"] += 1
            task.garbled(now)
            if task is self._list:  # all else hangs on it
                task.due = now + probe_pause(task.failures)
        is_hung = is_slow or (isinstance(error, Unreachable) and error.timed_out)
        if is_hung and service is not None:
            service.hung(now)
        is_first_hang = is_hung and service is not None and service.hangs == 1
        return Poll(error=str(error), news=self._news(task, str(error), is_first_hang))

    def _note_failure(self, error: SourceError, now: float) -> None:
        self._last_error = str(error)
        self._attempts_failed += 1
        if self._first_failure_at is None:
            self._first_failure_at = now
        if not isinstance(error, Unreachable) or error.timed_out:
            self._refused_since = None
        elif self._refused_since is None:
            self._refused_since = now

    def _leaf_unknown(self, service: Service, task: Task, now: float) -> Poll:
        """Handle a 404 of one leaf: no fault of the GX, and for the identity not at once "it has none"."""
        if task is not service.identity or service.is_identified:
            task.refused(now)
            return Poll()
        if service.missed_identity(now, self._listed_at):
            return self._leaf_page(service, task, [], now)
        task.garbled(now)
        return Poll()

    def _slow(self, task: Task) -> None:
        """Let a service rest that answered, but so late that it blocked everybody."""
        self._counts["slow"] += 1
        service = self._services.get(task.service)
        if service is not None:
            service.hung(self._clock())

    def _news(self, task: Task, error: str, is_first_hang: bool) -> str:
        """Return the failure as news when it lasts: said once for the GX until it answers, once for each service."""
        if self._attempts_failed >= _LASTING and not self._is_told:
            self._is_told = True
            return error
        is_service = bool(task.service) and not self._is_told
        if is_service and (is_first_hang or task.failures == _LASTING):
            return f"{task.service} does not answer ({error}); the others go on"
        return ""

    def _unreachable(self, error: Unreachable, now: float) -> None:
        self._counts["timeouts" if error.timed_out else "unreachable"] += 1
        self._is_probing = True
        for service in self._services.values():
            service.interrupted()
        self._list.due = now + probe_pause(self._attempts_failed) * random.uniform(0.75, 1.25)

    # -- tasks ----------------------------------------------------------------------------------------------------

    def _next_task(self) -> Task | None:
        every = (task for service in self._services.values() for task in service.tasks)
        return min(every, key=lambda task: task.due, default=None)

    def _make_all_due(self, now: float) -> None:
        self._wants_refresh = False
        self._list.due = now
        for service in self._services.values():
            for task in service.tasks if not service.hangs else ():
                task.due = min(task.due, now)


def _percentile_ms(sorted_times: list[float], share: float) -> float | None:
    if not sorted_times:
        return None
    return round(1000 * sorted_times[min(int(len(sorted_times) * share), len(sorted_times) - 1)], 1)
