"""The powers that the system calculator adds up from all devices: the DC side, and the AC side per phase."""

from __future__ import annotations

from typing import Any

from bridge.simulator.site import Site


def dc_leafs(site: Site) -> dict[str, Any]:
    """Return the leafs of sun, DC loads and inverters on the battery's side."""
    flow = site.plant.flow
    volts = site.plant.battery.voltage_v
    chargers = [key for key in site.names if key.startswith("solarcharger/") and site.service(key)]
    inverter_w = -sum(phase.inverter_dc_w for phase in flow.phases)
    has_vebus = site.service("vebus") is not None
    return {
        "Dc/Pv/Power": round(flow.dc_pv_w, 1) if chargers or _has_rs(site) else [],
        "Dc/Pv/Current": round(flow.dc_pv_w / volts, 2) if chargers else [],
        "Dc/System/Power": round(flow.dc_load_w, 1) if flow.dc_load_w else [],
        "Dc/System/Current": round(flow.dc_load_w / volts, 2) if flow.dc_load_w else [],
        "Dc/System/MeasurementType": 0 if flow.dc_load_w else [],
        "Dc/Vebus/Power": round(inverter_w) if has_vebus else [],
        "Dc/Vebus/Current": round(inverter_w / volts, 1) if has_vebus else [],
        "Dc/InverterCharger/Power": round(inverter_w) if flow.phases else [],
        "Dc/InverterCharger/Current": round(inverter_w / volts, 1) if flow.phases else [],
    }


def _has_rs(site: Site) -> bool:
    return any(key.startswith("multi/") for key in site.names)


def ac_leafs(site: Site) -> dict[str, Any]:
    """Return the leafs of grid, loads and PV inverters, phase by phase; without a grid the first have no value."""
    flow = site.plant.flow
    count = len(flow.phases)
    if not count:
        return {}
    has_meter = site.service("grid") is not None
    is_tied = flow.has_grid
    has_ac_pv = site.service("pvinverter") is not None
    values: dict[str, Any] = {
        "Ac/Grid/NumberOfPhases": count if is_tied else [],
        "Ac/Grid/ProductId": 45058 if has_meter and is_tied else [],
        "Ac/Grid/DeviceType": 71 if has_meter and is_tied else [],
        "Ac/ActiveIn/NumberOfPhases": count if is_tied else [],
        "Ac/Consumption/NumberOfPhases": count,
        "Ac/ConsumptionOnOutput/NumberOfPhases": count,
        "Ac/ConsumptionOnInput/NumberOfPhases": count if is_tied else [],
        "Ac/PvOnGrid/NumberOfPhases": count if has_ac_pv else [],
        "PvInvertersProductIds": [41285] if has_ac_pv else [],
    }
    for number, phase in enumerate(flow.phases, 1):
        volts = phase.out_v
        watts = {
            "Grid": phase.grid_w if is_tied else None,
            "ActiveIn": phase.load_out_w - phase.inverter_w if is_tied else None,
            "Consumption": phase.load_out_w + phase.load_in_w,
            "ConsumptionOnOutput": phase.load_out_w,
            "ConsumptionOnInput": phase.load_in_w if is_tied else None,
            "PvOnGrid": phase.ac_pv_w if has_ac_pv else None,
        }
        for group, power_w in watts.items():
            values[f"Ac/{group}/L{number}/Power"] = [] if power_w is None else round(power_w, 1)
            values[f"Ac/{group}/L{number}/Current"] = [] if power_w is None else round(power_w / volts, 2)
    return values
