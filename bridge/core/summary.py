"""The site at a glance: one retained document for fleet views (`schemas/summary.schema.json`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bridge.model import Alert, Sample, Value

_POINTS = (  # site point -> where it stands in the document
    ("battery/soc", "battery", "soc"),
    ("battery/voltage", "battery", "voltage"),
    ("battery/power", "battery", "power"),
    ("battery/state", "battery", "state"),
    ("battery/time_to_go", "battery", "time_to_go"),
    ("grid/power", "grid", "power"),
    ("load/power", "load", "power"),
    ("pv/power", "pv", "power"),
    ("genset/power", "genset", "power"),
    ("system/state", "system", "state"),
    ("platform/device/model", "gx", "model"),
    ("platform/firmware/installed/version", "gx", "firmware"),
)
_PLACES = {name: (group, key) for name, group, key in _POINTS}
_SEVERITIES = ("info", "warning", "critical")


class Summary:
    """Collects the points it shows; `changed` is true until the document was taken."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._values: dict[str, dict[str, Value | None]] = {group: {} for _, group, _ in _POINTS}
        self.changed = True

    def update(self, samples: Iterable[Sample]) -> None:
        for point, value, _, _ in samples:
            place = _PLACES.get(point.name)
            if place is None:
                continue
            group, key = place
            if isinstance(value, float):
                value = round(value, point.spec.precision)
            if self._values[group].get(key) != value or key not in self._values[group]:
                self._values[group][key] = value
                self.changed = True

    def document(self, is_online: bool, devices: int, alerts: Sequence[Alert]) -> dict[str, Any]:
        """Return the document; a group that the site does not have is left out."""
        self.changed = False
        firing = [alert for alert in alerts if alert.phase == "firing"]
        worst = max((_SEVERITIES.index(alert.severity) for alert in firing), default=-1)
        return {
            "site": self._site,
            "status": "online" if is_online else "offline",
            "devices": devices,
            **{group: values for group, values in self._values.items() if values},
            "alerts": {
                "firing": len(firing),
                "worst": _SEVERITIES[worst] if worst >= 0 else None,
                "names": sorted({alert.alert for alert in firing}),
            },
        }
