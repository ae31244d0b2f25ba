"""Rooms in PostgreSQL: raw SQL of the application's role, and copies that lie."""

from datetime import UTC, datetime

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.domain.appointments.appointments import Appointment
from clinic.domain.appointments.resources import Resource
from clinic.testing.builders import a_booking, a_resource, a_type, seed_resource, seed_world

pytestmark = pytest.mark.anyio

HOLD = (
    "INSERT INTO appointment_resources (clinic_id, appointment_id, resource_id, place)"
    " VALUES (%s, %s, %s, 1)"
)


async def _two_in_two_rooms(
    store: PostgresStore,
) -> tuple[list[Appointment], list[Resource]]:
    """Book two appointments at one time, each of which has one of two rooms; return both pairs."""
    world = await seed_world(store)
    rooms = [a_resource(world.clinic, name=f"Room {number}") for number in (1, 2)]
    await seed_resource(store, *rooms)
    kind = a_type(world.clinic, needs=("room",))
    booked = [
        a_booking(world.clinic, slot, patient, kind=kind)
        for slot, patient in zip(
            (world.slots[0], world.colleague_slots[0]), world.patients, strict=False
        )
    ]
    for each in booked:
        await store.desk.reserve(each)
    return [each.appointment for each in booked], rooms


async def test_application_cannot_put_two_appointments_into_one_room(
    store: PostgresStore, postgres_urls
) -> None:
    appointments, rooms = await _two_in_two_rooms(store)
    with psycopg.connect(postgres_urls.app_url, autocommit=True) as app:
        for one in appointments:
            for room in rooms:
                with pytest.raises(
                    (psycopg.errors.ExclusionViolation, psycopg.errors.UniqueViolation)
                ):
                    app.execute(HOLD, [one.clinic_id, one.id, room.id])
        rows = app.execute("SELECT resource_id FROM appointment_resources").fetchall()

    assert sorted(rows) == sorted((room.id,) for room in rooms)
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


@pytest.mark.parametrize(
    "lie",
    [
        "occupying = false",
        "busy_until = busy_until + interval '1 min'",
        "occasion_id = gen_random_uuid()",
    ],
)
async def test_copies_that_lie_are_found_and_put_right(
    store: PostgresStore, postgres_urls, lie: str
) -> None:
    [one, _], _ = await _two_in_two_rooms(store)
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(f"UPDATE appointment_resources SET {lie} WHERE appointment_id = %s", [one.id])

    [finding] = check_consistency(postgres_urls.app_url, datetime.now(UTC))

    assert str(one.id) in finding.problem
    _, _, remedy = finding.remedy.partition("as the owner: ")
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(remedy.partition(";")[0])
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []
