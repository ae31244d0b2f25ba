"""Random days at a clinic, run on two stores in parallel, with every answer compared.

class MyComparison(StoreComparison):
    async def open_store(self) -> Store:
        ...  # an open store that holds nothing

TestMyComparison = MyComparison.TestCase
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import time, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from clinic.bootstrap import in_memory
from clinic.domain.appointments.appointments import (
    Appointment,
    AppointmentView,
    Booking,
    BookingFacts,
    Status,
)
from clinic.domain.appointments.booking import decide_booking
from clinic.domain.appointments.transitions import TRANSITIONS
from clinic.domain.calendar.availability import Availability, AvailabilityException, ExceptionKind
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.errors import BookingConflict, ClinicError, Conflict
from clinic.domain.idempotency import Answer, IdempotentRequest, StoredAnswer, fingerprint
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Patient, Role, User
from clinic.ports.answers import IdempotencyCache
from clinic.ports.clock import IdSource
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import a_context
from clinic.testing.clock import FixedClock
from clinic.testing.ids import CountingIds
from clinic.testing.soundness import check_promises, every_appointment, every_slot, everything
from clinic.testing.strategies import (
    Window,
    instants_near_a_clock_change,
    windows,
    zone_names,
)
from clinic.usecases.appointments.book import book, book_once
from clinic.usecases.appointments.change_appointment import change_status, reschedule, swap
from clinic.usecases.appointments.read_appointments import AppointmentSearch, list_appointments
from clinic.usecases.calendar.block_slots import set_slot_state, set_slots_state
from clinic.usecases.calendar.change_hours import (
    add_availability,
    add_exception,
    delete_availability,
    delete_exception,
)
from clinic.usecases.calendar.find_slots import SlotSearch, find_slots
from clinic.usecases.calendar.open_slots import open_slots
from clinic.usecases.context import Context
from clinic.usecases.idempotency import IdempotentCall, KeyedAnswer
from clinic.usecases.transactions import Transactions

T = TypeVar("T")

DOCTORS, PATIENTS = 2, 3
#: how many ids one operation may use; different from those of every other operation
IDS_PER_STEP = 1_000_000
PICK = st.integers(0, 10_000)
#: the statuses in which an appointment is made here: mostly one that occupies its slot
BEGINNINGS = (Status.BOOKED, Status.BOOKED, Status.HELD, Status.CANCELLED)
ROLES = st.sampled_from((Role.PATIENT, Role.DOCTOR, Role.RECEPTIONIST, Role.ADMIN))


class ForgetfulCache:
    """Keeps nothing, so that every repeated request is answered by the database."""

    async def get(self, request: IdempotentRequest) -> StoredAnswer | None:
        """Return None."""
        return None

    async def put(self, stored: StoredAnswer) -> None:
        """Keep nothing."""

    @property
    def is_shared(self) -> bool:
        """False."""
        return False

    async def forget(self, names: Sequence[bytes]) -> bool:
        """Return True: nothing is kept."""
        return True

    async def close(self) -> None:
        """Do nothing."""


class Side:
    """One of the two stores, with what the use cases need."""

    def __init__(self, store: Store, cache: IdempotencyCache, clock: FixedClock) -> None:
        self.store, self.cache, self.clock = store, cache, clock
        self.new_id = CountingIds()
        self.transactions = Transactions(store.begin)

    def context(self, actor: Actor) -> Context:
        """Return the context for use cases."""
        return a_context(
            self.store,
            actor,
            clock=self.clock,
            new_id=self.new_id,
            transactions=self.transactions,
        )


@dataclass(frozen=True, slots=True)
class KeyedBooking:
    """A booking request with a key, to be sent again later."""

    request: IdempotentRequest
    actor: Actor
    slot_id: Any
    patient_id: Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that a use case raised, as a value."""

    error: type[ClinicError]
    message: str
    facts: dict[str, Any]


def _render(view: AppointmentView) -> Answer:
    appointment = view.appointment
    return Answer(201, repr(appointment.id).encode(), f"/appointments/{appointment.id}", '"1"')


def _refuse(error: ClinicError) -> Answer:
    return Answer(409, error.code.encode())


class StoreComparison(RuleBasedStateMachine):
    """Drives the memory adapter and the store of `open_store` through the same use cases.

    After each step the answers and all stored data must be the same, and every promise of
    `check_sound` must hold.
    """

    async def open_store(self) -> Store:
        """Return the store to test, open and empty."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.run = self.runner.run
        self.steps = 0
        self.slots: list[Slot] = []
        self.appointments: list[Appointment] = []
        self.keyed: list[KeyedBooking] = []

    def teardown(self) -> None:
        """Close the tested store and the event loop."""
        if hasattr(self, "proven"):
            self.run(self.proven.store.close())
        self.runner.close()

    @initialize(data=st.data(), zone_name=zone_names(), notice_min=st.sampled_from((0, 60)))
    def begin(self, data: st.DataObject, zone_name: str, notice_min: int) -> None:
        """Seed one clinic, near the day its clocks change."""
        now = data.draw(instants_near_a_clock_change(zone_name), label="now")
        self.clock = FixedClock(now)
        policy = Policy(notice_min=notice_min, horizon_days=3, cancel_notice_min=120)
        ids = CountingIds()
        self.clinic = Clinic(ids(), "Riverside", zone_name, policy)
        self.doctors = [
            User(ids(), f"Dr {place}", f"d{place}@example.org", Role.DOCTOR)
            for place in range(DOCTORS)
        ]
        self.patients = [
            User(ids(), f"Patient {place}", f"p{place}@example.org", Role.PATIENT)
            for place in range(PATIENTS)
        ]
        self.office = ids()
        self.model = Side(in_memory().store, in_memory().cache, self.clock)
        self.proven = Side(self.run(self.open_store()), ForgetfulCache(), self.clock)
        for side in (self.model, self.proven):
            self.run(self._seed(side.store))
        # Hours to begin with, so that most steps find something to book.
        self.add_weekly_hours(0, data.draw(windows(slots_max=6)), set(range(1, 8)))
        self.add_weekly_hours(1, Window(time(9), time(11), 30), {1, 2, 3, 4, 5})

    async def _seed(self, store: Store) -> None:
        async with store.begin() as unit:
            await unit.people.add_clinic(self.clinic)
            for user in self.doctors:
                await unit.people.add_user(user)
                await unit.people.add_doctor(self.clinic.id, user.id, "General")
            for user in self.patients:
                await unit.people.add_user(user)
                await unit.people.add_patient(self.clinic.id, user.id)
            await unit.commit()

    # --- running and comparing ---

    def both(self, act: Callable[[Side], Awaitable[T]]) -> T | Refusal:
        """Call `act` on both stores, with the same ids, and return their common answer."""
        self.steps += 1
        answers = []
        for side in (self.model, self.proven):
            side.new_id = CountingIds(self.steps * IDS_PER_STEP)
            answers.append(self.run(self._answer(act(side))))
        assert answers[0] == answers[1], f"memory: {answers[0]}\nproven: {answers[1]}"
        self.run(self._remember())
        return answers[0]

    async def _answer(self, act: Awaitable[T]) -> T | Refusal:
        try:
            return await act
        except ClinicError as error:
            return Refusal(type(error), error.message, dict(error.facts))

    async def _remember(self) -> None:
        store, clinic_id = self.model.store, self.clinic.id
        self.slots = [view.slot for view in await every_slot(store, clinic_id)]
        self.appointments = [view.appointment for view in await every_appointment(store, clinic_id)]

    def actor(self, role: Role, pick: int) -> Actor:
        """Return an actor in this role."""
        people = {Role.PATIENT: self.patients, Role.DOCTOR: self.doctors}.get(role)
        user_id = people[pick % len(people)].id if people else self.office
        return Actor(user_id, role, self.clinic.id, request_id=f"step-{self.steps}")

    def _party(self, role: Role, appointment: Appointment, pick: int) -> Actor:
        """Return an actor in this role, mostly the appointment's own patient or doctor."""
        own = {Role.PATIENT: appointment.patient_id, Role.DOCTOR: appointment.doctor_id}
        actor = self.actor(role, pick)
        return replace(actor, user_id=own[role]) if role in own and pick % 4 else actor

    @property
    def receptionist(self) -> Actor:
        return self.actor(Role.RECEPTIONIST, 0)

    def _slot(self, pick: int) -> Slot:
        """Return a slot, mostly one of the next few that are free, or one that is taken."""
        ahead = [slot for slot in self.slots if slot.starts_at > self.clock.now()]
        free = [slot for slot in ahead if slot.is_free][:6]
        taken = [slot for slot in ahead if slot.taken]
        kind, place = pick % 4, pick // 4
        slots = (free, free, taken, self.slots)[kind] or self.slots
        return slots[place % len(slots)]

    # --- hours and slots ---

    @rule(doctor=PICK, window=windows(slots_max=6), weekdays=st.sets(st.integers(1, 7), min_size=1))
    def add_weekly_hours(self, doctor: int, window: Window, weekdays: set[int]) -> None:
        """Add hours; their slots open at once."""
        hours = Availability(
            CountingIds(self.steps * IDS_PER_STEP + IDS_PER_STEP // 2)(),
            self.clinic.id,
            self.doctors[doctor % DOCTORS].id,
            window.start,
            window.end,
            window.slot_min,
            tuple(weekdays),
        )
        actor = self.receptionist
        self.both(lambda side: add_availability(side.context(actor), hours))

    @rule(doctor=PICK, window=windows(slots_max=4), days=st.integers(0, 3), removes=st.booleans())
    def add_one_exception(self, doctor: int, window: Window, days: int, removes: bool) -> None:
        """Add or remove hours on one day."""
        exception = AvailabilityException(
            CountingIds(self.steps * IDS_PER_STEP + IDS_PER_STEP // 2)(),
            self.clinic.id,
            self.doctors[doctor % DOCTORS].id,
            self.clinic.local_date(self.clock.now()) + timedelta(days=days),
            ExceptionKind.REMOVE if removes else ExceptionKind.ADD,
            window.start,
            window.end,
            None if removes else window.slot_min,
        )
        actor = self.receptionist
        self.both(lambda side: add_exception(side.context(actor), exception))

    @precondition(lambda self: self.steps % 4 == 0)
    @rule(pick=PICK)
    def delete_some_hours(self, pick: int) -> None:
        """Delete hours: their slots are retired, and their appointments stay."""
        calendars = self.model.store.calendars
        known = self.run(_listed(calendars.availabilities(self.clinic.id)))
        if known:
            gone, actor = known[pick % len(known)].id, self.receptionist
            self.both(lambda side: delete_availability(side.context(actor), gone))

    @rule(pick=PICK)
    def delete_some_exception(self, pick: int) -> None:
        """Delete an exception."""
        calendars = self.model.store.calendars
        known = self.run(_listed(calendars.exceptions(self.clinic.id)))
        if known:
            gone, actor = known[pick % len(known)].id, self.receptionist
            self.both(lambda side: delete_exception(side.context(actor), gone))

    @rule(doctor=PICK, everyone=st.booleans())
    def open_hours(self, doctor: int, everyone: bool) -> None:
        """Open slots twice; the second time must add nothing."""
        actor = self.receptionist
        doctor_id = None if everyone else self.doctors[doctor % DOCTORS].id

        def open_them(side: Side) -> Awaitable[object]:
            # One doctor after the other, so that both sides give the same ids to the same slots.
            return open_slots(side.context(actor), doctor_id=doctor_id, at_once=1)

        self.both(open_them)
        before = self.slots
        self.both(open_them)
        assert self.slots == before

    @precondition(lambda self: self.slots)
    @rule(pick=PICK, state=st.sampled_from((SlotState.OPEN, SlotState.BLOCKED)), role=ROLES)
    def set_one_slot(self, pick: int, state: SlotState, role: Role) -> None:
        """Block or open one slot."""
        slot, actor = self._slot(pick), self.actor(role, pick)
        self.both(lambda side: set_slot_state(side.context(actor), state, slot.id))

    @rule(
        doctor=PICK,
        state=st.sampled_from((SlotState.OPEN, SlotState.BLOCKED)),
        begins_min=st.integers(0, 4000),
        lasts_min=st.integers(1, 600),
    )
    def set_a_stretch(self, doctor: int, state: SlotState, begins_min: int, lasts_min: int) -> None:
        """Block or open every slot in a stretch."""
        starts_at = self.clock.now() + timedelta(minutes=begins_min)
        actor, doctor_id = self.receptionist, self.doctors[doctor % DOCTORS].id
        self.both(
            lambda side: set_slots_state(
                side.context(actor),
                state,
                doctor_id=doctor_id,
                starts_at=starts_at,
                ends_at=starts_at + timedelta(minutes=lasts_min),
            )
        )

    # --- appointments ---

    @precondition(lambda self: self.slots)
    @rule(pick=PICK, patient=PICK)
    def book_at_the_desk(self, pick: int, patient: int) -> None:
        """Book as staff, who may override the policy, so that there are appointments to change."""
        self.book_a_slot(pick, patient, Role.RECEPTIONIST, override=True)

    @precondition(lambda self: self.slots)
    @rule(pick=PICK, patient=PICK, role=ROLES, override=st.booleans())
    def book_a_slot(self, pick: int, patient: int, role: Role, override: bool) -> None:
        """Book without a key."""
        actor, slot = self.actor(role, patient), self._slot(pick)
        patient_id = self.patients[patient % PATIENTS].id
        self.both(
            lambda side: book(
                side.context(actor),
                slot.id,
                patient_id=patient_id,
                type="Consultation",
                override=override,
            )
        )

    @precondition(lambda self: self.slots)
    @rule(wanted=st.lists(st.tuples(PICK, PICK, st.sampled_from(BEGINNINGS)), max_size=4))
    def add_several(self, wanted: list[tuple[int, int, Status]]) -> None:
        """Add appointments in one transaction, then those without conflicts."""
        new_id = CountingIds(self.steps * IDS_PER_STEP + IDS_PER_STEP // 2)
        chosen = [(self._slot(pick), patient, status) for pick, patient, status in wanted]
        bookings = [
            self._booking(slot, patient, status, new_id)
            for slot, patient, status in chosen
            if slot.starts_at > self.clock.now()
        ]
        conflicts = self.both(lambda side: _add_what_can_be(side.store, bookings))
        assert not isinstance(conflicts, Refusal), "bookings without conflicts were refused"
        named = {conflict.appointment_id for conflict in conflicts}
        ids = {booking.appointment.id for booking in bookings}
        assert ids & {one.id for one in self.appointments} == ids - named

    def _booking(self, slot: Slot, patient: int, status: Status, new_id: IdSource) -> Booking:
        """Return a booking of the slot, taken to be free, with an appointment in this status."""
        user = self.patients[patient % PATIENTS]
        booking = decide_booking(
            BookingFacts(
                self.clinic,
                replace(slot, state=SlotState.OPEN, taken=False),
                "",
                Patient(self.clinic.id, user.id, user.name, user.email),
            ),
            actor=self.receptionist,
            type="Consultation",
            reason=None,
            override=True,
            now=self.clock.now(),
            new_id=new_id,
        )
        return replace(
            booking,
            appointment=replace(booking.appointment, status=status),
            audit=replace(booking.audit, to_status=status),
        )

    @precondition(lambda self: self.slots)
    @rule(pick=PICK, patient=PICK, role=ROLES)
    def book_with_a_key(self, pick: int, patient: int, role: Role) -> None:
        """Book with a new key."""
        actor, slot = self.actor(role, patient), self._slot(pick)
        keyed = KeyedBooking(
            IdempotentRequest(
                self.clinic.id,
                actor.user_id,
                f"a-key-of-this-machine-{self.steps}",
                fingerprint("POST", "/appointments", slot.id.bytes),
            ),
            actor,
            slot.id,
            self.patients[patient % PATIENTS].id,
        )
        self.keyed.append(keyed)
        self.both(lambda side: self._book_once(side, keyed))

    @precondition(lambda self: self.keyed)
    @rule(pick=PICK)
    def repeat_a_request(self, pick: int) -> None:
        """Send a request again: it gets the same answer and changes nothing."""
        keyed = self.keyed[pick % len(self.keyed)]
        before = self.appointments
        answer = self.both(lambda side: self._book_once(side, keyed))
        if isinstance(answer, KeyedAnswer) and answer.replayed:
            assert self.appointments == before

    @precondition(lambda self: self.keyed and self.slots)
    @rule(pick=PICK, other=PICK)
    def use_a_key_again(self, pick: int, other: int) -> None:
        """Send a different request with a used key."""
        used = self.keyed[pick % len(self.keyed)]
        slot_id = self._slot(other).id
        other_print = fingerprint("POST", "/appointments", slot_id.bytes)
        request = used.request._replace(fingerprint=other_print)
        keyed = replace(used, request=request, slot_id=slot_id)
        self.both(lambda side: self._book_once(side, keyed))

    async def _book_once(self, side: Side, keyed: KeyedBooking) -> KeyedAnswer:
        return await book_once(
            side.context(keyed.actor),
            IdempotentCall(keyed.request, _render, _refuse),
            keyed.slot_id,
            patient_id=keyed.patient_id,
        )

    @precondition(lambda self: self.appointments)
    @rule(
        pick=PICK,
        to=st.sampled_from((Status.CONFIRMED, Status.CANCELLED, *Status)),
        role=ROLES,
        version=st.sampled_from((None, None, 1, 2)),
    )
    def change_a_status(self, pick: int, to: Status, role: Role, version: int | None) -> None:
        """Change an appointment to any status."""
        appointment = self._appointment(pick)
        actor = self._party(role, appointment, pick)
        self.both(
            lambda side: change_status(
                side.context(actor),
                appointment.id,
                to=to,
                expected_version=version,
            )
        )

    @precondition(lambda self: self.appointments)
    @rule(pick=PICK)
    def cancel_one(self, pick: int) -> None:
        """Cancel, so that there is always something to book."""
        appointment, actor = self._appointment(pick), self.receptionist
        self.both(
            lambda side: change_status(side.context(actor), appointment.id, to=Status.CANCELLED)
        )

    @precondition(lambda self: self.appointments and self.slots)
    @rule(pick=PICK, into=PICK, role=ROLES, override=st.booleans())
    def move_one(self, pick: int, into: int, role: Role, override: bool) -> None:
        """Move an appointment into any slot."""
        appointment = self._appointment(pick)
        actor = self._party(role, appointment, pick)
        slot = self._slot(into)
        self.both(
            lambda side: reschedule(
                side.context(actor),
                appointment.id,
                slot_id=slot.id,
                override=override,
            )
        )

    @precondition(lambda self: len(self.appointments) > 1)
    @rule(one=PICK, two=PICK, role=ROLES)
    def swap_two(self, one: int, two: int, role: Role) -> None:
        """Exchange the slots of two appointments."""
        ids = [self._appointment(each).id for each in (one, two)]
        actor = self.actor(role, one)
        self.both(lambda side: swap(side.context(actor), ids))

    def _appointment(self, pick: int) -> Appointment:
        """Return an appointment, mostly one that can still change."""
        lively = [one for one in self.appointments if TRANSITIONS[one.status]]
        appointments = (lively if pick % 4 else self.appointments) or self.appointments
        return appointments[pick // 4 % len(appointments)]

    # --- time and reading ---

    @rule(minutes=st.sampled_from((1, 30, 60, 240, 1440)))
    def let_time_pass(self, minutes: int) -> None:
        """Advance the clock."""
        self.clock.advance(minutes=minutes)

    @rule(role=ROLES, pick=PICK, limit=st.integers(1, 5), free_only=st.booleans())
    def read_slots(self, role: Role, pick: int, limit: int, free_only: bool) -> None:
        """List slots, page by page, forwards and back."""
        actor = self.actor(role, pick)
        page = PageRequest(limit)
        for _ in range(3):
            found = self.both(
                lambda side, page=page: find_slots(  # type: ignore[misc]
                    side.context(actor), SlotSearch(free_only=free_only), page
                )
            )
            if isinstance(found, Refusal) or found.next is None:
                return
            page = PageRequest(limit, found.next)

    @precondition(lambda self: self.slots)
    @rule(pick=PICK, limit=st.integers(1, 5))
    def read_the_nearest(self, pick: int, limit: int) -> None:
        """Find free slots close to any slot."""
        slot, now = self._slot(pick), self.clock.now()
        self.both(
            lambda side: _listed(
                side.store.calendars.nearest_free(
                    slot, starts_from=now, starts_before=now + timedelta(days=5), limit=limit
                )
            )
        )

    @rule(role=ROLES, pick=PICK, limit=st.integers(1, 5))
    def read_appointments(self, role: Role, pick: int, limit: int) -> None:
        """List the appointments that an actor may see."""
        actor = self.actor(role, pick)
        self.both(
            lambda side: list_appointments(
                side.context(actor), AppointmentSearch(), PageRequest(limit)
            )
        )

    @invariant()
    def both_are_sound_and_the_same(self) -> None:
        """Check both stores against every promise, and against each other."""
        if not hasattr(self, "proven"):
            return
        held = [
            self.run(everything(side.store, self.clinic.id)) for side in (self.model, self.proven)
        ]
        assert held[0] == held[1]
        check_promises(held[0])


async def _listed(found: Awaitable[Any]) -> list[Any]:
    return list(await found)


async def _add_what_can_be(store: Store, bookings: list[Booking]) -> Sequence[BookingConflict]:
    """Add the bookings, or those without conflicts; return the conflicts."""
    conflicts: Sequence[BookingConflict] = ()
    async with store.begin() as unit:
        try:
            await unit.appointments.add(bookings)
        except Conflict as refused:
            conflicts = refused.conflicts
            named = {conflict.place for conflict in conflicts}
            rest = [each for place, each in enumerate(bookings) if place not in named]
            await unit.appointments.add(rest)
        await unit.commit()
    return conflicts
