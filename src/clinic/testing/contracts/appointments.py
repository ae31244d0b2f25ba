"""The contract of Appointments, AppointmentReader and BookingDesk."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import anyio
import pytest

from clinic.domain.appointments.appointments import (
    Appointment,
    AppointmentView,
    BookingFacts,
    Change,
    Status,
)
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Policy
from clinic.domain.errors import (
    ClinicError,
    ClinicNotFound,
    PatientBusy,
    SlotTaken,
    TransactionAborted,
)
from clinic.domain.paging import Keyset, PageRequest
from clinic.domain.people.people import Scope, system_actor
from clinic.ports.appointments import AppointmentQuery, ScheduleEntry
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    World,
    a_booking,
    a_move,
    a_slot,
    a_status_change,
    a_swap,
    new_id,
    seed_booking,
    seed_change,
    seed_slots,
    seed_state,
    seed_world,
)
from clinic.testing.contracts.attempts import attempt, begin, outcome_of
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound, every_appointment


async def _book(store: Store, world: World, slot: int = 0, patient: int = 0) -> Appointment:
    return await seed_booking(store, world.clinic, world.slots[slot], world.patients[patient])


async def _slot(store: Store, slot: Slot) -> Slot:
    found = await store.calendars.slot(slot.clinic_id, slot.id)
    assert found is not None
    return found.slot


async def _list(
    store: Store, query: AppointmentQuery, page: PageRequest | None = None
) -> list[Appointment]:
    found = await store.appointments.list(
        system_actor(query.scope.clinic_id), query, page or PageRequest()
    )
    return [view.appointment for view in found]


def _scope(world: World) -> Scope:
    return Scope(world.clinic.id)


def _view(world: World, appointment: Appointment) -> AppointmentView:
    names = {patient.id: patient.name for patient in world.patients}
    names |= {doctor.id: doctor.name for doctor in (world.doctor, world.colleague)}
    return AppointmentView(
        appointment,
        names[appointment.doctor_id],
        names[appointment.patient_id],
        world.clinic.zone,
    )


class AppointmentsContract(Contract, contract=True):
    """Give it a fixture `store`: an open Store that holds nothing."""

    # --- reading ---

    async def test_get_returns_the_appointment_with_names_and_zone(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)

        assert await store.appointments.get(_scope(world), booked.id) == _view(world, booked)

    async def test_get_unknown_is_none(self, store: Store) -> None:
        world = await seed_world(store)

        assert await store.appointments.get(_scope(world), new_id()) is None

    async def test_get_outside_the_scope_is_none(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        booked = await _book(store, world)
        mine, others = world.patients[0].id, world.patients[1].id

        found = [
            await store.appointments.get(scope, booked.id)
            for scope in (
                Scope(world.clinic.id, patient_id=mine),
                Scope(world.clinic.id, doctor_id=world.doctor.id),
                Scope(world.clinic.id, patient_id=others),
                Scope(world.clinic.id, doctor_id=world.colleague.id),
                Scope(other.clinic.id),
            )
        ]

        assert found == [_view(world, booked)] * 2 + [None] * 3

    async def _booked_all(self, store: Store, world: World) -> list[Appointment]:
        """Book slots in an order that is not theirs; return the appointments by (start, id)."""
        booked = [
            await _book(store, world, slot, patient)
            for slot, patient in ((3, 0), (0, 0), (2, 1), (1, 2))
        ]
        elsewhere = await seed_booking(
            store, world.clinic, world.colleague_slots[0], world.patients[1]
        )
        return sorted([*booked, elsewhere], key=lambda one: (one.starts_at, one.id))

    async def test_list_goes_by_start_then_id(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        await _book(store, await seed_world(store))

        assert await _list(store, AppointmentQuery(_scope(world))) == booked

    async def test_list_filters_by_doctor_patient_and_both(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        doctor_id, patient_id = world.doctor.id, world.patients[1].id
        query = AppointmentQuery(_scope(world))

        by_doctor = await _list(store, replace(query, doctor_id=doctor_id))
        by_patient = await _list(store, replace(query, patient_id=patient_id))
        by_both = await _list(store, replace(query, doctor_id=doctor_id, patient_id=patient_id))

        assert by_doctor == [one for one in booked if one.doctor_id == doctor_id]
        assert by_patient == [one for one in booked if one.patient_id == patient_id]
        assert by_both == [one for one in by_patient if one.doctor_id == doctor_id]
        assert (len(by_doctor), len(by_patient), len(by_both)) == (4, 2, 1)

    async def test_list_keeps_to_the_scope_whatever_the_filter(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        mine, others = world.patients[0].id, world.patients[1].id

        own = await _list(store, AppointmentQuery(Scope(world.clinic.id, patient_id=mine)))
        prying = await _list(
            store, AppointmentQuery(Scope(world.clinic.id, patient_id=mine), patient_id=others)
        )
        colleagues = await _list(
            store, AppointmentQuery(Scope(world.clinic.id, doctor_id=world.colleague.id))
        )

        assert own == [one for one in booked if one.patient_id == mine]
        assert prying == []
        assert colleagues == [one for one in booked if one.doctor_id == world.colleague.id]

    async def test_list_keeps_to_the_half_open_range(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        first, last = world.slots[1].starts_at, world.slots[3].starts_at

        found = await _list(
            store, AppointmentQuery(_scope(world), starts_from=first, starts_before=last)
        )

        assert found == [one for one in booked if first <= one.starts_at < last]
        assert len(found) == 2

    async def test_list_filters_by_status(self, store: Store) -> None:
        world = await seed_world(store)
        stays, goes = await _book(store, world, 0), await _book(store, world, 1, 1)
        change = a_status_change(world.clinic, goes, Status.CANCELLED)
        await seed_change(store, change)
        query = AppointmentQuery(_scope(world))

        gone = await _list(store, replace(query, statuses=(Status.CANCELLED,)))
        either = await _list(store, replace(query, statuses=(Status.BOOKED, Status.CANCELLED)))

        assert (gone, either) == ([change.after], [stays, change.after])

    async def test_list_gives_one_more_than_the_page(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)

        assert await _list(store, AppointmentQuery(_scope(world)), PageRequest(2)) == booked[:3]

    async def test_list_goes_on_after_a_place(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        query = AppointmentQuery(_scope(world))

        found = [
            await _list(store, query, PageRequest(1, Keyset(one.starts_at, one.id)))
            for one in booked
        ]

        assert found == [booked[place + 1 : place + 3] for place in range(len(booked))]

    async def test_list_backwards_gives_the_nearest_before_earliest_first(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        place = Keyset(booked[4].starts_at, booked[4].id, backwards=True)

        found = await _list(store, AppointmentQuery(_scope(world)), PageRequest(2, place))

        assert found == booked[1:4]

    async def test_schedule_finds_what_list_finds_in_its_order(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        await seed_change(store, a_status_change(world.clinic, booked[0], Status.CANCELLED))
        clinic_id, doctor_id, patient_id = world.clinic.id, world.doctor.id, world.patients[1].id
        queries = [
            AppointmentQuery(_scope(world)),
            AppointmentQuery(_scope(world), doctor_id=doctor_id),
            AppointmentQuery(_scope(world), patient_id=patient_id),
            AppointmentQuery(Scope(clinic_id, doctor_id=doctor_id), patient_id=patient_id),
            AppointmentQuery(Scope(clinic_id, patient_id=patient_id), doctor_id=doctor_id),
            AppointmentQuery(Scope(clinic_id, doctor_id=doctor_id), doctor_id=world.colleague.id),
            AppointmentQuery(
                _scope(world), starts_from=booked[1].starts_at, starts_before=booked[3].starts_at
            ),
            AppointmentQuery(_scope(world), statuses=(Status.CANCELLED, Status.COMPLETED)),
            AppointmentQuery(Scope(new_id())),
        ]

        for query in queries:
            views = await store.appointments.list(
                system_actor(query.scope.clinic_id), query, PageRequest()
            )

            assert list(await store.appointments.schedule(query, 50)) == [
                ScheduleEntry(
                    str(view.appointment.id),
                    view.patient_name,
                    view.doctor_name,
                    view.appointment.starts_at,
                    view.appointment.ends_at,
                    view.appointment.type,
                    view.appointment.status,
                    world.clinic.time_zone,
                )
                for view in views
            ]

    async def test_nothing_after_the_booking_horizon_is_found(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)
        horizon = timedelta(days=world.clinic.policy.horizon_days)

        for last in (booked[0], booked[2]):
            query = AppointmentQuery(_scope(world), horizon_from=last.starts_at - horizon)
            expected = [one for one in booked if one.starts_at <= last.starts_at]

            assert await _list(store, query) == expected
            found = await store.appointments.schedule(query, 50)
            assert [entry.id for entry in found] == [str(one.id) for one in expected]

    async def test_schedule_gives_no_more_than_the_limit(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await self._booked_all(store, world)

        found = await store.appointments.schedule(AppointmentQuery(_scope(world)), 2)

        assert [entry.id for entry in found] == [str(one.id) for one in booked[:2]]

    async def test_trail_goes_by_version(self, store: Store) -> None:
        world = await seed_world(store)
        booking = a_booking(world.clinic, world.slots[0], world.patients[0])
        await store.desk.reserve(booking)
        confirm = a_status_change(world.clinic, booking.appointment, Status.CONFIRMED)
        await seed_change(store, confirm)
        move = a_move(world.clinic, confirm.after, world.slots[1])
        await seed_change(store, move)

        trail = await store.appointments.trail(_scope(world), booking.appointment.id)

        assert list(trail) == [booking.audit, confirm.audit, move.audit]

    async def test_trail_outside_the_scope_is_empty(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        booked = await _book(store, world)

        found = [
            list(await store.appointments.trail(scope, booked.id))
            for scope in (
                Scope(other.clinic.id),
                Scope(world.clinic.id, patient_id=world.patients[1].id),
                Scope(world.clinic.id, doctor_id=world.colleague.id),
            )
        ]

        assert found == [[], [], []]

    async def test_occupying_leaves_out_the_cancelled_and_other_slots(self, store: Store) -> None:
        world = await seed_world(store)
        late, early = await _book(store, world, 2, 2), await _book(store, world, 1, 1)
        await _book(store, world, 3, 0)
        gone = await _book(store, world, 0, 0)
        await seed_change(store, a_status_change(world.clinic, gone, Status.CANCELLED))
        asked = [slot.id for slot in (*world.slots[:3], world.slots[4])]

        found = await store.appointments.occupying(world.clinic.id, asked)

        assert list(found) == [_view(world, early), _view(world, late)]

    async def test_occupying_keeps_to_the_clinic(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        booked = await _book(store, world)

        assert list(await store.appointments.occupying(other.clinic.id, [booked.slot_id])) == []

    # --- locking ---

    async def test_lock_returns_appointments_their_slots_and_the_named_ones(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        one, two = await _book(store, world, 0), await _book(store, world, 1, 1)

        async with store.begin() as unit:
            locked = await unit.appointments.lock(
                _scope(world), [two.id, one.id], [world.slots[2].id]
            )

        assert dict(locked.appointments) == {one.id: one, two.id: two}
        taken = [replace(slot, taken=True) for slot in world.slots[:2]]
        assert dict(locked.slots) == {slot.id: slot for slot in (*taken, world.slots[2])}

    async def test_lock_leaves_out_what_is_absent_or_out_of_scope(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        mine, anothers = await _book(store, world, 0), await _book(store, world, 1, 1)
        foreign = await _book(store, other)
        scope = Scope(world.clinic.id, patient_id=world.patients[0].id)

        async with store.begin() as unit:
            locked = await unit.appointments.lock(
                scope,
                [mine.id, anothers.id, foreign.id, new_id()],
                [new_id(), other.slots[1].id],
            )

        assert dict(locked.appointments) == {mine.id: mine}
        assert dict(locked.slots) == {mine.slot_id: replace(world.slots[0], taken=True)}

    @pytest.mark.parametrize("commits", [True, False])
    async def test_lock_waits_for_another_unit_and_returns_what_it_left(
        self, store: Store, commits: bool
    ) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)
        change = a_status_change(world.clinic, booked, Status.CONFIRMED)
        seen: list[Appointment] = []

        async def lock() -> None:
            async with store.begin() as unit:
                locked = await unit.appointments.lock(_scope(world), [booked.id])
                seen.append(locked.appointments[booked.id])

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(_scope(world), [booked.id])
                await unit.appointments.apply([change])
                second = await attempt(group, lock, self)
                waited = not second.has_ended
                if commits:
                    await unit.commit()
            outcome = await second.outcome()

        assert (waited, outcome) == (True, None)
        assert seen == [change.after if commits else booked]

    async def test_lock_raises_when_the_appointment_moved_meanwhile(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)
        move = a_move(world.clinic, booked, world.slots[1])

        async def lock() -> None:
            async with store.begin() as unit:
                await unit.appointments.lock(_scope(world), [booked.id])

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(_scope(world), [booked.id], [world.slots[1].id])
                await unit.appointments.apply([move])
                second = await attempt(group, lock, self)
                waited = not second.has_ended
                await unit.commit()
            outcome = await second.outcome()

        assert (waited, outcome) == (True, TransactionAborted)

    async def test_lock_in_opposite_orders_never_deadlocks(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await _book(store, world, 0), await _book(store, world, 1, 1)

        async def swap_names(first: Appointment, second: Appointment) -> None:
            for _ in range(10):
                async with store.begin() as unit:
                    await unit.appointments.lock(_scope(world), [first.id, second.id])

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, lambda: swap_names(one, two)),
                begin(group, lambda: swap_names(two, one)),
            ]
            outcomes = [await each.outcome() for each in tries]

        assert outcomes == [None, None]

    async def test_lock_takes_slots_by_id_whatever_their_order(self, store: Store) -> None:
        """Who waits for the first slot does not hold the others yet."""
        world = await seed_world(store, slots=8)
        first, *others = sorted(slot.id for slot in world.slots)

        async def lock(*slot_ids: UUID) -> None:
            async with store.begin() as unit:
                await unit.appointments.lock(_scope(world), [], slot_ids)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(_scope(world), [], [first])
                waiting = await attempt(group, lambda: lock(*others, first), self)
                waited = not waiting.has_ended
                with anyio.fail_after(5):
                    await lock(*others)
            await waiting.outcome()

        assert waited

    async def test_lock_on_a_slot_orders_a_lock_on_its_appointment(self, store: Store) -> None:
        """Slots come first: who holds the slot cannot meet one who holds the appointment."""
        world = await seed_world(store)
        booked = await _book(store, world)

        async def lock() -> None:
            async with store.begin() as unit:
                await unit.appointments.lock(_scope(world), [booked.id])
                await unit.commit()

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(_scope(world), [], [booked.slot_id])
                second = await attempt(group, lock, self)
                waited = not second.has_ended
                locked = await unit.appointments.lock(_scope(world), [booked.id])
                await unit.commit()
            outcome = await second.outcome()

        assert (waited, outcome) == (True, None)
        assert dict(locked.appointments) == {booked.id: booked}

    # --- changing ---

    async def _apply(self, store: Store, world: World, *changes: Change) -> None:
        async with store.begin() as unit:
            ids = [change.before.id for change in changes]
            slots = [change.takes for change in changes if change.takes]
            await unit.appointments.lock(_scope(world), ids, slots)
            await unit.appointments.apply(changes)
            await unit.commit()

    async def test_apply_writes_the_appointment_and_its_entry(self, store: Store) -> None:
        world = await seed_world(store)
        booking = a_booking(world.clinic, world.slots[0], world.patients[0])
        await store.desk.reserve(booking)
        change = a_status_change(world.clinic, booking.appointment, Status.CONFIRMED)

        await self._apply(store, world, change)

        found = await store.appointments.get(_scope(world), change.after.id)
        assert found == _view(world, change.after)
        trail = await store.appointments.trail(_scope(world), change.after.id)
        assert list(trail) == [booking.audit, change.audit]
        assert (await _slot(store, world.slots[0])).taken

    async def test_apply_cancel_frees_the_slot(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)

        await self._apply(store, world, a_status_change(world.clinic, booked, Status.CANCELLED))

        assert await _slot(store, world.slots[0]) == world.slots[0]
        again = await _book(store, world, 0, 1)
        assert again.slot_id == booked.slot_id
        await check_sound(store, world.clinic.id)

    async def test_apply_cancel_leaves_a_blocked_slot_blocked(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)
        await seed_state(store, SlotState.BLOCKED, world.slots[0])

        await self._apply(store, world, a_status_change(world.clinic, booked, Status.CANCELLED))

        blocked = replace(world.slots[0], state=SlotState.BLOCKED, taken=False)
        assert await _slot(store, world.slots[0]) == blocked

    async def test_apply_no_show_keeps_the_slot(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)
        change = a_status_change(world.clinic, booked, Status.NO_SHOW, now=MORNING)

        await self._apply(store, world, change)

        assert (await _slot(store, world.slots[0])).taken

    async def test_apply_move_frees_one_slot_and_takes_the_other(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)
        move = a_move(world.clinic, booked, world.colleague_slots[3])

        await self._apply(store, world, move)

        found = await store.appointments.get(_scope(world), booked.id)
        assert found == _view(world, move.after)
        assert await _slot(store, world.slots[0]) == world.slots[0]
        assert (await _slot(store, world.colleague_slots[3])).taken
        await check_sound(store, world.clinic.id)

    async def test_apply_move_to_a_time_that_overlaps_its_own_is_fine(self, store: Store) -> None:
        world = await seed_world(store)
        later = a_slot(world.colleague, world.colleague_slots[-1].ends_at, minutes=60)
        earlier = a_slot(world.doctor, world.slots[-1].ends_at)
        await seed_slots(store, later, earlier)
        booked = await seed_booking(store, world.clinic, later, world.patients[0])

        await self._apply(store, world, a_move(world.clinic, booked, earlier))

        await check_sound(store, world.clinic.id)

    async def test_apply_swap_exchanges_the_slots(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await _book(store, world, 0, 0), await _book(store, world, 1, 1)
        slots = world.slots
        changes = a_swap(world.clinic, (one, slots[0]), (two, slots[1]))

        await self._apply(store, world, *changes)

        found = await every_appointment(store, world.clinic.id)
        assert [view.appointment for view in found] == [changes[1].after, changes[0].after]
        await check_sound(store, world.clinic.id)

    async def test_apply_swap_of_one_patients_two_appointments(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await _book(store, world, 0, 0), await _book(store, world, 1, 0)
        changes = a_swap(world.clinic, (one, world.slots[0]), (two, world.slots[1]))

        await self._apply(store, world, *changes)

        await check_sound(store, world.clinic.id)

    async def test_apply_is_seen_inside_the_unit_and_nowhere_else(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)
        change = a_status_change(world.clinic, booked, Status.CANCELLED)

        async with store.begin() as unit:
            await unit.appointments.lock(_scope(world), [booked.id])
            await unit.appointments.apply([change])
            inside = await unit.appointments.get(_scope(world), booked.id)
            trail = await unit.appointments.trail(_scope(world), booked.id)
            free = await unit.calendars.slot(world.clinic.id, booked.slot_id)
            occupying = await unit.appointments.occupying(world.clinic.id, [booked.slot_id])
            outside = await store.appointments.get(_scope(world), booked.id)

        assert inside == _view(world, change.after)
        assert [entry.version for entry in trail] == [1, 2]
        assert free is not None
        assert not free.slot.taken
        assert list(occupying) == []
        assert outside == _view(world, booked)

    async def test_apply_twice_in_one_unit_goes_on_from_the_first(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)
        confirm = a_status_change(world.clinic, booked, Status.CONFIRMED)
        cancel = a_status_change(world.clinic, confirm.after, Status.CANCELLED)

        async with store.begin() as unit:
            await unit.appointments.lock(_scope(world), [booked.id])
            await unit.appointments.apply([confirm])
            await unit.appointments.apply([cancel])
            await unit.commit()

        await check_sound(store, world.clinic.id)
        assert await _list(store, AppointmentQuery(_scope(world))) == [cancel.after]

    async def test_apply_into_a_taken_slot_raises(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world, 0, 0)
        await _book(store, world, 1, 1)
        move = a_move(world.clinic, booked, world.slots[1])

        assert await outcome_of(lambda: self._apply(store, world, move)) is SlotTaken

    @pytest.mark.parametrize("state", [SlotState.BLOCKED, SlotState.RETIRED])
    async def test_apply_into_a_slot_that_is_not_open_raises(
        self, store: Store, state: SlotState
    ) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)
        await seed_state(store, state, world.slots[1])
        move = a_move(world.clinic, booked, world.slots[1])

        assert await outcome_of(lambda: self._apply(store, world, move)) is SlotTaken

    async def test_apply_swap_into_a_blocked_slot_raises(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await _book(store, world, 0, 0), await _book(store, world, 1, 1)
        changes = a_swap(world.clinic, (one, world.slots[0]), (two, world.slots[1]))
        await seed_state(store, SlotState.BLOCKED, world.slots[1])

        assert await outcome_of(lambda: self._apply(store, world, *changes)) is SlotTaken

    async def test_apply_that_puts_a_patient_in_two_places_raises(self, store: Store) -> None:
        world = await seed_world(store)
        await _book(store, world, 0, 0)
        other = await _book(store, world, 1, 0)
        move = a_move(world.clinic, other, world.colleague_slots[0])

        assert await outcome_of(lambda: self._apply(store, world, move)) is PatientBusy

    async def test_apply_swap_that_puts_a_patient_in_two_places_raises(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await _book(store, world, 0, 0), await _book(store, world, 1, 1)
        await seed_booking(store, world.clinic, world.colleague_slots[1], world.patients[0])
        changes = a_swap(world.clinic, (one, world.slots[0]), (two, world.slots[1]))

        assert await outcome_of(lambda: self._apply(store, world, *changes)) is PatientBusy

    async def test_apply_to_an_appointment_that_changed_raises(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)
        await seed_change(store, a_status_change(world.clinic, booked, Status.CONFIRMED))
        stale = a_status_change(world.clinic, booked, Status.CANCELLED)

        assert await outcome_of(lambda: self._apply(store, world, stale)) is TransactionAborted

    async def test_apply_to_an_appointment_that_is_not_there_raises(self, store: Store) -> None:
        world = await seed_world(store)
        unknown = a_booking(world.clinic, world.slots[0], world.patients[0]).appointment
        change = a_status_change(world.clinic, unknown, Status.CONFIRMED)

        assert await outcome_of(lambda: self._apply(store, world, change)) is TransactionAborted

    async def _refused_then_committed(
        self, store: Store, world: World, good: Change, bad: Sequence[Change]
    ) -> None:
        async with store.begin() as unit:
            await unit.appointments.lock(_scope(world), [good.before.id])
            await unit.appointments.apply([good])
            with pytest.raises(ClinicError):
                await unit.appointments.apply(bad)
            with suppress(ClinicError):
                await unit.commit()

    async def test_apply_that_raised_leaves_nothing_to_commit(self, store: Store) -> None:
        world = await seed_world(store)
        one, two = await _book(store, world, 0, 0), await _book(store, world, 1, 1)
        good = a_status_change(world.clinic, one, Status.CONFIRMED)
        stale = a_status_change(world.clinic, replace(two, version=9), Status.CANCELLED)
        into_taken = a_move(world.clinic, two, world.slots[0])

        for bad in (stale, into_taken):
            await self._refused_then_committed(store, world, good, [bad])

        assert await _list(store, AppointmentQuery(_scope(world))) == [one, two]
        assert [(await _slot(store, slot)).taken for slot in world.slots[:2]] == [True, True]
        await check_sound(store, world.clinic.id)

    # --- the desk ---

    async def test_look_returns_all_that_booking_must_know(self, store: Store) -> None:
        world = await seed_world(store)
        slot, patient = world.slots[0], world.patients[0]

        facts = await store.desk.load_facts(system_actor(world.clinic.id), slot.id, patient.id)

        assert facts == BookingFacts(world.clinic, slot, world.doctor.name, patient, None)

    @pytest.mark.parametrize("state", list(SlotState))
    async def test_look_shows_the_slot_as_it_is(self, store: Store, state: SlotState) -> None:
        world = await seed_world(store)
        booked = await _book(store, world)
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
        second = await _book(store, world, 1)
        await _book(store, world, 0, patient=1)
        assert await full_until() is None
        third = await _book(store, world, 2)
        assert await full_until() == slots[1].starts_at
        await _book(store, world, 3)
        assert await full_until() == slots[2].starts_at

        # What has taken place, was cancelled, or was confirmed.
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
        """By as many as looked before the others were written, and by no more."""
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

        found = await store.appointments.get(_scope(world), booking.appointment.id)
        assert found is not None
        assert found.appointment == booking.appointment

    async def test_reserve_writes_the_appointment_its_entry_and_takes_the_slot(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        booking = a_booking(world.clinic, world.slots[0], world.patients[0])

        await store.desk.reserve(booking)

        found = await store.appointments.get(_scope(world), booking.appointment.id)
        assert found == _view(world, booking.appointment)
        trail = await store.appointments.trail(_scope(world), booking.appointment.id)
        assert list(trail) == [booking.audit]
        assert await _slot(store, world.slots[0]) == replace(world.slots[0], taken=True)

    async def test_reserve_of_a_taken_slot_raises(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _book(store, world, 0, 0)

        assert await outcome_of(lambda: _book(store, world, 0, 1)) is SlotTaken
        assert await _list(store, AppointmentQuery(_scope(world))) == [booked]

    @pytest.mark.parametrize("state", [SlotState.BLOCKED, SlotState.RETIRED])
    async def test_reserve_of_a_slot_that_is_not_open_raises(
        self, store: Store, state: SlotState
    ) -> None:
        world = await seed_world(store)
        await seed_state(store, state, world.slots[0])

        assert await outcome_of(lambda: _book(store, world)) is SlotTaken
        assert await _list(store, AppointmentQuery(_scope(world))) == []

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
        booked = await _book(store, world)
        await self._bring_into(store, world, booked, status)

        refused = await outcome_of(
            lambda: seed_booking(store, world.clinic, world.colleague_slots[0], world.patients[0])
        )

        assert refused is PatientBusy
        assert await _slot(store, world.colleague_slots[0]) == world.colleague_slots[0]

    async def _bring_into(
        self, store: Store, world: World, booked: Appointment, status: Status
    ) -> None:
        """Write the appointment into `status`, whatever the table of transitions says."""
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
        booked = await _book(store, world)
        await self._bring_into(store, world, booked, status)

        again = await _book(store, world, 0, 0)

        assert again.slot_id == booked.slot_id

    async def test_reserve_right_after_another_appointment_of_the_patient_is_fine(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        await _book(store, world, 0, 0)

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
            tries = [begin(group, partial(_book, store, world, 0, place)) for place in range(20)]
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

        # Two inserts that meet in the patient's time may also make one of them give way.
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
                booking = await attempt(group, lambda: _book(store, world), self)
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
        booked = await _book(store, world, 0, 0)
        cancel = a_status_change(world.clinic, booked, Status.CANCELLED)

        async with store.begin() as unit:
            await unit.appointments.lock(_scope(world), [booked.id])
            await unit.appointments.apply([cancel])
            with anyio.fail_after(5):
                meanwhile = await outcome_of(lambda: _book(store, world, 0, 1))
            await unit.commit()
        afterwards = await outcome_of(lambda: _book(store, world, 0, 1))

        assert (meanwhile, afterwards) == (SlotTaken, None)
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("commits", [True, False])
    async def test_reserve_waits_for_a_change_of_the_patients_time(
        self, store: Store, commits: bool
    ) -> None:
        world = await seed_world(store)
        booked = await _book(store, world, 0, 0)
        cancel = a_status_change(world.clinic, booked, Status.CANCELLED)
        elsewhere = world.colleague_slots[0]

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.lock(_scope(world), [booked.id])
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
