"""Processes for end-to-end tests: the bridge as users start it, and the stand-in GX with captured vendor data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.mosquitto import free_port, wait_until

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
CAPTURES = SHARED / "captures"
REPLAY = SHARED / "tools" / "gx_replay.py"


class Program:
    """A child process whose output is kept in a file; ended with the block."""

    def __init__(self, *command: str, environ: dict[str, str] | None = None) -> None:
        self._log = tempfile.NamedTemporaryFile(prefix="program-", suffix=".log")
        variables = {key: value for key, value in os.environ.items() if not key.startswith("VICTRON_BRIDGE_")}
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=self._log, stderr=subprocess.STDOUT, env=variables | (environ or {})
        )

    def output(self) -> str:
        return Path(self._log.name).read_text(errors="replace")

    def end(self, number: int = signal.SIGTERM, timeout_s: float = 10.0) -> int:
        """Send a signal and return the exit code; a process that stays is killed and fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running {timeout_s} s after signal {number}:\n{self.output()}") from None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()


def python(*arguments: str) -> tuple[str, ...]:
    """Return the command line of a `victron-bridge` subcommand."""
    return sys.executable, "-m", "bridge", *arguments


class Bridge(Program):
    """`victron-bridge run` with flags; `state` is its directory."""

    def __init__(
        self, gx: str, broker_port: int, state: Path, *more: str, environ: dict[str, str] | None = None
    ) -> None:
        flags = ("--gx", gx, "--broker", f"127.0.0.1:{broker_port}", "--state", str(state))
        super().__init__(*python("run", *flags, *more), environ=environ)


class Replay(Program):
    """The stand-in GX with a captured system, steered over its control port."""

    def __init__(self, capture: str, *more: str) -> None:
        self.port, self._control = free_port(), free_port()
        ports = ("--port", str(self.port), "--control-port", str(self._control))
        super().__init__(sys.executable, str(REPLAY), str(CAPTURES / capture), *ports, "--quiet", *more)
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until(self._answers, what="the stand-in GX answers")

    def _answers(self) -> bool:
        try:
            return bool(self.control("_state", None))
        except OSError:
            return False

    def control(self, verb: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self._control}/{verb}"
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5.0) as reply:
            return json.load(reply)

    def set(self, service: str, path: str, value: Any) -> None:
        self.control("_set", {"service": service, "path": path, "value": value})
