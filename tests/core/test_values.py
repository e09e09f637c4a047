"""Raw values -> typed values: every kind, every wrong type, every way to say "no value"."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.values import NO_VALUE, REFUSED, convert, convert_any, firmware_text, iso_time, looks_secret, pick
from bridge.model import Kind, PointSpec, Tier

LABELS = {0: "ok", 1: "warning", 2: "alarm"}


def spec(kind: Kind, invalid: tuple[float, ...] = ()) -> PointSpec:
    return PointSpec(kind, "x", "/X", "", LABELS, Tier.CRITICAL, 2, 0.0, invalid, "", "", "")


@pytest.mark.parametrize(
    ("kind", "raw", "value", "code"),
    [
        (Kind.FLOAT, 50, 50, None),
        (Kind.FLOAT, 49.8, 49.8, None),
        (Kind.FLOAT, 0, 0, None),
        (Kind.DURATION, 3600, 3600, None),
        (Kind.INT, 3.0, 3, None),
        (Kind.INT, 18446744073709551615, 18446744073709551615, None),
        (Kind.BITMASK, 1028, 1028, None),
        (Kind.BOOL, 1, True, None),
        (Kind.BOOL, 0, False, None),
        (Kind.BOOL, 1.0, True, None),
        (Kind.BOOL, False, False, None),
        (Kind.BOOL, "1", True, None),
        (Kind.ENUM, 1, "warning", 1),
        (Kind.ENUM, 2.0, "alarm", 2),
        (Kind.ENUM, 77, "77", 77),
        (Kind.ALARM, 0, "ok", 0),
        (Kind.STRING, "0101", "0101", None),
        (Kind.STRING, "", "", None),
        (Kind.STRING, 7, "7", None),
        (Kind.FIRMWARE, 225331, "v3.70~33", None),
        (Kind.FIRMWARE, "v3.70", "v3.70", None),
        (Kind.TIMESTAMP, 1761248987, 1761248987, None),
        (Kind.JSON, '{"b":1,"a":[2]}', '{"a":[2],"b":1}', None),
        (Kind.JSON, [{"name": "x"}], '[{"name":"x"}]', None),
    ],
)
def test_a_valid_value_is_read_as_its_kind(kind: Kind, raw: Any, value: Any, code: int | None) -> None:
    """Ints and floats are interchangeable, labels come with their number, texts stay texts."""
    found = convert(raw, spec(kind))
    assert found == (value, code)
    assert type(found[0]) is type(value)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("raw", [[], None])
def test_an_empty_array_is_no_value_for_every_kind(kind: Kind, raw: Any) -> None:
    """`[]` never becomes 0, false or an empty text."""
    assert convert(raw, spec(kind)) == NO_VALUE


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.JSON])
def test_nan_and_infinity_are_no_value(kind: Kind, raw: float) -> None:
    """What JSON cannot say is no value."""
    assert convert(raw, spec(kind)) == NO_VALUE


@pytest.mark.parametrize(("raw", "value"), [(655.35, None), (655.349999, None), (655.3, 655.3), (-273.15, -273.15)])
def test_a_sentinel_is_no_value_only_where_the_row_says_so(raw: float, value: float | None) -> None:
    """655.35 V is "not available" for a row that lists it; other numbers pass."""
    assert convert(raw, spec(Kind.FLOAT, (655.35,)))[0] == value


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (Kind.FLOAT, "49.8"),
        (Kind.FLOAT, True),
        (Kind.FLOAT, {"a": 1}),
        (Kind.FLOAT, [1]),
        (Kind.FLOAT, 10**400),
        (Kind.INT, "7"),
        (Kind.BOOL, "maybe"),
        (Kind.ENUM, 2.5),
        (Kind.ENUM, "bulk"),
        (Kind.STRING, ["a"]),
        (Kind.STRING, "x" * 5000),
        (Kind.FIRMWARE, {"v": 1}),
        (Kind.TIMESTAMP, "yesterday"),
        (Kind.JSON, json.loads("[" * 51 + "1" + "]" * 51)),
        (Kind.JSON, json.loads("[" * 900 + "1" + "]" * 900)),
        (Kind.JSON, ["x" * 5000]),
    ],
)
def test_a_wrong_type_is_refused_not_guessed(kind: Kind, raw: Any) -> None:
    """A text where a number belongs, a fraction where a label belongs, a text that is too long: refused."""
    assert convert(raw, spec(kind)) == REFUSED


@pytest.mark.parametrize(
    ("kind", "raw"), [(Kind.TIMESTAMP, 0), (Kind.TIMESTAMP, -5), (Kind.TIMESTAMP, 1e15), (Kind.JSON, "{")]
)
def test_a_time_that_never_was_and_broken_json_are_no_value(kind: Kind, raw: Any) -> None:
    """Epoch 0 means never, and half a JSON text means nothing."""
    assert convert(raw, spec(kind)) == NO_VALUE


@pytest.mark.parametrize(
    ("packed", "text"), [(225331, "v3.70~33"), (75519, "v1.26"), (1362, "v5.52"), (1046, "v4.16"), (222721, "v3.66~1")]
)
def test_firmware_is_read_as_hex_nibbles(packed: int, text: str) -> None:
    """0x37033 is v3.70~33; the decimal number means nothing to anybody."""
    assert firmware_text(packed) == text


@pytest.mark.parametrize("packed", [-1, -225331, 0x1_0000_0000, 10**300])
def test_what_is_no_packed_version_is_refused(packed: int) -> None:
    """Versions are at most four bytes and never negative."""
    assert convert(packed, spec(Kind.FIRMWARE)) == REFUSED


@pytest.mark.parametrize(
    ("raw", "value"),
    [(True, True), (5, 5), (5.5, 5.5), ("text", "text"), ("x" * 4097, None), ([1], None), ({"a": 1}, None)],
)
def test_a_path_that_nobody_knows_takes_what_comes(raw: Any, value: Any) -> None:
    """Raw publishing lets booleans, numbers and texts of any type pass, one after the other, and no trees."""
    assert convert_any(raw, spec(Kind.STRING))[0] is value


def test_lone_surrogates_end_at_the_rim() -> None:
    """JSON may hold half a character, UTF-8 may not: it becomes a question mark in texts, keys and nested values."""
    assert convert("a\ud800", spec(Kind.STRING)) == ("a?", None)
    assert convert("\ud800", spec(Kind.FIRMWARE)) == ("?", None)
    assert convert('{"\\ud800": ["\\udfff"]}', spec(Kind.JSON)) == ('{"?":["?"]}', None)


def test_json_loses_what_looks_secret() -> None:
    """Keys and values that look like SSIDs, MAC addresses or keys are not in the text that is published."""
    tree = {"ok": 1, "Mac": "11:22:33:AA:BB:CC", "where": "11:22:33:AA:BB:CC", "Password": "x", "n": [{"ssid": "home"}]}
    assert convert(tree, spec(Kind.JSON))[0] == '{"n":[{}],"ok":1,"where":null}'


@pytest.mark.parametrize(
    ("path", "raw", "is_secret"),
    [
        ("Settings/Services/AccessPointPassword", "x", True),
        ("Devices/a14b/Key", "", True),
        ("Network/Wifi/Ssid", "home", True),
        ("Interfaces/hci0/Address", "DC:A6:32:00:11:22", True),
        ("Devices/x/Token", 1, True),
        ("PinCode", "1234", True),
        ("Hash", "0123456789abcdef0123456789abcdef", True),
        ("Ac/Out/L1/P", 5, False),
        ("Mac", "", True),
        ("MachineType", "x", True),
        ("Settings/SystemSetup/MaxChargeCurrent", 5, False),
        ("HasAcPassthroughSupport", 1, False),
        ("History/TimeInBulk", 5, False),
        ("Imei", "35", True),
    ],
)
def test_secrets_are_recognized_by_name_and_by_value(path: str, raw: Any, is_secret: bool) -> None:
    """Raw publishing withholds by the path's words and by values that are MAC addresses or keys; doubt withholds."""
    assert looks_secret(path, raw) is is_secret


@pytest.mark.parametrize("tree", [[{"a": {"b": 1}}], {"a": {"b": 1}}])
def test_pick_accepts_an_object_with_or_without_its_list(tree: Any) -> None:
    """CAN statistics come as a list of one or as the object itself."""
    assert pick(tree, (0, "a", "b")) == 1


@pytest.mark.parametrize("tree", [None, [], {}, 5, "text", [[]], {"a": 5}])
def test_pick_finds_nothing_without_raising(tree: Any) -> None:
    """A missing part is "no value"."""
    assert pick(tree, (0, "a", "b")) == []


@pytest.mark.parametrize(("at", "text"), [(0, "1970-01-01T00:00:00Z"), (1761248987.25, "2025-10-23T19:49:47.250Z")])
def test_times_are_iso_8601_in_utc(at: float, text: str) -> None:
    """Whole seconds are written without a fraction."""
    assert iso_time(at) == text


_TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)  # with lone surrogates
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(_JSON, st.sampled_from(list(Kind)))
def test_no_data_raises(raw: Any, kind: Kind) -> None:
    """Whatever JSON holds, converting answers a value that can be written, or none."""
    value, _ = convert(raw, spec(kind, (655.35,)))
    assert value is None or isinstance(value, str | int | float)
    assert not isinstance(value, float) or math.isfinite(value)
    if isinstance(value, str):
        written = json.loads(value) if kind is Kind.JSON else value
        json.dumps(written, ensure_ascii=False).encode()
