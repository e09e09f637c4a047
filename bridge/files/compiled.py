"""Config file, catalogue and rules as checked data, from a cache or from a child process.

Law: this process never parses YAML and never checks a schema. When nothing changed since the last start (program,
names, sizes and times of all files), the cache in the state directory is used; else a child does the work and its
result is kept. A config file that holds a password in clear is never cached: it is read by a child at each start.
A cache that cannot be written, or is damaged, costs a line in the log and some seconds.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bridge import __version__
from bridge.errors import ConfigError, ConfigErrors
from bridge.files import paths
from bridge.files.archive import Archive, unpack
from bridge.files.jobs import choice_of, job_of, pack_files
from bridge.files.settings import Settings, Site, load_settings, state_directory, unknown_variables
from bridge.files.state import write_whole

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 300  # the catalogue takes a Cortex-A7 without the C parser half a minute
_SOURCES = ("files", "core")  # where a change of the program's own code may change the result

Marks = dict[tuple[str | int, ...], tuple[int, int]]


class PackText(NamedTuple):
    """A rule pack as checked data, with the place of every value for errors."""

    file: str
    data: Mapping[str, Any]
    marks: Marks


class Documents(Mapping[str, Any]):
    """The catalogue by class, decoded at each access, with the rows that a site adds."""

    def __init__(self, archive: Archive, rows: Mapping[str, Mapping[str, Any]]) -> None:
        self._archive = archive
        self._rows = rows
        names = [name.partition("/")[2] for name in archive if name.startswith("catalogue/")]
        self._names = dict.fromkeys([*names, *rows])

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        empty = {"class": name, "title": name, "singleton": False, "points": {}}
        document: dict[str, Any] = self._archive.get(f"catalogue/{name}", empty)
        if name in self._rows:
            document["points"] = {**document["points"], **self._rows[name]}
        return document

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Compiled:
    """What the sites of one process need. Drop it once their parts are built; documents live on by themselves."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._documents: dict[tuple[str, ...], Documents] = {}
        self.warnings: list[str] = archive["warnings"]

    def documents_of(self, site: Site) -> Documents:
        """Return the catalogue of a site; the same object for sites with the same extra documents."""
        if site.extra not in self._documents:
            rows: dict[str, dict[str, Any]] = {}
            for file in site.extra:
                for kind, points in self._archive[f"extra/{file}"]["rows"].items():
                    rows.setdefault(kind, {}).update(points)
            self._documents[site.extra] = Documents(self._archive, rows)
        return self._documents[site.extra]

    def packs_of(self, site: Site) -> list[PackText]:
        """Return the rule packs of a site, those of its extra documents last."""
        names = [(file, f"pack/{file}") for file in pack_files(site)]
        names += [(file, f"extra/{file}") for file in site.extra]
        found = [(file, self._archive[name]) for file, name in dict(names).items()]
        return [PackText(file, one["data"], _marks(one["marks"])) for file, one in found if one["data"]]

    def intervals_of(self, site: Site) -> dict[str, float]:
        """Return the seconds between reads that extra documents ask for, by dotted point."""
        points_s: dict[str, float] = {}
        for file in site.extra:
            points_s |= self._archive[f"extra/{file}"]["points_s"]
        return points_s


def load_lean(flags: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Settings, Compiled]:
    """Return settings and everything behind them without loading YAML or schemas into this process.

    Raises:
        ConfigErrors: all faults of the settings, or else all faults of catalogue, packs and extra documents.
    """
    cache = state_directory(flags, environ) / "cache"
    settings = load_settings(flags, environ, lambda path: _read_config(path, cache))
    compiled = load_compiled(settings, cache)
    compiled.warnings = [*map(str, unknown_variables(environ)), *compiled.warnings]
    return settings, compiled


def load_compiled(settings: Settings, cache: Path) -> Compiled:
    """Return catalogue, packs and extra documents of all sites.

    Args:
        settings: says which packs and documents.
        cache: the directory of the cache; need not exist nor be writable.

    Raises:
        ConfigErrors: all their faults.
    """
    choices = [choice_of(site) for site in settings.sites]
    job = job_of(choices)
    inputs = [*paths.catalogue_directory().glob("*.yaml"), *map(Path, (*job.packs, *job.extras))]
    task = {"sites": choices, "file": settings.file}
    return Compiled(_load(task, [*inputs, *paths.schemas_directory().glob("*.json")], cache / "rules.cache"))


def _read_config(path: Path, cache: Path) -> Mapping[str, Any]:
    inputs = [path, paths.schemas_directory() / "settings.schema.json"]
    task = {"config": str(path), "directory": os.getcwd()}
    data: Mapping[str, Any] = _load(task, inputs, cache / "config.cache")["data"]
    return data


def _load(task: Mapping[str, Any], inputs: Iterable[Path], file: Path) -> Archive:
    """Return the result of a task, from the cache when it is still true."""
    key = _key(task, inputs)
    cached = _cached(file)
    if cached is not None and cached.key == key:
        return cached
    data = _child({**task, "key": key})
    archive = unpack(data)
    if archive is None:
        raise RuntimeError("the child that reads the configuration wrote a damaged archive")
    if not archive.get("has_secret"):
        _keep(file, data)
    return archive


def _key(task: Mapping[str, Any], inputs: Iterable[Path]) -> list[Any]:
    """Return what a result depends on, as JSON gives it back."""
    package = Path(__file__).parent.parent
    code = [path for name in _SOURCES for path in (package / name).glob("*.py")]
    files = []
    for path in sorted({*inputs, *code}):
        try:
            found = path.stat()
        except OSError:
            files.append([str(path), -1, -1])  # missing: the child says so
        else:
            files.append([str(path.absolute()), found.st_size, found.st_mtime_ns])
    key: list[Any] = json.loads(json.dumps([__version__, task, files]))
    return key


def _cached(file: Path) -> Archive | None:
    try:
        data = file.read_bytes()
    except OSError:
        return None
    archive = unpack(data)
    if archive is None:
        _LOG.warning("%s is damaged and made anew", file)
    return archive


def _keep(file: Path, data: bytes) -> None:
    temporary = file.with_suffix(".tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(temporary, data)
        os.replace(temporary, file)
    except OSError as error:
        _LOG.warning("%s cannot be written (%s): every start takes longer", file, error.strerror)


def _child(task: Mapping[str, Any]) -> bytes:
    import subprocess  # only a changed configuration needs it

    # The child finds the package where this process found it, however that was.
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "bridge.files.compile_child"]
    done = subprocess.run(  # noqa: S603 - our own program and nothing else
        command, input=json.dumps(task).encode(), capture_output=True, env=environ, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode == 2 and done.stdout:
        faults = json.loads(done.stdout)
        raise ConfigErrors([ConfigError(*fault) for fault in faults])
    if done.returncode != 0:
        raise RuntimeError("reading the configuration failed:\n" + done.stderr.decode("utf-8", "replace")[-4000:])
    return done.stdout


def _marks(listed: list[Any]) -> Marks:
    return {tuple(path): (line, column) for path, line, column in listed}
