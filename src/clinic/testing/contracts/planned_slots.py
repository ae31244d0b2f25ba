"""The contract of planned slots: they are what the hours make, whatever happened before."""

from contextlib import suppress
from dataclasses import replace
from datetime import time, timedelta
from random import Random
from typing import Any

import anyio
import pytest

from clinic.domain.appointments.appointments import Appointment, Status
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import (
    AvailabilityException,
    ExceptionKind,
    Interval,
)
from clinic.domain.calendar.changes import SlotCounts
from clinic.domain.calendar.closings import Block, Closure, Leave
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Policy
from clinic.domain.errors import Conflict
from clinic.domain.people.people import Doctor, Role, Scope, system_actor
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.testing.builders import (
    MORNING,
    NOW,
    World,
    a_block,
    a_booking,
    a_closure,
    a_context,
    a_leave,
    a_place,
    a_slot,
    a_status_change,
    an_anonymous_context,
    an_availability,
    an_exception,
    new_id,
    seed_booking,
    seed_change,
    seed_slots,
    seed_state,
    seed_world,
    some_holidays,
)
from clinic.testing.contracts.attempts import attempt
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import (
    check_on_plan,
    check_planned,
    check_promises,
    check_sound,
    every_appointment,
    every_slot,
    everything,
)
from clinic.usecases.appointments.change_appointment import change_status, reschedule
from clinic.usecases.calendar.added_places import add_place, delete_place
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.block_slots import set_slot_state, set_slots_state, slots_changed
from clinic.usecases.calendar.blocks import add_block, delete_block
from clinic.usecases.calendar.change_doctor import set_last_day
from clinic.usecases.calendar.change_hours import (
    add_availability,
    add_exception,
    change_availability,
    delete_availability,
    delete_exception,
)
from clinic.usecases.calendar.closures import add_closure, delete_closure
from clinic.usecases.calendar.leaves import add_leave, delete_leave
from clinic.usecases.calendar.open_slots import open_slots
from clinic.usecases.context import Context
from clinic.usecases.people.add_people import list_doctors
from clinic.usecases.people.manage_users import set_enabled
from clinic.usecases.people.memberships import end_membership

HORIZON_DAYS = 8
STEPS = 16


class PlannedSlotsContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    @pytest.mark.parametrize("seed", range(6))
    async def test_slots_are_those_of_the_hours_after_any_changes(
        self, store: Store, seed: int
    ) -> None:
        """Inputs of every kind come and go, while patients book, move and cancel."""
        calendar = _Calendar(await _world(store), Random(seed), store)
        await calendar.add_hours()

        for _ in range(STEPS):
            await calendar.step()
            await calendar.check()

    async def test_day_off_that_is_taken_back_puts_the_slots_back(self, store: Store) -> None:
        world = await _world(store)
        context = _context(store, world)
        await add_availability(context, an_availability(world.doctor))
        await _book_some(store, world)
        before = await _on_calendar(store, world)

        day_off = await add_exception(context, an_exception(world.doctor))
        during = await _on_calendar(store, world)
        await delete_exception(context, day_off.row.id)

        assert during != before
        assert await _on_calendar(store, world) == before
        await check_sound(store, world.clinic.id)

    async def test_hours_that_are_entered_again_put_the_slots_back(self, store: Store) -> None:
        world = await _world(store)
        context, hours = _context(store, world), an_availability(world.doctor)
        await add_availability(context, hours)
        await _book_some(store, world)
        before = await _on_calendar(store, world)

        await delete_availability(context, hours.id)
        during = await _on_calendar(store, world)
        again = await add_availability(context, replace(hours, id=new_id()))

        assert [slot for slot in during if slot.starts_at > NOW] == []
        assert again.effect.stranded == ()
        assert await _on_calendar(store, world) == before
        await check_sound(store, world.clinic.id)

    async def test_added_place_that_is_entered_again_puts_its_slot_back(self, store: Store) -> None:
        """Given two places, one of them booked
        When they are deleted and entered again
        Then their slots are the same ones, and the booked one is taken."""
        world = await _world(store)
        context = _context(store, world)
        evening = MORNING + timedelta(hours=10)
        first = a_place(world.doctor, evening, minutes=20)
        second = a_place(world.doctor, first.ends_at, minutes=20)
        for place in (first, second):
            await add_place(context, place)
        booked = (await _on_calendar(store, world))[0]
        await seed_booking(store, world.clinic, booked, world.patients[0])
        before = await _on_calendar(store, world)

        deleted = [await delete_place(context, place.id) for place in (first, second)]
        during = await _on_calendar(store, world)
        again = [await add_place(context, replace(place, id=new_id())) for place in (second, first)]

        assert [len(each.effect.stranded) for each in deleted] == [1, 1]
        assert during == []
        assert [len(each.effect.stranded) for each in again] == [1, 0]
        assert [slot.taken for slot in before] == [True, False]
        assert await _on_calendar(store, world) == before
        await check_sound(store, world.clinic.id)

    async def test_slots_of_another_length_are_free_once_the_appointment_goes(
        self, store: Store
    ) -> None:
        """Given half an hour that is booked, and hours that now divide into 20 minutes
        Then the two slots in its time are taken until it is cancelled, and nobody is stranded."""
        world = await _world(store)
        context, hours = _context(store, world), an_availability(world.doctor)
        await add_availability(context, hours)
        second = (await _on_calendar(store, world))[1]
        booked = await seed_booking(store, world.clinic, second, world.patients[0])

        changed = await change_availability(
            context, hours.id, lambda known: replace(known, slot_min=20)
        )
        before = await _beneath(store, world, second)
        await seed_change(store, a_status_change(world.clinic, booked, Status.CANCELLED))

        assert changed.effect.stranded == ()
        assert [slot.taken for slot in before] == [True, True]
        assert [slot.is_free for slot in await _beneath(store, world, second)] == [True, True]
        await check_sound(store, world.clinic.id)

    async def test_everybody_outside_the_hours_is_reported_each_time(self, store: Store) -> None:
        world = await _world(store)
        context, hours = _context(store, world), an_availability(world.doctor)
        await add_availability(context, hours)
        first, second, *_ = await _on_calendar(store, world)
        a = await seed_booking(store, world.clinic, first, world.patients[0])
        b = await seed_booking(store, world.clinic, second, world.patients[1])

        shorter = await change_availability(
            context, hours.id, lambda known: replace(known, start=time(9, 30))
        )
        gone = await delete_availability(context, hours.id)

        stranded = [
            [view.appointment.id for view in each.effect.stranded] for each in (shorter, gone)
        ]
        assert stranded == [[a.id], [a.id, b.id]]

    async def test_appointment_moves_within_its_own_time(self, store: Store) -> None:
        """Given an appointment that has the time of two slots that were planned since
        When it moves into one of them
        Then that one is taken, and the other one free."""
        world = await _world(store)
        context, hours = _context(store, world), an_availability(world.doctor)
        await add_availability(context, hours)
        second = (await _on_calendar(store, world))[1]
        booked = await seed_booking(store, world.clinic, second, world.patients[0])
        await change_availability(context, hours.id, lambda known: replace(known, slot_min=20))
        left, right = await _beneath(store, world, second)

        await reschedule(context, booked.id, slot_id=right.id)

        left, right = await _beneath(store, world, second)
        assert (left.is_free, right.is_free) == (True, False)
        await check_sound(store, world.clinic.id)

    async def test_last_day_that_was_opened_is_put_back_too(self, store: Store) -> None:
        """Given slots that were opened beyond the horizon
        When the last day is taken off and given back
        Then its slots are back, and its appointment was reported each time."""
        world = await _world(store)
        context = _context(store, world)
        await add_availability(context, an_availability(world.doctor, weekdays=tuple(range(1, 8))))
        far = world.clinic.local_date(NOW) + timedelta(days=3 * HORIZON_DAYS)
        await open_slots(context, doctor_id=world.doctor.id, until=far)
        before = await _on_calendar(store, world)
        booked = await seed_booking(store, world.clinic, before[-1], world.patients[0])

        day_off = await add_exception(context, an_exception(world.doctor, far))
        again = await open_slots(context, doctor_id=world.doctor.id)
        await delete_exception(context, day_off.row.id)

        for opened in (day_off.effect, again):
            assert [view.appointment.id for view in opened.stranded] == [booked.id]
        assert [slot.id for slot in await _on_calendar(store, world)] == [
            slot.id for slot in before
        ]

    async def test_doctor_whose_last_day_has_passed_is_not_shown_to_patients(
        self, store: Store
    ) -> None:
        world = await _world(store)
        context, doctor = _context(store, world), world.doctor
        patient = replace(context.actor, user_id=world.patients[0].id, role=Role.PATIENT)
        today = world.clinic.local_date(NOW)

        seen = {}
        for last_day in (today, today - timedelta(days=1)):
            await set_last_day(context, doctor.id, last_day)
            for actor in (patient, context.actor):
                doctors = await list_doctors(replace(context, actor=actor))
                seen[last_day, actor.role] = doctor.id in {each.id for each in doctors}

        assert [each for each, shown in seen.items() if not shown] == [
            (today - timedelta(days=1), Role.PATIENT)
        ]

    @pytest.mark.parametrize("ends", [False, True], ids=["disabled", "membership_ends"])
    async def test_preview_of_a_doctor_who_leaves_is_what_happens_then(
        self, store: Store, ends: bool
    ) -> None:
        """Given a doctor of two clinics, with an appointment at each
        When they would be disabled, the preview counts what happens at both; when a membership
        would end, at that clinic. It changes nothing."""
        here, there = await _world(store), await _world(store)
        context, doctor = _context(store, here), here.doctor
        async with store.begin() as unit:
            user = await unit.people.user(doctor.id)
            assert user is not None
            await unit.memberships.join(there.clinic.id, user, "Skin")
            await unit.commit()
        there = replace(there, doctor=replace(doctor, clinic_id=there.clinic.id, specialty="Skin"))
        booked = []
        for place, world in enumerate((here, there)):
            await add_availability(_context(store, world), an_availability(world.doctor))
            slot = (await _on_calendar(store, world))[place]
            made = await seed_booking(store, world.clinic, slot, world.patients[0])
            booked.append(made.id)
        before = [await everything(store, world.clinic.id) for world in (here, there)]

        async def leave(preview: bool) -> CalendarEffect | None:
            keep = not preview
            if ends:
                return await end_membership(
                    context, doctor.id, keep_appointments=keep, preview=preview
                )
            changed = await set_enabled(
                context, doctor.id, enabled=False, keep_appointments=keep, preview=preview
            )
            return changed.effect

        foreseen = await leave(preview=True)
        after = [await everything(store, world.clinic.id) for world in (here, there)]
        done = await leave(preview=False)

        assert foreseen is not None
        assert done is not None
        assert after == before
        assert (foreseen.counts, foreseen.stranded) == (done.counts, done.stranded)
        assert {view.appointment.id for view in done.stranded} == set(booked[: 1 if ends else 2])
        assert done.counts.retired > 0

    async def test_closure_opens_nobodys_slots_because_a_colleagues_are_open(
        self, store: Store
    ) -> None:
        """Given a doctor whose slots are opened beyond the horizon
        When the clinic is closed on a day beyond it
        Then the slots of a colleague, which are not opened yet, stay so."""
        world = await _world(store)
        context, far = _context(store, world), NOW.date() + timedelta(days=3 * HORIZON_DAYS)
        for doctor in (world.doctor, world.colleague):
            await add_availability(context, an_availability(doctor, weekdays=(1, 2, 3, 4, 5, 6, 7)))
        await open_slots(context, doctor_id=world.doctor.id, until=far)
        before = await _on_calendar(store, world, world.colleague)

        closed = await add_closure(context, a_closure(world.clinic, far))

        assert closed.effect.counts == SlotCounts(blocked=4)
        assert await _on_calendar(store, world, world.colleague) == before

    async def test_appointment_over_midnight_is_within_the_hours_of_both_days(
        self, store: Store
    ) -> None:
        """Given an appointment over midnight, in whose time there are two slots since
        When the doctor's time on the first of the days is blocked
        Then the appointment is not reported, unless its own time is blocked."""
        world = await _world(store)
        context = _context(store, world)
        hours = replace(
            an_availability(world.doctor),
            start=time(23, 30),
            end=time(0, 30),
            slot_min=60,
            overnight=True,
        )
        await add_availability(context, hours)
        night = (await _on_calendar(store, world))[0]
        booked = await seed_booking(store, world.clinic, night, world.patients[0])
        await change_availability(context, hours.id, lambda known: replace(known, slot_min=30))

        before = await add_block(context, a_block(world.doctor, NOW))
        within = await add_block(context, a_block(world.doctor, night.starts_at))

        assert before.effect.stranded == ()
        assert [view.appointment.id for view in within.effect.stranded] == [booked.id]

    async def test_block_reports_the_appointment_that_keeps_its_time(self, store: Store) -> None:
        world = await _world(store)
        context, hours = _context(store, world), an_availability(world.doctor)
        await add_availability(context, hours)
        second = (await _on_calendar(store, world))[1]
        booked = await seed_booking(store, world.clinic, second, world.patients[0])
        await change_availability(context, hours.id, lambda known: replace(known, slot_min=20))

        done = await set_slots_state(
            context,
            SlotState.BLOCKED,
            doctor_id=world.doctor.id,
            starts_at=second.starts_at,
            ends_at=second.ends_at,
        )

        blocked = slots_changed(done)

        assert len(blocked.slots) == 2
        assert [view.appointment.id for view in blocked.appointments] == [booked.id]

    @pytest.mark.parametrize("commits", [True, False], ids=["commits", "gives_up"])
    async def test_cancel_that_waits_for_new_hours_frees_what_they_plan(
        self, store: Store, commits: bool
    ) -> None:
        """Given hours being changed, which retire a booked slot and plan others in its time
        When its patient cancels meanwhile
        Then the cancellation waits, and frees what is planned there by then."""
        world = await seed_world(store)
        slot = world.slots[0]
        booked = await seed_booking(store, world.clinic, slot, world.patients[0])

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await _divide(unit, world, slot)
                waiting = await attempt(group, lambda: _cancel(store, world, booked), self)
                waited = not waiting.has_ended
                if commits:
                    await unit.commit()
            outcome = await waiting.outcome()

        assert (waited, outcome) == (True, None)
        beneath = await _beneath(store, world, slot)
        assert [each.is_free for each in beneath] == ([True, True] if commits else [True])
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("commits", [True, False], ids=["commits", "gives_up"])
    async def test_new_hours_that_wait_for_a_cancel_are_planned_as_it_ends(
        self, store: Store, commits: bool
    ) -> None:
        world = await seed_world(store)
        slot = world.slots[0]
        booked = await seed_booking(store, world.clinic, slot, world.patients[0])

        async def divide() -> None:
            async with store.begin() as other:
                await _divide(other, world, slot)
                await other.commit()

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                scope = Scope(world.clinic.id)
                locked = await unit.appointments.lock(scope, [booked.id])
                one = locked.appointments[booked.id]
                await unit.appointments.apply(
                    [a_status_change(world.clinic, one, Status.CANCELLED)]
                )
                waiting = await attempt(group, divide, self)
                waited = not waiting.has_ended
                if commits:
                    await unit.commit()
            outcome = await waiting.outcome()

        assert (waited, outcome) == (True, None)
        beneath = await _beneath(store, world, slot)
        assert [each.is_free for each in beneath] == [commits] * 2
        await check_sound(store, world.clinic.id)

    async def test_two_cancels_that_share_a_slot_free_it(self, store: Store) -> None:
        """Given two appointments outside the hours, and a slot that is planned in both their times
        When one is cancelled while the other is being cancelled
        Then it waits, and the slot is free."""
        world = await seed_world(store)
        one, two, *_ = world.slots
        booked = [
            await seed_booking(store, world.clinic, slot, patient)
            for slot, patient in zip((one, two), world.patients, strict=False)
        ]
        await seed_state(store, SlotState.RETIRED, one, two)
        between = a_slot(world.doctor, one.starts_at + timedelta(minutes=20), minutes=20)
        await seed_slots(store, between)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                locked = await unit.appointments.lock(Scope(world.clinic.id), [booked[0].id])
                first = locked.appointments[booked[0].id]
                await unit.appointments.apply(
                    [a_status_change(world.clinic, first, Status.CANCELLED)]
                )
                waiting = await attempt(group, lambda: _cancel(store, world, booked[1]), self)
                waited = not waiting.has_ended
                await unit.commit()
            outcome = await waiting.outcome()

        assert (waited, outcome) == (True, None)
        assert [each.is_free for each in await _beneath(store, world, between)] == [True]
        await check_sound(store, world.clinic.id)


class _Calendar:
    """A doctor's calendar to which random things happen."""

    def __init__(self, world: World, random: Random, store: Store) -> None:
        self._world, self._random, self._store = world, random, store
        self._context = _context(store, world)
        self._works = True

    async def step(self) -> None:
        """Change something; a conflict changes nothing."""
        change = (self.add_hours, self._delete_hours, self._except, self._put_back, self._switch)
        close = (self._close, self._open, self._patch, self._place, self._place)
        act = self._random.choice(
            (*change, *close, self._book, self._book, self._book, self._move, self._cancel)
        )
        with suppress(Conflict):
            await act()

    async def check(self) -> None:
        """Raise AssertionError unless the slots ahead are those of the plan, and every promise
        holds."""
        found = await everything(self._store, self._world.clinic.id)
        check_promises(found)
        check_planned(found, NOW, some_holidays)
        await check_on_plan(an_anonymous_context(self._store))

    async def add_hours(self) -> None:
        """Add hours on some weekdays."""
        hour, minute = self._random.choice((9, 10, 13)), self._random.choice((0, 15, 30))
        hours = an_availability(
            self._world.doctor,
            start=time(hour, minute),
            end=time(hour + 2, minute),
            slot_min=self._random.choice((20, 30, 60)),
            weekdays=tuple(self._random.sample(range(1, 8), 3)),
        )
        await add_availability(self._context, hours)

    async def _delete_hours(self) -> None:
        known = await self._store.calendars.availabilities(self._world.clinic.id)
        if len(known) > 1:
            await delete_availability(self._context, self._random.choice(known).id)

    async def _except(self) -> None:
        day = MORNING.date() + timedelta(days=self._random.randrange(4))
        whole = an_exception(self._world.doctor, day)
        hour = self._random.choice((9, 10, 13, 18))
        kind = self._random.choice([*ExceptionKind])
        part = AvailabilityException(
            new_id(),
            self._world.clinic.id,
            self._world.doctor.id,
            day,
            kind,
            time(hour),
            time(hour + 1),
            20 if kind is ExceptionKind.ADD else None,
        )
        await add_exception(self._context, self._random.choice((whole, part)))

    async def _close(self) -> None:
        world, day = self._world, MORNING.date() + timedelta(days=self._random.randrange(4))
        begins = MORNING + timedelta(minutes=self._random.randrange(0, 3 * 24 * 60, 5))
        closing = self._random.choice(
            (
                a_closure(world.clinic, day),
                a_leave(world.doctor, day),
                a_block(world.doctor, begins, minutes=self._random.choice((10, 60, 2_000))),
            )
        )
        add: Any = {Closure: add_closure, Leave: add_leave, Block: add_block}[type(closing)]
        await add(self._context, closing)

    async def _place(self) -> None:
        begins = MORNING + timedelta(minutes=self._random.randrange(0, 3 * 24 * 60, 10))
        minutes = self._random.choice((10, 30, 60))
        await add_place(self._context, a_place(self._world.doctor, begins, minutes=minutes))

    async def _open(self) -> None:
        found = await everything(self._store, self._world.clinic.id)
        known: list[Any] = [*found.closures, *found.leaves, *found.blocks, *found.places]
        if known:
            one = self._random.choice(known)
            deletes = {
                Closure: delete_closure,
                Leave: delete_leave,
                Block: delete_block,
                AddedPlace: delete_place,
            }
            delete: Any = deletes[type(one)]
            await delete(self._context, one.id)

    async def _patch(self) -> None:
        slots = await _on_calendar(self._store, self._world)
        if slots:
            state = self._random.choice((SlotState.OPEN, SlotState.BLOCKED))
            await set_slot_state(self._context, state, self._random.choice(slots[:20]).id)

    async def _move(self) -> None:
        one = await self._any_booked()
        free = [each for each in await _on_calendar(self._store, self._world) if each.is_free]
        if one is not None and free:
            into = self._random.choice(free[:10]).id
            await reschedule(self._context, one.id, slot_id=into, override=True)

    async def _any_booked(self) -> Appointment | None:
        every = await every_appointment(self._store, self._world.clinic.id)
        booked = [view.appointment for view in every if view.appointment.status.occupies]
        return self._random.choice(booked) if booked else None

    async def _switch(self) -> None:
        await set_enabled(
            self._context, self._world.doctor.id, enabled=not self._works, keep_appointments=True
        )
        self._works = not self._works

    async def _put_back(self) -> None:
        known = await self._store.calendars.exceptions(self._world.clinic.id)
        if known:
            await delete_exception(self._context, self._random.choice(known).id)

    async def _book(self) -> None:
        free = [each for each in await _on_calendar(self._store, self._world) if each.is_free]
        if free:
            patient = self._random.choice(self._world.patients)
            slot = self._random.choice(free[:10])
            await self._store.desk.reserve(a_booking(self._world.clinic, slot, patient))

    async def _cancel(self) -> None:
        one = await self._any_booked()
        if one is not None:
            await seed_change(
                self._store, a_status_change(self._world.clinic, one, Status.CANCELLED)
            )


async def _world(store: Store) -> World:
    """Return a clinic with a short horizon, whose doctors have no slots yet."""
    return await seed_world(store, slots=0, policy=Policy(horizon_days=HORIZON_DAYS))


def _context(store: Store, world: World) -> Context:
    return a_context(store, system_actor(world.clinic.id))


async def _book_some(store: Store, world: World) -> None:
    slots = await _on_calendar(store, world)
    for place, patient in ((0, 0), (2, 1)):
        await seed_booking(store, world.clinic, slots[place], world.patients[patient])


async def _on_calendar(store: Store, world: World, doctor: Doctor | None = None) -> list[Slot]:
    every = [view.slot for view in await every_slot(store, world.clinic.id)]
    doctor_id = (doctor or world.doctor).id
    return [
        slot
        for slot in every
        if slot.doctor_id == doctor_id and slot.state is not SlotState.RETIRED
    ]


async def _divide(unit: UnitOfWork, world: World, slot: Slot) -> None:
    """Plan two slots in the time of one, as a change of the hours does."""
    calendars, doctor = unit.calendars, world.doctor
    await calendars.lock_doctor(world.clinic.id, doctor.id)
    await calendars.lock_slots(world.clinic.id, [doctor.id], slot.starts_at, slot.ends_at)
    await calendars.set_slot_state(world.clinic.id, [slot.id], SlotState.RETIRED)
    half = (slot.ends_at - slot.starts_at) / 2
    minutes = int(half.total_seconds() // 60)
    halves = (a_slot(doctor, slot.starts_at + half * part, minutes=minutes) for part in (0, 1))
    await calendars.add_slots([*halves])


async def _cancel(store: Store, world: World, booked: Appointment) -> None:
    await change_status(_context(store, world), booked.id, to=Status.CANCELLED)


async def _beneath(store: Store, world: World, slot: Slot) -> list[Slot]:
    """Return the slots on the calendar that overlap this one."""
    stretch = Interval(slot.starts_at, slot.ends_at)
    return [each for each in await _on_calendar(store, world) if each.interval.overlaps(stretch)]
