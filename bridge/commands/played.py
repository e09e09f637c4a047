"""What commands that play a recording share: its file, the rules and name of its site, a sink that is silent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from typing import Any, NamedTuple

from bridge.assemble import Assembly
from bridge.clock import SteadyClock
from bridge.commands.arguments import compiled_for, settings_of
from bridge.commands.rule_choice import site_with_rules
from bridge.errors import ConfigError
from bridge.model import Message
from bridge.sinks.base import Request
from bridge.site import SiteParts
from bridge.sources.recording import RecordingSource

_NAMELESS = "recording"  # the site of a recording whose GX told no serial


class Played(NamedTuple):
    """A recording that is open, and the site that it is played as."""

    parts: SiteParts
    name: str
    source: RecordingSource


@contextmanager
def open_recording(args: argparse.Namespace, file: str) -> Iterator[Played]:
    """Open a recording with the rules that the arguments choose (`rule_choice`); at the end tell what is odd about it.

    Raises:
        ConfigErrors: all mistakes of the rules.
        ConfigError: the file is no recording.
    """
    settings = settings_of(args)
    site = site_with_rules(settings, args)
    parts = Assembly(settings, compiled_for([site]), SteadyClock()).site(site)
    with _opened(file) as stream:
        source = RecordingSource(stream, file)
        yield Played(parts, parts.name or (source.identify(0.0) or _NAMELESS).lower(), source)
    if source.note:
        print(f"victron-bridge: {file}: {source.note}", file=sys.stderr)


@contextmanager
def _opened(name: str) -> Iterator[BufferedReader]:
    if name == "-":
        yield sys.stdin.buffer  # type: ignore[misc]
        return
    try:
        stream = open(name, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise ConfigError(f"the file cannot be read: {(error.strerror or str(error)).lower()}", name) from None
    with stream:
        yield stream


class SilentSink:
    """Publishes nothing, hears nobody and waits for nothing."""

    def __init__(self) -> None:
        self.wall_offset_s = 0.0  # a recording holds wall times

    def publish(self, messages: Sequence[Message]) -> None:
        """Drop everything."""

    def subscribe(self, topic: str, handler: Callable[[Request], None]) -> None:
        """Hear nothing."""

    def start(self) -> None:
        """Connect to nothing."""

    def stop(self, timeout_s: float) -> list[Message]:
        return []

    def health(self) -> Mapping[str, Any]:
        return {}
