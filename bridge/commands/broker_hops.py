"""The way to a broker, hop by hop: name, port, TLS, login, the right to publish, retained messages.

The probe is one retained message below the bridge's own topic, read back (MQTT 3.1.1 acknowledges what it drops) and
cleared. It is sent with a client id of its own: the bridge's would throw a running bridge out.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import formatdate

from bridge.commands.broker_session import BrokerSession
from bridge.commands.hops import CONNECT_TIMEOUT_S, Hop, State, name_hop, port_hop, skipped
from bridge.errors import SinkError
from bridge.sinks.broker import BrokerOptions, no_connection
from bridge.sinks.tls import TlsOptions, make_context

_NAMES = ("broker name", "broker port", "broker tls", "broker login", "broker publish", "broker retained")
_START_IT = "start the broker, or give its host and port with --broker host:port"
_LOGIN = (
    "host, port and login come from --broker, --username, --password-file, VICTRON_BRIDGE_PASSWORD or the config file"
)
_TLS_FILES = "broker.tls.ca names the authority; --broker mqtts://host:8883 switches TLS on"
_RIGHTS = "allow this user to write and read below {} in the broker's access list"
_KEEP = "the values of the bridge are lost for who subscribes later: allow retained messages in the broker"
_EXPIRES_SOON_S = 14 * 86_400.0
_LIVE_S = 2.0


def broker_hops(options: BrokerOptions, topic: str, base_topic: str) -> Iterator[Hop]:
    """Yield every hop to the broker; after one that failed the rest are skipped.

    Args:
        options: with the client id to log in as.
        topic: what to publish the probe to.
    """
    passed = 0
    for hop in _walk(options, topic, base_topic):
        yield hop
        passed += 1
        if hop.state is State.FAILED:
            break
    for name in _NAMES[passed:]:
        yield skipped(name, f"needs the {_NAMES[passed - 1]}")


def _walk(options: BrokerOptions, topic: str, base_topic: str) -> Iterator[Hop]:
    yield name_hop(_NAMES[0], options.host)
    yield port_hop(_NAMES[1], options.host, options.port, _START_IT)
    yield tls_hop(options)
    session = BrokerSession(options)
    try:
        with session:
            who = f"as {options.username}" if options.username else "without a user name"
            yield Hop(_NAMES[3], State.OK, f"MQTT {session.protocol}, {who}")
            yield from _probe(session, topic, base_topic)
    except SinkError as error:
        name = _NAMES[4] if session.protocol else _NAMES[3]
        advice = _RIGHTS.format(f"{base_topic}/") if session.protocol else _LOGIN
        yield Hop(name, State.FAILED, _phrase(error), advice)


def tls_hop(options: BrokerOptions) -> Hop:
    """Do the TLS handshake alone, so that its faults are not taken for those of the login."""
    name = _NAMES[2]
    if options.tls is None:
        return skipped(name, "not switched on")
    try:
        context = make_context(options.tls)
        plain = socket.create_connection((options.host, options.port), CONNECT_TIMEOUT_S)
        with plain, context.wrap_socket(plain, server_hostname=options.host) as secure:
            return _certificate_hop(name, secure, options.tls)
    except (OSError, ValueError, SinkError) as error:
        return Hop(name, State.FAILED, no_connection(error, options).sentence.rstrip("."), _TLS_FILES)


def _certificate_hop(name: str, secure: ssl.SSLSocket, options: TlsOptions) -> Hop:
    version = secure.version() or "TLS"
    if options.is_insecure:
        return Hop(name, State.WARNING, f"{version}, any certificate is accepted", "remove broker.tls.insecure")
    until = str((secure.getpeercert() or {}).get("notAfter", ""))
    expires_at = ssl.cert_time_to_seconds(until) if until else float("inf")
    seen = f"{version}, certificate valid until {until or 'unknown'}"
    if expires_at - time.time() < _EXPIRES_SOON_S:
        return Hop(name, State.WARNING, seen, "renew the broker's certificate")
    return Hop(name, State.OK, seen)


def _probe(session: BrokerSession, topic: str, base_topic: str) -> Iterator[Hop]:
    """Publish, read back, clear; yield the two hops that this tells about."""
    rights = _RIGHTS.format(f"{base_topic}/")
    mark = formatdate()
    if not session.limits.retain:
        yield Hop(_NAMES[4], State.FAILED, "the broker takes no retained messages", _KEEP)
        return
    reason = session.publish(topic, mark, retain=True)
    if reason:
        yield Hop(_NAMES[4], State.FAILED, f"the broker refuses a message on {topic}: {reason}", rights)
        return
    try:
        kept = [message for message in session.collect([topic], enough=1) if message.payload == mark]
        yield from _read_back(session, topic, rights, bool(kept) and kept[0].is_retained)
    finally:
        with contextlib.suppress(SinkError):
            session.clear([topic])


def _read_back(session: BrokerSession, topic: str, rights: str, is_kept: bool) -> Iterator[Hop]:
    if is_kept:
        yield Hop(_NAMES[4], State.OK, f"wrote, read and cleared {topic}")
        yield Hop(_NAMES[5], State.OK, "the broker keeps retained messages")
        return
    session.publish(topic, "live", retain=False)
    if session.wait_for_message(_LIVE_S):
        yield Hop(_NAMES[4], State.OK, f"wrote and read {topic}")
        yield Hop(_NAMES[5], State.FAILED, "a retained message was not kept", _KEEP)
        return
    if session.protocol == "5":  # its acknowledgement said that the message was taken
        yield Hop(_NAMES[4], State.WARNING, f"wrote {topic}, but this user cannot read it", rights)
        yield skipped(_NAMES[5], "cannot be told without the right to read")
        return
    seen = f"a message on {topic} was acknowledged but did not come back: this user may not write, or not read, there"
    yield Hop(_NAMES[4], State.FAILED, seen, rights)


def _phrase(error: Exception) -> str:
    text = str(error).rstrip(".")
    return text[:1].lower() + text[1:]
