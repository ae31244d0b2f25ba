"""A clinic's active types of appointments, read again only when they have changed."""

from collections.abc import Sequence
from uuid import UUID

from clinic.adapters.postgres.appointments.types import PostgresAppointmentTypeReader
from clinic.domain.appointments.types import AppointmentType

#: clinics whose types a process keeps
KNOWN_CLINICS_MAX = 1_000


class KnownTypes:
    """Keeps types by `clinics.types_version`, which rises with each change of them."""

    def __init__(self, types: PostgresAppointmentTypeReader) -> None:
        self._all = types
        #: the version and the active types of clinics, as last read
        self._known: dict[UUID, tuple[int, Sequence[AppointmentType]]] = {}

    async def active(self, clinic_id: UUID, version: int) -> Sequence[AppointmentType]:
        """Return the clinic's active types of this version or a later one, by id."""
        if version == 0:
            return ()
        known = self._known.get(clinic_id)
        if known is None or known[0] != version:
            found = await self._all.all(clinic_id)
            known = version, [type for type in found if type.is_active]
            if len(self._known) >= KNOWN_CLINICS_MAX:
                self._known.clear()
            self._known[clinic_id] = known
        return known[1]
