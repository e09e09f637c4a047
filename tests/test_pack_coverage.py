"""The packs as a whole: what they cover of the reference, that they fit together, and that their page is fresh."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from bridge.core.rules import Pack, Program, compile_packs
from bridge.files import rules_page, schema, yaml_text
from tests.catalogue import catalogue

ROOT = Path(__file__).parent.parent
IDS = (ROOT / "tests" / "fixtures" / "reference_rules.txt").read_text(encoding="utf-8").split()
COVERAGE = ROOT / "rules" / "COVERAGE.md"
LEAST_COVERED = 300


@cache
def packs() -> tuple[yaml_text.Document, ...]:
    return tuple(yaml_text.load_file(file, file.name) for file in rules_page.pack_files())


@cache
def program() -> Program:
    return compile_packs([Pack(one.file, one.data, one.marks, one.keys) for one in packs()], catalogue())


def rules() -> list[tuple[str, dict[str, Any]]]:
    return [(pack.data["pack"], rule) for pack in packs() for rule in pack.data["rules"]]


def covered() -> dict[str, tuple[list[str], str]]:
    """Return id -> names that cover it, and the note."""
    rows = re.findall(r"^\| ([a-z0-9-]+) \| (.*?) \| (.*?) \|$", COVERAGE.read_text(encoding="utf-8"), re.M)
    assert len(rows) == len({name for name, _, _ in rows}), "an id stands twice"
    return {name: (re.findall(r"`([^`]+)`", names), note) for name, names, note in rows}


def test_all_packs_fit_together() -> None:
    """Each fits the schema, and all of them compile as one program."""
    assert [str(fault) for pack in packs() for fault in schema.validate(pack, "rules")] == []
    assert program().rules


def test_every_rule_of_the_reference_is_covered_or_has_a_reason() -> None:
    """All 334 are listed once; what covers one exists; where nothing does, it is said why."""
    listed = covered()
    assert sorted(listed) == sorted(IDS)
    known = {name for _, rule in rules() for name in (rule.get("alert"), rule.get("record")) if name}
    known |= {f"{pack.data['pack']}.{name}" for pack in packs() for name in pack.data.get("params") or {}}
    assert {name for names, _ in listed.values() for name in names} - known == set()
    assert [name for name, (names, note) in listed.items() if not names and len(note) < 10] == []
    assert sum(1 for names, _ in listed.values() if names) >= LEAST_COVERED


def test_every_alert_tells_what_to_do() -> None:
    """A summary, what it means, and what a technician does; nothing is announced of a site that does not answer."""
    for pack, rule in rules():
        if "alert" not in rule:
            continue
        where = f"{pack}: {rule['alert']}"
        assert all(rule.get(key, "").strip() for key in ("summary", "description", "action")), where
        assert rule["alert"] == "site_offline" or "site_offline" in rule.get("inhibited_by", []), where


def test_the_page_of_all_rules_is_fresh() -> None:
    """`make docs` has nothing to change."""
    shown = (ROOT / "docs" / "rules-catalogue.md").read_text(encoding="utf-8")
    assert shown == rules_page.page(rules_page.pack_files()), "run: make docs"
