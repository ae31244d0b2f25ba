"""What each maintenance service does, and does not touch."""

from datetime import time, timedelta

import pytest

from clinic.bootstrap import in_memory
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import (
    AvailabilityException,
    ExceptionKind,
    day_interval,
    instant_of,
)
from clinic.domain.calendar.closings import Closure
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import SlotOverlap, TemporaryFailure
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Role, system_actor
from clinic.ports.audit import EventQuery
from clinic.testing import (
    FixedClock,
    a_clinic,
    an_availability,
    seed_clinic,
    seed_doctor,
    seed_world,
)
from clinic.testing.builders import NOW
from clinic.usecases.calendar import change_calendar
from clinic.usecases.calendar.added_places import add_place
from clinic.usecases.calendar.calendar_changes import carry_on as carry_on_with
from clinic.usecases.calendar.change_hours import add_exception
from clinic.usecases.calendar.closures import add_closure
from clinic.usecases.calendar.open_slots import open_slots as open_slots_of
from clinic.usecases.maintenance import align_calendars as aligning
from clinic.usecases.maintenance import make_partitions as making
from clinic.usecases.maintenance import open_calendars as opening
from clinic.usecases.maintenance.make_partitions import make_partitions
from clinic.usecases.maintenance.open_calendars import open_calendars
from clinic.usecases.maintenance.service import MaintenanceIncomplete

pytestmark = pytest.mark.anyio

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)


@pytest.fixture
def services():
    return in_memory(clock=FixedClock(NOW))


async def doctor_with_hours(store, clinic, name):
    doctor = await seed_doctor(store, clinic, name=name)
    async with store.begin() as unit:
        await unit.calendars.add_availability(an_availability(doctor, weekdays=EVERY_DAY))
        await unit.commit()
    return doctor


async def slots_on_last_day(store, clinic, doctor, now=NOW):
    last = clinic.local_date(now) + timedelta(days=clinic.policy.horizon_days)
    day = day_interval(last, clinic.zone)
    async with store.begin() as unit:
        return await unit.calendars.slots_between(
            clinic.id, [doctor.id], day.starts_at, day.ends_at
        )


async def test_slots_of_all_doctors_of_all_clinics_are_opened_up_to_the_horizon(services):
    store, clock = services.store, services.clock
    clinics = [
        await seed_clinic(store, a_clinic(name=zone, time_zone=zone))
        for zone in ("Europe/London", "Pacific/Auckland")
    ]
    doctors = [
        (clinic, await doctor_with_hours(store, clinic, f"Dr {number}"))
        for clinic in clinics
        for number in range(2)
    ]

    rows = await open_calendars(services.resources)

    days = sum(clinic.policy.horizon_days + 1 for clinic, _ in doctors)
    # It is evening in Auckland.
    assert rows == {"slots_opened": days * 4 - 2 * 4, "slots_retired": 0}
    for clinic, doctor in doctors:
        assert len(await slots_on_last_day(store, clinic, doctor)) == 4
    assert await open_calendars(services.resources) == {"slots_opened": 0, "slots_retired": 0}

    clock.advance(days=1)
    assert await open_calendars(services.resources) == {"slots_opened": 16, "slots_retired": 0}
    for clinic, doctor in doctors:
        assert len(await slots_on_last_day(store, clinic, doctor, clock.now())) == 4
        found = await store.audit_log.events(
            EventQuery(clinic.id, entity_id=doctor.id, action="open_slots"), PageRequest(5)
        )
        assert [event.actor_role for event in found] == [Role.SYSTEM] * 2


async def test_slots_of_a_doctor_without_hours_are_left_alone(services):
    world = await seed_world(services.store)

    assert await open_calendars(services.resources) == {"slots_opened": 0, "slots_retired": 0}

    found = await services.store.calendars.slot(world.clinic.id, world.slots[0].id)
    assert found is not None
    assert found.slot.state is SlotState.OPEN


@pytest.mark.parametrize("kind", ["place", "exception"])
async def test_slot_that_is_added_beyond_the_horizon_is_opened_for_a_doctor_without_hours(
    services, kind
):
    store, clock = services.store, services.clock
    clinic = await seed_clinic(store)
    doctor = await seed_doctor(store, clinic)
    context = services.context(system_actor(clinic.id))
    day = clinic.local_date(NOW) + timedelta(days=clinic.policy.horizon_days + 3)
    ids = (services.new_id(), clinic.id, doctor.id)
    if kind == "place":
        starts_at = instant_of(day, time(9), clinic.zone)
        ends_at = starts_at + timedelta(minutes=30)
        await add_place(context, AddedPlace(*ids, starts_at, ends_at))
    else:
        hours = (time(9), time(9, 30), 30)
        await add_exception(context, AvailabilityException(*ids, day, ExceptionKind.ADD, *hours))

    clock.advance(days=2)
    before = await open_calendars(services.resources)
    clock.advance(days=1)
    after = await open_calendars(services.resources)

    assert [before["slots_opened"], after["slots_opened"]] == [0, 1]
    assert len(await slots_on_last_day(store, clinic, doctor, clock.now())) == 1


@pytest.mark.parametrize("error", [SlotOverlap(), TemporaryFailure()], ids=["overlap", "locked"])
async def test_doctor_whose_slots_cannot_be_opened_does_not_stop_the_others(
    services, monkeypatch, caplog, error
):
    store = services.store
    clinic = await seed_clinic(store)
    doctors = [await doctor_with_hours(store, clinic, f"Dr {number}") for number in range(3)]
    unlucky = sorted(doctor.id for doctor in doctors)[1]

    async def open_slots(*args, doctor_id, **more):
        if doctor_id == unlucky:
            raise error
        return await open_slots_of(*args, doctor_id=doctor_id, **more)

    monkeypatch.setattr(opening, "open_slots", open_slots)
    with pytest.raises(MaintenanceIncomplete):
        await open_calendars(services.resources)

    opened = [bool(await slots_on_last_day(store, clinic, doctor)) for doctor in doctors]
    assert opened == [doctor.id != unlucky for doctor in doctors]
    assert f"slots of doctor {unlucky} were not opened: {error.code}" in caplog.text


async def test_database_that_is_away_ends_the_opening(services, monkeypatch):
    store = services.store
    clinic = await seed_clinic(store)
    for number in range(4):
        await doctor_with_hours(store, clinic, f"Dr {number}")
    asked = []

    async def open_slots(*_, doctor_id, **__):
        asked.append(doctor_id)
        raise TemporaryFailure()

    monkeypatch.setattr(opening, "open_slots", open_slots)
    with pytest.raises(TemporaryFailure):
        await open_calendars(services.resources)

    assert len(asked) == 2


async def test_doctor_whose_slots_cannot_be_aligned_does_not_stop_the_others(
    services, monkeypatch, caplog
):
    """Given two changes of many calendars, and a doctor whose row somebody has locked
    When the worker carries them out
    Then only that doctor's slots are not aligned, by either change."""
    store, asked = services.store, []
    clinic = await seed_clinic(store)
    doctors = [await doctor_with_hours(store, clinic, f"Dr {number}") for number in range(3)]
    unlucky = min(doctor.id for doctor in doctors)
    await open_calendars(services.resources)
    monkeypatch.setattr(change_calendar, "AT_ONCE_MAX", 0)
    context = services.context(system_actor(clinic.id))
    day = clinic.local_date(NOW) + timedelta(days=7)
    for name, last in (("Repairs", day), ("Training", day + timedelta(days=1))):
        await add_closure(
            context, Closure(services.new_id(), clinic.id, name, first=day, last=last)
        )

    async def carry_on(context, work):
        asked.append(work.doctor_id)
        if work.doctor_id == unlucky:
            raise TemporaryFailure()
        return await carry_on_with(context, work)

    monkeypatch.setattr(aligning, "carry_on", carry_on)
    with pytest.raises(MaintenanceIncomplete):
        await aligning.align_calendars(services.resources)

    left = await store.calendar_changes.next_work(limit=10)
    assert [work.doctor_id for work in left] == [unlucky] * 2
    assert sorted(asked) == sorted([doctor.id for doctor in doctors] * 2)


async def test_one_run_makes_no_more_partitions_than_its_limit(services):
    missing = [f"part_{number}" for number in range(making.PARTITIONS_MAX + 2)]

    class Partitions:
        async def make_next(self):
            return missing.pop() if missing else None

    services.store.partitions = Partitions()

    counts = [(await make_partitions(services.resources))["partitions"] for _ in range(3)]

    assert counts == [making.PARTITIONS_MAX, 2, 0]
