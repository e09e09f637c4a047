"""W1: the rule engine beside the practical limit, one hand-written Python function that holds all rules.

Ten sites of 200 points; each tick a fifth of them walk on. Per site 100 thresholds (a third with a second one joined by
`and`) that must hold for three ticks, and 20 functions over time (average, increase over 30 ticks). 120 evaluations
per site and tick count, computed or skipped. Both sides see the same values, turn by turn in one run; ratios of
medians hold where seconds do not. The limit knows no UNKNOWN, no hysteresis, no lifecycle and no restart.

    python benchmarks/rules.py --ticks 300
    python benchmarks/rules.py --instructions   per tick of one site, counted by valgrind: steadier than seconds
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from sys import path as import_path
from typing import Any, NamedTuple

import_path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.instructions import total  # noqa: E402
from bridge.core.catalogue import Catalogue  # noqa: E402
from bridge.core.engine import Engine  # noqa: E402
from bridge.core.rules import Pack, Program, compile_packs  # noqa: E402
from bridge.model import Kind, Point, PointSpec, Read, Sample, Tier  # noqa: E402

SITES, POINTS, THRESHOLDS, WINDOWS = 10, 200, 100, 20
TICK_S, FOR_TICKS, WINDOW_TICKS = 10.0, 3, 30
CHANGED = POINTS // 5
EVALUATIONS = SITES * (THRESHOLDS + WINDOWS)  # per tick
WARM_UP_TICKS = 40
FEW, MORE = 60, 180  # ticks of the two runs whose difference is counted
_SIGNS = ("<", ">", "<=", ">=")


class Threshold(NamedTuple):
    """`point sign limit`, and a second one unless `also` is None."""

    point: int
    sign: str
    limit: float
    also: tuple[int, str, float] | None


class Workload(NamedTuple):
    """The rules of a site, the same for all sites."""

    thresholds: list[Threshold]
    windows: list[tuple[int, str, float]]  # point, function, limit


def workload(seed: int) -> Workload:
    """Return rules whose conditions hold about a tenth of the time."""
    rng = random.Random(seed)

    def one() -> tuple[int, str, float]:
        sign = rng.choice(_SIGNS)
        limit = rng.uniform(5, 20) if "<" in sign else rng.uniform(80, 95)
        return rng.randrange(POINTS), sign, round(limit, 1)

    thresholds = [Threshold(*one(), one() if index % 3 == 0 else None) for index in range(THRESHOLDS)]
    functions = ("avg_over_time", "increase")
    windows = [(rng.randrange(POINTS), functions[index % 2], (90.0, 300.0)[index % 2]) for index in range(WINDOWS)]
    return Workload(thresholds, windows)


def walk(seed: int, ticks: int) -> list[list[tuple[int, float]]]:
    """Return for each tick the points that changed and their values."""
    rng = random.Random(seed)
    values = [rng.uniform(20, 80) for _ in range(POINTS)]
    turns = [list(enumerate(values))]
    for _ in range(ticks - 1):
        turn = []
        for point in rng.sample(range(POINTS), CHANGED):
            values[point] = min(100.0, max(0.0, values[point] + rng.gauss(0, 3)))
            turn.append((point, values[point]))
        turns.append(turn)
    return turns


# -- ours ---------------------------------------------------------------------------------------------------------


def program(rules: Workload) -> Program:
    """Return the workload as packs are written and compiled."""
    written: list[dict[str, Any]] = []
    for index, (point, sign, limit, also) in enumerate(rules.thresholds):
        expr = f"bench.p{point} {sign} {limit}" + (f" and bench.p{also[0]} {also[1]} {also[2]}" if also else "")
        written.append({"alert": f"threshold_{index}", "expr": expr, "for": f"{FOR_TICKS * TICK_S:g}s"})
    for index, (point, function, limit) in enumerate(rules.windows):
        expr = f"{function}(bench.p{point}, {WINDOW_TICKS * TICK_S:g}s) > {limit}"
        written.append({"alert": f"window_{index}", "expr": expr})
    for rule in written:
        rule.update(severity="warning", summary="benchmark", source="benchmark")
    points = {f"/P{index}": {"kind": "float", "point": f"bench/p{index}"} for index in range(POINTS)}
    catalogue = Catalogue({"system": {"class": "system", "title": "", "singleton": True, "points": points}})
    return compile_packs([Pack("bench.yaml", {"pack": "bench", "rules": written})], catalogue)


def live_points() -> list[Point]:
    spec = PointSpec(Kind.FLOAT, "", "", "", {}, Tier.CRITICAL, 2, 0.0, (), "", "", "")
    return [Point(f"bench/p{index}", spec, None, "system") for index in range(POINTS)]


# -- the limit ----------------------------------------------------------------------------------------------------


def by_hand(rules: Workload) -> Callable[[list[float], int], int]:
    """Return one function for all rules of a site, as one would write it by hand: it returns how many fire."""
    lines = ["def make():", f" n = [0] * {THRESHOLDS}", " rings = {}", " sums = {}", " last = {}", " pos = 0"]
    body = ["  nonlocal pos", "  firing = 0"]
    for index, (point, sign, limit, also) in enumerate(rules.thresholds):
        second = f" and v[{also[0]}] {also[1]} {also[2]}" if also else ""
        body.append(f"  if v[{point}] {sign} {limit}{second}:")
        body.append(f"   n[{index}] += 1")
        body.append(f"   if n[{index}] > {FOR_TICKS}: firing += 1")
        body.append(f"  elif n[{index}]: n[{index}] = 0")
    for index, (point, function, limit) in enumerate(rules.windows):
        lines.append(f" r{index} = [0.0] * {WINDOW_TICKS}; s{index} = 0.0; l{index} = 0.0")
        body.insert(1, f"  nonlocal s{index}, l{index}")
        if function == "increase":
            body.append(f"  x = v[{point}]; d = x - l{index} if x >= l{index} else x; l{index} = x")
        else:
            body.append(f"  d = v[{point}]")
        mean = f" / {WINDOW_TICKS}" if function == "avg_over_time" else ""
        body.append(f"  s{index} += d - r{index}[pos]; r{index}[pos] = d")
        body.append(f"  if s{index}{mean} > {limit}: firing += 1")
    body += [f"  pos = pos + 1 if pos < {WINDOW_TICKS - 1} else 0", "  return firing"]
    source = "\n".join([*lines, " def run(v, now):", *body, " return run"])
    scope: dict[str, Any] = {}
    exec(source, scope)  # noqa: S102 - our own text, made of numbers above
    return scope["make"]()


# -- measuring ----------------------------------------------------------------------------------------------------


def measure(ticks: int) -> tuple[list[float], list[float], Sequence[Engine]]:
    """Return CPU seconds per tick of all sites, ours and the limit's, turn by turn."""
    rules = workload(1)
    compiled = program(rules)
    engines = [Engine(f"site{site}", compiled) for site in range(SITES)]
    limits = [by_hand(rules) for _ in range(SITES)]
    points = live_points()
    walks = [walk(100 + site, ticks) for site in range(SITES)]
    values = [[0.0] * POINTS for _ in range(SITES)]
    ours, theirs = [], []
    clock = time.process_time
    for tick in range(ticks):
        now = 1_000_000.0 + tick * TICK_S
        turns = [walks[site][tick] for site in range(SITES)]
        samples = [[Sample(points[point], value, now) for point, value in turn] for turn in turns]
        reads = [Read("system", now, 3 * TICK_S)]
        begun = clock()
        for engine, batch in zip(engines, samples):
            engine.step(now, batch, reads)
        ours.append(clock() - begun)
        begun = clock()
        for limit, turn, own in zip(limits, turns, values):
            for point, value in turn:
                own[point] = value
            limit(own, tick)
        theirs.append(clock() - begun)
    return ours[WARM_UP_TICKS:], theirs[WARM_UP_TICKS:], engines


def run_side(side: str, ticks: int) -> None:
    """Run one site on one side and nothing else, for valgrind to count."""
    rules, points, turns = workload(1), live_points(), walk(100, ticks)
    limit, own = by_hand(rules), [0.0] * POINTS
    engine = Engine("site", program(rules))
    times = [1_000_000.0 + tick * TICK_S for tick in range(ticks)]
    batches = [[Sample(points[point], value, now) for point, value in turn] for now, turn in zip(times, turns)]
    reads = [[Read("system", now, 3 * TICK_S)] for now in times]
    if side == "ours":
        for now, batch, read in zip(times, batches, reads):
            engine.step(now, batch, read)
    if side == "limit":
        for tick, turn in enumerate(turns):
            for point, value in turn:
                own[point] = value
            limit(own, tick)


def count() -> None:
    """Print the instructions per tick of one site; what making the samples takes is not counted."""
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: nothing can be counted")
        return
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        for side in ("limit", "ours", "idle"):
            few, more = (_counted(side, ticks, Path(directory) / f"{side}.{ticks}") for ticks in (FEW, MORE))
            found[side] = (more - few) / (MORE - FEW) / 1000
    ours, limit = found["ours"] - found["idle"], found["limit"] - found["idle"]
    print(f"thousand instructions per tick and site: ours {ours:.1f}, limit {limit:.1f}, ratio {ours / limit:.2f}")


def _counted(side: str, ticks: int, out: Path) -> int:
    counter = ("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}")
    command = (*counter, sys.executable, __file__, "--side", side, "--ticks", str(ticks))
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})
    return total(out)


def memory_per_rule() -> tuple[float, float]:
    """Return bytes per rule and site of thresholds alone, and of thresholds and windows together."""

    def bytes_of(rules: Workload) -> float:
        compiled, points = program(rules), live_points()
        Engine("first", compiled).step(0.0, [])  # shared code is made once
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        engine = Engine("second", compiled)
        engine.step(0.0, [Sample(point, 50.0, 0.0) for point in points])
        for tick in range(1, 40):
            engine.step(tick * TICK_S, [], [Read("system", tick * TICK_S, 3 * TICK_S)])
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        return used / (len(rules.thresholds) + len(rules.windows))

    full = workload(1)
    return bytes_of(full._replace(windows=[])), bytes_of(full)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=300, help="ticks per run (default 300)")
    parser.add_argument("--runs", type=int, default=3, help="runs, of which the best medians count (default 3)")
    parser.add_argument("--instructions", action="store_true", help="count instructions instead of seconds")
    parser.add_argument("--side", choices=("ours", "limit", "idle"), help="run one side only, to be counted")
    options = parser.parse_args()
    if options.side:
        run_side(options.side, options.ticks)
        return
    if options.instructions:
        count()
        return
    ratios, fastest = [], (0.0, 0.0)
    for _ in range(options.runs):
        ours, theirs, engines = measure(max(options.ticks, WARM_UP_TICKS + 10))
        per_tick, limit_per_tick = statistics.median(ours), statistics.median(theirs)
        ratios.append(per_tick / limit_per_tick)
        fastest = max(fastest[0], EVALUATIONS / per_tick), max(fastest[1], EVALUATIONS / limit_per_tick)
    events = sum(engine.counters["events"] for engine in engines)
    computed = sum(engine.counters["evaluations"] for engine in engines)
    print(f"{'':34}{'ours':>14}{'limit':>14}")
    print(f"{'evaluations per CPU second':34}{fastest[0]:14,.0f}{fastest[1]:14,.0f}")
    print(f"{'CPU per tick and site':34}{1e6 * per_tick / SITES:11.1f} µs{1e6 * limit_per_tick / SITES:11.1f} µs")
    print(f"{'ratio to the limit':34}{statistics.median(ratios):14.2f}   (goal 2.5, stretch 1.4)")
    print(f"{'computed of all evaluations':34}{computed / (options.ticks * EVALUATIONS):14.0%}")
    print(f"{'events':34}{events:14,}")
    plain, full = memory_per_rule()
    print(f"{'bytes per rule and site':34}{plain:14,.0f}   thresholds; {full:,.0f} with windows (goal 2,048)")


if __name__ == "__main__":
    main()
