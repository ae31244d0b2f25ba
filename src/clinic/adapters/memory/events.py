"""The audit trail of everything that is not an appointment, in memory."""

from clinic.adapters.memory.constraints import check_clinic
from clinic.adapters.memory.tables import EventKey
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.audit.audit import AuditEvent
from clinic.domain.errors import ClinicNotFound


class MemoryEventLog:
    """Appends events inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, event: AuditEvent) -> None:
        tables = self._transaction.tables
        try:
            check_clinic(tables, event.clinic_id)
        except ClinicNotFound as error:
            self._transaction.fail(error)
        tables.events.put(key_of(event), event)


def key_of(event: AuditEvent) -> EventKey:
    """Return the key of the event's row."""
    return event.clinic_id, event.id, event.at
