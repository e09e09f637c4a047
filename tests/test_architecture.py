"""Who may import whom, what the core must not touch, and what a GX does not have. Checked on the source text."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bridge"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

# Layer -> layers it may import from. `top` is what stands directly in bridge/ and assembles the rest.
ALLOWED = {
    "base": {"base"},
    "core": {"base", "core"},
    "files": {"base", "core", "files"},
    "sources": {"base", "sources"},
    "sinks": {"base", "sinks"},
    "cycle": {"base", "core", "ports", "cycle"},
    "ports": {"base"},
    "top": {"base", "core", "files", "sources", "sinks", "ports", "cycle", "top"},
    "simulator": {"base", "files", "simulator"},
    "commands": {"base", "core", "files", "sources", "sinks", "ports", "cycle", "top", "simulator", "commands"},
    "cli": {"base", "core", "commands", "cli"},
}
# `core.nearest` knows texts only: whoever writes a message may use it, the simulator too, which knows nothing of core.
BASE = {"bridge", "bridge.model", "bridge.errors", "bridge.clock", "bridge.core.nearest"}
PORTS = {"bridge.sources.base", "bridge.sinks.base"}
IMPURE = {
    "time",
    "random",
    "os",
    "io",
    "pathlib",
    "logging",
    "threading",
    "socket",
    "yaml",
    "select",
    "subprocess",
    "signal",
}
# Standard library modules that a stock GX image (Venus OS >= v3.60) does not have; found in the public layers.
NOT_ON_A_GX = {
    "bdb",
    "cgitb",
    "compileall",
    "curses",
    "dbm",
    "difflib",
    "doctest",
    "ensurepip",
    "filecmp",
    "fileinput",
    "graphlib",
    "imghdr",
    "mailbox",
    "netrc",
    "pdb",
    "plistlib",
    "py_compile",
    "pydoc",
    "sched",
    "sqlite3",
    "statistics",
    "timeit",
    "tkinter",
    "tomllib",
    "trace",
    "tracemalloc",
    "unittest",
    "venv",
    "wave",
    "webbrowser",
    "wsgiref",
    "xmlrpc",
    "zipapp",
    "zoneinfo",
}
TOO_HEAVY_FOR_RUN = {"jsonschema", "yaml", "requests", "asyncio", "http.server", "amqtt"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    if module in BASE:
        return "base"
    if module in PORTS:
        return "ports"
    if module in ("bridge.cli", "bridge.__main__"):
        return "cli"
    if module in ("bridge.cycle", "bridge.facts"):
        return "cycle"
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or (PACKAGE / parts[1]).is_dir() else "top"


def imports_of(path: Path, only_top_level: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if only_top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / (inner.replace(".", "/") + ".py")).exists()
                yield inner if is_module else str(node.module)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_follow_the_arrows(path: Path) -> None:
    """No layer imports one that stands above or beside it."""
    module = name_of(path)
    layer = layer_of(module)
    for imported in imports_of(path):
        if imported.split(".")[0] != "bridge":
            continue
        target = layer_of(imported)
        is_own_port = target == "ports" and layer in ("sources", "sinks") and f".{layer}." in imported
        assert is_own_port or target in ALLOWED[layer], f"{module} ({layer}) must not import {imported} ({target})"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=name_of)
def test_the_core_is_pure(path: Path) -> None:
    """The core uses no clock, disk, log, thread, socket or randomness; everything comes in as an argument."""
    assert not {imported.split(".")[0] for imported in imports_of(path)} & IMPURE


def test_there_is_no_ring_of_imports() -> None:
    """Modules import each other in one direction only."""
    graph = {
        name_of(path): [i for i in imports_of(path, only_top_level=True) if i.startswith("bridge")] for path in MODULES
    }
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way, module])
        if module not in done:
            for imported in graph.get(module, ()):
                if imported != module:
                    visit(imported, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_file_grows_past_400_lines(path: Path) -> None:
    """A module is read in one sitting."""
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    """A module opens with a docstring; no module is called util, helpers or common."""
    assert ast.get_docstring(ast.parse(path.read_text()))
    assert path.stem not in ("util", "utils", "helpers", "common", "misc")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_broad_excepts_stand_at_thread_tops_and_log(path: Path) -> None:
    """`except Exception` appears in few files only, and no bare except or silent pass anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ExceptHandler):
            continue
        assert node.type is not None, f"{path}:{node.lineno} bare except"
        if "Exception" in ast.unparse(node.type).replace("RequestException", ""):
            assert not all(isinstance(line, ast.Pass) for line in node.body), f"{path}:{node.lineno} silent"


def loaded_by_run() -> set[str]:
    code = "import sys; import bridge.commands.run, bridge.sinks.mqtt; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def test_run_imports_nothing_a_gx_lacks_and_nothing_heavy() -> None:
    """What `run` loads stays in 32 MB and exists on a stock GX: no jsonschema, yaml, requests or asyncio at start."""
    ours = loaded_by_run()
    plain = subprocess.run(
        [sys.executable, "-c", "import sys; import paho.mqtt.client; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not (ours - set(plain.stdout.split())) & NOT_ON_A_GX
    assert not ours & TOO_HEAVY_FOR_RUN
