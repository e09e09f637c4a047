"""YAML text to plain data, with the place of every key and value.

Law: only what JSON can say comes out (null, true, false, numbers, text, lists, maps with text keys), by the core
schema of YAML 1.2: `no` and `10:30` are text, not a bool and a number. Input is bounded in size, depth and number of
nodes (aliases counted each time they are used) before anything is built. Every fault is a ConfigError with its place;
one that leaves the rest readable, a key that stands twice, is kept with the document, for `schema.validate` to tell.

The parser is read event by event and nodes are our own, so nothing recurses deeper than DEPTH_LIMIT and no tag can
construct anything. PyYAML is imported inside the functions: `run` must not carry it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bridge.errors import ConfigError

Path_ = tuple[str | int, ...]
Marks = dict[Path_, tuple[int, int]]

SIZE_LIMIT_BYTES = 1_000_000  # our largest file has 150 kB; more is not written by hand
DEPTH_LIMIT = 50
NODE_LIMIT = 200_000
_FAULT_LIMIT = 100

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_BASED = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_TAG = "tag:yaml.org,2002:"
_TAGS = {"scalar": ("", "!", _TAG + "str"), "list": ("", "!", _TAG + "seq"), "map": ("", "!", _TAG + "map")}


class Document(NamedTuple):
    """A file as data. `marks` holds the (line, column) of every value, `keys` of every key, by the path to it.

    A list or map that starts on a later line than its key is marked at its key: that is where one looks for it.
    `faults` are keys that stand twice; the first of each is in `data`.
    """

    data: Any
    marks: Marks
    keys: Marks
    file: str
    faults: tuple[ConfigError, ...] = ()


class _Node(NamedTuple):
    kind: str  # scalar, list, map
    value: Any  # scalar: data; list: [_Node]; map: [(key, key line, key column, _Node)]
    line: int
    column: int


def read(path: Path, file: str = "") -> str:
    """Return the text of a file.

    Args:
        path: which file.
        file: the name that errors call it, by default the path.

    Raises:
        ConfigError: it is missing, may not be read, is no UTF-8 or larger than SIZE_LIMIT_BYTES.
    """
    file = file or str(path)
    try:
        with open(path, "rb") as stream:
            data = stream.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"the file cannot be read: {(error.strerror or str(error)).lower()}", file) from None
    if len(data) > SIZE_LIMIT_BYTES:
        raise ConfigError(f"the file is larger than {SIZE_LIMIT_BYTES // 1000} kB", file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("the file is not UTF-8; save it with that encoding", file, line, 1) from None


def load_file(path: Path, file: str = "") -> Document:
    """Read and load a YAML file; see `read` and `load`."""
    return load(read(path, file), file or str(path))


def load(text: str, file: str) -> Document:
    """Return the data of one YAML document; an empty one is None.

    Args:
        text: the whole file.
        file: its name, for errors.

    Raises:
        ConfigError: the first syntax error, or what stands against the law of this module.
    """
    if len(text) > SIZE_LIMIT_BYTES:
        raise ConfigError(f"the text is larger than {SIZE_LIMIT_BYTES // 1000} kB", file)
    composer = _Composer(file)
    root = composer.compose(_events(text, file))
    if root is None:
        return Document(None, {(): (1, 1)}, {}, file)
    document = Document(None, {}, {}, file, tuple(composer.faults))
    return document._replace(data=_Builder(document).build(root, (), (root.line, root.column)))


def _events(text: str, file: str) -> Iterator[Any]:
    """Yield the parser's events, its errors in our words."""
    import yaml

    try:
        # The loaders differ in speed only (the C one is four times as fast); their marks are the same.
        yield from yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(text, file, error) from None
    except yaml.reader.ReaderError as error:
        line, column = _place_of_unprintable(text)
        code = ord(error.character) if isinstance(error.character, str) else error.character
        message = f"the character U+{code:04X} may not stand in YAML; delete it"
        raise ConfigError(message, file, line, column) from None


def _syntax_error(text: str, file: str, error: Any) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    lines = text.split("\n")
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    indent = written[: len(written) - len(written.lstrip())]
    if "\t" in indent:
        return ConfigError("a tab indents this line; YAML wants spaces", file, line, indent.index("\t") + 1)
    context = f" {error.context}" if error.context else ""
    advice = "; put text that holds `: `, `#`, `{` or `[` in quotes" if ":" in written else ""
    return ConfigError(f"not valid YAML:{context}, {error.problem}{advice}".replace(":,", ":"), file, line, column)


def _place_of_unprintable(text: str) -> tuple[int, int]:
    found = re.search(r"[^\t\n\r\x20-\x7E\x85\xA0-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]", text)
    before = text[: found.start()] if found else ""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class _Composer:
    """Events to nodes; an alias is the anchored node itself."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._anchors: dict[str, _Node | None] = {}
        self._nodes = 0
        self.faults: list[ConfigError] = []

    def compose(self, events: Iterator[Any]) -> _Node | None:
        root: _Node | None = None
        for event in events:
            name = type(event).__name__
            if name == "DocumentStartEvent" and root is not None:
                raise self._fault(event, "a second document starts here; a file holds one")
            if name in ("ScalarEvent", "SequenceStartEvent", "MappingStartEvent", "AliasEvent"):
                root = self._node(event, events, 1)
        return root

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> _Node:
        name = type(event).__name__
        if name == "AliasEvent":
            return self._aliased(event)
        self._nodes += 1
        if self._nodes > NODE_LIMIT:
            raise self._fault(event, f"the file holds more than {NODE_LIMIT} values")
        if depth > DEPTH_LIMIT:
            raise self._fault(event, f"lists and maps are nested deeper than {DEPTH_LIMIT} levels")
        if event.anchor:
            self._anchors[event.anchor] = None
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if name == "ScalarEvent":
            node = _Node("scalar", self._scalar(event), line, column)
        elif name == "SequenceStartEvent":
            self._refuse_tag(event, "list")
            node = _Node("list", list(self._items(events, depth)), line, column)
        else:
            self._refuse_tag(event, "map")
            node = _Node("map", list(self._entries(events, depth)), line, column)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _items(self, events: Iterator[Any], depth: int) -> Iterator[_Node]:
        for event in events:
            if type(event).__name__ == "SequenceEndEvent":
                return
            yield self._node(event, events, depth + 1)

    def _entries(self, events: Iterator[Any], depth: int) -> Iterator[tuple[str, int, int, _Node]]:
        seen: dict[str, int] = {}
        for event in events:
            if type(event).__name__ == "MappingEndEvent":
                return
            key, line, column = self._key(event), event.start_mark.line + 1, event.start_mark.column + 1
            node = self._node(next(events), events, depth + 1)
            if key not in seen:
                seen[key] = line
                yield key, line, column, node
            elif len(self.faults) < _FAULT_LIMIT:
                self.faults.append(
                    self._fault(event, f'the key "{key}" stands here twice, first in line {seen[key]}; keep one')
                )

    def _key(self, event: Any) -> str:
        """Return a key as it is written: `0`, `no` and `1.5` are text here."""
        if type(event).__name__ != "ScalarEvent":
            raise self._fault(event, "a key must be text, not a list, a map or an alias")
        if event.value == "<<" and not event.style:
            raise self._fault(event, "merge keys (<<) are not supported; write the keys out")
        if event.value == "" and not event.style:
            raise self._fault(event, "a key is missing before the colon")
        return str(event.value)

    def _scalar(self, event: Any) -> Any:
        if event.implicit[0] and not event.style:
            return plain_value(event.value)
        self._refuse_tag(event, "scalar")
        return event.value

    def _refuse_tag(self, event: Any, kind: str) -> None:
        if (event.tag or "") not in _TAGS[kind]:
            tag = event.tag.replace(_TAG, "!!")
            raise self._fault(event, f"the tag {tag} is not supported; write the value without it")

    def _aliased(self, event: Any) -> _Node:
        if event.anchor not in self._anchors:
            raise self._fault(event, f"*{event.anchor} names no anchor; &{event.anchor} must stand before it")
        node = self._anchors[event.anchor]
        if node is None:
            raise self._fault(event, f"*{event.anchor} stands inside what it names")
        return node

    def _fault(self, event: Any, message: str) -> ConfigError:
        return ConfigError(message, self._file, event.start_mark.line + 1, event.start_mark.column + 1)


class _Builder:
    """Nodes to data; counts every node again each time an alias uses it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def build(self, node: _Node, path: Path_, place: tuple[int, int]) -> Any:
        self._nodes += 1
        if self._nodes > NODE_LIMIT or len(path) > DEPTH_LIMIT:
            message = f"aliases make more than {NODE_LIMIT} values or {DEPTH_LIMIT} levels of this file"
            raise ConfigError(message, self._document.file, node.line, node.column)
        self._document.marks[path] = place
        if node.kind == "scalar":
            return node.value
        if node.kind == "list":
            return [self.build(item, (*path, i), (item.line, item.column)) for i, item in enumerate(node.value)]
        data = {}
        for key, line, column, value in node.value:
            below = (*path, key)
            self._document.keys[below] = (line, column)
            is_here = value.line == line or value.kind == "scalar"
            data[key] = self.build(value, below, (value.line, value.column) if is_here else (line, column))
        return data


def plain_value(text: str) -> Any:
    """Return what an unquoted scalar means by the core schema of YAML 1.2.

    What is no finite number of a sane length stays text, so the schema that follows says what it wanted.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if len(text) <= 40 and _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
