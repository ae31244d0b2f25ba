"""List appointments, read one, read its audit trail; each as far as the actor may see."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from uuid import UUID

from clinic.domain.appointments import AppointmentView, Status
from clinic.domain.audit import AuditEntry
from clinic.domain.availability import day_interval
from clinic.domain.clinic import Clinic
from clinic.domain.errors import (
    AppointmentNotFound,
    DoctorNotFound,
    EndBeforeStart,
    PatientNotFound,
)
from clinic.domain.paging import Keyset, Page, PageRequest
from clinic.domain.people import Actor, scope_of
from clinic.domain.permissions import Operation, permit
from clinic.ports.appointments import AppointmentQuery, AppointmentReader
from clinic.ports.people import PeopleReader
from clinic.usecases.add_people import read_clinic
from clinic.usecases.pages import page_of


async def list_appointments(
    *,
    appointments: AppointmentReader,
    people: PeopleReader,
    actor: Actor,
    doctor_id: UUID | None = None,
    patient_id: UUID | None = None,
    on_date: date | None = None,
    starts_from: datetime | None = None,
    starts_before: datetime | None = None,
    statuses: Sequence[Status] = (),
    page: PageRequest,
    clinic: Clinic | None = None,
    check_session: Callable[[], Awaitable[Clinic]] | None = None,
) -> Page[AppointmentView]:
    """Return a page of appointments by start; `on_date` is a day at the clinic.

    `clinic` is the actor's, where the caller has just read it. With `check_session` the actor's
    session is held against its row, too: by the read itself if that finds anything, else by
    `check_session`, which gives the clinic as it is; `clinic` is then as it was when it was last
    read. Raises DoctorNotFound or PatientNotFound for a filter that names nobody, EndBeforeStart;
    as `check_session`.
    """
    if on_date is None and starts_from and starts_before and starts_before <= starts_from:
        raise EndBeforeStart(pointer="to")

    def query_at(clinic: Clinic | None) -> AppointmentQuery:
        span = _span(on_date, clinic, starts_from, starts_before)
        return AppointmentQuery(
            scope_of(actor), doctor_id, patient_id, *span, statuses=tuple(statuses)
        )

    if on_date is not None and clinic is None:
        checked = check_session() if check_session else read_clinic(people=people, actor=actor)
        clinic = await checked
    query = query_at(clinic)
    found = await appointments.list(query, page, actor if check_session else None)
    if check_session is not None and not (found and _is_day_of(found[0], on_date, clinic)):
        # Nothing is there, or not for this session; or the clinic's days are others by now.
        query, asked = query_at(await check_session()), query
        if query != asked:
            found = await appointments.list(query, page)
    if not found:
        await _check_filters(people, actor, doctor_id, patient_id)
    return page_of(found, page, _place)


def _is_day_of(found: AppointmentView, on_date: date | None, clinic: Clinic | None) -> bool:
    """Say whether a day was meant as it is at the clinic now, of which `found` tells the zone."""
    return on_date is None or (clinic is not None and found.zone.key == clinic.time_zone)


def _span(
    on_date: date | None,
    clinic: Clinic | None,
    starts_from: datetime | None,
    starts_before: datetime | None,
) -> tuple[datetime | None, datetime | None]:
    """Return the range, cut to the day at the clinic, which a day needs."""
    if on_date is None:
        return starts_from, starts_before
    assert clinic is not None
    day = day_interval(on_date, clinic.zone)
    return (
        max(starts_from or day.starts_at, day.starts_at),
        min(starts_before or day.ends_at, day.ends_at),
    )


async def _check_filters(
    people: PeopleReader, actor: Actor, doctor_id: UUID | None, patient_id: UUID | None
) -> None:
    """Raise for a filter that names nobody; asked only when nothing was found."""
    if doctor_id is not None and await people.doctor(actor.clinic_id, doctor_id) is None:
        raise DoctorNotFound()
    if patient_id is None:
        return
    visible = scope_of(actor).patient_id in (None, patient_id)
    if not visible or await people.patient(actor.clinic_id, patient_id) is None:
        raise PatientNotFound()


def _place(view: AppointmentView) -> Keyset:
    return Keyset(view.appointment.starts_at, view.appointment.id)


async def read_appointment(
    *, appointments: AppointmentReader, actor: Actor, appointment_id: UUID
) -> AppointmentView:
    """Return one appointment. Raises AppointmentNotFound, also for somebody else's."""
    view = await appointments.get(scope_of(actor), appointment_id)
    if view is None:
        raise AppointmentNotFound()
    return view


async def read_trail(
    *, appointments: AppointmentReader, actor: Actor, appointment_id: UUID
) -> Sequence[AuditEntry]:
    """Return the appointment's audit entries, oldest first.

    Raises PermissionDenied to patients, AppointmentNotFound.
    """
    permit(actor, Operation.READ_TRAIL)
    trail = await appointments.trail(scope_of(actor), appointment_id)
    if not trail:
        raise AppointmentNotFound()
    return trail
