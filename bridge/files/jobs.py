"""What a site chooses of catalogue and rules, and which files must be read for it.

Law: light; `run` imports it. A choice holds no more than the checks need, and all of it is JSON, so that it can be
handed to a child process and be part of a cache's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bridge.core.inputs import InputSpec
from bridge.files import paths
from bridge.files.settings_records import Site


class SiteChoice(NamedTuple):
    """What one site names of catalogue and rules. Files are absolute."""

    packs: list[str]
    extras: list[str]
    points: list[str]  # dotted, that have an interval
    classes: list[str]  # that have an interval
    deadbands: list[str]  # dotted points
    params: Mapping[str, Mapping[str, Any]]
    profile: Mapping[str, Any]
    disable: list[str]
    inputs: list[InputSpec]  # plain lists once they went through JSON
    maintained: list[str]  # alerts that maintenance windows name


class Job(NamedTuple):
    """What is to be read: rule packs and extra documents, as files, each once."""

    packs: list[str]
    extras: list[str]


def choice_of(site: Site) -> SiteChoice:
    """Return what a site chooses."""
    return SiteChoice(
        pack_files(site),
        list(site.extra),
        list(site.intervals.points_s),
        list(site.intervals.classes_s),
        list(site.publish.deadband),
        site.rules.params,
        site.profile,
        sorted(site.rules.disable),
        list(site.inputs),
        [name for window in site.maintenance for name in _names(window.matcher.get("alert", ()))],
    )


def _names(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def job_of(choices: Iterable[SiteChoice]) -> Job:
    """Return what sites need, in the order in which they name it."""
    choices = list(choices)
    packs = [file for choice in choices for file in choice.packs]
    extras = [file for choice in choices for file in choice.extras]
    return Job(list(dict.fromkeys(packs)), list(dict.fromkeys(extras)))


def pack_files(site: Site) -> list[str]:
    """Return the files of a site's rule packs: those of the program, then the user's own."""
    directory = paths.rules_directory()
    return [*(str(directory / f"{name}.yaml") for name in site.rules.packs), *site.rules.files]
