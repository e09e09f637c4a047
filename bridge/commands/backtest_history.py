"""What the bridge has published, line by line, turned back into samples.

    {"at": 1769860800.0, "topic": "victron/home/battery/soc", "payload": "81", …}                 our own sinks
    {"tst": "2026-01-31T12:00:00.000000Z+0000", "topic": …, "payload": "81", …}                   mosquitto_sub -F %j
    {"tst": …, "topic": …, "payload": 81, …}                                                      mosquitto_sub -F %J

Points are read by their names as rules know them; status topics say which devices are there and whether the GX
answers. What rules compute themselves, documents, alerts and requests are left out.

Lines that are no message are skipped and counted: whatever writes a log may be stopped in the middle of a line.

Law: the log says when a value was published, not when it was read. A value that can be read is published again at
every refresh, so a point counts as stale when it was not published for three refresh intervals. While the bridge
itself is offline nothing is known of the GX.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from bridge.core.points import NUMBER, TEXT, TRUTH, Known, PointIndex
from bridge.errors import ConfigError
from bridge.model import Device, Kind, Point, PointSpec, Read, Sample, Tier, Value

_TOGETHER_S = 0.05  # messages of one page leave the bridge within this time
_BACK_S = 60.0  # a log whose clock was set; more is another file glued on
_DOCUMENTS = frozenset(("summary", "alerts", "request", "response", "raw"))
_OFFSET = re.compile(r"(?:Z?)([+-]\d{2}):?(\d{2})$")
_STATUS = {"online": True, "offline": False}
_SPEC = PointSpec(Kind.STRING, "", "", "", {}, Tier.CRITICAL, 0, 0.0, (), "", "", "")
_ONLINE = _SPEC._replace(kind=Kind.BOOL, point="online")
_SITE = Point("site/online", _ONLINE, None, "site")


def site_online(is_online: bool | None, at: float) -> Sample:
    """Return the sample that says whether the GX answers; None: it is not known."""
    return Sample(_SITE, is_online, at)


def presence(device: Device, is_online: bool, at: float) -> Sample:
    """Return the sample that says whether a device is on the GX."""
    return Sample(Point(f"{device.path}/online", _ONLINE, device, "presence"), is_online, at)


class _Line(NamedTuple):
    at: float
    topic: str  # below the base
    payload: Any


class _Place(NamedTuple):
    """What a topic is."""

    point: Point
    known: Known


class Names(NamedTuple):
    """Which points there are, and which the rules compute themselves: class (or ""), name below it."""

    points: PointIndex
    computed: frozenset[tuple[str, str]]


class HistoryFeed:
    """Plays one site of a log on its own time.

    Args:
        lines: of the log, decoded.
        name: what to call it in messages.
        prefix: the base topic and a slash.
        site: whose values.
        names: which points there are.
        stale_after_s: how long a point may be silent.
    """

    def __init__(
        self, lines: Iterable[str], name: str, prefix: str, site: str, names: Names, stale_after_s: float
    ) -> None:
        self.online: set[Device] = set()
        self.is_online: bool | None = None
        self._site = site
        self._names = names
        self._stale_after_s = stale_after_s
        self._places: dict[str, _Place | None] = {}
        self._unknown: Counter[str] = Counter()
        self._has_status = False
        self._is_bridge_online = True
        self._skipped: list[int] = []
        self._lines = _read_lines(lines, name, prefix, self._skipped)
        self._next = next(self._lines, None)

    @staticmethod
    def sites(lines: Iterable[str], base_topic: str, points: PointIndex) -> list[str]:
        """Return the sites of which a log has a point or a status; any other topic may be a slip of somebody."""
        pattern = re.compile(rf'"topic"\s*:\s*"{re.escape(base_topic)}/([a-z0-9][a-z0-9_-]*)/([^"]+)"')
        topics = {(match[1], match[2]) for line in lines if (match := pattern.search(line))}
        return sorted({site for site, rest in topics if _is_of_site(rest, points)} - {"bridge"})

    def next_due(self) -> float:
        return math.inf if self._next is None else self._next.at

    def read(self, now: float) -> tuple[list[Sample], list[Read]]:
        """Return what was published at `now`, and up to a moment later with it."""
        samples: list[Sample] = []
        reads: list[Read] = []
        while self._next is not None and self._next.at <= now + _TOGETHER_S:
            line, self._next = self._next, next(self._lines, None)
            self._take(line._replace(at=now), samples, reads)
        return samples, reads

    def note(self) -> str:
        """Return a sentence about what was left out, or nothing."""
        told = []
        if self._skipped:
            count = len(self._skipped)
            lines = "1 line is no message" if count == 1 else f"{count} lines are no messages"
            told.append(f"{lines} in JSON, the first is line {self._skipped[0]}")
        if self._unknown:
            shown = ", ".join(sorted(self._unknown)[:3]) + (", …" if len(self._unknown) > 3 else "")
            count = len(self._unknown)
            told.append(f"{count} topics of {self._site} are no points that rules can name, and left out ({shown})")
        return "; ".join(told)

    # -- topics ---------------------------------------------------------------------------------------------------

    def _take(self, line: _Line, samples: list[Sample], reads: list[Read]) -> None:
        head, _, rest = line.topic.partition("/")
        if head == "bridge" and rest.endswith("/status"):
            self._is_bridge_online = line.payload == "online"
            if not self._is_bridge_online:
                self._set_online(None, line.at, samples)
            return
        if head != self._site or not rest:
            return
        if rest == "status":
            self._has_status = True
            is_online = _STATUS.get(line.payload)
            self._set_online(is_online if self._is_bridge_online or is_online else None, line.at, samples)
            return
        if rest not in self._places:
            self._places[rest] = self._place(rest)
        place = self._places[rest]
        if place is None:
            self._take_presence(rest, line, samples)
            return
        self._meet(place.point.device, line.at, samples)
        value, code = _value(line.payload, place.known)
        samples.append(Sample(place.point, value, line.at, code))
        reads.append(Read(place.point.group, line.at, self._stale_after_s))

    def _place(self, rest: str) -> _Place | None:
        levels = rest.split("/")
        if levels[0] in _DOCUMENTS or levels[-1] in ("status", "info"):
            return None
        device, name = _parts(rest)
        known = _known(rest, self._names.points)
        if known is None:
            if (device.kind if device else "", name) not in self._names.computed:
                self._unknown[rest] += 1
            return None
        return _Place(Point(rest, _SPEC, device, f"history/{rest}"), known)

    def _take_presence(self, rest: str, line: _Line, samples: list[Sample]) -> None:
        levels = rest.split("/")
        if len(levels) != 3 or levels[2] != "status" or not levels[1].isdecimal() or line.payload not in _STATUS:
            return
        device = Device(levels[0], int(levels[1]))
        if _STATUS[line.payload]:
            self._meet(device, line.at, samples)
        else:
            self.online.discard(device)
            samples.append(presence(device, False, line.at))

    def _meet(self, device: Device | None, at: float, samples: list[Sample]) -> None:
        """A device that publishes is there, and so is its GX unless its status says otherwise."""
        if not self._has_status:
            self._set_online(True, at, samples)
        if device is not None and device not in self.online:
            self.online.add(device)
            samples.append(presence(device, True, at))

    def _set_online(self, is_online: bool | None, at: float, samples: list[Sample]) -> None:
        if is_online is not self.is_online:
            self.is_online = is_online
            samples.append(site_online(is_online, at))


def _parts(rest: str) -> tuple[Device | None, str]:
    """Return whose point a topic below a site is, and its name there."""
    levels = rest.split("/")
    if len(levels) > 2 and levels[1].isdecimal():
        return Device(levels[0], int(levels[1])), "/".join(levels[2:])
    return None, rest


def _known(rest: str, points: PointIndex) -> Known | None:
    device, name = _parts(rest)
    return points.of_class(device.kind, name) if device else points.site(name)


def _is_of_site(rest: str, points: PointIndex) -> bool:
    """Tell whether only a site has such a topic: a point, its status or that of a device."""
    if rest == "status" or _known(rest, points) is not None:
        return True
    device, name = _parts(rest)
    return device is not None and name == "status" and points.is_class(device.kind)


# -- lines ------------------------------------------------------------------------------------------------------------


def _read_lines(lines: Iterable[str], name: str, prefix: str, skipped: list[int]) -> Iterator[_Line]:
    """Yield the messages below the prefix; the numbers of lines that are none come into `skipped`."""
    last, torn = -math.inf, 0
    for number, text in enumerate(lines, 1):
        if torn:
            skipped.append(torn)
            torn = 0
        if text.isspace():
            continue  # mosquitto_sub -F %J writes one for a payload that is no JSON
        try:
            tree = json.loads(text)
            topic = tree["topic"]
            at = float(tree["at"]) if "at" in tree else _moment(tree["tst"])
        except (ValueError, KeyError, TypeError, RecursionError):
            torn = number  # the last line may be cut off
            continue
        if not isinstance(topic, str) or not topic.startswith(prefix):
            continue
        if at < last - _BACK_S:
            raise ConfigError("time goes backwards here; sort the lines, or give the files one by one", name, number)
        last = max(last, at)
        yield _Line(last, topic[len(prefix) :], tree.get("payload"))


def _moment(text: str) -> float:
    """Return the Unix seconds of a time as mosquitto_sub writes it: `2026-01-31T12:00:00.000000Z+0000`."""
    match = _OFFSET.search(text)
    plain = f"{text[: match.start()]}{match[1]}:{match[2]}" if match else text
    moment = datetime.fromisoformat(plain)
    return moment.timestamp()


# -- payloads ---------------------------------------------------------------------------------------------------------


def _value(payload: Any, known: Known) -> tuple[Value | None, int | None]:
    """Return the value and, where it was published, the number behind its label."""
    tree = payload
    if isinstance(payload, str) and payload.startswith("{"):
        try:
            tree = json.loads(payload)
        except (ValueError, RecursionError):
            tree = payload
    if isinstance(tree, dict) and "value" in tree and "quality" in tree:  # publish.format: json
        code = tree.get("code")
        value = _typed(tree["value"], known)
        return value, code if isinstance(code, int) and value is not None else None
    return _typed(payload, known), None


def _typed(payload: Any, known: Known) -> Value | None:
    if payload is None or payload == "null":
        return None
    type_ = known.type
    if type_ == TRUTH:
        return {"true": True, "false": False}.get(str(payload).lower())
    if type_ == TEXT:
        return payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"), sort_keys=True)
    number = _number(payload)
    if type_ == NUMBER:
        return number
    return int(number) if number is not None and number.is_integer() else str(payload)  # a label, or a number without


def _number(payload: Any) -> float | None:
    if isinstance(payload, bool):
        return None
    try:
        number = float(payload)
    except (ValueError, TypeError):
        try:
            return datetime.fromisoformat(str(payload)).timestamp()  # a point of time
        except ValueError:
            return None
    return number if math.isfinite(number) else None
