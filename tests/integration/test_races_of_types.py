"""Types of unlike lengths race for the same slots, over HTTP, on three server processes."""

import asyncio
import random
import secrets
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise
from socket import socket
from typing import Any

import pytest
from msgspec.structs import replace

from clinic.adapters.postgres import PostgresStore
from clinic.adapters.postgres.checks.consistency import check_consistency
from clinic.devtools.http_client import Request, Response, send
from clinic.domain.calendar.slots import Slot
from clinic.domain.people.people import Doctor
from clinic.testing.builders import a_slot, a_type, seed_slots, seed_type

PATIENTS, SLOTS, SLOT_MIN = 200, 4, 20
SLOT = timedelta(minutes=SLOT_MIN)
LENGTHS = {"Long": 2, "Short": 1}
#: places at each start, and how the requests are spread: type and start → weight
ROUNDS = [
    (1, {(kind, at): 1 for kind in LENGTHS for at in range(SLOTS)}),
    (1, {("Long", at): 1 for at in range(SLOTS)}),
    (1, {("Long", 1): 10, ("Long", 2): 10, ("Short", 0): 1}),
    (2, {(kind, at): 1 for kind in LENGTHS for at in range(SLOTS)}),
    (2, {("Long", at): 1 for at in range(SLOTS - 1)}),
]
BOOKED = """
SELECT lane, starts_at, ends_at FROM appointments WHERE starts_at::date = %s
ORDER BY lane, starts_at
"""


@pytest.fixture
def servers(server, tmp_path):
    """Three server processes on one database."""
    found = [server]
    try:
        for number in range(2):
            with socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            log = tmp_path / f"other-{number}.log"
            found.append(type(server)(replace(server.settings, port=port), log, server.commands))
            found[-1].start()
        yield found
    finally:
        for one in found[1:]:
            one.stop()


async def test_200_patients_race_with_two_lengths_for_four_slots(
    servers, make_town, database, store: PostgresStore, postgres_urls
):
    """Given two types, of one slot and of two, and four slots that 200 patients want at once
    When each asks one of three servers for one type at one start
    Then nothing overlaps, each refusal names its rule, and where a refused type could begin in the
    end, it cannot begin any more."""
    town = await make_town(slots=0, patients=PATIENTS)
    clinic = await store.people.clinic(town.clinic_id)
    assert clinic is not None
    (doctor,) = await store.people.doctors(clinic.id)
    await seed_type(
        store, *(a_type(clinic, name, slots * SLOT_MIN) for name, slots in LENGTHS.items())
    )
    tomorrow = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    for number, (places, weights) in enumerate(ROUNDS, 1):
        first = tomorrow + timedelta(days=number)
        slots = await _seed_slots(store, doctor, first, places)
        asked = random.choices([*weights], [*weights.values()], k=PATIENTS)
        requests = [
            _booking(town.tokens[patient], slots[at][0], kind)
            for patient, (kind, at) in zip(town.patient_ids, asked, strict=True)
        ]

        thirds = [requests[start::3] for start in range(3)]
        answers = await asyncio.gather(*(map(_sent, servers, thirds)))

        booked = _booked(database, first)
        _check_apart(booked)
        starts = await _starts(servers[0], town.office, doctor, first)
        counts: Counter[str | None] = Counter()
        for start, answered in enumerate(answers):
            for (kind, at), answer in zip(asked[start::3], answered, strict=True):
                counts[answer.code] += 1
                _check_answer(kind, at, answer, booked, places)
                assert answer.status == 201 or at not in starts[kind], (kind, at)
        assert counts[None] == sum(map(len, booked.values()))
        assert check_consistency(postgres_urls.app_url, datetime.now(UTC)) == []


async def _seed_slots(
    store: PostgresStore, doctor: Doctor, first: datetime, places: int
) -> list[list[Slot]]:
    """Add the slots of one morning; return those of each start."""
    slots = [
        [
            a_slot(doctor, first + at * SLOT, minutes=SLOT_MIN, lane=lane)
            for lane in range(1, places + 1)
        ]
        for at in range(SLOTS)
    ]
    await seed_slots(store, *chain(*slots))
    return slots


def _booking(token: str, slot: Slot, kind: str) -> Request:
    body = {"slotId": str(slot.id), "type": kind}
    return Request("POST", "/appointments", token, body, key=secrets.token_urlsafe(24))


async def _sent(server: Any, requests: list[Request]) -> list[Response]:
    return list(await server.send(requests))


def _booked(database: Any, first: datetime) -> dict[int, list[range]]:
    """Return the numbers of the slots that each appointment takes, by lane, earliest first."""
    found: defaultdict[int, list[range]] = defaultdict(list)
    for lane, starts_at, ends_at in database.execute(BOOKED, [first.date()]).fetchall():
        found[lane].append(range((starts_at - first) // SLOT, (ends_at - first) // SLOT))
    return dict(found)


def _check_apart(booked: dict[int, list[range]]) -> None:
    for lane in booked.values():
        assert all(one.stop <= two.start for one, two in pairwise(lane)), booked


def _check_answer(
    kind: str, at: int, answer: Response, booked: dict[int, list[range]], places: int
) -> None:
    """Check that the answer says what is in the way, in each lane."""
    wanted = range(at, at + LENGTHS[kind])
    taken = [
        any(set(wanted) & set(one) for one in booked.get(lane, ())) for lane in range(1, places + 1)
    ]
    if answer.status == 201:
        assert wanted.stop <= SLOTS
        assert any(wanted in lane for lane in booked.values())
    elif answer.code == "slot_taken":
        assert all(taken) or wanted.stop > SLOTS, (kind, at, booked)
    else:
        assert answer.code == "does_not_fit", answer.body
        assert wanted.stop > SLOTS, (kind, at)
    assert answer.status in (201, 409)


async def _starts(server: Any, token: str, doctor: Doctor, first: datetime) -> dict[str, set[int]]:
    """Return the starts of each type that are listed in the end."""
    found = {}
    for kind in LENGTHS:
        span = f"from={first:%FT%TZ}&to={first + timedelta(hours=6):%FT%TZ}"
        path = f"/slots?doctor={doctor.id}&type={kind}&{span}"
        answer = await send(server.settings.host, server.settings.port, Request("GET", path, token))
        found[kind] = {
            (datetime.fromisoformat(each["startsAt"]) - first) // SLOT
            for each in answer.json["items"]
        }
    return found
