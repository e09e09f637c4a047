"""Packs of rules as written -> a program that engines run.

Every static mistake of every pack is found here and told at once: unknown and missing keys, unknown points,
functions, params and alerts, types that do not fit, cycles, names used twice, thresholds without a source.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bridge.core.alerts import Rule
from bridge.core.catalogue import Catalogue
from bridge.core.derived import DerivedRule
from bridge.core.formula import Derived, Formula, Input, Scope, walk
from bridge.core.inputs import declare_inputs
from bridge.core.nearest import nearest
from bridge.core.params import params_of_no_pack, read_params
from bridge.core.points import ANY, Known, PointIndex
from bridge.core.profile import PROFILE, profile_of, records
from bridge.core.record_names import why_not
from bridge.core.rule_build import Written, build_alert, build_record, mentioned
from bridge.core.rule_fields import ALERT_KEYS, PACK_KEYS, RECORD_KEYS, Faults, Fields, Pack
from bridge.core.spans import every_s
from bridge.errors import ConfigError, ConfigErrors

__all__ = ["PROFILE", "Pack", "Program", "compile_packs"]

CLOCK_EVERY_S = {"now": 10.0, "age": 10.0, "hour": 60.0, "weekday": 60.0, "month": 60.0}
"""How often a formula that asks for the time is computed although nothing changed."""


MAX_CHAIN = 100  # records that read each other, one after the other
MAX_WINDOWS = 500  # functions over time of all packs; each takes up to 4 kB per device, and our packs have few dozen


class Program(NamedTuple):
    """All rules, ready to be bound to the devices of any number of sites. Immutable and free of sites."""

    rules: tuple[Rule, ...]
    derived: tuple[DerivedRule, ...]  # in the order in which they can be computed
    wanted: Mapping[str, frozenset[str]]  # class (`*`: any) -> names of the points that are read of its devices
    params: Mapping[str, Mapping[str, Any]]  # pack -> its params as they hold here
    profile: Mapping[str, Any]  # the facts of the site as they hold here
    facts: Mapping[str, Any]  # those of them that rules read: only they make another program


def compile_packs(
    packs: Sequence[Pack],
    catalogue: Catalogue,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    profile: Mapping[str, Any] | None = None,
    disabled: Collection[str] = (),
    inputs: Sequence[Known] = (),
    told: Mapping[str, Any] | None = None,
) -> Program:
    """Return the program of all packs.

    Args:
        packs: the files, in the order in which their rules are told.
        catalogue: which points there are.
        overrides: pack -> param -> value, from the site's config.
        profile: what the config says of the site, over `told` and `PROFILE`.
        disabled: names of alerts that are to be left out.
        inputs: external points that the site has, named `input/price`; those that packs declare are known, too.
        told: what the GX told of the profile before; what it tells now is computed too. None: it is not asked.

    Raises:
        ConfigErrors: with every mistake that was found.
    """
    fixed = profile or {}
    compiler = _Compiler(catalogue, profile_of(fixed, told or {}), overrides or {})
    for known in inputs:
        compiler.points.add_site(known)
    if told is not None:
        compiler.read_profile(records(fixed))
    compiler.refuse_taken_names(packs)
    for pack in packs:
        compiler.read(pack)
    if not compiler.has_needs():
        raise ConfigErrors(compiler.faults.errors)  # each name that the rules want of the missing pack would follow
    compiler.faults.errors += params_of_no_pack(overrides or {}, compiler.packs)
    compiler.check_disabled(disabled)
    compiler.resolve()
    if compiler.faults.errors:
        raise ConfigErrors(sorted(compiler.faults.errors, key=lambda one: (one.file, one.line, one.column)))
    return compiler.program(disabled)


class _Facts(dict[str, Any]):
    """The facts of a site, and which of them a rule has read."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__(facts)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)


class _Compiler:
    def __init__(
        self, catalogue: Catalogue, profile: Mapping[str, Any], overrides: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.points = PointIndex(catalogue)
        self.faults = Faults()
        self._profile = _Facts(profile)
        self._overrides = overrides
        self._params: dict[str, dict[str, Any]] = {}
        self.packs: dict[str, str] = {}
        self._needs: list[tuple[Fields, str]] = []
        self._records: dict[str, Written] = {}
        self._alerts: dict[str, Written] = {}
        self._rules: list[Rule] = []
        self._derived: dict[tuple[str | None, str], DerivedRule] = {}

    # -- reading --------------------------------------------------------------------------------------------------

    def refuse_taken_names(self, packs: Sequence[Pack]) -> None:
        """Raise when two packs have one name: params, alerts and records of the one would be those of the other."""
        known: dict[object, str] = {}
        for pack in packs:
            name = pack.data.get("pack") if isinstance(pack.data, Mapping) else None
            if isinstance(name, str) and name in known:
                self.faults.add(pack, ("pack",), f'the name "{name}" is taken by {known[name]}; give this pack another')
            elif isinstance(name, str):
                known[name] = pack.file
        if self.faults.errors:
            raise ConfigErrors(self.faults.errors)

    def read(self, pack: Pack) -> None:
        """Take in the rules of one file."""
        if not isinstance(pack.data, Mapping):
            self.faults.add(pack, (), "a pack is a map with the keys pack and rules")
            return
        fields = Fields(pack, (), pack.data, self.faults)
        fields.check_keys(PACK_KEYS, ("pack", "rules"))
        name = fields.own_name("pack")
        self.packs[name] = pack.file
        self._needs += [(fields, needed) for needed in fields.names("needs")]
        self._params[name] = read_params(fields, name, self._overrides.get(name, {}))
        declare_inputs(fields, self.points)
        rules = pack.data.get("rules") or []
        if not isinstance(rules, list):
            fields.fault("rules", "rules must be a list")
            return
        for index, rule in enumerate(rules):
            self._read_rule(pack, name, ("rules", index), rule)

    def read_profile(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Take in the records of what the GX tells of the profile."""
        pack = Pack("the bridge itself", {"rules": rules})
        for index, rule in enumerate(rules):
            self._read_rule(pack, "", ("rules", index), rule)

    def has_needs(self) -> bool:
        """Tell whether all packs are there whose alerts or records another pack names; those that are not are noted."""
        missing = [(fields, needed) for fields, needed in self._needs if needed not in self.packs]
        for fields, needed in missing:
            fields.fault("needs", f'the pack "{needed}", which this one needs, is missing; add it to rules.packs')
        return not missing

    def check_disabled(self, disabled: Collection[str]) -> None:
        """Note names that are to be left out and do not exist."""
        for name in sorted(disabled):
            if name not in self._alerts:
                near = nearest(name, self._alerts)
                message = f'there is no alert "{name}" to disable' + (f'; did you mean "{near}"?' if near else "")
                self.faults.errors.append(ConfigError(message, key="rules.disable"))

    def _read_rule(self, pack: Pack, pack_name: str, path: tuple[str | int, ...], data: Any) -> None:
        if not isinstance(data, Mapping) or ("alert" in data) == ("record" in data):
            self.faults.add(pack, path, "a rule is a map with either the key alert or the key record")
            return
        fields = Fields(pack, path, data, self.faults)
        key = "alert" if "alert" in data else "record"
        if key == "alert":
            fields.check_keys(ALERT_KEYS, ("alert", "expr", "severity", "summary"))
        else:
            fields.check_keys(RECORD_KEYS, ("record", "expr"))
        name = fields.own_name(key)
        misnamed = why_not(name) if key == "record" and pack_name else ""  # only the bridge itself tells of the profile
        if misnamed:
            fields.fault("record", misnamed)
        known = self._alerts if key == "alert" else self._records
        if name in known:
            article = "an alert" if key == "alert" else "a record"
            fields.fault(key, f"{article} of that name stands in {known[name].fields.place_of(key)} too; rename one")
            return
        known[name] = Written(name, pack_name, fields, self._each(fields))

    def _each(self, fields: Fields) -> str | None:
        each = fields.text("each") or None
        if each is None or each == "*" or self.points.is_class(each):
            return each
        near = nearest(each, self.points.class_names())
        fields.fault("each", f'there is no class of devices "{each}"' + (f'; did you mean "{near}"?' if near else ""))
        return each

    # -- resolving ------------------------------------------------------------------------------------------------

    def resolve(self) -> None:
        """Resolve records before what reads them, then the alerts."""
        sound = self._in_order()
        for written in self._records.values():
            self._register(written, Known(written.point, "", ANY))  # so that one mistake gives one message
        for name in sound:
            written = self._records[name]
            record = build_record(written, self._scope(written))
            if record is not None:
                self._add(record)
                self._replace(written, Known(record.name, record.unit, record.formula.root.type))
        orders = {name: order for order, name in enumerate(self._alerts)}
        for order, written in enumerate(self._alerts.values()):
            rule = build_alert(written, self._scope(written), order, orders)
            if rule is not None:
                clock_s = self._every_s(rule.formulas())
                self._rules.append(rule._replace(every_s=clock_s, points=self._told(rule)))
        self._check_inhibition(orders)
        windows = sum(one.derived.window is not None for one in self._derived.values())
        if windows > MAX_WINDOWS:
            message = f"the rules have {windows} different functions over time, more than {MAX_WINDOWS}; disable a pack"
            self.faults.errors.append(ConfigError(message))

    def _scope(self, written: Written) -> Scope:
        return Scope(self.points, written.each, self._params.get(written.pack, {}), self._profile, self._add)

    def _register(self, written: Written, known: Known) -> None:
        """Make a record's name known; what the catalogue calls so already cannot be a record."""
        kind = written.each
        is_known = (self.points.of_class(kind, known.name) if kind else self.points.site(known.name)) is not None
        if is_known and not why_not(written.name):
            written.fields.fault("record", f"{written.name} is a point of the catalogue already; rename the record")
            return
        self._replace(written, known)

    def _replace(self, written: Written, known: Known) -> None:
        if written.each:
            self.points.add_to_class(written.each, known)
        else:
            self.points.add_site(known)

    def _in_order(self) -> list[str]:
        """Return the records, each after those it reads; cycles are noted and left out."""
        reads = {name: mentioned(written, self._records) for name, written in self._records.items()}
        order: list[str] = []
        done: dict[str, bool] = {}  # False: being looked at

        def visit(name: str, way: tuple[str, ...]) -> None:
            if done.get(name) is False:
                ring = " -> ".join((*way[way.index(name) :], name))
                self._records[name].fields.fault("expr", f"records read each other in a ring: {ring}")
                return
            if name in done:
                return
            if len(way) >= MAX_CHAIN:
                fields = self._records[name].fields
                fields.fault("expr", f"more than {MAX_CHAIN} records read each other in a row; join some")
                return
            done[name] = False
            for other in reads[name]:
                visit(other, (*way, name))
            done[name] = True
            order.append(name)

        for name in self._records:
            visit(name, ())
        return [name for name in order if self._records[name].fields.is_sound]

    def _add(self, derived: Derived) -> None:
        """Take in a derived point; its level is above all it reads."""
        key = (derived.each, derived.name)
        if key in self._derived:
            return
        below = [self._derived.get(read) for read in _reads(derived.each, derived.formula)]
        level = 1 + max((one.level for one in below if one is not None), default=0)
        clock_s = self._every_s([derived.formula])
        if derived.window is not None:
            clock_s = _shortest(clock_s, every_s(derived.window))
        self._derived[key] = DerivedRule(derived, level, clock_s)

    def _every_s(self, formulas: Iterable[Formula]) -> float:
        asked = [CLOCK_EVERY_S[node.op] for one in formulas for node in walk(one.root) if node.op in CLOCK_EVERY_S]
        return min(asked, default=0.0)

    def _told(self, rule: Rule) -> tuple[Input, ...]:
        """Return the points whose values an event tells: each once, and for a function over time what it reads."""
        found: dict[tuple[bool, str], Input] = {}
        formulas = rule.formulas()
        while formulas:
            formula = formulas.pop(0)
            for one in formula.inputs:
                inner = self._derived.get((rule.each if one.each else None, one.name))
                if inner is not None and not inner.is_record:
                    formulas.append(inner.derived.formula)
                elif not one.name.startswith("@"):
                    found.setdefault((one.each, one.name), one)
        return tuple(found.values())

    def _check_inhibition(self, orders: Mapping[str, int]) -> None:
        """Two alerts that inhibit each other would never be told."""
        by_order = {rule.order: rule for rule in self._rules}
        for rule in self._rules:
            seen: set[int] = set()
            above = list(rule.inhibited_by)
            while above:
                order = above.pop()
                if order == rule.order:
                    fields = self._alerts[rule.name].fields
                    fields.fault(
                        "inhibited_by", "the alert inhibits itself, by way of others or directly; break the ring"
                    )
                    break
                if order not in seen and order in by_order:
                    seen.add(order)
                    above += by_order[order].inhibited_by

    # -- result ---------------------------------------------------------------------------------------------------

    def program(self, disabled: Collection[str]) -> Program:
        rules = tuple(rule for rule in self._rules if rule.name not in disabled)
        derived = tuple(sorted(self._needed(rules), key=lambda one: one.level))
        wanted: dict[str, set[str]] = {"*": set()}
        for rule in rules:
            _want(wanted, rule.each, [*rule.formulas(), *rule.texts()])
        for one in derived:
            _want(wanted, one.derived.each, [one.derived.formula])
        names = {kind: frozenset(found) for kind, found in wanted.items()}
        facts = {key: value for key, value in self._profile.items() if key in self._profile.read}
        return Program(rules, derived, names, self._params, dict(self._profile), facts)

    def _needed(self, rules: Iterable[Rule]) -> list[DerivedRule]:
        """Return all records, and of the functions over time those that they or these alerts read."""
        keys = [key for key, one in self._derived.items() if one.is_record]
        for rule in rules:
            keys += [key for formula in (*rule.formulas(), *rule.texts()) for key in _reads(rule.each, formula)]
        found: set[tuple[str | None, str]] = set()
        while keys:
            key = keys.pop()
            one = self._derived.get(key)
            if one is not None and key not in found:
                found.add(key)
                keys += _reads(one.derived.each, one.derived.formula)
        return [one for key, one in self._derived.items() if key in found]


def _want(wanted: dict[str, set[str]], each: str | None, formulas: Iterable[Formula]) -> None:
    for formula in formulas:
        if each is not None:
            wanted.setdefault(each, set()).update(one.name for one in formula.inputs if one.each)
        for members in formula.members:
            wanted.setdefault(members.kind, set()).update(one.name for one in members.inputs)


def _reads(each: str | None, formula: Formula) -> list[tuple[str | None, str]]:
    """Return the keys under which a formula's inputs would stand if they were derived."""
    found: list[tuple[str | None, str]] = []
    for one in formula.inputs:
        head, _, rest = one.name.partition("/")
        number, _, name = rest.partition("/")
        found.append((each, one.name) if one.each else (None, one.name))
        if not one.each and number.isdigit():
            found.append((head, name))
    for members in formula.members:
        found += [(members.kind, one.name) for one in members.inputs]
    return found


def _shortest(*seconds: float) -> float:
    return min((one for one in seconds if one), default=0.0)
