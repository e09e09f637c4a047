"""Durations and addresses as people write them: text in, plain values out.

Law: every function here raises ValueError with a sentence that says what would be right and never repeats a value
that could hold a password.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

GX_PORT = 8088  # the DBus HTTP API's default
MQTT_PORT = 1883
MQTTS_PORT = 8883

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"([0-9]+(?:[.][0-9]+)?)(ms|s|m|h|d|w)")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?\]")


class BrokerAddress(NamedTuple):
    """What a broker's address says. `is_tls` is None when it says nothing; the texts are empty then."""

    host: str
    port: int | None
    is_tls: bool | None
    username: str
    password: str


def duration_s(value: float | str) -> float:
    """Return seconds from a number of them or a text such as `500ms`, `10s`, `5m`, `1h`, `2d`, `1w`."""
    if not isinstance(value, str):
        return float(value)
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError("a duration such as 500ms, 10s, 5m, 1h or 2d, or a number of seconds, is wanted")
    return float(match[1]) * _UNITS_S[match[2]]


def gx_url(text: str) -> str:
    """Return the base URL of a GX's HTTP API: `venus.local` and `http://venus.local` mean port 8088.

    Raises:
        ValueError: another scheme, no host, a path, a login, or an impossible port.
    """
    scheme, host, port = _split(text if "://" in text else f"http://{text}", ("http", "https"), GX_PORT)
    if port is None:
        port = GX_PORT if scheme == "http" else 443
    return f"{scheme}://{host}:{port}"


def broker_address(text: str) -> BrokerAddress:
    """Return the parts of `host`, `host:port`, `mqtt://user:password@host:port` or `mqtts://host`.

    Raises:
        ValueError: another scheme, no host, a path or an impossible port.
    """
    begin, has_scheme, rest = text.partition("://")
    if not has_scheme:
        begin, rest = "mqtt", text
    login, _, address = rest.rpartition("@")  # the last @: a password may hold one
    scheme, host, port = _split(f"{begin}://{address}", ("mqtt", "mqtts"), MQTT_PORT)
    username, _, password = login.partition(":")
    is_tls = (scheme == "mqtts") if has_scheme else None
    return BrokerAddress(host.strip("[]"), port, is_tls, unquote(username), unquote(password))


def _split(url: str, schemes: tuple[str, str], port_example: int) -> tuple[str, str, int | None]:
    example = f"{schemes[0]}://host:{port_example}"
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in schemes:
        raise ValueError(f"it must begin with {schemes[0]}:// or {schemes[1]}://, such as {example}")
    try:
        parts = urlsplit("//" + rest)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"host and port cannot be read; write {example}") from None
    if "@" in parts.netloc:
        raise ValueError(f"a login cannot stand here; write {example}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"nothing may follow the port; write {example}")
    host = f"[{host}]" if ":" in host else host
    if not _HOST.fullmatch(host) or port == 0:
        raise ValueError(f"the host or port is impossible; write {example}")
    return scheme.lower(), host, port
