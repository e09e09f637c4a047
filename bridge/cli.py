"""Arguments and exit codes: 0 fine, 1 a check or test failed, 2 usage or configuration, 3 our bug.

Each subcommand is a module of `bridge.commands` with `add_arguments(parser)` and `run(args)`; only the one that is
asked for is imported, since what `run` imports stays in its memory for good.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from bridge import __version__
from bridge.errors import BridgeError, ConfigErrors

COMMANDS = {
    "run": "poll the GX, publish its values and raise alerts",
    "check": "find all mistakes in the configuration, the rules and the catalogue",
    "discover": "list services, devices, points and values of a GX; needs no broker",
    "doctor": "test every hop between the GX and the broker and name the one that fails",
    "demo": "see it all at work: a simulated GX, a broker, live values and alerts in the terminal",
    "simulate": "serve a simulated GX with faults on request",
    "record": "write what a GX says to a file",
    "replay": "run the rules over a recording",
    "rules": "list, check and test rules",
    "explain": "show why an alert is in the state it is in",
    "backtest": "try rules and thresholds on recordings and history",
    "forget": "clear what a device or a site has left on the broker",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in arguments if not word.startswith("-")), "")
    parser = _parser(name)
    if name and name not in COMMANDS:
        parser.error(_unknown(name))
    args = parser.parse_args(arguments)
    try:
        code: int = args.run(args)
    except ConfigErrors as error:
        print(*error.errors, sep="\n", file=sys.stderr)
        return 2
    except BridgeError as error:
        print(f"victron-bridge: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has left: `victron-bridge discover | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        import traceback

        traceback.print_exc()
        print("victron-bridge: this is our bug; please report it with the lines above", file=sys.stderr)
        return 3
    return code


def _unknown(name: str) -> str:
    from bridge.core.nearest import nearest  # `run` need not carry it

    meant = nearest(name, COMMANDS)
    return f'no command is called "{name}"; ' + (
        f'did you mean "{meant}"?' if meant else f"there are {', '.join(COMMANDS)}"
    )


def _parser(wanted: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="victron-bridge",
        description="MQTT bridge and edge rule engine for Victron energy systems.",
        epilog="Try: victron-bridge demo",
    )
    parser.add_argument("--version", action="version", version=f"victron-bridge {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        command = commands.add_parser(
            name, help=about, description=about, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == wanted:
            module = importlib.import_module(f"bridge.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser
