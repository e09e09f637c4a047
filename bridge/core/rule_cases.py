"""Which cases a pack's tests must hold, and which are missing: an alert nobody tried is no alert.

Every alert fires, stays silent just below its limit, clears, and lives through a gap of UNKNOWN. The last only where
its condition can be unknown at all once it was known: one that asks `absent(x)`, `age(x)` or whether a device is
online never is. Every record has at least one value that is expected of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bridge.core.derived import DerivedRule
from bridge.core.formula import Expr, Formula
from bridge.core.rule_test import Case, RuleTest
from bridge.core.rules import Program

_ALWAYS_KNOWN = ("const", "absent", "present", "age", "now", "hour", "weekday", "month")
_PRESENCE = re.compile(r"(site/|\w+/[0-9]+/)?(online|stale)")  # what the engine itself knows


class Lack(NamedTuple):
    """A rule without all of its cases."""

    rule: str
    message: str


class Record(NamedTuple):
    """A record of a pack: its name as written, its class, and its topic name below the device or the site."""

    rule: str
    each: str | None
    name: str


def records_of(rules: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return the records among the rules of a pack as written."""
    found = []
    for rule in rules:
        if "record" in rule:
            name, each = rule["record"], rule.get("each")
            own = name.removeprefix(f"{each}.") if each else name
            found.append(Record(name, each, own.replace(".", "/")))
    return found


def lacking(program: Program, pack: str, records: Sequence[Record], tests: Iterable[RuleTest]) -> list[Lack]:
    """Return the rules of a pack that `tests` leave something out of, records first.

    Args:
        records: those of the pack.
        tests: of this pack; that what they claim is true is their own business.
    """
    shown: dict[str, set[Case]] = {}
    valued: set[str] = set()
    for test in tests:
        for name in test.alerts:
            shown.setdefault(name, set()).update(test.cases)
        valued.update(want.name for want in test.points)
    return [*_unvalued(records, valued), *_alerts(program, pack, shown)]


def _alerts(program: Program, pack: str, shown: dict[str, set[Case]]) -> Iterator[Lack]:
    derived = {(one.derived.each, one.derived.name): one for one in program.derived}
    for rule in program.rules:
        if rule.pack != pack:
            continue
        formula = rule.expr.formula
        needed = [case for case in Case if case is not Case.UNKNOWN or _can_be_unknown(formula, rule.each, derived)]
        missing = [case.value for case in needed if case not in shown.get(rule.name, ())]
        if missing:
            word = "case" if len(missing) == 1 else "cases"
            yield Lack(rule.name, f"no test has the {word} {', '.join(missing)} of it")


def _unvalued(records: Sequence[Record], valued: set[str]) -> Iterator[Lack]:
    for record in records:
        if not any(_is_of(name, record) for name in valued):
            yield Lack(record.rule, "no test expects a value of it; add one to expect_points")


def _is_of(name: str, record: Record) -> bool:
    if record.each is None:
        return name == record.name
    head, _, rest = name.partition("/")
    return record.each in (head, "*") and rest.partition("/")[2] == record.name


_Key = tuple[str | None, str]


def _can_be_unknown(formula: Formula, each: str | None, derived: dict[_Key, DerivedRule]) -> bool:
    """Tell whether a condition that was known can become unknown."""

    def can(node: Expr) -> bool:
        if node.op in _ALWAYS_KNOWN:
            return False
        if node.op == "coalesce":
            return all(map(can, node.parts))
        if node.op == "input":
            one = formula.inputs[node.value]
            if _PRESENCE.fullmatch(one.name):
                return False
            inner = derived.get((each if one.each else None, one.name))
            return inner is None or _can_be_unknown(inner.derived.formula, each, derived)
        return node.op == "over" or any(map(can, node.parts))

    return can(formula.root)
