"""The page that lists all rules of the program's packs, made from the packs themselves: `make docs` writes it.

python -m bridge.files.rules_page > docs/rules-catalogue.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bridge.files import paths, yaml_text

HEAD = """\
# Rules of the packs

Made from [`rules/`](../rules) by `make docs`; change the packs, not this page. Conditions stand with the defaults of
their params; `rules.params` of the config changes them. How rules are written is said in
[`rules/README.md`](../rules/README.md).
"""
_COMMENT = re.compile(r"^  (\w+):[^#\n]*#\s*(.+)$", re.M)  # of a param: its unit


def page(files: Sequence[Path]) -> str:
    """Return the page, in Markdown, of the packs in these files."""
    parts = [HEAD]
    for file in files:
        text = file.read_text(encoding="utf-8")
        parts.append("\n".join(_pack(yaml_text.load(text, file.name).data, dict(_COMMENT.findall(text)))))
    return "\n".join(parts)


def pack_files() -> list[Path]:
    """Return the program's packs."""
    return [paths.rules_directory() / f"{name}.yaml" for name in paths.shipped_packs()]


def _pack(data: Mapping[str, Any], units: Mapping[str, str]) -> Iterator[str]:
    params = data.get("params") or {}
    yield f"## {data['pack']}\n"
    yield f"{_line(data.get('description', ''))}\n"
    if data.get("needs"):
        yield f"Needs {', '.join(data['needs'])}.\n"
    alerts = [rule for rule in data["rules"] if "alert" in rule]
    records = [rule for rule in data["rules"] if "record" in rule]
    if alerts:
        yield from _table(("alert", "severity", "condition", "for", "source"), (_alert(one, params) for one in alerts))
    if records:
        rows = ((_code(one["record"]), one.get("unit", ""), _condition(one["expr"], params)) for one in records)
        yield from _table(("point", "unit", "is"), rows)
    if params:
        rows = ((_code(name), _said(value), units.get(name, "")) for name, value in params.items())
        yield from _table(("param", "default", ""), rows)


def _alert(rule: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[str, ...]:
    condition = _condition(rule["expr"], params)
    if "clear" in rule:
        condition += f"; over when {_condition(rule['clear'], params)}"
    return _code(rule["alert"]), rule["severity"], condition, rule.get("for", ""), _line(rule.get("source", ""))


def _condition(expr: object, params: Mapping[str, Any]) -> str:
    text = re.sub(r"\bparams\.(\w+)", lambda match: _said(params.get(match[1])), _line(str(expr)))
    return _code(text)


def _said(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _code(text: str) -> str:
    return f"`{text}`"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("( ", "(")


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page(pack_files()))
