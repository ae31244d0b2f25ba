"""Parses a command with cyclopts, runs it, and prints an error as one line."""

import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError, Parameter

from clinic.bootstrap import CannotStart
from clinic.domain.errors import ClinicError, TemporaryFailure
from clinic.entrypoints.cli.commands import COMMANDS, GROUPS, import_path
from clinic.settings import SettingsError

REFUSED, MISUSED, INTERRUPTED = 1, 2, 130


def make_app(arguments: Sequence[str] = ()) -> App:
    """Return the parser of every command; none of their modules is imported yet. The help of the
    command that `arguments` name is its whole description instead of one line."""
    app = App(
        name="clinic",
        help="A clinic's appointments.",
        version=lambda: version("clinic"),
        help_format="plaintext",
        # --empty-address would be a second way to write --address ""
        default_parameter=Parameter(negative_iterable=()),
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    named = tuple(arguments[:2])
    for name, target, text in COMMANDS:
        described = {} if named[:1] == (name,) else {"help": text}
        app.command(import_path(target), name=name, **described)
    for group, text, commands in GROUPS:
        child = App(name=group, help=text)
        for name, target, line in commands:
            described = {} if named == (group, name) else {"help": line}
            child.command(import_path(target), name=name, **described)
        app.command(child)
    return app


def run_command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; expected errors are printed as one line."""
    try:
        status = make_app(arguments)(list(arguments))
    except CycloptsError as error:
        complain(f"{_sentence(error)} Try: clinic {' '.join([*_command_in(arguments), '--help'])}")
        return MISUSED
    except TemporaryFailure as error:
        complain(f"{error.message} ({error.code}) Run clinic check to see what is wrong.")
        return REFUSED
    except ClinicError as error:
        complain(f"{error.message} ({error.code})")
        return REFUSED
    except SettingsError as error:
        complain(f"{error} (settings)")
        return REFUSED
    except CannotStart as error:
        complain(f"{error} (cannot_start)")
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the pipe, such as `head`, has closed it.
        sys.stdout = None
        return 0
    return status if isinstance(status, int) else 0


def _command_in(arguments: Sequence[str]) -> Sequence[str]:
    """Return the words at the start of `arguments` that name a command or its group."""
    named = [(group, name) for group, _, commands in GROUPS for name, _, _ in commands]
    if tuple(arguments[:2]) in named:
        return arguments[:2]
    return [word for word in arguments[:1] if not word.startswith("-")]


def complain(message: str) -> None:
    """Print one line on standard error."""
    print(f"clinic: {message}", file=sys.stderr)


def _sentence(error: CycloptsError) -> str:
    return " ".join(str(error).split())
