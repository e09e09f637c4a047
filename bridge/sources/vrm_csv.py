"""A CSV export of the VRM portal ("Advanced", "Download CSV") as a source of pages.

    ,Battery Monitor [512],Battery Monitor [512],VE.Bus System [276],…      device and instance
    Europe/Amsterdam (+02:00),State of charge,Voltage,Input power 1,…       zone of the times; measurement
    ,%,V,W,…                                                                unit
    2026-05-10 00:00:00,85.5,52.1,480,…                                     local time

An empty cell says nothing: its point was not logged then. Each value is read by itself, so one that is missing for
three rows is stale. The export does not say whether the GX answered: nothing is known of that.

Law: what `vrm_columns` does not name, or names with another unit, is left out and counted; a text that is no known
state is no value and counted, too.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import chain, islice
from typing import Any, NamedTuple

from bridge.errors import ConfigError
from bridge.model import Page
from bridge.sources.base import Poll
from bridge.sources.vrm_columns import CONVERSIONS, DEVICES, Column

_HEADER_ROWS = 3
_LOOK_ROWS = 50  # the log interval is the median of so many steps
_USUAL_STEP_S = 900.0  # of an export with one row
_DEVICE = re.compile(r"(.+?)\s*\[(\d{1,10})\]")
_OFFSET = re.compile(r"\(?(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})\)?")
_ZONE = re.compile(r"[A-Za-z]+(?:/[A-Za-z0-9_+-]+)+|UTC|GMT")


class _Cell(NamedTuple):
    """A column that is understood."""

    number: int  # of the column
    service: str
    column: Column
    factor: float


def is_vrm_header(line: str) -> bool:
    """Tell whether this is the first line of an export: names with an instance in brackets behind an empty cell."""
    cells = next(csv.reader([line]), [])
    named = sum(bool(_DEVICE.fullmatch(cell.strip())) for cell in cells[1:])
    return len(cells) > 1 and not _DEVICE.fullmatch(cells[0].strip()) and 2 * named > len(cells) - 1


class VrmCsvSource:
    """Plays an export on its own time: each row is due at its moment.

    Args:
        lines: of the file, decoded.
        name: what to call it in messages.

    Raises:
        ConfigError: here and from `poll`: this is no export, or a row of it is damaged.
    """

    def __init__(self, lines: Iterable[str], name: str) -> None:
        self._name = name
        self._line = 0
        self._refused: Counter[str] = Counter()
        self.left_out: list[str] = []  # "device: measurement" of the columns that are not understood
        self._rows = self._read_rows(lines)
        header = list(islice(self._rows, _HEADER_ROWS))
        if len(header) < _HEADER_ROWS or len(header[0]) < 2:
            raise self._fault("an export of VRM begins with three rows: devices, measurements, units")
        self._zone = _zone(header[1][0])
        self._instances: dict[str, int] = {}
        self._cells = self._understand(header)
        if not self._cells:
            raise self._fault("no column of this export is understood")
        self._last = -math.inf
        ahead = list(islice(self._timed_rows(), _LOOK_ROWS))
        steps = sorted(late[0] - early[0] for early, late in zip(ahead, ahead[1:]) if late[0] > early[0])
        self.every_s = max(1.0, steps[len(steps) // 2]) if steps else _USUAL_STEP_S
        self._timed: Iterator[tuple[float, list[str]]] = chain(ahead, self._timed_rows())
        self._is_first = True
        self._next = next(self._timed, None)

    # -- Source ---------------------------------------------------------------------------------------------------

    def next_due(self) -> float:
        return math.inf if self._next is None else self._next[0]

    def poll(self, now: float) -> Poll:
        if self._next is None or self._next[0] > now:
            return Poll()
        at, row = self._next
        self._next = next(self._timed, None)
        services = frozenset(self._instances) if self._is_first else None
        pages = self._pages(at, row)
        self._is_first = False
        return Poll(tuple(pages), services)

    def identify(self, now: float) -> str | None:
        return None

    def is_online(self, now: float) -> bool | None:
        return None

    def refresh(self) -> None:
        """Change nothing: the past cannot be asked again."""

    def close(self) -> None:
        self._next = None

    def health(self) -> Mapping[str, float | int | str | None]:
        return {
            "rows": max(0, self._line - _HEADER_ROWS),
            "columns": len(self._cells),
            "refused": self._refused.total(),
        }

    @property
    def note(self) -> str:
        """A sentence about what was left out, or nothing."""
        told = []
        if self.left_out:
            shown = ", ".join(self.left_out[:3]) + (", …" if len(self.left_out) > 3 else "")
            told.append(
                f"{len(self.left_out)} of {len(self.left_out) + len(self._cells)} columns are not understood ({shown})"
            )
        if self._refused:
            text, count = self._refused.most_common(1)[0]
            told.append(f'{self._refused.total()} cells are no value that is known, such as "{text}" ({count} times)')
        return "; ".join(told)

    # -- columns --------------------------------------------------------------------------------------------------

    def _understand(self, header: list[list[str]]) -> list[_Cell]:
        cells: list[_Cell] = []
        devices, measurements, units = header
        for index in range(1, len(devices)):
            measurement = _cell(measurements, index)
            cell = self._column(index, devices[index].strip(), measurement, _cell(units, index))
            if cell is None:
                self.left_out.append(f"{devices[index].strip()}: {measurement}")
            elif all((cell.service, cell.column.path) != (other.service, other.column.path) for other in cells):
                cells.append(cell)
        return cells

    def _column(self, index: int, device: str, measurement: str, unit: str) -> _Cell | None:
        match = _DEVICE.fullmatch(device)
        if match is None:
            return None
        name, instance = match[1], int(match[2])
        if measurement.lower() == "grid alarm" and name.lower() == "system overview":
            name = "VE.Bus System"  # the portal shows it in the overview, with the instance of the VE.Bus system
        kind, columns = DEVICES.get(name.lower(), ("", {}))
        column = columns.get(measurement.lower())
        if column is None:
            return None
        factor = 1.0 if unit in ("", column.unit) else CONVERSIONS.get((unit, column.unit))
        if factor is None:
            return None
        service = f"com.victronenergy.{kind}" if kind == "system" else f"com.victronenergy.{kind}.vrm_{instance}"
        self._instances[service] = instance
        return _Cell(index, service, column, factor)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _read_rows(self, lines: Iterable[str]) -> Iterator[list[str]]:
        reader = csv.reader(lines)
        while True:
            try:
                row = next(reader, None)
            except (csv.Error, UnicodeDecodeError) as error:
                raise self._fault(f"this row cannot be read: {error}") from None
            self._line = reader.line_num
            if row is None:
                return
            yield row

    def _timed_rows(self) -> Iterator[tuple[float, list[str]]]:
        for row in self._rows:
            if row:
                yield self._time(row[0].strip()), row

    def _time(self, text: str) -> float:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise self._fault(
                f'the row begins with "{text[:40]}", not with a time such as 2026-01-31 12:00:00'
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        at = moment.timestamp()
        if at <= self._last:  # the hour that comes twice in autumn
            at = moment.replace(fold=1).timestamp()
        if at < self._last:
            raise self._fault("time goes backwards here")
        self._last = at
        return at

    def _pages(self, at: float, row: list[str]) -> list[Page]:
        values: dict[str, dict[str, Any]] = {}
        if self._is_first:
            values = {service: {"DeviceInstance": number} for service, number in self._instances.items()}
        for cell in self._cells:
            text = _cell(row, cell.number)
            if text:
                raw = self._value(text, cell)
                values.setdefault(cell.service, {})[cell.column.path] = raw
        return [Page(service, at, leafs, False, self.every_s) for service, leafs in values.items()]

    def _value(self, text: str, cell: _Cell) -> Any:
        """Return a cell as D-Bus would say it; `[]` is "no value"."""
        try:
            number = float(text)
        except ValueError:
            code = cell.column.texts.get(text.lower())
            if code is None:
                self._refused[text[:40]] += 1
                return []
            return code
        if cell.column.texts:
            return int(number) if number.is_integer() else []
        return number * cell.factor

    def _fault(self, message: str) -> ConfigError:
        return ConfigError(message, self._name, max(1, self._line))


def _cell(row: list[str], index: int) -> str:
    return row[index].strip() if index < len(row) else ""


def _zone(text: str) -> tzinfo:
    """Return the time zone that the header names, its offset where the name is not known here, else UTC."""
    name = _ZONE.match(text.strip())
    if name is not None:
        try:
            from zoneinfo import ZoneInfo  # a GX does not have it

            return ZoneInfo(name[0])
        except (ImportError, KeyError, ValueError):
            pass
    offset = _OFFSET.search(text)
    if offset is None:
        return UTC
    ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
    return timezone(ahead if offset[1] == "+" else -ahead)
