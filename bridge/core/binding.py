"""Rules meet devices: which rules a site has, once for itself and once for each device that has their points.

A rule for a class waits until a device has shown every point that it needs; then its formulas are bound to the slots
of that device, and it is evaluated with the next step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

from bridge.core.agenda import Agenda
from bridge.core.alerts import AlertState, attempt
from bridge.core.announce import Announcer
from bridge.core.compile import Bound, Code
from bridge.core.derived import DerivedRule, DerivedState
from bridge.core.formula import Input
from bridge.core.groups import DeviceState, has_inputs, site_inputs
from bridge.core.maintenance import Maintenance
from bridge.core.rules import Program
from bridge.core.slots import Reader
from bridge.core.store import Store
from bridge.model import Device


class Binding:
    """The rules of one site, bound to what it has.

    Args:
        site: its name, which silences may match.
        program: what `compile_packs` returned; shared by any number of sites.
        maintenance: times of the week at which alerts are not told of.
    """

    def __init__(self, site: str, program: Program, maintenance: Sequence[Maintenance]) -> None:
        self.program = program
        self._now = -inf
        self._agenda = Agenda()
        self._waiting: dict[Device, list[Any]] = {}  # rules that a device does not have the points for, yet
        self._windows: dict[int, DerivedState] = {}  # by slot
        self.alert_states: dict[str, AlertState] = {}
        self.derived_states: dict[str, DerivedState] = {}
        self.store = Store(program.wanted, self._on_device, self._agenda.push)
        self.announcer = Announcer(site, self.store, self._value_for, maintenance)
        for rule in program.rules:
            for order in rule.inhibited_by:
                self.announcer.inhibits.setdefault(order, []).append(rule.order)
        self._slots(site_inputs(program.rules, program.derived), "")
        self._found([one for one in program.derived if one.derived.each is None], None)
        self._found([rule for rule in program.rules if rule.each is None], None)

    def _on_device(self, state: DeviceState) -> None:
        """A device is new or has a new point: give it the rules that it has everything for."""
        waiting = self._waiting.get(state.device)
        if waiting is None:
            kinds = (state.device.kind, "*")
            derived: list[Any] = [one for one in self.program.derived if one.derived.each in kinds]
            waiting = [*derived, *(rule for rule in self.program.rules if rule.each in kinds)]
        still = []
        for one in waiting:
            if has_inputs(state, one.needs()):
                self._found([one], state)
            else:
                still.append(one)
        self._waiting[state.device] = still
        self.store.admit(state)

    def _found(self, rules: Sequence[Any], state: DeviceState | None) -> None:
        """Begin rules and derived points for a device, or for the site."""
        for one in rules:
            if isinstance(one, DerivedRule):
                self._found_derived(one, state)
            else:
                self._found_alert(one, state)

    def _found_derived(self, rule: DerivedRule, state: DeviceState | None) -> None:
        prefix = state.prefix if state else ""
        slot = self.store.slot(prefix + rule.derived.name, rule.derived.formula.root.type.labels)
        one = DerivedState(rule, state.device if state else None, slot)
        one.bind(*self._bind(rule.code, prefix, one))
        self.derived_states[one.key] = one
        if one.series is not None:
            self._windows[slot] = one
        if state:
            state.seen.add(rule.derived.name)
        if rule.every_s:
            self._agenda.ticker(rule.every_s, self._now).derived.append(one)
        self.store.dirty_derived.add(one)

    def _found_alert(self, rule: Any, state: DeviceState | None) -> None:
        prefix = state.prefix if state else ""
        alert = AlertState(rule, state.device if state else None)
        alert.test, slots = self._bind(rule.expr, prefix, alert)
        if rule.clear is not None:
            alert.is_clear, more = self._bind(rule.clear, prefix, alert, is_quiet=True)
            slots += more
        if rule.value is not None:
            alert.read_value, more = self._bind(rule.value, prefix, alert, is_quiet=True)
            slots += more
        alert.slots = tuple(dict.fromkeys(slots))
        for formula in rule.texts():
            self._slots(formula.inputs, prefix)  # so that the values are there when the text is told
        self.alert_states[alert.id] = alert
        self.announcer.by_rule.setdefault(rule.order, []).append(alert)
        if rule.every_s:
            self._agenda.ticker(rule.every_s, self._now).alerts.append(alert)
        self.store.dirty.add(alert)

    def _slots(self, inputs: Iterable[Input], prefix: str) -> tuple[int, ...]:
        return tuple(self.store.input_slot(one, prefix) for one in inputs)

    def _bind(
        self, code: Code, prefix: str, reader: Reader | None, is_quiet: bool = False
    ) -> tuple[Bound, tuple[int, ...]]:
        """Return a formula bound to a device, and the slots that it reads.

        Args:
            is_quiet: only a reader that sees every value anyway is interested in this formula.
        """
        store, formula = self.store, code.formula
        slots = self._slots(formula.inputs, prefix)
        if reader is not None:
            for slot, known in zip(slots, code.limits):
                store.read_by(slot, reader, () if is_quiet else None if reader.level else known)
        groups = [store.member_list(members, reader) for members in formula.members]
        return code.bind(store.values, store.is_stale, store.age, slots, groups), slots

    def _value_for(self, alert: AlertState, code: Code) -> Any:
        """Return what a formula of an alert's text says now."""
        prefix = f"{alert.device.path}/" if alert.device else ""
        read, _ = self._bind(code, prefix, None)
        return attempt(read)
