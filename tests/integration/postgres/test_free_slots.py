"""The list of free slots, which triggers on slots maintain."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import create_engine
from tests.integration.postgres.locks import wait_for_lock

from clinic.adapters.postgres import PostgresStore, migrations
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.adapters.postgres.migrations import migrate
from clinic.adapters.postgres.migrations.filling import filling
from clinic.adapters.postgres.migrations.versions import v0007_free_slots
from clinic.domain.appointments.appointments import Status
from clinic.domain.calendar.slots import SlotState
from clinic.testing.builders import (
    MORNING,
    World,
    a_move,
    a_slot,
    a_status_change,
    a_swap,
    seed_booking,
    seed_change,
    seed_slots,
    seed_state,
    seed_world,
)

pytestmark = pytest.mark.anyio

#: the database after the previous migration
BEFORE_FREE_SLOTS = """
DROP TABLE free_slots;
DROP FUNCTION clinic_keep_free_slots, clinic_add_free_slots, clinic_empty_free_slots CASCADE;
CREATE INDEX slots_free_idx ON slots (clinic_id, starts_at, id) WHERE state = 'OPEN' AND NOT taken;
UPDATE alembic_version SET version_num = '0006';
"""

#: the table as its first migration created it, with what keeps it
BEFORE_PACKED = f"""
ALTER TABLE free_slots DROP CONSTRAINT free_slots_pkey;
ALTER TABLE free_slots DROP packed, DROP lane, DROP location_id, ADD CONSTRAINT free_slots_pkey
    PRIMARY KEY (clinic_id, doctor_id, starts_at, id) INCLUDE (ends_at);
{v0007_free_slots._FUNCTIONS.format(schema="public")};
UPDATE alembic_version SET version_num = '0007';
"""


def _listed(url: str, world: World) -> list[object]:
    """Return the positions of the world's slots that are listed for the first doctor."""
    places = {slot.id: place for place, slot in enumerate(world.slots)}
    query = "SELECT id FROM free_slots WHERE doctor_id = %s ORDER BY starts_at"
    with psycopg.connect(url) as app:
        return [places.get(row[0]) for row in app.execute(query, [world.doctor.id])]


def _problems(url: str) -> list[str]:
    return [finding.problem for finding in check_consistency(url, datetime.now(UTC))]


async def test_list_follows_booking_moving_swapping_and_cancelling(
    store: PostgresStore, postgres_urls
) -> None:
    world = await seed_world(store, slots=3)
    first, second, third = world.slots
    listed = [_listed(postgres_urls.app_url, world)]
    one = await seed_booking(store, world.clinic, first, world.patients[0])
    two = await seed_booking(store, world.clinic, third, world.patients[1])
    listed.append(_listed(postgres_urls.app_url, world))
    swapped = a_swap(world.clinic, (one, first), (two, third))
    await seed_change(store, *swapped)
    listed.append(_listed(postgres_urls.app_url, world))
    moved = a_move(world.clinic, swapped[0].after, second)
    await seed_change(store, moved)
    listed.append(_listed(postgres_urls.app_url, world))
    await seed_change(store, a_status_change(world.clinic, moved.after, Status.CANCELLED))
    listed.append(_listed(postgres_urls.app_url, world))

    # The first appointment moved to the third slot, then to the second, and was cancelled there.
    assert listed == [[0, 1, 2], [1], [1], [2], [1, 2]]
    assert _problems(postgres_urls.app_url) == []


async def test_list_follows_opening_blocking_and_retiring(
    store: PostgresStore, postgres_urls
) -> None:
    world = await seed_world(store, slots=2)
    first, second = world.slots
    await seed_booking(store, world.clinic, first, world.patients[0])
    listed = []
    for state in (SlotState.BLOCKED, SlotState.OPEN, SlotState.RETIRED):
        await seed_state(store, state, first, second)
        listed.append(_listed(postgres_urls.app_url, world))
    later = a_slot(world.doctor, MORNING + timedelta(days=1))
    await seed_slots(store, later)

    assert listed == [[], [1], []]
    assert _listed(postgres_urls.app_url, world) == [None]
    assert _problems(postgres_urls.app_url) == []


async def test_list_follows_what_the_owner_does_by_hand(
    store: PostgresStore, postgres_urls
) -> None:
    world = await seed_world(store, slots=2)
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("UPDATE doctors_profiles SET specialty = 'Dermatology'")
        owner.execute("DELETE FROM slots WHERE id = %s", [world.slots[0].id])
        found = owner.execute("SELECT specialty, count(*) FROM free_slots GROUP BY 1").fetchall()
        owner.execute("TRUNCATE slots CASCADE")

    assert found == [("Dermatology", 3)]
    assert _listed(postgres_urls.app_url, world) == []
    assert _problems(postgres_urls.app_url) == []


async def test_taking_and_freeing_a_slot_writes_to_no_index_of_slots(
    store: PostgresStore, postgres_urls
) -> None:
    await seed_world(store, slots=5)
    with psycopg.connect(postgres_urls.owner_url) as owner:
        for flag in ("true", "false"):
            owner.execute(f"UPDATE slots SET taken = {flag}")
        hot = owner.execute(
            "SELECT pg_stat_get_xact_tuples_updated(oid), pg_stat_get_xact_tuples_hot_updated(oid)"
            " FROM pg_class WHERE oid = 'slots'::regclass"
        ).fetchone()

    assert hot == (20, 20)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM free_slots",
        "UPDATE free_slots SET specialty = 'x'",
        "INSERT INTO free_slots (id) SELECT id FROM free_slots",
        "TRUNCATE free_slots",
        "CREATE TEMP TABLE mine (LIKE slots); CREATE TRIGGER mine_keep AFTER UPDATE ON mine"
        " FOR EACH ROW EXECUTE FUNCTION clinic_keep_free_slots()",
    ],
)
async def test_application_changes_the_list_through_slots_alone(postgres_urls, change) -> None:
    with (
        psycopg.connect(postgres_urls.app_url) as app,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        app.execute(change)


async def test_functions_of_the_triggers_are_nobody_elses(postgres_urls) -> None:
    with psycopg.connect(postgres_urls.app_url) as app:
        allowed = app.execute(
            "SELECT proname, has_function_privilege(oid, 'EXECUTE') FROM pg_proc"
            " WHERE proname ~ '^clinic_.*_free_slots$' ORDER BY proname"
        ).fetchall()

    assert allowed == [
        ("clinic_add_free_slots", False),
        ("clinic_empty_free_slots", False),
        ("clinic_keep_free_slots", False),
    ]


@pytest.mark.parametrize("lie", ["missing", "too many", "elsewhere", "other lane"])
async def test_list_that_lies_is_found_and_mended(
    store: PostgresStore, postgres_urls, lie: str
) -> None:
    world = await seed_world(store, slots=2)
    changes = {
        "missing": "DELETE FROM free_slots WHERE id = %s",
        "too many": "UPDATE slots SET state = 'BLOCKED' WHERE id = %s",
        "elsewhere": "UPDATE free_slots SET ends_at = ends_at + interval '1 min' WHERE id = %s",
        "other lane": "UPDATE free_slots SET lane = 2 WHERE id = %s",
    }
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("ALTER TABLE slots DISABLE TRIGGER USER")
        owner.execute(changes[lie].encode(), [world.slots[0].id])
        owner.execute("ALTER TABLE slots ENABLE TRIGGER USER")

    [finding] = check_consistency(postgres_urls.app_url, datetime.now(UTC))
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(finding.remedy.partition("in one transaction: ")[2].encode())

    assert (
        finding.problem == f"free_slots differs from the open and free slots: {world.slots[0].id}"
    )
    assert _problems(postgres_urls.app_url) == []


@pytest.mark.parametrize(
    "damage", ["DROP TRIGGER {} ON slots", "ALTER TABLE slots DISABLE TRIGGER {}"]
)
@pytest.mark.parametrize("trigger", ["slots_keep_free", "slots_add_free", "slots_empty_free"])
async def test_trigger_that_is_gone_or_off_is_found(postgres_urls, damage, trigger) -> None:
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(damage.format(trigger))

    assert _problems(postgres_urls.app_url) == [f"trigger {trigger} on slots is missing or off"]


async def test_migration_fills_the_list_from_the_release_before(
    store: PostgresStore, postgres_urls
) -> None:
    world = await seed_world(store, slots=3)
    await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(BEFORE_FREE_SLOTS)

    migrate(postgres_urls.owner_url)

    assert _listed(postgres_urls.app_url, world) == [1, 2]
    assert _problems(postgres_urls.app_url) == []


async def test_filling_waits_for_whoever_is_taking_a_slot(
    store: PostgresStore, postgres_urls
) -> None:
    """Given slots that are not listed yet, and a booking that has not committed
    When the migration fills the list
    Then it waits for the booking, and lists what is free after it."""
    world = await seed_world(store, slots=3)
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("DELETE FROM free_slots")
    filling = threading.Thread(target=_fill, args=[postgres_urls.owner_url])
    with psycopg.connect(postgres_urls.app_url) as booking:
        booking.execute("UPDATE slots SET taken = true WHERE id = %s", [world.slots[1].id])
        filling.start()
        wait_for_lock(postgres_urls.owner_url, holder="slots")
        booking.commit()
    filling.join()

    assert _listed(postgres_urls.app_url, world) == [0, 2]


async def test_migration_that_stopped_half_way_can_be_begun_again(
    store: PostgresStore, postgres_urls
) -> None:
    world = await seed_world(store, slots=3)
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("DELETE FROM free_slots WHERE id = %s", [world.slots[0].id])
        owner.execute("DROP INDEX free_slots_starts_idx")
        owner.execute("UPDATE alembic_version SET version_num = '0006'")

    migrate(postgres_urls.owner_url)

    assert _listed(postgres_urls.app_url, world) == [0, 1, 2]
    assert _problems(postgres_urls.app_url) == []


async def test_list_is_written_anew_while_slots_are_taken_and_given_back(
    store: PostgresStore, postgres_urls
) -> None:
    """Given the table without its packed column, and users who book, cancel and list
    When migrations replace the table
    Then no request is refused, and the list is correct."""
    world = await seed_world(store, slots=60)
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(BEFORE_PACKED)
    done = threading.Event()
    with ThreadPoolExecutor(3) as threads:
        busy = [threads.submit(_toggle, postgres_urls.app_url, world, n, done) for n in range(2)]
        busy.append(threads.submit(_read, postgres_urls.app_url, done))
        try:
            migrate(postgres_urls.owner_url)
        finally:
            done.set()
        rounds = [each.result() for each in busy]

    assert min(rounds) > 1
    assert [each for each in _problems(postgres_urls.app_url) if "free_slots" in each] == []
    with psycopg.connect(postgres_urls.app_url) as app:
        packed = app.execute(
            # In the first lane as the previous release reads it.
            "SELECT count(*), bool_and(packed = uuid_send(id) || timestamptz_send(starts_at)"
            " || timestamptz_send(ends_at)) FROM free_slots"
        ).fetchone()
        free = app.execute("SELECT count(*) FROM slots WHERE NOT taken").fetchone()
    assert packed == (*(free or ()), True)


@pytest.mark.parametrize("taken", [True, False])
async def test_slot_that_changes_while_the_list_is_written_anew_is_listed_right(
    store: PostgresStore, postgres_urls, taken: bool
) -> None:
    """Given a migration that waits for a transaction that has locked a slot
    When that takes the slot, or frees it
    Then the new list shows it."""
    world = await seed_world(store, slots=3)
    slot = world.slots[1]
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("UPDATE slots SET taken = %s WHERE id = %s", [not taken, slot.id])
        owner.execute(BEFORE_PACKED)
    with ThreadPoolExecutor(1) as threads, psycopg.connect(postgres_urls.app_url) as booking:
        booking.execute("SELECT FROM slots WHERE id = %s FOR UPDATE", [slot.id])
        migrating = threads.submit(migrate, postgres_urls.owner_url)
        wait_for_lock(postgres_urls.owner_url, holder="free_slots_next")
        booking.execute("UPDATE slots SET taken = %s WHERE id = %s", [taken, slot.id])
        booking.commit()
        migrating.result()

    assert _listed(postgres_urls.app_url, world) == ([0, 2] if taken else [0, 1, 2])
    assert [each for each in _problems(postgres_urls.app_url) if "free_slots" in each] == []


async def test_application_may_read_the_new_list_before_rights_are_given_anew(
    store: PostgresStore, postgres_urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await seed_world(store, slots=2)
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(BEFORE_PACKED)
    monkeypatch.setattr(migrations, "grant_rights", lambda *_: None)

    migrate(postgres_urls.owner_url)

    assert _listed(postgres_urls.app_url, world) == [0, 1]


def _toggle(url: str, world: World, number: int, done: threading.Event) -> int:
    """Take and free every second slot until `done`; return how often."""
    rounds = 0
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as app:
        while not done.is_set() or rounds < 2:
            for slot in world.slots[number::2]:
                query = "UPDATE slots SET taken = NOT taken WHERE clinic_id = %s AND id = %s"
                app.execute(query, [slot.clinic_id, slot.id])
            rounds += 1
    return rounds


def _read(url: str, done: threading.Event) -> int:
    rounds = 0
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as app:
        while not done.is_set() or rounds < 2:
            app.execute("SELECT id FROM free_slots ORDER BY starts_at").fetchall()
            rounds += 1
    return rounds


def _fill(url: str) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    nil = "00000000-0000-0000-0000-000000000000"
    with engine.begin() as owner:
        owner.execute(filling("free_slots"), {"clinic_id": nil, "id": nil, "batch": 100})
    engine.dispose()
