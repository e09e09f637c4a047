"""One hop of the way from the GX to the broker: how it was found, what was seen and what to do about it.

Law: nothing here, and nothing that makes a hop, ever holds a secret: it is printed as it is.
"""

from __future__ import annotations

import errno
import socket
import threading
from enum import Enum
from typing import NamedTuple

LOOKUP_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0


class State(Enum):
    OK = "ok"
    WARNING = "warning"  # it works, but somebody should look at it
    FAILED = "failed"
    SKIPPED = "skipped"


class Hop(NamedTuple):
    """`seen` says what was found, `advice` what to do; both are sentences without a full stop."""

    name: str
    state: State
    seen: str
    advice: str = ""

    @property
    def is_passed(self) -> bool:
        return self.state in (State.OK, State.WARNING)


def skipped(name: str, why: str) -> Hop:
    return Hop(name, State.SKIPPED, why)


def name_hop(name: str, host: str) -> Hop:
    """Look a host name up, in at most LOOKUP_TIMEOUT_S (the system's resolver knows no limit of its own)."""
    if _is_address(host):
        return Hop(name, State.OK, f"{host} is an address, there is nothing to look up")
    try:
        addresses = _look_up(host)
    except TimeoutError:
        return Hop(name, State.FAILED, f"no answer about {host} in {LOOKUP_TIMEOUT_S:.0f} s", _name_advice(host))
    except (OSError, UnicodeError) as error:
        is_dead = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        what = f"no name server answers about {host}" if is_dead else f"the name {host} is unknown"
        return Hop(name, State.FAILED, what, _name_advice(host))
    return Hop(name, State.OK, f"{host} is {', '.join(addresses[:3])}")


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return True
    return False


def _look_up(host: str) -> list[str]:
    """Return the addresses of a host; in a thread, since the resolver cannot be told to give up."""
    addresses: list[str] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses.extend(dict.fromkeys(str(entry[4][0]) for entry in found))
        except (OSError, UnicodeError) as error:
            errors.append(error)

    thread = threading.Thread(target=ask, name="name look-up", daemon=True)
    thread.start()
    thread.join(LOOKUP_TIMEOUT_S)
    if thread.is_alive():
        raise TimeoutError
    if errors:
        raise errors[0]
    return addresses


def _name_advice(host: str) -> str:
    advice = "check the spelling and this machine's DNS, or give the IP address"
    return (
        f"{advice}; names in .local need mDNS here (avahi-daemon and libnss-mdns)"
        if host.endswith(".local")
        else advice
    )


def port_hop(name: str, host: str, port: int, refused_advice: str) -> Hop:
    """Open a TCP connection and close it at once: a GX's server serves nobody else while one is open."""
    place = f"{host}:{port}"
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except ConnectionRefusedError:
        return Hop(name, State.FAILED, f"{place} refuses connections: nothing listens there", refused_advice)
    except TimeoutError:
        advice = "is the device on and in this network? Does a firewall drop the packets?"
        return Hop(name, State.FAILED, f"no answer from {place} in {CONNECT_TIMEOUT_S:.0f} s", advice)
    except OSError as error:
        advice = "check the address and this machine's network"
        if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return Hop(name, State.FAILED, f"there is no way to {place}", advice)
        return Hop(name, State.FAILED, f"no connection to {place}: {error.strerror or error}", advice)
    return Hop(name, State.OK, f"{place} accepts connections")
