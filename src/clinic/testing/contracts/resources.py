"""The contract of rooms and equipment: no resource has two occasions at one time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

import anyio
import pytest

from clinic.domain.appointments.appointments import Appointment, AppointmentView, Booking, Status
from clinic.domain.appointments.resources import HeldResource, ResourceClosure
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.calendar.slots import Slot
from clinic.domain.errors import (
    AlreadyExists,
    BookingsRefused,
    ClinicNotFound,
    LocationNotFound,
    NoResourceFree,
    PatientBusy,
    ResourceClosureNotFound,
    ResourceNotFound,
    SlotTaken,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Doctor, Role, Scope
from clinic.ports.calendars import SlotQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    World,
    a_booking,
    a_clinic,
    a_context,
    a_location,
    a_move,
    a_resource,
    a_resource_closure,
    a_slot,
    a_status_change,
    a_swap,
    a_type,
    a_user,
    an_actor,
    new_id,
    seed_change,
    seed_location,
    seed_resource,
    seed_type,
    seed_world,
    slots_of,
)
from clinic.testing.contracts.additions import add
from clinic.testing.contracts.attempts import attempt
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound
from clinic.usecases.calendar.find_places import find_places

ROOM = "room"
_HALF_HOUR = timedelta(minutes=30)


def needing(world: World, *kinds: str, minutes: int = 30, after: int = 0) -> AppointmentType:
    """Return a type that needs a resource of each of these kinds."""
    return a_type(world.clinic, "Scan", minutes, after_min=after, needs=kinds)


def booking(world: World, slot: Slot, patient: int, kind: AppointmentType) -> Booking:
    """Return a booking of this type for the patient, which begins in the slot."""
    return a_booking(world.clinic, slot, world.patients[patient], kind=kind)


async def view_of(store: Store, one: Appointment) -> AppointmentView:
    """Return the appointment as it is stored."""
    view = await store.appointments.get(Scope(one.clinic_id), one.id)
    assert view is not None
    return view


async def rooms_of(store: Store, one: Appointment) -> list[UUID]:
    """Return the ids of what the appointment has, by kind."""
    return [each.id for each in (await view_of(store, one)).resources]


class ResourcesContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    async def test_resources_come_by_id_as_they_were_entered(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        full = a_resource(world.clinic, "Ultrasound", "Überwachung 2", capacity=4)
        bare, gone = a_resource(world.clinic), a_resource(world.clinic, is_active=False)
        await seed_resource(store, full, bare, gone, a_resource(other.clinic))

        found = await store.resources.all(world.clinic.id)

        assert list(found) == sorted([full, bare, gone], key=lambda each: each.id)
        assert await store.resources.one(world.clinic.id, full.id) == full
        assert await store.resources.one(other.clinic.id, full.id) is None

    async def test_everything_but_the_kind_can_be_replaced(self, store: Store) -> None:
        world = await seed_world(store)
        known = a_resource(world.clinic, capacity=2)
        await seed_resource(store, known)
        new = replace(known, kind="other", name="Room 9", capacity=3, is_active=False)

        async with store.begin() as unit:
            assert await unit.resources.lock(world.clinic.id, known.id) == known
            await unit.resources.replace(new)
            await unit.commit()

        assert await store.resources.one(world.clinic.id, known.id) == replace(new, kind=known.kind)

    async def test_resource_that_cannot_be_written(self, store: Store) -> None:
        world = await seed_world(store)
        known = a_resource(world.clinic)
        await seed_resource(store, known)

        with pytest.raises(AlreadyExists):
            await seed_resource(store, replace(known, name="Other"))
        with pytest.raises(ClinicNotFound):
            await seed_resource(store, a_resource(a_clinic()))
        with pytest.raises(LocationNotFound):
            await seed_resource(store, replace(a_resource(world.clinic), location_id=new_id()))
        for wrong, error in (
            (replace(known, id=new_id()), ResourceNotFound),
            (replace(known, location_id=new_id()), LocationNotFound),
        ):
            async with store.begin() as unit:
                with pytest.raises(error):
                    await unit.resources.replace(wrong)
        assert list(await store.resources.all(world.clinic.id)) == [known]

    async def test_closures_of_a_resource(self, store: Store) -> None:
        world = await seed_world(store)
        room, other = a_resource(world.clinic), a_resource(world.clinic)
        closure = replace(a_resource_closure(room), reason="repair")
        later = a_resource_closure(room, MORNING + timedelta(days=1))
        await seed_resource(store, room, other, closure, later, a_resource_closure(other))

        async def found(since_days: int | None) -> Sequence[ResourceClosure]:
            since = None if since_days is None else MORNING + timedelta(days=since_days)
            return list(await store.resources.closures(world.clinic.id, room.id, since=since))

        assert await found(None) == [closure, later]
        assert await found(1) == [later]
        async with store.begin() as unit:
            await unit.resources.delete_closure(closure)
            await unit.commit()
        assert await found(None) == [later]
        async with store.begin() as unit:
            with pytest.raises(ResourceClosureNotFound):
                await unit.resources.delete_closure(closure)
        async with store.begin() as unit:
            with pytest.raises(ResourceNotFound):
                await unit.resources.add_closure(a_resource_closure(a_resource(world.clinic)))

    async def test_type_with_needs_is_read_as_it_was_written(self, store: Store) -> None:
        world = await seed_world(store)
        kind = needing(world, "scanner", ROOM)
        await seed_type(store, kind)
        assert await store.appointment_types.one(world.clinic.id, kind.id) == kind

        async with store.begin() as unit:
            await unit.appointment_types.replace(replace(kind, needs=("chair",)))
            await unit.commit()

        [found] = await store.appointment_types.all(world.clinic.id)
        assert found.needs == ("chair",)

    @pytest.mark.parametrize("by_desk", [True, False])
    async def test_appointment_has_one_of_each_kind(self, store: Store, by_desk: bool) -> None:
        world = await seed_world(store)
        room = a_resource(world.clinic, ROOM, "Room 1")
        scanner = a_resource(world.clinic, "scanner", "Scanner A")
        await seed_resource(store, room, scanner, a_resource(world.clinic, "chair"))
        wanted = booking(world, world.slots[0], 0, needing(world, "scanner", ROOM))

        await (store.desk.reserve(wanted) if by_desk else add(store, wanted))

        view = await view_of(store, wanted.appointment)
        assert view.resources == (
            HeldResource(room.id, "Room 1", ROOM),
            HeldResource(scanner.id, "Scanner A", "scanner"),
        )
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("obstacle", ["held", "closed", "inactive", "another clinic's"])
    @pytest.mark.parametrize("by_desk", [True, False])
    async def test_without_a_free_one_nothing_is_written(
        self, store: Store, obstacle: str, by_desk: bool
    ) -> None:
        world, other = await seed_world(store), await seed_world(store)
        scanner = a_resource(world.clinic, "scanner")
        at = other.clinic if obstacle == "another clinic's" else world.clinic
        room = a_resource(at, is_active=obstacle != "inactive")
        await seed_resource(store, room, scanner)
        kind = needing(world, ROOM, "scanner")
        if obstacle == "held":
            await store.desk.reserve(
                booking(world, world.colleague_slots[0], 1, needing(world, ROOM))
            )
        elif obstacle == "closed":
            await seed_resource(store, a_resource_closure(room))
        wanted = booking(world, world.slots[0], 0, kind)

        with pytest.raises(NoResourceFree) as refused:
            await (store.desk.reserve(wanted) if by_desk else add(store, wanted))

        assert refused.value.facts == {"kind": ROOM}
        assert await store.appointments.get(Scope(world.clinic.id), wanted.appointment.id) is None
        alone = booking(world, world.slots[0], 0, needing(world, "scanner"))
        await store.desk.reserve(alone)
        assert await rooms_of(store, alone.appointment) == [scanner.id]

    @pytest.mark.parametrize("by_desk", [True, False])
    async def test_room_of_a_location_is_for_appointments_there(
        self, store: Store, by_desk: bool
    ) -> None:
        world = await seed_world(store)
        branch = a_location(world.clinic)
        await seed_location(store, branch)
        await seed_resource(store, replace(a_resource(world.clinic), location_id=branch.id))
        there = replace(a_slot(world.doctor, MORNING + timedelta(days=1)), location_id=branch.id)
        async with store.begin() as unit:
            await unit.calendars.add_slots([there])
            await unit.commit()
        kind = needing(world, ROOM)
        elsewhere, here = booking(world, world.slots[0], 0, kind), booking(world, there, 1, kind)
        query = SlotQuery(world.clinic.id, MORNING, MORNING + timedelta(days=2))
        context = a_context(store, an_actor(world.clinic))

        page = await find_places(context, world.clinic, query, PageRequest(100), kind)
        with pytest.raises(NoResourceFree):
            await (store.desk.reserve(elsewhere) if by_desk else add(store, elsewhere))
        await (store.desk.reserve(here) if by_desk else add(store, here))

        assert [view.slot.id for view in page.items] == [there.id]

    async def test_room_is_kept_for_the_time_around_it(self, store: Store) -> None:
        world = await seed_world(store)
        await seed_resource(store, a_resource(world.clinic))
        cleaned = needing(world, ROOM, after=30)
        await store.desk.reserve(booking(world, world.slots[0], 0, cleaned))

        with pytest.raises(NoResourceFree):
            await store.desk.reserve(
                booking(world, world.colleague_slots[1], 1, needing(world, ROOM))
            )
        await store.desk.reserve(booking(world, world.colleague_slots[2], 1, needing(world, ROOM)))

        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("to", [Status.CANCELLED, Status.NO_SHOW])
    async def test_room_is_free_once_its_appointment_is_cancelled(
        self, store: Store, to: Status
    ) -> None:
        world = await seed_world(store)
        room = a_resource(world.clinic)
        await seed_resource(store, room)
        kind = needing(world, ROOM)
        gone = booking(world, world.slots[0], 0, kind)
        await store.desk.reserve(gone)
        late = gone.appointment.ends_at
        await seed_change(store, a_status_change(world.clinic, gone.appointment, to, now=late))
        wanted = booking(world, world.colleague_slots[0], 1, kind)

        if to is Status.NO_SHOW:
            with pytest.raises(NoResourceFree):
                await store.desk.reserve(wanted)
            assert await rooms_of(store, gone.appointment) == [room.id]
            return
        await store.desk.reserve(wanted)
        assert await rooms_of(store, gone.appointment) == []
        assert await rooms_of(store, wanted.appointment) == [room.id]

    async def test_group_shares_its_room_up_to_its_capacity(self, store: Store) -> None:
        """Appointments of one doctor, start and type are one occasion."""
        world = await seed_world(store)
        rooms = [a_resource(world.clinic, capacity=2) for _ in range(3)]
        await seed_resource(store, *rooms)
        kind = needing(world, ROOM)
        first = booking(world, world.slots[0], 0, kind)
        await store.desk.reserve(first)
        [shared] = await rooms_of(store, first.appointment)

        async def choices(occasion: UUID) -> list[tuple[UUID, int]]:
            busy = first.appointment.busy
            found = await store.resources.timetable(
                world.clinic.id, [ROOM], busy.starts_at, busy.ends_at
            )
            return [(each.id, place) for each, place in found.choices(ROOM, busy, occasion)]

        of_the_group = await choices(first.appointment.occasion)
        of_others = await choices(kind.occasion(world.colleague.id, MORNING))

        assert of_the_group[0] == (shared, 2)
        assert len(of_the_group) == 5
        assert {room for room, _ in of_others} == {each.id for each in rooms} - {shared}

    async def test_move_keeps_the_room_where_it_is_free(self, store: Store) -> None:
        world = await seed_world(store)
        rooms = [a_resource(world.clinic) for _ in range(4)]
        await seed_resource(store, *rooms)
        kind = needing(world, ROOM)
        moved = booking(world, world.slots[0], 0, kind)
        await store.desk.reserve(moved)
        had = await rooms_of(store, moved.appointment)

        after = await move(store, world, moved.appointment, world.slots[2], kind)
        assert await rooms_of(store, after) == had

        other = booking(world, world.colleague_slots[4], 1, kind)
        await seed_resource(
            store,
            *(
                a_resource_closure(each, world.slots[4].starts_at)
                for each in rooms
                if each.id == had[0]
            ),
        )
        await store.desk.reserve(other)
        after = await move(store, world, after, world.slots[4], kind)

        [now] = await rooms_of(store, after)
        assert now not in (*had, *await rooms_of(store, other.appointment))
        await check_sound(store, world.clinic.id)

    async def test_move_within_its_own_time_keeps_the_only_room(self, store: Store) -> None:
        world = await seed_world(store)
        room = a_resource(world.clinic)
        await seed_resource(store, room)
        kind = needing(world, ROOM, minutes=60)
        moved = booking(world, world.slots[0], 0, kind)
        await store.desk.reserve(moved)

        after = await move(store, world, moved.appointment, world.slots[1], kind)

        assert await rooms_of(store, after) == [room.id]
        await check_sound(store, world.clinic.id)

    async def test_move_to_where_no_room_is_free(self, store: Store) -> None:
        world = await seed_world(store)
        await seed_resource(store, a_resource(world.clinic))
        kind = needing(world, ROOM)
        moved = booking(world, world.slots[0], 0, kind)
        await store.desk.reserve(moved)
        await store.desk.reserve(booking(world, world.colleague_slots[2], 1, kind))

        with pytest.raises(NoResourceFree):
            await move(store, world, moved.appointment, world.slots[2], kind)

        assert (await view_of(store, moved.appointment)).appointment == moved.appointment
        assert len(await rooms_of(store, moved.appointment)) == 1

    async def test_swap_exchanges_the_only_room(self, store: Store) -> None:
        """Two appointments at one time could not both have it; at two times, each keeps it."""
        world = await seed_world(store)
        room = a_resource(world.clinic)
        await seed_resource(store, room)
        kind = needing(world, ROOM)
        one, two = booking(world, world.slots[0], 0, kind), booking(world, world.slots[2], 1, kind)
        for each in (one, two):
            await store.desk.reserve(each)

        async with store.begin() as unit:
            ids = [one.appointment.id, two.appointment.id]
            locked = await unit.appointments.lock(Scope(world.clinic.id), ids)
            a, b = (locked.appointments[each] for each in ids)
            changes = a_swap(
                world.clinic, (a, locked.slots[a.slot_id]), (b, locked.slots[b.slot_id])
            )
            await unit.appointments.apply(changes)
            await unit.commit()

        assert await rooms_of(store, one.appointment) == [room.id]
        assert await rooms_of(store, two.appointment) == [room.id]
        await check_sound(store, world.clinic.id)

    async def test_add_of_several_is_all_or_none(self, store: Store) -> None:
        world = await seed_world(store)
        await seed_resource(store, a_resource(world.clinic))
        kind = needing(world, ROOM)
        both = [
            booking(world, world.slots[0], 0, kind),
            booking(world, world.colleague_slots[0], 1, kind),
        ]

        with pytest.raises(BookingsRefused) as refused:
            await add(store, *both)

        assert [each.error for each in refused.value.conflicts] == [NoResourceFree]
        for each in both:
            assert await store.appointments.get(Scope(world.clinic.id), each.appointment.id) is None
        await add(store, both[0], booking(world, world.colleague_slots[1], 1, kind))
        await check_sound(store, world.clinic.id)

    async def test_holding_are_those_that_have_it_then(self, store: Store) -> None:
        world = await seed_world(store)
        room = a_resource(world.clinic)
        await seed_resource(store, room, a_resource(world.clinic, "chair"))
        early, late, gone = (
            booking(world, world.slots[slot], slot // 2, needing(world, ROOM)) for slot in (0, 2, 4)
        )
        without = booking(world, world.slots[3], 2, needing(world, "chair"))
        for each in (early, late, gone, without):
            await store.desk.reserve(each)
        await seed_change(store, a_status_change(world.clinic, gone.appointment, Status.CANCELLED))

        async def found(first: int, until: int | None) -> list[UUID]:
            views = await store.appointments.holding(
                world.clinic.id,
                room.id,
                world.slots[first].starts_at,
                None if until is None else world.slots[until].starts_at,
            )
            return [view.appointment.id for view in views]

        assert await found(0, None) == [early.appointment.id, late.appointment.id]
        assert await found(0, 2) == [early.appointment.id]
        assert await found(1, None) == [late.appointment.id]

    @pytest.mark.parametrize("ends", ["commits", "gives up"])
    async def test_second_for_the_last_room_waits_for_the_first(
        self, store: Store, ends: str
    ) -> None:
        world = await seed_world(store)
        await seed_resource(store, a_resource(world.clinic))
        kind = needing(world, ROOM)
        first = booking(world, world.slots[0], 0, kind)
        second = booking(world, world.colleague_slots[0], 1, kind)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.add([first])
                waiting = await attempt(group, lambda: store.desk.reserve(second), self)
                waited = not waiting.has_ended
                if ends == "commits":
                    await unit.commit()
            outcome = await waiting.outcome()

        assert waited
        assert outcome is (NoResourceFree if ends == "commits" else None)
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("what", ["close", "deactivate"])
    async def test_booking_waits_for_the_room_to_be_closed(self, store: Store, what: str) -> None:
        world = await seed_world(store)
        room = a_resource(world.clinic)
        await seed_resource(store, room)
        wanted = booking(world, world.slots[0], 0, needing(world, ROOM))

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.resources.lock(world.clinic.id, room.id)
                if what == "close":
                    await unit.resources.add_closure(a_resource_closure(room))
                else:
                    await unit.resources.replace(replace(room, is_active=False))
                waiting = await attempt(group, lambda: store.desk.reserve(wanted), self)
                waited = not waiting.has_ended
                await unit.commit()
            outcome = await waiting.outcome()

        assert (waited, outcome) == (True, NoResourceFree)

    async def test_closing_waits_for_a_booking(self, store: Store) -> None:
        """So that it sees the appointment that loses its room."""
        world = await seed_world(store)
        room = a_resource(world.clinic)
        await seed_resource(store, room)
        wanted = booking(world, world.slots[0], 0, needing(world, ROOM))
        seen: list[UUID] = []

        async def close() -> None:
            async with store.begin() as unit:
                await unit.resources.lock(world.clinic.id, room.id)
                held = await unit.appointments.holding(world.clinic.id, room.id, MORNING, None)
                seen.extend(view.appointment.id for view in held)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.appointments.add([wanted])
                waiting = await attempt(group, close, self)
                waited = not waiting.has_ended
                await unit.commit()
            await waiting.outcome()

        assert (waited, seen) == (True, [wanted.appointment.id])

    async def test_forty_for_the_last_room(self, store: Store) -> None:
        """Three doctors are free then, and one room: one patient gets it."""
        world, slots = await crowded(store, slots=1)
        await seed_resource(store, a_resource(world.clinic))
        kind = needing(world, ROOM)
        wanted = [booking(world, slots[number % 3], number, kind) for number in range(40)]

        made = await asyncio.gather(*(reserved(store, each) for each in wanted))

        assert sum(made) == 1
        assert [await is_booked(store, each) for each in wanted] == made
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("seed", range(3))
    async def test_listed_starts_are_those_that_can_be_booked(
        self, store: Store, seed: int
    ) -> None:
        """Rooms are booked and closed at random; then each start is tried, without committing."""
        world = await seed_world(store, slots=10, patients="ABCDEFGHIJ")
        random = Random(seed)
        rooms = [a_resource(world.clinic, capacity=random.choice((1, 2))) for _ in range(2)]
        await seed_resource(store, *rooms, a_resource(world.clinic, "scanner"))
        kinds = [
            needing(world, ROOM),
            needing(world, ROOM, "scanner", minutes=50),
            needing(world, "scanner", minutes=20, after=25),
            needing(world),
        ]
        for patient in range(9):
            slots = random.choice((world.slots, world.colleague_slots))
            await reserved(
                store, booking(world, random.choice(slots), patient, random.choice(kinds))
            )
        starts_at = random.choice(world.slots).starts_at
        closure = a_resource_closure(random.choice(rooms), starts_at, starts_at + 3 * _HALF_HOUR)
        await seed_resource(store, closure)
        context = a_context(store, an_actor(world.clinic))
        span = (world.slots[0].starts_at, world.slots[-1].ends_at)
        query = SlotQuery(world.clinic.id, *span)

        for kind in kinds:
            page = await find_places(context, world.clinic, query, PageRequest(100), kind)
            possible = {
                slot.id
                for slot in (*world.slots, *world.colleague_slots)
                if await would_fit(store, booking(world, slot, 9, kind))
            }
            assert {view.slot.id for view in page.items} == possible

    @pytest.mark.parametrize("seed", range(2))
    async def test_hundred_bookings_and_cancels_for_two_rooms(
        self, store: Store, seed: int
    ) -> None:
        """Of three doctors, exactly two have a room at each start in the end: nobody starves, and
        no room is left over."""
        world, slots = await crowded(store, slots=5)
        rooms = [a_resource(world.clinic), a_resource(world.clinic)]
        await seed_resource(store, *rooms)
        kind = needing(world, ROOM)
        random = Random(seed)

        async def client(number: int) -> None:
            wanted = booking(world, slots[number % 15], number % 40, kind)
            if await reserved(store, wanted) and random.random() < 0.5:
                gone = a_status_change(world.clinic, wanted.appointment, Status.CANCELLED)
                await seed_change(store, gone)

        await asyncio.gather(*(client(number) for number in range(100)))
        for number, slot in enumerate(slots):
            await reserved(store, booking(world, slot, 40 + number, kind))

        held = Counter[tuple[UUID, datetime]]()
        for view in await store.appointments.occupying(
            world.clinic.id, [each.id for each in slots]
        ):
            [room] = view.resources
            held[room.id, view.appointment.starts_at] += 1
        assert held == {(room.id, slot.starts_at): 1 for room in rooms for slot in slots}
        await check_sound(store, world.clinic.id)


async def crowded(store: Store, *, slots: int) -> tuple[World, Sequence[Slot]]:
    """Seed a clinic with 55 patients and three doctors; return the doctors' slots, which are at the
    same times."""
    world = await seed_world(store, slots=slots, patients=[str(number) for number in range(55)])
    user = a_user(Role.DOCTOR, name="Dr Lee")
    third = Doctor(world.clinic.id, user.id, user.name, "General")
    added = slots_of(third, slots)
    async with store.begin() as unit:
        await unit.people.add_user(user)
        await unit.people.add_doctor(world.clinic.id, user.id, "General")
        await unit.calendars.add_slots(added)
        await unit.commit()
    return world, (*world.slots, *world.colleague_slots, *added)


async def reserved(store: Store, wanted: Booking) -> bool:
    """Return whether the booking was made."""
    with suppress(SlotTaken, NoResourceFree, PatientBusy):
        await store.desk.reserve(wanted)
        return True
    return False


async def is_booked(store: Store, wanted: Booking) -> bool:
    """Return whether the appointment exists."""
    one = wanted.appointment
    return await store.appointments.get(Scope(one.clinic_id), one.id) is not None


async def would_fit(store: Store, wanted: Booking) -> bool:
    """Return whether the booking can be made, without making it."""
    async with store.begin() as unit:
        one = wanted.appointment
        if one.before_min or one.after_min:
            await unit.calendars.lock_doctor(one.clinic_id, one.doctor_id)
        try:
            await unit.appointments.add([wanted])
        except (SlotTaken, NoResourceFree):
            return False
    return True


async def move(
    store: Store, world: World, before: Appointment, slot: Slot, kind: AppointmentType
) -> Appointment:
    """Move the appointment, behind the locks that a move takes, and return it."""
    change = a_move(world.clinic, before, slot, kind=kind)
    async with store.begin() as unit:
        around = await unit.calendars.slots_between(
            world.clinic.id, [slot.doctor_id], slot.starts_at, slot.starts_at + 12 * _HALF_HOUR
        )
        ids = [each.id for each in around]
        await unit.appointments.lock(Scope(world.clinic.id), [before.id], ids)
        await unit.appointments.apply([change])
        await unit.commit()
    return change.after
