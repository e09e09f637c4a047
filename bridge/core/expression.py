"""Tree -> formula: names become inputs, labels numbers, params constants; types are checked on the way.

Law: `resolve` returns a formula or raises RuleError with a place; after it, no value of the right kind can raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge.core.formula import Derived, Expr, Formula, Input, Members, Scope, Window, canonical, constant, written
from bridge.core.functions import FUNCTIONS, call
from bridge.core.nearest import nearest
from bridge.core.parser import UNITS_S, Name, Tree, parse, place, unparse
from bridge.core.points import ANY, NUMBER, TEXT, TRUTH, Known, Type, did_you_mean
from bridge.core.profile import PROFILE
from bridge.core.semantics import OPERATIONS, compare, contains, finite
from bridge.errors import RuleError

_PRESENCE = (("online",), ("stale",))  # what the engine knows of every device, and of the site
MAX_INPUTS = 64  # points of one formula; the longest rule we know names nine


def resolve(text: str, scope: Scope, wanted: Type | None = None) -> Formula:
    """Return the formula of an expression.

    Args:
        text: as written.
        scope: what its names mean.
        wanted: the type it must have, or None when any will do.

    Raises:
        RuleError: the first mistake in it.
    """
    return Resolver(scope, text).whole(parse(text), wanted)


class Resolver:
    """Resolves one expression. Its public methods are what `functions` builds calls with."""

    def __init__(self, scope: Scope, text: str) -> None:
        self._scope = scope
        self._text = text
        self._inputs: dict[tuple[bool, str], Input] = {}
        self._members: list[Members] = []
        self._group: dict[str, Input] | None = None  # what the aggregate being read needs of each device
        self._group_kind = ""
        self._optional = 0  # how many coalesce, absent, present or age stand around

    def whole(self, tree: Tree, wanted: Type | None) -> Formula:
        """Return the formula of `tree`, which must be of the wanted type."""
        root = self.expr(tree)
        if wanted is not None and root.type not in (wanted, ANY):
            needed = "a condition; compare it with something" if wanted is TRUTH else f"a {wanted.name}"
            raise self.fault(tree, f"{unparse(tree)} is {said(root.type)}, not {needed}")
        return Formula(root, tuple(self._inputs.values()), tuple(self._members))

    def fault(self, tree: Tree, message: str) -> RuleError:
        """Return the error of a mistake at `tree`."""
        return RuleError(message, *place(self._text, tree.at))

    def expr(self, tree: Tree) -> Expr:
        """Return the node of a tree."""
        return _KINDS[tree.kind](self, tree)

    def fold(self, op: str, parts: Sequence[Expr], type_: Type, value: Any = None) -> Expr:
        """Return the node of an operation, or its result when all its parts are constants."""
        if any(part.op != "const" for part in parts):
            return Expr(op, value, tuple(parts), type_)
        values = [part.value for part in parts]
        origin = [Expr(op, value, tuple(parts), type_)] if any(part.parts for part in parts) else []
        if op == "compare":
            return constant(compare(value, values), type_, *origin)
        if op == "in":
            return constant(contains(values[0], values[1:]), type_, *origin)
        try:
            value = OPERATIONS[op](*values)
        except (ArithmeticError, ValueError):
            value = None
        return constant(finite(value), type_, *origin)

    # -- literals and operators -----------------------------------------------------------------------------------

    def _number(self, tree: Tree) -> Expr:
        number: tuple[float, str] = tree.value  # type: ignore[assignment]
        value, unit = number
        return constant(value * UNITS_S[unit], NUMBER, written(unparse(tree))) if unit else constant(value)

    def _literal(self, tree: Tree) -> Expr:
        return constant(tree.value)

    def _unary(self, tree: Tree) -> Expr:
        part = self.expr(tree.parts[0])
        if tree.value == "not":
            return self.fold("not", (self._truth(tree.parts[0], part),), TRUTH)
        self.number(tree.parts[0], part)
        return part if tree.value == "+" else self.fold("negative", (part,), NUMBER)

    def _binary(self, tree: Tree) -> Expr:
        parts = tuple(self.number(part, self.expr(part)) for part in tree.parts)
        return self.fold(str(tree.value), parts, NUMBER)

    def _junction(self, tree: Tree) -> Expr:
        return self.fold(str(tree.value), [self._truth(part, self.expr(part)) for part in tree.parts], TRUTH)

    def _choice(self, tree: Tree) -> Expr:
        condition = self._truth(tree.parts[1], self.expr(tree.parts[1]))
        then, otherwise = self.alike(tree, (tree.parts[0], tree.parts[2]))
        return self.fold("choice", (then, condition, otherwise), _known_type((then, otherwise)))

    def number(self, tree: Tree, part: Expr) -> Expr:
        if part.type not in (NUMBER, ANY):
            advice = f"; its number is code({unparse(tree)})" if part.type.name == "label" else ""
            raise self.fault(tree, f"{unparse(tree)} is {said(part.type)}, and this needs a number{advice}")
        return part

    def _truth(self, tree: Tree, part: Expr) -> Expr:
        if part.type not in (TRUTH, ANY):
            raise self.fault(tree, f"{unparse(tree)} is {said(part.type)}, and this needs a condition; compare it")
        return part

    # -- comparisons ----------------------------------------------------------------------------------------------

    def _compare(self, tree: Tree) -> Expr:
        signs: tuple[str, ...] = tree.value  # type: ignore[assignment]
        parts = self.alike(tree, tree.parts)
        type_ = _known_type(parts)
        for sign, part in zip(signs, tree.parts[1:]):
            if sign not in ("==", "!=") and not (type_ in (NUMBER, ANY) or type_.is_ordered):
                what = unparse(tree.parts[0])
                raise self.fault(
                    part, f"{said(type_)} has no order; compare with == or !=, or use code({what}) {sign} number"
                )
        if len(parts) == 2 and signs[0] in ("==", "!="):
            same = self._same_label(parts, signs[0])
            if same is not None:
                return same
        return self.fold("compare", parts, TRUTH, signs)

    def _same_label(self, parts: Sequence[Expr], sign: str) -> Expr | None:
        """A label that stands for several numbers is met by each of them."""
        point, label = parts if parts[1].op == "const" else (parts[1], parts[0])
        labels = point.type.labels
        codes = [code for code, text in labels.items() if text == labels.get(label.value)] if labels else []
        if label.op != "const" or label.value is None or len(codes) < 2:
            return None
        found = self.fold("in", (point, *map(constant, codes)), TRUTH)
        return found if sign == "==" else self.fold("not", (found,), TRUTH)

    def _in(self, tree: Tree) -> Expr:
        return self.fold("in", self.alike(tree, tree.parts), TRUTH)

    def alike(self, tree: Tree, trees: Sequence[Tree]) -> list[Expr]:
        """Return the parts, all of one type: texts that stand beside a label become that label's number."""
        parts = [self.expr(part) for part in trees]
        labelled = next((part for part in parts if part.type.name == "label"), None)
        if labelled is not None:
            of = unparse(trees[parts.index(labelled)])
            return [self._label(part, at, labelled.type, of) for part, at in zip(parts, trees)]
        type_ = _known_type(parts)
        for part, at in zip(parts, trees):
            if part.type not in (type_, ANY):
                first = next(other for other, one in zip(trees, parts) if one.type == type_)
                raise self.fault(at, f"{unparse(at)} is {said(part.type)}, but {unparse(first)} is {said(type_)}")
        return parts

    def _label(self, part: Expr, tree: Tree, type_: Type, of: str) -> Expr:
        if part.type is ANY or (part.type.name == "label" and dict(part.type.labels) == dict(type_.labels)):
            return part
        names = list(dict.fromkeys(type_.labels.values()))
        if part.type is not TEXT or part.op != "const":
            first = f'{of} == "{names[0]}"' if names else of
            raise self.fault(
                tree, f"{unparse(tree)} is {said(part.type)}, but {of} has labels: write {first}, or code({of})"
            )
        code = next((code for code, name in type_.labels.items() if name == part.value), None)
        if code is None:
            near = nearest(str(part.value), names)
            advice = f'did you mean "{near}"?' if near else f"it has {', '.join(names[:12])}"
            raise self.fault(tree, f'{of} is never "{part.value}"; {advice}')
        return constant(code, type_, *part.parts)

    # -- names ----------------------------------------------------------------------------------------------------

    def _name(self, tree: Tree) -> Expr:
        name: Name = tree.value  # type: ignore[assignment]
        if name.selector is not None:
            return self._selected(tree, name)
        special = _SPECIAL_NAMES.get(name.words[0])
        if special and len(name.words) > 1:
            return special(self, tree, name)
        return self._plain(tree, name)

    def _plain(self, tree: Tree, name: Name) -> Expr:
        head, path = name.words[0], "/".join(name.words[1:])
        points, each = self._scope.points, self._scope.each
        if head == each and path:
            known = points.of_class(head, path)
            if known is not None:
                return self._read(tree, True, known)
        known = points.site("/".join(name.words))
        if known is not None:
            return self._read(tree, False, known)
        if head == each:
            raise self.fault(tree, f"no {head} has the point {name}{points.like_class(head, path)}")
        if path and points.is_class(head) and points.of_class(head, path) is not None:
            raise self.fault(
                tree,
                f"{name} is a point of each {head} device: add `each: {head}` to the rule, or select one "
                f"({head}[512].{'.'.join(name.words[1:])}) or all in an aggregate ({head}[*])",
            )
        raise self.fault(tree, f"there is no point {name}{points.like_site('/'.join(name.words))}")

    def _selected(self, tree: Tree, name: Name) -> Expr:
        points, kind, path = self._scope.points, name.words[0], "/".join(name.words[1:])
        if not points.is_class(kind):
            near = nearest(kind, points.class_names())
            raise self.fault(
                tree, f"there is no class of devices {kind}" + (f'; did you mean "{near}"?' if near else "")
            )
        if not path:
            raise self.fault(tree, f"{name} is a device; name a point of it, as in {name}.custom_name")
        presence = Known(path, "", TRUTH) if (path,) in _PRESENCE else None
        known = presence or points.of_class(kind, path)
        if known is None:
            raise self.fault(tree, f"no {kind} has the point {path.replace('/', '.')}{points.like_class(kind, path)}")
        if name.selector != "*":
            return self._read(tree, False, known._replace(name=f"{kind}/{name.selector}/{known.name}"))
        if self._group is None:
            raise self.fault(tree, f"{name} is many values: put it in an aggregate, as in max({name})")
        return self._member(tree, kind, known)

    def _member(self, tree: Tree, kind: str, known: Known) -> Expr:
        group = self._group
        if group is None or (self._group_kind and self._group_kind != kind):
            raise self.fault(tree, f"one aggregate reads one class, here {self._group_kind}; use two aggregates")
        self._group_kind = kind
        found = group.get(known.name)
        needed = self._optional == 0 or (found is not None and found.is_needed)
        group[known.name] = Input(True, known.name, known.unit, known.type, needed)
        return Expr("member", list(group).index(known.name), (), known.type)

    def _read(self, tree: Tree, each: bool, known: Known, is_needed: bool = True) -> Expr:
        """Return the node that reads a point, which thereby is an input of the formula."""
        key = (each, known.name)
        before = self._inputs.get(key)
        needed = (is_needed and self._optional == 0) or (before is not None and before.is_needed)
        self._inputs[key] = Input(each, known.name, known.unit, known.type, needed)
        if len(self._inputs) > MAX_INPUTS:
            raise self.fault(tree, f"more than {MAX_INPUTS} points in one expression; split it with a record")
        return Expr("input", list(self._inputs).index(key), (), known.type)

    def _site(self, tree: Tree, name: Name) -> Expr:
        path = "/".join(name.words if name.words[1:] in _PRESENCE else name.words[1:])
        known = self._scope.points.site(path)
        if known is None:
            advice = self._scope.points.like_site(path)
            raise self.fault(tree, f"there is no site point {'.'.join(name.words[1:])}{advice}")
        return self._read(tree, False, known)

    def _device(self, tree: Tree, name: Name) -> Expr:
        if self._scope.each is None:
            raise self.fault(tree, f"{name} needs a rule with `each`; this one is evaluated once for the site")
        if name.words[1:] in _PRESENCE:
            return self._read(tree, True, Known(name.words[1], "", TRUTH), False)
        if name.words == ("device", "instance"):
            return self._read(tree, True, Known("@instance", "", NUMBER), False)
        if name.words == ("device", "name"):
            custom = self._read(tree, True, Known("custom_name", "", TEXT), False)
            product = self._read(tree, True, Known("product_name", "", TEXT), False)
            label = self._read(tree, True, Known("@label", "", TEXT), False)
            filled = tuple(Expr("filled", None, (part,), TEXT) for part in (custom, product))
            return Expr("coalesce", None, (*filled, label), TEXT)
        raise self.fault(tree, f"a device has name, instance, online and stale, not {'.'.join(name.words[1:])}")

    def _constant_of(self, tree: Tree, name: Name) -> Expr:
        where, key = name.words[0], ".".join(name.words[1:])
        known = self._scope.params if where == "params" else self._scope.profile
        if key not in known:
            near = nearest(key, known)
            advice = f'did you mean "{where}.{near}"?' if near else f"there are {', '.join(known) or 'none'}"
            raise self.fault(tree, f"there is no {where}.{key}; {advice}")
        # A fact that nobody says yet is a number: all that a GX can tell are numbers.
        type_ = NUMBER if known[key] is None and where == "profile" and key in PROFILE else None
        return constant(known[key], type_, written(str(name)))

    def _external(self, tree: Tree, name: Name) -> Expr:
        known = self._scope.points.site("/".join(name.words))
        if known is None:
            known_names = self._scope.points.external_names()
            advice = did_you_mean("/".join(name.words), known_names) or "; list it under `inputs:` of the config"
            raise self.fault(tree, f"there is no {name}{advice}")
        return self._read(tree, False, known)

    # -- calls ----------------------------------------------------------------------------------------------------

    def _call(self, tree: Tree) -> Expr:
        if tree.value not in FUNCTIONS:
            raise self.fault(tree, f"there is no function {tree.value}{did_you_mean(str(tree.value), list(FUNCTIONS))}")
        return call(self, tree)

    def optional(self, read: Callable[[], Any]) -> Any:
        """Return what `read` returns; the points it names are such as a device may lack."""
        self._optional += 1
        try:
            return read()
        finally:
            self._optional -= 1

    def has_selector(self, tree: Tree) -> bool:
        """Tell whether a `[*]` stands in `tree`."""
        return _class_of(tree) is not None

    def of_devices(self, tree: Tree) -> tuple[Expr, int]:
        """Return what an aggregate's argument is for each device, and the number of the group that it reads."""
        if self._group is not None:
            raise self.fault(tree, "an aggregate over devices cannot stand inside another; make the inner one a record")
        self._group, self._group_kind = {}, ""
        try:
            inner = self.expr(tree)
            self._members.append(Members(self._group_kind, tuple(self._group.values())))
        finally:
            self._group = None
        return inner, len(self._members) - 1

    def over_time(self, tree: Tree, window: Window, wanted: Type | None) -> Expr:
        """Return the node that reads a function over time of the call's first argument."""
        of, scope = tree.parts[0], self._scope
        kind = _class_of(of) if self._group is not None else None
        if kind is not None:
            of, scope = _as_each(of), scope._replace(each=kind)
        formula = Resolver(scope, self._text).whole(of, wanted)
        each = scope.each if any(one.each for one in formula.inputs) else None
        unit = _unit_over_time(window.function, formula)
        constants = ", ".join(repr(value).removesuffix(".0") for value in (window.span_s, *window.constants))
        known = Known(f"~{window.function}({canonical(formula.root, formula)}, {constants})", unit, NUMBER)
        scope.derive(Derived(known.name, each, formula, window, unit, 3))
        return self._member(tree, kind, known) if kind is not None else self._read(tree, each is not None, known)


_KINDS: dict[str, Callable[[Resolver, Tree], Expr]] = {
    "number": Resolver._number,
    "text": Resolver._literal,
    "truth": Resolver._literal,
    "name": Resolver._name,
    "call": Resolver._call,
    "unary": Resolver._unary,
    "binary": Resolver._binary,
    "junction": Resolver._junction,
    "compare": Resolver._compare,
    "in": Resolver._in,
    "choice": Resolver._choice,
}
_SPECIAL_NAMES: dict[str, Callable[[Resolver, Tree, Name], Expr]] = {
    "site": Resolver._site,
    "device": Resolver._device,
    "params": Resolver._constant_of,
    "profile": Resolver._constant_of,
    "input": Resolver._external,
}


def said(type_: Type) -> str:
    names = {"truth": "a condition", "label": "one of several labels", "any": "unknown"}
    return names.get(type_.name, f"a {type_.name}")


def _known_type(parts: Sequence[Expr]) -> Type:
    return next((part.type for part in parts if part.type is not ANY), ANY)


def _class_of(tree: Tree) -> str | None:
    """Return the class of the first `class[*]` in `tree`."""
    if isinstance(tree.value, Name) and tree.value.selector == "*":
        return tree.value.words[0]
    return next((found for found in map(_class_of, tree.parts) if found), None)


def _as_each(tree: Tree) -> Tree:
    """Return `tree` as a rule with `each` would write it: `battery[*].soc` -> `battery.soc`."""
    value = tree.value
    if isinstance(value, Name) and value.selector == "*":
        value = Name(("device", *value.words[1:]) if value.words[1:] in _PRESENCE else value.words)
    return Tree(tree.kind, value, tuple(map(_as_each, tree.parts)), tree.at)


def _unit_over_time(function: str, formula: Formula) -> str:
    if function in ("held", "last_change"):
        return "s"
    units = {one.unit for one in formula.inputs}
    if function in ("changes", "ratio_over_time", "zscore", "seasonal_zscore") or len(units) != 1:
        return ""
    unit = units.pop()
    return f"{unit}/s" if function in ("rate", "deriv") and unit else unit
