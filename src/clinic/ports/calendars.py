"""Doctors' hours and slots: reading them, and changing them inside a unit of work."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from clinic.domain.appointments.types import AppointmentType
from clinic.domain.calendar.availability import (
    CAPACITY_MAX,
    Availability,
    AvailabilityException,
)
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import SQUEEZE_MAX, Clinic
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Doctor


@dataclass(frozen=True, slots=True)
class SlotQuery:
    """Which slots to list. They start within `[starts_from, starts_before)`.

    `free_only`: those open and not taken; otherwise all that are not retired, or those in `state`.
    """

    clinic_id: UUID
    starts_from: datetime
    starts_before: datetime
    doctor_id: UUID | None = None
    specialty: str | None = None
    free_only: bool = True
    state: SlotState | None = None
    location_id: UUID | None = None


#: no doctor has more places at one start
PLACES_MAX = CAPACITY_MAX + SQUEEZE_MAX


@dataclass(frozen=True, slots=True)
class SlotView:
    """A slot with the names that are shown for it."""

    slot: Slot
    doctor_name: str
    #: in a list of free slots, how many as long as this one its doctor has at this start; else None
    places: int | None = None
    #: in a list of free slots, whether its doctor has others at this start, of whatever length
    has_others: bool = False

    def is_beside(self, other: "SlotView") -> bool:
        """Return whether both are of one doctor and start."""
        one, two = self.slot, other.slot
        return one.starts_at == two.starts_at and one.doctor_id == two.doctor_id


def one_for_each_start(lanes: Sequence[SlotView]) -> list[SlotView]:
    """Return the first slot of each doctor and start, with the number of places there; `lanes` are
    free slots by (starts_at, doctor_id, lane), each with one place."""
    found: list[SlotView] = []
    for view in lanes:
        if not found or not view.is_beside(found[-1]):
            found.append(view)
        else:
            is_like_it = view.slot.ends_at == found[-1].slot.ends_at
            places = (found[-1].places or 0) + is_like_it
            found[-1] = replace(found[-1], places=places, has_others=True)
    return found


@dataclass(frozen=True, slots=True)
class FreeSlots:
    """A doctor's free slots, as committed at the time of reading."""

    #: equal for equal slots of one doctor
    state: tuple[Hashable, ...]
    #: builds the slots from what was read
    slots: Callable[[], Sequence[SlotView]]


@dataclass(frozen=True, slots=True)
class Glance:
    """What one answer about a doctor's free slots needs, as committed at one moment."""

    clinic: Clinic
    #: None when the doctor does not exist
    free: FreeSlots | None
    #: the clinic's active types, by id
    types: Sequence[AppointmentType] = ()


class CalendarReader(Protocol):
    async def list_slots(self, query: SlotQuery, page: PageRequest) -> Sequence[SlotView]:
        """Return at most `page.one_more` slots after `page.after`, by (starts_at, id).

        Free ones by (starts_at, doctor_id): of each doctor one for each start, in the lowest lane,
        with the number of places. Always earliest first. Never creates slots.
        """
        ...

    async def glance(self, asker: Actor, query: SlotQuery, page: PageRequest) -> Glance | None:
        """Return what `list_slots` would, with the clinic; slots are built only when asked for.
        None when the clinic does not exist. For the first page of one doctor's free slots.

        Raises NotSignedIn unless the session of `asker` is valid, as `BookingDesk.load_facts` does.
        """
        ...

    async def nearest_free(
        self, slot: Slot, *, starts_from: datetime, starts_before: datetime, limit: int
    ) -> Sequence[SlotView]:
        """Return up to `limit` other open and free slots closest in time to `slot`, one for each
        start: the same doctor's if there are any, else those of the same specialty. Earliest first,
        then by doctor; without the number of places."""
        ...

    async def slot(self, clinic_id: UUID, slot_id: UUID) -> SlotView | None:
        """Return the slot, retired or not, None when it does not exist in this clinic."""
        ...

    async def slots_between(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Sequence[Slot]:
        """Return these doctors' slots that overlap `[start, end)`, retired ones included, earliest
        first."""
        ...

    async def count_slots(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> int:
        """Return how many slots of these doctors start within `[start, end)` and are not
        retired."""
        ...

    async def last_slot_starts(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID]
    ) -> Mapping[UUID, datetime]:
        """Return when the last slot of each of these doctors starts, retired ones included: how far
        slots have ever been opened. Doctors without slots are left out."""
        ...

    async def availabilities(
        self, clinic_id: UUID, doctor_id: UUID | None = None
    ) -> Sequence[Availability]:
        """Return the hours of one doctor or of all, by id."""
        ...

    async def exceptions(
        self, clinic_id: UUID, doctor_id: UUID | None = None
    ) -> Sequence[AvailabilityException]:
        """Return the exceptions of one doctor or of all, by (on_date, id)."""
        ...


class Calendars(CalendarReader, Protocol):
    """Calendars inside a unit of work; reads include its own writes."""

    async def lock_doctor(self, clinic_id: UUID, doctor_id: UUID) -> Doctor | None:
        """Lock the doctor's calendar against opening, blocking and changing of hours.

        Does not block bookings. Returns None when there is no such doctor in this clinic.
        """
        ...

    async def lock_doctors(self, clinic_id: UUID) -> Sequence[Doctor]:
        """Lock the calendars of all doctors of the clinic, by id, and return the doctors."""
        ...

    async def set_last_day(self, clinic_id: UUID, doctor_id: UUID, last_day: date | None) -> None:
        """Set the last day on which a doctor works here. Raises DoctorNotFound."""
        ...

    async def add_availability(self, availability: Availability) -> None: ...

    async def replace_availability(self, availability: Availability) -> None:
        """Replace the hours with this id. Raises AvailabilityNotFound, LocationNotFound."""
        ...

    async def delete_availability(self, clinic_id: UUID, availability_id: UUID) -> None:
        """Delete the hours with this id. Raises AvailabilityNotFound."""
        ...

    async def add_exception(self, exception: AvailabilityException) -> None: ...

    async def delete_exception(self, clinic_id: UUID, exception_id: UUID) -> None:
        """Delete the exception with this id. Raises ExceptionNotFound."""
        ...

    async def lock_slots(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Sequence[Slot]:
        """Lock the slots that `slots_between` returns, by id, and return them as they are then."""
        ...

    async def add_slots(self, slots: Sequence[Slot]) -> None:
        """Add slots, taken where an appointment already has their time. Raises SlotOverlap when one
        overlaps another of the same doctor."""
        ...

    async def retake(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> None:
        """Make `taken` true of these doctors' slots on the calendar that overlap `[start, end)`.

        The slots are locked. It is true already, unless something else has written the rows.
        """
        ...

    async def set_slot_locations(
        self, clinic_id: UUID, locations: Mapping[UUID, UUID | None]
    ) -> None:
        """Put locked slots, by id, at these locations.

        Raises SlotNotFound, LocationNotFound, and TooClose when a doctor would be at two at a time.
        """
        ...

    async def set_slot_state(
        self, clinic_id: UUID, slot_ids: Sequence[UUID], state: SlotState
    ) -> None:
        """Put these slots into `state`, locking them by id, and make `taken` true to it: of a
        retired one that its own appointment occupies it, else that one has its time.

        Raises SlotNotFound when one is missing, SlotOverlap when a retired one would overlap
        another on its return.
        """
        ...
