"""Closing a day: which slots it concerns, and when a worker has to do it."""

from datetime import date, time, timedelta

import pytest

from clinic.bootstrap import in_memory
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import Availability
from clinic.domain.calendar.plan import plan
from clinic.domain.calendar.slots import SlotState
from clinic.domain.clinic import Policy
from clinic.domain.people.people import system_actor
from clinic.testing.builders import (
    MORNING,
    NOW,
    a_closure,
    a_context,
    an_availability,
    an_exception,
    new_id,
    seed_world,
)
from clinic.testing.soundness import every_slot
from clinic.usecases.calendar import change_calendar
from clinic.usecases.calendar.added_places import add_place
from clinic.usecases.calendar.change_calendar import shared_inputs
from clinic.usecases.calendar.change_hours import add_availability
from clinic.usecases.calendar.closures import add_closure, delete_closure
from clinic.usecases.calendar.inputs import read_inputs

pytestmark = pytest.mark.anyio

DAY = MORNING.date()
EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)
#: of the hours from 9 to 11
SLOTS_A_DAY = 4


@pytest.fixture
async def store():
    return in_memory().store


@pytest.fixture
async def world(store):
    world = await seed_world(store, slots=0, policy=Policy(horizon_days=8))
    hours = an_availability(world.doctor, weekdays=EVERY_DAY)
    await add_availability(a_context(store, system_actor(world.clinic.id)), hours)
    return world


@pytest.fixture
def context(store, world):
    return a_context(store, system_actor(world.clinic.id))


def at_night(doctor) -> Availability:
    return Availability(
        new_id(), doctor.clinic_id, doctor.id, time(22), time(6), 60, EVERY_DAY, overnight=True
    )


async def blocked(store, world, doctor):
    every = [view.slot for view in await every_slot(store, world.clinic.id)]
    return [
        slot.starts_at - NOW
        for slot in every
        if slot.doctor_id == doctor.id and slot.state is SlotState.BLOCKED
    ]


async def test_one_day_is_closed_at_once_up_to_the_limit(
    store, world, context, monkeypatch
) -> None:
    """Given as many slots a day as are aligned at once, and as many the day before
    Then the day is closed at once; one slot more leaves it to a worker."""
    monkeypatch.setattr(change_calendar, "AT_ONCE_MAX", SLOTS_A_DAY)
    closed = await add_closure(context, a_closure(world.clinic))
    monkeypatch.setattr(change_calendar, "AT_ONCE_MAX", SLOTS_A_DAY - 1)
    opened = await delete_closure(context, closed.row.id)

    assert (closed.effect.counts.blocked, closed.effect.change) == (SLOTS_A_DAY, None)
    assert opened.effect.change is not None
    assert (opened.effect.change.first, opened.effect.change.last) == (DAY, DAY)


async def test_slots_that_are_planned_and_not_there_count_too(
    store, world, context, monkeypatch
) -> None:
    """Given a day that is not opened yet, since its hours were entered past the use cases
    Then what is planned on it decides."""
    other = an_availability(world.colleague, start=time(12), end=time(14), weekdays=EVERY_DAY)
    async with store.begin() as unit:
        await unit.calendars.add_availability(other)
        await unit.commit()
    monkeypatch.setattr(change_calendar, "AT_ONCE_MAX", 2 * SLOTS_A_DAY - 1)

    closed = await add_closure(context, a_closure(world.clinic))

    assert closed.effect.change is not None


async def test_slot_of_the_eve_that_lasts_into_the_closed_day_is_blocked(
    store, world, context
) -> None:
    """Given slots of an hour from half past ten in the evening, over midnight
    Then the one at half past eleven is blocked with the day, and comes back with it."""
    nights = at_night(world.colleague)
    await add_availability(
        context,
        Availability(
            nights.id,
            nights.clinic_id,
            nights.doctor_id,
            time(22, 30),
            time(1, 30),
            60,
            EVERY_DAY,
            overnight=True,
        ),
    )

    closed = await add_closure(context, a_closure(world.clinic))
    during = await blocked(store, world, world.colleague)
    await delete_closure(context, closed.row.id)

    midnight = timedelta(hours=16)
    half = timedelta(minutes=30)
    day = timedelta(days=1)
    assert during == [
        midnight - half,
        midnight + half,
        midnight + day - 3 * half,
        midnight + day - half,
    ]
    assert await blocked(store, world, world.colleague) == []


async def test_place_of_the_eve_that_lasts_into_the_closed_day_is_blocked(
    store, world, context
) -> None:
    """Given nobody with hours over midnight, and a slot that staff have added there"""
    midnight = NOW + timedelta(hours=16)
    half = timedelta(minutes=30)
    place = AddedPlace(
        new_id(), world.clinic.id, world.colleague.id, midnight - half, midnight + half
    )
    await add_place(context, place)

    await add_closure(context, a_closure(world.clinic))

    assert await blocked(store, world, world.colleague) == [midnight - half - NOW]
    inputs = await read_inputs(context, store, world.clinic, [world.colleague])
    eve = DAY - timedelta(days=1)
    most = [inputs[world.colleague.id].most_slots(day, day) for day in (eve, DAY)]
    assert most == [1, 0]


@pytest.mark.parametrize("first", [DAY, DAY - timedelta(days=1), DAY + timedelta(days=4)])
@pytest.mark.parametrize("days", [1, 2, 7])
async def test_most_slots_is_never_less_than_are_planned(
    store, world, context, first: date, days: int
) -> None:
    await add_availability(context, at_night(world.colleague))
    async with store.begin() as unit:
        await unit.calendars.add_exception(an_exception(world.doctor))
        await unit.commit()
    inputs = await read_inputs(context, store, world.clinic, [world.doctor, world.colleague])
    last = first + timedelta(days=days - 1)

    most = {doctor: each.most_slots(first, last) for doctor, each in inputs.items()}
    planned = {doctor: len(plan(each, first, last)) for doctor, each in inputs.items()}

    # At night, eight hours that begin on the eve may add to those of the last day.
    assert most == {world.doctor.id: SLOTS_A_DAY * days, world.colleague.id: 8 * (days + 1)}
    assert all(planned[doctor] <= number for doctor, number in most.items())
    assert (await shared_inputs(context, store, world.clinic)).most_slots(first, last) == 0
