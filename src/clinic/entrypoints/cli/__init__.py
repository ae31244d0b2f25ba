"""The command line: `clinic COMMAND`. A command's module is imported when it is called."""

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
    # Imported late: this takes far longer than printing the overview.
    from clinic.entrypoints.cli.app import run_command

    return run_command(arguments)
