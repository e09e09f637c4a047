"""A GX for measuring: the HTTP API of a Venus OS in one thread, HTTP/1.0, closing after each answer.

Each read of a service moves a fixed share of its values on, so a poll finds the same changes however fast it comes.
One process can stand in for many GXs, each on its own port. `python -m benchmarks.stand_in job.json`, where the job
is {"seed", "sites", "services": {name: [values]}, "stamps": {path: what}}; the ports are printed as one JSON line.

A stamp is a value made when it is read, in whole microseconds of the monotonic clock, which all processes share:
`served`: when this page was made; `changed`: when the GX last had a new value (some time between two reads);
`reads`: the number of this page.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import struct
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.workload import CHANGING, REACH

_HEAD = (
    b"HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.12.12\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\n"
    b"Content-type: application/json\r\nAccess-Control-Allow-Origin: *\r\n"
    b"Access-Control-Allow-Methods: GET, POST, OPTIONS\r\nAccess-Control-Allow-Headers: Content-Type\r\n\r\n"
)


def _float32(value: float) -> float:
    """Return `value` as a D-Bus service with 32-bit floats reports it: 52.21 -> 52.209999084472656."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


class Service:
    """One D-Bus service: its values as lines of JSON, of which only the changed ones are written anew."""

    def __init__(self, name: str, values: list[list[Any]], stamps: dict[str, str], seed: str) -> None:
        self._name = name
        self._chance = random.Random(seed)
        self._lines = {path: self._line(path, start) for path, _, start, *_ in values}
        self._walkers = [(path, origin, step, counts) for path, _, _, origin, step, counts in values if step]
        self._positions = dict.fromkeys((path for path, *_ in self._walkers), 0)
        self._per_read = round(CHANGING * len(values))
        self._stamps = {path: what for path, what in stamps.items() if path in self._lines}
        self._reads = 0
        self._changed_us = self._next_change_us = _now_us()

    @staticmethod
    def _line(path: str, value: Any) -> str:
        return f"    {json.dumps(path)}: {json.dumps(value)}"

    def read(self) -> str:
        """Move on, and return the answer to a read of the root."""
        for path, origin, step, is_counter in self._chance.sample(self._walkers, self._per_read):
            position = self._positions[path] = self._step(self._positions[path], is_counter)
            self._lines[path] = self._line(path, _float32(origin + step * position))
        for path, what in self._stamps.items():
            self._lines[path] = self._line(path, self._stamp(what))
        self._reads += 1
        lines = ",\n".join(self._lines.values())
        return f'{{\n  "service": "{self._name}",\n  "path": "/",\n  "value": {{\n{lines}\n  }},\n  "success": true\n}}'

    def _step(self, position: int, is_counter: bool) -> int:
        if is_counter:
            return position + 1
        moved = position + self._chance.choice((-3, -2, -1, 1, 2, 3))
        return moved if abs(moved) <= REACH else position - (1 if position > 0 else -1)

    def _stamp(self, what: str) -> int:
        now_us = _now_us()
        if what == "served":
            return now_us
        if what == "changed":
            while self._next_change_us <= now_us:
                self._changed_us = self._next_change_us
                self._next_change_us += int(self._chance.uniform(0.5, 4.0) * 1e6)
            return self._changed_us
        return self._reads


def _now_us() -> int:
    return int(time.monotonic() * 1e6)


class Gx:
    """One GX behind one listening socket."""

    def __init__(self, job: dict[str, Any], number: int) -> None:
        self._services = {
            name: Service(name, values, job.get("stamps", {}), f"{job['seed']}:{number}:{name}")
            for name, values in job["services"].items()
        }
        names = sorted(self._services)
        self._list = json.dumps({"services": names, "count": len(names), "success": True}, indent=2)
        self._number = number
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=5)

    def answer_one(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(5.0)
            request = b""
            while b"\r\n\r\n" not in request:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                request += chunk
            body = self._answer(request.split(b" ", 2)[1].decode())
            connection.sendall(_HEAD)
            connection.sendall(body.encode())

    def _answer(self, target: str) -> str:
        query = parse_qs(urlsplit(target).query)
        if "service" not in query:
            return self._list
        name, path = query["service"][0], query["path"][0]
        if path == "/":
            return self._services[name].read()
        value = f"bench{self._number:04}" if path == "/Serial" else []
        return json.dumps({"service": name, "path": path, "value": value, "success": True}, indent=2)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as stream:
        job = json.load(stream)
    selector = selectors.DefaultSelector()
    sites = [Gx(job, number) for number in range(job["sites"])]
    for gx in sites:
        selector.register(gx.listener, selectors.EVENT_READ, gx)
    print(json.dumps([gx.listener.getsockname()[1] for gx in sites]), flush=True)
    selector.register(sys.stdin, selectors.EVENT_READ)  # the end of the one who started this is our end
    while True:
        for key, _ in selector.select():
            if key.data is None:
                return
            try:
                key.data.answer_one()
            except OSError:  # a client that left early
                continue


if __name__ == "__main__":
    main()
