"""`docs/rules.md` shows true output: every command of it is run in order, and prints what stands there.

python -m tests.test_rules_document    writes what the commands print into the page
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "rules.md"
_FILE = re.compile(r"`([\w.]+\.yaml)`")
_BLOCK = re.compile(r"^```(console|yaml)\n(.*?)^```$", re.M | re.S)
_MAIN = "import sys; from bridge.cli import main; sys.exit(main())"
_UNSTEADY = (  # what depends on the machine
    (re.compile(r"(played|alerts?) in \d+(\.\d+)? s\b"), r"\1 in 1.0 s"),
    (re.compile(r"on \d+ cores?"), "on 2 cores"),
)


def run_page(text: str, directory: Path) -> str:
    """Return the page with what its commands print, run in order in `directory`."""
    parts, end = [], 0
    for block in _BLOCK.finditer(text):
        kind, body = block.groups()
        named = _FILE.findall(text[: block.start()])
        if kind == "yaml":
            (directory / named[-1]).write_text(body, encoding="utf-8")
            continue
        parts += [text[end : block.start(2)], _console(body, directory)]
        end = block.end(2)
    return "".join([*parts, text[end:]])


def _console(body: str, directory: Path) -> str:
    shown = []
    for line in body.splitlines():
        if line.startswith("$ "):
            shown += [line, *_output(line[2:], directory)]
    return "\n".join(shown) + "\n"


def _output(command: str, directory: Path) -> list[str]:
    """Return the lines that a command of the page prints, without what depends on the machine."""
    home = directory / "home"
    environ = {"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    words = command.replace("victron-bridge", f"{sys.executable} -c '{_MAIN}'", 1)
    done = subprocess.run(
        words, shell=True, cwd=directory, env=environ, timeout=120, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    text = done.stdout
    for pattern, steady in _UNSTEADY:
        text = pattern.sub(steady, text)
    return [line.rstrip() for line in text.splitlines()]


def test_the_page_shows_what_its_commands_print(tmp_path: Path) -> None:
    """The recording of the lost grid gives exactly the events of the page; so do tests, explanations and counts."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("$ victron-bridge") >= 8
    assert run_page(text, tmp_path) == text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        PAGE.write_text(run_page(PAGE.read_text(encoding="utf-8"), Path(name)), encoding="utf-8")
