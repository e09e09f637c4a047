"""A real mosquitto for tests: on a free port of 127.0.0.1, with any configuration, and a subscriber that remembers.

A broker can be killed and started again on the same port. Everything is gone after the `with` block.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

_PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
MOSQUITTO = shutil.which("mosquitto", path=_PLACES)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], timeout_s: float = 10.0, what: str = "") -> Any:
    """Poll `condition` until it is true and return what it gave; fail after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or condition}")
        time.sleep(0.01)


class Mosquitto:
    """One broker process.

    Args:
        config: lines of mosquitto.conf besides the listener; `{dir}` is a directory of its own.
        files: file name -> content, written into that directory first (ACLs, password files).
        port: 0 for any free one.
        anonymous: whether clients without a name may log in.
    """

    def __init__(
        self, config: str = "", files: dict[str, str] | None = None, port: int = 0, anonymous: bool = True
    ) -> None:
        if MOSQUITTO is None:
            raise RuntimeError("mosquitto is not installed")
        self._directory = tempfile.TemporaryDirectory(prefix="mosquitto-")
        self.directory = Path(self._directory.name)
        os.chmod(self.directory, 0o755)  # mosquitto started by root becomes another user, who must read this
        for name, content in (files or {}).items():
            (self.directory / name).write_text(content)
        self._config = self.directory / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self._text = f"allow_anonymous {str(anonymous).lower()}\n" + config.replace("{dir}", str(self.directory)) + "\n"
        try:
            self._start_somewhere(port)
        except BaseException:
            self.close()
            raise

    def _start_somewhere(self, port: int) -> None:
        for attempts_left in range(4, -1, -1):
            self.port = port or free_port()
            self._config.write_text(f"listener {self.port} 127.0.0.1\n{self._text}")
            try:
                self.start()
                return
            except RuntimeError:  # somebody else was faster to take the port
                if port or not attempts_left:
                    raise

    def start(self) -> None:
        """Start the process and wait until it accepts connections."""
        with open(self.directory / "log.txt", "ab") as log:
            self._process = subprocess.Popen(
                [str(MOSQUITTO), "-v", "-c", str(self._config)], stdout=log, stderr=subprocess.STDOUT
            )
        wait_until(self._accepts, what=f"mosquitto starts: {self.log()}")

    def _accepts(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"mosquitto ended: {self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def log(self) -> str:
        """Return what the broker has said so far."""
        path = self.directory / "log.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self) -> None:
        """End the process as a power cut would: nothing is saved, no connection is closed properly."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process cleanly."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Freeze the process: connections stay open and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill the process and start it again on the same port, without its retained messages."""
        self.kill()
        self.start()

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        self._end(signal.SIGKILL)
        self._directory.cleanup()

    def __enter__(self) -> Mosquitto:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


class Received(NamedTuple):
    """One message as a subscriber saw it. `user` holds the user properties, `expiry_s` None without one."""

    topic: str
    payload: str
    qos: int
    is_retained: bool
    content_type: str | None
    expiry_s: int | None
    user: dict[str, str]
    correlation: bytes | None = None
    payload_format: int | None = None
    is_duplicate: bool = False


class Subscriber:
    """A client that subscribes and keeps every message, in order.

    Use as a context manager; it is subscribed when the constructor returns.
    """

    def __init__(
        self, port: int, topic: str = "#", qos: int = 1, username: str = "", password: str = "", v5: bool = True
    ) -> None:
        self.messages: list[Received] = []
        self._is_subscribed = False
        protocol = MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        if username:
            self.client.username_pw_set(username, password)
        self.client.on_message = self._on_message
        self.client.on_connect = lambda client, *_: client.subscribe(topic, qos)
        self.client.on_subscribe = self._on_subscribe
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_until(lambda: self._is_subscribed, what="subscriber subscribes")

    def _on_subscribe(self, *_: Any) -> None:
        self._is_subscribed = True

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        properties = message.properties
        self.messages.append(
            Received(
                topic=message.topic,
                payload=bytes(message.payload).decode(),
                qos=message.qos,
                is_retained=bool(message.retain),
                content_type=getattr(properties, "ContentType", None),
                expiry_s=getattr(properties, "MessageExpiryInterval", None),
                user=dict(getattr(properties, "UserProperty", [])),
                correlation=getattr(properties, "CorrelationData", None),
                payload_format=getattr(properties, "PayloadFormatIndicator", None),
                is_duplicate=bool(message.dup),
            )
        )

    def payloads(self, topic: str) -> list[str]:
        """Return the payloads seen on `topic`, in order."""
        return [message.payload for message in list(self.messages) if message.topic == topic]

    def last(self, topic: str) -> str | None:
        """Return the newest payload on `topic`, None when there was none."""
        seen = self.payloads(topic)
        return seen[-1] if seen else None

    def find(self, topic: str) -> Received | None:
        """Return the newest message on `topic`."""
        return next((message for message in reversed(list(self.messages)) if message.topic == topic), None)

    def wait_for(self, topic: str, payload: str | None = None, timeout_s: float = 10.0) -> Received:
        """Wait for a message on `topic` (with `payload`, unless None) and return the newest such message."""
        found = wait_until(
            lambda: [m for m in list(self.messages) if m.topic == topic and payload in (None, m.payload)],
            timeout_s,
            f"{topic} {payload!r}",
        )
        return found[-1]  # type: ignore[no-any-return]

    def publish(self, topic: str, payload: str | bytes, qos: int = 1, retain: bool = False, properties: Any = None):
        """Publish something, as another program on the same broker would."""
        info = self.client.publish(topic, payload, qos, retain, properties)
        info.wait_for_publish(5.0)
        return info

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
