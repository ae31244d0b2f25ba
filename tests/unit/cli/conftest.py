"""A clinic in memory for commands to work on."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from clinic.bootstrap import Services, in_memory
from clinic.entrypoints.cli import run
from clinic.entrypoints.cli.session import builder

#: a Monday morning in London
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass
class Clock:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


@dataclass(frozen=True)
class Line:
    """The command line on one clinic in memory."""

    services: Services
    clock: Clock
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> str:
        """Return the output of a command, which must succeed."""
        status = run(arguments)
        answer = self.capsys.readouterr()
        assert (status, answer.err) == (0, "")
        return answer.out

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))

    def refused(self, *arguments: str) -> tuple[int, str]:
        """Return status and error message of a command, which must fail."""
        status = run(arguments)
        answer = self.capsys.readouterr()
        assert status != 0
        assert answer.out == ""
        return status, answer.err


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Iterator[Line]:
    clock = Clock()
    services = in_memory(clock=clock)
    build: Callable[..., Services] = lambda _settings: services  # noqa: E731
    before = builder.set(build)
    yield Line(services, clock, capsys)
    builder.reset(before)


@pytest.fixture
def ids(line: Line) -> dict[str, str]:
    """A clinic with a doctor, Monday hours and two patients; their ids by name."""
    clinic = line.json("clinic", "create", "Harbour", "Europe/London")
    doctor = line.json("doctor", "add", "Dr Who", "who@example.org", "Time")
    line("hours", "add", doctor["id"], "09:00", "11:00", "--weekdays", "mon,tue")
    patients = [
        line.json("patient", "add", f"Patient {number}", f"p{number}@example.org")["id"]
        for number in (1, 2)
    ]
    return {"clinic": clinic["id"], "doctor": doctor["id"], "one": patients[0], "two": patients[1]}
