"""W2: CPU and memory per cycle of polling, normalizing, 120 rules and publishing; variants in turns."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks import workload
from benchmarks.processes import Bench, Lane
from benchmarks.report import goal

_WARM_UP = 60  # cycles: windows are full, everything that is kept is there
_PAUSE_S = 0.01  # between cycles: other threads finish
_MAX_RATIO = 2.0
_MAX_RSS_MB = 32.0


def measure(seed: int, blocks: int, cycles: int, has_typical: bool) -> int:
    """Measure and print; return 1 when a goal is missed."""
    load = workload.make(seed)
    modules = {"limit": "benchmarks.limit", "ours": "benchmarks.ours"}
    if has_typical:
        modules["typical"] = "benchmarks.typical"
    with Bench() as bench:
        print(f"broker: {bench.start_broker()}")
        lanes = {
            name: bench.start_lane(module, load, bench.start_gx(load, seed)[0]) for name, module in modules.items()
        }
        first = {name: lane.run(_WARM_UP, _PAUSE_S) for name, lane in lanes.items()}
        rounds = [_round(lanes, cycles) for _ in range(blocks)]
    count = sum(len(values) for values in load.services.values())
    print(
        f"{len(load.services)} services, {count} values, {len(load.rules)} rules, {blocks} blocks of {cycles} cycles\n"
    )
    print(f"{'':10}{'CPU ms/cycle':>14}{'x limit':>9}{'RSS MB':>8}{'messages/cycle':>16}{'firing':>8}{'resolved':>10}")
    costs = {name: [one[name]["cpu_s"] / cycles for one in rounds] for name in lanes}
    for name in lanes:
        last = rounds[-1][name]
        done = blocks * cycles
        ratio = _ratio(costs[name], costs["limit"])
        rate = (last["messages"] - first[name]["messages"]) / done
        print(
            f"{name:10}{1000 * median(costs[name]):14.2f}{ratio:9.2f}{last['rss_mb']:8.1f}{rate:16.1f}"
            f"{last['firing']:8}{last['resolved']:10}"
        )
    last, least = rounds[-1]["ours"], rounds[-1]["limit"]
    print("\nfiring and resolved: events of the threshold rules; averages are weighted by time in ours only")
    if any(last[word] != least[word] for word in ("firing", "resolved")):
        print("ours and the limit disagree: an alert that fired five times within an hour counts as flapping in ours")
    if last["dropped"] or last["errors"]:
        print(f"ours dropped {last['dropped']} messages and met {last['errors']} errors of the GX")
    print()
    ratio = _ratio(costs["ours"], costs["limit"])
    # A list, so that every goal is printed.
    return int(
        not all([goal("CPU per cycle, x limit", ratio, _MAX_RATIO), goal("RSS MB", last["rss_mb"], _MAX_RSS_MB)])
    )


def _round(lanes: dict[str, Lane], cycles: int) -> dict[str, dict[str, Any]]:
    return {name: lane.run(cycles, _PAUSE_S) for name, lane in lanes.items()}


def _ratio(costs: list[float], limit: list[float]) -> float:
    return median(costs) / median(limit)
