"""The migration that gives appointments busy times, beside the previous release."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from tests.integration.postgres.earlier_schemas import BEFORE_CALENDAR_LANES

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.adapters.postgres.migrations import current_revision, head_revision, migrate
from clinic.domain.calendar.slots import Slot
from clinic.domain.errors import Conflict
from clinic.testing.builders import World, a_slot, seed_booking, seed_world

pytestmark = pytest.mark.anyio


#: the database as the migration before left it
BEFORE = f"""
{BEFORE_CALENDAR_LANES}
ALTER TABLE appointments DROP CONSTRAINT appointments_place_fkey,
    DROP CONSTRAINT appointments_busy_excl, DROP CONSTRAINT appointments_patient_excl;
DROP FUNCTION clinic_busy_while_visible CASCADE;
ALTER TABLE appointments DROP lane, DROP busy_from, DROP busy_until;
ALTER TABLE slots DROP CONSTRAINT slots_lane_key, DROP lane;
DROP FUNCTION clinic_pair_key, clinic_lane_key;
ALTER TABLE appointments ADD CONSTRAINT appointments_patient_excl EXCLUDE USING gist
    (clinic_id WITH =, patient_id WITH =, tstzrange(starts_at, ends_at, '[)') WITH &&)
    WHERE (status IN ('HELD', 'BOOKED', 'CONFIRMED', 'ARRIVED', 'COMPLETED', 'NO_SHOW'));
CREATE INDEX appointments_slot_idx
    ON appointments (clinic_id, slot_id, doctor_id, starts_at, ends_at);
UPDATE alembic_version SET version_num = '0022';
"""
#: as the previous release books and moves, without messages and trail
BOOK = """
WITH s AS (
    UPDATE slots SET taken = true WHERE id = %(slot)s AND state = 'OPEN' AND NOT taken
    RETURNING clinic_id, id, doctor_id, starts_at, ends_at
)
INSERT INTO appointments (clinic_id, id, slot_id, doctor_id, patient_id, starts_at, ends_at, type,
                          status, version, schedule_version, status_by, created_at, updated_at)
SELECT clinic_id, %(id)s, id, doctor_id, %(patient)s, starts_at, ends_at, NULL, 'BOOKED', 1, 0,
       %(patient)s, now(), now() FROM s
"""
MOVE = """
WITH freed AS (UPDATE slots SET taken = false WHERE id = %(old)s),
s AS (UPDATE slots SET taken = true WHERE id = %(slot)s AND NOT taken
      RETURNING id, starts_at, ends_at)
UPDATE appointments a SET slot_id = s.id, starts_at = s.starts_at, ends_at = s.ends_at,
                          version = version + 1 FROM s WHERE a.id = %(id)s
"""
BUSY_ELSEWHERE = """
SELECT count(*) FROM appointments
WHERE (busy_from, busy_until) IS DISTINCT FROM (starts_at, ends_at) OR lane <> 1
"""


@pytest.fixture
async def world(store: PostgresStore) -> World:
    return await seed_world(store, slots=600)


@pytest.fixture
def before(world, postgres_urls) -> Callable[[], None]:
    """Return a function that brings the database back to the previous release's schema."""

    def bring_back() -> None:
        with psycopg.connect(postgres_urls.owner_url) as owner:
            owner.execute(BEFORE)

    return bring_back


async def test_previous_release_books_and_moves_while_busy_times_are_filled_in(
    store, world, before, postgres_urls
) -> None:
    """Given appointments of the previous release, and a server of it that books and moves
    When the migration runs
    Then all are busy while they are visible, and no constraint is missing."""
    await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    before()
    booked = 0

    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(postgres_urls.app_url, autocommit=True) as app,
    ):
        migrating = threads.submit(migrate, postgres_urls.owner_url)
        for one, two in zip(world.slots[1::2], world.slots[2::2], strict=False):
            patient, appointment = world.patients[0].id, uuid4()
            app.execute(BOOK, {"slot": one.id, "id": appointment, "patient": patient})
            app.execute(MOVE, {"old": one.id, "slot": two.id, "id": appointment})
            booked += 1
            if migrating.done() and booked > 50:
                break
        migrating.result(timeout=60)
        # The previous release goes on until its last server is replaced.
        app.execute(BOOK, {"slot": world.slots[1].id, "id": uuid4(), "patient": patient})

        assert app.execute(BUSY_ELSEWHERE).fetchone() == (0,)
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []
    assert booked > 50


async def test_appointments_that_overlap_already_are_named(
    store, world, before, postgres_urls
) -> None:
    """Given two appointments of one doctor at one time, which somebody wrote by hand
    When the migration runs
    Then it says so and stops, and goes on once one of them is cancelled."""
    booked = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    within = a_slot(world.doctor, world.slots[0].starts_at + timedelta(minutes=5), minutes=10)
    other = uuid4()
    before()
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        owner.execute("UPDATE slots SET state = 'RETIRED' WHERE id = %s", [booked.slot_id])
        _seed_slot(owner, within, world)
        owner.execute(BOOK, {"slot": within.id, "id": other, "patient": world.patients[1].id})

        with pytest.raises(Conflict, match=r"overlap.*appointments_busy_excl"):
            migrate(postgres_urls.owner_url)
        assert current_revision(postgres_urls.owner_url) == "0022"

        owner.execute("UPDATE appointments SET status = 'CANCELLED' WHERE id = %s", [other])
        migrate(postgres_urls.owner_url)
    assert current_revision(postgres_urls.owner_url) == head_revision()
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


@pytest.mark.parametrize("column", ["doctor_id", "lane", "starts_at", "ends_at", "clinic_id"])
async def test_application_cannot_move_a_slot(world, postgres_urls, column) -> None:
    with (
        psycopg.connect(postgres_urls.app_url) as app,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        app.execute(f"UPDATE slots SET {column} = {column}".encode())


def _seed_slot(owner: psycopg.Connection, slot: Slot, world: World) -> None:
    owner.execute(
        "INSERT INTO slots (clinic_id, id, doctor_id, specialty, starts_at, ends_at, state)"
        " VALUES (%s, %s, %s, %s, %s, %s, 'OPEN')",
        [
            slot.clinic_id,
            slot.id,
            slot.doctor_id,
            world.doctor.specialty,
            slot.starts_at,
            slot.ends_at,
        ],
    )
