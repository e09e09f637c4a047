"""The control interface: `/_...` requests by which a test or a person steers the simulated GX.

    POST /_set      {"service": S, "path": P, "value": V}   or {"service": S, "values": {P: V}}; [] or null: no value
    POST /_unset    {"service": S, "path": P}               without a path: all of S; {}: everything
    POST /_remove   {"service": S, "path": P}               404 from now on
    POST /_drop     {"service": S}          POST /_restore  {"service": S}, {}: all
    POST /_rename   {"service": S, "to": S2}
    POST /_hang     {"service": S, "on": true}              its requests take `hang_s`, then 404
    POST /_fault    {"fail_rate": 0.1, "hang_s": 8, ...}
    POST /_down     {"for_s": 5}                            connections are refused
    POST /_do       {"grid": "lost"}                        any action of a scenario step
    POST /_seek     {"at": 40}                              run the scenario's steps up to there now
    GET  /_state

Names of services may be short where that is clear: `vebus`, `battery/512`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bridge.core.nearest import nearest
from bridge.errors import ConfigError
from bridge.simulator.api import Answer

if TYPE_CHECKING:
    from bridge.simulator.simulator import Simulator

Body = dict[str, Any]


KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "/_set": (("service",), ("path", "value", "values")),
    "/_unset": ((), ("service", "path")),
    "/_remove": (("service", "path"), ()),
    "/_drop": (("service",), ()),
    "/_restore": ((), ("service",)),
    "/_rename": (("service", "to"), ()),
    "/_hang": (("service",), ("on",)),
    "/_down": (("for_s",), ()),
    "/_seek": (("at",), ()),
}
"""Keys that a request must have, and those that it may have. The others have the keys of faults and of actions."""


class Control:
    """Turns control requests into calls of the simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._gx = simulator
        self._verbs: dict[str, Callable[[Body], None]] = {
            "/_set": self._set,
            "/_unset": self._unset,
            "/_remove": lambda body: self._gx.remove(self._service(body), str(body["path"])),
            "/_drop": lambda body: self._gx.drop(self._service(body)),
            "/_restore": lambda body: self._gx.restore(self._service(body) if body else ""),
            "/_rename": lambda body: self._gx.rename(self._service(body), str(body["to"])),
            "/_hang": lambda body: self._gx.hang(self._service(body), bool(body.get("on", True))),
            "/_fault": lambda body: self._gx.faults.change(body),
            "/_down": lambda body: self._gx.down(_number(body, "for_s")),
            "/_do": lambda body: self._gx.actions.do(body),
            "/_seek": lambda body: self._gx.seek(_number(body, "at")),
        }

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one control request."""
        if method == "GET" and path == "/_state":
            return Answer(200, self._state())
        verb = self._verbs.get(path) if method == "POST" else None
        if verb is None:
            known = ", ".join(self._verbs)
            return Answer(404, {"ok": False, "error": f"no such control request; there are {known}, GET /_state"})
        try:
            wanted = json.loads(body or b"{}")
            _check_keys(path, wanted)
            verb(wanted)
        except ConfigError as error:
            return Answer(400, {"ok": False, "error": error.message})
        except KeyError as error:
            return Answer(400, {"ok": False, "error": f"the key {error} is missing"})
        except (ValueError, TypeError, AttributeError) as error:
            return Answer(400, {"ok": False, "error": str(error)})
        return Answer(200, {"ok": True})

    def _service(self, body: Body) -> str:
        return self._gx.actions.service(str(body["service"]))

    def _set(self, body: Body) -> None:
        name = str(body["service"])
        if not name.startswith("com."):
            name = self._service(body)
        values = body["values"] if "values" in body else {body["path"]: body["value"]}
        for path, value in values.items():
            self._gx.set(name, path, value)

    def _unset(self, body: Body) -> None:
        self._gx.unset(self._service(body) if body else "", str(body.get("path", "")))

    def _state(self) -> Body:
        gx = self._gx
        flow = gx.site.plant.flow
        hours, minutes = divmod(int(flow.day_s // 60), 60)
        return {
            "ok": True,
            "system": gx.system,
            "scenario": gx.scenario.name if gx.scenario else None,
            "scenario_s": round(gx.scenario_s(), 1),
            "speed": gx.speed,
            "time_of_day": f"{hours:02d}:{minutes:02d}",
            "services": gx.store.names(),
            "dropped": gx.store.dropped(),
            "hung": sorted(gx.faults.hung),
            "faults": gx.faults.as_dict(),
            "alarms": gx.site.alarms.levels,
            "power_w": {
                "grid": round(flow.grid_w),
                "dc_pv": round(flow.dc_pv_w),
                "ac_pv": round(flow.ac_pv_w),
                "battery": round(flow.battery_w),
                "load": round(flow.load_w),
                "dc_load": round(flow.dc_load_w),
                "loss": round(flow.loss_w),
            },
            "soc": round(gx.site.plant.battery.soc, 1),
        }


def _check_keys(path: str, body: Any) -> None:
    """Refuse a request that lacks a key or has one that means nothing.

    Raises:
        ValueError: with the keys that there are.
    """
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    if path not in KEYS:
        return
    needed, possible = KEYS[path]
    keys = [*needed, *possible]
    advice = f"{path} needs {' and '.join(needed) or 'nothing'}" + (
        f", may have {', '.join(possible)}" * bool(possible)
    )
    for key in body:
        if key not in keys:
            meant = nearest(key, keys)
            raise ValueError(f'{path} has no key "{key}"; ' + (f'did you mean "{meant}"?' if meant else advice))
    for key in needed:
        if key not in body:
            raise ValueError(f'the key "{key}" is missing: {advice}')
    if path == "/_set" and "values" not in body and not {"path", "value"} <= body.keys():
        raise ValueError("/_set needs path and value, or values")


def _number(body: Body, key: str) -> float:
    value = body[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} must be a number of seconds, not {json.dumps(value)}")
    return float(value)
