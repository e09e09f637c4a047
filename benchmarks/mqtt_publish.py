"""What publishing one cycle costs: 106 changed values (a fifth of 530) as retained QoS 0 messages.

    python benchmarks/mqtt_publish.py [--cycles N] [--rounds N]

Compared, interleaved, in CPU time of this process (all threads), against one mosquitto:

- by hand, MQTT 3.1.1: packets built and written over a plain socket, the practical limit;
- this sink with MQTT 3.1.1, and with MQTT 5: content type, expiry and the user properties unit, ts and code;
- paho as most programs use it: `loop_start`, one `publish` per value, with MQTT 3.1.1, and with 5 and properties.

CPU seconds vary by a factor of two on a busy machine; the ratios of medians hold.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.model import Message, Meta
from bridge.sinks.mqtt import BrokerOptions, MqttSink

VALUES = 106
UNITS = ("V", "A", "W", "Hz", "%", "kWh", "°C", "")
TEXT = Meta("text/plain", 0, ())
Turn = Callable[[int], None]


def changed_values(cycle: int) -> list[Message]:
    """Return one cycle's messages: topics as long as real ones, five pages with a time each."""
    metas = [Meta("application/json", 180, (("unit", unit),)) for unit in UNITS]
    now = time.time()
    return [
        Message(
            f"victron/home/vebus/276/ac_out/l{number % 3 + 1}/value_{number}",
            f"{230 + (cycle * 7 + number) % 100 / 10:.1f}",
            0,
            True,
            metas[number % len(metas)],
            now + number // 22 * 0.01,
            number % 5 if number % 10 == 0 else None,
        )
        for number in range(VALUES)
    ]


@contextmanager
def by_hand(port: int) -> Iterator[Turn]:
    """Packets built and written here: what nothing in Python can beat by much."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04hand")
    sock.recv(4)

    def turn(cycle: int) -> None:
        packets = bytearray()
        for message in changed_values(cycle):
            topic, payload = message.topic.encode(), message.payload.encode()
            size = 2 + len(topic) + len(payload)
            packets.append(0x31)
            while size > 127:
                packets.append(size & 127 | 128)
                size >>= 7
            packets.append(size)
            packets += len(topic).to_bytes(2, "big") + topic + payload
        sock.sendall(packets)

    yield turn
    sock.close()


@contextmanager
def nothing(_port: int) -> Iterator[Turn]:
    """Only make the messages: what every variant pays, subtracted from all."""

    def turn(cycle: int) -> None:
        changed_values(cycle)

    yield turn


def our_sink(protocol: str) -> Callable[[int], object]:
    @contextmanager
    def variant(port: int) -> Iterator[Turn]:
        will = Message(f"victron/bridge/bench{protocol}/status", "offline", 1, True, TEXT, time.time())
        sink = MqttSink(BrokerOptions("127.0.0.1", f"bench{protocol}", port=port, protocol=protocol), will, list)
        sink.start()
        while not sink.health()["connected"]:
            time.sleep(0.01)
        cycles = 0

        def turn(cycle: int) -> None:
            nonlocal cycles
            cycles += 1
            sink.publish(changed_values(cycle))

        yield turn
        sink.stop(2.0)
        published = sink.health()["published"]
        if published < cycles * VALUES * 0.9:  # what was replaced before it was sent is missing
            raise RuntimeError(f"only {published} of {cycles * VALUES} messages were sent: the figures mean nothing")

    return variant


def plain_paho(version: int) -> Callable[[int], object]:
    @contextmanager
    def variant(port: int) -> Iterator[Turn]:
        client = Client(CallbackAPIVersion.VERSION2, f"paho{version}", protocol=MQTTProtocolVersion(version))
        ready = threading.Event()
        client.on_connect = lambda *_: ready.set()
        client.connect("127.0.0.1", port)
        client.loop_start()
        ready.wait(5.0)

        def turn(cycle: int) -> None:
            for message in changed_values(cycle):
                properties = paho_properties(message) if version == 5 else None
                info = client.publish(message.topic, message.payload, 0, True, properties)
            info.wait_for_publish(5.0)

        yield turn
        client.disconnect()
        client.loop_stop()

    return variant


def paho_properties(message: Message) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    properties.PayloadFormatIndicator = 1
    properties.ContentType = message.meta.content_type
    properties.MessageExpiryInterval = message.meta.expiry_s
    properties.UserProperty = [*message.meta.user, ("ts", "2025-01-01T00:00:00.000Z")]
    return properties


VARIANTS = {
    "nothing": nothing,
    "by hand, 3.1.1": by_hand,
    "this sink, 3.1.1": our_sink("3.1.1"),
    "this sink, 5": our_sink("5"),
    "paho loop_start, 3.1.1": plain_paho(4),
    "paho loop_start, 5 with properties": plain_paho(5),
}


@contextmanager
def mosquitto() -> Iterator[int]:
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n")
        config.flush()
        process = subprocess.Popen([program, "-c", config.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(500):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
                    break
                except OSError:
                    time.sleep(0.01)
            yield port
        finally:
            process.kill()
            process.wait()


def measure(turn: Turn, cycles: int, first: int) -> float:
    """Return CPU milliseconds per cycle, of all threads. Cycles are spaced, as polling is."""
    spent = 0.0
    for cycle in range(first, first + cycles):
        started = time.process_time()
        turn(cycle)
        time.sleep(0.01)  # let the other thread finish and go back to sleep: that is part of the price
        spent += time.process_time() - started
    return spent / cycles * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU per published cycle of 106 values")
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with mosquitto() as port:
        for number in range(arguments.rounds):
            for name, variant in VARIANTS.items():
                with variant(port) as turn:  # type: ignore[attr-defined]
                    measure(turn, 2, 0)
                    times[name].append(measure(turn, arguments.cycles, number * arguments.cycles))
    base = statistics.median(times["nothing"])
    limit = statistics.median(times["by hand, 3.1.1"]) - base
    print(f"{'variant':36} {'ms/cycle':>9} {'µs/message':>11} {'x limit':>8}")
    for name, measured in times.items():
        if name != "nothing":
            cost = statistics.median(measured) - base
            print(f"{name:36} {cost:9.2f} {cost / VALUES * 1e3:11.1f} {cost / limit:8.1f}")


if __name__ == "__main__":
    main()
