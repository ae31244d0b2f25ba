"""Locations."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert, select, update

from clinic.adapters.postgres.engine.executors import Executor
from clinic.adapters.postgres.engine.mapping import AnyRow, Query, SqlRow, Values, of_table
from clinic.adapters.postgres.schema.locations import locations
from clinic.domain.calendar.locations import Location
from clinic.domain.errors import LocationNotFound

_FIELDS = (
    "clinic_id",
    "id",
    "name",
    "address",
    "directions",
    "phone",
    "country",
    "subdivision",
    "is_active",
)
#: columns of the location `l`, which may be missing, for location_of
LOCATION = of_table("l", *_FIELDS)
_LOCATIONS = select(*(locations.c[name] for name in _FIELDS))


class PostgresLocationReader:
    """Reads locations."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def all(self, clinic_id: UUID) -> Sequence[Location]:
        """Return the clinic's locations, inactive ones included, by id."""
        query = _LOCATIONS.where(locations.c.clinic_id == clinic_id).order_by(locations.c.id)
        return [_location_of(row) for row in await self._rows(query)]

    async def one(self, clinic_id: UUID, location_id: UUID) -> Location | None:
        """Return the location, None when it does not exist in this clinic."""
        query = _LOCATIONS.where(locations.c.clinic_id == clinic_id, locations.c.id == location_id)
        rows = await self._rows(query)
        return _location_of(rows[0]) if rows else None

    async def _rows(self, query: Query) -> Sequence[SqlRow]:
        async with self._executor.connection() as connection:
            return (await connection.execute(query)).all()


class PostgresLocations(PostgresLocationReader):
    """Changes locations inside a unit of work."""

    async def add(self, location: Location) -> None:
        """Add it. Raises AlreadyExists, LocationNameInUse, ClinicNotFound."""
        async with self._executor.connection() as connection:
            await connection.execute(insert(locations), _values_of(location))

    async def replace(self, location: Location) -> None:
        """Replace the one with this id. Raises LocationNotFound, LocationNameInUse."""
        here = (locations.c.clinic_id == location.clinic_id, locations.c.id == location.id)
        statement = update(locations).where(*here).values(_values_of(location))
        async with self._executor.connection() as connection:
            if (await connection.execute(statement)).rowcount != 1:
                raise LocationNotFound()


def _values_of(location: Location) -> Values:
    return {name: getattr(location, name) for name in _FIELDS}


def _location_of(row: SqlRow) -> Location:
    return Location(**{name: getattr(row, name) for name in _FIELDS})


def location_of(part: AnyRow) -> Location | None:
    """Return the location from the columns of LOCATION; None when they are all NULL."""
    found = LOCATION.named(part)
    return None if found["id"] is None else Location(**found)
