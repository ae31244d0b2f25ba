"""The audit log in memory: both trails as one list."""

from collections.abc import Iterator, Sequence

from clinic.adapters.memory.constraints import check_event
from clinic.adapters.memory.events import key_of
from clinic.adapters.memory.tables import Tables
from clinic.adapters.memory.transaction import Database, Transaction
from clinic.domain.audit.audit import AuditEntry, AuditEvent
from clinic.domain.errors import AlreadyExists
from clinic.domain.paging import PageRequest
from clinic.ports.audit import EventQuery


class MemoryAuditLog:
    """Reads both trails, and appends events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def events(self, query: EventQuery, page: PageRequest) -> Sequence[AuditEvent]:
        tables = self._database.tables
        found = [one for one in _all(tables) if _fits(one, query)]
        found.sort(key=lambda event: (event.at, event.id), reverse=True)
        after = page.after
        if after is None:
            return found[: page.one_more]
        place = (after.at, after.id)
        if after.backwards:
            return [one for one in found if (one.at, one.id) > place][-page.one_more :]
        return [one for one in found if (one.at, one.id) < place][: page.one_more]

    async def append(self, events: Sequence[AuditEvent]) -> None:
        transaction = Transaction(self._database)
        try:
            for event in events:
                check_event(event)
                key = key_of(event)
                if transaction.tables.events.get(key) not in (None, event):
                    raise AlreadyExists()
                transaction.tables.events.put(key, event)
            transaction.merge()
        finally:
            transaction.end()


def _all(tables: Tables) -> Iterator[AuditEvent]:
    yield from tables.events.values()
    for entry in tables.audit.values():
        yield _as_event(tables, entry)


def _as_event(tables: Tables, entry: AuditEntry) -> AuditEvent:
    appointment = tables.appointments.get((entry.clinic_id, entry.appointment_id))
    return AuditEvent(
        entry.id,
        entry.clinic_id,
        entry.at,
        entry.actor_id,
        entry.actor_role,
        entry.action.value,
        "appointment",
        entry.appointment_id,
        entry.reason,
        detail={
            "from": entry.from_status.value if entry.from_status else None,
            "to": entry.to_status.value,
            "version": entry.version,
        },
        patient_id=appointment.patient_id if appointment else None,
        request_id=entry.request_id,
        ip=entry.ip,
        session_id=entry.session_id,
    )


def _fits(event: AuditEvent, query: EventQuery) -> bool:
    wanted = (
        (query.actor_id, event.actor_id),
        (query.patient_id, event.patient_id),
        (query.entity_id, event.entity_id),
        (query.action, event.action),
        (query.outcome, event.outcome),
    )
    people = (event.actor_id, event.patient_id, event.entity_id)
    return (
        event.clinic_id == query.clinic_id
        and (query.person_id is None or query.person_id in people)
        and all(asked is None or asked == is_ for asked, is_ in wanted)
        and (query.at_from is None or event.at >= query.at_from)
        and (query.at_before is None or event.at < query.at_before)
    )
