"""Read pending, sent and failed messages; retry or drop dead letters."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from clinic.domain.audit.audit import AuditEvent, checked_reason
from clinic.domain.errors import (
    AppointmentNotFound,
    EndBeforeStart,
    InvalidInput,
    NotificationNotFound,
)
from clinic.domain.messaging.deliveries import OutboxState, Outcome
from clinic.domain.notifications import RECIPIENTS
from clinic.domain.paging import Keyset, Page, PageRequest
from clinic.domain.people.people import scope_of
from clinic.domain.permissions import Operation, permit
from clinic.domain.text import words_told
from clinic.ports.outbox import NotificationQuery, NotificationView
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.context import Context
from clinic.usecases.paging import every_page, page_of


async def list_notifications(
    context: Context,
    page: PageRequest,
    *,
    statuses: Sequence[OutboxState | Outcome] = (),
    family: str | None = None,
    due_from: datetime | None = None,
    due_before: datetime | None = None,
) -> Page[NotificationView]:
    """Return a page of the clinic's messages, ordered by when they are or were due.

    Doctors see those about their appointments. Raises PermissionDenied, EndBeforeStart,
    InvalidInput for a family that does not exist.
    """
    permit(context.actor, Operation.READ_TRAIL)
    if due_from is not None and due_before is not None and due_before <= due_from:
        raise EndBeforeStart(pointer="to")
    if family is not None and family not in RECIPIENTS:
        raise InvalidInput(
            f"There is no kind {family!r}; {words_told(family, RECIPIENTS)}", pointer="kind"
        )
    query = NotificationQuery(
        scope_of(context.actor),
        statuses=tuple(statuses),
        family=family,
        due_from=due_from,
        due_before=due_before,
    )
    found = await context.store.outbox.list(query, page)
    return page_of(found, page, _place)


async def read_notifications(context: Context, appointment_id: UUID) -> Sequence[NotificationView]:
    """Return an appointment's messages, pending and finished, ordered by when they are or were due.

    Raises PermissionDenied, AppointmentNotFound.
    """
    permit(context.actor, Operation.READ_TRAIL)
    scope = scope_of(context.actor)
    if await context.store.appointments.get(scope, appointment_id) is None:
        raise AppointmentNotFound()
    query = NotificationQuery(scope, appointment_id=appointment_id)
    pages = every_page(partial(context.store.outbox.list, query), _place)
    return [view async for page in pages for view in page]


async def read_notification(context: Context, notification_id: UUID) -> NotificationView:
    """Return one of the clinic's messages. Raises PermissionDenied, NotificationNotFound."""
    permit(context.actor, Operation.CHANGE_CLINIC)
    view = await context.store.outbox.get(context.actor.clinic_id, notification_id)
    if view is None:
        raise NotificationNotFound()
    return view


async def retry_notification(context: Context, notification_id: UUID) -> None:
    """Make a dead letter pending again. Raises PermissionDenied, NotificationNotFound."""
    permit(context.actor, Operation.CHANGE_CLINIC)

    async def work(unit: UnitOfWork) -> None:
        if not await unit.messages.revive(context.actor.clinic_id, notification_id):
            raise NotificationNotFound()
        await unit.events.add(_event(context, "retry_notification", notification_id))

    await context.transactions.run(work)


async def drop_notification(context: Context, notification_id: UUID) -> None:
    """Log a dead letter as failed for good. Raises PermissionDenied, NotificationNotFound."""
    permit(context.actor, Operation.CHANGE_CLINIC)
    kept = checked_reason(context.reason) if context.reason else "dropped by an administrator"

    async def work(unit: UnitOfWork) -> None:
        dropped = await unit.messages.drop(context.actor.clinic_id, notification_id, reason=kept)
        if not dropped:
            raise NotificationNotFound()
        await unit.events.add(_event(context, "drop_notification", notification_id))

    await context.transactions.run(work)


def _event(context: Context, action: str, notification_id: UUID) -> AuditEvent:
    return context.event(action, "notification", notification_id)


def _place(view: NotificationView) -> Keyset:
    return Keyset(view.due_at, view.message.id)
