"""`explain`: what a person reads, from a recording and from a running bridge, and what is said when it cannot be told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bridge.cli import main
from bridge.commands.explain_text import explained, listed
from bridge.core.engine import Engine
from bridge.core.explain import explain
from bridge.files.paths import schemas_directory
from bridge.model import Read
from bridge.simulator.simulator import Simulator
from tests.commands.test_replay import BATTERY, Recording
from tests.core.small_site import alert, engine, feed, samples
from tests.end_to_end.programs import Bridge
from tests.mosquitto import MOSQUITTO, Mosquitto, Subscriber

pytestmark = pytest.mark.usefixtures("environment", "hasty")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
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
  - alert: own_average
    each: battery
    expr: avg_over_time(battery.soc, 5m) < 15 and (battery.soc < 10 or battery.soc < 12 or battery.soc < params.low)
    severity: info
    summary: "Average"
    source: a guess
  - alert: own_drive
    each: multi
    expr: multi.alarms.overload >= "warning"
    severity: info
    summary: "No such device"
"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One file for all tests, so that it is compiled once."""
    path = tmp_path_factory.mktemp("rules") / "own.yaml"
    path.write_text(PACK)
    return str(path)


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """A battery that is good, low from 10 s on, without a value from 70 s on, and good again at 100 s."""
    writer = Recording().services(0, BATTERY)
    for at_s, soc in [(0, 50), (10, 19), (20, 18), (50, 17.5), (70, []), (80, []), (100, 60)]:
        writer.battery(at_s, soc)
    return writer.save(tmp_path / "gx.jsonl")


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads((schemas_directory() / "explain.schema.json").read_text()))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Return the lines of an explanation, none of them wider than a page."""
    assert main(["explain", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 100 and line == line.rstrip() for line in lines)
    return lines


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["explain", "--json", *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [f"{error.json_path}: {error.message}" for error in validator().iter_errors(found)] == []
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["explain", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return err


# -- a recording --------------------------------------------------------------------------------------------------


def test_the_page_of_an_alert(pack: str, recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence first, then phase and clocks, then the tree with values, ages and params."""
    assert said(capsys, "own_low", "--recording", recording, "--rules", pack, "--at", "+30s") == [
        "own_low/battery/512 at c0ffee, 2026-01-31 12:00:30 UTC",
        "pending for 20 s of 25 s: battery.soc 18 % < 20 %",
        "",
        "phase       pending, since 2026-01-31 12:00:10 UTC (20 s ago)",
        "severity    warning, pack own",
        "value       18 %",
        "for         20 s of 25 s, fires in 5 s (2026-01-31 12:00:35 UTC)",
        "source      a guess",
        "",
        "expr",
        "    true          battery.soc < params.low",
        "    18 %            battery.soc  read 10 s ago",
        "    20              params.low",
        "",
        "clear",
        "    false         battery.soc >= params.low + 5",
        "    18 %            battery.soc  read 10 s ago",
        "    25              params.low + 5",
        "    20                params.low",
    ]


@pytest.mark.parametrize(
    ("at", "verdict"),
    [
        ("+0", "not firing: battery.soc 50 % is not < 20 %"),
        ("2026-01-31T12:00:12Z", "pending for 2 s of 25 s: battery.soc 19 % < 20 %"),
        ("2026-01-31T12:00:12", "pending for 2 s of 25 s: battery.soc 19 % < 20 %"),
        ("2026-01-31T13:00:12+01:00", "pending for 2 s of 25 s: battery.soc 19 % < 20 %"),
        ("+1m", "firing for 25 s (since 2026-01-31 12:00:35 UTC), announced: battery.soc 17.5 % < 20 %"),
        (
            "+75s",
            "it stays so until it is known again: battery.soc is invalid (the GX has had no value for it for 25 s)",
        ),
    ],
)
def test_any_moment_of_a_recording(
    at: str, verdict: str, pack: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """ISO 8601 with and without zone, and seconds after the start; clocks are those of the moment."""
    found = document(capsys, "own_low", "--recording", recording, "--rules", pack, "--at", at)
    assert found["verdict"].endswith(verdict)


def test_the_end_is_the_moment_that_is_taken(pack: str, recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --at; the ids are those of the recording's devices."""
    found = document(capsys, "own_low/battery/512", "--recording", recording, "--rules", pack)
    assert (found["ts"], found["phase"], found["site"]) == ("2026-01-31T12:01:40Z", "inactive", "c0ffee")


def test_long_expressions_stand_in_full_once(pack: str, recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In the tree long parts are …, unknown ones are marked, a window says what of it is known."""
    lines = said(capsys, "own_average", "--recording", recording, "--rules", pack, "--at", "+60s")
    expr = lines[lines.index(next(line for line in lines if line.startswith("expr"))) :]
    assert expr[:2] == [
        "expr        avg_over_time(battery.soc, 5m) < 15 and (battery.soc < 10 or battery.soc < 12 or",
        "            battery.soc < params.low)",
    ]
    assert expr[2] == "  ? unknown       … and …"
    window = " ".join(f"{expr[4]} {expr[5]}".split())
    assert window == (
        "? unknown avg_over_time(battery.soc, 5m) 1 min of 5 min are known, 80 % are needed: in 3 min at the earliest"
    )
    assert [line for line in expr if line.startswith("  ?")] == [expr[2], expr[3], expr[4]]


def test_the_list_is_of_what_is_active(pack: str, recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What pends or fires, with its sentence; --all adds the rest, rules without a device included."""
    arguments = ["--recording", recording, "--rules", pack, "--at"]
    assert said(capsys, *arguments, "+30s") == [
        "pending   own_low/battery/512",
        "          pending for 20 s of 25 s: battery.soc 18 % < 20 %",
    ]
    assert said(capsys, *arguments, "+0") == ["c0ffee: no alert is pending or firing (--all lists the others)"]
    everything = said(capsys, "--all", *arguments, "+0")
    assert [line.split()[:2] for line in everything if not line.startswith(" ")] == [
        ["inactive", "own_low/battery/512"],
        ["inactive", "own_average/battery/512"],
        ["absent", "own_drive"],
    ]
    assert everything[-1] == "          watches nothing: the GX has no multi"
    assert [one["id"] for one in document(capsys, *arguments, "+30s")["alerts"]] == ["own_low/battery/512"]


def test_a_rule_without_a_device_says_so(pack: str, recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no state, only what it would need."""
    assert said(capsys, "own_drive", "--recording", recording, "--rules", pack) == [
        "own_drive at c0ffee, 2026-01-31 12:01:40 UTC",
        "watches nothing: the GX has no multi",
        "",
        'expr        multi.alarms.overload >= "warning"',
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["own_lo"], 'ALERT: there is no alert "own_lo"; did you mean "own_low"?'),
        (["own_low", "--at", "noon"], '--at: "noon" is no moment; write 2026-01-31T12:30:00Z, or +90s'),
        (["own_low", "--at", "+90parsecs"], '--at: "+90parsecs" is no moment'),
        (["own_low", "--at", "2026-01-31T11:59:59Z"], "--at: the recording begins later, at 2026-01-31T12:00:00Z"),
        (["own_low", "--at", "+101s"], "--at: the recording ends earlier, at 2026-01-31T12:01:40Z"),
        (["own_low", "--at", "2027-01-31"], "--at: the recording ends earlier, at 2026-01-31T12:01:40Z"),
        (["own_low", "--all"], "--all: it lists alerts; leave it or ALERT out"),
    ],
)
def test_what_is_wrong_on_the_command_line(
    arguments: list[str], message: str, pack: str, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake is told with what would be right, and the exit code is 2."""
    assert message in refused(capsys, *arguments, "--recording", recording, "--rules", pack)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["own_low", "--at", "+1s"], "--at: a moment of the past needs --recording"),
        (["own_low", "--pack", "essential"], "--pack: a running bridge has its own rules"),
        (["own_low", "--recording", "nowhere.jsonl"], "nowhere.jsonl: the file cannot be read: no such file"),
        (["own_low", "--broker", "127.0.0.1:1"], "Nobody listens on 127.0.0.1:1"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Flags for a recording need one, and what cannot be reached is named."""
    assert message in refused(capsys, *arguments)


def test_damage_and_ends_are_told(
    pack: str, recording: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged line has its place, an empty recording is one, and the last line's own moment is none after it."""
    with open(recording, "a") as file:
        file.write("oops\n")
    assert f"{recording}:10: this line is not JSON" in refused(
        capsys, "own_low", "--recording", recording, "--rules", pack
    )
    empty = Recording().save(tmp_path / "empty")
    assert "the recording is empty" in refused(capsys, "own_low", "--recording", empty, "--rules", pack)
    short = Recording().services(0, BATTERY).battery(0, 50).save(tmp_path / "short")
    assert main(["explain", "own_low", "--recording", short, "--rules", pack, "--at", "+0"]) == 0
    assert "not firing: battery.soc 50 %" in capsys.readouterr().out


# -- the page of anything -----------------------------------------------------------------------------------------


def page(on: Engine, alert_id: str, now: float, width: int = 100) -> list[str]:
    lines = explained(explain(on, alert_id, now), width)
    assert all(len(line) <= width and line == line.rstrip() for line in lines)
    return lines


def test_the_page_tells_who_heard_of_it() -> None:
    """Announcement, acknowledgement, silence, inhibition, reminder, escalation, keep_firing_for and flapping."""
    on = engine(
        alert("all", "system.low_soc"),
        alert(
            "low",
            "battery.soc < 10",
            keep_firing_for="1m",
            inhibited_by=["all"],
            on_unknown="clear",
            repeat="1h",
            escalate={"after": "2h", "severity": "critical"},
        ),
        alert("flaps", "battery.power > 5"),
    )
    feed(on, 1000.0, {"site.online": True, "battery.soc": 5.0, "system.low_soc": False})
    on.acknowledge("low", 1001.0)
    feed(on, 1010.0, {"battery.soc": 8.0, "system.low_soc": True})
    on.silence({"alert": "low"}, 1600.0, 1011.0, "works")
    feed(on, 1020.0, {"battery.soc": 50.0})
    assert page(on, "low", 1030.0)[5:16] == [
        "phase       firing (clear, until keep_firing_for is over), since 1970-01-01 00:17:00 UTC (10 s ago)",
        "firing      since 1970-01-01 00:16:40 UTC (30 s ago)",
        "severity    warning, pack small",
        "value       50 %, 5 % when it fired, 5 % at worst",
        "keep firing 10 s of 1 min, over in 50 s (1970-01-01 00:18:00 UTC)",
        "reminder    every 1 h while it fires, none while it is quiet",
        "escalation  critical after 2 h, not while it is acknowledged",
        "announced   1970-01-01 00:16:40 UTC (30 s ago)",
        "quiet       acknowledged: no reminders and no escalation until it is over",
        'silenced    by silence 1 "works", ends in 9 min 30 s (1970-01-01 00:26:40 UTC)',
        "inhibited   while all fires",
    ]
    assert "on unknown  counts as clear" in page(on, "low", 1030.0)
    assert "firing    low (acknowledged, silenced, inhibited)" in listed(explain(on, "*", 1030.0), False, 100)
    on.unsilence(1, 1040.0)
    feed(on, 1041.0, {"system.low_soc": False})
    on.unacknowledge("low", 1042.0)
    assert page(on, "low", 1043.0)[9:11] == [
        "reminder    every 1 h while it fires, the next in 59 min 17 s (1970-01-01 01:16:40 UTC)",
        "escalation  critical after 2 h, in 1 h 59 min (1970-01-01 02:16:40 UTC)",
    ]
    for turn in range(12):
        feed(on, 1100.0 + turn, {"battery.power": 10 * (turn % 2)})
        lines = page(on, "flaps", 1100.0 + turn)
        assert ("fired       2 times within the last hour" in lines) is (turn in (3, 4))
    flapping = "flapping    fired 5 times or more within an hour; over in 30 min (1970-01-01 00:48:31 UTC)"
    assert [line for line in page(on, "flaps", 1111.0) if line.startswith(flapping)]


@pytest.mark.parametrize(
    ("expr", "lines"),
    [
        (
            "not (battery.soc < 10 or battery.power > 10000 or battery.soc > 90 or battery.power < -10000)",
            ["    false         not …", "    true            … or … or … or …"],
        ),
        (
            "battery.soc + battery.power in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)",
            ["    true          battery.soc + battery.power in (…)"],
        ),
        (
            "-(battery.soc + battery.power + battery.soc + battery.power + 1) < 5 - battery.soc",
            ["    true          … < 5 - battery.soc", "    -11             -…", "    11                … + 1"],
        ),
        (
            "max(battery[*].soc) > 90",
            [
                "    50 %            max(battery[*].soc)  2 devices",
                "    40 %              battery[1].soc     read 0 s ago",
            ],
        ),
        ("held(battery.soc < 20) > 5", ["    0 s             held(battery.soc < 20)"]),
    ],
)
def test_long_parts_are_outlined(expr: str, lines: list[str]) -> None:
    """Each operation has its outline; what is left out stands in the lines below."""
    on = engine(alert("it", expr))
    feed(
        on,
        1000.0,
        {"site.online": True, "battery.soc": 5, "battery.power": 0, "battery.1.soc": 40, "battery.2.soc": 50},
    )
    told = page(on, "it", 1000.0)
    assert [line for line in lines if line not in told] == []


def test_a_narrow_terminal_and_a_hostile_name() -> None:
    """Notes move to their own line, and what is not printable stays text."""
    on = engine(alert("low", "battery.soc < 10", source="\x1b[2J"))
    on.step(1000.0, samples({"site.online": True, "battery.soc": 50.0}, 1000.0), [Read("system", 1000.0, 30.0)])
    on.step(1100.0, [])
    assert page(on, "low", 1100.0, 50)[-3:] == [
        "  ? unknown       battery.soc < 10",
        "  ? unknown         battery.soc",
        "                      stale: not read for 1 min 4…",
    ]
    assert "source      \\x1b[2J" in page(on, "low", 1100.0)


def test_missing_points_are_listed() -> None:
    """A device that lacks what the rule needs is told with the points."""
    on = engine(alert("cells", "battery.cell_voltage.max > 3.6", each="battery"))
    feed(on, 1000.0, {"battery.1.soc": 50})
    assert page(on, "cells", 1000.0)[1:] == [
        "watches nothing: no battery has cell_voltage.max",
        "",
        "battery/1   lacks cell_voltage.max",
        "",
        "expr        battery.cell_voltage.max > 3.6",
    ]


# -- a running bridge ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[Mosquitto]:
    with Mosquitto() as broker:
        yield broker


@needs_broker
def test_a_running_bridge_explains(mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real bridge answers through a real broker: an alert that fires, a wrong name, a wrong site, the list."""
    at = ("--broker", f"127.0.0.1:{mosquitto.port}")
    config = tmp_path / "config.yaml"
    config.write_text("poll: {tiers: {critical: 1s, extended: 1s, health: 2s, static: 5s}}\n")
    with Simulator("ess", speed=1, seed=1) as gx, Subscriber(mosquitto.port, "victron/home/#") as home:
        url = f"http://127.0.0.1:{gx.start()}"
        with Bridge(url, mosquitto.port, tmp_path, "--site", "home", "--config", str(config)):
            home.wait_for("victron/home/vebus/276/alarms/grid_lost", "ok", 20.0)
            gx.set("com.victronenergy.vebus.ttyS4", "/Alarms/GridLost", 2)
            home.wait_for("victron/home/vebus/276/alarms/grid_lost", "alarm", 20.0)
            found = document(capsys, "grid_lost", *at)
            assert (found["id"], found["site"], found["phase"]) == ("grid_lost/vebus/276", "home", "firing")
            assert re.fullmatch(
                r'firing for .*, announced: vebus.alarms.grid_lost "alarm" >= "warning"', found["verdict"]
            )
            assert said(capsys, "--site", "home", *at)[0] == "firing    grid_lost/vebus/276"
            assert 'did you mean "grid_lost"' in refused(capsys, "grid_lot", *at)
            silence = refused(capsys, "grid_lost", "--site", "cabin", "--timeout", "0.2s", *at)
            assert (
                "No answer on victron/cabin/response/explain in 0.2 s: the broker knows no site cabin; there are home"
                in silence
            )


@needs_broker
@pytest.mark.parametrize(
    ("retained", "arguments", "message"),
    [
        ({}, [], "The broker knows no site below gone/"),
        ({}, ["--site", "home"], "no bridge is online on this broker below gone/"),
        ({"home/status": "online"}, [], "no bridge is online on this broker below gone/"),
        ({"home/status": "online", "bridge/b/status": "online"}, [], "is home the site of a bridge that runs"),
        (
            {"home/status": "online", "cabin/status": "offline"},
            [],
            "--site: there are several sites; choose one of cabin, home",
        ),
    ],
)
def test_silence_is_explained(
    retained: dict[str, str],
    arguments: list[str],
    message: str,
    mosquitto: Mosquitto,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the broker keeps tells whether a bridge runs, and which sites there are."""
    with Subscriber(mosquitto.port, "nothing") as writer:
        for topic, payload in retained.items():
            writer.publish(f"gone/{topic}", payload, retain=True)
        try:
            flags = ["--base-topic", "gone", "--broker", f"127.0.0.1:{mosquitto.port}", "--timeout", "0.1s"]
            assert message in refused(capsys, "own_low", *arguments, *flags)
        finally:
            for topic in retained:
                writer.publish(f"gone/{topic}", "", retain=True)


@needs_broker
def test_only_the_answer_to_the_own_question_counts(mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]) -> None:
    """Answers to others, garbage and retained ones on the same topic are passed over."""
    others = ['{"status": "ok", "transaction": "x"}', "garbage", "[1]", "null"]
    with Subscriber(mosquitto.port, "other/home/request/explain") as bridge:

        def answer(client: Any, data: Any, message: Any) -> None:
            asked = json.loads(message.payload)
            refusal = json.dumps({"status": "error", "error": "not today", "transaction": asked["transaction"]})
            for payload in (*others, refusal):
                client.publish("other/home/response/explain", payload)

        bridge.client.on_message = answer
        flags = ["--base-topic", "other", "--broker", f"127.0.0.1:{mosquitto.port}", "--site", "home"]
        assert refused(capsys, "own_low", *flags) == "victron-bridge: ALERT: not today\n"
