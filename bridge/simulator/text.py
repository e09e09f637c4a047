"""The `/text` of a value, as the different implementations on a GX write it.

velib adds a unit ("49.80 V") and says "---" for no value; aiovelib and Node-RED say "" for no value. The text of a
node or a root is the `repr` of a D-Bus dictionary: of no use to anyone, and what a real server answers.
"""

from __future__ import annotations

from typing import Any

from bridge.simulator.store import Root, Service

_UNITS = {
    "V": "{:.2f} V",
    "Voltage": "{:.2f} V",
    "I": "{:.1f}A",
    "Current": "{:.1f}A",
    "P": "{:.0f} W",
    "Power": "{:.0f} W",
    "F": "{:.2f} Hz",
    "Frequency": "{:.2f} Hz",
    "Soc": "{:.1f} %",
}


def text_of(service: Service, path: str, value: Any) -> str:
    """Return the text of the leaf or node `path` (no leading slash; "" is the root).

    Raises:
        KeyError: the service has no text for it, or for one of the leafs below it.
    """
    if path in service.values or path in service.pinned:
        return leaf_text(service, path, value)
    if service.root is not Root.TREE:
        if path or service.root is Root.FLAT:
            raise KeyError(path)
        return ""
    prefix = path + "/" if path else ""
    pairs = (
        f"dbus.String({key!r}): dbus.String({leaf_text(service, prefix + key, leaf)!r})" for key, leaf in value.items()
    )
    return "dbus.Dictionary({" + ", ".join(pairs) + "}, signature=dbus.Signature('ss'), variant_level=1)"


def leaf_text(service: Service, path: str, value: Any) -> str:
    """Return the text of one leaf; KeyError when it has none."""
    if path in service.textless:
        raise KeyError(path)
    if value == []:
        return "---" if service.root is Root.TREE else ""
    unit = _UNITS.get(path.rpartition("/")[2])
    if unit and isinstance(value, (int, float)):
        return unit.format(value)
    return str(value)
