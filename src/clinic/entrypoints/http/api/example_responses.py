"""Examples of every response, built from domain values as the handlers build theirs."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

from clinic.domain.appointments.appointments import Appointment, AppointmentView
from clinic.domain.appointments.resources import HeldResource, Resource, ResourceClosure
from clinic.domain.appointments.rules import Case, findings
from clinic.domain.appointments.types import AppointmentType, BookableBy, Offer
from clinic.domain.audit.audit import Action, AuditEntry, AuditEvent
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import Availability, AvailabilityException, ExceptionKind
from clinic.domain.calendar.changes import CalendarChange, SlotCounts
from clinic.domain.calendar.closings import Block, Blocker, BlockKind, Closure, ClosureKind, Leave
from clinic.domain.calendar.locations import Location
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Clinic
from clinic.domain.contact import Contact
from clinic.domain.errors import SlotTaken
from clinic.domain.messaging.deliveries import Outcome, Preferences
from clinic.domain.notifications import Message
from clinic.domain.people.memberships import MembershipOffer
from clinic.domain.people.people import Doctor, Patient, Role, User
from clinic.domain.people.sessions import Session, SessionKind
from clinic.domain.status import Status
from clinic.entrypoints.http.api.appointments.resource_schemas import (
    ResourceChangedOut,
    ResourceClosedOut,
    ResourceClosureOut,
    ResourceOut,
)
from clinic.entrypoints.http.api.appointments.schemas import AppointmentOut, AuditOut
from clinic.entrypoints.http.api.appointments.type_schemas import (
    AppointmentTypeChangedOut,
    AppointmentTypeOut,
)
from clinic.entrypoints.http.api.calendar.calendar_changes import ChangeProgressOut
from clinic.entrypoints.http.api.calendar.closing_schemas import (
    BlockChangedOut,
    BlockOut,
    ClosureChangedOut,
    ClosureOut,
    LeaveChangedOut,
    LeaveOut,
    PlaceChangedOut,
    PlaceOut,
)
from clinic.entrypoints.http.api.calendar.explanation import ExplanationOut
from clinic.entrypoints.http.api.calendar.location_schemas import LocationChangedOut, LocationOut
from clinic.entrypoints.http.api.calendar.schemas import (
    AvailabilityChangedOut,
    AvailabilityOut,
    CalendarChangeOut,
    ExceptionChangedOut,
    ExceptionOut,
    SlotOut,
    SlotsChangedOut,
    SlotsOpenedOut,
)
from clinic.entrypoints.http.api.messaging.schemas import NotificationOut, PreferencesOut
from clinic.entrypoints.http.api.people.clinic_schemas import (
    ClinicChangedOut,
    ClinicOut,
    DoctorChangedOut,
    DoctorOut,
    PatientOut,
    UserOut,
)
from clinic.entrypoints.http.api.people.schemas import (
    AcceptedOut,
    AccessOut,
    AccountChangedOut,
    AccountOut,
    AddedUserOut,
    EventOut,
    ExportOut,
    InvitationOut,
    MembershipEndedOut,
    MembershipOfferOut,
    MembershipOut,
    OwnDataOut,
    OwnMembershipOut,
    OwnOfferOut,
    SessionOut,
    SignedInOut,
)
from clinic.entrypoints.http.api.remedies import problem_page
from clinic.entrypoints.http.api.schemas import HealthOut
from clinic.ports.accounts import Account
from clinic.ports.calendars import SlotView
from clinic.ports.outbox import NotificationView
from clinic.usecases.appointments.explain import ExplainedStart, Explanation
from clinic.usecases.appointments.resources import ResourceChanged, ResourceClosed
from clinic.usecases.appointments.types import TypeChanged
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.block_slots import SlotsChanged
from clinic.usecases.calendar.calendar_changes import ChangeProgress
from clinic.usecases.calendar.change_calendar import CalendarChanged
from clinic.usecases.calendar.locations import LocationChanged
from clinic.usecases.people.change_clinic import ClinicChanged
from clinic.usecases.people.invite_people import Invited
from clinic.usecases.people.manage_users import AccountChanged
from clinic.usecases.people.memberships import Offered, OwnOffer
from clinic.usecases.people.sign_in import NewSession


def _id(number: int) -> UUID:
    return UUID(f"0199f0a0-0000-7000-8000-{number:012}")


CLINIC_ID, DOCTOR_ID, PATIENT_ID, SLOT_ID = map(_id, range(1, 5))
APPOINTMENT_ID, OTHER_APPOINTMENT_ID, _HOURS_ID, _ENTRY_ID, _SESSION_ID = map(_id, range(5, 10))
TOKEN = "AZnwoAAA.c2lnbmF0dXJl"  # noqa: S105

_NOW = datetime(2026, 11, 20, 10, 15, 30, tzinfo=UTC)
_WRITTEN_AT = _NOW + timedelta(microseconds=123_456)
_REQUEST_ID = "0199f0a000007000800000000000000a"
_ADDRESS = "192.0.2.7"
_ZONE = ZoneInfo("Europe/Madrid")
_CLINIC = Clinic(
    CLINIC_ID,
    "Riverside",
    _ZONE.key,
    contact=Contact("Calle Mayor 1\n28013 Madrid", "+34910000000", "de"),
)
_DOCTOR = Doctor(CLINIC_ID, DOCTOR_ID, "Dr Amina Okafor", "Cardiology")
_PATIENT = Patient(CLINIC_ID, PATIENT_ID, "Ines Alvarez", "ines@example.org", "+442079460018")
_USER = User(PATIENT_ID, _PATIENT.name, _PATIENT.email, Role.PATIENT, _PATIENT.phone)
_ACCOUNT = Account(_USER, "$argon2id$…", None, (CLINIC_ID,), _NOW)
_SLOT = Slot(
    SLOT_ID,
    CLINIC_ID,
    DOCTOR_ID,
    _DOCTOR.specialty,
    datetime(2026, 11, 23, 9, 0, tzinfo=_ZONE),
    datetime(2026, 11, 23, 9, 30, tzinfo=_ZONE),
)
_RESOURCE = Resource(_HOURS_ID, CLINIC_ID, "ultrasound room", "Room 2")
_RESOURCE_CLOSURE = ResourceClosure(
    _HOURS_ID, CLINIC_ID, _HOURS_ID, _SLOT.starts_at, _SLOT.ends_at, "Repair"
)
_APPOINTMENT = AppointmentView(
    Appointment(
        APPOINTMENT_ID,
        CLINIC_ID,
        SLOT_ID,
        DOCTOR_ID,
        PATIENT_ID,
        _SLOT.starts_at,
        _SLOT.ends_at,
        "Consultation",
        Status.BOOKED,
        version=1,
        schedule_version=0,
        status_by=PATIENT_ID,
        created_at=_NOW,
    ),
    _DOCTOR.name,
    _PATIENT.name,
    _ZONE,
    (HeldResource(_RESOURCE.id, _RESOURCE.name, _RESOURCE.kind),),
)
_TYPE = AppointmentType(
    _HOURS_ID,
    CLINIC_ID,
    "Check-up",
    40,
    after_min=10,
    notice_min=1_440,
    bookable_by=BookableBy.KNOWN_PATIENTS,
    offered_by=(Offer(DOCTOR_ID, 30),),
    instructions="Bring your card.",
    color="#2f6fde",
    needs=("ultrasound room",),
    is_default=True,
)
_LOCATION = Location(
    _HOURS_ID,
    CLINIC_ID,
    "Harbour branch",
    "1 Quay Street\nBristol BS1 4QA",
    "Ring twice.",
    "+441174960000",
    "GB",
    "ENG",
)
_HOURS = Availability(
    _HOURS_ID, CLINIC_ID, DOCTOR_ID, time(9), time(11), slot_min=30, weekdays=(1, 3)
)
_DAY_OFF = AvailabilityException(
    _HOURS_ID, CLINIC_ID, DOCTOR_ID, date(2026, 12, 24), ExceptionKind.REMOVE
)
_OPENED = CalendarEffect(SlotCounts(added=520))
_CLOSED = CalendarEffect(SlotCounts(blocked=16), stranded=(_APPOINTMENT,))
_FORESEEN = CalendarEffect(SlotCounts(retired=16), stranded=(_APPOINTMENT,), as_of=_NOW)
_CLOSURE = Closure(
    _HOURS_ID, CLINIC_ID, "Christmas", ClosureKind.YEARLY, date(2026, 12, 24), date(2026, 12, 26)
)
_LEAVE = Leave(
    _HOURS_ID, CLINIC_ID, DOCTOR_ID, date(2026, 12, 7), date(2026, 12, 11), reason="Congress"
)
_BLOCK = Block(_HOURS_ID, CLINIC_ID, DOCTOR_ID, _SLOT.starts_at, _SLOT.ends_at, "Fire drill")
_PLACE = AddedPlace(
    _HOURS_ID, CLINIC_ID, DOCTOR_ID, _SLOT.starts_at, _SLOT.ends_at, "An urgent case"
)
_CHANGE = CalendarChange(
    _ENTRY_ID,
    CLINIC_ID,
    "add_closure",
    "closure",
    _HOURS_ID,
    DOCTOR_ID,
    _NOW,
    date(2026, 12, 23),
    date(2026, 12, 26),
    doctors=180,
    doctors_done=65,
    counts=SlotCounts(blocked=7_800),
)
_SESSION = Session(
    _SESSION_ID,
    CLINIC_ID,
    PATIENT_ID,
    Role.PATIENT,
    SessionKind.BEARER,
    created_at=_NOW,
    expires_at=_NOW + timedelta(hours=12),
    last_seen_at=_NOW,
    token_hash=b"",
)
_OFFER = MembershipOffer(
    CLINIC_ID, PATIENT_ID, Role.RECEPTIONIST, None, DOCTOR_ID, _NOW, _NOW + timedelta(days=7)
)
_BOOKED = AuditEntry(
    _ENTRY_ID,
    CLINIC_ID,
    APPOINTMENT_ID,
    _WRITTEN_AT,
    PATIENT_ID,
    Role.PATIENT,
    Action.BOOK,
    from_status=None,
    to_status=Status.BOOKED,
    from_slot_id=None,
    to_slot_id=SLOT_ID,
    version=1,
    reason="Check-up",
    request_id=_REQUEST_ID,
    ip=_ADDRESS,
)
_READ = AuditEvent(
    _ENTRY_ID,
    CLINIC_ID,
    _WRITTEN_AT,
    DOCTOR_ID,
    Role.DOCTOR,
    "read",
    "patients",
    PATIENT_ID,
    "No reason given",
    {"route": "/patients/{patient_id}"},
    patient_id=PATIENT_ID,
    request_id=_REQUEST_ID,
    ip=_ADDRESS,
    session_id=_SESSION_ID,
)
_LATER = replace(
    _SLOT,
    id=_id(10),
    starts_at=_SLOT.starts_at + timedelta(days=1),
    ends_at=_SLOT.ends_at + timedelta(days=1),
)
_EXPLAINED = Explanation(
    _DOCTOR,
    None,
    None,
    (
        ExplainedStart(
            _SLOT.starts_at,
            _SLOT.ends_at,
            SLOT_ID,
            findings(
                Case(
                    _APPOINTMENT.appointment,
                    replace(_SLOT, state=SlotState.BLOCKED),
                    _CLINIC,
                    _CLINIC.policy,
                    _NOW,
                    blockers=[Blocker(BlockKind.CLOSURE, name="Staff outing")],
                )
            ),
        ),
    ),
    (SlotView(_LATER, _DOCTOR.name),),
)
_REMINDED_AT = _SLOT.starts_at - timedelta(days=1)
_REMINDER = NotificationView(
    Message(
        _ENTRY_ID,
        CLINIC_ID,
        APPOINTMENT_ID,
        "reminder_1440m",
        version=0,
        scheduled_for=_REMINDED_AT.astimezone(UTC),
        expires_at=_SLOT.starts_at,
        created_at=_NOW,
    ),
    Outcome.SENT,
    attempts=1,
    at=(_REMINDED_AT + timedelta(milliseconds=412)).astimezone(UTC),
    message_id=f"<{_ENTRY_ID}@clinic.example>",
)
_OWN_DATA = OwnDataOut.of_account(_ACCOUNT, Role.PATIENT, CLINIC_ID)
_GERMAN = Preferences("de", opted_out=frozenset({"reminder"}))

SLOT = SlotOut.named(_SLOT, _DOCTOR.name, _ZONE)
#: one of each type
RESPONSES: tuple[Struct, ...] = (
    AppointmentOut.of(_APPOINTMENT),
    AppointmentTypeOut.of(_TYPE),
    LocationOut.of(_LOCATION),
    LocationChangedOut.changed(LocationChanged(_LOCATION)),
    AppointmentTypeChangedOut.changed(TypeChanged(_TYPE)),
    ResourceOut.of(_RESOURCE),
    ResourceChangedOut.changed(ResourceChanged(_RESOURCE)),
    ResourceClosureOut.of(_RESOURCE_CLOSURE),
    ResourceClosedOut.closed(ResourceClosed(_RESOURCE_CLOSURE, (_APPOINTMENT,))),
    SLOT,
    SlotsChangedOut.of(
        SlotsChanged((replace(_SLOT, state=SlotState.BLOCKED, taken=True),), (_APPOINTMENT,)),
        _DOCTOR.name,
        _ZONE,
    ),
    ExplanationOut.of(_EXPLAINED, _ZONE),
    SlotsOpenedOut.of(_OPENED),
    AvailabilityOut.of(_HOURS),
    AvailabilityChangedOut.changed(CalendarChanged(_HOURS, _OPENED)),
    ExceptionOut.of(_DAY_OFF),
    ExceptionChangedOut.changed(CalendarChanged(_DAY_OFF, CalendarEffect(SlotCounts(retired=4)))),
    ClosureOut.of(_CLOSURE),
    ClosureChangedOut.changed(CalendarChanged(_CLOSURE, _CLOSED)),
    LeaveOut.of(_LEAVE),
    LeaveChangedOut.changed(CalendarChanged(_LEAVE, _CLOSED)),
    BlockOut.of(_BLOCK, _ZONE),
    BlockChangedOut.changed(CalendarChanged(_BLOCK, _CLOSED), _ZONE),
    PlaceOut.of(_PLACE, _ZONE),
    PlaceChangedOut.changed(CalendarChanged(_PLACE, CalendarEffect(SlotCounts(added=1))), _ZONE),
    CalendarChangeOut.of(_CHANGE),
    ChangeProgressOut.of_progress(ChangeProgress(_CHANGE, (_APPOINTMENT,))),
    DoctorChangedOut.changed(CalendarChanged(_DOCTOR, _CLOSED)),
    ClinicChangedOut.changed(ClinicChanged(_CLINIC)),
    AccountChangedOut.changed(AccountChanged(_ACCOUNT)),
    MembershipEndedOut(_DOCTOR.id, SlotsOpenedOut.of(_FORESEEN)),
    DoctorOut.of(_DOCTOR),
    PatientOut.of(_PATIENT),
    UserOut.of(_USER, Role.PATIENT, CLINIC_ID),
    _OWN_DATA,
    AcceptedOut(
        "If somebody with a password has this address, a message with a link is on its way."
    ),
    ClinicOut.of(_CLINIC),
    AuditOut.of(_BOOKED),
    SignedInOut.of(
        NewSession(_SESSION, _USER, ""),
        "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl",
        None,
    ),
    SessionOut.of(_SESSION, current=_SESSION_ID),
    AddedUserOut.of(Invited(_ACCOUNT, None, is_mailed=False)),
    AccountOut.of(_ACCOUNT),
    MembershipOfferOut.of(Offered(_OFFER, TOKEN)),
    OwnOfferOut.of(OwnOffer(_OFFER, _CLINIC.name, TOKEN)),
    MembershipOut(CLINIC_ID, Role.RECEPTIONIST),
    InvitationOut.of(Invited(_ACCOUNT, None, is_mailed=True)),
    ExportOut(
        _OWN_DATA,
        PreferencesOut.of(_GERMAN),
        [OwnMembershipOut(CLINIC_ID, None, None, [])],
        [],
        [AppointmentOut.of(_APPOINTMENT)],
        [],
        [],
        [NotificationOut.of(_REMINDER)],
        [AccessOut(_NOW, Role.RECEPTIONIST, "read", "patients", "done", own=False)],
    ),
    EventOut.of(_READ),
    NotificationOut.of(_REMINDER),
    PreferencesOut.of(_GERMAN),
    HealthOut("ready"),
    problem_page(SlotTaken),
)
