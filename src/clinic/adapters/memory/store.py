"""The store in memory."""

from collections.abc import Sequence

from clinic.adapters.memory.accounts import MemoryAccountReader
from clinic.adapters.memory.answers import MemoryAnswerBook
from clinic.adapters.memory.appointment_types import MemoryAppointmentTypeReader
from clinic.adapters.memory.appointments import MemoryAppointmentReader
from clinic.adapters.memory.audit_log import MemoryAuditLog
from clinic.adapters.memory.booking_desk import MemoryBookingDesk
from clinic.adapters.memory.calendar_changes import MemoryCalendarChangeReader
from clinic.adapters.memory.calendars import MemoryCalendarReader
from clinic.adapters.memory.change_feed import MemoryChangeFeed
from clinic.adapters.memory.closings import MemoryClosingReader
from clinic.adapters.memory.erasures import MemoryErasureList
from clinic.adapters.memory.locations import MemoryLocationReader
from clinic.adapters.memory.maintenance import MemoryMaintenanceBook, MemoryPartitions
from clinic.adapters.memory.outbox import MemoryOutbox
from clinic.adapters.memory.people import MemoryPeopleReader
from clinic.adapters.memory.resources import MemoryResourceReader
from clinic.adapters.memory.sessions import MemorySessionReader
from clinic.adapters.memory.transaction import Database
from clinic.adapters.memory.unit_of_work import MemoryUnitOfWork
from clinic.domain.audit.audit import AuditEvent
from clinic.domain.notifications import Message
from clinic.ports.figures import StoreFigures


class MemoryStore:
    """A database that lives as long as this object; for one event loop at a time."""

    def __init__(self) -> None:
        self._database = Database()
        tables = self._database.tables
        self.figures = StoreFigures()
        self.desk = MemoryBookingDesk(self._database, self.figures)
        self.appointments = MemoryAppointmentReader(tables)
        self.appointment_types = MemoryAppointmentTypeReader(tables)
        self.locations = MemoryLocationReader(tables)
        self.resources = MemoryResourceReader(tables)
        self.calendars = MemoryCalendarReader(tables)
        self.closings = MemoryClosingReader(tables)
        self.calendar_changes = MemoryCalendarChangeReader(tables)
        self.people = MemoryPeopleReader(tables)
        self.answers = MemoryAnswerBook(self._database)
        self.outbox = MemoryOutbox(self._database)
        self.accounts = MemoryAccountReader(tables)
        self.sessions = MemorySessionReader(self._database)
        self.audit_log = MemoryAuditLog(self._database)
        self.erasures = MemoryErasureList(self._database)
        self.changes = MemoryChangeFeed(self._database)
        self.maintenance = MemoryMaintenanceBook()
        self.partitions = MemoryPartitions()

    def begin(self) -> MemoryUnitOfWork:
        return MemoryUnitOfWork(self._database, self.outbox)

    async def open(self) -> None:
        """Do nothing: memory needs no connection."""

    async def close(self) -> None:
        """Do nothing: rows stay until the store itself is gone."""

    async def check_ready(self) -> None:
        """Do nothing: memory is always ready."""

    async def zone_data(self) -> None:
        """Return None: this store uses the time zone data of its process."""

    @property
    def messages(self) -> Sequence[Message]:
        """Every message that committed changes have added, ordered by id."""
        return sorted(self._database.tables.messages.values(), key=lambda message: message.id)

    @property
    def events(self) -> Sequence[AuditEvent]:
        """Every committed event of the audit trail, ordered by id."""
        return sorted(self._database.tables.events.values(), key=lambda event: event.id)
