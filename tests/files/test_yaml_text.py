"""Tests of YAML with places: what comes out, where it stands, and how faults are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ConfigError
from bridge.files.yaml_text import load, load_file


@pytest.fixture(params=["c", "pure"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with the C parser and with the pure one: a GX has only the second."""
    if request.param == "pure":
        monkeypatch.delattr(yaml, "CSafeLoader")


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 1", {"a": 1}),
        ("a: -1.5e3", {"a": -1500.0}),
        ("a: 0x1F", {"a": 31}),
        ("a: 0o17", {"a": 15}),
        ("a: true\nb: False", {"a": True, "b": False}),
        ("a: no\nb: on\nc: y", {"a": "no", "b": "on", "c": "y"}),
        ("a: 10:30", {"a": "10:30"}),
        ("a: 2024-01-02", {"a": "2024-01-02"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: .nan\nb: .inf\nc: 1e999", {"a": ".nan", "b": ".inf", "c": "1e999"}),
        ("a: '1'\nb: \"true\"", {"a": "1", "b": "true"}),
        ("a: ~\nb:\nc: null", {"a": None, "b": None, "c": None}),
        ("0: off\n1.5: x\nno: y\ntrue: z", {"0": "off", "1.5": "x", "no": "y", "true": "z"}),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("a: !!str 12", {"a": "12"}),
        ("- 1\n- [2, {c: d}]", [1, [2, {"c": "d"}]]),
        ('{"a": [1.0, null, "x\\/y"]}', {"a": [1.0, None, "x/y"]}),
        ("", None),
        ("# only a comment\n", None),
    ],
)
def test_only_what_json_can_say_comes_out(text: str, data: object) -> None:
    """Scalars follow the core schema of YAML 1.2, and a key is text as it is written."""
    loaded = load(text, "f").data
    assert loaded == data
    assert repr(loaded) == repr(data)


def test_marks_point_at_values_and_keys() -> None:
    """A value on its key's line is marked itself, a block below its key is marked at the key."""
    document = load("broker:\n  host: localhost\nrules:\n  - alert: x\n    expr: é < 2\n", "f")
    assert document.marks[("broker",)] == (1, 1)
    assert document.marks[("broker", "host")] == (2, 9)
    assert document.marks[("rules", 0)] == (4, 5)
    assert document.marks[("rules", 0, "expr")] == (5, 11)
    assert document.keys[("broker", "host")] == (2, 3)
    assert document.keys[("rules", 0, "expr")] == (5, 5)


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("a:\n\tb: 1", 2, 1, "tab"),
        ("a:\n  b: 1\n \tc: 1", 3, 2, "tab"),
        ("a: ]", 1, 4, "not valid YAML"),
        ("a: b: c", 1, 5, "quotes"),
        ("a: 'x", 1, 6, "not valid YAML"),
        ("? [1]\n: 2", 1, 3, "key must be text"),
        ("{a: 1}: 2", 1, 1, "key must be text"),
        ("{? , b: 1}", 1, None, "key is missing"),
        ("a: &x 1\nb:\n  <<: *x", 3, 3, "merge keys"),
        ("a: *x", 1, 4, "anchor"),
        ("a: &x [*x]", 1, 8, "inside what it names"),
        ("a: !!python/object:os.system x", 1, 4, "tag"),
        ("a: !!int 'x'", 1, 4, "tag"),
        ("a: !mine {}", 1, 4, "tag"),
        ("a: 1\n---\nb: 2", 2, 1, "second document"),
        ("a: 1\nb: x\x07y", 2, 5, "U+0007"),
        ("a: " + "[" * 60 + "]" * 60, 1, 53, "nested deeper than 50"),
    ],
)
def test_faults_have_a_place_and_advice(text: str, line: int, column: int | None, part: str) -> None:
    """Every fault names file, line and column, and says what stands against it."""
    with pytest.raises(ConfigError) as caught:
        load(text, "f.yaml")
    error = caught.value
    assert part in error.message
    assert (error.file, error.line) == ("f.yaml", line)
    assert column in (None, error.column)  # None: the two parsers differ


def test_hostile_nesting_ends_early() -> None:
    """A file of opening brackets is refused by depth, not by exhausting the stack."""
    with pytest.raises(ConfigError, match="nested deeper"):
        load("[" * 500_000, "f")


def test_aliases_cannot_blow_up() -> None:
    """Ten levels of ten aliases each would be 10^10 values and are refused while they are counted."""
    levels = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="aliases make more than"):
        load("\n".join(levels), "f")


def test_large_text_is_refused() -> None:
    """More than 1 MB is no configuration."""
    with pytest.raises(ConfigError, match="larger than 1000 kB"):
        load("a: " + "x" * 1_000_001, "f")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a directory, other encodings and too large files are told apart."""
    (tmp_path / "latin.yaml").write_bytes("a: 1\nb: é".encode("latin-1"))
    (tmp_path / "large.yaml").write_bytes(b"#" * 1_000_001)
    (tmp_path / "bom.yaml").write_bytes("a: é".encode("utf-8-sig"))
    for name, part in [
        ("none.yaml", "no such file"),
        (".", "is a directory"),
        ("latin.yaml", "not UTF-8"),
        ("large.yaml", "larger than"),
    ]:
        with pytest.raises(ConfigError, match=part):
            load_file(tmp_path / name)
    assert load_file(tmp_path / "bom.yaml").data == {"a": "é"}


@given(st.text(max_size=60))
def test_any_text_is_data_or_a_config_error(text: str) -> None:
    """No text whatever raises anything but a ConfigError."""
    try:
        load(text, "f")
    except ConfigError as error:
        assert error.file == "f"


TEXT = st.text(st.characters(max_codepoint=0xD7FF), max_size=8)  # beyond: JSON's pairs of escapes, which YAML lacks
JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON_LIKE)
def test_json_is_read_as_what_it_is(data: object) -> None:
    """Whatever JSON can write comes back the same, with its type, and every value of it is marked."""
    document = load(json.dumps(data), "f")
    assert document.data == data
    assert repr(document.data) == repr(data)
    assert () in document.marks


def test_a_key_that_stands_twice_hides_nothing() -> None:
    """Each is told with its place, the first value is kept, and what is below both is read on."""
    document = load("a: 1\nb: {c: 2, c: [3, 4]}\na: {x: 1, x: 2}\nd: 5\n", "f.yaml")
    assert document.data == {"a": 1, "b": {"c": 2}, "d": 5}
    assert [(fault.line, fault.column) for fault in document.faults] == [(2, 11), (3, 11), (3, 1)]
    assert '"a" stands here twice, first in line 1' in str(document.faults[-1])
    assert document.marks[("a",)] == (1, 4)
