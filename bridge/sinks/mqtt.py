"""The MQTT sink: a thread that keeps one connection to a broker alive and everything that is true on it.

`publish` only puts messages into the queue and wakes the thread once; no broker can block the caller. The thread:

    dial ----> login ----> serve ----> ended ----> pause ----> dial ...
    (Dial)     (Connection)  (Feeder)   (Trouble learns from it)

Laws: state is the latest value per topic and is sent again after every login; an event stays until the broker has
acknowledged it; nothing here raises for what a broker does; the same trouble is logged once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import Any

from paho.mqtt.client import topic_matches_sub

from bridge.model import Message
from bridge.sinks.base import Request
from bridge.sinks.broker import BrokerOptions, End, Ending, no_connection
from bridge.sinks.connection import Connection
from bridge.sinks.dialing import Dial, Wake
from bridge.sinks.feeding import Feeder, key_of
from bridge.sinks.packets import Encoder
from bridge.sinks.properties import PropertyPacker
from bridge.sinks.queue import Queue
from bridge.sinks.reconnect import MQTT_5
from bridge.sinks.trouble import Trouble

__all__ = ["BrokerOptions", "MqttSink"]

_log = logging.getLogger(__name__)
_GOODBYE_S = 0.5  # kept of the time to stop for the farewell and its acknowledgement
_STEADY_BASE = time.time() - time.monotonic()
Handler = Callable[[Request], None]


def _steady_clock() -> float:
    return _STEADY_BASE + time.monotonic()


def _ignore(_message: Message) -> None:
    """Take note of nothing."""


class MqttSink:
    """Publishes to one broker and hears requests from it. See `base.Sink`.

    Args:
        options: the broker.
        will: published by the broker when we vanish, and by us when we stop: `offline`, retained, QoS 1.
        births: called at every login; its messages go first: `online`, retained, QoS 1, and who we are.
        clock: the steady clock that the messages' `at` are of.
        settled: called in the sink's thread with each event that needs no more sending, because the broker has
            it or because nobody will ever take it: what an outbox on disk may forget.
    """

    def __init__(
        self,
        options: BrokerOptions,
        will: Message,
        births: Callable[[], Sequence[Message]],
        clock: Callable[[], float] = _steady_clock,
        settled: Callable[[Message], None] = _ignore,
    ) -> None:
        self._options = options
        self._will = will
        self._births = births
        self._on_settled = settled
        self._clock = clock
        self._queue = Queue(options.max_topics, options.max_events)
        self._packer = PropertyPacker()
        self._trouble = Trouble(options)
        encoder, suspects = Encoder(self._packer), self._trouble.suspects
        self._feeder = Feeder(self._queue, encoder, suspects, clock, self._settle, self._trouble.note_refusal)
        self._wake = Wake()
        self._stopping = Event()
        self._deadline = 0.0
        self._stop_s = 0.0
        self._handlers: list[tuple[str, Handler]] = []
        self._subscribed = 0
        self._connection: Connection | None = None
        self._dial: Dial | None = None
        self._thread: Thread | None = None
        self._connects = 0
        self._handler_errors = 0
        self._refused_requests = 0
        self._last_ack_at: float | None = None

    @property
    def wall_offset_s(self) -> float:
        """Seconds to add to the steady clock to get the wall clock, which subscribers see as `ts`."""
        return self._packer.wall_offset_s

    @wall_offset_s.setter
    def wall_offset_s(self, offset_s: float) -> None:
        self._packer.wall_offset_s = offset_s

    # -- the Sink protocol: called from any thread

    def publish(self, messages: Sequence[Message]) -> None:
        """Take messages of one turn, in order. Returns at once."""
        self._queue.put(messages)
        self._wake.set()

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Call `handler` in the sink's thread for every message on `topic` (may hold wildcards)."""
        self._handlers.append((topic, handler))
        self._wake.set()

    def start(self) -> None:
        """Begin connecting in the background."""
        self._thread = Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> list[Message]:
        """Send what is queued, say goodbye, and return the events that were not acknowledged.

        Args:
            timeout_s: the most this takes, also while the broker cannot be reached.
        """
        self._stop_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._stopping.set()
        self._wake.set()
        if self._thread is None:
            self._wake.close()
        else:
            self._thread.join(timeout_s + 0.1)
        return self._queue.events()

    def health(self) -> Mapping[str, Any]:
        """Return connection state, queue depths and counters."""
        connection = self._connection
        limits = connection.limits if connection is not None else None
        dropped = self._feeder.dropped
        sizes = self._queue.sizes()
        return {
            "connected": limits is not None,
            "protocol": None if connection is None or limits is None else _version_name(connection.version),
            "topics": sizes["topics"],
            "queue_depth": sizes["queued_state"] + sizes["queued_events"],
            "queued_events": sizes["queued_events"],
            "inflight": 0 if connection is None else connection.in_flight,
            "published": self._feeder.published,
            "dropped": sizes["dropped"] + sum(dropped.values()) + self._queue.expired,
            "rejected": self._feeder.rejected,
            "parked": len(self._trouble.suspects.parked),
            "reconnects": max(0, self._connects - 1),
            "takeovers": self._trouble.takeovers,
            "refused_requests": self._refused_requests,
            "handler_errors": self._handler_errors,
            "last_error": self._trouble.last_error,
            "last_ack_age_s": self._ack_age_s(),
        }

    def _ack_age_s(self) -> float | None:
        last = self._last_ack_at
        return None if last is None else round(time.monotonic() - last, 1)

    # -- the thread

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                ending, lasted_s = self._one_connection()
                self._queue.disconnected()
                if not self._stopping.is_set():
                    self._pause(self._trouble.pause_s(ending, lasted_s))
        finally:
            self._wake.close()

    def _one_connection(self) -> tuple[Ending, float]:
        """Dial, log in, serve; return how it ended and how long after the login."""
        if self._dial is not None and self._dial.is_alive:
            return Ending(End.UNREACHABLE, f"Connecting to {self._options.host} hangs: check network and DNS."), 0.0
        trouble = self._trouble
        connection = Connection(self._options, trouble.version(), self._will, trouble.limits, self._wake)
        try:
            ending = self._open(connection) or self._serve(connection)
        except Exception as error:  # a thread's top: our own fault must not end the thread
            _log.exception("A fault in the MQTT sink; connecting anew.")
            ending = Ending(End.FAULT, f"Internal fault: {error!r}.")
        self._connection = None
        if self._dial is None or not self._dial.is_given_up:
            connection.close()
        lasted_s = time.monotonic() - connection.connected_at if connection.connected_at else 0.0
        trouble.blame(ending, lasted_s, [key_of(item) for item in connection.flying()])
        return ending, lasted_s

    def _open(self, connection: Connection) -> Ending | None:
        """Open the connection's socket; return why that did not work."""
        dial = self._dial = Dial(connection.open, connection.close, self._wake.set)
        give_up_at = time.monotonic() + 2.0 * self._options.connect_timeout_s
        while not dial.is_done:
            left_s = give_up_at - time.monotonic()
            if left_s <= 0 or self._is_out_of_time():
                dial.give_up()
                return Ending(End.UNREACHABLE, f"Connecting to {self._options.host} hangs: check network and DNS.")
            self._wake.wait(min(left_s, self._tick_s()))
        if dial.error is not None:
            return no_connection(dial.error, self._options)
        connection.begin()
        return connection.ending

    def _serve(self, connection: Connection) -> Ending:
        self._connection = connection
        next_check = time.monotonic()
        while connection.ending is None and not self._stopping.is_set():
            self._work(connection, self._tick_s())
            if time.monotonic() >= next_check:
                next_check = time.monotonic() + self._tick_s()
                self._trouble.lasted(time.monotonic() - connection.connected_at if connection.limits else 0.0)
                connection.check()
        if connection.ending is None:
            self._farewell(connection)
        return connection.ending or Ending(End.STOPPED, "")

    def _tick_s(self) -> float:
        return 0.05 if self._stopping.is_set() else min(max(self._options.keepalive_s / 8, 0.1), 2.5)

    def _work(self, connection: Connection, timeout_s: float) -> None:
        """Send what can be sent, wait for something to happen, and act on it."""
        self._subscribe(connection)
        has_more = self._feeder.feed(connection)
        is_new = connection.limits is None
        connection.turn(0.0 if has_more else self._feeder.wait_s(timeout_s))
        if is_new and connection.limits is not None:
            self._logged_in(connection)
        self._hear(connection)

    def _logged_in(self, connection: Connection) -> None:
        self._connects += 1
        self._subscribed = 0
        self._feeder.connected(connection, self._options.window, self._births())
        self._trouble.connected()
        options = self._options
        _log.info("Connected to %s:%s with MQTT %s.", options.host, options.port, _version_name(connection.version))

    def _subscribe(self, connection: Connection) -> None:
        if not connection.is_clear:
            return
        for topic, _ in self._handlers[self._subscribed :]:
            self._subscribed += 1
            try:
                connection.subscribe(topic)
            except ValueError:
                _log.error("The topic filter %s is not valid; nothing is heard on it.", topic)
        connection.flush()

    def _hear(self, connection: Connection) -> None:
        while connection.acks:
            self._feeder.answered(connection.acks.popleft())
        self._last_ack_at = connection.last_ack_at or self._last_ack_at
        while connection.inbox:
            self._handle(connection.inbox.popleft())
        self._refused_requests += connection.take_refused()
        while connection.refused_filters:
            topic = connection.refused_filters.pop()
            _log.warning("The broker refuses the subscription to %s: allow it to this user.", topic)

    def _handle(self, request: Request) -> None:
        for topic, handler in self._handlers:
            if not topic_matches_sub(topic, request.topic):
                continue
            try:
                handler(request)
            except Exception:  # what a handler does wrong must not end the network thread
                self._handler_errors += 1
                _log.exception("The handler of %s failed.", request.topic)

    # -- stopping

    def _is_out_of_time(self) -> bool:
        return self._stopping.is_set() and time.monotonic() >= self._deadline

    def _farewell(self, connection: Connection) -> None:
        """Send what is queued, then our own `offline`; leave without DISCONNECT when the broker did not confirm it."""
        queue, goodbye_s = self._queue, min(_GOODBYE_S, self._stop_s / 3)
        self._work_until(connection, self._deadline - goodbye_s, lambda: queue.is_empty() and not connection.in_flight)
        if not connection.is_clear:
            return
        will = self._will._replace(at=self._clock())
        self._feeder.say(connection, will)
        if self._work_until(connection, self._deadline - 0.05, lambda: will not in connection.flying()):
            connection.say_goodbye()

    def _work_until(self, connection: Connection, deadline: float, is_done: Callable[[], bool]) -> bool:
        while connection.ending is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self._work(connection, min(left_s, self._tick_s()))
            if connection.is_clear and is_done():
                return True
        return False

    def _pause(self, pause_s: float) -> None:
        until = time.monotonic() + pause_s
        while not self._stopping.is_set():
            left_s = until - time.monotonic()
            if left_s <= 0:
                return
            self._wake.wait(left_s)

    def _settle(self, message: Message) -> None:
        try:
            self._on_settled(message)
        except Exception:  # somebody else's fault must not end the network thread
            self._handler_errors += 1
            _log.exception("Noting that an event was delivered failed.")


def _version_name(version: int) -> str:
    return "5" if version == MQTT_5 else "3.1.1"
