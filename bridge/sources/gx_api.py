"""The questions that the DBus HTTP API of a GX answers, with every answer checked.

What the server really does is in the project's notes on the API: 200 with `[]` is "no value", 404 is "unknown",
an empty `/services` means that the bus is down, numbers may be NaN or Infinity, and a body may be cut off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from bridge.errors import Garbled, Refused
from bridge.sources.http import Transport

SYSTEM = "com.victronenergy.system"
MAX_SERVICES = 500
MAX_LEAFS = 20_000  # of one service; real ones have some hundreds
_NAME = re.compile(r"com\.victronenergy\.[A-Za-z0-9_.-]{1,235}")  # a D-Bus name has at most 255 characters


class GxApi:
    """Typed access to one GX. Every method does exactly one request."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.clock_date = ""  # Date header of the last answer: the GX's clock
        self.names_ignored = 0  # names in lists of services that no service can have, or too many

    def services(self, timeout_s: float) -> frozenset[str]:
        """Return the names of all services on the bus; empty means that the bus cannot be asked.

        Raises: Unreachable, Refused, Garbled.
        """
        document = self._get("/services", timeout_s)
        names = document.get("services")
        if not isinstance(names, list):
            raise Garbled("/services has no list of services")
        ours = [name for name in names if isinstance(name, str) and name.startswith("com.victronenergy.")]
        valid = [name for name in ours if _NAME.fullmatch(name)][:MAX_SERVICES]
        self.names_ignored += len(ours) - len(valid)
        return frozenset(valid)

    def root(self, service: str, timeout_s: float) -> Mapping[str, Any]:
        """Return all leafs of `service` by path without leading slash; empty when it cannot be listed.

        Raises: Unreachable, Refused, Garbled.
        """
        value = self.value(service, "/", timeout_s)
        if value == []:
            return {}
        if not isinstance(value, dict):
            raise Garbled(f"the root of {service} is not a map")
        if len(value) > MAX_LEAFS:
            raise Garbled(f"the root of {service} has {len(value)} leafs; more than {MAX_LEAFS} are not read")
        return value

    def value(self, service: str, path: str, timeout_s: float) -> Any:
        """Return the raw value of one path; `[]` is D-Bus's "no value".

        Raises: Unreachable, Refused (the path, the service or the bus is not there), Garbled.
        """
        target = f"/value?service={quote(service, safe='')}&path={quote(path, safe='/')}"
        document = self._get(target, timeout_s)
        if document.get("service") != service or document.get("path") != path or "value" not in document:
            raise Garbled(f"the answer to {path} of {service} answers another question")
        return document["value"]

    def _get(self, target: str, timeout_s: float) -> Mapping[str, Any]:
        answer = self._transport.get(target, timeout_s)
        self.clock_date = answer.date
        if answer.status != 200:
            raise Refused(f"status {answer.status} for {target}", answer.status)
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise Garbled(f"the answer to {target} is not JSON") from error
        if not isinstance(document, dict) or document.get("success") is not True:
            raise Garbled(f"the answer to {target} does not say success")
        return document
