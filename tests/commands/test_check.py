"""Tests of `victron-bridge check`: all mistakes of all files at once, and what `run` would refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from bridge.errors import ConfigErrors
from bridge.files.compiled import load_lean

ROOT = Path(__file__).resolve().parents[2]
QUICK = ROOT / "tests" / "fixtures" / "quick_reference.json"
PACK = """\
pack: own
description: A pack of the user's own.
params:
  limit: 10
rules:
  - alert: own_soc
    expr: battery.soc < params.limit
    for: 30s
    severity: warning
    summary: "Battery at {battery.soc} %"
    source: a guess
"""


def check(directory: Path, text: str, *more: str) -> int:
    (directory / "config.yaml").write_text(text, encoding="utf-8")
    return main(["check", "--config", str(directory / "config.yaml"), *more])


def places(capsys: pytest.CaptureFixture[str], directory: Path) -> list[str]:
    """Return `file:line:column: key` of each error line, the files without their directory."""
    out = capsys.readouterr().err.replace(f"{directory}/", "")
    return [":".join(line.split(":")[:4]) for line in out.splitlines() if not line.endswith("(warning)")]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))


def test_without_anything_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    """The program's own catalogue and packs have no mistake, and the summary counts them."""
    assert main(["check"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("ok: 1 site (http://venus.local:8088), ")
    assert " alerts of essential\n" in out


def test_the_example_is_faultless(capsys: pytest.CaptureFixture[str]) -> None:
    """The example that explains every key passes, its params, profile and disabled alerts included."""
    assert main(["check", "--config", str(ROOT / "examples" / "config.yaml")]) == 0, capsys.readouterr().err


def test_names_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Points, classes, alerts, packs and params are checked against catalogue and rules, with the place of each."""
    (tmp_path / "own.yaml").write_text(PACK)
    text = """\
rules:
  packs: []
  files: own.yaml
  disable: [own_soc, own_sok]
  params: {own: {limit: 9, limt: 8}, owm: {}}
poll:
  points: {battery.soc: 5s, battery.sco: 5s, vebus.state: 5s}
  classes: {batery: 5s, vebus: 9s}
publish: {deadband: {grid.power: 5, grid.pover: 5}}
"""
    assert check(tmp_path, text) == 2
    out = capsys.readouterr()
    for near in ("own_soc", "limit", "battery.soc", "battery", "grid.power"):
        assert f'did you mean "{near}"?' in out.err
    assert out.out == "6 mistakes\n"
    check(tmp_path, text)
    assert places(capsys, tmp_path) == [
        "config.yaml:4:22: rules.disable[1]",
        "config.yaml:5:28: rules.params.own.limt",
        "config.yaml:5:38: rules.params.owm",
        'config.yaml:7:29: poll.points["battery.sco"]',
        "config.yaml:8:13: poll.classes.batery",
        'config.yaml:9:37: publish.deadband["grid.pover"]',
    ]


def test_a_broken_config_hides_no_broken_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Faults of the config file and of the rule files it names come together."""
    (tmp_path / "own.yaml").write_text(PACK.replace("battery.soc <", "battery.sok <"))
    assert check(tmp_path, "sit: x\nrules: {packs: [], files: [own.yaml, none.yaml]}\n") == 2
    found = places(capsys, tmp_path)
    assert found[:2] == ["config.yaml:1:1: sit", "config.yaml:2:38: rules.files[1]"]
    assert [line[:11] for line in found[2:]] == ["own.yaml:7:"]


def test_inputs_are_known_to_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rule may read what `inputs:` names, with its kind; a slip gets the nearest name, a wrong type is told."""
    config = "rules: {packs: [], files: own.yaml}\ninputs: {price: a/b, mode: {topic: a/c, kind: text}}\n"
    for expr, words in (
        ('input.price > params.limit and input.mode == "eco"', ""),
        ("input.prise > params.limit", 'did you mean "input.price"?'),
        ("input.mode > params.limit", "own.yaml:7:"),
    ):
        (tmp_path / "own.yaml").write_text(PACK.replace("battery.soc < params.limit", expr))
        assert check(tmp_path, config) == (2 if words else 0), expr
        assert words in capsys.readouterr().err


def test_a_slip_in_the_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Facts of one's own are allowed; one that no rule reads and that is nearly a known one is a slip."""
    (tmp_path / "own.yaml").write_text(PACK.replace("params.limit", "profile.cels"))
    config = "rules: {packs: [], files: own.yaml}\nprofile: {cels: 5, roof: south, grid_voltag: 231}\n"
    assert check(tmp_path, config) == 2
    assert capsys.readouterr().err == (
        f"{tmp_path}/config.yaml:2:33: profile.grid_voltag: "
        'no rule reads profile.grid_voltag; did you mean "grid_voltage"?\n'
    )


def test_alerts_in_maintenance_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An alert that no pack of the site has is told at its place, with the nearest name."""
    text = """\
rules: {packs: [essential]}
maintenance:
  - {from: 02:00, to: 04:00, alert: grid_lots}
  - {from: 02:00, to: 04:00, alert: [grid_lost, grid_lots]}
sites:
  - {site: a, gx: a}
  - site: b
    gx: b
    maintenance: [{from: 02:00, to: 04:00, alert: site_oflline}]
"""
    assert check(tmp_path, text) == 2
    assert 'no alert is called "grid_lots"; did you mean "grid_lost"?' in capsys.readouterr().err
    check(tmp_path, text)
    assert places(capsys, tmp_path) == [
        "config.yaml:3:37: maintenance[0].alert",
        "config.yaml:4:49: maintenance[1].alert[1]",
        "config.yaml:9:51: sites[1].maintenance[0].alert",
    ]


def test_each_site_has_its_own_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault in a site's entry is told there, one at the top once, however many sites share it."""
    text = """\
rules: {packs: [], disable: [nobody]}
sites:
  - {site: a, gx: a}
  - site: b
    gx: b
    poll: {points: {battery.sco: 5s}}
  - {site: c, gx: c, poll: {classes: {batery: 5s}}}
"""
    assert check(tmp_path, text) == 2
    assert places(capsys, tmp_path) == [
        "config.yaml:1:30: rules.disable[0]",
        'config.yaml:6:21: sites[1].poll.points["battery.sco"]',
        "config.yaml:7:39: sites[2].poll.classes.batery",
    ]


def test_an_extra_document_is_checked_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rules made of a quick-reference document compile, its params can be set, its warnings are told."""
    text = f"""\
rules:
  packs: []
  params: {{quick_reference: {{battery_soc_critical_low: 5}}}}
  disable: [quick_reference_wifi_signal_strength_warning_low]
poll: {{points: {{vebus.fan.speed: 60s}}}}
catalogue: {{extra: {QUICK}}}
"""
    assert check(tmp_path, text, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert told["sites"] == [
        {"site": None, "gx": "http://venus.local:8088", "packs": ["quick_reference"], "alerts": 35}
    ]
    assert len(told["warnings"]) == 8
    assert {"file", "line", "column", "key", "message"} == set(told["warnings"][0])


@pytest.mark.parametrize(
    "change",
    [
        ("config.yaml", "disable: []", "disable: [nobody]"),
        ("config.yaml", "gx: venus.local", "gx: ftp://x"),
        ("own.yaml", "battery.soc <", "battery.sok <"),
        ("own.yaml", "severity: warning", "severity: loud"),
    ],
)
def test_run_refuses_exactly_what_check_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str, str]
) -> None:
    """What `run` loads, and the errors it ends with, are those of `check`."""
    texts = {"own.yaml": PACK, "config.yaml": "gx: venus.local\nrules: {packs: [], files: own.yaml, disable: []}\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    flags: dict[str, Any] = {"config": str(tmp_path / "config.yaml"), "state": str(tmp_path / "state")}
    load_lean(flags, {})
    file, old, new = change
    (tmp_path / file).write_text(texts[file].replace(old, new))
    with pytest.raises(ConfigErrors) as caught:
        load_lean(flags, {})
    assert main(["check", "--config", flags["config"]]) == 2
    assert capsys.readouterr().err.splitlines() == [str(error) for error in caught.value.errors]


def test_errors_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json everything stands in one document on stdout, and the exit code is the same."""
    assert check(tmp_path, "gx: ftp://x\nrules: {packs: []}\n", "--json") == 2
    out, err = capsys.readouterr()
    assert err == ""
    (error,) = json.loads(out)["errors"]
    assert (error["line"], error["column"], error["key"]) == (1, 5, "gx")


def test_a_config_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing config file is a mistake with its name, and nothing else is invented."""
    assert main(["check", "--config", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err == f"{tmp_path}/none.yaml: the file cannot be read: no such file or directory\n"


def test_a_variable_that_is_not_known_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` tells it and finds no mistake, and `run` has it among its warnings."""
    monkeypatch.setenv("VICTRON_BRIDGE_GXX", "venus.local")
    assert main(["check"]) == 0
    assert "VICTRON_BRIDGE_GXX: " in capsys.readouterr().err
    _, compiled = load_lean({"state": str(tmp_path)}, {"VICTRON_BRIDGE_GXX": "x"})
    assert ["VICTRON_BRIDGE_GX?" in warning for warning in compiled.warnings] == [True]


@pytest.mark.parametrize(
    ("word", "advice"), [("rnu", 'did you mean "run"?'), ("chek", 'did you mean "check"?'), ("zzz", "there are run, ")]
)
def test_a_command_that_is_not_known_is_answered(word: str, advice: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest one is named, exit code 2."""
    with pytest.raises(SystemExit) as caught:
        main([word, "--gx", "x"])
    assert caught.value.code == 2
    assert f'no command is called "{word}"; {advice}' in capsys.readouterr().err


def test_a_fault_hides_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys that stand twice, faults of form and names that are not there come in one go, each at its place."""
    (tmp_path / "own.yaml").write_text(PACK.replace("    for: 30s\n", "    for: 30s\n    for: 40s\n"))
    text = """\
timout: 5s
rules:
  files: own.yaml
  params: {essential: {battery_soc_lwo: 30}}
poll:
  tiers: {critical: often}
  points: {battery.sco: 5s}
timout: 6s
broker: {host: 5}
"""
    assert check(tmp_path, text) == 2
    found = places(capsys, tmp_path)
    wanted = ("config.yaml:1:", "config.yaml:6:", "config.yaml:8:", "config.yaml:9:", "own.yaml:9:")
    assert [any(line.startswith(want) for line in found) for want in wanted] == [True] * 5, found
    (tmp_path / "own.yaml").write_text(PACK)
    assert check(tmp_path, text) == 2
    found = places(capsys, tmp_path)
    for want in ("config.yaml:1:", "config.yaml:4:", "config.yaml:6:", "config.yaml:7:", "config.yaml:8:"):
        assert any(line.startswith(want) for line in found), (want, found)


def test_faults_of_one_site_hide_none_of_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A site that is no map keeps its number, so that faults of the next one have their places."""
    text = """\
sites:
  - nonsense
  - site: home
    gx: 10.0.0.1
    rules: {packs: [essential, esential], params: {essential: {cell_sprad: 1}}}
"""
    assert check(tmp_path, text) == 2
    found = places(capsys, tmp_path)
    assert [line.split(":")[1] for line in found] == ["2", "5", "5"], found
    assert "sites[1].rules.params" in found[-1]


def test_an_unknown_pack_is_told_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What names the alerts, params and points of a pack that is misspelt, or that a pack needs, is not told, too."""
    more = "params: {essential: {battery_soc_low: 25}}, disable: [vrm_contact_lost]"
    for packs, told in (("[esential]", "no pack is called"), ("[cells, esential]", "no pack is called")):
        assert check(tmp_path, f"rules: {{packs: {packs}, {more}}}") == 2
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1, err
        assert told in err
