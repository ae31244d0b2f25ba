"""Hours and slots in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from clinic.adapters.memory.appointment_types import active_types
from clinic.adapters.memory.constraints import (
    check_doctor,
    check_location,
    check_slots,
    is_taken,
    rivals_for_slots,
)
from clinic.adapters.memory.paging import page_of
from clinic.adapters.memory.people import doctor_of
from clinic.adapters.memory.sessions import check_signed_in
from clinic.adapters.memory.tables import Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.calendar.availability import Availability, AvailabilityException, Interval
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import (
    AlreadyExists,
    AvailabilityNotFound,
    ClinicError,
    DoctorNotFound,
    ExceptionNotFound,
    SlotNotFound,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Doctor
from clinic.ports.calendars import FreeSlots, Glance, SlotQuery, SlotView, one_for_each_start


class MemoryCalendarReader:
    """Reads hours and slots."""

    def __init__(self, tables: Tables) -> None:
        self._committed = tables

    @property
    def _tables(self) -> Tables:
        return self._committed

    async def list_slots(self, query: SlotQuery, page: PageRequest) -> Sequence[SlotView]:
        if query.doctor_id is None:
            rows = self._tables.slots.where("clinic", query.clinic_id)
        else:
            rows = self._tables.slots.where("doctor", (query.clinic_id, query.doctor_id))
        found = [slot for slot in rows if _is_asked_for(slot, query)]
        if not query.free_only:
            return [self._view(slot) for slot in page_of(found, page, _place)]
        lanes = [self._view(slot, 1) for slot in sorted(found, key=_lane_of)]
        return page_of(one_for_each_start(lanes), self._by_doctor(query, page), _start_of)

    def _by_doctor(self, query: SlotQuery, page: PageRequest) -> PageRequest:
        """Return the page, whose place has the id of a slot's doctor in place of the slot's."""
        if page.after is None:
            return page
        known = self._tables.slots.get((query.clinic_id, page.after.id))
        doctor_id = query.doctor_id or (page.after.id if known is None else known.doctor_id)
        return replace(page, after=replace(page.after, id=doctor_id))

    async def glance(self, asker: Actor, query: SlotQuery, page: PageRequest) -> Glance | None:
        assert query.doctor_id is not None
        clinic = self._tables.clinics.get(query.clinic_id)
        if clinic is None:
            return None
        check_signed_in(self._tables, query.clinic_id, asker)
        clinic = clinic.without_contact()
        types = active_types(self._tables, query.clinic_id)
        if doctor_of(self._tables, query.clinic_id, query.doctor_id) is None:
            return Glance(clinic, None, types)
        views = tuple(await self.list_slots(query, page))
        return Glance(clinic, FreeSlots(views, lambda: views), types)

    async def nearest_free(
        self, slot: Slot, *, starts_from: datetime, starts_before: datetime, limit: int
    ) -> Sequence[SlotView]:
        free = [
            other
            for other in self._tables.slots.where("clinic", slot.clinic_id)
            if other.is_free
            and other.id != slot.id
            and starts_from <= other.starts_at < starts_before
            and (other.doctor_id == slot.doctor_id or _same_specialty(other, slot.specialty))
        ]
        own = [other for other in free if other.doctor_id == slot.doctor_id]
        lanes = [self._view(other, 1) for other in sorted(own or free, key=_lane_of)]
        nearest = sorted(
            (replace(view, places=None, has_others=False) for view in one_for_each_start(lanes)),
            key=lambda view: (abs(view.slot.starts_at - slot.starts_at), *_start_of(view)),
        )
        return sorted(nearest[:limit], key=_start_of)

    async def slot(self, clinic_id: UUID, slot_id: UUID) -> SlotView | None:
        found = self._tables.slots.get((clinic_id, slot_id))
        return None if found is None else self._view(found)

    async def slots_between(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Sequence[Slot]:
        stretch = Interval(start, end)
        found = (
            slot for slot in self._of(clinic_id, doctor_ids) if slot.interval.overlaps(stretch)
        )
        return sorted(found, key=_place)

    async def count_slots(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> int:
        return sum(
            start <= slot.starts_at < end and slot.state is not SlotState.RETIRED
            for slot in self._of(clinic_id, doctor_ids)
        )

    async def last_slot_starts(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID]
    ) -> Mapping[UUID, datetime]:
        starts: dict[UUID, datetime] = {}
        for slot in self._of(clinic_id, doctor_ids):
            known = starts.get(slot.doctor_id, slot.starts_at)
            starts[slot.doctor_id] = max(known, slot.starts_at)
        return starts

    def _of(self, clinic_id: UUID, doctor_ids: Sequence[UUID]) -> Iterator[Slot]:
        for doctor_id in set(doctor_ids):
            yield from self._tables.slots.where("doctor", (clinic_id, doctor_id))

    async def availabilities(
        self, clinic_id: UUID, doctor_id: UUID | None = None
    ) -> Sequence[Availability]:
        table = self._tables.availabilities
        if doctor_id is None:
            return sorted(table.where("clinic", clinic_id), key=lambda hours: hours.id)
        return sorted(table.where("doctor", (clinic_id, doctor_id)), key=lambda hours: hours.id)

    async def exceptions(
        self, clinic_id: UUID, doctor_id: UUID | None = None
    ) -> Sequence[AvailabilityException]:
        table = self._tables.exceptions
        if doctor_id is None:
            rows = table.where("clinic", clinic_id)
        else:
            rows = table.where("doctor", (clinic_id, doctor_id))
        return sorted(rows, key=lambda one: (one.on_date, one.id))

    def _view(self, slot: Slot, places: int | None = None) -> SlotView:
        doctor = doctor_of(self._tables, slot.clinic_id, slot.doctor_id)
        assert doctor is not None
        return SlotView(slot, doctor.name, places)


class MemoryCalendars(MemoryCalendarReader):
    """Hours and slots inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.layer)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def lock_doctor(self, clinic_id: UUID, doctor_id: UUID) -> Doctor | None:
        if doctor_of(self._tables, clinic_id, doctor_id) is None:
            return None
        await self._transaction.lock(("doctor", clinic_id, doctor_id))
        return doctor_of(self._tables, clinic_id, doctor_id)

    async def lock_doctors(self, clinic_id: UUID) -> Sequence[Doctor]:
        profiles = self._tables.doctors.where("clinic", clinic_id)
        ids = sorted(profile.user_id for profile in profiles)
        found = [await self.lock_doctor(clinic_id, doctor_id) for doctor_id in ids]
        return [doctor for doctor in found if doctor is not None]

    async def set_last_day(self, clinic_id: UUID, doctor_id: UUID, last_day: date | None) -> None:
        await self._transaction.lock(("doctor", clinic_id, doctor_id))
        profile = self._tables.doctors.get((clinic_id, doctor_id))
        if profile is None:
            self._transaction.fail(DoctorNotFound())
        self._tables.doctors.put((clinic_id, doctor_id), replace(profile, last_day=last_day))

    async def add_availability(self, availability: Availability) -> None:
        key = (availability.clinic_id, availability.id)
        await self._transaction.lock(("availability", *key))
        self._check_new(self._tables.availabilities.get(key), availability)
        self._tables.availabilities.put(key, availability)

    async def replace_availability(self, availability: Availability) -> None:
        key = (availability.clinic_id, availability.id)
        await self._transaction.lock(("availability", *key))
        if self._tables.availabilities.get(key) is None:
            self._transaction.fail(AvailabilityNotFound())
        self._check_new(None, availability)
        self._tables.availabilities.put(key, availability)

    async def delete_availability(self, clinic_id: UUID, availability_id: UUID) -> None:
        key = (clinic_id, availability_id)
        await self._transaction.lock(("availability", *key))
        if self._tables.availabilities.get(key) is None:
            self._transaction.fail(AvailabilityNotFound())
        self._tables.availabilities.remove(key)

    async def add_exception(self, exception: AvailabilityException) -> None:
        key = (exception.clinic_id, exception.id)
        await self._transaction.lock(("exception", *key))
        self._check_new(self._tables.exceptions.get(key), exception)
        self._tables.exceptions.put(key, exception)

    async def delete_exception(self, clinic_id: UUID, exception_id: UUID) -> None:
        key = (clinic_id, exception_id)
        await self._transaction.lock(("exception", *key))
        if self._tables.exceptions.get(key) is None:
            self._transaction.fail(ExceptionNotFound())
        self._tables.exceptions.remove(key)

    async def lock_slots(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Sequence[Slot]:
        wanted = await self.slots_between(clinic_id, doctor_ids, start, end)
        for slot_id in sorted(slot.id for slot in wanted):
            await self._transaction.lock(("slot", clinic_id, slot_id))
        return await self.slots_between(clinic_id, doctor_ids, start, end)

    async def add_slots(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            await self._transaction.lock(("slot", slot.clinic_id, slot.id))
        placed = [slot for slot in slots if slot.state is not SlotState.RETIRED]
        await self._transaction.wait_until_no_rival(lambda tables: rivals_for_slots(tables, placed))
        for slot in slots:
            self._check_new(self._tables.slots.get((slot.clinic_id, slot.id)), slot)
            self._tables.slots.put((slot.clinic_id, slot.id), self._made_true(slot))
        self._check_placed(placed)

    async def retake(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> None:
        for slot in await self.slots_between(clinic_id, doctor_ids, start, end):
            if slot.state is not SlotState.RETIRED:
                self._tables.slots.put((clinic_id, slot.id), self._made_true(slot))

    async def set_slot_locations(
        self, clinic_id: UUID, locations: Mapping[UUID, UUID | None]
    ) -> None:
        moved = []
        for slot_id in sorted(locations):
            await self._transaction.lock(("slot", clinic_id, slot_id))
            slot = self._tables.slots.get((clinic_id, slot_id))
            if slot is None:
                raise SlotNotFound()
            moved.append(replace(slot, location_id=locations[slot_id]))
        placed = [slot for slot in moved if slot.state is not SlotState.RETIRED]
        await self._transaction.wait_until_no_rival(lambda tables: rivals_for_slots(tables, placed))
        for slot in moved:
            self._tables.slots.put((clinic_id, slot.id), slot)
        self._check_placed(moved)

    async def set_slot_state(
        self, clinic_id: UUID, slot_ids: Sequence[UUID], state: SlotState
    ) -> None:
        slots = []
        for slot_id in sorted(set(slot_ids)):
            if self._tables.slots.get((clinic_id, slot_id)) is None:
                raise SlotNotFound()
            await self._transaction.lock(("slot", clinic_id, slot_id))
            slot = self._tables.slots.get((clinic_id, slot_id))
            assert slot is not None
            slots.append(slot)
        back = [slot for slot in slots if slot.state is SlotState.RETIRED is not state]
        await self._transaction.wait_until_no_rival(lambda tables: rivals_for_slots(tables, back))
        for slot in slots:
            after = self._made_true(replace(slot, state=state))
            self._tables.slots.put((clinic_id, slot.id), after)
        self._check_placed(back)

    def _made_true(self, slot: Slot) -> Slot:
        return replace(slot, taken=is_taken(self._tables, slot))

    def _check_new(self, known: object, row: Slot | Availability | AvailabilityException) -> None:
        if known is not None:
            self._transaction.fail(AlreadyExists())
        try:
            check_doctor(self._tables, row.clinic_id, row.doctor_id)
            check_location(self._tables, row.clinic_id, row.location_id)
        except ClinicError as error:
            self._transaction.fail(error)

    def _check_placed(self, slots: Sequence[Slot]) -> None:
        try:
            check_slots(self._tables, slots)
        except ClinicError as error:
            self._transaction.fail(error)


def _place(slot: Slot) -> tuple[datetime, UUID]:
    return (slot.starts_at, slot.id)


def _lane_of(slot: Slot) -> tuple[datetime, UUID, int]:
    return (slot.starts_at, slot.doctor_id, slot.lane)


def _start_of(view: SlotView) -> tuple[datetime, UUID]:
    return (view.slot.starts_at, view.slot.doctor_id)


def _is_asked_for(slot: Slot, query: SlotQuery) -> bool:
    if not query.starts_from <= slot.starts_at < query.starts_before:
        return False
    if query.specialty is not None and not _same_specialty(slot, query.specialty):
        return False
    if query.location_id not in (None, slot.location_id):
        return False
    if query.free_only:
        return slot.is_free
    if query.state is not None:
        return slot.state is query.state
    return slot.state is not SlotState.RETIRED


def _same_specialty(slot: Slot, specialty: str) -> bool:
    return slot.specialty.lower() == specialty.lower()
