"""Pauses and protocol versions, without waiting for either."""

from __future__ import annotations

import pytest

from bridge.sinks.broker import End
from bridge.sinks.reconnect import MQTT_5, MQTT_311, Backoff, Version

DAY_S = 86_400.0


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_pauses_double_up_to_the_limit_with_full_jitter(chance):
    """Pauses lie between the smallest and a limit that doubles from 2 s to 30 s."""
    backoff = Backoff(1.0, 30.0, lambda: chance)
    pauses = [backoff.pause_s(End.UNREACHABLE, 0.0) for _ in range(50)]
    limits = [2.0, 4.0, 8.0, 16.0] + [30.0] * 46
    assert pauses == pytest.approx([1.0 + chance * (limit - 1.0) for limit in limits])


def test_a_good_connection_starts_from_the_beginning():
    """After a connection that lasted, the next pause is a short one again; after a short-lived one it is not."""
    backoff = Backoff(1.0, 30.0, lambda: 1.0)
    for _ in range(5):
        backoff.pause_s(End.UNREACHABLE, 0.0)
    assert backoff.pause_s(End.CLOSED, 2.0) == 30.0
    assert backoff.pause_s(End.CLOSED, 20.0) == 2.0


def test_a_refused_login_waits_at_least_half_a_minute():
    """Nothing changes until somebody changes something."""
    assert Backoff(1.0, 30.0, lambda: 0.0).pause_s(End.LOGIN, 0.0) >= 30.0


def test_a_takeover_waits_longer_each_time_up_to_a_minute():
    """Two clients with one id get some work done between their fights."""
    backoff = Backoff(1.0, 30.0, lambda: 1.0)
    assert [backoff.pause_s(End.TAKEN_OVER, 5.0) for _ in range(5)] == [10.0, 20.0, 40.0, 60.0, 60.0]


def test_another_version_is_tried_at_once_but_not_for_ever():
    """The first refusal of a version costs no pause; a broker that refuses both is not hammered."""
    backoff = Backoff(1.0, 30.0, lambda: 1.0)
    assert backoff.pause_s(End.UNREACHABLE, 0.0) > 0
    assert backoff.pause_s(End.VERSION, 0.0) == 0.0
    assert backoff.pause_s(End.VERSION, 0.0) > 0


def test_a_refused_version_is_remembered_for_a_day():
    """After a refusal 3.1.1 is spoken, also over reconnects, and 5 is tried again the next day."""
    version = Version("auto")
    assert version.number(0.0) == MQTT_5
    version.ended(End.VERSION, 0.0)
    assert version.number(0.0) == MQTT_311
    version.connected()
    version.ended(End.CLOSED, 10.0)
    assert version.number(DAY_S - 1) == MQTT_311
    assert version.number(DAY_S) == MQTT_5


def test_a_broker_that_hangs_up_twice_is_tried_with_the_other_version():
    """Hanging up during the login may mean "unknown version", or a proxy without a broker: both are tried in turn."""
    version = Version("auto")
    seen = []
    for _ in range(8):
        seen.append(version.number(0.0))
        version.ended(End.CLOSED_EARLY, 0.0)
    assert seen == [5, 5, 4, 4, 5, 5, 4, 4]


def test_hanging_up_means_nothing_once_version_5_has_worked():
    """A broker behind a proxy that restarts is not spoken to in the old version afterwards."""
    version = Version("auto")
    version.number(0.0)
    version.connected()
    for _ in range(5):
        version.ended(End.CLOSED_EARLY, 0.0)
    assert version.number(0.0) == MQTT_5


@pytest.mark.parametrize(("wanted", "number"), [("5", MQTT_5), ("3.1.1", MQTT_311)])
def test_a_configured_version_is_never_changed(wanted, number):
    """Who names a version gets that version."""
    version = Version(wanted)
    for _ in range(5):
        version.ended(End.VERSION, 0.0)
    assert version.number(2 * DAY_S) == number
