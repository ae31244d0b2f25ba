"""Find slots: the free ones that may be booked, or for staff the whole calendar."""

from collections.abc import Callable, Hashable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.appointments.types import AppointmentType, asked_for, chosen_type
from clinic.domain.calendar.slots import SlotState
from clinic.domain.clinic import Clinic, checked_instant
from clinic.domain.errors import (
    ClinicNotFound,
    DoctorNotFound,
    EndBeforeStart,
    InvalidInput,
    LocationNotFound,
    PermissionDenied,
    SlotNotFound,
)
from clinic.domain.paging import Page, PageRequest
from clinic.domain.people.people import Actor
from clinic.domain.permissions import Operation, reach_of
from clinic.domain.text import plain_line
from clinic.ports.calendars import Glance, SlotQuery, SlotView
from clinic.usecases.calendar.find_places import GLANCED, find_places, first_places, place_of
from clinic.usecases.context import Context
from clinic.usecases.paging import page_of
from clinic.usecases.read_clinic import read_clinic
from clinic.usecases.types_asked import type_asked_for


@dataclass(frozen=True, slots=True)
class FoundSlots:
    """A page of slots, built on demand; equal to any other one with the same state in the same
    zone."""

    clinic: Clinic
    state: tuple[Hashable, ...]
    page: Callable[[], Page[SlotView]]


@dataclass(frozen=True, slots=True)
class SlotSearch:
    """Which slots to find; None does not filter. `starts_from`, `starts_before` are the half-open
    range in which they start."""

    doctor_id: UUID | None = None
    specialty: str | None = None
    starts_from: datetime | None = None
    starts_before: datetime | None = None
    #: only those that may be booked now, within the clinic's notice and horizon; False is for staff
    free_only: bool = True
    state: SlotState | None = None
    #: only those in which an appointment of this type can begin, by its name or id
    type: str | UUID | None = None
    location_id: UUID | None = None


async def find_slots(
    context: Context, search: SlotSearch, page: PageRequest, *, clinic: Clinic | None = None
) -> Page[SlotView]:
    """Return a page of slots by start; the first page of free ones holds the next open slots, for
    example of a specialty.

    With a type, a page may have fewer slots than asked for, although there are more; see
    `find_places`. `clinic` is the actor's, if the caller has just read it. Raises InvalidInput,
    UnknownType, EndBeforeStart, DoctorNotFound, LocationNotFound, PermissionDenied.
    """
    if not search.free_only and not reach_of(context.actor.role, Operation.READ_CALENDAR):
        raise PermissionDenied("Patients see open slots only.")
    clinic = clinic or await read_clinic(context)
    kind = None
    if search.type is not None:
        if not search.free_only:
            raise InvalidInput("Only open slots are found by type.", pointer="type")
        kind = await type_asked_for(context, asked_for(search.type))
        clinic = replace(clinic, policy=kind.policy_at(clinic))
    specialty = None if search.specialty is None else plain_line(search.specialty)
    start, end = _span(clinic, context.clock.now(), search)
    query = SlotQuery(
        context.actor.clinic_id,
        start,
        end,
        doctor_id=search.doctor_id,
        specialty=specialty,
        free_only=search.free_only,
        state=search.state,
        location_id=search.location_id,
    )
    if kind is not None:
        found_page = await find_places(context, clinic, query, page, kind)
    else:
        found_page = page_of(await context.store.calendars.list_slots(query, page), page, place_of)
    if not found_page.items:
        await _check_filters(context, search.doctor_id, specialty, search.location_id)
    return found_page


async def glance_at_slots(
    context: Context,
    search: SlotSearch,
    page: PageRequest,
    *,
    clinics: MutableMapping[UUID, Clinic],
    types: MutableMapping[UUID, Sequence[AppointmentType]],
) -> FoundSlots | None:
    """Return the first page of a doctor's slots that may be booked now, as find_slots would, with a
    state that shows whether it has changed; None when a type needs find_slots.

    `clinics` and `types` cache clinics and their types between calls: they give the query before
    anything is read, and the result brings the current ones. Raises NotSignedIn, EndBeforeStart,
    DoctorNotFound.
    """
    clinic_id, store = context.actor.clinic_id, context.store
    clinic = clinics.get(clinic_id) or await store.people.clinic(clinic_id)
    known = types.get(clinic_id, ())
    if not known and search.type is not None:
        known = await store.appointment_types.all(clinic_id)
    while clinic is not None:
        kind = _type_in(known, search, context.actor)
        length = _length_of(kind, search)
        if length is None and search.type is not None:
            return None
        query = _query_in(clinic, kind, search, context.clock.now())
        if length is None:
            found = await store.calendars.glance(context.actor, query, page)
        else:
            wide = replace(query, starts_before=query.starts_before + length)
            found = await store.calendars.glance(context.actor, wide, GLANCED)
        if found is not None:
            types[clinic_id] = found.types
        if found is not None and found.clinic == clinic:
            clinics[clinic.id] = clinic
            if length is None:
                return _found_in(found, clinic, page)
            if _type_in(found.types, search, context.actor) == kind:
                return _places_in(found, query, page, length)
        # The clinic or the type has changed meanwhile, and with it perhaps what may be booked.
        clinic, known = (found.clinic, found.types) if found else (None, ())
    raise ClinicNotFound()


def _type_in(
    types: Sequence[AppointmentType], search: SlotSearch, actor: Actor
) -> AppointmentType | None:
    """Return the active type that the search names, if it does and the actor may see it."""
    if search.type is None:
        return None
    shown = (type for type in types if type.is_active and type.is_shown_to(actor.role))
    return chosen_type(shown, asked_for(search.type))


def _length_of(kind: AppointmentType | None, search: SlotSearch) -> timedelta | None:
    """Return how long the type lasts with the doctor, if the free slots alone say where it fits."""
    if kind is None or not kind.is_of_slots_alone or search.doctor_id is None:
        return None
    minutes = kind.visible_min_with(search.doctor_id)
    return None if minutes is None else timedelta(minutes=minutes)


def _query_in(
    clinic: Clinic, kind: AppointmentType | None, search: SlotSearch, now: datetime
) -> SlotQuery:
    """Return the query for a doctor's free slots. Raises EndBeforeStart."""
    if kind is not None:
        clinic = replace(clinic, policy=kind.policy_at(clinic))
    start, end = _span(clinic, now, search)
    return SlotQuery(clinic.id, start, end, doctor_id=search.doctor_id)


def _found_in(glance: Glance, clinic: Clinic, page: PageRequest) -> FoundSlots:
    """Return the page with its state and clinic. Raises DoctorNotFound."""
    free = glance.free
    if free is None:
        raise DoctorNotFound()
    return FoundSlots(clinic, free.state, lambda: page_of(free.slots(), page, place_of))


def _places_in(
    glance: Glance, query: SlotQuery, page: PageRequest, length: timedelta
) -> FoundSlots | None:
    """Return the page of the starts of a type of this length; None when more has to be read.

    Raises DoctorNotFound.
    """
    if glance.free is None:
        raise DoctorNotFound()
    places = first_places(glance.free.slots(), query, page, length)
    if places is None:
        return None
    found, in_range = places
    return FoundSlots(glance.clinic, (*glance.free.state, length, in_range), lambda: found)


def _span(clinic: Clinic, now: datetime, search: SlotSearch) -> tuple[datetime, datetime]:
    """Return the half-open range of starts to search in. Raises EndBeforeStart."""
    starts_from, starts_before = search.starts_from, search.starts_before
    earliest, latest = clinic.policy.bookable_window(now)
    start = checked_instant(starts_from, "from") if starts_from else now
    end = checked_instant(starts_before, "to") if starts_before else latest
    if starts_from and starts_before and end <= start:
        raise EndBeforeStart("to must be after from.", pointer="to")
    return (max(start, earliest), min(end, latest)) if search.free_only else (start, end)


async def read_slot(context: Context, slot_id: UUID) -> SlotView:
    """Return one slot that is part of the doctor's hours. Raises SlotNotFound.

    One outside the hours that an appointment still occupies is shown as blocked.
    """
    view = await context.store.calendars.slot(context.actor.clinic_id, slot_id)
    if view is None:
        raise SlotNotFound()
    if view.slot.state is SlotState.RETIRED:
        if not view.slot.taken:
            raise SlotNotFound()
        return replace(view, slot=replace(view.slot, state=SlotState.BLOCKED))
    return view


async def _check_filters(
    context: Context, doctor_id: UUID | None, specialty: str | None, location_id: UUID | None
) -> None:
    """Raise for a filter by an unknown id; called only when nothing was found."""
    clinic_id = context.actor.clinic_id
    if doctor_id is not None and await context.store.people.doctor(clinic_id, doctor_id) is None:
        raise DoctorNotFound()
    if specialty is not None and not await context.store.people.doctors(clinic_id, specialty):
        raise DoctorNotFound("No doctor here has this specialty.")
    if (
        location_id is not None
        and await context.store.locations.one(clinic_id, location_id) is None
    ):
        raise LocationNotFound()
