"""The migration that stores what people blocked, beside the previous release."""

import json
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.adapters.postgres.migrations import (
    APP_ROLE,
    current_revision,
    head_revision,
    migrate,
)
from clinic.domain.calendar.changes import SlotCounts
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.people.people import Doctor, Patient
from clinic.testing.builders import (
    a_clinic,
    a_context,
    a_slot,
    an_actor,
    an_availability,
    new_id,
    seed_booking,
    seed_clinic,
    seed_doctor,
    seed_patient,
    seed_slots,
)
from clinic.testing.clock import FixedClock
from clinic.usecases.calendar.open_slots import open_slots

pytestmark = pytest.mark.anyio

#: the database as the migration before left it
WITHOUT_BLOCKS = """
DROP TRIGGER audit_event_blocks ON audit_event;
DROP FUNCTION clinic_keep_blocks, clinic_uuid7;
DELETE FROM blocks;
UPDATE alembic_version SET version_num = '0024';
"""
#: the database as the previous release's last migration left it
BEFORE = f"""
{WITHOUT_BLOCKS}
DROP TABLE calendar_work, calendar_changes, blocks, leaves, closures;
ALTER TABLE doctors_profiles DROP last_day;
ALTER TABLE availabilities DROP overnight,
    ADD CONSTRAINT availabilities_end_after_start CHECK (end_time > start_time);
ALTER TABLE availability_exceptions DROP overnight,
    ADD CONSTRAINT availability_exceptions_end_after_start
        CHECK ((start_time IS NULL) = (end_time IS NULL) AND end_time > start_time);
UPDATE alembic_version SET version_num = '0023';
"""
#: as the previous release changes the state of slots
LOCK = """
SELECT user_id FROM doctors_profiles WHERE clinic_id = %(clinic)s AND user_id = %(doctor)s
FOR NO KEY UPDATE
"""
CHANGE = """
WITH locked AS (
    SELECT id FROM slots WHERE clinic_id = %(clinic)s AND id = ANY (%(slots)s)
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE slots s SET state = %(state)s FROM locked
WHERE s.clinic_id = %(clinic)s AND s.id = locked.id AND s.state <> %(state)s
"""
RECORD = """
INSERT INTO audit_event (clinic_id, id, at, actor_id, actor_role, action, entity, entity_id, reason,
                         outcome, detail)
VALUES (%(clinic)s, %(id)s, clock_timestamp(), %(doctor)s, 'DOCTOR', %(action)s, %(entity)s,
        %(doctor)s, %(reason)s, 'done', %(detail)s)
"""
BLOCKS = "SELECT doctor_id, starts_at, ends_at, lane, reason FROM blocks ORDER BY 1, 2"
SLOTS = "SELECT id, state, taken FROM slots ORDER BY id"
WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FOR NO KEY UPDATE%'
"""


#: doctor, start, end, lane and reason of a block
Stored = tuple[UUID, datetime, datetime, None, str | None]


class Previous:
    """The previous release: it changes the state of slots, and records that."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def block(self, slots: Sequence[Slot], reason: str = "No reason given") -> None:
        self._set(slots, "BLOCKED", "block_slots", "doctor", reason)

    def open(self, slots: Sequence[Slot]) -> None:
        self._set(slots, "OPEN", "unblock_slots", "doctor", "No reason given")

    def strand(self, slots: Sequence[Slot]) -> None:
        """Block taken slots that are no longer in the hours, as releases before that one did."""
        self._set(slots, "BLOCKED", "delete_availability", "availability", "No reason given")

    def _set(
        self, slots: Sequence[Slot], state: str, action: str, entity: str, reason: str
    ) -> None:
        values = {
            "clinic": slots[0].clinic_id,
            "doctor": slots[0].doctor_id,
            "slots": [slot.id for slot in slots],
            "state": state,
            "id": new_id(),
            "action": action,
            "entity": entity,
            "reason": reason,
            "detail": json.dumps({"slots": [str(slot.id) for slot in slots]}),
        }
        with self._connection.transaction():
            self._connection.execute(LOCK, values)
            self._connection.execute(CHANGE, values)
            self._connection.execute(RECORD, values)


@dataclass(frozen=True)
class Calendar:
    """A doctor with the slots of the days to come, as this release opened them."""

    clinic: Clinic
    doctor: Doctor
    slots: Sequence[Slot]
    patient: Patient

    def of_day(self, offset: int) -> list[Slot]:
        """Return the slots of the day so many days from today."""
        day = self.clinic.local_date(datetime.now(UTC)) + timedelta(days=offset)
        return [slot for slot in self.slots if self.clinic.local_date(slot.starts_at) == day]


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def open_calendar(store: PostgresStore, now: datetime) -> Callable[..., Any]:
    """Return a function that opens a doctor's slots from 09:00 to 11:00, or at other times."""

    async def open_one(
        clinic: Clinic, *, start: time = time(9), end: time = time(11), name: str = "Dr Hill"
    ) -> Calendar:
        doctor = await seed_doctor(store, clinic, name=name)
        hours = an_availability(doctor, start=start, end=end, weekdays=(1, 2, 3, 4, 5, 6, 7))
        async with store.begin() as unit:
            await unit.calendars.add_availability(hours)
            await unit.commit()
        context = a_context(store, an_actor(clinic), clock=FixedClock(now))
        await open_slots(context, doctor_id=doctor.id)
        slots = await store.calendars.slots_between(
            clinic.id, [doctor.id], now, now + timedelta(days=800)
        )
        return Calendar(clinic, doctor, slots, await seed_patient(store, clinic))

    return open_one


@pytest.fixture
def owner(postgres_urls):
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def previous(postgres_urls):
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as connection:
        yield Previous(connection)


async def test_what_is_blocked_is_stored_and_what_has_no_hours_is_retired(
    store, now, open_calendar, owner, previous, postgres_urls
) -> None:
    """Given slots in every state that the previous release leaves behind
    When the migration runs, and every doctor's slots are aligned after it
    Then blocks keep what was blocked in the hours, the rest is retired, and nothing else changes.
    """
    clinic = await seed_clinic(store, a_clinic(policy=Policy(horizon_days=14)))
    one = await open_calendar(clinic)
    expected = await _block_of_every_kind(store, one, previous, owner)
    without_hours = await _without_hours(store, await open_calendar(clinic), previous, owner)
    disabled = await open_calendar(clinic)
    previous.block(disabled.of_day(3)[:1], "Congress")
    _retire_open(owner, disabled)
    owner.execute("UPDATE users SET disabled_at = now() WHERE id = %s", [disabled.doctor.id])
    past, running = await _past(store, clinic, now, previous)
    expected += [_block(disabled, disabled.of_day(3)[:1], "Congress")]
    owner.execute(BEFORE.encode())
    before = _states(owner)

    migrate(postgres_urls.owner_url)

    assert owner.execute(BLOCKS).fetchall() == sorted(expected)
    gone = {slot.id for slot in [*one.of_day(8)[:2], *without_hours, *disabled.of_day(3)[:1]]}
    after = _states(owner)
    assert {id for id, state in after.items() if state != before[id]} == gone
    assert {after[id][0] for id in gone} == {"RETIRED"}
    # Both have an appointment.
    assert {id for id in gone if after[id][1]} == {one.of_day(8)[0].id, without_hours[0].id}
    assert {after[slot.id] for slot in (*past, running)} == {("BLOCKED", False)}
    await _check_aligned(store, clinic, now, owner)
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


async def test_clocks_that_change_are_those_of_the_clinic(
    store, now, open_calendar, owner, previous, postgres_urls
) -> None:
    """Given clinics in zones whose clocks change, with the nights of it blocked
    When the migration runs
    Then one block has each night, however long, and aligning changes nothing."""
    clinics = []
    expected = []
    for zone_name in ("America/New_York", "Australia/Lord_Howe"):
        clinic = a_clinic(time_zone=zone_name, policy=Policy(horizon_days=400))
        clinics.append(await seed_clinic(store, clinic))
        night = await open_calendar(clinic, start=time(0, 30), end=time(4))
        for day in _clock_changes(clinic.zone, now):
            slots = [slot for slot in night.slots if clinic.local_date(slot.starts_at) == day]
            previous.block(slots)
            expected.append(_block(night, slots))
    assert {(until - since) % timedelta(hours=1) for _, since, until, *_ in expected} == {
        timedelta(0),
        timedelta(minutes=30),
    }
    owner.execute(BEFORE.encode())

    migrate(postgres_urls.owner_url)

    assert owner.execute(BLOCKS).fetchall() == sorted(expected)
    for clinic in clinics:
        await _check_aligned(store, clinic, now, owner)


async def test_migration_that_is_killed_goes_on_where_it_was(
    store, now, open_calendar, owner, previous, postgres_urls, commands, tmp_path
) -> None:
    """Given a migration that is killed after the first of three doctors, before it has given the
    service the right to blocks
    When the previous release blocks a day, and the migration is run again, and once more
    Then there is one block for each doctor's day, and one for that day."""
    clinic = await seed_clinic(store, a_clinic(policy=Policy(horizon_days=5)))
    calendars = [await open_calendar(clinic) for _ in range(3)]
    for each in calendars:
        previous.block(each.of_day(2))
    owner.execute(WITHOUT_BLOCKS)
    owner.execute(f"REVOKE ALL ON blocks FROM {APP_ROLE}".encode())

    with psycopg.connect(postgres_urls.owner_url) as blocker:
        second = sorted(calendars, key=lambda each: each.doctor.id)[1]
        blocker.execute(LOCK, {"clinic": clinic.id, "doctor": second.doctor.id})
        environ = {"CLINIC_OWNER_URL": postgres_urls.owner_url}
        migrating = commands.begin(["migrate"], environ, tmp_path)
        while owner.execute(WAITING).fetchone() is None:
            assert migrating.poll() is None
        migrating.kill()
        assert migrating.wait() == -signal.SIGKILL
    assert current_revision(postgres_urls.owner_url) == "0024"
    first = owner.execute("SELECT id FROM blocks").fetchall()
    assert len(first) == 1
    previous.block(calendars[2].of_day(3), "Congress")

    migrate(postgres_urls.owner_url)
    blocks = owner.execute("SELECT id FROM blocks ORDER BY id").fetchall()
    owner.execute("UPDATE alembic_version SET version_num = '0024'")
    migrate(postgres_urls.owner_url)

    assert owner.execute("SELECT id FROM blocks ORDER BY id").fetchall() == blocks
    assert first[0] in blocks
    expected = [_block(each, each.of_day(2)) for each in calendars]
    expected.append(_block(calendars[2], calendars[2].of_day(3), "Congress"))
    assert owner.execute(BLOCKS).fetchall() == sorted(expected)
    await _check_aligned(store, clinic, now, owner)


async def test_previous_release_blocks_and_opens_while_blocks_are_stored(
    store, now, open_calendar, owner, previous, postgres_urls
) -> None:
    """Given a server of the previous release that blocks and opens slots
    When the migration runs, and the server goes on for a while
    Then what it left blocked is blocked by blocks, and what it opened is open."""
    clinic = await seed_clinic(store, a_clinic(policy=Policy(horizon_days=60)))
    calendars = [await open_calendar(clinic) for _ in range(4)]
    for each in calendars:
        previous.block(each.slots)
    owner.execute(BEFORE.encode())
    rounds = during = 0

    with ThreadPoolExecutor(1) as threads:
        migrating = threads.submit(migrate, postgres_urls.owner_url)
        while not migrating.done() or rounds < during + 40:
            during += not migrating.done()
            each = calendars[rounds % 4]
            slots = each.of_day(1 + rounds // 4 % 50)
            previous.open(slots)
            previous.block(slots[1:2])
            rounds += 1
        migrating.result(timeout=60)
    assert current_revision(postgres_urls.owner_url) == head_revision()
    assert during > 4

    await _check_aligned(store, clinic, now, owner)
    blocked = owner.execute("SELECT count(*) FROM slots WHERE state = 'BLOCKED'").fetchone()
    is_open = owner.execute("SELECT count(*) FROM slots WHERE state = 'OPEN'").fetchone()
    touched = min(rounds, 200)
    assert is_open == (touched * 3,)
    assert blocked == (sum(len(each.slots) for each in calendars) - touched * 3,)


async def test_slots_beneath_a_stranded_appointment_follow_its_hours(
    store, now, open_calendar, owner, previous, postgres_urls
) -> None:
    """Given an appointment in a slot that is blocked, since the hours got shorter slots
    When the migration runs, and the doctor's slots are aligned
    Then those in its time are added as taken, and nothing is blocked."""
    clinic = await seed_clinic(store, a_clinic(policy=Policy(horizon_days=1)))
    one = await open_calendar(clinic, end=time(10))
    left = one.of_day(1)[1]
    await seed_booking(store, clinic, left, one.patient)
    previous.strand([left])
    _retire_open(owner, one)
    owner.execute("UPDATE availabilities SET slot_min = 20")
    owner.execute(BEFORE.encode())

    migrate(postgres_urls.owner_url)
    context = a_context(store, an_actor(clinic), clock=FixedClock(now))
    aligned = await open_slots(context, doctor_id=one.doctor.id)

    assert owner.execute(BLOCKS).fetchall() == []
    assert aligned.counts == SlotCounts(added=aligned.counts.added)
    added = await store.calendars.slots_between(
        clinic.id, [one.doctor.id], left.starts_at, left.ends_at
    )
    assert [(slot.state, slot.taken, slot.id == left.id) for slot in added] == [
        (SlotState.OPEN, True, False),
        (SlotState.RETIRED, True, True),
        (SlotState.OPEN, True, False),
    ]


async def test_previous_release_cuts_blocks_and_adds_them(
    store, now, open_calendar, owner, previous
) -> None:
    """Given the migrated database, and a server of the previous release
    When it blocks slots, opens some of them, and strands one whose hours are gone
    Then blocks follow what it blocked and opened, and not what it stranded."""
    clinic = await seed_clinic(store, a_clinic(policy=Policy(horizon_days=5)))
    one = await open_calendar(clinic)
    day, other, third = one.of_day(1), one.of_day(2), one.of_day(3)
    previous.block([*day, *other], "Fire drill")
    previous.block(day)
    assert owner.execute(BLOCKS).fetchall() == [
        _block(one, day, "Fire drill"),
        _block(one, other, "Fire drill"),
    ]
    kept = _ids(owner)

    previous.open([day[1]])
    previous.open(other[:1])
    previous.strand(third[:1])

    assert owner.execute(BLOCKS).fetchall() == [
        _block(one, day[:1], "Fire drill"),
        _block(one, day[2:], "Fire drill"),
        _block(one, other[1:], "Fire drill"),
    ]
    assert kept <= _ids(owner)
    versions = owner.execute("SELECT DISTINCT uuid_extract_version(id) FROM blocks").fetchall()
    assert versions == [(7,)]

    previous.open([*day, *other])

    assert owner.execute(BLOCKS).fetchall() == []
    previous.open(third[:1])
    await _check_aligned(store, clinic, now, owner)


async def _block_of_every_kind(
    store: PostgresStore, one: Calendar, previous: Previous, owner: psycopg.Connection[Any]
) -> list[Stored]:
    """Bring slots of a doctor into the states that they can be in, a day each, and return the
    blocks that should come of it."""
    days = [one.of_day(offset) for offset in range(13)]
    previous.block(days[1][1:2])
    previous.block(days[2][:3], "Congress")
    previous.block([days[3][0], days[3][2]])
    previous.block(days[4][:2], "Congress")
    previous.open(days[4][:2])
    previous.block(days[4][:2], "Fire drill")
    previous.block(days[4][2:], "Training")
    await seed_booking(store, one.clinic, days[5][0], one.patient)
    previous.block(days[5][:1], "Away")
    _set_state(owner, SlotState.RETIRED, days[6][:1])
    _take_off(owner, one, days[6])
    await seed_booking(store, one.clinic, days[7][1], one.patient)
    await seed_booking(store, one.clinic, days[8][0], one.patient)
    previous.strand(days[8][:2])
    _set_state(owner, SlotState.RETIRED, [*days[6], *days[8][2:]])
    _take_off(owner, one, days[8])
    previous.block(days[9][:1], "x" * 30 + " word" * 60)
    previous.block(days[9][2:3], "Two\nlines")
    # Blocked past the service.
    _set_state(owner, SlotState.BLOCKED, days[10][3:])
    previous.block(days[11][:1], "Erased")
    return [
        _block(one, days[1][1:2]),
        _block(one, days[2][:3], "Congress"),
        _block(one, days[3][:1]),
        _block(one, days[3][2:3]),
        _block(one, days[4][:2], "Fire drill"),
        _block(one, days[4][2:], "Training"),
        _block(one, days[5][:1], "Away"),
        _block(one, days[9][:1], "x" * 30 + " word" * 33 + "…"),
        _block(one, days[9][2:3]),
        _block(one, days[10][3:]),
        _block(one, days[11][:1]),
    ]


async def _without_hours(
    store: PostgresStore, other: Calendar, previous: Previous, owner: psycopg.Connection[Any]
) -> list[Slot]:
    """Delete a doctor's hours, with two slots left blocked, the first one taken; return those."""
    left = other.of_day(2)[:2]
    await seed_booking(store, other.clinic, left[0], other.patient)
    previous.strand(left)
    _retire_open(owner, other)
    owner.execute("DELETE FROM availabilities WHERE doctor_id = %s", [other.doctor.id])
    return left


async def _past(
    store: PostgresStore, clinic: Clinic, now: datetime, previous: Previous
) -> tuple[list[Slot], Slot]:
    """Add blocked slots of yesterday, and one that is running, of a doctor without hours."""
    doctor = await seed_doctor(store, clinic)
    past = [a_slot(doctor, now - timedelta(days=1, hours=hour)) for hour in range(2)]
    running = a_slot(doctor, now - timedelta(minutes=5), minutes=480)
    await seed_slots(store, *past, running)
    previous.block([*past, running])
    return past, running


async def _check_aligned(
    store: PostgresStore, clinic: Clinic, now: datetime, owner: psycopg.Connection[Any]
) -> None:
    """Fail unless aligning the slots of every doctor changes nothing."""
    before = owner.execute(SLOTS).fetchall()
    context = a_context(store, an_actor(clinic), clock=FixedClock(now))
    aligned = await open_slots(context)
    assert aligned.counts == SlotCounts()
    assert owner.execute(SLOTS).fetchall() == before


def _block(calendar: Calendar, slots: Sequence[Slot], reason: str | None = None) -> Stored:
    return calendar.doctor.id, slots[0].starts_at, slots[-1].ends_at, None, reason


def _states(owner: psycopg.Connection[Any]) -> dict[UUID, tuple[str, bool]]:
    return {id: (state, taken) for id, state, taken in owner.execute(SLOTS)}


def _ids(owner: psycopg.Connection[Any]) -> set[UUID]:
    return {id for (id,) in owner.execute("SELECT id FROM blocks")}


def _set_state(owner: psycopg.Connection[Any], state: SlotState, slots: Sequence[Slot]) -> None:
    ids = [slot.id for slot in slots]
    owner.execute("UPDATE slots SET state = %s WHERE id = ANY (%s)", [state.value, ids])


def _retire_open(owner: psycopg.Connection[Any], calendar: Calendar) -> None:
    owner.execute(
        "UPDATE slots SET state = 'RETIRED' WHERE doctor_id = %s AND state = 'OPEN'",
        [calendar.doctor.id],
    )


def _take_off(owner: psycopg.Connection[Any], calendar: Calendar, slots: Sequence[Slot]) -> None:
    """Enter a day off, without changing the slots."""
    owner.execute(
        "INSERT INTO availability_exceptions (clinic_id, id, doctor_id, on_date, kind)"
        " VALUES (%s, %s, %s, %s, 'REMOVE')",
        [
            calendar.clinic.id,
            new_id(),
            calendar.doctor.id,
            calendar.clinic.local_date(slots[0].starts_at),
        ],
    )


def _clock_changes(zone: ZoneInfo, now: datetime) -> list[date]:
    """Return the days within a year on which the clocks of the zone change."""
    days = [(now + timedelta(days=offset)).date() for offset in range(2, 368)]
    noon = [datetime.combine(day, time(12), zone).utcoffset() for day in days]
    return [day for at, day in enumerate(days) if at and noon[at] != noon[at - 1]]
