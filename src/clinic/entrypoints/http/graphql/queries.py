"""Queries: the published `getAppointments`, and the other lists."""

import re
from datetime import date as Date  # noqa: N812 - `date` is an argument of the published field
from typing import Annotated

import strawberry

from clinic.domain.appointments.appointments import Status
from clinic.domain.calendar.slots import SlotState
from clinic.domain.clinic import checked_date
from clinic.domain.errors import InvalidInput
from clinic.domain.paging import Keyset
from clinic.domain.permissions import Operation
from clinic.domain.text import plain_line
from clinic.entrypoints.http.api.appointments.type_schemas import type_named
from clinic.entrypoints.http.api.calendar.schemas import SlotOut
from clinic.entrypoints.http.api.people.clinic_schemas import UserOut
from clinic.entrypoints.http.graphql.connections import (
    Cursors,
    connection_of,
    doctors_page,
    given,
    page_request,
)
from clinic.entrypoints.http.graphql.context import Info, allowed
from clinic.entrypoints.http.graphql.types import (
    Appointment,
    AppointmentRecord,
    AppointmentStatus,
    Connection,
    DateTime,
    Doctor,
    Me,
    Slot,
    SlotFilter,
    id_in,
    schedule_rows,
)
from clinic.usecases.appointments.read_appointments import AppointmentSearch, list_appointments
from clinic.usecases.appointments.read_schedule import read_schedule
from clinic.usecases.calendar.find_slots import SlotSearch, find_slots
from clinic.usecases.people.add_people import list_doctors, read_self

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@strawberry.type
class Query:
    @strawberry.field
    async def get_appointments(
        self,
        info: Info,
        doctor: str | None = strawberry.UNSET,
        date: str | None = strawberry.UNSET,
    ) -> list[Appointment | None]:
        context = allowed(info, Operation.READ_APPOINTMENTS)
        schedule = await read_schedule(
            context.call.context(), doctor=given(doctor), on_date=_date_in(given(date))
        )
        context.note_read([entry.id for entry in schedule.entries])
        return schedule_rows(schedule)

    @strawberry.field(
        description="The clinic's doctors by name; to patients, those who work there."
    )
    async def doctors(
        self,
        info: Info,
        specialty: str | None = strawberry.UNSET,
        first: int | None = strawberry.UNSET,
        after: str | None = strawberry.UNSET,
    ) -> Connection[Doctor]:
        context = allowed(info, Operation.READ_CLINIC)
        wanted = _text_in(given(specialty), "specialty")
        found = await list_doctors(context.call.context(), specialty=wanted)
        cursors = Cursors(context, "doctors", specialty=wanted)
        return doctors_page(found, cursors, given(first), given(after), Doctor.of)

    @strawberry.field(
        description="Slots by start; by default those to be booked now. With a type, those in which"
        " it can begin: a page may then have fewer items than `first`, or none, and a next one."
    )
    async def slots(
        self,
        info: Info,
        doctor_id: strawberry.ID | None = strawberry.UNSET,
        specialty: str | None = strawberry.UNSET,
        starts_from: Annotated[
            DateTime | None, strawberry.argument(name="from")
        ] = strawberry.UNSET,
        to: DateTime | None = strawberry.UNSET,
        status: SlotFilter | None = strawberry.UNSET,
        location_id: strawberry.ID | None = strawberry.UNSET,
        first: int | None = strawberry.UNSET,
        after: str | None = strawberry.UNSET,
        type: str | None = strawberry.UNSET,
        type_id: strawberry.ID | None = strawberry.UNSET,
    ) -> Connection[Slot]:
        context = allowed(info, Operation.READ_CLINIC)
        doctor, wanted = (
            id_in(given(doctor_id), "doctorId"),
            _text_in(given(specialty), "specialty"),
        )
        here = id_in(given(location_id), "locationId")
        which = given(status) or SlotFilter.OPEN
        start, end = given(starts_from), given(to)
        kind = type_named(_text_in(given(type), "type"), id_in(given(type_id), "typeId"))
        asked = {"d": doctor, "s": wanted, "f": start, "t": end, "w": which.value}
        later = {name: each for name, each in (("k", kind), ("l", here)) if each is not None}
        cursors = Cursors(context, "slots", **asked, **later)
        clinic = await context.call.clinic()
        page = await find_slots(
            context.call.context(),
            SlotSearch(
                doctor,
                wanted,
                start,
                end,
                free_only=which is SlotFilter.OPEN,
                state=SlotState.BLOCKED if which is SlotFilter.BLOCKED else None,
                type=kind,
                location_id=here,
            ),
            page_request(cursors, given(first), given(after)),
            clinic=clinic,
        )
        return connection_of(
            page,
            cursors,
            lambda view: Keyset(view.slot.starts_at, view.slot.id),
            lambda view: Slot.of(SlotOut.of(view, clinic.zone), view.slot),
        )

    @strawberry.field(description="Appointments by start, as far as the actor may see.")
    async def appointments(
        self,
        info: Info,
        doctor_id: strawberry.ID | None = strawberry.UNSET,
        patient_id: strawberry.ID | None = strawberry.UNSET,
        date: str | None = strawberry.UNSET,
        status: list[AppointmentStatus] | None = strawberry.UNSET,
        first: int | None = strawberry.UNSET,
        after: str | None = strawberry.UNSET,
    ) -> Connection[AppointmentRecord]:
        context = allowed(info, Operation.READ_APPOINTMENTS)
        doctor, patient = id_in(given(doctor_id), "doctorId"), id_in(given(patient_id), "patientId")
        day = _date_in(given(date))
        statuses = tuple(Status(each.value) for each in given(status) or ())
        cursors = Cursors(context, "appointments", d=doctor, p=patient, on=day, s=statuses)
        page = await list_appointments(
            context.call.context(),
            AppointmentSearch(doctor, patient, day, statuses=statuses),
            page_request(cursors, given(first), given(after)),
            clinics=context.call.clinics,
        )
        context.note_read(str(view.appointment.id) for view in page.items)
        return connection_of(
            page,
            cursors,
            lambda view: Keyset(view.appointment.starts_at, view.appointment.id),
            AppointmentRecord.of_view,
        )

    @strawberry.field(description="Who is signed in.")
    async def me(self, info: Info) -> Me:
        context = allowed(info, Operation.MANAGE_OWN_ACCOUNT)
        actor = context.actor
        user = await read_self(context.call.context())
        return Me.of(UserOut.of(user, actor.role, actor.clinic_id))


def _date_in(text: str | None) -> Date | None:
    """Return the day that an argument names. Raises InvalidInput, DatetimeOutOfRange."""
    if text is None:
        return None
    try:
        # fromisoformat also reads week dates and dates without hyphens.
        day = Date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise InvalidInput("Write a date as YYYY-MM-DD.", pointer="date")
    return checked_date(day, "date")


def _text_in(text: str | None, pointer: str) -> str | None:
    """Return a filter normalized like stored texts, so that its spelling does not change cursors.

    Raises InvalidInput.
    """
    if text is not None and "\0" in text:
        raise InvalidInput("Text may not hold the character NUL.", pointer=pointer)
    return None if text is None else plain_line(text)
