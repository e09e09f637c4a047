"""The practical limit: `http.client`, `json`, hand-made MQTT 3.1.1 packets and one function for all rules."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote

from benchmarks import by_hand, lane
from benchmarks.workload import BASE, SITE, Rule


class Limit:
    """The least program that does the work."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._port = job["gx_port"]
        self._targets = [(name, f"/value?service={quote(name)}&path=/") for name in job["services"]]
        self._last: dict[str, dict[str, Any]] = {name: {} for name in job["services"]}
        self._points = {name: {row[0]: row[1] for row in rows} for name, rows in job["services"].items()}
        self._topics = {
            name: {path: by_hand.topic_field(f"{BASE}/{SITE}/{point}") for path, point in points.items()}
            for name, points in self._points.items()
        }
        self._rules = [Rule(*row) for row in job["rules"]]
        self._evaluate = by_hand.compile_rules(self._rules)
        self._alerts = by_hand.topic_field(f"{BASE}/{SITE}/alerts")
        self._values: dict[str, Any] = {}
        self._broker = by_hand.connect(job["broker_port"])
        self.counts = {"messages": 0, "firing": 0, "resolved": 0}

    def cycle(self) -> None:
        packets: list[bytes] = []
        for service, target in self._targets:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
            connection.request("GET", target)
            values = json.loads(connection.getresponse().read())["value"]
            connection.close()
            last, points, topics = self._last[service], self._points[service], self._topics[service]
            for path, value in values.items():
                if last.get(path) != value:
                    self._values[points[path]] = value
                    text = f"{value:.2f}" if isinstance(value, float) else str(value)
                    packets.append(by_hand.packet(topics[path], text.encode()))
            self._last[service] = values
        for number, is_true in self._evaluate(self._values):
            word = "firing" if is_true else "resolved"
            self.counts[word] += not self._rules[number].window
            document = {"alert": self._rules[number].alert, "event": word}
            packets.append(by_hand.packet(self._alerts, json.dumps(document).encode(), b"\x30"))
        self.counts["messages"] += len(packets)
        self._broker.sendall(b"".join(packets))


def main() -> None:
    limit = Limit(lane.job())
    lane.serve(lane.Variant(limit.cycle, lambda: True, lambda: limit.counts))


if __name__ == "__main__":
    main()
