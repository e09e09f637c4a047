"""Runs all variants over all inputs, adds up what each alert did, and runs again what is to be advised."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bridge.commands.backtest_advice import Advice, advise, with_clear, with_keep
from bridge.commands.backtest_feeds import Input
from bridge.commands.backtest_runs import Outcome, Runner, Span, jobs_of
from bridge.commands.backtest_variants import Variant
from bridge.commands.backtest_watch import Flap, Tally
from bridge.core.rules import Program


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

    def played(programs: Mapping[int, Program]) -> dict[int, list[Outcome]]:
        found: dict[int, list[Outcome]] = {number: [] for number in programs}
        for outcome in runner.run(jobs_of(inputs, list(programs.items()), span, runner.cores)) if programs else ():
            found[outcome.variant].append(outcome)
        return found

    first = played({number: variant.program for number, variant in enumerate(variants)})
    advice = {number: _advice(first[number], variant, shown) for number, variant in enumerate(variants)}
    advice = {number: own for number, own in advice.items() if own}
    kept = played({number: with_keep(variants[number].program, own) for number, own in advice.items()})
    cleared = played({number: with_clear(variants[number].program, own) for number, own in advice.items()})
    results = []
    for number, variant in enumerate(variants):
        sums = sums_of(first[number], variant, shown, by == "device")
        own = advice.get(number, {})
        after = [_by_name(runs.get(number, ()), variant) for runs in (kept, cleared)]
        advised = [Advised(one, after[0][name], after[1][name]) for name, one in own.items()]
        results.append(Result(variant, tuple(sums), tuple(advised)))
    outcomes = sorted(first[0], key=lambda one: str(one.input))
    return Study(tuple(outcomes), tuple(results), by == "device")


def _by_name(outcomes: Sequence[Outcome], variant: Variant) -> dict[str, Sum]:
    return {one.rule: one for one in sums_of(outcomes, variant, None, False)}


def _advice(outcomes: Sequence[Outcome], variant: Variant, shown: set[str] | None) -> dict[str, Advice]:
    rules = {rule.name: rule for rule in variant.program.rules}
    found = (advise(rules[one.rule], one.flaps) for one in sums_of(outcomes, variant, shown, False))
    return {one.rule: one for one in found if one is not None}


def sums_of(outcomes: Iterable[Outcome], variant: Variant, shown: set[str] | None, by_device: bool) -> list[Sum]:
    """Return one sum per alert, in the order of the rules, or one per alert and device."""
    rules = [rule.name for rule in variant.program.rules]
    tallies: dict[tuple[str, str], list[Tally]] = {}
    events: dict[str, Counter[str]] = {rule: Counter() for rule in rules}
    for outcome in outcomes:
        for tally in outcome.tallies:
            tallies.setdefault((tally.rule, tally.device if by_device else ""), []).append(tally)
        for (event, rule), count in outcome.events.items():
            events[rule][event] += count
    sums = []
    for rule in rules:
        if shown is None or rule in shown:
            devices = sorted(device for name, device in tallies if name == rule) or [""]
            sums += [_sum(rule, device, tallies.get((rule, device), []), events[rule]) for device in devices]
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
