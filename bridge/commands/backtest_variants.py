"""Variants of the rules that a backtest compares: each combination of the values that `--param` names."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bridge.assemble import Assembly
from bridge.core.nearest import nearest
from bridge.core.rules import Program
from bridge.errors import ConfigError, ConfigErrors
from bridge.files.address import duration_s
from bridge.files.compiled import PackText
from bridge.files.settings import Site

MAX_RUNS = 1000
_RANGE = re.compile(r"(?P<first>[^./,]+(?:\.\d+[^./,]*)?)\.\.(?P<last>[^/]+?)/(?P<step>.+)")
_USAGE = "written as pack.name=12..20/2 or pack.name=12,15,20"

Value = float | int | bool | str


class Param(NamedTuple):
    """A param of a pack and the values that it is tried with."""

    pack: str
    name: str
    values: tuple[Value, ...]


class Variant(NamedTuple):
    """The rules with some params set."""

    params: tuple[tuple[str, str, Value], ...]  # pack, name, value
    site: Site
    program: Program

    def label(self) -> str:
        """Return the values, in the order of the options."""
        return label_of(self.params)


def label_of(params: Sequence[tuple[str, str, Value]]) -> str:
    return " ".join(f"{name}={shown(value)}" for _, name, value in params)


def shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def param_of(text: str) -> Param:
    """Read an argument of `--param`.

    Raises:
        ConfigError: it is written in another way, or is a range without end.
    """
    name, sign, values = text.partition("=")
    pack, dot, param = name.strip().partition(".")
    if not (sign and dot and pack and param and values.strip()):
        raise ConfigError(f'"{text}" cannot be read; a param is {_USAGE}', key="--param")
    match = _RANGE.fullmatch(values.strip())
    if match is None and ".." in values and "/" not in values:
        raise ConfigError(
            f'"{text}" lacks the step of its range, such as {values.strip()}/0.1; {_USAGE}', key="--param"
        )
    if match is None:
        return Param(pack, param, tuple(dict.fromkeys(_value(part.strip()) for part in values.split(","))))
    first, last, step = (_number(match[key].strip(), text) for key in ("first", "last", "step"))
    count = math.floor((last - first) / step + 1e-9) + 1 if step else 0
    if not 1 <= count <= MAX_RUNS:
        raise ConfigError(f'"{text}" has {max(0, count)} values; at least 1 and at most {MAX_RUNS}', key="--param")
    return Param(pack, param, tuple(_tidy(first + number * step) for number in range(count)))


def _value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    try:
        return _tidy(float(text))
    except ValueError:
        return text


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return duration_s(text)
    except ValueError:
        raise ConfigError(f'"{text}" in "{whole}" is no number and no duration; {_USAGE}', key="--param") from None


def _tidy(number: float) -> float | int:
    rounded = float(f"{number:.12g}")  # 0.1 + 2 * 0.1 is 0.3
    return int(rounded) if rounded.is_integer() else rounded


def check_params(params: Sequence[Param], packs: Sequence[PackText]) -> None:
    """Check that the packs have these params.

    Raises:
        ConfigError: with the nearest name that there is.
    """
    known: Mapping[str, Mapping[str, Any]] = {str(one.data.get("pack")): one.data.get("params") or {} for one in packs}
    for one in params:
        if one.pack not in known:
            raise ConfigError(f'there is no pack "{one.pack}"{_advice(one.pack, known)}', key="--param")
        if one.name not in known[one.pack]:
            advice = _advice(one.name, known[one.pack])
            raise ConfigError(f'the pack "{one.pack}" has no param "{one.name}"{advice}', key="--param")
    twice = [one for one in params if sum((one.pack, one.name) == (other.pack, other.name) for other in params) > 1]
    if twice:
        raise ConfigError(f"{twice[0].pack}.{twice[0].name} is given twice; list its values in one", key="--param")
    runs = math.prod(len(one.values) for one in params)
    if runs > MAX_RUNS:
        raise ConfigError(f"these are {runs} combinations; at most {MAX_RUNS}", key="--param")


def _advice(name: str, known: Iterable[str]) -> str:
    meant = nearest(name, known)
    return f'; did you mean "{meant}"?' if meant else f"; there are {', '.join(known) or 'none'}"


def variants_of(
    params: Sequence[Param], assembly: Assembly, site: Site, packs: Sequence[PackText]
) -> tuple[list[Variant], list[str]]:
    """Return every combination that the rules can take, and why others cannot; without params the rules as they are.

    Raises:
        ConfigErrors: none of the combinations fits.
    """
    if not params:
        return [Variant((), site, assembly.program(site))], []
    everything = assembly.program(site)
    kept = _with_inhibitors(everything, touched(params, packs))
    unneeded = frozenset(rule.name for rule in everything.rules if rule.name not in kept)
    rules = site.rules._replace(disable=site.rules.disable | unneeded)
    variants: list[Variant] = []
    faults: list[str] = []
    for values in itertools.product(*(one.values for one in params)):
        own = {pack: dict(known) for pack, known in rules.params.items()}
        chosen = tuple((one.pack, one.name, value) for one, value in zip(params, values))
        for pack, name, value in chosen:
            own.setdefault(pack, {})[name] = value
        changed = site._replace(rules=rules._replace(params=own))
        try:
            variants.append(Variant(chosen, changed, assembly.program(changed)))
        except ConfigErrors as found:  # a limit beyond the one that ends the alert, above all
            if not variants and values == tuple(one.values[-1] for one in params):
                raise
            faults.append(f"{label_of(chosen)}: {found.errors[0].message}")
    return variants, faults


def touched(params: Sequence[Param], packs: Sequence[PackText]) -> set[str]:
    """Return the alerts that depend on these params, also by way of records."""
    rules = [(str(pack.data.get("pack")), rule) for pack in packs for rule in pack.data.get("rules") or []]
    texts = [(pack, rule, "\n".join(map(str, rule.values()))) for pack, rule in rules]
    found = {
        str(rule.get("alert") or rule.get("record"))
        for pack, rule, text in texts
        for one in params
        if one.pack == pack and re.search(rf"\bparams\.{re.escape(one.name)}\b", text)
    }
    while True:
        records = [name for name in found if any(rule.get("record") == name for _, rule, _ in texts)]
        more = {
            str(rule.get("alert") or rule.get("record"))
            for _, rule, text in texts
            if any(re.search(rf"\b{re.escape(name)}\b", text) for name in records)
        }
        if more <= found:
            return {name for name in found if any(rule.get("alert") == name for _, rule, _ in texts)}
        found |= more


def _with_inhibitors(program: Program, names: set[str]) -> set[str]:
    by_order = {rule.order: rule for rule in program.rules}
    kept = set(names)
    waiting = [rule for rule in program.rules if rule.name in names]
    while waiting:
        for order in waiting.pop().inhibited_by:
            above = by_order.get(order)
            if above is not None and above.name not in kept:
                kept.add(above.name)
                waiting.append(above)
    return kept
