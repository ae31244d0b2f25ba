"""The contract of CalendarChanges and CalendarChangeReader."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import anyio

from clinic.domain.calendar.changes import CalendarChange, CalendarWork, SlotCounts
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import NOW, World, new_id, seed_clinic, seed_world
from clinic.testing.contracts.attempts import attempt
from clinic.testing.contracts.contract import Contract

FIRST, LAST = date(2026, 12, 1), date(2027, 2, 28)
STEP = timedelta(days=30)
COUNTS = SlotCounts(added=1, retired=20, blocked=300, unblocked=4_000)


class CalendarChangesContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_change_is_read_as_it_was_added(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_clinic(store)
        change = replace(_change(world), counts=COUNTS)
        await _add(store, change, world.doctor.id, world.colleague.id)

        assert await store.calendar_changes.get(world.clinic.id, change.id) == change
        assert await store.calendar_changes.get(world.clinic.id, new_id()) is None
        assert await store.calendar_changes.get(other.id, change.id) is None

    async def test_change_without_doctors_is_done(self, store: Store) -> None:
        world = await seed_world(store)
        change = _change(world, doctors=0)
        await _add(store, change)

        found = await store.calendar_changes.get(world.clinic.id, change.id)

        assert found is not None
        assert found.is_done
        assert list(await store.calendar_changes.next_work(limit=10)) == []

    async def test_the_latest_changes_come_first(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        changes = [_change(world) for _ in range(3)]
        for each in (*changes, _change(other)):
            await _add(store, each)

        every = await store.calendar_changes.list(world.clinic.id, limit=10)
        latest = await store.calendar_changes.list(world.clinic.id, limit=2)

        newest = sorted(changes, key=lambda change: change.id, reverse=True)
        assert [change.id for change in every] == [change.id for change in newest]
        assert list(latest) == list(every)[:2]

    async def test_work_of_all_clinics_is_done_by_its_nearest_day(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        late, soon = _change(world), replace(_change(other), first=FIRST - STEP)
        await _add(store, late, world.doctor.id, world.colleague.id)
        await _add(store, soon, other.doctor.id)

        every = list(await store.calendar_changes.next_work(limit=10))
        first = list(await store.calendar_changes.next_work(limit=2))

        doctors = sorted((world.doctor.id, world.colleague.id))
        expected = [_work(soon, other.doctor.id), *(_work(late, each) for each in doctors)]
        assert every == expected
        assert first == expected[:2]

    async def test_work_goes_on_until_nothing_is_left_of_it(self, store: Store) -> None:
        world = await seed_world(store)
        change = _change(world)
        await _add(store, change, world.doctor.id, world.colleague.id)
        work = _work(change, world.doctor.id)
        later = replace(work, next_day=FIRST + STEP)

        went_on = await _advance(store, work, later.next_day)
        put_off = list(await store.calendar_changes.next_work(limit=10))
        ended = await _advance(store, later, None)
        left = list(await store.calendar_changes.next_work(limit=10))
        found = await store.calendar_changes.get(world.clinic.id, change.id)

        colleagues = _work(change, world.colleague.id)
        assert (went_on, put_off) == (True, [colleagues, later])
        assert (ended, left) == (True, [colleagues])
        assert found == replace(change, doctors_done=1, counts=COUNTS + COUNTS)

    async def test_work_that_is_not_as_it_was_read_is_left_alone(self, store: Store) -> None:
        world = await seed_world(store)
        change = _change(world, doctors=1)
        await _add(store, change, world.doctor.id)
        work = _work(change, world.doctor.id)
        await _advance(store, work, FIRST + STEP)
        before = await store.calendar_changes.get(world.clinic.id, change.id)

        stale = [
            await _advance(store, work, FIRST + 2 * STEP),
            await _advance(store, work, None),
            await _advance(store, replace(work, doctor_id=world.colleague.id), None),
            await _advance(store, replace(work, change_id=new_id()), None),
        ]

        assert stale == [False] * 4
        assert await store.calendar_changes.get(world.clinic.id, change.id) == before
        [left] = await store.calendar_changes.next_work(limit=10)
        assert left == replace(work, next_day=FIRST + STEP)

    async def test_advance_of_a_unit_that_gives_up_is_not_done(self, store: Store) -> None:
        world = await seed_world(store)
        change = _change(world, doctors=1)
        await _add(store, change, world.doctor.id)
        work = _work(change, world.doctor.id)

        async with store.begin() as unit:
            await unit.calendar_changes.advance(work, None, COUNTS)
            inside = await unit.calendar_changes.get(world.clinic.id, change.id)

        assert inside == replace(change, doctors_done=1, counts=COUNTS)
        assert await store.calendar_changes.get(world.clinic.id, change.id) == change
        assert list(await store.calendar_changes.next_work(limit=10)) == [work]

    async def test_two_workers_do_not_count_the_same_work_twice(self, store: Store) -> None:
        """Given a worker that has done some work and has not committed yet
        When another one has done the same
        Then it waits, and nothing of it counts."""
        world = await seed_world(store)
        change = _change(world, doctors=1)
        await _add(store, change, world.doctor.id)
        work = _work(change, world.doctor.id)
        second: list[bool] = []

        async def do_it_too() -> None:
            second.append(await _advance(store, work, FIRST + STEP))

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                first = await unit.calendar_changes.advance(work, FIRST + STEP, COUNTS)
                waiting = await attempt(group, do_it_too, self)
                waited = not waiting.has_ended
                await unit.commit()
            await waiting.outcome()

        assert (waited, first, second) == (True, True, [False])
        found = await store.calendar_changes.get(world.clinic.id, change.id)
        assert found == replace(change, counts=COUNTS)


def _change(world: World, *, doctors: int = 2) -> CalendarChange:
    return CalendarChange(
        new_id(),
        world.clinic.id,
        "add_closure",
        "closure",
        new_id(),
        new_id(),
        NOW,
        FIRST,
        LAST,
        doctors,
    )


def _work(change: CalendarChange, doctor_id: UUID) -> CalendarWork:
    return CalendarWork(change.clinic_id, change.id, doctor_id, change.first, change.last)


async def _add(store: Store, change: CalendarChange, *doctor_ids: UUID) -> None:
    """Add a change with work for these doctors."""
    async with store.begin() as unit:
        await unit.calendar_changes.add(change, [_work(change, each) for each in doctor_ids])
        await unit.commit()


async def _advance(store: Store, work: CalendarWork, next_day: date | None) -> bool:
    async with store.begin() as unit:
        is_done = await unit.calendar_changes.advance(work, next_day, COUNTS)
        await unit.commit()
    return is_done
