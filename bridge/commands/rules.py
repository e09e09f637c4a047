"""`victron-bridge rules list|check|test`: what rules there are, whether they are right, and whether they work."""

from __future__ import annotations

import argparse
import importlib

WORKS = {
    "list": "list all rules with the state of their inputs",
    "check": "find all mistakes in rule packs",
    "test": "run rule tests: values over time, and the events that they must give",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be done with rules."""
    works = parser.add_subparsers(title="what to do", metavar="list|check|test", required=True)
    for name, about in WORKS.items():
        module = importlib.import_module(f"bridge.commands.rules_{name}")
        work = works.add_parser(
            name, help=about, description=about, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(work)
        work.set_defaults(work=module.run)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for and return its exit code."""
    code: int = args.work(args)
    return code
