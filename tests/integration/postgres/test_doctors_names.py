"""Doctors' names in their profiles, which triggers keep equal to the users'."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from tests.integration.postgres.locks import wait_for_lock

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.adapters.postgres.migrations import migrate
from clinic.domain.people.people import Role, User
from clinic.testing.builders import World, a_user, seed_world

pytestmark = pytest.mark.anyio

RENAME = "UPDATE users SET name = 'Dr Grace Hall' WHERE id = %s"
ADD = "INSERT INTO doctors_profiles (clinic_id, user_id, specialty) VALUES (%s, %s, 'General')"

#: the database after the previous migration
BEFORE_NAMES = """
DROP FUNCTION clinic_name_doctor, clinic_rename_doctor CASCADE;
ALTER TABLE doctors_profiles DROP name;
UPDATE alembic_version SET version_num = '0008';
"""


@pytest.fixture
async def world(store: PostgresStore) -> World:
    return await seed_world(store, slots=1)


def _names(url: str) -> list[str]:
    with psycopg.connect(url) as app:
        return [name for (name,) in app.execute("SELECT name FROM doctors_profiles ORDER BY 1")]


def _problems(url: str) -> list[str]:
    return [finding.problem for finding in check_consistency(url, datetime.now(UTC))]


async def _add_user(store: PostgresStore) -> User:
    """Add a user who is not a doctor at any clinic yet."""
    user = a_user(Role.DOCTOR, name="Dr Grace Hill")
    async with store.begin() as unit:
        await unit.people.add_user(user)
        await unit.commit()
    return user


async def test_name_is_the_users_whatever_is_written(world, postgres_urls) -> None:
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as app:
        written = _names(postgres_urls.app_url)
        app.execute("UPDATE doctors_profiles SET name = 'Dr Nobody'")
        lied = _names(postgres_urls.app_url)
        app.execute(RENAME, [world.doctor.id])

    assert written == lied == ["Dr Grace Hill", "Dr Noor Khan"]
    assert _names(postgres_urls.app_url) == ["Dr Grace Hall", "Dr Noor Khan"]
    assert _problems(postgres_urls.app_url) == []


@pytest.mark.parametrize(
    ("first", "second", "holder"),
    [("rename", "join", "doctors_profiles"), ("join", "rename", "users")],
)
async def test_doctor_who_is_renamed_while_joining_has_the_new_name(
    world, store: PostgresStore, postgres_urls, first: str, second: str, holder: str
) -> None:
    user = await _add_user(store)
    changes = {"rename": (RENAME, [user.id]), "join": (ADD, [world.clinic.id, user.id])}
    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(postgres_urls.app_url) as one,
        psycopg.connect(postgres_urls.app_url, autocommit=True) as other,
    ):
        one.execute(*changes[first])
        waiting = threads.submit(lambda: other.execute(*changes[second]))
        wait_for_lock(postgres_urls.owner_url, holder=holder)
        one.commit()
        waiting.result()

    assert "Dr Grace Hall" in _names(postgres_urls.app_url)
    assert _problems(postgres_urls.app_url) == []


async def test_name_that_lies_is_found_and_mended(world, postgres_urls) -> None:
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("ALTER TABLE users DISABLE TRIGGER users_rename_doctor")
        owner.execute(RENAME, [world.doctor.id])
        owner.execute("ALTER TABLE users ENABLE TRIGGER users_rename_doctor")

    [finding] = check_consistency(postgres_urls.app_url, datetime.now(UTC))
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(finding.remedy.partition("as the owner: ")[2].encode())

    assert finding.problem == (
        f"doctors_profiles.name differs from the names of the users {world.doctor.id}"
    )
    assert _names(postgres_urls.app_url) == ["Dr Grace Hall", "Dr Noor Khan"]
    assert _problems(postgres_urls.app_url) == []


@pytest.mark.parametrize(
    ("table", "trigger"),
    [("users", "users_rename_doctor"), ("doctors_profiles", "doctors_profiles_name")],
)
async def test_trigger_that_is_gone_is_found(postgres_urls, table: str, trigger: str) -> None:
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(f"DROP TRIGGER {trigger} ON {table}".encode())

    assert _problems(postgres_urls.app_url) == [f"trigger {trigger} on {table} is missing or off"]


async def test_migration_fills_in_the_names_that_are_there(world, postgres_urls) -> None:
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(BEFORE_NAMES)

    migrate(postgres_urls.owner_url)

    assert _names(postgres_urls.app_url) == ["Dr Grace Hill", "Dr Noor Khan"]
    assert _problems(postgres_urls.app_url) == []
