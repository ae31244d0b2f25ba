"""`clinic --help`: complete, correct, and fast."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import clinic
from clinic.entrypoints.cli import run
from clinic.entrypoints.cli.commands import COMMANDS, GROUPS, import_path, overview

ALL = [*COMMANDS, *(command for _, _, commands in GROUPS for command in commands)]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_without_a_command_prints_the_overview(capsys, arguments):
    assert run(arguments) == 0

    assert capsys.readouterr().out == overview() + "\n"


def test_overview_names_every_command_and_fits_a_terminal():
    text = overview()

    assert all(f"  {name} " in text for name, _, _ in COMMANDS)
    assert all(
        f"  {group} {'|'.join(name for name, _, _ in commands)}" in text
        for group, _, commands in GROUPS
    )
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("target", [target for _, target, _ in ALL])
def test_command_exists_and_tells_what_it_does(target):
    module, _, function = import_path(target).partition(":")

    command = getattr(importlib.import_module(module), function)

    assert command.__doc__


@pytest.mark.parametrize(
    "words",
    [[name] for name, _, _ in COMMANDS]
    + [[group, name] for group, _, commands in GROUPS for name, _, _ in commands],
    ids=" ".join,
)
def test_help_of_every_command_can_be_read(capsys, words):
    assert run([*words, "--help"]) == 0

    assert f"Usage: clinic {' '.join(words)}" in capsys.readouterr().out


def test_help_imports_no_library():
    program = (
        "import sys; from clinic.entrypoints.cli import run; run(['--help']);"
        "sys.exit(bool({'cyclopts', 'rich', 'litestar', 'sqlalchemy', 'msgspec'} & {*sys.modules}))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_only_the_table_of_commands_names_the_developer_tools():
    """As text, which import-linter does not see."""
    sources = Path(clinic.__file__).parent
    outside = (path for path in sources.rglob("*.py") if "devtools" not in path.parts)

    named_in = {path.relative_to(sources) for path in outside if "devtools" in path.read_text()}

    assert named_in == {Path("entrypoints/cli/commands.py")}


def test_help_of_a_command_imports_no_developer_tool():
    program = (
        "import sys; from clinic.entrypoints.cli import run; run(['doctor', 'list', '--help']);"
        "sys.exit(any(name.startswith('clinic.devtools') for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
