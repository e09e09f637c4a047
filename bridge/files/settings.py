"""What the user wants: one record made of flags, environment and a checked file, in that order of precedence.

Law: light. Nothing here parses YAML or checks a schema; the file arrives as data that `config_file` has found
faultless, read in this process or by a child (`compiled`). A secret is shown by no repr, str or JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bridge.errors import ConfigError, ConfigErrors
from bridge.files import address, paths
from bridge.files.settings_build import DEFAULT_GX, Data, Given, build, read_password
from bridge.files.settings_records import (
    RESERVED_SITES,
    Broker,
    Intervals,
    Publish,
    RuleChoice,
    Secret,
    Settings,
    Site,
    Tls,
)

__all__ = [
    "OPTIONS",
    "Broker",
    "Intervals",
    "Option",
    "Publish",
    "RuleChoice",
    "Secret",
    "Settings",
    "Site",
    "Tls",
    "load_settings",
    "state_directory",
    "unknown_variables",
]


class Option(NamedTuple):
    """A setting that a flag (`--log-level`) or a variable (`VICTRON_BRIDGE_LOG_LEVEL`) may give."""

    name: str  # attribute of the parsed arguments
    has_flag: bool
    about: str
    metavar: str

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return _PREFIX + self.name.upper()


OPTIONS = (
    Option("config", True, "the settings file (YAML)", "FILE"),
    Option("gx", True, f"the GX's HTTP API, by default {DEFAULT_GX}", "URL"),
    Option("broker", True, "host[:port] or mqtt[s]://user:password@host:port, by default localhost:1883", "ADDRESS"),
    Option("site", True, "the site's name in topics, by default the GX's serial", "NAME"),
    Option("state", True, "the directory for alerts and windows that survive a restart", "DIR"),
    Option("username", True, "the broker login", "NAME"),
    Option("password", False, "the broker password", "TEXT"),  # no flag: other users could read it in `ps`
    Option("password_file", True, "a file whose first line is the broker password", "FILE"),
    Option("client_id", True, "the MQTT client id, by default one kept in the state directory", "ID"),
    Option("base_topic", True, "the first level of every topic, by default victron", "TOPIC"),
    Option("log_level", True, "debug, info, warning or error", "LEVEL"),
)

_PREFIX = "VICTRON_BRIDGE_"
_PATTERNS = {
    "site": (r"[a-z0-9][a-z0-9_-]{0,63}", "1 to 64 lower-case letters, digits, - and _, such as home"),
    "base_topic": (r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*", "lower case without spaces, +, # and $"),
    "client_id": (r"[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, - and _"),
    "log_level": (r"debug|info|warning|error", "debug, info, warning or error"),
}

_LOGIN_VARIABLES = ("VICTRON_BRIDGE_USERNAME", "VICTRON_BRIDGE_PASSWORD", "VICTRON_BRIDGE_PASSWORD_FILE")


def load_settings(
    flags: Mapping[str, Any], environ: Mapping[str, str], read: Callable[[Path], Data] | None = None
) -> Settings:
    """Return the settings that hold.

    Args:
        flags: parsed arguments by name (`vars(args)`); missing and None mean "not given".
        environ: the environment.
        read: returns the data of a faultless config file; by default `config_file.read_config`, in this process.

    Raises:
        ConfigErrors: all faults of the file, the flags and the environment.
    """
    given = _given(flags, environ)
    config = given["config"].text if "config" in given else ""
    data: Data = {}
    faults: list[ConfigError] = []
    if config:
        try:
            data = (read or _read_here)(Path(config))
        except ConfigErrors as errors:
            faults = errors.errors
    faults += _option_faults(given, data)
    if faults:
        raise ConfigErrors(faults)
    return build(data, given, environ, config)


def state_directory(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Path:
    """Return the state directory as far as it is known before the config file was read; the cache lives there."""
    given = _given(flags, environ)
    return Path(given["state"].text).absolute() if "state" in given else paths.default_state_directory(environ)


def unknown_variables(environ: Mapping[str, str]) -> list[ConfigError]:
    """Return a warning for each variable that looks like a setting and is none; its value is not shown."""
    known = {option.variable.removeprefix(_PREFIX): option.variable for option in OPTIONS}
    warnings = []
    for variable in sorted(environ):
        name = variable.removeprefix(_PREFIX)
        if name == variable or name in known or not environ[variable]:
            continue
        from bridge.core.nearest import nearest  # hardly ever needed

        meant = nearest(name, known)
        advice = f"did you mean {known[meant]}?" if meant else f"there are {', '.join(known.values())}"
        warnings.append(ConfigError(f"this variable is not known and has no effect; {advice}", key=variable))
    return warnings


def _read_here(path: Path) -> Data:
    from bridge.files.config_file import read_config

    return read_config(path)


def _given(flags: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Given]:
    given = {}
    for option in OPTIONS:
        flag = flags.get(option.name) if option.has_flag else None
        if flag is not None:
            given[option.name] = Given(str(flag), option.flag)
        elif environ.get(option.variable):
            given[option.name] = Given(environ[option.variable], option.variable)
    if "broker" in given and given["broker"].origin == "--broker" and "@" in given["broker"].text:
        # A login on the command line stands above one of the environment.
        given = {name: one for name, one in given.items() if one.origin not in _LOGIN_VARIABLES}
    return given


def _option_faults(given: Mapping[str, Given], data: Data) -> list[ConfigError]:
    faults = []
    for name, (pattern, wanted) in _PATTERNS.items():
        if name in given and not re.fullmatch(pattern, given[name].text):
            faults.append(
                ConfigError(f'"{given[name].text}" is not right; it must be {wanted}', key=given[name].origin)
            )
    for name, parse in (("gx", address.gx_url), ("broker", address.broker_address)):
        if name in given:
            try:
                parse(given[name].text)
            except ValueError as error:
                faults.append(ConfigError(str(error), key=given[name].origin))
    for name in ("site", "gx"):
        if name in given and data.get("sites"):
            faults.append(ConfigError("the config file has several sites; change them there", key=given[name].origin))
    if "site" in given and given["site"].text in RESERVED_SITES:
        faults.append(ConfigError("this name is the bridge's own; choose another", key=given["site"].origin))
    if "password_file" in given:
        faults += _password_file_faults(given["password_file"])
    return faults


def _password_file_faults(given: Given) -> list[ConfigError]:
    try:
        read_password(Path(given.text))
    except ConfigError as error:
        return [ConfigError(error.message, error.file, key=given.origin)]
    return []
