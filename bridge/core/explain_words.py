"""A tree of values -> why it is true, false or unknown, in one sentence.

Only what decides is told: of an `and` that is false the parts that are false, of an `or` that is true those that are
true, of an aggregate the devices that make it so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge.core.explain_tree import Node, is_constant
from bridge.core.semantics import compare
from bridge.core.templates import duration_text

_LONGEST = 48  # characters of an expression inside a sentence
_MOST = 3  # reasons that are told
_DURATION_FROM_S = 120.0  # shorter ones are read more easily in seconds


def reason(node: Node) -> str:
    """Return why a condition is what it is."""
    if node.value is None:
        return blame(node)
    if node.op == "constant":
        return f"the rule says {_word(node.value)}"
    if is_constant(node):
        return f"{_short(node.text)} is always {_word(node.value)}"
    tell = _TELLERS.get(node.op)
    return tell(node) if tell else f"{_short(node.text)} is {_word(node.value)}"


def blame(node: Node) -> str:
    """Return what it is that makes a node unknown."""
    why = node.facts.get("why")
    quality = node.facts.get("quality")
    if quality in ("stale", "invalid"):
        return f"{node.text} is {quality} ({why})"
    if quality is not None:
        return f"{node.text} is not known ({why})"
    unknown = [part for part in node.parts if part.value is None]
    if unknown:
        return blame(unknown[0])
    if node.op == "over_devices":
        return f"{_short(node.text)} has no device to look at"
    return f"{_short(node.text)} is not known ({why or 'it has no result, as a division by zero has none'})"


def quantity(value: Any, unit: str = "") -> str:
    """Return a value with its unit as people write it."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return _word(value)
    if not isinstance(value, int | float):
        return f'"{value}"'
    if unit == "s" and abs(value) >= _DURATION_FROM_S:
        return duration_text(value)
    number = f"{value:.6g}" if abs(value) < 1e6 else f"{value:.10g}"
    return f"{number} {unit}" if unit else number


def _word(truth: Any) -> str:
    return "true" if truth else "false"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _told(nodes: Sequence[Node], total: int) -> str:
    told = " and ".join(reason(node) for node in nodes[:_MOST])
    rest = total - min(len(nodes), _MOST)
    return f"{told}, and {rest} more" if rest else told


def _junction(node: Node) -> str:
    """What decides an `and` that is false, an `or` that is true, is every such part; else it takes all parts."""
    is_decided = node.value is (node.op == "or")
    decisive = [part for part in node.parts if not is_decided or part.value is node.value]
    return _told(decisive, len(decisive))


def _not(node: Node) -> str:
    return reason(node.parts[0])


def _compare(node: Node) -> str:
    pairs = list(zip(node.facts["signs"], node.parts, node.parts[1:]))
    if node.value:
        if len(pairs) > 1:
            return " ".join([_said(node.parts[0]), *(f"{sign} {_said(right)}" for sign, _, right in pairs)])
        sign, left, right = pairs[0]
        if sign == "==":
            return f"{_short(left.text)} is {_said(right, left)}"
        return f"{_said(left, right)} {'is not' if sign == '!=' else sign} {_said(right, left)}"
    sign, left, right = next(pair for pair in pairs if _is_false(pair))
    if sign == "!=":
        return f"{_short(left.text)} is {_said(right, left)}"
    return f"{_said(left, right)} is not {_said(right, left) if sign == '==' else f'{sign} {_said(right, left)}'}"


def _is_false(pair: tuple[str, Node, Node]) -> bool:
    sign, left, right = pair
    return compare((sign,), (left.value, right.value)) is False


def _said(node: Node, other: Node | None = None) -> str:
    """Return a side of a comparison with its value; a constant takes the unit of the other side."""
    if is_constant(node):
        return quantity(node.shown(), other.unit if other is not None else "")
    text, value = _short(node.text), quantity(node.shown(), node.unit)
    return f"{text} {value}" if text == node.text else f"{text} = {value}"


def _in(node: Node) -> str:
    first, *items = node.parts
    listed = ", ".join(dict.fromkeys(quantity(item.shown()) for item in items))
    return f"{_said(first)} is {'one' if node.value else 'none'} of {listed}"


def _choice(node: Node) -> str:
    """The branch that was taken; a branch that is constant was decided by the condition."""
    then, condition, otherwise = node.parts
    taken = then if condition.value else otherwise
    return reason(condition if is_constant(taken) else taken)


def _coalesce(node: Node) -> str:
    taken = next(part for part in node.parts if part.value is not None)
    return f"{_short(node.text)} is {_word(node.value)}" if is_constant(taken) else reason(taken)


def _over_devices(node: Node) -> str:
    function = node.facts["function"]
    if function not in ("any", "all") or not node.parts:
        return f"{_short(node.text)} is {_word(node.value)}"
    if node.value is (function == "any"):
        decisive = [part for part in node.parts if part.value is node.value]
        return _told(decisive, len(decisive))
    return f"{_short(node.text)} is {_word(node.value)} for all of {len(node.parts)}"


def _presence(node: Node) -> str:
    point = node.parts[0]
    if point.value is None:
        return blame(point)
    return f"{point.text} is there ({quantity(point.shown(), point.unit)})"


_TELLERS: dict[str, Callable[[Node], str]] = {
    "and": _junction,
    "or": _junction,
    "not": _not,
    "compare": _compare,
    "in": _in,
    "choice": _choice,
    "coalesce": _coalesce,
    "over_devices": _over_devices,
    "absent": _presence,
    "present": _presence,
}
