"""Examples of every body, for the documentation; a test reads each as what it stands for."""

from typing import Any

import msgspec

from clinic.domain.clinic import Policy
from clinic.entrypoints.http.api.messaging.schemas import (
    NotificationOut,
    PreferencesIn,
    PreferencesOut,
)
from clinic.entrypoints.http.api.people.schemas import (
    AcceptedOut,
    AcceptInvitationIn,
    AcceptOfferIn,
    AccountOut,
    AddedUserOut,
    AddUserIn,
    ChangeOwnDataIn,
    ChangePasswordIn,
    ChangeUserIn,
    EventOut,
    ExportOut,
    InvitationOut,
    MembershipOfferIn,
    MembershipOfferOut,
    MembershipOut,
    OwnDataOut,
    OwnOfferOut,
    PasswordResetIn,
    ReasonIn,
    SessionOut,
    SignedInOut,
    SignInIn,
)
from clinic.entrypoints.http.api.schemas import (
    AppointmentOut,
    AuditOut,
    AvailabilityChangedOut,
    AvailabilityIn,
    AvailabilityOut,
    BookIn,
    ChangeAppointmentIn,
    ChangeAvailabilityIn,
    ChangeClinicIn,
    ClinicOut,
    DoctorIn,
    DoctorOut,
    ExceptionChangedOut,
    ExceptionIn,
    ExceptionOut,
    HealthOut,
    OpenSlotsIn,
    PatientIn,
    PatientOut,
    PolicyOut,
    ProblemPageOut,
    SlotOut,
    SlotsChangedOut,
    SlotsOpenedOut,
    SlotsStateIn,
    SlotStateIn,
    SwapIn,
    UserOut,
)

_CLINIC = "0199f0a0-0000-7000-8000-000000000001"
_DOCTOR = "0199f0a0-0000-7000-8000-000000000002"
_PATIENT = "0199f0a0-0000-7000-8000-000000000003"
_SLOT = "0199f0a0-0000-7000-8000-000000000004"
_APPOINTMENT = "0199f0a0-0000-7000-8000-000000000005"
_OTHER_APPOINTMENT = "0199f0a0-0000-7000-8000-000000000006"
_HOURS = "0199f0a0-0000-7000-8000-000000000007"
_ENTRY = "0199f0a0-0000-7000-8000-000000000008"
_SESSION = "0199f0a0-0000-7000-8000-000000000009"
_account = {
    "id": _PATIENT,
    "role": "PATIENT",
    "name": "Ada Lovett",
    "email": "ada@example.org",
    "phone": "+442079460018",
    "disabled": False,
    "hasPassword": True,
    "emailVerified": True,
}
_CONTACT = {"address": "Calle Mayor 1\n28013 Madrid", "phone": "+34910000000", "language": "de"}
_POLICY = msgspec.json.decode(msgspec.json.encode(PolicyOut.of(Policy())))

_appointment: dict[str, Any] = {
    "id": _APPOINTMENT,
    "clinicId": _CLINIC,
    "slotId": _SLOT,
    "doctorId": _DOCTOR,
    "doctorName": "Dr Amina Okafor",
    "patientId": _PATIENT,
    "patientName": "Ines Alvarez",
    "startsAt": "2026-11-23T09:00:00+01:00",
    "endsAt": "2026-11-23T09:30:00+01:00",
    "date": "2026-11-23",
    "time": "09:00",
    "duration": 30,
    "type": "Consultation",
    "status": "BOOKED",
    "version": 1,
}
slot: dict[str, Any] = {
    "id": _SLOT,
    "doctorId": _DOCTOR,
    "doctorName": "Dr Amina Okafor",
    "specialty": "Cardiology",
    "startsAt": "2026-11-23T09:00:00+01:00",
    "endsAt": "2026-11-23T09:30:00+01:00",
    "date": "2026-11-23",
    "time": "09:00",
    "duration": 30,
    "status": "OPEN",
    "taken": False,
}
_opened = {"added": 520, "retired": 0, "stranded": []}
_hours = {
    "id": _HOURS,
    "doctorId": _DOCTOR,
    "startTime": "09:00",
    "endTime": "11:00",
    "slotMinutes": 30,
    "weekdays": ["mon", "wed"],
    "date": None,
    "validFrom": None,
    "validUntil": None,
}
_exception = {
    "id": _HOURS,
    "doctorId": _DOCTOR,
    "date": "2026-12-24",
    "kind": "remove",
    "startTime": None,
    "endTime": None,
    "slotMinutes": None,
}
_patient = {
    "id": _PATIENT,
    "clinicId": _CLINIC,
    "name": "Ines Alvarez",
    "email": "ines@example.org",
    "phone": "+442079460018",
}

EXAMPLES: dict[type, Any] = {
    BookIn: {"slotId": _SLOT, "type": "Consultation", "reason": "Check-up"},
    ChangeAppointmentIn: {"status": "CONFIRMED", "reason": "Confirmed by phone"},
    SwapIn: {"appointmentIds": [_APPOINTMENT, _OTHER_APPOINTMENT], "reason": "Both asked for it"},
    DoctorIn: {
        "name": "Dr Amina Okafor",
        "email": "amina@example.org",
        "specialty": "Cardiology",
        "phone": "+44 20 7946 0018",
    },
    PatientIn: {"name": "Ines Alvarez", "email": "ines@example.org", "phone": "+44 20 7946 0018"},
    ChangeClinicIn: {"policy": {"noticeMin": 30}, "reason": "Walk-ins welcome"},
    SlotStateIn: {"status": "BLOCKED", "reason": "Fire drill"},
    SlotsStateIn: {
        "from": "2026-11-23T09:00:00+01:00",
        "to": "2026-11-23T12:00:00+01:00",
        "status": "BLOCKED",
        "reason": "Training",
    },
    OpenSlotsIn: {"until": "2027-01-31"},
    AvailabilityIn: {
        "doctorId": _DOCTOR,
        "weekdays": ["mon", "wed"],
        "startTime": "09:00",
        "endTime": "11:00",
        "slotMinutes": 30,
    },
    ChangeAvailabilityIn: {"endTime": "12:00", "reason": "Longer mornings"},
    ExceptionIn: {"doctorId": _DOCTOR, "date": "2026-12-24", "kind": "remove"},
    AppointmentOut: _appointment,
    SlotOut: slot,
    SlotsChangedOut: {
        "slots": [{**slot, "status": "BLOCKED", "taken": True}],
        "appointments": [_appointment],
    },
    SlotsOpenedOut: _opened,
    AvailabilityOut: _hours,
    AvailabilityChangedOut: {**_hours, "slotsOpened": _opened},
    ExceptionOut: _exception,
    ExceptionChangedOut: {**_exception, "slotsOpened": {**_opened, "added": 0, "retired": 4}},
    DoctorOut: {
        "id": _DOCTOR,
        "clinicId": _CLINIC,
        "name": "Dr Amina Okafor",
        "specialty": "Cardiology",
    },
    PatientOut: _patient,
    UserOut: {**_patient, "role": "PATIENT"},
    OwnDataOut: {**_patient, "role": "PATIENT", "emailVerified": True},
    PasswordResetIn: {"email": "ada@example.org"},
    AcceptedOut: {
        "detail": "If somebody with a password has this address, a message with a link is on its"
        " way."
    },
    ClinicOut: {
        "id": _CLINIC,
        "name": "Riverside",
        "timeZone": "Europe/Madrid",
        **_CONTACT,
        "policy": _POLICY,
    },
    AuditOut: {
        "id": _ENTRY,
        "at": "2026-11-20T10:15:30.123456Z",
        "actorId": _PATIENT,
        "actorRole": "PATIENT",
        "action": "BOOK",
        "fromStatus": None,
        "toStatus": "BOOKED",
        "fromSlotId": None,
        "toSlotId": _SLOT,
        "version": 1,
        "reason": "Check-up",
        "requestId": "0199f0a000007000800000000000000a",
        "ip": "192.0.2.7",
    },
    SignInIn: {"email": "ada@example.org", "password": "three blue herons"},
    SignedInOut: {
        "id": _SESSION,
        "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl",
        "csrfToken": None,
        "expiresAt": "2026-11-20T22:15:30Z",
        "user": {**_patient, "role": "PATIENT"},
    },
    SessionOut: {
        "id": _SESSION,
        "clinicId": _CLINIC,
        "kind": "bearer",
        "createdAt": "2026-11-20T10:15:30Z",
        "expiresAt": "2026-11-20T22:15:30Z",
        "lastSeenAt": "2026-11-20T10:15:30Z",
        "current": True,
    },
    AddUserIn: {
        "name": "Ada Lovett",
        "email": "ada@example.org",
        "phone": "+44 20 7946 0018",
        "password": "three blue herons",
    },
    AddedUserOut: {"user": _account, "invitation": None, "invitationMailed": False},
    AccountOut: _account,
    ChangeOwnDataIn: {"phone": "+44 20 7946 0018"},
    ChangePasswordIn: {"current": "three blue herons", "password": "four grey herons"},
    ChangeUserIn: {"disabled": True, "reason": "Left the clinic"},
    ReasonIn: {"reason": "Asked for it at the desk"},
    MembershipOfferIn: {"email": "robin@example.org", "role": "RECEPTIONIST"},
    MembershipOfferOut: {
        "id": _PATIENT,
        "role": "RECEPTIONIST",
        "offer": "AZnwoAAA.c2lnbmF0dXJl",
        "expiresAt": "2026-11-30T08:00:00Z",
    },
    OwnOfferOut: {
        "id": _PATIENT,
        "clinicId": _CLINIC,
        "clinicName": "Riverside Clinic",
        "role": "RECEPTIONIST",
        "specialty": None,
        "offer": "AZnwoAAA.c2lnbmF0dXJl",
        "expiresAt": "2026-11-30T08:00:00Z",
    },
    AcceptOfferIn: {
        "offer": "AZnwoAAA.c2lnbmF0dXJl",
        "email": "robin@example.org",
        "password": "three blue herons",
    },
    MembershipOut: {"clinicId": _CLINIC, "role": "RECEPTIONIST"},
    InvitationOut: {"userId": _PATIENT, "invitation": None, "invitationMailed": True},
    AcceptInvitationIn: {"token": "AZnwoAAA.c2lnbmF0dXJl", "password": "three blue herons"},
    ExportOut: {
        "user": {**_patient, "role": "PATIENT", "emailVerified": True},
        "preferences": {"language": "de", "channel": "email", "optedOut": []},
        "memberships": [
            {"clinicId": _CLINIC, "specialty": None, "endedAt": None, "consentedAt": []}
        ],
        "sessions": [],
        "appointments": [_appointment],
        "notifications": [],
        "events": [
            {
                "at": "2026-11-20T10:15:30Z",
                "role": "RECEPTIONIST",
                "action": "read",
                "entity": "patients",
                "outcome": "done",
                "own": False,
            }
        ],
    },
    EventOut: {
        "id": _ENTRY,
        "at": "2026-11-20T10:15:30.123456Z",
        "actorId": _DOCTOR,
        "actorRole": "DOCTOR",
        "action": "read",
        "entity": "patients",
        "entityId": _PATIENT,
        "patientId": _PATIENT,
        "outcome": "done",
        "reason": "No reason given",
        "detail": {"route": "/patients/{patient_id}"},
        "requestId": "0199f0a000007000800000000000000a",
        "sessionId": _SESSION,
        "ip": "192.0.2.7",
    },
    NotificationOut: {
        "id": _ENTRY,
        "appointmentId": _APPOINTMENT,
        "userId": None,
        "kind": "reminder_1440m",
        "channel": "email",
        "scheduleVersion": 0,
        "status": "SENT",
        "scheduledFor": "2026-11-22T09:00:00Z",
        "at": "2026-11-22T09:00:00.412000Z",
        "attempts": 1,
        "maybeTwice": False,
        "messageId": f"<{_ENTRY}@clinic.example>",
        "error": None,
    },
    PreferencesIn: {"language": "de", "optedOut": ["reminder"]},
    PreferencesOut: {"language": "de", "channel": "email", "optedOut": ["reminder"]},
    HealthOut: {"status": "ready"},
    ProblemPageOut: {
        "type": "/problems/slot_taken",
        "code": "slot_taken",
        "title": "Sorry, this slot was just taken.",
        "status": 409,
        "mend": "Choose another slot; `nearest` names up to three that were open just now.",
    },
}
