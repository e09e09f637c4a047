"""Reads files of rule tests: which pack, which program for each test, and every name looked up.

Law: what a test names must exist, else the test would pass for the wrong reason: points, values, alerts, params and
the end of time are all checked, and every fault has its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bridge.core.catalogue import Catalogue
from bridge.core.inputs import KINDS
from bridge.core.nearest import nearest
from bridge.core.points import Known, PointIndex
from bridge.core.rule_cases import Record, records_of
from bridge.core.rule_test import RuleTest
from bridge.core.rules import Pack, Program, compile_packs
from bridge.errors import ConfigError, ConfigErrors
from bridge.files import paths, schema, yaml_text
from bridge.files.gather import gather
from bridge.files.jobs import Job
from bridge.files.rule_test_build import Names, RuleTestBuilder
from bridge.files.yaml_text import Document, Path_

INTERVAL = "10s"
START = "2026-01-05T00:00:00Z"  # a Monday


class RuleTests(NamedTuple):
    """The tests of one pack, each with the program that it runs."""

    file: str
    pack: str
    pack_file: str
    tests: tuple[tuple[RuleTest, Program], ...]
    program: Program  # of the pack as it is
    records: tuple[Record, ...]


def files_of(names: Sequence[str]) -> list[Path]:
    """Return the files that are meant: each file itself, all `*.test.yaml` of a directory; of no name the program's.

    Raises:
        ConfigError: there is no such file, or none in a directory.
    """
    found: list[Path] = []
    for name in names or [str(paths.rules_directory() / "tests")]:
        path = Path(name)
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(path.glob("*.test.yaml"))
        if not inside:
            raise ConfigError("the directory holds no *.test.yaml", name)
        found += inside
    return list(dict.fromkeys(found))


def read_tests(files: Sequence[Path]) -> list[RuleTests]:
    """Return the tests of all files.

    Raises:
        ConfigErrors: all mistakes of the files, or else all mistakes of the packs that they test.
    """
    errors: list[ConfigError] = []
    written = [document for path in files if (document := _document(path, errors)) is not None]
    chosen = [(document, _packs(document, errors)) for document in written]
    _raise(errors)
    found = gather(Job(list(dict.fromkeys(file for _, packs in chosen for file in packs)), []))
    _raise(found.errors)
    packs = {one.file: Pack(one.file, one.data, one.marks, one.keys) for one in found.packs}
    catalogue = Catalogue(found.catalogue)
    read = []
    for document, names in chosen:
        try:
            read.append(_Reader(document, [packs[name] for name in names], catalogue).read())
        except ConfigErrors as inside:
            errors += inside.errors
    _raise(errors)
    return read


def _document(path: Path, errors: list[ConfigError]) -> Document | None:
    try:
        document = yaml_text.load_file(path)
    except ConfigError as error:
        errors.append(error)
        return None
    if isinstance(document.data, dict) and "rules" in document.data and "tests" not in document.data:
        tests = path.with_name(f"{path.stem}.test.yaml").name
        errors.append(ConfigError(f"this is a pack, not its tests; they stand in {tests}", document.file, 1, 1))
        return None
    found = schema.validate(document, "rule-test")
    errors += found
    return None if found else document


def _packs(document: Document, errors: list[ConfigError]) -> list[str]:
    """Return the files of the tested pack and of those that it needs, the tested one first."""
    here = Path(document.file).parent
    key = "pack" if "pack" in document.data else "file"
    wanted: list[tuple[str, Path_]] = [(document.data[key], (key,))]
    wanted += [(name, ("with", index)) for index, name in enumerate(document.data.get("with", ()))]
    found: list[str] = []
    for name, path in wanted:
        is_file = (key == "file" and not found) or name.endswith((".yaml", ".yml"))
        places = [here / name] if is_file else [where / f"{name}.yaml" for where in _directories(here)]
        file = next((str(place) for place in places if place.is_file()), None)
        if file is None:
            message = f"there is no file {places[0]}" if is_file else _no_pack(name, here)
            errors.append(_fault(document, path, message))
        elif file not in found:
            found.append(file)
            wanted += [(needed, path) for needed in _needs(Path(file))]
    return found


def _needs(file: Path) -> list[str]:
    """Return what a pack says that it needs; who reads it properly tells its mistakes."""
    try:
        data = yaml_text.load_file(file).data
    except ConfigError:
        return []
    needed = data.get("needs") if isinstance(data, dict) else None
    return [name for name in needed if isinstance(name, str)] if isinstance(needed, list) else []


def _directories(here: Path) -> list[Path]:
    return [here, here.parent, paths.rules_directory()]


def _no_pack(name: str, here: Path) -> str:
    known = {file.stem for where in _directories(here) for file in where.glob("*.yaml") if "." not in file.stem}
    near = nearest(name, known)
    return f'no pack is called "{name}"; ' + (f'did you mean "{near}"?' if near else f"there are {_listed(known)}")


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _fault(document: Document, path: Path_, message: str, is_key: bool = False) -> ConfigError:
    line, column = schema.place(document, path, is_key)
    return ConfigError(message, document.file, line, column, schema.key_path(path))


def _raise(errors: list[ConfigError]) -> None:
    if errors:
        raise ConfigErrors(errors)


def _inputs(document: Document, packs: Sequence[Pack]) -> dict[str, str]:
    """Return the inputs that packs declare and those that the test names itself, each with its kind."""
    declared: dict[str, str] = {}
    for pack in packs:
        written = pack.data.get("inputs") or {}
        declared.update({name: (data or {}).get("kind", "number") for name, data in written.items()})
    return {**declared, **document.data.get("inputs", {})}


class _Reader:
    def __init__(self, document: Document, packs: Sequence[Pack], catalogue: Catalogue) -> None:
        self._document = document
        self._packs = packs
        self._catalogue = catalogue
        self._data: Mapping[str, Any] = document.data
        self._pack: str = packs[0].data["pack"]
        self._programs: dict[str, Program] = {}
        self._inputs = [Known(f"input/{name}", "", KINDS[kind]) for name, kind in _inputs(document, packs).items()]

    def read(self) -> RuleTests:
        usual_profile = self._data.get("profile", {})
        program = self._compile({}, usual_profile)
        names = self._names(program)
        errors: list[ConfigError] = []
        tests = []
        for index, data in enumerate(self._data["tests"]):
            path = ("tests", index)
            faults = [*self._misnamed(path, data, program)]
            usual = {key: self._data.get(key, value) for key, value in (("interval", INTERVAL), ("start", START))}
            builder = RuleTestBuilder(self._document, path, {**usual, **data}, names)
            test = builder.build()
            faults += builder.faults
            errors += faults
            if not faults:
                try:
                    tests.append(
                        (test, self._compile(data.get("params", {}), {**usual_profile, **data.get("profile", {})}))
                    )
                except ConfigErrors as found:
                    errors += [_fault(self._document, (*path, "params"), one.message) for one in found.errors]
        _raise(sorted(errors, key=lambda one: (one.line, one.column)))
        records = tuple(records_of(self._packs[0].data["rules"]))
        return RuleTests(self._document.file, self._pack, self._packs[0].file, tuple(tests), program, records)

    def _compile(self, params: Mapping[str, Any], profile: Mapping[str, Any]) -> Program:
        key = json.dumps([params, profile], sort_keys=True)
        if key not in self._programs:
            overrides = {self._pack: params} if params else {}
            self._programs[key] = compile_packs(
                self._packs, self._catalogue, overrides, profile, self._foreign(), self._inputs
            )
        return self._programs[key]

    def _foreign(self) -> set[str]:
        """Return the alerts of other packs that inhibit none of the tested: nobody listens to them."""
        own, *others = ([rule for rule in pack.data["rules"] if "alert" in rule] for pack in self._packs)
        inhibiting = {name for rule in own for name in rule.get("inhibited_by", ())}
        return {rule["alert"] for pack in others for rule in pack} - inhibiting

    def _names(self, program: Program) -> Names:
        points = PointIndex(self._catalogue)
        for known in self._inputs:
            points.add_site(known)
        own = {rule.name: rule for rule in program.rules if rule.pack == self._pack}
        specs = {(one.derived.each, one.derived.name): one.spec() for one in program.derived if one.is_record}
        return Names(points, own, specs)

    def _misnamed(self, path: Path_, data: Mapping[str, Any], program: Program) -> Iterator[ConfigError]:
        """Yield params that there are none of, and names of the profile that look like another one's."""
        known = {"params": list(program.params[self._pack]), "profile": list(program.profile)}
        for key, names in known.items():
            for name in data.get(key, {}):
                near = nearest(name, names)
                if name in names or (key == "profile" and near is None):  # a site may have facts of its own
                    continue
                advice = f'did you mean "{near}"?' if near else f"there are {', '.join(names) or 'none'}"
                what = "the pack has no param" if key == "params" else "the profile has no"
                yield _fault(self._document, (*path, key, name), f'{what} "{name}"; {advice}', is_key=True)
