"""From checked data, flags and environment to the records of the settings.

Law: the data is faultless (`config_file` saw to that), so nothing here complains; only a password file, read at each
start, can fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bridge.errors import ConfigError
from bridge.files import address, paths
from bridge.files.settings_inputs import inputs_of
from bridge.files.settings_maintenance import maintenance_of
from bridge.files.settings_records import Broker, Intervals, Publish, RuleChoice, Secret, Settings, Site, Tls

DEFAULT_GX = "http://venus.local:8088"
DEFAULT_TIERS_S = {"critical": 10.0, "extended": 60.0, "health": 300.0, "static": 3600.0}
DEFAULT_PACKS = ("essential",)
SITE_KEYS = (  # may stand at the top too
    "source",
    "timeout",
    "poll",
    "publish",
    "catalogue",
    "rules",
    "profile",
    "inputs",
    "maintenance",
    "time_zone",
)

Data = Mapping[str, Any]


class Given(NamedTuple):
    """A setting from the command line or the environment. `origin` is `--gx` or `VICTRON_BRIDGE_GX`."""

    text: str
    origin: str


def read_password(path: Path) -> str:
    """Return the first line of a password file.

    Raises:
        ConfigError: it cannot be read or its first line is empty.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            line = stream.readline(4096).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"the password file cannot be read: {reason}", str(path)) from None
    if not line:
        raise ConfigError("the password file is empty; its first line must be the password", str(path))
    return line


def build(data: Data, given: Mapping[str, Given], environ: Mapping[str, str], config: str) -> Settings:
    """Return the settings; what is given wins over the data, the data over the defaults.

    Raises:
        ConfigError: a password file cannot be read.
    """
    directory = Path(config).absolute().parent if config else Path.cwd()
    common = {key: data[key] for key in SITE_KEYS if key in data}
    top = {key: data[key] for key in ("site", "gx") if key in data}
    top |= {key: given[key].text for key in ("site", "gx") if key in given}
    entries = data.get("sites") or [top]
    state = given["state"].text if "state" in given else data.get("state")
    if "state" in given or state is None:
        state_path = Path(state).absolute() if state else paths.default_state_directory(environ)
    else:
        state_path = directory / state
    level = given["log_level"].text if "log_level" in given else data.get("log", {}).get("level", "info")
    base_topic = given["base_topic"].text if "base_topic" in given else data.get("base_topic", "victron")
    return Settings(
        sites=tuple(_site(merged(common, entry), directory) for entry in entries),
        broker=_broker(data.get("broker", {}), given, directory),
        base_topic=base_topic,
        state_directory=state_path,
        log_level=level,
        file=config,
    )


def merged(below: Data, above: Data) -> dict[str, Any]:
    """Return two maps as one, what stands above winning; maps in them are merged too, lists are replaced."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _site(data: Data, directory: Path) -> Site:
    poll, rules = data.get("poll", {}), data.get("rules", {})
    return Site(
        name=data.get("site", ""),
        gx=address.gx_url(data.get("gx", DEFAULT_GX)),
        source=data.get("source", "dbus-http"),
        timeout_s=address.duration_s(data.get("timeout", 5.0)),
        intervals=Intervals(
            DEFAULT_TIERS_S | _seconds(poll.get("tiers", {})),
            _seconds(poll.get("classes", {})),
            _seconds(poll.get("points", {})),
        ),
        publish=_publish(data.get("publish", {})),
        rules=RuleChoice(
            paths.chosen_packs(rules.get("packs", DEFAULT_PACKS)),
            file_names(rules.get("files", ()), directory),
            rules.get("params", {}),
            frozenset(rules.get("disable", ())),
        ),
        profile=data.get("profile", {}),
        extra=file_names(data.get("catalogue", {}).get("extra", ()), directory),
        inputs=inputs_of(data.get("inputs", {})),
        maintenance=maintenance_of(data.get("maintenance", ())),
        time_zone=data.get("time_zone", ""),
    )


def _publish(data: Data) -> Publish:
    forget = data.get("forget_after", "never")
    return Publish(
        format=data.get("format", "text"),
        is_raw=data.get("raw", False),
        refresh_s=address.duration_s(data.get("refresh", 300.0)),
        forget_after_s=None if forget == "never" else address.duration_s(forget),
        deadband=data.get("deadband", {}),
    )


def _broker(data: Data | str, given: Mapping[str, Given], directory: Path) -> Broker:
    fields = _address_fields(data) if isinstance(data, str) else dict(data)
    if "broker" in given:
        fields = _readdressed(fields, _address_fields(given["broker"].text))
    fields |= {name: given[name].text for name in ("username", "client_id") if name in given}
    tls = _tls(fields.get("tls", False), directory)
    return Broker(
        host=fields.get("host", "localhost"),
        port=fields.get("port") or (address.MQTTS_PORT if tls else address.MQTT_PORT),
        username=fields.get("username", ""),
        password=Secret(_password(fields, given, directory)),
        tls=tls,
        client_id=fields.get("client_id", ""),
        keepalive_s=round(address.duration_s(fields.get("keepalive", 20))),
        protocol=str(fields.get("protocol", "auto")),
    )


def _readdressed(fields: Data, new: Data) -> dict[str, Any]:
    """Return the fields of another broker: the file's port went with the file's host, its certificates stay."""
    kept = {key: value for key, value in fields.items() if key != "port"}
    if new.get("tls") and isinstance(kept.get("tls"), Mapping):
        new = {key: value for key, value in new.items() if key != "tls"}
    return kept | dict(new)


def _address_fields(text: str) -> dict[str, Any]:
    found = address.broker_address(text)
    fields: dict[str, Any] = {"host": found.host, "port": found.port, "tls": found.is_tls}
    if found.username:
        fields |= {"username": found.username, "password": found.password, "password_file": None}
    return {key: value for key, value in fields.items() if value is not None or key == "password_file"}


def _tls(data: Data | bool, directory: Path) -> Tls | None:
    if data is False:
        return None
    names = {} if data is True else data
    files = {key: str(directory / names[key]) if key in names else "" for key in ("ca", "cert", "key")}
    return Tls(**files, is_insecure=names.get("insecure", False))


def _password(fields: Data, given: Mapping[str, Given], directory: Path) -> str:
    if "password_file" in given and given["password_file"].origin.startswith("--"):
        return read_password(Path(given["password_file"].text))
    if "password" in given:
        return given["password"].text
    if "password_file" in given:
        return read_password(Path(given["password_file"].text))
    if fields.get("password_file"):
        return read_password(directory / fields["password_file"])
    return str(fields.get("password", ""))


def file_names(value: Any, directory: Path) -> tuple[str, ...]:
    """Return one name or a list of names as absolute ones, relative to the config file's directory."""
    names = [value] if isinstance(value, str) else value
    return tuple(str(directory / name) for name in names)


def _seconds(data: Data) -> dict[str, float]:
    return {key: address.duration_s(value) for key, value in data.items()}
