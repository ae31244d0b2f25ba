"""A transaction over the tables in memory."""

from types import TracebackType
from typing import Self

from clinic.adapters.memory.accounts import MemoryAccounts
from clinic.adapters.memory.answers import MemoryAnswers
from clinic.adapters.memory.appointment_types import MemoryAppointmentTypes
from clinic.adapters.memory.appointments import MemoryAppointments
from clinic.adapters.memory.calendar_changes import MemoryCalendarChanges
from clinic.adapters.memory.calendars import MemoryCalendars
from clinic.adapters.memory.change_feed import MemoryFeedCursors
from clinic.adapters.memory.closings import MemoryClosings
from clinic.adapters.memory.constraints import check_all
from clinic.adapters.memory.erasures import MemoryErasures
from clinic.adapters.memory.events import MemoryEventLog
from clinic.adapters.memory.locations import MemoryLocations
from clinic.adapters.memory.memberships import MemoryMemberships
from clinic.adapters.memory.messages import MemoryMessages
from clinic.adapters.memory.outbox import MemoryOutbox
from clinic.adapters.memory.people import MemoryPeople
from clinic.adapters.memory.resources import MemoryResources
from clinic.adapters.memory.sessions import MemorySessions
from clinic.adapters.memory.transaction import Database, Transaction


class MemoryUnitOfWork:
    """Commits all its changes or none; used once, inside `async with`."""

    def __init__(self, database: Database, outbox: MemoryOutbox) -> None:
        self._database = database
        self._outbox = outbox
        self._transaction: Transaction | None = None
        self._begun = False

    async def __aenter__(self) -> Self:
        if self._begun:
            raise RuntimeError("A unit of work is used once; begin another one.")
        self._begun = True
        self._transaction = Transaction(self._database)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def appointments(self) -> MemoryAppointments:
        return MemoryAppointments(self._running)

    @property
    def appointment_types(self) -> MemoryAppointmentTypes:
        return MemoryAppointmentTypes(self._running)

    @property
    def locations(self) -> MemoryLocations:
        return MemoryLocations(self._running)

    @property
    def resources(self) -> MemoryResources:
        return MemoryResources(self._running)

    @property
    def calendars(self) -> MemoryCalendars:
        return MemoryCalendars(self._running)

    @property
    def closings(self) -> MemoryClosings:
        return MemoryClosings(self._running)

    @property
    def calendar_changes(self) -> MemoryCalendarChanges:
        return MemoryCalendarChanges(self._running)

    @property
    def people(self) -> MemoryPeople:
        return MemoryPeople(self._running)

    @property
    def answers(self) -> MemoryAnswers:
        return MemoryAnswers(self._running)

    @property
    def accounts(self) -> MemoryAccounts:
        return MemoryAccounts(self._running)

    @property
    def memberships(self) -> MemoryMemberships:
        return MemoryMemberships(self._running)

    @property
    def sessions(self) -> MemorySessions:
        return MemorySessions(self._database, self._running)

    @property
    def messages(self) -> MemoryMessages:
        return MemoryMessages(self._running, self._outbox)

    @property
    def erasures(self) -> MemoryErasures:
        return MemoryErasures(self._running, self._outbox)

    @property
    def events(self) -> MemoryEventLog:
        return MemoryEventLog(self._running)

    @property
    def cursors(self) -> MemoryFeedCursors:
        return MemoryFeedCursors(self._running)

    async def commit(self) -> None:
        """Commit every change at once: nothing is awaited between the checks and the end."""
        transaction = self._running
        try:
            check_all(transaction.tables)
            transaction.merge()
        finally:
            self._end()

    @property
    def _running(self) -> Transaction:
        if self._transaction is None:
            raise RuntimeError(
                "This unit of work is not running: enter it, and only before it ends."
            )
        return self._transaction

    def _end(self) -> None:
        if self._transaction is not None:
            self._transaction.end()
            self._transaction = None
