"""Read what is on its way to people and what was sent or has failed; retry or drop dead letters."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from clinic.domain.audit import AuditEvent, checked_reason, event_by
from clinic.domain.deliveries import OutboxState, Outcome
from clinic.domain.errors import (
    AppointmentNotFound,
    EndBeforeStart,
    InvalidInput,
    NotificationNotFound,
)
from clinic.domain.notifications import RECIPIENTS
from clinic.domain.paging import Keyset, Page, PageRequest
from clinic.domain.people import Actor, scope_of
from clinic.domain.permissions import Operation, permit
from clinic.domain.text import words_told
from clinic.ports.appointments import AppointmentReader
from clinic.ports.clock import Clock, IdSource
from clinic.ports.outbox import NotificationQuery, NotificationView, Outbox
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.pages import every_page, page_of
from clinic.usecases.transactions import Transactions


async def list_notifications(
    *,
    outbox: Outbox,
    actor: Actor,
    statuses: Sequence[OutboxState | Outcome] = (),
    family: str | None = None,
    due_from: datetime | None = None,
    due_before: datetime | None = None,
    page: PageRequest,
) -> Page[NotificationView]:
    """Return a page of the clinic's messages by when they are or were due.

    Doctors see what is about their appointments. Raises PermissionDenied, EndBeforeStart,
    InvalidInput for a family that does not exist.
    """
    permit(actor, Operation.READ_TRAIL)
    if due_from is not None and due_before is not None and due_before <= due_from:
        raise EndBeforeStart(pointer="to")
    if family is not None and family not in RECIPIENTS:
        raise InvalidInput(
            f"There is no kind {family!r}; {words_told(family, RECIPIENTS)}", pointer="kind"
        )
    query = NotificationQuery(
        scope_of(actor),
        statuses=tuple(statuses),
        family=family,
        due_from=due_from,
        due_before=due_before,
    )
    found = await outbox.list(query, page)
    return page_of(found, page, _place)


async def read_notifications(
    *, outbox: Outbox, appointments: AppointmentReader, actor: Actor, appointment_id: UUID
) -> Sequence[NotificationView]:
    """Return an appointment's messages, under way and ended, by when they are or were due.

    Raises PermissionDenied, AppointmentNotFound.
    """
    permit(actor, Operation.READ_TRAIL)
    scope = scope_of(actor)
    if await appointments.get(scope, appointment_id) is None:
        raise AppointmentNotFound()
    query = NotificationQuery(scope, appointment_id=appointment_id)
    pages = every_page(partial(outbox.list, query), _place)
    return [view async for page in pages for view in page]


async def read_notification(
    *, outbox: Outbox, actor: Actor, notification_id: UUID
) -> NotificationView:
    """Return one of the clinic's messages. Raises PermissionDenied, NotificationNotFound."""
    permit(actor, Operation.CHANGE_CLINIC)
    view = await outbox.get(actor.clinic_id, notification_id)
    if view is None:
        raise NotificationNotFound()
    return view


async def retry_notification(
    *,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    notification_id: UUID,
    reason: str | None = None,
) -> None:
    """Send a dead letter on its way again. Raises PermissionDenied, NotificationNotFound."""
    permit(actor, Operation.CHANGE_CLINIC)

    async def work(unit: UnitOfWork) -> None:
        if not await unit.messages.revive(actor.clinic_id, notification_id):
            raise NotificationNotFound()
        await unit.events.add(
            _event("retry_notification", clock, new_id, actor, notification_id, reason)
        )

    await transactions.run(work)


async def drop_notification(
    *,
    transactions: Transactions,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    notification_id: UUID,
    reason: str | None = None,
) -> None:
    """Log a dead letter as failed for good. Raises PermissionDenied, NotificationNotFound."""
    permit(actor, Operation.CHANGE_CLINIC)
    kept = checked_reason(reason) if reason else "dropped by an administrator"

    async def work(unit: UnitOfWork) -> None:
        dropped = await unit.messages.drop(actor.clinic_id, notification_id, reason=kept)
        if not dropped:
            raise NotificationNotFound()
        await unit.events.add(
            _event("drop_notification", clock, new_id, actor, notification_id, reason)
        )

    await transactions.run(work)


def _event(
    action: str,
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    notification_id: UUID,
    reason: str | None,
) -> AuditEvent:
    return event_by(
        actor,
        action,
        "notification",
        notification_id,
        now=clock.now(),
        event_id=new_id(),
        reason=reason,
    )


def _place(view: NotificationView) -> Keyset:
    return Keyset(view.due_at, view.message.id)
