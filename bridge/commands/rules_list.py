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
from bridge.commands.table import terminal_width, wrapped_table
from bridge.core.alerts import AlertState, Rule
from bridge.core.derived import DerivedRule
from bridge.core.engine import Engine
from bridge.core.explain_absent import missing_points, unwatched_verdict
from bridge.core.rule_diff import span
from bridge.core.rule_inputs import (
    InputState,
    RuleInput,
    input_states,
    reads_of_alert,
    reads_of_record,
    written_inputs,
)
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
    parser.add_argument("--wide", action="store_true", help="write long lines whole, whatever the terminal's width")
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
    if args.json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        width = None if args.wide else terminal_width()
        print(*_lines(rows, engine is not None, width), sep="\n")
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
    alerts = [
        {**_about(rule), "inputs": _listed(written_inputs(reads_of_alert(program, rule)))} for rule in program.rules
    ]
    records = [
        {**_about_record(one), "inputs": _listed(written_inputs(reads_of_record(program, one)))}
        for one in _records(program)
    ]
    return [*records, *alerts]


def _found(engine: Engine) -> list[dict[str, Any]]:
    rows = [row for one in _records(engine.program) for row in _record_rows(engine, one)]
    return rows + [row for rule in engine.program.rules for row in _alert_rows(engine, rule)]


def _records(program: Program) -> list[DerivedRule]:
    """Return the records of packs; the facts that the GX tells are computed likewise, but are no rules."""
    return [one for one in program.derived if one.is_record and not one.derived.name.startswith("profile/")]


def _record_rows(engine: Engine, rule: DerivedRule) -> Iterator[dict[str, Any]]:
    """Yield a row for each device that has the record."""
    reads = reads_of_record(engine.program, rule)
    states = [state for state in engine.derived_states.values() if state.rule is rule]
    for state in sorted(states, key=lambda one: _place(one.point.device if one.point else None)):
        device = state.point.device if state.point else None
        is_known = engine.store.values[state.slot] is not None
        inputs = _listed(input_states(engine, reads, device))
        path = device.path if device else None
        yield {**_about_record(rule), "device": path, "state": "known" if is_known else "unknown", "inputs": inputs}
    if not states:
        yield {**_about_record(rule), "device": None, "state": "waits", "why": "no device has its points", "inputs": []}


def _alert_rows(engine: Engine, rule: Rule) -> Iterator[dict[str, Any]]:
    """Yield a row for each device that the alert is watched on, or one that says why there is none."""
    reads = reads_of_alert(engine.program, rule)
    states = [state for state in engine.alert_states.values() if state.rule is rule]
    for state in sorted(states, key=lambda one: _place(one.device)):
        inputs = _listed(input_states(engine, reads, state.device))
        path = state.device.path if state.device else None
        yield {**_about(rule), "device": path, "state": _state(state), "inputs": inputs}
    if not states:
        why = unwatched_verdict(rule, missing_points(engine, rule, None))
        yield {**_about(rule), "device": None, "state": "waits", "why": why, "inputs": []}


def _place(device: Device | None) -> tuple[str, int]:
    """Return what sorts devices: 2 comes before 10."""
    return (device.kind, device.instance) if device else ("", 0)


def _state(state: AlertState) -> str:
    if state.is_idle and state.truth is None:
        return "unknown"
    return state.clock.phase.seen_as


def _about(rule: Rule) -> dict[str, Any]:
    about = {"rule": rule.name, "kind": "alert", "pack": rule.pack, "severity": rule.severity}
    return {**about, "each": rule.each, "for_s": rule.for_s}


def _about_record(rule: DerivedRule) -> dict[str, Any]:
    derived = rule.derived
    name = f"{derived.each}.{derived.name}" if derived.each else derived.name
    return {"rule": name.replace("/", "."), "kind": "record", "each": derived.each, "unit": derived.unit}


def _listed(inputs: Iterable[RuleInput]) -> list[dict[str, Any]]:
    return [{"point": one.point, **({"state": one.state.value} if one.state else {})} for one in inputs]


# -- lines ----------------------------------------------------------------------------------------------------------


def _lines(rows: Sequence[dict[str, Any]], is_found: bool, width: int | None) -> Iterator[str]:
    if not is_found:
        yield from wrapped_table(("rule", "severity", "for", "each", "reads"), [_cells(row) for row in rows], width)
        return
    cells = [(row["rule"], row["device"] or "-", row["state"], _inputs(row)) for row in rows]
    yield from wrapped_table(("rule", "device", "state", "inputs"), cells, width)
    states = [row["state"] for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    yield f"{len({row['rule'] for row in rows})} rules, {len(rows)} with their devices: {counts}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    is_alert = row["kind"] == "alert"
    severity, for_text = (row["severity"], span(row["for_s"])) if is_alert else ("record", "-")
    return row["rule"], severity, for_text, row["each"] or "-", _reads(row)


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
