"""Ctrl-C while the program is being loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTER = """\
import os, signal, sys

class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupter())
"""


@pytest.mark.parametrize("name", ["bridge.cli", "argparse", "bridge.commands.rules", "bridge.commands.rules_list"])
def test_ctrl_c_while_loading_leaves_no_trace(name: str, tmp_path: Path) -> None:
    """Whatever is being imported then: nothing is written, and the exit code is that of Ctrl-C."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTER.format(name=name))
    package = str(Path(__file__).parent.parent.parent)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), package])}
    command = [sys.executable, "-m", "bridge", "rules", "list"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
