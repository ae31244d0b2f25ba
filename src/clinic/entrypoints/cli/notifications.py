"""`clinic notifications …`: waiting, sent and failed messages; dead letters."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from clinic.domain.errors import InvalidInput
from clinic.domain.messaging.deliveries import OutboxState, Outcome
from clinic.domain.paging import PageRequest
from clinic.domain.text import words_told
from clinic.entrypoints.cli.output import AsJson, Row, local, print_row, print_rows
from clinic.entrypoints.cli.session import Acting, CommandSession, Where, session
from clinic.ports.outbox import NotificationView
from clinic.usecases.messaging.read_notifications import (
    drop_notification,
    list_notifications,
    read_notification,
    retry_notification,
)

COLUMNS = ("id", "status", "kind", "due", "attempts", "twice", "error")
NOBODY, HERE = Acting(), Where()


async def list_all(
    *,
    status: Annotated[list[str] | None, Parameter(negative="")] = None,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
    where: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """List messages by when they are or were due.

    Parameters
    ----------
    status
        Only pending, claimed, sending, dead, SENT or FAILED; may be given several times.
    kind
        Only this kind, such as confirmation or reminder.
    since
        Only those due at this time or later, with offset.
    until
        Only those due before this time, with offset.
    limit
        How many at most, up to 200.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        page = await list_notifications(
            at.context,
            PageRequest(limit),
            statuses=[_status(each) for each in status or ()],
            family=kind,
            due_from=since,
            due_before=until,
        )
        rows = [_row(view, at) for view in page.items]
    print_rows(rows, COLUMNS, as_json=as_json, more=page.next is not None)


async def dead(*, limit: int = 50, where: Where = HERE, as_json: AsJson = False) -> None:
    """List dead letters: messages that are not sent until they are retried or dropped.

    Parameters
    ----------
    limit
        How many at most, up to 200.
    as_json
        Print JSON.
    """
    await list_all(status=["dead"], limit=limit, where=where, as_json=as_json)


async def show(notification: UUID, /, *, where: Where = HERE, as_json: AsJson = False) -> None:
    """Show one message.

    Parameters
    ----------
    notification
        Its id.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        view = await read_notification(at.context, notification)
        row = {
            **_row(view, at),
            "appointment": view.message.appointment_id,
            "user": view.message.user_id,
            "channel": view.message.channel,
            "messageId": view.message_id,
        }
    print_row(row, as_json=as_json)


async def retry(notification: UUID, /, *, acting: Acting = NOBODY) -> None:
    """Queue a dead letter for delivery again.

    Parameters
    ----------
    notification
        Its id.
    """
    async with session(acting) as at:
        await retry_notification(at.context, notification)
    print(f"{notification} is queued again.")


async def drop(notification: UUID, /, *, acting: Acting = NOBODY) -> None:
    """Log a dead letter as failed for good.

    Parameters
    ----------
    notification
        Its id.
    """
    async with session(acting) as at:
        await drop_notification(at.context, notification)
    print(f"{notification} is logged as failed.")


def _row(view: NotificationView, at: CommandSession) -> Row:
    message = view.message
    return {
        "id": message.id,
        "status": view.status.value,
        "kind": message.kind,
        "due": local(view.due_at, at.clinic.zone),
        "attempts": view.attempts,
        "twice": view.maybe_twice,
        "error": view.error,
    }


def _status(name: str) -> OutboxState | Outcome:
    known: dict[str, OutboxState | Outcome] = {
        each.value: each for each in (*OutboxState, *Outcome)
    }
    if name not in known:
        raise InvalidInput(f"There is no status {name!r}; {words_told(name, known)}")
    return known[name]
