"""`victron-bridge run`: the bridge itself."""

from __future__ import annotations

import argparse
import gc
import logging
import os

from bridge.assemble import bridge_parts
from bridge.clock import SteadyClock
from bridge.files.compiled import load_lean
from bridge.files.settings import OPTIONS
from bridge.files.state import DirectoryLock
from bridge.supervisor import Supervisor

EPILOG = """\
example:
  victron-bridge run --gx http://venus.local:8088 --broker localhost --site home

Without --config everything has a default. Flags win over VICTRON_BRIDGE_* variables (VICTRON_BRIDGE_GX,
VICTRON_BRIDGE_PASSWORD, ...), which win over the file. Without --site the site is named by the GX's serial.
Ctrl-C or SIGTERM end it within two seconds. A wrong configuration starts nothing: exit code 2.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    for option in OPTIONS:
        if option.has_flag:
            parser.add_argument(option.flag, dest=option.name, metavar=option.metavar, help=option.about)


def run(args: argparse.Namespace) -> int:
    """Run the bridge until it is told to end.

    Raises:
        ConfigErrors: all mistakes of settings and rules, before anything was started.
        ConfigError: another process uses the state directory.
    """
    gc.disable()  # start-up makes nothing but what stays
    settings, compiled = load_lean(vars(args), os.environ)
    # systemd adds the time itself
    form = "%(levelname)s %(message)s" if "JOURNAL_STREAM" in os.environ else "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=settings.log_level.upper(), format=form)
    for warning in compiled.warnings:
        logging.warning("%s", warning)
    clock = SteadyClock()
    lock = DirectoryLock(settings.state_directory)
    lock.acquire()
    try:
        parts = bridge_parts(settings, compiled, clock)
        supervisor = Supervisor(parts, clock)
        del compiled, parts
        gc.freeze()  # what start-up made lives for good: the collector need not look at it again
        gc.enable()
        return supervisor.run()
    finally:
        lock.release()
