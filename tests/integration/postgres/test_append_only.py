"""The trail is append-only: the application lacks the rights, and triggers stop the owner."""

from uuid import uuid4

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.schema.rules import ERASABLE
from clinic.testing.builders import seed_booking, seed_world

pytestmark = pytest.mark.anyio

CHANGES = (
    "UPDATE audit_appointment SET version = 9",
    "DELETE FROM audit_appointment",
    "TRUNCATE audit_appointment",
    "UPDATE audit_event SET outcome = 'another'",
    "DELETE FROM audit_event",
    "TRUNCATE audit_event",
    "UPDATE notification SET status = 'SENT'",
    "DELETE FROM notification",
    "TRUNCATE notification",
    "TRUNCATE notification_default",
)
#: statements that bypass the parent table
ON_A_PARTITION = (
    "UPDATE {partition} SET reason = 'another'",
    "DELETE FROM {partition}",
    "TRUNCATE {partition}",
)


@pytest.fixture
async def partition(store: PostgresStore, postgres_urls) -> str:
    """The partition that holds the only audit entry."""
    world = await seed_world(store, slots=1)
    await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    with psycopg.connect(postgres_urls.owner_url) as owner:
        # Row triggers fire only if there is a row.
        owner.execute(
            "INSERT INTO audit_event (clinic_id, id, at, actor_id, actor_role, action, entity,"
            " reason, outcome, detail)"
            " SELECT clinic_id, id, at, actor_id, actor_role, 'x', 'x', 'x', 'x', '{}'"
            " FROM audit_appointment"
        )
        owner.execute(
            "INSERT INTO notification (clinic_id, id, user_id, kind, channel, version,"
            " scheduled_for, status, attempts, error, finished_at)"
            " SELECT clinic_id, id, actor_id, 'invitation', 'email', 0, at, 'FAILED', 1, 'x', at"
            " FROM audit_appointment"
        )
        row = owner.execute("SELECT tableoid::regclass::text FROM audit_appointment").fetchone()
    assert row is not None
    return str(row[0])


async def test_application_has_no_right_to_change_the_trail(partition: str, postgres_urls) -> None:
    statements = [*CHANGES, *(each.format(partition=partition) for each in ON_A_PARTITION)]
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as app:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
                app.execute(statement)
            assert "permission denied" in str(refused.value), statement


async def test_trigger_stops_the_owner(partition: str, postgres_urls) -> None:
    statements = [*CHANGES, *(each.format(partition=partition) for each in ON_A_PARTITION)]
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
                owner.execute(statement)
            assert "is append-only" in str(refused.value), statement


ERASING = (
    "UPDATE {table} SET {text} = 'another'",
    "UPDATE {table} SET {text} = 'Erased'",
    "UPDATE {table} SET {text} = 'Erased', {text}_salt = NULL",
    # In a transaction with an erasure, but without an event that names the row.
    "SELECT set_config('clinic.erasing', id::text, true) FROM {table};"
    " UPDATE {table} SET {text} = 'Erased', {text}_salt = NULL",
)


async def test_a_text_is_erased_by_an_erasure_that_names_it_alone(
    partition: str, postgres_urls
) -> None:
    for url in (postgres_urls.app_url, postgres_urls.owner_url):
        with psycopg.connect(url, autocommit=True) as connection:
            for table, text in ERASABLE.items():
                for statement in ERASING:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                        connection.execute(statement.format(table=table, text=text).encode())


async def test_an_erasure_may_change_nothing_but_the_text_it_names(
    partition: str, postgres_urls
) -> None:
    event = """
        INSERT INTO audit_event (clinic_id, id, at, actor_id, actor_role, action, entity, entity_id,
                                 reason, outcome, detail)
        SELECT clinic_id, gen_random_uuid(), at, actor_id, 'ADMIN', 'erase_user', 'user', %(user)s,
               'No reason given', 'done', jsonb_build_object('texts', jsonb_build_object(id, ''))
        FROM audit_event
    """
    erase = "UPDATE audit_event SET reason_salt = NULL, reason = 'Erased'{more} WHERE action = 'x'"
    kept = "UPDATE audit_event SET reason = 'Erased', outcome = outcome{more} WHERE action = 'x'"
    user = {"user": uuid4()}

    def attempt(connection, more: str, erase: str = erase) -> None:
        with connection.transaction():
            connection.execute(event, user)
            connection.execute("SELECT set_config('clinic.erasing', %(user)s::text, true)", user)
            connection.execute(erase.format(more=more).encode())

    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        for more in (", outcome = 'y'", ", xid = 5", ", reason_digest = NULL", ", ip = 'z'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                attempt(owner, more)
        for erase_otherwise in (erase.replace("'Erased'", "'another'"), kept):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                attempt(owner, "", erase_otherwise)
        attempt(owner, "")
        # An event of another transaction permits nothing.
        owner.execute("SELECT set_config('clinic.erasing', %(user)s::text, false)", user)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            owner.execute(erase.format(more="").encode())


async def test_application_has_only_the_rights_it_needs(postgres_urls) -> None:
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as app:
        for statement in (
            "DELETE FROM appointments",
            "DELETE FROM appointment_types",
            "DELETE FROM resources",
            "UPDATE appointment_resources SET occupying = false",
            "UPDATE appointment_resources SET busy_from = busy_until",
            "INSERT INTO appointment_resources (occasion_id) VALUES (gen_random_uuid())",
            "DELETE FROM locations",
            "DELETE FROM slots",
            "DELETE FROM users",
            "DELETE FROM notification",
            "UPDATE audit_event SET reason_digest = NULL",
            "INSERT INTO audit_event (reason_salt) VALUES ('x')",
            "UPDATE notification SET status = 'SENT'",
            "UPDATE alembic_version SET version_num = '9999'",
            "ALTER TABLE slots DISABLE TRIGGER ALL",
            "CREATE TABLE mine (id int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)
