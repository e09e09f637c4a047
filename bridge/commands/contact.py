"""The way to a GX, hop by hop: its name, its port, what answers there, and the D-Bus behind it.

The first request that fails is explained by walking the same hops, so `discover`, `record` and `doctor` say the same
thing about the same trouble.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bridge.commands.hops import Hop, State, name_hop, port_hop, skipped
from bridge.errors import Garbled, Refused, SourceError, Unreachable
from bridge.files.address import GX_PORT
from bridge.sources.gx_api import SYSTEM, GxApi
from bridge.sources.http import Answer, Transport

_NOT_RUNNING = f"start the DBus HTTP API on the GX, or give its port (usually {GX_PORT}) with --gx http://host:port"
_WRONG_PORT = f"give address and port of the DBus HTTP API with --gx, usually http://host:{GX_PORT}"
_STUCK = (
    "a D-Bus service on the GX may hang: try again in a minute; if it stays like this, the server is stuck "
    "and must be killed on the GX (kill -9), or the GX restarted"
)
_NO_BUS = "the server does not find its way back to a restarted D-Bus: restart it, or the GX"
_NO_SYSTEM = "is the service com.victronenergy.system running on the GX? Restart the GX if not"
_FLAKY = "the server gives bad answers now and then; the bridge asks again, but look at the load of the GX"
_ATTEMPTS = 3
_RETRY_S = 0.5
_HTTPS = "is there a proxy with TLS in front of the GX, and is its certificate trusted here? Else write http://"


class Place(NamedTuple):
    """Host and port of a GX's base URL."""

    host: str
    port: int
    url: str


def place_of(url: str) -> Place:
    parts = urlsplit(url)
    return Place(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else GX_PORT), url)


def network_hops(place: Place, label: str = "gx") -> Iterator[Hop]:
    """Yield the look-up of the name and the connection to the port; the second is skipped when the first failed."""
    name = name_hop(f"{label} name", place.host)
    yield name
    if not name.is_passed:
        yield skipped(f"{label} port", "the address is not known")
        return
    yield port_hop(f"{label} port", place.host, place.port, _NOT_RUNNING)


def explain(error: SourceError, place: Place) -> Hop:
    """Return the hop at which a request failed, found by walking to it; the request itself is not repeated."""
    for hop in network_hops(place):
        if not hop.is_passed:
            return hop
    return _api_failure("gx api", error, place)


def _patiently(ask: Callable[[], Hop], failed: Callable[[SourceError], Hop]) -> Hop:
    """Return what a hop is: one bad answer says nothing about the next, but a server that hangs is left alone."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            hop = ask()
        except SourceError as error:
            if attempt == _ATTEMPTS or not isinstance(error, Garbled | Refused):
                return failed(error)
            time.sleep(_RETRY_S)
            continue
        if attempt == 1 or hop.state is not State.OK:
            return hop
        return hop._replace(state=State.WARNING, seen=f"{hop.seen}, but only at attempt {attempt}", advice=_FLAKY)
    raise AssertionError("the last attempt returns")


def api_hop(transport: Transport, place: Place, timeout_s: float, label: str = "gx") -> Hop:
    """Ask who answers on the port."""
    name = f"{label} api"
    return _patiently(lambda: _who(name, transport, place, timeout_s), lambda error: _api_failure(name, error, place))


def _who(name: str, transport: Transport, place: Place, timeout_s: float) -> Hop:
    answer = transport.get("/", timeout_s)
    if answer.status >= 500:
        raise Refused(f"status {answer.status} for /", answer.status)
    document = _document(answer)
    if answer.status == 200 and isinstance(document.get("name"), str) and "endpoints" in document:
        mode = f", {document['mode']}" if isinstance(document.get("mode"), str) else ""
        return Hop(name, State.OK, f"{document['name']}, version {document.get('version', 'unknown')}{mode}")
    return Hop(name, State.FAILED, _not_the_api(place, f"status {answer.status}"), _WRONG_PORT)


def _document(answer: Answer) -> dict[str, Any]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _not_the_api(place: Place, what: str) -> str:
    return f"{place.host}:{place.port} answers ({what}), but this is not the DBus HTTP API"


def _api_failure(name: str, error: SourceError, place: Place) -> Hop:
    where = f"{place.host}:{place.port}"
    if isinstance(error, Unreachable) and error.timed_out:
        return Hop(name, State.FAILED, f"{where} accepts connections but does not answer: {error}", _STUCK)
    if isinstance(error, Unreachable):
        return Hop(name, State.FAILED, str(error), _HTTPS if place.url.startswith("https") else _NOT_RUNNING)
    if isinstance(error, Refused) and error.status != 404:
        return Hop(name, State.FAILED, f"{where} fails: {error}", "restart the DBus HTTP API on the GX")
    return Hop(name, State.FAILED, _not_the_api(place, str(error)), _WRONG_PORT)


def bus_hop(api: GxApi, timeout_s: float, label: str = "gx") -> Hop:
    """Read from the D-Bus behind the API: a healthy server proves nothing about it."""
    name = f"{label} d-bus"
    return _patiently(lambda: _bus(name, api, timeout_s), lambda error: _bus_failure(name, error))


def _bus(name: str, api: GxApi, timeout_s: float) -> Hop:
    services = api.services(timeout_s)
    if not services:
        return Hop(name, State.FAILED, "the API answers, but lists no service: it has lost the D-Bus", _NO_BUS)
    serial = api.value(SYSTEM, "/Serial", timeout_s)
    if not isinstance(serial, str) or not serial:
        return Hop(name, State.WARNING, f"{len(services)} services, but the GX has no serial", "name the site: --site")
    return Hop(name, State.OK, f"{len(services)} services, serial {serial}")


def _bus_failure(name: str, error: SourceError) -> Hop:
    if isinstance(error, Refused):
        return Hop(name, State.FAILED, f"the serial of the GX cannot be read: {error}", _NO_SYSTEM)
    if isinstance(error, Garbled):
        return Hop(name, State.FAILED, str(error), "try again; if it stays, restart the DBus HTTP API on the GX")
    return Hop(name, State.FAILED, str(error), _STUCK)
