"""When an event says that it was replayed."""

from __future__ import annotations

import json

import pytest

from bridge.model import Message, Meta
from bridge.sinks.outbox import Pending, is_event, mark_replayed

META = Meta("application/json", 0, ())


def event(at: float = 0.0) -> Message:
    return Message(
        "v/alerts", '{"seq": 1, "replayed": false, "text": "\\u00e4 \\"replayed\\": false"}', 1, False, META, at
    )


@pytest.mark.parametrize(
    ("connects_then", "connects_now", "age_s", "is_replayed"),
    [
        (0, 1, 0.0, False),  # made before the first login: nothing was replayed
        (1, 1, 59.0, False),
        (1, 1, 61.0, True),
        (0, 2, 0.0, True),
        (1, 2, 0.0, True),
        (2, 2, 0.0, False),
    ],
)
def test_replayed_means_late_or_after_a_reconnect(connects_then, connects_now, age_s, is_replayed):
    """Replayed is true after 60 s, or when the connection is another than the one at the event's time."""
    payload = Pending(event(), connects_then).payload(age_s, connects_now)
    assert json.loads(payload)["replayed"] is is_replayed


def test_marking_changes_nothing_else():
    """Only the key itself changes, not a text that looks like it."""
    before = json.loads(event().payload)
    after = json.loads(mark_replayed(event().payload))
    assert after == {**before, "replayed": True}


@pytest.mark.parametrize("payload", ["", "online", "[1]", '{"replayed": true}', '{"a": 1}', '{"replayed":', "null"])
def test_what_is_no_event_is_left_alone(payload):
    """Other texts come back as they are."""
    assert mark_replayed(payload) == payload


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (event(), True),
        (event()._replace(retain=True), False),
        (event()._replace(qos=0), False),
        (event()._replace(payload='{"status":"ok"}'), False),
        (event()._replace(payload='{"status":"ok","data":null,"error":null,"transaction":"replayed"}'), False),
    ],
)
def test_an_event_is_unretained_acknowledged_and_says_replayed(message, expected):
    """The outbox keeps alert events only."""
    assert is_event(message) is expected
