"""`victron-bridge doctor`: test every hop between the GX and the broker, in order, and name the one that fails.

Laws: every hop has its own time limit; a hop that cannot be tested because of an earlier one is skipped; nothing that
the doctor does disturbs a running bridge.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

from bridge.assemble import broker_options
from bridge.commands.arguments import BROKER_FLAGS, add_flags, settings_of
from bridge.commands.broker_hops import broker_hops
from bridge.commands.contact import api_hop, bus_hop, network_hops, place_of
from bridge.commands.discover import open_survey, tell
from bridge.commands.hops import Hop, State, skipped
from bridge.commands.survey import Survey
from bridge.commands.table import printable
from bridge.errors import ConfigError, ConfigErrors, SourceError
from bridge.files.settings import Settings, Site
from bridge.files.state import DirectoryLock, client_id
from bridge.sources.gx_api import GxApi
from bridge.sources.http import open_transport

EPILOG = """\
examples:
  victron-bridge doctor                                   venus.local and a broker on this machine
  victron-bridge doctor --config /etc/victron-bridge.yaml
  victron-bridge doctor --gx 192.168.1.10 --broker mqtt://bridge@192.168.1.2 --password-file secret.txt

Exit code 0: all is fine (warnings are no faults), 1: a hop failed, 2: the configuration is wrong.
It may run beside the bridge; `check` tests rules and catalogue.
"""

_SURVEY_LIMIT_S = 120.0
_MAX_SKEW_S = 60.0
_WIDEST = 1000  # characters of what was seen; all faults of a config file fit
_DAY_S = 86_400.0


class _Span(NamedTuple):
    """From how long on a time is told in which unit."""

    least_s: float
    unit_s: float
    unit: str


_SPANS = (
    _Span(2 * _DAY_S, _DAY_S, "days"),
    _Span(7_200.0, 3_600.0, "hours"),
    _Span(600.0, 60.0, "minutes"),
    _Span(0.0, 1.0, "s"),
)
_CLOCK_ADVICE = "set the clock of the GX or of this machine (NTP): messages carry this machine's time"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `doctor`."""
    parser.epilog = EPILOG
    add_flags(parser, "config", "gx", "state", *BROKER_FLAGS)
    parser.add_argument("--json", action="store_true", help="write one JSON document")


def run(args: argparse.Namespace) -> int:
    """Test all hops; return 0 when none failed."""
    try:
        settings = settings_of(args)
    except ConfigErrors as errors:
        _show([_config_failure(errors)], args.json)
        return 2
    failed = _show(_hops(settings), args.json)
    return 1 if failed else 0


def _config_failure(errors: ConfigErrors) -> Hop:
    advice = "correct them, then try again" if len(errors.errors) > 1 else "correct it, then try again"
    return Hop("config", State.FAILED, "; ".join(map(str, errors.errors)), advice)


# -- the hops -------------------------------------------------------------------------------------------------------


def _hops(settings: Settings) -> Iterator[Hop]:
    sites = len(settings.sites)
    what = (
        f"{settings.file} is fine, {sites} site{'s' * (sites != 1)}" if settings.file else "no file; flags and defaults"
    )
    yield Hop("config", State.OK, what)
    for site in settings.sites:
        yield from _gx_hops(site, f"gx {site.name or site.gx}" if sites > 1 else "gx")
    directory = settings.state_directory
    name = settings.broker.client_id or (client_id(directory) if directory.is_dir() else "victron-bridge")
    topic = f"{settings.base_topic}/bridge/{name}/doctor"
    yield from broker_hops(broker_options(settings.broker, f"{name}-doctor"), topic, settings.base_topic)
    yield state_hop(directory)


def _gx_hops(site: Site, label: str) -> Iterator[Hop]:
    """Yield the hops of one GX, each only when the one before it passed."""
    names = [f"{label} {hop}" for hop in ("name", "port", "api", "d-bus", "catalogue", "clock")]
    done = 0
    for hop in _walk(site, label):
        yield hop
        done += 1
        if hop.state is State.FAILED:
            break
    for name in names[done:]:
        yield skipped(name, f"needs the {names[done - 1]}")


def _walk(site: Site, label: str) -> Iterator[Hop]:
    place = place_of(site.gx)
    yield from network_hops(place, label)
    transport = open_transport(site.gx)
    api = GxApi(transport)
    yield api_hop(transport, place, site.timeout_s, label)
    yield bus_hop(api, site.timeout_s, label)
    date, date_read_at = api.clock_date, time.time()
    survey = open_survey(site, _SURVEY_LIMIT_S)
    yield _catalogue_hop(survey, label)
    yield clock_hop(f"{label} clock", date, date_read_at, survey)


def _catalogue_hop(survey: Survey, label: str) -> Hop:
    """Read everything once: how much of this GX is known, and does every service answer?"""
    name = f"{label} catalogue"
    try:
        survey.run()
    except SourceError as error:
        return Hop(name, State.FAILED, str(error), "try again")
    finally:
        tell("")
    unknown = sum(len(service.unknown) for service in survey.services)
    seen = f"{len(survey.points)} points on {len(survey.infos)} devices; {unknown} paths are no point"
    silent = [f"{service.name} ({service.error})" for service in survey.services if service.error]
    if survey.lost:
        return Hop(name, State.FAILED, f"{seen}; then the GX was lost: {survey.lost}", "try again in a minute")
    if not survey.points:
        return Hop(name, State.FAILED, "no point of the catalogue is on this GX", "is this the API of a GX?")
    if silent:
        return Hop(name, State.WARNING, f"{seen}; not read: {', '.join(silent)}", "look at these services on the GX")
    return Hop(name, State.OK, seen)


def clock_hop(name: str, date: str, read_at: float, survey: Survey) -> Hop:
    """Compare the GX's clock with this machine's: the Date of an answer, and the time that the platform tells."""
    skews = {}
    with contextlib.suppress(ValueError, TypeError):
        skews["HTTP Date"] = parsedate_to_datetime(date).timestamp() - read_at
    if survey.gx_time is not None:
        skews["/Device/Time"] = survey.gx_time - survey.gx_time_read_at
    if not skews:
        return skipped(name, "the GX does not tell its time")
    seen = ", ".join(f"{what} {_skew_text(skew_s)}" for what, skew_s in skews.items())
    if max(map(abs, skews.values())) > _MAX_SKEW_S:
        return Hop(name, State.WARNING, seen, _CLOCK_ADVICE)
    return Hop(name, State.OK, seen)


def _skew_text(skew_s: float) -> str:
    if abs(skew_s) <= 2.0:
        return "agrees with this machine"
    size = next(size for size in _SPANS if abs(skew_s) >= size.least_s)
    return f"is {abs(skew_s) / size.unit_s:.0f} {size.unit} {'ahead of' if skew_s > 0 else 'behind'} this machine"


def state_hop(directory: Path) -> Hop:
    """Try to write in the state directory and to hold its lock, as a starting bridge would."""
    name = "state"
    if not directory.is_dir():
        parent = next((path for path in directory.parents if path.exists()), directory)
        if not directory.exists() and parent.is_dir() and os.access(parent, os.W_OK):
            return Hop(name, State.OK, f"{directory} will be made at the first start")
        return Hop(name, State.FAILED, f"{directory} cannot be made", "make it, or give another with --state")
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"doctor")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        advice = "alerts would not survive a restart: let the bridge's user write there, or give another with --state"
        return Hop(name, State.FAILED, f"{directory} cannot be written: {reason}", advice)
    lock = DirectoryLock(directory)
    try:
        lock.acquire()
    except ConfigError as error:
        holder = error.message.partition(";")[0]
        return Hop(name, State.OK, f"{directory} can be written; {holder}, beside which the doctor may run")
    lock.release()
    return Hop(name, State.OK, f"{directory} can be written and is free")


# -- output ---------------------------------------------------------------------------------------------------------


def _show(hops: Iterator[Hop] | list[Hop], is_json: bool) -> int:
    """Write every hop as soon as it is known, or all as one document; return how many failed."""
    shown: list[Hop] = []
    for hop in hops:
        shown.append(hop)
        if not is_json:
            print(f"{hop.state.value:8} {hop.name:16} {printable(hop.seen, _WIDEST)}", flush=True)
            if hop.advice:
                print(f"{'':26}-> {hop.advice}", flush=True)
    failed = [hop.name for hop in shown if hop.state is State.FAILED]
    if is_json:
        print(json.dumps(_document(shown, not failed), ensure_ascii=False, indent=2))
    else:
        print(f"\n{_verdict(shown, failed)}")
    return len(failed)


def _verdict(shown: list[Hop], failed: list[str]) -> str:
    if failed:
        return f"{len(failed)} of {len(shown)} hops failed: {', '.join(failed)}"
    warnings = sum(hop.state is State.WARNING for hop in shown)
    return f"it works, with {warnings} warning{'s' * (warnings != 1)}" if warnings else "all is fine"


def _document(hops: list[Hop], is_fine: bool) -> dict[str, Any]:
    entries = [
        {"hop": hop.name, "state": hop.state.value, "seen": hop.seen, "advice": hop.advice or None} for hop in hops
    ]
    return {"ok": is_fine, "hops": entries}
