"""Tests of how settings become the parts of a site."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.assemble import Assembly
from bridge.clock import SteadyClock
from bridge.core.inputs import InputSpec
from bridge.files.compiled import load_lean

PACK = """\
pack: own
rules:
  - alert: dear
    expr: input.price > 30
    severity: info
    summary: "{input.price} ct"
    source: a guess
"""
CONFIG = """\
rules: {packs: [], files: own.yaml}
inputs: {price: tariff/price}
maintenance: [{from: 02:00, to: 04:00}]
time_zone: Europe/Berlin
sites:
  - {site: a, gx: a}
  - {site: b, gx: b}
  - {site: c, gx: c, inputs: {price: {topic: tariff/price, unit: EUR}}, time_zone: UTC}
"""


@pytest.fixture
def assembly(tmp_path: Path) -> tuple[Assembly, list[object]]:
    (tmp_path / "own.yaml").write_text(PACK)
    (tmp_path / "config.yaml").write_text(CONFIG)
    settings, compiled = load_lean({"config": str(tmp_path / "config.yaml"), "state": str(tmp_path / "state")}, {})
    return Assembly(settings, compiled, SteadyClock()), list(settings.sites)


def test_parts_hold_what_the_settings_say(assembly: tuple[Assembly, list[object]]) -> None:
    """Inputs, maintenance and time zone reach the site, its rules know the inputs, and equal sites share a program."""
    builder, sites = assembly
    a, b, c = [builder.site(site) for site in sites]  # type: ignore[arg-type]
    assert a.inputs == (InputSpec("price", "tariff/price", (), "number", "", 7200.0),)
    assert [window.from_s for window in a.maintenance] == [7200]
    assert (a.time_zone, c.time_zone) == ("Europe/Berlin", "UTC")
    assert a.program is b.program
    assert [(one.name, one.unit) for one in a.program.rules[0].points] == [("input/price", "")]
    assert [(one.name, one.unit) for one in c.program.rules[0].points] == [("input/price", "EUR")]


def test_a_program_made_with_what_the_gx_told(assembly: tuple[Assembly, list[object]]) -> None:
    """Equal facts give one program, what the config says stays, and what no site uses any more is dropped."""
    builder, sites = assembly
    a, b, _ = [builder.site(site) for site in sites]  # type: ignore[arg-type]
    assert a.program.profile["nominal_voltage"] == 48
    told = {"nominal_voltage": 24, "chemistry": 7}
    assert a.reprogram and b.reprogram
    anew = a.reprogram(told)
    assert anew.profile == {**a.program.profile, "nominal_voltage": 24}
    assert [rule.name for rule in anew.rules] == ["dear"]
    assert b.reprogram(told) is anew
    assert a.reprogram({}) is not a.program
    assert b.reprogram(told) is anew
