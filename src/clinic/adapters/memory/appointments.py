"""Appointments and their trail in memory."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from clinic.adapters.memory.adding import add_bookings
from clinic.adapters.memory.brakes import brakes_of
from clinic.adapters.memory.constraints import (
    check_appointments,
    in_lane,
    is_taken,
    location_of,
    on_calendar,
    rivals_for_patient,
)
from clinic.adapters.memory.paging import page_of
from clinic.adapters.memory.people import doctor_of, patient_of
from clinic.adapters.memory.resources import (
    check_holds,
    held_by,
    hold_resources,
    holds_of,
    release_resources,
)
from clinic.adapters.memory.sessions import check_signed_in
from clinic.adapters.memory.tables import Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.appointments.appointments import Appointment, AppointmentView, Booking, Change
from clinic.domain.appointments.fitting import begins_in, obstacles
from clinic.domain.appointments.resources import HeldResource
from clinic.domain.audit.audit import AuditEntry
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.plan import is_covered
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Brakes, Clinic
from clinic.domain.errors import (
    ClinicError,
    Conflict,
    NoResourceFree,
    SlotTaken,
    TransactionAborted,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Scope
from clinic.ports.appointments import AppointmentQuery, Locked, ScheduleEntry


class MemoryAppointmentReader:
    """Reads appointments and their trail."""

    def __init__(self, tables: Tables) -> None:
        self._committed = tables

    @property
    def _tables(self) -> Tables:
        return self._committed

    async def get(self, scope: Scope, appointment_id: UUID) -> AppointmentView | None:
        found = self._tables.appointments.get((scope.clinic_id, appointment_id))
        return self._view(found) if found is not None and _is_in(found, scope) else None

    async def list(
        self, asker: Actor, query: AppointmentQuery, page: PageRequest
    ) -> Sequence[AppointmentView]:
        check_signed_in(self._tables, query.scope.clinic_id, asker)
        return [self._view(one) for one in page_of(self._asked_for(query), page, _place)]

    async def schedule(self, query: AppointmentQuery, limit: int) -> Sequence[ScheduleEntry]:
        return [self._entry(one) for one in sorted(self._asked_for(query), key=_place)[:limit]]

    async def trail(self, scope: Scope, appointment_id: UUID) -> Sequence[AuditEntry]:
        if await self.get(scope, appointment_id) is None:
            return ()
        entries = self._tables.audit.where("appointment", (scope.clinic_id, appointment_id))
        return sorted(entries, key=lambda entry: entry.version)

    async def occupying(
        self, clinic_id: UUID, slot_ids: Sequence[UUID]
    ) -> Sequence[AppointmentView]:
        found = [
            one
            for slot_id in set(slot_ids)
            for one in self._tables.appointments.where("slot", (clinic_id, slot_id))
            if one.status.occupies
        ]
        return [self._view(one) for one in sorted(found, key=_place)]

    async def busy_times(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Mapping[tuple[UUID, int], Sequence[Interval]]:
        wanted = Interval(start, end)
        busy: defaultdict[tuple[UUID, int], list[Interval]] = defaultdict(list)
        for doctor_id in set(doctor_ids):
            for one in self._tables.appointments.where("doctor", (clinic_id, doctor_id)):
                if one.status.occupies and one.is_busy_in(wanted):
                    busy[doctor_id, one.lane].append(one.busy)
        return {lane: sorted(times) for lane, times in busy.items()}

    async def lasting(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Sequence[AppointmentView]:
        found = [
            one
            for doctor_id in doctor_ids
            for one in self._tables.appointments.where("doctor", (clinic_id, doctor_id))
            if one.status.occupies and start <= one.starts_at < end and self._outlasts_slot(one)
        ]
        return [self._view(one) for one in sorted(found, key=_place)]

    def _outlasts_slot(self, appointment: Appointment) -> bool:
        slot = self._tables.slots.get((appointment.clinic_id, appointment.slot_id))
        assert slot is not None
        return appointment.ends_at > slot.ends_at

    async def holding(
        self, clinic_id: UUID, resource_id: UUID, start: datetime, end: datetime | None
    ) -> Sequence[AppointmentView]:
        found = [
            one
            for hold in holds_of(self._tables, (clinic_id, resource_id))
            if hold.time.ends_at > start and (end is None or hold.time.starts_at < end)
            if (one := self._tables.appointments.get((clinic_id, hold.appointment_id)))
        ]
        return [self._view(one) for one in sorted(found, key=_place)]

    async def stranded(
        self, clinic_id: UUID, *, since: datetime, until: datetime, limit: int
    ) -> Sequence[AppointmentView]:
        found = [
            one
            for one in self._tables.appointments.where("clinic", clinic_id)
            if one.status.occupies and since <= one.starts_at < until
            if not any(is_covered(one.visible, times) for times in self._open_times(one))
        ]
        return [self._view(one) for one in sorted(found, key=_place)[:limit]]

    def _open_times(self, appointment: Appointment) -> Sequence[Sequence[Interval]]:
        """Return the times of the doctor's open slots that the appointment overlaps, in order, of
        each location."""
        found: defaultdict[UUID | None, list[Interval]] = defaultdict(list)
        for slot in on_calendar(self._tables, appointment):
            if slot.state is SlotState.OPEN:
                found[slot.location_id].append(slot.interval)
        return [sorted(times) for times in found.values()]

    async def brakes(self, clinic: Clinic, patient_id: UUID, slot: Slot) -> Brakes:
        return brakes_of(self._tables, clinic, patient_id, slot)

    async def count_ahead(self, clinic_id: UUID, now: datetime) -> int:
        return sum(
            one.status.occupies and one.starts_at > now
            for one in self._tables.appointments.where("clinic", clinic_id)
        )

    def _asked_for(self, query: AppointmentQuery) -> Iterable[Appointment]:
        clinic = self._tables.clinics.get(query.scope.clinic_id)
        last = None
        if query.horizon_from is not None and clinic is not None:
            _, last = clinic.policy.bookable_window(query.horizon_from)
        return (
            one
            for one in self._candidates(query)
            if _is_asked_for(one, query) and (last is None or one.starts_at <= last)
        )

    def _candidates(self, query: AppointmentQuery) -> Iterable[Appointment]:
        clinic_id = query.scope.clinic_id
        patient_id = query.patient_id or query.scope.patient_id
        doctor_id = query.doctor_id or query.scope.doctor_id
        if patient_id is not None:
            return self._tables.appointments.where("patient", (clinic_id, patient_id))
        if doctor_id is not None:
            return self._tables.appointments.where("doctor", (clinic_id, doctor_id))
        return self._tables.appointments.where("clinic", clinic_id)

    def _entry(self, appointment: Appointment) -> ScheduleEntry:
        view = self._view(appointment)
        return ScheduleEntry(
            str(appointment.id),
            view.patient_name,
            view.doctor_name,
            appointment.starts_at,
            appointment.ends_at,
            appointment.type,
            appointment.status,
            view.zone.key,
        )

    def _view(self, appointment: Appointment) -> AppointmentView:
        clinic = self._tables.clinics.get(appointment.clinic_id)
        doctor = doctor_of(self._tables, appointment.clinic_id, appointment.doctor_id)
        patient = patient_of(self._tables, appointment.clinic_id, appointment.patient_id)
        assert clinic is not None
        assert doctor is not None
        assert patient is not None
        held = held_by(self._tables, appointment)
        place = location_of(self._tables, appointment)
        where = (None, None) if place is None else (place.id, place.name)
        return AppointmentView(appointment, doctor.name, patient.name, clinic.zone, held, *where)


class MemoryAppointments(MemoryAppointmentReader):
    """Appointments inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.layer)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def lock(
        self, scope: Scope, appointment_ids: Sequence[UUID], slot_ids: Sequence[UUID] = ()
    ) -> Locked:
        clinic_id = scope.clinic_id
        seen = self._visible(scope, appointment_ids)
        wanted = {one.slot_id for one in seen.values()} | set(slot_ids)
        wanted |= {slot.id for one in seen.values() for slot in on_calendar(self._tables, one)}
        known = [each for each in wanted if self._tables.slots.get((clinic_id, each)) is not None]
        await self._lock_rows(clinic_id, known, seen)
        appointments = self._visible(scope, list(seen))
        if any(one.slot_id not in known for one in appointments.values()):
            self._transaction.fail(TransactionAborted())
        slots = (self._tables.slots.get((clinic_id, each)) for each in known)
        return Locked(appointments, {slot.id: slot for slot in slots if slot is not None})

    async def apply(self, changes: Sequence[Change]) -> None:
        afters = [change.after for change in changes]
        for clinic_id in {one.clinic_id for one in afters}:
            mine = [change for change in changes if change.after.clinic_id == clinic_id]
            touched = {each for change in mine for each in (change.frees, change.takes)}
            await self._lock_rows(clinic_id, touched - {None}, {c.after.id for c in mine})
        self._check_unchanged(changes)
        self._take_slots(changes)
        comers = [one for one in afters if one.status.occupies]
        await self._transaction.wait_until_no_rival(
            lambda tables: rivals_for_patient(tables, comers)
        )
        moving, had = self._release(changes)
        for one in afters:
            self._tables.appointments.put((one.clinic_id, one.id), one)
        for _, kind in await hold_resources(self._transaction, moving, had):
            self._transaction.fail(NoResourceFree(kind=kind))
        try:
            check_appointments(self._tables, afters)
            check_holds(self._tables, afters)
        except ClinicError as error:
            self._transaction.fail(error)
        for change in changes:
            self._retake(change.before)
            self._retake(change.after)
        for change in changes:
            self._tables.audit.put(change.audit.id, change.audit)
            for message in change.messages:
                self._tables.messages.put(message.id, message)

    async def add(self, bookings: Sequence[Booking]) -> None:
        await add_bookings(self._transaction, bookings)

    async def reserve(self, booking: Booking) -> tuple[HeldResource, ...]:
        try:
            await add_bookings(self._transaction, [booking])
        except Conflict as error:
            self._transaction.fail(error)
        return held_by(self._tables, booking.appointment)

    async def _lock_rows(
        self, clinic_id: UUID, slot_ids: Iterable[UUID | None], appointment_ids: Iterable[UUID]
    ) -> None:
        for slot_id in sorted(each for each in slot_ids if each is not None):
            await self._transaction.lock(("slot", clinic_id, slot_id))
        for appointment_id in sorted(appointment_ids):
            await self._transaction.lock(("appointment", clinic_id, appointment_id))

    def _visible(self, scope: Scope, ids: Sequence[UUID]) -> dict[UUID, Appointment]:
        rows = (self._tables.appointments.get((scope.clinic_id, each)) for each in ids)
        return {one.id: one for one in rows if one is not None and _is_in(one, scope)}

    def _check_unchanged(self, changes: Sequence[Change]) -> None:
        for change in changes:
            before = change.before
            if self._tables.appointments.get((before.clinic_id, before.id)) != before:
                self._transaction.fail(TransactionAborted())

    def _take_slots(self, changes: Sequence[Change]) -> None:
        """Refuse to take a slot that is not open, or that another appointment has."""
        moving = {change.before.id for change in changes}
        for change in changes:
            if change.takes is None:
                continue
            after = change.after
            slot = self._tables.slots.get((after.clinic_id, change.takes))
            others = (one for one in in_lane(self._tables, after) if one.id not in moving)
            # Whose time it is, the appointments say: `taken` may be by those that move.
            beneath = [
                replace(each, taken=is_taken(self._tables, each, leaving=moving))
                for each in on_calendar(self._tables, after)
            ]
            if not begins_in(after, slot) or obstacles(after, beneath) or any(others):
                self._transaction.fail(SlotTaken())

    def _release(
        self, changes: Sequence[Change]
    ) -> tuple[Sequence[tuple[Appointment, Sequence[str]]], Mapping[UUID, Collection[UUID]]]:
        """Take the resources from appointments that take another place; return what each needs
        there, and what it had."""
        wanted: list[tuple[Appointment, Sequence[str]]] = []
        had: dict[UUID, Collection[UUID]] = {}
        for change in changes:
            one = change.after
            if change.takes is not None and one.type_id is not None:
                before = release_resources(self._tables, one.clinic_id, one.id)
                kinds = sorted(before.values()) if change.needs is None else change.needs
                wanted.append((one, kinds))
                had[one.id] = before.keys()
        return wanted, had

    def _retake(self, appointment: Appointment) -> None:
        """Make `taken` true of the appointment's own slot and of those planned in its time."""
        own = self._tables.slots.get((appointment.clinic_id, appointment.slot_id))
        assert own is not None
        for slot in (own, *on_calendar(self._tables, appointment)):
            self._tables.slots.put(
                (slot.clinic_id, slot.id), replace(slot, taken=is_taken(self._tables, slot))
            )


def _place(appointment: Appointment) -> tuple[datetime, UUID]:
    return (appointment.starts_at, appointment.id)


def _is_in(appointment: Appointment, scope: Scope) -> bool:
    return (
        appointment.clinic_id == scope.clinic_id
        and scope.patient_id in (None, appointment.patient_id)
        and scope.doctor_id in (None, appointment.doctor_id)
    )


def _is_asked_for(appointment: Appointment, query: AppointmentQuery) -> bool:
    starts_at = appointment.starts_at
    return (
        _is_in(appointment, query.scope)
        and query.doctor_id in (None, appointment.doctor_id)
        and query.patient_id in (None, appointment.patient_id)
        and (query.starts_from is None or starts_at >= query.starts_from)
        and (query.starts_before is None or starts_at < query.starts_before)
        and (not query.statuses or appointment.status in query.statuses)
    )
