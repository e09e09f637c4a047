"""The rule tests of the program's packs, and that every pack has some."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.core.rule_cases import lacking
from bridge.core.rule_diff import judge
from bridge.core.rule_test import play
from bridge.files.paths import rules_directory
from bridge.files.rule_tests import files_of, read_tests


@pytest.mark.parametrize("path", files_of([]), ids=lambda path: path.name)
def test_the_rules_of_a_pack_do_what_its_tests_say(path: Path) -> None:
    """Every test of the file is as expected, and no rule lacks a case."""
    (read,) = read_tests([path])
    assert read.tests
    for test, program in read.tests:
        assert judge(test, play(test, program, read.pack)) == [], test.name
    assert lacking(read.program, read.pack, read.records, [test for test, _ in read.tests]) == []


def test_every_pack_has_tests() -> None:
    """A pack without a test file would go unnoticed."""
    packs = {path.stem for path in rules_directory().glob("*.yaml")}
    assert packs == {path.name.removesuffix(".test.yaml") for path in files_of([])}
