"""What a resolved expression is made of: plain records, nothing of a site, nothing that runs.

A formula reads inputs. Those marked `each` lie below the device that a rule is evaluated for; the engine binds them
to the slots of every device. A function over time is a point of its own (a `Derived`) that other formulas read: it
is computed once per device however many rules use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bridge.core.points import ANY, NUMBER, TEXT, TRUTH, PointIndex, Type


class Input(NamedTuple):
    """A point that a formula reads. `each`: below the device that the rule is evaluated for, else below the site.

    `is_needed` false: an instance exists without it, as its being unknown is what the formula looks at.
    """

    each: bool
    name: str
    unit: str
    type: Type
    is_needed: bool

    def of(self, prefix: str) -> str:
        """Return the point's full name for the device whose points begin with `prefix` (`battery/512/`)."""
        return prefix + self.name if self.each else self.name


class Members(NamedTuple):
    """What an aggregate reads of every device of a class."""

    kind: str
    inputs: tuple[Input, ...]


class Expr(NamedTuple):
    """A node that can be computed. `value` is a constant, an index, or what an operation needs besides its parts.

    op const: the value; its part, if it has one, is what it was computed of. written: what stands for a constant.
    input, member: which of the formula's inputs, or of the group's. over: (function, group).
    Others are operations of `semantics`, or clocks: age, now, hour, weekday, month.
    """

    op: str
    value: Any
    parts: tuple[Expr, ...]
    type: Type


class Formula(NamedTuple):
    """An expression bound to names: what it computes and what it reads."""

    root: Expr
    inputs: tuple[Input, ...]
    members: tuple[Members, ...]


class Window(NamedTuple):
    """A function over time and its constants, durations in seconds. `span_s` 0: it has no window, only a memory."""

    function: str
    span_s: float
    constants: tuple[float, ...]


class Derived(NamedTuple):
    """A point that the engine computes: a `record` or, with a window, a function over time."""

    name: str  # below the device or the site
    each: str | None  # class, or None for one of the site
    formula: Formula
    window: Window | None
    unit: str
    precision: int


class Scope(NamedTuple):
    """What names mean inside one rule."""

    points: PointIndex
    each: str | None
    params: Mapping[str, Any]
    profile: Mapping[str, Any]
    derive: Callable[[Derived], None]  # called for every function over time


_CONSTANT_TYPES = {bool: TRUTH, int: NUMBER, float: NUMBER, str: TEXT}


def constant(value: Any, type_: Type | None = None, *origin: Expr) -> Expr:
    """Return the node of a plain value; None is UNKNOWN and fits every type. `origin` is for those who explain it."""
    return Expr("const", value, origin, type_ or _CONSTANT_TYPES.get(type(value), ANY))


def written(text: str) -> Expr:
    """Return the node that tells what stood where a constant is, such as `params.limit`."""
    return Expr("written", text, (), ANY)


def canonical(expr: Expr, formula: Formula) -> str:
    """Return a text that is the same for formulas that compute the same of the same points."""
    if expr.op == "const":
        return repr(expr.value)
    if expr.op == "input":
        one = formula.inputs[expr.value]
        return f"./{one.name}" if one.each else one.name
    value = expr.value
    if expr.op == "over":
        members = formula.members[value[1]]
        value = (value[0], members.kind, *(one.name for one in members.inputs))
    told = [] if value is None else [repr(value) if not isinstance(value, tuple) else " ".join(map(str, value))]
    return f"{expr.op}({', '.join([*told, *(canonical(part, formula) for part in expr.parts)])})"


def walk(expr: Expr) -> list[Expr]:
    """Return `expr` and all nodes below it, in the order of writing."""
    return [expr, *(node for part in expr.parts for node in walk(part))]


def limits(formula: Formula) -> tuple[tuple[float, ...] | None, ...]:
    """Return for each input the constants it is compared with, when nothing else is done with it; else None."""
    found: dict[int, set[float] | None] = {}

    def look(node: Expr) -> None:
        compared = [part.value for part in node.parts if part.op == "input"]
        constants = [part.value for part in node.parts if part.op == "const"]
        is_plain = node.op in ("compare", "in") and len(compared) + len(constants) == len(node.parts)
        is_plain = is_plain and len(set(compared)) <= 1 and all(isinstance(one, int | float) for one in constants)
        is_presence = node.op in ("absent", "present")  # asks whether there is a value, not which
        for index in compared:
            known = found.setdefault(index, set())
            if known is None or not (is_plain or is_presence):
                found[index] = None
            elif is_plain:
                found[index] = known | set(constants)
        for part in node.parts:
            look(part)

    root = formula.root
    look(root)
    if root.op == "input":
        found[root.value] = None
    told = (found.get(index) for index in range(len(formula.inputs)))
    return tuple(None if one is None else tuple(sorted(one)) for one in told)
