"""Messages of others as values of inputs: what counts, what is unknown, what is refused and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.input_values import MAX_TEXT, point_of, read_input
from bridge.core.inputs import InputSpec
from bridge.model import Read, Sample
from tests.core.small_site import alert, engine, feed, told

PATH = ("prices", 0, "total")


def spec(kind: str = "number", path: tuple[str | int, ...] = ()) -> InputSpec:
    return InputSpec("price", "tariff/price", path, kind, "", 600.0)


@pytest.mark.parametrize(
    ("kind", "payload", "value"),
    [
        ("number", b"12.5", 12.5),
        ("number", b"  -3 \n", -3.0),
        ("number", b"+.5e3", 500.0),
        ("number", b"7.", 7.0),
        ("truth", b"true", True),
        ("truth", b"ON", True),
        ("truth", b"1", True),
        ("truth", b" off ", False),
        ("truth", b"False", False),
        ("truth", b"0", False),
        ("text", b"cheap", "cheap"),
        ("text", "früh".encode(), "früh"),
        ("text", b'{"a": 1}', '{"a": 1}'),
        *((kind, payload, None) for kind in ("number", "truth", "text") for payload in (b"", b"  ", b"null")),
    ],
)
def test_plain_text_is_read(kind: str, payload: bytes, value: Any) -> None:
    """Without a path the payload itself is the value; nothing, or null, is unknown and no mistake."""
    assert read_input(spec(kind), payload) == (value, "")


@pytest.mark.parametrize(
    ("kind", "inner", "value"),
    [
        ("number", "12.5", 12.5),
        ("number", "12", 12.0),
        ("number", '"12.5"', 12.5),
        ("number", "null", None),
        ("number", '""', None),
        ("truth", "true", True),
        ("truth", '"off"', False),
        ("truth", "1", True),
        ("text", '"x\\ud800"', "x?"),
        ("text", '"cheap"', "cheap"),
    ],
)
def test_a_path_leads_into_json(kind: str, inner: str, value: Any) -> None:
    """With a path the payload is JSON; numbers and truths may be written as texts inside."""
    payload = f'{{"prices": [{{"total": {inner}}}]}}'.encode()
    assert read_input(spec(kind, PATH), payload) == (value, "")


@pytest.mark.parametrize("payload", [b"{}", b'{"prices": []}', b'{"prices": [{}]}', b'{"prices": 7}', b"null", b""])
def test_what_the_path_does_not_find_is_unknown(payload: bytes) -> None:
    """A document without the value is no mistake: the sender has none now."""
    assert read_input(spec(path=PATH), payload) == (None, "")


@pytest.mark.parametrize(
    ("kind", "path", "payload", "fault"),
    [
        ("number", (), b"12,5", "no number: '12,5'"),
        ("number", (), b"NaN", "no number: 'NaN'"),
        ("number", (), b"inf", "no number: 'inf'"),
        ("number", (), b"0x10", "no number"),
        ("number", (), b"1_000", "no number"),
        ("number", (), "١٢".encode(), "no number"),
        ("number", (), b"true", "no number: 'true'"),
        ("number", (), b"1e30", "a number out of all bounds"),
        ("number", (), b"9" * 1000, "no number"),
        ("number", (), b"\xff\xfe", "not UTF-8"),
        ("number", ("a",), b'{"a": true}', "no number: True"),
        ("number", ("a",), b'{"a": NaN}', "a number out of all bounds: nan"),
        ("number", ("a",), b'{"a": 1e999}', "a number out of all bounds: inf"),
        ("number", ("a",), b'{"a": {"b": 1}}', "no number: a map"),
        ("number", ("a",), b'{"a": [1]}', "no number: a list"),
        ("number", ("a",), b'{"a": 1', "not JSON"),
        ("number", ("a",), b"[" * 100_000, "nested too deep"),
        ("truth", (), b"yes", "neither true nor false"),
        ("truth", ("a",), b'{"a": 2}', "neither true nor false"),
        ("truth", ("a",), b'{"a": 1.0}', "neither true nor false"),
        ("text", (), b"x" * (MAX_TEXT + 1), "a text of 257 characters, more than 256"),
        ("text", ("a",), b'{"a": 1}', "no text: 1"),
    ],
)
def test_what_does_not_fit_is_unknown_and_said(
    kind: str, path: tuple[str | int, ...], payload: bytes, fault: str
) -> None:
    """A malformed message is never guessed at: the value is unknown, and the fault says what came."""
    heard = read_input(spec(kind, path), payload)
    assert heard.value is None
    assert fault in heard.fault


@given(st.sampled_from(["number", "truth", "text"]), st.sampled_from([(), ("a",)]), st.binary(max_size=60))
def test_no_bytes_raise(kind: str, path: tuple[str | int, ...], payload: bytes) -> None:
    """Whatever comes is a value of the kind, or unknown."""
    value = read_input(spec(kind, path), payload).value
    assert value is None or isinstance(value, {"number": float, "truth": bool, "text": str}[kind])


def test_an_input_is_unknown_before_the_first_message_and_after_its_age() -> None:
    """A rule on an input waits for the first message, fires on it, and knows nothing again when it is too old."""
    price = spec()
    on = engine(
        alert("cheap", "input.price < 10", on_unknown="clear"),
        alert("blind", "absent(input.price)"),
        inputs=[price.known],
    )
    assert told(on.step(0.0, [])) == [(0.0, "firing", "blind")]
    heard = [Sample(point_of(price), 5.0, 100.0)], [Read("input/price", 100.0, 600.0)]
    assert sorted(told(on.step(100.0, *heard))) == [(100.0, "firing", "cheap"), (100.0, "resolved", "blind")]
    events = told(on.step(800.0, []))
    assert sorted(events) == [(700.0, "firing", "blind"), (700.0, "resolved", "cheap")]


def test_an_input_stays_known_while_the_gx_is_offline() -> None:
    """What others publish does not depend on the GX."""
    price = spec()
    on = engine(alert("cheap", "input.price < 10"), alert("low", "battery.soc < 20"), inputs=[price.known])
    feed(on, 0.0, {"battery.soc": 10.0, "site.online": True})
    on.step(1.0, [Sample(point_of(price), 5.0, 1.0)], [Read("input/price", 1.0, 600.0)])
    feed(on, 2.0, {"site.online": False})
    assert on.store.values[on.store.slot("battery/soc")] is None
    assert on.store.values[on.store.slot("input/price")] == 5.0
