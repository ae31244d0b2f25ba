"""Random days at a clinic, run on two stores in parallel, with every answer compared.

class MyComparison(StoreComparison):
    async def open_store(self) -> Store:
        ...  # an open store that holds nothing

TestMyComparison = MyComparison.TestCase
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from typing import Any, TypeVar
from unittest.mock import patch
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
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
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import Availability, AvailabilityException, ExceptionKind
from clinic.domain.calendar.closings import Block, Closure, Leave
from clinic.domain.calendar.locations import Location
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.errors import BookingConflict, ClinicError, Conflict
from clinic.domain.idempotency import Answer, IdempotentRequest, StoredAnswer, fingerprint
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Patient, Role, User
from clinic.ports.answers import IdempotencyCache
from clinic.ports.clock import IdSource
from clinic.ports.closings import Closing
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import a_context, an_anonymous_context
from clinic.testing.clock import FixedClock
from clinic.testing.ids import CountingIds
from clinic.testing.soundness import (
    check_planned,
    check_promises,
    every_appointment,
    every_slot,
    everything,
    stranded,
)
from clinic.testing.strategies import (
    Window,
    blocks,
    capacities,
    closures,
    instants_near_a_clock_change,
    leaves,
    nights,
    places,
    windows,
    zone_names,
)
from clinic.testing.undo_rules import UndoRules
from clinic.usecases.appointments.book import book, book_once
from clinic.usecases.appointments.change_appointment import change_status, reschedule, swap
from clinic.usecases.appointments.read_appointments import AppointmentSearch, list_appointments
from clinic.usecases.calendar import change_calendar
from clinic.usecases.calendar.added_places import add_place, delete_place
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.block_slots import set_slot_state, set_slots_state
from clinic.usecases.calendar.blocks import add_block, delete_block
from clinic.usecases.calendar.calendar_changes import read_change
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.calendar.change_doctor import set_last_day
from clinic.usecases.calendar.change_hours import (
    add_availability,
    add_exception,
    change_availability,
    delete_availability,
    delete_exception,
)
from clinic.usecases.calendar.closures import add_closure, delete_closure
from clinic.usecases.calendar.find_slots import SlotSearch, find_slots
from clinic.usecases.calendar.leaves import add_leave, delete_leave
from clinic.usecases.calendar.open_slots import open_slots
from clinic.usecases.context import Context
from clinic.usecases.idempotency import IdempotentCall, KeyedAnswer
from clinic.usecases.maintenance.align_calendars import align_calendars
from clinic.usecases.maintenance.open_calendars import open_calendars
from clinic.usecases.maintenance.service import Resources
from clinic.usecases.people.change_clinic import ClinicChanged, change_clinic
from clinic.usecases.people.manage_users import AccountChanged, set_enabled
from clinic.usecases.transactions import Transactions

T = TypeVar("T")
MOMENT, YEAR = timedelta(microseconds=1), timedelta(days=366)
_ADDS = {
    Availability: add_availability,
    AvailabilityException: add_exception,
    Closure: add_closure,
    Leave: add_leave,
    Block: add_block,
    AddedPlace: add_place,
}
_DELETES = {
    Availability: delete_availability,
    AvailabilityException: delete_exception,
    Closure: delete_closure,
    Leave: delete_leave,
    Block: delete_block,
    AddedPlace: delete_place,
}

DOCTORS, PATIENTS = 2, 3
#: how many ids one operation may use; different from those of every other operation
IDS_PER_STEP = 1_000_000
PICK = st.integers(0, 10_000)
#: the statuses in which an appointment is made here: mostly one that occupies its slot
BEGINNINGS = (Status.BOOKED, Status.BOOKED, Status.HELD, Status.CANCELLED)
ROLES = st.sampled_from((Role.PATIENT, Role.DOCTOR, Role.RECEPTIONIST, Role.ADMIN))


def many_holidays(country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
    """Return a public holiday on every fourth day, in any country."""
    first = date(year, 1, 1).toordinal()
    days = range(-(-first // 4) * 4, date(year + 1, 1, 1).toordinal(), 4)
    return {date.fromordinal(day): "Holiday" for day in days}


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
            holidays=many_holidays,
        )

    @property
    def resources(self) -> Resources:
        """What maintenance works with."""
        anonymous = an_anonymous_context(self.store, clock=self.clock)
        return Resources(
            replace(anonymous, new_id=self.new_id, holidays=many_holidays), ForgetfulCache()
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


class StoreComparison(UndoRules):
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
        #: whether slots are open until the horizon; not between midnight and maintenance
        self.is_opened = True

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
        policy = Policy(
            notice_min=notice_min,
            horizon_days=3,
            cancel_notice_min=120,
            squeeze_max=2,
            max_open_per_doctor=data.draw(st.sampled_from((None, None, 3)), label="per doctor"),
            max_bookings_per_day=data.draw(st.sampled_from((None, None, 6)), label="per day"),
            cancel_grace_min=data.draw(st.sampled_from((0, 60)), label="grace"),
        )
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
        self.locations = [Location(ids(), self.clinic.id, f"Branch {place}") for place in range(2)]
        self.contacts = in_memory().contacts
        self.model = Side(in_memory().store, in_memory().cache, self.clock)
        self.proven = Side(self.run(self.open_store()), ForgetfulCache(), self.clock)
        for side in (self.model, self.proven):
            self.run(self._seed(side.store))
        # Hours to begin with, so that most steps find something to book.
        self.add_weekly_hours(0, data.draw(windows(slots_max=6)), set(range(1, 8)), 1)
        self.add_weekly_hours(1, Window(time(9), time(11), 30), {1, 2, 3, 4, 5}, 2)

    async def _seed(self, store: Store) -> None:
        async with store.begin() as unit:
            await unit.people.add_clinic(self.clinic)
            for user in self.doctors:
                await unit.people.add_user(user)
                await unit.people.add_doctor(self.clinic.id, user.id, "General")
            for user in self.patients:
                await unit.people.add_user(user)
                await unit.people.add_patient(self.clinic.id, user.id)
            for location in self.locations:
                await unit.locations.add(location)
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

    # --- the calendar ---

    def change(self, act: Callable[[Side, bool], Awaitable[CalendarChanged[Any]]]) -> bool:
        """Preview a change of the calendar, then make it: the preview writes nothing, and both
        answer the same. Return whether it was made."""
        before = self.slots, self.appointments
        foreseen = self.both(lambda side: act(side, True))
        assert (self.slots, self.appointments) == before, "a preview that writes"
        done = self.both(lambda side: act(side, False))
        if isinstance(foreseen, Refusal) or isinstance(done, Refusal):
            assert foreseen == done, "a preview that is refused differently"
            return False
        assert _shown(foreseen.effect) == _shown(done.effect), "a preview of something else"
        reported = [view.appointment.id for view in done.effect.stranded]
        held = self.run(everything(self.model.store, self.clinic.id))
        outside = stranded(held, self.clock.now())
        assert reported == [each for each in outside if each in reported], "they are within"
        return True

    @rule(data=st.data(), pick=PICK, books=st.booleans())
    def change_by_the_worker(self, data: st.DataObject, pick: int, books: bool) -> None:
        """Close the clinic with too many slots for one transaction: they follow once the worker has
        aligned them, whatever was booked until then."""
        closure = replace(data.draw(closures(self.clinic.id, self.today)), id=self._input_id())
        actor = self.receptionist
        with patch.object(change_calendar, "AT_ONCE_MAX", 0):
            added = self.both(lambda side: add_closure(side.context(actor), closure))
        if isinstance(added, Refusal) or added.effect.change is None:
            return
        change_id = added.effect.change.id
        if books:
            self.book_at_the_desk(pick, pick)
        self.both(lambda side: align_calendars(side.resources))
        progress = self.both(lambda side: read_change(side.context(actor), change_id))
        assert not isinstance(progress, Refusal)
        assert progress.change.is_done

    def _input_id(self) -> UUID:
        """Return an id that sorts after those of the inputs before."""
        return CountingIds(self.steps * IDS_PER_STEP + IDS_PER_STEP // 2)()

    @property
    def today(self) -> date:
        return self.clinic.local_date(self.clock.now())

    def _doctor(self, pick: int) -> UUID:
        return self.doctors[pick % DOCTORS].id

    def _location(self, pick: int) -> UUID | None:
        return [None, *(one.id for one in self.locations)][pick % 3]

    def _weekly_hours(
        self, doctor: int, window: Window, weekdays: set[int], capacity: int = 1
    ) -> Availability:
        return Availability(
            self._input_id(),
            self.clinic.id,
            self._doctor(doctor),
            window.start,
            window.end,
            window.slot_min,
            tuple(weekdays),
            overnight=window.overnight,
            capacity=capacity,
            location_id=self._location(doctor // DOCTORS),
        )

    @rule(
        doctor=PICK,
        window=windows(slots_max=6) | nights(slots_max=8),
        weekdays=st.sets(st.integers(1, 7), min_size=1),
        capacity=capacities(),
    )
    def add_weekly_hours(
        self, doctor: int, window: Window, weekdays: set[int], capacity: int
    ) -> None:
        """Add hours; their slots open at once."""
        hours, actor = self._weekly_hours(doctor, window, weekdays, capacity), self.receptionist
        self.change(
            lambda side, preview: add_availability(side.context(actor), hours, preview=preview)
        )

    @rule(pick=PICK, window=windows(slots_max=6) | nights(slots_max=8))
    def change_some_hours(self, pick: int, window: Window) -> None:
        """Change the times and the slots' length of hours."""
        known = self._inputs()[0]
        if known:
            hours, actor = known[pick % len(known)], self.receptionist
            new = replace(
                hours,
                start=window.start,
                end=window.end,
                slot_min=window.slot_min,
                overnight=window.overnight,
                location_id=self._location(pick // 3),
            )
            self.change(
                lambda side, preview: change_availability(
                    side.context(actor), hours.id, lambda known: new, preview=preview
                )
            )

    @rule(pick=PICK, capacity=st.integers(1, 3))
    def change_a_capacity(self, pick: int, capacity: int) -> None:
        """Change how many places hours have at a time."""
        known = self._inputs()[0]
        if known:
            hours, actor = known[pick % len(known)], self.receptionist
            self.change(
                lambda side, preview: change_availability(
                    side.context(actor),
                    hours.id,
                    lambda known: replace(known, capacity=capacity),
                    preview=preview,
                )
            )

    @rule(
        doctor=PICK,
        window=windows(slots_max=4) | nights(slots_max=6),
        days=st.integers(-1, 3),
        removes=st.booleans(),
    )
    def add_one_exception(self, doctor: int, window: Window, days: int, removes: bool) -> None:
        """Add or remove hours on one day."""
        exception = self._exception(doctor, window, days, removes)
        actor = self.receptionist
        self.change(
            lambda side, preview: add_exception(side.context(actor), exception, preview=preview)
        )

    def _exception(
        self, doctor: int, window: Window, days: int, removes: bool
    ) -> AvailabilityException:
        return AvailabilityException(
            self._input_id(),
            self.clinic.id,
            self._doctor(doctor),
            self.today + timedelta(days=days),
            ExceptionKind.REMOVE if removes else ExceptionKind.ADD,
            window.start,
            window.end,
            None if removes else window.slot_min,
            window.overnight,
            capacity=1 if removes else 1 + doctor % 2,
            location_id=None if removes else self._location(doctor // DOCTORS),
        )

    @rule(data=st.data(), pick=PICK)
    def close_some_time(self, data: st.DataObject, pick: int) -> None:
        """Enter a closure, leave, a block or an added place."""
        self._enter(self._closing(data, pick))

    def _closing(self, data: st.DataObject, pick: int) -> Closing:
        """Return a closure, leave, a block or an added place, with an id that sorts after the
        others'."""
        clinic_id, doctor_id, today = self.clinic.id, self._doctor(pick), self.today
        kinds = closures(clinic_id, today), leaves(clinic_id, doctor_id, today)
        ahead = clinic_id, doctor_id, self.clock.now()
        known = st.one_of(*kinds, blocks(*ahead), places(*ahead))
        one = data.draw(known)
        if isinstance(one, AddedPlace | Closure):
            one = replace(one, location_id=self._location(pick // DOCTORS))
        return replace(one, id=self._input_id())

    def _enter(self, one: Closing | AvailabilityException | Availability) -> bool:
        actor = self.receptionist
        add: Any = _ADDS[type(one)]
        return self.change(lambda side, preview: add(side.context(actor), one, preview=preview))

    def _take_back(self, one: Closing | AvailabilityException | Availability) -> bool:
        actor = self.receptionist
        delete: Any = _DELETES[type(one)]
        return self.change(
            lambda side, preview: delete(side.context(actor), one.id, preview=preview)
        )

    @precondition(lambda self: self.steps % 3 == 0)
    @rule(kind=st.integers(0, 5), pick=PICK)
    def take_some_back(self, kind: int, pick: int) -> None:
        """Delete hours, an exception, a closure, leave, a block or an added place: appointments
        stay."""
        known = self._inputs()[kind]
        if known:
            assert self._take_back(known[pick % len(known)])

    @precondition(lambda self: self.is_opened)
    @rule(data=st.data(), pick=PICK, kind=st.integers(0, 4))
    def enter_and_take_back(self, data: st.DataObject, pick: int, kind: int) -> None:
        """Enter something, then take it back: the slots are the same ones as before."""
        one: Closing | AvailabilityException | Availability
        if kind == 0:
            window = data.draw(windows(slots_max=6) | nights(slots_max=8))
            one = self._weekly_hours(pick, window, set(range(1, 8)))
        elif kind == 1:
            window = data.draw(windows(slots_max=6) | nights(slots_max=8))
            one = self._exception(pick, window, data.draw(st.integers(-1, 3)), bool(pick % 2))
        else:
            one = self._closing(data, pick)
        self._open_all()
        before = self._on_calendar()
        if self._enter(one):
            assert self._take_back(one)
            self._check_same(before)

    @precondition(lambda self: self.is_opened)
    @rule(kind=st.integers(0, 5), pick=PICK)
    def take_back_and_enter(self, kind: int, pick: int) -> None:
        """Take something back and enter it again: the slots are the same ones as before."""
        known = self._inputs()[kind]
        self._open_all()
        before = self._on_calendar()
        if known:
            one = known[pick % len(known)]
            assert self._take_back(one)
            # What is over cannot be entered again, an exception comes after others now, and a place
            # is not beside hours any more once they are gone.
            if isinstance(one, AddedPlace) and one.is_beside_hours:
                return
            again = self._enter(replace(one, id=self._input_id()))
            if again and not isinstance(one, AvailabilityException):
                self._check_same(before)

    def _open_all(self) -> None:
        actor = self.receptionist
        self.both(lambda side: open_slots(side.context(actor), at_once=1))

    def _on_calendar(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.state is not SlotState.RETIRED]

    def _check_same(self, before: Sequence[Slot]) -> None:
        """Raise AssertionError unless the slots on the calendar are the same ones; where a start
        has had several lanes, as many in the same states."""
        beside = {(slot.doctor_id, slot.interval) for slot in self.slots if slot.lane > 1}

        def shown(slots: Sequence[Slot]) -> Counter[object]:
            known = ((slot, (slot.doctor_id, slot.interval)) for slot in slots)
            return Counter(
                (start, slot.state, slot.taken) if start in beside else slot
                for slot, start in known
            )

        after, earlier = shown(self._on_calendar()), shown(before)
        assert not earlier - after, f"slots that are gone: {earlier - after}"
        assert not after - earlier, f"other slots than before: {after - earlier}"

    def _inputs(self) -> tuple[list[Any], ...]:
        """Return the hours, exceptions, closures, leave, blocks and added places of the clinic."""
        held = self.run(everything(self.model.store, self.clinic.id))
        closings = held.closures, held.leaves, held.blocks, held.places
        kinds = held.hours, held.exceptions, *closings
        return tuple([*each] for each in kinds)

    @precondition(lambda self: self.steps % 2 == 0)
    @rule(zone_name=zone_names(), horizon_days=st.sampled_from((1, 3, 3, 5)))
    def change_the_clinic(self, zone_name: str, horizon_days: int) -> None:
        """Change the zone and the horizon; appointments keep their instants."""
        actor, contacts = self.actor(Role.ADMIN, 0), self.contacts

        def changed(clinic: Clinic) -> Clinic:
            policy = replace(clinic.policy, horizon_days=horizon_days)
            return replace(clinic, time_zone=zone_name, policy=policy)

        def act(side: Side, preview: bool, confirm: int | None = None) -> Awaitable[ClinicChanged]:
            return change_clinic(
                side.context(actor), changed, contacts=contacts, confirm=confirm, preview=preview
            )

        foreseen = self.both(lambda side: act(side, True))
        assert not isinstance(foreseen, Refusal)
        done = self.both(lambda side: act(side, False, foreseen.appointments_ahead))
        assert not isinstance(done, Refusal)
        self.clinic = done.clinic
        if done.effect is not None:
            assert foreseen.effect is not None
            assert _shown(foreseen.effect) == _shown(done.effect), "a preview of something else"
            self.is_opened = True

    @rule(doctor=PICK, days=st.none() | st.integers(-1, 4))
    def change_a_last_day(self, doctor: int, days: int | None) -> None:
        """Say when a doctor stops working here, or that they do not."""
        actor, doctor_id = self.actor(Role.ADMIN, 0), self._doctor(doctor)
        last_day = None if days is None else self.today + timedelta(days=days)
        self.change(
            lambda side, preview: set_last_day(
                side.context(actor), doctor_id, last_day, preview=preview
            )
        )

    @rule(doctor=PICK, enabled=st.sampled_from((True, True, False)), keep=st.booleans())
    def enable_or_disable(self, doctor: int, enabled: bool, keep: bool) -> None:
        """Disable a doctor, mostly to enable them soon. The preview needs no decision."""
        actor, doctor_id = self.actor(Role.ADMIN, 0), self._doctor(doctor)

        def act(side: Side, preview: bool) -> Awaitable[AccountChanged]:
            return set_enabled(
                side.context(actor),
                doctor_id,
                enabled=enabled,
                keep_appointments=keep and not preview,
                preview=preview,
            )

        before = self.slots, self.appointments
        foreseen = self.both(lambda side: act(side, True))
        assert (self.slots, self.appointments) == before, "a preview that writes"
        assert not isinstance(foreseen, Refusal)
        assert foreseen.effect is not None
        done = self.both(lambda side: act(side, False))
        if isinstance(done, Refusal):
            assert foreseen.effect.stranded, "a decision that the preview did not announce"
            return
        assert done.effect is not None
        assert _shown(foreseen.effect) == _shown(done.effect), "a preview of something else"

    @rule()
    def maintain(self) -> None:
        """Open slots up to the horizon, as a worker does every hour."""
        self.both(lambda side: open_calendars(side.resources))
        self.is_opened = True

    @rule(doctor=PICK, everyone=st.booleans())
    def open_hours(self, doctor: int, everyone: bool) -> None:
        """Open slots twice; the second time must add nothing."""
        actor = self.receptionist
        doctor_id = None if everyone else self._doctor(doctor)

        def open_them(side: Side) -> Awaitable[CalendarEffect]:
            # One doctor after the other, so that both sides give the same ids to the same slots.
            return open_slots(side.context(actor), doctor_id=doctor_id, at_once=1)

        self.both(open_them)
        before = self.slots
        again = self.both(open_them)
        assert self.slots == before
        assert not isinstance(again, Refusal)
        assert again.counts.is_zero
        if everyone:
            self.is_opened = True
            self._check_stranded(again)

    def _check_stranded(self, effect: CalendarEffect) -> None:
        """Raise AssertionError unless `effect`, of all days, reports those who are stranded."""
        now = self.clock.now()
        held = self.run(everything(self.model.store, self.clinic.id))
        expected = list(stranded(held, now))
        reported = [view.appointment.id for view in effect.stranded]
        listed = self.both(
            lambda side: _listed(
                side.store.appointments.stranded(
                    self.clinic.id, since=now + MOMENT, until=now + YEAR, limit=1_000
                )
            )
        )
        assert not isinstance(listed, Refusal)
        assert sorted(reported) == sorted(expected)
        assert [view.appointment.id for view in listed] == expected

    @precondition(lambda self: self.slots)
    @rule(pick=PICK, state=st.sampled_from((SlotState.OPEN, SlotState.BLOCKED)), role=ROLES)
    def set_one_slot(self, pick: int, state: SlotState, role: Role) -> None:
        """Block or open one slot."""
        slot, actor = self._slot(pick), self.actor(role, pick)
        self.change(
            lambda side, preview: set_slot_state(
                side.context(actor), state, slot.id, preview=preview
            )
        )

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
        self.change(
            lambda side, preview: set_slots_state(
                side.context(actor),
                state,
                doctor_id=doctor_id,
                starts_at=starts_at,
                ends_at=starts_at + timedelta(minutes=lasts_min),
                preview=preview,
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
        before = self.today
        self.clock.advance(minutes=minutes)
        self.is_opened = self.is_opened and self.today == before

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
        check_planned(held[0], self.clock.now(), many_holidays, is_opened=self.is_opened)


def _shown(effect: CalendarEffect) -> tuple[object, ...]:
    """Return what a preview and a change say alike."""
    switched = [(slot.id, slot.state) for slot in effect.switched]
    return effect.counts, effect.stranded, switched, effect.note


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
