"""What somebody else's MQTT message says -> the value of an input. What does not fit is unknown, never guessed.

A message counts as read at the moment it arrives, a retained one too: MQTT does not tell how old it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from bridge.core.inputs import InputSpec
from bridge.core.values import clean_text, pick
from bridge.model import Kind, Point, PointSpec, Tier, Value

MAX_TEXT = 256  # characters of a text; texts of rules show it
_LARGEST = 2.0**64  # as of values of the GX: no quantity is larger
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_TRUTHS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
_KINDS = {"number": Kind.FLOAT, "truth": Kind.BOOL, "text": Kind.STRING}


class Heard(NamedTuple):
    """What a message says. `value` is None when it is unknown, and `fault` "" unless the message is wrong."""

    value: Value | None
    fault: str


class _Unfit(Exception):
    """The value is not of the input's kind."""


def point_of(spec: InputSpec) -> Point:
    """Return the point that rules know as `input.<name>`; it is fresh or stale by itself."""
    name = f"input/{spec.name}"
    row = PointSpec(_KINDS[spec.kind], name, "", spec.unit, {}, Tier.CRITICAL, 3, 0.0, (), "", "", "")
    return Point(name, row, None, name)


def read_input(spec: InputSpec, payload: bytes) -> Heard:
    """Return what a message on the input's topic says. Never raises."""
    try:
        text = payload.decode("utf-8")
        raw = pick(json.loads(text), spec.path) if spec.path and text.strip() else text
        if raw is None or raw == [] or (isinstance(raw, str) and raw.strip() in ("", "null")):
            return Heard(None, "")
        return Heard(_CONVERTERS[spec.kind](raw), "")
    except UnicodeDecodeError:
        return Heard(None, "came what is not UTF-8")
    except RecursionError:
        return Heard(None, "came JSON that is nested too deep")
    except ValueError:
        return Heard(None, f"came what is not JSON: {_short(payload.decode('utf-8', 'replace'))}")
    except _Unfit as unfit:
        return Heard(None, f"came {unfit}")


def _number(raw: Any) -> Value:
    if isinstance(raw, str):
        if not _NUMBER.fullmatch(raw.strip()):
            raise _Unfit(f"no number: {_short(raw)}")
        raw = float(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise _Unfit(f"no number: {_short(raw)}")
    if not -_LARGEST <= raw <= _LARGEST:  # false for NaN too
        raise _Unfit(f"a number out of all bounds: {_short(raw)}")
    return float(raw)


def _truth(raw: Any) -> Value:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str | int):
        truth = _TRUTHS.get(str(raw).strip().lower()) if len(str(raw)) < 20 else None
        if truth is not None:
            return truth
    raise _Unfit(f"neither true nor false (true, false, on, off, 1, 0): {_short(raw)}")


def _text(raw: Any) -> Value:
    if not isinstance(raw, str):
        raise _Unfit(f"no text: {_short(raw)}")
    if len(raw) > MAX_TEXT:
        raise _Unfit(f"a text of {len(raw)} characters, more than {MAX_TEXT}")
    return clean_text(raw)


def _short(raw: Any) -> str:
    text = repr(raw) if isinstance(raw, str | int | float) else f"a {'map' if isinstance(raw, dict) else 'list'}"
    return text if len(text) <= 60 else f"{text[:57]}..."


_CONVERTERS: dict[str, Callable[[Any], Value]] = {"number": _number, "truth": _truth, "text": _text}
