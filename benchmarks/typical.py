"""What such a program usually looks like: `requests`, paho with its network thread, a publish per changed value."""

from __future__ import annotations

import json
from typing import Any

import requests
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import by_hand, lane
from benchmarks.workload import BASE, SITE, Rule


class Typical:
    """A session, a client, and the limit's one function for the rules."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._session = requests.Session()
        self._url = f"http://127.0.0.1:{job['gx_port']}/value"
        self._services = list(job["services"])
        self._points = {name: {row[0]: row[1] for row in rows} for name, rows in job["services"].items()}
        self._last: dict[str, dict[str, Any]] = {name: {} for name in job["services"]}
        self._rules = [Rule(*row) for row in job["rules"]]
        self._evaluate = by_hand.compile_rules(self._rules)
        self._values: dict[str, Any] = {}
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="typical")
        self._client.connect("127.0.0.1", job["broker_port"])
        self._client.loop_start()
        self.counts = {"messages": 0, "firing": 0, "resolved": 0}

    def cycle(self) -> None:
        for service in self._services:
            answer = self._session.get(self._url, params={"service": service, "path": "/"}, timeout=5)
            values = answer.json()["value"]
            last, points = self._last[service], self._points[service]
            for path, value in values.items():
                if last.get(path) != value:
                    self._values[points[path]] = value
                    self._publish(f"{BASE}/{SITE}/{points[path]}", str(value), True)
            self._last[service] = values
        for number, is_true in self._evaluate(self._values):
            word = "firing" if is_true else "resolved"
            self.counts[word] += not self._rules[number].window
            document = {"alert": self._rules[number].alert, "event": word}
            self._publish(f"{BASE}/{SITE}/alerts", json.dumps(document), False)

    def _publish(self, topic: str, payload: str, retain: bool) -> None:
        self.counts["messages"] += 1
        self._client.publish(topic, payload, 0, retain)


def main() -> None:
    typical = Typical(lane.job())
    lane.serve(lane.Variant(typical.cycle, lambda: True, lambda: typical.counts))


if __name__ == "__main__":
    main()
