"""A log of what was published: every kind of payload is the value again that it was."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bridge.commands.backtest_history import HistoryFeed, Names
from bridge.core.catalogue import Catalogue
from bridge.core.normalize import Intervals, Normalizer
from bridge.core.points import PointIndex
from bridge.core.topics import Format, StateTopics
from bridge.errors import ConfigError
from bridge.model import Page, Read, Sample, Tier
from bridge.sinks.stdout import to_line
from tests.catalogue import documents

START = 1769860800.0
NAMES = Names(PointIndex(Catalogue(documents())), frozenset([("battery", "cell_spread")]))


def feed(lines: list[str], site: str = "home") -> HistoryFeed:
    return HistoryFeed([line + "\n" for line in lines], "log", "victron/", site, NAMES, 900.0)


def line(topic: str, payload: Any, at_s: float = 0.0) -> str:
    return json.dumps({"at": START + at_s, "topic": f"victron/{topic}", "payload": payload})


def played(source: HistoryFeed) -> tuple[list[Sample], list[Read]]:
    samples: list[Sample] = []
    reads: list[Read] = []
    while (due := source.next_due()) < math.inf:
        more = source.read(due)
        samples += more[0]
        reads += more[1]
    return samples, reads


@pytest.mark.parametrize(
    ("topic", "payload", "expected"),
    [
        ("battery/512/soc", "81.5", (81.5, None)),
        ("battery/512/soc", 81, (81.0, None)),
        ("battery/512/soc", "null", (None, None)),
        ("battery/512/soc", None, (None, None)),
        ("battery/512/soc", "many", (None, None)),
        ("battery/512/soc", "NaN", (None, None)),
        ("battery/512/soc", True, (None, None)),
        ("vebus/276/state", "bulk", ("bulk", None)),
        ("vebus/276/state", "77", (77, None)),
        ("vebus/276/alarms/grid_lost", "alarm", ("alarm", None)),
        ("vebus/276/ac_in/connected", "true", (True, None)),
        ("vebus/276/ac_in/connected", False, (False, None)),
        ("vrm/last_contact", "2026-01-31T12:00:00Z", (START, None)),
        ("battery/512/product_name", "null and void", ("null and void", None)),
        ("grid/power", "-12.5", (-12.5, None)),
        ("battery/512/soc", '{"value":81.5,"unit":"%","code":null,"ts":"","quality":"good"}', (81.5, None)),
        ("vebus/276/state", {"value": "bulk", "unit": None, "code": 3, "quality": "good"}, ("bulk", 3)),
        ("vebus/276/state", {"value": None, "unit": None, "code": None, "quality": "invalid"}, (None, None)),
    ],
)
def test_a_payload_is_the_value_that_it_was(topic: str, payload: Any, expected: tuple[Any, Any]) -> None:
    """As text, as JSON, and in the documents of `publish.format: json`; what is no value of its kind is none."""
    samples, reads = played(feed([line(f"home/{topic}", payload)]))
    (sample,) = (one for one in samples if one.point.name == topic)
    assert (sample.value, sample.code) == expected
    assert reads == [Read(f"history/{topic}", START, 900.0)]


@pytest.mark.parametrize("as_json", [False, True])
def test_what_the_normalizer_said_comes_back(as_json: bool) -> None:
    """Every value of a page is published and read back equal, to the published digits."""
    values = {"DeviceInstance": 276, "State": 3, "Mode": 4, "Ac/ActiveIn/L1/V": 230.5, "Alarms/GridLost": 2, "Soc": []}
    tiers = dict.fromkeys(Tier, 10.0)
    batch = Normalizer(Catalogue(documents()), Intervals(tiers, {}, {})).page(
        Page("com.victronenergy.vebus.ttyS4", START, values, True, 10.0)
    )
    messages = StateTopics("victron", "home", Format(as_json)).messages(batch.samples, batch.reads)
    samples, _ = played(feed([to_line(message) for message in messages]))
    back = {sample.point.name: sample.value for sample in samples}
    assert len(back) > 5
    for sample in batch.samples:
        known = NAMES.points.of_class("vebus", sample.point.name.removeprefix("vebus/276/"))
        if known is not None and sample.point.group != "presence":
            assert back[sample.point.name] == sample.value, sample.point.name


def test_other_topics_are_left_out() -> None:
    """Documents and computed points silently, what no rule can name is counted; other sites are not looked at."""
    lines = [
        line("home/summary", "{}"),
        line("home/alerts", "{}"),
        line("home/alerts/active", "{}"),
        line("home/battery/512/info", "{}"),
        line("home/battery/512/cell_spread", "0.01"),
        line("home/raw/vebus/276/ShortIds", "1"),
        line("home/battery/512/luck", "7"),
        line("other/battery/512/soc", "7"),
        line("bridge/me/health", "{}"),
    ]
    source = feed(lines)
    assert played(source) == ([], [])
    assert source.note() == "1 topics of home are no points that rules can name, and left out (battery/512/luck)"


def test_only_points_and_status_make_a_site() -> None:
    """What somebody asked a site for under a wrong name, or wrote there by mistake, is no site of its own."""
    lines = [
        line("a/battery/512/soc", "81"),
        line("b/battery/soc", "81"),
        line("c/status", "online"),
        line("d/battery/512/status", "offline"),
        line("hme/request/explain", "{}"),
        line("hmo/battery/512/luck", "7"),
        line("bridge/me/status", "online"),
        line("hmi/summary", "{}"),
    ]
    assert HistoryFeed.sites(lines, "victron", NAMES.points) == ["a", "b", "c", "d"]


def test_devices_and_sites_come_and_go() -> None:
    """By their status; a device that publishes is there; nothing is known while the bridge itself is offline."""
    lines = [
        line("home/battery/512/soc", "81", 0),
        line("home/battery/512/status", "offline", 10),
        line("home/battery/512/status", "online", 20),
        line("home/status", "offline", 30),
        line("home/status", "online", 40),
        line("bridge/me/status", "offline", 50),
        line("home/status", "offline", 50),
        line("bridge/me/status", "online", 60),
        line("home/status", "online", 60),
    ]
    samples, _ = played(feed(lines))
    told = [(one.at - START, one.point.name, one.value) for one in samples if one.point.name.endswith("online")]
    assert told == [
        (0, "site/online", True),
        (0, "battery/512/online", True),
        (10, "battery/512/online", False),
        (20, "battery/512/online", True),
        (30, "site/online", False),
        (40, "site/online", True),
        (50, "site/online", None),
        (60, "site/online", True),
    ]


@pytest.mark.parametrize(
    "tst", ["2026-01-31T12:00:00.000000Z+0000", "2026-01-31T13:00:00.000000+0100", "2026-01-31T12:00:00Z"]
)
def test_times_of_mosquitto_are_read(tst: str) -> None:
    """Both ways in which versions of mosquitto_sub write them."""
    assert feed([json.dumps({"tst": tst, "topic": "victron/home/battery/soc", "payload": "1"})]).next_due() == START


def test_lines_that_are_no_message_are_counted() -> None:
    """A log that is still written may end in the middle of a line; elsewhere such lines are told of."""
    good = line("home/battery/soc", "81")
    source = feed([good, "", good[:20]])
    assert (len(played(source)[1]), source.note()) == (1, "")
    source = feed([good, good[:20], good])
    assert len(played(source)[1]) == 2
    assert source.note() == "1 line is no message in JSON, the first is line 2"
    source = feed([good[:20], "\n", '{"at": 1}', good, "7", good])
    assert len(played(source)[1]) == 2
    assert source.note() == "3 lines are no messages in JSON, the first is line 1"


def test_time_that_goes_backwards_is_damage() -> None:
    """A clock that was set a little is not."""
    good = line("home/battery/soc", "81")
    with pytest.raises(ConfigError, match="log:2: time goes backwards"):
        played(feed([good, line("home/battery/soc", "81", -100)]))
    assert len(played(feed([good, line("home/battery/soc", "82", -1)]))[1]) == 2
