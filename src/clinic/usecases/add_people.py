"""Add clinics, doctors and patients, change a clinic's settings, and read who there is."""

from collections.abc import Callable, Sequence
from uuid import UUID

from clinic.domain.audit import event_by
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicNotFound, DoctorNotFound, PatientNotFound, UserNotFound
from clinic.domain.paging import Page, PageRequest, place_by_id
from clinic.domain.people import Actor, Doctor, Patient, User, checked_specialty, scope_of
from clinic.domain.permissions import Operation, permit
from clinic.domain.text import plain_line
from clinic.ports.clock import Clock, IdSource
from clinic.ports.email_addresses import EmailAddresses
from clinic.ports.people import PeopleReader
from clinic.ports.phone_numbers import PhoneNumbers
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.checked import checked_clinic, checked_user
from clinic.usecases.pages import page_of
from clinic.usecases.transactions import Commits


async def create_clinic(
    clinic: Clinic,
    *,
    phones: PhoneNumbers,
    transactions: Commits[Clinic],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> Clinic:
    """Return the clinic, added.

    Raises PermissionDenied, InvalidInput, UnknownTimeZone, PhoneNumberRefused.
    """
    permit(actor, Operation.CREATE_CLINIC)
    clinic = checked_clinic(clinic, phones=phones)

    async def work(unit: UnitOfWork) -> Clinic:
        await unit.people.add_clinic(clinic)
        await unit.events.add(
            event_by(
                actor,
                "create_clinic",
                "clinic",
                clinic.id,
                now=clock.now(),
                event_id=new_id(),
                reason=reason,
                clinic_id=clinic.id,
            )
        )
        return clinic

    return await transactions.run(work)


async def change_clinic(
    change: Callable[[Clinic], Clinic],
    *,
    phones: PhoneNumbers,
    transactions: Commits[Clinic],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> Clinic:
    """Return the actor's clinic as `change` makes it: its new name, zone and policy.

    `change` is given the clinic as it is, which nobody else changes meanwhile, and may refuse.
    Raises PermissionDenied, ClinicNotFound, InvalidInput, UnknownTimeZone, PhoneNumberRefused, and
    what `change` raises.
    """
    permit(actor, Operation.CHANGE_CLINIC)

    async def work(unit: UnitOfWork) -> Clinic:
        before = await unit.people.lock_clinic(actor.clinic_id)
        if before is None:
            raise ClinicNotFound()
        clinic = checked_clinic(change(before), before, phones=phones)
        await unit.people.replace_clinic(clinic)
        await unit.events.add(
            event_by(
                actor,
                "change_clinic",
                "clinic",
                clinic.id,
                now=clock.now(),
                event_id=new_id(),
                reason=reason,
            )
        )
        return clinic

    return await transactions.run(work)


async def add_doctor(
    user: User,
    specialty: str,
    *,
    phones: PhoneNumbers,
    emails: EmailAddresses,
    transactions: Commits[Doctor],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> Doctor:
    """Return a new person as a doctor of this clinic.

    Raises PermissionDenied, InvalidInput, PhoneNumberRefused, EmailInUse.
    """
    permit(actor, Operation.CHANGE_CLINIC)
    user = checked_user(user, phones=phones, emails=emails)
    doctor = Doctor(actor.clinic_id, user.id, user.name, checked_specialty(specialty))

    async def work(unit: UnitOfWork) -> Doctor:
        await unit.people.add_user(user)
        await unit.people.add_doctor(actor.clinic_id, user.id, doctor.specialty)
        await unit.events.add(
            event_by(
                actor,
                "add_doctor",
                "doctor",
                user.id,
                now=clock.now(),
                event_id=new_id(),
                reason=reason,
            )
        )
        return doctor

    return await transactions.run(work)


async def add_patient(
    user: User,
    *,
    phones: PhoneNumbers,
    emails: EmailAddresses,
    transactions: Commits[Patient],
    clock: Clock,
    new_id: IdSource,
    actor: Actor,
    reason: str | None = None,
) -> Patient:
    """Return a new person as a patient of the actor's clinic.

    Raises PermissionDenied, InvalidInput, PhoneNumberRefused, EmailInUse.
    """
    permit(actor, Operation.ADD_PATIENT)
    user = checked_user(user, phones=phones, emails=emails)

    async def work(unit: UnitOfWork) -> Patient:
        await unit.people.add_user(user)
        await unit.people.add_patient(actor.clinic_id, user.id)
        await unit.events.add(
            event_by(
                actor,
                "add_patient",
                "patient",
                user.id,
                now=clock.now(),
                event_id=new_id(),
                reason=reason,
            )
        )
        return Patient(actor.clinic_id, user.id, user.name, user.shown_email, user.phone)

    return await transactions.run(work)


async def read_clinic(*, people: PeopleReader, actor: Actor) -> Clinic:
    """Return the actor's clinic. Raises ClinicNotFound."""
    clinic = await people.clinic(actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    return clinic


async def read_self(*, people: PeopleReader, actor: Actor) -> User:
    """Return the person who asks. Raises UserNotFound."""
    user = await people.user(actor.user_id)
    if user is None:
        raise UserNotFound()
    return user


async def list_doctors(
    *, people: PeopleReader, actor: Actor, specialty: str | None = None
) -> Sequence[Doctor]:
    """Return the clinic's doctors by name, or those of one specialty."""
    wanted = None if specialty is None else plain_line(specialty)
    return await people.doctors(actor.clinic_id, wanted)


async def read_doctor(*, people: PeopleReader, actor: Actor, doctor_id: UUID) -> Doctor:
    """Return one doctor of the clinic. Raises DoctorNotFound."""
    doctor = await people.doctor(actor.clinic_id, doctor_id)
    if doctor is None:
        raise DoctorNotFound()
    return doctor


async def read_patient(*, people: PeopleReader, actor: Actor, patient_id: UUID) -> Patient:
    """Return one patient: staff anyone, patients themselves. Raises PatientNotFound."""
    visible = scope_of(actor).patient_id in (None, patient_id)
    patient = await people.patient(actor.clinic_id, patient_id) if visible else None
    if patient is None:
        raise PatientNotFound()
    return patient


async def list_patients(*, people: PeopleReader, actor: Actor, page: PageRequest) -> Page[Patient]:
    """Return a page of the clinic's patients by id. Raises PermissionDenied."""
    permit(actor, Operation.LIST_PATIENTS)
    after = page.after
    found = await people.patients(
        actor.clinic_id,
        after=after.id if after else None,
        backwards=after is not None and after.backwards,
        limit=page.one_more,
    )
    return page_of(found, page, lambda patient: place_by_id(patient.id))
