"""Read a clinic's audit log."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.paging import Keyset, Page, PageRequest
from clinic.domain.permissions import Operation, permit
from clinic.ports.audit import EventQuery
from clinic.usecases.context import Context
from clinic.usecases.paging import page_of


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """Which events to show; None does not filter. `at_from`, `at_before` are half-open."""

    actor_id: UUID | None = None
    patient_id: UUID | None = None
    entity_id: UUID | None = None
    action: str | None = None
    outcome: str | None = None
    at_from: datetime | None = None
    at_before: datetime | None = None


async def read_audit(context: Context, search: AuditSearch, page: PageRequest) -> Page[AuditEvent]:
    """Return a page of the actor's clinic's log, latest first. Raises PermissionDenied."""
    permit(context.actor, Operation.READ_AUDIT)
    query = EventQuery(
        context.actor.clinic_id,
        actor_id=search.actor_id,
        patient_id=search.patient_id,
        entity_id=search.entity_id,
        action=search.action,
        outcome=search.outcome,
        at_from=search.at_from,
        at_before=search.at_before,
    )
    return page_of(await context.store.audit_log.events(query, page), page, _place)


def _place(event: AuditEvent) -> Keyset:
    return Keyset(event.at, event.id)
