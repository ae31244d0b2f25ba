"""An example of every request and response body, for the documentation."""

from typing import Any

import msgspec

from clinic.entrypoints.http.api.appointments.resource_schemas import (
    ChangeResourceIn,
    ResourceClosureIn,
    ResourceIn,
)
from clinic.entrypoints.http.api.appointments.schemas import BookIn, ChangeAppointmentIn, SwapIn
from clinic.entrypoints.http.api.appointments.type_schemas import (
    AppointmentTypeIn,
    ChangeAppointmentTypeIn,
)
from clinic.entrypoints.http.api.calendar.closing_schemas import (
    BlockIn,
    ChangeClosureIn,
    ChangeLeaveIn,
    ClosureIn,
    LeaveIn,
    PlaceIn,
)
from clinic.entrypoints.http.api.calendar.location_schemas import ChangeLocationIn, LocationIn
from clinic.entrypoints.http.api.calendar.schemas import (
    AvailabilityIn,
    ChangeAvailabilityIn,
    ExceptionIn,
    OpenSlotsIn,
    SlotOut,
    SlotsStateIn,
    SlotStateIn,
)
from clinic.entrypoints.http.api.example_responses import (
    APPOINTMENT_ID,
    DOCTOR_ID,
    OTHER_APPOINTMENT_ID,
    RESPONSES,
    SLOT_ID,
    TOKEN,
)
from clinic.entrypoints.http.api.messaging.schemas import PreferencesIn
from clinic.entrypoints.http.api.people.clinic_schemas import (
    ChangeClinicIn,
    ChangeDoctorIn,
    DoctorIn,
    PatientIn,
)
from clinic.entrypoints.http.api.people.schemas import (
    AcceptInvitationIn,
    AcceptOfferIn,
    AddUserIn,
    ChangeOwnDataIn,
    ChangePasswordIn,
    ChangeUserIn,
    MembershipOfferIn,
    PasswordResetIn,
    ReasonIn,
    SignInIn,
)

#: as a client would write them; a test decodes each as its type
_REQUESTS: dict[type, Any] = {
    BookIn: {"slotId": str(SLOT_ID), "type": "Consultation", "reason": "Check-up"},
    ChangeAppointmentIn: {"status": "CONFIRMED", "reason": "Confirmed by phone"},
    SwapIn: {
        "appointmentIds": [str(APPOINTMENT_ID), str(OTHER_APPOINTMENT_ID)],
        "reason": "Both asked for it",
    },
    AppointmentTypeIn: {
        "name": "Check-up",
        "visibleMin": 40,
        "afterMin": 10,
        "offeredBy": [{"doctorId": str(DOCTOR_ID), "visibleMin": 30}],
        "instructions": "Bring your card.",
        "color": "#2f6fde",
        "needs": ["ultrasound room"],
    },
    ChangeAppointmentTypeIn: {"visibleMin": 45, "reason": "Too tight in spring"},
    LocationIn: {
        "name": "Harbour branch",
        "address": "1 Quay Street\nBristol BS1 4QA",
        "directions": "Ring twice.",
        "phone": "+44 117 496 0000",
        "country": "GB",
        "subdivision": "ENG",
    },
    ChangeLocationIn: {"directions": "Second floor."},
    ResourceIn: {"kind": "ultrasound room", "name": "Room 2"},
    ChangeResourceIn: {"active": False, "reason": "Rebuilt"},
    ResourceClosureIn: {
        "from": "2026-11-23T09:00:00+01:00",
        "to": "2026-11-23T12:00:00+01:00",
        "reason": "Repair",
    },
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
        "doctorId": str(DOCTOR_ID),
        "weekdays": ["mon", "wed"],
        "startTime": "09:00",
        "endTime": "11:00",
        "slotMinutes": 30,
    },
    ChangeAvailabilityIn: {"endTime": "12:00", "reason": "Longer mornings"},
    ClosureIn: {"name": "Staff outing", "from": "2027-06-11", "reason": "Decided in May"},
    ChangeClosureIn: {"until": "2027-06-12"},
    LeaveIn: {
        "doctorId": str(DOCTOR_ID),
        "from": "2027-06-07",
        "until": "2027-06-18",
        "reason": "Summer holiday",
    },
    ChangeLeaveIn: {"until": "2027-06-16"},
    BlockIn: {
        "doctorId": str(DOCTOR_ID),
        "from": "2026-11-23T09:00:00+01:00",
        "to": "2026-11-23T10:00:00+01:00",
        "reason": "Fire drill",
    },
    PlaceIn: {
        "doctorId": str(DOCTOR_ID),
        "from": "2026-11-23T12:10:00+01:00",
        "to": "2026-11-23T12:30:00+01:00",
        "reason": "An urgent case",
    },
    ChangeDoctorIn: {"lastDay": "2027-03-31", "reason": "Retires"},
    ExceptionIn: {"doctorId": str(DOCTOR_ID), "date": "2026-12-24", "kind": "remove"},
    PasswordResetIn: {"email": "ines@example.org"},
    SignInIn: {"email": "ines@example.org", "password": "three blue herons"},
    AddUserIn: {
        "name": "Ines Alvarez",
        "email": "ines@example.org",
        "phone": "+44 20 7946 0018",
        "password": "three blue herons",
    },
    ChangeOwnDataIn: {"phone": "+44 20 7946 0018"},
    ChangePasswordIn: {"current": "three blue herons", "password": "four grey herons"},
    ChangeUserIn: {"disabled": True, "reason": "Left the clinic"},
    ReasonIn: {"reason": "Asked for it at the desk"},
    MembershipOfferIn: {"email": "robin@example.org", "role": "RECEPTIONIST"},
    AcceptOfferIn: {
        "offer": TOKEN,
        "email": "robin@example.org",
        "password": "three blue herons",
    },
    AcceptInvitationIn: {"token": TOKEN, "password": "three blue herons"},
    PreferencesIn: {"language": "de", "optedOut": ["reminder"]},
}
EXAMPLES: dict[type, Any] = {
    **_REQUESTS,
    **{type(each): msgspec.json.decode(msgspec.json.encode(each)) for each in RESPONSES},
}
SLOT_EXAMPLE: dict[str, Any] = EXAMPLES[SlotOut]
