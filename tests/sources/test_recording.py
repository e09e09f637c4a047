"""Recordings: what is written is read back, whatever it was and wherever the file was cut off."""

from __future__ import annotations

import gzip
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bridge.errors import ConfigError
from bridge.files.paths import schemas_directory
from bridge.model import Page
from bridge.sources.base import Poll
from bridge.sources.recording import Encoder, RecordingSource

SYSTEM = "com.victronenergy.system"
BATTERY = "com.victronenergy.battery.ttyO1"
HEADER = Encoder().header("2026-01-31T12:00:00Z", "venus.local", "c0ffee")
SCHEMA = Draft202012Validator(json.loads((schemas_directory() / "recording.schema.json").read_text()))

raws = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
pages = st.builds(
    Page,
    service=st.sampled_from([SYSTEM, BATTERY]),
    at=st.just(0.0),
    values=st.dictionaries(st.sampled_from(["Soc", "Dc/0/Voltage", "Serial", "Ключ", ""]), raws, max_size=5),
    is_root=st.booleans(),
    every_s=st.sampled_from([10.0, 60.0, math.inf]),
)


def opened(data: bytes) -> RecordingSource:
    return RecordingSource(io.BufferedReader(io.BytesIO(data)), "test.jsonl")


def source_of(*lines: str) -> RecordingSource:
    return opened("".join(line + "\n" for line in (HEADER, *lines)).encode())


def played(source: RecordingSource) -> list[Page]:
    """Return all pages, polling whenever something is due."""
    found: list[Page] = []
    while (due := source.next_due()) < math.inf:
        found += source.poll(due).pages
    return found


def spelled(tree: Any) -> str:
    """Return a text that tells 1, 1.0 and true apart and takes NaN for equal to itself."""
    return json.dumps(tree, sort_keys=True)


@given(st.lists(pages, max_size=6), st.booleans())
def test_every_page_is_read_back_as_it_was(written: list[Page], is_packed: bool) -> None:
    """Changes against the last page, NaN, other types of the same number and vanished paths all survive."""
    encoder = Encoder()
    numbered = [page._replace(at=1000.0 + number) for number, page in enumerate(written)]
    lines = [encoder.page(page) for page in numbered]
    data = "".join(line + "\n" for line in (HEADER, *lines)).encode()
    read = played(opened(gzip.compress(data) if is_packed else data))
    assert [page._replace(values={}) for page in read] == [page._replace(values={}) for page in numbered]
    assert [spelled(page.values) for page in read] == [spelled(page.values) for page in numbered]
    for line in lines:
        assert not list(SCHEMA.iter_errors(json.loads(line, parse_constant=pytest.fail)))


def page_at(at: float, values: dict[str, Any], is_root: bool = True) -> Page:
    return Page(BATTERY, at, values, is_root, 10.0)


def test_what_did_not_change_is_left_out() -> None:
    """The second page of a root holds only what is new, changed or gone."""
    encoder = Encoder()
    encoder.page(page_at(1.0, {"Soc": 80, "Alarms/LowSoc": 0, "Old": 1}))
    line = json.loads(encoder.page(page_at(11.0, {"Soc": 81, "Alarms/LowSoc": 0, "New": []})))
    assert (line["changed"], line["removed"]) == ({"Soc": 81, "New": []}, ["Old"])
    assert json.loads(encoder.page(page_at(21.0, {"Soc": 81, "Alarms/LowSoc": 0, "New": []})))["changed"] == {}


def test_single_leafs_do_not_touch_the_root() -> None:
    """A page of single leafs is written whole and is no base for later changes."""
    encoder = Encoder()
    lines = [encoder.page(page_at(1.0, {"Soc": 80, "Mode": 3}))]
    lines.append(encoder.page(page_at(2.0, {"Soc": 70}, is_root=False)))
    lines.append(encoder.page(page_at(3.0, {"Soc": 80, "Mode": 4})))
    assert [dict(page.values) for page in played(source_of(*lines))] == [
        {"Soc": 80, "Mode": 3},
        {"Soc": 70},
        {"Soc": 80, "Mode": 4},
    ]


def test_a_file_that_was_cut_off_is_good_up_to_there() -> None:
    """Wherever the power went: whole lines are played, a torn one is noted, nothing is an error."""
    encoder = Encoder()
    lines = [encoder.page(page_at(float(number), {"Soc": number, "Name": "é"})) for number in range(3)]
    data = "".join(line + "\n" for line in (HEADER, *lines)).encode()
    for size in range(len(HEADER) + 1, len(data)):
        source = opened(data[:size])
        # A last line without its line break counts when it is whole.
        whole = data[:size].count(b"\n") - 1 + any(data[:size].endswith(line.encode()) for line in lines)
        assert len(played(source)) == whole
        assert bool(source.note) == (not data[:size].endswith((b"\n", *(line.encode() for line in lines))))


def test_a_compressed_file_that_was_cut_off_is_good_up_to_there() -> None:
    """Each line was flushed, so all but the last survive without the end of the compressed data."""
    buffer = io.BytesIO()
    encoder = Encoder()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as packed:
        packed.write(HEADER.encode() + b"\n")
        for number in range(3):
            packed.write(encoder.page(page_at(float(number), {"Soc": number})).encode() + b"\n")
            packed.flush()
        flushed = buffer.getvalue()
    source = opened(flushed)
    assert len(played(source)) == 3
    assert "middle" in source.note


def test_each_line_is_due_at_its_own_time() -> None:
    """Nothing comes before its time, everything at it, and after the end nothing is ever due."""
    encoder = Encoder()
    services = frozenset((SYSTEM, BATTERY))
    source = source_of(
        encoder.services(services, 100.0), encoder.page(page_at(110.0, {"Soc": 1})), encoder.offline(200.0)
    )
    assert (source.next_due(), source.is_online(99.0), source.identify(99.0)) == (100.0, None, "c0ffee")
    assert source.poll(99.9) == source.poll(50.0) == Poll()
    assert source.poll(100.0).services == services
    assert (source.next_due(), source.is_online(100.0)) == (110.0, True)
    assert source.poll(115.0).pages[0].at == 110.0
    assert source.poll(200.0).error
    assert (source.next_due(), source.is_online(200.0)) == (math.inf, False)
    assert source.health() == {"pages": 1, "values": 1, "lines": 4}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "not JSON"),
        ('{"at": 2, "services": []', "not JSON"),
        ("[" * 5000, "not JSON"),
        ("17", "no time"),
        ('{"services": []}', "no time"),
        ('{"at": true, "services": []}', "no time"),
        ('{"at": -1, "services": []}', "no time"),
        ('{"at": {"$number": "NaN"}, "services": []}', "no time"),
        ('{"at": 2}', "none of"),
        ('{"at": 2, "online": true}', "none of"),
        ('{"at": 2, "services": "all"}', "list of names"),
        ('{"at": 2, "service": 3, "root": true, "every_s": 1, "values": {}}', "name"),
        ('{"at": 2, "service": "s", "root": 1, "every_s": 1, "values": {}}', "true or false"),
        ('{"at": 2, "service": "s", "root": true, "every_s": 0, "values": {}}', "seconds"),
        ('{"at": 2, "service": "s", "root": true, "every_s": 1, "values": []}', "map"),
        ('{"at": 2, "service": "s", "root": true, "every_s": 1}', "map"),
        ('{"at": 2, "service": "s", "root": true, "every_s": 1, "changed": {}}', "no earlier root page"),
        ('{"at": 0.5, "services": []}', "backwards"),
        ('{"schema": "victron-bridge/recording/1"}', "no time"),
    ],
)
def test_a_damaged_line_is_named(line: str, message: str) -> None:
    """A line that is wrong in the middle is an error with file and line, never a silent gap."""
    good = Encoder().services(frozenset(), 1.0)
    source = source_of(good, "", line, good)
    with pytest.raises(ConfigError, match=message) as caught:
        played_from(source)
    assert str(caught.value).startswith("test.jsonl:4: ")


def played_from(source: RecordingSource) -> None:
    while source.next_due() < math.inf:
        source.poll(math.inf)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}\n", b"[]\n", b'{"schema": "victron-bridge/recording/9"}\n', b"\x1f\x8bno"]
)
def test_what_is_no_recording_is_said_at_once(data: bytes) -> None:
    """An empty file, another document, another version or damaged compression is refused before anything is played."""
    with pytest.raises(ConfigError, match=r"test\.jsonl:1: "):
        opened(data)


def test_a_number_object_that_means_something_else_stays_what_it_is() -> None:
    """Only the three names that JSON has no number for are numbers."""
    values = {"A": {"$number": "12"}, "B": {"$number": 1}, "C": [{"$number": "-Infinity"}]}
    line = json.dumps({"at": 1, "service": BATTERY, "root": True, "every_s": 10, "values": values})
    (page,) = played(source_of(line))
    assert page.values == {"A": {"$number": "12"}, "B": {"$number": 1}, "C": [-math.inf]}
