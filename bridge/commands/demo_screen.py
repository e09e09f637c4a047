"""What the demo shows: a table of live values, the alerts that are active, and what happened lately.

On a terminal the screen is drawn anew twice a second; into a pipe, a line of values every five seconds and a line
per event. What is active comes from the retained document, not from events: an alert that flaps ends its events on
`firing`. Callbacks come from the subscriber's thread, drawing from the main thread.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bridge.commands.table import printable

ROWS = (  # topic, words, unit
    ("battery/soc", "Battery state of charge", "%"),
    ("battery/voltage", "Battery voltage", "V"),
    ("battery/power", "Battery power (+ charges)", "W"),
    ("battery/512/cell_voltage/min", "Lowest cell", "V"),
    ("battery/512/cell_voltage/max", "Highest cell", "V"),
    ("grid/power", "Grid power (+ imports)", "W"),
    ("vebus/276/ac_in/l1/voltage", "Grid voltage L1", "V"),
    ("load/power", "Loads", "W"),
    ("pv/power", "Solar power", "W"),
    ("vebus/276/state", "Inverter state", ""),
)
_LINE_EVERY_S = 5.0
_BOLD, _RED, _GREEN, _YELLOW, _OFF = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
_COLOURS = {"firing": _RED, "escalated": _RED, "resolved": _GREEN}


class Screen(Protocol):
    """Where the demo is shown."""

    def intro(self, gx: str, broker: str, port: int) -> None: ...
    def announce(self, text: str) -> None: ...
    def value(self, topic: str, payload: str) -> None: ...
    def event(self, document: Mapping[str, Any]) -> None: ...
    def active(self, alerts: Sequence[Mapping[str, Any]]) -> None: ...
    def draw(self, is_connected: bool) -> None: ...
    def outro(self) -> None: ...


class LineScreen:
    """For pipes and logs: one line per thing that happens."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._values: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._active = 0
        self._next = 0.0

    def intro(self, gx: str, broker: str, port: int) -> None:
        print(f"simulated GX at {gx}, broker {broker} at 127.0.0.1:{port}, site {self._site}")
        print(f"watch it yourself: mosquitto_sub -h 127.0.0.1 -p {port} -t 'victron/#' -v", flush=True)

    def announce(self, text: str) -> None:
        print(f"{_clock()} GX     {text}", flush=True)

    def value(self, topic: str, payload: str) -> None:
        self._values[topic] = payload

    def event(self, document: Mapping[str, Any]) -> None:
        event, severity, alert, summary = _words(document, "event", "severity", "alert", "summary")
        self._counts[event] += 1
        print(f"{_clock()} ALERT  {event} {severity} {alert}: {summary}", flush=True)

    def active(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        self._active = len(alerts)

    def draw(self, is_connected: bool) -> None:
        if time.monotonic() < self._next or "battery/soc" not in self._values:
            return
        self._next = time.monotonic() + _LINE_EVERY_S
        shown = (f"{topic} {_with_unit(self._values[topic], unit)}" for topic, _, unit in ROWS if topic in self._values)
        print(f"{_clock()} VALUES {', '.join(shown)}", flush=True)

    def outro(self) -> None:
        print(_closing(len(self._values), self._counts, self._active))


class TerminalScreen:
    """For people: a screen that is drawn over itself."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._active: Sequence[Mapping[str, Any]] = ()
        self._log: deque[str] = deque(maxlen=100)
        self._head: list[str] = []
        self._next = 0.0

    def intro(self, gx: str, broker: str, port: int) -> None:
        self._head = [
            f"{_BOLD}victron-bridge demo{_OFF}   simulated GX {gx}   broker {broker} 127.0.0.1:{port}   Ctrl-C ends",
            f"from another terminal: mosquitto_sub -h 127.0.0.1 -p {port} -t 'victron/#' -v",
        ]
        sys.stdout.write("\x1b[2J")

    def announce(self, text: str) -> None:
        with self._lock:
            self._log.append(f"{_clock()} {_YELLOW}GX: {text}{_OFF}")

    def value(self, topic: str, payload: str) -> None:
        self._values[topic] = payload

    def event(self, document: Mapping[str, Any]) -> None:
        event, alert, summary = _words(document, "event", "alert", "summary")
        with self._lock:
            self._counts[event] += 1
            self._log.append(f"{_clock()} {_COLOURS.get(event, '')}{event} {alert}: {summary}{_OFF}")

    def active(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        with self._lock:
            self._active = alerts

    def draw(self, is_connected: bool) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.5
        size = shutil.get_terminal_size()
        with self._lock:
            lines = [*self._head, "", *self._table(), "", *self._alerts(), "", f"{_BOLD}Lately{_OFF}"]
            room = max(1, size.lines - len(lines) - 1)
            lines += list(self._log)[-room:]
        visible = [f"{line}\x1b[K" for line in lines[: size.lines - 1]]
        sys.stdout.write("\x1b[H" + "\r\n".join(visible) + "\x1b[J")
        sys.stdout.flush()

    def _table(self) -> list[str]:
        status = printable(self._values.get("status", "waiting for the first values …"))
        rows = [f"{_BOLD}victron/{self._site}/{_OFF}   {status}, {len(self._values)} topics"]
        for topic, words, unit in ROWS:
            rows.append(f"  {topic:<30} {words:<28} {_with_unit(self._values.get(topic, '…'), unit):>16}")
        return rows

    def _alerts(self) -> list[str]:
        if not self._active:
            return [f"{_BOLD}Alerts{_OFF}   {_GREEN}none active{_OFF}"]
        rows = [f"{_BOLD}Alerts{_OFF}   {_RED}{len(self._active)} active{_OFF}"]
        for document in self._active:
            severity, alert, summary, action = _words(document, "severity", "alert", "summary", "action")
            rows.append(f"  {_RED}{severity:<9}{_OFF} {alert}: {summary}")
            rows.append(f"            {action}")
        return rows

    def outro(self) -> None:
        print(f"\r\n{_closing(len(self._values), self._counts, len(self._active))}")


def _words(document: Mapping[str, Any], *keys: str) -> tuple[str, ...]:
    return tuple(printable(str(document.get(key, "?")), 300) for key in keys)


def _closing(topics: int, counts: Mapping[str, int], active: int) -> str:
    events = ", ".join(f"{count} {event}" for event, count in counts.items()) or "none"
    return f"ended; {topics} topics, alert events: {events}, active now: {active}"


def _with_unit(value: str, unit: str) -> str:
    text = printable(value)
    return f"{text} {unit}" if unit and value not in ("null", "…") else text


def _clock() -> str:
    return time.strftime("%H:%M:%S")
