"""Makes the sample clinic's appointments in every status, as a clinic would have made them.

Each step runs the use case with the clock set to when it would have happened.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import cycle
from uuid import UUID

from clinic.bootstrap import Services
from clinic.devtools.demo.offer import CHECK_UP, CONSULTATION, FOLLOW_UP
from clinic.devtools.demo.sample import REASON, Sample, acting
from clinic.domain.appointments.appointments import Status
from clinic.domain.appointments.booking import decide_booking
from clinic.domain.calendar.availability import day_interval
from clinic.domain.calendar.slots import Slot
from clinic.domain.errors import DoesNotFit, PatientBusy, SlotBlocked, SlotTaken
from clinic.domain.paging import LIMIT_MAX, Keyset, PageRequest
from clinic.domain.people.people import Actor, Patient, Role
from clinic.ports.calendars import SlotQuery
from clinic.usecases.appointments.book import book
from clinic.usecases.appointments.change_appointment import change_status

PAST = timedelta(days=14)
AHEAD = timedelta(days=28)
#: one slot in so many is taken
PAST_EVERY, FUTURE_EVERY = 8, 11
FUTURE_MAX = 80
PAGES_MAX = 50
TYPES = (CONSULTATION, FOLLOW_UP, CONSULTATION, CHECK_UP)
#: what may refuse a longer appointment
IN_THE_WAY = (PatientBusy, SlotTaken, SlotBlocked, DoesNotFit)
#: patients with appointments; the rest are free to race
REGULARS = 40
#: patients with a slot held, or held for them until it expired
HOLDING = 4


@dataclass(frozen=True, slots=True)
class SetClock:
    """A clock that always shows the same instant."""

    at: datetime

    def now(self) -> datetime:
        return self.at


def at(services: Services, instant: datetime) -> Services:
    """Return the same services with the clock set to `instant`."""
    return replace(services, clock=SetClock(instant))


async def make_history(services: Services, sample: Sample) -> None:
    """Make past and future appointments, in every status.

    When repeated, after a start that was killed half-way, it skips patients who are busy.
    """
    now = services.clock.now()
    regulars = cycle(sample.patients[-REGULARS:])
    past = await free_slots(services, sample, now - PAST, now - timedelta(hours=1))
    for number, slot in enumerate(past[::PAST_EVERY]):
        with suppress(*IN_THE_WAY):
            await _past_appointment(services, sample, slot, next(regulars), number)
    with suppress(PatientBusy):
        await _arrived_today(services, sample, now, next(regulars))
    ahead = await free_slots(services, sample, now + timedelta(hours=2), now + AHEAD)
    chosen = ahead[::FUTURE_EVERY][:FUTURE_MAX]
    for number, slot in enumerate(chosen):
        with suppress(*IN_THE_WAY):
            await _coming_appointment(services, sample, slot, next(regulars), number)
    holding = sample.patients[-REGULARS - HOLDING : -REGULARS]
    # Read again: a check-up takes several slots.
    left = await free_slots(services, sample, now + timedelta(hours=2), now + AHEAD)
    for number, (slot, patient) in enumerate(zip(left[1::FUTURE_EVERY], holding, strict=False)):
        with suppress(PatientBusy):
            await _held(services, sample, slot, patient, expired=number % 2 == 1)


async def free_slots(
    services: Services, sample: Sample, start: datetime, end: datetime
) -> Sequence[Slot]:
    """Return every free slot that starts within `[start, end)`, earliest first."""
    query = SlotQuery(sample.clinic.id, start, end)
    found: list[Slot] = []
    after: Keyset | None = None
    for _ in range(PAGES_MAX):
        page = PageRequest(LIMIT_MAX, after)
        views = (await services.store.calendars.list_slots(query, page))[:LIMIT_MAX]
        found.extend(view.slot for view in views)
        if len(views) < LIMIT_MAX:
            break
        after = Keyset(found[-1].starts_at, found[-1].id)
    return found


async def _past_appointment(
    services: Services, sample: Sample, slot: Slot, patient: Patient, number: int
) -> None:
    made = await _book(services, sample, slot, patient, slot.starts_at - timedelta(days=2), number)
    if number % 10 == 4:
        before = at(services, slot.starts_at - timedelta(days=1))
        await _change(before, _patient(sample, patient), made, Status.CANCELLED)
    elif number % 10 == 7:
        await _change(at(services, slot.ends_at), sample.office, made, Status.NO_SHOW)
    else:
        arriving = at(services, _arrival(sample, slot, minutes=5))
        await _change(arriving, sample.office, made, Status.ARRIVED)
        await _change(at(services, slot.ends_at), _doctor(sample, slot), made, Status.COMPLETED)


async def _coming_appointment(
    services: Services, sample: Sample, slot: Slot, patient: Patient, number: int
) -> None:
    now = services.clock.now()
    made = await _book(services, sample, slot, patient, now - timedelta(minutes=30), number)
    if number % 12 == 5:
        await _change(services, _patient(sample, patient), made, Status.CANCELLED)
    elif number % 3 == 1:
        await _change(services, _patient(sample, patient), made, Status.CONFIRMED)


async def _arrived_today(
    services: Services, sample: Sample, now: datetime, patient: Patient
) -> None:
    """Put one patient in the waiting room, for the free slot closest to now."""
    near = await free_slots(services, sample, now - PAST, now + timedelta(hours=8))
    # Nobody arrives for tomorrow.
    today = sample.clinic.local_date(now)
    near = [slot for slot in near if sample.clinic.local_date(slot.starts_at) <= today]
    if not near:
        return
    slot = min(near, key=lambda one: abs(one.starts_at - now))
    made = await _book(services, sample, slot, patient, slot.starts_at - timedelta(days=1), 0)
    arriving = at(services, min(now, _arrival(sample, slot, minutes=8)))
    await _change(arriving, sample.office, made, Status.ARRIVED)


def _arrival(sample: Sample, slot: Slot, *, minutes: int) -> datetime:
    """Return the time so many minutes before the slot, on its day."""
    midnight = day_interval(sample.clinic.local_date(slot.starts_at), sample.clinic.zone).starts_at
    return max(slot.starts_at - timedelta(minutes=minutes), midnight)


async def _held(
    services: Services, sample: Sample, slot: Slot, patient: Patient, *, expired: bool
) -> None:
    """Hold a slot for a patient who has yet to pay. Nothing else makes such an appointment yet."""
    desk = services.store.desk
    facts = await desk.load_facts(_patient(sample, patient), slot.id, patient.id)
    booking = decide_booking(
        facts,
        actor=_patient(sample, patient),
        type=TYPES[0],
        reason=REASON,
        override=False,
        now=services.clock.now(),
        new_id=services.new_id,
    )
    held = replace(
        booking,
        appointment=replace(booking.appointment, status=Status.HELD),
        audit=replace(booking.audit, to_status=Status.HELD),
        messages=(),
    )
    await desk.reserve(held)
    if expired:
        await _change(services, sample.system, held.appointment.id, Status.EXPIRED)


async def _book(
    services: Services,
    sample: Sample,
    slot: Slot,
    patient: Patient,
    when: datetime,
    number: int,
) -> UUID:
    view = await book(
        acting(at(services, when), sample.office),
        slot.id,
        patient_id=patient.id,
        type=TYPES[number % len(TYPES)],
    )
    return view.appointment.id


async def _change(services: Services, actor: Actor, appointment_id: UUID, to: Status) -> None:
    await change_status(acting(services, actor), appointment_id, to=to)


def _patient(sample: Sample, patient: Patient) -> Actor:
    return Actor(patient.id, Role.PATIENT, sample.clinic.id)


def _doctor(sample: Sample, slot: Slot) -> Actor:
    return Actor(slot.doctor_id, Role.DOCTOR, sample.clinic.id)
