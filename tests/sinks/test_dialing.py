"""Waking a thread, and giving up a connection attempt that hangs."""

from __future__ import annotations

import threading
import time

from bridge.sinks.dialing import Dial, Wake
from tests.mosquitto import wait_until


def test_wake_ends_a_wait_from_another_thread():
    """A waiting thread goes on as soon as the flag is raised."""
    wake = Wake()
    threading.Timer(0.05, wake.set).start()
    started = time.monotonic()
    wake.wait(5.0)
    assert time.monotonic() - started < 1.0
    wake.close()


def test_many_calls_are_one_wake_up_and_none_is_lost():
    """A thousand calls cost one byte; after it was lowered the flag can be raised again."""
    wake = Wake()
    for _ in range(3):
        for _ in range(1_000):
            wake.set()
        wake.wait(5.0)
        started = time.monotonic()
        wake.wait(0.05)
        assert time.monotonic() - started >= 0.04
    wake.close()
    wake.set()


def test_an_attempt_that_was_given_up_is_closed_when_it_ends():
    """What a hanging lookup opens after all is discarded, once."""
    release, discarded = threading.Event(), []
    dial = Dial(lambda: release.wait(5.0), lambda: discarded.append(1), lambda: None)
    dial.give_up()
    assert (dial.is_done, discarded) == (False, [])
    release.set()
    wait_until(lambda: dial.is_done and not dial.is_alive)
    assert discarded == [1]


def test_an_attempt_that_ended_just_before_it_was_given_up_is_closed_too():
    """Giving up a finished attempt discards it at once."""
    discarded = []
    dial = Dial(lambda: None, lambda: discarded.append(1), lambda: None)
    wait_until(lambda: dial.is_done)
    assert discarded == []
    dial.give_up()
    assert discarded == [1]


def test_an_error_is_kept_for_who_waits():
    """An exception ends the attempt, is kept, and the waiter is told."""
    told = []

    def fail():
        raise OSError("no route")

    dial = Dial(fail, lambda: None, lambda: told.append(1))
    wait_until(lambda: dial.is_done and told)
    assert isinstance(dial.error, OSError)
