"""Nobody rewrites the trail: the application has no right to, and a trigger stops its owner too."""

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.testing.builders import seed_booking, seed_world

pytestmark = pytest.mark.anyio

CHANGES = (
    "UPDATE audit_appointment SET reason = 'another'",
    "DELETE FROM audit_appointment",
    "TRUNCATE audit_appointment",
    "UPDATE audit_event SET reason = 'another'",
    "DELETE FROM audit_event",
    "TRUNCATE audit_event",
    "UPDATE notification SET status = 'SENT'",
    "DELETE FROM notification",
    "TRUNCATE notification",
    "TRUNCATE notification_default",
)
#: what passes the table by
ON_A_PARTITION = (
    "UPDATE {partition} SET reason = 'another'",
    "DELETE FROM {partition}",
    "TRUNCATE {partition}",
)


@pytest.fixture
async def partition(store: PostgresStore, postgres_urls) -> str:
    """The partition that holds the one audit entry there is."""
    world = await seed_world(store, slots=1)
    await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    with psycopg.connect(postgres_urls.owner_url) as owner:
        # Row triggers need a row to stop.
        owner.execute(
            "INSERT INTO audit_event (clinic_id, id, at, actor_id, actor_role, action, entity,"
            " reason, outcome, detail)"
            " SELECT clinic_id, id, at, actor_id, actor_role, 'x', 'x', 'x', 'x', '{}'"
            " FROM audit_appointment"
        )
        owner.execute(
            "INSERT INTO notification (clinic_id, id, user_id, kind, channel, version,"
            " scheduled_for, status, attempts, finished_at)"
            " SELECT clinic_id, id, actor_id, 'invitation', 'email', 0, at, 'SENT', 1, at"
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


async def test_application_has_only_the_rights_it_needs(postgres_urls) -> None:
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as app:
        for statement in (
            "DELETE FROM appointments",
            "DELETE FROM slots",
            "DELETE FROM users",
            "DELETE FROM notification",
            "UPDATE notification SET status = 'SENT'",
            "UPDATE alembic_version SET version_num = '9999'",
            "ALTER TABLE slots DISABLE TRIGGER ALL",
            "CREATE TABLE mine (id int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)
