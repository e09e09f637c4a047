"""Flags that several commands share, made from the settings' own table so that each has one definition."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from bridge.errors import ConfigError
from bridge.files import address, paths
from bridge.files.compiled import Compiled, load_compiled
from bridge.files.settings import OPTIONS, Broker, RuleChoice, Secret, Settings, Site, load_settings

_NO_BROKER = Broker("", 0, "", Secret(""), None, "", 0, "")
BROKER_FLAGS = ("broker", "username", "password_file", "client_id", "base_topic")


def add_flags(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the flags of these settings; a setting without a flag (the password) is left to the environment."""
    for option in OPTIONS:
        if option.name in names and option.has_flag:
            parser.add_argument(option.flag, metavar=option.metavar, help=option.about)


def add_site_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", metavar="NAME", dest="chosen_site", help="which site of the config file")


def settings_of(args: argparse.Namespace) -> Settings:
    """Return the settings that these arguments, the environment and the config file give.

    Raises:
        ConfigErrors: all faults of them.
    """
    return load_settings(vars(args), os.environ)


def one_site(settings: Settings, name: str | None, why: str) -> Site:
    """Return the only site, or the one of this name.

    Raises:
        ConfigError: there are several and none was named, or none has this name.
    """
    if name is None and len(settings.sites) == 1:
        return settings.sites[0]
    names = [site.name or site.gx for site in settings.sites]
    if name is None:
        raise ConfigError(f"{why}; choose one of {', '.join(names)}", key="--site")
    for site in settings.sites:
        if site.name == name:
            return site
    raise ConfigError(f'no site is called "{name}"; there are {", ".join(names)}', key="--site")


def duration(text: str) -> float:
    """Read a duration as an argument: seconds from `90s`, `10m`, `1h` or a number of seconds."""
    try:
        seconds = float(text) if text.replace(".", "", 1).isdigit() else address.duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError("it must be longer than nothing")
    return seconds


def compiled_for(sites: Sequence[Site]) -> Compiled:
    """Return catalogue, rule packs and extra documents of these sites.

    The cache is the user's own and not that of a running bridge: what is looked at once must neither push out what
    the next start of the bridge needs nor own a file in its directory.

    Raises:
        ConfigErrors: all their faults.
    """
    settings = Settings(tuple(sites), _NO_BROKER, "", Path(), "", "")
    return load_compiled(settings, paths.default_state_directory(os.environ) / "looks")


def without_rules(site: Site) -> Site:
    """Return the site without its rules and what names them: a mistake there must not keep anybody from the GX."""
    return site._replace(rules=RuleChoice((), (), {}, frozenset()), maintenance=(), profile={})
