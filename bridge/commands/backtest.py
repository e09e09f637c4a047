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
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bridge.assemble import Assembly
from bridge.clock import SteadyClock
from bridge.commands.arguments import add_flags, compiled_for, duration, settings_of
from bridge.commands.backtest_feeds import inputs_of
from bridge.commands.backtest_report import document, lines
from bridge.commands.backtest_runs import Runner, Span, cores_here
from bridge.commands.backtest_study import Study, study_of
from bridge.commands.backtest_variants import check_params, param_of, touched, variants_of
from bridge.commands.rule_choice import add_rule_choice, site_with_rules
from bridge.core.points import PointIndex
from bridge.errors import ConfigError

EPILOG = """\
examples:
  victron-bridge backtest recordings/                                  every file in it, the packs of `run`
  victron-bridge backtest gx.jsonl.gz log.jsonl vrm.csv --by device
  victron-bridge backtest log.jsonl --span 2026-01-01..2026-02-01 --pack essential
  victron-bridge backtest recordings/ --param essential.battery_soc_low=12..20/2

inputs, plain or gzip, told apart by their content:
  recordings of `victron-bridge record`
  what the bridge published: `mosquitto_sub -t 'victron/#' -F %j > log.jsonl`
  a CSV export of the VRM portal (Advanced, Download CSV); columns that are not understood are left out and counted

columns of the table:
  fired    how often the alert began to fire; told: how often somebody would have heard of it (not silenced,
           inhibited, or already known to flap)
  total, median, longest   of the firings
  flaps    firings that began within --flap of the end of the one before
  firing   share of the time that the alert existed
  unknown  share of the time that it could not be told, while its device was there and the GX answered
  clear at, or keep for   with --param: what would have kept the alert from flapping, either of them; a limit to
           clear at is told only when it is no farther from the rule's limit than half the size of that

Each input begins with engines that know nothing, also the second of two files of one site. What lies before the
span warms the rules up and is not counted.
Exit code 1: an input could not be used and the others were counted. 2: none could be used, or an option is wrong.
"""
_DAY_S = 86400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `backtest`."""
    parser.epilog = EPILOG
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="files and directories")
    add_rule_choice(parser)
    add_flags(parser, "base_topic")
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
        ConfigError: an option is wrong, or no input can be used.
    """
    began = time.monotonic()
    span = Span(*_span(args.span), args.flap)
    params = [param_of(text) for text in args.param]
    settings = settings_of(args)
    site = site_with_rules(settings, args)
    compiled = compiled_for([site])
    packs = compiled.packs_of(site)
    check_params(params, packs)
    assembly = Assembly(settings, compiled, SteadyClock())
    variants, misfits = variants_of(params, assembly, site, packs)
    inputs, faults = inputs_of(args.inputs, settings.base_topic, PointIndex(assembly.catalogue(site)))
    cores = args.jobs if args.jobs > 0 else cores_here()
    with Runner(settings, site, cores) as runner:
        study = study_of(variants, inputs, span, runner, touched(params, packs) if params else None, args.by)
    faults += study.faults()
    is_none_usable = bool(faults) and study.is_empty()
    faults += misfits
    if not is_none_usable:  # else a table would tell of nothing
        _show(study, span, faults, time.monotonic() - began, runner.used, args.json)
    for text in [*study.notes(), *(f"left out: {fault}" for fault in faults)]:
        print(f"victron-bridge: {text}", file=sys.stderr)
    if is_none_usable:
        raise ConfigError("none of the inputs can be used")
    return 1 if faults else 0


def _show(study: Study, span: Span, faults: Sequence[str], seconds: float, cores: int, as_json: bool) -> None:
    if as_json:
        print(json.dumps(document(study, span, faults), ensure_ascii=False, indent=2))
    else:
        print(*lines(study, seconds, cores), sep="\n")


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
