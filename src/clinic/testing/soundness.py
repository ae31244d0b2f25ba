"""Checks the invariants of a store through its ports."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, AppointmentView
from clinic.domain.appointments.fitting import begins_in
from clinic.domain.appointments.resources import Resource
from clinic.domain.audit.audit import AuditEntry, Replayed, replay
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import (
    CAPACITY_MAX,
    Availability,
    AvailabilityException,
    Interval,
    never_overlap,
)
from clinic.domain.calendar.closings import Block, Closure, Holidays, Leave
from clinic.domain.calendar.locations import Location
from clinic.domain.calendar.plan import CalendarInputs, plan
from clinic.domain.calendar.slots import PlannedSlot, Slot, SlotState
from clinic.domain.clinic import Clinic
from clinic.domain.paging import LIMIT_MAX, Keyset, PageRequest
from clinic.domain.people.people import Doctor, Scope, system_actor
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.calendars import SlotQuery, SlotView
from clinic.ports.unit_of_work import Store
from clinic.usecases.calendar.check_calendars import check_calendars
from clinic.usecases.context import AnonymousContext

FIRST = datetime(2000, 1, 1, tzinfo=UTC)
LAST = datetime(2200, 1, 1, tzinfo=UTC)
PAGES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Everything:
    """One clinic's calendars and appointments, as held by a store."""

    #: including retired ones, by (starts_at, id)
    slots: tuple[SlotView, ...]
    #: by (starts_at, id)
    appointments: tuple[AppointmentView, ...]
    #: by appointment
    trails: Mapping[UUID, tuple[AuditEntry, ...]]
    hours: tuple[Availability, ...]
    exceptions: tuple[AvailabilityException, ...]
    clinic: Clinic | None
    doctors: tuple[Doctor, ...]
    closures: tuple[Closure, ...]
    leaves: tuple[Leave, ...]
    blocks: tuple[Block, ...]
    places: tuple[AddedPlace, ...]
    locations: tuple[Location, ...]
    resources: tuple[Resource, ...] = ()

    def inputs_of(self, doctor: Doctor, holidays: Holidays) -> CalendarInputs:
        """Return everything that the doctor's slots follow from."""
        assert self.clinic is not None
        return CalendarInputs(
            self.clinic.zone,
            holidays,
            works_here=doctor.works_here,
            last_day=doctor.last_day,
            hours=tuple(one for one in self.hours if one.doctor_id == doctor.id),
            exceptions=tuple(one for one in self.exceptions if one.doctor_id == doctor.id),
            closures=self.closures,
            locations=self.locations,
            leaves=tuple(one for one in self.leaves if one.doctor_id == doctor.id),
            blocks=tuple(one for one in self.blocks if one.doctor_id == doctor.id),
            places=tuple(one for one in self.places if one.doctor_id == doctor.id),
        )

    def slots_of(self, doctor: Doctor) -> list[Slot]:
        """Return the doctor's slots, retired ones included, by (starts_at, id)."""
        return [view.slot for view in self.slots if view.slot.doctor_id == doctor.id]


async def everything(store: Store, clinic_id: UUID) -> Everything:
    """Return the clinic's slots, appointments and trails in the store."""
    appointments = await every_appointment(store, clinic_id)
    scope = Scope(clinic_id)
    ids = [view.appointment.id for view in appointments]
    return Everything(
        slots=tuple(await every_slot(store, clinic_id)),
        appointments=tuple(appointments),
        trails={each: tuple(await store.appointments.trail(scope, each)) for each in ids},
        hours=tuple(await store.calendars.availabilities(clinic_id)),
        exceptions=tuple(await store.calendars.exceptions(clinic_id)),
        clinic=await store.people.clinic(clinic_id),
        doctors=tuple(await store.people.doctors(clinic_id)),
        closures=tuple(await store.closings.closures(clinic_id)),
        leaves=tuple(await store.closings.leaves(clinic_id)),
        blocks=tuple(await store.closings.blocks(clinic_id)),
        places=tuple(await store.closings.places(clinic_id)),
        resources=tuple(await store.resources.all(clinic_id)),
        locations=tuple(await store.locations.all(clinic_id)),
    )


async def check_sound(store: Store, clinic_id: UUID) -> None:
    """Raise AssertionError unless every promise about the clinic's slots and appointments holds.

    No slot has two occupying appointments, no patient has overlapping ones and in no lane of a
    doctor do they overlap, buffers included, no room or equipment has two occasions at a time or
    more of one than it holds, a slot is taken exactly while an appointment of its lane is busy in
    its time (a retired one, while one is in it), no lane has overlapping slots, no doctor is at two
    locations at a time, appointments begin with their slots and last as long unless they have a
    type, and every appointment's trail replays to its current state.
    """
    check_promises(await everything(store, clinic_id))


async def check_on_plan(context: AnonymousContext) -> None:
    """Raise AssertionError unless the slots ahead of every doctor are those that everything that
    was entered plans, open and blocked alike, as `clinic check` compares them."""
    report = await check_calendars(context)
    assert report.off_plan == (), "slots differ from the plan"


def check_promises(held: Everything) -> None:
    """Raise AssertionError unless every promise holds for what was read from a store."""
    slots = [view.slot for view in held.slots]
    appointments = [view.appointment for view in held.appointments]
    occupying = [one for one in appointments if one.status.occupies]

    occupants = Counter(one.slot_id for one in occupying)
    assert [each for each, number in occupants.items() if number > 1] == [], "double-booked"
    for slot in slots:
        assert slot.taken is _is_taken(slot, occupying), "taken is not occupied"
    for one, two in combinations(occupying, 2):
        together = one.visible.overlaps(two.visible)
        assert not (together and one.patient_id == two.patient_id), "a patient in two places"
        busy = one.is_busy_in(two.busy)
        in_one_lane = (one.doctor_id, one.lane) == (two.doctor_id, two.lane)
        assert not (busy and in_one_lane), "a lane with two patients"
    _check_resources(held)
    kept: defaultdict[tuple[UUID, int], list[Interval]] = defaultdict(list)
    for slot in slots:
        if slot.state is not SlotState.RETIRED:
            kept[slot.doctor_id, slot.lane].append(slot.interval)
    for intervals in kept.values():
        assert never_overlap(sorted(intervals)), "a lane with overlapping slots"
    located = [slot for slot in slots if slot.location_id and slot.state is not SlotState.RETIRED]
    for here, there in combinations(located, 2):
        is_apart = here.doctor_id == there.doctor_id and here.location_id != there.location_id
        assert not (is_apart and here.interval.overlaps(there.interval)), "a doctor in two places"
    at = {slot.id: slot for slot in slots}
    for one in appointments:
        slot = at[one.slot_id]
        assert begins_in(one, slot), "not at its slot"
        assert one.type_id is not None or one.ends_at == slot.ends_at, "not as long as its slot"
        stored = Replayed(one.status, one.slot_id, one.version)
        assert replay(held.trails[one.id]) == stored, "a trail that leads elsewhere"


def _check_resources(held: Everything) -> None:
    capacities = {each.id: each.capacity for each in held.resources}
    having: defaultdict[UUID, list[Appointment]] = defaultdict(list)
    for view in held.appointments:
        for each in view.resources:
            assert view.appointment.status.occupies, "a room of an appointment that is off"
            having[each.id].append(view.appointment)
    for resource_id, those in having.items():
        for one, two in combinations(those, 2):
            apart = not one.is_busy_in(two.busy)
            assert apart or one.occasion == two.occasion, "a room with two occasions"
        largest = Counter(one.occasion for one in those).most_common(1)[0][1]
        assert largest <= capacities[resource_id], "a room with more than it holds"


def check_planned(
    held: Everything, now: datetime, holidays: Holidays, *, is_opened: bool = True
) -> None:
    """Raise AssertionError unless each doctor's slots ahead are those of the plan, in their states.
    Of lanes that can stand in for each other, only the number counts.

    With `is_opened`, none is missing up to the clinic's horizon or the doctor's last slot. Nothing
    is planned where a slot that has begun has the time.
    """
    for doctor in held.doctors:
        found = held.slots_of(doctor)
        on_calendar = [slot for slot in found if slot.state is not SlotState.RETIRED]
        begun = [slot.interval for slot in on_calendar if slot.starts_at <= now]
        planned: defaultdict[tuple[Interval, int], list[PlannedSlot]] = defaultdict(list)
        for each in _planned(held, doctor, now, holidays):
            planned[each.interval, _first_lane(each.lane)].append(each)
        ahead: defaultdict[tuple[Interval, int], list[Slot]] = defaultdict(list)
        for slot in on_calendar:
            if slot.starts_at > now:
                ahead[slot.interval, _first_lane(slot.lane)].append(slot)
        for start, slots in ahead.items():
            assert len(slots) <= len(planned[start]), "slots that nobody plans"
            states = [(slot.state, planned[start][0].state_in(slot.lane)) for slot in slots]
            assert all(one is two for one, two in states), "slots in other states than planned"
            where = {slot.location_id for slot in slots}
            assert where <= {planned[start][0].location_id}, "slots at another location"
        for start, wanted in planned.items():
            interval, _ = start
            is_free = interval.starts_at > now and not any(map(interval.overlaps, begun))
            if is_opened and is_free:
                assert len(ahead[start]) == len(wanted), "slots that are not those of the plan"


def _first_lane(lane: int) -> int:
    """Return the same lane for all that hours can have, and each other one for itself."""
    return 1 if lane <= CAPACITY_MAX else lane


def _planned(
    held: Everything, doctor: Doctor, now: datetime, holidays: Holidays
) -> Sequence[PlannedSlot]:
    clinic = held.clinic
    assert clinic is not None
    today = clinic.local_date(now)
    opened = [clinic.local_date(slot.starts_at) for slot in held.slots_of(doctor)]
    last = max([today + timedelta(days=clinic.policy.horizon_days), *opened])
    return plan(held.inputs_of(doctor, holidays), today, last)


def stranded(held: Everything, now: datetime) -> Sequence[UUID]:
    """Return the appointments ahead that are not wholly within open slots, by (starts_at, id)."""
    open_slots = defaultdict(list)
    for view in held.slots:
        if view.slot.state is SlotState.OPEN:
            open_slots[view.slot.doctor_id, view.slot.lane].append(view.slot.interval)
    return [
        one.id
        for one in (view.appointment for view in held.appointments)
        if one.status.occupies
        and one.starts_at > now
        and not _is_within(one, open_slots[one.doctor_id, one.lane])
    ]


def _is_within(appointment: Appointment, slots: Sequence[Interval]) -> bool:
    """Return whether no moment of the appointment is outside the slots."""
    left = [Interval(appointment.starts_at, appointment.ends_at)]
    for slot in slots:
        left = [
            part
            for each in left
            for part in (
                Interval(each.starts_at, min(each.ends_at, slot.starts_at)),
                Interval(max(each.starts_at, slot.ends_at), each.ends_at),
            )
            if part.starts_at < part.ends_at
        ]
    return not left


def _is_taken(slot: Slot, occupying: Sequence[Appointment]) -> bool:
    if slot.state is SlotState.RETIRED:
        return any(one.slot_id == slot.id for one in occupying)
    return any(one.is_in_time_of(slot) for one in occupying)


async def every_slot(store: Store, clinic_id: UUID) -> Sequence[SlotView]:
    """Return every slot of the clinic, including retired ones, by (starts_at, id)."""
    query = SlotQuery(clinic_id, FIRST, LAST, free_only=False)
    retired = replace(query, state=SlotState.RETIRED)
    found = [view for each in (query, retired) async for view in _slots(store, each)]
    return sorted(found, key=lambda view: (view.slot.starts_at, view.slot.id))


async def every_appointment(store: Store, clinic_id: UUID) -> Sequence[AppointmentView]:
    """Return every appointment of the clinic by (starts_at, id)."""
    found: list[AppointmentView] = []
    page = PageRequest(LIMIT_MAX)
    for _ in range(PAGES_MAX):
        views = await store.appointments.list(
            system_actor(clinic_id), AppointmentQuery(Scope(clinic_id)), page
        )
        found.extend(views[: page.limit])
        if len(views) <= page.limit:
            return found
        last = found[-1].appointment
        page = PageRequest(LIMIT_MAX, Keyset(last.starts_at, last.id))
    raise AssertionError("the pages never end")


async def _slots(store: Store, query: SlotQuery) -> AsyncIterator[SlotView]:
    page = PageRequest(LIMIT_MAX)
    for _ in range(PAGES_MAX):
        views = await store.calendars.list_slots(query, page)
        for view in views[: page.limit]:
            yield view
        if len(views) <= page.limit:
            return
        last = views[page.limit - 1].slot
        page = PageRequest(LIMIT_MAX, Keyset(last.starts_at, last.id))
    raise AssertionError("the pages never end")
