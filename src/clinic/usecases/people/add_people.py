"""Add clinics, doctors and patients, and read them."""

from collections.abc import Sequence
from uuid import UUID

from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicNotFound, DoctorNotFound, PatientNotFound, UserNotFound
from clinic.domain.paging import Page, PageRequest, place_by_id
from clinic.domain.people.people import Doctor, Patient, Role, User, scope_of
from clinic.domain.permissions import Operation, permit
from clinic.domain.text import plain_line
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.contact_rules import ContactRules
from clinic.usecases.context import Context
from clinic.usecases.paging import page_of
from clinic.usecases.people.new_person import DOCTORS, PATIENTS, add_person, checked_person


async def create_clinic(context: Context, clinic: Clinic, *, contacts: ContactRules) -> Clinic:
    """Add a clinic and return it.

    Raises PermissionDenied, InvalidInput, UnknownTimeZone, PhoneNumberRefused.
    """
    permit(context.actor, Operation.CREATE_CLINIC)
    clinic = contacts.checked_clinic(clinic)

    async def work(unit: UnitOfWork) -> Clinic:
        await unit.people.add_clinic(clinic)
        await unit.events.add(
            context.event("create_clinic", "clinic", clinic.id, clinic_id=clinic.id)
        )
        return clinic

    return await context.transactions.run(work)


async def add_doctor(
    context: Context, user: User, specialty: str, *, contacts: ContactRules
) -> Doctor:
    """Add a new person as a doctor of this clinic.

    Raises PermissionDenied, InvalidInput, PhoneNumberRefused, EmailInUse.
    """
    person = checked_person(context, user, DOCTORS, specialty=specialty, contacts=contacts)

    async def work(unit: UnitOfWork) -> Doctor:
        await add_person(context, unit, person)
        assert person.specialty is not None
        added = person.user
        return Doctor(context.actor.clinic_id, added.id, added.name, person.specialty)

    return await context.transactions.run(work)


async def add_patient(context: Context, user: User, *, contacts: ContactRules) -> Patient:
    """Add a new person as a patient of the actor's clinic.

    Raises PermissionDenied, InvalidInput, PhoneNumberRefused, EmailInUse.
    """
    person = checked_person(context, user, PATIENTS, contacts=contacts)

    async def work(unit: UnitOfWork) -> Patient:
        await add_person(context, unit, person)
        added, clinic_id = person.user, context.actor.clinic_id
        return Patient(clinic_id, added.id, added.name, added.shown_email, added.phone)

    return await context.transactions.run(work)


async def read_self(context: Context) -> User:
    """Return the actor's own user. Raises UserNotFound."""
    user = await context.store.people.user(context.actor.user_id)
    if user is None:
        raise UserNotFound()
    return user


async def list_doctors(context: Context, *, specialty: str | None = None) -> Sequence[Doctor]:
    """Return the clinic's doctors by name, or those of one specialty; to patients, only doctors who
    work there, also on their last day. Raises ClinicNotFound."""
    wanted, people = None if specialty is None else plain_line(specialty), context.store.people
    doctors = await people.doctors(context.actor.clinic_id, wanted)
    if context.actor.role is not Role.PATIENT or not doctors:
        return doctors
    clinic = await people.clinic(context.actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    today = clinic.local_date(context.clock.now())
    return [doctor for doctor in doctors if not doctor.has_left(today)]


async def read_doctor(context: Context, doctor_id: UUID) -> Doctor:
    """Return one doctor of the clinic. Raises DoctorNotFound."""
    doctor = await context.store.people.doctor(context.actor.clinic_id, doctor_id)
    if doctor is None:
        raise DoctorNotFound()
    return doctor


async def read_patient(context: Context, patient_id: UUID) -> Patient:
    """Return one patient: to staff any, to patients only themselves. Raises PatientNotFound."""
    visible = scope_of(context.actor).patient_id in (None, patient_id)
    patient = (
        await context.store.people.patient(context.actor.clinic_id, patient_id) if visible else None
    )
    if patient is None:
        raise PatientNotFound()
    return patient


async def list_patients(context: Context, page: PageRequest) -> Page[Patient]:
    """Return a page of the clinic's patients by id. Raises PermissionDenied."""
    permit(context.actor, Operation.LIST_PATIENTS)
    after = page.after
    found = await context.store.people.patients(
        context.actor.clinic_id,
        after=after.id if after else None,
        backwards=after is not None and after.backwards,
        limit=page.one_more,
    )
    return page_of(found, page, lambda patient: place_by_id(patient.id))
