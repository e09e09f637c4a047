"""What a backtest reads: recordings, exports of VRM, and what the bridge has published, told apart by their content.

A feed gives samples and reads at their time, as the engine wants them, and knows which devices are there.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Set
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, cast

from bridge.commands.backtest_history import HistoryFeed, Names, site_online
from bridge.core.normalize import Normalizer
from bridge.core.points import PointIndex
from bridge.errors import ConfigError
from bridge.model import Device, Read, Sample
from bridge.site import SiteParts
from bridge.sources.base import Source
from bridge.sources.recording import SCHEMA, RecordingSource
from bridge.sources.vrm_csv import VrmCsvSource, is_vrm_header

RECORDING, HISTORY, VRM = "recording", "history", "VRM export"
_GZIP_MAGIC = b"\x1f\x8b"
_HEAD = 1_000_000  # bytes of the first line; the header of a VRM export with thousands of columns is shorter
_HEADS = 5  # lines of which one must be a message: a log may begin in the middle of a line
_KINDS = "a recording, what the bridge published as JSON lines, or a CSV export of VRM"


class Feed(Protocol):
    """Values in the order of time. `next_due` raises ConfigError for damage."""

    @property
    def online(self) -> Set[Device]: ...
    @property
    def is_online(self) -> bool | None: ...
    def next_due(self) -> float: ...
    def read(self, now: float) -> tuple[list[Sample], list[Read]]: ...
    def note(self) -> str: ...


class Input(NamedTuple):
    """A site in a file."""

    path: str
    kind: str
    site: str  # of a history, which may hold several; else ""

    def __str__(self) -> str:
        return f"{self.path} ({self.site})" if self.site else self.path


class PageFeed:
    """A source of pages, normalized: the first half of `cycle`'s walk."""

    def __init__(self, source: Source, parts: SiteParts, note: Callable[[], str]) -> None:
        self._source = source
        self._normalizer = Normalizer(parts.catalogue, parts.intervals, parts.publish_raw)
        self.online = self._normalizer.devices.online
        self.is_online: bool | None = None
        self.note = note

    def next_due(self) -> float:
        return self._source.next_due()

    def read(self, now: float) -> tuple[list[Sample], list[Read]]:
        poll = self._source.poll(now)
        samples: list[Sample] = []
        reads: list[Read] = []
        batches = [self._normalizer.page(page) for page in poll.pages]
        if poll.services is not None:
            batches.append(self._normalizer.services(poll.services, now))
        is_online = self._source.is_online(now)
        if is_online is not None and is_online is not self.is_online:
            self.is_online = is_online
            samples.append(site_online(is_online, now))
        for batch in batches:
            samples += batch.samples
            reads += batch.reads
        return samples, reads


def inputs_of(names: Collection[str], base_topic: str, points: PointIndex) -> tuple[list[Input], list[str]]:
    """Return the sites in all files, those in directories too, and what is wrong with the others.

    Args:
        names: of files and directories.
        base_topic: of what the bridge published.
        points: which points there are; a topic that is none makes no site.
    """
    files: list[Path] = []
    inputs: list[Input] = []
    faults: list[str] = []
    for name in names:
        path = Path(name)
        found = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
        files += found
        if not found:
            faults.append(f"{name}: there is no file in this directory")
    for file in dict.fromkeys(files):
        try:
            inputs += _sites_of(str(file), base_topic, points)
        except ConfigError as error:
            faults.append(str(error))
    return inputs, faults


def _sites_of(path: str, base_topic: str, points: PointIndex) -> list[Input]:
    with _opened(path) as stream:
        kind = _kind_of(stream, path)
    if kind != HISTORY:
        return [Input(path, kind, "")]
    with _opened(path) as stream:
        sites = HistoryFeed.sites(_lines(stream, path), base_topic, points)
    if not sites:
        raise ConfigError(f'no topic in it is a point of a site below "{base_topic}/" (see --base-topic)', path)
    return [Input(path, kind, site) for site in sites]


def _kind_of(stream: IO[bytes], path: str) -> str:
    try:
        filled = (line for line in iter(lambda: stream.readline(_HEAD), b"") if not line.isspace())
        heads = [line.decode("utf-8-sig", "replace") for line in islice(filled, _HEADS)]
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"the file cannot be read: {error}", path) from None
    first = _tree(heads[0]) if heads else {}
    if str(first.get("schema", "")).rpartition("/")[0] == SCHEMA.rpartition("/")[0]:
        return RECORDING
    if any(isinstance(_tree(head).get("topic"), str) for head in heads):
        return HISTORY
    if heads and is_vrm_header(heads[0]):
        return VRM
    raise ConfigError(f"this is none of: {_KINDS}", path, 1)


def _tree(line: str) -> dict[str, Any]:
    try:
        tree = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


@contextmanager
def feed_of(one: Input, parts: SiteParts) -> Iterator[tuple[str, Feed]]:
    """Open an input; return the name of its site and its feed.

    Raises:
        ConfigError: its head is damaged.
    """
    if one.kind == RECORDING:
        with open(one.path, "rb") as stream:
            recording = RecordingSource(stream, one.path)
            name = parts.name or (recording.identify(0.0) or "recording").lower()
            yield name, PageFeed(recording, parts, lambda: recording.note)
        return
    with _opened(one.path) as packed:
        lines = _lines(packed, one.path)
        if one.kind == VRM:
            export = VrmCsvSource(lines, one.path)
            yield parts.name or "vrm", PageFeed(export, parts, lambda: export.note)
        else:
            records = [rule.derived for rule in parts.program.derived if rule.is_record]
            computed = frozenset((record.each or "", record.name) for record in records)
            names = Names(PointIndex(parts.catalogue), computed)
            stale_after_s = 3 * parts.format.refresh_s
            yield one.site, HistoryFeed(lines, one.path, f"{parts.base_topic}/", one.site, names, stale_after_s)


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """Open a file, unpacked when it is packed."""
    try:
        with open(path, "rb") as stream:
            is_packed = stream.peek(2)[:2] == _GZIP_MAGIC
            yield cast(IO[bytes], io.BufferedReader(gzip.GzipFile(fileobj=stream))) if is_packed else stream
    except OSError as error:
        raise ConfigError(f"the file cannot be read: {(error.strerror or str(error)).lower()}", path) from None


def _lines(stream: IO[bytes], path: str) -> Iterator[str]:
    """Yield the lines as text; packed data that was cut off ends them."""
    encoding = "utf-8-sig"
    while True:
        try:
            line = stream.readline()
        except EOFError:
            return
        except zlib.error as error:
            raise ConfigError(f"the compressed data is damaged: {error}", path) from None
        if not line:
            return
        yield line.decode(encoding, "replace")
        encoding = "utf-8"
