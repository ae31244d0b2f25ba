"""The contract of what `clinic check` reads of calendars: it finds each fault, and no other."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from clinic.domain.calendar.changes import CalendarChange, CalendarWork, SlotCounts
from clinic.domain.calendar.closings import Closure, ClosureKind
from clinic.domain.calendar.locations import Location
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Policy
from clinic.domain.errors import UnknownHolidayCalendar
from clinic.domain.notifications import day_sheets
from clinic.domain.people.people import Doctor, system_actor
from clinic.ports.calendars import CalendarReader
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    NOW,
    World,
    a_block,
    a_closure,
    a_context,
    a_slot,
    an_anonymous_context,
    an_availability,
    an_exception,
    new_id,
    seed_booking,
    seed_location,
    seed_slots,
    seed_state,
    seed_world,
)
from clinic.testing.clock import FixedClock
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import every_slot
from clinic.usecases.calendar.change_hours import (
    add_availability,
    add_exception,
    delete_availability,
)
from clinic.usecases.calendar.check_calendars import (
    FINISHED_WITHIN,
    OPENED_WITHIN,
    CalendarReport,
    Difference,
    check_calendars,
)
from clinic.usecases.calendar.open_slots import open_slots
from clinic.usecases.context import Context

HORIZON_DAYS = 8
DAY = MORNING.date()


class CalendarCheckContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_check_finds_nothing_in_calendars_that_are_as_planned(self, store: Store) -> None:
        world = await _opened(store)
        await _plan(store, world.colleague)
        context = _context(store, world)
        await open_slots(context, doctor_id=world.colleague.id, until=DAY + timedelta(days=30))

        assert await _check(store) == CalendarReport()

    @pytest.mark.parametrize("wrong", Difference)
    async def test_check_names_the_doctor_and_the_day_until_slots_are_opened_again(
        self, store: Store, wrong: Difference
    ) -> None:
        world = await _opened(store)
        first = (await _slots(store, world.doctor))[0]
        await _plant(store, wrong, first)

        report = await _check(store)
        await open_slots(_context(store, world), doctor_id=world.doctor.id)

        [found] = report.off_plan
        days = (first.starts_at.date(),)
        assert (found.doctor.id, found.days, found.counts) == (world.doctor.id, days, {wrong: 1})
        assert await _check(store) == CalendarReport()

    async def test_check_finds_slots_of_doctors_whose_hours_are_gone(self, store: Store) -> None:
        world = await _opened(store)
        [hours] = await store.calendars.availabilities(world.clinic.id)
        async with store.begin() as unit:
            await unit.calendars.delete_availability(world.clinic.id, hours.id)
            await unit.commit()

        [found] = (await _check(store)).off_plan

        days = await _days(store, world.doctor)
        assert (found.days, found.counts) == (days, {Difference.UNPLANNED: 4 * len(days)})

    async def test_check_waits_a_while_for_a_day_that_has_come_within_the_horizon(
        self, store: Store
    ) -> None:
        """Given that open-slots has not run since midnight
        Then the new day is missing once it should have."""
        world = await _opened(store)
        midnight = datetime.combine(DAY, datetime.min.time(), NOW.tzinfo)
        last = DAY + timedelta(days=HORIZON_DAYS)

        early = await _check(store, at=midnight + OPENED_WITHIN / 2)
        late = await _check(store, at=midnight + OPENED_WITHIN)

        assert early == CalendarReport()
        [found] = late.off_plan
        assert (found.doctor.id, found.days) == (world.doctor.id, (last,))

    async def test_check_is_not_misled_by_a_change_while_it_reads(self, store: Store) -> None:
        """Given hours that change after they were read, and before the slots are
        Then the two do not fit, and nothing is wrong."""
        world = await _opened(store)

        async def meddle() -> None:
            await add_exception(_context(store, world), an_exception(world.doctor))

        assert await _check(_Meddled(store, meddle)) == CalendarReport()
        assert DAY not in await _days(store, world.doctor)

    async def test_check_leaves_out_days_that_a_worker_has_yet_to_align(self, store: Store) -> None:
        """Given a closure whose change has got as far as its second day for one doctor
        Then the first day is compared, and the change is late after a while."""
        world = await _opened(store)
        second = DAY + timedelta(days=1)
        change = await _deferred(store, world, a_closure(world.clinic, DAY, second), second)

        soon = await _check(store)
        late = await _check(store, at=NOW + FINISHED_WITHIN + timedelta(seconds=1))
        async with store.begin() as unit:
            [work] = await unit.calendar_changes.next_work(limit=2)
            await unit.calendar_changes.advance(work, None, SlotCounts(blocked=4))
            await unit.commit()
        done = await _check(store, at=NOW + FINISHED_WITHIN + timedelta(seconds=1))

        assert [(found.days, soon.unfinished) for found in soon.off_plan] == [((DAY,), ())]
        assert [each.id for each in late.unfinished] == [change.id]
        assert late.unfinished[0].doctors_done == 1
        assert done.unfinished == ()
        assert [found.days for found in done.off_plan] == [(DAY, second)]

    async def test_check_counts_appointments_that_are_not_within_open_slots(
        self, store: Store
    ) -> None:
        world = await _opened(store)
        slots = await _slots(store, world.doctor)
        await seed_booking(store, world.clinic, slots[0], world.patients[0])
        await seed_booking(store, world.clinic, slots[-1], world.patients[1])
        [hours] = await store.calendars.availabilities(world.clinic.id)

        await delete_availability(_context(store, world), hours.id)
        report = await _check(store)
        after_the_first = await _check(store, at=slots[0].ends_at)

        assert report == CalendarReport(stranded=((world.clinic, 2),))
        assert after_the_first.stranded == ((world.clinic, 1),)

    async def test_check_says_why_no_plan_can_be_made(self, store: Store) -> None:
        world = await _opened(store)
        closure = Closure(new_id(), world.clinic.id, "Holidays", ClosureKind.HOLIDAYS, country="XX")
        async with store.begin() as unit:
            await unit.closings.add(closure)
            await unit.commit()

        report = await _check(store)

        assert [found.doctor.id for found in report.off_plan] == [world.doctor.id]
        assert isinstance(report.off_plan[0].error, UnknownHolidayCalendar)

    async def test_check_lists_appointments_whose_time_on_the_clock_has_changed(
        self, store: Store
    ) -> None:
        """Given two evenings that were planned when the zone was an hour behind
        Then the appointments of these days are an hour later on the clock, and those of a day whose
        own evening is not known, since nobody works on the next one; no others are."""
        world = await seed_world(store, slots=0, policy=Policy(horizon_days=HORIZON_DAYS))
        tuesday, friday = DAY, DAY + timedelta(days=3)
        await _sheets(store, world, [tuesday, friday], ZoneInfo("Atlantic/Azores"))
        await _plan(store, world.doctor)
        booked = {}
        for slot in await _slots(store, world.doctor):
            day = slot.starts_at.date()
            if day not in booked:
                booked[day] = await seed_booking(store, world.clinic, slot, world.patients[0])

        report = await _check(store)

        days = [tuesday - timedelta(days=1), friday - timedelta(days=1), friday]
        found = [(each.view.appointment.id, each.shift) for each in report.shifted]
        assert found == [(booked[day].id, timedelta(hours=1)) for day in days]
        assert report == CalendarReport(shifted=report.shifted)


# --- steps ------------------------------------------------------------------------------------


async def _opened(store: Store) -> World:
    """Return a clinic with a short horizon, one of whose doctors has hours on weekdays."""
    world = await seed_world(store, slots=0, policy=Policy(horizon_days=HORIZON_DAYS))
    await _plan(store, world.doctor)
    return world


async def _plan(store: Store, doctor: Doctor) -> None:
    context = a_context(store, system_actor(doctor.clinic_id))
    await add_availability(context, an_availability(doctor))


def _context(store: Store, world: World) -> Context:
    return a_context(store, system_actor(world.clinic.id))


async def _check(store: Store, *, at: datetime = NOW) -> CalendarReport:
    return await check_calendars(an_anonymous_context(store, clock=FixedClock(at)))


async def _slots(store: Store, doctor: Doctor) -> list[Slot]:
    """Return the doctor's slots on the calendar, earliest first."""
    every = [view.slot for view in await every_slot(store, doctor.clinic_id)]
    return [
        slot
        for slot in every
        if slot.doctor_id == doctor.id and slot.state is not SlotState.RETIRED
    ]


async def _days(store: Store, doctor: Doctor) -> tuple[date, ...]:
    return tuple(sorted({slot.starts_at.date() for slot in await _slots(store, doctor)}))


async def _plant(store: Store, wrong: Difference, slot: Slot) -> None:
    """Make one slot differ from the plan, past the use cases."""
    doctor = Doctor(slot.clinic_id, slot.doctor_id, "", slot.specialty)
    if wrong is Difference.MISSING:
        await seed_state(store, SlotState.RETIRED, slot)
    elif wrong is Difference.UNPLANNED:
        await seed_slots(store, a_slot(doctor, slot.starts_at + timedelta(hours=6)))
    elif wrong is Difference.NOT_OPEN:
        await seed_state(store, SlotState.BLOCKED, slot)
    elif wrong is Difference.ELSEWHERE:
        location = Location(new_id(), slot.clinic_id, "Mill")
        await seed_location(store, location)
        async with store.begin() as unit:
            await unit.calendars.set_slot_locations(slot.clinic_id, {slot.id: location.id})
            await unit.commit()
    else:
        async with store.begin() as unit:
            await unit.closings.add(a_block(doctor, slot.starts_at))
            await unit.commit()


async def _deferred(store: Store, world: World, closure: Closure, next_day: date) -> CalendarChange:
    """Store a closure, and what is left of its change: one doctor's days from `next_day` on."""
    assert closure.first is not None
    assert closure.last is not None
    change = CalendarChange(
        new_id(),
        world.clinic.id,
        "add_closure",
        "closure",
        closure.id,
        new_id(),
        NOW,
        closure.first,
        closure.last,
        2,
    )
    work = CalendarWork(world.clinic.id, change.id, world.doctor.id, next_day, closure.last)
    async with store.begin() as unit:
        await unit.closings.add(closure)
        await unit.calendar_changes.add(change, [work])
        await unit.commit()
    return change


async def _sheets(store: Store, world: World, days: Sequence[date], zone: ZoneInfo) -> None:
    """Plan the doctor's day sheets as in another zone."""
    sheets = day_sheets(
        clinic_id=world.clinic.id,
        doctor_id=world.doctor.id,
        days=days,
        zone=zone,
        now=NOW,
        new_id=new_id,
    )
    async with store.begin() as unit:
        await unit.messages.add(sheets)
        await unit.commit()


class _Meddled:
    """A store in which something happens before slots are read for the first time."""

    def __init__(self, store: Store, meddle: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self.calendars = _MeddledCalendars(store.calendars, meddle)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _MeddledCalendars:
    def __init__(self, calendars: CalendarReader, meddle: Callable[[], Awaitable[None]]) -> None:
        self._calendars, self._meddle = calendars, [meddle]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._calendars, name)

    async def slots_between(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Sequence[Slot]:
        while self._meddle:
            await self._meddle.pop()()
        return await self._calendars.slots_between(clinic_id, doctor_ids, start, end)
