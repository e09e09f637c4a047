"""How much the bridge costs, beside the least program that does the same work, in the same run.

    python benchmarks/bridge.py                 CPU per cycle and memory (W2); a minute
    python benchmarks/bridge.py --latency       from the GX to a subscriber: values, alerts, bursts
    python benchmarks/bridge.py --sites 100     many sites in one process
    python benchmarks/bridge.py --start         from process start to the first value, with a warm cache
    python benchmarks/bridge.py --instructions  instructions per cycle under valgrind: steadier

CPU seconds vary by a factor of two on a busy machine. Ratios of medians, both sides in turns, hold.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# This file is called as the package is: let `import bridge` find the package, and `benchmarks` be found.
sys.path[0] = str(Path(__file__).parent.parent)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=16, help="blocks of cycles per variant (W2)")
    parser.add_argument("--cycles", type=int, default=20, help="cycles per block (W2)")
    parser.add_argument("--typical", action="store_true", help="measure a requests and paho program too (W2)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long --sites and --latency run")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--latency", action="store_true")
    modes.add_argument("--sites", type=int, metavar="N")
    modes.add_argument("--start", action="store_true")
    modes.add_argument("--instructions", action="store_true")
    args = parser.parse_args()
    if args.latency:
        from benchmarks import latency

        return latency.measure(args.seed, args.seconds)
    if args.sites:
        from benchmarks import sites

        return sites.measure(args.seed, args.sites, args.seconds)
    if args.start:
        from benchmarks import start

        return start.measure(args.seed)
    if args.instructions:
        from benchmarks import instructions

        return instructions.measure(args.seed)
    from benchmarks import cycles

    return cycles.measure(args.seed, args.blocks, args.cycles, args.typical)


if __name__ == "__main__":
    sys.exit(main())
