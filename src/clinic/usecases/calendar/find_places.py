"""Find the slots in which an appointment of a type can begin."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from clinic.domain.appointments.booking import end_of
from clinic.domain.appointments.fitting import DoctorsTime, free_starts
from clinic.domain.appointments.resources import ResourcesTime
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.calendar.availability import SLOT_MAX_MIN, Interval
from clinic.domain.calendar.closings import ClosedTime
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Clinic
from clinic.domain.paging import LIMIT_MAX, Keyset, Page, PageRequest
from clinic.ports.calendars import SlotQuery, SlotView
from clinic.usecases.calendar.inputs import Reads, closed_times, in_lane
from clinic.usecases.context import Context
from clinic.usecases.paging import page_of

#: returns when a patient has other appointments that overlap a span
PatientTimes = Callable[[Interval], Awaitable[Sequence[Interval]]]
#: how many free slots one page looks at; the next page goes on after them
LOOKED_AT_MAX = 400
#: how many free slots a page looks at beyond those that it may show
SPARE = 16
#: how many free slots the first page of one doctor looks at
GLANCED = PageRequest(LIMIT_MAX)
#: how many slots a refusal names in place of the one that was asked for
NEAREST = 3
#: how many free slots near it are looked at for those in which a type fits
NEAREST_LOOKED_AT = 40


async def find_places(
    context: Context, clinic: Clinic, query: SlotQuery, page: PageRequest, kind: AppointmentType
) -> Page[SlotView]:
    """Return a page of the free slots of a query in which an appointment of the type can begin.

    It looks at no more than LOOKED_AT_MAX slots: a page may have fewer items than asked for, or
    none, and there may be more on the next one.
    """
    if query.doctor_id is not None:
        minutes = kind.visible_min_with(query.doctor_id)
        if minutes is None:
            return Page(())
        if kind.is_of_slots_alone:
            found_page = await _find_of_doctor(context, query, page, timedelta(minutes=minutes))
            if found_page is not None:
                return found_page
    backwards = page.after is not None and page.after.backwards
    found: list[SlotView] = []
    request, looked_at = _first(page), 0
    while True:
        rows = await context.store.calendars.list_slots(query, request)
        seen = page_of(rows, request, place_of)
        fitting = await places_among(context, context.store, clinic, seen.items, kind)
        found = [*fitting, *found] if backwards else [*found, *fitting]
        looked_at += len(seen.items)
        on = seen.previous if backwards else seen.next
        if len(found) > page.limit or on is None:
            return page_of(found[-page.one_more :] if backwards else found, page, place_of)
        if looked_at >= LOOKED_AT_MAX:
            return _cut(found, page, on)
        request = _next(request, on)


async def _find_of_doctor(
    context: Context, query: SlotQuery, page: PageRequest, length: timedelta
) -> Page[SlotView] | None:
    """Return the page for one doctor and appointments of this length without buffers, for which the
    list of free slots is enough; None where the doctor has several places at one time."""
    wide = replace(query, starts_before=query.starts_before + length)
    after, backwards = page.after, page.after is not None and page.after.backwards
    request = _first(page)
    if after is not None and backwards:
        # Those before the place may last into slots after it.
        request = PageRequest(request.limit, replace(after, at=after.at + length))
    rows: list[SlotView] = []
    while True:
        seen = page_of(await context.store.calendars.list_slots(wide, request), request, place_of)
        if not all(map(_is_only_lane, seen.items)):
            return None
        rows = [*seen.items, *rows] if backwards else [*rows, *seen.items]
        on = seen.previous if backwards else seen.next
        starts = free_starts([view.slot for view in rows], length, is_all=backwards or on is None)
        certain = _before(rows[: starts.certain], query, after)
        found = [rows[each] for each in starts.places if each < certain]
        if len(found) > page.limit or on is None:
            return page_of(found[-page.one_more :] if backwards else found, page, place_of)
        if certain >= LOOKED_AT_MAX:
            return _cut(found, page, on if backwards else place_of(rows[certain - 1]))
        request = _next(request, on)


def first_places(
    free: Sequence[SlotView], query: SlotQuery, page: PageRequest, length: timedelta
) -> tuple[Page[SlotView], int] | None:
    """Return the first page of the starts of appointments of this length without buffers, among a
    doctor's first free slots as GLANCED asks for them, and how many slots were in the range of the
    query. None when the page is not full and there are more slots, or several lanes."""
    if not all(map(_is_only_lane, free)):
        return None
    is_all = len(free) <= GLANCED.limit
    starts = free_starts([view.slot for view in free], length, is_all=is_all)
    certain = _before(free[: starts.certain], query, None)
    found = [free[each] for each in starts.places if each < certain]
    return (page_of(found, page, place_of), certain) if is_all or len(found) > page.limit else None


def _is_only_lane(view: SlotView) -> bool:
    return view.slot.lane == 1 and not view.has_others


def _before(rows: Sequence[SlotView], query: SlotQuery, after: Keyset | None) -> int:
    """Return how many of the slots, which are in order, are in the query's range, and when looking
    backwards before the place."""
    if after is not None and after.backwards:
        return bisect_left(rows, after.at, key=lambda view: view.slot.starts_at)
    return bisect_left(rows, query.starts_before, key=lambda view: view.slot.starts_at)


def _first(page: PageRequest) -> PageRequest:
    """Return the request for the free slots that a page looks at first."""
    return PageRequest(min(LIMIT_MAX, page.limit + SPARE), page.after)


def _next(request: PageRequest, on: Keyset) -> PageRequest:
    """Return the request for those that it looks at next: twice as many."""
    return PageRequest(min(LIMIT_MAX, 2 * request.limit), on)


def _cut(found: Sequence[SlotView], page: PageRequest, on: Keyset) -> Page[SlotView]:
    """Return the page of what was found so far, whose neighbour goes on where the look ended."""
    here = page_of(found, page, place_of)
    if on.backwards:
        after = here.next or (None if page.after is None else replace(page.after, backwards=False))
        return Page(here.items, next=after, previous=on)
    before = here.previous or (None if page.after is None else replace(page.after, backwards=True))
    return Page(here.items, next=on, previous=before)


async def places_among(
    context: Context,
    reads: Reads,
    clinic: Clinic,
    views: Sequence[SlotView],
    kind: AppointmentType,
) -> list[SlotView]:
    """Return those of the free slots, which are in order and one for each start, at which the type
    fits and what it needs is free: each in the lowest lane in which it fits, with the number of
    such lanes."""
    offered = [view for view in views if kind.visible_min_with(view.slot.doctor_id) is not None]
    if not offered or (kind.is_of_slots_alone and all(_holds(view.slot, kind) for view in offered)):
        return offered
    doctors = list({view.slot.doctor_id for view in offered})
    since = offered[0].slot.starts_at - timedelta(minutes=kind.before_min)
    until = offered[-1].slot.starts_at + timedelta(minutes=SLOT_MAX_MIN + kind.after_min)
    lanes: defaultdict[tuple[UUID, int], list[Slot]] = defaultdict(list)
    free: defaultdict[tuple[UUID, datetime], list[Slot]] = defaultdict(list)
    for slot in await reads.calendars.slots_between(clinic.id, doctors, since, until):
        lanes[slot.doctor_id, slot.lane].append(slot)
        if slot.is_free:
            free[slot.doctor_id, slot.starts_at].append(slot)
    busy: Mapping[tuple[UUID, int], Sequence[Interval]] = {}
    closed: Mapping[UUID, Sequence[ClosedTime]] = {}
    if kind.has_buffers:
        # Without them, the slots say it all.
        busy = await reads.appointments.busy_times(clinic.id, doctors, since, until)
        closed = await closed_times(context, reads, clinic, doctors, Interval(since, until))
    times = {
        (*lane, here): DoctorsTime(
            slots, busy.get(lane, ()), in_lane(closed.get(lane[0], ()), lane[1], here)
        )
        for lane, slots in lanes.items()
        for here in {slot.location_id for slot in slots}
    }
    found = []
    for view in offered:
        beside = free[view.slot.doctor_id, view.slot.starts_at]
        fitting = [slot for slot in beside if times[_place_on(slot)].fits(slot, kind)]
        if fitting:
            first = min(fitting, key=lambda slot: slot.lane)
            found.append(replace(view, slot=first, places=len(fitting)))
    if not kind.needs or not found:
        return found
    everywhere = await reads.resources.timetable(clinic.id, kind.needs, since, until)
    at = {each: everywhere.at(each) for each in {view.slot.location_id for view in found}}
    return [view for view in found if _has_resources(at[view.slot.location_id], view.slot, kind)]


def _has_resources(resources: ResourcesTime, slot: Slot, kind: AppointmentType) -> bool:
    """Return whether one of each kind that the type needs is free for it in the slot."""
    minutes = kind.visible_min_with(slot.doctor_id)
    assert minutes is not None
    busy = kind.busy(Interval(slot.starts_at, slot.starts_at + timedelta(minutes=minutes)))
    occasion = kind.occasion(slot.doctor_id, slot.starts_at)
    return resources.lacking(kind.needs, busy, occasion) is None


def _holds(slot: Slot, kind: AppointmentType) -> bool:
    """Return whether the slot is as long as an appointment of this type."""
    minutes = kind.visible_min_with(slot.doctor_id)
    return minutes is not None and slot.starts_at + timedelta(minutes=minutes) <= slot.ends_at


def _place_on(slot: Slot) -> tuple[UUID, int, UUID | None]:
    return slot.doctor_id, slot.lane, slot.location_id


async def nearest_places(
    context: Context,
    reads: Reads,
    clinic: Clinic,
    slot: Slot,
    kind: AppointmentType | None,
    patient_busy: PatientTimes | None = None,
) -> Sequence[SlotView]:
    """Return up to NEAREST free slots closest in time to `slot`, earliest first, in which an
    appointment of the type can begin; without a type, any. `patient_busy` returns the times of a
    patient's appointments in a span, which it may not meet."""
    policy = clinic.policy if kind is None else kind.policy_at(clinic)
    earliest, latest = policy.bookable_window(context.clock.now())
    nearest = await reads.calendars.nearest_free(
        slot,
        starts_from=earliest,
        starts_before=latest,
        limit=NEAREST if kind is None and patient_busy is None else NEAREST_LOOKED_AT,
    )
    if kind is not None:
        nearest = await places_among(context, reads, clinic, nearest, kind)
    if patient_busy is not None and nearest:
        visible = [Interval(each.slot.starts_at, end_of(each.slot, kind)) for each in nearest]
        busy = await patient_busy(Interval(visible[0].starts_at, max(visible).ends_at))
        nearest = [
            view
            for view, time in zip(nearest, visible, strict=True)
            if not any(map(time.overlaps, busy))
        ]
    by_distance = sorted(nearest, key=lambda view: abs(view.slot.starts_at - slot.starts_at))
    return sorted(
        by_distance[:NEAREST], key=lambda view: (view.slot.starts_at, view.slot.doctor_id)
    )


def place_of(view: SlotView) -> Keyset:
    return Keyset(view.slot.starts_at, view.slot.id)
