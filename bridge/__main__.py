"""`victron-bridge` and `python -m bridge`. Ctrl-C is no fault, also while the program is still being loaded."""

import sys


def main() -> int:
    """Load the program, run it and return its exit code."""
    try:
        from bridge.cli import main as run_command

        return run_command()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
