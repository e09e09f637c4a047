"""The child process of `compiled`: reads a task from stdin, parses and checks, writes an archive to stdout.

PyYAML and jsonschema take 20 MB that a running bridge must not carry, so they live and die here. Exit code 2 means
that stdout holds the faults as JSON: [[message, file, line, column, key], ...].
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bridge.errors import ConfigErrors
from bridge.files.archive import pack
from bridge.files.config_file import read_config
from bridge.files.extra import Extra
from bridge.files.gather import gather
from bridge.files.jobs import SiteChoice, job_of
from bridge.files.site_checks import all_faults, config_document
from bridge.files.yaml_text import Document, Marks


def main() -> int:
    """Do one task: {"key": …, "config": file} or {"key": …, "sites": [choices], "file": config file or ""}."""
    task = json.load(sys.stdin)
    try:
        values = _config(task["config"]) if "config" in task else _rules(task)
    except ConfigErrors as errors:
        faults = [[e.message, e.file, e.line, e.column, e.key] for e in errors.errors]
        sys.stdout.write(json.dumps(faults))
        return 2
    sys.stdout.buffer.write(pack(task["key"], values))
    return 0


def _config(file: str) -> dict[str, Any]:
    data = read_config(Path(file))
    broker = data.get("broker", {})
    has_secret = "@" in broker if isinstance(broker, str) else "password" in broker
    return {"data": data, "has_secret": has_secret}


def _rules(task: dict[str, Any]) -> dict[str, Any]:
    choices = [SiteChoice(*choice) for choice in task["sites"]]
    found = gather(job_of(choices))
    errors = all_faults(choices, found, config_document(task["file"]))
    if errors:
        raise ConfigErrors(errors)
    values: dict[str, Any] = {f"catalogue/{name}": document for name, document in found.catalogue.items()}
    values |= {f"pack/{document.file}": _pack(document) for document in found.packs}
    values |= {f"extra/{extra.file}": _extra(extra) for extra in found.extras}
    return values | {"warnings": [str(fault) for fault in found.warnings]}


def _pack(document: Document) -> dict[str, Any]:
    return {"data": document.data, "marks": _listed(document.marks)}


def _extra(extra: Extra) -> dict[str, Any]:
    return {"rows": extra.rows, "points_s": extra.points_s, "data": extra.pack, "marks": _listed(extra.marks)}


def _listed(marks: Marks) -> list[Any]:
    """Return marks in a form that JSON can hold."""
    return [[list(path), line, column] for path, (line, column) in marks.items()]


if __name__ == "__main__":
    sys.exit(main())
