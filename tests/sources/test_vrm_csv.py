"""Exports of VRM: every column that is named is a point of the catalogue, and nothing else is guessed."""

from __future__ import annotations

import math

import pytest

from bridge.core.catalogue import Catalogue
from bridge.errors import ConfigError
from bridge.model import Kind, Page
from bridge.sources.vrm_columns import DEVICES, Column
from bridge.sources.vrm_csv import VrmCsvSource, is_vrm_header
from tests.catalogue import documents

HEADER = [
    ",Battery Monitor [512],Battery Monitor [512],VE.Bus System [276],System overview [276],System overview [0]",
    "Europe/Berlin (+02:00),State of charge,Time to go,VE.Bus state,Grid alarm,Grid L1",
    ",%,h,,,W",
]


def opened(*rows: str, header: list[str] = HEADER) -> VrmCsvSource:
    return VrmCsvSource([line + "\n" for line in (*header, *rows)], "test.csv")


def played(source: VrmCsvSource) -> list[Page]:
    found: list[Page] = []
    while (due := source.next_due()) < math.inf:
        found += source.poll(due).pages
    return found


COLUMNS = sorted(
    {(kind, column.path): column for kind, columns in DEVICES.values() for column in columns.values()}.items()
)


@pytest.mark.parametrize(("place", "column"), COLUMNS, ids=[f"{kind}-{path}" for (kind, path), _ in COLUMNS])
def test_every_column_is_a_point_of_that_unit(place: tuple[str, str], column: Column) -> None:
    """The catalogue knows the path, in the unit that is promised; texts are its labels' numbers."""
    leaf = Catalogue(documents()).get(place[0]).resolve(column.path)
    assert leaf is not None
    spec, _ = leaf
    assert spec.unit == column.unit
    if column.texts:
        assert spec.kind in (Kind.ENUM, Kind.ALARM, Kind.BOOL, Kind.INT)
        assert not spec.labels or set(column.texts.values()) <= set(spec.labels)


def test_cells_become_leafs_of_services() -> None:
    """Local time, converted units, texts of states and of the grid alarm; an empty cell is no leaf."""
    first, *rest = played(
        opened("2026-07-01 12:00:00,85.5,2.5,Inverting,Grid ok,-120", "2026-07-01 12:01:00,,,Bulk,Grid lost,")
    )
    assert first.at == 1782900000.0  # 10:00 UTC
    pages = [first, *rest]
    told = [(page.service.removeprefix("com.victronenergy."), dict(page.values), page.is_root) for page in pages]
    assert told == [
        ("battery.vrm_512", {"DeviceInstance": 512, "Soc": 85.5, "TimeToGo": 9000.0}, False),
        ("vebus.vrm_276", {"DeviceInstance": 276, "State": 9, "Alarms/GridLost": 0}, False),
        ("system", {"DeviceInstance": 0, "Ac/Grid/L1/Power": -120.0}, False),
        ("vebus.vrm_276", {"State": 3, "Alarms/GridLost": 2}, False),
    ]
    assert {page.every_s for page in pages} == {60.0}


@pytest.mark.parametrize(
    ("zone", "utc"),
    [
        ("Europe/Berlin (+02:00)", 10.0),
        ("Nowhere/City (+05:30)", 6.5),
        ("(-03:00)", 15.0),
        ("UTC", 12.0),
        ("timestamp", 12.0),
        ("", 12.0),
    ],
)
def test_times_are_local(zone: str, utc: float) -> None:
    """The zone is that of the header by its name, else by its offset, else UTC."""
    header = [HEADER[0], HEADER[1].replace("Europe/Berlin (+02:00)", zone), HEADER[2]]
    assert opened("2026-07-01 12:00:00,80", header=header).next_due() == 1782864000.0 + utc * 3600


def test_the_hour_that_comes_twice_goes_on() -> None:
    """In the night in which clocks are set back, 02:30 comes an hour after 02:30."""
    rows = [f"2026-10-25 {time}:00,80" for time in ("01:30", "02:30", "02:30", "03:30")]
    source = opened(*rows)
    times = []
    while source.next_due() < math.inf:
        times.append(source.next_due())
        source.poll(math.inf)
    assert [late - early for early, late in zip(times, times[1:])] == [3600.0, 3600.0, 3600.0]
    rows = [f"2026-10-25 {time}:00,80" for time in ("02:30", "02:45", "02:00", "02:15", "03:00")]
    pages = [page for page in played(opened(*rows)) if "Soc" in page.values]
    assert [page.at - pages[0].at for page in pages] == [0.0, 900.0, 1800.0, 2700.0, 5400.0]


def test_what_is_not_understood_is_counted() -> None:
    """Other devices, other measurements and other units are left out; a strange text is no value."""
    header = [
        ",Battery Monitor [512],Battery Monitor [512],Gateway [0],Battery Monitor [512],Battery Monitor [512]",
        "UTC,State of charge,Luck,Firmware,Battery temperature,Low voltage alarm",
        ",%,,,F,",
    ]
    source = opened("2026-07-01 12:00:00,80,7,v3,70,Strange", header=header)
    (page,) = played(source)
    assert page.values == {"DeviceInstance": 512, "Soc": 80.0, "Alarms/LowVoltage": []}
    assert source.left_out == [
        "Battery Monitor [512]: Luck",
        "Gateway [0]: Firmware",
        "Battery Monitor [512]: Battery temperature",
    ]
    assert source.note == (
        "3 of 5 columns are not understood (Battery Monitor [512]: Luck, Gateway [0]: Firmware, "
        'Battery Monitor [512]: Battery temperature); 1 cells are no value that is known, such as "Strange" (1 times)'
    )


def test_it_is_a_source() -> None:
    """Nothing comes before its time; services are listed once; whether the GX answered is not known."""
    source = opened("2026-07-01 12:00:00,80", "2026-07-01 12:15:00,81")
    due = source.next_due()
    assert source.poll(due - 1).pages == ()
    assert source.poll(due).services == {
        "com.victronenergy.battery.vrm_512",
        "com.victronenergy.vebus.vrm_276",
        "com.victronenergy.system",
    }
    assert (source.every_s, source.poll(math.inf).services, source.next_due()) == (900.0, None, math.inf)
    assert (source.is_online(due), source.identify(due)) == (None, None)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "begins with three rows"),
        (HEADER[:2], "begins with three rows"),
        ([",Gateway [0]", "UTC,Firmware", ","], "no column of this export is understood"),
        ([*HEADER, "yesterday,80"], 'test.csv:4: the row begins with "yesterday"'),
        ([*HEADER, "2026-07-01 12:00:00,80", "2026-07-01 11:00:00,80"], "test.csv:5: time goes backwards"),
    ],
)
def test_damage_is_named(lines: list[str], message: str) -> None:
    """With file and line."""
    with pytest.raises(ConfigError) as caught:
        played(VrmCsvSource([line + "\n" for line in lines], "test.csv"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "is_header"),
    [
        (HEADER[0], True),
        ('"timestamp","Battery Monitor [512]","VE.Bus System [276]"', True),
        ("time,soc,voltage", False),
        ("Battery Monitor [512]", False),
        ("", False),
        ("hello", False),
    ],
)
def test_the_first_line_tells(line: str, is_header: bool) -> None:
    """Names with an instance in brackets behind a cell of another kind."""
    assert is_vrm_header(line) is is_header


def test_names_are_in_lower_case() -> None:
    """Texts are compared in lower case, so the table must be in lower case."""
    every: list[Column] = [column for _, columns in DEVICES.values() for column in columns.values()]
    assert all(text == text.lower() for column in every for text in column.texts)
    assert all(name == name.lower() for name in DEVICES)
