"""What has to be read for which site: the files of rule packs and extra documents.

Law: light; `run` imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bridge.files import paths
from bridge.files.settings_records import Site


class Job(NamedTuple):
    """What is to be read: rule packs and extra documents, as files, each once."""

    packs: tuple[str, ...]
    extras: tuple[str, ...]


def job_of(sites: Sequence[Site]) -> Job:
    """Return what sites need, in the order in which they name it."""
    packs = [file for site in sites for file in pack_files(site)]
    extras = [file for site in sites for file in site.extra]
    return Job(tuple(dict.fromkeys(packs)), tuple(dict.fromkeys(extras)))


def pack_files(site: Site) -> tuple[str, ...]:
    """Return the files of a site's rule packs: those of the program, then the user's own."""
    directory = paths.rules_directory()
    return (*(str(directory / f"{name}.yaml") for name in site.rules.packs), *site.rules.files)
