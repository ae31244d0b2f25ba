"""Builds values for tests, and seeds stores with them.

`a_…` and `an_…` return a value, with sensible defaults for what you leave out; `seed_…` write.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from uuid import UUID

from uuid_utils import compat

from clinic.domain.appointments.appointments import (
    Appointment,
    Booking,
    BookingFacts,
    Change,
    Status,
)
from clinic.domain.appointments.booking import decide_booking
from clinic.domain.appointments.changes import decide_move, decide_status, decide_swap
from clinic.domain.appointments.resources import Resource, ResourceClosure
from clinic.domain.appointments.types import AppointmentType, BookableBy, Offer
from clinic.domain.audit.audit import AuditEvent
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import Availability, AvailabilityException, ExceptionKind
from clinic.domain.calendar.closings import Block, Closure, ClosureKind, Holidays, Leave
from clinic.domain.calendar.locations import Location
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.contact import Contact
from clinic.domain.errors import UnknownHolidayCalendar
from clinic.domain.idempotency import Answer, IdempotentRequest, StoredAnswer
from clinic.domain.people.people import Actor, Doctor, Patient, Role, User
from clinic.domain.people.sessions import Session, SessionKind, hash_of
from clinic.ports.clock import Clock, IdSource
from clinic.ports.closings import Closing
from clinic.ports.unit_of_work import Store
from clinic.testing.clock import FixedClock
from clinic.usecases.context import AnonymousContext, Context, Origin
from clinic.usecases.transactions import TransactionRunner, Transactions

#: a Monday morning in winter
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
#: when the slots of `seed_world` begin: the day after NOW
MORNING = NOW + timedelta(days=1, hours=1)

_numbers = count(1)
new_id = compat.uuid7


def some_holidays(country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
    """Return the public holidays of GB, of which there is one. Raises UnknownHolidayCalendar."""
    if country != "GB" or subdivision is not None:
        raise UnknownHolidayCalendar(pointer="/country")
    return {date(year, 12, 26): "Boxing Day"}


def a_clinic(
    *,
    id: UUID | None = None,
    name: str = "Riverside",
    time_zone: str = "Europe/London",
    policy: Policy | None = None,
    contact: Contact | None = None,
) -> Clinic:
    """Return a clinic in London with the default policy."""
    return Clinic(id or new_id(), name, time_zone, policy or Policy(), contact or Contact())


def a_user(role: Role = Role.PATIENT, *, name: str = "Ada Adams", email: str | None = None) -> User:
    """Return a person with an email address of their own."""
    user_id = new_id()
    return User(user_id, name, email or f"{next(_numbers)}.{user_id.hex}@example.org", role)


def a_patient(clinic: Clinic, *, name: str = "Ada Adams") -> Patient:
    """Return a patient of the clinic."""
    user = a_user(name=name)
    return Patient(clinic.id, user.id, user.name, user.email)


def an_actor(
    clinic: Clinic, role: Role = Role.RECEPTIONIST, *, user_id: UUID | None = None
) -> Actor:
    """Return an actor in this role, by default a receptionist."""
    return Actor(user_id or new_id(), role, clinic.id, request_id="request-1", ip="192.0.2.1")


def a_context(
    store: Store,
    actor: Actor,
    *,
    clock: Clock | None = None,
    new_id: IdSource = new_id,
    transactions: TransactionRunner | None = None,
    reason: str | None = None,
    holidays: Holidays = some_holidays,
) -> Context:
    """Return a use case's context for `actor` on `store`; by default the clock is fixed at NOW, and
    Boxing Day is the only public holiday of the country GB."""
    return Context(
        actor,
        store,
        transactions or Transactions(store.begin),
        clock or FixedClock(NOW),
        new_id,
        reason,
        holidays,
    )


def an_anonymous_context(
    store: Store, *, clock: Clock | None = None, origin: Origin | None = None
) -> AnonymousContext:
    """Return a use case's context without an actor; by default the clock is fixed at NOW."""
    return AnonymousContext(
        store,
        Transactions(store.begin),
        clock or FixedClock(NOW),
        new_id,
        origin or Origin(),
        some_holidays,
    )


def a_slot(
    doctor: Doctor,
    starts_at: datetime = MORNING,
    *,
    minutes: int = 30,
    id: UUID | None = None,
    state: SlotState = SlotState.OPEN,
    lane: int = 1,
    location_id: UUID | None = None,
) -> Slot:
    """Return an untaken slot of the doctor."""
    return Slot(
        id or new_id(),
        doctor.clinic_id,
        doctor.id,
        doctor.specialty,
        starts_at,
        starts_at + timedelta(minutes=minutes),
        state,
        lane=lane,
        location_id=location_id,
    )


def slots_of(doctor: Doctor, number: int, *, first: datetime = MORNING) -> tuple[Slot, ...]:
    """Return back-to-back slots of half an hour."""
    step = timedelta(minutes=30)
    return tuple(a_slot(doctor, first + step * place) for place in range(number))


def an_availability(
    doctor: Doctor,
    *,
    start: time = time(9),
    end: time = time(11),
    slot_min: int = 30,
    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5),
    on_date: date | None = None,
    capacity: int = 1,
    location_id: UUID | None = None,
) -> Availability:
    """Return hours on weekdays, or on one date."""
    return Availability(
        new_id(),
        doctor.clinic_id,
        doctor.id,
        start,
        end,
        slot_min,
        () if on_date else weekdays,
        on_date,
        capacity=capacity,
        location_id=location_id,
    )


def an_exception(doctor: Doctor, on_date: date | None = None) -> AvailabilityException:
    """Return a day off."""
    day = on_date or MORNING.date()
    return AvailabilityException(new_id(), doctor.clinic_id, doctor.id, day, ExceptionKind.REMOVE)


def a_closure(
    clinic: Clinic,
    first: date | None = None,
    last: date | None = None,
    *,
    name: str = "Staff training",
    kind: ClosureKind = ClosureKind.ONCE,
) -> Closure:
    """Return a closure of one day or more, by default of the day after NOW."""
    first = first or MORNING.date()
    return Closure(new_id(), clinic.id, name, kind, first, last or first)


def a_type(
    clinic: Clinic,
    name: str = "Check-up",
    visible_min: int = 30,
    *,
    before_min: int = 0,
    after_min: int = 0,
    horizon_days: int | None = None,
    bookable_by: BookableBy = BookableBy.PATIENTS,
    offered_by: tuple[Offer, ...] | None = None,
    needs: tuple[str, ...] = (),
    is_default: bool = False,
    is_active: bool = True,
) -> AppointmentType:
    """Return a type of appointment, by default of 30 minutes, without buffers, of all doctors."""
    return AppointmentType(
        new_id(),
        clinic.id,
        name,
        visible_min,
        before_min,
        after_min,
        horizon_days=horizon_days,
        bookable_by=bookable_by,
        offered_by=offered_by,
        needs=needs,
        is_default=is_default,
        is_active=is_active,
    )


def a_location(
    clinic: Clinic,
    name: str = "Harbour branch",
    *,
    country: str | None = None,
    is_active: bool = True,
) -> Location:
    """Return a location with an address and directions."""
    return Location(
        new_id(),
        clinic.id,
        name,
        address=f"1 Quay Street\n{name}",
        directions="Ring twice.",
        country=country,
        is_active=is_active,
    )


def a_resource(
    clinic: Clinic,
    kind: str = "room",
    name: str = "Room 1",
    *,
    capacity: int = 1,
    is_active: bool = True,
) -> Resource:
    """Return a room or a piece of equipment of this kind."""
    return Resource(new_id(), clinic.id, kind, name, capacity, is_active=is_active)


def a_resource_closure(
    resource: Resource, starts_at: datetime = MORNING, ends_at: datetime | None = None
) -> ResourceClosure:
    """Return a closure of the resource, by default of the first slot of a World."""
    until = ends_at or starts_at + timedelta(minutes=30)
    return ResourceClosure(new_id(), resource.clinic_id, resource.id, starts_at, until)


def a_leave(doctor: Doctor, first: date | None = None, last: date | None = None) -> Leave:
    """Return leave of one day or more, by default on the day after NOW."""
    first = first or MORNING.date()
    return Leave(new_id(), doctor.clinic_id, doctor.id, first, last or first)


def a_block(
    doctor: Doctor,
    starts_at: datetime = MORNING,
    *,
    minutes: int = 30,
    reason: str | None = None,
    lane: int | None = None,
) -> Block:
    """Return a block of the doctor's time, in one lane or in all."""
    ends_at = starts_at + timedelta(minutes=minutes)
    return Block(new_id(), doctor.clinic_id, doctor.id, starts_at, ends_at, reason, lane)


def a_place(
    doctor: Doctor, starts_at: datetime = MORNING, *, minutes: int = 30, reason: str | None = None
) -> AddedPlace:
    """Return a slot beside the doctor's hours."""
    ends_at = starts_at + timedelta(minutes=minutes)
    return AddedPlace(new_id(), doctor.clinic_id, doctor.id, starts_at, ends_at, reason)


def an_appointment(
    slot: Slot, patient_id: UUID, status: Status = Status.BOOKED, *, version: int = 1
) -> Appointment:
    """Return an appointment of the patient in the slot."""
    return Appointment(
        id=new_id(),
        clinic_id=slot.clinic_id,
        slot_id=slot.id,
        doctor_id=slot.doctor_id,
        patient_id=patient_id,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        type="Consultation",
        status=status,
        version=version,
        schedule_version=0,
        status_by=patient_id,
        created_at=NOW,
        lane=slot.lane,
    )


def a_booking(
    clinic: Clinic,
    slot: Slot,
    patient: Patient,
    *,
    stored: StoredAnswer | None = None,
    now: datetime = NOW,
    kind: AppointmentType | None = None,
) -> Booking:
    """Return the booking that the domain decides on for this slot, taken to be free with the time
    after it."""
    free = replace(slot, state=SlotState.OPEN, taken=False)
    facts = BookingFacts(clinic, free, "", patient, has_types=kind is not None, type=kind)
    booking = decide_booking(
        facts,
        actor=an_actor(clinic),
        type="Consultation",
        reason="asked by telephone",
        override=True,
        now=now,
        new_id=new_id,
        around=[free if kind is None else _lasting(free)],
    )
    return replace(booking, stored=stored)


def _lasting(slot: Slot) -> Slot:
    """Return the slot as one that no appointment is too long for."""
    return replace(slot, ends_at=slot.starts_at + timedelta(days=1))


def a_status_change(
    clinic: Clinic, before: Appointment, to: Status, *, now: datetime = NOW
) -> Change:
    """Return the change of the appointment to another status, by the service itself."""
    return decide_status(
        before,
        to,
        actor=an_actor(clinic, Role.SYSTEM),
        clinic=clinic,
        reason="asked by telephone",
        now=now,
        new_id=new_id,
    )


def a_move(
    clinic: Clinic,
    before: Appointment,
    slot: Slot,
    *,
    now: datetime = NOW,
    kind: AppointmentType | None = None,
) -> Change:
    """Return the change that moves the appointment into this slot, taken to be free with the time
    after it; `kind` is its type."""
    free = replace(slot, state=SlotState.OPEN, taken=False)
    return decide_move(
        before,
        free,
        actor=an_actor(clinic),
        clinic=clinic,
        reason="asked by telephone",
        override=True,
        now=now,
        new_id=new_id,
        kind=kind,
        around=[free if before.type_id is None else _lasting(free)],
    )


def a_swap(
    clinic: Clinic,
    one: tuple[Appointment, Slot],
    two: tuple[Appointment, Slot],
    *,
    now: datetime = NOW,
) -> tuple[Change, Change]:
    """Return the changes by which two appointments exchange their slots."""
    return decide_swap(
        one,
        two,
        actor=an_actor(clinic),
        clinic=clinic,
        reason="both asked",
        now=now,
        new_id=new_id,
    )


def a_request(
    clinic: Clinic, principal_id: UUID, *, key: str | None = None, body: bytes = b"{}"
) -> IdempotentRequest:
    """Return a request with a new key unless one is given; `body` determines its fingerprint."""
    fingerprint = body.ljust(32, b"\0")[:32]
    return IdempotentRequest(clinic.id, principal_id, key or f"key-{new_id()}", fingerprint)


def a_stored_answer(request: IdempotentRequest, *, body: bytes = b"{}") -> StoredAnswer:
    """Return the answer 201 with this body."""
    return StoredAnswer(request, Answer(201, body, "/appointments/1", '"1"'), NOW)


def an_event(clinic: Clinic) -> AuditEvent:
    """Return an event of the audit trail."""
    return AuditEvent(
        id=new_id(),
        clinic_id=clinic.id,
        at=NOW,
        actor_id=new_id(),
        actor_role=Role.ADMIN,
        action="change_clinic",
        entity="clinic",
        entity_id=clinic.id,
        reason="new hours",
    )


def a_session(clinic: Clinic, user_id: UUID, role: Role, *, now: datetime = NOW) -> Session:
    """Return a session that lasts for years; its id is the user's, for tests to refer to."""
    return Session(
        user_id,
        clinic.id,
        user_id,
        role,
        SessionKind.BEARER,
        created_at=now,
        expires_at=now + timedelta(days=3650),
        last_seen_at=now,
        token_hash=hash_of(f"{clinic.id} {user_id}"),
    )


async def seed_clinic(store: Store, clinic: Clinic | None = None) -> Clinic:
    """Add a clinic and return it."""
    clinic = clinic or a_clinic()
    async with store.begin() as unit:
        await unit.people.add_clinic(clinic)
        await unit.commit()
    return clinic


async def seed_doctor(
    store: Store, clinic: Clinic, *, name: str = "Dr Grace Hill", specialty: str = "General"
) -> Doctor:
    """Add a person as a doctor of the clinic and return the doctor."""
    user = a_user(Role.DOCTOR, name=name)
    async with store.begin() as unit:
        await unit.people.add_user(user)
        await unit.people.add_doctor(clinic.id, user.id, specialty)
        await unit.commit()
    return Doctor(clinic.id, user.id, user.name, specialty)


async def seed_patient(store: Store, clinic: Clinic, *, name: str = "Ada Adams") -> Patient:
    """Add a person as a patient of the clinic and return the patient."""
    patient = a_patient(clinic, name=name)
    async with store.begin() as unit:
        await unit.people.add_user(User(patient.id, patient.name, patient.email, Role.PATIENT))
        await unit.people.add_patient(clinic.id, patient.id)
        await unit.commit()
    return patient


async def seed_slots(store: Store, *slots: Slot) -> None:
    """Add slots."""
    async with store.begin() as unit:
        await unit.calendars.add_slots(slots)
        await unit.commit()


async def seed_hours(store: Store, *slots: Slot) -> None:
    """Add the hours and blocks that plan these slots of a doctor, as they are."""
    clinic = await store.people.clinic(slots[0].clinic_id)
    assert clinic is not None
    async with store.begin() as unit:
        for slot in slots:
            start, end = (at.astimezone(clinic.zone) for at in (slot.starts_at, slot.ends_at))
            hours = Availability(
                new_id(),
                slot.clinic_id,
                slot.doctor_id,
                start.time(),
                end.time(),
                int((slot.ends_at - slot.starts_at).total_seconds() // 60),
                on_date=start.date(),
                overnight=end.date() > start.date(),
            )
            await unit.calendars.add_availability(hours)
            if slot.state is SlotState.BLOCKED:
                block = Block(
                    new_id(), slot.clinic_id, slot.doctor_id, slot.starts_at, slot.ends_at
                )
                await unit.closings.add(block)
        await unit.commit()


async def seed_closings(store: Store, *closings: Closing) -> None:
    """Add closures, leave and blocks; slots stay as they are."""
    async with store.begin() as unit:
        for closing in closings:
            await unit.closings.add(closing)
        await unit.commit()


async def seed_type(store: Store, *types: AppointmentType) -> None:
    """Add types of appointments."""
    async with store.begin() as unit:
        for type in types:
            await unit.appointment_types.add(type)
        await unit.commit()


async def seed_location(store: Store, *locations: Location) -> None:
    """Add locations."""
    async with store.begin() as unit:
        for location in locations:
            await unit.locations.add(location)
        await unit.commit()


async def seed_resource(store: Store, *resources: Resource | ResourceClosure) -> None:
    """Add rooms and equipment, and closures of them."""
    async with store.begin() as unit:
        for each in resources:
            if isinstance(each, Resource):
                await unit.resources.add(each)
            else:
                await unit.resources.add_closure(each)
        await unit.commit()


async def seed_booking(store: Store, clinic: Clinic, slot: Slot, patient: Patient) -> Appointment:
    """Book the slot for the patient and return the appointment."""
    booking = a_booking(clinic, slot, patient)
    await store.desk.reserve(booking)
    return booking.appointment


async def seed_change(store: Store, *changes: Change) -> None:
    """Write changes of appointments in a separate unit of work."""
    async with store.begin() as unit:
        await unit.appointments.apply(changes)
        await unit.commit()


async def seed_state(store: Store, state: SlotState, *slots: Slot) -> None:
    """Put slots into this state."""
    async with store.begin() as unit:
        ids = [slot.id for slot in slots]
        await unit.calendars.set_slot_state(slots[0].clinic_id, ids, state)
        await unit.commit()


@dataclass(frozen=True, slots=True)
class World:
    """A clinic with two doctors of one specialty, three patients, and slots on one morning."""

    clinic: Clinic
    doctor: Doctor
    colleague: Doctor
    patients: tuple[Patient, ...]
    #: the doctor's, back to back, from MORNING
    slots: tuple[Slot, ...]
    #: the colleague's, at the same times
    colleague_slots: tuple[Slot, ...]


async def seed_world(
    store: Store,
    *,
    slots: int = 5,
    patients: Sequence[str] = "ABC",
    policy: Policy | None = None,
    with_hours: bool = False,
) -> World:
    """Add a clinic with people and slots in one unit of work, and return it; `with_hours`, the
    slots are planned as well, so that they stay when calendars change."""
    clinic = a_clinic(policy=policy)
    staff = [a_user(Role.DOCTOR, name=name) for name in ("Dr Grace Hill", "Dr Noor Khan")]
    people = [a_user(name=f"Patient {name}") for name in patients]
    doctors = [Doctor(clinic.id, user.id, user.name, "General") for user in staff]
    world = World(
        clinic,
        doctors[0],
        doctors[1],
        tuple(Patient(clinic.id, user.id, user.name, user.email) for user in people),
        slots_of(doctors[0], slots),
        slots_of(doctors[1], slots),
    )
    async with store.begin() as unit:
        await unit.people.add_clinic(clinic)
        for user in staff:
            await unit.people.add_user(user)
            await unit.people.add_doctor(clinic.id, user.id, "General")
        for user in people:
            await unit.people.add_user(user)
            await unit.people.add_patient(clinic.id, user.id)
        await unit.calendars.add_slots(world.slots + world.colleague_slots)
        await unit.commit()
    if with_hours and slots:
        await seed_hours(store, *world.slots, *world.colleague_slots)
    return world
