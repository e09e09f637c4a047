"""Runs all variants over all inputs, adds up what each alert did, and runs again what is to be advised."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from bridge.commands.backtest_advice import Advice, advise, advise_more
from bridge.commands.backtest_feeds import Input
from bridge.commands.backtest_runs import Outcome, Rules, Runner, Span, jobs_of
from bridge.commands.backtest_variants import Variant
from bridge.commands.backtest_watch import Flap, Tally
from bridge.core.rules import Program

_ROUNDS = 3  # of advice that is run; one is nearly always enough


class Sum(NamedTuple):
    """What an alert did, of one device or of all, in all inputs."""

    rule: str
    device: str
    has_input: bool  # at least one device or site had the points that it reads
    durations_s: tuple[float, ...]
    still: int  # firings that had not ended at the end of an input
    flaps: tuple[Flap, ...]
    existed_s: float
    firing_s: float
    watched_s: float
    unknown_s: float
    events: Counter[str]  # of all devices


class Advised(NamedTuple):
    """A suggestion, and what the alert did with either half of it."""

    advice: Advice
    kept: Sum
    cleared: Sum


class Result(NamedTuple):
    """What came of one variant."""

    variant: Variant
    sums: tuple[Sum, ...]
    advised: tuple[Advised, ...]


class Study(NamedTuple):
    """What came of all of them."""

    outcomes: tuple[Outcome, ...]  # of the first variant: the same inputs went to all
    results: tuple[Result, ...]
    by_device: bool

    def faults(self) -> list[str]:
        """Return why inputs could not be read to their end."""
        return sorted({one.fault for one in self.outcomes if one.fault})

    def notes(self) -> list[str]:
        return sorted({f"{one.input}: {one.note}" for one in self.outcomes if one.note})

    def is_empty(self) -> bool:
        """Tell whether there was no value in any input."""
        return all(one.began_at == math.inf for one in self.outcomes)


def study_of(
    variants: Sequence[Variant], inputs: Sequence[Input], span: Span, runner: Runner, shown: set[str] | None, by: str
) -> Study:
    """Return what the variants do with the inputs.

    Args:
        shown: the alerts to tell of; None for all.
        by: a sum per `alert`, or per `device`.

    Raises:
        ConfigError: a process ended.
    """

    def played(rules: Mapping[int, Rules]) -> dict[int, list[Outcome]]:
        found: dict[int, list[Outcome]] = {number: [] for number in rules}
        for outcome in runner.run(jobs_of(inputs, list(rules.items()), span, runner.cores)) if rules else ():
            found[outcome.variant].append(outcome)
        return found

    first = played({number: Rules(variant.site) for number, variant in enumerate(variants)})
    names = [rule.name for rule in variants[0].program.rules if _is_shown(rule.name, shown)]
    sums = {number: sums_of(first[number], names, by == "device") for number in first}
    advice = {number: _advice(variant.program, first[number], shown) for number, variant in enumerate(variants)}
    advised = _advised(variants, advice, played)
    results = [Result(variant, tuple(sums[number]), advised.get(number, ())) for number, variant in enumerate(variants)]
    outcomes = sorted(first[0], key=lambda one: str(one.input))
    return Study(tuple(outcomes), tuple(results), by == "device")


def _advised(
    variants: Sequence[Variant],
    advice: Mapping[int, Mapping[str, Advice]],
    played: Callable[[Mapping[int, Rules]], Mapping[int, Sequence[Outcome]]],
) -> dict[int, tuple[Advised, ...]]:
    """Return the advice for each variant with what came of it: run, and widened where it left flaps."""
    told: dict[int, tuple[Advised, ...]] = {}
    for _ in range(_ROUNDS):
        advice = {number: own for number, own in advice.items() if own}
        kept = played({number: Rules(variants[number].site, keep=own) for number, own in advice.items()})
        cleared = played({number: Rules(variants[number].site, clear=own) for number, own in advice.items()})
        for number, own in advice.items():
            after_keep, after_clear = _by_name(kept[number]), _by_name(cleared[number])
            told[number] = tuple(Advised(one, after_keep[name], after_clear[name]) for name, one in own.items())
        advice = {number: _more(variants[number].program, told[number]) for number in advice}
    return told


def _advice(program: Program, outcomes: Sequence[Outcome], shown: set[str] | None) -> dict[str, Advice]:
    rules = {rule.name: rule for rule in program.rules}
    sums = _by_name(outcomes)
    return {name: advise(rules[name], one.flaps) for name, one in sums.items() if one.flaps and _is_shown(name, shown)}


def _more(program: Program, told: Sequence[Advised]) -> dict[str, Advice]:
    """Return wider advice for a variant in which flaps were left; nothing when there were none."""
    if not any(one.kept.flaps or (one.advice.clear_at is not None and one.cleared.flaps) for one in told):
        return {}
    rules = {rule.name: rule for rule in program.rules}
    return {
        one.advice.rule: advise_more(one.advice, rules[one.advice.rule], one.kept.flaps, one.cleared.flaps)
        for one in told
    }


def _by_name(outcomes: Sequence[Outcome]) -> dict[str, Sum]:
    names = dict.fromkeys(tally.rule for outcome in outcomes for tally in outcome.tallies)
    return {one.rule: one for one in sums_of(outcomes, list(names), by_device=False)}


def _is_shown(name: str, shown: set[str] | None) -> bool:
    return shown is None or name in shown


def sums_of(outcomes: Iterable[Outcome], rules: Sequence[str], by_device: bool) -> list[Sum]:
    """Return one sum per alert, in the order of the rules, or one per alert and device."""
    tallies: dict[tuple[str, str], list[Tally]] = {}
    events: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        for tally in outcome.tallies:
            tallies.setdefault((tally.rule, tally.device if by_device else ""), []).append(tally)
        for (event, rule), count in outcome.events.items():
            events.setdefault(rule, Counter())[event] += count
    sums = []
    for rule in rules:
        devices = sorted(device for name, device in tallies if name == rule) or [""]
        sums += [_sum(rule, device, tallies.get((rule, device), []), events.get(rule, Counter())) for device in devices]
    return sums


def _sum(rule: str, device: str, tallies: Sequence[Tally], events: Counter[str]) -> Sum:
    return Sum(
        rule=rule,
        device=device,
        has_input=bool(tallies),
        durations_s=tuple(span for one in tallies for span in one.durations_s),
        still=sum(one.is_open for one in tallies),
        flaps=tuple(flap for one in tallies for flap in one.flaps),
        existed_s=sum(one.existed_s for one in tallies),
        firing_s=sum(one.firing_s for one in tallies),
        watched_s=sum(one.watched_s for one in tallies),
        unknown_s=sum(one.unknown_s for one in tallies),
        events=events,
    )
