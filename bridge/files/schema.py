"""Checks data against a JSON Schema and says each fault in one sentence with its place.

A schema tells what would be right in the `title` of the part that failed ("a duration such as 10s, 5m or 1h"); without
one the sentence is made from the keyword. jsonschema is imported inside: `run` must not carry it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from bridge.core.nearest import nearest
from bridge.errors import ConfigError
from bridge.files import paths
from bridge.files.yaml_text import Document, Path_

_LIST_LIMIT = 12  # names told in full; more would hide the sentence
_TYPES = {
    "object": "a map of keys and values",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "empty",
}


def validate(document: Document, schema_name: str) -> list[ConfigError]:
    """Return every fault of a document, in the order of the file, keys that stand twice among them.

    Args:
        document: what `yaml_text.load` returned; an empty file counts as an empty map.
        schema_name: `settings`, `rules`, ...: the file in schemas/ without its ending.
    """
    data = {} if document.data is None else document.data
    found = [fault for error in _validator(schema_name).iter_errors(data) for fault in _faults(error)]
    errors = {_located(document, path, message, is_key) for path, message, is_key in found}
    faults = [ConfigError(message, document.file, line, column, key) for line, column, key, message in sorted(errors)]
    return sorted([*document.faults, *faults], key=lambda fault: (fault.line, fault.column))


@cache
def _validator(schema_name: str) -> Any:
    from jsonschema import Draft202012Validator

    text = (paths.schemas_directory() / f"{schema_name}.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    schema.pop("$id", None)  # jsonschema 4.17, the last that runs on a GX, resolves no reference against a URN
    return Draft202012Validator(schema)


def key_path(path: Sequence[str | int]) -> str:
    """Return a path as one writes it: `sites[1].gx`; keys that hold a dot are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "." in part:
            text += f'["{part}"]'
        else:
            text += f".{part}" if text else part
    return text


def place(document: Document, path: Path_, is_key: bool = False) -> tuple[int, int]:
    """Return line and column of a path, or of the nearest thing above it that stands in the file."""
    while True:
        found = (document.keys.get(path) if is_key else None) or document.marks.get(path)
        if found or not path:
            return found or (1, 1)
        path, is_key = path[:-1], False


def _located(document: Document, path: Path_, message: str, is_key: bool) -> tuple[int, int, str, str]:
    line, column = place(document, path, is_key)
    return line, column, key_path(path), message


_Fault = tuple[Path_, str, bool]  # where, what, and whether the key itself is meant


def _faults(error: Any) -> Iterator[_Fault]:
    """Yield what one error of jsonschema comes to: several for several unknown keys, one for a choice of forms."""
    path = tuple(error.absolute_path)
    told = _KEYWORDS.get(error.validator)
    if "propertyNames" in error.absolute_schema_path:  # the instance is the key itself
        yield (*path, error.instance), f'the key "{error.instance}" must be {_wanted(error)}', True
    elif told is not None:
        yield from told(error, path)
    elif error.validator in ("oneOf", "anyOf") and "title" not in error.schema and error.context:
        for inner in _likeliest(error):
            yield from _faults(inner)
    else:
        shown = "the value" if error.schema.get("writeOnly") else _shown(error.instance)
        yield path, f"{shown} is not right here; it must be {_wanted(error)}", False


def _likeliest(error: Any) -> Iterable[Any]:
    """Return the errors of the one form that the author probably meant: the form whose own type fits."""
    branches: dict[int, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    return min(branches.values(), key=lambda errors: (any(_is_wrong_form(e, error) for e in errors), len(errors)))


def _is_wrong_form(inner: Any, outer: Any) -> bool:
    return inner.validator == "type" and len(inner.absolute_path) == len(outer.absolute_path)


def _unknown_keys(error: Any, path: Path_) -> Iterator[_Fault]:
    known = list(error.schema.get("properties", {}))
    patterns = error.schema.get("patternProperties", {})
    for key in error.instance:
        if key in known or any(re.search(pattern, key) for pattern in patterns):
            continue
        meant = nearest(key, known)
        if meant:
            advice = f'; did you mean "{meant}"?'
        elif patterns and not known:
            advice = f"; it must be {error.schema.get('title', 'of the form ' + ' or '.join(patterns))}"
        else:
            advice = f"; known here: {_listed(known)}"
        yield (*path, key), f'the key "{key}" is not known{advice}', True


def _missing_key(error: Any, path: Path_) -> Iterator[_Fault]:
    for key in error.validator_value:
        if key not in error.instance:
            about = error.schema.get("properties", {}).get(key, {}).get("title", "")
            yield path, f'the key "{key}" is missing' + (f"; give {about}" if about else ""), False


def _too_few_keys(error: Any, path: Path_) -> Iterator[_Fault]:
    yield path, "this is empty; give it a key or leave it out", False


_KEYWORDS: dict[str, Callable[[Any, Path_], Iterator[_Fault]]] = {
    "additionalProperties": _unknown_keys,
    "unevaluatedProperties": _unknown_keys,
    "required": _missing_key,
    "minProperties": _too_few_keys,
}


def _wanted(error: Any) -> str:
    """Return what the schema asks for at the place of an error."""
    if "title" in error.schema:
        return str(error.schema["title"])
    value = error.validator_value
    if error.validator == "type":
        return " or ".join(_TYPES[name] for name in ([value] if isinstance(value, str) else value))
    if error.validator == "enum":
        meant = nearest(error.instance, [v for v in value if isinstance(v, str)]) if _is_text(error.instance) else None
        return f"one of {_listed(value)}" + (f'; did you mean "{meant}"?' if meant else "")
    return _PHRASES.get(error.validator, "as the schema says ({})").format(_shown(value))


_PHRASES = {
    "const": "{}",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters long",
    "maxLength": "at most {} characters long",
    "minItems": "a list of at least {}",
    "maxItems": "a list of at most {}",
    "uniqueItems": "a list without repetitions",
    "pattern": "of the form {}",
    "not": "something else",
}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _shown(value: object) -> str:
    """Return a value as the author would recognize it, cut to a length that fits a line."""
    if isinstance(value, Mapping):
        return "a map" if value else "an empty map"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False) if value is not None else "nothing"
    return text if len(text) <= 60 else text[:57] + '..."'


def _listed(names: Sequence[object]) -> str:
    shown = [str(name) for name in names[:_LIST_LIMIT]]
    return ", ".join(shown) + (", ..." if len(names) > _LIST_LIMIT else "")
