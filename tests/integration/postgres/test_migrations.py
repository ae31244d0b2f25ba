"""Migrations produce the declared schema, can run concurrently, and never stop the service."""

import ast
import logging
import multiprocessing
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from clinic.adapters.postgres.engine.connections import connect_blocking
from clinic.adapters.postgres.migrations import (
    APP_ROLE,
    MIGRATION_LOCK,
    current_revision,
    ensure_partitions,
    head_revision,
    migrate,
)
from clinic.adapters.postgres.schema import metadata
from clinic.adapters.postgres.schema.rules import PARTITIONED
from clinic.adapters.postgres.store import SCHEMA_REVISION
from clinic.devtools.embedded import EmbeddedPostgres

FOLDER = Path(migrate.__code__.co_filename).parent / "versions"
FIRST, *LATER = sorted(FOLDER.glob("v*.py"))

#: everything that the catalogue says about the tables, without partitions
CATALOGUE = """
    SELECT t.relname, 'column', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0
        AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
    WHERE t.relkind IN ('r', 'p') AND {own}
    UNION ALL
    SELECT t.relname, 'constraint', k.conname, pg_get_constraintdef(k.oid), k.convalidated::text, ''
    FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
    WHERE k.contype <> 'n' AND {own}
    UNION ALL
    SELECT t.relname, 'index', c.relname, pg_get_indexdef(c.oid), i.indisvalid::text, ''
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE {own}
    UNION ALL
    SELECT t.relname, 'option', option, '', '', ''
    FROM pg_class t, unnest(t.reloptions) option
    WHERE t.relkind IN ('r', 'p') AND {own}
    ORDER BY 1, 2, 3
""".format(
    own="NOT t.relispartition AND t.relnamespace = current_schema()::regnamespace"
    " AND t.relname <> 'alembic_version'"
)


def test_migrations_make_what_the_tables_say(postgres_urls, empty_postgres_urls) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(empty_postgres_urls.owner_url)
    )
    metadata.create_all(engine)
    engine.dispose()

    migrated, declared = (
        _catalogue(urls.owner_url) for urls in (postgres_urls, empty_postgres_urls)
    )

    assert migrated == declared


def test_alembic_finds_nothing_to_add(postgres_urls) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connect_blocking(postgres_urls.owner_url)
    )
    with engine.connect() as connection:
        partitions = {
            name
            for (name,) in connection.exec_driver_sql(
                "SELECT inhrelid::regclass::text FROM pg_inherits"
            )
        }
        context = MigrationContext.configure(
            connection,
            opts={
                "include_name": lambda name, kind, _: not (kind == "table" and name in partitions)
            },
        )
        difference = compare_metadata(context, metadata)
    engine.dispose()

    assert [each for each in difference if "alembic_version" not in str(each)] == []


def test_three_migrators_at_once_all_succeed(empty_postgres_urls) -> None:
    processes = multiprocessing.get_context("spawn")
    with processes.Pool(3) as pool:
        pool.map(migrate, [empty_postgres_urls.owner_url] * 3, chunksize=1)

    assert current_revision(empty_postgres_urls.app_url) == head_revision()


ASKING_FOR_THE_LOCK = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database()"
    " AND query LIKE 'SELECT pg_try_advisory_lock%'"
)
PATIENCE_S = 10


def test_migrator_that_waits_holds_up_no_index(postgres_urls) -> None:
    """Given a session that holds the migration lock, and a migrator that waits for it
    When an index is built CONCURRENTLY
    Then it does not wait for the migrator, which waits for it."""
    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(postgres_urls.owner_url, autocommit=True) as builder,
    ):
        builder.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        waiting = threads.submit(migrate, postgres_urls.owner_url)
        deadline = time.monotonic() + PATIENCE_S
        while not builder.execute(ASKING_FOR_THE_LOCK).rowcount:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # Snapshots taken so far are then older than the index.
        builder.execute("CREATE TABLE late (id int); SELECT pg_current_xact_id()")
        builder.execute("SET lock_timeout = '2s'")
        try:
            builder.execute("CREATE INDEX CONCURRENTLY late_idx ON late (id)")
            assert not waiting.done()
        finally:
            builder.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
            builder.execute("DROP TABLE late")
        waiting.result(timeout=30)


def test_migrating_again_changes_nothing(postgres_urls) -> None:
    before = _catalogue(postgres_urls.owner_url)

    migrate(postgres_urls.owner_url)

    assert _catalogue(postgres_urls.owner_url) == before
    assert current_revision(postgres_urls.owner_url) == head_revision()


def test_migrations_that_stopped_half_way_can_be_begun_again(postgres_urls) -> None:
    """Given a database on which every migration that leaves its transaction has done its work
    When they run again, as after one that stopped before it was recorded
    Then they succeed, and nothing is different."""
    before = _catalogue(postgres_urls.owner_url)
    with psycopg.connect(postgres_urls.owner_url) as owner:
        # A migration in one transaction cannot stop half-way.
        owner.execute("ALTER TABLE users DROP email_verified_at, DROP link_version")
        owner.execute("UPDATE alembic_version SET version_num = '0003'")

    migrate(postgres_urls.owner_url)

    assert _catalogue(postgres_urls.owner_url) == before


def test_links_mailed_before_the_migration_hold_until_the_account_changes(postgres_urls) -> None:
    """Given accounts of the previous release, one of which was disabled for a while
    When the migration runs, and an account changes after it, by either release
    Then unbound links remain valid for all others."""
    add = "INSERT INTO users (id, name, email, role) VALUES (gen_random_uuid(), 'A', %s, 'PATIENT')"
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("ALTER TABLE users DROP unbound_link_version")
        owner.execute("UPDATE alembic_version SET version_num = '0010'")
        for name in ("never", "before", "after"):
            owner.execute(add, [f"{name}@example.org"])
        owner.execute("UPDATE users SET link_version = 2 WHERE email = 'before@example.org'")

    migrate(postgres_urls.owner_url)

    with psycopg.connect(postgres_urls.app_url) as app:
        app.execute(add, ["new@example.org"])
        app.execute("UPDATE users SET link_version = 1 WHERE email = 'after@example.org'")
        hold = app.execute(
            "SELECT split_part(email, '@', 1) FROM users"
            " WHERE link_version = unbound_link_version ORDER BY 1"
        ).fetchall()
    assert [name for (name,) in hold] == ["before", "never", "new"]


def test_specialties_are_composed_with_their_slots(postgres_urls) -> None:
    """Given a specialty that an earlier release kept decomposed
    When the migration runs
    Then its doctor, slots and free slots are found by the composed word."""
    decomposed, composed = "Cardiologi\u0301a", "Cardiolog\u00eda"
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("UPDATE alembic_version SET version_num = '0014'")
        clinic, doctor = uuid4(), uuid4()
        owner.execute(
            "INSERT INTO clinics (id, name, time_zone, notice_min, horizon_days, cancel_notice_min,"
            " hold_min, reminder_leads_min) VALUES (%s, 'C', 'UTC', 0, 1, 0, 1, '{}')",
            [clinic],
        )
        owner.execute(
            "INSERT INTO users (id, name, email, role) VALUES (%s, 'D', 'd@example.org', 'DOCTOR')",
            [doctor],
        )
        owner.execute(
            "INSERT INTO doctors_profiles (clinic_id, user_id, specialty) VALUES (%s, %s, %s)",
            [clinic, doctor, decomposed],
        )
        owner.execute(
            "INSERT INTO slots (clinic_id, id, doctor_id, specialty, starts_at, ends_at, state)"
            " VALUES (%s, gen_random_uuid(), %s, %s, now(), now() + interval '1 hour', 'OPEN')",
            [clinic, doctor, decomposed],
        )

    migrate(postgres_urls.owner_url)

    with psycopg.connect(postgres_urls.app_url) as app:
        for table in ("doctors_profiles", "slots", "free_slots"):
            kept = app.execute(f"SELECT specialty FROM {table}").fetchall()
            assert kept == [(composed,)], table


def test_store_asks_for_the_schema_that_there_is() -> None:
    """Readiness must take into account every migration that a release needs."""
    assert head_revision() == SCHEMA_REVISION


def test_log_of_messages_is_sealed_from_now_on_without_rewriting_it(postgres_urls) -> None:
    """Given messages from before the log was sealed, and a release without its seals
    When the migration runs
    Then no file of the table is rewritten, and rows that this release adds can be sealed."""
    add = """
        INSERT INTO notification (clinic_id, id, user_id, kind, channel, version, scheduled_for,
                                  status, attempts, finished_at)
        VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'invitation', 'email', 0,
                now(), 'SENT', 1, now())
    """
    files = """
        SELECT relname, relfilenode FROM pg_class JOIN pg_inherits ON inhrelid = oid
        WHERE inhparent = 'notification'::regclass
    """
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE notification DROP COLUMN xid")
        owner.execute("UPDATE alembic_version SET version_num = '0015'")
        owner.execute(add)
        before = set(owner.execute(files).fetchall())

        migrate(postgres_urls.owner_url)

        with psycopg.connect(postgres_urls.app_url, autocommit=True) as app:
            app.execute(add)
        rows = owner.execute("SELECT xid IS NULL FROM notification ORDER BY finished_at").fetchall()
        assert before <= set(owner.execute(files).fetchall())
        assert rows == [(True,), (False,)]


def test_row_of_no_transaction_does_not_stop_a_migration(postgres_urls) -> None:
    """Verifying the trail reports it."""
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE audit_event DROP CONSTRAINT audit_event_xid_range")
        owner.execute(
            "INSERT INTO audit_event (clinic_id, id, at, actor_id, actor_role, action, entity,"
            " reason, outcome, detail, xid) VALUES (gen_random_uuid(), gen_random_uuid(), now(),"
            " gen_random_uuid(), 'ADMIN', 'x', 'x', 'x', 'x', '{}', -1)"
        )
        owner.execute("UPDATE alembic_version SET version_num = '0015'")

        migrate(postgres_urls.owner_url)

        found = owner.execute(
            "SELECT convalidated FROM pg_constraint WHERE conname = 'audit_event_xid_range'"
            " AND conrelid = 'audit_event'::regclass"
        ).fetchone()
        assert found == (False,)


def test_owner_without_the_right_to_make_roles_is_told(
    empty_postgres_urls, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="clinic"):
        migrate(empty_postgres_urls.owner_url, app_role="clinic_nobody")

    assert "CREATE ROLE clinic_nobody LOGIN" in caplog.text
    assert current_revision(empty_postgres_urls.owner_url) == head_revision()


def test_role_is_made_by_an_owner_who_may(
    postgres_server: EmbeddedPostgres, empty_postgres_urls
) -> None:
    superuser = postgres_server.url(empty_postgres_urls.name, "superuser")
    role = f"clinic_{empty_postgres_urls.name}"

    migrate(superuser, app_role=role)

    with psycopg.connect(superuser, autocommit=True) as connection:
        found = connection.execute(
            "SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname = %s", [role]
        ).fetchall()
        allowed = connection.execute(
            "SELECT has_column_privilege(%s, 'slots', 'taken', 'UPDATE'),"
            " has_table_privilege(%s, 'audit_event', 'UPDATE, DELETE, TRUNCATE')",
            [role, role],
        ).fetchall()
        connection.execute(f"DROP OWNED BY {role}")
        connection.execute(f"DROP ROLE {role}")
    assert found == [(False, False)]
    assert allowed == [(True, False)]


def test_partitions_are_made_for_the_months_to_come(postgres_urls) -> None:
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect_blocking(postgres_urls.owner_url),
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        made = ensure_partitions(connection, datetime(2031, 1, 31, tzinfo=UTC))
        again = ensure_partitions(connection, datetime(2031, 1, 31, tzinfo=UTC))
    engine.dispose()

    of_one_table = [name for name in made if name.startswith("audit_event_")]
    assert len(made) == len(PARTITIONED) * len(of_one_table)
    assert of_one_table[0] == "audit_event_2030_10"
    assert of_one_table[-1] == "audit_event_2033_01"
    assert again == []


def test_partition_made_later_is_append_only_and_closed_to_the_application(postgres_urls) -> None:
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect_blocking(postgres_urls.owner_url),
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        ensure_partitions(connection, datetime(2031, 1, 31, tzinfo=UTC))
    engine.dispose()

    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute("TRUNCATE audit_event_2031_01")
        rights = owner.execute(
            "SELECT has_table_privilege(%s, 'audit_event_2031_01', 'SELECT, INSERT, UPDATE')",
            [APP_ROLE],
        ).fetchone()
    assert rights == (False,)


# --- migrations that would stop the service ---------------------------------------------------

_TABLE_MADE = re.compile(
    r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)(?! PARTITION OF)|create_table\n(\w+)"
)
_STOPPING = (
    (r"CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)(?!.* ON ONLY )", "build indexes CONCURRENTLY"),
    (r"DROP INDEX (?!CONCURRENTLY)", "drop indexes CONCURRENTLY"),
    (r"REINDEX (?!.*CONCURRENTLY)", "reindex CONCURRENTLY"),
    (r"ADD CONSTRAINT \S+ (CHECK|FOREIGN KEY)(?!.*NOT VALID)", "add NOT VALID, then VALIDATE"),
    (
        r"ADD (CONSTRAINT \S+ )?(UNIQUE|PRIMARY KEY)\b(?!.*USING INDEX)",
        "build the index CONCURRENTLY, then add USING INDEX",
    ),
    (
        r"ADD (CONSTRAINT \S+ )?EXCLUDE\b(?!.*WHERE \(({}|\w+ IS NOT NULL)\))",
        "exclude WHERE a new column IS NOT NULL, then fill it in batches",
    ),
    (r"ALTER COLUMN \S+ (SET DATA )?TYPE\b", "add a column beside it"),
    (r"ALTER COLUMN \S+ SET NOT NULL", "add a CHECK NOT VALID, VALIDATE it, then SET NOT NULL"),
    (
        r"ADD COLUMN .*(\bSERIAL\b|GENERATED|nextval|random|clock_timestamp|uuidv7)",
        "a default that differs by row rewrites the table",
    ),
    (r"PARTITION OF\b", "make the table alone, then ATTACH it"),
    (r"\b(LOCK TABLE|CLUSTER|VACUUM FULL|TRUNCATE)\b(?! ON)", "this locks the whole table"),
)


def stopping_steps(source: str) -> list[str]:
    """Return why this migration would stop a running service; empty when it would not.

    Tables that it creates itself are not in use yet.
    """
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    texts = [_text_of(call) for call in calls]
    own = {name for text in texts for pair in _TABLE_MADE.findall(text) for name in pair if name}
    found = []
    for text in texts:
        for statement in text.split(";"):
            flat = " ".join(statement.split())
            if any(re.search(rf"\b(ON|TABLE) {name}\b", flat) for name in own):
                continue
            if re.search(r"BEFORE (TRUNCATE|UPDATE|DELETE)", flat):
                continue
            found += [why for wrong, why in _STOPPING if re.search(wrong, flat, re.IGNORECASE)]
    return found + [why for call in calls for why in _stopping_call(call, own)]


def _name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _text_of(call: ast.Call) -> str:
    """Return the called name and its text arguments, with {} for their variable parts."""
    given = [_literal(argument) for argument in call.args]
    return "\n".join([*([] if _name_of(call) == "execute" else [_name_of(call)]), *given])


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return ""


def _stopping_call(call: ast.Call, own: set[str]) -> list[str]:
    name = _name_of(call)
    given = {word.arg: ast.unparse(word.value) for word in call.keywords}
    names = {argument.value for argument in call.args if isinstance(argument, ast.Constant)}
    if names & own:
        return []
    if name in {"create_index", "drop_index"} and given.get("postgresql_concurrently") != "True":
        return ["postgresql_concurrently=True"]
    if name in {"create_foreign_key", "create_check_constraint"} and (
        given.get("postgresql_not_valid") != "True"
    ):
        return ["postgresql_not_valid=True, then VALIDATE"]
    if name in {"create_unique_constraint", "create_exclude_constraint", "create_primary_key"}:
        return ["build the index CONCURRENTLY, then add USING INDEX"]
    if name == "alter_column" and ("type_" in given or given.get("nullable") == "False"):
        return ["add a column beside it, or a CHECK NOT VALID"]
    if name == "add_column" and "nullable=False" in (text := ast.unparse(call)):
        return [] if "server_default" in text else ["a new column needs a default or NULL"]
    return []


@pytest.mark.parametrize("migration", LATER, ids=lambda path: path.stem)
def test_migration_stops_nobody(migration: Path) -> None:
    assert stopping_steps(migration.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "step",
    [
        "op.create_index('late_idx', 'slots', ['state'])",
        "op.drop_index('slots_doctor_idx')",
        "op.execute('CREATE INDEX late_idx ON slots (state)')",
        "op.execute('CREATE UNIQUE INDEX late_idx ON slots (state)')",
        "op.execute(f'CREATE INDEX {name} ON {table} (state)')",
        "op.execute('DROP INDEX slots_doctor_idx')",
        "op.execute('SELECT 1; ALTER TABLE slots ADD CONSTRAINT x CHECK (true)')",
        "op.execute('ALTER TABLE slots ADD CONSTRAINT x FOREIGN KEY (id) REFERENCES users (id)')",
        "op.execute('ALTER TABLE slots ADD UNIQUE (id)')",
        "op.execute('ALTER TABLE slots ALTER COLUMN state TYPE varchar(9)')",
        "op.execute('ALTER TABLE slots ALTER COLUMN state SET NOT NULL')",
        "op.execute('ALTER TABLE slots ADD COLUMN n uuid DEFAULT uuidv7()')",
        "op.execute('CREATE TABLE p PARTITION OF audit_event DEFAULT')",
        "op.execute('LOCK TABLE slots')",
        "op.execute('VACUUM FULL slots')",
        "op.alter_column('slots', 'state', nullable=False)",
        "op.alter_column('slots', 'state', type_=Text())",
        "op.add_column('slots', Column('n', Integer(), nullable=False))",
        "op.create_foreign_key('x', 'slots', 'users', ['id'], ['id'])",
        "op.create_check_constraint('x', 'slots', 'true')",
        "op.create_unique_constraint('x', 'slots', ['id'])",
    ],
)
def test_step_that_would_stop_the_service_is_found(step: str) -> None:
    assert len(stopping_steps(step)) == 1


@pytest.mark.parametrize(
    "step",
    [
        "op.create_index('late_idx', 'slots', ['state'], postgresql_concurrently=True)",
        "op.execute('CREATE INDEX CONCURRENTLY late_idx ON slots (state)')",
        "op.execute('CREATE INDEX late_idx ON ONLY audit_event (outcome)')",
        "op.execute('ALTER TABLE slots ADD CONSTRAINT x CHECK (true) NOT VALID')",
        "op.execute('ALTER TABLE slots ADD COLUMN note text')",
        "op.execute('CREATE TABLE n (id int); CREATE INDEX n_idx ON n (id)')",
        "op.create_table('n', Column('id')); op.create_index('n_idx', 'n', ['id'])",
    ],
)
def test_step_that_stops_nobody_passes(step: str) -> None:
    assert stopping_steps(step) == []


def _catalogue(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(CATALOGUE.encode()).fetchall()
