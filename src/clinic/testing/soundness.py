"""Checks the invariants of a store through its ports."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from uuid import UUID

from clinic.domain.appointments.appointments import Appointment, AppointmentView
from clinic.domain.audit.audit import AuditEntry, Replayed, replay
from clinic.domain.calendar.availability import Availability, AvailabilityException, never_overlap
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.paging import LIMIT_MAX, Keyset, PageRequest
from clinic.domain.people.people import Scope, system_actor
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
    )


async def check_sound(store: Store, clinic_id: UUID) -> None:
    """Raise AssertionError unless every promise about the clinic's slots and appointments holds.

    No slot has two occupying appointments, no patient and no doctor has overlapping ones, a slot is
    taken exactly while an appointment has its time (a retired one, while one is in it), no doctor
    has overlapping slots, appointments have the times of their slots, and every appointment's trail
    replays to its current state.
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
        together = one.starts_at < two.ends_at and two.starts_at < one.ends_at
        assert not (together and one.patient_id == two.patient_id), "a patient in two places"
        assert not (together and one.doctor_id == two.doctor_id), "a doctor with two patients"
    for doctor_id in {slot.doctor_id for slot in slots}:
        kept = [
            slot.interval
            for slot in slots
            if slot.doctor_id == doctor_id and slot.state is not SlotState.RETIRED
        ]
        assert never_overlap(kept), "a doctor with overlapping slots"
    at = {slot.id: (slot.doctor_id, slot.starts_at, slot.ends_at) for slot in slots}
    for one in appointments:
        assert at[one.slot_id] == (one.doctor_id, one.starts_at, one.ends_at), "not at its slot"
        stored = Replayed(one.status, one.slot_id, one.version)
        assert replay(held.trails[one.id]) == stored, "a trail that leads elsewhere"


def _is_taken(slot: Slot, occupying: Sequence[Appointment]) -> bool:
    if slot.state is SlotState.RETIRED:
        return any(one.slot_id == slot.id for one in occupying)
    return any(
        one.doctor_id == slot.doctor_id
        and one.starts_at < slot.ends_at
        and slot.starts_at < one.ends_at
        for one in occupying
    )


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
