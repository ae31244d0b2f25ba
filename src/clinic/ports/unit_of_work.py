"""The unit of work, one transaction over every repository, and the store it belongs to."""

from types import TracebackType
from typing import Protocol, Self

from clinic.domain.audit.audit import AuditEvent
from clinic.ports.accounts import AccountReader, Accounts
from clinic.ports.answers import AnswerBook, Answers
from clinic.ports.appointment_types import AppointmentTypeReader, AppointmentTypes
from clinic.ports.appointments import AppointmentReader, Appointments
from clinic.ports.audit import AuditLog
from clinic.ports.booking_desk import BookingDesk
from clinic.ports.calendar_changes import CalendarChangeReader, CalendarChanges
from clinic.ports.calendars import CalendarReader, Calendars
from clinic.ports.change_feed import ChangeFeed, FeedCursors
from clinic.ports.closings import ClosingReader, Closings
from clinic.ports.erasures import ErasureList, Erasures
from clinic.ports.figures import StoreFigures
from clinic.ports.locations import LocationReader, Locations
from clinic.ports.maintenance import MaintenanceBook, Partitions
from clinic.ports.memberships import Memberships
from clinic.ports.outbox import Messages, Outbox
from clinic.ports.people import People, PeopleReader
from clinic.ports.resources import ResourceReader, Resources
from clinic.ports.sessions import SessionReader, Sessions


class EventLog(Protocol):
    async def add(self, event: AuditEvent) -> None:
        """Append an event to the audit trail."""
        ...


class UnitOfWork(Protocol):
    """A transaction, used once. Leaving it without `commit` rolls everything back.

    Reads see committed data and this unit's own writes. Any database error that a retry may fix is
    raised as TransactionAborted.
    """

    @property
    def appointments(self) -> Appointments: ...
    @property
    def appointment_types(self) -> AppointmentTypes: ...
    @property
    def locations(self) -> Locations: ...
    @property
    def resources(self) -> Resources: ...
    @property
    def calendars(self) -> Calendars: ...
    @property
    def closings(self) -> Closings: ...
    @property
    def calendar_changes(self) -> CalendarChanges: ...
    @property
    def people(self) -> People: ...
    @property
    def answers(self) -> Answers: ...
    @property
    def events(self) -> EventLog: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def memberships(self) -> Memberships: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def erasures(self) -> Erasures: ...
    @property
    def cursors(self) -> FeedCursors: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def commit(self) -> None:
        """Commit every change at once. Raises as the writes do for errors found only now, and
        OutcomeUnknown when the database is lost before it has confirmed the commit."""
        ...


class Store(Protocol):
    """One database: reads, bookings, and changes in units of work."""

    @property
    def desk(self) -> BookingDesk: ...
    @property
    def appointments(self) -> AppointmentReader: ...
    @property
    def appointment_types(self) -> AppointmentTypeReader: ...
    @property
    def locations(self) -> LocationReader: ...
    @property
    def resources(self) -> ResourceReader: ...
    @property
    def calendars(self) -> CalendarReader: ...
    @property
    def closings(self) -> ClosingReader: ...
    @property
    def calendar_changes(self) -> CalendarChangeReader: ...
    @property
    def people(self) -> PeopleReader: ...
    @property
    def answers(self) -> AnswerBook: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def accounts(self) -> AccountReader: ...
    @property
    def sessions(self) -> SessionReader: ...
    @property
    def audit_log(self) -> AuditLog: ...
    @property
    def erasures(self) -> ErasureList: ...
    @property
    def figures(self) -> StoreFigures: ...
    @property
    def changes(self) -> ChangeFeed: ...
    @property
    def maintenance(self) -> MaintenanceBook: ...
    @property
    def partitions(self) -> Partitions: ...

    def begin(self) -> UnitOfWork: ...

    async def open(self) -> None:
        """Connect. Raises TemporaryFailure when the database cannot be reached."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...

    async def check_ready(self) -> None:
        """Raise TemporaryFailure unless the database answers and its schema is this version's or a
        later one, which migrations keep compatible with the version before."""
        ...

    async def zone_data(self) -> str | None:
        """Return an identifier of the release of the database's own time zone data, None when it
        has none. Raises TemporaryFailure."""
        ...
