"""A recording of a simulated GX, made on a time of its own: a day of a scenario takes seconds.

What stands in it is what `record` would have heard from a GX that answers at once: every service at each poll, the
list of services as often as `run` reads it, and silence while the GX is down or a service hangs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from bridge.core.values import iso_time
from bridge.model import Page
from bridge.simulator.clock import OwnTime
from bridge.simulator.scenario import Scenario
from bridge.simulator.simulator import Simulator
from bridge.sources.recording import Encoder

BEGINS_AT = 1769817600.0  # 2026-01-31 00:00 UTC: the same recording whenever it is made
STEPS = 5  # between two polls: so exact are the scenario's events and the alarms of devices
LIST_EVERY_S = 15.0  # as sources.dbus_http
_BETWEEN_REQUESTS_S = 0.02


class Recorder:
    """Plays a scenario and tells what a poller would have heard.

    Args:
        system: `ess`, `three-phase` or `dc-only`.
        scenario: what happens; None for nothing.
        speed: seconds of physics per second of the recording.
        seed: the same seed gives the same recording.
        start_at_s: time of day at the start; None takes the scenario's, or late morning.
        every_s: seconds between polls.

    Raises:
        ConfigErrors: the scenario names what the system does not have.
    """

    def __init__(
        self,
        system: str = "ess",
        scenario: Scenario | None = None,
        speed: float = 1.0,
        seed: int = 1,
        start_at_s: float | None = None,
        every_s: float = 10.0,
    ) -> None:
        self._time = OwnTime(BEGINS_AT)
        self._gx = Simulator(system, scenario, speed, seed, start_at_s, self._time)
        self._time.go_on(self._gx.site.plant.at_s)  # the clock shows the time of day that the sun has
        self._every_s = every_s
        self._encoder = Encoder()
        self._list_due = -math.inf
        self._is_offline = False

    def lines(self, lasts_s: float) -> Iterator[str]:
        """Yield the lines of the recording, without line breaks."""
        gx, time = self._gx, self._time
        begin = time.monotonic()
        gx.begin()
        serial = str(gx.value("com.victronenergy.system", "/Serial"))
        yield self._encoder.header(iso_time(begin), "simulator", serial)
        due = begin
        while (now := time.monotonic()) <= begin + lasts_s:
            gx.tick()
            if now < gx.down_until:
                if not self._is_offline:
                    yield self._encoder.offline(now)
                self._is_offline, self._list_due = True, now
            else:
                self._is_offline = False
                if now >= self._list_due:
                    self._list_due = now + LIST_EVERY_S
                    yield self._encoder.services(frozenset(gx.store.names()), now)
                if now >= due:
                    due = now + self._every_s
                    yield from self._pages(now)
            time.go_on(self._every_s / STEPS)

    def _pages(self, at: float) -> Iterator[str]:
        gx = self._gx
        for index, name in enumerate(gx.store.names()):
            service = gx.store.find(name)
            if service is not None and name not in gx.faults.hung:
                at_s = at + index * _BETWEEN_REQUESTS_S
                yield self._encoder.page(Page(name, at_s, dict(service.leafs()), True, self._every_s))
