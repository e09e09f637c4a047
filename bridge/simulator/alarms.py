"""Which alarms the devices of a site raise now, and how long a condition must last before they do.

Levels are those of D-Bus: 0 fine, 1 warning, 2 alarm. Delays run on real seconds whatever the speed of the physics:
a grid that is lost shows in the values at once and in the alarm two seconds later, as on a real system.
"""

from __future__ import annotations

from bridge.simulator.plant import Plant

GRID_LOST_AFTER_S = 2.0
OVERLOAD_AFTER_S = 1.0


class Alarms:
    """Levels by name; `update` is called at every tick."""

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}
        self._since: dict[str, float] = {}

    def update(self, plant: Plant, now_s: float) -> None:
        """Work out all levels at `now_s` (monotonic seconds)."""
        battery = plant.battery
        cells_v = battery.cell_voltages()
        spread_v = max(cells_v) - min(cells_v)
        self.levels = {
            "grid_lost": 2 * self._held("grid", bool(plant.houses) and not plant.has_grid, now_s, GRID_LOST_AFTER_S),
            "overload": self._overload(plant, now_s),
            "bms_lost": 0 if plant.has_bms else 2,
            "cell_imbalance": 2 if spread_v > 0.25 else 1 if spread_v > 0.15 else 0,
            "low_cell": 2 if min(cells_v) < 2.9 else 1 if min(cells_v) < 3.0 else 0,
            "high_cell": 2 if max(cells_v) > 3.65 else 1 if max(cells_v) > 3.58 else 0,
            "high_temperature": 2 if battery.temperature_c > 55.0 else 1 if battery.temperature_c > 50.0 else 0,
            "low_soc": 2 if battery.soc < 5.0 else 1 if battery.soc < 10.0 else 0,
        }

    def _overload(self, plant: Plant, now_s: float) -> int:
        if not self._held("overload", plant.flow.overload > 1.05, now_s, OVERLOAD_AFTER_S):
            return 0
        return 2 if plant.flow.overload > 1.2 else 1

    def _held(self, name: str, is_true: bool, now_s: float, for_s: float) -> bool:
        """Return whether `is_true` has been so for `for_s` seconds."""
        if not is_true:
            self._since.pop(name, None)
            return False
        return now_s - self._since.setdefault(name, now_s) >= for_s
