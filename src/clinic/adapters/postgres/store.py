"""One PostgreSQL database as the store."""

import re

from sqlalchemy import text

from clinic.adapters.postgres.appointments.booking_desk import PostgresBookingDesk
from clinic.adapters.postgres.appointments.known_types import KnownTypes
from clinic.adapters.postgres.appointments.repository import PostgresAppointmentReader
from clinic.adapters.postgres.appointments.resources import PostgresResourceReader
from clinic.adapters.postgres.appointments.types import PostgresAppointmentTypeReader
from clinic.adapters.postgres.audit.audit_log import PostgresAuditLog
from clinic.adapters.postgres.audit.change_feed import PostgresChangeFeed
from clinic.adapters.postgres.calendar.calendar_changes import PostgresCalendarChangeReader
from clinic.adapters.postgres.calendar.closings import PostgresClosingReader
from clinic.adapters.postgres.calendar.locations import PostgresLocationReader
from clinic.adapters.postgres.calendar.repository import PostgresCalendarReader
from clinic.adapters.postgres.engine.connections import (
    ConnectionLimits,
    prepared_pool,
    transaction_engine,
)
from clinic.adapters.postgres.engine.executors import PooledExecutor
from clinic.adapters.postgres.idempotency.answers import PostgresAnswerBook
from clinic.adapters.postgres.maintenance.maintenance_book import PostgresMaintenanceBook
from clinic.adapters.postgres.maintenance.partitions import PostgresPartitions
from clinic.adapters.postgres.messaging.outbox import PostgresOutbox
from clinic.adapters.postgres.people.accounts import PostgresAccountReader
from clinic.adapters.postgres.people.erasures import PostgresErasureList
from clinic.adapters.postgres.people.repository import PostgresPeopleReader
from clinic.adapters.postgres.people.sessions import PostgresSessionReader
from clinic.adapters.postgres.unit_of_work import PostgresUnitOfWork
from clinic.domain.errors import TemporaryFailure
from clinic.ports.figures import StoreFigures

#: the oldest schema that this version runs on; it also runs on every later one, since migrations
#: run beside the previous release
SCHEMA_REVISION = "0035"
_REVISION = re.compile(r"\d{4}")


class PostgresStore:
    """A database at `url` (libpq's form, postgresql://user:password@host/name).

    It has two pools of at most `pool_size` and `transaction_pool_size` connections: for prepared
    statements in autocommit, and for units of work and other reads. They connect on first use,
    reconnect to a server that was restarted, and never wait longer than `limits` say.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 4,
        transaction_pool_size: int = 4,
        limits: ConnectionLimits | None = None,
    ) -> None:
        limits = limits or ConnectionLimits()
        self._limits = limits
        self._engine = transaction_engine(url, transaction_pool_size, limits)
        self.figures = figures = StoreFigures()
        executor = PooledExecutor(
            self._engine, lambda: prepared_pool(url, pool_size, limits, figures)
        )
        self._executor = executor
        self.appointment_types = PostgresAppointmentTypeReader(executor)
        types = KnownTypes(self.appointment_types)
        self.desk = PostgresBookingDesk(executor, self.begin, figures, types)
        self.appointments = PostgresAppointmentReader(executor)
        self.locations = PostgresLocationReader(executor)
        self.resources = PostgresResourceReader(executor)
        self.calendars = PostgresCalendarReader(executor, types.active)
        self.closings = PostgresClosingReader(executor)
        self.calendar_changes = PostgresCalendarChangeReader(executor)
        self.people = PostgresPeopleReader(executor)
        self.answers = PostgresAnswerBook(executor)
        self.outbox = PostgresOutbox(
            executor, self._engine, answer_timeout_s=limits.answer_timeout_s
        )
        self.accounts = PostgresAccountReader(executor)
        self.sessions = PostgresSessionReader(executor)
        self.audit_log = PostgresAuditLog(executor)
        self.erasures = PostgresErasureList(executor)
        self.changes = PostgresChangeFeed(executor)
        self.maintenance = PostgresMaintenanceBook(executor)
        self.partitions = PostgresPartitions(executor)

    def begin(self) -> PostgresUnitOfWork:
        """Return a new unit of work; it connects on first use."""
        return PostgresUnitOfWork(self._engine)

    async def open(self) -> None:
        """Connect. Raises TemporaryFailure when the database cannot be reached."""
        await self._executor.open(self._limits.connect_timeout_s)

    async def close(self) -> None:
        """Close every connection."""
        await self._executor.close()

    async def check_ready(self) -> None:
        """Raise TemporaryFailure unless the database answers and its schema is new enough."""
        async with self._executor.connection() as connection:
            found = await connection.scalar(text("SELECT to_regclass('alembic_version')::text"))
            revision = (
                await connection.scalar(text("SELECT max(version_num) FROM alembic_version"))
                if found
                else None
            )
        if revision is None or not _REVISION.fullmatch(revision) or revision < SCHEMA_REVISION:
            raise TemporaryFailure(
                f"The database's schema is {revision or 'missing'}, {SCHEMA_REVISION} is needed;"
                " run clinic migrate."
            )

    async def zone_data(self) -> str:
        """Return PostgreSQL's release, which includes the data unless it was built to use the
        system's; PostgreSQL does not report the data's own version."""
        rows = await self._executor.fetch("SELECT current_setting('server_version')", ())
        return f"PostgreSQL {rows[0][0]}"
