"""Read a clinic's audit log."""

from datetime import datetime
from uuid import UUID

from clinic.domain.audit import AuditEvent
from clinic.domain.paging import Keyset, Page, PageRequest
from clinic.domain.people import Actor
from clinic.domain.permissions import Operation, permit
from clinic.ports.audit import AuditLog, EventQuery
from clinic.usecases.pages import page_of


async def read_audit(
    *,
    audit_log: AuditLog,
    actor: Actor,
    actor_id: UUID | None = None,
    patient_id: UUID | None = None,
    entity_id: UUID | None = None,
    action: str | None = None,
    outcome: str | None = None,
    at_from: datetime | None = None,
    at_before: datetime | None = None,
    page: PageRequest,
) -> Page[AuditEvent]:
    """Return a page of the actor's clinic's log, latest first. Raises PermissionDenied."""
    permit(actor, Operation.READ_AUDIT)
    query = EventQuery(
        actor.clinic_id,
        actor_id=actor_id,
        patient_id=patient_id,
        entity_id=entity_id,
        action=action,
        outcome=outcome,
        at_from=at_from,
        at_before=at_before,
    )
    return page_of(await audit_log.events(query, page), page, _place)


def _place(event: AuditEvent) -> Keyset:
    return Keyset(event.at, event.id)
