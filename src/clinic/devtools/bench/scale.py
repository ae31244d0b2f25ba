"""What a question costs the database at different sizes, and compared with an anti-join.

The questions are asked through the use cases, so the application's own statements are measured: by
the processor time of the database's processes that serve them, minus what as many empty statements
cost at the same time. Waking up and answering costs 10 to 30 µs, depending on the machine's state,
and would make unequal questions look alike.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any, cast

import psycopg

from clinic.bootstrap import Services, build
from clinic.devtools.bench.bench import Bench, Filled
from clinic.devtools.bench.database import book_days, settle
from clinic.devtools.bench.processor import backends, cpu_ns
from clinic.devtools.bench.reads import listing_span
from clinic.devtools.bench.world import (
    CLINIC_ID,
    DOCTOR_IDS,
    OFFICE_ID,
    PATIENT_IDS,
    SLOT_IDS,
    numbered,
    specialty_of,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Role
from clinic.ports.calendars import SlotQuery, SlotView
from clinic.settings import Settings
from clinic.usecases.appointments.book import book
from clinic.usecases.calendar.find_slots import SlotSearch, find_slots

Question = Callable[[int], Awaitable[object]]

OFFICE = Actor(OFFICE_ID, Role.RECEPTIONIST, CLINIC_ID)
FIRST_OPEN, LISTED = 20, 200
#: how often a question is asked before it is another's turn
BATCH = 50
#: per question in QUESTIONS: each first reads the clinic, or the facts of a booking
STATEMENTS = 2
#: one in so many of the 14 days' slots is taken, as in a calendar in use
TAKEN_ONE_IN = 2

_DB_TIME = "µs of database time"

# How a calendar without the flag would ask: the same columns, a covering index, and the
# appointments that occupy a slot found through the index that makes them unique.
_ANTIJOIN_INDEX = """
CREATE INDEX bench_antijoin_idx ON slots (clinic_id, doctor_id, starts_at, id)
INCLUDE (ends_at, specialty) WHERE state = 'OPEN'
"""
_ANTIJOIN = """
SELECT s.id, s.doctor_id, s.specialty, s.starts_at, s.ends_at, u.name
FROM slots s JOIN users u ON u.id = s.doctor_id
WHERE s.clinic_id = $1 AND s.state = 'OPEN' AND s.starts_at >= $2 AND s.starts_at < $3
  AND s.doctor_id = $5
  AND NOT EXISTS (
      SELECT FROM appointments a
      WHERE a.clinic_id = s.clinic_id AND a.slot_id = s.id
        AND a.status IN ('HELD', 'BOOKED', 'CONFIRMED', 'ARRIVED', 'COMPLETED', 'NO_SHOW')
  )
ORDER BY s.starts_at, s.id LIMIT $4
"""


def measure_scale(bench: Bench) -> None:
    """Record what first open slots, a listing and a booking cost at each size."""
    sizes = dict.fromkeys(["10k", bench.effort.small, bench.effort.large])
    filled = {size: bench.database(size, "_scale") for size in sizes}
    # The largest first: it evicts everything that was in memory before.
    for one in reversed(filled.values()):
        settle(bench.servers.superuser_url, one.owner_url)
    asyncio.run(_ask_in_turn(bench, filled))


async def _ask_in_turn(bench: Bench, filled: Mapping[str, Filled]) -> None:
    async with AsyncExitStack() as opened:
        # Kept open like those of a pool: a new connection must first map every page that it needs.
        services = {
            size: await opened.enter_async_context(_OneConnection(one))
            for size, one in filled.items()
        }
        smallest = filled["10k"]
        empty = _empty(await opened.enter_async_context(await _connected(smallest)))
        for number in range(-1, bench.effort.rounds):
            for name, question in QUESTIONS.items():
                asked = {
                    f"{name}_{size}": _Asked(bench, one, question(services[size], one))
                    for size, one in filled.items()
                }
                nothing = _Asked(bench, smallest, empty)
                # The smallest must not run out of slots before the last round.
                fewest = min(one.world.slots for one in filled.values())
                count_max = fewest // (bench.effort.rounds + 2) - BATCH
                await _ask(bench, {**asked, "empty": nothing}, count_max)
                if number >= 0:
                    _note(bench, asked, nothing, STATEMENTS)
                    bench.record.add(f"empty_beside_{name}", nothing.spent_us, _DB_TIME)


def measure_listing(bench: Bench) -> None:
    """Record what a 14-day listing costs the database, and what the anti-join would cost."""
    filled = bench.database(bench.effort.small, "_listing")
    start, end = listing_span(filled.world.first_day)
    book_days(filled.owner_url, start, end + timedelta(days=30), one_in=TAKEN_ONE_IN)
    with psycopg.connect(filled.owner_url, autocommit=True) as owner:
        owner.execute(_ANTIJOIN_INDEX)
        owner.execute("VACUUM ANALYZE slots")
    asyncio.run(_compare(bench, filled))


async def _compare(bench: Bench, filled: Filled) -> None:
    start, end = listing_span(filled.world.first_day)
    async with (
        _OneConnection(filled) as services,
        await _connected(filled) as connection,
    ):

        async def ours(number: int) -> object:
            doctor_id = numbered(DOCTOR_IDS, number % filled.world.doctors)
            query = SlotQuery(CLINIC_ID, start, end, doctor_id=doctor_id)
            return await services.store.calendars.list_slots(query, PageRequest(LISTED))

        async def antijoin(number: int) -> object:
            doctor = numbered(DOCTOR_IDS, number % filled.world.doctors)
            asked = (CLINIC_ID, start, end, LISTED + 1, doctor)
            cursor = await connection.execute(_ANTIJOIN, asked, prepare=True, binary=True)
            return await cursor.fetchall()

        listed = [str(view.slot.id) for view in cast("Sequence[SlotView]", await ours(0))]
        found = [str(row[0]) for row in cast("Sequence[tuple[Any, ...]]", await antijoin(0))]
        if found != listed:
            raise RuntimeError(f"the anti-join finds {len(found)} slots, we list {len(listed)}")
        for number in range(-1, bench.effort.rounds):
            asked = {
                "listing_db_time": _Asked(bench, filled, ours),
                "antijoin_db_time": _Asked(bench, filled, antijoin),
            }
            nothing = _Asked(bench, filled, _empty(connection))
            await _ask(bench, {**asked, "empty": nothing})
            if number >= 0:
                _note(bench, asked, nothing, 1)
                bench.record.add("empty_beside_antijoin", nothing.spent_us, _DB_TIME)


def first_open(services: Services, filled: Filled) -> Question:
    """Return the question for the first open slots of a specialty, anywhere."""

    async def ask(number: int) -> object:
        return await find_slots(
            services.context(OFFICE),
            SlotSearch(specialty=specialty_of(number % filled.world.doctors)),
            PageRequest(FIRST_OPEN),
        )

    return ask


def listing(services: Services, filled: Filled) -> Question:
    """Return the question for a doctor's open slots in 14 days."""
    start, end = listing_span(filled.world.first_day)

    async def ask(number: int) -> object:
        return await find_slots(
            services.context(OFFICE),
            SlotSearch(
                numbered(DOCTOR_IDS, number % filled.world.doctors),
                starts_from=start,
                starts_before=end,
            ),
            PageRequest(LISTED),
        )

    return ask


def one_booking(services: Services, filled: Filled) -> Question:
    """Return the question that books one slot after another."""

    async def ask(number: int) -> object:
        slot = filled.world.slot_of(filled.take(1))
        patient_id = numbered(PATIENT_IDS, filled.world.patient_of(slot))
        return await book(
            services.context(Actor(patient_id, Role.PATIENT, CLINIC_ID)), numbered(SLOT_IDS, slot)
        )

    return ask


QUESTIONS: Mapping[str, Callable[[Services, Filled], Question]] = {
    "first_open": first_open,
    "listing": listing,
    "one_booking": one_booking,
}


class _Asked:
    """A question that is asked repeatedly, and what it has cost its database."""

    def __init__(self, bench: Bench, filled: Filled, question: Question) -> None:
        self._backends = backends(bench.servers.superuser_url, filled.app_url)
        self._question = question
        self._spent_ns = 0
        self.count = 0

    async def ask(self) -> None:
        """Ask `BATCH` times more."""
        before = self._cpu_ns()
        for number in range(self.count, self.count + BATCH):
            await self._question(number)
        self._spent_ns += self._cpu_ns() - before
        self.count += BATCH

    @property
    def spent_us(self) -> float:
        """The database's processor time for one question."""
        return self._spent_ns / self.count / 1000

    def forget(self) -> None:
        """Reset the cost, after a warm-up."""
        self._spent_ns, self.count = 0, 0

    def _cpu_ns(self) -> int:
        return sum(cpu_ns(pid) for pid in self._backends)


async def _ask(bench: Bench, asked: Mapping[str, _Asked], count_max: int | None = None) -> None:
    """Ask all of them in turn, as often as fits into a round."""
    for one in asked.values():
        await one.ask()
        one.forget()
    deadline = time.perf_counter() + bench.effort.round_s / 2 * len(asked)
    # Alternate in small batches: the machine's speed drifts within seconds.
    while time.perf_counter() < deadline:
        for one in asked.values():
            await one.ask()
        if count_max is not None and one.count + BATCH > count_max:
            break


def _note(bench: Bench, asked: Mapping[str, _Asked], empty: _Asked, statements: int) -> None:
    """Record what each cost beyond as many empty statements."""
    for name, one in asked.items():
        bench.record.add(name, one.spent_us - statements * empty.spent_us, _DB_TIME)


async def _connected(filled: Filled) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        filled.app_url, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
    )


def _empty(connection: psycopg.AsyncConnection[Any]) -> Question:
    """Return the question that runs an empty statement."""

    async def ask(_: int) -> object:
        cursor = await connection.execute("SELECT 1", (), prepare=True, binary=True)
        return await cursor.fetchall()

    return ask


class _OneConnection:
    """Services with one connection, open as long as the block runs."""

    def __init__(self, filled: Filled) -> None:
        self._services = build(
            Settings(database_url=filled.app_url, pool_size=1, secret=token_urlsafe(48))
        )

    async def __aenter__(self) -> Services:
        await self._services.store.open()
        return self._services

    async def __aexit__(self, *_: object) -> None:
        await self._services.store.close()
