"""A server killed in the middle of a thousand bookings: none is lost or partial."""

import asyncio

from clinic.devtools.http_client import Response, send

BOOKINGS = 1000
AT_ONCE = 20
#: the number of responses after which the server is killed
KILLED_AFTER = 300

#: for each booking that left any row, how many there are of each kind
TRACES = """
    SELECT s.id, s.taken,
        (SELECT count(*) FROM appointments a WHERE a.slot_id = s.id),
        (SELECT count(*) FROM audit_appointment e WHERE e.to_slot_id = s.id),
        (SELECT count(*) FROM notification_outbox o JOIN appointments a
            ON a.id = o.appointment_id WHERE a.slot_id = s.id AND o.kind = 'confirmation'),
        (SELECT count(*) FROM idempotency_keys k JOIN appointments a
            ON k.location = '/appointments/' || a.id WHERE a.slot_id = s.id)
    FROM slots s
"""
NOTHING, WHOLE = (False, 0, 0, 0, 0), (True, 1, 1, 1, 1)


def traces(database):
    return {row[0]: tuple(row[1:]) for row in database.execute(TRACES)}


async def send_all(server, requests, *, kill_after=None):
    """Return each request's response or exception; AT_ONCE are in flight together."""
    answers: dict[str, Response | Exception] = {}
    waiting = iter(requests)

    async def work():
        for request in waiting:
            try:
                answer = await send(server.settings.host, server.settings.port, request)
            except (OSError, TimeoutError) as error:
                answers[request.key] = error
                continue
            answers[request.key] = answer
            if kill_after is not None and len(answers) == kill_after:
                server.kill9()

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return answers


async def test_server_killed_between_bookings_loses_none_and_leaves_none_half(
    server, make_town, database
):
    town = await make_town(doctors=4, slots=BOOKINGS // 4, patients=200)
    requests = [
        town.booking(slot, town.patient_ids[index % 200], f"a-key-of-this-test-{index:04}")
        for index, slot in enumerate(town.slots)
    ]
    slot_of = {request.key: slot.id for request, slot in zip(requests, town.slots, strict=True)}

    first = await send_all(server, requests, kill_after=KILLED_AFTER)
    after_kill = traces(database)

    answered = {key: answer for key, answer in first.items() if isinstance(answer, Response)}
    assert {answer.status for answer in answered.values()} == {201}
    assert KILLED_AFTER <= len(answered) < BOOKINGS
    assert [key for key in answered if after_kill[slot_of[key]] != WHOLE] == []
    assert set(after_kill.values()) == {NOTHING, WHOLE}

    server.start()
    second = await send_all(server, requests)

    assert {key for key, answer in second.items() if not isinstance(answer, Response)} == set()
    assert {answer.status for answer in second.values()} == {201}
    assert [key for key, answer in answered.items() if second[key].body != answer.body] == []
    assert set(traces(database).values()) == {WHOLE}
    assert database.execute("SELECT count(*) FROM appointments").fetchone() == (BOOKINGS,)
