"""The web process under load: books, moves, confirms, cancels and checks in, and prints commits.

Run: python web.py SEED CLINIC RATE. Each line on standard output is a committed change:
appointment, schedule_version, status, and a time after the commit. If it is killed, a change that
it did not print may have been committed all the same.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from uuid import UUID

from clinic.bootstrap import build
from clinic.domain.appointments.appointments import AppointmentView, Status
from clinic.domain.errors import ClinicError, TemporaryFailure
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Role
from clinic.ports.calendars import SlotQuery
from clinic.settings import settings_from_environment
from clinic.usecases.appointments.book import book
from clinic.usecases.appointments.change_appointment import change_status, reschedule

TASKS = 6


async def main() -> None:  # noqa: C901 - three things to do, each in its branch
    seed, clinic_id, rate = int(sys.argv[1]), UUID(sys.argv[2]), float(sys.argv[3])
    chance = random.Random(seed)
    services = build(settings_from_environment())
    if os.environ.get("CHAOS_WITHOUT_OUTBOX"):
        from sabotage import without_outbox  # type: ignore[import-not-found]

        without_outbox(services)
    while True:
        try:
            await services.store.open()
            break
        except TemporaryFailure:
            await asyncio.sleep(0.2)
    actor = Actor(UUID(int=0), Role.ADMIN, clinic_id)
    patients = await services.store.people.patients(clinic_id, limit=10_000)
    free: list[UUID] = []
    mine: list[UUID] = []
    refused: Counter[str] = Counter()

    async def free_slot() -> UUID | None:
        if not free:
            now = services.clock.now()
            query = SlotQuery(clinic_id, now, now.replace(year=now.year + 1))
            found = await services.store.calendars.list_slots(query, PageRequest(200))
            free.extend(view.slot.id for view in found)
            chance.shuffle(free)
        return free.pop() if free else None

    def say(view: AppointmentView) -> None:
        one = view.appointment
        line = {
            "appointment": str(one.id),
            "version": one.schedule_version,
            "status": one.status.value,
            "committed": time.time(),
        }
        print(json.dumps(line), flush=True)

    context = services.context(actor)

    async def step() -> None:
        slot_id = await free_slot()
        what = chance.random()
        if (what < 0.55 or not mine) and slot_id is not None:
            view = await book(
                context, slot_id, patient_id=chance.choice(patients).id, override=True
            )
            mine.append(view.appointment.id)
        elif what < 0.75 and slot_id is not None:
            view = await reschedule(context, chance.choice(mine), slot_id=slot_id, override=True)
        else:
            to = chance.choice([Status.CANCELLED, Status.CONFIRMED, Status.ARRIVED])
            place = chance.randrange(len(mine))
            # Confirmed appointments may still be moved, cancelled or marked as arrived.
            view = await change_status(
                context, mine[place] if to is Status.CONFIRMED else mine.pop(place), to=to
            )
        say(view)

    async def task() -> None:
        while True:
            try:
                await step()
            except TemporaryFailure:
                await asyncio.sleep(0.2)
            except ClinicError as error:
                refused[error.code] += 1
                if refused[error.code] == 1 and os.environ.get("CHAOS_VERBOSE"):
                    print(f"refused: {error!r}", file=sys.stderr, flush=True)
            await asyncio.sleep(chance.expovariate(rate / TASKS))

    await asyncio.gather(*(task() for _ in range(TASKS)))


if __name__ == "__main__":
    asyncio.run(main())
