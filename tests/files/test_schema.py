"""Tests of schema faults: each one sentence with its place, what is wrong and what would be right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.files import paths, schema
from bridge.files.yaml_text import load

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "size": {"title": "a size above zero", "type": "number", "exclusiveMinimum": 0},
        "level": {"enum": ["low", "high", 3]},
        "tags": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string", "maxLength": 3}},
        "either": {"oneOf": [{"type": "string", "minLength": 2}, {"type": "object", "required": ["a"]}]},
        "map": {"patternProperties": {"^[0-9]+$": {"type": "integer"}}, "additionalProperties": False},
        "named": {"propertyNames": {"title": "capital letters", "pattern": "^[A-Z]+$"}, "minProperties": 1},
        "secret": {"type": "string", "writeOnly": True},
        "not empty": {"type": ["integer", "null"], "minimum": 2},
    },
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def own_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test.schema.json").write_text(json.dumps(SCHEMA))
    monkeypatch.setattr(paths, "schemas_directory", lambda: tmp_path)
    schema._validator.cache_clear()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name: 1", "f:1:7: name: 1 is not right here; it must be text"),
        ("name: A", 'f:1:7: name: "A" is not right here; it must be of the form "^[a-z]+$"'),
        ("size: 1", 'f:1:1: the key "name" is missing'),
        ("name: a\nsize: 0", "f:2:7: size: 0 is not right here; it must be a size above zero"),
        ("name: a\nsize: true", "f:2:7: size: true is not right here; it must be a size above zero"),
        (
            "name: a\nlevel: hihg",
            'level: "hihg" is not right here; it must be one of low, high, 3; did you mean "high"?',
        ),
        ("name: a\nlevel: 4", "level: 4 is not right here; it must be one of low, high, 3"),
        ("name: a\ntags: []", "tags: an empty list is not right here; it must be a list of at least 1"),
        ("name: a\ntags: [a, a]", "tags: a list is not right here; it must be a list without repetitions"),
        ("name: a\ntags:\n  - abcd", 'f:3:5: tags[0]: "abcd" is not right here; it must be at most 3 characters long'),
        ("name: a\neither: x", 'f:2:9: either: "x" is not right here; it must be at least 2 characters long'),
        ("name: a\neither: {b: 1}", 'f:2:9: either: the key "a" is missing'),
        ("name: a\nmap: {1: 2, x: 3}", 'f:2:13: map.x: the key "x" is not known; it must be of the form ^[0-9]+$'),
        ("name: a\nmap: {1: y}", 'f:2:10: map.1: "y" is not right here; it must be a whole number'),
        ("name: a\nnamed: {ab: 1}", 'f:2:9: named.ab: the key "ab" must be capital letters'),
        ("name: a\nnamed: {}", "f:2:8: named: this is empty; give it a key or leave it out"),
        ("name: a\nsecret: 4711", "f:2:9: secret: the value is not right here; it must be text"),
        ("name: a\nnane: 1", 'f:2:1: nane: the key "nane" is not known; did you mean "name"?'),
        ("name: a\nnot empty: x", 'f:2:12: not empty: "x" is not right here; it must be a whole number or empty'),
        ("name: a\nnot empty: 1", "f:2:12: not empty: 1 is not right here; it must be at least 2"),
        ("[]", "f:1:1: an empty list is not right here; it must be a map of keys and values"),
        ("", 'f:1:1: the key "name" is missing'),
    ],
)
def test_each_fault_is_one_sentence(text: str, fault: str) -> None:
    """One mistake gives one error that names its place and what would be right."""
    (error,) = schema.validate(load(text, "f"), "test")
    assert str(error).endswith(fault)


def test_faults_come_in_the_order_of_the_file() -> None:
    """Many mistakes are all told, from top to bottom."""
    errors = schema.validate(load("x1: 1\nsize: 0\nlevel: no\nname: 1\n", "f"), "test")
    assert [error.line for error in errors] == [1, 2, 3, 4]


def test_a_faultless_document_has_no_faults() -> None:
    """What fits the schema gives an empty list."""
    assert schema.validate(load("name: a\neither: {a: 1}\nnot empty:\n", "f"), "test") == []


def test_long_values_are_cut() -> None:
    """A value of any length leaves the sentence readable."""
    (error,) = schema.validate(load(f"name: {'A' * 500}", "f"), "test")
    assert len(error.message) < 150


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a",), "a"),
        (("a", "b"), "a.b"),
        (("a", 1, "b"), "a[1].b"),
        (("p", "battery.soc"), 'p["battery.soc"]'),
    ],
)
def test_key_paths_read_as_one_writes_them(path: tuple[str | int, ...], text: str) -> None:
    """A path is dotted, with indices in brackets and dotted keys in quotes."""
    assert schema.key_path(path) == text
