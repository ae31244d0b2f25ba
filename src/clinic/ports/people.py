"""Clinics and people: reading them, and adding them inside a unit of work."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from clinic.domain.clinic import Clinic
from clinic.domain.people.people import Doctor, Patient, User


class PeopleReader(Protocol):
    async def clinics(self) -> Sequence[Clinic]:
        """Return every clinic, by id."""
        ...

    async def clinic(self, clinic_id: UUID) -> Clinic | None: ...

    async def user(self, user_id: UUID) -> User | None: ...

    async def doctors(self, clinic_id: UUID, specialty: str | None = None) -> Sequence[Doctor]:
        """Return the clinic's doctors by (name, id); only those of `specialty` (exact, ignoring
        case) when it is given."""
        ...

    async def doctor(self, clinic_id: UUID, doctor_id: UUID) -> Doctor | None: ...

    async def patient(self, clinic_id: UUID, patient_id: UUID) -> Patient | None: ...

    async def patients(
        self, clinic_id: UUID, *, after: UUID | None = None, backwards: bool = False, limit: int
    ) -> Sequence[Patient]:
        """Return at most `limit` patients of the clinic by id: the first ones after `after`, or
        with `backwards` the last ones before it."""
        ...


class People(PeopleReader, Protocol):
    """Clinics and people inside a unit of work; reads include its own writes."""

    async def add_clinic(self, clinic: Clinic) -> None: ...

    async def lock_clinic(self, clinic_id: UUID) -> Clinic | None:
        """Lock the clinic against changes until this unit ends, and return its committed state.

        Waits for a concurrent change.
        """
        ...

    async def share_clinic(self, clinic_id: UUID) -> Clinic | None:
        """Return the clinic's committed state, kept from changes until this unit ends; any number
        of units may do so at once.

        Waits for a concurrent change. Must come before any other lock of the unit.
        """
        ...

    async def share_patient(self, clinic_id: UUID, patient_id: UUID) -> bool:
        """Return whether the patient can be booked for, which stays so until this unit ends; any
        number of units may do so at once.

        Waits for a unit that disables the patient or ends the membership. Must come before slots
        and appointments are locked.
        """
        ...

    async def replace_clinic(self, clinic: Clinic) -> None:
        """Replace the clinic with this id. Raises ClinicNotFound."""
        ...

    async def add_user(self, user: User) -> None:
        """Add a person. Raises EmailInUse when another has this email address, ignoring case."""
        ...

    async def add_doctor(self, clinic_id: UUID, user_id: UUID, specialty: str) -> None:
        """Make a user a doctor of the clinic. Raises AlreadyExists."""
        ...

    async def add_patient(self, clinic_id: UUID, user_id: UUID) -> None:
        """Make a user a patient of the clinic. Raises AlreadyExists."""
        ...
