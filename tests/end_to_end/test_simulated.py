"""The bridge as a user starts it, beside the project's own simulator and a real mosquitto: start, faults, end."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.simulator import platform, settings, small
from bridge.simulator.simulator import Simulator
from tests.end_to_end.programs import Bridge, Program, python
from tests.mosquitto import Mosquitto, Received, Subscriber, free_port, wait_until

FAST = "poll: {tiers: {critical: 1s, extended: 1s, health: 2s, static: 5s}}\n"
VEBUS = "com.victronenergy.vebus.ttyS4"


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as one:
        yield one


@pytest.fixture
def gx() -> Iterator[Simulator]:
    with Simulator("ess", speed=60, seed=1) as one:
        yield one


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def fast(directory: Path, more: str = "") -> tuple[str, str]:
    """Return the flags for a config that polls each second."""
    path = directory / "config.yaml"
    path.write_text(FAST + more)
    return "--config", str(path)


def saved_alerts(directory: Path) -> Any:
    """Return what the state on the disk knows of alerts, by id."""
    path = directory / "site-home.json"
    return json.loads(path.read_text().partition("\n")[2])["engine"]["alerts"] if path.exists() else {}


def events(subscriber: Subscriber, alert: str) -> list[dict[str, Any]]:
    documents = [
        json.loads(message.payload) for message in list(subscriber.messages) if message.topic.endswith("/alerts")
    ]
    return [document for document in documents if document["alert"] == alert]


@pytest.mark.parametrize("system", ["ess", "three-phase", "dc-only"])
def test_every_system_is_published(system: str, broker: Mosquitto, tmp_path: Path) -> None:
    """Each simulated system puts its devices, their values and their status on the broker within seconds."""
    with Simulator(system, speed=60, seed=1) as gx, Subscriber(broker.port, "victron/home/#") as home:
        with Bridge(url(gx.start()), broker.port, tmp_path, "--site", "home") as bridge:
            device = "solarcharger/257" if system == "dc-only" else "battery/512"
            home.wait_for(f"victron/home/{device}/status", "online", 20.0)
            home.wait_for("victron/home/battery/soc", None, 20.0)
            home.wait_for("victron/home/status", "online")
            if system == "three-phase":
                home.wait_for("victron/home/acsystem/0/state", None, 30.0)  # its root is [] on purpose
            assert bridge.end() == 0
            assert "Traceback" not in bridge.output()


def test_a_message_says_unit_time_expiry_and_kind(broker: Mosquitto, gx: Simulator, tmp_path: Path) -> None:
    """MQTT 5 carries content type, expiry, unit and time; an enum carries its number."""
    with Bridge(url(gx.start()), broker.port, tmp_path, "--site", "home"), Subscriber(broker.port) as all_:
        soc = all_.wait_for("victron/home/battery/soc", None, 20.0)
        assert soc.content_type == "application/json"
        assert soc.user["unit"] == "%"
        assert soc.user["ts"].endswith("Z")
        assert soc.expiry_s is not None and 800 < soc.expiry_s <= 900
        state = all_.wait_for("victron/home/vebus/276/state")
        assert state.content_type == "text/plain"
        assert state.user["code"].isdigit()


def _last_bridge_status(seen: Subscriber) -> str:
    found = [
        m.payload for m in list(seen.messages) if m.topic.startswith("victron/bridge/") and m.topic.endswith("/status")
    ]
    return found[-1] if found else ""


def _is_fresh_online(message: Received) -> bool:
    """Tell a status of this run from the one that an earlier run left on the broker."""
    return message.topic == "victron/home/status" and message.payload == "online" and not message.is_retained


def test_ctrl_c_ends_within_two_seconds_with_offline_and_state(
    broker: Mosquitto, gx: Simulator, tmp_path: Path
) -> None:
    """SIGINT and SIGTERM publish offline, write the state and exit 0, also while the GX hangs."""
    port = gx.start(control_port=0)
    for number, is_hung in ((signal.SIGINT, False), (signal.SIGTERM, True)):
        with Bridge(url(port), broker.port, tmp_path, "--site", "home") as bridge, Subscriber(broker.port) as all_:
            wait_until(lambda seen=all_: any(_is_fresh_online(m) for m in list(seen.messages)), 20.0)
            if is_hung:
                gx.hang(VEBUS)
            started = time.monotonic()
            assert bridge.end(number, 5.0) == 0, bridge.output()
            assert time.monotonic() - started < 2.0
            wait_until(lambda seen=all_: _last_bridge_status(seen) == "offline", 2.0)
            assert all_.last("victron/home/status") == "offline", "nobody listens to the GX any more"
        assert (tmp_path / "site-home.json").exists()


def test_grid_lost_is_told_once_and_survives_a_kill(broker: Mosquitto, gx: Simulator, tmp_path: Path) -> None:
    """After kill -9 the alert that was announced is not announced again, and its resolve still comes."""
    address = url(gx.start())
    flags = ("--site", "home", *fast(tmp_path))
    with Subscriber(broker.port, "victron/home/#") as home:
        with Bridge(address, broker.port, tmp_path / "state", *flags) as bridge:
            home.wait_for("victron/home/vebus/276/alarms/grid_lost", "ok", 20.0)
            gx.set(VEBUS, "/Alarms/GridLost", 2)
            wait_until(lambda: events(home, "grid_lost"), 15.0)
            bridge.end(signal.SIGKILL)  # at once: what was told is on the disk already
        with Bridge(address, broker.port, tmp_path / "state", *flags):
            before = len([m for m in home.messages if m.topic == "victron/home/status"])
            wait_until(lambda: len([m for m in home.messages if m.topic == "victron/home/status"]) > before, 20.0)
            gx.set(VEBUS, "/Alarms/GridLost", 0)
            wait_until(lambda: events(home, "grid_lost")[-1]["event"] == "resolved", 20.0)
        found = events(home, "grid_lost")
        news = {document["seq"]: document["event"] for document in found if not document["replayed"]}
        assert list(news.items()) == [(1, "firing"), (2, "resolved")]
        copies = [document for document in found if document["replayed"]]
        assert all(news[document["seq"]] == document["event"] for document in copies), "a copy is marked as one"


def test_an_alert_during_a_broker_outage_arrives_late_and_says_so(
    broker: Mosquitto, gx: Simulator, tmp_path: Path
) -> None:
    """What happened while the broker was away is delivered afterwards, with its own time and replayed true."""
    with Bridge(url(gx.start()), broker.port, tmp_path / "state", "--site", "home", *fast(tmp_path)):
        with Subscriber(broker.port, "victron/home/#") as home:
            home.wait_for("victron/home/vebus/276/alarms/grid_lost", "ok", 20.0)
        broker.kill()
        happened = time.time()
        gx.set(VEBUS, "/Alarms/GridLost", 2)
        time.sleep(3.0)  # the outage must last longer than a poll; there is nothing to wait for without a broker
        broker.start()
        with Subscriber(broker.port, "victron/home/#") as home:
            (firing,) = wait_until(lambda: events(home, "grid_lost"), 40.0)
            assert firing["replayed"] is True
            assert abs(_unix(firing["ts"]) - happened) < 3.0
            home.wait_for("victron/home/battery/soc", None, 10.0)  # the restarted broker had lost all retained state
            home.wait_for("victron/home/battery/512/status", "online", 10.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_alert_that_nobody_took_is_delivered_after_a_restart(
    number: signal.Signals, broker: Mosquitto, gx: Simulator, tmp_path: Path
) -> None:
    """The broker is away when the alert fires and when the bridge ends: the next process delivers it."""
    address = url(gx.start())
    flags = ("--site", "home", *fast(tmp_path))
    with Bridge(address, broker.port, tmp_path / "state", *flags) as bridge:
        with Subscriber(broker.port, "victron/home/#") as home:
            home.wait_for("victron/home/vebus/276/alarms/grid_lost", "ok", 20.0)
        broker.kill()
        gx.set(VEBUS, "/Alarms/GridLost", 2)
        wait_until(lambda: any("grid_lost" in name for name in saved_alerts(tmp_path / "state")), 20.0)
        assert bridge.end(number) == (0 if number is signal.SIGTERM else -signal.SIGKILL), bridge.output()
    broker.start()
    with Subscriber(broker.port, "victron/home/#") as home, Bridge(address, broker.port, tmp_path / "state", *flags):
        (firing,) = wait_until(lambda: events(home, "grid_lost"), 30.0)
        assert (firing["event"], firing["replayed"], firing["seq"]) == ("firing", True, 1)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_gx_and_a_broker_that_are_down_are_waited_for(tmp_path: Path) -> None:
    """Neither is there at the start; both come later; nothing was lost and the site goes from offline to online."""
    broker_port, gx_port = free_port(), free_port()
    with Bridge(url(gx_port), broker_port, tmp_path / "state", "--site", "home", *fast(tmp_path)) as bridge:
        wait_until(lambda: "Nobody listens" in bridge.output(), 15.0, "the missing broker is named")
        with Mosquitto(port=broker_port) as broker, Subscriber(broker.port, "victron/home/#") as home:
            home.wait_for("victron/home/status", "offline", 60.0)
            with Simulator("ess", speed=60, seed=1) as gx:
                gx.start(port=gx_port)
                home.wait_for("victron/home/status", "online", 60.0)
                home.wait_for("victron/home/battery/soc", None, 20.0)
            assert "Traceback" not in bridge.output()


def test_without_a_name_the_site_is_the_serial(broker: Mosquitto, gx: Simulator, tmp_path: Path) -> None:
    """No --site: topics carry the GX's serial; after a restart with the GX down the site is still known."""
    address = url(gx.start())
    with Subscriber(broker.port, "victron/#") as all_:
        with Bridge(address, broker.port, tmp_path) as bridge:
            all_.wait_for("victron/5e1101000001/status", "online", 20.0)
            assert bridge.end() == 0
        gx.stop()
        with Bridge(address, broker.port, tmp_path):
            all_.wait_for("victron/5e1101000001/status", "offline", 60.0)


def test_one_hung_site_delays_no_other(broker: Mosquitto, tmp_path: Path) -> None:
    """Two sites in one process: while one GX hangs, the other is read each second."""
    with Simulator("ess", speed=60, seed=1) as good, Simulator("ess", speed=60, seed=2) as bad:
        addresses = [url(good.start()), url(bad.start(control_port=0))]
        config = tmp_path / "config.yaml"
        sites = f"sites: [{{site: good, gx: '{addresses[0]}'}}, {{site: bad, gx: '{addresses[1]}'}}]\n"
        config.write_text(FAST + sites + f"broker: {{host: 127.0.0.1, port: {broker.port}}}\nstate: {tmp_path}/state\n")
        with Program(*python("run", "--config", str(config))) as bridge, Subscriber(broker.port, "victron/#") as all_:
            all_.wait_for("victron/good/status", "online", 20.0)
            all_.wait_for("victron/bad/status", "online", 20.0)
            bad.hang(VEBUS)
            time.sleep(2.0)  # let the hang take hold
            seen = len([m for m in all_.messages if m.topic == "victron/good/battery/512/power"])
            wait_until(
                lambda: len([m for m in all_.messages if m.topic == "victron/good/battery/512/power"]) > seen + 3, 10.0
            )
            assert "Traceback" not in bridge.output()


def test_a_device_that_leaves_goes_offline_and_returns(broker: Mosquitto, gx: Simulator, tmp_path: Path) -> None:
    """A dropped service makes its device offline; a renamed one keeps its topics and stays online."""
    with Subscriber(broker.port, "victron/home/#") as home:
        with Bridge(url(gx.start()), broker.port, tmp_path / "state", "--site", "home", *fast(tmp_path)):
            sensor = json.loads(home.wait_for("victron/home/temperature/26/info", None, 20.0).payload)["service"]
            home.wait_for("victron/home/battery/512/status", "online", 20.0)
            gx.rename("com.victronenergy.battery.socketcan_can0", "com.victronenergy.battery.socketcan_can1")
            gx.drop(sensor)
            home.wait_for("victron/home/temperature/26/status", "offline", 60.0)
            info = json.loads(home.wait_for("victron/home/battery/512/info", None).payload)
            assert info["service"].endswith("can1")
            assert home.payloads("victron/home/battery/512/status") == ["online"]
            gx.restore(sensor)
            home.wait_for("victron/home/temperature/26/status", "online", 40.0)


def test_no_simulated_secret_reaches_the_broker(broker: Mosquitto, gx: Simulator, tmp_path: Path) -> None:
    """The simulator's fake passwords, keys, SSIDs and MAC addresses are nowhere, raw publishing included."""
    secrets = [platform.FAKE_SSID, platform.FAKE_MAC, settings.FAKE_PASSWORD, settings.FAKE_TOKEN, small.FAKE_KEY]
    flags = ("--site", "home", *fast(tmp_path, "publish: {raw: true}\n"))
    with Subscriber(broker.port, "#") as all_, Bridge(url(gx.start()), broker.port, tmp_path / "state", *flags):
        all_.wait_for("victron/home/battery/soc", None, 20.0)
        wait_until(lambda: any("/settings/" in m.topic for m in list(all_.messages)), 20.0)
        wait_until(lambda: any("/raw/" in m.topic for m in list(all_.messages)), 20.0)
        text = "\n".join(f"{m.topic} {m.payload}" for m in list(all_.messages)).lower()
        assert [secret for secret in secrets if secret.lower() in text] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("brokr: localhost\n", "broker"),
        ("poll: {tiers: {critical: 10}}\npoll: {}\n", "twice"),
        ("site: Not A Slug\n", "site"),
        ("a: [1\n", "config.yaml:"),
    ],
)
def test_a_wrong_config_starts_nothing(text: str, complaint: str, tmp_path: Path) -> None:
    """Exit code 2, file and line, what would be right; no connection is made."""
    config = tmp_path / "config.yaml"
    config.write_text(text)
    with Bridge("http://127.0.0.1:1", 1, tmp_path / "state", "--config", str(config)) as bridge:
        assert bridge.process.wait(30.0) == 2
        assert "config.yaml:" in bridge.output()
        assert complaint in bridge.output()
        assert "Traceback" not in bridge.output()


def test_a_second_bridge_on_one_state_directory_is_refused(broker: Mosquitto, gx: Simulator, tmp_path: Path) -> None:
    """Two writers would spoil the state: the second one says who holds it and exits 2."""
    address = url(gx.start())
    with Bridge(address, broker.port, tmp_path, "--site", "home"), Subscriber(broker.port, "victron/home/#") as home:
        home.wait_for("victron/home/status", "online", 20.0)
        with Bridge(address, broker.port, tmp_path, "--site", "other") as second:
            assert second.process.wait(30.0) == 2
            assert "another victron-bridge" in second.output()
