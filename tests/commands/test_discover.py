"""`discover` on a simulated GX: the table, the document, and a sentence for each way in which a GX is not there."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from bridge.cli import main
from bridge.commands import discover
from bridge.simulator.simulator import Simulator
from tests.commands.conftest import SSH, WEB
from tests.mosquitto import free_port

pytestmark = pytest.mark.usefixtures("environment")


def discovered(capsys: pytest.CaptureFixture[str], url: str, *more: str) -> Any:
    assert main(["discover", "--gx", url, "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_document_holds_every_service_device_and_point(
    gx: Simulator, gx_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every service of the bus is listed, and a value is what `run` would publish, with where it comes from."""
    battery = next(name for name in gx.store.names() if ".battery." in name)
    instance = gx.value(battery, "/DeviceInstance")
    gx.set(battery, "/Soc", 81.04)
    gx.set(battery, "/Alarms/LowVoltage", 2)
    gx.set(battery, "/Dc/0/Temperature", [])
    found = discovered(capsys, gx_url)
    assert found["complete"]
    assert [one["service"] for one in found["services"]] == sorted(gx.store.names())
    (device,) = [one for one in found["devices"] if one["class"] == "battery"]
    assert (device["instance"], device["service"]) == (instance, battery)
    points = {one["point"]: one for one in found["points"]}
    soc = points[f"battery/{instance}/soc"]
    assert (soc["value"], soc["unit"], soc["path"], soc["service"], soc["tier"]) == (
        81,
        "%",
        "/Soc",
        battery,
        "critical",
    )
    alarm = points[f"battery/{instance}/alarms/low_voltage"]
    assert (alarm["value"], alarm["code"]) == ("alarm", 2)
    assert points[f"battery/{instance}/temperature"]["value"] is None
    assert points["grid/power"]["path"] is None
    assert len(points) == len(found["points"])


def test_the_table_is_aligned_and_safe(gx: Simulator, gx_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns start at one place, an empty value is a dash, and a name cannot steer the terminal."""
    battery = next(name for name in gx.store.names() if ".battery." in name)
    instance = gx.value(battery, "/DeviceInstance")
    gx.set(battery, "/CustomName", "\x1b[31mred\x07")
    gx.set(battery, "/Dc/0/Temperature", [])
    assert main(["discover", "--gx", gx_url, "--class", "battery"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\x07" not in out and "\\x1b[31mred" in out
    lines = out.splitlines()
    head = next(line for line in lines if line.startswith("POINT"))
    soc = next(line for line in lines if line.startswith(f"battery/{instance}/soc "))
    assert soc[head.index("UNIT")] == "%"
    assert soc[head.index("D-BUS PATH") :] == "/Soc"
    temperature = next(line for line in lines if line.startswith(f"battery/{instance}/temperature "))
    assert temperature[head.index("VALUE") :].split()[0] == "-"


def test_only_one_class_is_read(gx: Simulator, gx_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--class asks nothing of other services, so it stays quick on a slow GX."""
    found = discovered(capsys, gx_url, "--class", "vebus")
    assert {one["class"] for one in found["services"]} == {"vebus"}
    assert {one["device"].split("/")[0] for one in found["points"]} == {"vebus"}


def test_a_class_that_is_not_there_is_told_with_the_nearest(gx_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A typo is no empty table."""
    assert main(["discover", "--gx", gx_url, "--class", "batery"]) == 1
    assert 'did you mean "battery"?' in capsys.readouterr().err


def test_unknown_paths_are_counted_and_secrets_withheld(
    gx: Simulator, gx_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --all unknown paths are a number; with it they are listed, but never what looks like a secret."""
    platform = "com.victronenergy.platform"
    gx.set(platform, "/Own/Answer", 42)
    gx.set(platform, "/Own/Nothing", [])
    gx.set(platform, "/Own/Password", "hunter2")
    gx.set(platform, "/Own/Neighbour", "aa:bb:cc:dd:ee:ff")
    gx.set(platform, "/Own/Tree", {"x": "hunter2"})
    assert main(["discover", "--gx", gx_url, "--class", "platform"]) == 0
    assert "/Own/Answer" not in capsys.readouterr().out
    assert main(["discover", "--gx", gx_url, "--class", "platform", "--all"]) == 0
    rows = {line.split()[-1]: line.split()[1] for line in capsys.readouterr().out.splitlines() if "/Own/" in line}
    assert rows == {
        "/Own/Answer": "42",
        "/Own/Nothing": "-",
        "/Own/Password": "(withheld)",
        "/Own/Neighbour": "(withheld)",
        "/Own/Tree": "(withheld)",
    }
    (service,) = discovered(capsys, gx_url, "--class", "platform", "--all")["services"]
    assert service["unknown"] == len(service["unknown_paths"]) >= 5
    assert {"path": "/Own/Password", "value": None, "withheld": True} in service["unknown_paths"]
    assert {"path": "/Own/Nothing", "value": None, "withheld": False} in service["unknown_paths"]


def test_services_that_cannot_be_listed_are_asked_leaf_by_leaf(capsys: pytest.CaptureFixture[str]) -> None:
    """An acsystem answers [] for its root, and its points are there all the same."""
    with Simulator("three-phase", seed=1) as gx:
        url = f"http://127.0.0.1:{gx.start()}"
        found = discovered(capsys, url, "--class", "acsystem")
    assert all(not one["listable"] and one["points"] > 0 for one in found["services"])
    assert all(one["device"] for one in found["services"])
    assert any(one["value"] is not None for one in found["points"])


def test_garbage_now_and_then_does_not_matter(gx: Simulator, gx_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A question that got a bad answer is asked again."""
    gx.faults.garbage_rate = 0.2
    found = discovered(capsys, gx_url)
    assert len(found["points"]) > 300


def test_one_silent_service_does_not_hide_the_others(
    gx: Simulator, gx_url: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service that hangs is named with its error; what comes after it is read once the GX answers again."""
    gx.faults.hang_s = 1.0
    vebus = next(name for name in gx.store.names() if ".vebus." in name)
    battery = next(name for name in gx.store.names() if ".battery." in name)
    gx.hang(battery)
    config = tmp_path / "config.yaml"
    config.write_text(f"gx: {gx_url}\ntimeout: 300ms\n")
    assert main(["discover", "--config", str(config), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    services = {one["service"]: one for one in found["services"]}
    assert "no complete answer" in services[battery]["error"]
    assert services[vebus]["points"] > 50
    assert not found["complete"]


def test_a_gx_that_is_lost_on_the_way_shows_what_was_read(
    gx: Simulator, gx_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server stops half way: the points so far are listed, the loss is told, the exit code is 1."""
    monkeypatch.setattr(discover, "tell", lambda line: gx.down(30.0) if line.startswith("reading 4 of") else None)
    assert main(["discover", "--gx", gx_url, "--json"]) == 1
    out, error = capsys.readouterr()
    found = json.loads(out)
    assert [bool(one["error"]) for one in found["services"]] == [False, False, False, True]
    assert found["points"] and not found["complete"]
    assert "lost on the way" in error


@pytest.mark.parametrize(
    ("words", "told"),
    [(SSH, "gx api: 127.0.0.1:{port} answers"), (WEB, "gx api: 127.0.0.1:{port} answers"), (b"", "gx api: ")],
)
def test_what_is_not_the_api_is_told(
    words: bytes, told: str, stranger: Callable[[bytes], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """SSH, a web server and something that hangs up are not taken for a GX that is down."""
    port = stranger(words)
    assert main(["discover", "--gx", f"127.0.0.1:{port}"]) == 1
    error = capsys.readouterr().err
    assert told.format(port=port) in error
    assert "not the DBus HTTP API" in error and "usually http://host:8088" in error


def test_a_closed_port_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Refused means: nothing listens there."""
    port = free_port()
    assert main(["discover", "--gx", f"127.0.0.1:{port}"]) == 1
    assert f"gx port: 127.0.0.1:{port} refuses connections" in capsys.readouterr().err


def test_an_unknown_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that cannot be looked up is not taken for a GX that is down."""
    assert main(["discover", "--gx", "http://no-such-gx.invalid:8088"]) == 1
    assert "gx name: " in capsys.readouterr().err


def test_a_server_that_accepts_and_is_silent_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    """The deadlock of the real server: it has to be killed on the GX, and the advice says so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = tmp_path / "config.yaml"
        config.write_text(f"gx: http://127.0.0.1:{listener.getsockname()[1]}\ntimeout: 200ms\n")
        assert main(["discover", "--config", str(config)]) == 1
    error = capsys.readouterr().err
    assert "gx api: " in error and "does not answer" in error and "kill -9" in error


def test_a_bus_that_is_down_is_told(gx: Simulator, gx_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list of services is not an empty GX."""
    for name in gx.store.names():
        gx.drop(name)
    assert main(["discover", "--gx", gx_url]) == 1
    assert "D-Bus" in capsys.readouterr().err


def test_several_sites_need_a_choice(gx_url: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A config file with two sites asks which, and takes --site."""
    config = tmp_path / "config.yaml"
    config.write_text(f"sites:\n  - {{site: home, gx: '{gx_url}'}}\n  - {{site: cabin, gx: 'http://127.0.0.1:1'}}\n")
    assert main(["discover", "--config", str(config)]) == 2
    assert "home, cabin" in capsys.readouterr().err
    assert main(["discover", "--config", str(config), "--site", "hom"]) == 2
    assert main(["discover", "--config", str(config), "--site", "home", "--class", "battery"]) == 0


def test_a_reader_that_leaves_is_no_error(gx_url: str) -> None:
    """`discover | head -1` ends quietly."""
    command = f"{sys.executable} -m bridge discover --gx {gx_url} | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(gx_url)
