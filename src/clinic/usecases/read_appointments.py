"""List appointments, read one, read its audit trail; each as far as the actor may see."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from clinic.domain.appointments import AppointmentView, Status
from clinic.domain.audit import AuditEntry
from clinic.domain.availability import day_interval
from clinic.domain.clinic import Clinic
from clinic.domain.errors import (
    AppointmentNotFound,
    ClinicNotFound,
    DoctorNotFound,
    EndBeforeStart,
    PatientNotFound,
)
from clinic.domain.paging import Keyset, Page, PageRequest
from clinic.domain.people import Actor, scope_of
from clinic.domain.permissions import Operation, permit
from clinic.ports.appointments import AppointmentQuery, AppointmentReader
from clinic.ports.people import PeopleReader
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
) -> Page[AppointmentView]:
    """Return a page of appointments by start; `on_date` is a day at the clinic.

    `clinic` is the actor's, where the caller has just read it. Raises DoctorNotFound or
    PatientNotFound for a filter that names nobody, EndBeforeStart.
    """
    if on_date is not None:
        clinic = clinic or await people.clinic(actor.clinic_id)
        if clinic is None:
            raise ClinicNotFound()
        day = day_interval(on_date, clinic.zone)
        starts_from = max(starts_from or day.starts_at, day.starts_at)
        starts_before = min(starts_before or day.ends_at, day.ends_at)
    elif starts_from is not None and starts_before is not None and starts_before <= starts_from:
        raise EndBeforeStart(pointer="to")
    query = AppointmentQuery(
        scope_of(actor),
        doctor_id=doctor_id,
        patient_id=patient_id,
        starts_from=starts_from,
        starts_before=starts_before,
        statuses=tuple(statuses),
    )
    found = await appointments.list(query, page)
    if not found:
        await _check_filters(people, actor, doctor_id, patient_id)
    return page_of(found, page, _place)


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
