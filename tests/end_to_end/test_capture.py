"""An extra where the captured vendor systems are at hand: the bridge against real data, value by value."""

from __future__ import annotations

import json
import math
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.core.devices import class_of
from bridge.core.values import firmware_text, pick
from bridge.model import Kind, PointSpec
from tests.catalogue import catalogue
from tests.end_to_end.programs import CAPTURES, REPLAY, Bridge, Replay
from tests.mosquitto import Mosquitto, Subscriber, wait_until

pytestmark = pytest.mark.skipif(not REPLAY.exists(), reason="the captured systems are not beside this checkout")

VEBUS = "com.victronenergy.vebus.ttyS4"
NO_INSTANCE = object()


def leafs_of(system: str) -> dict[str, dict[str, Any]]:
    """Return service -> path -> raw value of a captured system."""
    directory = CAPTURES / system
    found = {}
    for path in sorted(directory.glob("value__*.json")):
        service = path.name[len("value__") : -len(".json")]
        values = json.loads(path.read_text())["value"]
        side = directory / f"leafs__{service}.json"
        if not values and side.exists():
            values = {key[1:]: value for key, value in json.loads(side.read_text()).items()}
        found[service] = values or {}
    return found


def expected_tree(system: str) -> dict[str, tuple[PointSpec, Any]]:
    """Return topic below the site -> (row, raw value) of every valid value that the catalogue knows."""
    tree: dict[str, tuple[PointSpec, Any]] = {}
    for service, values in leafs_of(system).items():
        kind = class_of(service)
        assert kind is not None
        spec = catalogue().get(kind)
        prefix = "" if spec.singleton else f"{kind}/{values['DeviceInstance']}/"
        for path, raw in values.items():
            found = spec.resolve(path)
            if found is None or raw == []:
                continue
            row, name = found
            if not row.fields:
                tree[prefix + name] = (row, raw)
            for way, part in row.fields:
                level = path.split("/")[-2].lower()  # the only placeholder there is: the CAN interface
                value = pick(json.loads(raw), way)
                if value != []:
                    tree[part.point.replace("{interface}", level)] = (part, value)
    return tree


def agrees(payload: str, row: PointSpec, raw: Any) -> bool:
    """Tell whether a published payload says what the GX said, judged by the row's kind."""
    if row.kind in (Kind.FLOAT, Kind.DURATION):
        if any(abs(raw - sentinel) < 1e-3 for sentinel in row.invalid):
            return payload == "null"
        return math.isclose(float(payload), raw, abs_tol=0.5 * 10.0**-row.precision + 1e-9)
    if row.kind in (Kind.INT, Kind.BITMASK):
        return payload == ("null" if raw in row.invalid else str(int(raw)))
    if row.kind is Kind.BOOL:
        return payload == ("true" if raw else "false")
    if row.kind in (Kind.ENUM, Kind.ALARM):
        return payload == row.labels.get(int(raw), str(int(raw)))
    if row.kind is Kind.TIMESTAMP:
        return payload == "null" if raw <= 0 else datetime.fromisoformat(payload).timestamp() == raw
    if row.kind is Kind.FIRMWARE:
        return payload == (firmware_text(raw) if isinstance(raw, int) else raw)
    if row.kind is Kind.JSON:
        tree = json.loads(raw) if isinstance(raw, str) else raw
        return payload == "null" if not tree else json.loads(payload) == tree
    return payload == (str(raw) if raw != "" else "null")


def retained(port: int, prefix: str) -> dict[str, str]:
    """Return topic below `prefix` -> payload of everything the broker keeps."""
    with Subscriber(port, f"{prefix}#") as subscriber:
        before = -1
        while before != len(subscriber.messages):
            before = len(subscriber.messages)
            wait_until(lambda: True)
            time.sleep(0.2)  # a quiet moment ends the retained messages; there is no mark for the last one
        return {m.topic[len(prefix) :]: m.payload for m in subscriber.messages if m.is_retained}


@pytest.mark.parametrize("system", ["ess-single", "dc-only"])
def test_the_retained_tree_is_the_captured_system(system: str, tmp_path: Path) -> None:
    """Every valid value of the capture that the catalogue knows is on the broker, right, and nothing is missing."""
    expected = expected_tree(system)
    assert len(expected) > 150
    with Mosquitto() as broker, Replay(system) as gx, Bridge(gx.url, broker.port, tmp_path, "--site", "home") as bridge:

        def missing() -> list[str]:
            tree = retained(broker.port, "victron/home/")
            return [topic for topic in expected if topic not in tree]

        wait_until(lambda: not missing(), 30.0, f"all values are there: {bridge.output()}")
        tree = retained(broker.port, "victron/home/")
        wrong = [
            f"{topic}: {tree[topic]!r} for {raw!r}"
            for topic, (row, raw) in expected.items()
            if not agrees(tree[topic], row, raw)
        ]
        assert wrong == []
        assert tree["status"] == "online"
        assert "Traceback" not in bridge.output()


def test_no_secret_of_the_capture_reaches_the_broker(tmp_path: Path) -> None:
    """Keys, SSIDs and MAC addresses of the captured system are in no topic and no payload, raw publishing included."""
    config = tmp_path / "config.yaml"
    config.write_text("publish: {raw: true}\n")
    secrets = ("0123456789ABCDEF0123456789ABCDEF", "11:22:33", "DC:A6:32", "Network C", "wifi_", "DCA632")
    with (
        Mosquitto() as broker,
        Replay("ess-single") as gx,
        Bridge(gx.url, broker.port, tmp_path / "state", "--site", "home", "--config", str(config)) as bridge,
    ):
        wait_until(lambda: "settings/" in str(retained(broker.port, "victron/home/").keys()), 30.0, bridge.output())
        wait_until(lambda: any(t.startswith("raw/vebus") for t in retained(broker.port, "victron/home/")), 30.0)
        text = json.dumps(retained(broker.port, "victron/"))
        assert [secret for secret in secrets if secret.lower() in text.lower()] == []


def test_grid_lost_fires_and_resolves(tmp_path: Path) -> None:
    """Setting the vebus alarm to 2 gives a firing event on <site>/alerts; 0 gives resolved, with the same id."""
    with (
        Mosquitto() as broker,
        Replay("ess-single") as gx,
        Bridge(gx.url, broker.port, tmp_path, "--site", "home"),
        Subscriber(broker.port, "victron/home/alerts") as alerts,
        Subscriber(broker.port, "victron/home/vebus/276/alarms/grid_lost") as topic,
    ):
        wait_until(lambda: topic.messages, 30.0, "the alarm is published")

        def events() -> list[dict[str, Any]]:
            documents = [json.loads(message.payload) for message in alerts.messages]
            return [document for document in documents if document["alert"] == "grid_lost"]

        gx.set(VEBUS, "/Alarms/GridLost", 2)
        wait_until(events, 40.0, "firing")
        gx.set(VEBUS, "/Alarms/GridLost", 0)
        wait_until(lambda: len(events()) == 2, 90.0, "resolved")
        firing, resolved = events()
        assert (firing["event"], resolved["event"]) == ("firing", "resolved")
        assert firing["id"] == resolved["id"]
        assert resolved["seq"] == firing["seq"] + 1
        assert not any(message.is_retained for message in alerts.messages)


def test_two_minutes_of_faults_end_with_all_topics_right(tmp_path: Path) -> None:
    """With failing, garbled and hanging answers: no exception in the log, no wrong offline, the truth at the end."""
    rates = ("--fail-rate", "0.2", "--garbage-rate", "0.1", "--hang-rate", "0.02", "--hang-s", "8", "--seed", "1")
    with Mosquitto() as broker, Replay("ess-single", "--play", "--speed", "4", *rates) as gx:
        with (
            Bridge(gx.url, broker.port, tmp_path, "--site", "home") as bridge,
            Subscriber(broker.port, "victron/home/status") as status,
        ):
            # The recorded series is 138 s long: at four times the speed it is over after 35 s.
            wait_until(lambda: gx.control("_state", None)["play_t"] > 140.0, 60.0)
            gx.control("_fault", {"fail_rate": 0, "garbage_rate": 0, "hang_rate": 0})
            final = final_values(gx)

            def wrong() -> list[str]:
                tree = retained(broker.port, "victron/home/")
                return [
                    topic
                    for topic, (row, raw) in final.items()
                    if topic not in tree or not is_near(tree[topic], row, raw)
                ]

            wait_until(lambda: not wrong(), 90.0, "the last values are on the broker")
            assert {message.payload for message in status.messages} == {"online"}
            assert "Traceback" not in bridge.output()
            assert bridge.end() == 0


def final_values(gx: Replay) -> dict[str, tuple[PointSpec, Any]]:
    """Return the fast values as they are at the end of the series."""
    lines = (CAPTURES / "ess-single" / "timeseries.jsonl").read_text().splitlines()
    last: dict[str, dict[str, Any]] = {}
    for line in lines:
        row = json.loads(line)
        if isinstance(row["value"], dict):
            last[row["service"]] = row["value"]
    vebus = last[VEBUS]
    spec = catalogue().get("vebus")
    paths = ("Ac/Out/L1/V", "Ac/Out/L1/P", "Ac/ActiveIn/L1/V", "Ac/ActiveIn/L1/P", "Dc/0/Voltage", "Alarms/GridLost")
    found = {path: spec.resolve(path) for path in paths if vebus[path] != []}
    return {f"vebus/276/{leaf[1]}": (leaf[0], vebus[path]) for path, leaf in found.items() if leaf}


def is_near(payload: str, row: PointSpec, raw: Any) -> bool:
    """As `agrees`, but a number may be off by the deadband that keeps noise away."""
    if row.kind is not Kind.FLOAT:
        return agrees(payload, row, raw)
    return payload != "null" and abs(float(payload) - raw) <= row.deadband + 0.5 * 10.0**-row.precision
