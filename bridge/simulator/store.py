"""What is on the D-Bus of the simulated GX: services, their leafs, and how each kind of service answers.

Three layers decide a leaf: what a test pinned (`set`) wins over what was taken away (`remove`), which wins over what
the devices publish. A dropped service is gone from the bus with all of its leafs until it is restored.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

PATH = re.compile(r"/|(/[A-Za-z0-9_]+)+")


class Root(Enum):
    """How a service answers when asked for a path that is no leaf (http_api: depends on who implements it)."""

    TREE = "tree"  # velib: root and nodes are dictionaries
    FLAT = "flat"  # Node-RED, recordings: the root is a dictionary, nodes are not there
    EMPTY = "empty"  # aiovelib: the root is an empty array, nodes are not there


class Service(NamedTuple):
    """One bus name. The dictionaries change; the record is replaced when the service is renamed."""

    name: str
    root: Root
    values: dict[str, Any]  # what the device publishes; paths without the leading slash
    pinned: dict[str, Any]  # what a test or a scenario says instead
    removed: set[str]
    textless: frozenset[str] = frozenset()  # leafs with a value and no text, seen on systemcalc

    def leaf(self, path: str) -> Any:
        """Return the value of `path`; raise KeyError when there is no such leaf."""
        if path in self.pinned:
            return self.pinned[path]
        if path in self.removed:
            raise KeyError(path)
        return self.values[path]

    def leafs(self, below: str = "") -> dict[str, Any]:
        """Return all leafs below the node `below` ("" for the root), with paths relative to it."""
        prefix = below + "/" if below else ""
        paths = [path for path in {**self.values, **self.pinned} if path.startswith(prefix)]
        return {
            path[len(prefix) :]: self.leaf(path) for path in paths if path in self.pinned or path not in self.removed
        }


class Store:
    """All services of one GX. Every method may be called from any thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._services: dict[str, Service] = {}
        self._dropped: set[str] = set()
        self.is_bus_up = True

    def add(self, name: str, values: dict[str, Any], root: Root = Root.TREE, textless: Iterable[str] = ()) -> None:
        """Put a service on the bus."""
        with self.lock:
            self._services[name] = Service(name, root, values, {}, set(), frozenset(textless))

    def names(self) -> list[str]:
        """Return the names on the bus, sorted; none while the bus is down."""
        with self.lock:
            return sorted(name for name in self._services if name not in self._dropped) if self.is_bus_up else []

    def all_names(self) -> list[str]:
        """Return the names of all services, dropped ones too."""
        with self.lock:
            return sorted(self._services)

    def dropped(self) -> list[str]:
        """Return the names of the services that were taken off the bus."""
        with self.lock:
            return sorted(self._dropped)

    def find(self, name: str) -> Service | None:
        """Return the service when it is on the bus now."""
        with self.lock:
            if not self.is_bus_up or name in self._dropped:
                return None
            return self._services.get(name)

    def value(self, name: str, path: str) -> Any:
        """Return what a `GetValue` on `path` ("/Soc", or "/" for the root) gives.

        Raises:
            KeyError: no such service, leaf or node, or a malformed path: the HTTP API cannot tell them apart either.
        """
        with self.lock:
            service = self.find(name)
            if service is None or not PATH.fullmatch(path):
                raise KeyError(path)
            if path == "/":
                return [] if service.root is Root.EMPTY else service.leafs()
            try:
                return service.leaf(path[1:])
            except KeyError:
                return self._node(service, path[1:])

    def _node(self, service: Service, path: str) -> dict[str, Any]:
        below = service.leafs(path) if service.root is Root.TREE else {}
        if not below:
            raise KeyError(path)
        return below

    def peek(self, name: str, path: str) -> Any:
        """Return the value of a leaf as a device that listens to another sees it: `[]` when it is not there."""
        try:
            return self.value(name, path)
        except KeyError:
            return []

    def publish(self, name: str, values: Mapping[str, Any]) -> None:
        """Update what a device publishes; a service that is not there is ignored."""
        with self.lock:
            service = self._services.get(name)
            if service is not None:
                service.values.update(values)

    def pin(self, name: str, path: str, value: Any) -> None:
        """Make `path` answer `value` until `unpin`; an unknown service or path is created."""
        with self.lock:
            if name not in self._services:
                self.add(name, {})
            self._services[name].pinned[path.lstrip("/")] = [] if value is None else value

    def remove(self, name: str, path: str) -> None:
        """Make `path` answer 404 until `unpin`."""
        with self.lock:
            service = self._services[name]
            service.pinned.pop(path.lstrip("/"), None)
            service.removed.add(path.lstrip("/"))

    def unpin(self, name: str = "", path: str = "") -> None:
        """Undo `pin` and `remove` for a path, for a whole service (no path), or for all (no name)."""
        with self.lock:
            for service in [self._services[name]] if name else list(self._services.values()):
                if path:
                    service.pinned.pop(path.lstrip("/"), None)
                    service.removed.discard(path.lstrip("/"))
                else:
                    service.pinned.clear()
                    service.removed.clear()

    def drop(self, name: str) -> None:
        """Take the service off the bus."""
        with self.lock:
            self._services[name]  # a wrong name is a KeyError here, not silence
            self._dropped.add(name)

    def restore(self, name: str = "") -> None:
        """Put a dropped service back; all of them without a name."""
        with self.lock:
            self._dropped = self._dropped - {name} if name else set()

    def rename(self, name: str, to: str) -> None:
        """Give a service another bus name, as a cable in another port does."""
        with self.lock:
            self._services[to] = self._services.pop(name)._replace(name=to)
