"""Repeated refusals: few rows, and each refusal is counted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from clinic.adapters.memory.store import MemoryStore
from clinic.domain.audit.audit import AuditEvent, event_by
from clinic.domain.errors import AuditUnavailable, TemporaryFailure
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Role
from clinic.ports.audit import AuditLog, EventQuery
from clinic.testing.builders import NOW
from clinic.usecases.audit.audit_buffer import AuditBuffer
from clinic.usecases.audit.refusal_tally import (
    DENIALS_KEPT,
    KEYS_MAX,
    REFUSED,
    WINDOW_S,
    RefusalTally,
)

pytestmark = pytest.mark.anyio

NOBODY = UUID(int=0)
CLINIC = uuid4()


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    @property
    def at(self) -> Any:
        return NOW + timedelta(seconds=self.now_s)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refusal(
    clock: Clock,
    *,
    ip: str | None = "192.0.2.1",
    user: UUID = NOBODY,
    outcome: str = "not_signed_in",
    action: str = REFUSED,
    entity_id: UUID | None = None,
) -> AuditEvent:
    role = Role.SYSTEM if user == NOBODY else Role.PATIENT
    clinic_id = NOBODY if user == NOBODY else CLINIC
    actor = Actor(user, role, clinic_id, request_id=uuid4().hex, ip=ip)
    event = event_by(actor, action, "users", entity_id, now=clock.at, event_id=uuid4())
    return replace(event, outcome=outcome, patient_id=entity_id)


def tally(clock: Clock) -> RefusalTally:
    return RefusalTally(now_s=clock, new_id=uuid4)


def kept(one: RefusalTally, events: list[AuditEvent]) -> list[AuditEvent]:
    return [event for event in events if one.keeps(event)]


def total(events: list[AuditEvent]) -> int:
    return sum(event.detail.get("count", 1) for event in events)


def test_the_first_has_a_row_and_the_others_of_its_minute_share_one(clock: Clock) -> None:
    one = tally(clock)
    events = []
    for second in range(50):
        clock.now_s = second
        events.append(refusal(clock))
    first = kept(one, events)

    early = one.take()
    clock.now_s = WINDOW_S + 50
    [shared] = one.take()

    assert (first, early) == (events[:1], [])
    assert shared.detail == {
        "count": 49,
        "network": "192.0.2.1",
        "firstSeen": (NOW + timedelta(seconds=1)).isoformat(),
        "lastSeen": (NOW + timedelta(seconds=49)).isoformat(),
    }
    assert shared.at == events[-1].at
    assert (shared.action, shared.outcome, shared.ip) == (REFUSED, "not_signed_in", "192.0.2.1")
    assert (shared.request_id, shared.entity_id, shared.patient_id) == (None, None, None)
    assert shared.id not in {event.id for event in events}
    assert one.take(everything=True) == []


def test_each_minute_has_rows_of_its_own(clock: Clock) -> None:
    one = tally(clock)
    rows = []
    for minute in range(3):
        clock.now_s = minute * (WINDOW_S + 1)
        rows += one.take()
        rows += kept(one, [refusal(clock) for _ in range(10)])
    rows += one.take(everything=True)

    assert len(rows) == 6
    assert total(rows) == 30


def test_kinds_networks_and_users_are_counted_apart(clock: Clock) -> None:
    one = tally(clock)
    user = uuid4()
    kinds: list[dict[str, Any]] = [
        {},
        {"outcome": "quota_exceeded"},
        {"ip": "192.0.2.2"},
        {"ip": None},
        {"ip": "2001:db8::1"},
        {"ip": "2001:db8:0:1::1"},
        {"user": user},
        {"user": uuid4()},
    ]
    same = [{"ip": "2001:DB8::ffff"}, {"ip": "::ffff:192.0.2.2"}]

    first = kept(one, [refusal(clock, **kind) for kind in kinds])
    again = kept(one, [refusal(clock, **kind) for kind in [*kinds, *same]])

    assert (len(first), again) == (len(kinds), [])
    assert total(one.take(everything=True)) == len(kinds) + 2


def test_denials_of_somebody_say_of_what_until_there_are_many(clock: Clock) -> None:
    one, user = tally(clock), uuid4()
    denials = [
        refusal(clock, user=user, action="get", outcome="patient_not_found", entity_id=uuid4())
        for _ in range(100)
    ]

    own = kept(one, denials)
    [shared] = one.take(everything=True)

    assert own == denials[:DENIALS_KEPT]
    assert (shared.actor_id, shared.actor_role) == (user, Role.PATIENT)
    assert shared.detail["count"] == 100 - DENIALS_KEPT
    # They were about different people.
    assert (shared.entity_id, shared.patient_id) == (None, None)


def test_guesses_at_one_account_say_whose(clock: Clock) -> None:
    one, user = tally(clock), uuid4()
    guesses = [
        replace(refusal(clock, action="sign_in", outcome="denied", entity_id=user), entity="user")
        for _ in range(5)
    ]

    kept(one, guesses)
    [shared] = one.take(everything=True)

    assert (shared.entity, shared.entity_id, shared.detail["count"]) == ("user", user, 4)


def test_any_number_of_networks_takes_bounded_memory_and_rows(clock: Clock) -> None:
    one = tally(clock)
    number = 5 * KEYS_MAX
    events = [refusal(clock, ip=f"2001:db8:{n:x}::1") for n in range(number)]

    rows = kept(one, events)
    assert len(one._counts) <= KEYS_MAX + 1
    rows += kept(one, events)
    assert len(one._counts) <= KEYS_MAX + 1
    rows += one.take(everything=True)

    others = [row for row in rows if row.outcome == "others"]
    assert total(rows) == 2 * number
    assert len(rows) <= 2 * KEYS_MAX + 1
    [other] = others
    assert (other.clinic_id, other.actor_id, other.ip) == (NOBODY, NOBODY, None)
    assert other.detail["count"] == 2 * (number - KEYS_MAX)


async def events_of(store: MemoryStore) -> list[AuditEvent]:
    return list(await store.audit_log.events(EventQuery(NOBODY), PageRequest(200)))


async def test_what_was_counted_is_written_with_the_buffer(clock: Clock) -> None:
    store = MemoryStore()
    buffer = AuditBuffer(store.audit_log, now_s=clock)
    for _ in range(10):
        buffer.add_denial(refusal(clock))
    await buffer.flush()
    first = await events_of(store)

    clock.now_s = WINDOW_S + 1
    await buffer.flush()
    buffer.add_denial(refusal(clock))
    buffer.add_denial(refusal(clock))
    await buffer.close()

    assert total(first) == 1
    assert total(await events_of(store)) == 12
    assert len(await events_of(store)) == 4


async def test_counts_wait_while_nothing_can_be_written(clock: Clock) -> None:
    class Dead:
        async def append(self, events: object) -> None:
            raise TemporaryFailure

    buffer = AuditBuffer(cast(AuditLog, Dead()), now_s=clock, capacity=10)
    for minute in range(20):
        clock.now_s = minute * (WINDOW_S + 1)
        for _ in range(5):
            buffer.add_denial(refusal(clock))
        with pytest.raises(TemporaryFailure):
            await buffer.flush()

    assert len(buffer._waiting) <= 10
    assert total([*buffer._waiting, *buffer._refusals.take(everything=True)]) == 100


async def test_denials_without_room_are_counted(clock: Clock) -> None:
    store = MemoryStore()
    buffer = AuditBuffer(store.audit_log, now_s=clock, capacity=1)
    buffer.add(refusal(clock, ip="192.0.2.99"))
    with pytest.raises(AuditUnavailable):
        buffer.check()

    buffer.add_denial(refusal(clock))
    buffer.add_denial(refusal(clock))
    await buffer.close()

    found = await events_of(store)
    assert [event.detail.get("count") for event in found if event.ip == "192.0.2.1"] == [2]
