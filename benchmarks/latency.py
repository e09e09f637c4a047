"""How long a value and an alert take from the GX to a subscriber, with `victron-bridge run` as its own process.

The stand-in puts the monotonic clock into values when it makes a page, and all processes share that clock. Alerts
depend on the number of the page, so that now one and now twenty of them fire at once; their events carry the time of
their page.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, NamedTuple

from benchmarks import workload
from benchmarks.processes import Bench
from benchmarks.report import goal, percentile
from benchmarks.subscriber import Subscriber
from benchmarks.workload import BASE, SITE, dotted
from bridge.core.catalogue import Catalogue
from bridge.model import Kind

_SERVICE = "com.victronenergy.battery.socketcan_can0"
_EVERY_S = 1.0
_WARM_UP_S = 5.0
_ROUND = 15  # pages until the same alert fires again: more than five times an hour would count as flapping
_BURST = 20
_GROUPS = {0: 1, 3: _BURST, 6: 1, 9: _BURST, 12: 1}  # page of the round -> how many alerts fire
_MAX_VALUE_S = 0.05
_MAX_EVENT_P50_MS, _MAX_EVENT_P95_MS = 2.0, 10.0
_LIMIT_S = 15.0 * 4 * _ROUND  # of a run: see _ROUND


class Stamps(NamedTuple):
    """Points below the site that hold times and page numbers."""

    served: str
    changed: str
    reads: str


def measure(seed: int, seconds: float) -> int:
    """Measure and print; return 1 when a goal is missed."""
    load = workload.make(seed)
    values = _integers(load)
    stamps = Stamps(*(value.name for value in values))
    kinds = dict(zip((value.path for value in values), ("served", "changed", "reads")))
    with Bench() as bench:
        print(f"broker: {bench.start_broker()}; polled every {_EVERY_S:g} s for {seconds:g} s")
        ports = bench.start_gx(load, seed, stamps=kinds)
        config = bench.config("latency.yaml", load, ports, _EVERY_S, pack=_pack(stamps))
        command = [sys.executable, "-m", "bridge", "run", "--config", str(config), "--state", str(bench.directory)]
        topics = [f"{BASE}/{SITE}/{name}" for name in (stamps.served, stamps.changed, "alerts")]
        with Subscriber(bench.broker_port, topics) as subscriber:
            bench.spawn(command)
            times = _listen(subscriber, stamps, min(seconds, _LIMIT_S))
    return _report(times)


def _integers(load: workload.Workload) -> list[workload.Value]:
    """Return three values that may be any whole number."""
    rows = Catalogue(workload.documents()).get(_SERVICE.split(".")[2])
    found = []
    for value in load.services[_SERVICE]:
        row = rows.resolve(value.path)
        is_whole = row is not None and row[0].kind is Kind.INT and not row[0].invalid
        is_nameable = all(map(str.isidentifier, value.name.split("/")[2:])) and value.path != "DeviceInstance"
        if is_whole and is_nameable:
            found.append(value)
    return found[:3]


def _pack(stamps: Stamps) -> dict[str, Any]:
    page, served = dotted(stamps.reads), dotted(stamps.served)
    rules = [
        {
            "alert": f"group_{group}_{number}",
            "expr": f"{page} % {_ROUND} == {group} and {served} > 0",
            "severity": "warning",
            "summary": "A page of the benchmark",
            "description": "A rule of the benchmark.",
            "action": "None.",
            "source": "benchmarks/latency.py",
        }
        for group, size in _GROUPS.items()
        for number in range(size)
    ]
    return {"pack": "latency", "description": "Alerts that depend on the number of a page.", "rules": rules}


def _listen(subscriber: Subscriber, stamps: Stamps, seconds: float) -> dict[str, list[float]]:
    """Return seconds from the GX's clock in a message to its arrival, by kind of message."""
    served, changed, events = (f"{BASE}/{SITE}/{name}" for name in (stamps.served, stamps.changed, "alerts"))
    times: dict[str, list[float]] = {"page": [], "change": [], "single": [], "burst": []}
    begin = time.monotonic()
    while time.monotonic() < begin + seconds:
        for topic, payload, at in subscriber.receive(1.0):
            if at < begin + _WARM_UP_S:
                continue
            if topic == served:
                times["page"].append(at - int(payload) / 1e6)
            elif topic == changed:
                times["change"].append(at - int(payload) / 1e6)
            elif topic == events:
                document = json.loads(payload)
                made_us = next(one["value"] for one in document["points"] if one["name"] == stamps.served)
                is_burst = _GROUPS[int(document["alert"].split("_")[1])] > 1
                times["burst" if is_burst else "single"].append(at - made_us / 1e6)
    return times


def _report(times: dict[str, list[float]]) -> int:
    names = {
        "page": "value, from its page",
        "change": "value, from its change on the GX",
        "single": "alert event, one per page, from its page",
        "burst": f"alert event, {_BURST} per page, from their page",
    }
    print(f"\n{'ms':48}{'count':>7}{'p50':>9}{'p95':>9}{'max':>9}")
    for key, name in names.items():
        found = [1000 * one for one in times[key]]
        print(f"{name:48}{len(found):7}{percentile(found, 0.5):9.1f}{percentile(found, 0.95):9.1f}{max(found):9.1f}")
    print()
    events = [1000 * one for one in (*times["single"], *times["burst"])]
    reached = [
        goal("value to MQTT p95 s", percentile(times["change"], 0.95), _EVERY_S + _MAX_VALUE_S),
        goal("alert event p50 ms after its page", percentile(events, 0.5), _MAX_EVENT_P50_MS),
        goal("alert event p95 ms after its page", percentile(events, 0.95), _MAX_EVENT_P95_MS),
    ]
    return int(not all(reached))
