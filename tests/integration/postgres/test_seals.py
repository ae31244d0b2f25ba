"""Seals over a real trail: any tampering with a row or a seal is reported."""

import asyncio
import json
from dataclasses import replace

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.audit.seal_book import PostgresSealBook
from clinic.adapters.postgres.schema.rules import ERASABLE
from clinic.domain.audit.seals import FIRST_FORMAT, Tampering, Trail, chain_of, make_seal
from clinic.domain.errors import AlreadyExists
from clinic.testing import FixedClock, seed_booking, seed_world
from clinic.testing.builders import NOW, a_booking, an_event, new_id
from clinic.usecases.audit.seal_audit import export_seals, seal_audit, verify_audit

CLOCK = FixedClock(NOW)
#: the sealed tables, and the column with the time of writing
AT = {"audit_event": "at", "audit_appointment": "at", "notification": "finished_at"}
TABLES = tuple(AT)
SETTLES_S = 60


@pytest.fixture
async def book(postgres_urls):
    book = PostgresSealBook(postgres_urls.sealer_url)
    yield book
    await book.close()


@pytest.fixture
async def settled(postgres_urls):
    """Waits until everything committed so far can be sealed."""

    async def wait():
        await settle(postgres_urls)

    return wait


async def settle(urls):
    """Wait for other tests' transactions: a seal stops at the oldest one of the whole server."""
    async with await psycopg.AsyncConnection.connect(urls.owner_url, autocommit=True) as connection:
        cursor = await connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        [(now,)] = await cursor.fetchall()
        async with asyncio.timeout(SETTLES_S):
            while True:
                cursor = await connection.execute(
                    "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8", [now]
                )
                if await cursor.fetchall() == [(True,)]:
                    return
                await asyncio.sleep(0.02)


@pytest.fixture
def service(postgres_urls):
    """A connection as the service, which can only append."""
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as connection:
        yield connection


def log_message(service, clinic, **changed):
    values = {
        "clinic_id": clinic.id,
        "id": new_id(),
        "user_id": new_id(),
        "kind": "invitation",
        "channel": "email",
        "version": 0,
        "scheduled_for": NOW,
        "status": "FAILED",
        "attempts": 1,
        "error": "550 no such mailbox",
        "finished_at": NOW,
        **changed,
    }
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    service.execute(f"INSERT INTO notification ({names}) VALUES ({places})", [*values.values()])
    return values["id"]


async def seal_three(urls):
    """Make three seals of five rows each: events, a booking, a message."""
    store, book = PostgresStore(urls.app_url), PostgresSealBook(urls.sealer_url)
    await store.open()
    world = await seed_world(store)
    with psycopg.connect(urls.app_url, autocommit=True) as service:
        for number in range(3):
            await store.audit_log.append([an_event(world.clinic) for _ in range(3)])
            await seed_booking(store, world.clinic, world.slots[number], world.patients[number])
            log_message(service, world.clinic)
            await settle(urls)
            assert await seal_audit(book=book, clock=CLOCK) == 5
    await book.close()
    await store.close()
    return world


@pytest.fixture(scope="module")
def sealed_template(database_of, migrated_template):
    """The name of a template database with three seals, and its world."""
    with database_of(migrated_template) as urls:
        yield urls.name, asyncio.run(seal_three(urls))


@pytest.fixture
def sealed(sealed_template):
    """The world of three seals of five rows each: events, a booking, a message."""
    return sealed_template[1]


@pytest.fixture
def postgres_urls(request, database_of, migrated_template):
    """A database for one test; if it uses `sealed`, the seals are there already."""
    is_sealed = "sealed" in request.fixturenames
    template = request.getfixturevalue("sealed_template")[0] if is_sealed else migrated_template
    with database_of(template) as urls:
        yield urls


class Intruder:
    """A superuser who has disabled every guard."""

    def __init__(self, url):
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("SET session_replication_role = replica")

    def __call__(self, query, parameters=()):
        return self.connection.execute(query, parameters)

    def rows(self, table):
        order = f"xid, {AT[table]}, id"
        return [row[0] for row in self(f"SELECT id FROM {table} ORDER BY {order}").fetchall()]

    def copy_first(self, table, **changed):
        """Insert a copy of a table's first row with another id and the given changes."""
        found = self(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped",
            [table],
        ).fetchall()
        # Columns that must differ between copies, besides the id.
        changed = {"id": "gen_random_uuid()", **changed}
        names = [name for (name,) in found]
        values = ", ".join(str(changed.get(name, name)) for name in names)
        self(
            f"INSERT INTO {table} ({', '.join(names)})"
            f" SELECT {values} FROM {table} ORDER BY xid, id LIMIT 1"
        )


@pytest.fixture
def intruder(postgres_server, postgres_urls):
    intruder = Intruder(postgres_server.url(postgres_urls.name, "superuser"))
    yield intruder
    intruder.connection.close()


async def findings(book, **more):
    found = await verify_audit(book=book, **more)
    return [(one.tampering, one.seq, one.row_id) for one in found.findings]


async def test_an_untouched_trail_verifies(book, sealed):
    found = await verify_audit(book=book)

    assert (found.seals, found.rows, found.findings) == (3, 15, ())


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("audit_event", "reason = 'something nicer'"),
        ("audit_event", "outcome = 'done?'"),
        ("audit_event", "detail = '{\"a\": 1}'"),
        ("audit_event", "actor_id = gen_random_uuid()"),
        ("audit_event", "patient_id = gen_random_uuid()"),
        ("audit_event", "ip = '192.0.2.1'"),
        ("audit_appointment", "to_status = 'CANCELLED'"),
        ("audit_appointment", "session_id = gen_random_uuid()"),
        ("audit_appointment", "version = 7"),
        ("notification", "status = 'SENT'"),
        ("notification", "error = NULL"),
        ("notification", "error = 'another'"),
        ("notification", "user_id = gen_random_uuid()"),
        ("notification", "maybe_twice = true"),
    ],
)
async def test_a_changed_row_is_named(book, sealed, intruder, table, change):
    victim = intruder.rows(table)[1]

    intruder(f"UPDATE {table} SET {change} WHERE id = %s", [victim])

    (found,) = await findings(book)
    assert (found[0], found[2]) == (Tampering.CHANGED, victim)


@pytest.mark.parametrize("table", TABLES)
async def test_a_removed_row_is_named(book, sealed, intruder, table):
    victim = intruder.rows(table)[0]

    intruder(f"DELETE FROM {table} WHERE id = %s", [victim])

    assert await findings(book) == [(Tampering.REMOVED, 1, victim)]


@pytest.mark.parametrize("table", TABLES)
async def test_an_inserted_row_is_named(book, sealed, intruder, table):
    intruder.copy_first(table)

    (found,) = await findings(book)
    assert found[:2] == (Tampering.INSERTED, 1)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("xid", [-1, 0, -(2**63), 1_000_000_000_000])
async def test_a_row_inserted_where_no_seal_will_ever_reach_is_named(
    book, sealed, intruder, table, xid
):
    intruder(f"ALTER TABLE {table} DROP CONSTRAINT {table}_xid_range")
    intruder.copy_first(table, xid=xid)

    (found,) = await findings(book)
    assert found[:2] == (Tampering.INSERTED, 4)


@pytest.mark.parametrize("table", TABLES)
async def test_a_row_of_no_transaction_is_named_before_there_is_a_seal(
    store, service, book, intruder, table
):
    world = await seed_world(store)
    await store.audit_log.append([an_event(world.clinic)])
    await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    log_message(service, world.clinic)
    intruder(f"ALTER TABLE {table} DROP CONSTRAINT {table}_xid_range")
    intruder.copy_first(table, xid=-5)

    (found,) = await findings(book)
    assert found[:2] == (Tampering.INSERTED, 1)


@pytest.mark.parametrize("table", TABLES)
async def test_the_owner_too_is_refused_a_row_of_no_transaction(
    sealed, postgres_urls, intruder, table
):
    intruder(f"CREATE TABLE copied AS SELECT * FROM {table} LIMIT 1")
    intruder("UPDATE copied SET xid = -1, id = gen_random_uuid()")
    intruder("ALTER TABLE copied OWNER TO clinic_owner")

    with (
        psycopg.connect(postgres_urls.owner_url) as owner,
        pytest.raises(psycopg.errors.CheckViolation, match=f"{table}_xid_range"),
    ):
        owner.execute(f"INSERT INTO {table} SELECT * FROM copied")


@pytest.mark.parametrize("table", TABLES)
async def test_reordered_rows_are_named(book, sealed, intruder, table):
    one, *_, other = intruder.rows(table)
    (first,) = intruder(f"SELECT xid FROM {table} WHERE id = %s", [one]).fetchone()
    (last,) = intruder(f"SELECT xid FROM {table} WHERE id = %s", [other]).fetchone()

    intruder(f"UPDATE {table} SET xid = %s WHERE id = %s", [last, one])
    intruder(f"UPDATE {table} SET xid = %s WHERE id = %s", [first, other])

    found = await findings(book)
    assert {(each[0], each[2]) for each in found} == {
        (Tampering.REORDERED, one),
        (Tampering.REORDERED, other),
    }


@pytest.mark.parametrize("table", TABLES)
async def test_a_row_moved_in_time_is_named(book, sealed, intruder, table):
    victim = intruder.rows(table)[0]
    at = AT[table]

    intruder(f"UPDATE {table} SET {at} = {at} + interval '1 second' WHERE id = %s", [victim])

    assert await findings(book) == [(Tampering.REORDERED, 1, victim)]


@pytest.mark.parametrize(
    "change",
    [
        "root = sha256('x')",
        "row_count = row_count + 1",
        "sealed_at = sealed_at + interval '1 day'",
        "leaves = leaves || sha256('x')",
        "keys = substr(keys, 2)",
        "chain = sha256('x')",
    ],
)
async def test_a_changed_seal_is_named(book, sealed, intruder, change):
    intruder(f"UPDATE audit_seals SET {change} WHERE seq = 2")

    found = await findings(book)
    assert (Tampering.SEAL_BROKEN, 2, None) in found


async def test_a_removed_seal_is_named(book, sealed, intruder):
    intruder("DELETE FROM audit_seals WHERE seq = 2")

    assert (Tampering.SEAL_REMOVED, 3, None) in await findings(book)


async def test_a_trail_sealed_anew_from_the_start_is_told_by_what_was_exported(
    book, sealed, intruder, settled
):
    exported = json.loads(json.dumps(await export_seals(book=book)))
    victim = intruder.rows("audit_event")[0]

    intruder("UPDATE audit_event SET outcome = 'nicer' WHERE id = %s", [victim])
    intruder("DELETE FROM audit_seals")
    await settled()
    await seal_audit(book=book, clock=CLOCK)

    assert await findings(book) == []
    told = await findings(book, exports=exported)
    assert (Tampering.SEAL_REWRITTEN, 1, None) in told
    assert (Tampering.SEAL_REMOVED, 2, None) in told


async def test_a_transaction_that_commits_late_is_sealed_and_not_taken_for_an_intruder(
    store, book, sealed, settled
):
    slow, quick = an_event(sealed.clinic), an_event(sealed.clinic)
    async with store.begin() as unit:
        await unit.events.add(slow)
        await store.audit_log.append([quick])

        before = await seal_audit(book=book, clock=CLOCK)
        await unit.commit()
    await settled()
    after = await seal_audit(book=book, clock=CLOCK)

    assert (before, after) == (0, 2)
    assert await findings(book) == []


@pytest.mark.parametrize("table", TABLES)
async def test_a_text_that_was_blanked_without_an_erasure_is_named(book, sealed, intruder, table):
    victim, text = intruder.rows(table)[0], ERASABLE[table]

    intruder(f"UPDATE {table} SET {text} = 'Erased', {text}_salt = NULL WHERE id = %s", [victim])

    assert await findings(book) == [(Tampering.BLANKED, 1, victim)]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", ["{0}_salt = 'x'", "{0}_digest = NULL", "{0}_digest = 'x'"])
async def test_a_changed_salt_or_digest_is_named(book, sealed, intruder, table, change):
    victim, text = intruder.rows(table)[0], ERASABLE[table]

    intruder(f"UPDATE {table} SET {change.format(text)} WHERE id = %s", [victim])

    assert await findings(book) == [(Tampering.CHANGED, 1, victim)]


async def erase(unit, clinic, user_id):
    """Blank every text about the user, as an erasure does; return how many."""
    texts = await unit.erasures.texts(user_id)
    event = replace(
        an_event(clinic),
        action="erase_user",
        entity_id=user_id,
        reason="No reason given",
        detail={"texts": {str(text.row_id): text.rest for text in texts}},
    )
    await unit.events.add(event)
    await unit.erasures.blank(user_id, texts)
    await unit.commit()
    return len(texts)


@pytest.fixture
async def erased(store, service, book, settled):
    """Sealed and then erased texts about a patient; returns the ids of clinic and patient."""
    world = await seed_world(store)
    clinic, patient = world.clinic, world.patients[0]
    about = replace(an_event(clinic), entity_id=patient.id, reason="Ada came")
    await store.audit_log.append([about, an_event(clinic)])
    booking = a_booking(clinic, world.slots[0], patient)
    await store.desk.reserve(replace(booking, audit=replace(booking.audit, reason="Ada came")))
    log_message(service, clinic, user_id=patient.id)
    await settled()
    await seal_audit(book=book, clock=CLOCK)
    async with store.begin() as unit:
        assert await erase(unit, clinic, patient.id) == 3
    return clinic, patient.id


async def test_an_erased_text_leaves_every_seal_good(book, erased, settled):
    before = await findings(book)
    await settled()
    await seal_audit(book=book, clock=CLOCK)

    assert before == []
    assert await findings(book) == []


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("audit_event", "outcome = 'another'"),
        ("audit_event", "reason = 'Somebody came'"),
        ("audit_event", "reason_digest = NULL"),
        ("audit_appointment", "ip = '192.0.2.66'"),
        ("notification", "status = 'SENT'"),
    ],
)
async def test_a_row_with_an_erased_text_that_is_changed_is_named(
    book, erased, intruder, table, change
):
    text = ERASABLE[table]
    (victim,) = intruder(f"SELECT id FROM {table} WHERE {text} = 'Erased'").fetchone()

    intruder(f"UPDATE {table} SET {change} WHERE id = %s", [victim])

    ((tampering, _, row_id),) = await findings(book)
    assert (tampering in (Tampering.CHANGED, Tampering.BLANKED), row_id) == (True, victim)


async def test_a_row_that_was_changed_before_its_text_was_erased_is_named(
    store, book, sealed, intruder
):
    """The digest was sealed, so the erasure hides nothing."""
    (user_id, victim) = intruder("SELECT user_id, id FROM notification LIMIT 1").fetchone()
    intruder("UPDATE notification SET status = 'SENT' WHERE id = %s", [victim])
    async with store.begin() as unit:
        await erase(unit, sealed.clinic, user_id)

    assert {one[:1] + one[2:] for one in await findings(book)} == {(Tampering.CHANGED, victim)}


async def test_an_erasure_that_is_taken_away_is_missed(book, erased, settled, intruder):
    await settled()
    await seal_audit(book=book, clock=CLOCK)
    (event,) = intruder("SELECT id FROM audit_event WHERE action = 'erase_user'").fetchone()

    intruder("DELETE FROM audit_event WHERE id = %s", [event])

    found = [one[0] for one in await findings(book)]
    assert sorted(found) == [Tampering.BLANKED] * 3 + [Tampering.REMOVED]


async def test_texts_that_a_release_without_digests_sealed_are_erased_and_verify(
    store, service, book, settled, intruder
):
    """It runs beside this one: triggers salt its rows, and its sealer seals their text."""
    world = await seed_world(store)
    patient = world.patients[0]
    await store.audit_log.append(
        [replace(an_event(world.clinic), entity_id=patient.id, reason="Ada came")]
    )
    await seal_as_the_release_before(intruder, book, settled)
    untouched = await findings(book)

    async with store.begin() as unit:
        await erase(unit, world.clinic, patient.id)
    good = await findings(book)
    intruder("UPDATE audit_event SET outcome = 'another' WHERE reason = 'Erased'")

    assert (untouched, good) == ([], [])
    assert [one[0] for one in await findings(book)] == [Tampering.BLANKED]


async def seal_as_the_release_before(intruder, book, settled):
    """Seal as a release from before the log of messages did: without a format."""
    await settled()
    last = await book.last()
    xid_to, rows = await book.unsealed(last.xid_to if last else 0, limit=5_000)
    known = [
        replace(row, columns={k: v for k, v in row.columns.items() if not k.startswith("reason_")})
        for row in rows
        if row.trail is not Trail.NOTIFICATION
    ]
    seal = make_seal(known, last=last, xid_to=xid_to, now=NOW)
    chain = chain_of(seal.seq, NOW, seal.xid_from, xid_to, seal.row_count, seal.root, seal.previous)
    await book.add(replace(seal, chain=chain, format=FIRST_FORMAT))
    intruder("UPDATE audit_seals SET format = NULL WHERE format = 1")


async def test_seals_of_the_release_before_stay_good_and_cover_no_messages(
    store, service, book, settled, intruder
):
    world = await seed_world(store)
    for _ in range(2):
        await store.audit_log.append([an_event(world.clinic)])
        log_message(service, world.clinic)
        await seal_as_the_release_before(intruder, book, settled)
    exported = json.loads(json.dumps(await export_seals(book=book)))
    victim = log_message(service, world.clinic)
    await store.audit_log.append([an_event(world.clinic)])
    await settled()

    sealed = await seal_audit(book=book, clock=CLOCK)
    good = await findings(book, exports=exported)
    intruder("UPDATE notification SET status = 'SENT'")

    assert (sealed, good) == (2, [])
    assert [set(one) for one in exported] == [set(exported[0])] * 2
    assert "format" not in exported[0]
    assert await findings(book) == [(Tampering.CHANGED, 3, victim)]


@pytest.mark.parametrize("xid", ["NULL", "xid"])
async def test_a_message_that_claims_to_be_from_before_the_log_was_sealed_is_named(
    store, service, book, settled, intruder, xid
):
    """Given older messages, without a transaction or below an old seal
    When one is added that ended only later
    Then it is reported, and the older ones are not."""
    world = await seed_world(store)
    await store.audit_log.append([an_event(world.clinic)])
    before = log_message(service, world.clinic)
    await seal_as_the_release_before(intruder, book, settled)
    await store.audit_log.append([an_event(world.clinic)])
    await settled()
    await seal_audit(book=book, clock=CLOCK)
    intruder(f"UPDATE notification SET xid = {xid} WHERE id = %s", [before])
    good = await findings(book)

    intruder.copy_first("notification", finished_at="finished_at + interval '1 day'")

    assert good == []
    ((tampering, _, row_id),) = await findings(book)
    assert (tampering, row_id != before) == (Tampering.INSERTED, True)


async def test_a_seal_that_claims_another_format_is_broken(book, sealed, intruder):
    for claimed in ("NULL", "1", "3"):
        intruder(f"UPDATE audit_seals SET format = {claimed} WHERE seq = 3")

        assert (Tampering.SEAL_BROKEN, 3, None) in await findings(book)


async def test_large_trails_are_sealed_piece_by_piece(store, book, sealed, settled):
    for _ in range(10):
        await store.audit_log.append([an_event(sealed.clinic) for _ in range(3)])
    await settled()

    assert await seal_audit(book=book, clock=CLOCK, rows_max=7) == 30

    found = await verify_audit(book=book)
    assert (found.rows, found.findings) == (45, ())
    assert found.seals > 5


async def test_of_two_sealers_at_once_each_row_is_sealed_once(
    postgres_urls, store, book, sealed, settled
):
    await store.audit_log.append([an_event(sealed.clinic) for _ in range(5)])
    await settled()
    other = PostgresSealBook(postgres_urls.sealer_url)

    counts = await asyncio.gather(
        seal_audit(book=book, clock=CLOCK), seal_audit(book=other, clock=CLOCK)
    )
    await other.close()

    assert sum(counts) == 5
    assert await findings(book) == []


async def test_the_sealer_changes_neither_rows_nor_seals(book, sealed, postgres_urls):
    refused = [
        "UPDATE audit_event SET reason = 'x'",
        "DELETE FROM audit_appointment",
        "INSERT INTO audit_event SELECT * FROM audit_event LIMIT 1",
        "UPDATE audit_seals SET row_count = 1",
        "DELETE FROM audit_seals",
        "TRUNCATE audit_seals",
        "SELECT * FROM users",
        "SELECT * FROM appointments",
    ]
    with psycopg.connect(postgres_urls.sealer_url, autocommit=True) as connection:
        for query in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query)


async def test_the_service_neither_seals_nor_says_which_transaction_wrote(sealed, postgres_urls):
    refused = [
        "SELECT * FROM audit_seals",
        "INSERT INTO audit_seals SELECT 1",
        "INSERT INTO audit_event (xid) VALUES (1)",
        "INSERT INTO notification (xid) VALUES (1)",
        "UPDATE notification SET status = 'SENT'",
        "DELETE FROM notification",
        "UPDATE audit_event SET reason = 'x'",
        "DELETE FROM audit_event",
    ]
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as connection:
        for query in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query)


async def test_the_owner_too_is_refused_to_change_a_seal(sealed, postgres_urls):
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as connection:
        for query in ("UPDATE audit_seals SET row_count = 1", "DELETE FROM audit_seals"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                connection.execute(query)


async def test_a_seal_is_added_once(book, sealed):
    last = await book.last()

    with pytest.raises(AlreadyExists):
        await book.add(last)
