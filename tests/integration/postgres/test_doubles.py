"""Raw SQL by the application cannot make a double, and only the guards named here keep it out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.domain.calendar.slots import Slot
from clinic.testing.builders import World, seed_booking, seed_world

pytestmark = pytest.mark.anyio

APPOINTMENT = """
INSERT INTO appointments (clinic_id, id, slot_id, doctor_id, lane, patient_id, starts_at, ends_at,
                          busy_from, busy_until, status, version, schedule_version, status_by,
                          created_at, updated_at)
SELECT clinic_id, gen_random_uuid(), id, doctor_id, lane, %(patient)s, starts_at, ends_at,
       starts_at, ends_at + %(moved)s, 'BOOKED', 1, 0, %(patient)s, now(), now()
FROM slots WHERE id = %(slot)s
"""

SLOT = """
INSERT INTO slots (clinic_id, id, doctor_id, specialty, starts_at, ends_at, state)
SELECT clinic_id, gen_random_uuid(), doctor_id, specialty, starts_at + %(moved)s,
       ends_at + %(moved)s, 'OPEN'
FROM slots WHERE id = %(slot)s
"""

#: constraint → how to drop it
GUARDS = {
    "appointments_occupied_slot_key": "DROP INDEX appointments_occupied_slot_key",
    "appointments_busy_excl": "ALTER TABLE appointments DROP CONSTRAINT appointments_busy_excl",
    "appointments_patient_excl": (
        "ALTER TABLE appointments DROP CONSTRAINT appointments_patient_excl"
    ),
    "slots_doctor_excl": "ALTER TABLE slots DROP CONSTRAINT slots_doctor_excl",
    "slots_doctor_starts_key": "DROP INDEX slots_doctor_starts_key",
}


@dataclass(frozen=True, slots=True)
class Double:
    """A second row for what the second slot's appointment of the first patient has already."""

    insert: str
    #: in the order in which PostgreSQL asks them
    guards: tuple[str, ...]
    slot: Callable[[World], Slot]
    patient: int = 1
    #: how far the second row reaches beyond its slot
    moved: timedelta = timedelta()


DOUBLES = {
    "a slot with two appointments": Double(
        APPOINTMENT,
        ("appointments_occupied_slot_key", "appointments_busy_excl"),
        lambda world: world.slots[1],
    ),
    "a doctor with two appointments at one time": Double(
        APPOINTMENT,
        ("appointments_busy_excl",),
        lambda world: world.slots[0],
        moved=timedelta(minutes=1),
    ),
    "a patient with two appointments at one time": Double(
        APPOINTMENT,
        ("appointments_patient_excl",),
        lambda world: world.colleague_slots[1],
        patient=0,
    ),
    "a doctor with two slots at one time": Double(
        SLOT, ("slots_doctor_excl",), lambda world: world.slots[1], moved=timedelta(minutes=1)
    ),
    "a doctor with two slots of one start": Double(
        SLOT, ("slots_doctor_excl", "slots_doctor_starts_key"), lambda world: world.slots[1]
    ),
}


@pytest.mark.parametrize("name", DOUBLES)
async def test_only_its_guards_keep_out(name: str, store: PostgresStore, postgres_urls) -> None:
    double = DOUBLES[name]
    world = await seed_world(store, slots=2)
    await seed_booking(store, world.clinic, world.slots[1], world.patients[0])
    values = {
        "slot": double.slot(world).id,
        "patient": world.patients[double.patient].id,
        "moved": double.moved,
    }
    with (
        psycopg.connect(postgres_urls.app_url, autocommit=True) as app,
        psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner,
    ):
        for guard in double.guards:
            with pytest.raises(psycopg.IntegrityError) as refused:
                app.execute(double.insert, values)
            assert refused.value.diag.constraint_name == guard
            owner.execute(GUARDS[guard])

        assert app.execute(double.insert, values).rowcount == 1


def test_each_guard_has_a_double() -> None:
    assert {guard for double in DOUBLES.values() for guard in double.guards} == {*GUARDS}
