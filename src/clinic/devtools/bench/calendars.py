"""Closing a day for all doctors, and opening a year of slots while the clinic closes on some days.

Both are compared with what PostgreSQL needs for the same rows alone: one UPDATE of the day's slots,
and COPY of the year's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from datetime import time as dt_time
from secrets import token_urlsafe

import psycopg

from clinic.bootstrap import Services, build
from clinic.devtools.bench.bench import Bench, Filled
from clinic.devtools.bench.database import checkpoint, count, settle
from clinic.devtools.bench.opening import HOURS, copy_rows, days_opened, empty, open_slots, rows_of
from clinic.devtools.bench.processor import backends, cpu_ns
from clinic.devtools.bench.world import CLINIC_ID
from clinic.domain.calendar.availability import day_interval
from clinic.domain.calendar.closings import Closure, ClosureKind
from clinic.domain.clinic import Clinic
from clinic.domain.people.people import system_actor
from clinic.settings import Settings
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.closures import add_closure, delete_closure
from clinic.usecases.calendar.open_slots import open_slots as open_calendars
from clinic.usecases.context import Context

#: slots of each doctor on the day that is closed, of five minutes each
SLOTS_ON_DAY = 200
#: slots are open up to this many days ahead, and the day before the last one is closed
DAYS_AHEAD = 28

_LONG_DAYS = f"""
INSERT INTO availabilities (clinic_id, id, doctor_id, start_time, end_time, slot_min, weekdays)
SELECT '{CLINIC_ID}', uuidv7(), user_id, '06:00', '22:40', 5, '{{1,2,3,4,5,6,7}}'
FROM doctors_profiles
"""
_BARE_UPDATE = """
UPDATE slots SET state = %s
WHERE clinic_id = %s AND starts_at >= %s AND starts_at < %s AND state <> 'RETIRED'
"""


def measure_calendars(bench: Bench) -> None:
    """Record how long a closure of one day takes, and how fast a year with closures is opened."""
    size = "10k" if bench.effort.is_quick else "100k"
    _measure_closed_day(bench, bench.database(size, "_closing"))
    _measure_closed_year(bench, bench.database(size, "_aligning"))


def _measure_closed_day(bench: Bench, filled: Filled) -> None:
    empty(bench, filled)
    with psycopg.connect(filled.owner_url, autocommit=True) as owner:
        owner.execute(_LONG_DAYS)
    asyncio.run(_close_in_turn(bench, filled))


async def _close_in_turn(bench: Bench, filled: Filled) -> None:
    services = build(Settings(database_url=filled.app_url, secret=token_urlsafe(48)))
    await services.store.open()
    try:
        clinic = await services.store.people.clinic(CLINIC_ID)
        assert clinic is not None
        context = services.context(system_actor(CLINIC_ID))
        today = clinic.local_date(services.clock.now())
        await open_calendars(context, until=today + timedelta(days=DAYS_AHEAD))
        # What autovacuum would do soon after so many rows.
        with psycopg.connect(filled.owner_url, autocommit=True) as owner:
            owner.execute("VACUUM ANALYZE slots, free_slots")
        settle(bench.servers.superuser_url, filled.owner_url)
        day = today + timedelta(days=DAYS_AHEAD - 1)
        for number in range(-1, bench.effort.rounds):
            cpu = _Cpu(bench, filled)
            closing_s, opening_s = await _close(services, context, filled, day)
            cpu_s = cpu.spent_s() / 2
            checkpoint(bench.servers.superuser_url)
            update_s = _update(filled, clinic, day)
            checkpoint(bench.servers.superuser_url)
            if number >= 0:
                bench.record.add("closing_day", closing_s, "s")
                bench.record.add("reopening_day", opening_s, "s")
                bench.record.add("closing_day_cpu", cpu_s, "s of processor time")
                bench.record.add("closing_day_update", update_s, "s")
    finally:
        await services.close()


async def _close(
    services: Services, context: Context, filled: Filled, day: date
) -> tuple[float, float]:
    """Close the day for all doctors and open it again; return how long each took in seconds."""
    closure = Closure(services.new_id(), CLINIC_ID, "Staff training", first=day, last=day)
    wanted = filled.world.doctors * SLOTS_ON_DAY

    async def timed(change: Callable[[], Awaitable[CalendarEffect]]) -> float:
        started = time.perf_counter()
        counts = (await change()).counts
        seconds = time.perf_counter() - started
        if counts.blocked + counts.unblocked != wanted:
            raise RuntimeError(f"{counts} instead of {wanted} slots")
        return seconds

    async def close() -> CalendarEffect:
        return (await add_closure(context, closure)).effect

    async def reopen() -> CalendarEffect:
        return (await delete_closure(context, closure.id)).effect

    return await timed(close), await timed(reopen)


class _Cpu:
    """The processor time of this process and of PostgreSQL's that serve the database, from now."""

    def __init__(self, bench: Bench, filled: Filled) -> None:
        self._pids = backends(bench.servers.superuser_url, filled.app_url)
        self._before_s = self._now_s()

    def spent_s(self) -> float:
        return self._now_s() - self._before_s

    def _now_s(self) -> float:
        return time.process_time() + sum(map(cpu_ns, self._pids)) / 1e9


def _update(filled: Filled, clinic: Clinic, day: date) -> float:
    """Block the day's slots by one statement and open them again; return the first's seconds."""
    span = day_interval(day, clinic.zone)
    spent = []
    for state in ("BLOCKED", "OPEN"):
        with psycopg.connect(filled.app_url, autocommit=True) as app:
            started = time.perf_counter()
            app.execute(_BARE_UPDATE, [state, CLINIC_ID, span.starts_at, span.ends_at])
            spent.append(time.perf_counter() - started)
    return spent[0]


def _measure_closed_year(bench: Bench, filled: Filled) -> None:
    with psycopg.connect(filled.owner_url, autocommit=True) as owner:
        owner.execute(HOURS)
    asyncio.run(_add_closures(bench, filled))
    for _ in range(min(3, bench.effort.rounds)):
        empty(bench, filled)
        _, least_mb = open_slots(bench, filled, days=1)
        empty(bench, filled)
        seconds, memory_mb = open_slots(bench, filled, days=days_opened(bench))
        opened = count(filled.owner_url, "slots")
        rows = list(rows_of(filled.owner_url))
        empty(bench, filled)
        started = time.perf_counter()
        copy_rows(filled.app_url, rows)
        copied_s = time.perf_counter() - started
        bench.record.add("aligning", opened / seconds, "slots/s")
        bench.record.add("aligning_memory", memory_mb, "MB")
        bench.record.add("aligning_memory_growth", memory_mb - least_mb, "MB")
        bench.record.add("aligning_copy", opened / copied_s, "slots/s")


async def _add_closures(bench: Bench, filled: Filled) -> None:
    """Close the clinic on public holidays, for a fortnight every year, and one afternoon."""
    services = build(Settings(database_url=filled.app_url, secret=token_urlsafe(48)))
    await services.store.open()
    try:
        today = bench.now.date()
        first = today + timedelta(days=20)
        closures = (
            Closure(services.new_id(), CLINIC_ID, "Holidays", ClosureKind.HOLIDAYS, country="GB"),
            Closure(
                services.new_id(),
                CLINIC_ID,
                "Works holidays",
                ClosureKind.YEARLY,
                first,
                first + timedelta(days=13),
            ),
            Closure(
                services.new_id(),
                CLINIC_ID,
                "Inventory",
                first=today + timedelta(days=5),
                last=today + timedelta(days=5),
                start=dt_time(13),
            ),
        )
        async with services.store.begin() as unit:
            for closure in closures:
                await unit.closings.add(closure)
            await unit.commit()
    finally:
        await services.close()
