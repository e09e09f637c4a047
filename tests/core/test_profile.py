"""Tests of the profile of a site: what the GX tells of it, and when the rules hear of that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.core.engine import Engine
from bridge.core.profile import MEASURED, PROFILE, SETTLES_S, TOLD, Watch, open_keys, profile_of, records
from bridge.core.rules import Program, compile_packs
from tests.catalogue import catalogue
from tests.core.small_site import alert, feed, pack, sample

NOW = 1_800_000_000.0


def program(told: Mapping[str, Any] | None, profile: Mapping[str, Any] | None = None) -> Program:
    rules = pack([alert("odd", "battery.voltage > profile.nominal_voltage * 1.25")])
    return compile_packs([rules], catalogue(), profile=profile, told=told)


def told_by(values: Mapping[str, Any], profile: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the records of the profile for values of a GX."""
    engine = Engine("home", program({}, profile))
    feed(engine, NOW, values)
    return {one.point.name.removeprefix("profile/"): one.value for one in engine.take_records()}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"battery.512.settings.battery.nominal_voltage": 24.0}, {"nominal_voltage": 24}),
        ({"battery.512.limits.max_charge_voltage": 14.2}, {"nominal_voltage": 12}),
        ({"battery.512.limits.max_charge_voltage": 28.4}, {"nominal_voltage": 24}),
        ({"battery.512.limits.max_charge_voltage": 52.5}, {"nominal_voltage": 48}),
        ({"battery.512.limits.max_charge_voltage": 0.0, "vebus.276.limits.max_charge_voltage": 57.6},
         {"nominal_voltage": 48}),
        ({"settings.system_setup.max_charge_voltage": 0.0}, {}),
        ({"settings.system_setup.max_charge_voltage": 27.2}, {"nominal_voltage": 24}),
        ({"battery.1.settings.battery.nominal_voltage": 12.0, "battery.2.settings.battery.nominal_voltage": 48.0},
         {"nominal_voltage": 48}),
        ({"battery.voltage": 26.4}, {"measured/nominal_voltage": 24}),
        ({"battery.voltage": 3.0}, {}),
        ({"battery.512.nr_of_cells_per_battery": 16}, {"cells": 16}),
        ({"battery.512.nr_of_cells_per_battery": 4, "battery.512.batteries_series": 4}, {"cells": 16}),
        ({"vebus.276.ac_out.nominal_inverter_power": 2500.0, "vebus.277.ac_out.nominal_inverter_power": 2500.0},
         {"inverter_rating": 5000}),
        ({"vebus.276.ac_out.l1.nominal_inverter_power": 4000.0, "vebus.276.ac_out.l2.nominal_inverter_power": 4000.0},
         {"inverter_rating": 8000}),
        ({"multi.0.ac_out.l1.nominal_inverter_power": 5100.0}, {"inverter_rating": 5100}),
        ({"vebus.276.settings.inverter_output_voltage": 120.0, "vebus.276.ac_out.l1.voltage": 225.8},
         {"measured/grid_voltage": 230}),
        ({"vebus.276.ac_out.l1.voltage": 121.4, "vebus.276.ac_out.l1.frequency": 59.97},
         {"measured/grid_voltage": 120, "measured/grid_frequency": 60}),
        ({"multi.0.ac_out.l1.frequency": 52.7}, {"measured/grid_frequency": 50}),
        ({"grid.30.frequency": 50.02, "grid.30.l1.voltage": 233.0},
         {"measured/grid_voltage": 230, "measured/grid_frequency": 50}),
        ({"vebus.276.ac_out.l1.voltage": 0.0, "vebus.276.ac_out.l1.frequency": 0.0}, {}),
    ],
)  # fmt: skip
def test_what_a_gx_tells_of_its_site(values: dict[str, Any], told: dict[str, Any]) -> None:
    """Settings and ratings tell a fact, measured values the usual one nearby, and what makes no sense tells nothing."""
    assert told_by(values) == told


def test_what_the_config_says_is_not_asked() -> None:
    """A fact of the config is a constant and has no record; what is not told anywhere has none either."""
    values = {"battery.512.nr_of_cells_per_battery": 16, "battery.voltage": 26.4}
    assert told_by(values, {"cells": 15, "roof": "south"}) == {"measured/nominal_voltage": 24}
    assert [one["record"] for one in records({*TOLD, *MEASURED})] == []
    assert open_keys(()) == [key for key in PROFILE if key != "chemistry"]
    assert {*TOLD, *MEASURED} < set(PROFILE)


def test_config_over_told_over_default() -> None:
    """The rules read the first of them that says a key; a told value that makes no sense is as good as none."""
    told = {"nominal_voltage": 24, "cells": 8, "grid_voltage": "loud", "inverter_rating": True, "chemistry": 7, "x": 1}
    facts = profile_of({"cells": 7, "roof": "south"}, told)
    assert facts == {**PROFILE, "nominal_voltage": 24, "cells": 7, "roof": "south"}
    assert program(told, {"cells": 7, "roof": "south"}).profile == facts
    for nominal_v, is_firing in ((24, True), (48, False)):
        engine = Engine("home", program({"nominal_voltage": nominal_v}))
        assert bool(feed(engine, NOW, {"battery.voltage": 55.0})) is is_firing


def test_a_program_that_asks_no_gx_has_no_records() -> None:
    """Tests of rules compile without the profile's records."""
    assert program(None).derived == ()
    assert program(None).profile == PROFILE


def say(watch: Watch, now: float, **values: Any) -> None:
    watch.take([sample(f"profile/{name.replace('__', '/')}", value, now) for name, value in values.items()], now)


def test_a_fact_settles_before_the_rules_hear_of_it() -> None:
    """Only what was told for a minute without a change counts; what equals the present facts is no news."""
    watch = Watch({"cells": 16})
    say(watch, NOW, nominal_voltage=12.0, cells=16.0)
    assert not watch.has_news(NOW + SETTLES_S - 1, PROFILE)
    say(watch, NOW + 50, nominal_voltage=24.0)
    assert not watch.has_news(NOW + 50 + SETTLES_S - 1, PROFILE)
    assert watch.told == {"cells": 16}
    assert watch.has_news(NOW + 50 + SETTLES_S, PROFILE)
    assert watch.told == {"cells": 16, "nominal_voltage": 24} and isinstance(watch.told["nominal_voltage"], int)
    assert not watch.has_news(NOW + 500, {**PROFILE, "nominal_voltage": 24})


def test_told_goes_before_measured() -> None:
    """A measured value counts until a device tells the fact itself, settled or not."""
    watch = Watch({})
    say(watch, NOW, measured__nominal_voltage=24)
    assert watch.has_news(NOW + 60, PROFILE) and watch.told == {"nominal_voltage": 24}
    say(watch, NOW + 61, nominal_voltage=25.6)
    assert watch.has_news(NOW + 200, {**PROFILE, "nominal_voltage": 24}) and watch.told == {"nominal_voltage": 25.6}


def test_the_topics_of_the_profile_are_documented() -> None:
    """Each record of the profile stands in the contract with its unit."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "topics.md").read_text(encoding="utf-8")
    for level in ("profile", "profile.measured"):
        (row,) = re.findall(rf"^\| `<base>/<site>/{level.replace('.', '/')}/<key>` \| .*: (.+?) \|", page, re.M)
        ours = [one for one in records(()) if one["record"].rpartition(".")[0] == level]
        assert row == ", ".join(f"`{one['record'].rpartition('.')[2]}` {one['unit']}".strip() for one in ours)


def test_what_is_no_longer_told_stays() -> None:
    """A device that is off has the rating that it had; other records are nothing to the watch."""
    watch = Watch({})
    say(watch, NOW, inverter_rating=5000.0)
    watch.take([sample("battery/cell_spread", 1.0, NOW), sample("profile/cells", None, NOW)], NOW)
    say(watch, NOW + 30, inverter_rating=None)
    say(watch, NOW + 40, inverter_rating=5000.0)
    assert watch.has_news(NOW + 60, PROFILE)
    assert watch.told == {"inverter_rating": 5000}


def test_rules_go_on_when_the_profile_changes() -> None:
    """A firing alert whose rule now reads another fact is not told again, and resolves by the new fact."""
    before = Engine("home", program({"nominal_voltage": 24}))
    (event,) = feed(before, NOW, {"battery.voltage": 55.0})
    after = Engine("home", program({"nominal_voltage": 48}))
    after.load(before.dump(), NOW + 1)
    events = feed(after, NOW + 2, {"battery.voltage": 55.1})
    assert [(one.event, one.id, one.seq) for one in events] == [("resolved", "odd", event.seq + 1)]
