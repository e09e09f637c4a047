"""Reads and checks everything that is YAML or JSON behind the settings: catalogue, rule packs, extra documents.

Law: heavy (YAML, schemas) and so only for `check` and for the child process of `compiled`; nothing that runs for
long imports it. All faults are collected, none is raised.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bridge.errors import ConfigError
from bridge.files import paths, schema, yaml_text
from bridge.files.extra import Extra, load_extra
from bridge.files.jobs import Job
from bridge.files.yaml_text import Document


class Gathered(NamedTuple):
    """What was read. With `errors` the rest is incomplete."""

    catalogue: dict[str, Any]  # class -> document
    packs: list[Document]
    extras: list[Extra]
    errors: list[ConfigError]
    warnings: list[ConfigError]


def gather(job: Job) -> Gathered:
    """Return all documents of a job with all their faults."""
    errors: list[ConfigError] = []
    catalogue = {}
    for document in _checked(sorted(paths.catalogue_directory().glob("*.yaml")), "catalogue", errors):
        catalogue[_class_name(document)] = document.data
    packs = list(_checked(map(Path, job.packs), "rules", errors))
    extras = [] if errors else [load_extra(Path(file), catalogue) for file in job.extras]
    for extra in extras:
        errors += extra.errors
    return Gathered(catalogue, packs, extras, errors, [fault for extra in extras for fault in extra.warnings])


def _checked(files: Iterable[Path], schema_name: str, errors: list[ConfigError]) -> list[Document]:
    documents = []
    for path in files:
        try:
            document = yaml_text.load_file(path)
        except ConfigError as error:
            errors.append(error)
            continue
        found = schema.validate(document, schema_name)
        errors += found
        if not found:
            documents.append(document)
    return documents


def _class_name(document: Document) -> str:
    return str(document.data.get("class") or Path(document.file).stem)
