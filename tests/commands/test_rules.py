"""`rules list`, `rules check` and `rules test`: what a pack's author sees."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from bridge.commands.rule_choice import site_with_rules
from bridge.files.settings import load_settings
from bridge.model import Page
from bridge.sources.recording import Encoder
from tests.mosquitto import free_port

pytestmark = pytest.mark.usefixtures("environment")
PACK = """\
pack: own
params: {low: 20}
rules:
  - record: battery.difference
    each: battery
    expr: max_over_time(battery.cell_voltage.max - battery.cell_voltage.min, 1h)
  - alert: own_low
    expr: battery.soc < params.low
    for: 20s
    severity: warning
    summary: "Battery at {battery.soc:.0f} %"
    source: a guess
  - alert: own_cells
    each: multi
    expr: multi.soc < params.low
    severity: info
    summary: low
    source: a guess
"""
TESTS = """\
pack: own
tests:
  - name: an empty battery
    alert: own_low
    case: [fires, clears]
    series: {battery.soc: [50 x3, 5 x6, 50]}
    expect:
      - {at: 40s, alert: own_low, event: firing}
      - {at: 90s, alert: own_low, event: resolved}
  - name: a full battery
    alert: own_low
    case: below
    series: {battery.soc: 20 x3}
    expect: []
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own.yaml").write_text(PACK)
    (tmp_path / "own.test.yaml").write_text(TESTS)
    return tmp_path


def test_a_failed_test_is_shown_as_a_diff(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected and got stand below each other with the reason; rules without cases are named; the exit code is 1."""
    assert main(["rules", "test", str(own)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        f"FAIL  {own}/own.test.yaml:3: an empty battery",
        "    - {at: 40s, alert: own_low, event: firing}",
        "    + {at: 50s, alert: own_low, event: firing}    10s later",
        "      {at: 90s, alert: own_low, event: resolved}",
        "",
        f'FAIL  {own}/own.test.yaml: rule "battery.difference": no test expects a value of it; add one to expect_points',
    ]
    assert lines[6] == f'FAIL  {own}/own.test.yaml: rule "own_low": no test has the case unknown of it'
    assert "own_cells" in lines[7] and "the cases fires, below, clears, unknown" in lines[7]
    assert lines[8].startswith("2 tests of 1 pack with 2 alerts in ")
    assert lines[8].endswith("s: 1 failed, 3 without all cases")


def test_a_choice_of_tests_is_right_without_the_others(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With -k nothing is said about missing cases; --verbose names what passed; a choice of none is a mistake."""
    assert main(["rules", "test", str(own / "own.test.yaml"), "-k", "FULL", "--verbose"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"ok    {own}/own.test.yaml:10: a full battery\n1 test of 1 pack")
    assert main(["rules", "test", str(own), "-k", "nothing"]) == 2
    assert 'no test holds "nothing"' in capsys.readouterr().err


def test_results_can_be_read_by_programs(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json tells every test with its diff, and what is missing."""
    assert main(["rules", "test", str(own), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert [test["ok"] for test in document["tests"]] == [False, True]
    assert [line["mark"] for line in document["tests"][0]["diff"]] == ["-", "+", " "]
    assert [lack["rule"] for lack in document["lacks"]] == ["battery.difference", "own_low", "own_cells"]


def test_without_a_name_the_packs_of_the_program_are_tested(capsys: pytest.CaptureFixture[str]) -> None:
    """A few of their tests stand for all (`test_rule_packs` runs those)."""
    assert main(["rules", "test", "-k", "battery_soc_critical"]) == 0
    assert capsys.readouterr().out.endswith("all as expected\n")


def test_a_fault_in_a_file_is_told_with_its_place(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is run then; the exit code is 2."""
    (own / "own.test.yaml").write_text(TESTS.replace("battery.soc:", "battery.sco:", 1))
    assert main(["rules", "test", str(own)]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert f'{own}/own.test.yaml:6:14: tests[0].series["battery.sco"]: there is no site point battery.sco' in seen.err


def test_check_tells_every_mistake_of_a_pack(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file is checked beside the packs of the program, whose alerts it may name."""
    file = own / "own.yaml"
    assert main(["rules", "check", str(file)]) == 0
    assert "3 rules of own" in capsys.readouterr().out
    file.write_text(PACK.replace("battery.soc <", "battery.sco <").replace("multi.soc", "multi.scc"))
    assert main(["rules", "check", str(file)]) == 2
    seen = capsys.readouterr()
    assert [line.rpartition(": rule")[0] for line in seen.err.splitlines()] == [f"{file}:8:11", f"{file}:15:11"]
    assert seen.out == "2 mistakes\n"
    assert main(["rules", "check", str(file), "--json"]) == 2
    assert [one["line"] for one in json.loads(capsys.readouterr().out)["errors"]] == [8, 15]


def test_a_pack_of_the_program_is_checked_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Its own file beside itself is no double."""
    from bridge.files.paths import rules_directory

    assert main(["rules", "check", str(rules_directory() / "essential.yaml")]) == 0
    assert capsys.readouterr().err == ""


def test_list_tells_what_rules_read(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a GX every alert has a line with its points."""
    assert main(["rules", "list", "--rules", str(own / "own.yaml")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "rule                severity  for  each     reads",
        "battery.difference  record    -    battery  battery[*].cell_voltage.max, battery[*].cell_voltage.min",
        "own_low             warning   20s  -        battery.soc",
        "own_cells           info      0s   multi    multi[*].soc",
    ]


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["rules", "list", *arguments, "--json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_list_tells_what_a_gx_lacks(own: Path, gx_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On a GX it tells which inputs are known, and what an alert waits for."""
    rows = listed(capsys, "--rules", str(own / "own.yaml"), "--pack", "essential", "--gx", gx_url)
    by_name = {row["rule"]: row for row in rows}
    assert by_name["own_low"]["inputs"] == [{"point": "battery.soc", "state": "good"}]
    assert by_name["own_cells"]["state"] == "waits" and "no multi" in by_name["own_cells"]["why"]
    assert by_name["grid_lost"]["device"] == "vebus/276"
    spread = by_name["battery.cell_spread"]
    assert (spread["device"], spread["state"]) == ("battery/512", "known")
    assert [one["point"] for one in spread["inputs"]] == [
        "battery[512].cell_voltage.max",
        "battery[512].cell_voltage.min",
    ]
    assert {row["state"] for row in rows if row["rule"] == "device_offline"} == {"inactive"}


def test_list_tells_how_a_recording_ended(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not known at the end is told, with the reason."""
    recording = tmp_path / "gx.jsonl"
    start = 1769860800.0
    pages = [
        ("com.victronenergy.system", start, {"DeviceInstance": 0, "Dc/Battery/Soc": 5}),
        ("com.victronenergy.multi.a", start, {"DeviceInstance": 3, "Soc": []}),
        ("com.victronenergy.system", start + 60, {"DeviceInstance": 0, "Dc/Battery/Soc": 4}),
    ]
    encoder = Encoder()
    lines = [encoder.header("2026-01-31T12:00:00Z", "venus.local", "C0FFEE")]
    lines.append(encoder.services(frozenset(service for service, _, _ in pages), start))
    lines += [encoder.page(Page(service, at, values, True, 60.0)) for service, at, values in pages]
    recording.write_text("".join(line + "\n" for line in lines))
    rows = listed(capsys, "--rules", str(own / "own.yaml"), "--recording", str(recording))
    by_name = {row["rule"]: row for row in rows}
    assert by_name["own_low"]["state"] == "firing"
    assert by_name["own_cells"]["device"] == "multi/3" and by_name["own_cells"]["state"] == "unknown"
    assert by_name["own_cells"]["inputs"][0]["state"] in ("no value", "stale")
    assert main(["rules", "list", "--rules", str(own / "own.yaml"), "--recording", str(recording)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 rules, 3 with their devices: 1 firing, 1 unknown, 1 waits"


def test_list_says_when_there_is_no_gx(capsys: pytest.CaptureFixture[str]) -> None:
    """A GX that does not answer is named, with advice; the exit code is 1."""
    assert main(["rules", "list", "--gx", f"http://127.0.0.1:{free_port()}"]) == 1
    assert "127.0.0.1" in capsys.readouterr().err


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A config that says something of the packs of the program, and of the user's own."""
    file = tmp_path / "config.yaml"
    window = {"days": "sun", "from": "02:00", "to": "03:00"}
    rules = {"disable": ["grid_lost", "own_cells"], "params": {"essential": {"battery_soc_low": 15}}}
    windows = [{**window, "alert": "device_offline"}, {**window, "alert": ["own_low", "device_offline"]}]
    file.write_text(json.dumps({"maintenance": windows, "profile": {"has_gird": True}, "rules": rules}))
    return str(file)


def test_what_the_config_says_of_other_packs_is_left_out(
    own: Path, config: str, gx_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run with fewer packs is not refused for names of the others; what it has is as the config says."""
    chosen = ["--config", config, "--rules", str(own / "own.yaml")]
    assert [row["rule"] for row in listed(capsys, *chosen)] == ["battery.difference", "own_low"]
    assert "own_low" in [row["rule"] for row in listed(capsys, *chosen, "--gx", gx_url)]
    recording = own / "gx.jsonl"
    assert main(["simulate", "--record", str(recording), "--lasts", "30s"]) == 0
    assert main(["replay", str(recording), *chosen]) == 0
    assert main(["backtest", str(recording), "--jobs", "1", *chosen]) == 0
    assert "own_low" in capsys.readouterr().out
    assert main(["discover", "--gx", gx_url, "--config", config]) == 0
    capsys.readouterr()
    assert main(["check", "--config", config]) == 2
    err = capsys.readouterr().err
    assert "rules.disable" in err and '"own_cells"' in err and "maintenance" in err and '"own_low"' in err


def test_a_window_of_maintenance_keeps_the_alerts_that_are_there(own: Path, config: str) -> None:
    """One that names no other alert is dropped, for without names it would match all."""
    flags = {"config": config, "chosen_site": None, "rules": [str(own / "own.yaml")], "pack": []}
    site = site_with_rules(load_settings({"config": config}, {}), argparse.Namespace(**flags))
    assert [window.matcher for window in site.maintenance] == [{"alert": ["own_low"]}]
    assert (site.rules.disable, site.rules.params, site.profile) == ({"own_cells"}, {}, {})


@pytest.mark.parametrize("width", [80, 100])
def test_lines_fit_the_terminal(
    width: int, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last column of the list and the lines of a diff are broken at words; with --wide nothing is."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["rules", "list", "--rules", str(own / "own.yaml"), "--pack", "essential"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert main(["rules", "list", "--rules", str(own / "own.yaml"), "--pack", "essential", "--wide"]) == 0
    wide = capsys.readouterr().out
    assert max(map(len, wide.splitlines())) > width
    assert sorted("".join(out.split())) == sorted("".join(wide.split()))
    assert main(["rules", "test", str(own)]) == 1
    diff = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert max(map(len, diff)) <= width
    assert " ".join(" ".join(diff).split()).count("10s later") == 1


def test_devices_stand_in_the_order_of_their_numbers(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """10 comes after 2, whichever was read first."""
    encoder = Encoder()
    services = {f"com.victronenergy.multi.{number}": number for number in (10, 2, 1)}
    lines = [encoder.header("2026-01-31T12:00:00Z", "venus.local", "C0FFEE")]
    lines.append(encoder.services(frozenset(services), 1769860800.0))
    for service, number in services.items():
        page = {"DeviceInstance": number, "Soc": 50}
        lines.append(encoder.page(Page(service, 1769860800.0, page, True, 60.0)))
    recording = tmp_path / "gx.jsonl"
    recording.write_text("".join(line + "\n" for line in lines))
    rows = listed(capsys, "--rules", str(own / "own.yaml"), "--recording", str(recording))
    assert [row["device"] for row in rows if row["rule"] == "own_cells"] == ["multi/1", "multi/2", "multi/10"]
