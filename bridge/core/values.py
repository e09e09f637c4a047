"""Raw JSON values of D-Bus -> values of the catalogue's kinds. What does not fit its kind is refused, never guessed.

`[]` is D-Bus's "no value". NaN, infinities and a row's sentinels are no values either. Every converter returns
(value, code); (None, None) means "no valid value now"; REFUSED means that the value has the wrong type.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bridge.model import Kind, PointSpec, Value

Converted = tuple[Value | None, int | None]
Converter = Callable[[Any, PointSpec], Converted]

NO_VALUE: Converted = (None, None)
REFUSED: Converted = (None, -1)
MAX_TEXT = 4096  # characters of a text that may reach a topic; the longest on a real GX has about 2,500
MAX_FIRMWARE = 0xFFFFFFFF  # a packed version has at most four bytes
_MAX_TIMESTAMP = 253402300799  # the last second of the year 9999, the last that datetime can write
MAX_DEPTH = 50  # levels of a JSON value; the deepest on a real GX has 6. How deep Python can go differs by version.
_LIMIT = 2**64  # no quantity on a GX is larger; D-Bus integers end there
_TRUE_TEXTS = {"1": True, "0": False, "true": True, "false": False}
_SECRET_VALUE = re.compile(r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}|[0-9a-f]{32,}", re.IGNORECASE)
SECRET_KEY = re.compile(
    r"passw|passphrase|secret|token|key|^pin|pincode|ssid|^mac|mac$|macaddr|hwaddr|^imei|imei$|imsi|iccid|psk|credential",
    re.IGNORECASE,
)


def convert(raw: Any, spec: PointSpec) -> Converted:
    """Return the value that `raw` is for a row of the catalogue; see the module for what the answers mean."""
    if raw is None or raw == []:
        return NO_VALUE
    return converter(spec.kind)(raw, spec)


def converter(kind: Kind) -> Converter:
    """Return what `convert` applies to the values of a kind that are something: for a caller with many of them."""
    return _CONVERTERS[kind]


def _number(raw: Any, spec: PointSpec) -> Converted:
    # What JSON gives is exactly a float or an int, and a bool is neither; no other check is as cheap.
    if type(raw) is not float and type(raw) is not int:
        return REFUSED
    if not -_LIMIT <= raw <= _LIMIT:  # false for NaN too
        return NO_VALUE if type(raw) is float and not math.isfinite(raw) else REFUSED
    for sentinel in spec.invalid:
        if abs(raw - sentinel) < 1e-3:
            return NO_VALUE
    return raw, None


def _integer(raw: Any, spec: PointSpec) -> Converted:
    if isinstance(raw, bool):
        raw = int(raw)
    value, _ = number = _number(raw, spec)
    if not isinstance(value, float):
        return number
    return (int(value), None) if value.is_integer() else (value, None)


def _boolean(raw: Any, spec: PointSpec) -> Converted:
    if isinstance(raw, bool):
        return raw, None
    if isinstance(raw, str):
        flag = _TRUE_TEXTS.get(raw.lower())
        return REFUSED if flag is None else (flag, None)
    value, _ = number = _integer(raw, spec)
    return number if value is None else (bool(value), None)


def _enum(raw: Any, spec: PointSpec) -> Converted:
    value, _ = number = _integer(raw, spec)
    if value is None:
        return number
    if not isinstance(value, int):
        return REFUSED
    return spec.labels.get(value) or str(value), value


def _text(raw: Any, spec: PointSpec) -> Converted:
    if isinstance(raw, list | dict):
        return REFUSED
    if isinstance(raw, float) and not math.isfinite(raw):
        return NO_VALUE
    text = clean_text(raw) if isinstance(raw, str) else json.dumps(raw)
    return (text, None) if len(text) <= MAX_TEXT else REFUSED


def clean_text(text: str) -> str:
    """Return `text` with a question mark for each lone surrogate: JSON allows them, UTF-8 cannot write them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def convert_any(raw: Any, spec: PointSpec) -> Converted:
    """Return the value that `raw` is where nobody knows what it should be: a bool, a number or a text."""
    if isinstance(raw, bool):
        return raw, None
    return _text(raw, spec) if isinstance(raw, str) else _number(raw, spec)


def _firmware(raw: Any, spec: PointSpec) -> Converted:
    if type(raw) is not int:
        value, _ = _integer(raw, spec) if isinstance(raw, float) else (None, None)
        if not isinstance(value, int):
            return _text(raw, spec)
        raw = value
    return (firmware_text(raw), None) if 0 <= raw <= MAX_FIRMWARE else REFUSED


def firmware_text(packed: int) -> str:
    """Return a packed version as people read it: 225331 (0x37033) is v3.70~33, 75519 (0x126FF) v1.26.

    Source: hex nibbles, the last byte being the beta number or FF for a release; VE.Bus and VE.Direct devices pack
    two bytes (1362 is 0x552: v5.52).
    """
    if packed <= 0xFFFF:
        return f"v{packed >> 8:X}.{packed & 0xFF:02X}"
    major, minor, beta = packed >> 16, packed >> 8 & 0xFF, packed & 0xFF
    return f"v{major:X}.{minor:02X}" + ("" if beta == 0xFF else f"~{beta:X}")


def _timestamp(raw: Any, spec: PointSpec) -> Converted:
    value, _ = number = _number(raw, spec)
    if value is None or isinstance(value, str):
        return number
    return (value, None) if 0 < value <= _MAX_TIMESTAMP else NO_VALUE


def iso_time(at: float) -> str:
    """Return Unix seconds as ISO 8601 in UTC, with milliseconds only where there are some."""
    moment = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond >= 1000 else "seconds") + "Z"


def _json(raw: Any, spec: PointSpec) -> Converted:
    tree = parse_json(raw)
    if tree is None or tree in ([], {}):
        return NO_VALUE
    try:
        text = json.dumps(without_secrets(tree), separators=(",", ":"), sort_keys=True)
    except (RecursionError, TypeError):  # nested too deep, or keys that cannot be sorted
        return REFUSED
    return (text, None) if len(text) <= MAX_TEXT else REFUSED


def parse_json(raw: Any) -> Any:
    """Return the tree in a JSON text, or `raw` itself when it is a tree already; None when it is neither."""
    if not isinstance(raw, str):
        return raw if isinstance(raw, list | dict) else None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def without_secrets(tree: Any, depth: int = MAX_DEPTH) -> Any:
    """Return a JSON tree without keys and texts that look like secrets, lone surrogates, and what is no number.

    Raises:
        RecursionError: it is nested deeper than `depth`.
    """
    if depth == 0:
        raise RecursionError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(tree, dict):
        kept = ((key, value) for key, value in tree.items() if not SECRET_KEY.search(key))
        return {clean_text(key): without_secrets(value, depth - 1) for key, value in kept}
    if isinstance(tree, list):
        return [without_secrets(item, depth - 1) for item in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    if isinstance(tree, str):
        return None if _SECRET_VALUE.search(tree) else clean_text(tree)
    return tree


def pick(tree: Any, way: tuple[str | int, ...]) -> Any:
    """Return what stands at `way` inside a JSON tree, or [] ("no value") where there is nothing.

    An index is skipped where there is no list: some firmware wraps the object in a list of one, some does not.
    """
    for step in way:
        if isinstance(step, int):
            if isinstance(tree, list):
                tree = tree[step] if -len(tree) <= step < len(tree) else []
        else:
            tree = tree.get(step, []) if isinstance(tree, dict) else []
    return tree


def looks_secret(path: str, raw: Any) -> bool:
    """Tell whether an uncatalogued path or its value looks like a password, key, token, PIN, SSID or MAC address."""
    if any(SECRET_KEY.search(level) for level in path.split("/")):
        return True
    return isinstance(raw, str) and bool(_SECRET_VALUE.search(raw))


_CONVERTERS: dict[Kind, Converter] = {
    Kind.FLOAT: _number,
    Kind.DURATION: _number,
    Kind.INT: _integer,
    Kind.BITMASK: _integer,
    Kind.BOOL: _boolean,
    Kind.ENUM: _enum,
    Kind.ALARM: _enum,
    Kind.STRING: _text,
    Kind.FIRMWARE: _firmware,
    Kind.TIMESTAMP: _timestamp,
    Kind.JSON: _json,
}
