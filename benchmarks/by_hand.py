"""The practical limit's parts: rules as one function, written out by hand as far as a generator can, and MQTT packets.

Nothing here knows UNKNOWN, hysteresis, acknowledgement, restart or reconnect: it is what the least program costs.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from benchmarks.workload import FOR_TICKS, WINDOW_TICKS, Rule

Evaluate = Callable[[dict[str, float]], list[tuple[int, bool]]]


def compile_rules(rules: list[Rule]) -> Evaluate:
    """Return one function that evaluates all rules once and returns which of them (number) began or ceased to hold.

    A threshold holds when its condition was true for `FOR_TICKS` ticks in a row, a window when it has been filled to
    80 %, as in the bridge.
    """
    lines = ["def evaluate(v):", " out = []"]
    for number, rule in enumerate(rules):
        lines += _window(number, rule) if rule.window else []
        tests = zip(rule.points, rule.operators, rule.limits)
        names = (f"a{number}",) if rule.window else tuple(f"v[{name!r}]" for name, _, _ in tests)
        condition = " and ".join(
            f"{name} {sign} {limit!r}" for name, sign, limit in zip(names, rule.operators, rule.limits)
        )
        ready = f"len(w{number}) >= {int(0.8 * WINDOW_TICKS)} and " if rule.window else ""
        lines += [
            f" if {ready}{condition}:",
            f"  held[{number}] += 1",
            f"  if held[{number}] == {FOR_TICKS}: out.append(({number}, True))",
            f" elif held[{number}]:",
            f"  if held[{number}] >= {FOR_TICKS}: out.append(({number}, False))",
            f"  held[{number}] = 0",
        ]
    lines.append(" return out")
    scope: dict[str, Any] = {"held": [0] * len(rules), "sums": [0.0] * len(rules)}
    scope |= {f"w{number}": deque() for number, rule in enumerate(rules) if rule.window}
    exec("\n".join(lines), scope)
    evaluate: Evaluate = scope["evaluate"]
    return evaluate


def _window(number: int, rule: Rule) -> list[str]:
    push = [f" x = v[{rule.points[0]!r}]", f" w{number}.append(x)"]
    if rule.window == "increase":
        return [
            *push,
            f" if len(w{number}) > {WINDOW_TICKS + 1}: w{number}.popleft()",
            f" a{number} = x - w{number}[0]",
        ]
    return [
        *push,
        f" s = sums[{number}] + x",
        f" if len(w{number}) > {WINDOW_TICKS}: s -= w{number}.popleft()",
        f" sums[{number}] = s",
        f" a{number} = s / len(w{number})",
    ]


def connect(port: int) -> socket.socket:
    """Return a connection to the broker that is logged in with MQTT 3.1.1."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05limit")
    if sock.recv(4) != b"\x20\x02\x00\x00":
        raise RuntimeError("the broker does not let us in")
    return sock


def packet(topic: bytes, payload: bytes, header: bytes = b"\x31") -> bytes:
    """Return a QoS 0 PUBLISH packet; `topic` has its length in front."""
    size = len(topic) + len(payload)
    if size < 128:
        return header + bytes((size,)) + topic + payload
    return header + bytes((size & 127 | 128, size >> 7)) + topic + payload


def topic_field(topic: str) -> bytes:
    return len(topic).to_bytes(2, "big") + topic.encode()
