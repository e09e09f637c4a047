"""`victron-bridge replay`: run the rules over a recording, on the recording's own time.

The walk is that of `run` (see `playback`); this picks what a person wants to see of it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from bridge.commands.played import Played, SilentSink, open_recording
from bridge.commands.rule_choice import add_rule_choice
from bridge.commands.table import printable
from bridge.core.nearest import nearest
from bridge.core.values import iso_time
from bridge.model import Message
from bridge.playback import Playback

EPILOG = """\
examples:
  victron-bridge replay gx.jsonl.gz                                    the packs of `run`
  victron-bridge replay gx.jsonl.gz --rules my.yaml --pack essential   only these
  victron-bridge replay gx.jsonl.gz --points battery.soc 'battery.*.cell_voltage.*'

Times are those of the recording (UTC). Nothing is published, no state is kept. `record` makes recordings.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `replay`."""
    parser.epilog = EPILOG
    parser.add_argument("file", metavar="FILE", help="a recording, plain or gzip; - is standard input")
    add_rule_choice(parser)
    parser.add_argument(
        "--points", nargs="+", action="extend", default=[], metavar="NAME", help="show these points, too; * matches"
    )
    parser.add_argument("--json", action="store_true", help="write one JSON document")


def run(args: argparse.Namespace) -> int:
    """Replay a recording; alerts are no fault, so the exit code is 0.

    Raises:
        ConfigErrors: all mistakes of the rules.
        ConfigError: the file is no recording, or is damaged.
    """
    with open_recording(args, args.file) as played:
        prefix = f"{played.parts.base_topic}/{played.name}/"
        sink = _Sink(prefix, args.points, None if args.json else print)
        replay = _Replay(played, sink)
        replay.run()
    if args.json:
        print(json.dumps(replay.document(), ensure_ascii=False, indent=2))
    else:
        print(replay.summary())
    for text in sink.unmatched():
        print(f"victron-bridge: {text}", file=sys.stderr)
    return 0


class _Replay(Playback):
    """A recording played to a person."""

    def __init__(self, played: Played, sink: _Sink) -> None:
        super().__init__(played.parts, played.name, played.source, sink)
        self._name = played.name
        self._recording = played.source
        self._picked = sink

    def summary(self) -> str:
        """Return what happened in one line."""
        if self.began_at == math.inf:
            return "the recording is empty"
        health = self._recording.health()
        events = self._picked.counts
        told = ", ".join(f"{count} {event}" for event, count in sorted(events.items())) or "none"
        text = f"{_span(self.now - self.began_at)} from {iso_time(self.began_at)}: {health['pages']} pages, "
        text += f"{health['values']} values, {len(self.normalizer.devices.online)} devices; events: {told}"
        firing = self._still("firing")
        return text + (f"; still firing: {', '.join(firing)}" if firing else "")

    def document(self) -> dict[str, Any]:
        """Return everything that happened as one document."""
        is_empty = self.began_at == math.inf
        return {
            "site": self._name,
            "recording": dict(self._recording.header),
            "from": None if is_empty else iso_time(self.began_at),
            "to": None if is_empty else iso_time(self.now),
            **{key: value for key, value in self._recording.health().items() if key in ("pages", "values")},
            "note": self._recording.note or None,
            "events": self._picked.events,
            "points": self._picked.points,
            "firing": self._still("firing"),
            "pending": self._still("pending"),
        }

    def _still(self, phase: str) -> list[str]:
        return sorted(alert.id for alert in self.engine.alerts() if alert.phase == phase)


def _span(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours} h {minutes:02} min {seconds:02.0f} s" if hours else f"{minutes} min {seconds:02.0f} s"


class _Sink(SilentSink):
    """Picks events, and the points that somebody wants to see, out of what `run` would have published."""

    def __init__(self, prefix: str, wanted: Sequence[str], show: Callable[[str], None] | None) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self.points: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self._prefix = prefix
        self._patterns = [name.replace(".", "/") for name in wanted]
        self._show = show
        self._met: set[str] = set()  # names of all points, once somebody asked for any

    def unmatched(self) -> Iterator[str]:
        """Yield a sentence for each name that no point of the recording had."""
        for pattern in self._patterns:
            if not any(fnmatchcase(name, pattern) for name in self._met):
                wanted = pattern.replace("/", ".")
                meant = nearest(wanted, [name.replace("/", ".") for name in self._met])
                advice = f'; did you mean "{meant}"?' if meant else "; `discover` lists the points of a GX"
                yield f'--points: no point of the recording matches "{wanted}"{advice}'

    def publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            name = message.topic.removeprefix(self._prefix)
            if self._patterns:
                self._met.add(name)
            if name == "alerts" and not message.retain:
                self._event(json.loads(message.payload))
            elif any(fnmatchcase(name, pattern) for pattern in self._patterns):
                self._point(name, message)

    def _event(self, event: dict[str, Any]) -> None:
        self.counts[event["event"]] += 1
        if self._show is None:
            self.events.append(event)
            return
        device = event["device"]
        where = f"{device['class']}/{device['instance']}" if device else "-"
        value = "-" if event["value"] is None else _shown(event["value"])
        columns = (
            f"{event['event']:12}",
            f"{event['severity']:8}",
            f"{event['alert']:32}",
            f"{where:14}",
            f"{value:>9}",
        )
        self._show(f"{_moment(event['ts'])}  {' '.join(columns)}  {printable(event['summary'], 100)}")

    def _point(self, name: str, message: Message) -> None:
        if self._show is None:
            self.points.append({"at": iso_time(message.at), "point": name, "payload": message.payload})
        else:
            self._show(f"{_moment(iso_time(message.at))}  {name} {printable(message.payload, 100)}")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _moment(iso: str) -> str:
    """Return an ISO time in one width: milliseconds only belong to some."""
    return iso[:19].replace("T", " ")
