"""The conversation that docs/topics.md shows is one that the bridge has, and fits the schemas."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bridge.core.request_keys import MAX_COMMENT, MAX_ID
from bridge.core.requests import MAX_BYTES, MAX_DEPTH, VERBS
from bridge.core.topics import SiteTopics
from bridge.files.paths import schemas_directory
from bridge.incoming import REQUESTS_AT_ONCE, REQUESTS_PER_S
from bridge.model import Read
from tests.core.small_site import alert, sample
from tests.test_incoming import Desk, Site

PAGE = (Path(__file__).parent.parent / "docs" / "topics.md").read_text(encoding="utf-8")
RULES = [
    alert("battery_soc_low", "battery.soc < 20", labels={"component": "battery"}),
    alert(
        "battery_temperature_high",
        "battery.temperature > 45",
        each="battery",
        severity="critical",
        labels={"component": "battery"},
    ),
]


def conversation() -> list[tuple[str, Any]]:
    """Return the messages that the page shows, in order: topic and document."""
    blocks = re.findall(r"^```mqtt\n(.*?)^```$", PAGE, re.M | re.S)
    lines = [line.partition(" ") for block in blocks for line in block.splitlines()]
    return [(topic, json.loads(payload)) for topic, _, payload in lines]


@cache
def schema(name: str) -> Any:
    return json.loads((schemas_directory() / f"{name}.schema.json").read_text(encoding="utf-8"))


def faults(document: Any, name: str, part: str = "") -> list[str]:
    """Return what is wrong with a document by a schema, or by one of its definitions."""
    whole = schema(name)
    checked = {"$defs": whole["$defs"], "$ref": f"#/$defs/{part}"} if part else whole
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(checked).iter_errors(document)]


def shown(real: Any, as_shown: Any) -> Any:
    """Return of what is real the keys that the page shows."""
    if isinstance(real, dict) and isinstance(as_shown, dict):
        return {key: shown(real[key], value) for key, value in as_shown.items() if key in real}
    return real


def desk_with_alerts() -> Desk:
    desk = Desk()
    site = Site(desk, rules=RULES)
    values = {"battery/soc": 9.0, "battery/512/temperature": 50.0}
    site.cycle.take(
        site.at,
        [sample(name, value, site.at) for name, value in values.items()],
        [Read(group, site.at, 1e9) for group in ("system", "battery/512")],
    )
    return desk


def test_the_page_shows_what_happens() -> None:
    """Each request of the page, sent in order, gets the response of the page."""
    told = conversation()
    assert len(told) >= 12
    desk = desk_with_alerts()
    for (request, document), (response, wanted) in zip(told[::2], told[1::2]):
        verb = request.rpartition("/")[2]
        ((topic, answer),) = desk.ask(verb, document)
        is_shortened = verb == "ack"
        assert (topic, shown(answer, wanted) if is_shortened else answer) == (response, wanted)
        assert faults(answer, "response") == []
        if answer["status"] == "ok":
            assert faults(document, "request", verb) == []
        if answer["status"] == "ok" and "silence" in verb:
            assert faults(answer["data"], "response", "silence") == []
            assert faults(desk.last("victron/home/alerts/active"), "alerts-active") == []


def test_an_alert_has_a_topic_from_its_first_phase_on_and_its_end_is_told() -> None:
    """Nothing is retained of an alert that never was anything; a silence does not withhold the end of what was told."""
    assert "always told to be `resolved`, also while it is silenced" in PAGE
    desk = Desk()
    site = Site(desk)
    site.soc(50.0)
    assert not [one for one in desk.messages if one.topic.startswith("victron/home/alerts/soc_low")]
    site.soc(10.0)
    assert desk.last("victron/home/alerts/soc_low")["phase"] == "firing"
    desk.ask("silence", {"id": "soc_low", "for": "2h"})
    site.soc(50.0)
    assert desk.last("victron/home/alerts")["event"] == "resolved"
    assert desk.last("victron/home/alerts/soc_low")["phase"] == "inactive"


def test_the_page_names_every_verb_and_every_key() -> None:
    """The table of verbs is the one of the program, and so is the schema."""
    rows = dict(
        re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE[PAGE.index("## Requests") : PAGE.index("### Silences")], re.M)
    )
    told = {verb: set(re.findall(r"`(\w+)`", keys)) for verb, keys in rows.items()}
    assert told == {name: set(verb.keys) for name, verb in VERBS.items()}
    definitions = schema("request")["$defs"]
    for name, verb in VERBS.items():
        assert set(definitions[name]["properties"]) == {*verb.keys, "transaction"}
        assert tuple(definitions[name]["required"]) == verb.needed


def test_the_page_and_the_schema_know_the_limits() -> None:
    """Numbers of the program that people must know stand where they look."""
    assert f"at most {MAX_BYTES} bytes, is nested at most {MAX_DEPTH} levels" in PAGE
    assert f"{REQUESTS_AT_ONCE:.0f} requests at once and {REQUESTS_PER_S:.0f} per second" in PAGE
    assert VERBS["refresh"].cost == 10
    definitions = schema("request")["$defs"]
    assert (definitions["alert_id"]["maxLength"], definitions["comment"]["maxLength"]) == (MAX_ID, MAX_COMMENT)


@pytest.mark.parametrize(
    ("verb", "document"),
    [
        ("ack", {}),
        ("ack", {"id": ""}),
        ("ack", {"id": "a", "extra": 1}),
        ("ack", {"id": "a", "transaction": []}),
        ("silence", {"id": "a"}),
        ("silence", {"id": "a", "matcher": {}, "for": "2h"}),
        ("silence", {"for": "2h"}),
        ("silence", {"id": "a", "for": "2h", "until": "2026-02-01T00:00:00Z"}),
        ("silence", {"id": "a", "for": "soon"}),
        ("silence", {"matcher": {"severity": "high"}, "for": 60}),
        ("silence", {"matcher": {"device": "512"}, "for": 60}),
        ("silence", {"matcher": {"alert": []}, "for": 60}),
        ("unsilence", {"id": "1"}),
        ("refresh", {"all": True}),
    ],
)
def test_the_schema_refuses_what_the_bridge_refuses(verb: str, document: Any) -> None:
    """What a client checks before it sends is what it would be told after."""
    ((_, answer),) = desk_with_alerts().ask(verb, document)
    assert answer["status"] == "error"
    assert faults(document, "request", verb)


def test_maintenance_windows_fit_the_schema_of_active_alerts() -> None:
    """A window of the config that is open is listed without a number."""
    window = {"matcher": {"labels": {"a": ["b"]}}, "until": "2026-01-31T13:00:00Z", "comment": ""}
    message = SiteTopics("victron", "home").active_alerts([], 0.0, [], [window])
    assert faults(json.loads(message.payload), "alerts-active") == []
    message = SiteTopics("victron", "home").active_alerts([], 0.0, [window], [])
    assert faults(json.loads(message.payload), "alerts-active"), "a silence has a number"


def test_a_response_is_either_or() -> None:
    """The schema takes no response that is both, or neither."""
    fine = {"status": "ok", "data": None, "error": None, "transaction": None}
    assert faults(fine, "response") == []
    for change in (
        {"error": "x"},
        {"status": "error"},
        {"status": "done"},
        {"status": "error", "error": "x", "data": 1},
    ):
        assert faults({**fine, **change}, "response"), change
