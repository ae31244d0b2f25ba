"""The command line: `clinic COMMAND`. Commands are imported when they are called."""

import sys
from collections.abc import Sequence

from clinic.entrypoints.cli.commands import overview


def main() -> None:
    """Run the command of this process and exit: 0 done, 1 refused, 2 wrong usage."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status."""
    if list(arguments) in ([], ["--help"], ["-h"], ["help"]):
        print(overview())
        return 0
    # Not earlier: parsing a command takes far longer to import than printing the overview.
    from clinic.entrypoints.cli.app import run_command

    return run_command(arguments)
