"""Changes of calendars that a worker carries out: their progress."""

from typing import Self
from uuid import UUID

import msgspec

from clinic.domain.errors import CalendarChangeNotFound
from clinic.domain.permissions import Operation
from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut
from clinic.entrypoints.http.api.calendar.schemas import CalendarChangeOut, change_values
from clinic.entrypoints.http.kernel.endpoint import endpoint
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.http.kernel.schemas import ItemsOut
from clinic.usecases.calendar.calendar_changes import ChangeProgress, list_changes, read_change

_TAG = "Calendar changes"
_encode = msgspec.json.Encoder().encode


class ChangeProgressOut(CalendarChangeOut):
    #: up to 1,000 appointments ahead in these days that are not within open slots now
    stranded: list[AppointmentOut]

    @classmethod
    def of_progress(cls, progress: ChangeProgress) -> Self:
        stranded = [AppointmentOut.of(view) for view in progress.stranded]
        values = (*change_values(progress.change), stranded)
        return cls(*values)


@endpoint(
    "GET",
    "/calendar-changes",
    tag=_TAG,
    summary="List changes that a worker carries out",
    answers=ItemsOut[CalendarChangeOut],
    needs=Operation.CLOSE_CLINIC,
)
async def get_calendar_changes(call: RequestContext) -> Reply:
    """The latest hundred, the newest first."""
    changes = await list_changes(call.context())
    return Reply(200, _encode(ItemsOut([CalendarChangeOut.of(each) for each in changes])))


@endpoint(
    "GET",
    "/calendar-changes/{change_id}",
    tag=_TAG,
    summary="Read the progress of a change",
    answers=ChangeProgressOut,
    needs=Operation.CLOSE_CLINIC,
    refuses=(CalendarChangeNotFound,),
)
async def get_calendar_change(call: RequestContext, change_id: UUID) -> Reply:
    """A worker aligns the calendars doctor by doctor, the nearest days first; `stranded` are those
    of all doctors as things are now."""
    progress = await read_change(call.context(), change_id)
    if progress.stranded:
        call.reads_patients = True
        call.note_ids(view.appointment.id for view in progress.stranded)
    return Reply(200, _encode(ChangeProgressOut.of_progress(progress)))


ENDPOINTS = (get_calendar_changes, get_calendar_change)
