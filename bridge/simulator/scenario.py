"""Scenarios: what happens to a simulated GX and when, read from YAML and checked before anything starts.

A step's `at` counts real seconds from the start at any speed of the physics: rules hold for real seconds, and a test
that waits for an alert must know how long. The field reference is `schemas/scenario.schema.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from bridge.errors import ConfigError, ConfigErrors
from bridge.files import schema, yaml_text

DIRECTORY = Path(__file__).resolve().parent / "scenarios"


class Step(NamedTuple):
    """The actions of one moment: name -> argument, in the order of the file."""

    at_s: float
    actions: dict[str, Any]
    file: str
    line: int


class Scenario(NamedTuple):
    """A checked scenario."""

    name: str
    description: str
    system: str
    start_at_s: float | None
    repeat_every_s: float | None
    expect_alerts: tuple[str, ...]
    steps: tuple[Step, ...]


def names() -> list[str]:
    """Return the names of the scenarios that come with the program."""
    return sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


def load(name_or_file: str) -> Scenario:
    """Return a scenario by its name or from a file.

    Raises:
        ConfigErrors: there is no such scenario, or everything that is wrong with it.
    """
    path = DIRECTORY / f"{name_or_file}.yaml"
    if name_or_file not in names():
        path = Path(name_or_file)
        if not path.is_file():
            raise ConfigErrors([ConfigError(_unknown(name_or_file), key="--scenario")])
    try:
        return parse(yaml_text.load_file(path, path.name if path.parent == DIRECTORY else name_or_file))
    except ConfigError as error:
        raise ConfigErrors([error]) from None


def parse(document: yaml_text.Document) -> Scenario:
    """Return the scenario that a loaded file holds.

    Raises:
        ConfigErrors: everything that the schema says is wrong, or steps that go back in time.
    """
    faults = schema.validate(document, "scenario")
    if faults:
        raise ConfigErrors(faults)
    data = document.data
    steps = tuple(_step(document, index, step) for index, step in enumerate(data["steps"]))
    late = [
        ConfigError(
            f"this step is at {after.at_s:g} s, before the one above it; put steps in order", after.file, after.line
        )
        for before, after in zip(steps, steps[1:])
        if after.at_s < before.at_s
    ]
    if late:
        raise ConfigErrors(late)
    return Scenario(
        name=data["scenario"],
        description=data["description"],
        system=data.get("system", "ess"),
        start_at_s=time_of_day_s(data["start_at"]) if "start_at" in data else None,
        repeat_every_s=data.get("repeat_every_s"),
        expect_alerts=tuple(data["expect_alerts"]),
        steps=steps,
    )


def _step(document: yaml_text.Document, index: int, data: dict[str, Any]) -> Step:
    actions = {name: argument for name, argument in data.items() if name != "at"}
    line, _ = schema.place(document, ("steps", index))
    return Step(float(data["at"]), actions, document.file, line)


def time_of_day_s(text: str) -> float:
    """Return the seconds after midnight of `HH:MM`; ValueError when it is no time of day."""
    hours, colon, minutes = text.partition(":")
    if not (colon and hours.isdigit() and minutes.isdigit() and len(minutes) == 2):
        raise ValueError(f"a time of day such as 18:30 is wanted, not {text!r}")
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(f"{text!r} is beyond 23:59")
    return int(hours) * 3600.0 + int(minutes) * 60.0


def _unknown(name: str) -> str:
    return f'there is no scenario and no file "{name}"; give a YAML file, or one of {", ".join(names())}'
