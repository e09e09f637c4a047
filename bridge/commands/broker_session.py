"""One connection to a broker for a command that asks something and ends. The bridge itself uses `sinks.mqtt`.

paho is driven from the calling thread (no `loop_start`): Ctrl-C works, an exception has an owner, and every wait has
its limit. Everything that goes wrong is a SinkError with a sentence that names the remedy.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import MQTTException  # type: ignore[attr-defined]

from bridge.errors import SinkError
from bridge.sinks.broker import BrokerOptions, End, Ending, Limits, login_answer, no_connection
from bridge.sinks.tls import make_context

TIMEOUT_S = 8.0
_QUIET_S = 0.8  # retained messages follow the subscription at once; a pause this long ends them
_COLLECT_S = 30.0
_MAX_TOPICS = 200_000
_WINDOW = 100  # messages without an answer at a time
_KEEPALIVE_S = 15
# What paho lets out of its parser for bytes that are not MQTT.
_GARBLED = (ValueError, LookupError, struct.error, MQTTException)
_VERSIONS = {
    "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
    "5": (MQTTProtocolVersion.MQTTv5,),
    "3.1.1": (MQTTProtocolVersion.MQTTv311,),
}
_NO_NAME = "The broker lets nobody in without a user name: give broker.username and a password."
_BAD_LOGIN = (134, 135)  # reason codes: the name or password is wrong, the user has no right to log in
_OTHER_VERSION = (End.VERSION, End.CLOSED_EARLY)


class Retained(NamedTuple):
    topic: str
    payload: str
    is_retained: bool


class BrokerSession:
    """A logged-in client. Use as a context manager.

    Raises:
        SinkError: from every method: the broker refuses, hangs up or does not answer in time.
    """

    def __init__(self, options: BrokerOptions) -> None:
        self._options = options
        self._client: Client | None = None
        self._ending: Ending | None = None
        self._is_connected = False
        self._answers: dict[int, str] = {}  # packet id -> "" or why not
        self._messages: list[Retained] = []
        self.protocol = ""  # "5" or "3.1.1" once logged in
        self.limits = Limits()

    def __enter__(self) -> BrokerSession:
        versions = _VERSIONS[self._options.protocol]
        for version in versions:
            ending = self._log_in(version)
            if ending is None:
                return self
            self._close()
            if version == versions[-1] or ending.end not in _OTHER_VERSION:
                raise SinkError(ending.sentence)
        raise AssertionError("the last version returns or raises")

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        client.on_disconnect = None
        sock = client.socket()
        client.disconnect()
        if sock is not None:
            sock.close()

    # -- logging in -------------------------------------------------------------------------------------------------

    def _log_in(self, version: MQTTProtocolVersion) -> Ending | None:
        """Try one version of MQTT; return why it did not work."""
        options = self._options
        self._ending = None
        client = self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=options.client_id, protocol=version, reconnect_on_failure=False
        )
        client.connect_timeout = options.connect_timeout_s
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        if options.username:
            client.username_pw_set(options.username, options.password or None)
        try:
            if options.tls is not None:
                client.tls_set_context(make_context(options.tls))
                client.tls_insecure_set(options.tls.is_insecure)
            client.connect(options.host, options.port, _KEEPALIVE_S)
        except (OSError, ValueError, SinkError) as error:
            return no_connection(error, options)
        self._turn_until(lambda: self._is_connected, TIMEOUT_S)
        if self._ending is None and not self._is_connected:
            sentence = f"{options.host} takes connections but does not answer a login: is it an MQTT port?"
            return Ending(End.UNREACHABLE, sentence)
        if self._ending is None:
            self.protocol = "5" if version == MQTTProtocolVersion.MQTTv5 else "3.1.1"
        return self._ending

    def _turn_until(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        """Let paho work until `is_done`, the time is over or the connection ends; return `is_done()`."""
        deadline = time.monotonic() + timeout_s
        client = self._client
        while client is not None and not is_done() and self._ending is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            try:
                if client.loop(min(left_s, 0.2)) and self._ending is None:
                    self._ending = self._hangup()
            except OSError as error:
                broke = Ending(End.LOST, f"The connection broke: {error.strerror or error}.")
                self._ending = broke if self._is_connected else self._hangup()
            except _GARBLED:
                self._ending = Ending(End.LOST, "What answers does not speak MQTT: is this the broker's port?")
        return is_done()

    def _hangup(self) -> Ending:
        if self._is_connected:
            return Ending(End.CLOSED, "The broker closed the connection.")
        tls = self._options.tls
        if tls is None:
            advice = " Is this its TLS port? Then write mqtts://."
        elif not tls.cert_file:
            advice = " Does it want a certificate of its clients? Then give broker.tls.cert and broker.tls.key."
        else:
            advice = " Check that it trusts broker.tls.cert, and the client id and login."
        return Ending(End.CLOSED_EARLY, f"The broker hangs up when this client logs in.{advice}")

    # -- asking -----------------------------------------------------------------------------------------------------

    def publish(self, topic: str, payload: str, retain: bool) -> str:
        """Publish with QoS 1; return "" or why the broker did not take it (only MQTT 5 says)."""
        return self._publish_all([(topic, payload)], retain)[topic]

    def clear(self, topics: Iterable[str]) -> dict[str, str]:
        """Delete retained messages; return what was refused, by topic."""
        answers = self._publish_all([(topic, "") for topic in topics], retain=True)
        return {topic: reason for topic, reason in answers.items() if reason}

    def _publish_all(self, messages: list[tuple[str, str]], retain: bool) -> dict[str, str]:
        answers: dict[str, str] = {}
        for start in range(0, len(messages), _WINDOW):
            window = {}
            for topic, payload in messages[start : start + _WINDOW]:
                window[topic] = self._needed().publish(topic, payload, 1, retain).mid
            self._await(window.values())
            answers |= {topic: self._answers.pop(mid) for topic, mid in window.items()}
        return answers

    def collect(self, filters: Iterable[str], enough: int = _MAX_TOPICS) -> list[Retained]:
        """Subscribe and return the messages that come at once; `enough` of them end the wait."""
        self._subscribe(list(filters))
        deadline = time.monotonic() + _COLLECT_S
        count = -1
        while count != len(self._messages) < enough and time.monotonic() < deadline:
            count = len(self._messages)
            self._turn_until(lambda: len(self._messages) > count, _QUIET_S)  # noqa: B023 - called before it changes
        if self._ending is not None:
            raise SinkError(self._ending.sentence)
        return list(self._messages)

    def ask(
        self, topic: str, payload: str, reply: str, is_answer: Callable[[str], bool], timeout_s: float
    ) -> str | None:
        """Publish a request and return the first payload on `reply` that answers it, None when none comes in time."""
        self._subscribe([reply])
        refused = self.publish(topic, payload, retain=False)
        if refused:
            raise SinkError(f"The broker does not let this user write {topic}: {refused}.")

        def answers() -> list[str]:
            return [one.payload for one in self._messages if not one.is_retained and is_answer(one.payload)]

        self._turn_until(lambda: bool(answers()), timeout_s)
        if self._ending is not None:
            raise SinkError(self._ending.sentence)
        return next(iter(answers()), None)

    def _subscribe(self, filters: list[str]) -> None:
        self._messages.clear()
        _, mid = self._needed().subscribe([(one, 1) for one in filters])
        self._await([mid] if mid is not None else [])
        refused = self._answers.pop(mid, "") if mid is not None else ""
        if refused:
            raise SinkError(f"The broker does not let this user read {', '.join(filters)}: {refused}.")

    def wait_for_message(self, timeout_s: float) -> bool:
        """Tell whether one more message comes on what `collect` has subscribed to."""
        count = len(self._messages)
        return self._turn_until(lambda: len(self._messages) > count, timeout_s)

    def _await(self, mids: Iterable[int]) -> None:
        wanted = set(mids)
        if self._turn_until(lambda: wanted <= self._answers.keys(), TIMEOUT_S):
            return
        raise SinkError(self._ending.sentence if self._ending else f"The broker gave no answer in {TIMEOUT_S:.0f} s.")

    def _needed(self) -> Client:
        if self._client is None or self._ending is not None:
            raise SinkError(self._ending.sentence if self._ending else "There is no connection.")
        return self._client

    # -- what paho tells: facts only --------------------------------------------------------------------------------

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._ending = login_answer(reason.value, str(reason), self._options.client_id)
            if reason.value in _BAD_LOGIN and not self._options.username:
                self._ending = self._ending._replace(sentence=_NO_NAME)
            return
        self.limits = Limits.of(properties)
        self._is_connected = True

    def _on_disconnect(self, _client: Client, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if self._ending is not None:
            return
        if flags.is_disconnect_packet_from_server:
            self._ending = Ending(End.CLOSED, f"The broker closed the connection: {reason}.", reason.value)
        else:
            self._ending = self._hangup()

    def _on_publish(self, _client: Client, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self._answers[mid] = str(reason) if reason.is_failure else ""

    def _on_subscribe(self, _client: Client, _data: Any, mid: int, reasons: Any, _properties: Any) -> None:
        self._answers[mid] = next((str(reason) for reason in reasons if reason.is_failure), "")

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if len(self._messages) < _MAX_TOPICS:
            payload = bytes(message.payload).decode("utf-8", "replace")
            self._messages.append(Retained(message.topic, payload, bool(message.retain)))
