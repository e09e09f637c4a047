"""What of an alert contradicts itself: it could never fire, never end, or would end while it holds.

Law: only what is certain whatever the points say is told; a rule that may make sense passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bridge.core.formula import Expr, Formula, canonical, walk
from bridge.core.parser import Tree, parse, place
from bridge.core.rule_fields import SEVERITIES, Fields
from bridge.errors import RuleError

CLOCKS = ("age", "now", "hour", "weekday", "month")  # operations that read the time
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_DIVISIONS = ("/", "//", "%")


def refuse_division_by_zero(text: str) -> None:
    """Raise for `x / 0`, which is UNKNOWN whatever x is; `0 / 0` is how a rule writes UNKNOWN and stays.

    Args:
        text: an expression that parses.

    Raises:
        RuleError: with the place of the first.
    """
    tree = next(_divisions_by_zero(parse(text)), None)
    if tree is not None:
        sign = str(tree.value)
        raise RuleError(f"{sign} 0 is always unknown; write 0 / 0 if that is meant", *place(text, tree.at))


def _divisions_by_zero(tree: Tree) -> Iterator[Tree]:
    if tree.kind == "binary" and tree.value in _DIVISIONS and _is_zero(tree.parts[1]) and not _is_zero(tree.parts[0]):
        yield tree
    for part in tree.parts:
        yield from _divisions_by_zero(part)


def _is_zero(tree: Tree) -> bool:
    return tree.kind == "number" and isinstance(tree.value, tuple) and tree.value[0] == 0


def check_sense(fields: Fields, expr: Formula, clear: Formula | None) -> None:
    """Note what contradicts itself in the conditions of an alert."""
    if not _can_change(expr):
        fields.fault("expr", "expr can never change: it reads no point, no input and no clock")
    elif clear is not None and _is_same(expr, clear):
        fields.fault("clear", "clear is the same as expr: the alert would end at once; write when it is over")
    elif clear is not None:
        _check_limits(fields, expr, clear)


def check_escalation(fields: Fields, severity: str, escalate_to: str) -> None:
    """Note an escalation to what is no higher than the severity that the alert has."""
    if SEVERITIES.index(escalate_to) > SEVERITIES.index(severity):
        return
    above = SEVERITIES[SEVERITIES.index(severity) + 1 :]
    advice = f"write {' or '.join(above)}" if above else "nothing is, leave escalate out"
    fields.fault("escalate", f'severity "{escalate_to}" is not higher than the alert\'s own, "{severity}"; {advice}')


def _can_change(formula: Formula) -> bool:
    return any(node.op in ("input", "over", *CLOCKS) for node in walk(formula.root))


class _Bound(NamedTuple):
    """`<what> <sign> <limit>`."""

    what: str
    sign: str
    limit: float


def _bound(formula: Formula) -> _Bound | None:
    """Return a condition that compares one thing with one number, or None for any other."""
    root = formula.root
    if root.op != "compare" or len(root.parts) != 2 or root.value[0] not in _MIRRORED:
        return None
    left, right = root.parts
    sign: str = root.value[0]
    if left.op == "const":
        left, right, sign = right, left, _MIRRORED[sign]
    if left.op == "const" or right.op != "const" or not _is_number(right):
        return None
    return _Bound(canonical(left, formula), sign, float(right.value))


def _is_number(node: Expr) -> bool:
    return isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _is_same(expr: Formula, clear: Formula) -> bool:
    bound = _bound(expr)
    return canonical(clear.root, clear) == canonical(expr.root, expr) or (bound is not None and bound == _bound(clear))


def _check_limits(fields: Fields, expr: Formula, clear: Formula) -> None:
    """Note a `clear` whose side of its limit overlaps that of `expr`."""
    holds, ends = _bound(expr), _bound(clear)
    if holds is None or ends is None or holds.what != ends.what:
        return
    fires, over = (f"{one.sign} {one.limit:g}" for one in (holds, ends))
    if holds.sign[0] == ends.sign[0]:
        way = "above" if holds.sign[0] == "<" else "below"
        fields.fault("clear", f"clear ({over}) looks the same way as expr ({fires}): the alert is over {way} a limit")
        return
    beyond = (ends.limit - holds.limit) * (1 if holds.sign[0] == "<" else -1)
    touch = holds.sign.endswith("=") and ends.sign.endswith("=")
    if beyond < 0 or (beyond == 0 and touch):
        where = f"between {ends.limit:g} and {holds.limit:g}" if beyond else f"at {holds.limit:g}"
        fields.fault("clear", f"{where} clear ({over}) holds while expr ({fires}) holds, too; move one of the limits")
