"""What the actions of a scenario step do to the simulator. The vocabulary is the schema's; the table is `_TABLE`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bridge.core.nearest import nearest
from bridge.errors import ConfigError, ConfigErrors

if TYPE_CHECKING:
    from bridge.simulator.scenario import Scenario, Step
    from bridge.simulator.simulator import Simulator

PREFIX = "com.victronenergy."


class Actions:
    """The actions, bound to one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._gx = simulator
        self._table: dict[str, Callable[[Any], None]] = {
            "say": lambda text: simulator.announce(text),
            "grid": self._grid,
            "grid_frequency_hz": self._frequency,
            "load": self._load,
            "battery": self._battery,
            "cell": self._cell,
            "bms": self._bms,
            "can_errors": self._can_errors,
            "vrm": self._vrm,
            "set": self._set,
            "unset": lambda it: simulator.unset(self.service(it["service"]), it.get("path", "")),
            "remove": lambda it: simulator.remove(self.service(it["service"]), it["path"]),
            "drop": lambda name: simulator.drop(self.service(name)),
            "restore": lambda name: simulator.restore(self.service(name)),
            "rename": lambda it: simulator.rename(self.service(it["service"]), it["to"]),
            "hang": lambda name: simulator.hang(self.service(name)),
            "resume": lambda name: simulator.hang(self.service(name), on=False),
            "bus": self._bus,
            "fault": lambda it: simulator.faults.change(it),
            "down": lambda for_s: simulator.down(float(for_s)),
            "reboot": lambda it: simulator.reboot(**it),
        }

    def run(self, step: Step) -> None:
        """Do what a step says."""
        self.do(step.actions)

    def do(self, actions: dict[str, Any]) -> None:
        """Do all `actions`.

        Raises:
            ValueError: an action that is not known.
            KeyError, TypeError: an argument of another form than the schema's.
        """
        for name, argument in actions.items():
            act = self._table.get(name)
            if act is None:
                raise ValueError(f"no action named {name!r}; there are {', '.join(self._table)}")
            act(argument)

    def check(self, scenario: Scenario) -> None:
        """Find what only the running system can tell: services and phases that it does not have.

        Raises:
            ConfigErrors: every such step.
        """
        faults = []
        renamed: set[str] = set()
        for step in scenario.steps:
            for message in self._missing(step, renamed):
                faults.append(ConfigError(message, step.file, step.line))
        if faults:
            raise ConfigErrors(faults)

    def _missing(self, step: Step, renamed: set[str]) -> list[str]:
        messages = []
        for name, argument in step.actions.items():
            service = argument.get("service") if isinstance(argument, dict) else argument if name in _NAMED else None
            if name == "rename":
                renamed.add(argument["to"])
            if isinstance(service, str) and service not in renamed:
                try:
                    self.service(service)
                except ConfigError as error:
                    messages.append(error.message)
            if name == "load" and argument.get("phase", 1) > len(self._gx.site.plant.houses):
                messages.append(f"the system {self._gx.system} has {len(self._gx.site.plant.houses)} AC phases")
        return messages

    def service(self, name: str) -> str:
        """Return the bus name that `name` means: a full one, a class that is there once, or class/instance.

        Raises:
            ConfigError: no service, or more than one.
        """
        known = self._gx.store.all_names()
        if name in known:
            return name
        kind, slash, instance = name.removeprefix(PREFIX).partition("/")
        found = [one for one in known if one.split(".")[2] == kind]
        if slash:
            found = [one for one in found if self._instance(one) == instance]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f'"{name}" may be {" or ".join(found)}; name one, or write {kind}/<instance>')
        short = sorted({one.split(".")[2] for one in known})
        meant = nearest(name, [*short, *known])
        advice = f'did you mean "{meant}"?' if meant else f"there are {', '.join(short)}"
        raise ConfigError(f'there is no service "{name}"; {advice}')

    def _instance(self, service: str) -> str:
        found = self._gx.store.find(service)
        return str(found.values.get("DeviceInstance")) if found else ""

    def _grid(self, state: str) -> None:
        self._gx.site.plant.has_grid = _is_back(state) and bool(self._gx.site.plant.houses)

    def _frequency(self, hertz: float) -> None:
        self._gx.site.plant.grid_hz = float(hertz)

    def _load(self, it: dict[str, Any]) -> None:
        self._gx.site.plant.houses[int(it.get("phase", 1)) - 1].extra_w = float(it["add_w"])

    def _battery(self, it: dict[str, Any]) -> None:
        battery = self._gx.site.plant.battery
        if "soc" in it:
            battery.soc = float(it["soc"])
        if "temperature_c" in it:
            battery.add_heat(float(it["temperature_c"]))
        if "modules_offline" in it:
            battery.modules_offline = min(int(it["modules_offline"]), battery.config.modules)

    def _cell(self, it: dict[str, Any]) -> None:
        self._gx.site.plant.battery.cell_offsets_v[int(it["number"]) - 1] = float(it["offset_v"])

    def _bms(self, state: str) -> None:
        self._gx.site.plant.has_bms = _is_back(state)

    def _can_errors(self, it: dict[str, Any]) -> None:
        self._gx.site.can_errors_per_s = float(it["per_s"])

    def _vrm(self, it: Any) -> None:
        silent = isinstance(it, dict)
        self._gx.site.vrm_contact_at = self._gx.now() - float(it["silent_s"]) if silent else None

    def _set(self, it: dict[str, Any]) -> None:
        service = self.service(it["service"])
        values = it["values"] if "values" in it else {it["path"]: it["value"]}
        for path, value in values.items():
            self._gx.set(service, path, value)

    def _bus(self, state: str) -> None:
        self._gx.store.is_bus_up = state == "up"


_NAMED = ("drop", "restore", "hang", "resume")  # actions whose argument is a service


def _is_back(state: str) -> bool:
    if state not in ("lost", "back"):
        raise ValueError(f"lost or back is wanted, not {state!r}")
    return state == "back"
