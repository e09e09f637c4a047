"""`record`: a file that holds what the GX said, nothing secret, and is valid at every moment."""

from __future__ import annotations

import gzip
import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bridge.cli import main
from bridge.commands import record
from bridge.commands.allowed import Allowed
from bridge.core.normalize import Intervals, Normalizer
from bridge.files.paths import schemas_directory
from bridge.model import Page, Tier
from bridge.simulator.simulator import Simulator
from bridge.sources.dbus_http import Options
from bridge.sources.recording import RecordingSource
from tests.catalogue import catalogue
from tests.commands.conftest import SSH, once
from tests.mosquitto import wait_until

pytestmark = pytest.mark.usefixtures("environment")
PLATFORM = "com.victronenergy.platform"


def played(path: Path) -> dict[str, dict[str, Any]]:
    """Return the last values of each service in a recording."""
    values: dict[str, dict[str, Any]] = {}
    with path.open("rb") as stream:
        source = RecordingSource(stream, str(path))
        while source.next_due() < math.inf:
            for page in source.poll(math.inf).pages:
                values.setdefault(page.service, {}).update(page.values)
        assert source.note == ""
    return values


@pytest.mark.parametrize("name", ["gx.jsonl", "gx.jsonl.gz"])
def test_the_recording_holds_what_the_gx_said(
    name: str, gx: Simulator, gx_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line fits the schema, every service is in it, and a value is the raw one of the GX."""
    battery = next(one for one in gx.store.names() if ".battery." in one)
    gx.set(battery, "/Soc", 81.04)
    path = tmp_path / name
    assert main(["record", str(path), "--gx", gx_url, "--duration", "1500ms", "--every", "500ms"]) == 0
    text = (gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()).decode()
    validator = Draft202012Validator(json.loads((schemas_directory() / "recording.schema.json").read_text()))
    lines = [json.loads(line) for line in text.splitlines()]
    assert [error.message for line in lines for error in validator.iter_errors(line)] == []
    assert lines[0]["gx"] == "127.0.0.1" and lines[0]["serial"]
    values = played(path)
    assert values[battery]["Soc"] == 81.04
    assert {one for one in gx.store.names() if catalogue().get(one.split(".")[2]).singleton is False} <= values.keys()
    assert any("changed" in line for line in lines)
    error = capsys.readouterr().err
    assert f"{sum('service' in line for line in lines)} pages" in error and str(path) in error


def test_only_known_paths_are_written_and_never_a_secret(gx: Simulator, gx_url: str, tmp_path: Path) -> None:
    """Without --all the catalogue decides; with it everything comes but what looks like a secret."""
    secrets = {"/Own/Password": "hunter2", "/Own/Plain": "aa:bb:cc:dd:ee:ff", "/Own/Tree": {"psk": "hunter3", "n": 1}}
    for path, value in {"/Own/Answer": 42, **secrets}.items():
        gx.set(PLATFORM, path, value)
    known, everything = tmp_path / "known.jsonl", tmp_path / "all.jsonl"
    assert main(["record", str(known), "--gx", gx_url, "--duration", "500ms"]) == 0
    assert main(["record", str(everything), "--gx", gx_url, "--duration", "500ms", "--all"]) == 0
    assert "Own/Answer" not in played(known)[PLATFORM]
    values = played(everything)[PLATFORM]
    assert values["Own/Answer"] == 42 and values["Own/Tree"] == {"n": 1}
    assert "Own/Password" not in values and "Own/Plain" not in values
    for path in (known, everything):
        assert not any(word in path.read_text() for word in ("hunter", "aa:bb:cc"))


WIFI_MAC, SSID, WIRED_MAC = "02fedcba9876", "Lake House", "02:12:34:56:78:9a"
WIFI = f"wifi_{WIFI_MAC}_{SSID.encode().hex()}_managed_psk"
NETWORK = {
    "ethernet": {
        "Wired": {
            "Service": "ethernet_02123456789a_cable",
            "State": "online",
            "Method": "dhcp",
            "Mac": WIRED_MAC,
            "Address": "10.1.2.3",
            "Nameservers": ["10.1.2.1"],
        }
    },
    "wifi": {SSID: {"Service": WIFI, "State": "idle", "Mac": "02:FE:DC:BA:98:76", "Strength": 61}, "": {"Service": ""}},
}
STATISTICS = [
    {
        "ifname": "can0",
        "linkinfo": {
            "info_data": {
                "state": "ERROR-ACTIVE",
                "bittiming": {"bitrate": 500000},
                "berr_counter": {"tx": 1, "rx": 2},
            },
            "info_xstats": {"restarts": 3, "bus_error": 4, "bus_off": 0},
        },
        "stats64": {"rx": {"packets": 99, "bytes": 792, "errors": 5}, "tx": {"packets": 7, "dropped": 1}},
    }
]


def points(values: dict[str, Any]) -> dict[str, Any]:
    """Return what the platform's values come to as points."""
    normalizer = Normalizer(catalogue(), Intervals(dict.fromkeys(Tier, 10.0)))
    batch = normalizer.page(Page(PLATFORM, 0.0, values, True, 10.0))
    return {sample.point.name: sample.value for sample in batch.samples}


@pytest.mark.parametrize("form", [json.dumps, lambda tree: tree], ids=["text", "tree"])
@pytest.mark.parametrize("is_all", [False, True], ids=["known", "all"])
def test_of_a_json_value_only_its_points_are_written(form: Callable[[Any], Any], is_all: bool) -> None:
    """Neither SSID nor MAC nor the connman name that holds both; a replay gives the same points."""
    can = "CanBus/Interface/can0/Statistics"
    raw = {"Network/Services": form(NETWORK), can: form(STATISTICS), "CanBus/Interface/can1/Statistics": form({})}
    raw["CanBus/Interface/can2/Statistics"] = form(STATISTICS[0])  # some firmware wraps it in no list
    written = Allowed(catalogue(), is_all).values(Page(PLATFORM, 0.0, raw, True, 10.0))
    assert points(written) == points(raw)
    assert points(raw)["platform/network/ethernet/address"] == "10.1.2.3"
    assert points(raw)["platform/canbus/can0/rx/errors"] == points(raw)["platform/canbus/can2/rx/errors"] == 5
    text = json.dumps(written)
    assert not any(word in text for word in (SSID, SSID.encode().hex(), WIFI_MAC, "wifi", WIRED_MAC, "Mac", "02123456"))
    assert "Strength" not in text and "ifname" not in text


def test_network_services_reach_no_file(gx: Simulator, gx_url: str, tmp_path: Path) -> None:
    """The whole way: from the answer of the GX to the bytes of the recording, with --all too."""
    gx.set(PLATFORM, "/Network/Services", json.dumps(NETWORK))
    gx.set(PLATFORM, "/Own/Copy", json.dumps(NETWORK["wifi"]))
    gx.set(PLATFORM, "/Own/Service", WIFI)
    gx.set(PLATFORM, "/Own/ByService", {WIFI: {"n": 1}, "02FEDCBA9876": 2, "plain": [WIFI, 3]})
    path = tmp_path / "gx.jsonl"
    assert main(["record", str(path), "--gx", gx_url, "--duration", "500ms", "--all"]) == 0
    values = played(path)[PLATFORM]
    wired = json.loads(values["Network/Services"])["ethernet"]["Wired"]
    assert wired == {"State": "online", "Address": "10.1.2.3"}
    assert values["Own/ByService"] == {"plain": [None, 3]} and "Own/Service" not in values
    text = path.read_text().lower()
    assert not any(word in text for word in (WIFI_MAC, SSID.encode().hex(), WIRED_MAC, "02:fe:dc"))


@pytest.mark.parametrize(
    ("path", "raw", "written"),
    [
        ("Network/Services", '{"ethernet": {"Wired": {"Mac": "aa:bb:cc:dd:ee:ff"}}}', '{"ethernet": {"Wired": {}}}'),
        ("Network/Services", '{"ethernet": {"Wired": {"State": "aa:bb', None),
        ("Network/Services", "aa:bb:cc:dd:ee:ff", None),
        ("Network/Services", {"wifi": {"Key": "x"}}, {}),
        ("Network/Services", {"ethernet": {"Wired": {"State": {"Cafe": 1}}}}, {"ethernet": {"Wired": {"State": []}}}),
        ("Network/Services", [], []),
        ("CanBus/Interfaces", '[{"interface": "can0", "ssid": "x"}]', '[{"interface": "can0"}]'),
        ("CanBus/Interfaces", '[{"interface":"can0"}]', '[{"interface":"can0"}]'),
        ("Nobody/Knows", 1, None),
    ],
)
def test_a_known_path_may_hold_a_secret(path: str, raw: Any, written: Any) -> None:
    """The secret parts of a JSON value go, the rest stays; a text that is one goes whole."""
    allowed = Allowed(catalogue(), is_all=False)
    values = allowed.values(Page(PLATFORM, 0.0, {path: raw}, True, 10.0))
    assert values == ({} if written is None else {path: written})


def test_an_existing_file_is_kept(gx_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An hour of an incident is not overwritten by accident."""
    path = tmp_path / "gx.jsonl"
    path.write_text("precious")
    assert main(["record", str(path), "--gx", gx_url, "--duration", "500ms"]) == 2
    assert "--force" in capsys.readouterr().err and path.read_text() == "precious"
    assert main(["record", str(path), "--gx", gx_url, "--duration", "500ms", "--force"]) == 0
    assert played(path)


def test_an_outage_is_in_the_recording(
    gx: Simulator, gx_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GX that is gone for long is written as offline, once; when it is back, recording goes on."""
    patience = Options(refused_offline_s=0.5, services_every_s=1.0)
    monkeypatch.setattr(record, "Options", lambda timeout_s: patience._replace(timeout_s=timeout_s))
    path = tmp_path / "gx.jsonl"
    once(lambda: path.exists() and len(path.read_bytes().splitlines()) > 15, lambda: gx.down(1.2))
    assert main(["record", str(path), "--gx", gx_url, "--every", "1s", "--duration", "5s"]) == 0
    error = capsys.readouterr().err
    assert "cannot connect" in error and "not answered" in error
    kinds = ["offline" if "online" in line else "page" for line in map(json.loads, path.read_text().splitlines())]
    assert kinds.count("offline") == 1
    assert kinds.index("offline") > 10 and kinds[::-1].index("offline") > 5


@pytest.mark.parametrize("name", ["gx.jsonl", "gx.jsonl.gz"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_whole_file(name: str, number: signal.Signals, gx_url: str, tmp_path: Path) -> None:
    """Ctrl-C is the normal end: within two seconds, exit code 0, a summary, no torn line."""
    path = tmp_path / name
    command = [sys.executable, "-m", "bridge", "record", str(path), "--gx", gx_url]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: path.exists() and path.stat().st_size > 5000, what="something was recorded")
    process.send_signal(number)
    _, error = process.communicate(timeout=2.0)
    assert (process.returncode, "Traceback" in error) == (0, False)
    assert "wrote" in error
    assert played(path)


def test_standard_output_is_a_file_too(gx_url: str) -> None:
    """`record -` writes lines and nothing else to standard output."""
    command = [sys.executable, "-m", "bridge", "record", "-", "--gx", gx_url, "--duration", "500ms"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0
    assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines())
    assert "wrote" in done.stderr


def test_a_full_disk_is_told(gx_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback: the file cannot be written, and why."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    assert main(["record", str(full), "--gx", gx_url, "--duration", "500ms", "--force"]) == 1
    assert "writing failed: No space left" in capsys.readouterr().err


def test_what_is_no_gx_is_told_before_a_file_is_made(
    stranger: Callable[[bytes], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same words as in `discover`, exit code 1, no empty file."""
    path = tmp_path / "gx.jsonl"
    assert main(["record", str(path), "--gx", f"127.0.0.1:{stranger(SSH)}"]) == 1
    assert "not the DBus HTTP API" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize("text", ["0", "-1s", "soon", "10 m"])
def test_a_duration_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """argparse says it, exit code 2."""
    with pytest.raises(SystemExit) as caught:
        main(["record", "x", "--duration", text])
    assert caught.value.code == 2
