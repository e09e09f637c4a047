"""What people hear of values that are not read any more: `device.stale` and `site.stale`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.core.engine import Engine
from bridge.core.freshness import LEAST_OVERDUE_S
from bridge.model import Device, Point, Read, Sample
from tests.core.small_site import alert, engine, point, program, samples, told

FRESH_S = 180.0  # three intervals of a minute
STALE = alert("stale", "device.stale", each="*")
SITE_STALE = alert("site_stale", "site.stale")
RULES = (STALE, SITE_STALE, alert("hot", "battery.temperature > 50", each="battery"), alert("low", "battery.soc < 5"))
ROOTS = ("battery/1", "vebus/2", "system")


def small(*rules: dict[str, Any]) -> Engine:
    """Return an engine to which a battery, an inverter and the system were shown at 0."""
    made = engine(*(rules or RULES))
    values = {"battery.1.temperature": 20.0, "vebus.2.state": ("bulk", 3), "battery.soc": 50.0}
    made.step(0.0, samples(values, 0.0), [Read(group, 0.0, FRESH_S) for group in ROOTS])
    return made


def go_on(made: Engine, begin: int, end: int, *groups: str, fresh_s: float = FRESH_S) -> list[tuple[float, str, str]]:
    """Read some groups every minute; return what was told."""
    happened = []
    for now in range(begin, end, 60):
        happened += made.step(float(now), [], [Read(group, float(now), fresh_s) for group in groups])
    return told(happened)


def presence(name: str, is_online: bool, at: float) -> Sample:
    return Sample(point(name), is_online, at)


@pytest.mark.parametrize(
    ("silent", "told_of"),
    [("battery/1", "stale/battery/1"), ("vebus/2", "stale/vebus/2"), ("system", "site_stale")],
)
def test_what_is_not_read_is_told_once_and_so_is_its_end(silent: str, told_of: str) -> None:
    """Three intervals after the last read, also of a device that no rule reads; over with the next read."""
    made = small()
    others = [group for group in ROOTS if group != silent]
    assert go_on(made, 60, 1200, *others) == [(180.0, "firing", told_of)]
    assert go_on(made, 1200, 1500, *ROOTS) == [(1200.0, "resolved", told_of)]


def test_what_is_read_is_never_stale() -> None:
    """No event while all groups are read, however little changes."""
    assert go_on(small(), 60, 100_000, *ROOTS) == []


def test_a_hang_that_blocks_everybody_makes_no_device_look_stale() -> None:
    """Values are unknown after three intervals, but what is said of devices waits for LEAST_OVERDUE_S."""
    made = small()
    go_on(made, 60, 61, *ROOTS, fresh_s=30.0)
    now = 60.0 + LEAST_OVERDUE_S
    assert made.step(now - 1.0, []) == []
    assert made.store.values[made.store.slot("battery/1/temperature")] is None
    assert {event.id for event in made.step(now, [])} == {"stale/battery/1", "stale/vebus/2", "site_stale"}


@pytest.mark.parametrize("name", ["battery/1/online", "site/online"])
def test_what_is_gone_is_not_called_stale(name: str) -> None:
    """A device that is gone and a GX that does not answer have alerts of their own; staleness ends with them."""
    made = small()
    others = ("vebus/2", "system") if name != "site/online" else ()
    assert (180.0, "firing", "stale/battery/1") in go_on(made, 60, 300, *others)
    ended = told(made.step(300.0, [presence(name, False, 300.0)]))
    assert (300.0, "resolved", "stale/battery/1") in ended
    assert go_on(made, 360, 3600, *others) == []


@pytest.mark.parametrize("name", ["battery/1/online", "site/online"])
def test_what_comes_back_has_its_time_to_be_read(name: str) -> None:
    """After an outage, such as a reboot of the GX, staleness is counted from its end."""
    made = small()
    others = ("vebus/2", "system") if name != "site/online" else ()
    made.step(60.0, [presence(name, False, 60.0)], [Read(group, 60.0, FRESH_S) for group in others])
    assert go_on(made, 120, 1200, *others) == []
    made.step(1200.0, [presence(name, True, 1200.0)], [Read(group, 1200.0, FRESH_S) for group in others])
    assert go_on(made, 1260, 1380, *others) == []
    events = go_on(made, 1380, 1500, *others)
    assert (1380.0, "firing", "stale/battery/1") in events
    assert len(events) == (1 if others else 3)


def test_our_own_restart_is_no_reason_to_call_anything_stale() -> None:
    """What became due while nobody could read has its time again; what was stale before goes on being so."""
    before = small()
    assert go_on(before, 60, 300, "vebus/2", "system") == [(180.0, "firing", "stale/battery/1")]
    after = Engine("site", program(list(RULES)))
    after.load(json.loads(json.dumps(before.dump())), 3600.0)
    assert after.step(3600.0, []) == []
    assert after.step(3779.0, []) == []
    assert go_on(after, 3779, 3780, *ROOTS) == [(3779.0, "resolved", "stale/battery/1")]


def test_after_a_restart_what_stays_silent_is_told() -> None:
    """The time that a restart gives is three intervals, not more."""
    before = small()
    after = Engine("site", program(list(RULES)))
    after.load(json.loads(json.dumps(before.dump())), 3600.0)
    assert go_on(after, 3600, 4200, "vebus/2", "system") == [(3780.0, "firing", "stale/battery/1")]


def test_a_dump_at_any_time_changes_nothing() -> None:
    """With a dump and load between any two steps the same is told at the same times."""

    def turn(made: Engine, now: float) -> list[tuple[float, str, str]]:
        seen = {360.0: False, 420.0: True}
        changes = [presence("vebus/2/online", seen[now], now)] if now in seen else []
        groups = ["battery/1"] if now > 600.0 else ["vebus/2"] if now < 300.0 else []
        return told(made.step(now, changes, [Read(group, now, FRESH_S) for group in groups]))

    times = [60.0 * number for number in range(1, 20)]
    whole, cut = small(), small()
    expected = [turn(whole, now) for now in times]
    assert sum(len(events) for events in expected) == 4
    for now, events in zip(times, expected):
        state = json.loads(json.dumps(cut.dump()))
        cut = Engine("site", program(list(RULES)))
        cut.load(state, now - 60.0)
        assert turn(cut, now) == events


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_site_is_stale_until_its_last_group_is_back(is_restarted: bool) -> None:
    """What belongs to no device may be many groups, as in a log; inputs of others and a dump between change nothing."""
    rules = [SITE_STALE, *(alert(f"low{n}", f"grid.l{n}.power > 9") for n in (1, 2, 3))]
    made = engine(*rules)
    names = [f"grid/l{n}/power" for n in (1, 2, 3)]
    made.step(0.0, [Sample(point(name)._replace(group=f"log/{name}"), 1.0, 0.0) for name in names], [])
    groups = [f"log/{name}" for name in names]
    assert go_on(made, 60, 120, *groups) == []
    assert go_on(made, 120, 600) == [(240.0, "firing", "site_stale")]
    if is_restarted:
        after = Engine("site", program(rules))
        after.load(json.loads(json.dumps(made.dump())), 0.0)
        made = after
    assert go_on(made, 600, 660, *groups[:2]) == []
    assert go_on(made, 660, 720, *groups) == [(660.0, "resolved", "site_stale")]


# -- a service that is read leaf by leaf --------------------------------------------------------------------------


def leaf(path: str, at: float, value: float) -> tuple[Sample, Read]:
    """Return a sample of the battery's point and the read of its own group."""
    return at_group(path, f"battery/1@{path}", at, value)


def at_group(path: str, group: str, at: float, value: float) -> tuple[Sample, Read]:
    spec = point(f"battery/1/{path}").spec
    return Sample(Point(f"battery/1/{path}", spec, Device("battery", 1), group), value, at), Read(group, at, FRESH_S)


def test_a_slot_follows_its_point_to_another_group() -> None:
    """After a service is read leaf by leaf, each leaf has its own freshness; and all have one again later."""
    made = small(
        alert("hot", "battery.temperature > 50", each="battery"), alert("old", "age(battery[1].voltage) > 1000")
    )
    slot = made.store.slot("battery/1/temperature")

    def known() -> Any:
        return made.store.values[slot]

    for now in (240.0, 300.0, 360.0, 420.0):
        sample, read = leaf("temperature", now, 20.0)
        made.step(now, [sample] if now == 240.0 else [], [read])
        assert known() == 20.0
        assert made.store.group_at(slot) is made.store.groups["battery/1@temperature"]
    made.step(600.0, [])
    assert known() is None
    sample, read = at_group("temperature", "battery/1", 660.0, 20.0)
    made.step(660.0, [sample], [read])
    assert known() == 20.0
    assert made.store.group_at(slot) is made.store.groups["battery/1"]


def test_one_leaf_that_rules_read_is_enough_to_call_a_device_stale() -> None:
    """Of leafs that no rule reads all must be silent."""
    made = small()
    leafs = [leaf("temperature", 60.0, 20.0), leaf("voltage", 60.0, 50.0)]
    made.step(60.0, [sample for sample, _ in leafs], [read for _, read in leafs])
    assert go_on(made, 120, 600, "battery/1@temperature", "vebus/2", "system") == []
    assert go_on(made, 600, 1200, "battery/1@voltage", "vebus/2", "system") == [(720.0, "firing", "stale/battery/1")]
    assert go_on(made, 1200, 1260, "battery/1@temperature", "vebus/2", "system") == [
        (1200.0, "resolved", "stale/battery/1")
    ]


def test_what_nothing_reads_any_more_is_not_missed() -> None:
    """A change from one root to leafs and back leaves groups behind that are no reason to call a device stale."""
    made = small()
    sample, read = leaf("temperature", 60.0, 20.0)
    made.step(60.0, [sample], [read])
    assert go_on(made, 120, 1200, "battery/1@temperature", "vebus/2", "system") == []
    sample, read = at_group("temperature", "battery/1", 1200.0, 20.0)
    made.step(1200.0, [sample], [read])
    assert go_on(made, 1260, 3600, *ROOTS) == []


def test_rules_may_name_the_staleness_of_one_device_and_of_all() -> None:
    """`battery[1].stale` and `any(battery[*].stale)` are conditions as `online` is."""
    made = small(alert("one", "battery[1].stale"), alert("all", "any(battery[*].stale)"))
    assert go_on(made, 60, 240, "system") == [(180.0, "firing", "one"), (180.0, "firing", "all")]
