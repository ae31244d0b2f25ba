"""The contract of BookingDesk: loading facts and reserving a slot."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import anyio
import pytest

from clinic.domain.appointments.appointments import (
    Appointment,
    BookingFacts,
    Change,
    Status,
)
from clinic.domain.calendar.slots import SlotState
from clinic.domain.clinic import Policy
from clinic.domain.errors import (
    ClinicNotFound,
    PatientBusy,
    SlotTaken,
    TransactionAborted,
)
from clinic.domain.people.people import system_actor
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    World,
    a_booking,
    a_slot,
    a_status_change,
    new_id,
    seed_booking,
    seed_change,
    seed_slots,
    seed_state,
    seed_world,
)
from clinic.testing.contracts.appointments_steps import (
    book_place,
    listed_appointments,
    stored_slot,
    view_of,
    whole_clinic,
)
from clinic.testing.contracts.attempts import attempt, begin, outcome_of
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound


class BookingDeskContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_look_returns_all_that_booking_must_know(self, store: Store) -> None:
        world = await seed_world(store)
        slot, patient = world.slots[0], world.patients[0]

        facts = await store.desk.load_facts(system_actor(world.clinic.id), slot.id, patient.id)

        assert facts == BookingFacts(world.clinic, slot, world.doctor.name, patient, None)

    @pytest.mark.parametrize("state", list(SlotState))
    async def test_look_shows_the_slot_as_it_is(self, store: Store, state: SlotState) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        await seed_state(store, state, world.slots[0])

        facts = await store.desk.load_facts(
            system_actor(world.clinic.id), booked.slot_id, world.patients[1].id
        )

        assert facts.slot == replace(world.slots[0], state=state, taken=True)

    async def test_look_tells_how_long_the_patient_has_as_many_as_allowed(
        self, store: Store
    ) -> None:
        world = await seed_world(store, policy=Policy(max_open_appointments=2))
        clinic, patient, slots = world.clinic, world.patients[0], world.slots

        async def full_until() -> datetime | None:
            facts = await store.desk.load_facts(system_actor(clinic.id), slots[4].id, patient.id)
            return facts.full_until

        assert await full_until() is None
        second = await book_place(store, world, 1)
        await book_place(store, world, 0, patient=1)
        assert await full_until() is None
        third = await book_place(store, world, 2)
        assert await full_until() == slots[1].starts_at
        await book_place(store, world, 3)
        assert await full_until() == slots[2].starts_at

        # Cancelled and completed appointments do not count; confirmed ones do.
        await seed_change(store, a_status_change(clinic, third, Status.CANCELLED))
        assert await full_until() == slots[1].starts_at
        confirmed = a_status_change(clinic, second, Status.CONFIRMED)
        await seed_change(store, confirmed)
        assert await full_until() == slots[1].starts_at
        done = a_status_change(clinic, confirmed.after, Status.COMPLETED, now=slots[1].starts_at)
        await seed_change(store, done)
        assert await full_until() is None

    async def test_requests_under_way_may_pass_the_bound_on_open_appointments(
        self, store: Store
    ) -> None:
        """Only those that read the facts before the others were written may exceed it."""
        world = await seed_world(store, policy=Policy(max_open_appointments=1))
        clinic, patient, slots = world.clinic, world.patients[0], world.slots

        looks = [
            await store.desk.load_facts(system_actor(clinic.id), slot.id, patient.id)
            for slot in slots[:3]
        ]
        for slot in slots[:3]:
            await store.desk.reserve(a_booking(clinic, slot, patient))
        next_look = await store.desk.load_facts(system_actor(clinic.id), slots[3].id, patient.id)

        assert [facts.full_until for facts in looks] == [None] * 3
        assert next_look.full_until == slots[2].starts_at

    async def test_look_shows_nothing_uncommitted(self, store: Store) -> None:
        world = await seed_world(store)

        async with store.begin() as unit:
            await unit.calendars.set_slot_state(
                world.clinic.id, [world.slots[0].id], SlotState.BLOCKED
            )
            facts = await store.desk.load_facts(
                system_actor(world.clinic.id), world.slots[0].id, world.patients[0].id
            )

        assert facts.slot == world.slots[0]

    async def test_look_gives_none_for_what_is_absent_or_another_clinics(
        self, store: Store
    ) -> None:
        world, other = await seed_world(store), await seed_world(store)

        absent = await store.desk.load_facts(system_actor(world.clinic.id), new_id(), new_id())
        foreign = await store.desk.load_facts(
            system_actor(world.clinic.id), other.slots[0].id, other.patients[0].id
        )

        assert (absent.slot, absent.patient, absent.stored) == (None, None, None)
        assert (foreign.slot, foreign.patient, foreign.stored) == (None, None, None)
        assert absent.clinic == foreign.clinic == world.clinic

    async def test_look_at_an_unknown_clinic_raises(self, store: Store) -> None:
        world = await seed_world(store)

        with pytest.raises(ClinicNotFound):
            await store.desk.load_facts(
                system_actor(new_id()), world.slots[0].id, world.patients[0].id
            )

    async def test_reserve_writes_a_booking_of_which_nobody_is_told(self, store: Store) -> None:
        world = await seed_world(store)
        booking = replace(a_booking(world.clinic, world.slots[0], world.patients[0]), messages=())

        await store.desk.reserve(booking)

        found = await store.appointments.get(whole_clinic(world), booking.appointment.id)
        assert found is not None
        assert found.appointment == booking.appointment

    async def test_reserve_writes_the_appointment_its_entry_and_takes_the_slot(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        booking = a_booking(world.clinic, world.slots[0], world.patients[0])

        await store.desk.reserve(booking)

        found = await store.appointments.get(whole_clinic(world), booking.appointment.id)
        assert found == view_of(world, booking.appointment)
        trail = await store.appointments.trail(whole_clinic(world), booking.appointment.id)
        assert list(trail) == [booking.audit]
        assert await stored_slot(store, world.slots[0]) == replace(world.slots[0], taken=True)

    async def test_reserve_of_a_taken_slot_raises(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world, 0, 0)

        assert await outcome_of(lambda: book_place(store, world, 0, 1)) is SlotTaken
        assert await listed_appointments(store, AppointmentQuery(whole_clinic(world))) == [booked]

    @pytest.mark.parametrize("state", [SlotState.BLOCKED, SlotState.RETIRED])
    async def test_reserve_of_a_slot_that_is_not_open_raises(
        self, store: Store, state: SlotState
    ) -> None:
        world = await seed_world(store)
        await seed_state(store, state, world.slots[0])

        assert await outcome_of(lambda: book_place(store, world)) is SlotTaken
        assert await listed_appointments(store, AppointmentQuery(whole_clinic(world))) == []

    async def test_reserve_of_a_slot_that_is_not_there_raises(self, store: Store) -> None:
        world = await seed_world(store)
        nowhere = a_slot(world.doctor)

        refused = await outcome_of(
            lambda: seed_booking(store, world.clinic, nowhere, world.patients[0])
        )

        assert refused is SlotTaken

    @pytest.mark.parametrize("status", [one for one in Status if one.occupies])
    async def test_reserve_for_a_busy_patient_raises_and_leaves_the_slot_free(
        self, store: Store, status: Status
    ) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        await self._bring_into(store, world, booked, status)

        refused = await outcome_of(
            lambda: seed_booking(store, world.clinic, world.colleague_slots[0], world.patients[0])
        )

        assert refused is PatientBusy
        assert await stored_slot(store, world.colleague_slots[0]) == world.colleague_slots[0]

    async def _bring_into(
        self, store: Store, world: World, booked: Appointment, status: Status
    ) -> None:
        """Give the appointment this status, even if no transition leads to it."""
        if status is booked.status:
            return
        change = a_status_change(world.clinic, booked, Status.CONFIRMED)
        await seed_change(
            store,
            Change(
                booked,
                replace(change.after, status=status),
                replace(change.audit, to_status=status),
            ),
        )

    @pytest.mark.parametrize("status", [one for one in Status if not one.occupies])
    async def test_reserve_after_an_appointment_that_occupies_no_more(
        self, store: Store, status: Status
    ) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world)
        await self._bring_into(store, world, booked, status)

        again = await book_place(store, world, 0, 0)

        assert again.slot_id == booked.slot_id

    async def test_reserve_right_after_another_appointment_of_the_patient_is_fine(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        await book_place(store, world, 0, 0)

        await seed_booking(store, world.clinic, world.colleague_slots[1], world.patients[0])

        await check_sound(store, world.clinic.id)

    async def test_reserve_that_overlaps_by_a_minute_raises(self, store: Store) -> None:
        world = await seed_world(store)
        longer = a_slot(world.doctor, MORNING - timedelta(minutes=29))
        await seed_state(store, SlotState.RETIRED, *world.slots)
        await seed_slots(store, longer)
        await seed_booking(store, world.clinic, world.colleague_slots[0], world.patients[0])

        refused = await outcome_of(
            lambda: seed_booking(store, world.clinic, longer, world.patients[0])
        )

        assert refused is PatientBusy

    async def test_reserve_by_many_at_once_has_one_winner(self, store: Store) -> None:
        world = await seed_world(store, patients="ABCDEFGHIJKLMNOPQRST")

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, partial(book_place, store, world, 0, place)) for place in range(20)
            ]
            outcomes = [await each.outcome() for each in tries]

        assert sorted(outcomes, key=str) == sorted([None] + [SlotTaken] * 19, key=str)
        await check_sound(store, world.clinic.id)

    async def test_reserve_by_one_patient_of_two_doctors_at_once_has_one_winner(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        slots = (world.slots[0], world.colleague_slots[0])

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, partial(seed_booking, store, world.clinic, slot, world.patients[0]))
                for slot in slots
            ]
            outcomes = [await each.outcome() for each in tries]

        # Of two inserts that conflict in the patient's time, one may also be aborted.
        lost = [one for one in outcomes if one is not None]
        assert len(lost) == 1
        assert lost[0] in (PatientBusy, TransactionAborted)
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("commits", [True, False])
    async def test_reserve_waits_for_a_block_of_the_slot(self, store: Store, commits: bool) -> None:
        world = await seed_world(store)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.calendars.set_slot_state(
                    world.clinic.id, [world.slots[0].id], SlotState.BLOCKED
                )
                booking = await attempt(group, lambda: book_place(store, world), self)
                waited = not booking.has_ended
                if commits:
                    await unit.commit()
            outcome = await booking.outcome()

        assert (waited, outcome) == (True, SlotTaken if commits else None)
        await check_sound(store, world.clinic.id)

    async def test_reserve_of_a_slot_that_is_being_freed_is_refused_at_once(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world, 0, 0)
        cancel = a_status_change(world.clinic, booked, Status.CANCELLED)

        async with store.begin() as unit:
            await unit.appointments.lock(whole_clinic(world), [booked.id])
            await unit.appointments.apply([cancel])
            with anyio.fail_after(5):
                meanwhile = await outcome_of(lambda: book_place(store, world, 0, 1))
            await unit.commit()
        afterwards = await outcome_of(lambda: book_place(store, world, 0, 1))

        assert (meanwhile, afterwards) == (SlotTaken, None)
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("commits", [True, False])
    async def test_reserve_waits_for_a_change_of_the_patients_time(
        self, store: Store, commits: bool
    ) -> None:
        world = await seed_world(store)
        booked = await book_place(store, world, 0, 0)
        cancel = a_status_change(world.clinic, booked, Status.CANCELLED)
        elsewhere = world.colleague_slots[0]

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(whole_clinic(world), [booked.id])
                await unit.appointments.apply([cancel])
                booking = await attempt(
                    group,
                    lambda: seed_booking(store, world.clinic, elsewhere, world.patients[0]),
                    self,
                )
                waited = not booking.has_ended
                if commits:
                    await unit.commit()
            outcome = await booking.outcome()

        assert (waited, outcome) == (True, None if commits else PatientBusy)
        await check_sound(store, world.clinic.id)
