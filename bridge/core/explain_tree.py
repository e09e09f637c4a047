"""An expression with what every part of it is now: the engine's own values, nothing is computed ahead.

Each node means what `semantics` says. What a record or a function over time is computed of stands below it, once in a
tree: a score of scores would be written out thousands of times. An aggregate has one part per device. A point says
how good its value is and, when it is not known, why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from math import isfinite
from typing import Any, NamedTuple

from bridge.core.alerts import as_shown
from bridge.core.compile import HOSTILE, LOCAL, WALL
from bridge.core.derived import DerivedState
from bridge.core.engine import Engine
from bridge.core.explain_points import NOT_COMPUTED, PointReader
from bridge.core.explain_windows import known_s, lack
from bridge.core.formula import Expr, Formula
from bridge.core.parser import unparse
from bridge.core.points import TRUTH, Type
from bridge.core.ring import Series
from bridge.core.semantics import OPERATIONS, compare, contains, hour, month, over_devices, weekday
from bridge.core.writing import Place, Selector, derived_of, labelled, tree_of
from bridge.model import Value

MAX_NODES = 1000  # after so many, what records are computed of is left out; the largest rule alone has about 500
MAX_WRITTEN = 60  # nodes; a text of more is no help, and all texts together would grow with the square
CONSTANTS = ("constant", "params", "profile")
_SAME_UNIT = frozenset(
    ("+", "-", "negative", "abs", "min", "max", "round", "floor", "ceil", "clamp", "coalesce", "choice")
)


class Node(NamedTuple):
    """A part of an expression and its value now, a label as its number; None is UNKNOWN.

    op: constant, params, profile, point, record, over_time, over_devices, or the operation of `formula`.
    facts: what else is known of a point, a function over time or a device, as JSON can hold it.
    write: returns the text; writing costs as much as all below it, and hardly any text is read.
    size: nodes from here down.
    """

    write: Callable[[], str]
    op: str
    value: Any
    type: Type
    unit: str
    parts: tuple[Node, ...]
    facts: Mapping[str, Any]
    size: int = 1

    @property
    def text(self) -> str:
        """The expression as a rule writes it; of a long one what it is, as its parts stand below it."""
        if self.size > MAX_WRITTEN:
            return f"{self.op} of {len(self.parts)} parts" if len(self.parts) > 1 else f"{self.op} (…)"
        return self.write()

    def shown(self) -> Value | None:
        """Return the value as people read it."""
        return as_shown(self.value, self.type)

    def document(self) -> dict[str, Any]:
        """Return the node and all below it as JSON can hold them."""
        return {
            "text": self.text,
            "op": self.op,
            "type": self.type.name,
            "value": self.shown(),
            "unit": self.unit,
            **self.facts,
            "parts": [part.document() for part in self.parts],
        }


class TreeReader:
    """Reads trees off an engine. Changes nothing in it.

    Args:
        now: steady time; what is told of ages holds for it, everything else for the engine's last step.
        topics: of inputs by their point; None where nobody hears messages.
    """

    def __init__(self, engine: Engine, now: float, topics: Mapping[str, str] | None = None) -> None:
        self._engine = engine
        self._store = engine.store
        self._step = float(engine.store.values[0])
        self._points = PointReader(engine.store, now, topics)
        self._opened: set[str] = set()  # computed points whose parts stand in the tree already
        self._nodes = 0
        self._derived = {(one.derived.each, one.derived.name): one for one in engine.program.derived}

    def read(self, formula: Formula, each: str | None, prefix: str) -> Node:
        """Return the tree of a formula that the engine has bound.

        Args:
            each: class of devices of the rule, None for one of the site.
            prefix: where the points of its device begin, "" for the site.
        """
        self._opened, self._nodes = set(), 0
        return self._node(formula.root, Place(formula, each, prefix))

    def unread(self, formula: Formula, each: str | None) -> Node:
        """Return a formula that the engine has not bound: only how it is written."""
        root = formula.root
        return Node(partial(self._written, root, Place(formula, each, "")), root.op, None, root.type, "", (), {})

    def _written(self, expr: Expr, place: Place) -> str:
        return unparse(tree_of(expr, place, self._derived))

    def _node(self, expr: Expr, place: Place) -> Node:
        read = _READERS.get(expr.op)
        if read is not None:
            return read(self, expr, place)
        parts = tuple(self._node(part, place) for part in labelled(expr))
        facts = {"signs": list(expr.value)} if expr.op == "compare" else {}
        return self._made(expr, place, expr.op, _value(expr, [part.value for part in parts]), parts, None, facts)

    def _made(
        self,
        expr: Expr,
        place: Place,
        op: str,
        value: Any,
        parts: tuple[Node, ...] = (),
        unit: str | None = None,
        facts: Mapping[str, Any] = {},
    ) -> Node:
        if isinstance(value, float) and not isfinite(value):
            value = None
        unit = _unit(expr.op, parts) if unit is None else unit
        self._nodes += 1
        size = 1 + sum(part.size for part in parts)
        return Node(partial(self._written, expr, place), op, value, expr.type, unit, parts, facts, size)

    # -- what does not depend on anything ---------------------------------------------------------------------------

    def _constant(self, expr: Expr, place: Place) -> Node:
        origin = expr.parts[0] if expr.parts else None
        if origin is not None and origin.op != "written":
            return self._node(origin, place)._replace(value=expr.value, type=expr.type)
        head = str(origin.value).partition(".")[0] if origin is not None else ""
        return self._made(expr, place, head if head in CONSTANTS else "constant", expr.value)

    def _clock(self, expr: Expr, place: Place) -> Node:
        values = self._store.values
        local = self._step + values[WALL] + values[LOCAL]
        clocks: dict[str, Callable[[float], int]] = {"hour": hour, "weekday": weekday, "month": month}
        work = clocks.get(expr.op)
        return self._made(expr, place, expr.op, work(local) if work else self._step + values[WALL])

    # -- points -----------------------------------------------------------------------------------------------------

    def _slot(self, expr: Expr, place: Place) -> int:
        if expr.op == "member":
            return place.row[int(expr.value)]
        return self._store.input_slot(place.formula.inputs[expr.value], place.prefix)

    def _point(self, expr: Expr, place: Place) -> Node:
        one, each, selector = place.input(expr)
        slot = self._slot(expr, place)
        name, value = self._store.names[slot], self._store.values[slot]
        if value is not None and one.type == TRUTH:
            value = bool(value)
        state = self._engine.derived_states.get(name)
        if state is not None:
            return self._derived_point(expr, place, state, value, selector)
        rule = derived_of(one, each, self._derived)
        facts = NOT_COMPUTED if rule else {"name": name, **self._points.quality(slot)}
        return self._made(expr, place, "point", value, (), one.unit, facts)

    def _about_point(self, expr: Expr, place: Place) -> Node:
        """age, absent, present."""
        part = self._node(expr.parts[0], place)
        if expr.op == "age":
            value: Any = self._store.age(self._slot(expr.parts[0], place))
        else:
            value = (part.value is None) is (expr.op == "absent")
        return self._made(expr, place, expr.op, value, (part,), "s" if expr.op == "age" else "")

    # -- points that the engine computes ----------------------------------------------------------------------------

    def _derived_point(self, expr: Expr, place: Place, state: DerivedState, value: Any, selector: Selector) -> Node:
        rule = state.rule.derived
        prefix = state.key[: -len(rule.name)] if rule.each else ""
        if rule.each and selector is None and prefix != place.prefix:
            selector = int(prefix.split("/")[1])
        below: tuple[Node, ...] = ()
        if state.key not in self._opened and self._nodes < MAX_NODES:
            self._opened.add(state.key)
            below = (self._node(rule.formula.root, Place(rule.formula, rule.each, prefix, selector)),)
        facts: dict[str, Any] = {}
        if rule.window is None:
            facts = {"name": state.key}
        elif state.series is not None:
            value, series = self._over_time(state, state.series, value)
            window, values = rule.window, self._store.values
            why = lack(window, series, self._step + values[WALL] + values[LOCAL]) if value is None else None
            facts = {"function": window.function, "window_s": window.span_s or None, "known_s": known_s(series)}
            facts["why"] = why
        op = "record" if rule.window is None else "over_time"
        return self._made(expr, place, op, value, below, rule.unit, facts)

    def _over_time(self, state: DerivedState, series: Series, value: Any) -> tuple[Any, Series]:
        """Return a function's value and its memory.

        While no limit is near the engine lets it rest; then what it would be now is computed on a copy.
        """
        if state.wake_at > self._step:
            series, values = deepcopy(series), self._store.values
            value = series.step(self._step, values[state.source], values[WALL] + values[LOCAL])
        return value, series

    # -- devices ----------------------------------------------------------------------------------------------------

    def _over(self, expr: Expr, place: Place) -> Node:
        function, group = expr.value
        members = place.formula.members[group]
        parts, is_blind = [], False
        for row in self._store.member_list(members, None):
            number = int(self._store.names[row[0]].split("/")[1])
            part = self._node(expr.parts[0], place._replace(group=members, row=row, member=number))
            is_blind = is_blind or (part.value is None and any(self._store.is_stale[slot] for slot in row))
            parts.append(part._replace(facts={"device": {"class": members.kind, "instance": number}, **part.facts}))
        parts.sort(key=lambda part: int(part.facts["device"]["instance"]))
        value = _tried(over_devices, function, [part.value for part in parts if part.value is not None], is_blind)
        unit = parts[0].unit if parts and function not in ("count", "count_true", "any", "all") else ""
        facts = {"function": function.removesuffix("_true"), "class": members.kind}
        return self._made(expr, place, "over_devices", value, tuple(parts), unit, facts)

    def _device_name(self, expr: Expr, place: Place) -> Node:
        """coalesce; the one that stands for `device.name` is told as such."""
        parts = tuple(self._node(part, place) for part in expr.parts)
        value = OPERATIONS["coalesce"](*(part.value for part in parts))
        is_name = expr.parts[0].op == "filled"
        return self._made(expr, place, "point" if is_name else "coalesce", value, () if is_name else parts)


def _value(expr: Expr, values: list[Any]) -> Any:
    if expr.op == "compare":
        return _tried(compare, expr.value, values)
    if expr.op == "in":
        return _tried(contains, values[0], values[1:])
    return _tried(OPERATIONS[expr.op], *values)


def _tried(work: Callable[..., Any], *values: Any) -> Any:
    """Return what `work` returns; UNKNOWN for values that no GX sends."""
    try:
        return work(*values)
    except HOSTILE:
        return None


def _unit(op: str, parts: tuple[Node, ...]) -> str:
    """Return the unit of a result: that of its parts when they agree and the operation keeps it."""
    if op not in _SAME_UNIT:
        return ""
    units = {part.unit for part in parts if not is_constant(part) and part.type != TRUTH}
    return units.pop() if len(units) == 1 else ""


def is_constant(node: Node) -> bool:
    """Tell whether a node is the same always: a literal, a param, or what is computed of such."""
    if node.op in CONSTANTS:
        return True
    return bool(node.parts) and node.op not in ("over_devices", "over_time") and all(map(is_constant, node.parts))


_READERS: dict[str, Callable[[TreeReader, Expr, Place], Node]] = {
    "const": TreeReader._constant,
    "now": TreeReader._clock,
    "hour": TreeReader._clock,
    "weekday": TreeReader._clock,
    "month": TreeReader._clock,
    "input": TreeReader._point,
    "member": TreeReader._point,
    "age": TreeReader._about_point,
    "absent": TreeReader._about_point,
    "present": TreeReader._about_point,
    "over": TreeReader._over,
    "coalesce": TreeReader._device_name,
}
