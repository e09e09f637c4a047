"""`victron-bridge rules list`: every rule, and whether the GX has what it reads.

Without a source it tells what the rules are. With a recording or a GX it tells on which devices each alert is
watched, in which phase it is, and which of its inputs are not known: an alert that waits for a point which no
device has would otherwise look as if all were well.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bridge.assemble import Assembly
from bridge.clock import SteadyClock
from bridge.commands.arguments import add_flags, compiled_for, settings_of
from bridge.commands.contact import explain, place_of
from bridge.commands.discover import open_survey, tell
from bridge.commands.played import SilentSink, open_recording
from bridge.commands.rule_choice import add_rule_choice, site_with_rules
from bridge.commands.table import table
from bridge.core.alerts import AlertState, Rule
from bridge.core.engine import Engine
from bridge.core.explain_absent import missing_points, unwatched_verdict
from bridge.core.rule_diff import span
from bridge.core.rule_inputs import InputState, RuleInput, input_states, inputs_of
from bridge.core.rule_test import SITE_ONLINE, live_point
from bridge.core.rules import Program
from bridge.errors import SourceError
from bridge.model import Device, Sample
from bridge.playback import Playback

EPILOG = """\
examples:
  victron-bridge rules list                             the rules of the config, or of the program
  victron-bridge rules list --gx 192.168.1.10           what they find on this GX
  victron-bridge rules list --recording gx.jsonl.gz     what they found at the end of this recording

An alert that runs once per device has a line for each. "waits" says what a device lacks for it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `rules list`."""
    parser.epilog = EPILOG
    add_rule_choice(parser)
    add_flags(parser, "gx")
    parser.add_argument("--recording", metavar="FILE", help="tell what the rules found in a recording, at its end")
    parser.add_argument("--json", action="store_true", help="write one JSON document")


def run(args: argparse.Namespace) -> int:
    """List the rules; return 1 when the GX cannot be reached.

    Raises:
        ConfigErrors: all mistakes of settings and rules.
    """
    engine: Engine | None = None
    if args.recording:
        with open_recording(args, args.recording) as played:
            playback = Playback(played.parts, played.name, played.source, SilentSink())
            playback.run()
            engine = playback.engine
            program = engine.program
    else:
        settings = settings_of(args)
        site = site_with_rules(settings, args)
        program = Assembly(settings, compiled_for([site]), SteadyClock()).program(site)
        if args.gx:
            survey = open_survey(site)
            try:
                survey.run()
            except SourceError as error:
                hop = explain(error, place_of(site.gx))
                print(f"victron-bridge: {hop.name}: {hop.seen}\n  {hop.advice}", file=sys.stderr)
                return 1
            finally:
                tell("")
            engine = _looked_at(program, [found.sample for found in survey.points], survey.infos)
    rows = _rows(program) if engine is None else _found(engine)
    print(json.dumps(rows, ensure_ascii=False, indent=2) if args.json else "\n".join(_lines(rows, engine is not None)))
    return 0


def _looked_at(program: Program, samples: Sequence[Sample], devices: Iterable[Device]) -> Engine:
    """Return an engine that has seen these samples once."""
    engine = Engine("site", program)
    now = time.time()
    there = [live_point(f"{device.path}/online", device, "presence") for device in devices]
    there.append(live_point(SITE_ONLINE, None, "site"))
    engine.step(now, [*(Sample(point, True, now) for point in there), *samples])
    return engine


# -- rows -----------------------------------------------------------------------------------------------------------


def _rows(program: Program) -> list[dict[str, Any]]:
    return [{**_about(rule), "inputs": _listed(inputs_of(program, rule))} for rule in program.rules]


def _found(engine: Engine) -> list[dict[str, Any]]:
    return [row for rule in engine.program.rules for row in _found_of(engine, rule)]


def _found_of(engine: Engine, rule: Rule) -> Iterator[dict[str, Any]]:
    """Yield a row for each device that the alert is watched on, or one that says why there is none."""
    states = [state for state in engine.alert_states.values() if state.rule is rule]
    for state in sorted(states, key=lambda one: one.order):
        device = state.device.path if state.device else None
        inputs = input_states(engine, rule, state.device)
        yield {**_about(rule), "device": device, "state": _state(state), "inputs": _listed(inputs)}
    if not states:
        missing = missing_points(engine, rule, None)
        yield {**_about(rule), "device": None, "state": "waits", "why": unwatched_verdict(rule, missing), "inputs": []}


def _state(state: AlertState) -> str:
    if state.is_idle and state.truth is None:
        return "unknown"
    return state.clock.phase.seen_as


def _about(rule: Rule) -> dict[str, Any]:
    about = {"alert": rule.name, "pack": rule.pack, "severity": rule.severity, "each": rule.each}
    return {**about, "for_s": rule.for_s}


def _listed(inputs: Iterable[RuleInput]) -> list[dict[str, Any]]:
    return [{"point": one.point, **({"state": one.state.value} if one.state else {})} for one in inputs]


# -- lines ----------------------------------------------------------------------------------------------------------


def _lines(rows: Sequence[dict[str, Any]], is_found: bool) -> Iterator[str]:
    if not is_found:
        yield from table(
            ("alert", "pack", "severity", "for", "each", "reads"),
            [
                (row["alert"], row["pack"], row["severity"], span(row["for_s"]), row["each"] or "-", _reads(row))
                for row in rows
            ],
        )
        return
    cells = [(row["alert"], row["device"] or "-", row["state"], _inputs(row)) for row in rows]
    yield from table(("alert", "device", "state", "inputs"), cells)
    states = [row["state"] for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    yield f"{len({row['alert'] for row in rows})} alerts, {len(rows)} with their devices: {counts}"


def _reads(row: dict[str, Any]) -> str:
    return ", ".join(one["point"] for one in row["inputs"])


def _inputs(row: dict[str, Any]) -> str:
    if "why" in row:
        return str(row["why"])
    parts = []
    for state in InputState:
        points = [one["point"] for one in row["inputs"] if one["state"] == state.value]
        if points:
            parts.append(f"{len(points)} good" if state is InputState.GOOD else f"{state.value}: {', '.join(points)}")
    return "; ".join(parts) or "none"
