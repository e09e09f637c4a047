"""The sinks that write lines: standard output and a recording."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from bridge.errors import SinkError
from bridge.model import Message, Meta
from bridge.sinks.base import Sink
from bridge.sinks.recording import RecordingSink
from bridge.sinks.stdout import StdoutSink

META = Meta("text/plain", 0, ())
MESSAGES = [
    Message("v/a", "ä\nb", 0, True, META, 12.3456, 3),
    Message("v/b", "", 1, False, META, 13.0),
]


def test_a_line_is_one_json_object():
    """Each message is one line that holds topic, payload, qos, retain, time and code."""
    stream = io.StringIO()
    StdoutSink(stream).publish(MESSAGES)
    lines = stream.getvalue().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"at": 12.346, "topic": "v/a", "payload": "ä\nb", "qos": 0, "retain": True, "code": 3},
        {"at": 13.0, "topic": "v/b", "payload": "", "qos": 1, "retain": False},
    ]


def test_lines_show_the_wall_clock():
    """The steady clock's offset is added to the time of each line."""
    stream = io.StringIO()
    sink = StdoutSink(stream)
    sink.wall_offset_s = 100.0
    sink.publish(MESSAGES)
    assert [json.loads(line)["at"] for line in stream.getvalue().splitlines()] == [112.346, 113.0]


def test_for_people_a_line_is_topic_and_payload():
    """Without JSON each message is still one line."""
    stream = io.StringIO()
    StdoutSink(stream, is_json=False).publish(MESSAGES)
    assert stream.getvalue() == "v/a ä\\nb\nv/b \n"


def test_a_reader_that_left_is_counted_not_raised():
    """A closed pipe costs a counter and a sentence in health."""

    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    sink = StdoutSink(Closed())
    sink.publish(MESSAGES)
    health = sink.health()
    assert (health["connected"], health["published"], health["dropped"]) == (False, 0, 2)
    assert "Nobody reads" in health["last_error"]
    assert sink.stop(1.0) == []


def test_a_recording_is_appended_to(tmp_path):
    """Two runs into one file leave the lines of both."""
    path = tmp_path / "out.jsonl"
    for _ in range(2):
        sink = RecordingSink(path)
        sink.start()
        sink.publish(MESSAGES)
        assert sink.health()["published"] == 2
        assert sink.stop(1.0) == []
    assert [json.loads(line)["topic"] for line in path.read_text().splitlines()] == ["v/a", "v/b"] * 2


def test_a_recording_does_not_fill_the_disk(tmp_path):
    """What would exceed the limit is dropped and counted, and the file ends with a whole line."""
    path = tmp_path / "out.jsonl"
    sink = RecordingSink(path, max_bytes=100)
    sink.start()
    sink.publish(MESSAGES * 3)
    sink.stop(1.0)
    assert path.stat().st_size <= 100
    assert [json.loads(line)["topic"] for line in path.read_text().splitlines()] == ["v/a"]
    assert sink.health()["dropped"] == 5
    assert "limit" in sink.health()["last_error"]


def test_a_recording_that_cannot_be_written_is_told_at_start(tmp_path):
    """A missing directory is an error before anything is lost."""
    with pytest.raises(SinkError, match="Cannot write"):
        RecordingSink(tmp_path / "missing" / "out.jsonl").start()


@pytest.mark.parametrize("make", [StdoutSink, lambda: RecordingSink(Path("unused"))])
def test_both_are_sinks(make):
    """Each of them can stand where the cycle wants a sink."""
    sink: Sink = make()
    assert all(hasattr(sink, name) for name in ("publish", "subscribe", "start", "stop", "health", "wall_offset_s"))
