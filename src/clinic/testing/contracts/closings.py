"""The contract of Closings and ClosingReader: closures, leave, blocks and added places."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest

from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.closings import Block, Closure, ClosureKind, Leave
from clinic.domain.errors import (
    AddedPlaceNotFound,
    AlreadyExists,
    BlockNotFound,
    ClosureNotFound,
    DoctorNotFound,
    LeaveNotFound,
    NotFound,
)
from clinic.ports.closings import Closing, ClosingReader
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    World,
    a_block,
    a_closure,
    a_leave,
    a_place,
    new_id,
    seed_clinic,
    seed_closings,
    seed_world,
)
from clinic.testing.contracts.contract import Contract

NOT_FOUND: dict[type[Closing], type[NotFound]] = {
    Closure: ClosureNotFound,
    Leave: LeaveNotFound,
    Block: BlockNotFound,
    AddedPlace: AddedPlaceNotFound,
}
#: one of each kind, for the doctor of a world
MAKERS: dict[str, Callable[[World], Closing]] = {
    "closure": lambda world: a_closure(world.clinic),
    "leave": lambda world: a_leave(world.doctor),
    "block": lambda world: a_block(world.doctor),
    "place": lambda world: a_place(world.doctor),
}
_each_kind = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
_of_doctors = pytest.mark.parametrize("make", [MAKERS["leave"], MAKERS["block"], MAKERS["place"]])


class ClosingsContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_closures_come_by_id_as_they_were_entered(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        once = replace(
            a_closure(world.clinic, date(2026, 12, 1), date(2026, 12, 4), name="Müller’s move"),
            start=time(12, 30),
            end=time(8),
            open_on=(date(2026, 12, 2), date(2026, 12, 3)),
        )
        yearly = a_closure(world.clinic, date(2026, 2, 28), kind=ClosureKind.YEARLY)
        holidays = Closure(
            new_id(),
            world.clinic.id,
            "Holidays",
            ClosureKind.HOLIDAYS,
            country="DE",
            subdivision="BE",
        )
        await seed_closings(store, holidays, a_closure(other.clinic), yearly, once)

        found = await store.closings.closures(world.clinic.id)

        assert list(found) == sorted([once, yearly, holidays], key=lambda closure: closure.id)

    async def test_leave_comes_by_id_of_one_doctor_or_all(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        whole = a_leave(world.doctor, date(2026, 12, 1), date(2027, 3, 1))
        part = replace(
            a_leave(world.doctor), start=time(13), end=time(15, 45), reason="Dentist, 2 pm"
        )
        colleagues = a_leave(world.colleague)
        await seed_closings(store, part, colleagues, whole, a_leave(other.doctor))

        everyones = await store.closings.leaves(world.clinic.id)
        doctors = await store.closings.leaves(world.clinic.id, world.doctor.id)

        by_id = sorted([whole, part], key=lambda leave: leave.id)
        assert list(doctors) == by_id
        assert list(everyones) == sorted([*by_id, colleagues], key=lambda leave: leave.id)

    async def test_blocks_come_by_id_of_one_doctor_or_all(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        of_lane = replace(a_block(world.doctor, minutes=90), lane=1)
        of_all = a_block(world.doctor, MORNING + timedelta(days=300), reason="Training")
        colleagues = a_block(world.colleague)
        await seed_closings(store, of_all, colleagues, of_lane, a_block(other.doctor))

        everyones = await store.closings.blocks(world.clinic.id)
        doctors = await store.closings.blocks(world.clinic.id, world.doctor.id)

        by_id = sorted([of_lane, of_all], key=lambda block: block.id)
        assert list(doctors) == by_id
        assert list(everyones) == sorted([*by_id, colleagues], key=lambda block: block.id)

    async def test_blocks_end_after_a_time_and_begin_before_another(self, store: Store) -> None:
        world = await seed_world(store)
        hour = timedelta(hours=1)
        one, two, three = (
            a_block(world.doctor, MORNING + hour * place, minutes=60) for place in range(3)
        )
        await seed_closings(store, one, two, three)

        async def found(
            since: datetime | None = None, until: datetime | None = None
        ) -> Sequence[Block]:
            return [*await store.closings.blocks(world.clinic.id, since=since, until=until)]

        assert await found(since=one.ends_at) == [two, three]
        assert await found(since=one.ends_at - timedelta(microseconds=1)) == [one, two, three]
        assert await found(until=three.starts_at) == [one, two]
        assert await found(until=three.starts_at + timedelta(microseconds=1)) == [one, two, three]
        assert await found(since=one.ends_at, until=three.starts_at) == [two]

    async def test_one_block_or_place_is_read_in_its_clinic_only(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        block, place = a_block(world.doctor, reason="Training"), a_place(world.doctor, minutes=5)
        await seed_closings(store, block, place, a_block(world.colleague), a_place(world.colleague))
        read = store.closings

        here, there = world.clinic.id, other.clinic.id
        assert await read.block(here, block.id) == block
        assert await read.place(here, place.id) == place
        assert [await read.block(there, block.id), await read.block(here, place.id)] == [None] * 2
        assert [await read.place(there, place.id), await read.place(here, block.id)] == [None] * 2

    async def test_places_come_by_id_of_one_doctor_or_all_from_a_time_on(
        self, store: Store
    ) -> None:
        world, other = await seed_world(store), await seed_world(store)
        one = a_place(world.doctor, minutes=5, reason="An urgent case")
        two = a_place(world.doctor, one.ends_at, minutes=480)
        colleagues = a_place(world.colleague)
        await seed_closings(store, two, colleagues, one, a_place(other.doctor))

        everyones = await store.closings.places(world.clinic.id)
        doctors = await store.closings.places(world.clinic.id, world.doctor.id)
        ahead = await store.closings.places(world.clinic.id, world.doctor.id, since=one.ends_at)

        by_id = sorted([one, two], key=lambda place: place.id)
        assert list(doctors) == by_id
        assert list(everyones) == sorted([*by_id, colleagues], key=lambda place: place.id)
        assert list(ahead) == [two]

    @_each_kind
    async def test_unit_sees_its_own_closings_and_others_once_it_commits(
        self, store: Store, make: Callable[[World], Closing]
    ) -> None:
        world = await seed_world(store)
        closing = make(world)

        async with store.begin() as unit:
            await unit.closings.add(closing)
            inside = await _every(unit.closings, world)
            outside = await _every(store.closings, world)
            await unit.commit()

        assert (inside, outside) == ([closing], [])
        assert await _every(store.closings, world) == [closing]

    @_each_kind
    async def test_closing_of_a_unit_that_gives_up_is_gone(
        self, store: Store, make: Callable[[World], Closing]
    ) -> None:
        world = await seed_world(store)
        kept = make(world)
        await seed_closings(store, kept)

        async with store.begin() as unit:
            await unit.closings.add(make(world))
            await unit.closings.delete(kept)

        assert await _every(store.closings, world) == [kept]

    @_each_kind
    async def test_replace_closing_writes_every_value(
        self, store: Store, make: Callable[[World], Closing]
    ) -> None:
        world = await seed_world(store)
        known, other = make(world), make(world)
        new = _changed(known)
        await seed_closings(store, known, other)

        async with store.begin() as unit:
            await unit.closings.replace(new)
            await unit.commit()

        assert await _every(store.closings, world) == sorted([new, other], key=lambda one: one.id)

    @_each_kind
    async def test_delete_closing_removes_it(
        self, store: Store, make: Callable[[World], Closing]
    ) -> None:
        world = await seed_world(store)
        gone, stays = make(world), make(world)
        await seed_closings(store, gone, stays)

        async with store.begin() as unit:
            await unit.closings.delete(gone)
            inside = await _every(unit.closings, world)
            await unit.commit()

        assert inside == await _every(store.closings, world) == [stays]

    @pytest.mark.parametrize("verb", ["replace", "delete"])
    @_each_kind
    async def test_closing_that_is_unknown_or_of_another_clinic_raises(
        self, store: Store, make: Callable[[World], Closing], verb: str
    ) -> None:
        world, other = await seed_world(store), await seed_clinic(store)
        known = make(world)
        await seed_closings(store, known)

        for wrong in (replace(known, id=new_id()), replace(known, clinic_id=other.id)):
            async with store.begin() as unit:
                with pytest.raises(NOT_FOUND[type(known)]):
                    await getattr(unit.closings, verb)(wrong)
        assert await _every(store.closings, world) == [known]

    @_each_kind
    async def test_closing_with_an_id_that_is_used_is_refused(
        self, store: Store, make: Callable[[World], Closing]
    ) -> None:
        world = await seed_world(store)
        known = make(world)
        await seed_closings(store, known)

        async with store.begin() as unit:
            with pytest.raises(AlreadyExists):
                await unit.closings.add(_changed(known))
        assert await _every(store.closings, world) == [known]

    @_of_doctors
    async def test_closing_of_nobody_or_of_another_clinics_doctor_is_refused(
        self, store: Store, make: Callable[[World], Leave | Block | AddedPlace]
    ) -> None:
        world, other = await seed_world(store), await seed_world(store)
        mine = make(world)

        for doctor_id in (new_id(), other.doctor.id, world.patients[0].id):
            async with store.begin() as unit:
                with pytest.raises(DoctorNotFound):
                    await unit.closings.add(replace(mine, doctor_id=doctor_id))
        assert await _every(store.closings, world) == []


async def _every(reads: ClosingReader, world: World) -> list[Closing]:
    clinic_id = world.clinic.id
    return [
        *await reads.closures(clinic_id),
        *await reads.leaves(clinic_id),
        *await reads.blocks(clinic_id),
        *await reads.places(clinic_id),
    ]


def _changed(closing: Closing) -> Closing:
    """Return it with other values, but its id and whose it is."""
    if isinstance(closing, AddedPlace):
        return replace(closing, ends_at=closing.ends_at + timedelta(minutes=5), reason="Late")
    if isinstance(closing, Block):
        ends_at = closing.ends_at + timedelta(hours=2)
        return replace(closing, starts_at=closing.ends_at, ends_at=ends_at, reason="Late", lane=1)
    moved = replace(
        closing, first=date(2027, 1, 4), last=date(2027, 1, 9), start=time(9), end=time(10)
    )
    if isinstance(moved, Leave):
        return replace(moved, reason="Paris")
    return replace(moved, name="Winter", kind=ClosureKind.YEARLY, open_on=(date(2027, 1, 5),))
