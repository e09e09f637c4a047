"""What a rule test expected beside what it got: the events aligned, each difference with its likeliest reason.

Events are paired like the lines of a diff: as many as possible that are equal, then as many as possible that are of
the same alert and device and differ only in time or in a field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bridge.core.rule_inputs import dotted
from bridge.core.rule_test import Outcome, RuleTest, Want, WantPoint
from bridge.model import Event

CLOSE_S = 0.001  # events are told in milliseconds
CLOSE = 1e-6  # of a value, relative to it: what computing with floats may lose
_EQUAL, _ALIKE = 1000, 1  # what a pair is worth: no number of alike ones makes up for an equal one


class Line(NamedTuple):
    """One line of a diff. `mark`: ` ` as expected, `-` expected and missing, `+` not expected."""

    mark: str
    text: str
    note: str = ""


def judge(test: RuleTest, outcome: Outcome) -> list[Line]:
    """Return what a test shows that is not as expected; nothing when all is. Events come whole, for the eye."""
    lines = _events(test, outcome.events)
    if all(line.mark == " " for line in lines):
        lines = []
    for want in test.points:
        lines += _point(want, outcome)
    for name in test.alerts:
        watched = outcome.watched[name]
        claims = [case for case in test.cases if case in watched.missing]
        lines += [Line("-", f"case {case.value} of {name}", watched.missing[case]) for case in claims]
    return lines


# -- events ---------------------------------------------------------------------------------------------------------


def _events(test: RuleTest, events: Sequence[Event]) -> list[Line]:
    lines = []
    for want, got in _pairs(test, events):
        if want is None and got is not None:
            lines.append(Line("+" if test.is_whole else " ", _got(got, test, ["device"])))
        elif want is not None and got is None:
            lines.append(Line("-", _wanted(want)))
        elif want is not None and got is not None:
            reasons = list(_differences(want, got, test))
            if not reasons:
                lines.append(Line(" ", _wanted(want)))
            else:
                lines += [Line("-", _wanted(want)), Line("+", _got(got, test, list(want.fields)), "; ".join(reasons))]
    return lines


def _pairs(test: RuleTest, events: Sequence[Event]) -> Iterator[tuple[Want | None, Event | None]]:
    """Yield expected and got events side by side, so that the pairs are worth the most."""
    wants = test.expect
    worth = [[_worth(want, event, test) for event in events] for want in wants]
    best = [[0] * (len(events) + 1) for _ in range(len(wants) + 1)]
    for row in range(len(wants) - 1, -1, -1):
        for column in range(len(events) - 1, -1, -1):
            paired = worth[row][column] + best[row + 1][column + 1] if worth[row][column] else 0
            best[row][column] = max(paired, best[row + 1][column], best[row][column + 1])
    row = column = 0
    while row < len(wants) or column < len(events):
        is_inside = row < len(wants) and column < len(events)
        here = best[row][column]
        if is_inside and worth[row][column] and here == worth[row][column] + best[row + 1][column + 1]:
            yield wants[row], events[column]
            row, column = row + 1, column + 1
        elif row < len(wants) and here == best[row + 1][column]:
            yield wants[row], None
            row += 1
        else:
            yield None, events[column]
            column += 1


def _worth(want: Want, event: Event, test: RuleTest) -> int:
    if want.alert != event.alert or want.event != event.event:
        return 0
    if "device" in want.fields and want.fields["device"] != _field(event, "device"):
        return 0
    return _ALIKE if any(_differences(want, event, test)) else _EQUAL


def _differences(want: Want, event: Event, test: RuleTest) -> Iterator[str]:
    at_s = event.ts - test.start
    if want.at_s is not None and abs(at_s - want.at_s) > CLOSE_S:
        yield f"{span(abs(at_s - want.at_s))} {'later' if at_s > want.at_s else 'earlier'}"
    for key, value in want.fields.items():
        if not is_close(value, _field(event, key), None):
            yield f"{key} is not as expected"


def _field(event: Event, key: str) -> Any:
    if key == "device":
        return event.device.path if event.device else None
    return getattr(event, key)


def _wanted(want: Want) -> str:
    return _flow({"at": want.at_s, "alert": want.alert, "event": want.event, **want.fields})


def _got(event: Event, test: RuleTest, keys: Sequence[str]) -> str:
    fields = {key: _field(event, key) for key in keys}
    if fields.get("device", "") is None:
        del fields["device"]
    return _flow({"at": event.ts - test.start, "alert": event.alert, "event": event.event, **fields})


# -- points ---------------------------------------------------------------------------------------------------------


def _point(want: WantPoint, outcome: Outcome) -> Iterator[Line]:
    history = outcome.points.get(want.name)
    got = next((value for at_s, value in reversed(history or ()) if at_s <= want.at_s + CLOSE_S), None)
    if history and is_close(want.value, got, want.within):
        return
    expected = {"at": want.at_s, "point": dotted(want.name), "value": want.value}
    yield Line("-", _flow(expected))
    if not history:
        yield Line("+", "", "nothing in the test has the points that the record needs, or none was known")
    else:
        yield Line("+", _flow({**expected, "value": got}))


# -- writing --------------------------------------------------------------------------------------------------------


def is_close(want: Any, got: Any, within: float | None) -> bool:
    """Tell whether a value is what was expected: numbers within `within`, or but for rounding."""
    if isinstance(want, bool) or isinstance(got, bool) or not isinstance(want, int | float):
        return bool(want == got)
    if not isinstance(got, int | float):
        return False
    allowed = within if within is not None else max(CLOSE * abs(want), 1e-9)
    return abs(want - got) <= allowed + 1e-12


def span(seconds: float) -> str:
    """Return a duration as rules write it: `90s`, `5m`, `2h`; the largest unit that it is a whole number of."""
    seconds = round(seconds, 3)
    for unit, unit_s in (("h", 3600), ("m", 60)):
        if seconds and seconds % unit_s == 0:
            return f"{seconds / unit_s:.0f}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def _flow(fields: Mapping[str, Any]) -> str:
    """Return fields as one writes them in a test file."""
    shown = {
        key: span(value) if key == "at" and value is not None else _written(value) for key, value in fields.items()
    }
    if fields["at"] is None:
        del shown["at"]
    return "{" + ", ".join(f"{key}: {value}" for key, value in shown.items()) + "}"


def _written(value: Any) -> str:
    if value is None:
        return "_"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.10g}"
    return value if all(letter.isalnum() or letter in "_/" for letter in value) else f'"{value}"'
