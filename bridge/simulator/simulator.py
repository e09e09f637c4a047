"""A stand-in for a GX in one process: physics, devices, bus, faults and the HTTP server, put together.

    with Simulator("ess", seed=1) as gx:
        port = gx.start()
        gx.set("com.victronenergy.vebus.ttyS4", "/Alarms/GridLost", 2)

Physics runs `speed` times as fast as real time. Time stamps, alarm delays and scenario steps run on real time at any
speed (see `clock`), so that what a bridge calls stale, held or lost is true. One thread moves the site four times a
second, one serves the API; every method here may be called from any thread.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from bridge.simulator.api import Answer, Api
from bridge.simulator.clock import GxClock, RealTime, Time
from bridge.simulator.control import Control
from bridge.simulator.faults import Faults
from bridge.simulator.plant import Plant
from bridge.simulator.scenario import Scenario, load
from bridge.simulator.scenario_actions import Actions
from bridge.simulator.server import ApiServer
from bridge.simulator.site import MIN_STEP_S, Site
from bridge.simulator.store import Store
from bridge.simulator.systems import SYSTEMS

TICK_S = 0.25
STEPS_PER_S = 60.0  # at most so many physics steps per real second: at high speed they get longer
NOON_S = 11.5 * 3600.0
_FIRST_AT_BOOT = ("settings", "platform", "system")
_log = logging.getLogger(__name__)


class Simulator:
    """One simulated GX."""

    def __init__(
        self,
        system: str = "ess",
        scenario: Scenario | str | None = None,
        speed: float = 1.0,
        seed: int = 1,
        start_at_s: float | None = None,
        time: Time | None = None,
    ) -> None:
        """Build the site; nothing runs before `start`.

        Args:
            system: `ess`, `three-phase` or `dc-only`.
            scenario: what happens to it, a name or a file too; None for a day without events.
            speed: simulated seconds per real second.
            seed: the same seed gives the same course.
            start_at_s: time of day at the start in seconds after midnight; None takes the scenario's, or late morning.
            time: what real time is; None for that of this machine.

        Raises:
            ConfigErrors: the scenario is wrong, or names what the system does not have.
        """
        if isinstance(scenario, str):
            scenario = load(scenario)
        layout = SYSTEMS[system](seed)
        if start_at_s is None:
            start_at_s = scenario.start_at_s if scenario and scenario.start_at_s is not None else NOON_S
        self.system = system
        self.scenario = scenario
        self.speed = speed
        self._time = time or RealTime()
        self.clock = GxClock(self._time)
        self.store = Store()
        self.faults = Faults(seed)
        self.site = Site(Plant(layout.plant, seed, start_at_s), self.clock, self.store)
        self.api = Api(self.store, self.clock, seed)
        self.actions = Actions(self)
        self.announce: Callable[[str], None] = _log.info
        self._devices = layout.devices
        self._control = Control(self)
        self._server = ApiServer(self)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.control_port: int | None = None
        self.down_until = 0.0  # monotonic
        self._started_at = self._time.monotonic()
        self._ticked_at = self._started_at
        self._build()
        if scenario is not None:
            self.actions.check(scenario)

    def _build(self) -> None:
        for device in self._devices:
            textless: Iterable[str] = getattr(device, "textless", ())
            self.store.add(device.service, device.leafs(), device.root, textless)
            self.site.names[device.key] = device.service
        self.site.advance(self._step_s, 0.0, self._time.monotonic(), self._step_s)
        self._publish()

    @property
    def _step_s(self) -> float:
        return max(MIN_STEP_S, self.speed / STEPS_PER_S)

    def start(self, host: str = "127.0.0.1", port: int = 0, control_port: int | None = None) -> int:
        """Serve and let time pass, in the background.

        Args:
            port: 0 picks a free one.
            control_port: a second port for `/_...` requests that answers while the API hangs; 0 picks one, None: none.

        Returns:
            The port of the API.

        Raises:
            OSError: the address is taken or not ours.
        """
        api_port, self.control_port = self._server.start(host, port, control_port)
        self.begin()
        self._thread = threading.Thread(target=self._live, name="gx time", daemon=True)
        self._thread.start()
        return api_port

    def begin(self) -> None:
        """Let the scenario's time begin now, without serving; `tick` is the caller's to call."""
        self._started_at = self._ticked_at = self._time.monotonic()
        self._schedule_scenario()

    def stop(self) -> None:
        """End both threads and close the ports; prompt even while a request hangs."""
        self._stopping.set()
        self._server.stop()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def now(self) -> float:
        """Return the clock of the GX."""
        return self.clock.now()

    def control(self, method: str, path: str, body: bytes) -> Answer:
        """Answer a request of the control interface."""
        return self._control.answer(method, path, body)

    def scenario_s(self) -> float:
        """Return the real seconds since the start."""
        return self._time.monotonic() - self._started_at

    def _live(self) -> None:
        while not self._stopping.wait(TICK_S):
            try:
                self.tick()
            except Exception:
                _log.exception("the simulated site stumbled")

    def tick(self) -> None:
        """Bring everything up to now: due events, physics, what the devices publish."""
        with self._lock:
            now_s = self._time.monotonic()
            self._run_due(now_s)
            real_s = now_s - self._ticked_at
            self._ticked_at = now_s
            self.site.advance(real_s * self.speed, real_s, now_s, self._step_s)
            self._publish()

    def _publish(self) -> None:
        with self.store.lock:  # what one device says of another must hold until all have spoken
            for device in self._devices:
                self.store.publish(self.site.names[device.key], device.update(self.site))

    def _run_due(self, now_s: float) -> None:
        due = sorted(entry for entry in self._agenda if entry[0] <= now_s)
        self._agenda = [entry for entry in self._agenda if entry[0] > now_s]
        for _, _, action in due:
            action()

    def later(self, in_s: float, action: Callable[[], None]) -> None:
        """Run `action` in the time thread, `in_s` seconds from now."""
        with self._lock:
            self._agenda.append((self._time.monotonic() + in_s, next(self._numbers), action))

    def _schedule_scenario(self) -> None:
        scenario = self.scenario
        if scenario is None:
            return
        for step in scenario.steps:
            self.later(step.at_s, lambda step=step: self.actions.run(step))  # type: ignore[misc]
        if scenario.repeat_every_s:
            self.later(scenario.repeat_every_s, self._schedule_scenario)

    def seek(self, at_s: float) -> None:
        """Run at once, in order, all scenario steps up to `at_s` scenario seconds."""
        with self._lock:
            ahead_s = self._started_at + at_s - self._time.monotonic()
            if ahead_s > 0.0:
                self._started_at -= ahead_s
                self._agenda = [(at - ahead_s, number, action) for at, number, action in self._agenda]
        self.tick()

    def value(self, service: str, path: str) -> Any:
        """Return what the bus answers; KeyError when it has no such path."""
        return self.store.value(service, path)

    def set(self, service: str, path: str, value: Any) -> None:
        """Pin a leaf to `value` ([] or None: no value) until `unset`; unknown services and paths are created."""
        self.store.pin(service, path, value)

    def unset(self, service: str = "", path: str = "") -> None:
        """Let the device speak again for a path, a service (no path) or everything (no service)."""
        self.store.unpin(service, path)

    def remove(self, service: str, path: str) -> None:
        """Make a leaf unknown (404) until `unset`."""
        self.store.remove(service, path)

    def drop(self, service: str) -> None:
        """Take a service off the bus."""
        self.store.drop(service)

    def restore(self, service: str = "") -> None:
        """Put a dropped service back; all without a name."""
        self.store.restore(service)

    def rename(self, service: str, to: str) -> None:
        """Give a service another bus name, as after a cable was moved to another port."""
        self.store.rename(service, to)
        for key, name in self.site.names.items():
            if name == service:
                self.site.names[key] = to

    def hang(self, service: str, on: bool = True) -> None:
        """Make requests for `service` take `faults.hang_s` seconds and then answer 404, or end that."""
        (self.faults.hung.add if on else self.faults.hung.discard)(service)

    def down(self, for_s: float) -> None:
        """Refuse connections for `for_s` seconds."""
        self.down_until = self._time.monotonic() + for_s
        self._server.down_for(for_s)

    def reboot(self, down_s: float, gap_s: float = 1.0, clock_s: float = 15.0) -> None:
        """Restart the GX.

        Args:
            down_s: seconds during which the port is closed.
            gap_s: seconds between one service and the next to appear, once it is up.
            clock_s: seconds after which the clock, which wakes up in 1970, is set.
        """
        self.down(down_s)
        self.clock.boot(down_s)  # now: the port may open before the time thread wakes up
        self.api.started_at = self.clock.now() + down_s
        self.later(down_s, lambda: self._boot(gap_s, clock_s))
        for name in self.store.names():
            self.drop(name)

    def _boot(self, gap_s: float, clock_s: float) -> None:
        self.later(clock_s, self.clock.set_right)
        first = [self.site.names[key] for key in _FIRST_AT_BOOT if key in self.site.names]
        order = first + [name for name in self.store.dropped() if name not in first]
        for index, name in enumerate(order):
            self.later(index * gap_s, lambda name=name: self.restore(name))  # type: ignore[misc]
