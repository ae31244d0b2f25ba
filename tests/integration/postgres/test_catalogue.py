"""The catalogue: every foreign key is indexed, every guard exists, no right is left open."""

from datetime import UTC, datetime

import psycopg
import pytest

from clinic.adapters.postgres.checks.consistency import UNINDEXED_KEYS, check_consistency
from clinic.adapters.postgres.schema import metadata

NOW = datetime.now(UTC)
#: users are the same at every clinic; seals, the feed and services belong to all clinics
OF_NO_CLINIC = {
    "clinics",
    "users",
    "audit_seals",
    "change_feeds",
    "maintenance_runs",
    "alembic_version",
}


def test_every_foreign_key_is_indexed(owner: psycopg.Connection) -> None:
    assert owner.execute(UNINDEXED_KEYS).fetchall() == []


def test_partial_index_does_not_count_for_a_foreign_key(owner: psycopg.Connection) -> None:
    owner.execute("DROP INDEX slots_doctor_starts_key")
    owner.execute(
        "CREATE INDEX ON slots (clinic_id, doctor_id, specialty) WHERE state <> 'RETIRED'"
    )

    assert owner.execute(UNINDEXED_KEYS).fetchall() == [("slots_doctor_fkey", "slots")]


def test_index_of_what_refers_to_the_primary_key_is_enough(owner: psycopg.Connection) -> None:
    owner.execute("DROP INDEX slots_doctor_starts_key")
    owner.execute("CREATE INDEX ON slots (clinic_id, doctor_id)")

    assert owner.execute(UNINDEXED_KEYS).fetchall() == []


def test_every_uniqueness_is_within_a_clinic(owner: psycopg.Connection) -> None:
    found = owner.execute(
        r"""
        SELECT c.relname FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        WHERE (i.indisunique OR i.indisexclusion) AND NOT t.relispartition
          AND t.relnamespace = current_schema()::regnamespace AND t.relname <> ALL (%s)
          -- Also inside an expression.
          AND pg_get_indexdef(c.oid) !~ '\mclinic_id\M'
        """,
        [list(OF_NO_CLINIC)],
    ).fetchall()

    assert found == []


def test_every_foreign_key_between_clinics_tables_carries_the_clinic() -> None:
    loose = [
        str(key.name)
        for table in metadata.tables.values()
        for key in table.foreign_key_constraints
        if key.referred_table.name not in OF_NO_CLINIC and "clinic_id" not in key.column_keys
    ]

    assert loose == []


def test_consistency_of_a_new_database(postgres_urls) -> None:
    assert check_consistency(postgres_urls.app_url, NOW) == []
    assert check_consistency(postgres_urls.owner_url, NOW) == []


#: a change made behind the service's back → what the check reports
DAMAGE = {
    "DROP INDEX appointments_occupied_slot_key": (
        "appointments_occupied_slot_key on appointments is missing or not valid"
    ),
    "ALTER TABLE appointments DROP CONSTRAINT appointments_patient_excl": (
        "appointments_patient_excl on appointments is missing or not valid"
    ),
    "ALTER TABLE slots DROP CONSTRAINT slots_doctor_excl": (
        "slots_doctor_excl on slots is missing or not valid"
    ),
    "GRANT DELETE ON audit_appointment TO clinic_app": (
        "clinic_app may change audit_appointment, which is append-only"
    ),
    "GRANT UPDATE ON audit_event_default TO clinic_app": (
        "clinic_app may change audit_event_default, which is append-only"
    ),
    f"DROP TABLE audit_appointment_{NOW:%Y_%m}": (
        f"audit_appointment has no partition audit_appointment_{NOW:%Y_%m}"
    ),
    "GRANT UPDATE (outcome) ON audit_event TO clinic_app": (
        "clinic_app may change audit_event, which is append-only"
    ),
    "DROP TRIGGER audit_event_salt ON audit_event": (
        "trigger audit_event_salt on audit_event is missing or off"
    ),
    "INSERT INTO erasures SELECT id, id, now() - interval '2 h', '' FROM gen_random_uuid() id": (
        "erasures of patients that are not finished: 1; copies of answers about them"
        " may still be in Valkey"
    ),
    "DROP TRIGGER audit_event_no_truncate ON audit_event": (
        "trigger audit_event_no_truncate on audit_event is missing or off"
    ),
    "ALTER TABLE audit_seals DISABLE TRIGGER audit_seals_no_change": (
        "trigger audit_seals_no_change on audit_seals is missing or off"
    ),
    "DROP TABLE notification_default": "notification has no default partition",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_consistency_names_the_damage(postgres_urls, damage: str) -> None:
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(damage)

    found = check_consistency(postgres_urls.app_url, NOW)

    assert [finding.problem for finding in found] == [DAMAGE[damage]]


def test_consistency_names_an_invalid_index(postgres_urls) -> None:
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        for number in (1, 2):
            owner.execute(
                "INSERT INTO clinics VALUES (%s, 'Same', 'UTC', 0, 1, 0, 1, '{}')",
                [f"00000000-0000-7000-8000-00000000000{number}"],
            )
        with pytest.raises(psycopg.errors.UniqueViolation):
            owner.execute("CREATE UNIQUE INDEX CONCURRENTLY half_made ON clinics (name)")

    found = check_consistency(postgres_urls.app_url, NOW)

    assert [finding.problem for finding in found] == ["index half_made is invalid"]
