"""The schemas and what the program publishes: each holds the other."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bridge.core.summary import Summary
from bridge.core.topics import SiteTopics
from bridge.files.paths import schemas_directory
from bridge.model import Alert, Device, Event, Kind, Message, Point, PointSpec, Sample, Tier, Value
from tests.catalogue import catalogue

NOW = 1769860800.0
BATTERY = Device("battery", 512)
EVENTS = ("firing", "escalated", "reminder", "acknowledged", "silenced", "unsilenced", "resolved")
SHIPPED = sorted(path.name for path in schemas_directory().glob("*.schema.json"))


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((schemas_directory() / f"{name}.schema.json").read_text()))


def faults(name: str, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(document)]


def document_of(message: Message) -> Any:
    return json.loads(message.payload)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_schema_is_a_schema(name: str) -> None:
    """Each file is a valid schema of draft 2020-12 and is named by its own file name."""
    schema = json.loads((schemas_directory() / name).read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:victron-bridge:schema:{name.removesuffix('.schema.json')}"
    assert schema["title"]


# -- alerts -----------------------------------------------------------------------------------------------------------


def event(**changes: Any) -> Event:
    whole = Event(
        event="firing",
        id="battery_soc_low/battery/512",
        seq=7,
        alert="battery_soc_low",
        severity="warning",
        device=BATTERY,
        value=9.5,
        points=(("battery/512/soc", 9.5, "%"), ("vebus/276/state", "bulk", ""), ("grid/power", None, "W")),
        summary="Battery at 10 %",
        description="",
        action="Charge",
        labels={"component": "battery"},
        starts_at=NOW,
        ends_at=None,
        ts=NOW + 0.25,
        value_at_firing=9.5,
        peak=9.1,
        duration_s=12.34,
    )
    return whole._replace(**changes)


def alert(**changes: Any) -> Alert:
    whole = Alert(
        id="grid_lost",
        alert="grid_lost",
        phase="firing",
        severity="critical",
        device=None,
        value="alarm",
        summary="Grid lost",
        description="",
        action="",
        labels={},
        since=NOW,
        starts_at=NOW,
        peak=None,
        acknowledged=False,
        silenced=False,
        inhibited=False,
        flapping=True,
    )
    return whole._replace(**changes)


@pytest.mark.parametrize("changes", [{"event": name} for name in EVENTS])
@pytest.mark.parametrize("more", [{}, {"device": None, "value": None, "peak": True}, {"ends_at": NOW + 60.5}])
def test_events_are_what_their_schema_says(changes: dict[str, Any], more: dict[str, Any]) -> None:
    """Every kind of event, with and without device, value and end, is valid against alert.schema.json."""
    assert faults("alert", document_of(SiteTopics("victron", "home").alert_event(event(**changes, **more), NOW))) == []


@pytest.mark.parametrize("phase", ["inactive", "pending", "firing"])
@pytest.mark.parametrize("device", [None, BATTERY])
def test_states_of_alerts_are_what_their_schema_says(phase: str, device: Device | None) -> None:
    """The retained document of an alert is valid in every phase, and so is each one in the list of active ones."""
    topics = SiteTopics("victron", "home")
    shown = alert(phase=phase, device=device, starts_at=None if phase == "pending" else NOW)
    assert faults("alert-state", document_of(topics.alert_state(shown, NOW))) == []
    if phase != "inactive":
        (listed,) = document_of(topics.active_alerts([shown], NOW))["alerts"]
        assert faults("alert-state", listed) == []


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("schema", "victron-bridge/alert/2"),
        ("event", "pending"),
        ("seq", -1),
        ("seq", 1.5),
        ("severity", "fatal"),
        ("device", {"class": "battery"}),
        ("points", [{"name": "battery/soc", "value": 1}]),
        ("labels", {"component": 1}),
        ("starts_at", None),
        ("ts", "2026-01-31 12:00:00"),
        ("duration_s", -1),
        ("extra", 1),
    ],
)
def test_the_schema_of_events_refuses_what_is_wrong(key: str, wrong: Any) -> None:
    """A schema that takes everything would prove nothing."""
    document = document_of(SiteTopics("victron", "home").alert_event(event(), NOW))
    assert faults("alert", {**document, key: wrong})


@pytest.mark.parametrize(
    ("schema", "make"),
    [("alert", lambda t: t.alert_event(event(), NOW)), ("alert-state", lambda t: t.alert_state(alert(), NOW))],
)
def test_every_key_of_an_alert_is_mandatory(schema: str, make: Any) -> None:
    """A subscriber may rely on all keys of events and of states."""
    document = document_of(make(SiteTopics("victron", "home")))
    for key in document:
        assert faults(schema, {name: value for name, value in document.items() if name != key}), key


# -- summary ----------------------------------------------------------------------------------------------------------


def sample(name: str, value: Value | None) -> Sample:
    kind = Kind.STRING if isinstance(value, str) else Kind.FLOAT
    return Sample(
        Point(name, PointSpec(kind, name, "", "", {}, Tier.CRITICAL, 1, 0.1, (), "", "", ""), None, "s"), value, NOW
    )


ALL = {
    "battery/soc": 81.04,
    "battery/voltage": 49.8,
    "battery/power": -120.0,
    "battery/state": "discharging",
    "battery/time_to_go": 7200,
    "grid/power": 12.5,
    "load/power": 300,
    "pv/power": 0.0,
    "genset/power": 0.0,
    "system/state": "inverting",
    "platform/device/model": "Cerbo GX",
    "platform/firmware/installed/version": "v3.70",
}


def summary_of(values: dict[str, Value | None], alerts: list[Alert]) -> Any:
    summary = Summary("home")
    summary.update(sample(name, value) for name, value in values.items())
    return document_of(SiteTopics("victron", "home").summary(summary.document(True, 3, alerts), NOW))


@pytest.mark.parametrize("values", [{}, ALL, dict.fromkeys(ALL), *({name: value} for name, value in ALL.items())])
@pytest.mark.parametrize("alerts", [[], [alert(), alert(severity="info", alert="other"), alert(phase="pending")]])
def test_summaries_are_what_their_schema_says(values: dict[str, Value | None], alerts: list[Alert]) -> None:
    """A site with nothing, with everything, without valid values, and with any single point has a valid summary."""
    assert faults("summary", summary_of(values, alerts)) == []


def test_a_summary_says_what_is_known() -> None:
    """Every group holds the points it is named by, and the worst alert that fires is told."""
    document = summary_of(ALL, [alert(severity="warning"), alert(severity="critical", phase="pending")])
    assert document["battery"] == {
        "soc": 81.0,
        "voltage": 49.8,
        "power": -120.0,
        "state": "discharging",
        "time_to_go": 7200,
    }
    assert document["gx"] == {"model": "Cerbo GX", "firmware": "v3.70"}
    assert document["alerts"] == {"firing": 1, "worst": "warning", "names": ["grid_lost"]}


def test_every_point_of_the_summary_is_in_the_catalogue() -> None:
    """A name that no GX ever gives would be an empty place in every summary."""
    known = {spec.point for spec in catalogue().site_points()} | set(catalogue().sums())
    assert set(ALL) <= known


@pytest.mark.parametrize(
    "change",
    [{"status": "up"}, {"devices": -1}, {"site": "Home"}, {"grid": {}}, {"alerts": {}}, {"weather": "fine"}],
)
def test_the_schema_of_summaries_refuses_what_is_wrong(change: dict[str, Any]) -> None:
    """A schema that takes everything would prove nothing."""
    assert faults("summary", {**summary_of(ALL, []), **change})
