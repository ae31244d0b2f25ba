"""How changes of the calendar are answered: done, previewed, or left to a worker."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.idempotency import Answer
from clinic.entrypoints.http.api.schemas import ReasonQuery
from clinic.entrypoints.http.kernel.idempotency import answer_keyed
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.context import Context

R = TypeVar("R")
_encode = msgspec.json.Encoder().encode

Preview = Annotated[
    bool,
    Meta(
        description="only say what it would do, as of now: nothing is written, and no key is needed"
    ),
]


#: statuses of changes besides the usual one, and what they mean
PREVIEWED: Mapping[int, str] = {200: "What it would do; nothing was changed"}
DEFERRED: Mapping[int, str] = {202: "Stored; a worker changes the slots, see `calendarChange`"}


class PreviewQuery(Struct, forbid_unknown_fields=True, frozen=True):
    preview: Preview = False


class DeleteQuery(ReasonQuery, frozen=True):
    preview: Preview = False

    @property
    def content(self) -> ReasonQuery:
        """What a key is bound to."""
        return ReasonQuery(self.reason)


async def answer_change(
    call: RequestContext,
    body: Struct,
    act: Callable[[Context], Awaitable[CalendarChanged[R]]],
    wire: Callable[[CalendarChanged[R]], Struct],
    *,
    preview: bool,
    created: Callable[[R], str] | None = None,
    reason: str | None = None,
) -> Reply:
    """Return the reply to a change: 200, 201 when it `created` something at an address, 202 when a
    worker carries it out. A preview shows patients, which is audited as a read of them."""

    def render(changed: CalendarChanged[R]) -> Answer:
        out, effect = _encode(wire(changed)), changed.effect
        if effect.change is not None:
            return Answer(202, out, f"/calendar-changes/{effect.change.id}")
        return Answer(201, out, created(changed.row)) if created else Answer(200, out)

    if not preview:
        return await answer_keyed(
            call, body, act, render, required=created is not None, reason=reason
        )
    changed = await act(call.context(reason))
    note_patients(call, changed.effect.stranded)
    return Reply(200, _encode(wire(changed)))


def note_patients(call: RequestContext, shown: Sequence[AppointmentView]) -> None:
    """Note for the audit trail the appointments that a preview shows."""
    if shown:
        call.reads_patients = True
        call.note_ids(view.appointment.id for view in shown)
