"""List appointments, read one, read its audit trail, each within the actor's scope."""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from clinic.domain.appointments.appointments import AppointmentView, Status
from clinic.domain.audit.audit import AuditEntry
from clinic.domain.calendar.availability import day_interval
from clinic.domain.clinic import Clinic
from clinic.domain.errors import (
    AppointmentNotFound,
    DoctorNotFound,
    EndBeforeStart,
    PatientNotFound,
)
from clinic.domain.paging import Keyset, Page, PageRequest
from clinic.domain.people.people import Scope, scope_of
from clinic.domain.permissions import Operation, permit
from clinic.ports.appointments import AppointmentQuery
from clinic.usecases.context import Context
from clinic.usecases.paging import page_of
from clinic.usecases.read_clinic import read_clinic


@dataclass(frozen=True, slots=True)
class AppointmentSearch:
    """Which appointments to list; None does not filter. `on_date` is a day at the clinic;
    `starts_from`, `starts_before` are the half-open range in which they start."""

    doctor_id: UUID | None = None
    patient_id: UUID | None = None
    on_date: date | None = None
    starts_from: datetime | None = None
    starts_before: datetime | None = None
    statuses: tuple[Status, ...] = ()

    def query_at(self, scope: Scope, clinic: Clinic | None) -> AppointmentQuery:
        """Return the query; `on_date` is a day in the zone of `clinic`."""
        span = _span(self.on_date, clinic, self.starts_from, self.starts_before)
        return AppointmentQuery(
            scope, self.doctor_id, self.patient_id, *span, statuses=self.statuses
        )


async def list_appointments(
    context: Context,
    search: AppointmentSearch,
    page: PageRequest,
    *,
    clinics: MutableMapping[UUID, Clinic] | None = None,
) -> Page[AppointmentView]:
    """Return a page of appointments by start.

    `clinics` caches clinics between calls, so that a day's limits are known without a read; if the
    clinic's zone has changed since, the page is read again. Raises NotSignedIn, DoctorNotFound or
    PatientNotFound for a filter by an unknown id, EndBeforeStart.
    """
    actor, scope = context.actor, scope_of(context.actor)
    known = {} if clinics is None else clinics
    no_day = search.on_date is None
    starts_from, starts_before = search.starts_from, search.starts_before
    if no_day and starts_from and starts_before and starts_before <= starts_from:
        raise EndBeforeStart(pointer="to")
    if not no_day and actor.clinic_id not in known:
        known[actor.clinic_id] = await read_clinic(context)
    query = search.query_at(scope, known.get(actor.clinic_id))
    found = await context.store.appointments.list(actor, query, page)
    if not (no_day or (found and _is_day_of(found[0], known[actor.clinic_id]))):
        # The clinic's zone, and with it the day's limits, may have changed.
        known[actor.clinic_id] = await read_clinic(context)
        query, asked = search.query_at(scope, known[actor.clinic_id]), query
        if query != asked:
            found = await context.store.appointments.list(actor, query, page)
    if not found:
        await _check_filters(context, search.doctor_id, search.patient_id)
    return page_of(found, page, _place)


def _is_day_of(found: AppointmentView, clinic: Clinic) -> bool:
    """Return whether `clinic` still has the clinic's current zone, which `found` shows."""
    return found.zone.key == clinic.time_zone


def _span(
    on_date: date | None,
    clinic: Clinic | None,
    starts_from: datetime | None,
    starts_before: datetime | None,
) -> tuple[datetime | None, datetime | None]:
    """Return the range, cut to `on_date` in the zone of `clinic`, which must then be given."""
    if on_date is None:
        return starts_from, starts_before
    assert clinic is not None
    day = day_interval(on_date, clinic.zone)
    return (
        max(starts_from or day.starts_at, day.starts_at),
        min(starts_before or day.ends_at, day.ends_at),
    )


async def _check_filters(context: Context, doctor_id: UUID | None, patient_id: UUID | None) -> None:
    """Raise for a filter by an unknown id; called only when nothing was found."""
    if (
        doctor_id is not None
        and await context.store.people.doctor(context.actor.clinic_id, doctor_id) is None
    ):
        raise DoctorNotFound()
    if patient_id is None:
        return
    visible = scope_of(context.actor).patient_id in (None, patient_id)
    if (
        not visible
        or await context.store.people.patient(context.actor.clinic_id, patient_id) is None
    ):
        raise PatientNotFound()


def _place(view: AppointmentView) -> Keyset:
    return Keyset(view.appointment.starts_at, view.appointment.id)


async def read_appointment(context: Context, appointment_id: UUID) -> AppointmentView:
    """Return one appointment. Raises AppointmentNotFound, also when it is outside the scope."""
    view = await context.store.appointments.get(scope_of(context.actor), appointment_id)
    if view is None:
        raise AppointmentNotFound()
    return view


async def read_trail(context: Context, appointment_id: UUID) -> Sequence[AuditEntry]:
    """Return the appointment's audit entries, oldest first.

    Raises PermissionDenied to patients, AppointmentNotFound.
    """
    permit(context.actor, Operation.READ_TRAIL)
    trail = await context.store.appointments.trail(scope_of(context.actor), appointment_id)
    if not trail:
        raise AppointmentNotFound()
    return trail
