"""The trail of everything that is not a change of one appointment."""

from sqlalchemy import insert

from clinic.adapters.postgres.audit.mapping import event_values
from clinic.adapters.postgres.engine.executors import Executor
from clinic.adapters.postgres.schema.audit import audit_event
from clinic.domain.audit.audit import AuditEvent


class PostgresEventLog:
    """Appends events inside a unit of work."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add(self, event: AuditEvent) -> None:
        """Append an event to the audit trail."""
        async with self._executor.connection() as connection:
            await connection.execute(insert(audit_event), event_values(event))
