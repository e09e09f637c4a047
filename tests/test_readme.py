"""What README and docs show works: rules compile, configurations are right, links lead somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.core.rules import Pack, compile_packs
from bridge.files import extra_limits
from bridge.files.config_file import config_faults
from bridge.files.extra import load_extra
from bridge.files.schema import validate
from bridge.files.settings import OPTIONS
from bridge.files.yaml_text import load, load_file
from bridge.model import Kind
from tests.catalogue import catalogue, documents

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("rules/*.md")])
_SEVERAL = re.compile(r"<severity>")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def test_the_rule_of_the_readme_is_a_whole_pack() -> None:
    """Saved as it stands it fits the schema and compiles beside the essential pack, with an alert of its own."""
    (text,) = [block for block in blocks(README, "yaml") if block.startswith("pack:")]
    own, essential = load(text, "my_rules.yaml"), load_file(ROOT / "rules" / "essential.yaml")
    assert validate(own, "rules") == []
    packs = [Pack(one.file, one.data, one.marks, one.keys) for one in (essential, own)]
    alone, both = compile_packs(packs[:1], catalogue()), compile_packs(packs, catalogue())
    assert len(both.rules) == len(alone.rules) + 1


@pytest.mark.parametrize(("page", "number"), [(README, 1), (CONFIGURATION, 5)], ids=["README", "configuration"])
def test_the_shown_configurations_have_no_fault(page: Path, number: int, tmp_path: Path) -> None:
    """Every YAML block that is no rule pack is a config file; the files that it names are there."""
    shown = [block for block in blocks(page, "yaml") if not block.startswith("pack:")]
    assert len(shown) == number
    for block in shown:
        for name in re.findall(r"[\w./-]+\.(?:yaml|json|pem|key|password|secret)\b", block):
            (tmp_path / name.lstrip("/").rpartition("/")[2]).write_text("secret\n")
        local = block.replace("/etc/", "")
        assert [str(fault) for fault in config_faults(load(local, "config.yaml"), tmp_path)] == []


def test_the_shown_quick_reference_is_right(tmp_path: Path) -> None:
    """It loads without error or warning, and its alerts have the names that the text says."""
    (text,) = blocks(CONFIGURATION, "json")
    path = tmp_path / "my_paths.json"
    path.write_text(text)
    extra = load_extra(path, documents())
    assert extra.errors == [] and extra.warnings == []
    assert extra.pack is not None and json.loads(text)["battery"]
    names = {rule["alert"] for rule in extra.pack["rules"]}
    assert {"my_paths_state_of_charge_warning_low", "my_paths_grid_lost_critical"} <= names
    assert "state_of_charge_warning_low" in extra.pack["params"]
    assert "/Fan/Speed" in extra.rows["vebus"]


def test_every_threshold_key_of_the_page_is_understood() -> None:
    """A key that the table names is used, for every severity."""
    table = CONFIGURATION.read_text().partition("| key | becomes |")[2]
    keys = [key for cell in re.findall(r"^\| (.+?) \|", table, re.M) for key in re.findall(r"`([^`]+)`", cell)]
    keys = [f"<severity>{key}" if key.startswith("_") else key for key in keys]
    elsewhere = (
        "trigger",
        "severity",
        "description",
        "action",
        "poll_interval_seconds",
        "poll_interval",
        "polling_frequency_seconds",
    )
    wanted = {
        _SEVERAL.sub(severity, key).removesuffix(": true")
        for severity in extra_limits.SEVERITIES
        for key in keys
        if key not in elsewhere
    }
    assert len(wanted) > 40
    for key in wanted:
        assert key in extra_limits.limits({key: 1}, Kind.FLOAT, "some/point").used


def test_every_variable_is_on_the_page() -> None:
    """The table names every option's variable, and the flag where there is one."""
    text = CONFIGURATION.read_text()
    for option in OPTIONS:
        assert f"| `{option.variable}` | " + (f"`{option.flag}`" if option.has_flag else "none") in text


def test_every_key_is_on_the_page() -> None:
    """Every key of the settings' schema stands in a table of the page, and the page names no other."""
    schema = json.loads((ROOT / "schemas" / "settings.schema.json").read_text())
    known: set[str] = set()

    def collect(part: dict[str, Any], path: str) -> None:
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].rpartition("/")[2]]
        own_names = part.get("additionalProperties") if path in ("inputs", "publish.deadband") else None
        entries = part["items"] if path == "maintenance" else own_names or part
        for form in (entries, *entries.get("oneOf", ())):
            form = schema["$defs"][form["$ref"].rpartition("/")[2]] if "$ref" in form else form
            for key, inner in form.get("properties", {}).items():
                # Tables of their own name keys by themselves.
                alone = path in ("inputs", "maintenance", "profile")
                known.add(key if alone or not path else f"{path}.{key}")
                if f"{path}.{key}" not in ("poll.tiers", "broker.tls", ".sites"):
                    collect(inner, f"{path}.{key}" if path else key)

    collect(schema, "")
    tables = CONFIGURATION.read_text().split("## Points and thresholds")[0].split("## Every key")[1]
    rows = re.findall(r"^\| (`.+?) \|", tables, re.M)
    named = {key for row in rows for key in re.findall(r"`([^`]+)`", row)}
    groups = {"poll", "publish", "catalogue", "rules", "log"}
    assert known - named == groups
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    """Links to the web aside, each names something of this repository."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []
