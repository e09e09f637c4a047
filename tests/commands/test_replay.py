"""`replay`: the rules on the recording's own time, to the millisecond, with the walk of `run`."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bridge.cli import main
from bridge.files.paths import schemas_directory
from bridge.model import Page
from bridge.simulator.simulator import Simulator
from bridge.sources.recording import Encoder
from tests.commands.conftest import once

pytestmark = pytest.mark.usefixtures("environment")
BATTERY = "com.victronenergy.battery.ttyO1"
SYSTEM = "com.victronenergy.system"
START = 1769860800.0  # 2026-01-31 12:00:00
PACK = """\
pack: own
description: A pack of a test.
params:
  low: 20
rules:
  - alert: own_low
    each: battery
    expr: battery.soc < params.low
    for: 25s
    clear: battery.soc >= params.low + 5
    severity: warning
    summary: "Battery at {battery.soc:.0f} %"
    source: a guess
  - alert: own_silence
    expr: not site.online
    for: 30s
    severity: critical
    summary: "Silence"
  - alert: own_gone
    each: "*"
    expr: not device.online
    for: 5s
    severity: warning
    summary: "Gone"
"""
AGED = """\
  - alert: own_age
    each: battery
    expr: age(battery.soc) > 600
    severity: info
    summary: "Old"
    source: a guess
"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One file for all tests, so that it is compiled once."""
    path = tmp_path_factory.mktemp("rules") / "own.yaml"
    path.write_text(PACK)
    return str(path)


class Recording:
    """Writes a recording second by second."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self.lines = [self._encoder.header("2026-01-31T12:00:00Z", "venus.local", "C0FFEE")]

    def services(self, at_s: float, *names: str) -> Recording:
        self.lines.append(self._encoder.services(frozenset(names), START + at_s))
        return self

    def battery(self, at_s: float, soc: Any) -> Recording:
        values = {"DeviceInstance": 512, "Soc": soc, "ProductName": "Pack"}
        self.lines.append(self._encoder.page(Page(BATTERY, START + at_s, values, True, 10.0)))
        return self

    def offline(self, at_s: float) -> Recording:
        self.lines.append(self._encoder.offline(START + at_s))
        return self

    def save(self, path: Path) -> str:
        path.write_text("".join(line + "\n" for line in self.lines))
        return str(path)


def replayed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["replay", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def told(document: Any) -> list[tuple[str, str, str]]:
    """Return (time after 12:00, event, alert) of every event."""
    return [(event["ts"][14:-1], event["event"], event["alert"]) for event in document["events"]]


def test_a_clock_runs_out_between_two_pages(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A `for` of 25 s fires 25 s after the page that made it true, though pages come every 10 s; the event is whole."""
    recording = Recording().services(0, BATTERY)
    for at_s, soc in [(0, 50), (10, 19), (20, 18), (30, 18), (40, 17), (50, 22), (60, 25), (70, 25)]:
        recording.battery(at_s, soc)
    document = replayed(capsys, recording.save(tmp_path / "r"), "--rules", pack)
    assert told(document) == [("00:35", "firing", "own_low"), ("01:00", "resolved", "own_low")]
    validator = Draft202012Validator(json.loads((schemas_directory() / "alert.schema.json").read_text()))
    assert [error.message for event in document["events"] for error in validator.iter_errors(event)] == []
    firing, resolved = document["events"]
    assert (firing["site"], firing["device"]) == ("c0ffee", {"class": "battery", "instance": 512})
    assert (firing["value"], resolved["value"], resolved["duration_s"]) == (18, 25, 25.0)
    assert (document["from"], document["to"]) == ("2026-01-31T12:00:00Z", "2026-01-31T12:01:10Z")
    assert (document["firing"], document["pages"]) == ([], 8)


def test_a_clock_that_ran_out_before_the_condition_ended_fires(
    pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page that ends it comes 15 s after the `for` is over: it fired in between, as it would have in `run`."""
    recording = Recording().services(0, BATTERY).battery(0, 19).battery(10, 18).battery(40, 50)
    document = replayed(capsys, recording.save(tmp_path / "r"), "--rules", pack)
    assert told(document) == [("00:25", "firing", "own_low"), ("00:40", "resolved", "own_low")]


def test_what_is_not_over_at_the_end_is_told(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is decided after the last line: a clock that still runs stays pending."""
    recording = Recording().services(0, BATTERY).battery(0, 19).battery(10, 19).battery(20, 19)
    path = recording.save(tmp_path / "r")
    document = replayed(capsys, path, "--rules", pack)
    assert (document["events"], document["pending"], document["firing"]) == ([], ["own_low/battery/512"], [])
    document = replayed(capsys, recording.battery(30, 19).save(tmp_path / "r"), "--rules", pack)
    assert (document["pending"], document["firing"]) == ([], ["own_low/battery/512"])


def test_no_value_freezes_the_clock(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """UNKNOWN neither starts nor ends anything, as in `run`."""
    recording = Recording().services(0, BATTERY)
    for at_s, soc in [(0, 19), (10, []), (20, []), (30, 19), (40, 19), (50, 19)]:
        recording.battery(at_s, soc)
    assert told(replayed(capsys, recording.save(tmp_path / "r"), "--rules", pack)) == [("00:45", "firing", "own_low")]


def test_a_silent_gx_and_a_lost_device_are_replayed(
    pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`offline` starts the clock of a rule on site.online; a device that two lists miss is gone."""
    recording = Recording().services(0, BATTERY, SYSTEM).battery(0, 50)
    recording.services(10, SYSTEM).services(20, SYSTEM).services(40, SYSTEM)
    recording.offline(60).services(100, SYSTEM)
    assert told(replayed(capsys, recording.save(tmp_path / "r"), "--rules", pack)) == [
        ("00:25", "firing", "own_gone"),
        ("01:30", "firing", "own_silence"),
        ("01:40", "resolved", "own_silence"),
    ]


def test_a_long_silence_is_lived_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three hours without a line are walked from clock to clock, as the bridge would have, not jumped over."""
    pack = tmp_path / "aged.yaml"
    pack.write_text(PACK + AGED)
    recording = Recording().services(0, BATTERY).battery(0, 50).services(3 * 3600, BATTERY)
    assert told(replayed(capsys, recording.save(tmp_path / "r"), "--rules", str(pack))) == [
        ("10:10", "firing", "own_age")
    ]


def test_the_text_has_a_line_per_event_and_a_summary(
    pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a person reads: time, event, severity, alert, device, value, text; then one line about it all."""
    recording = Recording().services(0, BATTERY).battery(0, 19).battery(20, 18.5).battery(40, 18)
    assert main(["replay", recording.save(tmp_path / "r"), "--rules", pack]) == 0
    event, summary = capsys.readouterr().out.splitlines()
    words = [
        "2026-01-31",
        "12:00:25",
        "firing",
        "warning",
        "own_low",
        "battery/512",
        "18.5",
        "Battery",
        "at",
        "18",
        "%",
    ]
    assert event.split() == words
    assert summary.startswith("0 min 40 s from 2026-01-31T12:00:00Z: 3 pages, 9 values, 1 devices; events: 1 firing")
    assert summary.endswith("still firing: own_low/battery/512")


def test_points_are_shown_on_request(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named as in rules, with *; what did not change is not shown again."""
    recording = Recording().services(0, BATTERY).battery(0, 50).battery(10, 50).battery(20, 51)
    path = recording.save(tmp_path / "r")
    document = replayed(capsys, path, "--rules", pack, "--points", "battery.*.soc")
    assert [(one["at"][14:-1], one["point"], one["payload"]) for one in document["points"]] == [
        ("00:00", "battery/512/soc", "50"),
        ("00:20", "battery/512/soc", "51"),
    ]
    assert main(["replay", path, "--rules", pack, "--points", "battery/512/soc"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "2026-01-31 12:00:00  battery/512/soc 50"


def test_a_point_that_is_not_there_is_told(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the nearest name of the recording; what matched is not mentioned."""
    path = Recording().services(0, BATTERY).battery(0, 50).save(tmp_path / "r")
    assert main(["replay", path, "--rules", pack, "--points", "battery.512.sco", "nope.x", "battery.*.soc"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        'victron-bridge: --points: no point of the recording matches "battery.512.sco"; did you mean "battery.512.soc"?',
        'victron-bridge: --points: no point of the recording matches "nope.x"; `discover` lists the points of a GX',
    ]


def test_truth_is_written_as_in_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`true`, and not as the program's own language has it."""
    rules = tmp_path / "truth.yaml"
    rule = "{alert: there, expr: site.online, value: site.online, severity: info, summary: x, source: s}"
    rules.write_text(f"pack: truth\nrules: [{rule}]\n")
    path = Recording().services(0, BATTERY).battery(0, 50).save(tmp_path / "r")
    assert main(["replay", path, "--rules", str(rules)]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[6] == "true"


def test_damage_is_told_with_its_line(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that is wrong ends it with file and line; a torn last line is only noted."""
    recording = Recording().services(0, BATTERY).battery(0, 19)
    path = recording.save(tmp_path / "r")
    with open(path, "a") as file:
        file.write('{"at": 1769860')
    assert main(["replay", path, "--rules", pack]) == 0
    assert "line 4, the last one, is cut off" in capsys.readouterr().err
    with open(path, "a") as file:
        file.write("\n")
    assert main(["replay", path, "--rules", pack]) == 2
    assert f"{path}:4: this line is not JSON" in capsys.readouterr().err


def test_an_empty_recording_is_told(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A header alone holds nothing."""
    path = Recording().save(tmp_path / "r")
    assert main(["replay", path, "--rules", pack]) == 0
    assert capsys.readouterr().out == "the recording is empty\n"
    assert replayed(capsys, path, "--rules", pack)["from"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jsonl"], "missing.jsonl: the file cannot be read"),
        (["{pack}"], "own.yaml:1: this is no recording"),
        (["{recording}", "--pack", "esential"], 'did you mean "essential"?'),
        (["{recording}", "--rules", "{recording}"], "recording.jsonl"),
        (["{recording}", "--config", "{pack}"], "own.yaml:1:1"),
    ],
)
def test_wrong_arguments_end_with_2(
    arguments: list[str], message: str, pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with a sentence that names the file or the flag."""
    recording = Recording().services(0, BATTERY).save(tmp_path / "recording.jsonl")
    given = [argument.format(pack=pack, recording=recording) for argument in arguments]
    assert main(["replay", *given]) == 2
    assert message in capsys.readouterr().err


def test_the_rules_of_the_config_are_used(pack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, params and the name of the site come from the config as in `run`."""
    config = tmp_path / "config.yaml"
    rules = {"packs": [], "files": [pack], "params": {"own": {"low": 60}}, "disable": ["own_gone"]}
    config.write_text(json.dumps({"site": "home", "rules": rules}))
    recording = Recording().services(0, BATTERY).battery(0, 50).battery(20, 50).battery(40, 50)
    document = replayed(capsys, recording.save(tmp_path / "r"), "--config", str(config))
    assert (document["site"], told(document)) == ("home", [("00:25", "firing", "own_low")])


def test_standard_input_may_be_packed(pack: str, tmp_path: Path) -> None:
    """`replay -` takes what `record -` gives, also through gzip."""
    recording = Recording().services(0, BATTERY).battery(0, 19).battery(30, 19)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as packed:
        packed.write(("\n".join(recording.lines) + "\n").encode())
    command = [sys.executable, "-m", "bridge", "replay", "-", "--rules", pack, "--json"]
    done = subprocess.run(command, input=buffer.getvalue(), capture_output=True, timeout=20)
    assert told(json.loads(done.stdout)) == [("00:25", "firing", "own_low")]


def test_what_was_recorded_can_be_replayed(
    gx: Simulator, gx_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recording of the simulator, with an alarm in it, gives the alert of the program's own rules."""
    vebus = next(name for name in gx.store.names() if ".vebus." in name)
    path = tmp_path / "gx.jsonl"
    once(
        lambda: path.exists() and f'"service":"{vebus}"' in path.read_text(),
        lambda: gx.set(vebus, "/Alarms/GridLost", 2),
    )
    assert main(["record", str(path), "--gx", gx_url, "--duration", "2500ms", "--every", "500ms"]) == 0
    capsys.readouterr()
    document = replayed(capsys, str(path), "--points", "vebus.*.alarms.grid_lost")
    assert [one["payload"] for one in document["points"]] == ["ok", "alarm"]
    assert document["recording"]["serial"].lower() == document["site"]
    assert "grid_lost" in {event["alert"] for event in document["events"]}


def autumn(directory: Path, every_s: float) -> list[str]:
    """Write a site in Berlin on 2026-10-25, when 03:00 is 02:00 again at 01:00 UTC; return recording and config.

    Its window from 02:00 to 03:00 therefore lasts two hours, and hour 2 comes twice.
    """
    rule = {"alert": "two", "expr": "hour() == 2", "severity": "info", "summary": "x", "source": "s"}
    low = {"alert": "low", "each": "battery", "expr": "battery.soc < 20", "severity": "warning", "summary": "x"}
    pack = {"pack": "hours", "rules": [rule, {**low, "source": "s"}]}
    (directory / "hours.yaml").write_text(json.dumps(pack))
    config = directory / "config.yaml"
    config.write_text(
        "gx: http://venus.local\ntime_zone: Europe/Berlin\nrules: {packs: [], files: [hours.yaml]}\n"
        "maintenance: [{from: 02:00, to: 03:00, alert: low}]\n"
    )
    encoder, begin = Encoder(), 1_792_884_000.0  # 2026-10-24 23:20 UTC, so that no line falls on an hour
    lines = [encoder.header("2026-10-24T23:20:00Z", "venus.local", "C0FFEE")]
    lines.append(encoder.services(frozenset({BATTERY}), begin))
    at = begin
    while at < begin + 4 * 3600:
        values = {"DeviceInstance": 512, "Soc": 50 if at < begin + 3600 else 10}
        lines.append(encoder.page(Page(BATTERY, at, values, True, 2 * every_s)))
        at += every_s
    path = directory / "r.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    return [str(path), "--config", str(config)]


@pytest.mark.parametrize("every_s", [30.0, 47 * 60.0])
def test_a_window_lasts_until_the_clocks_of_people_show_its_end(
    every_s: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the night of autumn it does not end at the first 03:00, and opens no second time; lines may be far apart."""
    document = replayed(capsys, *autumn(tmp_path, every_s))
    assert [(event["ts"], event["event"], event["alert"]) for event in document["events"]] == [
        ("2026-10-25T00:00:00Z", "firing", "two"),
        ("2026-10-25T02:00:00Z", "resolved", "two"),
        ("2026-10-25T02:00:00Z", "firing", "low"),
    ]


def test_rules_see_the_time_of_the_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An hour of the day is one of the site's zone, and summer time begins within the recording."""
    rules = tmp_path / "hours.yaml"
    rules.write_text(
        "pack: hours\nrules:\n  - alert: three\n    expr: hour() == 3\n    severity: info\n    summary: x\n    source: s\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text(
        f"gx: http://venus.local\ntime_zone: Europe/Berlin\nrules: {{packs: [], files: [{rules.name}]}}\n"
    )
    encoder = Encoder()
    begin = 1_774_742_400.0  # 2026-03-29 00:00 UTC, 01:00 in Berlin; at 01:00 UTC its clocks go from 02:00 to 03:00
    lines = [encoder.header("2026-03-29T00:00:00Z", "venus.local", "C0FFEE")]
    lines += [encoder.services(frozenset({BATTERY}), begin + minute * 60.0) for minute in range(0, 181, 5)]
    path = tmp_path / "r"
    path.write_text("".join(line + "\n" for line in lines))
    document = replayed(capsys, str(path), "--config", str(config))
    assert [(event["ts"], event["event"]) for event in document["events"]] == [
        ("2026-03-29T01:00:00Z", "firing"),
        ("2026-03-29T02:00:00Z", "resolved"),
    ]
