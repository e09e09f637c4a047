"""Tests of the cache in front of the YAML: what it gives, when it is used, and what it never holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.core.catalogue import Catalogue
from bridge.errors import ConfigErrors
from bridge.files import archive, compiled, paths
from bridge.files.compiled import Compiled, load_lean
from bridge.files.settings import Settings, load_settings
from bridge.files.yaml_text import load_file

ROOT = Path(__file__).resolve().parents[2]
QUICK = ROOT / "tests" / "fixtures" / "quick_reference.json"
PACK = """\
pack: own
description: A pack of the user's own.
params:
  limit: 10
rules:
  - alert: own_soc
    expr: battery.soc < params.limit
    severity: warning
    summary: "Battery at {battery.soc} %"
    source: a guess
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the cache of a catalogue without rules: it does not depend on the directory, so one child is enough."""
    directory = tmp_path_factory.mktemp("warm")
    load(directory)
    return (directory / "state" / "cache" / "rules.cache").read_bytes()


@pytest.fixture
def warm_path(tmp_path: Path, warm: bytes) -> Path:
    (tmp_path / "state" / "cache").mkdir(parents=True)
    (tmp_path / "state" / "cache" / "rules.cache").write_bytes(warm)
    return tmp_path


def load(directory: Path, text: str = "rules: {packs: []}\n", **flags: Any) -> tuple[Settings, Compiled]:
    path = directory / "config.yaml"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return load_lean({"config": str(path), "state": str(directory / "state")} | flags, {"HOME": str(directory)})


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail when a child process would be started."""

    def refuse(task: Any) -> bytes:
        raise AssertionError(f"a child was started for {task}")

    monkeypatch.setattr(compiled, "_child", refuse)


def test_a_child_gives_what_this_process_would(tmp_path: Path) -> None:
    """The catalogue and the settings are the same as when they are read here, key by key."""
    settings, found = load(tmp_path)
    assert settings == load_settings({"config": tmp_path / "config.yaml", "state": tmp_path / "state"}, {})._replace(
        file=settings.file
    )
    read = found.documents_of(settings.sites[0])
    plain = {path.stem: load_file(path).data for path in paths.catalogue_directory().glob("*.yaml")}
    assert dict(read) == plain
    assert len(read) == len(plain)
    kept = list((tmp_path / "state" / "cache").iterdir())
    assert [file.name for file in sorted(kept)] == ["config.cache", "rules.cache"]
    assert all(file.stat().st_mode & 0o077 == 0 for file in kept)


def test_the_second_start_needs_no_child(warm_path: Path, request: pytest.FixtureRequest) -> None:
    """When nothing changed, settings and catalogue come from the cache."""
    first, _ = load(warm_path)
    request.getfixturevalue("no_child")
    second, found = load(warm_path)
    assert second == first
    assert "battery" in found.documents_of(second.sites[0])


@pytest.mark.parametrize("damage", [b"", b'{"key":1,"checksum":0,"places":{}}\njunk'])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    """Whatever stands in the cache files, the start works, and the next one is quick again."""
    load(tmp_path)
    for file in (tmp_path / "state" / "cache").iterdir():
        file.write_bytes(damage)
    _, found = load(tmp_path)
    assert archive.unpack((tmp_path / "state" / "cache" / "rules.cache").read_bytes()) is not None
    assert found.warnings == []


def test_any_change_of_a_file_is_noticed(warm_path: Path) -> None:
    """Content, size or time: a config that was touched is read again."""
    assert load(warm_path, "site: one\nrules: {packs: []}\n")[0].sites[0].name == "one"
    assert load(warm_path, "site: two\nrules: {packs: []}\n")[0].sites[0].name == "two"
    before = (warm_path / "state" / "cache" / "config.cache").stat().st_mtime_ns
    os.utime(warm_path / "config.yaml", ns=(1, 1))
    load(warm_path, "site: two\nrules: {packs: []}\n")
    assert (warm_path / "state" / "cache" / "config.cache").stat().st_mtime_ns > before


@pytest.mark.parametrize(
    "broker", ["{password: hunter2}", "{username: u, password: hunter2}", '"mqtt://u:hunter2@localhost"']
)
def test_a_password_is_never_cached(warm_path: Path, broker: str) -> None:
    """A config with a password in clear is read anew at each start and leaves nothing on the disk."""
    for _ in range(2):
        settings, _ = load(warm_path, f"broker: {broker}\nrules: {{packs: []}}\n")
        assert settings.broker.password.reveal() == "hunter2"
    names = [file.name for file in (warm_path / "state" / "cache").iterdir()]
    assert names == ["rules.cache"]


def test_a_password_file_is_read_at_each_start(warm_path: Path) -> None:
    """The cache holds the name of the file, not what stands in it."""
    (warm_path / "pw").write_text("first")
    text = "broker: {password_file: pw}\nrules: {packs: []}\n"
    assert load(warm_path, text)[0].broker.password.reveal() == "first"
    (warm_path / "pw").write_text("second")
    assert load(warm_path, text)[0].broker.password.reveal() == "second"


def test_a_directory_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a cache every start works, and the log says why it takes longer."""
    (tmp_path / "state").write_text("a file where the directory should be")
    settings, found = load(tmp_path)
    assert "battery" in found.documents_of(settings.sites[0])
    assert "every start takes longer" in caplog.text


def test_all_faults_cross_the_pipe(tmp_path: Path) -> None:
    """Errors of the child have file, line, column, key and message, and nothing is cached."""
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path, "sit: home\ngx: ftp://x\n")
    found = [(e.file, e.line, e.column, e.key) for e in caught.value.errors]
    path = str(tmp_path / "config.yaml")
    assert found == [(path, 1, 1, "sit"), (path, 2, 5, "gx")]
    assert not (tmp_path / "state" / "cache").exists()


def test_rule_files_of_the_user(tmp_path: Path) -> None:
    """A pack of the user's own comes with the place of every value; its faults are told with theirs."""
    (tmp_path / "own.yaml").write_text(PACK)
    text = "rules: {packs: [], files: own.yaml}\n"
    settings, found = load(tmp_path, text)
    (pack,) = found.packs_of(settings.sites[0])
    assert pack.file == str(tmp_path / "own.yaml")
    assert pack.data["rules"][0]["alert"] == "own_soc"
    assert pack.marks[("rules", 0, "expr")] == (7, 11)
    (tmp_path / "own.yaml").write_text(PACK.replace("severity: warning", "severity: loud").replace("limit: 10", "a: 1"))
    with pytest.raises(ConfigErrors, match=r"own\.yaml:8:15: rules\[0\]\.severity"):
        load(tmp_path, text)


def test_an_extra_document_belongs_to_its_sites(tmp_path: Path) -> None:
    """Rows, intervals and rules of a quick-reference document reach the sites that name it, and no other."""
    text = f"""\
rules: {{packs: []}}
sites:
  - {{site: a, gx: a, catalogue: {{extra: {QUICK}}}}}
  - {{site: b, gx: b}}
  - {{site: c, gx: c}}
"""
    settings, found = load(tmp_path, text)
    a, b, c = settings.sites
    assert "/Fan/Speed" in found.documents_of(a)["vebus"]["points"]
    assert "/Fan/Speed" not in found.documents_of(b)["vebus"]["points"]
    assert found.documents_of(b) is found.documents_of(c)
    assert found.intervals_of(a)["vebus.alarms.grid_lost"] == 5.0
    assert found.intervals_of(b) == {}
    assert [pack.data["pack"] for pack in found.packs_of(a)] == ["quick_reference"]
    assert found.packs_of(b) == []
    assert len(found.warnings) == 8
    assert Catalogue(found.documents_of(a)).get("vebus").resolve("Fan/Speed") is not None


def test_faults_of_an_extra_document_stop_the_start(tmp_path: Path) -> None:
    """A threshold without a direction is a fault of the configuration like any other."""
    entry = '{"service": "com.victronenergy.battery.x", "path": "/Voltage2", "warning_threshold": 3}'
    (tmp_path / "x.json").write_text(f'{{"a": {{"b": {entry}}}}}')
    with pytest.raises(ConfigErrors, match=r"x\.json:1:\d+: a\.b\.warning_threshold: .*direction: below"):
        load(tmp_path, "rules: {packs: []}\ncatalogue: {extra: x.json}\n")


SCRIPT = """
import sys
from bridge.files.compiled import load_lean
load_lean({"config": sys.argv[1], "state": sys.argv[2]}, {})
print(*sorted({"yaml", "jsonschema", "subprocess", "http.client", "asyncio"} & sys.modules.keys()))
"""


def test_a_warm_start_is_lean(tmp_path: Path) -> None:
    """With a cache neither YAML nor schemas nor a child process come into this process; without, no YAML either."""
    (tmp_path / "config.yaml").write_text("rules: {packs: []}\n")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "config.yaml"), str(tmp_path / "state")]
    cold = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    warm = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert cold.stdout == "subprocess\n"
    assert warm.stdout == "\n"
