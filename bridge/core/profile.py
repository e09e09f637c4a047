"""The profile of a site: what rules ask of it under `profile.`, and what of that the GX tells.

A fact is, in this order: what the config says; what the GX told before; a default. What the GX tells is computed by
the engine like any record of a rule, from the expressions below, and published: `profile/<key>` from what devices are
configured or rated for, `profile/measured/<key>` from what they measure, rounded to the nearest usual value. A key
that the config says has neither.

Facts are constants of a program, so that a comparison with one costs nothing. When the GX has told another value for
SETTLES_S, the program is compiled anew (`Watch.has_news`); told facts are to be kept over restarts, so that a bridge
starts with what it knew. What the GX stops telling stays as it was told last.

Nothing on a GX names the chemistry of its cells: only the config can.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeGuard

from bridge.model import Sample

PROFILE: Mapping[str, Any] = {
    "nominal_voltage": 48,
    "grid_voltage": 230,
    "grid_frequency": 50,
    "chemistry": "lfp",
    "cells": 16,
    "inverter_rating": None,
}
"""What a rule may ask of a site under `profile.`, and what holds when nobody says it; null is UNKNOWN."""

SETTLES_S = 60.0
"""How long a value must have been told: for some seconds after its start a GX publishes what it has not read yet."""

_PREFIX, _MEASURED = "profile/", "profile/measured/"
_UNITS = {"nominal_voltage": "V", "grid_voltage": "V", "grid_frequency": "Hz", "inverter_rating": "W"}


def _battery_class(volts: str) -> str:
    """Return the expression of a battery's nominal voltage by any voltage it may have; the ranges do not touch."""
    return f"12 if 10 <= {volts} < 18 else 24 if 20 <= {volts} < 36 else 48 if 40 <= {volts} < 70 else 0 / 0"


_OUT_V = "coalesce(max(vebus[*].ac_out.l1.voltage), max(multi[*].ac_out.l1.voltage), max(grid[*].l1.voltage))"
_OUT_HZ = "coalesce(max(vebus[*].ac_out.l1.frequency), max(multi[*].ac_out.l1.frequency), max(grid[*].frequency))"
_PHASES_W = "sum({0}[*].ac_out.l1.nominal_inverter_power + {1} + {2})"


def _phases_w(kind: str) -> str:
    """Return the expression of the rated power of all devices of a class that tell it per phase."""
    others = (f"coalesce({kind}[*].ac_out.{phase}.nominal_inverter_power, 0)" for phase in ("l2", "l3"))
    return _PHASES_W.format(kind, *others)


TOLD: Mapping[str, str] = {
    "nominal_voltage": (
        "coalesce(max(battery[*].settings.battery.nominal_voltage), "
        f"{_battery_class('max(battery[*].limits.max_charge_voltage)')}, "
        f"{_battery_class('max(vebus[*].limits.max_charge_voltage)')}, "
        f"{_battery_class('settings.system_setup.max_charge_voltage')})"
    ),
    "cells": "max(battery[*].nr_of_cells_per_battery * max(1, coalesce(battery[*].batteries_series, 1)))",
    "inverter_rating": (
        "coalesce(sum(vebus[*].ac_out.nominal_inverter_power), "
        f"{_phases_w('vebus')}, {_phases_w('multi')}, {_phases_w('inverter')})"
    ),
}
"""Key -> what devices are configured or rated for. With several batteries the one of the highest voltage counts: the
others start engines. The output voltage in the settings of a VE.Bus inverter tells nothing: a captured system of 230 V
says 120 there."""

MEASURED: Mapping[str, str] = {
    "nominal_voltage": _battery_class("battery.voltage"),
    # The output, not the input: it is there while the grid is not. Shifting it to curb PV moves it by 3 Hz at most.
    "grid_voltage": f"120 if 100 <= {_OUT_V} < 140 else 230 if 200 <= {_OUT_V} < 260 else 0 / 0",
    "grid_frequency": f"50 if 45 <= {_OUT_HZ} < 55 else 60 if 55 <= {_OUT_HZ} < 66 else 0 / 0",
}
"""Key -> the usual value nearest to what is measured. Counts only where nothing else tells the key."""


def open_keys(fixed: Collection[str]) -> list[str]:
    """Return the keys that the GX may tell, as the config does not say them."""
    return [key for key in PROFILE if key not in fixed and (key in TOLD or key in MEASURED)]


def records(fixed: Collection[str]) -> list[dict[str, Any]]:
    """Return the records, as a pack writes them, that compute what the GX tells of the open keys.

    Args:
        fixed: keys that the config says.
    """
    written = [("profile", key, TOLD[key]) for key in open_keys(fixed) if key in TOLD]
    written += [("profile.measured", key, MEASURED[key]) for key in open_keys(fixed) if key in MEASURED]
    return [
        {"record": f"{level}.{key}", "expr": expr, "unit": _UNITS.get(key, ""), "precision": 1}
        for level, key, expr in written
    ]


def profile_of(fixed: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that hold: what the config says, else what the GX told, else the default.

    Args:
        fixed: from the config; may have keys of the user's own.
        told: may come from a file that an older program wrote: what makes no sense is left out.
    """
    return {**PROFILE, **{key: told[key] for key in open_keys(fixed) if _is_sound(told.get(key))}, **fixed}


def differ(facts: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Tell whether the GX says something else than the facts that rules read."""
    return any(key in facts and facts[key] != value for key, value in told.items())


class Watch:
    """Gathers what the engine's records tell of the profile. `told` is what has settled, to be kept over restarts."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.told: dict[str, Any] = dict(told)
        self._said: dict[str, tuple[float, float]] = {}  # name of the record -> value, since when

    def take(self, changed: Iterable[Sample], now: float) -> bool:
        """Take records of the engine that changed and return whether one of them says something new of the profile.

        A record that becomes unknown says nothing new: a device that is off has the rating that it had.
        """
        is_new = False
        for sample in changed:
            name, value = sample.point.name, sample.value
            if name.startswith(_PREFIX) and _is_sound(value) and self._said.get(name, (0.0, now))[0] != value:
                self._said[name] = (value, now)
                is_new = True
        return is_new

    def has_news(self, now: float, facts: Mapping[str, Any]) -> bool:
        """Move what has settled to `told`; tell whether it differs from the facts that the rules were made with.

        Args:
            facts: `Program.facts`; what no rule reads is no news.
        """
        settled = {}
        for key in PROFILE:
            said = self._said.get(_PREFIX + key) or self._said.get(_MEASURED + key)
            if said is not None and now - said[1] >= SETTLES_S:
                settled[key] = int(said[0]) if said[0] == int(said[0]) else said[0]
        self.told |= settled
        return differ(facts, settled)


def _is_sound(value: Any) -> TypeGuard[float]:
    """Tell whether a value says something: all that a GX can tell are numbers above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
