"""`clinic check` of calendars: it names the doctor, the day and the command that repairs them."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from clinic.adapters.postgres.store import PostgresStore
from clinic.domain.calendar.changes import CalendarChange, CalendarWork
from clinic.domain.calendar.closings import Closure, ClosureKind
from clinic.domain.notifications import day_sheets
from clinic.domain.people.people import system_actor
from clinic.testing.builders import (
    World,
    a_booking,
    a_closure,
    a_context,
    an_availability,
    new_id,
    seed_world,
)
from clinic.testing.clock import FixedClock
from clinic.testing.soundness import every_slot
from clinic.usecases.calendar.change_hours import add_availability, delete_availability

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LONDON = ZoneInfo("Europe/London")


@pytest.fixture
def environ(postgres_urls, valkey_url, tmp_path):
    return {
        "CLINIC_DATABASE_URL": postgres_urls.app_url,
        "CLINIC_BROKER_URL": valkey_url,
        "CLINIC_SECRET": "of-these-tests-alone-0123456789abcdef",
        "CLINIC_MAIL_URL": f"maildir://{tmp_path / 'mail'}",
    }


@pytest.fixture
def run(commands, environ, tmp_path):
    """Return a function that runs a command, and returns its status and output."""

    def run(*arguments):
        ran = commands.run([*arguments], environ, tmp_path)
        assert ran.stderr == ""
        return ran.returncode, ran.stdout

    return run


@pytest.fixture
async def store(postgres_urls):
    store = PostgresStore(postgres_urls.app_url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def world(store) -> World:
    """A clinic one of whose doctors has hours from 9 to 11 on every day of the next two months."""
    world = await seed_world(store, slots=0)
    hours = an_availability(world.doctor, weekdays=tuple(range(1, 8)))
    await add_availability(_context(store, world), hours)
    return world


def _context(store, world):
    return a_context(store, system_actor(world.clinic.id), clock=FixedClock(datetime.now(UTC)))


def _in(days: int) -> date:
    return datetime.now(LONDON).date() + timedelta(days=days)


def _at(day: date) -> datetime:
    return datetime.combine(day, time(9), LONDON)


async def _slot_of(store, world, day):
    every = await every_slot(store, world.clinic.id)
    return next(view.slot for view in every if view.slot.starts_at == _at(day))


async def _book(store, world, slot):
    """Book without messages, which nobody would send, and return the appointment's id."""
    booking = replace(a_booking(world.clinic, slot, world.patients[0]), messages=())
    await store.desk.reserve(booking)
    return booking.appointment.id


def _execute(url, statement, *values):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement, values)


async def test_check_of_slots_that_were_changed_past_the_service(run, world, postgres_urls) -> None:
    """Given slots that somebody has deleted and blocked in psql, on two days
    Then the doctor and the first day are named, and the command that is named repairs it."""
    well = run("check")
    _execute(postgres_urls.owner_url, "DELETE FROM slots WHERE starts_at = %s", _at(_in(3)))
    _execute(
        postgres_urls.owner_url,
        "UPDATE slots SET state = 'BLOCKED' WHERE starts_at = %s",
        _at(_in(4)),
    )

    status, said = run("check")
    repaired = run("slots", "open", "--doctor", str(world.doctor.id))

    assert well == (0, "All is well.\n")
    assert status == 1
    assert said == (
        f"WRONG: slots of {world.doctor.name} ({world.doctor.id}) at Riverside differ from the"
        f" plan on {_in(3)} and 1 more day: 1 missing, 1 blocked although open\n"
        f"       clinic slots open --doctor {world.doctor.id}; of all doctors with hours: clinic"
        " maintenance run open-slots\n"
        "One thing is wrong.\n"
    )
    assert repaired == (0, "1 slot added, 0 retired, 0 blocked, 1 unblocked.\n")
    assert run("check") == well


async def test_check_of_public_holidays_that_are_not_known(run, store, world) -> None:
    """Given a closure on the holidays of a subdivision that the installed package does not know
    Then each doctor is named with the subdivision, until the closure is found by it and deleted."""
    gone = Closure(
        new_id(), world.clinic.id, "Gone", ClosureKind.HOLIDAYS, country="GB", subdivision="QQ"
    )
    async with store.begin() as unit:
        await unit.closings.add(gone)
        await unit.commit()

    status, said = run("check")
    listed = run("closures", "list")[1]
    deleted, _ = run("closures", "delete", str(gone.id))

    assert status == 1
    assert said.startswith("WRONG: slots of ")
    assert "cannot be planned: GB has no subdivision QQ; known are: ENG, NIR, SCT, WLS.\n" in said
    assert "find that closure with clinic closures list, delete it, and add it" in said
    assert f"{gone.id}" in listed
    assert "GB-QQ" in listed
    assert deleted == 0
    assert run("check") == (0, "All is well.\n")


async def test_check_of_a_closure_that_nobody_carries_out(run, store, world) -> None:
    """Given a closure of tomorrow that was left to a worker half an hour ago
    Then the change is named, not the slots, until the service that is named has run."""
    closure = a_closure(world.clinic, _in(1))
    began = datetime.now(UTC) - timedelta(minutes=30)
    change = CalendarChange(
        new_id(),
        world.clinic.id,
        "add_closure",
        "closure",
        closure.id,
        new_id(),
        began,
        _in(1),
        _in(1),
        2,
    )
    work = CalendarWork(world.clinic.id, change.id, world.doctor.id, _in(1), _in(1))
    async with store.begin() as unit:
        await unit.closings.add(closure)
        await unit.calendar_changes.add(change, [work])
        await unit.commit()

    status, said = run("check")
    ran = run("maintenance", "run", "align-calendars")

    assert status == 1
    assert said.startswith(
        f"WRONG: calendar change {change.id} (add_closure, clinic {world.clinic.id}) is not"
        " finished after 30 min: 1 of 2 doctors are left, and their old slots can still be booked\n"
    )
    assert "clinic maintenance run align-calendars carries it out here" in said
    assert said.endswith("One thing is wrong.\n")
    assert ran[0] == 0
    assert run("check") == (0, "All is well.\n")


async def test_check_counts_stranded_appointments_and_finds_nothing_wrong(
    run, store, world
) -> None:
    slot = await _slot_of(store, world, _in(3))
    await _book(store, world, slot)
    [hours] = await store.calendars.availabilities(world.clinic.id)
    await delete_availability(_context(store, world), hours.id)

    status, said = run("check")

    assert (status, said) == (
        0,
        "hint: appointments ahead at Riverside that are not within open slots: 1\n"
        "       they keep their times; clinic slots open lists them, to be moved or cancelled\n"
        "All is well.\n",
    )
    assert "1 appointment not in open slots now" in run("slots", "open")[1]


async def test_check_lists_appointments_whose_wall_time_shifts_with_the_zone_data(
    run, store
) -> None:
    """Given a day whose eve was planned when the zone's data put it an hour behind
    Then its appointment is listed with both times, and nothing else is."""
    world = await seed_world(store, slots=0)
    sheets = day_sheets(
        clinic_id=world.clinic.id,
        doctor_id=world.doctor.id,
        days=[_in(4)],
        zone=ZoneInfo("Atlantic/Azores"),
        now=datetime.now(UTC),
        new_id=new_id,
    )
    async with store.begin() as unit:
        await unit.messages.add(sheets)
        await unit.commit()
    hours = an_availability(world.doctor, weekdays=tuple(range(1, 8)))
    await add_availability(_context(store, world), hours)
    booked = [
        await _book(store, world, await _slot_of(store, world, _in(days))) for days in (2, 3, 4)
    ]

    status, said = run("check")

    assert (status, said) == (
        0,
        f"hint: appointment {booked[1]} with {world.doctor.name} is at {_in(3)} 09:00 now, and"
        f" was at {_in(3)} 08:00 when that day was opened: the data of Europe/London has changed\n"
        "       it keeps its instant; ask the patient which time they know, and move it if need"
        " be\n"
        "All is well.\n",
    )
