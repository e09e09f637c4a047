"""Which rules a command looks at: those of `run`, or the packs that the command line names instead."""

from __future__ import annotations

import argparse
from collections.abc import Set
from pathlib import Path

from bridge.commands.arguments import add_flags, add_site_choice, compiled_for, one_site
from bridge.core.maintenance import Maintenance
from bridge.core.nearest import nearest
from bridge.core.profile import PROFILE
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

    What the config says of packs and alerts that are then not loaded is left out: it is no mistake of this run.

    Raises:
        ConfigError: there is no such site or pack.
        ConfigErrors: all mistakes of the packs that the command line names.
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
    return _fitting(site._replace(rules=site.rules._replace(packs=paths.chosen_packs(args.pack), files=files)))


def _fitting(site: Site) -> Site:
    """Return the site without what names packs, alerts or facts that its packs do not have."""
    rules = site.rules
    if not (rules.params or rules.disable or site.maintenance or site.profile):
        return site
    bare = site._replace(rules=rules._replace(params={}, disable=frozenset()), maintenance=(), profile={})
    packs = [one.data for one in compiled_for([bare]).packs_of(bare)]
    names = {pack["pack"] for pack in packs}
    alerts = {rule["alert"] for pack in packs for rule in pack["rules"] if "alert" in rule}
    params = {pack: values for pack, values in rules.params.items() if pack in names}
    windows = [_narrowed(window, alerts) for window in site.maintenance]
    return site._replace(
        rules=rules._replace(params=params, disable=rules.disable & alerts),
        maintenance=tuple(window for window in windows if window is not None),
        profile={
            name: value
            for name, value in site.profile.items()
            if name in PROFILE or any(f"profile.{name}" in str(pack) for pack in packs)
        },
    )


def _narrowed(window: Maintenance, alerts: Set[str]) -> Maintenance | None:
    """Return a maintenance window without the alerts that are not there; None when it named no others."""
    if "alert" not in window.matcher:
        return window
    named = window.matcher["alert"]
    left = [name for name in ([named] if isinstance(named, str) else named) if name in alerts]
    return window._replace(matcher={**window.matcher, "alert": left}) if left else None
