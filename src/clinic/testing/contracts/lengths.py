"""The contract of appointments with lengths of their own, and with buffers."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import pytest

from clinic.domain.appointments.appointments import Appointment, Booking, BookingFacts, Status
from clinic.domain.appointments.types import AppointmentType, BookableBy, Offer, TypeAsked
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import PatientBusy, SlotTaken, TransactionAborted
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope, system_actor
from clinic.ports.calendars import SlotQuery, SlotView
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    World,
    a_booking,
    a_context,
    a_move,
    a_slot,
    a_status_change,
    a_swap,
    a_type,
    an_actor,
    seed_change,
    seed_slots,
    seed_state,
    seed_type,
    seed_world,
)
from clinic.testing.contracts.additions import add, conflicts_of, why
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound
from clinic.usecases.calendar.find_places import find_places

#: of the slots of a World
SLOT_MIN = 30
_LONG_AFTER = timedelta(hours=12)
_MINUTE = timedelta(minutes=1)


def lasting(world: World, minutes: int, *, before: int = 0, after: int = 0) -> AppointmentType:
    """Return a type of this length with these buffers, in minutes."""
    return a_type(world.clinic, "Any", minutes, before_min=before, after_min=after)


def booking(world: World, slot: int, patient: int, kind: AppointmentType) -> Booking:
    """Return a booking of this type for the patient, which begins in the doctor's slot."""
    return a_booking(world.clinic, world.slots[slot], world.patients[patient], kind=kind)


async def taken(store: Store, world: World) -> list[bool]:
    """Return whether each slot that the doctor had at first is taken."""
    found = [await store.calendars.slot(world.clinic.id, slot.id) for slot in world.slots]
    return [view is not None and view.slot.taken for view in found]


class LengthsContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store.

    An appointment takes every slot of its doctor that its busy time overlaps. Its visible time
    needs open and free slots without a gap; buffers may share a slot with another appointment as
    long as the busy times do not meet, and may reach where there is no slot.
    """

    @pytest.mark.parametrize("by_desk", [True, False])
    async def test_long_appointment_takes_every_slot_of_its_time(
        self, store: Store, by_desk: bool
    ) -> None:
        world = await seed_world(store)
        long = booking(world, 1, 0, lasting(world, 2 * SLOT_MIN))

        await (store.desk.reserve(long) if by_desk else add(store, long))

        assert await taken(store, world) == [False, True, True, False, False]
        with pytest.raises(SlotTaken):
            await store.desk.reserve(a_booking(world.clinic, world.slots[2], world.patients[1]))
        await _cancel(store, world, long.appointment)
        assert await taken(store, world) == [False] * 5

    async def test_short_appointment_takes_its_whole_slot(self, store: Store) -> None:
        world = await seed_world(store)
        short = booking(world, 1, 0, lasting(world, SLOT_MIN // 2))

        await store.desk.reserve(short)

        assert await taken(store, world) == [False, True, False, False, False]
        [stored] = await _occupying(store, world, [1])
        assert stored == short.appointment
        with pytest.raises(SlotTaken):
            await store.desk.reserve(booking(world, 1, 1, lasting(world, SLOT_MIN // 2)))

    @pytest.mark.parametrize("obstacle", ["taken", "blocked", "retired", "end of hours"])
    @pytest.mark.parametrize("by_desk", [True, False])
    async def test_long_appointment_that_does_not_fit_writes_nothing(
        self, store: Store, obstacle: str, by_desk: bool
    ) -> None:
        world = await seed_world(store)
        first = 4 if obstacle == "end of hours" else 1
        if obstacle == "taken":
            await store.desk.reserve(a_booking(world.clinic, world.slots[2], world.patients[1]))
        elif obstacle in ("blocked", "retired"):
            state = SlotState.BLOCKED if obstacle == "blocked" else SlotState.RETIRED
            await seed_state(store, state, world.slots[2])
        before = await taken(store, world)
        long = booking(world, first, 0, lasting(world, 2 * SLOT_MIN))

        with pytest.raises(SlotTaken):
            await (store.desk.reserve(long) if by_desk else add(store, long))

        assert await taken(store, world) == before
        assert [one.id for one in await _occupying(store, world, [first])] == []

    async def test_buffers_take_the_slots_beside_it(self, store: Store) -> None:
        world = await seed_world(store)

        await store.desk.reserve(booking(world, 2, 0, lasting(world, SLOT_MIN, before=5, after=5)))

        assert await taken(store, world) == [False, True, True, True, False]
        with pytest.raises(SlotTaken):
            await store.desk.reserve(a_booking(world.clinic, world.slots[1], world.patients[1]))

    async def test_slot_that_two_buffers_touch_is_free_when_both_are_gone(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        one = booking(world, 1, 0, lasting(world, SLOT_MIN, after=10))
        two = booking(world, 3, 1, lasting(world, SLOT_MIN, before=10))

        await store.desk.reserve(one)
        await store.desk.reserve(two)

        assert await taken(store, world) == [False, True, True, True, False]
        await _cancel(store, world, one.appointment)
        assert await taken(store, world) == [False, False, True, True, False]
        await _cancel(store, world, two.appointment)
        assert await taken(store, world) == [False] * 5

    @pytest.mark.parametrize("by_desk", [True, False])
    async def test_busy_times_that_meet_are_refused(self, store: Store, by_desk: bool) -> None:
        world = await seed_world(store)
        await store.desk.reserve(booking(world, 1, 0, lasting(world, SLOT_MIN, after=21)))
        two = booking(world, 3, 1, lasting(world, SLOT_MIN, before=10))

        with pytest.raises(SlotTaken):
            await (store.desk.reserve(two) if by_desk else add(store, two))

        assert await taken(store, world) == [False, True, True, False, False]

    async def test_buffers_never_reach_into_a_blocked_slot(self, store: Store) -> None:
        world = await seed_world(store)
        await seed_state(store, SlotState.BLOCKED, world.slots[3])

        with pytest.raises(SlotTaken):
            await store.desk.reserve(booking(world, 2, 0, lasting(world, SLOT_MIN, after=5)))

        await store.desk.reserve(booking(world, 2, 0, lasting(world, SLOT_MIN)))

    async def test_buffers_may_reach_where_there_is_no_slot(self, store: Store) -> None:
        """Slots that are added there later are taken from the beginning."""
        world = await seed_world(store)
        last = world.slots[-1]
        await store.desk.reserve(booking(world, 4, 0, lasting(world, SLOT_MIN, after=30)))
        later = [
            a_slot(world.doctor, last.ends_at + n * timedelta(minutes=20), minutes=20)
            for n in range(3)
        ]

        await seed_slots(store, *later)

        found = [await store.calendars.slot(world.clinic.id, slot.id) for slot in later]
        assert [view is not None and view.slot.taken for view in found] == [True, True, False]

    async def test_patient_is_not_busy_in_buffers(self, store: Store) -> None:
        world = await seed_world(store)
        await store.desk.reserve(booking(world, 1, 0, lasting(world, SLOT_MIN, after=20)))
        at_the_colleague = a_booking(world.clinic, world.colleague_slots[2], world.patients[0])
        meanwhile = a_booking(world.clinic, world.colleague_slots[1], world.patients[0])

        await store.desk.reserve(at_the_colleague)

        with pytest.raises(PatientBusy):
            await store.desk.reserve(meanwhile)

    async def test_patient_is_busy_for_the_whole_of_a_long_appointment(self, store: Store) -> None:
        world = await seed_world(store)
        await store.desk.reserve(booking(world, 1, 0, lasting(world, 2 * SLOT_MIN)))

        with pytest.raises(PatientBusy):
            await store.desk.reserve(
                a_booking(world.clinic, world.colleague_slots[2], world.patients[0])
            )

    async def test_add_names_what_is_in_the_way_of_a_long_one(self, store: Store) -> None:
        world = await seed_world(store)
        other = a_booking(world.clinic, world.slots[2], world.patients[1])
        await store.desk.reserve(other)
        long = booking(world, 1, 0, lasting(world, 2 * SLOT_MIN))

        assert list(await conflicts_of(store, long)) == [why(0, long, SlotTaken, other)]

    async def test_add_of_long_ones_beside_each_other(self, store: Store) -> None:
        world = await seed_world(store)
        kind = lasting(world, 2 * SLOT_MIN)

        await add(store, booking(world, 2, 1, kind), booking(world, 0, 0, kind))

        assert await taken(store, world) == [True] * 4 + [False]

    async def test_move_takes_and_frees_every_slot(self, store: Store) -> None:
        world = await seed_world(store)
        long = booking(world, 0, 0, lasting(world, 2 * SLOT_MIN, after=5))
        await store.desk.reserve(long)
        assert await taken(store, world) == [True, True, True, False, False]

        move = a_move(world.clinic, long.appointment, world.slots[2])
        await _change(store, world, move.before, world.slots[2])

        assert await taken(store, world) == [False, False, True, True, True]

    async def test_move_within_its_own_time(self, store: Store) -> None:
        world = await seed_world(store)
        long = booking(world, 0, 0, lasting(world, 3 * SLOT_MIN))
        await store.desk.reserve(long)

        await _change(store, world, long.appointment, world.slots[1])

        assert await taken(store, world) == [False, True, True, True, False]

    async def test_move_to_where_it_does_not_fit(self, store: Store) -> None:
        world = await seed_world(store)
        long = booking(world, 0, 0, lasting(world, 2 * SLOT_MIN))
        await store.desk.reserve(long)
        await store.desk.reserve(a_booking(world.clinic, world.slots[3], world.patients[1]))

        with pytest.raises(SlotTaken):
            await _change(store, world, long.appointment, world.slots[2])

        assert await taken(store, world) == [True, True, False, True, False]

    async def test_lasting_are_those_that_outlast_their_slot(self, store: Store) -> None:
        world = await seed_world(store)
        long = booking(world, 1, 0, lasting(world, SLOT_MIN + 10))
        await store.desk.reserve(long)
        await store.desk.reserve(booking(world, 0, 1, lasting(world, SLOT_MIN)))
        gone = booking(world, 3, 2, lasting(world, 2 * SLOT_MIN))
        await store.desk.reserve(gone)
        await _cancel(store, world, gone.appointment)
        start, end = world.slots[0].starts_at, world.slots[-1].ends_at
        doctors = [world.doctor.id, world.colleague.id]

        found = await store.appointments.lasting(world.clinic.id, doctors, start, end)
        before = await store.appointments.lasting(
            world.clinic.id, doctors, start, long.appointment.starts_at
        )

        assert [view.appointment for view in found] == [long.appointment]
        assert list(before) == []

    async def test_facts_have_the_type_as_it_is_now(self, store: Store) -> None:
        """Each change is in the next facts, also one of the doctors who offer it alone."""
        world = await seed_world(store)
        kind = a_type(world.clinic, "Check-up", 30)
        other = a_type(world.clinic, "Surgery", 60, is_default=True)
        asked = (system_actor(world.clinic.id), world.slots[0].id, world.patients[0].id)

        async def facts(**type: Any) -> BookingFacts:
            return await store.desk.load_facts(*asked, type=TypeAsked(**type))

        assert not (await facts()).has_types
        await seed_type(store, kind, other)
        assert (await facts(name="CHECK-UP")).type == (await facts(id=kind.id)).type == kind
        assert (await facts()).type == other
        for changed in (
            replace(kind, visible_min=40),
            replace(kind, offered_by=(Offer(world.doctor.id, 20),)),
            replace(kind, offered_by=(Offer(world.doctor.id, 25), Offer(world.colleague.id))),
            replace(kind, name="Visit"),
        ):
            await _replace_type(store, changed)
            assert (await facts(id=kind.id)).type == changed
        await _replace_type(store, replace(kind, is_active=False))

        gone = await facts(id=kind.id)
        assert (gone.has_types, gone.type) == (True, None)
        assert (await facts(name="Nothing")).type is None

    @pytest.mark.parametrize("is_done", [True, False])
    async def test_patient_is_known_after_a_completed_appointment(
        self, store: Store, is_done: bool
    ) -> None:
        world = await seed_world(store)
        kind = a_type(world.clinic, "Follow-up", bookable_by=BookableBy.KNOWN_PATIENTS)
        await seed_type(store, kind, a_type(world.clinic, "Any"))
        first = a_booking(world.clinic, world.slots[0], world.patients[0])
        await store.desk.reserve(first)
        if is_done:
            late = first.appointment.ends_at
            await seed_change(
                store,
                a_status_change(world.clinic, first.appointment, Status.COMPLETED, now=late),
            )
        actor = system_actor(world.clinic.id)

        known = [
            (
                await store.desk.load_facts(
                    actor, world.slots[1].id, patient.id, type=TypeAsked(name=name)
                )
            ).patient_known
            for patient, name in (
                (world.patients[0], "Follow-up"),
                (world.patients[1], "Follow-up"),
                (world.patients[0], "Any"),
            )
        ]

        assert known == [is_done, False, False]

    async def test_store_with_lengths_and_buffers_is_sound(self, store: Store) -> None:
        world = await seed_world(store)
        kind = lasting(world, 2 * SLOT_MIN, after=5)
        await store.desk.reserve(booking(world, 0, 0, kind))
        await check_sound(store, world.clinic.id)
        short = booking(world, 4, 1, lasting(world, SLOT_MIN // 2, before=20))

        await store.desk.reserve(short)

        await check_sound(store, world.clinic.id)
        await _cancel(store, world, short.appointment)
        await check_sound(store, world.clinic.id)

    async def test_swap_takes_the_slots_beside_each_new_place(self, store: Store) -> None:
        """Of equal length, the two need not have equal buffers."""
        world = await seed_world(store)
        plain = booking(world, 1, 0, lasting(world, SLOT_MIN))
        buffered = booking(world, 3, 1, lasting(world, SLOT_MIN, after=5))
        for each in (plain, buffered):
            await store.desk.reserve(each)

        await _swap(store, world, plain, buffered)

        assert await taken(store, world) == [False, True, True, True, False]
        await check_sound(store, world.clinic.id)

    async def test_swap_into_a_slot_that_anothers_buffer_touches(self, store: Store) -> None:
        world = await seed_world(store)
        one = booking(world, 0, 0, lasting(world, 20))
        two = booking(world, 3, 1, lasting(world, 20))
        third = booking(world, 4, 2, lasting(world, SLOT_MIN, before=10))
        for each in (one, two, third):
            await store.desk.reserve(each)

        with pytest.raises(SlotTaken):
            await _swap(store, world, one, two)

        await check_sound(store, world.clinic.id)

    async def test_busy_times_are_those_that_overlap(self, store: Store) -> None:
        world = await seed_world(store)
        one = booking(world, 1, 0, lasting(world, SLOT_MIN, before=5, after=10))
        gone = booking(world, 4, 1, lasting(world, SLOT_MIN))
        for each in (one, gone):
            await store.desk.reserve(each)
        await _cancel(store, world, gone.appointment)
        doctors = [world.doctor.id, world.colleague.id]
        busy = one.appointment.busy

        found = await store.appointments.busy_times(
            world.clinic.id, doctors, busy.ends_at - _MINUTE, busy.ends_at + timedelta(days=1)
        )
        after = await store.appointments.busy_times(
            world.clinic.id, doctors, busy.ends_at, busy.ends_at + timedelta(days=1)
        )

        assert {lane: [*times] for lane, times in found.items()} == {(world.doctor.id, 1): [busy]}
        assert dict(after) == {}

    @pytest.mark.parametrize("seed", range(6))
    async def test_starts_that_are_listed_are_those_that_fit(self, store: Store, seed: int) -> None:
        """Slots are blocked and booked at random; then each start is tried, without committing."""
        world = await seed_world(store, slots=16, patients="ABCDEFGHIJ")
        random = Random(seed)
        kinds = [
            lasting(world, minutes, before=before, after=after)
            for minutes, before, after in ((30, 0, 0), (50, 0, 0), (20, 10, 15), (90, 0, 40))
        ]
        for patient in range(6):
            wanted = booking(world, random.randrange(16), patient, random.choice(kinds))
            await _attempt(store, wanted)
        free = [
            slot
            for slot, is_taken in zip(world.slots, await taken(store, world), strict=True)
            if not is_taken
        ]
        await seed_state(store, SlotState.BLOCKED, random.choice(free))
        context = a_context(store, an_actor(world.clinic))
        span = (world.slots[0].starts_at, world.slots[-1].ends_at)
        of_doctor = SlotQuery(world.clinic.id, *span, doctor_id=world.doctor.id)
        offered = (Offer(world.doctor.id),)

        for kind in kinds:
            page = await find_places(context, world.clinic, of_doctor, PageRequest(), kind)
            of_all = await find_places(
                context,
                world.clinic,
                replace(of_doctor, doctor_id=None),
                PageRequest(),
                replace(kind, offered_by=offered),
            )
            possible = [
                slot.id
                for number, slot in enumerate(world.slots)
                if await _would_fit(store, booking(world, number, 9, kind))
            ]
            assert [view.slot.id for view in page.items] == possible
            assert [view.slot.id for view in of_all.items] == possible

    @pytest.mark.parametrize("seed", range(3))
    async def test_starts_of_a_doctor_with_several_places(self, store: Store, seed: int) -> None:
        """Three lanes, of which one has slots of another length, are booked at random. Found for
        one doctor, page by page, the starts are those found among all doctors' slots."""
        world = await seed_world(store, patients="ABCDEFGHIJKLMNOPQRST")
        step = timedelta(minutes=SLOT_MIN)
        lanes = [
            *(a_slot(world.doctor, MORNING + n * step, lane=2) for n in range(8)),
            *(a_slot(world.doctor, MORNING + n * step / 2, minutes=15, lane=3) for n in range(16)),
        ]
        await seed_slots(store, *lanes)
        random = Random(seed)
        kinds = [lasting(world, minutes) for minutes in (20, 30, 45, 90)]
        for patient in world.patients:
            slot = random.choice([*world.slots, *lanes])
            await _attempt(store, a_booking(world.clinic, slot, patient, kind=random.choice(kinds)))
        context = a_context(store, an_actor(world.clinic))
        end = lanes[-1].ends_at
        of_all = SlotQuery(world.clinic.id, MORNING, end)
        of_doctor = replace(of_all, doctor_id=world.doctor.id)

        for kind in kinds:
            offered = replace(kind, offered_by=(Offer(world.doctor.id),))
            every = await find_places(context, world.clinic, of_all, PageRequest(), offered)
            found: list[SlotView] = []
            request = PageRequest(2)
            while True:
                page = await find_places(context, world.clinic, of_doctor, request, kind)
                found += page.items
                if page.next is None:
                    break
                request = PageRequest(2, page.next)
            back: list[SlotView] = []
            while page.previous is not None:
                request = PageRequest(2, page.previous)
                page = await find_places(context, world.clinic, of_doctor, request, kind)
                back = [*page.items, *back]

            assert [(view.slot, view.places) for view in found] == [
                (view.slot, view.places) for view in every.items
            ]
            assert back == found[: len(back)]
            assert len(back) >= len(found) - 2

    @pytest.mark.parametrize("of_doctor", [True, False])
    async def test_pages_go_on_where_nothing_fits(self, store: Store, of_doctor: bool) -> None:
        """Of twelve hundred slots two hours apart, three have one beside them, and so room for a
        long appointment. Pages of one lead to all three, forwards and back."""
        world = await seed_world(store, slots=0)
        step = timedelta(hours=2)
        slots = [a_slot(world.doctor, MORNING + number * step) for number in range(1_200)]
        pairs = [a_slot(world.doctor, slots[n].ends_at) for n in (0, 1_180, 1_199)]
        await seed_slots(store, *slots, *pairs)
        kind = lasting(world, 2 * SLOT_MIN)
        context = a_context(store, an_actor(world.clinic))
        doctor_id = world.doctor.id if of_doctor else None
        # The last start lasts beyond the range.
        end = pairs[-1].starts_at
        query = SlotQuery(world.clinic.id, MORNING, end, doctor_id=doctor_id)
        wanted = [slots[n].id for n in (0, 1_180, 1_199)]

        there: list[UUID] = []
        page = await find_places(context, world.clinic, query, PageRequest(1), kind)
        pages = [page]
        while page.next is not None:
            page = await find_places(context, world.clinic, query, PageRequest(1, page.next), kind)
            pages.append(page)
        there = [view.slot.id for each in pages for view in each.items]
        back: list[UUID] = []
        while page.previous is not None:
            request = PageRequest(1, page.previous)
            page = await find_places(context, world.clinic, query, request, kind)
            back = [view.slot.id for view in page.items] + back

        assert there == wanted
        assert back == wanted[:2]
        assert any(not each.items for each in pages)

    @pytest.mark.parametrize("seed", range(4))
    async def test_crowd_of_unlike_lengths_never_overlaps(self, store: Store, seed: int) -> None:
        """Sixty bookings of three lengths compete for five slots, in another order each time."""
        world = await seed_world(store, patients="ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        kinds = (
            lasting(world, SLOT_MIN),
            lasting(world, 2 * SLOT_MIN),
            lasting(world, SLOT_MIN, before=5, after=5),
        )
        wanted = [
            booking(world, number % 5, number % 26, kinds[(number * (seed + 1)) % 3])
            for number in range(60)
        ]
        turn = seed * 13
        wanted = wanted[turn:] + wanted[:turn]

        await asyncio.gather(*(_attempt(store, each) for each in wanted))

        booked = await _occupying(store, world, range(5))
        times = sorted((one.busy.starts_at, one.busy.ends_at) for one in booked)
        assert all(two[0] >= one[1] for one, two in pairwise(times))
        assert await taken(store, world) == [
            any(one.is_in_time_of(slot) for one in booked) for slot in world.slots
        ]
        assert booked


async def _attempt(store: Store, wanted: Booking) -> None:
    with suppress(SlotTaken, PatientBusy, TransactionAborted):
        await store.desk.reserve(wanted)


async def _replace_type(store: Store, type: AppointmentType) -> None:
    async with store.begin() as unit:
        await unit.appointment_types.replace(type)
        await unit.commit()


async def _would_fit(store: Store, wanted: Booking) -> bool:
    async with store.begin() as unit:
        if wanted.appointment.before_min or wanted.appointment.after_min:
            await unit.calendars.lock_doctor(
                wanted.appointment.clinic_id, wanted.appointment.doctor_id
            )
        try:
            await unit.appointments.add([wanted])
        except SlotTaken:
            return False
    return True


async def _occupying(store: Store, world: World, slots: Sequence[int]) -> list[Appointment]:
    views = await store.appointments.occupying(
        world.clinic.id, [world.slots[number].id for number in slots]
    )
    return [view.appointment for view in views]


async def _cancel(store: Store, world: World, appointment: Appointment) -> None:
    await seed_change(store, a_status_change(world.clinic, appointment, Status.CANCELLED))


async def _swap(store: Store, world: World, one: Booking, two: Booking) -> None:
    """Swap two appointments, behind the locks that a swap takes."""
    scope, ids = Scope(world.clinic.id), [one.appointment.id, two.appointment.id]
    async with store.begin() as unit:
        locked = await unit.appointments.lock(scope, ids)
        a, b = (locked.appointments[each] for each in ids)
        changes = a_swap(world.clinic, (a, locked.slots[a.slot_id]), (b, locked.slots[b.slot_id]))
        await unit.appointments.apply(changes)
        await unit.commit()


async def _change(store: Store, world: World, before: Appointment, slot: Slot) -> None:
    """Move the appointment, behind the locks that a move takes."""
    change = a_move(world.clinic, before, slot)
    async with store.begin() as unit:
        around = await unit.calendars.slots_between(
            world.clinic.id, [slot.doctor_id], slot.starts_at, slot.starts_at + _LONG_AFTER
        )
        await unit.appointments.lock(
            Scope(world.clinic.id), [before.id], [each.id for each in around]
        )
        await unit.appointments.apply([change])
        await unit.commit()
