"""Formula -> straight code of our own writing, bound to the slots of one device.

The code is generated from resolved nodes only: names are slot numbers, numbers are written by `repr`, texts travel
beside it. No text of a user can get in. All devices of a rule share one code object; what differs, the slots, is
in the closure. It means what `semantics` says; a test holds them against each other.

A bound formula takes no argument, reads the values it needs and returns its value, None for UNKNOWN. It may raise
ArithmeticError, TypeError or ValueError on values that no GX sends (see `HOSTILE`); the engine takes that as UNKNOWN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from types import CodeType, FunctionType
from typing import Any

from bridge.core.formula import Expr, Formula, canonical, limits
from bridge.core.points import TRUTH
from bridge.core.semantics import clamp, hour, month, over_devices, power, weekday

HOSTILE = (ArithmeticError, TypeError, ValueError)
NOW, WALL, LOCAL = 0, 1, 2
"""The first places of the values: steady time, what to add for wall time, and again for the site's time zone."""

Bound = Callable[[], Any]

_GLOBALS: dict[str, Any] = {
    "__builtins__": {},
    "abs": abs,
    "bool": bool,
    "ceil": math.ceil,
    "clamp": clamp,
    "floor": math.floor,
    "hour": hour,
    "max": max,
    "min": min,
    "month": month,
    "over_devices": over_devices,
    "power": power,
    "round": round,
    "weekday": weekday,
}
_SCALARS = frozenset(("abs", "ceil", "floor", "max", "min", "round"))
_LOCAL_TIME = f"v[{NOW}] + v[{WALL}] + v[{LOCAL}]"
_CLOCKS = {"now": f"v[{NOW}] + v[{WALL}]", **{name: f"{name}({_LOCAL_TIME})" for name in ("hour", "weekday", "month")}}


class Code:
    """A formula and, from its first use on, the function that binds it."""

    __slots__ = ("_make", "_texts", "canonical", "formula", "limits")

    def __init__(self, formula: Formula) -> None:
        self.formula = formula
        self.limits = limits(formula)
        self.canonical = canonical(formula.root, formula)
        self._make: Callable[..., Bound] | None = None
        self._texts: tuple[str, ...] = ()

    def bind(
        self,
        values: Sequence[Any],
        is_stale: Sequence[int],
        age: Callable[[int], float | None],
        slots: Sequence[int],
        groups: Sequence[Sequence[tuple[int, ...]]],
    ) -> Bound:
        """Return the function that computes the formula.

        Args:
            values: the present value of every slot; read at each call.
            is_stale: of every slot, whether its value is not known now.
            age: seconds since the last good read of a slot.
            slots: the slot of each input.
            groups: for each aggregate the slots of its members, one tuple per device; read at each call.
        """
        if self._make is None:
            writer = _Writer(self.formula)
            self._make = _function(writer.source())
            self._texts = tuple(writer.texts)
        return self._make(values, is_stale, age, self._texts, *slots, *groups)

    def __reduce__(self) -> tuple[type[Code], tuple[Formula]]:
        return Code, (self.formula,)


def _function(source: str) -> Callable[..., Bound]:
    """Return the one function that `source`, written by us, defines."""
    module = compile(source, "<rule>", "exec")
    code = next(part for part in module.co_consts if isinstance(part, CodeType))
    return FunctionType(code, _GLOBALS)


class _Atom:
    """The text of something computed that may be written more than once: a name or a literal."""

    __slots__ = ("may_be_none", "text")

    def __init__(self, text: str, may_be_none: bool) -> None:
        self.text = text
        self.may_be_none = may_be_none


class _Writer:
    def __init__(self, formula: Formula) -> None:
        self._formula = formula
        self._lines: list[str] = []
        self._indent = 2
        self._names = 0
        self.texts: list[str] = []

    def source(self) -> str:
        formula = self._formula
        slots = [f"s{index}" for index in range(len(formula.inputs))]
        groups = [f"g{index}" for index in range(len(formula.members))]
        for index, one in enumerate(formula.inputs):
            self._read(f"i{index}", f"s{index}", one.type == TRUTH)
        self._line(f"return {self._emit(formula.root).text}")
        head = f"def make({', '.join(['v', 'stale', 'age', 'k', *slots, *groups])}):\n def test():\n"
        return head + "\n".join(self._lines) + "\n return test\n"

    def _read(self, name: str, slot: str, is_truth: bool) -> None:
        self._line(f"{name} = v[{slot}]")
        if is_truth:
            self._line(f"if {name} is not None: {name} = bool({name})")

    def _line(self, text: str) -> None:
        self._lines.append(" " * self._indent + text)

    def _new(self) -> str:
        self._names += 1
        return f"t{self._names}"

    def _keep(self, text: str, may_be_none: bool) -> _Atom:
        name = self._new()
        self._line(f"{name} = {text}")
        return _Atom(name, may_be_none)

    def _unless_none(self, atoms: Sequence[_Atom], text: str, also: str = "") -> _Atom:
        """Keep `text`, or None when one of the atoms it needs is None or `also` holds."""
        tests = [f"{name} is None" for name in dict.fromkeys(atom.text for atom in atoms if atom.may_be_none)]
        tests += [also] if also else []
        return self._keep(f"None if {' or '.join(tests)} else {text}" if tests else text, bool(tests))

    def _emit(self, expr: Expr) -> _Atom:
        write = _WRITERS.get(expr.op)
        if write is not None:
            return write(self, expr)
        if expr.op in _CLOCKS:
            return self._keep(_CLOCKS[expr.op], False)
        atoms = [self._emit(part) for part in expr.parts]
        names = [atom.text for atom in atoms]
        if expr.op in _SCALARS:
            return self._unless_none(atoms, f"{expr.op}({', '.join(names)})")
        if expr.op in ("clamp", "power", "**"):
            return self._keep(f"{expr.op.replace('**', 'power')}({', '.join(names)})", True)
        is_division = expr.op in ("/", "//", "%")
        return self._unless_none(atoms, f"{names[0]} {expr.op} {names[1]}", f"{names[1]} == 0" if is_division else "")

    def _const(self, expr: Expr) -> _Atom:
        if isinstance(expr.value, str):
            self.texts.append(expr.value)
            return _Atom(f"k[{len(self.texts) - 1}]", False)
        return _Atom(f"({expr.value!r})", expr.value is None)

    def _input(self, expr: Expr) -> _Atom:
        return _Atom(f"i{expr.value}", True)

    def _member(self, expr: Expr) -> _Atom:
        return _Atom(f"j{expr.value}", True)

    def _slot(self, expr: Expr) -> str:
        return f"{'s' if expr.op == 'input' else 'm'}{expr.value}"

    def _negative(self, expr: Expr) -> _Atom:
        atom = self._emit(expr.parts[0])
        return self._unless_none([atom], f"-{atom.text}")

    def _not(self, expr: Expr) -> _Atom:
        atom = self._emit(expr.parts[0])
        return self._unless_none([atom], f"not {atom.text}")

    def _filled(self, expr: Expr) -> _Atom:
        return self._keep(f"{self._emit(expr.parts[0]).text} or None", True)

    def _age(self, expr: Expr) -> _Atom:
        return self._keep(f"age({self._slot(expr.parts[0])})", True)

    def _absent(self, expr: Expr) -> _Atom:
        return self._keep(f"{self._emit(expr.parts[0]).text} is None", False)

    def _present(self, expr: Expr) -> _Atom:
        return self._keep(f"{self._emit(expr.parts[0]).text} is not None", False)

    def _compare(self, expr: Expr) -> _Atom:
        atoms = [self._emit(part) for part in expr.parts]
        pairs = list(zip(expr.value, atoms, atoms[1:]))
        unsure = {atom.text for atom in atoms if atom.may_be_none}
        # One unknown value makes all pairs unknown, if it stands in all of them: else another pair may decide.
        if not unsure or (len(unsure) == 1 and all(unsure & {left.text, right.text} for _, left, right in pairs)):
            text = atoms[0].text + "".join(f" {sign} {right.text}" for sign, _, right in pairs)
            return self._unless_none(atoms, text)
        if len(pairs) == 1:
            return self._unless_none(atoms, f"{atoms[0].text} {expr.value[0]} {atoms[1].text}")
        tests = [
            partial(self._unless_none, (left, right), f"{left.text} {sign} {right.text}") for sign, left, right in pairs
        ]
        return self._join("False", "True", tests)

    def _in(self, expr: Expr) -> _Atom:
        first, *items = [self._emit(part) for part in expr.parts]
        if not any(item.may_be_none for item in items):
            return self._unless_none([first], f"{first.text} in ({', '.join(item.text for item in items)},)")
        tests = [partial(self._unless_none, (first, item), f"{first.text} == {item.text}") for item in items]
        return self._join("True", "False", tests)

    def _junction(self, expr: Expr) -> _Atom:
        decided, neutral = ("False", "True") if expr.op == "and" else ("True", "False")
        return self._join(decided, neutral, [partial(self._emit, part) for part in expr.parts])

    def _join(self, decided: str, neutral: str, tests: Sequence[Callable[[], _Atom]]) -> _Atom:
        """Write Kleene's `and` (decided by False) or `or` (decided by True): what is decided is not looked at further.

        When a test is not neutral, it is the result so far: it either decides, or is UNKNOWN.
        """
        result = self._keep(tests[0]().text, True)
        for test in tests[1:]:
            self._line(f"if {result.text} is not {decided}:")
            self._indent += 1
            atom = test()
            self._line(f"if {atom.text} is not {neutral}: {result.text} = {atom.text}")
            self._indent -= 1
        return result

    def _choice(self, expr: Expr) -> _Atom:
        then, condition, otherwise = expr.parts
        test = self._emit(condition)
        result = self._keep("None", True)
        for sign, part in (("is True", then), ("is False", otherwise)):
            self._line(f"if {test.text} {sign}:")
            self._indent += 1
            self._line(f"{result.text} = {self._emit(part).text}")
            self._indent -= 1
        return result

    def _coalesce(self, expr: Expr) -> _Atom:
        result = self._keep(self._emit(expr.parts[0]).text, True)
        for part in expr.parts[1:]:
            self._line(f"if {result.text} is None:")
            self._indent += 1
            self._line(f"{result.text} = {self._emit(part).text}")
            self._indent -= 1
        return result

    def _over(self, expr: Expr) -> _Atom:
        """Write a loop over the devices of a class. What a device has no valid value for does not count; what is
        stale makes the whole UNKNOWN, or nearly so.
        """
        function, group = expr.value
        inputs = self._formula.members[group].inputs
        known, blind = self._keep("[]", False), self._keep("False", False)
        slots = [f"m{index}" for index in range(len(inputs))]
        self._line(f"for {', '.join(slots)}, in g{group}:")
        self._indent += 1
        for index, one in enumerate(inputs):
            self._read(f"j{index}", f"m{index}", one.type == TRUTH)
        atom = self._emit(expr.parts[0])
        self._line(f"if {atom.text} is not None: {known.text} += ({atom.text},)")
        self._line(f"elif {' or '.join(f'stale[{slot}]' for slot in slots)}: {blind.text} = True")
        self._indent -= 1
        return self._keep(f"over_devices({function!r}, {known.text}, {blind.text})", True)


_WRITERS: dict[str, Callable[[_Writer, Expr], _Atom]] = {
    "const": _Writer._const,
    "input": _Writer._input,
    "member": _Writer._member,
    "negative": _Writer._negative,
    "not": _Writer._not,
    "filled": _Writer._filled,
    "age": _Writer._age,
    "absent": _Writer._absent,
    "present": _Writer._present,
    "compare": _Writer._compare,
    "in": _Writer._in,
    "and": _Writer._junction,
    "or": _Writer._junction,
    "choice": _Writer._choice,
    "coalesce": _Writer._coalesce,
    "over": _Writer._over,
}
