"""Paths to points: matching, naming and what a class is built from. The documents are small and stand here."""

from __future__ import annotations

import re
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.catalogue import MAX_UNKNOWN, Catalogue, fill, point_name, point_pattern, replacements, snake_case
from bridge.model import Kind, Tier

FLOAT = {"kind": "float", "tier": "critical", "about": "a number"}
TEXT = {"kind": "string", "tier": "static", "about": "a text"}
DOCUMENTS = {
    "enums": {"enums": {"mode": {"1": "on", "4": "off"}, "bits": {"1": "low", "8": "hot"}}},
    "any": {
        "class": "any",
        "points": {
            "/Serial": {**TEXT, "point": "serial"},
            "/Devices/{device}/Serial": {**TEXT, "point": "devices/{device}/serial"},
            "/ErrorCode": {"kind": "int", "tier": "extended", "point": "error_code", "about": "an error"},
        },
    },
    "meter": {
        "class": "meter",
        "singleton": False,
        "points": {
            "/Ac/{phase}/V": {**FLOAT, "unit": "V", "point": "{phase}/voltage"},
            "/Cells/Cell{n}/Voltage": {**FLOAT, "unit": "V", "precision": 3, "point": "cells/cell{n}"},
            "/Bank/{n}/Cell/{n}": {**FLOAT, "point": "bank/{n}/cell/{n}"},
            "/Unit/{device}/{sensor}": {**FLOAT, "point": "unit/{device}/{sensor}"},
            "/Unit/{device}/Ripple": {**FLOAT, "unit": "V", "point": "unit/{device}/ripple"},
            "/Named/{name}/Label": {**TEXT, "point": "named/{name}/label"},
            "/Mode": {"kind": "enum", "labels": "mode", "tier": "extended", "point": "mode", "about": "a switch"},
            "/Alarm": {"kind": "alarm", "tier": "critical", "point": "alarm", "about": "an alarm"},
            "/ErrorCode": {"kind": "enum", "labels": {0: "none", 7: "bad"}, "tier": "health", "point": "error_code"},
            "/Limit": {**FLOAT, "unit": "V", "deadband": 0.5, "invalid": [655.35], "point": "limit"},
            "/OldMode": {"alias": "/Mode", "about": "as documents call it"},
            "/Old/{phase}": {"alias": "/Ac/{phase}/V", "about": "as documents call it"},
            "/OldVoltage": {"alias": "/Ac/L1/V", "about": "as documents call it"},
            "/Gone": {"not_on_device": "/Mode"},
            "/Hidden": {"secret": True, "about": "a number that identifies"},
            "/Text": {
                "kind": "json",
                "tier": "health",
                "about": "a report",
                "fields": [{"at": [0, "rx"], "kind": "int", "tier": "health", "point": "rx", "about": "received"}],
            },
        },
    },
    "system": {
        "class": "system",
        "singleton": True,
        "points": {"/Ac/Grid/{phase}/Power": {**FLOAT, "unit": "W", "point": "grid/{phase}/power"}},
        "sums": {"grid/power": {**FLOAT, "unit": "W", "of": ["grid/{phase}/power"]}},
    },
}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """A catalogue of three small classes."""
    return Catalogue(DOCUMENTS)


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("Ac/L2/V", "l2/voltage"),
        ("Cells/Cell14/Voltage", "cells/cell14"),
        ("Bank/2/Cell/3", "bank/2/cell/3"),
        ("Named/HQ2308C9WMH_input_1/Label", "named/hq2308c9wmh_input_1/label"),
        ("Devices/0/Serial", "devices/0/serial"),
        ("Serial", "serial"),
        ("OldMode", "mode"),
        ("Old/L3", "l3/voltage"),
        ("OldVoltage", "l1/voltage"),
    ],
)
def test_a_path_resolves_to_its_point(catalogue: Catalogue, path: str, point: str) -> None:
    """A path gives its row and the point with captured text filled in, aliases included."""
    found = catalogue.get("meter").resolve(path)
    assert found is not None and found[1] == point


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/Serial",
        "Serial/",
        "serial",
        "Ac/L4/V",
        "Ac/L1/V/x",
        "Ac/L1",
        "Ac",
        "a/+/#",
        "$SYS",
        "$SYS/broker",
        "Named/+/Label",
        "Named/#/Label",
        "Named/a b/Label",
        "Named/a\n/Label",
        "Named/\x00/Label",
        "Named/Кухня/Label",
        "Named//Label",
        "Named/../Label",
        "Devices/٣/Serial",
        "Devices/-1/Serial",
        "Devices/123456/Serial",
        "Named/" + "x" * 65 + "/Label",
        "x" * 10_000,
        "Named/" + "x" * 10_000 + "/Label",
        "/".join("x" * 100_000),
        "Named/c2e4f10a8b3d_ruuvi/Label",
        "Named/E465B8B6F444/Label",
        "Gone",
        "Hidden",
    ],
)
def test_a_path_that_no_row_allows_is_unknown(catalogue: Catalogue, path: str) -> None:
    """Hostile, malformed, absent and secret paths, and names that hold a MAC address, resolve to nothing."""
    assert catalogue.get("meter").resolve(path) is None


def test_a_long_hexadecimal_name_is_no_mac_address(catalogue: Catalogue) -> None:
    """Only twelve digits on their own are refused: a virtual device's longer id stays a name."""
    found = catalogue.get("meter").resolve("Named/virtual_6167fb1a3a50da34/Label")
    assert found is not None and found[1] == "named/virtual_6167fb1a3a50da34/label"


@given(st.text(max_size=40))
def test_whatever_a_name_holds_its_topic_is_safe(text: str) -> None:
    """Any text where a name may stand gives no point, or one whose levels hold a-z, 0-9 and _ only."""
    found = Catalogue(DOCUMENTS).get("meter").resolve(f"Named/{text}/Label")
    assert found is None or re.fullmatch(r"named/[a-z0-9_]+/label", found[1])


def test_the_template_with_more_literal_text_wins(catalogue: Catalogue) -> None:
    """`Ripple` is found by its own row although `{sensor}` would match it too, and stands before it in the file."""
    meter = catalogue.get("meter")
    ripple, other = meter.resolve("Unit/0/Ripple"), meter.resolve("Unit/0/Heat")
    assert ripple is not None and ripple[0].unit == "V"
    assert other is not None and other[0].unit == "" and other[1] == "unit/0/heat"


def test_a_class_wins_over_any(catalogue: Catalogue) -> None:
    """A class's own row replaces the row of the same path that holds for every class."""
    own, general = catalogue.get("meter").resolve("ErrorCode"), catalogue.get("unheard_of").resolve("ErrorCode")
    assert own is not None and own[0].labels == {0: "none", 7: "bad"}
    assert general is not None and general[0].kind is Kind.INT


def test_an_unknown_class_has_the_rows_of_any(catalogue: Catalogue) -> None:
    """A device of a class that nobody wrote down still has its identity."""
    assert sorted(spec.point for spec in catalogue.get("unheard_of").rows()) == [
        "devices/{device}/serial",
        "error_code",
        "serial",
    ]


def test_a_singleton_is_named_from_the_site_down(catalogue: Catalogue) -> None:
    """Own rows of a singleton are full names, those of any get its class in front."""
    system = catalogue.get("system")
    grid, serial = system.resolve("Ac/Grid/L1/Power"), system.resolve("Serial")
    assert grid is not None and grid[1] == "grid/l1/power"
    assert serial is not None and serial[1] == "system/serial"
    assert {spec.point for spec in catalogue.site_points()} >= {"grid/{phase}/power", "system/serial"}


def test_a_row_says_what_it_means(catalogue: Catalogue) -> None:
    """Labels come by name, inline or by kind; grain and sentinels from the row, else the grain from the unit."""
    specs = {spec.path: spec for spec in catalogue.get("meter").rows()}
    assert specs["/Mode"].labels == {1: "on", 4: "off"}
    assert specs["/Alarm"].labels == {0: "ok", 1: "warning", 2: "alarm"}
    assert (specs["/Ac/{phase}/V"].precision, specs["/Ac/{phase}/V"].deadband) == (2, 0.01)
    assert (specs["/Limit"].precision, specs["/Limit"].deadband, specs["/Limit"].invalid) == (2, 0.5, (655.35,))
    assert (specs["/Serial"].precision, specs["/Serial"].deadband, specs["/Serial"].tier) == (0, 0.0, Tier.STATIC)


def test_rows_that_are_no_points_are_left_out(catalogue: Catalogue) -> None:
    """Absent, secret and alias rows are neither listed nor asked for."""
    meter = catalogue.get("meter")
    listed = {spec.path for spec in meter.rows()} | {f"/{path}" for path, _ in meter.known_leafs()}
    assert not listed & {"/Gone", "/Hidden", "/OldMode", "/OldVoltage"}
    assert [(r.kind, r.path, r.instead) for r in replacements(DOCUMENTS)] == [("meter", "/Gone", "/Mode")]


def test_parts_of_a_json_value_are_points(catalogue: Catalogue) -> None:
    """A row with fields keeps where each part stands, and has no point of its own."""
    found = catalogue.get("meter").resolve("Text")
    assert found is not None and found[0].point == ""
    ((at, part),) = found[0].fields
    assert at == (0, "rx") and part.point == "rx" and part.kind is Kind.INT


def test_known_leafs_fill_what_can_be_guessed(catalogue: Catalogue) -> None:
    """Phases and small numbers are asked for one by one, free names are not; no path comes twice."""
    paths = [path for path, _ in catalogue.get("meter").known_leafs()]
    assert len(paths) == len(set(paths))
    assert {"Ac/L1/V", "Ac/L2/V", "Ac/L3/V", "Bank/0/Cell/1", "Serial"} <= set(paths)
    assert not any("{" in path or path.startswith("Named") for path in paths)


def test_a_sum_is_described_and_names_its_parts(catalogue: Catalogue) -> None:
    """A sum comes with its meaning, so it is published like any other point."""
    spec, parts = catalogue.sums()["grid/power"]
    assert (spec.point, spec.unit, spec.deadband, parts) == ("grid/power", "W", 1.0, ("grid/{phase}/power",))


def test_an_alias_of_nothing_is_a_mistake() -> None:
    """An alias whose target is no row does not pass silently."""
    broken = {"x": {"points": {"/A": {"alias": "/B", "about": "nothing"}}}}
    with pytest.raises(KeyError):
        Catalogue(broken).get("x")


@pytest.mark.parametrize(
    ("text", "snake"),
    [
        ("MaxCellVoltage", "max_cell_voltage"),
        ("Power assist", "power_assist"),
        ("AcIn1ToAcOut", "ac_in1_to_ac_out"),
        ("UBatVSense", "u_bat_v_sense"),
        ("SSHLocal", "ssh_local"),
        ("L1", "l1"),
        ("CO2", "co2"),
        ("ESS", "ess"),
        ("a  b--c", "a_b_c"),
        ("_x_", "x"),
        ("", ""),
        ("Кухня", ""),
        ("+/#", ""),
    ],
)
def test_snake_case(text: str, snake: str) -> None:
    """CamelCase and prose become lower snake case; what is no letter or digit only separates."""
    assert snake_case(text) == snake


@pytest.mark.parametrize(
    ("template", "captured", "name"),
    [
        ("{phase}/voltage", ["L1"], "l1/voltage"),
        ("bank/{n}/cell/{n}", ["2", "13"], "bank/2/cell/13"),
        ("devices/{name}/label", ["HQ2308C9WMH_input_1"], "devices/hq2308c9wmh_input_1/label"),
        ("{generator}/runtime", ["FischerPanda0"], "fischer_panda0/runtime"),
        ("soc", [], "soc"),
        ("frequency", ["L3"], "frequency"),
    ],
)
def test_fill(template: str, captured: list[str], name: str) -> None:
    """Captured texts go in by order; CamelCase is split, serial numbers are only lowered."""
    assert fill(template, captured) == name


def test_invented_classes_do_not_fill_the_memory() -> None:
    """Of classes without a document the newest MAX_UNKNOWN are kept; those with one stay."""
    made = Catalogue(DOCUMENTS)
    meter, first = made.get("meter"), weakref.ref(made.get("invented"))
    assert made.get("invented") is first()
    for number in range(MAX_UNKNOWN):
        made.get(f"invented{number}")
    assert first() is None
    assert made.get("meter") is meter
    assert made.get("invented").resolve("Serial") is not None


@pytest.mark.parametrize(
    ("template", "name", "fits"),
    [
        ("grid/{phase}/power", "grid/l3/power", True),
        ("grid/{phase}/power", "grid/l4/power", False),
        ("cells/cell{n}", "cells/cell12", True),
        ("cells/cell{n}", "cells/cell", False),
        ("settings/{generator}/soc", "settings/generator0/soc", True),
        ("settings/{generator}/soc", "settings/system/soc", False),
        ("adc/{name}/label", "adc/adc_builtin0_1/label", True),
        ("adc/{name}/label", "adc/a/b/label", False),
    ],
)
def test_point_pattern(template: str, name: str, fits: bool) -> None:
    """A pattern matches the names that its template can give, and no others."""
    assert bool(point_pattern(template).fullmatch(name)) is fits


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/Dc/0/Voltage", "dc/0/voltage"),
        ("/Ac/L1/V", "ac/l1/voltage"),
        ("/Энергия", "x"),
        ("/", ""),
    ],
)
def test_point_name_of_an_uncatalogued_path(path: str, name: str) -> None:
    """A path without a row is named level by level."""
    assert point_name(path) == name
