"""Finds every reason, not only the first, why bookings added together are refused."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, Booking
from clinic.domain.appointments.fitting import begins_in, obstacles
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import (
    AlreadyExists,
    BookingConflict,
    BookingsRefused,
    ClinicError,
    Conflict,
    DoesNotFit,
    IdempotencyConflict,
    NoResourceFree,
    PatientBusy,
    PatientDisabled,
    PatientNotFound,
    SlotBlocked,
    SlotNotFound,
    SlotTaken,
)

#: a principal's id and idempotency key, at the bookings' clinic
ConflictKey = tuple[UUID, str]
#: the index of a booking that a store refused, and the error: SlotTaken for its slot,
#: PatientDisabled for its patient, PatientBusy for its appointment, NoResourceFree for a kind that
#: it needs, IdempotencyConflict for its key
Refused = tuple[int, type[ClinicError]]

#: a store's refusal → the causes that a second read may find, in the order they are checked
_CAUSES: Mapping[type[ClinicError], tuple[type[ClinicError], ...]] = {
    SlotTaken: (SlotNotFound, SlotBlocked, DoesNotFit, SlotTaken),
    PatientDisabled: (PatientNotFound, PatientDisabled),
    PatientBusy: (AlreadyExists, SlotTaken, PatientBusy),
    NoResourceFree: (NoResourceFree,),
    IdempotencyConflict: (IdempotencyConflict,),
}
_ORDER = tuple(dict.fromkeys(error for causes in _CAUSES.values() for error in causes))


@dataclass(frozen=True, slots=True)
class Seen:
    """The stored rows that may conflict with bookings, except those written for them.

    Rows that conflict with none of the bookings are ignored.
    """

    #: those that the bookings begin in, and those on the calendar that they would take
    slots: Mapping[UUID, Slot]
    #: patient id → whether appointments can be booked for them
    patients: Mapping[UUID, bool]
    appointments: Sequence[Appointment]
    #: keys with a stored answer
    answered: Collection[ConflictKey]


class _Entry(NamedTuple):
    """An appointment with its booking's index and key; a stored appointment has no index."""

    place: int | None
    appointment: Appointment
    key: ConflictKey | None


def clinic_of(bookings: Sequence[Booking]) -> UUID:
    """Return the id of the clinic that all bookings share. Raises ValueError if they differ."""
    (clinic_id, *others) = {booking.appointment.clinic_id for booking in bookings}
    if others:
        raise ValueError("Bookings that are added together are of one clinic.")
    return clinic_id


def key_of(booking: Booking) -> ConflictKey | None:
    """Return the key that the booking's answer is stored under, None without an answer."""
    request = booking.stored.request if booking.stored else None
    return (request.principal_id, request.key) if request else None


def in_lock_order(bookings: Sequence[Booking]) -> list[int]:
    """Return the indexes of the bookings in the order their appointments are written: by patient
    and time, so that of two concurrent batches only one waits for the other."""

    def order(place: int) -> tuple[object, ...]:
        appointment = bookings[place].appointment
        return (appointment.patient_id, appointment.starts_at)

    return sorted(range(len(bookings)), key=order)


def refusal(
    bookings: Sequence[Booking], refused: Sequence[Refused], seen: Seen, lacking: str | None = None
) -> Conflict:
    """Return the error for bookings that a store refused, given what it read afterwards; `lacking`
    is the kind of resource of which none was free.

    For one booking it is the error that BookingDesk.reserve raises, for several BookingsRefused.
    Its `conflicts` are all those in `seen`, plus each refusal whose cause `seen` no longer shows.
    """
    found = {*_conflicts(bookings, seen)}
    errors: dict[int, set[type[ClinicError]]] = defaultdict(set)
    for each in found:
        errors[each.place].add(each.error)
    for place, error in refused:
        if errors[place].isdisjoint(_CAUSES[error]):
            found.add(BookingConflict(place, bookings[place].appointment.id, error))
    kind = _kind_for_one(refused[0][1], errors[0]) if len(bookings) == 1 else BookingsRefused
    conflict = kind() if lacking is None or kind is BookingsRefused else kind(kind=lacking)
    conflict.conflicts = tuple(sorted(found, key=_rank))
    return conflict


def _kind_for_one(refused: type[ClinicError], seen: set[type[ClinicError]]) -> type[Conflict]:
    """Return the error that BookingDesk.reserve raises, which is less precise than `seen`."""
    if refused is PatientBusy:
        cause = next((each for each in _CAUSES[refused] if each in seen), PatientBusy)
        assert issubclass(cause, Conflict)
        return cause
    if refused is NoResourceFree:
        return NoResourceFree
    return IdempotencyConflict if refused is IdempotencyConflict else SlotTaken


def _rank(conflict: BookingConflict) -> tuple[object, ...]:
    return (conflict.place, _ORDER.index(conflict.error), str(conflict.other_id))


def _conflicts(bookings: Sequence[Booking], seen: Seen) -> Iterator[BookingConflict]:
    with_others = [*_with_others(bookings, seen)]
    yield from with_others
    occupied = {each.place for each in with_others if each.error is SlotTaken}
    for place, booking in enumerate(bookings):
        for error in _alone(booking, seen):
            if error is not SlotTaken or place not in occupied:
                yield BookingConflict(place, booking.appointment.id, error)


def _alone(booking: Booking, seen: Seen) -> Iterator[type[ClinicError]]:
    """Yield the reasons against a booking that can be found without other appointments."""
    appointment = booking.appointment
    slot = seen.slots.get(appointment.slot_id)
    if slot is None or not begins_in(appointment, slot):
        yield SlotNotFound
    elif booking.takes is not None:
        if slot.state is SlotState.RETIRED:
            yield SlotNotFound
            if slot.taken:
                yield SlotTaken
        else:
            yield from obstacles(appointment, seen.slots.values())
    is_open = seen.patients.get(booking.appointment.patient_id)
    if not is_open:
        yield PatientNotFound if is_open is None else PatientDisabled
    if key_of(booking) in seen.answered:
        yield IdempotencyConflict


def _with_others(bookings: Sequence[Booking], seen: Seen) -> Iterator[BookingConflict]:
    """Yield the conflicts with other appointments, stored or added together with it."""
    every = [
        *(_Entry(None, stored, None) for stored in seen.appointments),
        *(_Entry(place, each.appointment, key_of(each)) for place, each in enumerate(bookings)),
    ]
    occupying = [entry for entry in every if entry.appointment.status.occupies]
    keyed = [entry for entry in every if entry.key]
    for error, entries, value_of, pairs in (
        (SlotTaken, occupying, _slot_of, _all_pairs),
        (SlotTaken, occupying, _lane_of, _pairs_that_meet(_busy_of)),
        (PatientBusy, occupying, _patient_of, _pairs_that_meet(_visible_of)),
        (AlreadyExists, every, _id_of, _all_pairs),
        (IdempotencyConflict, keyed, _key_of, _all_pairs),
    ):
        for group in _groups(entries, value_of):
            for pair in pairs(group):
                for mine, other in (pair, pair[::-1]):
                    if mine.place is not None:
                        yield BookingConflict(
                            mine.place, mine.appointment.id, error, other.appointment.id
                        )


def _slot_of(entry: _Entry) -> Hashable:
    return entry.appointment.slot_id


def _lane_of(entry: _Entry) -> Hashable:
    return entry.appointment.doctor_id, entry.appointment.lane


def _patient_of(entry: _Entry) -> Hashable:
    return entry.appointment.patient_id


def _id_of(entry: _Entry) -> Hashable:
    return entry.appointment.id


def _key_of(entry: _Entry) -> Hashable:
    return entry.key


def _groups(
    entries: Iterable[_Entry], value_of: Callable[[_Entry], Hashable]
) -> Iterable[list[_Entry]]:
    """Return the entries grouped by value."""
    groups: dict[Hashable, list[_Entry]] = defaultdict(list)
    for entry in entries:
        groups[value_of(entry)].append(entry)
    return groups.values()


def _all_pairs(group: list[_Entry]) -> Iterator[tuple[_Entry, _Entry]]:
    return combinations(group, 2)


def _busy_of(entry: _Entry) -> Interval:
    return entry.appointment.busy


def _visible_of(entry: _Entry) -> Interval:
    return entry.appointment.visible


def _pairs_that_meet(
    time_of: Callable[[_Entry], Interval],
) -> Callable[[list[_Entry]], Iterator[tuple[_Entry, _Entry]]]:
    """Return a function that yields each pair of entries whose times overlap."""

    def pairs(group: list[_Entry]) -> Iterator[tuple[_Entry, _Entry]]:
        timed = sorted(((time_of(entry), entry) for entry in group), key=lambda each: each[0])
        for number, (time, one) in enumerate(timed, 1):
            for later, two in timed[number:]:
                if later.starts_at >= time.ends_at:
                    break
                yield one, two

    return pairs
