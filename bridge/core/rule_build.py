"""One written rule -> a resolved alert or derived point."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from bridge.core.alerts import Rule
from bridge.core.compile import Code
from bridge.core.expression import resolve
from bridge.core.formula import Derived, Expr, Formula, Scope, canonical, walk
from bridge.core.nearest import nearest
from bridge.core.parser import Name, Tree, parse
from bridge.core.points import ANY, TRUTH, Type
from bridge.core.rule_fields import ON_UNKNOWN, SEVERITIES, Fields
from bridge.core.rule_sense import check_escalation, check_sense, refuse_division_by_zero
from bridge.core.templates import Template, template
from bridge.errors import RuleError

MIN_REPEAT_S = 60.0  # a reminder more often would be noise
MAX_DIGITS = 9
_SIDES = {"<": -1, "<=": -1, ">": 1, ">=": 1}
_NO_TEXT = Template(())


class Written(NamedTuple):
    """A rule before it is resolved."""

    name: str
    pack: str
    fields: Fields
    each: str | None

    @property
    def point(self) -> str:
        """The topic name of a record, below its device or the site."""
        own = self.name.removeprefix(f"{self.each}.") if self.each else self.name
        return own.replace(".", "/")


def mentioned(written: Written, records: Collection[str]) -> list[str]:
    """Return the records that a record's expression names, in the order of writing."""
    try:
        tree = parse(written.fields.text("expr"))
    except RuleError:
        return []  # told when it is resolved
    return list(dict.fromkeys(name for name in _names(tree) if name in records))


def _names(tree: Tree) -> list[str]:
    own = [".".join(tree.value.words).removeprefix("site.")] if isinstance(tree.value, Name) else []
    return own + [name for part in tree.parts for name in _names(part)]


def build_record(written: Written, scope: Scope) -> Derived | None:
    """Return the derived point of a record, or None when something is wrong with it."""
    fields = written.fields
    if written.each == "*":
        fields.fault("each", "a record belongs to one class or to the site, not to every device")
    if written.each and not written.name.startswith(f"{written.each}."):
        fields.fault("record", f"with `each: {written.each}` the name begins with {written.each}.")
    unit = fields.text("unit")
    precision = fields.whole("precision", 2, MAX_DIGITS)
    formula = _formula(fields, "expr", scope)
    if formula is None or not fields.is_sound:
        return None
    return Derived(written.point, written.each, formula, None, unit, precision)


def build_alert(written: Written, scope: Scope, order: int, orders: Mapping[str, int]) -> Rule | None:
    """Return a rule, or None when something is wrong with it."""
    fields = written.fields
    expr = _formula(fields, "expr", scope, TRUTH) if "expr" in fields.data else None
    clear = _formula(fields, "clear", scope, TRUTH) if fields.text("clear") else None
    if fields.text("value"):
        value = _formula(fields, "value", scope)
    else:
        value = _first_point(expr) if expr else None
    if expr:
        check_sense(fields, expr, clear)
    summary, description, action = (_text(fields, key, scope) for key in ("summary", "description", "action"))
    severity = fields.choice("severity", SEVERITIES, "warning")
    escalate_s, escalate_to = _escalation(fields, severity)
    if not fields.text("source").strip() and _has_threshold(fields, scope):
        fields.fault(None, "a threshold needs a `source`: say where the number comes from")
    rule = Rule(
        order=order,
        name=written.name,
        pack=written.pack,
        each=written.each,
        expr=Code(expr or _NEVER),
        clear=Code(clear) if clear else None,
        value=Code(value) if value else None,
        value_type=value.root.type if value else ANY,
        peak=_worst_side(expr, value) if expr else 0,
        for_s=fields.duration("for"),
        keep_s=fields.duration("keep_firing_for"),
        on_unknown=fields.choice("on_unknown", ON_UNKNOWN, "hold"),
        severity=severity,
        repeat_s=fields.duration("repeat", least_s=MIN_REPEAT_S),
        escalate_s=escalate_s,
        escalate_to=escalate_to,
        labels=fields.labels("labels"),
        inhibited_by=_inhibitors(fields, orders),
        summary=summary,
        description=description,
        action=action,
        points=(),
        every_s=0.0,
        source=fields.text("source"),
    )
    return rule if fields.is_sound else None


_NEVER = Formula(Expr("const", False, (), TRUTH), (), ())


def _text(fields: Fields, key: str, scope: Scope) -> Template:
    return fields.tried(key, lambda: template(fields.text(key).strip(), scope)) or _NO_TEXT


def _formula(fields: Fields, key: str, scope: Scope, wanted: Type | None = None) -> Formula | None:
    """Return the formula of the expression of a key, or None when something is wrong with it."""

    def work() -> Formula:
        formula = resolve(fields.text(key), scope, wanted)
        refuse_division_by_zero(fields.text(key))
        return formula

    return fields.tried(key, work)


def _escalation(fields: Fields, severity: str) -> tuple[float, str]:
    written = fields.data.get("escalate")
    if written is None:
        return 0.0, ""
    if not isinstance(written, Mapping) or set(written) != {"after", "severity"}:
        fields.fault("escalate", "escalate is written {after: 2h, severity: critical}")
        return 0.0, ""
    if written["severity"] not in SEVERITIES:
        near = nearest(str(written["severity"]), SEVERITIES)
        advice = f'; did you mean "{near}"?' if near else ""
        fields.fault("escalate", f'severity "{written["severity"]}" is none of {", ".join(SEVERITIES)}{advice}')
    else:
        check_escalation(fields, severity, written["severity"])
    after_s = fields.duration("after", written, least_s=1.0)
    return after_s, str(written["severity"])


def _inhibitors(fields: Fields, orders: Mapping[str, int]) -> tuple[int, ...]:
    found = []
    for name in fields.names("inhibited_by"):
        if name in orders:
            found.append(orders[name])
            continue
        near = nearest(name, orders)
        advice = f'; did you mean "{near}"?' if near else ""
        fields.fault("inhibited_by", f'there is no alert "{name}"{advice}')
    return tuple(found)


def _has_threshold(fields: Fields, scope: Scope) -> bool:
    """Tell whether the expression holds a number, its own or that of a param."""

    def is_number(tree: Tree) -> bool:
        name = tree.value
        if isinstance(name, Name) and name.words[0] == "params":
            value = scope.params.get(".".join(name.words[1:]))
            return isinstance(value, int | float) and not isinstance(value, bool)
        return tree.kind == "number" or any(map(is_number, tree.parts))

    for key in ("expr", "clear"):
        try:
            if fields.text(key) and is_number(parse(fields.text(key))):
                return True
        except RuleError:  # told already
            continue
    return False


def _first_point(expr: Formula) -> Formula | None:
    """Return the formula of the first point or aggregate in an expression."""
    for node in walk(expr.root):
        if node.op == "input":
            one = expr.inputs[node.value]._replace(is_needed=False)
            return Formula(node._replace(value=0), (one,), ())
        if node.op == "over":
            function, group = node.value
            own = [inner.value for inner in walk(node) if inner.op == "input"]
            if not own:
                return Formula(node._replace(value=(function, 0)), (), (expr.members[group],))
    return None


def _worst_side(expr: Formula, value: Formula | None) -> int:
    """Return on which side of its threshold the value is worse: -1 below, 1 above, 0 when one cannot tell."""
    if value is None:
        return 0
    watched = canonical(value.root, value)

    def side(node: Expr, turned: int) -> int:
        if node.op == "compare" and len(node.parts) == 2 and node.value[0] in _SIDES:
            left, right = (canonical(part, expr) == watched for part in node.parts)
            return _SIDES[node.value[0]] * turned * (int(left) - int(right))
        if node.op not in ("not", "and", "or"):
            return 0
        found = (side(part, -turned if node.op == "not" else turned) for part in node.parts)
        return next((one for one in found if one), 0)

    return side(expr.root, 1)
