"""`backtest`: the same engine as `replay`, added up over many inputs, params compared, advice that was run."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.assemble import Assembly
from bridge.cli import main
from bridge.clock import SteadyClock
from bridge.commands.arguments import compiled_for
from bridge.commands.backtest_report import span_text
from bridge.files.settings import load_settings
from bridge.model import Message, Page
from bridge.playback import Playback
from bridge.sinks.stdout import StdoutSink, to_line
from bridge.sources.recording import Encoder, RecordingSource
from tests.commands.test_replay import BATTERY, START, SYSTEM, Recording, autumn

pytestmark = pytest.mark.usefixtures("environment")
PACK = """\
pack: own
description: A pack of a test.
params:
  low: 20
  slack: 0
rules:
  - record: battery.twice
    each: battery
    expr: battery.soc * 2
  - alert: own_low
    each: battery
    expr: battery.soc < params.low
    clear: battery.soc >= params.low + params.slack
    severity: warning
    summary: "Battery at {battery.soc:.0f} %"
    source: a guess
  - alert: own_twice
    each: battery
    expr: battery.twice < params.low
    severity: warning
    inhibited_by: [own_low]
    summary: "Twice"
    source: a guess
  - alert: own_tank
    each: tank
    expr: tank.level < 10
    severity: info
    summary: "Empty"
    source: a guess
  - alert: own_silence
    expr: not site.online
    for: 30s
    severity: critical
    summary: "Silence"
"""
FLAPPING = [50, 50, 19, 18, 21, 22, 19, 23, 18, 40, 50, 50]  # a value every minute: 3 firings, 2 of them flaps


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One file for all tests, so that it is compiled once."""
    path = tmp_path_factory.mktemp("rules") / "own.yaml"
    path.write_text(PACK)
    return str(path)


def recorded(path: Path, values: Iterable[Any], every_s: float = 60.0, start_s: float = 0.0) -> str:
    """Write a recording of a battery: read every ten seconds, a new value every `every_s`."""
    recording = Recording().services(start_s, BATTERY)
    at_s = start_s
    for number, value in enumerate(values, 1):
        while at_s < start_s + number * every_s:
            recording.battery(at_s, value)
            at_s += 10.0
    return recording.save(path)


def backtested(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert main(["backtest", "--json", "--jobs", "1", *arguments]) == code
    return json.loads(capsys.readouterr().out)


def alerts(document: Any, variant: int = 0) -> dict[str, Any]:
    return {one["alert"]: one for one in document["variants"][variant]["alerts"]}


class Log:
    """Takes what `run` would have published."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.wall_offset_s = 0.0

    def publish(self, messages: Sequence[Message]) -> None:
        self.messages += messages


def published(path: str, pack: str, as_json: bool = False) -> list[Message]:
    """Return what the bridge would have published of a recording."""
    flags = {"rules": [pack], "base_topic": "victron"}
    settings = load_settings({"base_topic": flags["base_topic"]}, {})
    site = settings.sites[0]
    rules = site.rules._replace(packs=(), files=(pack,))
    format_ = site.publish._replace(format="json" if as_json else "text")
    site = site._replace(name="home", rules=rules, publish=format_)
    parts = Assembly(settings, compiled_for([site]), SteadyClock()).site(site)
    log = Log()
    with open(path, "rb") as stream:
        Playback(parts, "home", RecordingSource(stream, path), log).run()  # type: ignore[arg-type]
    return log.messages


def test_events_are_those_of_replay(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One engine: every event of `replay` is counted once, whatever the alert and whatever the event."""
    path = recorded(tmp_path / "r.jsonl", [*FLAPPING, 19, 30, None, 9, 8, 30, 19, 30, 19, 30, 19, 30])
    with open(path, "a") as file:
        file.write(Recording().offline(3000).lines[-1] + "\n")
        file.write(Recording().services(3100, BATTERY).lines[-1] + "\n")
    assert main(["replay", "--json", path, "--rules", pack]) == 0
    replayed = Counter((one["event"], one["alert"]) for one in json.loads(capsys.readouterr().out)["events"])
    found = alerts(backtested(capsys, path, "--rules", pack))
    counted = {(event, name): count for name, one in found.items() for event, count in one["events"].items()}
    assert counted == replayed
    assert {"own_low", "own_silence"} <= {alert for _, alert in counted}


def test_rules_follow_the_profile_that_the_gx_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """25 V is low for the 48 V that are taken for granted, until a minute later it is known to be a site of 24 V."""
    pack = tmp_path / "profiled.yaml"
    rule = {
        "alert": "profiled",
        "expr": "battery.voltage < profile.nominal_voltage",
        "severity": "info",
        "summary": "Low",
    }
    pack.write_text(json.dumps({"pack": "profiled", "rules": [rule]}))
    encoder = Encoder()
    lines = [encoder.header("2026-01-31T12:00:00Z", "venus.local", "C0FFEE")]
    for number in range(20):
        page = Page(SYSTEM, START + 10.0 * number, {"Dc/Battery/Voltage": 25.0 + number / 100}, True, 10.0)
        lines.append(encoder.page(page))
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(lines) + "\n")
    assert main(["replay", "--json", str(path), "--rules", str(pack)]) == 0
    events = json.loads(capsys.readouterr().out)["events"]
    assert [event["event"] for event in events] == ["firing", "resolved"]
    found = alerts(backtested(capsys, str(path), "--rules", str(pack)))["profiled"]
    assert (found["fired"], found["total_s"]) == (1, events[1]["duration_s"])
    assert found["events"] == {"firing": 1, "resolved": 1}


@pytest.mark.parametrize("every_s", [30.0, 47 * 60.0])
def test_rules_and_windows_have_the_time_of_the_site(
    every_s: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """When summer time ends, hour 2 lasts two hours, and the window from 02:00 to 03:00 is one."""
    found = alerts(backtested(capsys, *autumn(tmp_path, every_s)))
    assert (found["two"]["events"], found["two"]["total_s"]) == ({"firing": 1, "resolved": 1}, 7200.0)
    assert found["low"]["events"] == {"firing": 1}


def test_firings_are_added_up(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three firings of 120, 60 and 60 s, two of them flaps, counted also where nobody was told."""
    path = recorded(tmp_path / "r.jsonl", FLAPPING)
    low = alerts(backtested(capsys, path, "--rules", pack))["own_low"]
    assert (low["fired"], low["flaps"], low["still_firing"]) == (3, 2, 0)
    assert (low["total_s"], low["median_s"], low["longest_s"]) == (240.0, 60.0, 120.0)
    assert low["firing_share"] == pytest.approx(240 / 710, abs=1e-4)
    later = alerts(backtested(capsys, path, "--rules", pack, "--flap", "90s"))["own_low"]
    assert (later["fired"], later["flaps"]) == (3, 1)


def test_many_inputs_are_added_up_and_processes_change_nothing(
    pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory counts as its files; two processes give what one gives."""
    for number in range(3):
        recorded(tmp_path / f"{number}.jsonl", FLAPPING, start_s=number * 86400.0)
    (tmp_path / "more").mkdir()
    data = Path(recorded(tmp_path / "more" / "r", FLAPPING)).read_bytes()
    (tmp_path / "more" / "r").unlink()
    (tmp_path / "more" / "r.gz").write_bytes(gzip.compress(data))
    alone = backtested(capsys, str(tmp_path), "--rules", pack)
    assert alerts(alone)["own_low"]["fired"] == 12
    assert main(["backtest", "--json", "--jobs", "2", str(tmp_path), "--rules", pack]) == 0
    assert json.loads(capsys.readouterr().out) == alone


def test_unknown_is_a_share_of_the_time_that_the_device_was_there(
    pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """120 of 480 s without a value are a quarter; what the device was gone does not count; no tank is no input."""
    path = recorded(tmp_path / "r.jsonl", [50, 50, None, None, 50, 50, 50, 50])
    with open(path, "a") as file:
        for at_s in (480, 490, 2480):
            file.write(Recording().services(at_s, "com.victronenergy.system").lines[-1] + "\n")
    found = alerts(backtested(capsys, path, "--rules", pack))
    assert found["own_low"]["unknown_share"] == pytest.approx(120 / 490, abs=0.01)
    assert found["own_low"]["watched_s"] == pytest.approx(490, abs=1)
    assert (found["own_tank"]["has_input"], found["own_tank"]["fired"]) == (False, 0)
    assert main(["backtest", path, "--rules", pack]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("own_tank"))
    assert "no input" in line


def test_only_the_span_counts(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What began before it is not counted, but has warmed the rules up; what comes after is not read."""
    path = recorded(tmp_path / "r.jsonl", FLAPPING)
    span = "2026-01-31T12:03..2026-01-31T12:07:30"
    document = backtested(capsys, path, "--rules", pack, "--span", span)
    low = alerts(document)["own_low"]
    assert (low["fired"], low["total_s"], low["flaps"]) == (1, 60.0, 1)  # the first began at 12:02
    assert low["firing_share"] == pytest.approx(120 / 270, abs=1e-3)
    assert (document["inputs"][0]["from"], document["inputs"][0]["to"]) == (
        "2026-01-31T12:03:00Z",
        "2026-01-31T12:07:30Z",
    )
    whole = backtested(capsys, path, "--rules", pack, "--span", "2026-01-31..2026-01-31")
    assert alerts(whole)["own_low"]["fired"] == 3
    assert backtested(capsys, path, "--rules", pack, "--span", "..2026-01-31T12:00")["inputs"][0]["from"] is None
    assert backtested(capsys, path, "--rules", pack, "--span", "..2026-01-30")["inputs"][0]["from"] is None


def test_params_are_compared(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each value and each alert that depends on the param, also by way of a record; others are left out."""
    path = recorded(tmp_path / "r.jsonl", FLAPPING)
    document = backtested(capsys, path, "--rules", pack, "--param", "own.low=18..22/2", "--param", "own.slack=0,4")
    found = [(one["params"], one["alerts"]) for one in document["variants"]]
    assert [{each["alert"] for each in told} for _, told in found] == [{"own_low", "own_twice"}] * 6
    fired = {(params["own.low"], params["own.slack"]): told[0]["fired"] for params, told in found}
    assert fired == {
        (18, 0): 0,
        (18, 4): 0,
        (20, 0): 3,
        (20, 4): 1,
        (22, 0): 3,
        (22, 4): 1,
    }
    assert main(["backtest", path, "--rules", pack, "--param", "own.low=20,22"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert any(line.split()[:3] == ["low=22", "own_low", "3"] for line in rows)


def test_a_value_that_contradicts_the_rule_leaves_the_others(
    pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recovery below the limit cannot be; it is told with its value. With no value left there is nothing to run."""
    path = recorded(tmp_path / "r.jsonl", FLAPPING)
    assert main(["backtest", path, "--rules", pack, "--param", "own.slack=-5,0,4"]) == 1
    told = capsys.readouterr()
    assert "left out: slack=-5: " in told.err and "slack=4" in told.out and "slack=-5" not in told.out
    assert main(["backtest", path, "--rules", pack, "--param", "own.slack=-5,-4"]) == 2
    assert "move one of the limits" in capsys.readouterr().err


def test_advice_was_run(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """23 was the best in between: clear above it, or hold longer than it was clear; either leaves no flap."""
    path = recorded(tmp_path / "r.jsonl", FLAPPING)
    (advice,) = backtested(capsys, path, "--rules", pack)["variants"][0]["advice"]
    assert advice == {
        "alert": "own_low",
        "flaps": 2,
        "keep_firing_for_s": 180.0,
        "kept": {"flaps": 0, "fired": 1},
        "clear": "clear: battery.soc >= 23.1",
        "cleared": {"flaps": 0, "fired": 1},
    }
    assert main(["backtest", path, "--rules", pack]) == 0
    assert "clear: battery.soc >= 23.1 (3.1 % above the limit): 0 flaps, fired 1 time" in capsys.readouterr().out


def test_a_limit_far_away_is_no_advice(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To clear 31 above a limit of 20 would be to clear never: only a time is advised."""
    path = recorded(tmp_path / "r.jsonl", [50, 50, 19, 51, 18, 50, 50])
    (advice,) = backtested(capsys, path, "--rules", pack)["variants"][0]["advice"]
    assert (advice["clear"], advice["cleared"], advice["kept"]) == (None, None, {"flaps": 0, "fired": 1})
    assert main(["backtest", path, "--rules", pack]) == 0
    assert "  no clear limit is usable" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45s"), (180, "3m"), (750, "12m30s"), (7200, "2h"), (7500, "2h05m"), (270000, "3d03h")]
)
def test_durations_have_one_form(seconds: float, text: str) -> None:
    """A whole one is written as in a rule, so that the table and the advice say the same."""
    assert span_text(seconds) == text


def test_advice_that_left_flaps_is_widened(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To hold it for 21 minutes brings its end near to the firing that came 40 minutes later: so 41 it must be."""
    path = recorded(tmp_path / "r.jsonl", [50, 19, *[50] * 20, 19, *[50] * 40, 19, *[50] * 60])
    (advice,) = backtested(capsys, path, "--rules", pack)["variants"][0]["advice"]
    assert (advice["flaps"], advice["keep_firing_for_s"], advice["kept"]) == (1, 2460.0, {"flaps": 0, "fired": 1})


def test_what_the_bridge_published_gives_the_same(
    pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines of our own sink, of mosquitto_sub and with JSON payloads: the firings are those of the recording."""
    path = recorded(tmp_path / "r.jsonl", FLAPPING)
    expected = alerts(backtested(capsys, path, "--rules", pack))
    plain, documents = published(path, pack), published(path, pack, as_json=True)
    logs = {
        "ours": [to_line(message) for message in plain],
        "documents": [to_line(message) for message in documents],
        "text": [mosquitto_line(message, False) for message in plain],
        "tree": [mosquitto_line(message, True) for message in plain],
    }
    for name, lines in logs.items():
        log = tmp_path / name
        log.write_text("".join(line + "\n" for line in lines))
        document = backtested(capsys, str(log), "--rules", pack)
        found = alerts(document)
        for key in ("fired", "total_s", "flaps", "events"):
            assert {alert: one[key] for alert, one in found.items()} == {
                alert: one[key] for alert, one in expected.items()
            }, (name, key)
        assert document["inputs"][0]["site"] == "home"
        assert "battery/512/twice" not in (document["inputs"][0]["note"] or "")


def mosquitto_line(message: Message, is_tree: bool) -> str:
    """Return a message as `mosquitto_sub -F %j` or `-F %J` logs it; the latter leaves a blank line for what is no JSON."""
    at = f"2026-01-31T{12 + int((message.at - START) // 3600):02}:"
    at += f"{int((message.at - START) % 3600 // 60):02}:{(message.at - START) % 60:09.6f}Z+0000"
    document = {"tst": at, "topic": message.topic, "qos": 0, "retain": 0, "payloadlen": 2}
    if not is_tree:
        return json.dumps({**document, "payload": message.payload})
    try:
        return json.dumps({**document, "payload": json.loads(message.payload)})
    except ValueError:
        return ""


def test_a_log_tells_of_sites_and_devices_that_were_gone(
    pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A site that was offline fires; while the bridge itself was offline nothing is known; each site is an input."""
    lines = [
        (0, "victron/a/status", "online"),
        (0, "victron/b/status", "online"),
        (0, "victron/bridge/me/status", "online"),
        (10, "victron/a/battery/512/soc", "19"),
        (100, "victron/a/status", "offline"),
        (200, "victron/a/status", "online"),
        (300, "victron/bridge/me/status", "offline"),
        (300, "victron/b/status", "offline"),
        (900, "other/a/battery/512/soc", "19"),
        (900, "victron/b/battery/512/soc", "50"),
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"at": START + at, "topic": t, "payload": p}) + "\n" for at, t, p in lines))
    document = backtested(capsys, str(log), "--rules", pack)
    assert [one["site"] for one in document["inputs"]] == ["a", "b"]
    found = alerts(document)
    assert (found["own_silence"]["fired"], found["own_silence"]["total_s"]) == (1, 70.0)
    assert (found["own_low"]["fired"], found["own_low"]["events"]) == (1, {"firing": 1})


def test_damage_is_told_and_the_others_count(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no input, or is damaged in its middle, is named; the exit code is 1, without any input 2."""
    recorded(tmp_path / "good.jsonl", FLAPPING)
    (tmp_path / "notes.txt").write_text("hello\n")
    lines = Path(recorded(tmp_path / "bad.jsonl", FLAPPING)).read_text().splitlines()
    (tmp_path / "bad.jsonl").write_text("\n".join([*lines[:9], "nonsense", *lines[9:]]) + "\n")
    assert main(["backtest", "--json", "--jobs", "1", str(tmp_path), "--rules", pack]) == 1
    out = capsys.readouterr()
    document = json.loads(out.out)
    assert alerts(document)["own_low"]["fired"] == 3
    assert [fault.partition(": ")[2][:20] for fault in document["faults"]] == [
        "this is none of: a r",
        "this line is not JSO",
    ]
    assert "bad.jsonl:10" in out.err
    assert main(["backtest", "--jobs", "1", "nope.x", str(tmp_path / "good.jsonl"), "--rules", pack]) == 1
    out = capsys.readouterr()
    assert "own_low" in out.out and "left out: nope.x: the file cannot be read: no such file" in out.err
    (tmp_path / "good.jsonl").unlink()
    assert main(["backtest", "--jobs", "1", str(tmp_path), "--rules", pack]) == 2
    out = capsys.readouterr()
    assert out.out == "" and out.err.endswith("none of the inputs can be used\n")


def test_an_empty_directory_is_told(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in it can be counted."""
    assert main(["backtest", str(tmp_path), "--rules", pack]) == 2
    assert f"{tmp_path}: there is no file in this directory" in capsys.readouterr().err


def test_one_bad_line_does_not_cost_the_log(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also when it is the first one, as in a log that was rotated; it is counted in a note."""
    messages = [to_line(message) for message in published(recorded(tmp_path / "r", FLAPPING), pack)]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join([messages[0][9:], *messages[1:9], "nonsense", *messages[9:]]) + "\n")
    document = backtested(capsys, str(log), "--rules", pack)
    assert alerts(document)["own_low"]["fired"] == 3
    assert "2 lines are no messages in JSON, the first is line 1" in document["inputs"][0]["note"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "missing: the file cannot be read: no such file"),
        (["{file}", "--param", "own.lov=1,2"], 'the pack "own" has no param "lov"; did you mean "low"?'),
        (["{file}", "--param", "owm.low=1,2"], 'there is no pack "owm"; did you mean "own"?'),
        (["{file}", "--param", "low=1"], "written as pack.name=12..20/2"),
        (["{file}", "--param", "own.low=0..1"], '"own.low=0..1" lacks the step of its range, such as 0..1/0.1'),
        (["{file}", "--param", "own.low=1..2/x"], '"x" in "own.low=1..2/x" is no number'),
        (["{file}", "--param", "own.low=1..2000/1"], "at most 1000"),
        (["{file}", "--param", "own.low=1..2/0"], "0 values"),
        (["{file}", "--param", "own.low=1..40/1", "--param", "own.slack=1..40/1"], "1600 combinations"),
        (["{file}", "--param", "own.low=1", "--param", "own.low=2"], "given twice"),
        (["{file}", "--param", "own.low=high"], "is a text"),
        (["{file}", "--span", "today"], '"today" is no span'),
        (["{file}", "--span", "2026-13-01.."], '"2026-13-01" is no date'),
        (["{file}", "--span", "2026-02-01..2026-01-01"], "ends before it begins"),
    ],
)
def test_wrong_arguments_end_with_2(
    arguments: list[str], message: str, pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with a sentence that says what would be right."""
    file = recorded(tmp_path / "r.jsonl", [50])
    assert main(["backtest", *(one.format(file=file) for one in arguments), "--rules", pack]) == 2
    assert message in capsys.readouterr().err


def test_an_export_of_vrm_is_played(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its battery fires as that of a recording; a column that is not understood is counted."""
    rows = [
        ",Battery Monitor [512],Battery Monitor [512],Gateway [0]",
        "Europe/Amsterdam (+01:00),State of charge,Voltage,Relay 9",
        ",%,V,",
        *(f"2026-01-31 13:{minute:02}:00,{value},52.1,Open" for minute, value in enumerate(FLAPPING)),
    ]
    (tmp_path / "export.csv").write_text("\n".join(rows) + "\n")
    document = backtested(capsys, str(tmp_path / "export.csv"), "--rules", pack)
    low = alerts(document)["own_low"]
    assert (low["fired"], low["total_s"], low["flaps"]) == (3, 240.0, 2)
    (one,) = document["inputs"]
    assert (one["kind"], one["from"]) == ("VRM export", "2026-01-31T12:00:00Z")
    assert one["note"] == "1 of 3 columns are not understood (Gateway [0]: Relay 9)"
    assert alerts(document)["own_silence"]["unknown_share"] == 1.0


def test_devices_can_have_rows_of_their_own(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--by device` each battery has its row."""
    lines = [
        (number * 60, f"victron/a/battery/{instance}/soc", str(value if instance == 1 else 50))
        for number, value in enumerate(FLAPPING)
        for instance in (1, 2)
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"at": START + at, "topic": t, "payload": p}) + "\n" for at, t, p in lines))
    document = backtested(capsys, str(log), "--rules", pack, "--by", "device")
    rows = [one for one in document["variants"][0]["alerts"] if one["alert"] == "own_low"]
    assert [(one["device"], one["fired"]) for one in rows] == [("battery/1", 3), ("battery/2", 0)]


def test_ctrl_c_ends_it_without_a_trace(pack: str, tmp_path: Path) -> None:
    """Two processes at work and a SIGINT to the first only: it ends with 130, says nothing and leaves nobody behind."""
    for number in range(2):
        recorded(tmp_path / f"{number}.jsonl", [50, 19] * 3000)
    command = [sys.executable, "-m", "bridge", "backtest", str(tmp_path), "--rules", pack, "--jobs", "2"]
    command += ["--param", "own.low=1..100/1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)  # ends only when the workers have closed their ends, too
    assert (process.returncode, out, err) == (130, "", "")


def test_the_stdout_sink_writes_what_is_read() -> None:
    """The format of a log is that of the sink: a change there must be followed here."""
    assert StdoutSink()._format is to_line
