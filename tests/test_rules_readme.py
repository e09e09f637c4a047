"""`rules/README.md`: every example of it works, and it leaves no key out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from bridge.core.points import NUMBER, Known
from bridge.core.points import TEXT as TEXT_TYPE
from bridge.core.rule_fields import ALERT_KEYS, PACK_KEYS, RECORD_KEYS
from bridge.core.rules import Pack, compile_packs
from bridge.core.series import read_cells
from bridge.files.rule_tests import read_tests
from bridge.files.schema import validate
from bridge.files.yaml_text import load, load_file
from tests.catalogue import catalogue

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "rules" / "README.md").read_text(encoding="utf-8")
PACK, TESTS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.M | re.S)
SCHEMA = json.loads((ROOT / "schemas" / "rule-test.schema.json").read_text())
ESSENTIAL = load_file(ROOT / "rules" / "essential.yaml")
PRICE = Known("input/price", "", NUMBER)


def section(title: str) -> str:
    return TEXT.partition(f"\n{title}\n")[2].partition("\n#")[0]


def rows(part: str) -> list[tuple[str, str]]:
    """Return key and example of each row of a table of three columns."""
    found = re.findall(r"^\| `(.+?)` ?(?:,.*?)?\| .* \| `(.+)` \|$", part, re.M)
    return [(key, example) for key, example in found if key != "key"]


def compiled(rule: dict[str, Any]) -> None:
    data = {"pack": "readme", "params": {"soc_low": 20}, "rules": [rule]}
    document = load(json.dumps(data), "README.md")
    assert validate(document, "rules") == []
    packs = [Pack(one.file, one.data, one.marks) for one in (ESSENTIAL, document)]
    compile_packs(packs, catalogue(), inputs=[PRICE])


def plain(example: str) -> Any:
    return load(example, "README.md").data


ALERT = {"alert": "one", "expr": "battery.soc < 20", "severity": "info", "summary": "s", "source": "me"}
RECORD = {"record": "battery.difference", "each": "battery", "expr": "battery.cell_voltage.max"}


def test_the_pack_passes_the_tests_that_the_page_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Saved as they stand, the tests hold for the pack and leave no case out."""
    (tmp_path / "example.yaml").write_text(PACK)
    (tmp_path / "example.test.yaml").write_text(TESTS)
    assert main(["rules", "test", str(tmp_path)]) == 0, capsys.readouterr().out


def test_the_pack_can_be_loaded_beside_the_usual_one() -> None:
    """Who starts with it keeps the pack that everybody has."""
    own = Pack("example.yaml", load(PACK, "example.yaml").data)
    compile_packs([Pack(ESSENTIAL.file, ESSENTIAL.data), own], catalogue())


@pytest.mark.parametrize(("key", "example"), rows(section("## Keys of an alert, best in this order")))
def test_the_keys_of_an_alert_work(key: str, example: str) -> None:
    """Each in an alert that needs nothing else."""
    assert list(plain(example)) == [key]
    compiled({**ALERT, **plain(example)})


@pytest.mark.parametrize(("key", "example"), rows(section("## Keys of a record")))
def test_the_keys_of_a_record_work(key: str, example: str) -> None:
    """Each in a record that needs nothing else."""
    assert list(plain(example)) == [key]
    compiled({**RECORD, **plain(example)})


@pytest.mark.parametrize(("key", "example"), rows(section("## Keys of a pack")))
def test_the_keys_of_a_pack_work(key: str, example: str) -> None:
    """Each in a pack that needs nothing else."""
    assert list(plain(example)) == [key]
    data = {"pack": "one", "rules": [], **plain(example)}
    assert validate(load(json.dumps(data), "README.md"), "rules") == []
    compile_packs([Pack("README.md", data), Pack(ESSENTIAL.file, ESSENTIAL.data)], catalogue())


@pytest.mark.parametrize(("name", "example"), rows(section("## Names")))
def test_the_names_work(name: str, example: str) -> None:
    """Each in a condition of a rule for batteries."""
    compiled({**ALERT, "each": "battery", "expr": example})


@pytest.mark.parametrize(
    ("key", "example"), rows(TEXT.partition("Keys of a test file:")[2].partition("Keys of a test:")[0])
)
def test_the_keys_of_a_test_file_fit(key: str, example: str) -> None:
    """Each beside what every file has; a file without tests is refused, so `tests` is tried by all others."""
    assert list(plain(example)) == [key]
    usual: dict[str, Any] = {"tests": [{"name": "a", "series": {}, "expect": []}]}
    data = {**({} if key == "file" else {"pack": "essential"}), **plain(example), **usual}
    assert validate(load(json.dumps(data), "README.md"), "rule-test") == []


@pytest.mark.parametrize(
    ("key", "example"), rows(TEXT.partition("Keys of a test:")[2].partition("An expected event")[0])
)
def test_the_keys_of_a_test_work(key: str, example: str, tmp_path: Path) -> None:
    """Each in a test of the pack above, to which a record is added."""
    record = "  - {record: battery.soc_left, expr: battery.soc - params.soc_low}\n"
    (tmp_path / "example.yaml").write_text(PACK.replace("rules:\n", "rules:\n" + record))
    usual = {"name": "a", "series": {"battery.soc": "5 x20"}, "expect": []}
    if key == "expect_some":
        del usual["expect"]
    file = tmp_path / "example.test.yaml"
    file.write_text(json.dumps({"pack": "example", "tests": [{**usual, **plain(example)}]}))
    assert read_tests([file])[0].tests


def test_the_values_of_series_are_read() -> None:
    """Every notation of the table stands for something."""
    table = TEXT.partition("A series is named")[2].partition("The GX and all devices")[0]
    cells = re.findall(r"^\| (`.+) \|.+\|$", table, re.M)
    assert len(cells) == 7
    for text in [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]:
        assert read_cells(text, NUMBER if text[0] in "0123456789@_u" else TEXT_TYPE, 0.0)


def test_the_page_leaves_no_key_out() -> None:
    """Every key of packs, rules, test files, tests and events stands on it."""
    keys = [*PACK_KEYS, *ALERT_KEYS, *RECORD_KEYS, *SCHEMA["properties"]]
    keys += [*SCHEMA["$defs"]["test"]["properties"], *SCHEMA["$defs"]["event"]["properties"]]
    keys += [*SCHEMA["$defs"]["case"]["enum"], *SCHEMA["$defs"]["event"]["properties"]["event"]["enum"]]
    assert [key for key in keys if f"`{key}`" not in TEXT] == []
    for title, known in (
        ("## Keys of an alert, best in this order", ALERT_KEYS),
        ("## Keys of a record", RECORD_KEYS),
        ("## Keys of a pack", PACK_KEYS),
    ):
        assert [key for key, _ in rows(section(title))] == list(known)
