"""Doctors' hours and slots."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise
from operator import attrgetter
from struct import Struct
from typing import Any
from uuid import UUID

from psycopg.adapt import Transformer
from psycopg.pq import Format
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Table,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    lateral,
    select,
    text,
    true,
    tuple_,
    update,
)

from clinic.adapters.postgres.calendar.mapping import (
    availability_of,
    availability_values,
    exception_of,
    exception_values,
    free_slot_view,
    slot_of,
    slot_of_values,
)
from clinic.adapters.postgres.calendar.statements import (
    GLANCE,
    GLANCED,
    LOCK_SLOTS,
    NEAREST_OF_DOCTOR,
    NEAREST_OF_SPECIALTY,
    SLOTS_BETWEEN,
    free_slots,
)
from clinic.adapters.postgres.calendar.taken import retake, set_state, take_added
from clinic.adapters.postgres.engine.executors import Executor, Row, driver_of
from clinic.adapters.postgres.engine.mapping import Query, SqlRow
from clinic.adapters.postgres.people.mapping import clinic_of
from clinic.adapters.postgres.people.repository import DOCTORS
from clinic.adapters.postgres.people.session_checks import is_proven
from clinic.adapters.postgres.schema.calendar import availabilities, availability_exceptions, slots
from clinic.adapters.postgres.schema.people import doctors_profiles, users
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.calendar.availability import Availability, AvailabilityException
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import (
    AvailabilityNotFound,
    DoctorNotFound,
    ExceptionNotFound,
    NotSignedIn,
    SlotNotFound,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Actor, Doctor
from clinic.ports.calendars import (
    PLACES_MAX,
    FreeSlots,
    Glance,
    SlotQuery,
    SlotView,
    one_for_each_start,
)

#: a packed slot: its id, start and end, as PostgreSQL sends them; the lane, from 0, is in the
#: microseconds of the end
_PACKED = Struct("16s8s8s")
#: the same, with the id of its location, or zeros
_LOCATED = Struct("16s8s8s16s")
_NOWHERE = bytes(16)
_UUID, _TIMESTAMPTZ = 2950, 1184
_RETIRED = SlotState.RETIRED.value
_COPY_SLOTS = (
    "COPY slots (clinic_id, id, doctor_id, specialty, starts_at, ends_at, state, taken, lane,"
    " location_id)"
    " FROM STDIN (FORMAT BINARY)"
)
_COPY_TYPES = (
    *("uuid", "uuid", "uuid", "text", "timestamptz", "timestamptz", "text", "bool", "int2", "uuid"),
)

_SET_LOCATIONS = text(
    "UPDATE slots s SET location_id = w.location_id"
    " FROM unnest(:ids, :location_ids) AS w (id, location_id)"
    " WHERE s.clinic_id = :clinic_id AND s.id = w.id"
).bindparams(bindparam("ids", type_=ARRAY(Uuid())), bindparam("location_ids", type_=ARRAY(Uuid())))


#: returns a clinic's active types of this version
TypesOf = Callable[[UUID, int], Awaitable[Sequence[AppointmentType]]]


class PostgresCalendarReader:
    """Reads hours and slots. Glances, which are outside of units of work, need `types`."""

    def __init__(self, executor: Executor, types: TypesOf | None = None) -> None:
        self._executor = executor
        self._types = types

    async def list_slots(self, query: SlotQuery, page: PageRequest) -> Sequence[SlotView]:
        """Return at most `page.one_more` slots, beyond `page.after`: by (starts_at, id), or free
        ones by (starts_at, doctor_id), one for each start."""
        backwards = page.after is not None and page.after.backwards
        if not query.free_only:
            views = await self._any(query, page)
            return views[::-1] if backwards else views
        views = await self._free(query, page, page.one_more)
        if _may_be_cut(views, page):
            views = await self._free(query, page, page.one_more * PLACES_MAX)
        found = one_for_each_start(views)
        return found[-page.one_more :] if backwards else found[: page.one_more]

    async def glance(self, asker: Actor, query: SlotQuery, page: PageRequest) -> Glance | None:
        """Return what `list_slots` would, by a statement that concurrent callers share."""
        clinic_id, doctor_id = query.clinic_id, query.doctor_id
        assert doctor_id is not None
        span = (query.starts_from, query.starts_before)

        async def read(limit: int) -> Row | None:
            asked = (clinic_id, doctor_id, *span, limit, asker.session_id)
            return await self._executor.load(GLANCE, asked)

        row = await read(page.one_more)
        if row is None:
            return None
        found = GLANCED.parts(row)[3]
        if _is_full(found[2], found[3], page) and _may_be_cut(
            _unpacked(clinic_id, doctor_id, *found), page
        ):
            row = await read(page.one_more * PLACES_MAX) or row
        clinic_part, types_version, proven, state = GLANCED.parts(row)
        if asker.session_id is not None and not is_proven(asker, proven):
            raise NotSignedIn()
        clinic = clinic_of(clinic_id, clinic_part)
        assert self._types is not None
        types = await self._types(clinic_id, *types_version)

        def slots() -> Sequence[SlotView]:
            views = one_for_each_start(_unpacked(clinic_id, doctor_id, *state))
            return views[: page.one_more]

        doctor_name, *_ = state
        free = None if doctor_name is None else FreeSlots(tuple(state), slots)
        return Glance(clinic, free, types)

    async def _free(self, query: SlotQuery, page: PageRequest, limit: int) -> list[SlotView]:
        """Return at most `limit` free slots, every lane, by (starts_at, doctor_id, lane)."""
        statement = free_slots(
            doctor=query.doctor_id is not None,
            specialty=query.specialty is not None,
            location=query.location_id is not None,
            after=page.after is not None,
            backwards=page.after is not None and page.after.backwards,
        )
        parameters: list[object] = [
            query.clinic_id,
            query.starts_from,
            query.starts_before,
            limit,
        ]
        filters = (query.doctor_id, query.specialty, query.location_id)
        parameters += [each for each in filters if each is not None]
        if page.after is not None:
            parameters.append(page.after.at)
            if query.doctor_id is None:
                parameters.append(page.after.id)
        rows = await self._executor.fetch(statement, parameters)
        if query.doctor_id is not None:
            return _unpacked(query.clinic_id, query.doctor_id, *rows[0]) if rows else []
        views = [free_slot_view(query.clinic_id, row) for row in rows]
        return views[::-1] if page.after is not None and page.after.backwards else views

    async def _any(self, query: SlotQuery, page: PageRequest) -> list[SlotView]:
        """Return slots in any state, nearest to the page's place first, by each doctor's index."""
        doctors = select(doctors_profiles.c.user_id, users.c.name).where(
            doctors_profiles.c.clinic_id == query.clinic_id,
            users.c.id == doctors_profiles.c.user_id,
        )
        if query.doctor_id is not None:
            doctors = doctors.where(doctors_profiles.c.user_id == query.doctor_id)
        if query.specialty is not None:
            doctors = doctors.where(
                func.lower(doctors_profiles.c.specialty) == func.lower(query.specialty)
            )
        doctor = doctors.subquery("doctor")
        own = select(slots).where(
            slots.c.clinic_id == query.clinic_id,
            slots.c.doctor_id == doctor.c.user_id,
            slots.c.starts_at >= query.starts_from,
            slots.c.starts_at < query.starts_before,
            slots.c.state != _RETIRED
            if query.state is None
            else slots.c.state == query.state.value,
        )
        if query.location_id is not None:
            own = own.where(slots.c.location_id == query.location_id)
        slot = lateral(paged(own, slots, page), "slot")
        found = paged(
            select(slot, doctor.c.name).select_from(doctor.join(slot, true())), slot, page
        )
        async with self._executor.connection() as connection:
            rows = (await connection.execute(found)).all()
        return [SlotView(slot_of(row), row.name) for row in rows]

    async def nearest_free(
        self, slot: Slot, *, starts_from: datetime, starts_before: datetime, limit: int
    ) -> Sequence[SlotView]:
        """Return up to `limit` other free slots closest in time to `slot`, earliest first: the same
        doctor's if there are any, else those of the same specialty."""
        place = (slot.id, slot.starts_at, starts_from, starts_before, limit)
        rows = await self._executor.fetch(
            NEAREST_OF_DOCTOR, (slot.clinic_id, slot.doctor_id, *place)
        ) or await self._executor.fetch(
            NEAREST_OF_SPECIALTY, (slot.clinic_id, slot.specialty, *place)
        )
        views = [free_slot_view(slot.clinic_id, row, places=None) for row in rows]
        return sorted(views, key=lambda view: (view.slot.starts_at, view.slot.doctor_id))

    async def slot(self, clinic_id: UUID, slot_id: UUID) -> SlotView | None:
        """Return the slot, retired or not, or None when it does not exist in this clinic."""
        query = (
            select(slots, users.c.name)
            .join(users, users.c.id == slots.c.doctor_id)
            .where(slots.c.clinic_id == clinic_id, slots.c.id == slot_id)
        )
        rows = await self._all(query)
        return SlotView(slot_of(rows[0]), rows[0].name) if rows else None

    async def slots_between(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Sequence[Slot]:
        """Return these doctors' slots that overlap `[start, end)`, retired ones included, earliest
        first."""
        rows = await self._executor.fetch(SLOTS_BETWEEN, (clinic_id, list(doctor_ids), start, end))
        return [slot_of_values(row) for row in rows]

    async def count_slots(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> int:
        """Return how many of their slots start within `[start, end)` and are not retired."""
        query = select(func.count()).where(
            *_of_doctors(clinic_id, doctor_ids),
            slots.c.starts_at >= start,
            slots.c.starts_at < end,
            slots.c.state != _RETIRED,
        )
        count: int = (await self._all(query))[0][0]
        return count

    async def last_slot_starts(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID]
    ) -> Mapping[UUID, datetime]:
        """Return when the last slot of each of these doctors starts, retired ones included."""
        query = (
            select(slots.c.doctor_id, func.max(slots.c.starts_at).label("last"))
            .where(*_of_doctors(clinic_id, doctor_ids))
            .group_by(slots.c.doctor_id)
        )
        return {row.doctor_id: row.last for row in await self._all(query)}

    async def availabilities(
        self, clinic_id: UUID, doctor_id: UUID | None = None
    ) -> Sequence[Availability]:
        """Return the hours of one doctor or of all, by id."""
        query = _of_doctor(availabilities, clinic_id, doctor_id).order_by(availabilities.c.id)
        return [availability_of(row) for row in await self._all(query)]

    async def exceptions(
        self, clinic_id: UUID, doctor_id: UUID | None = None
    ) -> Sequence[AvailabilityException]:
        """Return the exceptions of one doctor or of all, by (on_date, id)."""
        table = availability_exceptions
        query = _of_doctor(table, clinic_id, doctor_id).order_by(table.c.on_date, table.c.id)
        return [exception_of(row) for row in await self._all(query)]

    async def _all(self, query: Query) -> Sequence[SqlRow]:
        async with self._executor.connection() as connection:
            return (await connection.execute(query)).all()


def _is_full(packed: bytes | None, is_located: bool, page: PageRequest) -> bool:
    """Return whether there are as many packed slots as were asked for, or more."""
    size = _LOCATED.size if is_located else _PACKED.size
    return packed is not None and len(packed) >= page.one_more * size


def _may_be_cut(lanes: Sequence[SlotView], page: PageRequest) -> bool:
    """Return whether more of these free slots must be read for a page of starts, of which some have
    several."""
    is_full = len(lanes) == page.one_more
    return is_full and any(one.is_beside(two) for one, two in pairwise(lanes))


def _unpacked(
    clinic_id: UUID,
    doctor_id: UUID,
    name: str,
    specialty: str,
    packed: bytes | None,
    is_located: bool,
) -> list[SlotView]:
    """Return a doctor's slots by start and lane."""
    load = Transformer().get_loader
    id_of, time_of = (load(oid, Format.BINARY).load for oid in (_UUID, _TIMESTAMPTZ))
    found = [
        (time_of(start), (end := time_of(ends)).microsecond, end, id_of(slot_id), location)
        for slot_id, start, ends, *location in (_LOCATED if is_located else _PACKED).iter_unpack(
            packed or b""
        )
    ]
    # Cheap, since they arrive in order; but SQL does not promise the order of an aggregate.
    found.sort()
    return [
        SlotView(Slot(slot_id, clinic_id, doctor_id, specialty, start, end), name, 1)
        if not beyond_first and not location
        else SlotView(
            Slot(
                slot_id,
                clinic_id,
                doctor_id,
                specialty,
                start,
                end.replace(microsecond=0),
                lane=beyond_first + 1,
                location_id=None if location in ([], [_NOWHERE]) else id_of(location[0]),
            ),
            name,
            1,
        )
        for start, beyond_first, end, slot_id, location in found
    ]


class PostgresCalendars(PostgresCalendarReader):
    """Changes hours and slots inside a unit of work."""

    async def lock_doctor(self, clinic_id: UUID, doctor_id: UUID) -> Doctor | None:
        """Lock the doctor's calendar; return the doctor, or None when there is none here."""
        locked = await self._lock_doctors(clinic_id, doctors_profiles.c.user_id == doctor_id)
        return locked[0] if locked else None

    async def lock_doctors(self, clinic_id: UUID) -> Sequence[Doctor]:
        """Lock the calendars of all doctors of the clinic, by id, and return the doctors."""
        return await self._lock_doctors(clinic_id, true())

    async def _lock_doctors(self, clinic_id: UUID, which: ColumnElement[bool]) -> Sequence[Doctor]:
        # A NO KEY lock does not block new slots and appointments, which refer to these rows. Read
        # in a second statement: the one that waited does not see other tables as they are now.
        lock = (
            select(doctors_profiles.c.user_id)
            .where(doctors_profiles.c.clinic_id == clinic_id, which)
            .order_by(doctors_profiles.c.user_id)
            .with_for_update(key_share=True)
        )
        ids = [row.user_id for row in await self._all(lock)]
        query = (
            DOCTORS.where(doctors_profiles.c.clinic_id == clinic_id)
            .where(doctors_profiles.c.user_id == func.any(ids))
            .order_by(doctors_profiles.c.user_id)
        )
        return [Doctor(*row) for row in await self._all(query)] if ids else []

    async def set_last_day(self, clinic_id: UUID, doctor_id: UUID, last_day: date | None) -> None:
        """Set the last day on which a doctor works here. Raises DoctorNotFound."""
        change = (
            update(doctors_profiles)
            .where(
                doctors_profiles.c.clinic_id == clinic_id, doctors_profiles.c.user_id == doctor_id
            )
            .values(last_day=last_day)
        )
        async with self._executor.connection() as connection:
            if (await connection.execute(change)).rowcount != 1:
                raise DoctorNotFound()

    async def add_availability(self, availability: Availability) -> None:
        """Add the hours. Raises DoctorNotFound, AlreadyExists."""
        async with self._executor.connection() as connection:
            await connection.execute(insert(availabilities), availability_values(availability))

    async def replace_availability(self, availability: Availability) -> None:
        """Replace the hours with this id. Raises AvailabilityNotFound."""
        change = (
            update(availabilities)
            .where(
                availabilities.c.clinic_id == availability.clinic_id,
                availabilities.c.id == availability.id,
            )
            .values(availability_values(availability))
        )
        async with self._executor.connection() as connection:
            if (await connection.execute(change)).rowcount != 1:
                raise AvailabilityNotFound()

    async def delete_availability(self, clinic_id: UUID, availability_id: UUID) -> None:
        """Delete the hours with this id. Raises AvailabilityNotFound."""
        if await self._delete(availabilities, clinic_id, availability_id) != 1:
            raise AvailabilityNotFound()

    async def add_exception(self, exception: AvailabilityException) -> None:
        """Add the exception. Raises DoctorNotFound, AlreadyExists."""
        async with self._executor.connection() as connection:
            await connection.execute(insert(availability_exceptions), exception_values(exception))

    async def delete_exception(self, clinic_id: UUID, exception_id: UUID) -> None:
        """Delete the exception with this id. Raises ExceptionNotFound."""
        if await self._delete(availability_exceptions, clinic_id, exception_id) != 1:
            raise ExceptionNotFound()

    async def _delete(self, table: Table, clinic_id: UUID, row_id: UUID) -> int:
        async with self._executor.connection() as connection:
            gone = await connection.execute(
                delete(table).where(table.c.clinic_id == clinic_id, table.c.id == row_id)
            )
        return gone.rowcount

    async def lock_slots(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> Sequence[Slot]:
        """Lock the slots that `slots_between` returns, by id."""
        locked = await self._executor.fetch(LOCK_SLOTS, (clinic_id, list(doctor_ids), start, end))
        # By start and id, since they arrive by id.
        return sorted(map(slot_of_values, locked), key=attrgetter("starts_at"))

    async def add_slots(self, slots: Sequence[Slot]) -> None:
        """Add slots, taken where an appointment already has their time. Raises SlotOverlap when one
        overlaps another of the same doctor."""
        if not slots:
            return
        async with self._executor.connection() as connection:
            driver = await driver_of(connection)
            async with driver.cursor() as cursor, cursor.copy(_COPY_SLOTS) as copy:
                copy.set_types(_COPY_TYPES)
                for slot in slots:
                    await copy.write_row(
                        (
                            slot.clinic_id,
                            slot.id,
                            slot.doctor_id,
                            slot.specialty,
                            slot.starts_at,
                            slot.ends_at,
                            slot.state.value,
                            slot.taken,
                            slot.lane,
                            slot.location_id,
                        )
                    )
            await take_added(connection, slots)

    async def retake(
        self, clinic_id: UUID, doctor_ids: Sequence[UUID], start: datetime, end: datetime
    ) -> None:
        """Make `taken` true of these doctors' slots on the calendar that overlap `[start, end)`."""
        async with self._executor.connection() as connection:
            await retake(connection, clinic_id, doctor_ids, start, end)

    async def set_slot_locations(
        self, clinic_id: UUID, locations: Mapping[UUID, UUID | None]
    ) -> None:
        """Put locked slots, by id, at these locations.

        Raises SlotNotFound, LocationNotFound, TooClose.
        """
        values = {
            "clinic_id": clinic_id,
            "ids": list(locations),
            "location_ids": list(locations.values()),
        }
        async with self._executor.connection() as connection:
            if (await connection.execute(_SET_LOCATIONS, values)).rowcount != len(locations):
                raise SlotNotFound()

    async def set_slot_state(
        self, clinic_id: UUID, slot_ids: Sequence[UUID], state: SlotState
    ) -> None:
        """Put these slots into `state`, locking them by id.

        Raises SlotNotFound when one is missing, SlotOverlap when a retired one would overlap
        another on its return.
        """
        wanted = list(set(slot_ids))
        lock = (
            select(slots.c.id)
            .where(slots.c.clinic_id == clinic_id, slots.c.id == func.any(wanted))
            .order_by(slots.c.id)
            .with_for_update(key_share=True)
            .subquery()
        )
        [(locked,)] = await self._all(select(func.count()).select_from(lock))
        if locked != len(wanted):
            raise SlotNotFound()
        async with self._executor.connection() as connection:
            await set_state(connection, clinic_id, wanted, state)


def _of_doctors(clinic_id: UUID, doctor_ids: Sequence[UUID]) -> tuple[ColumnElement[bool], ...]:
    return slots.c.clinic_id == clinic_id, slots.c.doctor_id == func.any(list(doctor_ids))


def _of_doctor(table: Table, clinic_id: UUID, doctor_id: UUID | None) -> Query:
    query = select(table).where(table.c.clinic_id == clinic_id)
    return query if doctor_id is None else query.where(table.c.doctor_id == doctor_id)


def paged(query: Query, of: Any, page: PageRequest) -> Query:
    """Return `query` limited to the page, rows nearest to the page's place first."""
    place = page.after
    key = tuple_(of.c.starts_at, of.c.id)
    if place is None:
        return query.order_by(of.c.starts_at, of.c.id).limit(page.one_more)
    at = tuple_(place.at, place.id)
    if place.backwards:
        query = query.where(key < at).order_by(of.c.starts_at.desc(), of.c.id.desc())
    else:
        query = query.where(key > at).order_by(of.c.starts_at, of.c.id)
    return query.limit(page.one_more)
