"""Find slots: the free ones that may be booked, or a calendar as staff see it."""

from collections.abc import Callable, Hashable, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from clinic.domain.clinic import Clinic, checked_instant
from clinic.domain.errors import (
    ClinicNotFound,
    DoctorNotFound,
    EndBeforeStart,
    NotSignedIn,
    PermissionDenied,
    SlotNotFound,
)
from clinic.domain.paging import Keyset, Page, PageRequest
from clinic.domain.people import Actor
from clinic.domain.permissions import Operation, reach_of
from clinic.domain.slots import SlotState
from clinic.domain.text import plain_line
from clinic.ports.calendars import CalendarReader, Glance, SlotQuery, SlotView
from clinic.ports.clock import Clock
from clinic.ports.people import PeopleReader
from clinic.usecases.add_people import read_clinic
from clinic.usecases.pages import page_of


@dataclass(frozen=True, slots=True)
class FoundSlots:
    """A page of slots, made when it is wanted; the same as any other one with the same state, in
    the same zone."""

    clinic: Clinic
    state: tuple[Hashable, ...]
    page: Callable[[], Page[SlotView]]


async def find_slots(
    *,
    calendars: CalendarReader,
    people: PeopleReader,
    clock: Clock,
    actor: Actor,
    doctor_id: UUID | None = None,
    specialty: str | None = None,
    starts_from: datetime | None = None,
    starts_before: datetime | None = None,
    free_only: bool = True,
    state: SlotState | None = None,
    page: PageRequest,
    clinic: Clinic | None = None,
) -> Page[SlotView]:
    """Return a page of slots by start. `free_only`: those that may be booked now, within the
    clinic's notice and horizon; the first page is the next open slots, of a specialty for example.

    Everything else is for staff. `clinic` is the actor's, where the caller has just read it. Raises
    EndBeforeStart, DoctorNotFound, PermissionDenied.
    """
    if not free_only and not reach_of(actor.role, Operation.READ_CALENDAR):
        raise PermissionDenied("Patients see open slots only.")
    clinic = clinic or await read_clinic(people=people, actor=actor)
    specialty = None if specialty is None else plain_line(specialty)
    start, end = _span(clinic, clock.now(), starts_from, starts_before, free_only=free_only)
    found = await calendars.list_slots(
        SlotQuery(
            actor.clinic_id,
            start,
            end,
            doctor_id=doctor_id,
            specialty=specialty,
            free_only=free_only,
            state=state,
        ),
        page,
    )
    if not found:
        await _check_filters(people, actor.clinic_id, doctor_id, specialty)
    return page_of(found, page, _place)


async def glance_at_slots(
    *,
    calendars: CalendarReader,
    people: PeopleReader,
    clock: Clock,
    actor: Actor,
    clinics: MutableMapping[UUID, Clinic],
    doctor_id: UUID,
    starts_from: datetime | None = None,
    starts_before: datetime | None = None,
    page: PageRequest,
) -> FoundSlots:
    """Return the first page of a doctor's slots that may be booked now, as find_slots would, with
    what tells whether it is still the same; the actor's session is held against its row as well.

    `clinics` are remembered from call to call: with the clinic as it was, what to ask is known
    before anything is read, and the answer comes with the clinic as it is. Raises NotSignedIn,
    EndBeforeStart, DoctorNotFound.
    """
    clinic = clinics.get(actor.clinic_id) or await people.clinic(actor.clinic_id)
    while clinic is not None:
        start, end = _span(clinic, clock.now(), starts_from, starts_before, free_only=True)
        query = SlotQuery(clinic.id, start, end, doctor_id=doctor_id)
        found = await calendars.glance(query, page, actor if actor.session_id else None)
        if found is not None and found.clinic == clinic:
            clinics[clinic.id] = clinic
            return _checked(found, clinic, page)
        # It has changed meanwhile, and with it perhaps what may be booked.
        clinic = found.clinic if found else None
    raise ClinicNotFound()


def _checked(found: Glance, clinic: Clinic, page: PageRequest) -> FoundSlots:
    """Raises NotSignedIn, DoctorNotFound."""
    free = found.free
    if not found.signed_in:
        raise NotSignedIn()
    if free is None:
        raise DoctorNotFound()
    return FoundSlots(clinic, free.state, lambda: page_of(free.slots(), page, _place))


def _span(
    clinic: Clinic,
    now: datetime,
    starts_from: datetime | None,
    starts_before: datetime | None,
    *,
    free_only: bool,
) -> tuple[datetime, datetime]:
    """Return from when and before when slots start that are asked for. Raises EndBeforeStart."""
    earliest, latest = clinic.policy.bookable_window(now)
    start = checked_instant(starts_from, "from") if starts_from else now
    end = checked_instant(starts_before, "to") if starts_before else latest
    if starts_from and starts_before and end <= start:
        raise EndBeforeStart("to must be after from.", pointer="to")
    return (max(start, earliest), min(end, latest)) if free_only else (start, end)


async def read_slot(*, calendars: CalendarReader, actor: Actor, slot_id: UUID) -> SlotView:
    """Return one slot that is part of the doctor's hours. Raises SlotNotFound."""
    view = await calendars.slot(actor.clinic_id, slot_id)
    if view is None or view.slot.state is SlotState.RETIRED:
        raise SlotNotFound()
    return view


async def _check_filters(
    people: PeopleReader, clinic_id: UUID, doctor_id: UUID | None, specialty: str | None
) -> None:
    """Raise for a filter that names nobody; asked only when nothing was found."""
    if doctor_id is not None and await people.doctor(clinic_id, doctor_id) is None:
        raise DoctorNotFound()
    if specialty is not None and not await people.doctors(clinic_id, specialty):
        raise DoctorNotFound("No doctor here has this specialty.")


def _place(view: SlotView) -> Keyset:
    return Keyset(view.slot.starts_at, view.slot.id)
