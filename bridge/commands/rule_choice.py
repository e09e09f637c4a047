"""Which rules a command looks at: those of `run`, or the packs that the command line names instead."""

from __future__ import annotations

import argparse
from pathlib import Path

from bridge.commands.arguments import add_flags, add_site_choice, one_site
from bridge.core.nearest import nearest
from bridge.errors import ConfigError
from bridge.files import paths
from bridge.files.settings import Settings, Site


def add_rule_choice(parser: argparse.ArgumentParser) -> None:
    """Declare `--config`, `--site`, `--rules` and `--pack`."""
    add_flags(parser, "config")
    add_site_choice(parser)
    parser.add_argument(
        "--rules", nargs="+", action="extend", default=[], metavar="FILE", help="rule packs of your own"
    )
    parser.add_argument(
        "--pack", nargs="+", action="extend", default=[], metavar="NAME", help="rule packs of the program, or all"
    )


def site_with_rules(settings: Settings, args: argparse.Namespace) -> Site:
    """Return the site that was chosen, with the packs that the command line names, if it names any.

    Raises:
        ConfigError: there is no such site or pack.
    """
    site = one_site(settings, args.chosen_site, "the config file has several sites")
    if not args.rules and not args.pack:
        return site
    known = [*paths.shipped_packs(), paths.ALL_PACKS]
    for name in args.pack:
        if name not in known:
            meant = nearest(name, known)
            advice = f'did you mean "{meant}"?' if meant else f"there are {', '.join(known)}"
            raise ConfigError(f'no pack is called "{name}"; {advice}', key="--pack")
    files = tuple(str(Path(name).absolute()) for name in args.rules)
    return site._replace(rules=site.rules._replace(packs=paths.chosen_packs(args.pack), files=files))
