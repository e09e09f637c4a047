"""The bridge as a user starts it, asked over a real broker, and fed by others."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.simulator.simulator import Simulator
from tests.end_to_end.programs import Bridge
from tests.end_to_end.test_simulated import FAST, VEBUS, events, url
from tests.mosquitto import Mosquitto, Subscriber, wait_until

PACK = """
pack: own
description: Rules on what others publish.
rules:
  - alert: cheap
    expr: input.price < 10
    severity: info
    on_unknown: clear
    summary: "Power costs {input.price:.1f} ct"
    source: a test
  - alert: no_price
    expr: absent(input.price)
    severity: info
    summary: No price is known
    source: a test
"""
CONFIG = """
rules: {packs: [essential], files: [own.yaml]}
inputs:
  price: {topic: tariff/price, path: current.total, unit: ct/kWh, max_age: 3s}
"""


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as one:
        yield one


@pytest.fixture
def gx() -> Iterator[Simulator]:
    with Simulator("ess", speed=60, seed=1) as one:
        yield one


def flags(directory: Path) -> tuple[str, ...]:
    (directory / "own.yaml").write_text(PACK)
    (directory / "config.yaml").write_text(FAST + CONFIG)
    return "--site", "home", "--config", str(directory / "config.yaml")


def ask(client: Subscriber, verb: str, document: Any) -> Any:
    """Send a request with MQTT 5 and return the response."""
    wanted = Properties(PacketTypes.PUBLISH)
    mark = f"{verb}-{len(client.messages)}".encode()
    wanted.ResponseTopic, wanted.CorrelationData = "answers/here", mark
    client.publish(f"victron/home/request/{verb}", json.dumps(document), properties=wanted)
    answer = wait_until(
        lambda: next(
            (one for one in list(client.messages) if (one.topic, one.correlation) == ("answers/here", mark)), 0
        )
    )
    return json.loads(answer.payload)


def fresh(client: Subscriber, topic: str, since: int) -> list[str]:
    """Return what came on a topic after the first `since` messages, without what the broker had kept."""
    return [one.payload for one in list(client.messages)[since:] if one.topic == topic and not one.is_retained]


def test_a_rule_on_an_input_fires_and_forgets(broker: Mosquitto, gx: Simulator, tmp_path: Path) -> None:
    """Unknown before the first message, known with it, unknown again when nothing comes for its max_age."""
    with Subscriber(broker.port) as all_:
        with Bridge(url(gx.start()), broker.port, tmp_path / "state", *flags(tmp_path)) as bridge:
            wait_until(lambda: [one["event"] for one in events(all_, "no_price")] == ["firing"], 20.0)
            all_.publish("tariff/price", '{"current": {"total": 7.25}}')
            wait_until(lambda: [one["event"] for one in events(all_, "no_price")] == ["firing", "resolved"], 10.0)
            (firing,) = wait_until(lambda: events(all_, "cheap"), 10.0)
            assert (firing["summary"], firing["points"]) == (
                "Power costs 7.2 ct", [{"name": "input/price", "value": 7.25, "unit": "ct/kWh"}],
            )  # fmt: skip
            over = wait_until(lambda: events(all_, "cheap")[1:], 10.0)
            assert over[0]["event"] == "resolved"
            assert 2.5 <= over[0]["duration_s"] <= 4.0, "it is over when the price is too old"
            wait_until(lambda: len(events(all_, "no_price")) == 3, 10.0)
            assert "Traceback" not in bridge.output()


def test_what_was_asked_survives_a_kill(broker: Mosquitto, gx: Simulator, tmp_path: Path) -> None:
    """An acknowledgement and a silence are answered, seen by everyone, and there again after kill -9."""
    address, options = url(gx.start()), flags(tmp_path)
    with Subscriber(broker.port) as all_:
        with Bridge(address, broker.port, tmp_path / "state", *options) as bridge:
            all_.wait_for("victron/home/vebus/276/alarms/grid_lost", "ok", 20.0)
            gx.set(VEBUS, "/Alarms/GridLost", 2)
            (firing,) = wait_until(lambda: events(all_, "grid_lost"), 15.0)
            assert ask(all_, "ack", {"id": firing["id"]})["data"]["acknowledged"] is True
            assert ask(all_, "silence", {"matcher": {}, "for": "1h"})["data"]["id"] == 1
            bridge.end(signal.SIGKILL)
        since = len(all_.messages)
        with Bridge(address, broker.port, tmp_path / "state", *options) as bridge:
            active = wait_until(lambda: fresh(all_, "victron/home/alerts/active", since), 20.0)
            document = json.loads(active[0])
            assert [one["id"] for one in document["silences"]] == [1]
            assert [one["acknowledged"] for one in document["alerts"] if one["id"] == firing["id"]] == [True]
            assert ask(all_, "explain", {"id": firing["id"]})["status"] == "ok"
            assert "there are: 1" in ask(all_, "unsilence", {"id": 2})["error"]
            assert ask(all_, "unsilence", {"id": 1})["status"] == "ok"
            assert ask(all_, "nothing", {})["status"] == "error"
            assert "Traceback" not in bridge.output()


def test_refresh_publishes_everything_again(broker: Mosquitto, gx: Simulator, tmp_path: Path) -> None:
    """A value that does not change is published again when somebody asks, long before its interval is over."""
    name = "victron/home/vebus/276/alarms/grid_lost"
    with Subscriber(broker.port) as all_:
        with Bridge(url(gx.start()), broker.port, tmp_path / "state", *flags(tmp_path)):
            all_.wait_for(name, "ok", 20.0)
            since = len(all_.messages)
            assert ask(all_, "refresh", {"transaction": 1}) == {
                "status": "ok", "data": None, "error": None, "transaction": 1,
            }  # fmt: skip
            wait_until(lambda: fresh(all_, name, since), 10.0)
            wait_until(lambda: fresh(all_, "victron/home/status", since), 10.0)
