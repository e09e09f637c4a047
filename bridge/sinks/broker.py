"""What is configured about a broker, and what a broker says: endings of a connection and grants of its CONNACK.

Everything here ends in a sentence that a person can act on. A password never becomes part of a text.
"""

from __future__ import annotations

import socket
import ssl
from enum import Enum
from typing import Any, NamedTuple

from bridge.errors import SinkError
from bridge.sinks import tls
from bridge.sinks.packets import LARGEST_PACKET


class BrokerOptions(NamedTuple):
    """Where the broker is and how to speak to it.

    `protocol` is "auto" (5 first, 3.1.1 when the broker cannot), "5" or "3.1.1". `window` is how many
    QoS 1 messages may be unacknowledged at once.
    """

    host: str
    client_id: str
    port: int = 1883
    username: str = ""
    password: str = ""
    tls: tls.TlsOptions | None = None
    protocol: str = "auto"
    keepalive_s: int = 20
    connect_timeout_s: float = 8.0
    will_delay_s: int = 5
    retry_min_s: float = 1.0
    retry_max_s: float = 30.0
    window: int = 20
    max_topics: int = 50_000
    max_events: int = 1_000

    def __repr__(self) -> str:
        return f"BrokerOptions({self.host}:{self.port}, client_id={self.client_id!r}, username={self.username!r})"


class End(Enum):
    """Why there is no connection, as far as the next attempt depends on it."""

    UNREACHABLE = "unreachable"  # no TCP connection, or no answer to the login
    TLS = "tls"
    LOGIN = "login"  # refused, and will be until somebody changes something
    VERSION = "version"  # this protocol version is not spoken
    CLOSED_EARLY = "closed early"  # or silent, after the login was sent and before it was answered
    REFUSED = "refused"  # any other answer to the login
    TAKEN_OVER = "taken over"  # another client uses the same id
    CLOSED = "closed"  # by the broker, once connected
    LOST = "lost"  # by the network, or silent for too long
    FAULT = "fault"  # our own
    STOPPED = "stopped"


class Ending(NamedTuple):
    """How a connection ended, or why none came about."""

    end: End
    sentence: str
    code: int = 0  # the broker's reason code, when it gave one


class Limits(NamedTuple):
    """What the broker granted in its CONNACK."""

    largest_packet: int = LARGEST_PACKET
    retain: bool = True
    qos: int = 2
    window: int = 65_535

    @classmethod
    def of(cls, properties: Any) -> Limits:
        """Read the properties of a CONNACK; MQTT 3.1.1 has none, so nothing is limited."""
        return cls(
            largest_packet=getattr(properties, "MaximumPacketSize", LARGEST_PACKET),
            retain=bool(getattr(properties, "RetainAvailable", 1)),
            qos=getattr(properties, "MaximumQoS", 2),
            window=getattr(properties, "ReceiveMaximum", 65_535),
        )


# Reason codes of a CONNACK (MQTT 5.0 section 3.2.2.2; paho turns those of 3.1.1 into the same numbers).
_LOGIN_ANSWERS = {
    132: (End.VERSION, "The broker does not speak this version of MQTT."),
    133: (End.LOGIN, "The broker does not accept the client id {id}: choose another broker.client_id."),
    134: (End.LOGIN, "The broker refuses user name or password: check broker.username and broker.password."),
    135: (End.LOGIN, "The broker does not let this user in: check broker.username, broker.password and its rights."),
    136: (End.REFUSED, "The broker says that it is not available now."),
    137: (End.REFUSED, "The broker says that it is busy."),
    138: (End.LOGIN, "The broker has banned this client: ask its administrator."),
    140: (End.LOGIN, "The broker wants another way of login than user name and password."),
    154: (End.REFUSED, "The broker keeps no retained messages, so not even the last will."),
    155: (End.REFUSED, "The broker takes no QoS 1 messages, so not even the last will."),
    159: (End.REFUSED, "The broker says that this client connects too often."),
}
# Reason codes of a DISCONNECT from the broker (section 3.14.2.1).
_GOODBYES = {
    139: (End.CLOSED, "The broker is shutting down."),
    141: (End.LOST, "The broker heard nothing from here for too long."),
    142: (
        End.TAKEN_OVER,
        "Another client uses the id {id} and throws this one out: give each bridge a broker.client_id of its own.",
    ),
    149: (End.CLOSED, "The broker closed the connection because of a message that is too large for it."),
    135: (End.CLOSED, "The broker closed the connection because of a message that this user may not send."),
    154: (End.CLOSED, "The broker closed the connection because it keeps no retained messages."),
    155: (End.CLOSED, "The broker closed the connection because it takes no QoS 1 messages."),
}
NO_RETAIN = 154
NO_QOS1 = 155


def login_answer(code: int, name: str, client_id: str) -> Ending:
    """Return what a refusing CONNACK means."""
    end, sentence = _LOGIN_ANSWERS.get(code, (End.REFUSED, f"The broker refuses the login: {name}."))
    return Ending(end, sentence.format(id=client_id), code)


def goodbye(code: int, name: str, client_id: str) -> Ending:
    """Return what a DISCONNECT packet of the broker means."""
    end, sentence = _GOODBYES.get(code, (End.CLOSED, f"The broker closed the connection: {name}."))
    return Ending(end, sentence.format(id=client_id), code)


def no_connection(error: Exception, options: BrokerOptions) -> Ending:
    """Return why a connection could not be opened, in a sentence that names the remedy."""
    place = f"{options.host}:{options.port}"
    if isinstance(error, SinkError):
        return Ending(End.TLS, str(error))
    if isinstance(error, ssl.SSLError):
        return Ending(End.TLS, tls.describe(error, options.host))
    if isinstance(error, socket.gaierror | UnicodeError):
        return Ending(
            End.UNREACHABLE, f"The name {options.host} is unknown: check broker.host and the DNS of this machine."
        )
    if isinstance(error, ConnectionRefusedError):
        return Ending(End.UNREACHABLE, f"Nobody listens on {place}: does the broker run, is broker.port right?")
    if isinstance(error, TimeoutError):
        return Ending(End.UNREACHABLE, f"No answer from {place}: check broker.host, the network and firewalls.")
    if isinstance(error, ConnectionResetError) and options.tls is not None:
        return Ending(End.TLS, f"{place} hung up during the TLS handshake: is this the broker's TLS port?")
    return Ending(End.UNREACHABLE, f"No connection to {place}: {getattr(error, 'strerror', None) or error}.")
