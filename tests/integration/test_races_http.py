"""Real races, over HTTP, against a real server on a real PostgreSQL."""

import random
import secrets
import time
from collections import Counter

from clinic.devtools.http_client import Request

WRONG_FLAGS = """
    SELECT count(*) FROM slots s WHERE s.taken <> EXISTS (
        SELECT FROM appointments a
        WHERE a.clinic_id = s.clinic_id AND a.slot_id = s.id
          AND a.status NOT IN ('CANCELLED', 'EXPIRED')
    )
"""
OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
DOUBLE_BOOKED = """
    SELECT count(*) FROM (
        SELECT FROM appointments WHERE status NOT IN ('CANCELLED', 'EXPIRED')
        GROUP BY clinic_id, slot_id HAVING count(*) > 1
    ) AS twice
"""


def number(database, query, *parameters):
    return database.execute(query, parameters).fetchone()[0]


def outcomes(answers):
    return Counter((answer.status, answer.code) for answer in answers)


def a_key():
    return secrets.token_urlsafe(24)


async def test_200_patients_race_for_one_slot(server, make_town, database):
    town = await make_town(slots=1, patients=200)

    answers = await server.send(
        town.booking(town.slots[0], patient, a_key()) for patient in town.patient_ids
    )

    assert outcomes(answers) == {(201, None): 1, (409, "slot_taken"): 199}
    [winner] = [answer.json for answer in answers if answer.status == 201]
    rows = database.execute(
        "SELECT id::text, patient_id::text, status FROM appointments"
    ).fetchall()
    assert rows == [(winner["id"], winner["patientId"], "BOOKED")]
    assert number(database, WRONG_FLAGS) == 0
    assert number(database, "SELECT count(*) FROM audit_appointment") == 1


async def test_2000_requests_race_for_200_slots(server, make_town, database):
    town = await make_town(slots=200, patients=100)
    rivals = 10
    answers = []

    # Waves, so that neither side runs out of open files; in each, ten race for each of 20 slots.
    for first in range(0, 200, 20):
        wave = [
            town.booking(town.slots[first + index], patient, a_key())
            for index in range(20)
            for patient in random.sample(town.patient_ids, rivals)
        ]
        random.shuffle(wave)
        answers += await server.send(wave)

    assert outcomes(answers) == {(201, None): 200, (409, "slot_taken"): 1800}
    assert number(database, "SELECT count(DISTINCT slot_id) FROM appointments") == 200
    assert number(database, "SELECT count(*) FROM appointments") == 200
    assert number(database, DOUBLE_BOOKED) == 0
    assert number(database, WRONG_FLAGS) == 0


async def test_50_identical_requests_make_one_appointment(server, make_town, database):
    town = await make_town(slots=1, patients=1)
    request = town.booking(town.slots[0], town.patient_ids[0], a_key())

    answers = await server.send([request] * 50)

    assert outcomes(answers) == {(201, None): 50}
    assert len({answer.body for answer in answers}) == 1
    assert len({(answer.headers["location"], answer.headers["etag"]) for answer in answers}) == 1
    assert number(database, "SELECT count(*) FROM appointments") == 1
    assert number(database, "SELECT count(*) FROM idempotency_keys") == 1


async def test_200_swaps_of_one_pair_in_both_orders(server, make_town, database, postgres_urls):
    town = await make_town(slots=2, patients=2)
    booked = await server.send(
        town.booking(slot, patient, a_key())
        for slot, patient in zip(town.slots, town.patient_ids, strict=True)
    )
    one, two = (answer.json["id"] for answer in booked)
    orders = [[one, two], [two, one]] * 100
    random.shuffle(orders)

    answers = []
    # In waves: they queue for the same two rows, for no longer than a request may take.
    for first in range(0, 200, 20):
        answers += await server.send(
            Request("POST", "/swaps", town.office, {"appointmentIds": order}, key=a_key())
            for order in orders[first : first + 20]
        )

    assert {answer.status // 100 for answer in answers} == {2}, outcomes(answers)
    # An even number of swaps: both are where they were.
    rows = database.execute(
        "SELECT id::text, slot_id, version, schedule_version FROM appointments ORDER BY starts_at"
    ).fetchall()
    assert rows == [(one, town.slots[0].id, 201, 200), (two, town.slots[1].id, 201, 200)]
    assert number(database, WRONG_FLAGS) == 0
    assert number(database, "SELECT count(*) FROM audit_appointment WHERE action = 'SWAP'") == 400
    server.stop()
    assert deadlocks(database, postgres_urls.name) == 0


def deadlocks(database, name):
    # A server process logs its counts when it ends.
    deadline = time.monotonic() + 10
    while number(database, OTHERS, name):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return number(database, "SELECT deadlocks FROM pg_stat_database WHERE datname = %s", name)
