"""Many sites in one process: how late their reads begin, and what they cost."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks import workload
from benchmarks.processes import Bench
from benchmarks.report import goal, percentile

_EVERY_S = 10.0
_WARM_UP_S = 15.0  # all sites start at once; after a turn of each service they are spread
_STAND_INS = 4
_MAX_LATE_S = 1.0
_PATIENCE_S = 60.0


def measure(seed: int, sites: int, seconds: float) -> int:
    """Measure and print; return 1 when a goal is missed."""
    load = workload.make(seed)
    seconds = max(seconds - _WARM_UP_S, _EVERY_S)
    with Bench() as bench:
        print(f"broker: {bench.start_broker()}; {sites} sites, each service read every {_EVERY_S:g} s")
        shares = [len(range(first, sites, _STAND_INS)) for first in range(_STAND_INS)]
        ports = [port for share in shares if share for port in bench.start_gx(load, seed, share)]
        config = bench.config("sites.yaml", load, ports, _EVERY_S)
        state = bench.directory / "state"
        job = {"config": str(config), "state": str(state), "warm_up_s": _WARM_UP_S, "seconds": seconds}
        path = bench.write("sites.json", job)
        process = bench.spawn([sys.executable, "-m", "benchmarks.many", str(path)], stdout=subprocess.PIPE, text=True)
        answer, _ = process.communicate(timeout=_WARM_UP_S + seconds + _PATIENCE_S)
    found = json.loads(answer.splitlines()[-1])
    late = found["late_s"]
    values = sum(len(service) for service in load.services.values())
    print(f"{sites * values} values, {sites * len(load.rules)} rules, {len(late)} reads in {seconds:.0f} s")
    print(f"late: p50 {percentile(late, 0.5):.3f} s, p95 {percentile(late, 0.95):.3f} s, max {max(late):.3f} s")
    print(f"CPU {100 * found['cpu_share']:.0f} % of one core, RSS {found['rss_mb']} MB")
    print(f"{found['published']} messages, {found['dropped']} dropped\n")
    return int(not goal("lateness of reads p95 s", percentile(late, 0.95), _MAX_LATE_S))
