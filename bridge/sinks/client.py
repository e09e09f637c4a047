"""The paho client of one connection: how it logs in, and what it is told to leave to us.

It never reconnects, never writes by itself and never holds more than our window: all of that is decided outside.
"""

from __future__ import annotations

import socket
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.model import Message
from bridge.sinks.broker import BrokerOptions, Limits
from bridge.sinks.reconnect import MQTT_5
from bridge.sinks.tls import make_context

_LARGEST_INCOMING = 1 << 20  # bytes; told to the broker on MQTT 5
_SESSION_S = 60  # the broker keeps our subscriptions, and so the requests, over a short cut; must exceed the will delay


def make_client(options: BrokerOptions, version: int, will: Message, last_limits: Limits) -> Client:
    """Return a client that is not connected. `last_limits` is what the broker was found to grant before."""
    is_5 = version == MQTT_5
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        clean_session=None if is_5 else True,
        protocol=MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    client.connect_timeout = options.connect_timeout_s
    client.max_inflight_messages = 65_535  # the window is ours, and smaller
    if options.username:
        client.username_pw_set(options.username, options.password or None)
    properties = _will_properties(will, options.will_delay_s) if is_5 else None
    client.will_set(will.topic, will.payload, min(will.qos, last_limits.qos), last_limits.retain, properties)
    client.on_socket_open = _set_nodelay
    client.on_socket_register_write = _leave_writing_to_us
    return client


def connect(client: Client, options: BrokerOptions, version: int) -> None:
    """Open the socket and queue the login. Blocks up to the connect timeout per address, and for name lookup.

    Raises:
        OSError, ValueError, SinkError: see `broker.no_connection`.
    """
    if options.tls is not None:
        client.tls_set_context(make_context(options.tls))
        client.tls_insecure_set(options.tls.is_insecure)
    if version != MQTT_5:
        client.connect(options.host, options.port, options.keepalive_s)
        return
    properties = _new_properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = _SESSION_S
    properties.MaximumPacketSize = _LARGEST_INCOMING
    # A new session would end the old one, and by the standard that publishes the old one's will at once.
    client.connect(options.host, options.port, options.keepalive_s, clean_start=False, properties=properties)


def _will_properties(will: Message, delay_s: int) -> Properties:
    properties = _new_properties(PacketTypes.WILLMESSAGE)
    properties.WillDelayInterval = delay_s
    properties.PayloadFormatIndicator = 1
    properties.ContentType = will.meta.content_type
    return properties


def _new_properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]


def _set_nodelay(_client: Client, _data: Any, sock: Any) -> None:
    # Nagle's algorithm would hold the second write of a burst back until the first is acknowledged: 42 ms.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _leave_writing_to_us(_client: Client, _data: Any, _sock: Any) -> None:
    """Exist, so that paho does not write by itself on each publish."""
