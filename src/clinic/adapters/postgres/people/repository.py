"""Clinics and people."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import and_, collate, func, insert, select, update

from clinic.adapters.postgres.engine.executors import Executor
from clinic.adapters.postgres.engine.mapping import Query, SqlRow
from clinic.adapters.postgres.people.mapping import (
    CLINIC,
    CONTACT,
    WHOLE_CLINIC,
    clinic_values,
    whole_clinic_of,
)
from clinic.adapters.postgres.schema.people import (
    clinics,
    doctors_profiles,
    patients_profiles,
    users,
)
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicNotFound
from clinic.domain.people.people import Doctor, Patient, Role, User

#: $1 clinic; nearly every request needs its zone or its policy
FIND_CLINIC = f"SELECT {WHOLE_CLINIC.sql} FROM clinics c WHERE c.id = $1"
_CLINICS = select(clinics.c.id, *(clinics.c[name] for name in (*CLINIC.names, *CONTACT.names)))
_USERS = select(
    users.c.id, users.c.name, users.c.email, users.c.role, users.c.phone, users.c.email_typed
)
DOCTORS = select(
    doctors_profiles.c.clinic_id,
    doctors_profiles.c.user_id,
    users.c.name,
    doctors_profiles.c.specialty,
    doctors_profiles.c.last_day,
    and_(users.c.disabled_at.is_(None), doctors_profiles.c.ended_at.is_(None)),
).join_from(doctors_profiles, users, users.c.id == doctors_profiles.c.user_id)
_PATIENTS = select(
    patients_profiles.c.clinic_id,
    patients_profiles.c.user_id,
    users.c.name,
    func.coalesce(users.c.email_typed, users.c.email),
    users.c.phone,
).join_from(patients_profiles, users, users.c.id == patients_profiles.c.user_id)
_PATIENT_ID = patients_profiles.c.user_id


# Row locks are not fair: as long as transactions keep sharing a row, one that needs it exclusively
# waits until it times out. Advisory locks are granted in the order in which they are requested.
_QUEUE = "hashtextextended('clinic ' || $1::uuid::text, 0)"
_QUEUE_UP = f"SELECT pg_advisory_xact_lock({_QUEUE})"
_QUEUE_UP_TO_SHARE = f"SELECT pg_advisory_xact_lock_shared({_QUEUE})"

#: $1 clinic, $2 patient: one row if the patient can be booked for
_SHARE_PATIENT = """
SELECT 1 FROM patients_profiles
WHERE clinic_id = $1 AND user_id = $2 AND ended_at IS NULL AND disabled_at IS NULL
FOR SHARE
"""


class PostgresPeopleReader:
    """Reads clinics and people."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def clinics(self) -> Sequence[Clinic]:
        """Return every clinic, by id."""
        rows = await self._all(_CLINICS.order_by(clinics.c.id))
        return [
            whole_clinic_of(clinic_id, *WHOLE_CLINIC.parts(found)) for clinic_id, *found in rows
        ]

    async def clinic(self, clinic_id: UUID) -> Clinic | None:
        """Return the clinic, or None."""
        rows = await self._executor.fetch(FIND_CLINIC, (clinic_id,))
        return whole_clinic_of(clinic_id, *WHOLE_CLINIC.parts(rows[0])) if rows else None

    async def user(self, user_id: UUID) -> User | None:
        """Return the person, or None."""
        rows = await self._all(_USERS.where(users.c.id == user_id))
        if not rows:
            return None
        found_id, name, email, role, phone, email_typed = rows[0]
        return User(found_id, name, email, Role(role), phone, email_typed)

    async def doctors(self, clinic_id: UUID, specialty: str | None = None) -> Sequence[Doctor]:
        """Return the clinic's doctors by (name, id), in code point order."""
        query = DOCTORS.where(doctors_profiles.c.clinic_id == clinic_id)
        if specialty is not None:
            query = query.where(func.lower(doctors_profiles.c.specialty) == func.lower(specialty))
        rows = await self._all(query.order_by(collate(users.c.name, "C"), users.c.id))
        return [Doctor(*row) for row in rows]

    async def doctor(self, clinic_id: UUID, doctor_id: UUID) -> Doctor | None:
        """Return the doctor, or None."""
        rows = await self._all(
            DOCTORS.where(
                doctors_profiles.c.clinic_id == clinic_id,
                doctors_profiles.c.user_id == doctor_id,
            )
        )
        return Doctor(*rows[0]) if rows else None

    async def patient(self, clinic_id: UUID, patient_id: UUID) -> Patient | None:
        """Return the patient, or None."""
        rows = await self._all(
            _PATIENTS.where(
                patients_profiles.c.clinic_id == clinic_id,
                patients_profiles.c.user_id == patient_id,
            )
        )
        return Patient(*rows[0]) if rows else None

    async def patients(
        self, clinic_id: UUID, *, after: UUID | None = None, backwards: bool = False, limit: int
    ) -> Sequence[Patient]:
        """Return at most `limit` patients of the clinic by id: the first ones beyond `after`, or
        `backwards` the last ones before it."""
        query, id = _PATIENTS.where(patients_profiles.c.clinic_id == clinic_id), _PATIENT_ID
        if after is not None:
            query = query.where(id < after if backwards else id > after)
        rows = await self._all(query.order_by(id.desc() if backwards else id).limit(limit))
        found = [Patient(*row) for row in rows]
        return found[::-1] if backwards else found

    async def _all(self, query: Query) -> Sequence[SqlRow]:
        async with self._executor.connection() as connection:
            return (await connection.execute(query)).all()


class PostgresPeople(PostgresPeopleReader):
    """Adds clinics and people inside a unit of work."""

    async def add_clinic(self, clinic: Clinic) -> None:
        """Add the clinic. Raises AlreadyExists."""
        async with self._executor.connection() as connection:
            await connection.execute(insert(clinics), clinic_values(clinic))

    async def lock_clinic(self, clinic_id: UUID) -> Clinic | None:
        """Return the clinic, locked against changes until this unit ends, or None."""
        await self._executor.fetch(_QUEUE_UP, (clinic_id,))
        # Inserts that refer to the clinic, such as bookings, do not wait for this lock.
        rows = await self._executor.fetch(f"{FIND_CLINIC} FOR NO KEY UPDATE", (clinic_id,))
        return whole_clinic_of(clinic_id, *WHOLE_CLINIC.parts(rows[0])) if rows else None

    async def share_clinic(self, clinic_id: UUID) -> Clinic | None:
        """Return the clinic, kept from changes until this unit ends, or None."""
        await self._executor.fetch(_QUEUE_UP_TO_SHARE, (clinic_id,))
        rows = await self._executor.fetch(f"{FIND_CLINIC} FOR SHARE", (clinic_id,))
        return whole_clinic_of(clinic_id, *WHOLE_CLINIC.parts(rows[0])) if rows else None

    async def share_patient(self, clinic_id: UUID, patient_id: UUID) -> bool:
        """Return whether the patient can be booked for, which stays so until this unit ends."""
        return bool(await self._executor.fetch(_SHARE_PATIENT, (clinic_id, patient_id)))

    async def replace_clinic(self, clinic: Clinic) -> None:
        """Replace the clinic with this id. Raises ClinicNotFound."""
        change = update(clinics).where(clinics.c.id == clinic.id).values(clinic_values(clinic))
        async with self._executor.connection() as connection:
            if (await connection.execute(change)).rowcount != 1:
                raise ClinicNotFound()

    async def add_user(self, user: User) -> None:
        """Add a person. Raises EmailInUse, AlreadyExists."""
        values = {
            "id": user.id,
            "name": user.name,
            "email": user.email,
            "email_typed": user.email_typed,
            "phone": user.phone,
            "role": user.role.value,
        }
        async with self._executor.connection() as connection:
            await connection.execute(insert(users), values)

    async def add_doctor(self, clinic_id: UUID, user_id: UUID, specialty: str) -> None:
        """Make a user a doctor of the clinic. Raises AlreadyExists."""
        values = {"clinic_id": clinic_id, "user_id": user_id, "specialty": specialty}
        async with self._executor.connection() as connection:
            await connection.execute(insert(doctors_profiles), values)

    async def add_patient(self, clinic_id: UUID, user_id: UUID) -> None:
        """Make a user a patient of the clinic. Raises AlreadyExists."""
        async with self._executor.connection() as connection:
            await connection.execute(
                insert(patients_profiles), {"clinic_id": clinic_id, "user_id": user_id}
            )
