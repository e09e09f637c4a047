"""`victron-bridge backtest`: try rules and thresholds on what was recorded.

Every input is played through the very engine that runs live, on its own time. What comes out is how often each alert
would have fired, for how long, how often it would have flapped, and how much of the time it could not be told.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.assemble import Assembly
from bridge.clock import SteadyClock
from bridge.commands.arguments import compiled_for, duration, settings_of
from bridge.commands.backtest_advice import Advice, advise, with_clear, with_keep
from bridge.commands.backtest_feeds import inputs_of
from bridge.commands.backtest_report import Sum, alert_table, head, sums_of, variant_table
from bridge.commands.backtest_runs import Outcome, Runner, Span, cores_here, jobs_of
from bridge.commands.backtest_variants import Variant, check_params, param_of, touched, variants_of
from bridge.commands.rule_choice import add_rule_choice, site_with_rules
from bridge.core.rules import Program
from bridge.core.values import iso_time
from bridge.errors import ConfigError

EPILOG = """\
examples:
  victron-bridge backtest recordings/                                  every file in it, the packs of `run`
  victron-bridge backtest gx.jsonl.gz log.jsonl vrm.csv --by device
  victron-bridge backtest log.jsonl --span 2026-01-01..2026-02-01 --pack essential
  victron-bridge backtest recordings/ --param essential.battery_soc_low=12..20/2

inputs, plain or gzip, told apart by their content:
  recordings of `victron-bridge record`
  what the bridge published: `mosquitto_sub -t 'victron/#' -F %j > log.jsonl`, or `run --dry-run`
  a CSV export of the VRM portal (Advanced, Download CSV); columns that are not understood are left out and counted

columns:
  fired    how often the alert began to fire; told: how often somebody would have heard of it (not silenced,
           inhibited, or already known to flap)
  total, median, longest   of the firings
  flaps    firings that began within --flap of the end of the one before
  firing   share of the time that the alert existed
  unknown  share of the time that it could not be told, while its device was there and the GX answered

Each input begins with engines that know nothing, also the second of two files of one site: join recordings of one
night by recording longer. What lies before the span warms the rules up and is not counted.
Exit code 1: an input could not be read; the others were counted.
"""
_DAY_S = 86400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `backtest`."""
    parser.epilog = EPILOG
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="files and directories")
    add_rule_choice(parser)
    parser.add_argument("--base-topic", metavar="TOPIC", help="first levels of the topics in a log (default: victron)")
    parser.add_argument("--span", metavar="FROM..TO", help="count only this: ISO dates or times (UTC), either may lack")
    parser.add_argument(
        "--param", action="append", default=[], metavar="PACK.NAME=VALUES", help="compare values: 12..20/2 or 12,15,20"
    )
    parser.add_argument(
        "--flap", type=duration, default=1800.0, metavar="TIME", help="firing again so soon is a flap (default: 30m)"
    )
    parser.add_argument(
        "--by", choices=["alert", "device"], default="alert", help="a row per alert, or per device, too"
    )
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="processes (default: all cores)")
    parser.add_argument("--json", action="store_true", help="write one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run the backtest.

    Raises:
        ConfigErrors: all mistakes of the rules.
        ConfigError: an option is wrong, or no input can be read.
    """
    began = time.monotonic()
    span = Span(*_span(args.span), args.flap)
    params = [param_of(text) for text in args.param]
    settings = settings_of(args)
    site = site_with_rules(settings, args)
    compiled = compiled_for([site])
    packs = compiled.packs_of(site)
    check_params(params, packs)
    variants = variants_of(params, Assembly(settings, compiled, SteadyClock()), site, packs)
    inputs, faults = inputs_of(args.inputs, settings.base_topic)
    cores = args.jobs if args.jobs > 0 else cores_here()
    shown = touched(params, packs) if params else None

    with Runner(settings, site, cores) as runner:

        def played(programs: Mapping[int, Program]) -> dict[int, list[Outcome]]:
            found: dict[int, list[Outcome]] = {number: [] for number in programs}
            for outcome in runner.run(jobs_of(inputs, list(programs.items()), span, cores) if programs else []):
                found[outcome.variant].append(outcome)
            return found

        first = played({number: variant.program for number, variant in enumerate(variants)})
        told = [_sums(first[number], variant, shown, args.by) for number, variant in enumerate(variants)]
        advice = [_advice(_sums(first[number], one, shown, "alert"), one) for number, one in enumerate(variants)]
        flapping = {number: own for number, own in enumerate(advice) if own}
        kept = played({number: with_keep(variants[number].program, own) for number, own in flapping.items()})
        cleared = played({number: with_clear(variants[number].program, own) for number, own in flapping.items()})
    checked = {
        number: (_by_name(kept[number], variants[number]), _by_name(cleared[number], variants[number]))
        for number in flapping
    }
    outcomes = first[0]
    faults += sorted({outcome.fault for outcome in outcomes if outcome.fault})
    if args.json:
        document = _document(span, outcomes, variants, told, advice, checked, faults, args.by == "device")
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        _print(outcomes, variants, told, advice, checked, args.by == "device", time.monotonic() - began, cores)
    for one in sorted({f"{one.input}: {one.note}" for one in outcomes if one.note}):
        print(f"victron-bridge: {one}", file=sys.stderr)
    for fault in faults:
        print(f"victron-bridge: left out: {fault}", file=sys.stderr)
    if faults and not any(outcome.began_at < math.inf and not outcome.fault for outcome in outcomes):
        raise ConfigError("none of the inputs can be used")
    return 1 if faults else 0


def _span(text: str | None) -> tuple[float, float]:
    """Return begin and end of `FROM..TO`; a date as the end is the whole day."""
    if text is None:
        return -math.inf, math.inf
    first, dots, last = text.partition("..")
    if not dots:
        raise ConfigError(f'"{text}" is no span; write FROM..TO, such as 2026-01-01..2026-01-31', key="--span")
    begin = _moment(first, -math.inf, False)
    end = _moment(last, math.inf, True)
    if end <= begin:
        raise ConfigError(f'"{text}" ends before it begins', key="--span")
    return begin, end


def _moment(text: str, otherwise: float, is_end: bool) -> float:
    text = text.strip()
    if not text:
        return otherwise
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f'"{text}" is no date and no time; write 2026-01-31 or 2026-01-31T12:00'
        raise ConfigError(message, key="--span") from None
    if is_end and len(text) <= len("2026-01-31"):
        moment += timedelta(seconds=_DAY_S)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


# -- what is told -------------------------------------------------------------------------------------------------


def _sums(outcomes: Sequence[Outcome], variant: Variant, shown: set[str] | None, by: str) -> list[Sum]:
    rules = [rule.name for rule in variant.program.rules]
    return [one for one in sums_of(outcomes, rules, by == "device") if shown is None or one.rule in shown]


def _by_name(outcomes: Sequence[Outcome], variant: Variant) -> dict[str, Sum]:
    return {one.rule: one for one in _sums(outcomes, variant, None, "alert")}


def _advice(sums: Sequence[Sum], variant: Variant) -> dict[str, Advice]:
    rules = {rule.name: rule for rule in variant.program.rules}
    found = (advise(rules[one.rule], one.flaps) for one in sums)
    return {one.rule: one for one in found if one is not None}


Checked = Mapping[int, tuple[Mapping[str, Sum], Mapping[str, Sum]]]


def _print(
    outcomes: Sequence[Outcome],
    variants: Sequence[Variant],
    told: Sequence[Sequence[Sum]],
    advice: Sequence[Mapping[str, Advice]],
    checked: Checked,
    by_device: bool,
    seconds: float,
    cores: int,
) -> None:
    print(head(outcomes, seconds, cores), end="\n\n")
    if len(variants) == 1 and not variants[0].params:
        print(*alert_table(told[0], by_device), sep="\n")
    else:
        labels = [variant.label() for variant in variants]
        print(*variant_table(labels, told, [list(own.values()) for own in advice]), sep="\n")
    for number, own in enumerate(advice):
        for one in own.values():
            kept, cleared = checked[number]
            label = f" with {variants[number].label()}" if variants[number].params else ""
            print(f"\n{one.rule}{label}: {one.flaps} flaps. Run again with")
            print(f"  {one.keep()}: {_effect(kept[one.rule])}")
            if one.clear_at is not None:
                print(f"  {one.clear()}{one.distance()}: {_effect(cleared[one.rule])}")


def _effect(one: Sum) -> str:
    return f"{len(one.flaps)} flaps, fired {len(one.durations_s)} times"


def _document(
    span: Span,
    outcomes: Sequence[Outcome],
    variants: Sequence[Variant],
    told: Sequence[Sequence[Sum]],
    advice: Sequence[Mapping[str, Advice]],
    checked: Checked,
    faults: Sequence[str],
    by_device: bool,
) -> dict[str, Any]:
    return {
        "span": [iso_time(at) if math.isfinite(at) else None for at in (span.begin, span.end)],
        "flap_s": span.flap_s,
        "inputs": [_input(one) for one in sorted(outcomes, key=lambda one: str(one.input))],
        "faults": list(faults),
        "variants": [
            {
                "params": {f"{pack}.{name}": value for pack, name, value in variant.params},
                "alerts": [one.document(by_device) for one in told[number]],
                "advice": [_advised(one, *checked[number]) for one in advice[number].values()],
            }
            for number, variant in enumerate(variants)
        ],
    }


def _input(one: Outcome) -> dict[str, Any]:
    is_empty = one.began_at == math.inf
    return {
        "file": one.input.path,
        "kind": one.input.kind,
        "site": one.input.site or None,
        "from": None if is_empty else iso_time(one.began_at),
        "to": None if is_empty else iso_time(one.ended_at),
        "note": one.note or None,
        "fault": one.fault or None,
    }


def _advised(one: Advice, kept: Mapping[str, Sum], cleared: Mapping[str, Sum]) -> dict[str, Any]:
    def effect(sums: Mapping[str, Sum]) -> dict[str, int]:
        return {"flaps": len(sums[one.rule].flaps), "fired": len(sums[one.rule].durations_s)}

    return {
        "alert": one.rule,
        "flaps": one.flaps,
        "keep_firing_for_s": one.keep_s,
        "kept": effect(kept),
        "clear": one.clear() if one.clear_at is not None else None,
        "cleared": effect(cleared) if one.clear_at is not None else None,
    }
