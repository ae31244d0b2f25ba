"""The contract of lanes: several places of a doctor at one time."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import anyio
import pytest

from clinic.domain.appointments.appointments import Appointment, Status
from clinic.domain.calendar.availability import CAPACITY_MAX, Availability
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.errors import (
    ClinicError,
    NoResourceFree,
    SlotNotFound,
    SlotOverlap,
    SlotTaken,
)
from clinic.domain.paging import Keyset, Page, PageRequest
from clinic.domain.people.people import Patient, system_actor
from clinic.ports.calendars import SlotQuery, SlotView
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.testing.builders import (
    MORNING,
    NOW,
    World,
    a_block,
    a_booking,
    a_context,
    a_move,
    a_place,
    a_resource,
    a_slot,
    a_status_change,
    a_type,
    an_anonymous_context,
    an_availability,
    seed_booking,
    seed_change,
    seed_resource,
    seed_slots,
    seed_state,
    seed_type,
    seed_world,
    some_holidays,
)
from clinic.testing.contracts.attempts import attempt, begin, outcome_of
from clinic.testing.contracts.calendar_meetings import HeldTransactions
from clinic.testing.contracts.calendars_steps import WHOLE_DAY, query_of
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_planned, check_promises, check_sound, everything
from clinic.usecases.appointments.book import book
from clinic.usecases.appointments.change_appointment import change_status, reschedule
from clinic.usecases.calendar.added_places import add_place
from clinic.usecases.calendar.blocks import add_block
from clinic.usecases.calendar.change_hours import add_availability, change_availability
from clinic.usecases.calendar.check_calendars import check_calendars
from clinic.usecases.calendar.find_slots import SlotSearch, find_slots
from clinic.usecases.calendar.open_slots import open_slots
from clinic.usecases.context import Context
from clinic.usecases.transactions import Transactions

CROWD = 100


@dataclass(frozen=True, slots=True)
class Group:
    """A doctor with hours from 09:00 to 10:00, and several places each half hour."""

    world: World
    hours: Availability
    #: those of MORNING, by lane
    lanes: tuple[Slot, ...]

    @property
    def patients(self) -> tuple[Patient, ...]:
        return self.world.patients


async def a_group(store: Store, capacity: int, *, patients: int = 4, squeeze_max: int = 0) -> Group:
    """Add a clinic whose doctor has hours of this capacity."""
    policy = Policy(horizon_days=3, squeeze_max=squeeze_max)
    names = [str(number) for number in range(patients)]
    world = await seed_world(store, slots=0, policy=policy, patients=names)
    context = a_context(store, system_actor(world.clinic.id))
    hours = an_availability(world.doctor, end=MORNING.replace(hour=10).time(), capacity=capacity)
    await add_availability(context, hours)
    end = MORNING + timedelta(minutes=30)
    slots = await store.calendars.slots_between(world.clinic.id, [world.doctor.id], MORNING, end)
    return Group(world, hours, tuple(sorted(slots, key=lambda slot: slot.lane)))


Act = Callable[[Group, Context], Awaitable[Any]]


def _book_lane(lane: int) -> Act:
    async def act(group: Group, context: Context) -> None:
        booking = a_booking(group.world.clinic, group.lanes[lane - 1], group.patients[lane])

        async def add(unit: UnitOfWork) -> None:
            await unit.appointments.add([booking])

        await context.transactions.run(add)

    act.__name__ = f"book_lane_{lane}"
    return act


async def _book(group: Group, context: Context) -> None:
    await book(context, group.lanes[0].id, patient_id=group.patients[0].id)


async def _lower(group: Group, context: Context) -> None:
    await change_availability(context, group.hours.id, lambda known: replace(known, capacity=1))


async def _block_lane_1(group: Group, context: Context) -> None:
    await add_block(context, a_block(group.world.doctor, lane=1))


async def _squeeze(group: Group, context: Context) -> None:
    await add_place(context, a_place(group.world.doctor, minutes=15))


#: first, second, how the second ends once the first has committed, and lanes with an appointment
MEETINGS: Sequence[tuple[Act, Act, type[ClinicError] | None, list[int]]] = (
    (_book_lane(2), _lower, None, [2]),
    (_lower, _book_lane(2), SlotTaken, []),
    (_lower, _book, None, [1]),
    (_squeeze, _book, None, [1]),
    (_book_lane(1), _squeeze, None, [1]),
    (_squeeze, _squeeze, SlotOverlap, []),
    (_block_lane_1, _book_lane(2), None, [2]),
    (_book_lane(2), _block_lane_1, None, [2]),
)


class LanesContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    @pytest.mark.parametrize("limit", [1, 2, 5])
    @pytest.mark.parametrize("of_doctor", [True, False])
    async def test_pages_of_free_slots_hold_each_start_once(
        self, store: Store, limit: int, of_doctor: bool
    ) -> None:
        """Whatever lanes are free, forwards and back, and as a glance shows the first page."""
        world = await seed_world(store, patients="ABCDEF")
        beside = [
            a_slot(doctor, slot.starts_at, lane=lane)
            for doctor, slots in (
                (world.doctor, world.slots),
                (world.colleague, world.colleague_slots),
            )
            for place, slot in enumerate(slots[:3])
            for lane in range(2, 5 - place)
        ]
        shorter = a_slot(world.doctor, MORNING, minutes=20, lane=CAPACITY_MAX + 1)
        await seed_slots(store, *beside, shorter)
        await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
        await seed_booking(store, world.clinic, beside[1], world.patients[1])
        await seed_state(store, SlotState.BLOCKED, world.slots[1])
        query = query_of(world, doctor_id=world.doctor.id if of_doctor else None)

        there, back = await _paged(store, query, limit)

        starts = [(view.slot.starts_at, view.slot.doctor_id) for view in there]
        assert starts == sorted({*starts})
        assert back == there[: len(back)] == there[:-limit]
        mine = [view for view in there if view.slot.doctor_id == world.doctor.id]
        assert [(view.slot.lane, view.places) for view in mine] == [
            (2, 2),
            (2, 2),
            (1, 2),
            (1, 1),
            (1, 1),
        ]
        if of_doctor:
            actor = system_actor(world.clinic.id)
            glance = await store.calendars.glance(actor, query, PageRequest(limit))
            assert glance is not None
            assert glance.free is not None
            assert list(glance.free.slots())[:limit] == there[:limit]

    async def test_nearest_free_names_a_start_once(self, store: Store) -> None:
        world = await seed_world(store)
        starts = [slot.starts_at for slot in world.slots]
        await seed_slots(store, *(a_slot(world.doctor, start, lane=2) for start in starts))

        found = await store.calendars.nearest_free(
            world.slots[2], starts_from=WHOLE_DAY[0], starts_before=WHOLE_DAY[1], limit=5
        )

        assert [view.slot.starts_at for view in found] == starts

    @pytest.mark.parametrize("crowd", [4, CROWD])
    async def test_group_has_as_many_patients_as_places(self, store: Store, crowd: int) -> None:
        """Given four places at one time, and a crowd who all ask for the first
        When all book at once
        Then four have a place each, and everybody else learns that all are taken."""
        group = await a_group(store, 4, patients=crowd)

        async def take(patient: Patient) -> None:
            context = a_context(store, system_actor(group.world.clinic.id))
            await book(context, group.lanes[0].id, patient_id=patient.id)

        async with anyio.create_task_group() as tasks:
            tries = [
                begin(tasks, lambda each=patient: take(each))  # type: ignore[misc]
                for patient in group.patients
            ]
        outcomes = [await each.outcome() for each in tries]

        assert outcomes.count(None) == 4
        assert {*outcomes} <= {None, SlotTaken}
        held = await everything(store, group.world.clinic.id)
        assert sorted(view.appointment.lane for view in held.appointments) == [1, 2, 3, 4]
        check_promises(held)

    @pytest.mark.parametrize("capacities", [(4, 4), (3,)])
    async def test_group_shares_one_room_as_far_as_it_holds(
        self, store: Store, capacities: tuple[int, ...]
    ) -> None:
        """Given four places at one time, and rooms for so many each
        When twenty book a type that needs a room
        Then the places are filled as far as one room holds, and all are in that room."""
        group = await a_group(store, 4, patients=20)
        clinic = group.world.clinic
        kind = a_type(clinic, "Class", 30, needs=("hall",))
        await seed_resource(store, *(a_resource(clinic, "hall", capacity=n) for n in capacities))
        await seed_type(store, kind)

        async def take(patient: Patient) -> None:
            context = a_context(store, system_actor(clinic.id))
            await book(context, group.lanes[0].id, patient_id=patient.id, type=kind.id)

        async with anyio.create_task_group() as tasks:
            tries = [
                begin(tasks, lambda each=patient: take(each))  # type: ignore[misc]
                for patient in group.patients
            ]
        outcomes = [await each.outcome() for each in tries]

        assert outcomes.count(None) == capacities[0]
        assert {*outcomes} <= {None, SlotTaken, NoResourceFree}
        held = await everything(store, clinic.id)
        rooms = {room.id for view in held.appointments for room in view.resources}
        assert (len(held.appointments), len(rooms)) == (capacities[0], 1)
        check_promises(held)

    async def test_patients_who_move_to_one_start_at_once_get_a_place_each(
        self, store: Store
    ) -> None:
        group = await a_group(store, 4)
        clinic, actor = group.world.clinic, system_actor(group.world.clinic.id)
        booked = [
            await seed_booking(store, clinic, slot, patient)
            for slot, patient in zip(group.lanes, group.patients, strict=True)
        ]
        free = await store.calendars.list_slots(query_of(group.world), PageRequest())
        later = free[0].slot.id

        async def move(one: Appointment) -> None:
            await reschedule(a_context(store, actor), one.id, slot_id=later)

        async with anyio.create_task_group() as tasks:
            tries = [
                begin(tasks, lambda each=one: move(each))  # type: ignore[misc]
                for one in booked
            ]

        assert [await each.outcome() for each in tries] == [None] * 4
        held = await everything(store, clinic.id)
        assert sorted(view.appointment.lane for view in held.appointments) == [1, 2, 3, 4]
        assert {view.appointment.starts_at for view in held.appointments} == {
            MORNING + timedelta(minutes=30)
        }
        check_promises(held)

    async def test_lanes_are_booked_without_waiting_for_each_other(self, store: Store) -> None:
        world = await seed_world(store)
        other = a_slot(world.doctor, lane=2)
        await seed_slots(store, other)
        async with store.begin() as unit:
            await unit.appointments.add(
                [a_booking(world.clinic, world.slots[0], world.patients[0])]
            )
            await seed_booking(store, world.clinic, other, world.patients[1])
            await unit.commit()

        await check_sound(store, world.clinic.id)

    async def test_appointment_moves_to_another_lane_of_its_time(self, store: Store) -> None:
        world = await seed_world(store)
        other = a_slot(world.doctor, lane=2)
        await seed_slots(store, other)
        before = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])

        await seed_change(store, a_move(world.clinic, before, other))

        free = await store.calendars.list_slots(query_of(world), PageRequest())
        assert [view.slot.id for view in free] == [slot.id for slot in world.slots]
        await check_sound(store, world.clinic.id)

    async def test_lane_takes_no_two_slots_at_one_time(self, store: Store) -> None:
        world = await seed_world(store)
        await seed_slots(store, a_slot(world.doctor, lane=2))
        overlapping = a_slot(world.doctor, MORNING + timedelta(minutes=10), lane=2)

        assert await outcome_of(lambda: seed_slots(store, overlapping)) is SlotOverlap

    @pytest.mark.parametrize(
        "meeting", MEETINGS, ids=lambda each: f"{each[0].__name__}-{each[1].__name__}"
    )
    async def test_change_of_lanes_meets_another(self, store: Store, meeting: Any) -> None:
        """The second waits, or need not; what is booked keeps its place, and slots their plan."""
        first_act, second_act, refusal, booked = meeting
        group = await a_group(store, 2, squeeze_max=1)
        held, usual = HeldTransactions(store, commits=True), Transactions(store.begin)
        actor = system_actor(group.world.clinic.id)

        async with anyio.create_task_group() as tasks:
            holding = a_context(store, actor, transactions=held)
            first = begin(tasks, lambda: first_act(group, holding))
            with anyio.fail_after(10):
                await held.has_written.wait()
            usually = a_context(store, actor, transactions=usual)
            second = await attempt(tasks, lambda: second_act(group, usually), self)
            held.may_end.set()
            outcomes = await first.outcome(), await second.outcome()

        assert outcomes == (None, refusal)
        assert usual.retried == 0
        found = await everything(store, group.world.clinic.id)
        assert [view.appointment.lane for view in found.appointments] == booked
        check_promises(found)
        check_planned(found, NOW, some_holidays)

    @pytest.mark.parametrize("by_use_case", [True, False])
    async def test_place_that_gets_free_is_that_of_an_appointment_without_one(
        self, store: Store, by_use_case: bool
    ) -> None:
        """Given three patients, and a capacity that is lowered to one
        When the one who has a place cancels
        Then one of the others has it, at once or when slots are opened next, and `clinic check`
        finds as many slots as are planned all the time."""
        group = await a_group(store, 3)
        clinic, actor = group.world.clinic, system_actor(group.world.clinic.id)
        context = a_context(store, actor)
        booked = [
            await seed_booking(store, clinic, slot, patient)
            for slot, patient in zip(group.lanes, group.patients, strict=False)
        ]
        await _lower(group, context)
        assert await _outside(store, group) == [(clinic, 2)]

        if by_use_case:
            await change_status(context, booked[0].id, to=Status.CANCELLED)
        else:
            await seed_change(store, a_status_change(clinic, booked[0], Status.CANCELLED))
            assert await _outside(store, group) == [(clinic, 2)]
            await open_slots(context, doctor_id=group.world.doctor.id)

        assert await _outside(store, group) == [(clinic, 1)]
        free = await store.calendars.list_slots(query_of(group.world), PageRequest())
        assert MORNING not in [view.slot.starts_at for view in free]
        found = await everything(store, clinic.id)
        check_promises(found)
        check_planned(found, NOW, some_holidays)

    async def test_free_slots_of_a_search_count_the_places(self, store: Store) -> None:
        group = await a_group(store, 3)
        context = a_context(store, system_actor(group.world.clinic.id))
        await book(context, group.lanes[0].id, patient_id=group.patients[0].id)
        await _lower(group, context)

        search = SlotSearch(starts_from=MORNING)
        found: Page[SlotView] = await find_slots(context, search, PageRequest(1))

        # Lane 1 is taken, so lane 1 stays, and the next start has one place.
        assert [(view.slot.starts_at, view.places) for view in found.items] == [
            (MORNING + timedelta(minutes=30), 1)
        ]
        with pytest.raises(SlotNotFound):
            await book(context, group.lanes[1].id, patient_id=group.patients[1].id)


async def _outside(store: Store, group: Group) -> Sequence[tuple[Clinic, int]]:
    """Return how many appointments have no place, by clinic, as `clinic check` counts them; all
    slots are as planned."""
    context = an_anonymous_context(store)
    report = await check_calendars(context)
    assert report.off_plan == ()
    return [*report.stranded]


async def _paged(
    store: Store, query: SlotQuery, limit: int
) -> tuple[list[SlotView], list[SlotView]]:
    """Return all slots page by page, and those before the last page, by going back from it."""
    there: list[SlotView] = []
    page = PageRequest(limit)
    while True:
        views = await store.calendars.list_slots(query, page)
        there += views[:limit]
        if len(views) <= limit:
            break
        last = views[limit - 1].slot
        page = PageRequest(limit, Keyset(last.starts_at, last.id))
    back: list[SlotView] = []
    first = there[-limit].slot
    while True:
        place = Keyset(first.starts_at, first.id, backwards=True)
        views = await store.calendars.list_slots(query, PageRequest(limit, place))
        back = [*views[-limit:], *back]
        if len(views) <= limit:
            return there, back
        first = views[-limit].slot
