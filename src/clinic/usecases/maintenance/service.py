"""A maintenance service, and the resources that it gets."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.errors import ClinicError, TemporaryFailure
from clinic.ports.answers import IdempotencyCache
from clinic.usecases.context import AnonymousContext


class MaintenanceIncomplete(Exception):
    """A part of a service's work failed; the rest is done."""


class DoctorFailures:
    """Decides whether a run goes on after the slots of a doctor could not be written."""

    def __init__(self) -> None:
        self._last: UUID | None = None

    def passed(self) -> None:
        """Note that the slots of a doctor were written."""
        self._last = None

    def add(self, doctor_id: UUID, error: ClinicError) -> None:
        """Note a failure. Raises TemporaryFailure for the second doctor in a row: one doctor's row
        may be locked, or have too many slots to write in time, but with two it is the database."""
        if not isinstance(error, TemporaryFailure):
            return
        if self._last not in (None, doctor_id):
            raise error
        self._last = doctor_id


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources that services work with."""

    #: its clock gives the database's time while a service runs
    context: AnonymousContext
    cache: IdempotencyCache


#: how many rows were made or removed, by kind
RowCounts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Service:
    """A piece of work that is due once every `period` and may be repeated at any time.

    `run` works in small transactions, each of which may run concurrently with another worker's.
    """

    name: str
    summary: str
    period: timedelta
    run: Callable[[Resources], Awaitable[RowCounts]]


class DatabaseClock:
    """Continues the database's time by this machine's monotonic clock, which is never set."""

    def __init__(self, now: datetime, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._monotonic_s = monotonic_s
        self._since_s = monotonic_s()

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        return self._now + timedelta(seconds=self._monotonic_s() - self._since_s)
