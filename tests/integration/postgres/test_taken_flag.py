"""A slot's flag `taken`, compared with its appointments."""

from datetime import UTC, datetime

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.domain.appointments.appointments import Status
from clinic.domain.calendar.slots import SlotState
from clinic.domain.errors import SlotTaken
from clinic.testing.builders import (
    a_booking,
    a_move,
    a_slot,
    a_status_change,
    seed_booking,
    seed_change,
    seed_slots,
    seed_state,
    seed_world,
)

pytestmark = pytest.mark.anyio


async def test_flag_follows_booking_moving_and_cancelling(
    store: PostgresStore, postgres_urls
) -> None:
    world = await seed_world(store, slots=3)
    first, second, _ = world.slots
    before = await seed_booking(store, world.clinic, first, world.patients[0])
    move = a_move(world.clinic, before, second)
    await seed_change(store, move)
    after_move = _taken(postgres_urls.owner_url)
    await seed_change(store, a_status_change(world.clinic, move.after, Status.CANCELLED))

    assert after_move == [second.id]
    assert _taken(postgres_urls.owner_url) == []
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


@pytest.mark.parametrize("flag", ["true", "false"])
async def test_flag_that_lies_is_found(store: PostgresStore, postgres_urls, flag: str) -> None:
    world = await seed_world(store, slots=2)
    booked, free = world.slots
    await seed_booking(store, world.clinic, booked, world.patients[0])
    wrong = free if flag == "true" else booked

    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(f"UPDATE slots SET taken = {flag} WHERE id = %s", [wrong.id])

    problems = [
        each.problem for each in check_consistency(postgres_urls.app_url, datetime.now(UTC))
    ]
    assert problems == [f"slots.taken differs from the appointments of {wrong.id}"]


@pytest.mark.parametrize("state", ["OPEN", "RETIRED"])
async def test_flags_that_lie_are_put_right(store: PostgresStore, postgres_urls, state) -> None:
    """Given flags that are all wrong, and an appointment whose slot is on the calendar or not
    When they are computed again, as whenever slots follow the hours
    Then they are right."""
    world = await seed_world(store, slots=3)
    booked, *_ = world.slots
    await seed_booking(store, world.clinic, booked, world.patients[0])
    await seed_state(store, SlotState(state), booked)
    await seed_slots(store, *([a_slot(world.doctor, booked.starts_at)] if state != "OPEN" else ()))
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute(
            "UPDATE slots SET taken = NOT taken WHERE doctor_id = %s AND state <> 'RETIRED'",
            [world.doctor.id],
        )
    wrong = check_consistency(postgres_urls.app_url, datetime.now(UTC))

    async with store.begin() as unit:
        start, end = booked.starts_at, world.slots[-1].ends_at
        await unit.calendars.retake(world.clinic.id, [world.doctor.id], start, end)
        await unit.commit()

    assert len(wrong) == 1
    assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


async def test_flag_alone_refuses_a_second_booking(store: PostgresStore, postgres_urls) -> None:
    world = await seed_world(store, slots=1)
    (slot,) = world.slots
    await seed_booking(store, world.clinic, slot, world.patients[0])
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("DROP INDEX appointments_occupied_slot_key")

    with pytest.raises(SlotTaken) as refused:
        await store.desk.reserve(a_booking(world.clinic, slot, world.patients[1]))

    assert refused.value.__cause__ is None


async def test_backstop_refuses_where_the_flag_lies(store: PostgresStore, postgres_urls) -> None:
    world = await seed_world(store, slots=1)
    (slot,) = world.slots
    await seed_booking(store, world.clinic, slot, world.patients[0])
    with psycopg.connect(postgres_urls.owner_url) as owner:
        owner.execute("UPDATE slots SET taken = false")

    with pytest.raises(SlotTaken) as refused:
        await store.desk.reserve(a_booking(world.clinic, slot, world.patients[1]))

    cause = refused.value.__cause__
    assert isinstance(cause, psycopg.errors.UniqueViolation)
    assert cause.diag.constraint_name == "appointments_occupied_slot_key"


def _taken(url: str) -> list[object]:
    with psycopg.connect(url) as owner:
        return [row[0] for row in owner.execute("SELECT id FROM slots WHERE taken")]
