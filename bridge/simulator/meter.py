"""The grid meter: an EM24 (class grid, instance 30) with one or three phases in use.

It is fed by what it measures: without a grid it has no values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.simulator.leafs import leafs
from bridge.simulator.site import Site
from bridge.simulator.store import Root

LEAFS = leafs("""
Ac/{Current,Frequency,Power,PowerFactor,Voltage}
Ac/Energy/{Forward,Reverse} = 0.0
Ac/{L1,L2,L3}/{Current,Power,PowerFactor,Voltage}
Ac/{L1,L2,L3}/Energy/{Forward,Reverse}
AllowedRoles = ["grid", "pvinverter", "genset", "acload"]
ApplicationPV
Alarms/PhaseRotation = 0
Connected = 1
CustomName = ""
DeviceInstance = 30
DeviceType = 71
ErrorCode = 0
FirmwareVersion = 67587
HardwareVersion = 65822
Latency
Mgmt/Connection = "/dev/ttyUSB0"
Mgmt/ProcessName = "dbus-cgwacs"
Mgmt/ProcessVersion = "2.0.24"
Model = "EM24DINAV53DISX"
NrOfPhases = 3
PhaseConfig = 0
PhaseSequence = 0
Position
ProductId = 45058
ProductName = "Carlo Gavazzi EM24 Energy Meter"
RefreshTime = 600
Role = "grid"
Serial = "SIM0624001"
SwitchPos = 3
""")


class GridMeter:
    """The meter between the house and the grid."""

    key = "grid"
    service = "com.victronenergy.grid.cgwacs_ttyUSB0_mb1"
    root = Root.TREE

    def leafs(self) -> dict[str, Any]:
        return dict(LEAFS)

    def update(self, site: Site) -> Mapping[str, Any]:
        flow = site.plant.flow
        if not flow.has_grid:
            return {path: [] for path in LEAFS if path.startswith("Ac/")}
        values: dict[str, Any] = {
            "Ac/Power": round(flow.grid_w, 1),
            "Ac/Current": round(sum(phase.grid_w / phase.grid_v for phase in flow.phases), 3),
            "Ac/Voltage": round(flow.phases[0].grid_v, 1),
            "Ac/Frequency": round(flow.phases[0].grid_hz, 1),
            "Ac/PowerFactor": 0.97,
            "Ac/Energy/Forward": round(sum(phase.imported for phase in site.energy.phases), 1),
            "Ac/Energy/Reverse": round(sum(phase.exported for phase in site.energy.phases), 1),
            "PhaseSequence": 0,
        }
        for number, (phase, energy) in enumerate(zip(flow.phases, site.energy.phases), 1):
            values[f"Ac/L{number}/Power"] = round(phase.grid_w, 1)
            values[f"Ac/L{number}/Voltage"] = round(phase.grid_v, 1)
            values[f"Ac/L{number}/Current"] = round(phase.grid_w / phase.grid_v, 3)
            values[f"Ac/L{number}/PowerFactor"] = 0.97
            values[f"Ac/L{number}/Energy/Forward"] = round(energy.imported, 1)
            values[f"Ac/L{number}/Energy/Reverse"] = round(energy.exported, 1)
        return values
