"""What is installed: the wheel holds code, catalogue, rules, schemas and scenarios, and works outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NEEDED = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "bridge", "rules", "schemas")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, so that the checkout stays clean."""
    source = tmp_path_factory.mktemp("source")
    for name in NEEDED:
        path = ROOT / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, source / name)
    target = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(target),
        ".",
    ]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return next(target.glob("victron_bridge-*.whl"))


def test_the_wheel_holds_everything_that_is_read_at_run_time(wheel: Path) -> None:
    """Every catalogue file, rule pack, schema and scenario of the checkout is in the wheel, and no test of ours."""
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"bridge/{path.relative_to(ROOT / 'bridge')}"
        for pattern in ("catalogue/*.yaml", "simulator/scenarios/*.yaml", "**/*.py")
        for path in (ROOT / "bridge").glob(pattern)
        if "__pycache__" not in path.parts
    }
    wanted |= {f"bridge/rules/{path.relative_to(ROOT / 'rules')}" for path in (ROOT / "rules").rglob("*.yaml")}
    wanted |= {f"bridge/schemas/{path.name}" for path in (ROOT / "schemas").glob("*.json")}
    assert wanted - names == set()
    assert not any(name.startswith("tests/") for name in names)


def test_the_installed_program_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """`check` and `rules test` find catalogue, rules, their tests and schemas beside the installed package."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, timeout=120, capture_output=True)
    environ = {**os.environ, "PYTHONPATH": str(site), "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "bridge", "check"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "bridge", "rules", "test", "-k", "battery_soc_critical"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    where = subprocess.run(
        [sys.executable, "-c", "import bridge; print(bridge.__file__)"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert str(site) in where.stdout


def test_every_directory_with_code_is_a_package_of_the_distribution() -> None:
    """A new sub-package that setup.cfg does not name would be missing from the wheel."""
    declared = (ROOT / "setup.cfg").read_text()
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        package = ".".join(path.parent.relative_to(ROOT).parts)
        assert f"\n    {package}\n" in declared, package
