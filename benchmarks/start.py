"""CPU from the start of the process to the first message and to the first value, beside a bare interpreter's start.

The first start fills the cache of the state directory and is not counted. CPU is read from the process's own clock,
from outside, at the moment a subscriber sees the message.

Both sides start without looking for `.pth` files and find packages by PYTHONPATH: what editable installs, coverage and
the like hook into every start of an interpreter can make a bare one three times slower, and the ratio look good.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import sysconfig
import time
from statistics import median
from typing import NamedTuple

from benchmarks import workload
from benchmarks.lane import rss_mb
from benchmarks.processes import ENVIRON, Bench
from benchmarks.report import goal
from benchmarks.subscriber import Subscriber

_ROUNDS = 9
_TIMEOUT_S = 60.0
_MAX_RATIO = 10.0
_MAX_RSS_MB = 32.0
_SETTLE_S = 12.0  # until memory is what it stays: all services read some times
_PACKS = ("essential",)
_PYTHON = (sys.executable, "-S")


class Start(NamedTuple):
    """CPU seconds of one start until the first message and until the first value."""

    message_s: float
    value_s: float


def measure(seed: int) -> int:
    """Measure and print; return 1 when a goal is missed."""
    load = workload.make(seed)
    with Bench() as bench:
        bench.start_broker()
        ports = bench.start_gx(load, seed)
        config = bench.config("start.yaml", load, ports, packs=list(_PACKS), pack={})
        ENVIRON["PYTHONPATH"] = os.pathsep.join((str(workload.ROOT), sysconfig.get_path("purelib")))
        command = [*_PYTHON, "-m", "bridge", "run", "--config", str(config), "--state", str(bench.directory)]
        _start(bench, command)
        bare, starts = [], []
        for _ in range(_ROUNDS):
            bare.append(_bare())
            starts.append(_start(bench, command))
        settled_mb = _settled(bench, command)
    base_s = median(bare)
    message_s, value_s = (median(one[index] for one in starts) for index in range(2))
    print(f"bare interpreter                {1000 * base_s:7.1f} ms CPU")
    print(f"bridge, until its first message {1000 * message_s:7.1f} ms CPU {message_s / base_s:6.1f} x bare")
    print(f"bridge, until its first value   {1000 * value_s:7.1f} ms CPU {value_s / base_s:6.1f} x bare\n")
    reached = [goal("start to first value, x bare interpreter", value_s / base_s, _MAX_RATIO)]
    reached.append(goal(f"RSS MB of `run` after {_SETTLE_S:.0f} s, packs {', '.join(_PACKS)}", settled_mb, _MAX_RSS_MB))
    return int(not all(reached))


def _bare() -> float:
    """Return the CPU seconds of an interpreter that does nothing but load what every ordinary one loads."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*_PYTHON, "-c", "import site"], check=True, env=ENVIRON)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _start(bench: Bench, command: list[str]) -> Start:
    """Start the bridge, wait for its first value, end it."""
    with Subscriber(bench.broker_port, ["victron/bridge/+/status", f"victron/{workload.SITE}/#"]) as subscriber:
        subscriber.skip_retained()
        process = bench.spawn(command, stderr=subprocess.DEVNULL)
        seen: dict[str, float] = {}
        deadline = time.monotonic() + _TIMEOUT_S
        while "value" not in seen:
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit("the bridge published nothing")
            for topic, payload, _ in subscriber.receive(1.0):
                cpu_s = _cpu_s(process.pid)
                is_own = topic.startswith("victron/bridge/")
                if not is_own or payload == b"online":
                    seen.setdefault("message", cpu_s)
                if not is_own and not topic.endswith(("/status", "/summary", "/info")) and "/alerts" not in topic:
                    seen.setdefault("value", cpu_s)
        process.terminate()
        process.wait(10.0)
    return Start(seen["message"], seen["value"])


def _settled(bench: Bench, command: list[str]) -> float:
    process = bench.spawn(command, stderr=subprocess.DEVNULL)
    time.sleep(_SETTLE_S)
    found_mb = rss_mb(process.pid)
    process.terminate()
    process.wait(10.0)
    return found_mb


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of another process, threads that ended included (Linux: its CPU clock's id)."""
    return time.clock_gettime(~pid << 3 | 2)
