"""`doctor`: every hop is named in order, the one that fails is told from the others, and nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from bridge.commands import doctor
from bridge.files.state import DirectoryLock
from bridge.simulator.simulator import Simulator
from tests.commands.conftest import SSH, WEB
from tests.mosquitto import MOSQUITTO, Mosquitto, Subscriber, free_port, wait_until

pytestmark = [
    pytest.mark.usefixtures("environment", "hasty"),
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]
GX_HOPS = ["gx name", "gx port", "gx api", "gx d-bus", "gx catalogue", "gx clock"]
BROKER_HOPS = ["broker name", "broker port", "broker tls", "broker login", "broker publish", "broker retained"]


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as mosquitto:
        yield mosquitto


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir()
    return directory


def diagnosed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the exit code, hop -> entry, and hop -> state."""
    code = main(["doctor", "--json", *arguments])
    document = json.loads(capsys.readouterr().out)
    hops = {one["hop"]: one for one in document["hops"]}
    assert document["ok"] == (code == 0)
    return code, hops, {name: one["state"] for name, one in hops.items()}


def broker_only(capsys: pytest.CaptureFixture[str], state: Path, *arguments: str) -> dict[str, Any]:
    """Diagnose with a GX that is not there; return the hops of the broker."""
    _, hops, _ = diagnosed(capsys, "--gx", "127.0.0.1:1", "--state", str(state), *arguments)
    return {name: hops[name] for name in BROKER_HOPS}


def states(hops: dict[str, Any]) -> list[str]:
    return [hops[name]["state"] for name in hops]


def test_when_all_is_fine_every_hop_says_so(
    gx_url: str, broker: Mosquitto, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All hops in the order of the way, exit code 0, and the probe is gone from the broker."""
    code, hops, found = diagnosed(
        capsys, "--gx", gx_url, "--broker", f"127.0.0.1:{broker.port}", "--state", str(state), "--client-id", "me"
    )
    assert code == 0
    assert list(hops) == ["config", *GX_HOPS, *BROKER_HOPS, "state"]
    assert {name for name, one in found.items() if one != "ok"} == {"broker tls"}
    assert "version" in hops["gx api"]["seen"] and "serial" in hops["gx d-bus"]["seen"]
    assert "MQTT 5" in hops["broker login"]["seen"]
    assert "victron/bridge/me/doctor" in hops["broker publish"]["seen"]
    with Subscriber(broker.port, "victron/#") as later:
        later.publish("victron/end", "1")
        later.wait_for("victron/end")
        assert [message.topic for message in later.messages] == ["victron/end"]


def test_the_text_has_one_line_per_hop_and_a_verdict(
    gx_url: str, broker: Mosquitto, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a person reads: state, hop, what was seen; then the verdict."""
    assert main(["doctor", "--gx", gx_url, "--broker", f"127.0.0.1:{broker.port}", "--state", str(state)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[9:25].strip() for line in lines[:14]] == ["config", *GX_HOPS, *BROKER_HOPS, "state"]
    assert lines[-1] == "all is fine"


def test_a_failed_hop_skips_those_behind_it_and_only_those(
    broker: Mosquitto, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A GX that is not there says nothing about the broker."""
    code, hops, found = diagnosed(
        capsys, "--gx", f"127.0.0.1:{free_port()}", "--broker", f"127.0.0.1:{broker.port}", "--state", str(state)
    )
    assert code == 1
    assert [found[name] for name in GX_HOPS] == ["ok", "failed", "skipped", "skipped", "skipped", "skipped"]
    assert hops["gx port"]["advice"]
    assert [found[name] for name in BROKER_HOPS] == ["ok", "ok", "skipped", "ok", "ok", "ok"]


@pytest.mark.parametrize(("words", "hop"), [(SSH, "gx api"), (WEB, "gx api")])
def test_another_service_on_the_port_is_not_the_api(
    words: bytes, hop: str, stranger: Callable[[bytes], int], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The port of SSH or of a web page accepts connections, and the API hop fails."""
    _, hops, found = diagnosed(
        capsys, "--gx", f"127.0.0.1:{stranger(words)}", "--broker", "127.0.0.1:1", "--state", str(state)
    )
    assert (found["gx port"], found[hop]) == ("ok", "failed")
    assert "not the DBus HTTP API" in hops[hop]["seen"]


def test_a_bus_that_is_down_is_told_from_a_server_that_is_down(
    gx: Simulator, gx_url: str, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The API answers and the D-Bus hop fails."""
    for name in gx.store.names():
        gx.drop(name)
    _, _, found = diagnosed(capsys, "--gx", gx_url, "--broker", "127.0.0.1:1", "--state", str(state))
    assert (found["gx api"], found["gx d-bus"], found["gx catalogue"]) == ("ok", "failed", "skipped")


def test_a_wrong_clock_is_a_warning(
    gx: Simulator, gx_url: str, broker: Mosquitto, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two minutes between the GX and this machine are told with their direction, and are no failure."""
    gx.set("com.victronenergy.platform", "/Device/Time", int(gx.now()) - 120)
    code, hops, found = diagnosed(capsys, "--gx", gx_url, "--broker", f"127.0.0.1:{broker.port}", "--state", str(state))
    assert (code, found["gx clock"]) == (0, "warning")
    assert "/Device/Time is 12" in hops["gx clock"]["seen"] and "behind this machine" in hops["gx clock"]["seen"]


@pytest.mark.parametrize(
    ("skew_s", "words"),
    [
        (1.0, "agrees"),
        (-125.0, "is 125 s behind"),
        (1500.0, "is 25 minutes ahead of"),
        (-18_000.0, "is 5 hours behind"),
        (-34_101_279.0, "is 395 days behind"),
    ],
)
def test_a_skew_is_told_in_a_unit_that_people_use(skew_s: float, words: str) -> None:
    """Seconds for seconds, days for a clock that has never been set."""
    assert words in doctor._skew_text(skew_s)


def test_a_server_that_garbles_an_answer_is_asked_again(
    gx: Simulator, gx_url: str, state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bad answer is a warning that names the attempt; nothing but bad ones is a failure."""
    answers = iter(["", "html"])
    monkeypatch.setattr(gx.faults, "draw", lambda: next(answers, ""))
    arguments = ("--gx", gx_url, "--broker", "127.0.0.1:1", "--state", str(state))
    _, hops, found = diagnosed(capsys, *arguments)
    assert (found["gx api"], found["gx d-bus"], found["gx catalogue"]) == ("ok", "warning", "ok")
    assert "attempt 2" in hops["gx d-bus"]["seen"]
    answers = iter(["", *9 * ["half"]])
    _, _, found = diagnosed(capsys, *arguments)
    assert (found["gx api"], found["gx d-bus"], found["gx catalogue"]) == ("ok", "failed", "skipped")


# -- the broker -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def password_file() -> str:
    """The content of a password file with the user `bridge`, password `right`."""
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    with Mosquitto(files={"passwords": "bridge:right\n"}) as scratch:
        path = scratch.directory / "passwords"
        subprocess.run([tool, "-U", str(path)], check=True, capture_output=True)
        return path.read_text()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_is_told_and_not_repeated(
    protocol: str, password_file: str, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The login hop fails with words about the login; the password is nowhere in the output."""
    files = {"passwords": password_file}
    with Mosquitto("password_file {dir}/passwords", files, anonymous=False) as broker:
        for password, expected in (("wrong-s3cret", "failed"), ("right", "ok")):
            config = tmp_path / "config.yaml"
            fields = {"host": "127.0.0.1", "port": broker.port, "username": "bridge", "password": password}
            config.write_text(json.dumps({"gx": "127.0.0.1:1", "broker": {**fields, "protocol": protocol}}))
            assert main(["doctor", "--config", str(config), "--state", str(state)]) == 1
            out, error = capsys.readouterr()
            assert password not in out + error
            (login,) = [line for line in out.splitlines() if line[9:].startswith("broker login")]
            assert login.startswith(expected)
            assert expected == "ok" or "user name or password" in login or "does not let this user in" in login


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_missing_user_name_is_told(
    protocol: str, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who gave no user name need not check it: the broker wants one."""
    with Mosquitto(anonymous=False) as broker:
        config = tmp_path / "config.yaml"
        config.write_text(f'broker: {{host: 127.0.0.1, port: {broker.port}, protocol: "{protocol}"}}\n')
        hops = broker_only(capsys, state, "--config", str(config))
    assert hops["broker login"]["state"] == "failed"
    assert "without a user name" in hops["broker login"]["seen"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_missing_right_to_publish_is_found(
    protocol: str, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An ACL that drops the message fails the publish hop, even where the broker acknowledges what it drops."""
    with Mosquitto("acl_file {dir}/acl", {"acl": "topic readwrite other/#\n"}) as broker:
        config = tmp_path / "config.yaml"
        fields = {"host": "127.0.0.1", "port": broker.port, "protocol": protocol}
        config.write_text(json.dumps({"broker": fields}))
        hops = broker_only(capsys, state, "--config", str(config))
    assert states(hops) == ["ok", "ok", "skipped", "ok", "failed", "skipped"]
    assert "access list" in hops["broker publish"]["advice"]


def test_a_user_that_may_only_write_is_a_warning(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """MQTT 5 says that the message was taken, so only requests will not work."""
    with Mosquitto("acl_file {dir}/acl", {"acl": "topic write victron/#\n"}) as broker:
        hops = broker_only(capsys, state, "--broker", f"127.0.0.1:{broker.port}")
    assert states(hops)[3:] == ["ok", "warning", "skipped"]


def test_a_broker_without_retained_messages_is_found(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without them every value would be lost for who subscribes later."""
    with Mosquitto("retain_available false") as broker:
        hops = broker_only(capsys, state, "--broker", f"127.0.0.1:{broker.port}")
    assert "failed" in states(hops)[3:]
    assert "retained" in json.dumps(hops)


def test_what_is_no_broker_is_told(
    stranger: Callable[[bytes], int], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The port of SSH accepts the connection, and the login hop fails within its time."""
    hops = broker_only(capsys, state, "--broker", f"127.0.0.1:{stranger(SSH)}")
    assert states(hops) == ["ok", "ok", "skipped", "failed", "skipped", "skipped"]


def test_a_running_bridge_is_not_thrown_out(
    gx_url: str, broker: Mosquitto, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The doctor logs in with an id of its own, not with the bridge's."""
    with Mosquitto() as fresh:
        broker_only(capsys, state, "--broker", f"127.0.0.1:{fresh.port}", "--client-id", "the-bridge")
        assert "as the-bridge-doctor " in fresh.log()
        assert "as the-bridge " not in fresh.log()


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("openssl is not installed")
    directory = tmp_path_factory.mktemp("tls")
    common = [tool, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    names = ["-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*common, *names], cwd=directory, check=True, capture_output=True)
    return directory


@pytest.mark.parametrize(
    ("tls", "state_of_hop", "seen"),
    [
        ({"ca": "{dir}/cert.pem"}, "ok", "valid until"),
        (True, "failed", "not trusted"),
        ({"insecure": True}, "warning", "any certificate"),
    ],
)
def test_tls_has_a_hop_of_its_own(
    tls: Any,
    state_of_hop: str,
    seen: str,
    certificates: Path,
    state: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A certificate that is not trusted is not taken for a login that is wrong."""
    files = {name: (certificates / name).read_text() for name in ("key.pem", "cert.pem")}
    with Mosquitto("keyfile {dir}/key.pem\ncertfile {dir}/cert.pem", files) as broker:
        written = json.loads(json.dumps(tls).replace("{dir}", str(certificates)))
        fields = {"host": "localhost", "port": broker.port, "tls": written}
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps({"broker": fields}))
        hops = broker_only(capsys, state, "--config", str(config))
    assert hops["broker tls"]["state"] == state_of_hop
    assert seen in hops["broker tls"]["seen"]
    assert hops["broker login"]["state"] == ("skipped" if state_of_hop == "failed" else "ok")


def test_a_broker_that_wants_a_certificate_is_guessed(
    certificates: Path, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TLS 1.3 lets the client in and then hangs up; the words name the keys of the config."""
    files = {name: (certificates / name).read_text() for name in ("key.pem", "cert.pem")}
    options = "keyfile {dir}/key.pem\ncertfile {dir}/cert.pem\ncafile {dir}/cert.pem\nrequire_certificate true"
    with Mosquitto(options, files) as broker:
        fields = {"host": "localhost", "port": broker.port, "tls": {"ca": str(certificates / "cert.pem")}}
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps({"broker": fields}))
        hops = broker_only(capsys, state, "--config", str(config))
    assert hops["broker login"]["state"] == "failed"
    assert "broker.tls.cert" in hops["broker login"]["seen"]


def test_plain_mqtt_on_a_tls_port_is_guessed(
    certificates: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The broker hangs up at once; the words name TLS."""
    files = {name: (certificates / name).read_text() for name in ("key.pem", "cert.pem")}
    with Mosquitto("keyfile {dir}/key.pem\ncertfile {dir}/cert.pem", files) as broker:
        hops = broker_only(capsys, state, "--broker", f"127.0.0.1:{broker.port}")
    assert hops["broker login"]["state"] == "failed"
    assert "TLS" in hops["broker login"]["seen"]


# -- config and state -------------------------------------------------------------------------------------------------


def test_a_wrong_configuration_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All its faults with their places, and nothing else is tried."""
    config = tmp_path / "config.yaml"
    config.write_text("gxx: venus.local\nbroker: {hots: x}\n")
    assert main(["doctor", "--config", str(config)]) == 2
    out = capsys.readouterr().out
    assert f"{config}:1:1" in out and f"{config}:2:" in out and "broker name" not in out


def test_a_state_directory_that_is_in_use_is_fine(
    broker: Mosquitto, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A running bridge holds it; its process is named, and the doctor may run beside it."""
    lock = DirectoryLock(state)
    assert lock.acquire()
    try:
        _, hops, _ = diagnosed(capsys, "--gx", "127.0.0.1:1", "--broker", "127.0.0.1:1", "--state", str(state))
    finally:
        lock.release()
    assert hops["state"]["state"] == "ok"
    assert str(os.getpid()) in hops["state"]["seen"]


@pytest.mark.parametrize(("where", "expected"), [("new/deep", "ok"), ("file", "failed"), ("file/below", "failed")])
def test_a_state_directory_that_is_not_there(
    where: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that can be made is fine and is not made by the doctor; a file in its place is not."""
    (tmp_path / "file").write_text("")
    target = tmp_path / where
    _, _, found = diagnosed(capsys, "--gx", "127.0.0.1:1", "--broker", "127.0.0.1:1", "--state", str(target))
    assert found["state"] == expected
    assert not target.is_dir()


def test_every_site_has_its_own_hops(
    gx_url: str, broker: Mosquitto, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One broken site of two is the one that is named."""
    config = tmp_path / "config.yaml"
    sites = [{"site": "home", "gx": gx_url}, {"site": "cabin", "gx": "127.0.0.1:1"}]
    config.write_text(json.dumps({"sites": sites, "broker": f"127.0.0.1:{broker.port}"}))
    code, _, found = diagnosed(capsys, "--config", str(config), "--state", str(state))
    assert code == 1
    assert (found["gx home catalogue"], found["gx cabin port"]) == ("ok", "failed")


def test_ctrl_c_ends_it_at_once(state: Path) -> None:
    """A hop that waits for a silent GX is given up without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-u", "-m", "bridge", "doctor", "--gx", address, "--state", str(state)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        wait_until(
            lambda: "gx port" in (process.stdout.readline() if process.stdout else ""), what="the port was tried"
        )
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=3.0)
    assert process.returncode == 130
    assert "Traceback" not in error
