"""The config file: read, checked against its schema, then for what a schema cannot say.

Law: all faults in one go, in the order of the file. The second check looks at whatever has the right form, so that
a fault of the first kind hides no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bridge.core.nearest import nearest
from bridge.errors import ConfigError, ConfigErrors
from bridge.files import address, paths, schema, yaml_text
from bridge.files.settings_build import Data, read_password
from bridge.files.settings_inputs import json_path
from bridge.files.settings_maintenance import zone_fault
from bridge.files.settings_records import RESERVED_SITES
from bridge.files.yaml_text import Document, Path_

# Key paths that hold durations, and their bounds in seconds. "*" is any key.
_DURATIONS: dict[Path_, tuple[float, float]] = {
    ("timeout",): (0.1, 120),  # the server itself gives up on a hung service after 50 s
    ("poll", "tiers", "*"): (1, 604_800),
    ("poll", "classes", "*"): (1, 604_800),
    ("poll", "points", "*"): (1, 604_800),
    ("publish", "refresh"): (1, 86_400),
    ("publish", "forget_after"): (60, 10 * 365 * 86_400),
    ("inputs", "*", "max_age"): (1, 366 * 86_400),
    ("broker", "keepalive"): (5, 65_535),  # 65 535 s is MQTT's own limit
}
_FILES: tuple[Path_, ...] = (
    ("rules", "files"),
    ("catalogue", "extra"),
    ("broker", "tls", "ca"),
    ("broker", "tls", "cert"),
    ("broker", "tls", "key"),
)


def read_config(path: Path) -> Data:
    """Return the data of a config file without a fault.

    Raises:
        ConfigErrors: every fault of the file.
    """
    try:
        document = yaml_text.load_file(path)
    except ConfigError as error:
        raise ConfigErrors([error]) from None
    faults = config_faults(document, path.absolute().parent)
    if faults:
        raise ConfigErrors(faults)
    return dict(document.data or {})


def config_faults(document: Document, directory: Path) -> list[ConfigError]:
    """Return every fault of a config file that was loaded; names of files in it are relative to `directory`."""
    faults = schema.validate(document, "settings")
    known = {(fault.line, fault.column) for fault in faults}
    if isinstance(document.data, dict):
        for path, message in _Checks(document.data, directory).run():
            line, column = schema.place(document, path)
            if (line, column) not in known:  # the schema said it already
                faults.append(ConfigError(message, document.file, line, column, schema.key_path(path)))
    return sorted(faults, key=lambda fault: (fault.line, fault.column))


_Fault = tuple[Path_, str]


class _Checks:
    """What the schema cannot say. Each method yields (path, sentence) and skips what has the wrong form."""

    def __init__(self, data: Data, directory: Path) -> None:
        self._data = data
        self._directory = directory
        sites = data.get("sites")
        entries = enumerate(sites) if isinstance(sites, list) else ()
        self._sites = [(("sites", index), entry) for index, entry in entries if isinstance(entry, dict)]
        self._scopes: list[tuple[Path_, Any]] = [((), data), *self._sites]

    def run(self) -> Iterator[_Fault]:
        for check in (
            self._one_or_many,
            self._names,
            self._gx,
            self._durations,
            self._files,
            self._packs,
            self._inputs,
            self._time_zones,
            self._broker,
        ):
            yield from check()

    def _one_or_many(self) -> Iterator[_Fault]:
        if "sites" not in self._data:
            return
        for key in ("site", "gx"):
            if key in self._data:
                yield (key,), f"{key} at the top means one site, but sites: lists several; move it into an entry there"

    def _names(self) -> Iterator[_Fault]:
        seen: dict[str, Path_] = {}
        for scope, entry in self._scopes:
            name = entry.get("site")
            if not isinstance(name, str):
                continue
            if name in RESERVED_SITES:
                yield (*scope, "site"), f'"{name}" is the bridge\'s own level in the topics; choose another name'
            if name in seen:
                where = schema.key_path(seen[name])
                yield (*scope, "site"), f'the name "{name}" is taken by {where}; every site needs its own'
            seen.setdefault(name, (*scope, "site"))

    def _gx(self) -> Iterator[_Fault]:
        seen: dict[str, Path_] = {}
        for scope, entry in self._scopes:
            text, path = entry.get("gx"), (*scope, "gx")
            if not isinstance(text, str) or not text:
                continue
            try:
                url = address.gx_url(text)
            except ValueError as error:
                yield path, f"this is no address of a GX: {error}"
                continue
            if url in seen:
                yield path, f"{url} is read by {schema.key_path(seen[url])} already; a GX is one site"
            seen.setdefault(url, path)

    def _durations(self) -> Iterator[_Fault]:
        for scope, entry in self._scopes:
            for pattern, (least, most) in _DURATIONS.items():
                for path, value in _found(entry, pattern):
                    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
                        continue
                    try:
                        seconds = address.duration_s(value)
                    except ValueError:
                        continue  # the schema says it, or it is `never`
                    if not least <= seconds <= most:
                        bounds = f"from {least:.10g} s to {most:.10g} s"
                        yield (*scope, *path), f"{value} is out of range; it must be {bounds}"

    def _files(self) -> Iterator[_Fault]:
        for scope, entry in self._scopes:
            for pattern in _FILES:
                for path, value in _found(entry, pattern):
                    names = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
                    for index, name in names:
                        at = (*scope, *path) if index is None else (*scope, *path, index)
                        yield from self._file(at, name, _readable)
        for path, value in _found(self._data, ("broker", "password_file")):
            yield from self._file(path, value, read_password)

    def _file(self, path: Path_, name: Any, read: Callable[[Path], object]) -> Iterator[_Fault]:
        if not isinstance(name, str) or not name:
            return
        try:
            read(self._directory / name)
        except ConfigError as error:
            yield path, f"{name}: {error.message}"

    def _packs(self) -> Iterator[_Fault]:
        shipped = [*paths.shipped_packs(), paths.ALL_PACKS]
        for scope, entry in self._scopes:
            for path, packs in _found(entry, ("rules", "packs")):
                for index, name in enumerate(packs if isinstance(packs, list) else ()):
                    if isinstance(name, str) and name not in shipped:
                        meant = nearest(name, shipped)
                        advice = f'did you mean "{meant}"?' if meant else f"there are {', '.join(shipped)}"
                        yield (*scope, *path, index), f'no pack is called "{name}"; {advice}'

    def _inputs(self) -> Iterator[_Fault]:
        for scope, entry in self._scopes:
            for path, value in _found(entry, ("inputs", "*", "path")):
                try:
                    json_path(value if isinstance(value, str) else "$")
                except ValueError as error:
                    yield (*scope, *path), f"this is no path: {error}"
            own = f"{self._data.get('base_topic', 'victron')}/{entry.get('site', '')}/"
            for path, value in [*_found(entry, ("inputs", "*")), *_found(entry, ("inputs", "*", "topic"))]:
                if isinstance(value, str) and entry.get("site") and value.startswith(own):
                    point = value.removeprefix(own).replace("/", ".")
                    yield (*scope, *path), f"this is the site's own topic; rules read the point itself: {point}"

    def _time_zones(self) -> Iterator[_Fault]:
        for scope, entry in self._scopes:
            windows = entry.get("maintenance")
            places: list[tuple[Path_, Any]] = [(("time_zone",), entry.get("time_zone"))]
            for index, window in enumerate(windows if isinstance(windows, list) else ()):
                places += [(("maintenance", index, *path), name) for path, name in _found(window, ("time_zone",))]
            for path, name in places:
                fault = zone_fault(name) if isinstance(name, str) else ""
                if fault:
                    yield (*scope, *path), fault

    def _broker(self) -> Iterator[_Fault]:
        broker = self._data.get("broker")
        if isinstance(broker, str) and broker:
            try:
                address.broker_address(broker)
            except ValueError as error:
                yield ("broker",), f"this is no address of a broker: {error}"
        if not isinstance(broker, dict):
            return
        if "password" in broker and "password_file" in broker:
            yield ("broker", "password_file"), "the password is given twice; keep password or password_file"
        tls = broker.get("tls")
        if isinstance(tls, dict):
            for one, other in (("cert", "key"), ("key", "cert")):
                if one in tls and other not in tls:
                    yield ("broker", "tls", one), f"a client certificate needs both cert and key; {other} is missing"


def _found(data: Any, pattern: Path_) -> Iterator[tuple[Path_, Any]]:
    """Yield what stands at the places of a pattern, as far as the data has the form for it."""
    if not pattern:
        yield (), data
        return
    if not isinstance(data, dict):
        return
    for key in list(data) if pattern[0] == "*" else [pattern[0]]:
        if key in data:
            for path, value in _found(data[key], pattern[1:]):
                yield (key, *path), value


def _readable(path: Path) -> None:
    yaml_text.read(path)
