"""The contract of Calendars and CalendarReader."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import anyio
import pytest

from clinic.domain.appointments.appointments import Status
from clinic.domain.calendar.availability import Availability, AvailabilityException, ExceptionKind
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import (
    AvailabilityNotFound,
    ExceptionNotFound,
    NotFound,
    SlotNotFound,
    SlotOverlap,
    TransactionAborted,
)
from clinic.domain.paging import Keyset, PageRequest
from clinic.domain.people.people import Doctor, system_actor
from clinic.ports.calendars import SlotQuery, SlotView
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    NOW,
    World,
    a_slot,
    a_status_change,
    an_availability,
    an_exception,
    new_id,
    seed_booking,
    seed_change,
    seed_clinic,
    seed_doctor,
    seed_slots,
    seed_state,
    seed_world,
    slots_of,
)
from clinic.testing.contracts.attempts import attempt, begin, outcome_of
from clinic.testing.contracts.contract import Contract

WHOLE_DAY = (MORNING - timedelta(hours=9), MORNING + timedelta(hours=15))


def _query(world: World, **changes: object) -> SlotQuery:
    query = SlotQuery(world.clinic.id, *WHOLE_DAY, doctor_id=world.doctor.id)
    return replace(query, **changes)  # type: ignore[arg-type]


async def _list(store: Store, query: SlotQuery, page: PageRequest | None = None) -> list[Slot]:
    return [view.slot for view in await store.calendars.list_slots(query, page or PageRequest())]


def _by_place(*slots: Slot) -> list[Slot]:
    return sorted(slots, key=lambda slot: (slot.starts_at, slot.id))


async def _nearest(store: Store, slot: Slot, limit: int = 3) -> list[Slot]:
    found = await store.calendars.nearest_free(
        slot, starts_from=WHOLE_DAY[0], starts_before=WHOLE_DAY[1], limit=limit
    )
    return [view.slot for view in found]


class CalendarsContract(Contract, contract=True):
    """Give it a fixture `store`: an open Store that holds nothing."""

    # --- slots, read ---

    async def test_list_slots_returns_them_earliest_first_with_the_doctor(
        self, store: Store
    ) -> None:
        world = await seed_world(store)

        views = await store.calendars.list_slots(_query(world), PageRequest())

        assert list(views) == [SlotView(slot, world.doctor.name) for slot in world.slots]

    async def test_list_slots_of_all_doctors_goes_by_start_then_id(self, store: Store) -> None:
        world = await seed_world(store)

        found = await _list(store, _query(world, doctor_id=None))

        assert found == _by_place(*world.slots, *world.colleague_slots)

    async def test_list_slots_keeps_to_the_half_open_range(self, store: Store) -> None:
        world = await seed_world(store)
        first, last = world.slots[1], world.slots[3]

        query = _query(world, starts_from=first.starts_at, starts_before=last.starts_at)

        assert await _list(store, query) == [*world.slots[1:3]]

    async def test_list_slots_keeps_to_the_clinic(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)

        query = _query(world, clinic_id=other.clinic.id)

        assert await _list(store, query) == []

    async def test_list_slots_of_a_specialty(self, store: Store) -> None:
        world = await seed_world(store)
        surgeon = await seed_doctor(store, world.clinic, specialty="Surgery")
        slot = a_slot(surgeon)
        await seed_slots(store, slot)

        assert await _list(store, _query(world, doctor_id=None, specialty="Surgery")) == [slot]

    async def test_list_slots_free_only_leaves_out_taken_blocked_and_retired(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        taken, blocked, retired, *free = world.slots
        await seed_booking(store, world.clinic, taken, world.patients[0])
        await seed_state(store, SlotState.BLOCKED, blocked)
        await seed_state(store, SlotState.RETIRED, retired)

        assert await _list(store, _query(world)) == free

    async def test_list_slots_not_free_only_leaves_out_the_retired(self, store: Store) -> None:
        world = await seed_world(store, slots=4)
        taken, blocked, retired, free = world.slots
        await seed_booking(store, world.clinic, taken, world.patients[0])
        await seed_state(store, SlotState.BLOCKED, blocked)
        await seed_state(store, SlotState.RETIRED, retired)

        found = await _list(store, _query(world, free_only=False))

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

        found = await _list(store, _query(world, free_only=False, state=state))

        place = list(SlotState).index(state)
        assert found == [replace(world.slots[place], state=state)]

    async def test_list_slots_gives_one_more_than_the_page(self, store: Store) -> None:
        world = await seed_world(store, slots=4)

        assert await _list(store, _query(world), PageRequest(2)) == [*world.slots[:3]]

    async def test_list_slots_goes_on_after_a_place(self, store: Store) -> None:
        world = await seed_world(store)
        ordered = _by_place(*world.slots, *world.colleague_slots)
        after = Keyset(ordered[2].starts_at, ordered[2].id)

        found = await _list(store, _query(world, doctor_id=None), PageRequest(3, after))

        assert found == ordered[3:7]

    async def test_list_slots_backwards_gives_the_nearest_before_earliest_first(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        ordered = _by_place(*world.slots, *world.colleague_slots)
        before = Keyset(ordered[7].starts_at, ordered[7].id, backwards=True)

        found = await _list(store, _query(world, doctor_id=None), PageRequest(3, before))

        assert found == ordered[3:7]

    async def test_list_slots_makes_none(self, store: Store) -> None:
        world = await seed_world(store, slots=0)
        await self._add_hours(store, an_availability(world.doctor))

        assert await _list(store, _query(world)) == []

    # --- glances ---

    async def test_a_glance_shows_what_the_list_shows(self, store: Store) -> None:
        world = await seed_world(store, slots=4)
        await seed_booking(store, world.clinic, world.slots[1], world.patients[0])

        for page in (PageRequest(), PageRequest(2)):
            found = await store.calendars.glance(system_actor(world.clinic.id), _query(world), page)
            listed = await store.calendars.list_slots(_query(world), page)

            assert found is not None
            assert found.free is not None
            assert found.clinic == world.clinic
            assert list(found.free.slots()) == list(listed) != []

    async def test_a_glance_at_nothing_free_is_empty_and_at_nobody_is_none(
        self, store: Store
    ) -> None:
        world, other = await seed_world(store, slots=0), await seed_world(store)

        empty = await store.calendars.glance(
            system_actor(world.clinic.id), _query(world), PageRequest()
        )
        nobody = await store.calendars.glance(
            system_actor(world.clinic.id), _query(world, doctor_id=new_id()), PageRequest()
        )
        elsewhere = _query(world, doctor_id=other.doctor.id)

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
        nowhere = replace(_query(world), clinic_id=new_id())
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

        await look(_query(world))
        await look(_query(world), PageRequest(1))
        await look(_query(world, starts_from=last.starts_at))
        await look(_query(world, doctor_id=world.colleague.id))
        booked = await seed_booking(store, world.clinic, first, world.patients[0])
        await look(_query(world))
        await seed_state(store, SlotState.BLOCKED, last)
        await look(_query(world))
        await seed_slots(store, a_slot(world.doctor, last.ends_at))
        await look(_query(world))
        await seed_change(store, a_status_change(world.clinic, booked, Status.CANCELLED))
        await look(_query(world))
        async with store.begin() as unit:
            user = await unit.people.user(world.doctor.id)
            assert user is not None
            await unit.accounts.replace_user(replace(user, name="Dr Grace Hall"))
            await unit.commit()
        await look(_query(world))

        assert len(set(seen)) == len(seen) == 9

    async def test_glances_at_the_same_are_the_same(self, store: Store) -> None:
        world = await seed_world(store, slots=3)
        slot = world.slots[0]

        async def state() -> tuple[object, ...]:
            found = await store.calendars.glance(
                system_actor(world.clinic.id), _query(world), PageRequest()
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
            replace(_query(each), doctor_id=doctor.id, starts_from=start)
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

    # --- hours ---

    async def _add_hours(self, store: Store, *hours: Availability) -> None:
        async with store.begin() as unit:
            for each in hours:
                await unit.calendars.add_availability(each)
            await unit.commit()

    async def _add_exceptions(self, store: Store, *exceptions: AvailabilityException) -> None:
        async with store.begin() as unit:
            for each in exceptions:
                await unit.calendars.add_exception(each)
            await unit.commit()

    async def test_availabilities_come_by_id_of_one_doctor_or_all(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        weekly = replace(
            an_availability(world.doctor, weekdays=(1, 3)),
            valid_from=date(2026, 1, 1),
            valid_until=date(2026, 12, 31),
        )
        dated = an_availability(world.colleague, on_date=date(2026, 12, 24), end=time(12))
        await self._add_hours(store, dated, weekly, an_availability(other.doctor))

        everyones = list(await store.calendars.availabilities(world.clinic.id))
        doctors = list(await store.calendars.availabilities(world.clinic.id, world.doctor.id))

        assert everyones == sorted([weekly, dated], key=lambda hours: hours.id)
        assert doctors == [weekly]

    async def test_replace_availability_writes_it_anew(self, store: Store) -> None:
        world = await seed_world(store)
        old, other = an_availability(world.doctor), an_availability(world.colleague)
        new = replace(old, weekdays=(6,), end=time(10), slot_min=15)
        await self._add_hours(store, old, other)

        async with store.begin() as unit:
            await unit.calendars.replace_availability(new)
            await unit.commit()

        found = await store.calendars.availabilities(world.clinic.id)
        assert list(found) == sorted([new, other], key=lambda hours: hours.id)

    async def test_replace_availability_unknown_raises(self, store: Store) -> None:
        world = await seed_world(store)

        async with store.begin() as unit:
            with pytest.raises(AvailabilityNotFound):
                await unit.calendars.replace_availability(an_availability(world.doctor))

    async def test_delete_availability_removes_it(self, store: Store) -> None:
        world = await seed_world(store)
        gone, stays = an_availability(world.doctor), an_availability(world.colleague)
        await self._add_hours(store, gone, stays)

        async with store.begin() as unit:
            await unit.calendars.delete_availability(world.clinic.id, gone.id)
            inside = list(await unit.calendars.availabilities(world.clinic.id))
            await unit.commit()

        assert inside == [stays]
        assert list(await store.calendars.availabilities(world.clinic.id)) == [stays]

    async def test_delete_availability_unknown_or_of_another_clinic_raises(
        self, store: Store
    ) -> None:
        world, other = await seed_world(store), await seed_clinic(store)
        hours = an_availability(world.doctor)
        await self._add_hours(store, hours)

        for clinic_id, hours_id in ((world.clinic.id, new_id()), (other.id, hours.id)):
            async with store.begin() as unit:
                with pytest.raises(AvailabilityNotFound):
                    await unit.calendars.delete_availability(clinic_id, hours_id)

    async def test_exceptions_come_by_date_then_id_of_one_doctor_or_all(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)
        late = an_exception(world.doctor, date(2026, 12, 24))
        early = AvailabilityException(
            new_id(),
            world.clinic.id,
            world.colleague.id,
            date(2026, 12, 1),
            ExceptionKind.ADD,
            time(18),
            time(19),
            20,
        )
        await self._add_exceptions(store, late, early, an_exception(other.doctor))

        assert list(await store.calendars.exceptions(world.clinic.id)) == [early, late]
        assert list(await store.calendars.exceptions(world.clinic.id, world.doctor.id)) == [late]

    async def test_delete_exception_removes_it(self, store: Store) -> None:
        world = await seed_world(store)
        gone, stays = an_exception(world.doctor), an_exception(world.colleague)
        await self._add_exceptions(store, gone, stays)

        async with store.begin() as unit:
            await unit.calendars.delete_exception(world.clinic.id, gone.id)
            await unit.commit()

        assert list(await store.calendars.exceptions(world.clinic.id)) == [stays]

    async def test_delete_exception_unknown_raises(self, store: Store) -> None:
        world = await seed_world(store)

        async with store.begin() as unit:
            with pytest.raises(ExceptionNotFound):
                await unit.calendars.delete_exception(world.clinic.id, new_id())

    async def test_hours_of_nobody_are_refused(self, store: Store) -> None:
        world = await seed_world(store)
        nobody = Doctor(world.clinic.id, new_id(), "Nobody", "General")

        async with store.begin() as unit:
            with pytest.raises(NotFound):
                await unit.calendars.add_availability(an_availability(nobody))
        async with store.begin() as unit:
            with pytest.raises(NotFound):
                await unit.calendars.add_exception(an_exception(nobody))

    # --- slots, written ---

    async def test_lock_doctor_returns_the_doctor(self, store: Store) -> None:
        world = await seed_world(store)

        async with store.begin() as unit:
            assert await unit.calendars.lock_doctor(world.clinic.id, world.doctor.id) == (
                world.doctor
            )

    async def test_lock_doctor_of_another_clinic_is_none(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_clinic(store)

        async with store.begin() as unit:
            assert await unit.calendars.lock_doctor(other.id, world.doctor.id) is None

    async def test_lock_doctor_waits_for_another_until_its_unit_ends(self, store: Store) -> None:
        world = await seed_world(store)

        async def lock() -> None:
            async with store.begin() as unit:
                await unit.calendars.lock_doctor(world.clinic.id, world.doctor.id)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.calendars.lock_doctor(world.clinic.id, world.doctor.id)
                second = await attempt(group, lock, self)
                waited = not second.has_ended
            outcome = await second.outcome()

        assert (waited, outcome) == (True, None)

    async def test_lock_doctor_holds_up_no_colleague_and_no_booking(self, store: Store) -> None:
        world = await seed_world(store)

        with anyio.fail_after(5):
            async with store.begin() as unit, store.begin() as other:
                await unit.calendars.lock_doctor(world.clinic.id, world.doctor.id)
                await other.calendars.lock_doctor(world.clinic.id, world.colleague.id)
                booked = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])

        assert booked.slot_id == world.slots[0].id

    async def test_slots_between_overlaps_the_range_and_leaves_out_the_retired(
        self, store: Store
    ) -> None:
        world = await seed_world(store, slots=6)
        await seed_state(store, SlotState.RETIRED, world.slots[2])
        middle_of_first = world.slots[1].starts_at + timedelta(minutes=10)

        async with store.begin() as unit:
            found = await unit.calendars.slots_between(
                world.clinic.id, world.doctor.id, middle_of_first, world.slots[5].starts_at
            )

        assert list(found) == [world.slots[1], *world.slots[3:5]]

    async def test_last_slot_start_leaves_out_the_retired(self, store: Store) -> None:
        world = await seed_world(store, slots=3)
        await seed_state(store, SlotState.RETIRED, world.slots[2])

        async with store.begin() as unit:
            last = await unit.calendars.last_slot_start(world.clinic.id, world.doctor.id)

        assert last == world.slots[1].starts_at

    async def test_last_slot_start_without_slots_is_none(self, store: Store) -> None:
        world = await seed_world(store, slots=0)

        async with store.begin() as unit:
            assert await unit.calendars.last_slot_start(world.clinic.id, world.doctor.id) is None

    async def test_add_slots_next_to_each_other_is_fine(self, store: Store) -> None:
        world = await seed_world(store, slots=2)
        next_one = a_slot(world.doctor, world.slots[1].ends_at)

        await seed_slots(store, next_one)

        assert await _list(store, _query(world)) == [*world.slots, next_one]

    async def test_add_slots_without_slots_does_nothing(self, store: Store) -> None:
        world = await seed_world(store, slots=1)

        await seed_slots(store)

        assert await _list(store, _query(world)) == [*world.slots]

    async def test_add_slots_many_at_once(self, store: Store) -> None:
        world = await seed_world(store, slots=0)
        many = slots_of(world.doctor, 1200, first=NOW)

        await seed_slots(store, *many)

        async with store.begin() as unit:
            found = await unit.calendars.slots_between(
                world.clinic.id, world.doctor.id, NOW, NOW + timedelta(days=60)
            )
        assert list(found) == [*many]

    @pytest.mark.parametrize("shift_min", [-29, 0, 29])
    async def test_add_slots_that_meet_another_raises(self, store: Store, shift_min: int) -> None:
        world = await seed_world(store, slots=1)
        start = MORNING + timedelta(minutes=shift_min)

        refused = await outcome_of(lambda: seed_slots(store, a_slot(world.doctor, start)))

        assert refused is SlotOverlap
        assert await _list(store, _query(world)) == [*world.slots]

    async def test_add_slots_that_meet_each_other_raises(self, store: Store) -> None:
        world = await seed_world(store, slots=0)
        pair = (a_slot(world.doctor, MORNING), a_slot(world.doctor, MORNING, minutes=15))

        assert await outcome_of(lambda: seed_slots(store, *pair)) is SlotOverlap

    async def test_add_slots_where_one_was_retired_is_fine(self, store: Store) -> None:
        world = await seed_world(store, slots=1)
        await seed_state(store, SlotState.RETIRED, world.slots[0])
        new = a_slot(world.doctor, MORNING, minutes=45)

        await seed_slots(store, new)

        assert await _list(store, _query(world)) == [new]

    async def test_add_slots_of_nobody_is_refused(self, store: Store) -> None:
        world = await seed_world(store, slots=0)
        nobody = Doctor(world.clinic.id, new_id(), "Nobody", "General")

        async with store.begin() as unit:
            with pytest.raises(NotFound):
                await unit.calendars.add_slots([a_slot(nobody)])

    @pytest.mark.parametrize("commits", [True, False])
    async def test_add_slots_waits_for_uncommitted_ones_there(
        self, store: Store, commits: bool
    ) -> None:
        world = await seed_world(store, slots=0)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.calendars.add_slots([a_slot(world.doctor)])
                second = await attempt(group, lambda: seed_slots(store, a_slot(world.doctor)), self)
                waited = not second.has_ended
                if commits:
                    await unit.commit()
            outcome = await second.outcome()

        assert (waited, outcome) == (True, SlotOverlap if commits else None)

    async def test_slot_times_come_back_aware_whatever_their_offset(self, store: Store) -> None:
        world = await seed_world(store, slots=0)
        start = datetime(2026, 12, 1, 9, 15, tzinfo=UTC)
        slot = a_slot(world.doctor, start.astimezone(world.clinic.zone))

        await seed_slots(store, slot)

        found = await store.calendars.slot(world.clinic.id, slot.id)
        assert found is not None
        assert found.slot.starts_at == start
        assert found.slot.starts_at.tzinfo is not None

    @pytest.mark.parametrize("state", list(SlotState))
    async def test_set_slot_state_changes_these_slots_only(
        self, store: Store, state: SlotState
    ) -> None:
        world = await seed_world(store, slots=3)
        await seed_state(store, SlotState.BLOCKED, world.slots[0])

        await seed_state(store, state, *world.slots[:2])

        found = [await store.calendars.slot(world.clinic.id, slot.id) for slot in world.slots]
        states = [view.slot.state for view in found if view]
        assert states == [state, state, SlotState.OPEN]

    async def test_set_slot_state_leaves_a_taken_slot_taken(self, store: Store) -> None:
        world = await seed_world(store)
        slot = world.slots[0]
        await seed_booking(store, world.clinic, slot, world.patients[0])

        await seed_state(store, SlotState.BLOCKED, slot)

        found = await store.calendars.slot(world.clinic.id, slot.id)
        blocked = replace(slot, state=SlotState.BLOCKED, taken=True)
        assert found == SlotView(blocked, world.doctor.name)

    async def test_set_slot_state_of_a_missing_slot_raises(self, store: Store) -> None:
        world, other = await seed_world(store), await seed_world(store)

        for missing in (new_id(), other.slots[0].id):
            ids = [world.slots[0].id, missing]
            async with store.begin() as unit:
                with pytest.raises(SlotNotFound):
                    await unit.calendars.set_slot_state(world.clinic.id, ids, SlotState.BLOCKED)

        assert await _list(store, _query(world)) == [*world.slots]

    async def test_set_slot_state_untaken_only_raises_for_a_taken_one(self, store: Store) -> None:
        world = await seed_world(store)
        await seed_booking(store, world.clinic, world.slots[1], world.patients[0])

        async with store.begin() as unit:
            with pytest.raises(TransactionAborted):
                await unit.calendars.set_slot_state(
                    world.clinic.id,
                    [slot.id for slot in world.slots],
                    SlotState.RETIRED,
                    untaken_only=True,
                )

        assert await _list(store, _query(world)) == [world.slots[0], *world.slots[2:]]

    async def test_set_slot_state_untaken_only_changes_the_untaken(self, store: Store) -> None:
        world = await seed_world(store)

        async with store.begin() as unit:
            await unit.calendars.set_slot_state(
                world.clinic.id,
                [slot.id for slot in world.slots[:2]],
                SlotState.RETIRED,
                untaken_only=True,
            )
            await unit.commit()

        assert await _list(store, _query(world)) == [*world.slots[2:]]

    async def test_set_slot_state_bringing_a_retired_slot_back_onto_another_raises(
        self, store: Store
    ) -> None:
        world = await seed_world(store, slots=1)
        old = world.slots[0]
        await seed_state(store, SlotState.RETIRED, old)
        await seed_slots(store, a_slot(world.doctor, MORNING))

        assert await outcome_of(lambda: seed_state(store, SlotState.OPEN, old)) is SlotOverlap

    async def test_set_slot_state_in_opposite_orders_never_deadlocks(self, store: Store) -> None:
        world = await seed_world(store, slots=2)
        one, two = world.slots

        async def block(slots: Sequence[Slot]) -> None:
            for _ in range(10):
                await seed_state(store, SlotState.BLOCKED, *slots)

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, lambda: block((one, two))),
                begin(group, lambda: block((two, one))),
            ]
            outcomes = [await each.outcome() for each in tries]

        assert outcomes == [None, None]

    async def test_set_slot_state_locks_by_id_whatever_the_order(self, store: Store) -> None:
        """Who waits for the first slot does not hold the second one yet."""
        world = await seed_world(store, slots=2)
        one, two = sorted(world.slots, key=lambda slot: slot.id)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await unit.calendars.set_slot_state(world.clinic.id, [one.id], SlotState.BLOCKED)
                waiting = await attempt(
                    group, lambda: seed_state(store, SlotState.BLOCKED, two, one), self
                )
                waited = not waiting.has_ended
                with anyio.fail_after(5):
                    await seed_state(store, SlotState.RETIRED, two)
                await unit.commit()
            outcome = await waiting.outcome()

        assert (waited, outcome) == (True, None)

    async def test_unit_reads_the_slots_it_has_written(self, store: Store) -> None:
        world = await seed_world(store, slots=2)
        new = a_slot(world.doctor, world.slots[1].ends_at)

        async with store.begin() as unit:
            await unit.calendars.add_slots([new])
            await unit.calendars.set_slot_state(
                world.clinic.id, [world.slots[0].id], SlotState.BLOCKED
            )
            inside = await unit.calendars.list_slots(_query(world), PageRequest())
            outside = await _list(store, _query(world))

        assert [view.slot for view in inside] == [world.slots[1], new]
        assert outside == [*world.slots]
