"""One complete, polite look at a GX: every service, every path, and which point each of them is.

Same laws as the polling source: one request at a time, rest after each answer as long as it took, and after a time-out
nothing but `/services`, patiently, since the server is still busy with the request that was given up. What could be
read is kept whatever happens after it.

Every path goes through the very same Normalizer as in `run`, one by one, which tells whose sample is whose.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

from bridge.core.devices import class_of
from bridge.core.normalize import Normalizer
from bridge.core.values import looks_secret
from bridge.errors import Garbled, Refused, SourceError, Unreachable
from bridge.model import Device, Page, Sample
from bridge.sources.gx_api import GxApi

_ATTEMPTS = 3  # a garbled answer says nothing about the next one
_RETRY_S = 0.5
_MAX_REST_S = 1.0
_PROBE_TIMEOUT_S = 60.0  # a hung D-Bus service blocks the server for 50 s
_IDENTITY = "DeviceInstance"
_Answer = TypeVar("_Answer")


class Found(NamedTuple):
    """A point and where it comes from. `path` has a leading slash; it is "" for the sum of other points."""

    sample: Sample
    service: str
    path: str


class Unknown(NamedTuple):
    """A path that is no point of the catalogue. `raw` is None when it is withheld; `[]` is D-Bus's "no value"."""

    path: str
    raw: Any


class Service(NamedTuple):
    """What one service said."""

    name: str
    device: Device | None
    points: int
    unknown: list[Unknown]
    is_listable: bool
    error: str


class Survey:
    """The look at one GX. Filled by `run`, and whole up to where that was interrupted.

    Args:
        tell: called with a line about the progress before each service.
        limit_s: no new request is begun after so many seconds.
    """

    def __init__(
        self,
        api: GxApi,
        normalizer: Normalizer,
        timeout_s: float,
        tell: Callable[[str], None],
        limit_s: float = math.inf,
    ) -> None:
        self.listed: list[str] = []
        self.services: list[Service] = []
        self.points: list[Found] = []
        self.infos: dict[Device, dict[str, Any]] = {}
        self.gx_time: float | None = None  # the platform's own clock, Unix seconds
        self.gx_time_read_at = 0.0
        self.lost = ""  # why it ended early
        self._api = api
        self._normalizer = normalizer
        self._timeout_s = timeout_s
        self._tell = tell
        self._end = time.monotonic() + limit_s
        self._limit_s = limit_s
        self._sums: dict[str, Found] = {}

    def run(self, wanted_class: str = "") -> None:
        """Look at all services, or at those of one class.

        Raises:
            SourceError: not even the list of services could be read.
        """
        names = self._ask(partial(self._api.services, self._timeout_s))
        if not names:
            raise Garbled("the API answers, but lists no service: it has lost the D-Bus")
        self._normalizer.services(names, time.time())
        self.listed = sorted(names)
        wanted = [name for name in self.listed if not wanted_class or class_of(name) == wanted_class]
        for number, name in enumerate(wanted, 1):
            self._tell(f"reading {number} of {len(wanted)}: {name}")
            self._look_at(name)
            if self.lost:
                break
        self.points += self._sums.values()

    def _look_at(self, name: str) -> None:
        values: dict[str, Any] = {}
        is_listable, error = True, ""
        try:
            values = dict(self._ask(partial(self._api.root, name, self._timeout_s)))
            if not values:
                is_listable = False
                self._read_leafs(name, values)
        except SourceError as failure:
            error = str(failure)
            if isinstance(failure, Unreachable) and not self.lost:
                self._recover(failure)
        self.services.append(self._sort(name, values, is_listable, error))

    def _read_leafs(self, name: str, values: dict[str, Any]) -> None:
        for path, _ in self._normalizer.leafs(name):
            try:
                values[path] = self._ask(partial(self._api.value, name, "/" + path, self._timeout_s))
            except Refused as error:
                if error.status != 404:
                    raise

    def _ask(self, request: Callable[[], _Answer]) -> _Answer:
        """Return an answer of the GX, asking again where that can help."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._ask_once(request)
            except (Garbled, Refused) as error:
                if isinstance(error, Refused) and error.status == 404:
                    raise
                time.sleep(_RETRY_S)
        return self._ask_once(request)

    def _ask_once(self, request: Callable[[], _Answer]) -> _Answer:
        """Ask, and let the GX rest after it."""
        started = time.monotonic()
        if started > self._end:
            self.lost = f"not everything could be read in {self._limit_s:.0f} s"
            raise Unreachable(self.lost)
        try:
            return request()
        finally:
            time.sleep(min(time.monotonic() - started, _MAX_REST_S))

    def _recover(self, failure: Unreachable) -> None:
        """Wait until the server answers again; note when it does not."""
        if failure.timed_out:
            self._tell("no answer; waiting until the GX answers again, at most a minute")
        try:
            self._api.services(_PROBE_TIMEOUT_S)
        except SourceError as error:
            self.lost = str(error)

    # -- what it means ----------------------------------------------------------------------------------------------

    def _sort(self, name: str, values: Mapping[str, Any], is_listable: bool, error: str) -> Service:
        """Tell the points of a service from what is unknown."""
        unknown: list[Unknown] = []
        before = len(self.points)
        at = time.time()
        # The identity first: without it no path has a device.
        ordered = {_IDENTITY: values.get(_IDENTITY, []), **values} if values else {}
        for path, raw in ordered.items():
            batch = self._normalizer.page(Page(name, at, {path: raw}, False, 1.0))
            samples = [sample for sample in batch.samples if sample.point.group != "presence"]
            for sample in samples:
                self._keep(sample, name, path)
            self.infos.update(batch.infos)
            if not samples and path in values:
                is_withheld = looks_secret(path, raw) or (isinstance(raw, list | dict) and raw != [])
                unknown.append(Unknown("/" + path, None if is_withheld else raw))
        self._note_clock(name, values, at)
        device = next((info for info in self.infos if self._normalizer.devices.service_of(info) == name), None)
        return Service(name, device, len(self.points) - before, unknown, is_listable, error)

    def _keep(self, sample: Sample, service: str, path: str) -> None:
        if sample.point.spec.path:
            self.points.append(Found(sample, service, "/" + path))
        else:
            self._sums[sample.point.name] = Found(sample, service, "")

    def _note_clock(self, name: str, values: Mapping[str, Any], at: float) -> None:
        moment = values.get("Device/Time")
        if class_of(name) == "platform" and isinstance(moment, int | float) and not isinstance(moment, bool):
            self.gx_time, self.gx_time_read_at = float(moment), at
