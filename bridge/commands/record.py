"""`victron-bridge record`: write what a GX says to a file, page by page, as `run` would have read it."""

from __future__ import annotations

import argparse
import gzip
import math
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from bridge.assemble import poll_intervals
from bridge.clock import SteadyClock
from bridge.commands.allowed import Allowed
from bridge.commands.arguments import (
    add_flags,
    add_site_choice,
    compiled_for,
    duration,
    one_site,
    settings_of,
    without_rules,
)
from bridge.commands.contact import explain, place_of
from bridge.core.catalogue import Catalogue
from bridge.core.normalize import Intervals, Normalizer
from bridge.core.values import iso_time
from bridge.errors import ConfigError, Garbled, Refused, SourceError
from bridge.files.settings import Site
from bridge.model import Tier
from bridge.sources.base import Poll
from bridge.sources.dbus_http import DbusHttpSource, Options
from bridge.sources.gx_api import SYSTEM, GxApi
from bridge.sources.http import open_transport
from bridge.sources.recording import Encoder

EPILOG = """\
examples:
  victron-bridge record gx.jsonl.gz --gx 192.168.1.10 --duration 1h
  victron-bridge record - --gx 192.168.1.10 | jq -c 'select(.service | strings | contains(".battery."))'
  victron-bridge replay gx.jsonl.gz                 what the rules say about it

One JSON line per answer of the GX (schemas/recording.schema.json); after the first answer of a service only what
changed. Paths that the catalogue does not know are left out unless --all is given; passwords, keys, tokens, SSIDs and
MAC addresses always are. Ctrl-C ends it; the file is valid at every moment.
"""

_FIRST_ATTEMPTS = 3
_NAP_S = 0.2  # how long a signal may wait


class File(Protocol):
    """A file of lines."""

    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `record`."""
    parser.epilog = EPILOG
    parser.add_argument("file", metavar="FILE", help="where to; compressed when it ends in .gz; - is standard output")
    add_flags(parser, "gx", "config")
    add_site_choice(parser)
    parser.add_argument("--duration", type=duration, default=math.inf, metavar="10m", help="by default until Ctrl-C")
    parser.add_argument(
        "--every", type=duration, metavar="10s", help="read every service so often, instead of as `run` would"
    )
    parser.add_argument("--all", action="store_true", help="write paths that are no point of the catalogue, too")
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def run(args: argparse.Namespace) -> int:
    """Record until the time is over or a signal comes; return 1 when the GX cannot be reached at the start.

    Raises:
        ConfigError: the file exists or cannot be made, or the configuration is wrong.
    """
    site = one_site(settings_of(args), args.chosen_site, "a recording is of one site, the config file has several")
    recorder = _Recorder(site, args.every, args.all)
    try:
        serial = recorder.identify()
    except SourceError as error:
        hop = explain(error, place_of(site.gx))
        print(f"victron-bridge: {hop.name}: {hop.seen}\n  {hop.advice}", file=sys.stderr)
        return 1
    try:
        with opened(args.file, args.force) as file:
            recorder.record(file, serial, args.duration)
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"victron-bridge: {args.file}: writing failed: {error.strerror or error}", file=sys.stderr)
        return 1
    print(f"victron-bridge: {recorder.summary(args.file)}", file=sys.stderr)
    return 0


@contextmanager
def opened(name: str, is_forced: bool) -> Iterator[File]:
    """Open a file for a recording; compressed when it ends in .gz; - is standard output.

    Raises:
        ConfigError: it exists, or cannot be made.
    """
    if name == "-":
        yield sys.stdout.buffer
        return
    try:
        file = cast(BinaryIO, open(name, "wb" if is_forced else "xb"))  # noqa: SIM115 - closed below
    except FileExistsError:
        raise ConfigError("the file exists; choose another name, or --force to overwrite it", name) from None
    except OSError as error:
        raise ConfigError(f"the file cannot be written: {(error.strerror or str(error)).lower()}", name) from None
    with file:
        if Path(name).suffix != ".gz":
            yield file
            return
        with gzip.GzipFile(filename="", fileobj=file, mode="wb") as packed:
            yield packed


class _Recorder:
    """Polls one GX as `run` would and writes what it says."""

    def __init__(self, site: Site, every_s: float | None, is_all: bool) -> None:
        site = without_rules(site)
        compiled = compiled_for([site])
        catalogue = Catalogue(compiled.documents_of(site))
        intervals = poll_intervals(site, compiled.intervals_of(site))
        if every_s is not None:
            intervals = Intervals(dict.fromkeys(Tier, every_s))
        self._site = site
        self._transport = open_transport(site.gx)
        self._clock = SteadyClock()
        plan = Normalizer(catalogue, intervals)
        self._source = DbusHttpSource(self._transport, plan, self._clock.now, Options(timeout_s=site.timeout_s))
        self._allowed = Allowed(catalogue, is_all)
        self._encoder = Encoder()
        self._counts: Counter[str] = Counter()
        self._services: set[str] = set()
        self._said = ""
        self._is_offline = False
        self._is_stopping = False

    def identify(self) -> str:
        """Return the serial of the GX, "" when it tells none.

        Raises:
            SourceError: it cannot be reached.
        """
        api = GxApi(self._transport)
        for attempt in range(1, _FIRST_ATTEMPTS + 1):
            try:
                serial = api.value(SYSTEM, "/Serial", self._site.timeout_s)
            except (Garbled, Refused):
                if attempt == _FIRST_ATTEMPTS:
                    raise
                time.sleep(_NAP_S)
            else:
                break
        return serial if isinstance(serial, str) else ""

    def record(self, file: File, serial: str, duration_s: float) -> None:
        """Write until `duration_s` is over or SIGINT or SIGTERM comes; the line that is being written is finished."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        started = self._clock.now()
        try:
            self._write(file, self._encoder.header(iso_time(started), place_of(self._site.gx).host, serial))
            while not self._is_stopping and self._clock.now() - started < duration_s:
                self._turn(file, started + duration_s)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: object) -> None:
        if self._is_stopping:
            raise KeyboardInterrupt
        self._is_stopping = True
        self._source.close()  # a request that waits is cut off

    def _turn(self, file: File, end: float) -> None:
        now = self._clock.now()
        pause_s = min(self._source.next_due(), end) - now
        if pause_s > 0:
            time.sleep(min(pause_s, _NAP_S))
        else:
            self._take(file, self._source.poll(now))
        if self._source.is_online(self._clock.now()) is not False:
            self._is_offline = False
        elif not self._is_offline and not self._is_stopping:
            self._is_offline = True
            self._write(file, self._encoder.offline(self._clock.now()))

    def _take(self, file: File, poll: Poll) -> None:
        if self._is_stopping:
            return
        if poll.error:
            self._counts["errors"] += 1
        if poll.error and poll.error != self._said:
            print(f"victron-bridge: {poll.error}", file=sys.stderr)
        self._said = poll.error
        if poll.services is not None:
            self._write(file, self._encoder.services(poll.services, self._clock.now()))
        for page in poll.pages:
            allowed = page._replace(values=self._allowed.values(page))
            self._counts["pages"] += 1
            self._counts["values"] += len(allowed.values)
            self._services.add(page.service)
            self._write(file, self._encoder.page(allowed))

    def _write(self, file: File, line: str) -> None:
        data = line.encode() + b"\n"
        file.write(data)
        file.flush()
        self._counts["bytes"] += len(data)

    def summary(self, name: str) -> str:
        counts = self._counts
        text = f"wrote {counts['pages']} pages of {len(self._services)} services with {counts['values']} values"
        left_out = ", ".join(f"{count} {why}" for why, count in self._allowed.left_out().items() if count)
        errors = f"; {counts['errors']} questions were not answered" if counts["errors"] else ""
        size = counts["bytes"]
        if name != "-":
            with suppress(OSError):
                size = Path(name).stat().st_size
        return f"{text} ({size / 1000:.0f} kB) to {name}{errors}" + (f"; left out: {left_out}" if left_out else "")
