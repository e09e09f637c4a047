"""Everything that is true about the simulated site at a moment, for the devices to tell.

A device is a function of the site: it holds the leafs that never change and knows which of the others say what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bridge.simulator.alarms import Alarms
from bridge.simulator.clock import GxClock
from bridge.simulator.energy import Energy
from bridge.simulator.plant import Plant
from bridge.simulator.store import Root, Store

MIN_STEP_S = 1.0


class Site:
    """The plant, its counters and alarms, and what lives on the GX itself."""

    def __init__(self, plant: Plant, clock: GxClock, store: Store) -> None:
        self.plant = plant
        self.clock = clock
        self.store = store
        self.energy = Energy(plant.flow)
        self.alarms = Alarms()
        self.names: dict[str, str] = {}  # key of a device (`battery`) -> its bus name now
        self.can_errors = 0.0
        self.can_errors_per_s = 0.0
        self.vrm_contact_at: float | None = None  # None: VRM is reached every minute
        self._left_s = 0.0

    def advance(self, simulated_s: float, real_s: float, now_s: float, step_s: float = MIN_STEP_S) -> None:
        """Let `simulated_s` of physics pass in steps of `step_s`; what is left over waits for the next call.

        Equal steps make the course depend on the seed alone, not on when the caller was scheduled.

        Args:
            real_s: the real seconds that this took, for what runs on real time.
            now_s: monotonic seconds.
        """
        self._left_s += simulated_s
        while self._left_s >= step_s:
            self._left_s -= step_s
            flow = self.plant.step(step_s)
            self.energy.count(flow, self.plant.battery.current_a, step_s)
        self.can_errors += self.can_errors_per_s * real_s
        self.alarms.update(self.plant, now_s)

    def service(self, key: str) -> str | None:
        """Return the bus name of the device `key` when it is on the bus, else None."""
        name = self.names.get(key)
        return name if name and self.store.find(name) else None

    def instance(self, key: str) -> int:
        """Return the DeviceInstance of the device `key`; 0 when it says none."""
        found = self.store.find(self.names[key])
        return int(found.values.get("DeviceInstance", 0)) if found else 0


class Device(Protocol):
    """One service of the site."""

    key: str
    service: str
    root: Root

    def leafs(self) -> dict[str, Any]:
        """Return all leafs with the values they have before the first update."""

    def update(self, site: Site) -> Mapping[str, Any]:
        """Return the leafs that follow the site, with their values now."""
