"""One variant in its own process, told over stdin how many cycles to do, answering with what they cost.

A lane's module builds a `Variant` and calls `serve`. Between cycles it pauses, as a bridge does between polls, so
that other threads finish what the cycle gave them; the pause costs no CPU. CPU is that of all threads.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

DRAIN_S = 5.0


class Variant(NamedTuple):
    """What a lane measures."""

    cycle: Callable[[], None]  # poll all services once, evaluate, publish
    is_idle: Callable[[], bool]  # everything of the last cycle is on the wire
    counts: Callable[[], dict[str, Any]]  # totals since the start: messages, events ...


def job() -> dict[str, Any]:
    """Return what this lane was told to do."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        document: dict[str, Any] = json.load(stream)
    return document


def serve(variant: Variant) -> None:
    """Do what is asked for: lines of {"cycles": n, "pause_s": t} until the input ends."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        started = time.process_time()
        for _ in range(order["cycles"]):
            variant.cycle()
            time.sleep(order["pause_s"])
        deadline = time.monotonic() + DRAIN_S
        while not variant.is_idle() and time.monotonic() < deadline:
            time.sleep(0.05)
        cpu_s = time.process_time() - started
        print(json.dumps({"cpu_s": cpu_s, "rss_mb": rss_mb(), **variant.counts()}), flush=True)


def rss_mb(pid: int | str = "self") -> float:
    """Return the resident memory of a process in MB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as stream:
        line = next(line for line in stream if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)
