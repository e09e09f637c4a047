"""`victron-bridge rules test`: values over time through the very engine, and the events that they must give.

A failed test is shown as a diff in the notation of test files, so that what is right can be copied from it. A rule
whose tests leave a case out fails, too: see `core.rule_cases`.
"""

from __future__ import annotations

import argparse
import json
import math
import textwrap
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bridge.commands.table import printable, terminal_width
from bridge.core.rule_cases import Lack, lacking
from bridge.core.rule_diff import Line, judge
from bridge.core.rule_test import RuleTest, play
from bridge.errors import ConfigError
from bridge.files.rule_tests import RuleTests, files_of, read_tests

EPILOG = """\
examples:
  victron-bridge rules test                       the tests of the program's packs
  victron-bridge rules test my_rules.test.yaml    these; a directory stands for all its *.test.yaml
  victron-bridge rules test -k soc --verbose      those whose name or alert holds "soc", each with its result

Exit code 0: all is as expected. 1: a test failed, or a rule lacks a case. 2: a file is wrong.
"""
_INDENT = " " * 6  # behind the mark of a line of a diff
_NARROWEST = 20  # letters of such a line


class Result(NamedTuple):
    """What a test came to; no lines: as expected."""

    test: RuleTest
    lines: Sequence[Line]


class FileResult(NamedTuple):
    tests: RuleTests
    results: Sequence[Result]
    lacks: Sequence[Lack]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `rules test`."""
    parser.epilog = EPILOG
    parser.add_argument("files", nargs="*", metavar="FILE", help="test files or directories of them")
    parser.add_argument("-k", dest="wanted", metavar="TEXT", default="", help="only tests that hold this text")
    parser.add_argument("--verbose", action="store_true", help="name the tests that pass, too")
    parser.add_argument("--json", action="store_true", help="write one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run rule tests; return 1 when any is not as expected.

    Raises:
        ConfigErrors: all mistakes of the test files, or of the packs.
        ConfigError: no test is chosen.
    """
    began = time.monotonic()
    found = [_run_file(tests, args.wanted) for tests in read_tests(files_of(args.files))]
    if args.wanted and not any(one.results for one in found):
        raise ConfigError(f'no test holds "{args.wanted}"', key="-k")
    failed = sum(1 for one in found for result in one.results if result.lines)
    lacks = sum(len(one.lacks) for one in found)
    if args.json:
        print(json.dumps(_document(found), ensure_ascii=False, indent=2))
    else:
        for line in _lines(found, args.verbose):
            print(line)
        print(_summary(found, failed, lacks, time.monotonic() - began))
    return 1 if failed or lacks else 0


def _run_file(tests: RuleTests, wanted: str) -> FileResult:
    results = []
    for test, program in tests.tests:
        if not wanted or any(wanted.lower() in text.lower() for text in (test.name, *test.alerts)):
            results.append(Result(test, judge(test, play(test, program, tests.pack))))
    # Of a few tests one cannot say that a case is missing.
    lacks = [] if wanted else lacking(tests.program, tests.pack, tests.records, [test for test, _ in tests.tests])
    return FileResult(tests, results, lacks)


def _lines(found: Iterable[FileResult], is_verbose: bool) -> Iterable[str]:
    for one in found:
        for test, lines in one.results:
            if lines:
                yield f"FAIL  {one.tests.file}:{test.line}: {test.name}"
                yield from _diff(lines)
                yield ""
            elif is_verbose:
                yield f"ok    {one.tests.file}:{test.line}: {test.name}"
        for lack in one.lacks:
            yield f'FAIL  {one.tests.file}: rule "{lack.rule}": {lack.message}'


def _diff(lines: Sequence[Line]) -> Iterable[str]:
    width = terminal_width() or math.inf
    for mark, text, note in lines:
        parts = [part for part in (printable(text, 400), note) if part]
        line = f"    {mark} {'    '.join(parts)}"
        if len(line) > width:
            room = max(_NARROWEST, int(width) - len(_INDENT))
            pieces = [piece for part in parts for piece in textwrap.wrap(part, room, break_on_hyphens=False)]
            line = f"    {mark} " + f"\n{_INDENT}".join(pieces)
        yield line


def _summary(found: Sequence[FileResult], failed: int, lacks: int, took_s: float) -> str:
    number = sum(len(one.results) for one in found)
    rules = len(
        {
            (one.tests.pack, rule.name)
            for one in found
            for rule in one.tests.program.rules
            if rule.pack == one.tests.pack
        }
    )
    told = f"{_counted(number, 'test')} of {_counted(len(found), 'pack')} with {_counted(rules, 'alert')}"
    bad = [f"{failed} failed" if failed else "", f"{lacks} without all cases" if lacks else ""]
    verdict = ", ".join(part for part in bad if part) or "all as expected"
    return f"{told} in {took_s:.1f} s: {verdict}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _document(found: Iterable[FileResult]) -> dict[str, Any]:
    tests = [
        {
            "file": one.tests.file,
            "line": test.line,
            "pack": one.tests.pack,
            "name": test.name,
            "alerts": list(test.alerts),
            "ok": not lines,
            "diff": [line._asdict() for line in lines],
        }
        for one in found
        for test, lines in one.results
    ]
    lacks = [{"file": one.tests.file, "pack": one.tests.pack, **lack._asdict()} for one in found for lack in one.lacks]
    return {"ok": not lacks and all(test["ok"] for test in tests), "tests": tests, "lacks": lacks}
