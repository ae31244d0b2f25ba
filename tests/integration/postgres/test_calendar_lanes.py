"""Slots are kept apart by lane, through a column that is NULL while a slot is retired."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, event
from tests.integration.postgres.earlier_schemas import BEFORE_CALENDAR_LANES
from tests.integration.postgres.locks import wait_for_lock

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.adapters.postgres.migrations import current_revision, head_revision, migrate
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import Conflict, TemporaryFailure
from clinic.testing.builders import (
    World,
    a_slot,
    seed_booking,
    seed_slots,
    seed_state,
    seed_world,
)

pytestmark = pytest.mark.anyio

#: as the previous release adds slots and changes their state
ADD = """
INSERT INTO slots (clinic_id, id, doctor_id, specialty, starts_at, ends_at, state)
VALUES (%(clinic)s, %(id)s, %(doctor)s, %(specialty)s, %(start)s, %(end)s, %(state)s)
"""
CHANGE = "UPDATE slots SET state = %(state)s WHERE clinic_id = %(clinic)s AND id = %(id)s"
WRONG = """
SELECT count(*) FROM slots
WHERE calendar_lane IS DISTINCT FROM CASE WHEN state <> 'RETIRED' THEN lane END
"""
#: indexes of slots that have to change when `state` does
WITH_STATE = """
SELECT indexrelid::regclass::text FROM pg_index
WHERE indrelid = 'slots'::regclass AND pg_get_indexdef(indexrelid) ~ '\\mstate\\M'
"""

LEFT_OVER = """
SELECT indexrelid::regclass::text FROM pg_index
WHERE indrelid = 'slots'::regclass
  AND (NOT indisvalid OR indexrelid::regclass::text IN ('slots_lane_excl', 'slots_lane_starts_key'))
"""


@pytest.fixture
async def world(store: PostgresStore) -> World:
    return await seed_world(store, slots=600)


@pytest.fixture
def owner(postgres_urls):
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as connection:
        yield connection


def _add(connection: psycopg.Connection, slot: Slot, state: SlotState = SlotState.OPEN) -> None:
    values = {
        "clinic": slot.clinic_id,
        "id": slot.id,
        "doctor": slot.doctor_id,
        "specialty": slot.specialty,
        "start": slot.starts_at,
        "end": slot.ends_at,
        "state": state.value,
    }
    connection.execute(ADD, values)


def _change(connection: psycopg.Connection, slot: Slot, state: SlotState) -> None:
    connection.execute(CHANGE, {"clinic": slot.clinic_id, "id": slot.id, "state": state.value})


async def test_previous_release_changes_slots_while_lanes_are_filled_in(
    store, world, owner, postgres_urls
) -> None:
    """Given slots of the previous release, and a server of it that adds, blocks and retires some
    When the migration runs
    Then those on the calendar have their lane, and no constraint is missing."""
    owner.execute(BEFORE_CALENDAR_LANES)
    changed = 0

    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(postgres_urls.app_url, autocommit=True) as app,
    ):
        migrating = threads.submit(migrate, postgres_urls.owner_url)
        later = world.slots[-1].ends_at
        for number, slot in enumerate(world.slots):
            state = (SlotState.RETIRED, SlotState.BLOCKED, SlotState.OPEN)[number % 3]
            _change(app, slot, state)
            at = later + number * timedelta(minutes=20)
            _add(app, a_slot(world.doctor, at), (SlotState.OPEN, SlotState.RETIRED)[number % 2])
            changed += 1
            if migrating.done() and changed > 50:
                break
        migrating.result(timeout=60)
        # The previous release goes on until its last server is replaced.
        _change(app, world.slots[0], SlotState.OPEN)
        _change(app, world.slots[1], SlotState.RETIRED)

    assert owner.execute(WRONG).fetchone() == (0,)
    assert current_revision(postgres_urls.owner_url) == head_revision()
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


@pytest.mark.parametrize(
    "last",
    [
        "ADD CONSTRAINT slots_lane_excl",
        "SET calendar_lane",
        "RENAME CONSTRAINT slots_lane_excl",
        "INDEX CONCURRENTLY slots_lane_starts_key",
        "DROP INDEX CONCURRENTLY IF EXISTS slots_doctor_starts_key",
        "RENAME TO slots_doctor_starts_key",
        "VALIDATE CONSTRAINT appointments_busy_known",
    ],
)
async def test_migration_that_stopped_goes_on(world, owner, postgres_urls, last) -> None:
    """Given a migration that stopped after a step
    When a slot is added inside another one, and the migration runs again
    Then the slot is refused by a constraint that both releases know, and nothing is left over."""
    owner.execute(BEFORE_CALENDAR_LANES)
    within = a_slot(world.doctor, world.slots[0].starts_at + timedelta(minutes=5), minutes=5)

    def stop(_connection, cursor, statement, *_: object) -> None:
        if last in statement:
            pid = cursor.connection.info.backend_pid
            owner.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

    event.listen(Engine, "after_cursor_execute", stop)
    try:
        with pytest.raises(TemporaryFailure):
            migrate(postgres_urls.owner_url)
    finally:
        event.remove(Engine, "after_cursor_execute", stop)
    with pytest.raises(psycopg.errors.IntegrityError) as refused:
        _add(owner, within)
    migrate(postgres_urls.owner_url)

    assert refused.value.diag.constraint_name in ("slots_doctor_excl", "slots_doctor_starts_key")
    assert owner.execute(LEFT_OVER).fetchall() == []
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


async def test_migration_gives_way_to_a_server_that_locks_slots_in_another_order(
    world, owner, postgres_urls
) -> None:
    """Given a server that has locked a slot, for which the migration waits while it fills in lanes
    When the server also needs a slot that the migration has locked
    Then the server goes on, and so does the migration afterwards."""
    owner.execute(BEFORE_CALENDAR_LANES)
    is_locked = Event()
    early, late = sorted(world.slots, key=lambda slot: slot.id)[:400:399]

    with ThreadPoolExecutor(1) as threads, psycopg.connect(postgres_urls.app_url) as app:

        def lock_first(_connection, _cursor, statement, *_: object) -> None:
            if "SET calendar_lane" in statement and not is_locked.is_set():
                is_locked.set()
                _change(app, late, SlotState.BLOCKED)

        event.listen(Engine, "before_cursor_execute", lock_first)
        try:
            migrating = threads.submit(migrate, postgres_urls.owner_url)
            wait_for_lock(postgres_urls.owner_url, holder="slots")
            _change(app, early, SlotState.BLOCKED)
            app.commit()
            migrating.result(timeout=60)
        finally:
            event.remove(Engine, "before_cursor_execute", lock_first)

    assert owner.execute(WRONG).fetchone() == (0,)
    assert current_revision(postgres_urls.owner_url) == head_revision()


async def test_slots_that_overlap_already_are_named(world, owner, postgres_urls) -> None:
    """Given slots of one doctor that overlap, which somebody wrote without the constraints
    When the migration runs
    Then it names them and stops, and goes on once one of each two is retired."""
    first, second = world.slots[3], world.slots[500]
    within = a_slot(world.doctor, first.starts_at + timedelta(minutes=5), minutes=5)
    same_start = a_slot(world.doctor, second.starts_at, minutes=120)
    owner.execute(BEFORE_CALENDAR_LANES)
    owner.execute("ALTER TABLE slots DROP CONSTRAINT slots_doctor_excl")
    owner.execute("DROP INDEX slots_doctor_starts_key")
    _add(owner, within)
    _add(owner, same_start, SlotState.BLOCKED)

    with pytest.raises(Conflict, match="overlap") as stopped:
        migrate(postgres_urls.owner_url)
    assert current_revision(postgres_urls.owner_url) == "0026"
    _change(owner, within, SlotState.RETIRED)
    _change(owner, same_start, SlotState.RETIRED)
    migrate(postgres_urls.owner_url)

    assert f"{first.id} and {within.id}; {second.id} and {same_start.id};" in str(stopped.value)
    assert current_revision(postgres_urls.owner_url) == head_revision()
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []
    with pytest.raises(psycopg.errors.ExclusionViolation):
        _change(owner, within, SlotState.OPEN)


async def test_slots_that_overlap_are_refused_in_one_lane_only(store, world, owner) -> None:
    within = a_slot(world.doctor, world.slots[0].starts_at + timedelta(minutes=5), minutes=5)

    with pytest.raises(psycopg.errors.ExclusionViolation) as refused:
        _add(owner, within)
    _add(owner, within, SlotState.RETIRED)
    with pytest.raises(psycopg.errors.ExclusionViolation):
        _change(owner, within, SlotState.OPEN)
    owner.execute("UPDATE slots SET lane = 2, state = 'OPEN' WHERE id = %s", [within.id])
    with pytest.raises(psycopg.errors.ExclusionViolation):
        owner.execute("UPDATE slots SET lane = 1 WHERE id = %s", [within.id])

    assert refused.value.diag.constraint_name == "slots_doctor_excl"
    assert owner.execute(WRONG).fetchone() == (0,)


async def test_lane_on_the_calendar_cannot_be_set_by_hand(store, world, owner) -> None:
    owner.execute("UPDATE slots SET calendar_lane = NULL")
    owner.execute("UPDATE slots SET calendar_lane = 7 WHERE id = %s", [world.slots[0].id])

    assert owner.execute(WRONG).fetchone() == (0,)


async def test_blocking_needs_no_index_entries(owner) -> None:
    """The state is in no index: a row that finds room on its page gets no new index entries."""
    assert owner.execute(WITH_STATE).fetchall() == []


async def test_doctors_slots_are_found_by_time(store, world, owner) -> None:
    """Given many days of slots, retired ones among them
    When those of some hours are looked up, whatever their state
    Then only these are read."""
    first = datetime(2031, 1, 1, tzinfo=UTC)
    slots = [a_slot(world.doctor, first + n * timedelta(hours=1)) for n in range(5_000)]
    await seed_slots(store, *slots)
    await seed_state(store, SlotState.RETIRED, *slots[:100])
    owner.execute("ANALYZE slots")

    plan = owner.execute(
        "EXPLAIN SELECT * FROM slots WHERE clinic_id = %s AND doctor_id = ANY (%s)"
        " AND starts_at > '2031-03-01' AND starts_at < '2031-03-02' AND ends_at > '2031-03-01'",
        [world.clinic.id, [world.doctor.id, uuid4()]],
    ).fetchall()

    assert "slots_doctor_starts_key" in str(plan)


async def test_slot_that_nothing_keeps_apart_is_found_and_repaired(
    store, world, owner, postgres_urls
) -> None:
    """Given a slot that somebody wrote while the triggers were off
    When the check runs, and the statement that it names
    Then it is reported, and repaired."""
    owner.execute("ALTER TABLE slots DISABLE TRIGGER USER")
    owner.execute("UPDATE slots SET calendar_lane = NULL WHERE id = %s", [world.slots[0].id])
    owner.execute("ALTER TABLE slots ENABLE TRIGGER USER")

    [found] = check_consistency(postgres_urls.app_url, datetime.now(UTC))
    owner.execute(found.remedy.partition("as the owner: ")[2])

    assert str(world.slots[0].id) in found.problem
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


async def test_slot_that_overlaps_and_that_nothing_keeps_apart_is_retired(
    store, world, owner, postgres_urls
) -> None:
    """Given a slot inside another one, which somebody added while the triggers were off
    When the check runs
    Then its remedy says to retire the slot first; with that, and the statement, all is well."""
    within = a_slot(world.doctor, world.slots[0].starts_at + timedelta(minutes=5), minutes=5)
    owner.execute("ALTER TABLE slots DISABLE TRIGGER slots_calendar_lane")
    _add(owner, within, SlotState.BLOCKED)
    _add(owner, a_slot(world.doctor, world.slots[-1].ends_at), SlotState.BLOCKED)
    owner.execute("ALTER TABLE slots ENABLE TRIGGER slots_calendar_lane")

    [found] = check_consistency(postgres_urls.app_url, datetime.now(UTC))
    first, _, statement = found.remedy.partition("as the owner: ")
    with pytest.raises(psycopg.errors.ExclusionViolation):
        owner.execute(statement)
    _change(owner, within, SlotState.RETIRED)
    owner.execute(statement)

    assert "retire those that overlap another" in first
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


async def test_busy_times_are_never_missing(store, world, owner) -> None:
    await seed_booking(store, world.clinic, world.slots[0], world.patients[0])

    for column in ("busy_from", "busy_until"):
        with pytest.raises(psycopg.errors.NotNullViolation):
            owner.execute(f"UPDATE appointments SET {column} = NULL".encode())
