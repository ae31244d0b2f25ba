"""Opening the slots of every doctor: two at a time, each completely or not at all."""

import asyncio
import gc
from dataclasses import replace
from datetime import time, timedelta

import pytest

from clinic.bootstrap import in_memory
from clinic.domain.calendar.availability import day_interval
from clinic.domain.calendar.slots import PlannedSlot, SlotState
from clinic.domain.errors import TemporaryFailure
from clinic.domain.people.people import Actor, Role
from clinic.testing import FixedClock, an_availability, seed_clinic, seed_doctor
from clinic.testing.builders import NOW, an_exception
from clinic.usecases.calendar.align import OPEN_MAX_DAYS
from clinic.usecases.calendar.change_hours import (
    add_availability,
    add_exception,
    change_availability,
    delete_availability,
    delete_exception,
)
from clinic.usecases.calendar.open_slots import AT_ONCE, open_slots
from clinic.usecases.people.change_clinic import change_clinic
from clinic.usecases.transactions import Transactions

pytestmark = pytest.mark.anyio

DOCTORS = 5


class Watched(Transactions):
    """Counts concurrent units of work; one of them fails after it has written."""

    def __init__(self, begin, *, failing: int | None = None) -> None:
        super().__init__(begin)
        self.running = self.most = self.begun = 0
        self._failing = failing

    async def run(self, work):
        self.begun += 1
        number = self.begun

        async def watched(unit):
            result = await work(unit)
            await asyncio.sleep(0.01)
            if number == self._failing:
                raise TemporaryFailure()
            return result

        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await super().run(watched)
        finally:
            self.running -= 1


@pytest.fixture
async def hospital():
    services = in_memory(clock=FixedClock(NOW))
    store = services.store
    clinic = await seed_clinic(store)
    for number in range(DOCTORS):
        doctor = await seed_doctor(store, clinic, name=f"Dr {number}")
        async with store.begin() as unit:
            await unit.calendars.add_availability(an_availability(doctor))
            await unit.commit()
    return services, clinic


def opening(services, clinic, transactions, on_progress=None):
    return open_slots(
        replace(
            services.context(Actor(services.new_id(), Role.ADMIN, clinic.id)),
            transactions=transactions,
        ),
        on_progress=on_progress,
    )


async def test_doctors_are_opened_two_at_a_time_and_told_one_by_one(hospital) -> None:
    services, clinic = hospital
    told = []
    transactions = Watched(services.store.begin)

    opened = await opening(services, clinic, transactions, lambda *each: told.append(each))

    assert transactions.most == AT_ONCE
    assert [each[:2] for each in told] == [(n, DOCTORS) for n in range(1, DOCTORS + 1)]
    assert opened.added == sum(each[2] for each in told) > 0
    assert (await opening(services, clinic, transactions)).added == 0


async def test_slots_of_doctors_who_are_done_are_not_kept_in_memory(hospital) -> None:
    services, clinic = hospital
    kept = []

    def count(*_: object) -> None:
        gc.collect()
        kept.append(sum(isinstance(each, PlannedSlot) for each in gc.get_objects()))

    await opening(services, clinic, Watched(services.store.begin), count)

    assert kept[-1] == 0


async def test_failure_ends_the_opening_and_leaves_whole_calendars(hospital) -> None:
    services, clinic = hospital
    transactions = Watched(services.store.begin, failing=3)

    with pytest.raises(TemporaryFailure):
        await opening(services, clinic, transactions)

    assert transactions.running == 0
    assert transactions.begun < DOCTORS
    again = Watched(services.store.begin)
    told = []
    await opening(services, clinic, again, lambda *each: told.append(each[2]))
    # The two before it are done; it and the one beside it have written nothing.
    assert sorted(map(bool, told)) == [False, False, True, True, True]
    assert len(set(told)) == 2


async def test_slots_beyond_the_horizon_follow_changed_hours() -> None:
    services = in_memory(clock=FixedClock(NOW))
    store = services.store
    clinic = await seed_clinic(store)
    doctor = await seed_doctor(store, clinic)
    hours = an_availability(doctor, weekdays=(1,))
    context = services.context(Actor(services.new_id(), Role.ADMIN, clinic.id))
    today = clinic.local_date(NOW)
    far = today + timedelta(days=clinic.policy.horizon_days + 60)
    last_monday = far - timedelta(days=far.isoweekday() - 1)

    async def times() -> list[time]:
        """Return the starts of that Monday's slots."""
        day = day_interval(last_monday, clinic.zone)
        async with store.begin() as unit:
            found = await unit.calendars.slots_between(
                clinic.id, [doctor.id], day.starts_at, day.ends_at
            )
        on_calendar = [slot for slot in found if slot.state is not SlotState.RETIRED]
        return [slot.starts_at.astimezone(clinic.zone).time() for slot in on_calendar]

    await add_availability(context, hours)
    assert await times() == []
    await open_slots(context, doctor_id=doctor.id, until=far)
    assert await times() == [time(9), time(9, 30), time(10), time(10, 30)]

    await change_availability(context, hours.id, lambda old: replace(old, start=time(10)))
    assert await times() == [time(10), time(10, 30)]

    off = an_exception(doctor, last_monday)
    await add_exception(context, off)
    assert await times() == []
    # The Monday before is now the last one, so later slots have to be opened explicitly.
    await delete_exception(context, off.id)
    await open_slots(context, doctor_id=doctor.id, until=far)
    assert await times() == [time(10), time(10, 30)]

    await delete_availability(context, hours.id)
    assert await times() == []


async def test_time_zone_changes_with_slots_as_far_ahead_as_can_be() -> None:
    services = in_memory(clock=FixedClock(NOW))
    store = services.store
    clinic = await seed_clinic(store)
    doctor = await seed_doctor(store, clinic)
    context = services.context(Actor(services.new_id(), Role.ADMIN, clinic.id))
    evening = an_availability(doctor, weekdays=(1, 2, 3, 4, 5, 6, 7), start=time(20), end=time(22))
    await add_availability(context, evening)
    until = clinic.local_date(NOW) + timedelta(days=OPEN_MAX_DAYS)
    await open_slots(context, doctor_id=doctor.id, until=until)

    # The last slot begins on the day after there.
    changed = await change_clinic(
        context,
        lambda now: replace(now, time_zone="Pacific/Kiritimati"),
        contacts=services.contacts,
    )

    assert changed.effect is not None
    assert changed.effect.retired == (OPEN_MAX_DAYS + 1) * 4
