"""An explanation as a person reads it: the sentence, then the phase with its clocks, then the tree.

The tree has a line per part: its value, then what it is, indented below what it is a part of, then what is special
about it. `?` stands before what is unknown.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bridge.commands.table import printable
from bridge.core.explain_words import quantity
from bridge.core.templates import duration_text

_PHASE = 10  # width of the column of phases in a list
_LABEL = 12  # width of the names on the left
_VALUE = 12  # least width of the column of values
_WIDEST_VALUE = 24
_BRIEF = 28  # characters of a part inside an outline
_TINY = 8  # and where that is too long, too
_SHORTEST = 20  # characters of an expression, however narrow the terminal
_NAMED = ("point", "record", "params", "profile")
_MARKS = ("acknowledged", "silenced", "inhibited")
_OPERANDS = ("constant",)  # literals: they stand in the line above already
Document = Mapping[str, Any]


def explained(document: Document, width: int) -> list[str]:
    """Return the lines that explain one alert, none wider than `width`."""
    lines = [_title(document), *_wrapped(document["verdict"], width), ""]
    if document["phase"] is None:
        missing = _fields(_missing(document), width)
        return [*lines, *missing, *([""] if missing else []), *_fields([("expr", document["expr"]["text"])], width)]
    lines += _fields(_state(document), width)
    for name in ("expr", "clear"):
        if document[name] is not None:
            lines += ["", *_tree(name, document[name], width)]
    return lines


def listed(document: Document, is_all: bool, width: int) -> list[str]:
    """Return the lines of a list of alerts."""
    alerts = document["alerts"]
    if not alerts:
        what = "there is no alert" if is_all else "no alert is pending or firing (--all lists the others)"
        return [f"{document['site']}: {what}"]
    lines = []
    for one in alerts:
        marks = ", ".join(mark for mark in _MARKS if one.get(mark))
        lines.append(f"{one['phase'] or 'absent':{_PHASE}}{printable(one['id'])}" + (f" ({marks})" if marks else ""))
        lines += _wrapped(one["verdict"], width, " " * _PHASE)
    return lines


def _title(document: Document) -> str:
    return printable(f"{document['id']} at {document['site']}, {_time(document['ts'])}")


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(printable(text, 4000), width, initial_indent=indent, subsequent_indent=indent)


def _fields(rows: Iterable[tuple[str, str]], width: int) -> list[str]:
    """Return names and what they are, in two columns."""
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(printable(text, 4000), max(30, width - _LABEL)) or [""]
        lines.append(f"{name:{_LABEL}}{wrapped[0]}".rstrip())
        lines += [" " * _LABEL + rest for rest in wrapped[1:]]
    return lines


def _missing(document: Document) -> Iterator[tuple[str, str]]:
    for one in document["missing"]:
        device = f"{one['device']['class']}/{one['device']['instance']}"
        yield device, f"lacks {', '.join(one['points'])}"


# -- the state ----------------------------------------------------------------------------------------------------


def _state(document: Document) -> Iterator[tuple[str, str]]:
    phase, inner = document["phase"], document["inner_phase"]
    told = phase if inner == phase else f"{phase} ({_INNER[inner]})"
    since = document["since"]
    yield "phase", f"{told}, since {_past(since)}" if since else told
    if document["started"] and document["started"] != since:
        yield "firing", f"since {_past(document['started'])}"
    yield "severity", f"{document['severity']}, pack {document['pack']}"
    yield from _values(document)
    yield from _clocks(document)
    yield from _telling(document)
    if document["on_unknown"] != "hold":
        yield "on unknown", _ON_UNKNOWN[document["on_unknown"]]
    if document["source"]:
        yield "source", document["source"]


_INNER = {
    "waiting": "its clock is stopped, as something is unknown",
    "clearing": "clear, until keep_firing_for is over",
    "holding": "clear, its clock is stopped, as something is unknown",
}
_ON_UNKNOWN = {"clear": "counts as clear", "fire": "counts as true"}


def _values(document: Document) -> Iterator[tuple[str, str]]:
    unit = document["unit"]
    if document["value"] is None and document["peak"] is None:
        return
    told = quantity(document["value"], unit)
    for name, words in (("value_at_firing", "when it fired"), ("peak", "at worst")):
        if document[name] not in (None, document["value"]):
            told += f", {quantity(document[name], unit)} {words}"
    yield "value", told


def _clocks(document: Document) -> Iterator[tuple[str, str]]:
    clocks = document["clocks"]
    for name, due in (("for", "fires"), ("keep_firing_for", "over")):
        clock = clocks[name]
        if clock["limit_s"]:
            label = "keep firing" if name == "keep_firing_for" else name
            yield label, _clock(clock, due)
    reminder, escalation = clocks["reminder"], clocks["escalation"]
    if reminder:
        every = f"every {duration_text(reminder['every_s'])} while it fires"
        none = ", none while it is quiet" if document["phase"] == "firing" else ""
        yield "reminder", every + (f", the next {_due(reminder['due'])}" if reminder["due"] else none)
    if escalation:
        told = f"{escalation['severity']} after {duration_text(escalation['after_s'])}"
        waits = ", not while it is acknowledged" if document["acknowledged"] else ""
        done = ", it is so now" if escalation["is_done"] else waits
        yield "escalation", told + (f", {_due(escalation['due'])}" if escalation["due"] else done)


def _clock(clock: Document, due: str) -> str:
    limit = duration_text(clock["limit_s"])
    if clock["state"] == "off":
        return limit
    if clock["state"] == "over":
        return f"{limit}, over"
    ran = f"{duration_text(clock['ran_s'])} of {limit}"
    return f"{ran}, stopped" if clock["due"] is None else f"{ran}, {due} {_due(clock['due'])}"


def _telling(document: Document) -> Iterator[tuple[str, str]]:
    """Who heard of it, and what keeps it quiet."""
    if document["announced"]:
        yield "announced", _past(document["announced"])
    elif document["phase"] == "firing":
        yield "announced", "no"
    if document["acknowledged"]:
        yield "quiet", "acknowledged: no reminders and no escalation until it is over"
    for one in document["silences"]:
        number = f" {one['id']}" if one["id"] else ""
        comment = f' "{one["comment"]}"' if one["comment"] else ""
        yield "silenced", f"by {one['kind']}{number}{comment}, ends {_due(one['until'])}"
    if document["inhibited_by"]:
        yield "inhibited", f"while {', '.join(document['inhibited_by'])} fires"
    count = document["firings_last_hour"]
    if document["flapping"]:
        until = _due(document["clocks"]["flapping_until"])
        yield "flapping", f"fired {count} times or more within an hour; over {until} if it stays as it is"
    elif count > 1:
        yield "fired", f"{count} times within the last hour"


def _past(moment: Document) -> str:
    return f"{_time(moment['at'])} ({duration_text(moment['ago_s'])} ago)"


def _due(moment: Document) -> str:
    return f"in {duration_text(moment['in_s'])} ({_time(moment['at'])})"


def _time(iso: str) -> str:
    return f"{iso[:19].replace('T', ' ')} UTC"


# -- the tree -----------------------------------------------------------------------------------------------------


def _tree(name: str, root: Document, width: int) -> list[str]:
    """Return the lines of a tree below its name; an expression that is outlined in the tree stands there in full."""
    rows = list(_rows(root, 0, max(_SHORTEST, width // 2 - 6)))
    values = min(_WIDEST_VALUE, max(_VALUE, *(len(value) for _, value, _, _ in rows)))
    texts = max((len(text) for _, _, text, note in rows if note), default=0)
    lines = _fields([(name, root["text"] if rows[0][2] != root["text"] else "")], width)
    for mark, value, text, note in rows:
        head = f"  {mark} {_cut(value, values):{values}}  "
        if note and len(head) + texts + 2 + len(note) <= width:
            lines.append(f"{head}{text:{texts}}  {note}")
            continue
        lines.append(_cut(head + text, width))
        if note:
            indent = " " * (len(head) + len(text) - len(text.lstrip()) + 2)
            lines.append(_cut(indent + note, width))
    return lines


def _rows(node: Document, level: int, room: int) -> Iterator[tuple[str, str, str, str]]:
    """Yield mark, value, indented text and note of a node and all below it."""
    mark = "?" if node["value"] is None else " "
    text = node["text"] if len(node["text"]) <= room else _outline(node, room)
    yield mark, printable(quantity(node["value"], node["unit"])), "  " * level + printable(text), _note(node)
    for part in node["parts"]:
        if part["op"] not in _OPERANDS:
            yield from _rows(part, level + 1, room - 2)


def _outline(node: Document, room: int) -> str:
    """Return an expression with … for its long parts: they stand in the lines below."""
    op, parts = node["op"], [part["text"] for part in node["parts"]]
    if op in _NAMED or not parts:
        return str(node["text"])
    for longest in (_BRIEF, _TINY):
        text = _joined(node, op, [part if len(part) <= longest else "…" for part in parts])
        if len(text) <= room:
            break
    return text


def _joined(node: Document, op: str, parts: list[str]) -> str:
    if op == "compare":
        return parts[0] + "".join(f" {sign} {part}" for sign, part in zip(node["signs"], parts[1:]))
    if op == "in":
        return f"{parts[0]} in (…)"
    if op == "choice":
        return f"{parts[0]} if {parts[1]} else {parts[2]}"
    if op in ("not", "negative"):
        return f"not {parts[0]}" if op == "not" else f"-{parts[0]}"
    if op in ("and", "or") or not op.replace("_", "").isalpha():
        return f" {op} ".join(parts)
    return f"{node.get('function', op)}(…)"


def _note(node: Document) -> str:
    """Return what is special about a part."""
    if node["op"] == "over_time":
        return _window(node)
    if node["op"] == "over_devices":
        return f"{len(node['parts'])} device" + "s" * (len(node["parts"]) != 1)
    if node.get("quality") is None:
        return ""
    if node["quality"] == "good":
        return "" if node["age_s"] is None else f"read {duration_text(node['age_s'])} ago"
    return f"{node['quality']}: {node['why']}"


def _window(node: Document) -> str:
    window_s, known_s = node["window_s"], node["known_s"]
    if window_s is None or known_s is None:
        return node["why"] or ""
    if node["value"] is None:
        return node["why"] or ""
    return "" if known_s >= window_s else f"{duration_text(known_s)} of {duration_text(window_s)} known"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
