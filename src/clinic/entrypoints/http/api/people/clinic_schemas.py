"""The clinic, its policy, its doctors and its patients on the wire."""

import datetime as dt
from typing import Annotated, Any, Self
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from clinic.domain.clinic import Clinic, Policy
from clinic.domain.people.people import Doctor, Patient, Role, User
from clinic.entrypoints.http.api.calendar.schemas import SlotsOpenedOut
from clinic.entrypoints.http.api.schemas import Language, Phone, Reason
from clinic.entrypoints.http.kernel.schemas import In, Out, Text
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.people.change_clinic import ClinicChanged


class DoctorIn(In):
    name: Text
    email: Text
    specialty: Text
    phone: Phone | None = None


class PatientIn(In):
    name: Text
    email: Text
    phone: Phone | None = None


class PolicyIn(In):
    notice_min: int | UnsetType = UNSET
    horizon_days: int | UnsetType = UNSET
    cancel_notice_min: int | UnsetType = UNSET
    hold_min: int | UnsetType = UNSET
    reminder_leads_min: Annotated[tuple[int, ...], Meta(max_length=20)] | UnsetType = UNSET
    max_open_appointments: int | UnsetType = UNSET
    travel_min: int | UnsetType = UNSET
    #: places that staff may add beside a doctor's hours at one time
    squeeze_max: int | UnsetType = UNSET
    #: null removes the limit
    max_open_per_doctor: int | UnsetType | None = UNSET
    #: null removes the limit
    max_bookings_per_day: int | UnsetType | None = UNSET
    cancel_grace_min: int | UnsetType = UNSET


class ChangeClinicIn(In):
    name: Text | UnsetType = UNSET
    time_zone: Text | UnsetType = UNSET
    policy: PolicyIn | UnsetType = UNSET
    #: null removes it
    address: Text | UnsetType | None = UNSET
    #: null removes it
    phone: Phone | UnsetType | None = UNSET
    language: Language | UnsetType = UNSET
    #: how many appointments lie ahead, as the preview says; needed for a new time zone
    confirm: int | UnsetType = UNSET
    reason: Reason = UNSET


class ChangeDoctorIn(In):
    #: the last day on which the doctor works here; null removes it
    last_day: dt.date | None
    reason: Reason = UNSET


class DoctorOut(Out):
    id: UUID
    clinic_id: UUID
    name: str
    specialty: str
    #: the last day on which the doctor works here
    last_day: dt.date | None

    @classmethod
    def of(cls, doctor: Doctor) -> Self:
        return cls(*_doctor(doctor))


class DoctorChangedOut(DoctorOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: CalendarChanged[Doctor]) -> Self:
        values = (*_doctor(change.row), SlotsOpenedOut.of(change.effect))
        return cls(*values)


def _doctor(doctor: Doctor) -> tuple[Any, ...]:
    return doctor.id, doctor.clinic_id, doctor.name, doctor.specialty, doctor.last_day


class PatientOut(Out):
    id: UUID
    clinic_id: UUID
    name: str
    email: str
    phone: str | None

    @classmethod
    def of(cls, patient: Patient) -> Self:
        return cls(patient.id, patient.clinic_id, patient.name, patient.email, patient.phone)


class UserOut(Out):
    """Who is signed in: the person, in the role and at the clinic of this token."""

    id: UUID
    clinic_id: UUID
    role: Role
    name: str
    email: str
    phone: str | None

    @classmethod
    def of(cls, user: User, role: Role, clinic_id: UUID) -> Self:
        return cls(user.id, clinic_id, role, user.name, user.shown_email, user.phone)


class PolicyOut(Out):
    notice_min: int
    horizon_days: int
    cancel_notice_min: int
    hold_min: int
    reminder_leads_min: tuple[int, ...]
    max_open_appointments: int
    travel_min: int
    squeeze_max: int
    #: null: no limit
    max_open_per_doctor: int | None
    #: null: no limit
    max_bookings_per_day: int | None
    #: how long after booking patients may cancel or move in spite of the cancel notice
    cancel_grace_min: int

    @classmethod
    def of(cls, policy: Policy) -> Self:
        # By name, as in PolicyIn: a new field is one line in each.
        return cls(*(getattr(policy, name) for name in cls.__struct_fields__))


class ClinicOut(Out):
    id: UUID
    name: str
    time_zone: str
    #: the postal address, in lines
    address: str | None
    phone: str | None
    #: the language of messages to people who have not chosen one
    language: str
    policy: PolicyOut

    @classmethod
    def of(cls, clinic: Clinic) -> Self:
        return cls(*_clinic(clinic))


class ClinicChangedOut(ClinicOut, omit_defaults=True):
    #: what a new time zone or horizon did to the slots of all doctors
    slots_opened: SlotsOpenedOut | None = None
    #: how many appointments lie ahead, when the time zone changes
    appointments_ahead: int | None = None

    @classmethod
    def changed(cls, change: ClinicChanged) -> Self:
        effect = SlotsOpenedOut.of(change.effect) if change.effect else None
        values = (*_clinic(change.clinic), effect, change.appointments_ahead)
        return cls(*values)


def _clinic(clinic: Clinic) -> tuple[Any, ...]:
    contact = clinic.contact
    return (
        clinic.id,
        clinic.name,
        clinic.time_zone,
        contact.address,
        contact.phone,
        contact.language,
        PolicyOut.of(clinic.policy),
    )
