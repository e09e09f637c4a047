"""Many sites in one process, as `victron-bridge run` starts them, each read noted with how late it was.

`python -m benchmarks.many job.json`, the job being {"config", "state", "warm_up_s", "seconds"}.
"""

from __future__ import annotations

import gc
import json
import threading
import time
from typing import Any

from benchmarks import lane
from bridge.assemble import bridge_parts
from bridge.clock import SteadyClock
from bridge.core.normalize import Normalizer
from bridge.files.compiled import load_lean
from bridge.site import SiteParts
from bridge.sources.base import Poll, Source
from bridge.supervisor import Supervisor


class Punctual:
    """A source that notes how late each of its polls begins. What it was not asked to watch passes through."""

    def __init__(self, source: Source, late_s: list[float]) -> None:
        self._source = source
        self._late_s = late_s

    def poll(self, now: float) -> Poll:
        self._late_s.append(now - self._source.next_due())
        return self._source.poll(now)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def watched(parts: SiteParts, late_s: list[float]) -> SiteParts:
    """Return the parts of a site with a source that notes its lateness."""
    open_source = parts.open_source

    def open_watched(plan: Normalizer) -> Any:
        return Punctual(open_source(plan), late_s)

    return parts._replace(open_source=open_watched)


def main() -> None:
    job = lane.job()
    settings, compiled = load_lean({"config": job["config"], "state": job["state"]}, {})
    clock = SteadyClock()
    parts = bridge_parts(settings, compiled, clock)
    late_s: list[float] = []
    supervisor = Supervisor(parts._replace(sites=[watched(site, late_s) for site in parts.sites]), clock)
    del compiled, parts
    gc.collect()
    gc.freeze()
    done = threading.Timer(job["warm_up_s"] + job["seconds"], supervisor.stop)
    marks: list[tuple[int, float, float]] = []
    begin = threading.Timer(
        job["warm_up_s"], lambda: marks.append((len(late_s), time.process_time(), time.monotonic()))
    )
    for timer in (begin, done):
        timer.daemon = True
        timer.start()
    supervisor.run()
    first, cpu_s, at = marks[0]
    health = supervisor.health(clock.now())
    document = {
        "late_s": late_s[first:],
        "cpu_share": (time.process_time() - cpu_s) / (time.monotonic() - at),
        "rss_mb": lane.rss_mb(),
        "published": health["mqtt"]["published"],
        "dropped": health["mqtt"]["dropped"],
    }
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
