"""Appointments and their trail."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, bindparam, func, insert, select, union, update
from sqlalchemy.ext.asyncio import AsyncConnection

from clinic.adapters.postgres.appointments.adding import add_bookings
from clinic.adapters.postgres.appointments.booking_statement import reservation
from clinic.adapters.postgres.appointments.brakes import brakes_of
from clinic.adapters.postgres.appointments.mapping import STATUSES, appointment_of, view_of
from clinic.adapters.postgres.appointments.resources import (
    Wanted,
    hold_resources,
    release_resources,
)
from clinic.adapters.postgres.appointments.statements import (
    APPOINTMENT,
    BUSY_TIMES,
    COUNT_AHEAD,
    HOLDING_APPOINTMENTS,
    LASTING_APPOINTMENTS,
    OCCUPYING_APPOINTMENTS,
    STRANDED_APPOINTMENTS,
    WITHIN_HORIZON,
    listing,
    schedule,
)
from clinic.adapters.postgres.audit.mapping import entry_of, entry_values
from clinic.adapters.postgres.calendar.mapping import slot_of
from clinic.adapters.postgres.calendar.taken import leave, slots_beneath, take
from clinic.adapters.postgres.engine.executors import Executor, TransactionExecutor
from clinic.adapters.postgres.messaging.mapping import message_values
from clinic.adapters.postgres.people.session_checks import IS_SIGNED_IN, SIGNED_IN
from clinic.adapters.postgres.schema.appointments import appointments
from clinic.adapters.postgres.schema.audit import audit_appointment
from clinic.adapters.postgres.schema.calendar import slots
from clinic.adapters.postgres.schema.messaging import notification_outbox
from clinic.domain.appointments.appointments import (
    Appointment,
    AppointmentView,
    Booking,
    Change,
    Status,
)
from clinic.domain.appointments.fitting import begins_in, beneath, obstacles
from clinic.domain.appointments.resources import HeldResource
from clinic.domain.audit.audit import AuditEntry
from clinic.domain.calendar.availability import SLOT_MAX_MIN, Interval
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Brakes, Clinic
from clinic.domain.errors import NoResourceFree, NotSignedIn, SlotTaken, TransactionAborted
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Scope
from clinic.ports.appointments import AppointmentQuery, Locked, ScheduleEntry

_LONGEST_SLOT = timedelta(minutes=SLOT_MAX_MIN)
_APPOINTMENT = tuple(column for column in appointments.c if column.name != "updated_at")


class PostgresAppointmentReader:
    """Reads appointments and their trail."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def get(self, scope: Scope, appointment_id: UUID) -> AppointmentView | None:
        """Return the appointment, or None when it does not exist within `scope`."""
        rows = await self._executor.fetch(
            APPOINTMENT, (scope.clinic_id, appointment_id, scope.patient_id, scope.doctor_id)
        )
        return view_of(scope.clinic_id, rows[0]) if rows else None

    async def list(
        self, asker: Actor, query: AppointmentQuery, page: PageRequest
    ) -> Sequence[AppointmentView]:
        """Return at most `page.one_more` appointments by (starts_at, id), beyond `page.after`.

        The same statement checks the session; only if it finds nothing does a second one tell why.
        Raises NotSignedIn.
        """
        place = page.after
        backwards = place is not None and place.backwards
        conditions, given = _filters(query)
        values = [query.scope.clinic_id, page.one_more, *given]
        if place is not None:
            sign, at = "<" if backwards else ">", len(values) + 1
            conditions.append(f"(a.starts_at, a.id) {sign} (${at}::timestamptz, ${at + 1}::uuid)")
            values += [place.at, place.id]
        claims = [asker.session_id, asker.user_id, asker.role.value]
        if asker.session_id is not None:
            at = len(values) + 1
            values += claims
            conditions.append(SIGNED_IN.format(at, at + 1, at + 2))
        rows = await self._executor.fetch(listing(conditions, backwards=backwards), values)
        if not rows and asker.session_id is not None:
            (counts,) = (await self._executor.fetch(IS_SIGNED_IN, values[:1] + claims))[0]
            if not counts:
                raise NotSignedIn()
        views = [view_of(query.scope.clinic_id, row) for row in rows]
        if backwards:
            views.reverse()
        return views

    async def schedule(self, query: AppointmentQuery, limit: int) -> Sequence[ScheduleEntry]:
        """Return at most `limit` appointments by (starts_at, id), with names and nothing else."""
        conditions, given = _filters(query)
        values = [query.scope.clinic_id, limit, *given]
        rows = await self._executor.fetch(schedule(conditions), values)
        return [
            ScheduleEntry(found, patient, doctor, starts_at, ends_at, kind, STATUSES[status], zone)
            for found, patient, doctor, starts_at, ends_at, kind, status, zone in rows
        ]

    async def trail(self, scope: Scope, appointment_id: UUID) -> Sequence[AuditEntry]:
        """Return the appointment's audit entries by version; empty when it is not in `scope`."""
        audit = audit_appointment
        query = select(audit).where(
            audit.c.clinic_id == scope.clinic_id, audit.c.appointment_id == appointment_id
        )
        if scope.patient_id is not None or scope.doctor_id is not None:
            mine = select(appointments.c.id).where(
                *_within(scope), appointments.c.id == appointment_id
            )
            query = query.where(mine.exists())
        async with self._executor.connection() as connection:
            rows = (await connection.execute(query.order_by(audit.c.version, audit.c.id))).all()
        return [entry_of(row) for row in rows]

    async def occupying(
        self, clinic_id: UUID, slot_ids: Sequence[UUID]
    ) -> Sequence[AppointmentView]:
        """Return the appointments that occupy any of these slots, earliest first."""
        rows = await self._executor.fetch(OCCUPYING_APPOINTMENTS, (clinic_id, list(slot_ids)))
        return [view_of(clinic_id, row) for row in rows]

    async def busy_times(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Mapping[tuple[UUID, int], Sequence[Interval]]:
        """Return the busy times of these doctors that overlap `[start, end)`, by doctor and lane,
        earliest first."""
        rows = await self._executor.fetch(BUSY_TIMES, (clinic_id, list(doctor_ids), start, end))
        busy: dict[tuple[UUID, int], list[Interval]] = {}
        for doctor_id, lane, busy_from, busy_until in rows:
            busy.setdefault((doctor_id, lane), []).append(Interval(busy_from, busy_until))
        return busy

    async def lasting(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Sequence[AppointmentView]:
        """Return these doctors' appointments that occupy a time, start within `[start, end)`, and
        last beyond the slot that they begin in; earliest first."""
        given = (clinic_id, list(doctor_ids), start, end)
        rows = await self._executor.fetch(LASTING_APPOINTMENTS, given)
        return [view_of(clinic_id, row) for row in rows]

    async def holding(
        self, clinic_id: UUID, resource_id: UUID, start: datetime, end: datetime | None
    ) -> Sequence[AppointmentView]:
        """Return the appointments that have this resource within `[start, end)`, earliest
        first."""
        given = (clinic_id, resource_id, start, end)
        rows = await self._executor.fetch(HOLDING_APPOINTMENTS, given)
        return [view_of(clinic_id, row) for row in rows]

    async def stranded(
        self, clinic_id: UUID, *, since: datetime, until: datetime, limit: int
    ) -> Sequence[AppointmentView]:
        """Return up to `limit` appointments that start within `[since, until)` and are not wholly
        within open slots, earliest first."""
        rows = await self._executor.fetch(STRANDED_APPOINTMENTS, (clinic_id, since, until, limit))
        return [view_of(clinic_id, row) for row in rows]

    async def brakes(self, clinic: Clinic, patient_id: UUID, slot: Slot) -> Brakes:
        """Return what the clinic's limits on the patient's appointments are checked against, for
        one in this slot."""
        return await brakes_of(self._executor, clinic, patient_id, slot)

    async def count_ahead(self, clinic_id: UUID, now: datetime) -> int:
        """Return how many appointments that occupy a time start after `now`."""
        rows = await self._executor.fetch(COUNT_AHEAD, (clinic_id, now))
        count: int = rows[0][0]
        return count


class PostgresAppointments(PostgresAppointmentReader):
    """Changes appointments inside a unit of work.

    NO KEY locks keep others from changing a row but let them insert references to it.
    """

    def __init__(self, executor: TransactionExecutor) -> None:
        super().__init__(executor)
        self._transaction = executor

    async def lock(
        self, scope: Scope, appointment_ids: Sequence[UUID], slot_ids: Sequence[UUID] = ()
    ) -> Locked:
        """Lock slots by id, then appointments by id; return both.

        Raises TransactionAborted when an appointment moved to another slot in between.
        """
        mine = (*_within(scope), appointments.c.id == func.any(list(appointment_ids)))
        wanted = union(
            select(func.unnest(bindparam("slot_ids", list(slot_ids), ARRAY(Uuid())))),
            select(appointments.c.slot_id).where(*mine),
            # What is planned in their time beside their own slots, which may be retired.
            select(slots.c.id)
            .join(appointments, slots.c.doctor_id == appointments.c.doctor_id)
            .where(
                *mine,
                slots.c.clinic_id == scope.clinic_id,
                slots.c.lane == appointments.c.lane,
                slots.c.state != SlotState.RETIRED.value,
                slots.c.starts_at > appointments.c.busy_from - _LONGEST_SLOT,
                slots.c.starts_at < appointments.c.busy_until,
                slots.c.ends_at > appointments.c.busy_from,
            ),
        )
        lock_slots = (
            select(slots)
            .where(slots.c.clinic_id == scope.clinic_id, slots.c.id.in_(wanted))
            .order_by(slots.c.id)
            .with_for_update(key_share=True, of=slots)
        )
        lock_appointments = (
            select(*_APPOINTMENT)
            .where(*mine)
            .order_by(appointments.c.id)
            .with_for_update(key_share=True)
        )
        async with self._executor.connection() as connection:
            slot_rows = (await connection.execute(lock_slots)).all()
            appointment_rows = (await connection.execute(lock_appointments)).all()
            locked = Locked(
                {row.id: appointment_of(row) for row in appointment_rows},
                {row.id: slot_of(row) for row in slot_rows},
            )
            if any(one.slot_id not in locked.slots for one in locked.appointments.values()):
                raise TransactionAborted()
        return locked

    async def apply(self, changes: Sequence[Change]) -> None:
        """Write changes of locked appointments with their audit entries and messages.

        Raises SlotTaken, NoResourceFree, PatientBusy, TransactionAborted.
        """
        if not changes:
            return
        left = [change.before for change in changes if change.frees is not None]
        frees = {one.slot_id for one in left}
        comers = [change.after for change in changes if change.takes is not None]
        clinic_id = changes[0].after.clinic_id
        async with self._executor.connection() as connection:
            if frees & {one.slot_id for one in comers} or any(map(_is_in_its_own_way, changes)):
                await _park(connection, [change.before for change in changes])
                await leave(connection, left)
            await _take_places(connection, clinic_id, comers)
            resources = await _released(connection, clinic_id, changes)
            await _write(connection, changes)
            for kind in (await hold_resources(self._executor, resources)).lacking.values():
                raise NoResourceFree(kind=kind)
            await leave(connection, left)
            entries = [entry_values(change.audit) for change in changes]
            await connection.execute(insert(audit_appointment), entries)
            messages = [message for change in changes for message in change.messages]
            if messages:
                rows = [message_values(message) for message in messages]
                await connection.execute(insert(notification_outbox), rows)

    async def add(self, bookings: Sequence[Booking]) -> None:
        """Add the appointments with their audit entries, messages and answers, all or none.

        Raises SlotTaken, PatientBusy, IdempotencyConflict or AlreadyExists for one, BookingsRefused
        for several, after which the transaction can continue; TransactionAborted.
        """
        await add_bookings(self._transaction, bookings)

    async def reserve(self, booking: Booking) -> tuple[HeldResource, ...]:
        """Add one appointment by booking's statement, and return what it gets, by kind.

        Raises SlotTaken, PatientBusy, NoResourceFree, TransactionAborted.
        """
        wanted = Wanted(booking.appointment, booking.needs)
        if booking.reaches_beyond:
            await add_bookings(self._transaction, [replace(booking, needs=())])
        elif not await self._executor.fetch(*reservation(booking)):
            raise SlotTaken()
        given = await hold_resources(self._executor, [wanted])
        for kind in given.lacking.values():
            raise NoResourceFree(kind=kind)
        return tuple(given.held)


def _is_in_its_own_way(change: Change) -> bool:
    """Return whether the appointment moves into a slot whose time it has some of already."""
    before, after = change.before, change.after
    return (
        change.takes is not None
        and before.status.occupies
        and (before.doctor_id, before.lane) == (after.doctor_id, after.lane)
        and before.busy.overlaps(after.busy)
    )


async def _take_places(
    connection: AsyncConnection, clinic_id: UUID, comers: Sequence[Appointment]
) -> None:
    """Take the slots of appointments that move there. Raises SlotTaken when one does not fit."""
    if not comers:
        return
    found = await slots_beneath(connection, clinic_id, comers)
    by_id = {slot.id: slot for slot in found}
    for one in comers:
        if not begins_in(one, by_id.get(one.slot_id)) or obstacles(one, found):
            raise SlotTaken()
    takes = {slot.id for one in comers for slot in beneath(one, found) if not slot.taken}
    if await take(connection, clinic_id, takes) != len(takes):
        raise SlotTaken()


async def _released(
    connection: AsyncConnection, clinic_id: UUID, changes: Sequence[Change]
) -> list[Wanted]:
    """Take the resources from appointments that take another place; return what each needs there,
    which it gets once it is written."""
    moving = [each for each in changes if each.takes is not None and each.after.type_id]
    if not moving:
        return []
    had = await release_resources(connection, clinic_id, [each.after.id for each in moving])
    wanted: list[Wanted] = []
    for change in moving:
        before = had.get(change.after.id, {})
        kinds = sorted(before.values()) if change.needs is None else change.needs
        wanted.append(Wanted(change.after, kinds, before))
    return wanted


def _filters(query: AppointmentQuery) -> tuple[list[str], list[object]]:
    """Return the conditions on `a`, numbered from $3 as listings expect, and their values."""
    filters: list[tuple[str, object]] = [
        ("a.doctor_id = ${}", query.scope.doctor_id),
        ("a.doctor_id = ${}", query.doctor_id),
        ("a.patient_id = ${}", query.scope.patient_id),
        ("a.patient_id = ${}", query.patient_id),
        ("a.starts_at >= ${}", query.starts_from),
        ("a.starts_at < ${}", query.starts_before),
        (WITHIN_HORIZON, query.horizon_from),
        ("a.status = ANY (${}::text[])", [each.value for each in query.statuses] or None),
    ]
    given = [each for each in filters if each[1] is not None]
    conditions = [text.format(at) for at, (text, _) in enumerate(given, 3)]
    return conditions, [value for _, value in given]


def _within(scope: Scope) -> list[ColumnElement[bool]]:
    conditions = [appointments.c.clinic_id == scope.clinic_id]
    if scope.patient_id is not None:
        conditions.append(appointments.c.patient_id == scope.patient_id)
    if scope.doctor_id is not None:
        conditions.append(appointments.c.doctor_id == scope.doctor_id)
    return conditions


async def _park(connection: AsyncConnection, befores: Sequence[Appointment]) -> None:
    """Free slots and times until `_write`, so that two appointments can exchange them."""
    await connection.execute(
        update(appointments)
        .where(
            appointments.c.clinic_id == befores[0].clinic_id,
            appointments.c.id == func.any([one.id for one in befores]),
        )
        .values(status=Status.CANCELLED.value)
    )


async def _write(connection: AsyncConnection, changes: Sequence[Change]) -> None:
    """Write the changed appointments. Raises TransactionAborted if one has another version."""
    for change in changes:
        before, after = change.before, change.after
        written = await connection.execute(
            update(appointments)
            .where(
                appointments.c.clinic_id == before.clinic_id,
                appointments.c.id == before.id,
                appointments.c.version == before.version,
            )
            .values(
                slot_id=after.slot_id,
                doctor_id=after.doctor_id,
                lane=after.lane,
                starts_at=after.starts_at,
                ends_at=after.ends_at,
                busy_from=after.busy.starts_at,
                busy_until=after.busy.ends_at,
                type=after.type,
                type_id=after.type_id,
                status=after.status.value,
                version=after.version,
                schedule_version=after.schedule_version,
                status_by=after.status_by,
                updated_at=change.audit.at,
            )
        )
        if written.rowcount != 1:
            raise TransactionAborted()
