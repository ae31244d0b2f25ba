"""The contract of reading slots: lists, glances, the nearest free ones."""

from dataclasses import replace

import anyio
import pytest

from clinic.domain.appointments.appointments import Status
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.paging import Keyset, PageRequest
from clinic.domain.people.people import system_actor
from clinic.ports.calendars import SlotQuery, SlotView
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    a_slot,
    a_status_change,
    new_id,
    seed_booking,
    seed_change,
    seed_doctor,
    seed_slots,
    seed_state,
    seed_world,
)
from clinic.testing.contracts.calendars_steps import WHOLE_DAY, listed_slots, query_of
from clinic.testing.contracts.contract import Contract


def _by_place(*slots: Slot) -> list[Slot]:
    return sorted(slots, key=lambda slot: (slot.starts_at, slot.doctor_id))


async def _nearest(store: Store, slot: Slot, limit: int = 3) -> list[Slot]:
    found = await store.calendars.nearest_free(
        slot, starts_from=WHOLE_DAY[0], starts_before=WHOLE_DAY[1], limit=limit
    )
    return [view.slot for view in found]


class SlotReaderContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_list_slots_returns_them_earliest_first_with_the_doctor(
        self, store: Store
    ) -> None:
        world = await seed_world(store)

        views = await store.calendars.list_slots(query_of(world), PageRequest())

        assert list(views) == [SlotView(slot, world.doctor.name, 1) for slot in world.slots]

    async def test_list_slots_of_all_doctors_goes_by_start_then_doctor(self, store: Store) -> None:
        world = await seed_world(store)

        found = await listed_slots(store, query_of(world, doctor_id=None))

        assert found == _by_place(*world.slots, *world.colleague_slots)

    async def test_list_slots_keeps_to_the_half_open_range(self, store: Store) -> None:
        world = await seed_world(store)
        first, last = world.slots[1], world.slots[3]

        query = query_of(world, starts_from=first.starts_at, starts_before=last.starts_at)

        assert await listed_slots(store, query) == [*world.slots[1:3]]

    async def test_list_slots_keeps_to_the_clinic(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)

        query = query_of(world, clinic_id=other.clinic.id)

        assert await listed_slots(store, query) == []

    async def test_list_slots_of_a_specialty(self, store: Store) -> None:
        world = await seed_world(store)
        surgeon = await seed_doctor(store, world.clinic, specialty="Surgery")
        slot = a_slot(surgeon)
        await seed_slots(store, slot)

        assert await listed_slots(store, query_of(world, doctor_id=None, specialty="Surgery")) == [
            slot
        ]

    async def test_list_slots_free_only_leaves_out_taken_blocked_and_retired(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        taken, blocked, retired, *free = world.slots
        await seed_booking(store, world.clinic, taken, world.patients[0])
        await seed_state(store, SlotState.BLOCKED, blocked)
        await seed_state(store, SlotState.RETIRED, retired)

        assert await listed_slots(store, query_of(world)) == free

    async def test_list_slots_not_free_only_leaves_out_the_retired(self, store: Store) -> None:
        world = await seed_world(store, slots=4)
        taken, blocked, retired, free = world.slots
        await seed_booking(store, world.clinic, taken, world.patients[0])
        await seed_state(store, SlotState.BLOCKED, blocked)
        await seed_state(store, SlotState.RETIRED, retired)

        found = await listed_slots(store, query_of(world, free_only=False))

        assert found == [
            replace(taken, taken=True),
            replace(blocked, state=SlotState.BLOCKED),
            free,
        ]

    @pytest.mark.parametrize("state", list(SlotState))
    async def test_list_slots_in_one_state(self, store: Store, state: SlotState) -> None:
        world = await seed_world(store, slots=3)
        _, blocked, retired = world.slots
        await seed_state(store, SlotState.BLOCKED, blocked)
        await seed_state(store, SlotState.RETIRED, retired)

        found = await listed_slots(store, query_of(world, free_only=False, state=state))

        place = list(SlotState).index(state)
        assert found == [replace(world.slots[place], state=state)]

    async def test_list_slots_gives_one_more_than_the_page(self, store: Store) -> None:
        world = await seed_world(store, slots=4)

        assert await listed_slots(store, query_of(world), PageRequest(2)) == [*world.slots[:3]]

    async def test_list_slots_goes_on_after_a_place(self, store: Store) -> None:
        world = await seed_world(store)
        ordered = _by_place(*world.slots, *world.colleague_slots)
        after = Keyset(ordered[2].starts_at, ordered[2].id)

        found = await listed_slots(store, query_of(world, doctor_id=None), PageRequest(3, after))

        assert found == ordered[3:7]

    async def test_list_slots_backwards_gives_the_nearest_before_earliest_first(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        ordered = _by_place(*world.slots, *world.colleague_slots)
        before = Keyset(ordered[7].starts_at, ordered[7].id, backwards=True)

        found = await listed_slots(store, query_of(world, doctor_id=None), PageRequest(3, before))

        assert found == ordered[3:7]

    async def test_a_glance_shows_what_the_list_shows(self, store: Store) -> None:
        world = await seed_world(store, slots=4)
        await seed_booking(store, world.clinic, world.slots[1], world.patients[0])

        for page in (PageRequest(), PageRequest(2)):
            found = await store.calendars.glance(
                system_actor(world.clinic.id), query_of(world), page
            )
            listed = await store.calendars.list_slots(query_of(world), page)

            assert found is not None
            assert found.free is not None
            assert found.clinic == world.clinic
            assert list(found.free.slots()) == list(listed) != []

    async def test_a_glance_at_nothing_free_is_empty_and_at_nobody_is_none(
        self, store: Store
    ) -> None:
        world, other = await seed_world(store, slots=0), await seed_world(store)

        empty = await store.calendars.glance(
            system_actor(world.clinic.id), query_of(world), PageRequest()
        )
        nobody = await store.calendars.glance(
            system_actor(world.clinic.id), query_of(world, doctor_id=new_id()), PageRequest()
        )
        elsewhere = query_of(world, doctor_id=other.doctor.id)

        assert empty is not None
        assert empty.free is not None
        assert list(empty.free.slots()) == []
        assert nobody is not None
        assert nobody.free is None
        found = await store.calendars.glance(
            system_actor(elsewhere.clinic_id), elsewhere, PageRequest()
        )
        assert found is not None
        assert found.free is None
        nowhere = replace(query_of(world), clinic_id=new_id())
        assert (
            await store.calendars.glance(system_actor(nowhere.clinic_id), nowhere, PageRequest())
            is None
        )

    async def test_glances_differ_whenever_what_they_show_differs(self, store: Store) -> None:
        world = await seed_world(store, slots=4)
        first, *_, last = world.slots
        seen: list[tuple[object, ...]] = []

        async def look(query: SlotQuery, page: PageRequest | None = None) -> None:
            found = await store.calendars.glance(
                system_actor(query.clinic_id), query, page or PageRequest()
            )
            assert found is not None
            assert found.free is not None
            seen.append(found.free.state)

        await look(query_of(world))
        await look(query_of(world), PageRequest(1))
        await look(query_of(world, starts_from=last.starts_at))
        await look(query_of(world, doctor_id=world.colleague.id))
        booked = await seed_booking(store, world.clinic, first, world.patients[0])
        await look(query_of(world))
        await seed_state(store, SlotState.BLOCKED, last)
        await look(query_of(world))
        await seed_slots(store, a_slot(world.doctor, last.ends_at))
        await look(query_of(world))
        await seed_change(store, a_status_change(world.clinic, booked, Status.CANCELLED))
        await look(query_of(world))
        async with store.begin() as unit:
            user = await unit.people.user(world.doctor.id)
            assert user is not None
            await unit.accounts.replace_user(replace(user, name="Dr Grace Hall"))
            await unit.commit()
        await look(query_of(world))

        assert len(set(seen)) == len(seen) == 9

    async def test_glances_at_the_same_are_the_same(self, store: Store) -> None:
        world = await seed_world(store, slots=3)
        slot = world.slots[0]

        async def state() -> tuple[object, ...]:
            found = await store.calendars.glance(
                system_actor(world.clinic.id), query_of(world), PageRequest()
            )
            assert found is not None
            assert found.free is not None
            return found.free.state

        before = await state()
        again = await state()
        await seed_state(store, SlotState.BLOCKED, slot)
        blocked = await state()
        await seed_state(store, SlotState.OPEN, slot)

        assert before == again == await state() != blocked

    async def test_many_glances_at_once_are_each_answered(self, store: Store) -> None:
        world, other = await seed_world(store, slots=2), await seed_world(store, slots=3)
        asked = [
            replace(query_of(each), doctor_id=doctor.id, starts_from=start)
            for each in (world, other)
            for doctor in (each.doctor, each.colleague)
            for start in (each.slots[0].starts_at, each.slots[1].starts_at)
        ] * 6
        found: dict[int, list[SlotView]] = {}

        async def look(number: int) -> None:
            glance = await store.calendars.glance(
                system_actor(asked[number].clinic_id), asked[number], PageRequest()
            )
            assert glance is not None
            assert glance.free is not None
            found[number] = list(glance.free.slots())

        async with anyio.create_task_group() as group:
            for number in range(len(asked)):
                group.start_soon(look, number)

        for number, query in enumerate(asked):
            assert found[number] == list(await store.calendars.list_slots(query, PageRequest()))

    async def test_nearest_free_prefers_the_same_doctor(self, store: Store) -> None:
        world = await seed_world(store)
        wanted = world.slots[0]
        await seed_booking(store, world.clinic, wanted, world.patients[0])

        assert await _nearest(store, wanted) == [*world.slots[1:4]]

    async def test_nearest_free_looks_both_ways(self, store: Store) -> None:
        world = await seed_world(store, slots=7)

        assert await _nearest(store, world.slots[3], 4) == [
            *world.slots[1:3],
            *world.slots[4:6],
        ]

    async def test_nearest_free_asks_colleagues_of_the_specialty_when_the_doctor_is_full(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        surgeon = await seed_doctor(store, world.clinic, specialty="Surgery")
        await seed_slots(store, a_slot(surgeon, MORNING))
        await seed_state(store, SlotState.BLOCKED, *world.slots)

        assert await _nearest(store, world.slots[0], 2) == [*world.colleague_slots[:2]]

    async def test_nearest_free_keeps_to_the_range_and_the_clinic(self, store: Store) -> None:
        world = await seed_world(store)
        await seed_world(store)

        found = await store.calendars.nearest_free(
            world.slots[0],
            starts_from=world.slots[2].starts_at,
            starts_before=world.slots[4].starts_at,
            limit=5,
        )

        assert [view.slot for view in found] == [*world.slots[2:4]]

    async def test_slot_is_found_retired_or_not(self, store: Store) -> None:
        world = await seed_world(store)
        slot, retired = world.slots[:2]
        await seed_state(store, SlotState.RETIRED, retired)

        found = [await store.calendars.slot(world.clinic.id, each.id) for each in (slot, retired)]

        name = world.doctor.name
        assert found == [
            SlotView(slot, name),
            SlotView(replace(retired, state=SlotState.RETIRED), name),
        ]

    async def test_slot_of_another_clinic_is_none(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)

        assert await store.calendars.slot(other.clinic.id, world.slots[0].id) is None
