"""The rule pack that is written for a quick-reference document.

Law: the rules are ordinary ones, in the form that `schemas/rules.schema.json` checks, so that the rule compiler and
its checks need to know nothing of where they came from. Every threshold is a param, which a site may change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from bridge.files.extra_limits import Limit
from bridge.files.yaml_text import Marks
from bridge.model import Kind, PointSpec

_NUMBERS = (Kind.FLOAT, Kind.INT, Kind.DURATION, Kind.BITMASK)
_WORDS = {"<": "below", "<=": "at or below", ">": "above", ">=": "at or above", "==": "at", "!=": "not at"}


class Subject(NamedTuple):
    """A point of a rule: `kind` is the class of its device, None for a site point."""

    kind: str | None
    point: str

    @property
    def dotted(self) -> str:
        name = f"{self.kind}/{self.point}" if self.kind else self.point
        return name.replace("/", ".")


class PackWriter:
    """Collects rules. `name` is the pack's, `file` what the rules name as their source."""

    def __init__(self, name: str, file: str) -> None:
        self._name = name
        self._file = file
        self._params: dict[str, float] = {}
        self._marks: Marks = {}
        self._twins: dict[tuple[str, str, float, str], str] = {}
        self._alerts: set[str] = set()
        self.rules: list[dict[str, Any]] = []

    def condition(
        self, subjects: tuple[Subject, ...], joint: str, spec: PointSpec, sign: str, value: float
    ) -> str | None:
        """Return an expression with `{}` where the threshold stands, or None when the kind has no such comparison."""
        name = f" {joint} ".join(subject.dotted for subject in subjects)
        if sign == "age":
            return f"now() - {name} > {{}}" if spec.kind is Kind.TIMESTAMP else f"age({name}) > {{}}"
        if spec.kind in _NUMBERS:
            return f"{name} {sign} {{}}"
        if len(subjects) > 1:
            return None
        if spec.kind is Kind.ENUM:
            return f"code({name}) {sign} {{}}"
        if spec.kind is Kind.ALARM:
            return _alarm(name, sign, value)
        if spec.kind is Kind.BOOL and sign in ("==", "!=") and value in (0, 1):
            return f"{name} == {'true' if (value == 1) == (sign == '==') else 'false'}"
        return None

    def add(
        self,
        name: str,
        subjects: tuple[Subject, ...],
        condition: str,
        limit: Limit,
        spec: PointSpec,
        entry: Mapping[str, Any],
        hold_s: float,
        mark: tuple[int, int],
    ) -> str:
        """Add an alert, unless an equal one is there: then return the name of that, else ""."""
        twin = (condition, limit.sign, limit.value if "{}" in condition else 0.0, limit.severity)
        if twin in self._twins:
            return self._twins[twin]
        alert = self._unused(f"{self._name}_{name}")
        self._twins[twin] = alert
        param = alert.removeprefix(f"{self._name}_")
        expr = condition.replace("{}", f"params.{param}")
        if "{}" in condition:
            self._params[param] = int(limit.value) if limit.value.is_integer() else limit.value
        rule: dict[str, Any] = {"alert": alert}
        if subjects[0].kind:
            rule["each"] = subjects[0].kind
        rule |= {"expr": expr, "for": f"{hold_s:g}s" if "{}" in condition else "0s", "severity": limit.severity}
        rule |= {"value": subjects[0].dotted, "summary": _summary(subjects, limit, spec, condition, param)}
        texts = {"description": _plain(entry.get("description")), "action": _plain(entry.get("action"))}
        rule |= {key: text for key, text in texts.items() if text}
        rule["source"] = f"{self._file}, {limit.key}"
        path = ("rules", len(self.rules))
        self._marks[path] = mark
        self._marks.update({(*path, key): mark for key in rule})
        self.rules.append(rule)
        return ""

    def document(self) -> tuple[dict[str, Any] | None, Marks]:
        """Return the pack and its marks, or None when there is nothing in it."""
        if not self.rules:
            return None, {}
        about = f"Thresholds of {self._file}."
        pack = {"pack": self._name, "description": about, "params": self._params, "rules": self.rules}
        return pack, {(): (1, 1), **self._marks}

    def _unused(self, name: str) -> str:
        alert, number = name, 1
        while alert in self._alerts:
            number += 1
            alert = f"{name}_{number}"
        self._alerts.add(alert)
        return alert


def _alarm(name: str, sign: str, value: float) -> str | None:
    """Return a comparison by level. "== 1" means at least a warning: many alarms go from 0 to 2 at once."""
    if value not in (0, 1, 2):
        return None
    label = ("ok", "warning", "alarm")[int(value)]
    sign = ">=" if sign == "==" and value else sign
    return f'{name} {sign} "{label}"'


def _summary(subjects: tuple[Subject, ...], limit: Limit, spec: PointSpec, condition: str, param: str) -> str:
    """Return a text for the alert; it names the param, never the number, which a site may change."""
    what = " and ".join(subject.point.replace("/", " ").replace("_", " ") for subject in subjects)
    what = what[0].upper() + what[1:]
    unit = f" {spec.unit}" if spec.unit else ""
    if limit.sign == "age":
        return f"{what} is older than {{params.{param}}} s"
    if len(subjects) > 1:
        return f"{what} differ, {_WORDS[limit.sign]} {{params.{param}}}{unit}"
    value = f"{{{subjects[0].dotted}}}"
    if "{}" not in condition:
        return f"{what} is {value}"
    return f"{what} is {value}{unit}, {_WORDS[limit.sign]} {{params.{param}}}{unit}"


def _plain(text: Any) -> str:
    """Return prose that a template takes as it is."""
    return re.sub(r"[{}]", "", str(text)).strip() if text else ""
