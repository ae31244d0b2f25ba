"""`clinic doctor …` and `clinic patient …`: add and list people."""

from datetime import date
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from clinic.domain.errors import InvalidInput
from clinic.domain.paging import PageRequest, place_by_id
from clinic.domain.people.people import Doctor, Patient, Role, User
from clinic.entrypoints.cli.changing import Preview
from clinic.entrypoints.cli.output import AsJson, Row, print_row, print_rows
from clinic.entrypoints.cli.rendering import print_change
from clinic.entrypoints.cli.session import Acting, Where, session
from clinic.usecases.calendar.change_doctor import set_last_day
from clinic.usecases.people import add_people

DOCTOR_COLUMNS = ("id", "name", "specialty", "lastDay")
PATIENT_COLUMNS = ("id", "name", "email", "phone")
NOBODY, HERE = Acting(), Where()


async def add_doctor(
    name: str,
    email: str,
    specialty: str,
    /,
    *,
    phone: str | None = None,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Add a person as a doctor.

    Parameters
    ----------
    name
        Full name.
    email
        Email address, which identifies the person.
    specialty
        Such as Cardiology.
    phone
        Phone number.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        user = User(at.services.new_id(), name, email, Role.DOCTOR, phone)
        doctor = await add_people.add_doctor(
            at.context, user, specialty, contacts=at.services.contacts
        )
    print_row(_doctor(doctor), as_json=as_json)


async def last_day(
    doctor: UUID,
    day: date | None = None,
    /,
    *,
    clear: Annotated[bool, Parameter(negative="")] = False,
    preview: Preview = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Set the last day on which a doctor works at the clinic, or clear it.

    Slots after it are retired, and none are opened. Appointments in them stay and are listed.

    Parameters
    ----------
    doctor
        Id of the doctor.
    day
        The last day, such as 2026-12-31.
    clear
        The doctor stays: there is no last day.
    as_json
        Print JSON.
    """
    if (day is None) != clear:
        raise InvalidInput("Give either the last day or --clear.")
    async with session(acting) as at:
        changed = await set_last_day(at.context, doctor, day, preview=preview)
    name = changed.row.name
    print_change(
        f"{name} has no last day" if day is None else f"The last day of {name} is {day}",
        f"This is a preview of {'no last day' if day is None else f'the last day {day}'}, {name}",
        _doctor(changed.row),
        changed.effect,
        as_json=as_json,
    )


async def add_patient(
    name: str,
    email: str,
    /,
    *,
    phone: str | None = None,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Add a person as a patient.

    Parameters
    ----------
    name
        Full name.
    email
        Email address, which identifies the person.
    phone
        Phone number.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        user = User(at.services.new_id(), name, email, Role.PATIENT, phone)
        patient = await add_people.add_patient(at.context, user, contacts=at.services.contacts)
    print_row(_patient(patient), as_json=as_json)


async def list_doctors(
    *, specialty: str | None = None, where: Where = HERE, as_json: AsJson = False
) -> None:
    """List the clinic's doctors.

    Parameters
    ----------
    specialty
        Only those of this specialty.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        doctors = await add_people.list_doctors(at.context, specialty=specialty)
    print_rows([_doctor(each) for each in doctors], DOCTOR_COLUMNS, as_json=as_json)


async def list_patients(
    *,
    limit: int = 50,
    after: UUID | None = None,
    where: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """List the clinic's patients.

    Parameters
    ----------
    limit
        How many at most, up to 200.
    after
        Only those after this id, to continue where the last list ended.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        page = await add_people.list_patients(
            at.context, PageRequest(limit, place_by_id(after) if after else None)
        )
    rows = [_patient(each) for each in page.items]
    print_rows(rows, PATIENT_COLUMNS, as_json=as_json, more=page.next is not None)


def _doctor(doctor: Doctor) -> Row:
    return {
        "id": doctor.id,
        "name": doctor.name,
        "specialty": doctor.specialty,
        "lastDay": doctor.last_day,
    }


def _patient(patient: Patient) -> Row:
    return {
        "id": patient.id,
        "name": patient.name,
        "email": patient.email,
        "phone": patient.phone,
    }
