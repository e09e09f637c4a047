"""`victron-bridge discover`: what is on this GX? Needs no broker, and no configuration."""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import Any

from bridge.commands.arguments import add_flags, add_site_choice, compiled_for, one_site, settings_of, without_rules
from bridge.commands.contact import explain, place_of
from bridge.commands.survey import Found, Service, Survey, Unknown
from bridge.commands.table import printable, table
from bridge.core.catalogue import Catalogue
from bridge.core.devices import class_of
from bridge.core.nearest import nearest
from bridge.core.normalize import Intervals, Normalizer
from bridge.core.topics import number_text, scalar_text
from bridge.core.values import iso_time
from bridge.errors import SourceError
from bridge.files.settings import Site
from bridge.model import Kind, Tier
from bridge.sources.gx_api import GxApi
from bridge.sources.http import open_transport

_WIDEST_VALUE = 44  # characters; the whole value is in the JSON output

EPILOG = """\
examples:
  victron-bridge discover                                      the GX in this network (venus.local)
  victron-bridge discover --gx 192.168.1.10 --class battery    only the batteries
  victron-bridge discover --gx 192.168.1.10 --json | jq '.points[] | select(.value == null) | .point'

Every value is shown as it would be published. The GX is asked one question at a time; that takes some seconds.
Paths that are no point of the catalogue are counted; --all lists them, without what looks like a secret.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `discover`."""
    parser.epilog = EPILOG
    add_flags(parser, "gx", "config")
    add_site_choice(parser)
    parser.add_argument("--class", dest="wanted_class", metavar="CLASS", default="", help="only devices of this class")
    parser.add_argument("--all", action="store_true", help="list the paths that are no point, too")
    parser.add_argument("--json", action="store_true", help="write one JSON document")


def run(args: argparse.Namespace) -> int:
    """List what the GX has; return 1 when it cannot be reached or was lost on the way."""
    site = one_site(settings_of(args), args.chosen_site, "the config file has several sites")
    survey = open_survey(site)
    try:
        survey.run(args.wanted_class)
    except SourceError as error:
        hop = explain(error, place_of(site.gx))
        print(f"victron-bridge: {hop.name}: {hop.seen}\n  {hop.advice}", file=sys.stderr)
        return 1
    finally:
        tell("")
    if args.wanted_class and not survey.services and not survey.lost:
        print(f"victron-bridge: {_no_such_class(args.wanted_class, survey)}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(document(site, survey, args.all), ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(site, survey, args.all)))
    if survey.lost:
        print(f"victron-bridge: the GX was lost on the way: {survey.lost}", file=sys.stderr)
    return 1 if survey.lost else 0


def open_survey(site: Site, limit_s: float = math.inf) -> Survey:
    """Return a survey of the site's GX that has not asked anything yet."""
    site = without_rules(site)
    compiled = compiled_for([site])
    normalizer = Normalizer(Catalogue(compiled.documents_of(site)), Intervals(dict.fromkeys(Tier, math.inf)))
    return Survey(GxApi(open_transport(site.gx)), normalizer, site.timeout_s, tell, limit_s)


def tell(line: str) -> None:
    """Show the progress in one line of the terminal, and only there."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{printable(line, 100)}", end="", file=sys.stderr, flush=True)


def _no_such_class(wanted: str, survey: Survey) -> str:
    kinds = sorted({kind for kind in map(class_of, survey.listed) if kind})
    meant = nearest(wanted, kinds)
    return f'this GX has no service of class "{wanted}"; ' + (
        f'did you mean "{meant}"?' if meant else f"it has {', '.join(kinds)}"
    )


# -- JSON -----------------------------------------------------------------------------------------------------------


def document(site: Site, survey: Survey, is_all: bool) -> dict[str, Any]:
    """Return everything that was found as one document."""
    return {
        "gx": site.gx,
        "services": [_service_document(service, is_all) for service in survey.services],
        "devices": [survey.infos[device] for device in sorted(survey.infos)],
        "points": [_point_document(found) for found in _sorted(survey)],
        "complete": not survey.lost and not any(service.error for service in survey.services),
    }


def _service_document(service: Service, is_all: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "service": service.name,
        "class": class_of(service.name),
        "device": service.device.path if service.device else None,
        "points": service.points,
        "unknown": len(service.unknown),
        "listable": service.is_listable,
        "error": service.error or None,
    }
    return entry | ({"unknown_paths": [_unknown_document(unknown) for unknown in service.unknown]} if is_all else {})


def _unknown_document(unknown: Unknown) -> dict[str, Any]:
    path, raw = unknown
    return {"path": path, "value": None if raw == [] else raw, "withheld": raw is None}


def _point_document(found: Found) -> dict[str, Any]:
    point, value, _, code = found.sample
    spec = point.spec
    shown: Any = value
    if isinstance(value, float) and spec.kind is Kind.TIMESTAMP:
        shown = iso_time(value)
    elif isinstance(value, float):
        shown = json.loads(number_text(value, spec.precision))
    elif isinstance(value, str) and spec.kind is Kind.JSON:
        shown = json.loads(value)
    return {
        "point": point.name,
        "value": shown,
        "unit": spec.unit or None,
        "code": code,
        "kind": spec.kind.value,
        "tier": spec.tier.value,
        "device": point.device.path if point.device else None,
        "service": found.service,
        "path": found.path or None,
        "about": spec.about,
    }


# -- table ----------------------------------------------------------------------------------------------------------


def _sorted(survey: Survey) -> list[Found]:
    """Site points first, then device by device; inside by name."""
    return sorted(survey.points, key=lambda found: (found.sample.point.device or ("", -1), found.sample.point.name))


def _lines(site: Site, survey: Survey, is_all: bool) -> list[str]:
    lines = [_headline(site, survey), ""]
    lines += table(("SERVICE", "DEVICE", "POINTS", "UNKNOWN", ""), map(_service_row, survey.services))
    devices = [
        ["" if value is None else str(value) for value in survey.infos[device].values()]
        for device in sorted(survey.infos)
    ]
    if devices:
        header = ("DEVICE", "NAME", "PRODUCT", "SERIAL", "FIRMWARE")
        lines += ["", *table(header, [(f"{row[0]}/{row[1]}", *row[2:6]) for row in devices])]
    points = [_point_row(found) for found in _sorted(survey)]
    lines += ["", *table(("POINT", "VALUE", "UNIT", "TIER", "D-BUS PATH"), points)]
    if is_all:
        unknown = [_unknown_row(service, one) for service in survey.services for one in service.unknown]
        lines += ["", *table(("NO POINT OF THE CATALOGUE", "VALUE", "D-BUS PATH"), unknown)]
    return lines


def _headline(site: Site, survey: Survey) -> str:
    values = {found.sample.point.name: found.sample for found in survey.points}
    empty = sum(found.sample.value is None for found in survey.points)
    about = [
        str(values[name].value)
        for name in ("platform/device/model", "platform/firmware/installed/version")
        if name in values and values[name].value is not None
    ]
    gx = printable(f"{site.gx} {' '.join(about)}".strip(), 100)
    unknown = sum(len(service.unknown) for service in survey.services)
    return (
        f"{gx}: {len(survey.services)} services, {len(survey.infos)} devices, {len(survey.points)} points "
        f"({empty} without a value now), {unknown} paths that are no point"
    )


def _service_row(service: Service) -> tuple[str, ...]:
    note = service.error or ("" if service.is_listable else "cannot be listed; known paths were asked one by one")
    device = service.device.path if service.device else "-"
    return service.name, device, str(service.points), str(len(service.unknown)), note


def _point_row(found: Found) -> tuple[str, ...]:
    point, value, _, code = found.sample
    spec = point.spec
    text = "-" if value is None else scalar_text(value, spec.kind, spec.precision)
    if code is not None and text != str(code):
        text += f" ({code})"
    return point.name, printable(text, _WIDEST_VALUE), spec.unit, spec.tier.value, found.path or "(sum)"


def _unknown_row(service: Service, unknown: Unknown) -> tuple[str, ...]:
    path, raw = unknown
    text = "(withheld)" if raw is None else "-" if raw == [] else json.dumps(raw, ensure_ascii=False)
    return service.name, printable(text, _WIDEST_VALUE), path
