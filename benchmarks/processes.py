"""Child processes of a benchmark: stand-ins, a broker, lanes. All of them end with the `Bench` that started them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.workload import ROOT, SITE, TICK_S, Workload, pack_of

_PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
MOSQUITTO = shutil.which("mosquitto", path=_PLACES)
_START_S = 60.0
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Lane:
    """A variant in its own process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._hear()

    def run(self, cycles: int, pause_s: float) -> dict[str, Any]:
        """Do some cycles; return what they cost."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"cycles": cycles, "pause_s": pause_s}) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def end(self) -> None:
        """Let the process end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_START_S)

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a lane ended early: {self._process.args!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Bench:
    """A directory and the processes of one benchmark. Use as a context manager."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="bench-")
        self.directory = Path(self._scratch.name)
        self._processes: list[subprocess.Popen[Any]] = []
        self.broker_port = 0
        self._jobs = 0

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(3.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._scratch.cleanup()

    def spawn(self, command: list[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process that ends with this benchmark."""
        process = subprocess.Popen(command, cwd=ROOT, env=ENVIRON, **options)
        self._processes.append(process)
        return process

    def write(self, name: str, document: Any) -> Path:
        """Write a JSON document (which is YAML too) into the benchmark's directory."""
        path = self.directory / name
        path.write_text(json.dumps(document), "utf-8")
        return path

    # -- the far ends -------------------------------------------------------------------------------------------------

    def start_broker(self) -> str:
        """Start a broker and return what it is."""
        self.broker_port = free_port()
        if MOSQUITTO is None:
            self._spawn_module("benchmarks.drain", str(self.broker_port), stdin=subprocess.PIPE)
            name = "a socket that swallows everything (mosquitto is not installed): no MQTT 5 figures"
        else:
            config = self.directory / "mosquitto.conf"
            # The broker's own Nagle would hold back messages to the subscriber, which is not what is measured.
            lines = (f"listener {self.broker_port} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true")
            config.write_text("\n".join((*lines, "log_type error", "")))
            self.spawn([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
            name = "mosquitto"
        wait_for_port(self.broker_port)
        return name

    def start_gx(self, workload: Workload, seed: int, sites: int = 1, **more: Any) -> list[int]:
        """Start one process that stands in for `sites` GXs; return their ports."""
        self._jobs += 1
        job = {"seed": seed, "sites": sites, "services": workload.services, **more}
        path = self.write(f"gx{self._jobs}.json", job)
        process = self._spawn_module(
            "benchmarks.stand_in", str(path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ports: list[int] = json.loads(process.stdout.readline())
        return ports

    def start_lane(self, module: str, workload: Workload, gx_port: int, prefix: tuple[str, ...] = ()) -> Lane:
        """Start a variant; `prefix` is a command to run it under."""
        job = {
            "gx_port": gx_port,
            "broker_port": self.broker_port,
            "services": workload.services,
            "rules": workload.rules,
            "config": str(self.config(f"{module}.yaml", workload, [gx_port])),
            "state": str(self.directory / "state"),
        }
        path = self.write(f"{module}.json", job)
        process = self.spawn(
            [*prefix, sys.executable, "-m", module, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return Lane(process)

    def _spawn_module(self, module: str, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        return self.spawn([sys.executable, "-m", module, *arguments], **options)

    # -- what the bridge is told --------------------------------------------------------------------------------------

    def config(
        self,
        name: str,
        workload: Workload,
        gx_ports: list[int],
        every_s: float = TICK_S,
        packs: list[str] | None = None,
        pack: dict[str, Any] | None = None,
    ) -> Path:
        """Write a config of the bridge for these GXs, and return its file.

        Args:
            packs: names of packs that come with the program.
            pack: a rule pack as its document; by default the workload's.
        """
        pack = pack_of(workload.rules) if pack is None else pack
        rules = [self.write(f"{name}.pack.yaml", pack).name] if pack else []
        tiers = dict.fromkeys(("critical", "extended", "health", "static"), every_s)
        names = [SITE] if len(gx_ports) == 1 else [f"{SITE}{number:03}" for number in range(len(gx_ports))]
        return self.write(
            name,
            {
                "sites": [{"site": site, "gx": f"http://127.0.0.1:{port}"} for site, port in zip(names, gx_ports)],
                "broker": {"host": "127.0.0.1", "port": self.broker_port},
                "poll": {"tiers": tiers},
                "rules": {"packs": packs or [], "files": rules},
            },
        )


def wait_for_port(port: int) -> None:
    """Return when somebody listens on a port of 127.0.0.1."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")
