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
    """What was read. With `errors` the rest is incomplete; packs of a wrong shape are there, for their other faults."""

    catalogue: dict[str, Any]  # class -> document
    packs: list[Document]
    extras: list[Extra]
    errors: list[ConfigError]
    warnings: list[ConfigError]
    is_whole: bool  # every file could be read, and the catalogue is right: rules can be checked


def gather(job: Job) -> Gathered:
    """Return all documents of a job with all their faults."""
    errors: list[ConfigError] = []
    catalogue = {}
    for document, is_right in _read(sorted(paths.catalogue_directory().glob("*.yaml")), "catalogue", errors):
        if is_right:
            catalogue[_class_name(document)] = document.data
    is_whole = not errors
    packs = [document for document, _ in _read(map(Path, job.packs), "rules", errors)]
    extras = [] if errors else [load_extra(Path(file), catalogue) for file in job.extras]
    for extra in extras:
        errors += extra.errors
    is_whole = is_whole and len(packs) == len(job.packs)
    return Gathered(catalogue, packs, extras, errors, [fault for extra in extras for fault in extra.warnings], is_whole)


def _read(files: Iterable[Path], schema_name: str, errors: list[ConfigError]) -> list[tuple[Document, bool]]:
    """Return the documents of all files that are YAML, and whether each fits the schema."""
    documents = []
    for path in files:
        try:
            document = yaml_text.load_file(path)
        except ConfigError as error:
            errors.append(error)
            continue
        found = schema.validate(document, schema_name)
        errors += found
        documents.append((document, not found))
    return documents


def _class_name(document: Document) -> str:
    return str(document.data.get("class") or Path(document.file).stem)
