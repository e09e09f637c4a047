"""Requests over MQTT: what is understood, what is refused and in which words, and what each verb does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.budget import Budget
from bridge.core.engine import Engine
from bridge.core.maintenance import Maintenance
from bridge.core.requests import MAX_BYTES, VERBS, Outcome, response_topic_fault, understand
from bridge.core.silencing import LONGEST_S, quiet_documents
from bridge.errors import RuleError
from tests.core.small_site import alert, engine, feed, program, told

NOW = 1_769_860_800.0  # 2026-01-31T12:00:00Z
RULES = (
    alert("soc_low", "battery.soc < 20", labels={"component": "battery", "room": "cellar"}),
    alert("hot", "battery.temperature > 45", each="battery", severity="critical"),
    alert("overload", 'vebus.state == "off"', each="vebus", severity="info"),
)


def site(soc: float = 10.0, temperature: float = 20.0) -> Engine:
    made = engine(*RULES)
    feed(made, NOW - 10.0, {"battery.soc": 50.0, "battery.512.temperature": 20.0, "battery.513.temperature": 20.0})
    feed(made, NOW, {"battery.soc": soc, "battery.512.temperature": temperature})
    return made


def do(on: Engine, verb: str, document: Any, now: float = NOW) -> Outcome:
    """Carry out a request; what is refused raises."""
    asked = understand(verb, json.dumps(document).encode())
    if asked.verb is None:
        raise RuleError(asked.fault)
    return asked.verb.work(on, asked.keys, now, {})


def refusal(on: Engine, verb: str, document: Any) -> str:
    with pytest.raises(RuleError) as caught:
        do(on, verb, document)
    return caught.value.message


@pytest.mark.parametrize(
    ("verb", "payload", "words"),
    [
        ("ack", b"", 'ack needs "id"'),
        ("ack", b" ", "JSON object"),
        ("ack", b"\xff{}", "not UTF-8"),
        ("ack", b"soc_low", "this is no JSON"),
        ("ack", b'{"id": NaN}', "this is no JSON"),
        ("ack", b'{"id": ' + b"1" * 5000 + b"}", "a number that JSON does not have"),
        ("ack", b'"soc_low"', 'not "soc_low"'),
        ("ack", b"[1]", "not [1]"),
        ("ack", b"[" * 4000 + b"]" * 4000, "nested at most 8 levels"),
        ("ack", b'{"id": ' + b"[" * 9 + b"]" * 9 + b"}", "nested at most 8 levels"),
        ("ack", b'{"id": "' + b"x" * MAX_BYTES + b'"}', "at most 8192 bytes"),
        ("ack", b"{}", 'ack needs "id", the id of an alert'),
        ("ack", b'{"id": 7}', '"id" is the id of an alert such as "battery_soc_low"'),
        ("ack", b'{"id": ""}', '"id" is the id of an alert'),
        ("ack", b'{"id": "a", "coment": "x"}', 'unknown key of ack: "coment"; did you mean "comment"?'),
        ("ack", b'{"id": "a", "comment": 5}', '"comment" is a text of at most 500 characters, not 5'),
        ("ack", b'{"id": "a", "transaction": []}', '"transaction" is a number, or a text'),
        ("ack", b'{"id": "a", "transaction": true}', '"transaction" is a number, or a text'),
        ("unack", b'{"id": "a", "comment": "x"}', 'unknown key of unack: "comment"; there are: id, transaction'),
        ("acknowledge", b"{}", 'unknown verb "acknowledge"; there are: ack, unack'),
        ("silense", b"{}", 'unknown verb "silense"; did you mean "silence"?'),
        ("", b"{}", 'unknown verb ""'),
        ("unsilence", b'{"id": "3"}', '"id" is the number of a silence such as 3, not "3"'),
        ("unsilence", b'{"id": true}', '"id" is the number of a silence'),
        ("unsilence", b'{"id": 1.0}', '"id" is the number of a silence'),
        ("silence", b'{"id": "a", "for": "soon"}', '"for" is a duration such as "2h", or a number of seconds'),
        ("silence", b'{"id": "a", "for": true}', '"for" is a duration'),
        ("silence", b'{"id": "a", "for": 1e999}', '"for" is a duration'),
        ("silence", b'{"id": "a", "until": 1769860800}', '"until" is a time with its zone'),
        ("silence", b'{"matcher": "soc_low", "for": "2h"}', '"matcher" is a map such as {"severity": "info"}'),
        ("refresh", b'{"all": true}', 'unknown key of refresh: "all"; there are: transaction'),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(verb: str, payload: bytes, words: str) -> None:
    """A malformed request is understood as a fault whose sentence says what would be right."""
    asked = understand(verb, payload)
    assert asked.verb is None
    assert words in asked.fault
    assert "\n" not in asked.fault


@given(st.sampled_from([*VERBS, "other"]), st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_nothing_that_comes_in_raises(verb: str, payload: bytes) -> None:
    """Any bytes are either a request or a fault."""
    asked = understand(verb, payload)
    assert (asked.verb is None) == bool(asked.fault)


JSON_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["id", "matcher", "for", "until", "comment", "transaction"])


@given(st.sampled_from(["ack", "unack", "silence", "unsilence"]), st.dictionaries(KEYS, JSON_TREES, max_size=4))
def test_any_document_is_carried_out_or_refused(verb: str, document: dict[str, Any]) -> None:
    """A request with any values either works or is refused with a sentence, and then nothing has changed."""
    on = site()
    before = json.dumps(on.dump())
    try:
        outcome = do(on, verb, document)
    except RuleError:
        assert json.dumps(on.dump()) == before
    else:
        json.dumps(outcome.data, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("transaction", ["a-1", 7, 2.5, None])
def test_the_transaction_comes_back_even_of_what_is_refused(transaction: Any) -> None:
    """A client knows which of its requests was wrong."""
    payload = json.dumps({"transaction": transaction, "nonsense": 1}).encode()
    asked = understand("ack", payload)
    assert asked.fault
    assert asked.transaction == transaction


def test_half_characters_become_question_marks() -> None:
    """JSON can write what UTF-8 cannot; such a comment must not break what is published later."""
    asked = understand("ack", b'{"id": "a", "comment": "x\\ud800", "transaction": "\\udfff"}')
    assert (asked.keys["comment"], asked.transaction) == ("x?", "?")
    asked = understand("silence", b'{"matcher": {"labels": {"\\ud800": ["\\udc00"]}}}')
    assert asked.keys["matcher"] == {"labels": {"?": ["?"]}}
    assert understand("ack", b'{"\\ud800": 1}').fault.encode()


# -- acknowledge ----------------------------------------------------------------------------------------------------


def test_an_acknowledged_alert_says_so() -> None:
    """`ack` tells the event with its comment and answers with the alert; `unack` takes it back."""
    on = site()
    outcome = do(on, "ack", {"id": "soc_low", "comment": "seen by Ada"})
    assert told(outcome.events) == [(NOW, "acknowledged", "soc_low")]
    assert outcome.events[0].comment == "seen by Ada"
    assert (outcome.data["id"], outcome.data["phase"], outcome.data["acknowledged"]) == ("soc_low", "firing", True)
    assert do(on, "unack", {"id": "soc_low"}).data["acknowledged"] is False


def test_what_is_acknowledged_already_stays_as_it_is() -> None:
    """The second `ack` tells no event, its comment neither, and the response says that nothing changed."""
    on = site()
    assert do(on, "ack", {"id": "soc_low", "comment": "seen by Ada"}).data["changed"] is True
    second = do(on, "ack", {"id": "soc_low", "comment": "seen by Bob"})
    assert (second.events, second.data["acknowledged"], second.data["changed"]) == ([], True, False)
    assert [do(on, "unack", {"id": "soc_low"}).data["changed"] for _ in range(2)] == [True, False]


def test_the_alert_of_a_device_is_named_with_the_device() -> None:
    """An alert under `each` is acknowledged for one device."""
    on = site(temperature=50.0)
    assert do(on, "ack", {"id": "hot/battery/512"}).data["device"] == {"class": "battery", "instance": 512}


def test_what_does_not_fire_cannot_be_acknowledged() -> None:
    """The refusal lists what fires."""
    assert refusal(site(), "ack", {"id": "hot/battery/512"}) == (
        'no alert "hot/battery/512" is firing; firing now: soc_low'
    )


# -- silences -------------------------------------------------------------------------------------------------------


def test_a_silence_tells_its_number_its_end_and_what_it_matches_now() -> None:
    """The data of the response is all that is needed to show the silence and to end it."""
    on = site(temperature=50.0)
    outcome = do(on, "silence", {"matcher": {"severity": ["warning", "info"]}, "for": "2h", "comment": "works"})
    assert outcome.data == {
        "id": 1,
        "matcher": {"severity": ["warning", "info"]},
        "until": "2026-01-31T14:00:00Z",
        "comment": "works",
        "matches": ["soc_low"],
    }
    assert told(outcome.events) == [(NOW, "silenced", "soc_low")]


@pytest.mark.parametrize(
    ("matcher", "matches"),
    [
        ({}, ["hot/battery/512", "soc_low"]),
        ({"alert": "hot"}, ["hot/battery/512"]),
        ({"alert": ["hot", "soc_low"]}, ["hot/battery/512", "soc_low"]),
        ({"alert": "overload"}, []),  # there is no such device yet, but there is such a rule
        ({"device": "battery/512"}, ["hot/battery/512"]),
        ({"device": "battery/513"}, []),
        ({"device": "vebus/276"}, []),  # not seen yet, but there are rules for its class
        ({"labels": {"component": "battery"}}, ["soc_low"]),
        ({"labels": {"component": ["pv", "battery"], "room": "cellar"}}, ["soc_low"]),
        ({"labels": {"component": "battery"}, "severity": "critical"}, []),
    ],
)
def test_a_matcher_matches_all_that_it_says(matcher: dict[str, Any], matches: list[str]) -> None:
    """All parts of a matcher must fit; a list fits when one of it does; an empty one fits everything."""
    assert do(site(temperature=50.0), "silence", {"matcher": matcher, "for": 60}).data["matches"] == matches


@pytest.mark.parametrize(
    ("matcher", "note"),
    [
        ({"device": "battery/512"}, None),
        ({"labels": {"component": "battery"}}, None),
        ({"device": ["battery/512", "battery/999"]}, "no device battery/999 has been seen yet"),
        (
            {"device": "vebus/1", "labels": {"room": ["attic", "cellar"]}},
            'no device vebus/1 has been seen yet; no alert has room "attic"',
        ),
    ],
)
def test_what_fits_nothing_yet_is_noted(matcher: dict[str, Any], note: str | None) -> None:
    """A device may come later, so a silence for it is accepted; the response says that there is none now."""
    data = do(site(temperature=50.0), "silence", {"matcher": matcher, "for": 60}).data
    assert data.get("note") == note


@pytest.mark.parametrize("verb", ["ack", "unack", "silence"])
def test_the_name_of_an_alert_of_devices_is_answered_with_its_ids(verb: str) -> None:
    """Who leaves the device out is told what to choose from, as by explain."""
    more = {"for": "2h"} if verb == "silence" else {}
    on = site(temperature=50.0)
    assert refusal(on, verb, {"id": "hot", **more}) == (
        "hot is an alert of devices; choose one: hot/battery/512, hot/battery/513"
    )
    assert refusal(on, verb, {"id": "overload", **more}) == "overload is an alert of devices; no device has it now"
    assert on.silences() == []


def test_the_id_of_an_alert_silences_that_alert_of_that_device() -> None:
    """The short form needs no matcher, also before the alert fires."""
    on = site(temperature=50.0)
    data = do(on, "silence", {"id": "hot/battery/513", "for": "30m"}).data
    assert (data["matcher"], data["matches"]) == ({"alert": "hot", "device": "battery/513"}, [])
    assert do(on, "silence", {"id": "soc_low", "for": "30m"}).data["matcher"] == {"alert": "soc_low"}


@pytest.mark.parametrize(
    ("until", "told_as"),
    [
        ("2026-01-31T13:30:00Z", "2026-01-31T13:30:00Z"),
        ("2026-01-31T13:30:00+01:00", "2026-01-31T12:30:00Z"),
        ("2026-02-01 00:00-11:30", "2026-02-01T11:30:00Z"),
    ],
)
def test_until_is_a_time_with_a_zone(until: str, told_as: str) -> None:
    """Whatever the zone it is written in, the end is told in UTC."""
    assert do(site(), "silence", {"id": "soc_low", "until": until}).data["until"] == told_as


def test_until_follows_the_wall_clock_of_the_site() -> None:
    """When the wall clock is ahead of the steady one, so is the end that people write and read."""
    on = site()
    on.set_wall_offset(3600.0)
    assert "it is 2026-01-31T13:00:00Z" in refusal(on, "silence", {"id": "soc_low", "until": "2026-01-31T12:30:00Z"})
    data = do(on, "silence", {"id": "soc_low", "until": "2026-01-31T14:00:00Z"}).data
    assert data["until"] == "2026-01-31T14:00:00Z"
    assert on.silences()[0]["until"] == NOW + 3600.0


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"for": "2h"}, 'say which alerts: either "id"'),
        ({"id": "soc_low", "matcher": {}, "for": "2h"}, 'say which alerts: either "id"'),
        ({"id": "soc_low"}, 'say how long: either "for": "2h", or "until"'),
        ({"id": "soc_low", "for": "2h", "until": "2026-02-01T00:00:00Z"}, "say how long"),
        ({"id": "soc_low", "for": 0}, '"for" is one second at least'),
        ({"id": "soc_low", "for": -5}, '"for" is one second at least'),
        ({"id": "soc_low", "for": 1e-9}, '"for" is one second at least'),
        ({"id": "soc_low", "for": LONGEST_S + 1}, "a year at most"),
        ({"id": "soc_low", "until": "2036-01-01T00:00:00Z"}, "a year at most"),
        ({"id": "soc_low", "until": "2026-01-31T11:59:59Z"}, '"until" is over: it is 2026-01-31T12:00:00Z'),
        ({"id": "soc_low", "until": "2026-02-01T00:00:00"}, '"until" needs its zone'),
        ({"id": "soc_low", "until": "0001-01-01T00:00:00+14:00"}, '"until" is '),
        ({"id": "soc_low", "until": "tomorrow"}, '"until" is a time with its zone'),
        ({"id": "soc_lo", "for": "2h"}, 'there is no alert "soc_lo"; did you mean "soc_low"?'),
        ({"id": "hot/battery/999", "for": "2h"}, 'there is no alert "hot/battery/999"'),
        ({"matcher": {"alert": "hott"}, "for": "2h"}, 'there is no alert "hott"; did you mean "hot"?'),
        ({"matcher": {"alert": ["hot", "x"]}, "for": "2h"}, 'there is no alert "x"'),
        ({"matcher": {"alert": []}, "for": "2h"}, '"alert" of a matcher is the name of an alert, or a list'),
        ({"matcher": {"severity": "high"}, "for": "2h"}, '"severity" of a matcher is "info"'),
        ({"matcher": {"severity": {}}, "for": "2h"}, '"severity" of a matcher is "info"'),
        ({"matcher": {"device": "512"}, "for": "2h"}, '"device" of a matcher is a device such as "battery/512"'),
        (
            {"matcher": {"device": "batery/1"}, "for": "2h"},
            'no alert is of devices of the class "batery"; did you mean "battery"?',
        ),
        ({"matcher": {"device": ["vebus/1", "x/1"]}, "for": "2h"}, 'of the class "x"; there are: battery, vebus'),
        (
            {"matcher": {"labels": {"componnent": "x"}}, "for": "2h"},
            'no alert has the label "componnent"; did you mean "component"?',
        ),
        ({"matcher": {"labels": "x"}, "for": "2h"}, '"labels" of a matcher is a map'),
        ({"matcher": {"labels": {"a": 1}}, "for": "2h"}, '"labels" of a matcher is a map'),
        ({"matcher": {"devise": "a/1"}, "for": "2h"}, 'unknown key "devise" of a matcher; did you mean "device"?'),
    ],
)
def test_a_silence_that_cannot_be_meant_is_refused(document: dict[str, Any], words: str) -> None:
    """A misspelt matcher would silence nothing and look as if it did; so it is refused, and nothing changed."""
    on = site()
    assert words in refusal(on, "silence", document)
    assert on.silences() == []


def test_a_silence_that_is_asked_for_twice_is_one() -> None:
    """A broker may deliver a request twice, and people click twice; another end or comment is another silence."""
    on = site()
    asked = {"id": "soc_low", "for": "2h"}
    first = do(on, "silence", asked)
    second = do(on, "silence", asked, NOW + 1.0)
    assert (second.data, second.events) == (first.data, [])
    assert do(on, "silence", asked, NOW + 60.0).data["id"] == 2
    assert do(on, "silence", {**asked, "comment": "x"}).data["id"] == 3


def test_a_silence_is_ended_by_its_number() -> None:
    """`unsilence` answers with the silence that it ended; an unknown number lists those that there are."""
    on = site()
    assert refusal(on, "unsilence", {"id": 1}) == "there is no silence 1; there are: none"
    do(on, "silence", {"id": "soc_low", "for": "2h"})
    do(on, "silence", {"matcher": {}, "for": "2h"})
    assert refusal(on, "unsilence", {"id": 3}) == "there is no silence 3; there are: 1, 2"
    assert do(on, "unsilence", {"id": 2}).data["matcher"] == {}
    outcome = do(on, "unsilence", {"id": 1})
    assert told(outcome.events) == [(NOW, "unsilenced", "soc_low")]
    assert quiet_documents(on) == ([], [])


def test_open_maintenance_windows_are_listed_beside_the_silences() -> None:
    """A window that is open keeps alerts as quiet as a silence, but has no number: nobody can end it."""
    window = Maintenance(frozenset(range(1, 8)), 11 * 3600, 13 * 3600, "", {"severity": "info"}, "works")
    on = Engine("site", program(list(RULES)), [window])
    on.step(NOW, [])
    assert quiet_documents(on) == (
        [], [{"matcher": {"severity": "info"}, "until": "2026-01-31T13:00:00Z", "comment": "works"}],
    )  # fmt: skip
    on.step(NOW + 3600.0, [])
    assert quiet_documents(on) == ([], [])


# -- where answers may go, and how many ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "is_fine"),
    [
        ("app/7/answers", True),
        ("answers", True),
        ("victron/home/response/ack", True),
        ("victron/home/response/app/7", True),
        ("victronic/home/battery/soc", True),
        ("victron/home/response/", False),
        ("victron/home/battery/soc", False),
        ("victron/home/alerts", False),
        ("victron/home/request/ack", False),
        ("victron/other/response/ack", False),
        ("victron/bridge/a/status", False),
        ("a/+/b", False),
        ("a/#", False),
        ("/a", False),
        ("a/", False),
        ("a//b", False),
        ("$SYS/x", False),
        ("$share/a/b", False),
        ("a\x00b", False),
        ("a\nb", False),
        ("a" * 513, False),
    ],
)
def test_a_response_goes_to_no_topic_of_ours(topic: str, is_fine: bool) -> None:
    """A requester must not have us publish where only the bridge may, nor where nobody can."""
    assert (response_topic_fault(topic, "victron", "home") == "") is is_fine


def test_a_budget_fills_up_with_time_and_not_beyond_its_reserve() -> None:
    """A burst is bounded by the reserve, what follows by the rate, and a clock that goes back gives nothing."""
    budget = Budget(2.0, 5.0)
    assert [budget.take(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert [budget.take(101.0) for _ in range(3)] == [True, True, False]
    assert not budget.take(50.0)
    assert not budget.take(101.0)
    assert [budget.take(1e6) for _ in range(6)] == [True] * 5 + [False]
    assert budget.take(1e6 + 2.0, 4.0)
    assert not budget.take(1e6 + 2.0)
