"""Clinics and people in memory."""

from collections.abc import Sequence
from uuid import UUID

from clinic.adapters.memory.constraints import check_clinic
from clinic.adapters.memory.tables import DoctorProfile, PatientProfile, StoredCredentials, Tables
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.clinic import Clinic
from clinic.domain.errors import AlreadyExists, ClinicNotFound, EmailInUse, NotFound
from clinic.domain.people.people import Doctor, Patient, User


class MemoryPeopleReader:
    """Reads clinics and people."""

    def __init__(self, tables: Tables) -> None:
        self._committed = tables

    @property
    def _tables(self) -> Tables:
        return self._committed

    async def clinics(self) -> Sequence[Clinic]:
        return sorted(self._tables.clinics.values(), key=lambda clinic: clinic.id)

    async def clinic(self, clinic_id: UUID) -> Clinic | None:
        return self._tables.clinics.get(clinic_id)

    async def user(self, user_id: UUID) -> User | None:
        return self._tables.users.get(user_id)

    async def doctors(self, clinic_id: UUID, specialty: str | None = None) -> Sequence[Doctor]:
        found = [
            doctor
            for profile in self._tables.doctors.where("clinic", clinic_id)
            if specialty is None or profile.specialty.lower() == specialty.lower()
            if (doctor := doctor_of(self._tables, clinic_id, profile.user_id)) is not None
        ]
        return sorted(found, key=lambda doctor: (doctor.name, doctor.id))

    async def doctor(self, clinic_id: UUID, doctor_id: UUID) -> Doctor | None:
        return doctor_of(self._tables, clinic_id, doctor_id)

    async def patient(self, clinic_id: UUID, patient_id: UUID) -> Patient | None:
        return patient_of(self._tables, clinic_id, patient_id)

    async def patients(
        self, clinic_id: UUID, *, after: UUID | None = None, backwards: bool = False, limit: int
    ) -> Sequence[Patient]:
        ids = sorted(
            profile.user_id
            for profile in self._tables.patients.where("clinic", clinic_id)
            if after is None or (profile.user_id < after if backwards else profile.user_id > after)
        )
        chosen = ids[-limit:] if backwards else ids[:limit]
        found = (patient_of(self._tables, clinic_id, each) for each in chosen)
        return [patient for patient in found if patient is not None]


class MemoryPeople(MemoryPeopleReader):
    """Clinics and people inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__(transaction.layer)
        self._transaction = transaction

    @property
    def _tables(self) -> Tables:
        return self._transaction.tables

    async def add_clinic(self, clinic: Clinic) -> None:
        await self._transaction.lock(("clinic", clinic.id))
        if self._tables.clinics.get(clinic.id) is not None:
            self._transaction.fail(AlreadyExists())
        self._tables.clinics.put(clinic.id, clinic)

    async def lock_clinic(self, clinic_id: UUID) -> Clinic | None:
        await self._transaction.lock(("clinic", clinic_id))
        return self._tables.clinics.get(clinic_id)

    async def share_clinic(self, clinic_id: UUID) -> Clinic | None:
        await self._transaction.share(("clinic", clinic_id))
        return self._tables.clinics.get(clinic_id)

    async def share_patient(self, clinic_id: UUID, patient_id: UUID) -> bool:
        await self._transaction.share(("standing", patient_id))
        return is_patient_open(self._tables, clinic_id, patient_id)

    async def replace_clinic(self, clinic: Clinic) -> None:
        await self._transaction.lock(("clinic", clinic.id))
        if self._tables.clinics.get(clinic.id) is None:
            self._transaction.fail(ClinicNotFound())
        self._tables.clinics.put(clinic.id, clinic)

    async def add_user(self, user: User) -> None:
        email = user.email.lower()
        await self._transaction.lock(("user", user.id))
        await self._transaction.lock(("email", email))
        if self._tables.users.get(user.id) is not None:
            self._transaction.fail(AlreadyExists())
        if any(self._tables.users.where("email", email)):
            self._transaction.fail(EmailInUse())
        self._tables.users.put(user.id, user)

    async def add_doctor(self, clinic_id: UUID, user_id: UUID, specialty: str) -> None:
        key = (clinic_id, user_id)
        await self._transaction.lock(("doctor", *key))
        if self._tables.doctors.get(key) is not None:
            self._transaction.fail(AlreadyExists())
        self._check_user(clinic_id, user_id)
        self._tables.doctors.put(key, DoctorProfile(clinic_id, user_id, specialty))

    async def add_patient(self, clinic_id: UUID, user_id: UUID) -> None:
        key = (clinic_id, user_id)
        await self._transaction.lock(("patient", *key))
        if self._tables.patients.get(key) is not None:
            self._transaction.fail(AlreadyExists())
        self._check_user(clinic_id, user_id)
        self._tables.patients.put(key, PatientProfile(clinic_id, user_id))

    def _check_user(self, clinic_id: UUID, user_id: UUID) -> None:
        try:
            check_clinic(self._tables, clinic_id)
        except ClinicNotFound as error:
            self._transaction.fail(error)
        if self._tables.users.get(user_id) is None:
            self._transaction.fail(NotFound("There is no such user."))


def doctor_of(tables: Tables, clinic_id: UUID, doctor_id: UUID) -> Doctor | None:
    """Return the clinic's doctor with the user's name."""
    profile = tables.doctors.get((clinic_id, doctor_id))
    user = tables.users.get(doctor_id)
    if profile is None or user is None:
        return None
    credentials = tables.credentials.get(doctor_id) or StoredCredentials()
    works_here = profile.ended_at is None and credentials.disabled_at is None
    return Doctor(clinic_id, doctor_id, user.name, profile.specialty, profile.last_day, works_here)


def is_patient_open(tables: Tables, clinic_id: UUID, patient_id: UUID) -> bool:
    """Return whether the patient belongs to the clinic and is not disabled."""
    profile = tables.patients.get((clinic_id, patient_id))
    credentials = tables.credentials.get(patient_id) or StoredCredentials()
    return profile is not None and profile.ended_at is None and credentials.disabled_at is None


def patient_of(tables: Tables, clinic_id: UUID, patient_id: UUID) -> Patient | None:
    """Return the clinic's patient with the user's name, email address and phone number."""
    user = tables.users.get(patient_id)
    if tables.patients.get((clinic_id, patient_id)) is None or user is None:
        return None
    return Patient(clinic_id, patient_id, user.name, user.shown_email, user.phone)
