"""What the show needs: a free slot, 200 patients who are free at that time, and their tokens; and a
time at which two rooms are free, and three doctors."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID

from clinic.bootstrap import CannotStart, Services
from clinic.devtools.demo.closings import read_closings
from clinic.devtools.demo.history import AHEAD, free_slots
from clinic.devtools.demo.offer import ROOMS, ULTRASOUND
from clinic.devtools.demo.sample import Sample, acting
from clinic.devtools.demo.sign_ins import make_sign_ins, people_of
from clinic.domain.appointments.appointments import OCCUPYING, AppointmentView
from clinic.domain.calendar.availability import Availability
from clinic.domain.calendar.closings import Closure
from clinic.domain.calendar.slots import Slot
from clinic.domain.errors import AvailabilityOverlap, UnknownType
from clinic.domain.paging import LIMIT_MAX, PageRequest
from clinic.domain.people.people import Doctor, Patient, Scope
from clinic.entrypoints.http.kernel.tokens import token_of
from clinic.ports.appointments import AppointmentQuery
from clinic.settings import Settings
from clinic.usecases.calendar.change_hours import add_availability
from clinic.usecases.calendar.find_slots import SlotSearch, find_slots
from clinic.usecases.people.sign_in import sign_in_as

RACERS, ROOM_RACERS = 200, 40
TOKEN_LIFETIME = timedelta(days=30)
EVENING_START, EVENING_END, EVENING_SLOT_MIN = time(18), time(21), 30


@dataclass(frozen=True, slots=True)
class RoomRace:
    """A time at which every room is free: one slot for each room but one, to be booked before, and
    those to race in for the last room."""

    before: Sequence[Slot]
    slots: Sequence[Slot]
    #: for those of `before`
    patients: Sequence[Patient]
    racers: Sequence[Patient]


@dataclass(frozen=True, slots=True)
class _SignedIn:
    """Tokens by role, and by user."""

    roles: Mapping[str, str]
    users: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class Scenario:
    """The slot to race for and one to move to, who races, and a token for each role."""

    settings: Settings
    sample: Sample
    #: the next day on which the clinic is closed, unless somebody has deleted it
    closure: Closure | None
    slot: Slot
    other_slot: Slot
    racers: Sequence[Patient]
    #: None when the rooms are never free at one time, or somebody has removed them
    room_race: RoomRace | None
    tokens: Mapping[str, str]
    #: the racers' tokens, by patient
    patient_tokens: Mapping[UUID, str]
    #: how to sign in, by role
    sign_ins: Mapping[str, Mapping[str, str]]

    @property
    def doctor(self) -> Doctor:
        return next(each for each in self.sample.doctors if each.id == self.slot.doctor_id)

    def patient_token(self, patient: Patient) -> str:
        """Return a token with which the patient books for themselves."""
        return self.patient_tokens[patient.id]


async def prepare_scenario(services: Services, sample: Sample) -> Scenario:
    """Return a scenario with slots that are free now, opening evening hours where there are none.

    Raises CannotStart when even that leaves nothing to race for.
    """
    found = await _choose(services, sample)
    if found is None:
        await _open_evenings(services, sample)
        found = await _choose(services, sample)
    if found is None:
        raise CannotStart("No slot of the sample clinic is free; start anew with another --data.")
    slot, other_slot, racers = found
    # First: setting a password ends sessions.
    sign_ins = await make_sign_ins(services, sample)
    signed_in = await _sign_in(services, sample, racers)
    closings = await read_closings(services, sample)
    return Scenario(
        services.settings,
        sample,
        closings.next_day(sample.clinic.local_date(services.clock.now())),
        slot,
        other_slot,
        racers,
        await _choose_room_race(services, sample, racers),
        signed_in.roles,
        signed_in.users,
        sign_ins,
    )


async def _choose(
    services: Services, sample: Sample
) -> tuple[Slot, Slot, Sequence[Patient]] | None:
    """Return two free slots at least a day ahead, and patients who are free at both times."""
    now = services.clock.now()
    # Neither the last day, which may leave the horizon, nor the next, which may enter the notice.
    start, end = now + timedelta(days=1), now + AHEAD - timedelta(days=1)
    slots = await free_slots(services, sample, start, end)
    for number, slot in enumerate(slots):
        other = next((one for one in slots[number + 1 :] if one.doctor_id == slot.doctor_id), None)
        if other is None:
            continue
        busy = await _busy(services, sample, slot) | await _busy(services, sample, other)
        racers = [patient for patient in sample.patients if patient.id not in busy]
        if len(racers) >= RACERS:
            return slot, other, racers[:RACERS]
    return None


async def _choose_room_race(
    services: Services, sample: Sample, patients: Sequence[Patient]
) -> RoomRace | None:
    """Return the first time at which more doctors are free for an ultrasound than there are rooms,
    which then must all be free, and the patients who are."""
    now = services.clock.now()
    search = SlotSearch(
        starts_from=now + timedelta(days=1), starts_before=now + AHEAD, type=ULTRASOUND
    )
    context = acting(services, sample.office)
    by_start: defaultdict[datetime, list[Slot]] = defaultdict(list)
    try:
        found = await find_slots(context, search, PageRequest(LIMIT_MAX))
    except UnknownType:
        return None
    for view in found.items:
        by_start[view.slot.starts_at].append(view.slot)
    last = max(by_start, default=None)
    for starts_at, slots in sorted(by_start.items()):
        # There may be more of the last one on the next page.
        if len(slots) <= len(ROOMS) or starts_at == last:
            continue
        if await _rooms_taken(services, sample, slots[0]):
            continue
        busy = await _busy(services, sample, slots[0])
        free = [patient for patient in patients if patient.id not in busy]
        taken = len(ROOMS) - 1
        if len(free) >= taken + ROOM_RACERS:
            return RoomRace(slots[:taken], slots[taken:], free[:taken], free[taken:][:ROOM_RACERS])
    return None


async def _rooms_taken(services: Services, sample: Sample, slot: Slot) -> bool:
    """Return whether any of the rooms is in use in the time of the slot."""
    views = await _near(services, sample, slot)
    return any(view.resources and view.appointment.busy.overlaps(slot.interval) for view in views)


async def _busy(services: Services, sample: Sample, slot: Slot) -> set[object]:
    """Return the ids of patients who have an appointment that could overlap `slot`."""
    return {view.appointment.patient_id for view in await _near(services, sample, slot)}


async def _near(services: Services, sample: Sample, slot: Slot) -> Sequence[AppointmentView]:
    """Return the appointments that could overlap `slot`."""
    query = AppointmentQuery(
        Scope(sample.clinic.id),
        starts_from=slot.starts_at - timedelta(hours=8),
        starts_before=slot.ends_at,
        statuses=OCCUPYING,
    )
    return await services.store.appointments.list(sample.system, query, PageRequest(LIMIT_MAX))


async def _open_evenings(services: Services, sample: Sample) -> None:
    """Add evening hours on every day of the next weeks to the first doctor."""
    today = sample.clinic.local_date(services.clock.now())
    for day in range(2, AHEAD.days - 1):
        hours = Availability(
            services.new_id(),
            sample.clinic.id,
            sample.doctors[0].id,
            EVENING_START,
            EVENING_END,
            EVENING_SLOT_MIN,
            on_date=today + timedelta(days=day),
        )
        with suppress(AvailabilityOverlap):
            await add_availability(acting(services, sample.system), hours)


async def _sign_in(services: Services, sample: Sample, racers: Sequence[Patient]) -> _SignedIn:
    """Return a token for each role and each racer, each with its own session."""
    people = people_of(sample)
    users = {*people.values(), *(racer.id for racer in racers)}
    made = await sign_in_as(services.context(sample.system), sorted(users), lifetime=TOKEN_LIFETIME)
    tokens = {one.user.id: token_of(one, services.settings) for one in made}
    by_role = {role: tokens[user_id] for role, user_id in people.items()}
    return _SignedIn(by_role, tokens)
