"""Disabled patients: triggers keep their profiles in line with their accounts."""

from datetime import UTC, datetime

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.testing.builders import World, seed_world

pytestmark = pytest.mark.anyio

DISABLE = "UPDATE users SET disabled_at = now() WHERE id = %s"


@pytest.fixture
async def world(store: PostgresStore) -> World:
    return await seed_world(store, slots=1)


async def test_profile_of_a_disabled_patient_that_says_otherwise_is_found_and_fixed(
    world, postgres_urls
) -> None:
    patient = world.patients[0]
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("ALTER TABLE users DISABLE TRIGGER users_disable_patient")
        owner.execute(DISABLE, [patient.id])
        owner.execute("ALTER TABLE users ENABLE TRIGGER users_disable_patient")

    [found] = check_consistency(postgres_urls.app_url, datetime.now(UTC))
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(found.remedy.partition("as the owner: ")[2].encode())

    assert found.problem == (
        f"patients_profiles.disabled_at differs from that of the users {patient.id}"
    )
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


async def test_patient_who_is_disabled_and_enabled_again_is_consistent(
    world, postgres_urls
) -> None:
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as app:
        app.execute(DISABLE, [world.patients[0].id])
        disabled = check_consistency(postgres_urls.app_url, datetime.now(UTC))
        app.execute("UPDATE users SET disabled_at = NULL WHERE id = %s", [world.patients[0].id])

    assert (disabled, check_consistency(postgres_urls.app_url, datetime.now(UTC))) == ([], [])
