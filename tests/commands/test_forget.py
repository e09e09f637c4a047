"""`forget`: clears what a device left, nothing else, and nothing that is still there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli import main
from tests.mosquitto import MOSQUITTO, Mosquitto, Subscriber

pytestmark = [
    pytest.mark.usefixtures("environment", "hasty"),
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]
OF_BATTERY = {
    "victron/home/battery/512/soc": "81",
    "victron/home/battery/512/cell_voltage/max": "3.4",
    "victron/home/battery/512/status": "offline",
    "victron/home/battery/512/info": '{"class":"battery"}',
    "victron/home/raw/battery/512/Own": "1",
    "victron/home/alerts/cell_spread/battery/512": '{"phase":"inactive"}',
}
OTHERS = {
    "victron/home/battery/513/soc": "50",
    "victron/home/battery/soc": "81",
    "victron/home/battery/5120/soc": "7",
    "victron/home/alerts/cell_spread/battery/513": "{}",
    "victron/home/status": "online",
    "victron/cabin/battery/512/soc": "3",
}


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[Mosquitto]:
    with Mosquitto() as broker:
        yield broker


@pytest.fixture
def broker(mosquitto: Mosquitto) -> Iterator[Mosquitto]:
    """The broker with one battery that is gone, and neighbours that are not."""
    with Subscriber(mosquitto.port, "nothing") as writer:
        for topic, payload in {**OF_BATTERY, **OTHERS}.items():
            writer.publish(topic, payload, retain=True)
    yield mosquitto


def kept(broker: Mosquitto, username: str = "") -> dict[str, str]:
    """Return what the broker keeps below `victron/`."""
    with Subscriber(broker.port, "victron/#", username=username) as reader:
        reader.publish("victron/end", "1")
        reader.wait_for("victron/end")
        return {message.topic: message.payload for message in reader.messages if message.is_retained}


def forget(broker: Mosquitto, *arguments: str) -> int:
    return main(["forget", *arguments, "--broker", f"127.0.0.1:{broker.port}"])


def test_a_device_that_is_gone_is_cleared_and_nothing_else(
    broker: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its points, raw paths and alerts go; neighbours with a similar number, the site and other sites stay."""
    assert forget(broker, "home", "battery/512", "--yes") == 0
    out = capsys.readouterr().out
    assert all(topic in out for topic in OF_BATTERY)
    assert f"cleared {len(OF_BATTERY)} of {len(OF_BATTERY)} topics" in out
    assert kept(broker) == OTHERS


def test_a_device_that_is_online_is_refused(broker: Mosquitto, capsys: pytest.CaptureFixture[str]) -> None:
    """Only --force clears it: its bridge would publish it again."""
    with Subscriber(broker.port, "nothing") as writer:
        writer.publish("victron/home/battery/512/status", "online", retain=True)
    assert forget(broker, "home", "battery/512", "--yes") == 1
    out, error = capsys.readouterr()
    assert "is online" in error and out == ""
    assert OF_BATTERY.keys() <= kept(broker).keys()
    assert forget(broker, "home", "battery/512", "--yes", "--force") == 0
    assert kept(broker) == OTHERS


@pytest.mark.parametrize("status", ["offline", ""])
def test_a_device_of_a_site_without_a_bridge_is_not_online(status: str, broker: Mosquitto) -> None:
    """A bridge that ended leaves `online` at its devices; the site's status tells that nobody serves them."""
    with Subscriber(broker.port, "nothing") as writer:
        writer.publish("victron/home/battery/512/status", "online", retain=True)
        writer.publish("victron/home/status", status, retain=True)
    assert forget(broker, "home", "battery/512", "--yes") == 0
    assert not OF_BATTERY.keys() & kept(broker).keys()


def test_a_long_list_is_cut(broker: Mosquitto, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten topics are shown, the others counted; all are cleared."""
    with Subscriber(broker.port, "nothing") as writer:
        for number in range(20):
            writer.publish(f"victron/cabin/battery/1/cell_{number:02}", "3.3", retain=True)
    assert forget(broker, "cabin", "battery/1", "--yes") == 0
    out = capsys.readouterr().out
    assert (out.count("victron/cabin/"), "and 10 more" in out, "cleared 20 of 20" in out) == (10, True, True)
    assert kept(broker) == {**OF_BATTERY, **OTHERS}


def test_a_whole_site_needs_its_own_word(broker: Mosquitto, capsys: pytest.CaptureFixture[str]) -> None:
    """A forgotten argument must not cost a site; with --all-of-site everything of it goes, and only of it."""
    assert forget(broker, "home", "--yes") == 2
    assert "--all-of-site" in capsys.readouterr().err
    assert forget(broker, "home", "--all-of-site", "--yes") == 1
    assert "home is online" in capsys.readouterr().err
    assert forget(broker, "home", "--all-of-site", "--yes", "--force") == 0
    assert kept(broker) == {"victron/cabin/battery/512/soc": "3"}


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("yes", 0), ("n", 1), ("", 1), ("no", 1)])
def test_it_asks_first(answer: str, code: int, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a yes clears."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert forget(broker, "home", "battery/512") == code
    assert kept(broker) == (OTHERS if code == 0 else {**OF_BATTERY, **OTHERS})


def test_nobody_to_ask_is_no_yes(broker: Mosquitto, capsys: pytest.CaptureFixture[str]) -> None:
    """In a script nothing is cleared without --yes."""
    assert forget(broker, "home", "battery/512") == 2
    assert "--yes" in capsys.readouterr().err
    assert kept(broker) == {**OF_BATTERY, **OTHERS}


def test_nothing_found_is_told(broker: Mosquitto, capsys: pytest.CaptureFixture[str]) -> None:
    """A typo is no success."""
    assert forget(broker, "home", "battery/999", "--yes") == 1
    assert "nothing of home/battery/999" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [("ho+me", "battery/1"), ("#", "--all-of-site"), ("home", "+/1"), ("home", "battery/#")]
)
def test_wildcards_are_refused(arguments: tuple[str, ...], broker: Mosquitto) -> None:
    """Names only: a wildcard would clear more than anybody listed."""
    assert forget(broker, *arguments, "--yes", "--force") == 2
    assert kept(broker) == {**OF_BATTERY, **OTHERS}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_the_broker_does_not_clear_is_told(
    protocol: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user who may only read clears nothing, and hears of it although MQTT 3.1.1 acknowledges everything."""
    acl = "topic read victron/#\ntopic read nothing\nuser writer\ntopic readwrite #\n"
    with Mosquitto("acl_file {dir}/acl", {"acl": acl}) as broker:
        with Subscriber(broker.port, "nothing", username="writer") as writer:
            writer.publish("victron/home/battery/512/soc", "81", retain=True)
        config = tmp_path / "config.yaml"
        config.write_text(f'broker: {{host: 127.0.0.1, port: {broker.port}, protocol: "{protocol}"}}\n')
        assert main(["forget", "home", "battery/512", "--yes", "--config", str(config)]) == 1
        assert kept(broker, "writer") == {"victron/home/battery/512/soc": "81"}
    out, error = capsys.readouterr()
    assert "cleared 0 of 1" in out and "1 are still there" in error


def test_a_broker_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 2."""
    assert main(["forget", "home", "battery/1", "--broker", "127.0.0.1:1"]) == 2
    assert "Nobody listens on 127.0.0.1:1" in capsys.readouterr().err
