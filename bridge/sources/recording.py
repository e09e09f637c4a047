"""A recording: what a GX said, as JSON lines, to be written while it says it and played back as a source.

    {"schema": "victron-bridge/recording/1", "started": "2026-01-31T12:00:00Z", "gx": "venus.local", "serial": "c0ffee"}
    {"at": 1769860800.0, "services": ["com.victronenergy.system", …]}
    {"at": …, "service": …, "root": true, "every_s": 10, "values": {…}}                    every leaf
    {"at": …, "service": …, "root": true, "every_s": 10, "changed": {…}, "removed": […]}   against its last root page
    {"at": …, "service": …, "root": false, "every_s": 60, "values": {…}}                   single leafs
    {"at": …, "online": false}                                                             the GX stopped to answer

Laws: every page that was written is read back with the same values; every line is JSON (a NaN is written as
`{"$number": "NaN"}`); a file that was cut off in its last line is good up to there.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from io import BufferedReader
from typing import Any, NamedTuple

from bridge.errors import ConfigError
from bridge.model import Page
from bridge.sources.base import Poll

SCHEMA = "victron-bridge/recording/1"
_NUMBER = "$number"  # stands for a float that JSON cannot say
_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MAX_LINE = 40_000_000  # bytes; an answer of the GX is at most 5 MB, escapes make it longer
_GZIP_MAGIC = b"\x1f\x8b"
_LATEST = 253402300799  # the last second of the year 9999


class Encoder:
    """Turns pages into lines, without the line break. Of a root that is known, only the changes are written."""

    def __init__(self) -> None:
        self._roots: dict[str, Mapping[str, Any]] = {}

    def header(self, started: str, gx: str, serial: str) -> str:
        """Return the first line: when (ISO 8601 in UTC), which host, and the serial of the GX or ""."""
        return _dumps({"schema": SCHEMA, "started": started, "gx": gx, "serial": serial})

    def services(self, names: frozenset[str], at: float) -> str:
        return _dumps({"at": round(at, 3), "services": sorted(names)})

    def offline(self, at: float) -> str:
        return _dumps({"at": round(at, 3), "online": False})

    def page(self, page: Page) -> str:
        entry = {"at": round(page.at, 3), "service": page.service, "root": page.is_root, "every_s": page.every_s}
        last = self._roots.get(page.service) if page.is_root else None
        if page.is_root:
            self._roots[page.service] = page.values
        if last is None:
            return _dumps({**entry, "values": page.values})
        changed = {path: raw for path, raw in page.values.items() if path not in last or _differs(last[path], raw)}
        removed = [path for path in last if path not in page.values]
        return _dumps({**entry, "changed": changed, **({"removed": removed} if removed else {})})


def _differs(one: Any, other: Any) -> bool:
    return type(one) is not type(other) or one != other


def _dumps(entry: Mapping[str, Any]) -> str:
    try:
        return json.dumps(entry, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_without_floats(entry), separators=(",", ":"), allow_nan=False)


def _without_floats(tree: Any) -> Any:
    """Return `tree` with the floats that JSON cannot say written as objects."""
    if isinstance(tree, Mapping):
        return {key: _without_floats(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_floats(item) for item in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return {_NUMBER: json.dumps(tree)}
    return tree


def _float_of(tree: dict[str, Any]) -> Any:
    name = tree.get(_NUMBER)
    return _FLOATS[name] if len(tree) == 1 and isinstance(name, str) and name in _FLOATS else tree


class _Entry(NamedTuple):
    """One line. `is_online` is what it tells about the GX."""

    at: float
    poll: Poll
    is_online: bool


class RecordingSource:
    """Plays a recording on its own time: each line is due at the moment at which it was written.

    Args:
        stream: the file, plain or gzip.
        name: what to call it in messages.

    Raises:
        ConfigError: here and from `poll`: this is no recording, or a line of it is damaged.
    """

    def __init__(self, stream: BufferedReader, name: str) -> None:
        self.note = ""  # a sentence about what was tolerated
        self._name = name
        self._line = 0
        self._roots: dict[str, dict[str, Any]] = {}
        self._counts: Counter[str] = Counter()
        self._is_online: bool | None = None
        self._lines = self._read_lines(stream)
        self.header = self._read_header()
        self._next = self._read_entry(-math.inf)

    # -- Source ---------------------------------------------------------------------------------------------------

    def next_due(self) -> float:
        return math.inf if self._next is None else self._next.at

    def poll(self, now: float) -> Poll:
        entry = self._next
        if entry is None or entry.at > now:
            return Poll()
        self._is_online = entry.is_online
        self._counts["pages"] += len(entry.poll.pages)
        self._next = self._read_entry(entry.at)
        return entry.poll

    def identify(self, now: float) -> str | None:
        return str(self.header.get("serial") or "") or None

    def is_online(self, now: float) -> bool | None:
        return self._is_online

    def refresh(self) -> None:
        """Change nothing: the past cannot be asked again."""

    def close(self) -> None:
        self._next = None

    def health(self) -> Mapping[str, float | int | str | None]:
        return {"pages": self._counts["pages"], "values": self._counts["values"], "lines": self._line}

    # -- lines ----------------------------------------------------------------------------------------------------

    def _read_lines(self, stream: BufferedReader) -> Iterator[bytes]:
        is_packed = stream.peek(2)[:2] == _GZIP_MAGIC
        reader = gzip.GzipFile(fileobj=stream) if is_packed else stream
        while True:
            try:
                line = reader.readline(_MAX_LINE)
            except EOFError:
                self.note = "the file ends in the middle of its compressed data; what came before was used"
                return
            except (OSError, zlib.error) as error:
                raise self._fault(f"the file cannot be read on from here: {error}") from None
            if not line:
                return
            self._line += 1
            yield line

    def _read_header(self) -> Mapping[str, Any]:
        line = next(self._lines, b"")
        try:
            header = json.loads(line)
        except (ValueError, RecursionError):
            header = None
        if not isinstance(header, dict) or header.get("schema") != SCHEMA:
            raise self._fault(f'this is no recording: its first line must be {{"schema": "{SCHEMA}", ...}}')
        return header

    def _read_entry(self, after: float) -> _Entry | None:
        for line in self._lines:
            if line.isspace():
                continue
            try:
                tree = json.loads(line, object_hook=_float_of if _NUMBER.encode() in line else None)
            except (ValueError, RecursionError):
                if not line.endswith(b"\n"):
                    self.note = f"line {self._line}, the last one, is cut off and was left out"
                    return None
                raise self._fault("this line is not JSON") from None
            entry = self._entry(tree)
            if entry.at < after:
                raise self._fault("time goes backwards here; recordings cannot be put together in one file")
            return entry
        return None

    def _entry(self, tree: Any) -> _Entry:
        at = tree.get("at") if isinstance(tree, dict) else None
        if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at <= _LATEST:
            raise self._fault('this line has no time; "at" must be Unix seconds')
        if "services" in tree:
            names = tree["services"]
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise self._fault('"services" must be a list of names')
            return _Entry(at, Poll(services=frozenset(names)), True)
        if "service" in tree:
            return _Entry(at, Poll((self._page(tree, at),)), True)
        if tree.get("online") is False:
            return _Entry(at, Poll(error="the GX stopped to answer"), False)
        raise self._fault('this line has none of "services", "service" and "online"')

    def _page(self, tree: Mapping[str, Any], at: float) -> Page:
        service, is_root, every_s = tree["service"], tree.get("root"), tree.get("every_s")
        if not isinstance(service, str) or not isinstance(is_root, bool):
            raise self._fault('"service" must be a name, "root" true or false')
        if isinstance(every_s, bool) or not isinstance(every_s, int | float) or not every_s > 0:
            raise self._fault('"every_s" must be a number of seconds')
        values = self._values(tree, service)
        self._counts["values"] += len(values)
        if is_root:
            self._roots[service] = values
        return Page(service, at, values, is_root, every_s)

    def _values(self, tree: Mapping[str, Any], service: str) -> dict[str, Any]:
        """Return the leafs of a page: as written, or the last root page of the service with its changes applied."""
        key = "values" if "values" in tree else "changed"
        values, removed = tree.get(key), tree.get("removed", [])
        if not isinstance(values, dict) or not isinstance(removed, list):
            raise self._fault('"values" or "changed" must be a map, "removed" a list')
        if key == "values":
            return values
        last = self._roots.get(service)
        if last is None or tree["root"] is False:
            raise self._fault(f"there is no earlier root page of {service} that this could change")
        gone = {path for path in removed if isinstance(path, str)}
        return {path: raw for path, raw in {**last, **values}.items() if path not in gone}

    def _fault(self, message: str) -> ConfigError:
        return ConfigError(message, self._name, max(1, self._line))
