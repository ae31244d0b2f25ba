"""One transaction over every repository."""

from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine

from clinic.adapters.postgres.appointments.repository import PostgresAppointments
from clinic.adapters.postgres.appointments.resources import PostgresResources
from clinic.adapters.postgres.appointments.types import PostgresAppointmentTypes
from clinic.adapters.postgres.audit.change_feed import PostgresFeedCursors
from clinic.adapters.postgres.audit.event_log import PostgresEventLog
from clinic.adapters.postgres.calendar.calendar_changes import PostgresCalendarChanges
from clinic.adapters.postgres.calendar.closings import PostgresClosings
from clinic.adapters.postgres.calendar.locations import PostgresLocations
from clinic.adapters.postgres.calendar.repository import PostgresCalendars
from clinic.adapters.postgres.engine.executors import TransactionExecutor
from clinic.adapters.postgres.idempotency.answers import PostgresAnswers
from clinic.adapters.postgres.messaging.outbox import PostgresMessages
from clinic.adapters.postgres.people.accounts import PostgresAccounts
from clinic.adapters.postgres.people.erasures import PostgresErasures
from clinic.adapters.postgres.people.memberships import PostgresMemberships
from clinic.adapters.postgres.people.repository import PostgresPeople
from clinic.adapters.postgres.people.sessions import PostgresSessions


class PostgresUnitOfWork:
    """A transaction at READ COMMITTED; the first statement connects and begins it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._executor = TransactionExecutor(engine)
        self.appointments = PostgresAppointments(self._executor)
        self.appointment_types = PostgresAppointmentTypes(self._executor)
        self.locations = PostgresLocations(self._executor)
        self.resources = PostgresResources(self._executor)
        self.calendars = PostgresCalendars(self._executor)
        self.closings = PostgresClosings(self._executor)
        self.calendar_changes = PostgresCalendarChanges(self._executor)
        self.people = PostgresPeople(self._executor)
        self.answers = PostgresAnswers(self._executor)
        self.events = PostgresEventLog(self._executor)
        self.messages = PostgresMessages(self._executor)
        self.accounts = PostgresAccounts(self._executor)
        self.memberships = PostgresMemberships(self._executor)
        self.sessions = PostgresSessions(self._executor)
        self.erasures = PostgresErasures(self._executor)
        self.cursors = PostgresFeedCursors(self._executor)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._executor.end()

    async def commit(self) -> None:
        """Commit. Raises TransactionAborted after an error, and whatever the writes raise."""
        await self._executor.commit()
