"""The arithmetic of the schedule: grids, paces and pauses, on bare numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sources.schedule import Service, Task

LEAFS = [("DeviceInstance", 3600.0), ("Soc", 10.0), ("Mode", 60.0)]


@given(
    phase=st.floats(0.01, 1.0),
    every_s=st.sampled_from([5.0, 10.0, 60.0, 3600.0]),
    gaps=st.lists(st.floats(0.001, 20_000.0), max_size=20),
)
def test_every_turn_is_on_the_grid_of_the_task(phase: float, every_s: float, gaps: list[float]) -> None:
    """However early or late the reads come, the next turn is on the same grid, in the future, within one interval."""
    task = Task("s", "", 0.0, every_s)
    now = 1.7e9
    task.succeeded(now, phase)
    anchor = task.due
    for gap in gaps:
        now += gap
        task.succeeded(now)
        assert now < task.due <= now + every_s * 1.001
        turns = (task.due - anchor) / every_s
        assert turns == pytest.approx(round(turns), abs=1e-3)


def test_what_is_never_wanted_is_never_due() -> None:
    """An interval of infinity ends with the first read."""
    task = Task("s", "", 0.0, math.inf)
    for now in (1.0, 2.0):
        task.succeeded(now, 0.5)
        assert task.due == math.inf
        assert task.real_every_s == math.inf


def read_at(gaps: list[float]) -> Task:
    task = Task("s", "", 0.0, 10.0)
    now = 1000.0
    task.succeeded(now, 0.5)
    for gap in gaps:
        now += gap
        task.succeeded(now)
    return task


@pytest.mark.parametrize(
    ("gaps", "expected_s"),
    [
        ([], 10.0),
        ([3.0, 10.0, 7.0, 10.0], 10.0),
        ([10.5, 9.5] * 10, 10.0),
        ([40.0] * 20, 40.0),
        ([40.0] * 20 + [10.0] * 20, 10.0),
    ],
)
def test_the_real_interval_follows_the_gaps(gaps: list[float], expected_s: float) -> None:
    """Small jitter changes nothing; a GX that is slow for long is seen, and so is its recovery."""
    assert read_at(gaps).real_every_s == expected_s


def test_one_long_gap_moves_the_real_interval_a_little() -> None:
    """A process that slept for a day does not make its points look fresh for a day."""
    assert read_at([10.0, 86400.0]).real_every_s <= 20.0


def test_a_gap_after_a_failure_does_not_count() -> None:
    """A service that rested for fifteen minutes is wanted and read every 10 s as before."""
    task = read_at([10.0] * 3)
    task.interrupted()
    task.succeeded(5000.0)
    assert task.real_every_s == 10.0


def test_a_new_interval_starts_a_new_pace() -> None:
    """What was read hourly before its paths were known is not called slow afterwards."""
    task = Task("s", "", 0.0, 3600.0)
    task.succeeded(1000.0)
    task.want(10.0)
    assert task.real_every_s == 10.0


def test_a_refused_leaf_rests_longer_each_time_and_keeps_its_interval() -> None:
    """10, 20, 40 … 3600 s; one success and it is back at its own pace."""
    task = Task("s", "Soc", 0.0, 10.0)
    pauses = []
    for _ in range(12):
        task.refused(1000.0)
        pauses.append(task.due - 1000.0)
    assert pauses[:3] == [10.0, 20.0, 40.0]
    assert pauses[-1] == 3600.0
    assert task.every_s == 10.0
    task.succeeded(1000.0)
    assert task.due <= 1010.0
    task.refused(2000.0)
    assert task.due == 2010.0


def test_a_hang_lets_all_tasks_rest_longer_each_time() -> None:
    """One count for the service: 60, 120 … 900 s for every task, and what is due later anyway stays so."""
    service = Service("s", 0.0, 10.0)
    service.unlisted(LEAFS, 0.0)
    service.identified(0.0)
    service.tasks[1].due = 5000.0
    pauses = []
    for _ in range(6):
        service.hung(0.0)
        pauses.append(min(task.due for task in service.tasks))
    assert pauses == [60.0, 120.0, 240.0, 480.0, 900.0, 900.0]
    assert service.tasks[1].due == 5000.0
    service.answered()
    assert service.hangs == 0


def test_the_root_is_asked_again_after_5_15_and_60_minutes() -> None:
    """The pauses grow to an hour and start again after the root was listed."""
    service = Service("s", 0.0, 10.0)
    pauses = []
    for _ in range(4):
        service.unlisted(LEAFS, 0.0)
        pauses.append(service.root.due)
    assert pauses == [300.0, 900.0, 3600.0, 3600.0]
    service.listed()
    assert service.tasks == [service.root]
    service.unlisted(LEAFS, 0.0)
    assert service.root.due == 300.0
    assert [task.path for task in service.tasks] == ["", "DeviceInstance"]


def test_a_missing_identity_is_certain_after_three_lists() -> None:
    """A 404 without a fresh list of services before it proves nothing: a dead bus says 404 too."""
    service = Service("s", 0.0, 10.0)
    assert not service.missed_identity(1.0, 0.0)
    assert not any(service.missed_identity(now, 0.0) for now in (2.0, 3.0, 4.0, 5.0))
    assert not service.missed_identity(7.0, 6.0)
    assert service.missed_identity(9.0, 8.0)
