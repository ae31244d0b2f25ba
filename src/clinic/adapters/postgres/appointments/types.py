"""Types of appointments, each with the doctors who offer it."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from clinic.adapters.postgres.engine.executors import Executor
from clinic.adapters.postgres.engine.mapping import Query, SqlRow, Values
from clinic.adapters.postgres.schema.appointment_types import (
    appointment_type_offers as offers,
)
from clinic.adapters.postgres.schema.appointment_types import appointment_types as types
from clinic.adapters.postgres.schema.resources import appointment_type_needs as needs
from clinic.domain.appointments.types import AppointmentType, BookableBy, Offer
from clinic.domain.errors import AppointmentTypeNotFound

_OFFERS = (
    select(offers)
    .where(offers.c.clinic_id == types.c.clinic_id, offers.c.type_id == types.c.id)
    .order_by(offers.c.doctor_id)
)
_NEEDS = select(needs.c.kind).where(
    needs.c.clinic_id == types.c.clinic_id, needs.c.type_id == types.c.id
)
# One statement, so that a type and its offers are of the same moment.
_TYPES = select(
    types,
    func.array(_OFFERS.with_only_columns(offers.c.doctor_id).scalar_subquery()).label("doctors"),
    func.array(_OFFERS.with_only_columns(offers.c.visible_min).scalar_subquery()).label("lengths"),
    func.array(_NEEDS.scalar_subquery()).label("kinds"),
)


class PostgresAppointmentTypeReader:
    """Reads types of appointments."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def all(self, clinic_id: UUID) -> Sequence[AppointmentType]:
        """Return the clinic's types, inactive ones included, by id."""
        query = _TYPES.where(types.c.clinic_id == clinic_id).order_by(types.c.id)
        return [_type_of(row) for row in await self._rows(query)]

    async def one(self, clinic_id: UUID, type_id: UUID) -> AppointmentType | None:
        """Return the type, None when it does not exist in this clinic."""
        query = _TYPES.where(types.c.clinic_id == clinic_id, types.c.id == type_id)
        rows = await self._rows(query)
        return _type_of(rows[0]) if rows else None

    async def _rows(self, query: Query) -> Sequence[SqlRow]:
        async with self._executor.connection() as connection:
            return (await connection.execute(query)).all()


class PostgresAppointmentTypes(PostgresAppointmentTypeReader):
    """Changes types of appointments inside a unit of work."""

    async def add(self, type: AppointmentType) -> None:
        """Add it. Raises AlreadyExists, TypeNameInUse, DefaultTypeTaken, DoctorNotFound."""
        async with self._executor.connection() as connection:
            await connection.execute(insert(types), _values_of(type))
            if type.offered_by:
                await connection.execute(insert(offers), _offers_of(type))
            if type.needs:
                await connection.execute(insert(needs), _needs_of(type))

    async def replace(self, type: AppointmentType) -> None:
        """Replace the one with this id.

        Raises AppointmentTypeNotFound, TypeNameInUse, DefaultTypeTaken, DoctorNotFound.
        """
        statement = update(types).where(types.c.clinic_id == type.clinic_id, types.c.id == type.id)
        async with self._executor.connection() as connection:
            result = await connection.execute(statement.values(_values_of(type)))
            if result.rowcount != 1:
                raise AppointmentTypeNotFound()
            here = (offers.c.clinic_id == type.clinic_id, offers.c.type_id == type.id)
            await connection.execute(delete(offers).where(*here))
            if type.offered_by:
                await connection.execute(insert(offers), _offers_of(type))
            here = (needs.c.clinic_id == type.clinic_id, needs.c.type_id == type.id)
            await connection.execute(delete(needs).where(*here))
            if type.needs:
                await connection.execute(insert(needs), _needs_of(type))


def _values_of(type: AppointmentType) -> Values:
    return {
        "clinic_id": type.clinic_id,
        "id": type.id,
        "name": type.name,
        "visible_min": type.visible_min,
        "before_min": type.before_min,
        "after_min": type.after_min,
        "notice_min": type.notice_min,
        "horizon_days": type.horizon_days,
        "bookable_by": type.bookable_by.value,
        "all_doctors": type.offered_by is None,
        "instructions": type.instructions,
        "color": type.color,
        "is_default": type.is_default,
        "is_active": type.is_active,
    }


def _offers_of(type: AppointmentType) -> list[Values]:
    return [
        {
            "clinic_id": type.clinic_id,
            "type_id": type.id,
            "doctor_id": offer.doctor_id,
            "visible_min": offer.visible_min,
        }
        for offer in type.offered_by or ()
    ]


def _needs_of(type: AppointmentType) -> list[Values]:
    return [{"clinic_id": type.clinic_id, "type_id": type.id, "kind": kind} for kind in type.needs]


def _type_of(row: SqlRow) -> AppointmentType:
    named = tuple(map(Offer, row.doctors, row.lengths))
    return AppointmentType(
        id=row.id,
        clinic_id=row.clinic_id,
        name=row.name,
        visible_min=row.visible_min,
        before_min=row.before_min,
        after_min=row.after_min,
        notice_min=row.notice_min,
        horizon_days=row.horizon_days,
        bookable_by=BookableBy(row.bookable_by),
        offered_by=None if row.all_doctors else named,
        instructions=row.instructions,
        color=row.color,
        needs=tuple(row.kinds),
        is_default=row.is_default,
        is_active=row.is_active,
    )
