"""`victron-bridge check`: every mistake of settings, rules and catalogue in one go, before anything runs.

Faults go to stderr, one per line, as `file:line:column: key: what is wrong, what would be right`; a summary goes to
stdout. A fault hides no other: a broken config file is checked on without its faulty keys, rules and params included.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bridge.core.values import pick
from bridge.errors import ConfigError, ConfigErrors
from bridge.files import schema
from bridge.files.config_file import config_faults
from bridge.files.gather import Gathered, gather
from bridge.files.jobs import SiteChoice, choice_of, job_of
from bridge.files.settings import OPTIONS, Site, load_settings, unknown_variables
from bridge.files.settings_build import build
from bridge.files.site_checks import alerts_of, all_faults, config_document, packs_of
from bridge.files.yaml_text import Document, Path_

EPILOG = """\
example:
  victron-bridge check --config config.yaml

Exit code 0: no mistakes. 2: mistakes, each on a line of its own: file:line:column: key: message.
"""


_ROUNDS = 10  # what a key hides comes out when it is gone


class Report(NamedTuple):
    """What was found. `sites` tells for each site its name, GX, packs and number of alerts."""

    errors: list[ConfigError]
    warnings: list[ConfigError]
    sites: list[dict[str, Any]]
    classes: int
    points: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    for option in OPTIONS:
        if option.has_flag:
            parser.add_argument(option.flag, dest=option.name, metavar=option.metavar, help=option.about)
    parser.add_argument("--json", action="store_true", help="print everything as one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print what is wrong, or that nothing is; return 0 or 2."""
    report = check(vars(args), os.environ)
    if args.json:
        print(json.dumps(_as_json(report), ensure_ascii=False, indent=2))
    else:
        for warning in report.warnings:
            print(f"{warning} (warning)", file=sys.stderr)
        for error in report.errors:
            print(error, file=sys.stderr)
        print(_summary(report))
    return 2 if report.errors else 0


def check(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Report:
    """Return every fault of what these flags and this environment name."""
    document = config_document(str(flags.get("config") or environ.get("VICTRON_BRIDGE_CONFIG") or ""))
    errors: list[ConfigError] = []
    try:
        sites = load_settings(flags, environ).sites
    except ConfigErrors as found:
        errors += found.errors
        sites = _rescued(document)
    choices = [choice_of(site) for site in sites]
    gathered = gather(job_of(choices))
    errors += all_faults(choices, gathered, document)
    told = [] if errors else [_told(site, choice, gathered) for site, choice in zip(sites, choices)]
    documents = [one["points"] for one in gathered.catalogue.values() if "points" in one]
    points = sum(1 for rows in documents for row in rows.values() if "point" in row or "fields" in row)
    warnings = [*unknown_variables(environ), *gathered.warnings]
    return Report(errors, warnings, told, len(documents), points)


def _told(site: Site, choice: SiteChoice, gathered: Gathered) -> dict[str, Any]:
    packs = packs_of(choice, gathered)
    alerts = [name for name in alerts_of(packs) if name not in choice.disable]
    names = [pack.data["pack"] for pack in packs]
    return {"site": site.name or None, "gx": site.gx, "packs": names, "alerts": len(alerts)}


def _rescued(document: Document) -> tuple[Site, ...]:
    """Return the sites of a faulty config without its faulty keys; those of no config when nothing else is left."""
    data, directory = copy.deepcopy(document.data), Path(document.file).absolute().parent
    places = {schema.key_path(path): path for path in document.marks}
    for _ in range(_ROUNDS):
        faults = config_faults(document._replace(data=data, faults=()), directory)
        if not faults:
            return build(data, {}, {}, document.file).sites
        for fault in reversed(faults):  # from the end of the file: places in lists stay right
            _drop(data, places.get(fault.key, ()))
    return load_settings({}, {}).sites


def _drop(data: Any, path: Path_) -> None:
    """Delete what stands at `path`; a stand-in takes the place of a site: the others keep their numbers."""
    if not path:
        return
    *way, last = path
    for step in way:
        data = pick(data, (step,))
    if isinstance(data, dict):
        data.pop(str(last), None)
    elif isinstance(data, list) and isinstance(last, int) and last < len(data):
        if way == ["sites"]:
            data[last] = {"site": f"stand-in-{last}", "gx": f"192.0.2.1:{last + 1}"}
        else:
            del data[last]


def _summary(report: Report) -> str:
    if report.errors:
        number = len(report.errors)
        return f"{number} mistake{'s' if number > 1 else ''}"
    names = ", ".join(site["site"] or site["gx"] for site in report.sites)
    packs = sorted({pack for site in report.sites for pack in site["packs"]})
    alerts = sum(site["alerts"] for site in report.sites)
    return (
        f"ok: {len(report.sites)} site{'s' if len(report.sites) > 1 else ''} ({names}), "
        f"{report.points} points of {report.classes} classes, {alerts} alerts of {', '.join(packs) or 'no packs'}"
    )


def _as_json(report: Report) -> dict[str, Any]:
    def listed(faults: list[ConfigError]) -> list[dict[str, Any]]:
        keys = ("file", "line", "column", "key", "message")
        return [{key: getattr(fault, key) for key in keys} for fault in faults]

    return {
        "ok": not report.errors,
        "errors": listed(report.errors),
        "warnings": listed(report.warnings),
        "sites": report.sites,
        "classes": report.classes,
        "points": report.points,
    }
