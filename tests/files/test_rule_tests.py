"""Files of rule tests: every name is looked up, every fault has its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.errors import ConfigError, ConfigErrors
from bridge.files.rule_tests import files_of, read_tests

FIXTURES = Path(__file__).parent.parent / "fixtures"
PACK = """\
pack: own
params: {limit: 20}
rules:
  - alert: price_high
    expr: input.price > params.limit
    inhibited_by: [site_offline]
    severity: info
    summary: expensive
    source: mine
"""
TESTS = """\
pack: own
with: [essential]
inputs: {price: number}
interval: 1m
tests:
  - name: dear
    series: {input.price: [5, 30, 5]}
    expect: []
  - name: cheaper
    interval: 10s
    lasts: 5m
    start: "2026-06-01T12:00:00Z"
    params: {limit: 10}
    series: {input.price: 5}
    expect_some: [{alert: price_high, event: firing}]
"""


def faults(*files: Path) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        read_tests(files)
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("rule_test.*.bad.yaml")), ids=lambda path: path.name)
def test_bad_files_get_the_errors_they_state(path: Path) -> None:
    """Every `# expect line:column message` comes true, in this order, and nothing else is reported."""
    expected = re.findall(r"^# expect (\d+):(\d+) (.+)$", path.read_text(encoding="utf-8"), re.M)
    with pytest.raises(ConfigErrors) as caught:
        read_tests([path])
    found = caught.value.errors
    assert [(str(error.line), str(error.column)) for error in found] == [(line, column) for line, column, _ in expected]
    for error, (_, _, message) in zip(found, expected):
        assert error.message.startswith(message)
        assert error.file == str(path)


@pytest.mark.parametrize(
    ("written", "place", "message"),
    [
        ("pack: own", "1:1", 'the key "tests" is missing'),
        ("tests: [{name: a, series: {}, expect: []}]", "1:1", "either the key pack or the key file"),
        ("pack: own\nfile: own.yaml\ntests: [{name: a, series: {}, expect: []}]", "1:1", "either the key pack"),
        ("pack: own\ntests: []", "2:8", "a list of tests"),
        ("pack: own\ntests: [{name: a, series: {}}]", "2:9", "expect, expect_some or expect_points"),
        ("pack: own\ntests: [{name: a, series: {}, expect: [], expect_some: [{alert: a, event: firing}]}]", "2:9", "not both"),
        ("pack: own\ntests: [{name: a, series: {}, expect: [{alert: a, event: firing}]}]", "2:40", 'the key "at" is missing'),
        ("pack: own\ntests: [{name: a, case: fire, series: {}, expect: []}]", "2:25", "fires, below, clears or unknown"),
        ("pack: own\ntests: [{nam: a, series: {}, expect: []}]", "2:10", 'did you mean "name"?'),
        ("pack: esential\ntests: [{name: a, series: {}, expect: []}]", "1:7", 'did you mean "essential"?'),
        ("file: gone.yaml\ntests: [{name: a, series: {}, expect: []}]", "1:7", "there is no file"),
        ("pack: own\nwith: [gone]\ntests: [{name: a, series: {}, expect: []}]", "2:8", 'no pack is called "gone"'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_place(written: str, place: str, message: str, tmp_path: Path) -> None:
    """Structure first: the schema's words, or the pack that is not there."""
    (tmp_path / "own.yaml").write_text(PACK)
    file = tmp_path / "own.test.yaml"
    file.write_text(written)
    (fault,) = [one for one in faults(file) if message in one]
    assert fault.startswith(f"{file}:{place}: ")


def test_a_test_file_has_usual_values_and_a_test_its_own(tmp_path: Path) -> None:
    """Interval, start, length, params and inputs come from the test, else from the file, else from us."""
    (tmp_path / "own.yaml").write_text(PACK)
    (tmp_path / "own.test.yaml").write_text(TESTS)
    (read,) = read_tests(files_of([str(tmp_path)]))
    assert (read.pack, read.records) == ("own", ())
    (dear, program), (cheaper, other) = read.tests
    assert (dear.interval_s, dear.lasts_s, dear.start, dear.is_whole) == (60.0, 180.0, 1767571200.0, True)
    assert (cheaper.interval_s, cheaper.lasts_s, cheaper.start, cheaper.is_whole) == (10.0, 300.0, 1780315200.0, False)
    assert (program.params["own"]["limit"], other.params["own"]["limit"]) == (20, 10)
    assert [lane.point.name for lane in dear.lanes] == ["input/price"]


def test_inputs_that_a_pack_declares_need_not_be_named(tmp_path: Path) -> None:
    """Their kind stands in the pack; without a series they are unknown."""
    (tmp_path / "own.yaml").write_text(PACK.replace("params:", "inputs: {price: {unit: ct}}\nparams:"))
    (tmp_path / "own.test.yaml").write_text(TESTS.replace("inputs: {price: number}\n", ""))
    (read,) = read_tests([tmp_path / "own.test.yaml"])
    assert [lane.point.name for lane in read.tests[0][0].lanes] == ["input/price"]


def test_what_a_pack_needs_is_loaded_with_it(tmp_path: Path) -> None:
    """The test need not name it again."""
    (tmp_path / "own.yaml").write_text(PACK.replace("params:", "needs: [essential]\nparams:"))
    (tmp_path / "own.test.yaml").write_text(TESTS.replace("with: [essential]\n", ""))
    (read,) = read_tests([tmp_path / "own.test.yaml"])
    assert "site_offline" in [rule.name for rule in read.program.rules]


def test_a_device_is_read_as_a_whole_unless_a_path_is_left_out(tmp_path: Path) -> None:
    """Then each of its paths is read by itself, as of a service that cannot be listed; no device is read both ways."""
    file = tmp_path / "a.test.yaml"
    file.write_text(
        "pack: essential\ntests:\n  - name: a\n    expect: []\n    series:\n"
        "      battery[1].soc: [5, unread]\n      battery[1].voltage: 50\n      battery[2].soc: 5\n"
    )
    ((test, _),) = read_tests([file])[0].tests
    groups = [lane.point.group for lane in test.lanes]
    assert groups == ["battery/1@battery/1/soc", "battery/1@battery/1/voltage", "battery/2"]


def test_the_mistakes_of_a_pack_are_told_instead(tmp_path: Path) -> None:
    """A pack that does not compile has no tests to run."""
    (tmp_path / "own.yaml").write_text(PACK.replace("input.price", "input.prise"))
    (tmp_path / "own.test.yaml").write_text(TESTS)
    (fault,) = faults(tmp_path / "own.test.yaml")
    assert fault.startswith(f"{tmp_path / 'own.yaml'}:5:11: ") and "input.price" in fault


def test_a_pack_of_another_type_of_param_is_refused_at_its_place(tmp_path: Path) -> None:
    """The compiler refuses the param; the place is that of the test."""
    (tmp_path / "own.yaml").write_text(PACK)
    file = tmp_path / "own.test.yaml"
    file.write_text(TESTS.replace("limit: 10", "limit: high"))
    (fault,) = faults(file)
    assert fault.startswith(f"{file}:13:") and "a number" in fault


def test_directories_hold_test_files(tmp_path: Path) -> None:
    """A directory without any is a mistake; without a name the program's own are meant."""
    with pytest.raises(ConfigError, match=r"no \*\.test\.yaml"):
        files_of([str(tmp_path)])
    assert "essential.test.yaml" in [path.name for path in files_of([])]


def test_a_pack_is_no_file_of_tests(tmp_path: Path) -> None:
    """Who names the pack instead of its tests is told how these are called."""
    file = tmp_path / "own.yaml"
    file.write_text(PACK)
    assert faults(file) == [f"{file}:1:1: this is a pack, not its tests; they stand in own.test.yaml"]
