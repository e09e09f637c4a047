"""The queue: latest state per topic, bounded, and events in order."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from bridge.model import Message, Meta
from bridge.sinks.queue import Queue

META = Meta("application/json", 60, ())


def state(topic: str, payload: str = "1", qos: int = 0, at: float = 0.0) -> Message:
    return Message(topic, payload, qos, True, META, at)


def event(seq: int) -> Message:
    return Message("v/alerts", json.dumps({"seq": seq, "replayed": False}), 1, False, META, 0.0)


def answer(text: str) -> Message:
    return Message("v/response", text, 1, False, META, 0.0)


def take_all(queue: Queue) -> list[Message]:
    taken = list(queue.take_telemetry(1_000_000))
    while (message := queue.take_certain()) is not None:
        taken.append(message)
    return taken


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["", "1", "2"]), st.sampled_from([0, 1])), max_size=40),
    st.integers(1, 10),
)
def test_only_the_latest_of_a_topic_is_sent(updates, chunk):
    """Whatever is put between two sendings, each topic is sent once, with its last payload."""
    queue = Queue(100, 100)
    messages = [state(topic, payload, qos) for topic, payload, qos in updates]
    for start in range(0, len(messages), chunk):
        queue.put(messages[start : start + chunk])
    latest = {message.topic: message for message in messages}
    assert sorted(take_all(queue)) == sorted(latest.values())
    assert take_all(queue) == []


def test_telemetry_comes_in_the_order_it_was_put_and_in_pieces():
    """A limit takes the longest waiting first and leaves the rest."""
    queue = Queue(100, 100)
    queue.put([state(f"v/{number}") for number in range(10)])
    pieces = [[message.topic for message in queue.take_telemetry(4)] for _ in range(4)]
    assert [len(piece) for piece in pieces] == [4, 4, 2, 0]
    assert sum(pieces, []) == [f"v/{number}" for number in range(10)]


def test_a_deletion_waits_for_an_acknowledgement_and_stays_deleted():
    """An empty payload goes the certain way and is forgotten only for itself, not for a newer value."""
    queue = Queue(100, 100)
    gone = state("v/a", "")
    queue.put([state("v/a", "1"), gone])
    assert list(queue.take_telemetry(10)) == []
    assert queue.take_certain() is gone
    queue.put([state("v/a", "2")])
    queue.forget(gone)
    queue.connected(0.0)
    assert [message.payload for message in take_all(queue)] == ["2"]
    queue.put([gone])
    queue.forget(gone)
    queue.connected(0.0)
    assert take_all(queue) == []


def test_a_new_connection_gets_the_whole_picture_without_what_is_too_old():
    """After `connected` every topic waits again, except those past their expiry, which are counted."""
    queue = Queue(100, 100)
    queue.put([state("v/old", at=0.0), state("v/new", at=50.0), state("v/status", "online", 1, at=50.0)])
    take_all(queue)
    queue.connected(60.0)
    assert sorted(message.topic for message in take_all(queue)) == ["v/new", "v/status"]
    assert (queue.expired, queue.sizes()["topics"]) == (1, 2)


def test_topics_are_bounded_but_known_ones_still_change():
    """Above the limit new topics are refused and counted; the known ones go on."""
    queue = Queue(2, 10)
    queue.put([state("v/a"), state("v/b"), state("v/c"), state("v/a", "2")])
    assert {message.topic: message.payload for message in take_all(queue)} == {"v/a": "2", "v/b": "1"}
    assert queue.sizes()["dropped"] == 1


def test_events_in_flight_come_first_after_a_lost_connection():
    """What was not acknowledged is sent again before what never was, in the old order."""
    queue = Queue(10, 10)
    queue.put([event(number) for number in range(5)])
    flying = [queue.take_event(0.0) for _ in range(3)]
    queue.acknowledged(flying[1])
    queue.disconnected()
    order = []
    while (pending := queue.take_event(0.0)) is not None:
        order.append(json.loads(pending.message.payload)["seq"])
    assert order == [0, 2, 3, 4]
    assert [json.loads(message.payload)["seq"] for message in queue.events()] == [0, 2, 3, 4]


def test_a_refused_event_waits_and_is_given_up_the_third_time():
    """A refusal puts an event behind the others, with a pause; the third ends it."""
    queue = Queue(10, 10)
    queue.put([event(1), event(2)])
    first = queue.take_event(0.0)
    assert queue.refused(first, 0.0) is False
    second = queue.take_event(0.0)
    assert json.loads(second.message.payload)["seq"] == 2
    assert queue.take_event(0.5) is None
    assert queue.take_event(1.0) is first
    assert queue.refused(first, 1.0) is False
    assert queue.take_event(2.9) is None
    assert queue.take_event(3.0) is first
    assert queue.refused(first, 3.0) is True
    queue.acknowledged(second)
    assert queue.events() == []
    assert queue.is_empty()


def test_the_oldest_event_makes_room():
    """Above the limit the oldest event that waits goes, and is counted."""
    queue = Queue(10, 3)
    queue.put([event(number) for number in range(5)])
    assert [json.loads(message.payload)["seq"] for message in queue.events()] == [2, 3, 4]
    assert queue.sizes()["dropped"] == 2


def test_answers_go_once_and_are_no_events():
    """A message that is neither retained nor an alert event is taken once and never comes back."""
    queue = Queue(10, 10)
    queue.put([answer("{}"), answer('{"a":1}')])
    assert queue.events() == []
    assert [queue.take_answer().payload, queue.take_answer().payload] == ["{}", '{"a":1}']
    queue.disconnected()
    queue.connected(0.0)
    assert queue.take_answer() is None


def test_answers_are_bounded():
    """A thousand answers that nobody took is the limit; the oldest go."""
    queue = Queue(10, 10)
    queue.put([answer(str(number)) for number in range(1_005)])
    assert queue.take_answer().payload == "5"
    assert queue.sizes()["dropped"] == 5
