"""What goes over the wire: what requests may say, and how things look in responses.

Field names are camelCase there. Requests may hold nothing that is not named here.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import UNSET, Meta, UnsetType, field

from clinic.domain.appointments.appointments import AppointmentView, Status
from clinic.domain.audit.audit import Action, AuditEntry
from clinic.domain.calendar.availability import Availability, AvailabilityException
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.people.people import Doctor, Patient, Role, User
from clinic.entrypoints.http.kernel.problems import FACTS
from clinic.entrypoints.http.kernel.schemas import In, ItemsOut, Out, Text
from clinic.ports.calendars import SlotView
from clinic.usecases.calendar.block_slots import SlotsChanged
from clinic.usecases.calendar.change_hours import HoursChanged
from clinic.usecases.calendar.open_slots import Opened

T = TypeVar("T")

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WallTime = Annotated[
    str,
    Meta(
        # Python's $ would let a line end pass.
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](?!\n)$",
        description="HH:mm on the clinic's wall clock",
        examples=["09:00"],
    ),
]
Language = Literal["en", "de"]
# Read and checked by the port PhoneNumbers alone, which says what is wrong.
Phone = Annotated[str, Meta(max_length=200, examples=["+44 20 7946 0018"])]
# In a change, a field that is left out stays; null clears it where it says `| None`, and is refused
# elsewhere.
Reason = Text | UnsetType
SlotState = Literal["OPEN", "BLOCKED"]


# --- requests ------------------------------------------------------------------------------------


class BookIn(In):
    slot_id: UUID
    #: staff name the patient; patients book for themselves
    patient_id: UUID | None = None
    type: Text | None = None
    reason: Text | None = None
    #: staff only: book inside the notice or beyond the horizon
    override: bool = False


class ChangeAppointmentIn(In):
    """Either a new status or a new slot."""

    status: Status | UnsetType = UNSET
    slot_id: UUID | UnsetType = UNSET
    reason: Reason = UNSET
    override: bool = False


class SwapIn(In):
    appointment_ids: Annotated[tuple[UUID, ...], Meta(min_length=2, max_length=2)]
    reason: Text | None = None


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


class ChangeClinicIn(In):
    name: Text | UnsetType = UNSET
    time_zone: Text | UnsetType = UNSET
    policy: PolicyIn | UnsetType = UNSET
    #: null removes it
    address: Text | UnsetType | None = UNSET
    #: null removes it
    phone: Phone | UnsetType | None = UNSET
    language: Language | UnsetType = UNSET
    reason: Reason = UNSET


class SlotStateIn(In):
    status: SlotState
    reason: Reason = UNSET


class SlotsStateIn(In):
    """The state of every slot that overlaps `[from, to)`."""

    from_: dt.datetime
    to: dt.datetime
    status: SlotState
    reason: Reason = UNSET


class OpenSlotsIn(In):
    #: last day to open; the clinic's horizon when absent
    until: dt.date | None = None
    reason: Text | None = None


class AvailabilityIn(In):
    """Hours either on weekdays or on one date."""

    doctor_id: UUID
    start_time: WallTime
    end_time: WallTime
    slot_minutes: int
    weekdays: Annotated[tuple[Weekday, ...], Meta(max_length=7)] | None = None
    date: dt.date | None = None
    valid_from: dt.date | None = None
    valid_until: dt.date | None = None
    reason: Text | None = None


class ChangeAvailabilityIn(In):
    """null removes `validFrom` or `validUntil`."""

    start_time: WallTime | UnsetType = UNSET
    end_time: WallTime | UnsetType = UNSET
    slot_minutes: int | UnsetType = UNSET
    weekdays: Annotated[tuple[Weekday, ...], Meta(min_length=1, max_length=7)] | UnsetType = UNSET
    valid_from: dt.date | UnsetType | None = UNSET
    valid_until: dt.date | UnsetType | None = UNSET
    reason: Reason = UNSET


class ExceptionIn(In):
    """A day off, a range removed (`remove`), or hours added (`add`)."""

    doctor_id: UUID
    date: dt.date
    kind: Literal["remove", "add"]
    start_time: WallTime | None = None
    end_time: WallTime | None = None
    slot_minutes: int | None = None
    reason: Text | None = None


# --- responses -----------------------------------------------------------------------------------


class AppointmentOut(Out):
    id: UUID
    clinic_id: UUID
    slot_id: UUID
    doctor_id: UUID
    doctor_name: str
    patient_id: UUID
    patient_name: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    #: at the clinic
    date: str
    time: str
    #: in minutes
    duration: int
    type: str | None
    status: Status
    version: int

    @classmethod
    def of(cls, view: AppointmentView) -> Self:
        it = view.appointment
        when = _local(it.starts_at, it.ends_at, view.zone)
        return cls(
            it.id,
            it.clinic_id,
            it.slot_id,
            it.doctor_id,
            view.doctor_name,
            it.patient_id,
            view.patient_name,
            *when,
            it.type,
            it.status,
            it.version,
        )


class SlotOut(Out):
    id: UUID
    doctor_id: UUID
    doctor_name: str
    specialty: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    date: str
    time: str
    duration: int
    status: SlotState
    #: an appointment occupies it
    taken: bool

    @classmethod
    def of(cls, view: SlotView, zone: ZoneInfo) -> Self:
        return cls.named(view.slot, view.doctor_name, zone)

    @classmethod
    def named(cls, slot: Slot, doctor_name: str, zone: ZoneInfo) -> Self:
        when = _local(slot.starts_at, slot.ends_at, zone)
        status: Any = slot.state.value
        return cls(slot.id, slot.doctor_id, doctor_name, slot.specialty, *when, status, slot.taken)


class SlotsChangedOut(Out):
    """The slots as they are now, and the appointments in slots that are blocked."""

    slots: list[SlotOut]
    appointments: list[AppointmentOut]

    @classmethod
    def of(cls, changed: SlotsChanged, doctor_name: str, zone: ZoneInfo) -> Self:
        return cls(
            [SlotOut.named(slot, doctor_name, zone) for slot in changed.slots],
            [AppointmentOut.of(view) for view in changed.appointments],
        )


class SlotsOpenedOut(Out):
    """What opening changed; `stranded` are appointments that no hours make room for any more."""

    added: int
    retired: int
    stranded: list[AppointmentOut]

    @classmethod
    def of(cls, opened: Opened) -> Self:
        stranded = [AppointmentOut.of(view) for view in opened.stranded]
        return cls(opened.added, opened.retired, stranded)


class AvailabilityOut(Out):
    id: UUID
    doctor_id: UUID
    start_time: WallTime
    end_time: WallTime
    slot_minutes: int
    weekdays: list[Weekday] | None
    date: dt.date | None
    valid_from: dt.date | None
    valid_until: dt.date | None

    @classmethod
    def of(cls, hours: Availability) -> Self:
        return cls(*_hours(hours))


class AvailabilityChangedOut(AvailabilityOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: HoursChanged[Availability]) -> Self:
        values = (*_hours(change.hours), SlotsOpenedOut.of(change.opened))
        return cls(*values)


class ExceptionOut(Out):
    id: UUID
    doctor_id: UUID
    date: dt.date
    kind: Literal["remove", "add"]
    start_time: WallTime | None
    end_time: WallTime | None
    slot_minutes: int | None

    @classmethod
    def of(cls, exception: AvailabilityException) -> Self:
        return cls(*_exception(exception))


class ExceptionChangedOut(ExceptionOut):
    slots_opened: SlotsOpenedOut

    @classmethod
    def changed(cls, change: HoursChanged[AvailabilityException]) -> Self:
        values = (*_exception(change.hours), SlotsOpenedOut.of(change.opened))
        return cls(*values)


class DoctorOut(Out):
    id: UUID
    clinic_id: UUID
    name: str
    specialty: str

    @classmethod
    def of(cls, doctor: Doctor) -> Self:
        return cls(doctor.id, doctor.clinic_id, doctor.name, doctor.specialty)


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

    @classmethod
    def of(cls, policy: Policy) -> Self:
        # By name, as in PolicyIn: a field more is a line in each.
        return cls(*(getattr(policy, name) for name in cls.__struct_fields__))


class ClinicOut(Out):
    id: UUID
    name: str
    time_zone: str
    #: the postal address, in lines
    address: str | None
    phone: str | None
    #: of messages to people who have not chosen one
    language: str
    policy: PolicyOut

    @classmethod
    def of(cls, clinic: Clinic) -> Self:
        contact = clinic.contact
        return cls(
            clinic.id,
            clinic.name,
            clinic.time_zone,
            contact.address,
            contact.phone,
            contact.language,
            PolicyOut.of(clinic.policy),
        )


class AuditOut(Out):
    id: UUID
    at: dt.datetime
    actor_id: UUID
    actor_role: Role
    action: Action
    from_status: Status | None
    to_status: Status
    from_slot_id: UUID | None
    to_slot_id: UUID
    #: the appointment's version after the change
    version: int
    reason: str
    request_id: str | None
    ip: str | None

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        return cls(
            entry.id,
            entry.at,
            entry.actor_id,
            entry.actor_role,
            entry.action,
            entry.from_status,
            entry.to_status,
            entry.from_slot_id,
            entry.to_slot_id,
            entry.version,
            entry.reason,
            entry.request_id,
            entry.ip,
        )


class HealthOut(Out, omit_defaults=True):
    status: Literal["live", "ready"]
    #: how many events this process could never write to the audit trail; absent when it is none
    audit_events_set_aside: int = 0


class ProblemPageOut(Out):
    """What a problem's type leads to."""

    type: str
    code: str
    title: str
    status: int
    remedy: str = field(name="mend")


def appointments_out(views: Iterable[AppointmentView]) -> ItemsOut[AppointmentOut]:
    return ItemsOut([AppointmentOut.of(view) for view in views])


# Many doctors' slots, and every page of them, begin at the same few times.
@lru_cache(maxsize=16_384)
def _local(
    starts_at: dt.datetime, ends_at: dt.datetime, zone: ZoneInfo
) -> tuple[dt.datetime, dt.datetime, str, str, int]:
    """Return start and end with the clinic's offset, its day, its time, its length in minutes."""
    start = starts_at.astimezone(zone)
    text = start.isoformat()
    minutes = (ends_at - starts_at) // dt.timedelta(minutes=1)
    return start, ends_at.astimezone(zone), text[:10], text[11:16], minutes


def _hours(hours: Availability) -> tuple[Any, ...]:
    return (
        hours.id,
        hours.doctor_id,
        f"{hours.start:%H:%M}",
        f"{hours.end:%H:%M}",
        hours.slot_min,
        [WEEKDAYS[day - 1] for day in hours.weekdays] or None,
        hours.on_date,
        hours.valid_from,
        hours.valid_until,
    )


def _exception(exception: AvailabilityException) -> tuple[Any, ...]:
    kind: Any = exception.kind.value.lower()
    return (
        exception.id,
        exception.doctor_id,
        exception.on_date,
        kind,
        f"{exception.start:%H:%M}" if exception.start else None,
        f"{exception.end:%H:%M}" if exception.end else None,
        exception.slot_min,
    )


def _nearest(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the slots that could be booked instead as they are shown, in their clinic's zone."""
    zone = facts["zone"]
    return {"nearest": [SlotOut.of(view, zone) for view in facts["nearest"]]}


FACTS["nearest"] = _nearest
