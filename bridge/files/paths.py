"""Where the program's own data and the user's state live.

Law: found by looking beside the package, never by metadata or imports, so a checkout, a wheel and a directory of
plain files on a GX all work. Installed, `rules` and `schemas` are sub-packages of `bridge`; in a checkout they stand
one level up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bridge.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent.parent
ALL_PACKS = "all"  # stands for every pack that comes with the program


def rules_directory() -> Path:
    """Return the directory of the rule packs that come with the program."""
    return _data_directory("rules")


def schemas_directory() -> Path:
    """Return the directory of the JSON Schemas."""
    return _data_directory("schemas")


def catalogue_directory() -> Path:
    """Return the directory of the device catalogue, one YAML file per D-Bus class."""
    return _PACKAGE / "catalogue"


def default_state_directory(environ: Mapping[str, str]) -> Path:
    """Return where state goes when nothing is configured.

    Source: the XDG Base Directory Specification: $XDG_STATE_HOME, by default ~/.local/state; relative values of the
    variable are to be ignored.
    """
    base = environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return Path(base) / "victron-bridge"
    home = environ.get("HOME", "")
    return Path(home if home.startswith("/") else "/") / ".local" / "state" / "victron-bridge"


def _data_directory(name: str) -> Path:
    for candidate in (_PACKAGE / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise ConfigError(f"the program's directory {name}/ is missing beside {_PACKAGE}; install it again")


def shipped_packs() -> list[str]:
    """Return the names of the rule packs that come with the program, the one that runs unasked first."""
    return sorted(
        (file.stem for file in rules_directory().glob("*.yaml")), key=lambda name: (name != "essential", name)
    )


def chosen_packs(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of packs with `all` replaced by all that come with the program."""
    chosen = [one for name in names for one in (shipped_packs() if name == ALL_PACKS else [name])]
    return tuple(dict.fromkeys(chosen))
