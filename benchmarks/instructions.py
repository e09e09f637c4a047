"""W2 in instructions per cycle, counted by valgrind in user space: steadier than CPU seconds.

A lane is run twice, with few cycles and with more; the difference is what the cycles cost, without start and warm-up.
The limit's count repeats within 1 %. Ours varies by a tenth with how its two threads take turns: sometimes the sink
sends two pages at once. Nobody may edit the package meanwhile, or one of the runs compiles modules too.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from benchmarks import workload
from benchmarks.processes import ENVIRON, Bench
from benchmarks.report import goal

_FEW, _MORE = 30, 80
_PAUSE_S = 0.2  # a cycle takes fifty times longer here, the other threads too
_MAX_MILLIONS = 8.2


def measure(seed: int) -> int:
    """Measure and print; return 1 when a goal is missed."""
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: nothing can be counted")
        return 0
    ENVIRON["PYTHONHASHSEED"] = "0"
    load = workload.make(seed)
    millions = {}
    with Bench() as bench:
        bench.start_broker()
        for name in ("limit", "ours"):
            few, more = (_count(bench, load, seed, name, cycles) for cycles in (_FEW, _MORE))
            millions[name] = (more - few) / (_MORE - _FEW) / 1e6
            print(f"{name:8}{millions[name]:8.2f} M instructions per cycle", flush=True)
    print(f"{millions['ours'] / millions['limit']:.2f} x limit\n")
    return int(not goal("million instructions per cycle", millions["ours"], _MAX_MILLIONS))


def _count(bench: Bench, load: workload.Workload, seed: int, name: str, cycles: int) -> int:
    found = bench.directory / f"{name}.{cycles}"
    prefix = ("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={found}")
    lane = bench.start_lane(f"benchmarks.{name}", load, bench.start_gx(load, seed)[0], prefix)
    lane.run(cycles, _PAUSE_S)
    lane.end()
    return total(found)


def total(path: Path) -> int:
    """Return the instructions that a callgrind file tells of."""
    with open(path, "rb") as stream:
        stream.seek(-min(4096, os.path.getsize(path)), os.SEEK_END)
        found = re.findall(rb"^(?:totals|summary): (\d+)", stream.read(), re.MULTILINE)
    return int(found[-1])
