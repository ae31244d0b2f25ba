"""Adds appointments in a transaction: locks in order, inserts, and reads conflicts afterwards.

Unlike booking's own statement, this uses ON CONFLICT: a row that the insert does not return was
refused, and a savepoint undoes the rest. That identifies the booking that a constraint refused,
where an error would only name the constraint, and the transaction can still read the conflicts.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, or_, select
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection

from clinic.adapters.postgres.appointments.mapping import appointment_of, appointment_values
from clinic.adapters.postgres.appointments.resources import Wanted, hold_resources
from clinic.adapters.postgres.audit.mapping import entry_values
from clinic.adapters.postgres.calendar.mapping import slot_of
from clinic.adapters.postgres.calendar.taken import slots_beneath, take
from clinic.adapters.postgres.engine.executors import TransactionExecutor
from clinic.adapters.postgres.engine.mapping import AnyRow, Values
from clinic.adapters.postgres.idempotency.mapping import answer_values
from clinic.adapters.postgres.messaging.mapping import message_values
from clinic.adapters.postgres.schema.appointments import appointments
from clinic.adapters.postgres.schema.audit import audit_appointment
from clinic.adapters.postgres.schema.calendar import slots
from clinic.adapters.postgres.schema.idempotency import idempotency_keys
from clinic.adapters.postgres.schema.messaging import notification_outbox
from clinic.adapters.postgres.schema.people import patients_profiles
from clinic.domain.appointments.appointments import OCCUPYING, Booking
from clinic.domain.appointments.conflicts import (
    ConflictKey,
    Refused,
    Seen,
    clinic_of,
    in_lock_order,
    key_of,
    refusal,
)
from clinic.domain.appointments.fitting import begins_in, beneath, obstacles
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import (
    IdempotencyConflict,
    NoResourceFree,
    PatientBusy,
    PatientDisabled,
    SlotTaken,
)

#: most rows that one INSERT writes; far below the protocol's limit of 65535 parameters
CHUNK_ROWS = 500

_IS_OPEN = and_(patients_profiles.c.ended_at.is_(None), patients_profiles.c.disabled_at.is_(None))
_IS_FREE = and_(slots.c.state == SlotState.OPEN.value, ~slots.c.taken)


@dataclass(slots=True)
class _Places:
    """The slots that the bookings need."""

    #: those that bookings need besides the one they begin in
    further: set[UUID] = field(default_factory=set)
    locked: dict[UUID, Slot] = field(default_factory=dict)

    def near(self, booking: Booking) -> Collection[Slot]:
        """Return the locked slots that the booking may take."""
        if booking.reaches_beyond:
            return self.locked.values()
        own = self.locked.get(booking.appointment.slot_id)
        return () if own is None else (own,)


@dataclass(slots=True)
class _Written:
    """The rows that the constraints let through, which `_look_again` must leave out."""

    ids: set[UUID] = field(default_factory=set)
    keys: set[ConflictKey] = field(default_factory=set)


async def add_bookings(executor: TransactionExecutor, bookings: Sequence[Booking]) -> None:
    """Add the bookings, all or none. Raises as Appointments.add does."""
    if not bookings:
        return
    clinic_id = clinic_of(bookings)
    async with executor.savepoint() as connection:
        written, places = _Written(), _Places()
        refused = await _lock(connection, clinic_id, bookings, places)
        refused = refused or await _insert_appointments(connection, bookings, written)
        refused, lacking = await _hold_resources(executor, bookings, refused)
        refused = refused or await _insert_answers(connection, bookings, written)
        if refused:
            # The locks are still held: a slot that was free still is.
            seen = await _look_again(connection, clinic_id, bookings, written, places.further)
            raise refusal(bookings, refused, seen, lacking)
        takes = {
            slot.id
            for booking in bookings
            if booking.takes is not None
            for slot in beneath(booking.appointment, places.near(booking))
            if not slot.taken
        }
        if await take(connection, clinic_id, takes) != len(takes):
            raise SlotTaken()
        await _insert(
            connection, audit_appointment, [entry_values(booking.audit) for booking in bookings]
        )
        messages = [message for booking in bookings for message in booking.messages]
        await _insert(connection, notification_outbox, [message_values(each) for each in messages])


async def _lock(
    connection: AsyncConnection, clinic_id: UUID, bookings: Sequence[Booking], places: _Places
) -> list[Refused]:
    """Lock patients, then slots, both by id; return the bookings whose patient is not open, or
    which do not fit into their slots.

    Patients are locked as booking's own statement does, so that none is disabled meanwhile.
    """
    wanted = [booking.appointment for booking in bookings]
    lock_patients = (
        select(patients_profiles.c.user_id)
        .where(
            patients_profiles.c.clinic_id == clinic_id,
            patients_profiles.c.user_id == func.any([one.patient_id for one in wanted]),
            _IS_OPEN,
        )
        .order_by(patients_profiles.c.user_id)
        .with_for_update(read=True)
    )
    # An appointment that does not occupy its slot only needs the slot to exist.
    any_state = {one.slot_id for one in wanted if not one.status.occupies}
    if early := await _find_further(connection, clinic_id, bookings, places):
        return early
    any_state |= places.further
    lock_slots = (
        select(slots)
        .where(
            slots.c.clinic_id == clinic_id,
            slots.c.id == func.any([*{one.slot_id for one in wanted} | places.further]),
            or_(_IS_FREE, slots.c.id == func.any([*any_state])) if any_state else _IS_FREE,
        )
        .order_by(slots.c.id)
        .with_for_update(key_share=True)
    )
    open_ids = {*(await connection.execute(lock_patients)).scalars()}
    places.locked = {row.id: slot_of(row) for row in (await connection.execute(lock_slots)).all()}
    refused: list[Refused] = []
    for place, (booking, one) in enumerate(zip(bookings, wanted, strict=True)):
        if one.patient_id not in open_ids:
            refused.append((place, PatientDisabled))
        fits = booking.takes is None or not obstacles(one, places.near(booking))
        if not begins_in(one, places.locked.get(one.slot_id)) or not fits:
            refused.append((place, SlotTaken))
    return refused


async def _find_further(
    connection: AsyncConnection, clinic_id: UUID, bookings: Sequence[Booking], places: _Places
) -> list[Refused]:
    """Find the slots that bookings need besides the one they begin in; return the bookings that do
    not fit now, which are refused at once instead of waiting for locks, as those of one slot are.
    """
    reaching = {
        place: booking.appointment
        for place, booking in enumerate(bookings)
        if booking.reaches_beyond and booking.takes is not None
    }
    if not reaching:
        return []
    found = await slots_beneath(connection, clinic_id, [*reaching.values()])
    places.further = {slot.id for slot in found}
    return [(place, SlotTaken) for place, one in reaching.items() if obstacles(one, found)]


async def _insert_appointments(
    connection: AsyncConnection, bookings: Sequence[Booking], written: _Written
) -> list[Refused]:
    """Write the appointments that break no constraint; return the others."""
    order = in_lock_order(bookings)
    rows = [appointment_values(bookings[place].appointment) for place in order]
    inserted = await _insert_or_skip(connection, appointments, rows, appointments.c.id)
    written.ids.update(found for (found,) in inserted)
    left = set(written.ids)
    refused: list[Refused] = []
    for place in order:
        appointment_id = bookings[place].appointment.id
        if appointment_id in left:
            # Of two with the same id, the first was written.
            left.remove(appointment_id)
        else:
            refused.append((place, PatientBusy))
    return refused


async def _hold_resources(
    executor: TransactionExecutor, bookings: Sequence[Booking], refused: list[Refused]
) -> tuple[list[Refused], str | None]:
    """Give the appointments what they need, unless some are `refused` already; return those that
    are refused now, and the kind of which there was none."""
    wanted = [
        Wanted(each.appointment, each.needs)
        for each in bookings
        if each.needs and each.takes is not None
    ]
    if refused or not wanted:
        return refused, None
    lacking = (await hold_resources(executor, wanted)).lacking
    places = [place for place, each in enumerate(bookings) if each.appointment.id in lacking]
    return [(place, NoResourceFree) for place in places], next(iter(lacking.values()), None)


async def _insert_answers(
    connection: AsyncConnection, bookings: Sequence[Booking], written: _Written
) -> list[Refused]:
    """Write the answers whose keys are free; return the other bookings."""
    table = idempotency_keys
    keyed = sorted(
        (key, place) for place, booking in enumerate(bookings) if (key := key_of(booking))
    )
    rows = [
        answer_values(stored)
        for _, place in keyed
        if (stored := bookings[place].stored) is not None
    ]
    inserted = await _insert_or_skip(connection, table, rows, table.c.principal_id, table.c.key)
    written.keys.update((principal_id, key) for principal_id, key in inserted)
    left = set(written.keys)
    refused: list[Refused] = []
    for key, place in keyed:
        if key in left:
            left.remove(key)
        else:
            refused.append((place, IdempotencyConflict))
    return refused


async def _insert_or_skip(
    connection: AsyncConnection, table: Any, rows: Sequence[Values], *returned: ColumnElement[Any]
) -> Sequence[AnyRow]:
    """Insert, in this order, the rows that break no constraint; return these columns of them."""
    if not rows:
        return []
    statement = insert_or_skip(table).on_conflict_do_nothing().returning(*returned)
    found: Sequence[AnyRow] = (await _execute(connection, statement, rows)).all()
    return found


async def _insert(connection: AsyncConnection, table: Any, rows: Sequence[Values]) -> None:
    if rows:
        await _execute(connection, insert(table), rows)


async def _execute(connection: AsyncConnection, statement: Any, rows: Sequence[Values]) -> Any:
    options = {"insertmanyvalues_page_size": CHUNK_ROWS}
    return await connection.execute(statement, list(rows), execution_options=options)


async def _look_again(
    connection: AsyncConnection,
    clinic_id: UUID,
    bookings: Sequence[Booking],
    written: _Written,
    further: Collection[UUID],
) -> Seen:
    """Return what the bookings conflict with now; `further` are slots that they need besides those
    they begin in."""
    wanted = [booking.appointment for booking in bookings]
    patient_ids = [one.patient_id for one in wanted]
    slot_ids = [one.slot_id for one in wanted]
    doctor_ids = [one.doctor_id for one in wanted]
    keys = {each for each in map(key_of, bookings) if each is not None}
    find_slots = select(slots).where(
        slots.c.clinic_id == clinic_id, slots.c.id == func.any([*slot_ids, *further])
    )
    find_patients = select(patients_profiles.c.user_id, _IS_OPEN.label("is_open")).where(
        patients_profiles.c.clinic_id == clinic_id,
        patients_profiles.c.user_id == func.any(patient_ids),
    )
    find_appointments = select(appointments).where(
        appointments.c.clinic_id == clinic_id,
        appointments.c.id != func.all(list(written.ids)),
        or_(
            appointments.c.id == func.any([one.id for one in wanted]),
            and_(
                appointments.c.status.in_([status.value for status in OCCUPYING]),
                or_(
                    appointments.c.slot_id == func.any(slot_ids),
                    and_(
                        or_(
                            appointments.c.patient_id == func.any(patient_ids),
                            appointments.c.doctor_id == func.any(doctor_ids),
                        ),
                        appointments.c.busy_from < max(one.busy.ends_at for one in wanted),
                        appointments.c.busy_until > min(one.busy.starts_at for one in wanted),
                    ),
                ),
            ),
        ),
    )
    table = idempotency_keys
    find_keys = select(table.c.principal_id, table.c.key).where(
        table.c.clinic_id == clinic_id,
        table.c.principal_id == func.any([principal_id for principal_id, _ in keys]),
        table.c.key == func.any([key for _, key in keys]),
    )
    found_slots = (await connection.execute(find_slots)).all()
    found_patients = (await connection.execute(find_patients)).all()
    found = (await connection.execute(find_appointments)).all()
    found_keys = (await connection.execute(find_keys)).all() if keys else []
    return Seen(
        slots={row.id: slot_of(row) for row in found_slots},
        patients={row.user_id: row.is_open for row in found_patients},
        appointments=[appointment_of(row) for row in found],
        answered={(row.principal_id, row.key) for row in found_keys} - written.keys,
    )
