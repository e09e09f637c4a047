"""`victron-bridge rules check`: every mistake of rule packs in one go, with its place."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bridge.commands.arguments import add_flags, add_site_choice, one_site, settings_of
from bridge.errors import ConfigError
from bridge.files.gather import gather
from bridge.files.jobs import SiteChoice, choice_of, job_of
from bridge.files.site_checks import all_faults, config_document, packs_of

EPILOG = """\
examples:
  victron-bridge rules check --config config.yaml   the packs of the config
  victron-bridge rules check my_rules.yaml          this file beside the packs of the program

Exit code 0: no mistakes. 2: mistakes, each on a line of its own: file:line:column: rule "name": message.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `rules check`."""
    parser.epilog = EPILOG
    parser.add_argument("files", nargs="*", metavar="FILE", help="rule packs, beside those of the config")
    add_flags(parser, "config")
    add_site_choice(parser)
    parser.add_argument("--json", action="store_true", help="write one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print what is wrong, or that nothing is; return 0 or 2.

    Raises:
        ConfigErrors: all faults of the settings.
    """
    settings = settings_of(args)
    sites = settings.sites if args.chosen_site is None else (one_site(settings, args.chosen_site, ""),)
    choices = [_with_files(choice_of(site), args.files) for site in sites]
    gathered = gather(job_of(choices))
    errors = all_faults(choices, gathered, config_document(settings.file))
    packs = [] if errors else [pack for choice in choices for pack in packs_of(choice, gathered)]
    counts = {pack.data["pack"]: len(pack.data["rules"]) for pack in packs}
    if args.json:
        print(json.dumps({"ok": not errors, "errors": _listed(errors), "rules": counts}, indent=2))
    else:
        for error in errors:
            print(error, file=sys.stderr)
        told = ", ".join(f"{number} rules of {name}" for name, number in counts.items()) or "no packs"
        print(f"{len(errors)} mistake{'s' if len(errors) > 1 else ''}" if errors else f"ok: {told}")
    return 2 if errors else 0


def _with_files(choice: SiteChoice, files: list[str]) -> SiteChoice:
    """Return a choice with these packs, too; a file that it has already is the same pack."""
    known = {str(Path(file).resolve()) for file in choice.packs}
    return choice._replace(packs=[*choice.packs, *(file for file in files if str(Path(file).resolve()) not in known)])


def _listed(errors: list[ConfigError]) -> list[dict[str, object]]:
    return [{key: getattr(error, key) for key in ("file", "line", "column", "key", "message")} for error in errors]
