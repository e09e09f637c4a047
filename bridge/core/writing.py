"""A resolved expression -> the tree that its author could have written, for those who explain it.

Names come back as rules write them, functions over time as calls, params by their names. Folded constants remember
what they were computed of; parentheses and the order of labels that mean the same are not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bridge.core.derived import DerivedRule
from bridge.core.formula import Derived, Expr, Formula, Input, Members
from bridge.core.parser import UNITS_S, Name, Tree, parse
from bridge.core.points import NUMBER, TEXT, Type

Selector = str | int | None
DerivedRules = Mapping[tuple[str | None, str], DerivedRule]

_UNKNOWN = parse("0 / 0")  # as rules write it
_OF_DEVICE = ("online", "stale", "@instance")


class Place(NamedTuple):
    """Where an expression stands.

    `each`, `prefix`: the class of the devices that the formula is for, and where the points of this one begin.
    `selector`: how this one is written: None as in a rule with `each`, a number, or `*` for all of them.
    `group`, `row`, `member`: inside an aggregate what it reads of each device, the slots of the one whose turn it
    is, and how that is written.
    """

    formula: Formula
    each: str | None
    prefix: str
    selector: Selector = None
    group: Members | None = None
    row: tuple[int, ...] = ()
    member: Selector = "*"

    def input(self, expr: Expr) -> tuple[Input, str | None, Selector]:
        """Return what an input or member node reads, of which class, and how the device is written."""
        if expr.op == "member" and self.group is not None:
            return self.group.inputs[expr.value], self.group.kind, self.member
        one = self.formula.inputs[expr.value]
        return one, self.each if one.each else None, self.selector


def tree_of(expr: Expr, place: Place, derived: DerivedRules) -> Tree:
    """Return an expression as it could have been written."""
    if expr.op == "const":
        return tree_of(expr.parts[0], place, derived) if expr.parts else literal(expr.value, expr.type)
    if expr.op == "written":
        return parse(expr.value)
    if expr.op in ("input", "member"):
        one, each, selector = place.input(expr)
        tree = _point(one, each, selector, place.each, derived)
        return Tree("call", "code", (tree,)) if expr.type == NUMBER and one.type.name == "label" else tree
    if expr.op == "coalesce" and expr.parts[0].op == "filled":
        return Tree("name", Name(("device", "name")))
    if expr.op == "over":
        function, group = expr.value
        place = place._replace(group=place.formula.members[group])
        return Tree("call", function.removesuffix("_true"), (tree_of(expr.parts[0], place, derived),))
    return _operation(expr, tuple(tree_of(part, place, derived) for part in labelled(expr)))


def _operation(expr: Expr, parts: tuple[Tree, ...]) -> Tree:
    if expr.op == "compare":
        return Tree("compare", expr.value, parts)
    if expr.op in ("and", "or"):
        return Tree("junction", expr.op, parts)
    if expr.op in ("not", "negative"):
        return Tree("unary", "not" if expr.op == "not" else "-", parts)
    if expr.op in ("in", "choice"):
        return Tree(expr.op, None, tuple(dict.fromkeys(parts)) if expr.op == "in" else parts)
    if expr.op in ("+", "-", "*", "/", "//", "%", "**"):
        return Tree("binary", expr.op, parts)
    return Tree("call", expr.op, parts)


def labelled(expr: Expr) -> tuple[Expr, ...]:
    """Return the parts of a node; the numbers that a label is looked for in as labels."""
    type_ = expr.parts[0].type if expr.op == "in" else NUMBER
    if type_.name != "label":
        return expr.parts
    return tuple(part._replace(type=type_) if part.op == "const" else part for part in expr.parts)


def literal(value: Any, type_: Type) -> Tree:
    """Return a plain value as one writes it."""
    if value is None:
        return _UNKNOWN
    if isinstance(value, bool):
        return Tree("truth", value)
    if type_.name == "label" or type_ == TEXT:
        return Tree("text", type_.labels.get(value, str(value)))
    return Tree("number", (value, "")) if value >= 0 else Tree("unary", "-", (Tree("number", (-value, "")),))


def _point(one: Input, each: str | None, selector: Selector, around: str | None, derived: DerivedRules) -> Tree:
    """Return the name of a point.

    Args:
        each, selector: see `Place.input`.
        around: the class that the rule is for: what the site calls so, too, is written `site.`.
    """
    rule = derived_of(one, each, derived)
    if rule is not None and not rule.is_record:
        return _over_time(rule.derived, selector, derived)
    if each is None:
        head, *rest = one.name.split("/")
        if rest and rest[0].isdigit():
            return Tree("name", Name((head, *rest[1:]), int(rest[0])))
        return Tree("name", Name(("site", head, *rest) if head == around else (head, *rest)))
    if selector is None and one.name in _OF_DEVICE:
        return Tree("name", Name(("device", one.name.removeprefix("@"))))
    return Tree("name", Name((each, *one.name.split("/")), selector))


def derived_of(one: Input, each: str | None, derived: DerivedRules) -> DerivedRule | None:
    """Return the rule that computes an input, None when the GX tells it."""
    if each is not None:
        return derived.get((each, one.name))
    head, _, rest = one.name.partition("/")
    number, _, name = rest.partition("/")
    return derived.get((None, one.name)) or (derived.get((head, name)) if number.isdigit() else None)


def _over_time(rule: Derived, selector: Selector, derived: DerivedRules) -> Tree:
    window = rule.window
    assert window is not None
    inner = tree_of(rule.formula.root, Place(rule.formula, rule.each, "", selector), derived)
    first = window.function == "predict_linear"  # its window stands before the constant
    spans = [window.span_s] if window.span_s else []
    others = [*window.constants]
    is_span = first or window.function == "ewma"
    constants = [duration(one) if is_span else literal(one, NUMBER) for one in others]
    written = [duration(one) for one in spans]
    return Tree("call", window.function, (inner, *(written + constants if first else constants + written)))


def duration(seconds: float) -> Tree:
    """Return seconds in the largest unit of which they are a whole number."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % UNITS_S[unit] == 0:
            return Tree("number", (seconds / UNITS_S[unit], unit))
    return literal(seconds, NUMBER)
