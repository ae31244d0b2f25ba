"""How to fix each problem, by its code; docs/errors.md is generated from this."""

from clinic.domain.errors import ClinicError
from clinic.entrypoints.http.api.schemas import ProblemPageOut
from clinic.entrypoints.http.kernel.problems import (
    PROBLEMS_PATH,
    answered_errors,
    status_of,
    title_of,
)

_AGAIN = "Nothing was changed. Send the same request again, after `Retry-After` if there is one."
_UNSURE = (
    "It may or may not have been done. Send it again with the same Idempotency-Key, which is safe;"
    " without one, check what became of it first."
)
_LOOK = "Check the id; what belongs to somebody else or to another clinic looks the same."

REMEDIES: dict[str, str] = {
    "answer_erased": "The request was answered before and is not carried out again. Check what"
    " became of it; use a new key only for a new request.",
    "address_too_long": "Send an address (path and query) of at most 8 KiB.",
    "already_entered": (
        "Change or delete the existing entry instead, which `closureId`, `leaveId`, `blockId` or"
        " `placeId` names."
    ),
    "already_exists": "Read the existing one, and change that instead.",
    "appointment_not_found": _LOOK,
    "appointment_type_not_found": _LOOK,
    "audit_unavailable": _AGAIN,
    "availability_not_found": _LOOK,
    "availability_overlap": "Change or delete the hours named by `availabilityId`, or the exception"
    " named by `exceptionId`, first, or choose other times.",
    "availability_remainder": "Move `endTime` or change `slotMinutes`; `remainderMin` says how many"
    " minutes are left over.",
    "bad_request": "Send valid HTTP: a proper Host, a percent-encoded UTF-8 query.",
    "beyond_horizon": "Choose a slot within `horizonDays`, or ask the clinic.",
    "block_not_found": _LOOK,
    "added_place_not_found": _LOOK,
    "blocked_by": (
        "Change what `blockedBy` names: a closure, leave or a block; `no_hours` means that the"
        " doctor has no hours then, or does not work here."
    ),
    "body_too_large": "Send at most `maxBytes` bytes.",
    "calendar_change_not_found": _LOOK,
    "clinic_not_found": _LOOK,
    "clinic_not_named": "Say which clinic is meant, with `?clinic=`.",
    "closure_not_found": _LOOK,
    "confirmation_needed": "Look at the preview (`?preview=true`), then send `confirm`, the number"
    " that `appointmentsAhead` says, for a new time zone, or `appointments: keep` for a doctor who"
    " leaves.",
    "datetime_out_of_range": "Use years 2000 to 2199.",
    "too_many_types": "Set a type that nobody books any more inactive; at most 200 are active.",
    "default_type_taken": "First change the type that `typeId` names, so that it is no longer the"
    " default.",
    "does_not_fit": "Choose an earlier start, another day, or a shorter type.",
    "doctor_not_found": _LOOK,
    "email_in_use": "Find the person who has this address, or use another one.",
    "end_before_start": "Give an end after the start.",
    "exception_not_found": _LOOK,
    "forged_request": "Send it from the clinic's own page, with its CSRF token.",
    "headers_too_large": "Send at most 100 headers, and no more bytes of them than the server's"
    " `CLINIC_HEAD_MAX_BYTES`; delete cookies that are not needed.",
    "headers_too_slow": "Send request line and headers in one go, within `CLINIC_HEAD_TIMEOUT_S`.",
    "hours_empty": "Choose other times for that `date`, on which the clocks change.",
    "idempotency_conflict": "Wait a second, then send it again with the same key.",
    "idempotency_key_malformed": "Send one key of 20 to 255 printable ASCII characters, such as a"
    " UUID, with or without double quotes.",
    "idempotency_key_missing": "Make a key for each thing you want done once (20 to 255 printable"
    " ASCII characters, such as a UUID), send it as `Idempotency-Key`, and send it again with every"
    " retry. Answers are kept for 24 hours or longer.",
    "idempotency_key_reused": "Make a new key for a new request; repeat the old one word for word.",
    "inside_cancel_notice": "Call the clinic; staff can still change it.",
    "too_many_bookings_today": "Try again tomorrow, or ask the clinic, which may book with"
    " `override`.",
    "too_many_with_doctor": "Cancel one of them first, choose another doctor, or ask the clinic,"
    " which may book with `override`.",
    "too_many_open_appointments": "Cancel one of them first, or ask the clinic, which may book with"
    " `override`; `maxOpenAppointments` says how many may lie ahead.",
    "inside_notice": "Choose a slot that starts later; `noticeMin` says how many minutes ahead.",
    "internal_error": "Tell the operators the `requestId`. A request with an Idempotency-Key may be"
    " sent again.",
    "invalid_cursor": "Start again without `cursor`; use a cursor only with the list and the"
    " filters that it came from.",
    "invalid_input": "Correct what `errors` points at.",
    "invitation_invalid": "Ask the clinic for a new invitation.",
    "leave_not_found": _LOOK,
    "link_invalid": "Use the link in the latest message, or call the clinic.",
    "link_outdated": "Use the link in the latest message, or call the clinic.",
    "location_in_use": "Change or delete the hours and added places there first;"
    " `availabilityIds`, `exceptionIds` and `placeIds` name some of them.",
    "location_inactive": "Choose another location, or set this one `active` again.",
    "location_name_in_use": "Choose another name, or change or deactivate the one that `locationId`"
    " names.",
    "location_not_found": _LOOK,
    "malformed_json": "Send one JSON object in UTF-8, each name once.",
    "method_not_allowed": "Use one of the methods in `Allow`.",
    "naive_datetime": "Write the offset: 2026-11-23T09:00:00Z or 2026-11-23T10:00:00+01:00.",
    "not_acceptable": "Accept one of the media types that the detail names.",
    "not_found": "Check the address.",
    "notification_not_found": _LOOK,
    "not_signed_in": "Send `Authorization: Bearer` with a token that is valid and has not expired.",
    "no_resource_free": "Choose another time; `kind` says what is missing, and `nearest` names up"
    " to three slots at which it was free just now.",
    "no_such_resource": "First add an active one with POST /resources, or leave the kind out.",
    "not_offered": "Choose a doctor who offers this type: see `offeredBy` of the type.",
    "not_swappable": "Swap two BOOKED or CONFIRMED appointments that fit at each other's place;"
    " without types, they last equally long. `reason` is the code of what is in the way of the one"
    " that `appointmentId` names.",
    "outcome_unknown": _UNSURE,
    "password_refused": "Choose another password, as the detail says.",
    "patient_busy": "Choose another time, or move the patient's other appointment first.",
    "patient_disabled": "Enable the account, or offer the patient membership again, to be accepted"
    " with POST /memberships. An erased patient has to be added as a new one.",
    "patient_not_found": _LOOK,
    "permission_denied": "Sign in with a role that may do this.",
    "phone_number_refused": "Write the number with its country code, such as +44 20 7946 0018; an"
    " extension as `ext. 12`. It is stored as +442079460018;ext=12.",
    "quota_exceeded": "Wait as long as `Retry-After` says.",
    "range_too_long": "Give at most `maxDays` days, or enter several ranges.",
    "resource_closure_not_found": _LOOK,
    "resource_not_found": _LOOK,
    "same_slot": "Choose another slot, or leave the appointment where it is.",
    "offer_not_found": "Make another offer, or end the membership.",
    "session_not_found": _LOOK,
    "sign_in_failed": "Check email address and password; of an offer, also whether it was made to"
    " this address.",
    "slot_blocked": "Choose another slot, or have the clinic change what `blockedBy` names.",
    "slot_in_past": "Choose a slot that has not started.",
    "slot_not_found": _LOOK,
    "slot_overlap": "Choose times that are clear of the doctor's other slots, or have the clinic"
    " allow more places beside the hours (`squeezeMax`).",
    "slot_taken": "Choose another slot; `nearest` names up to three that were open just now.",
    "temporary_failure": _AGAIN,
    "time_in_past": "Give a time that is still ahead.",
    "timeout": _UNSURE,
    "too_close": "Leave `travelMin` minutes between hours at two locations; `missingMin` says how"
    " many are missing to `availabilityId`, `exceptionId` or `placeId`.",
    "too_early": "Send it again later; `when` says from what time it is accepted.",
    "too_late_to_undo": "Leave it as it is; `when` says how long it could be undone.",
    "too_many_connections": "Nothing was changed. Reuse connections, open fewer"
    " at a time, and try again after `Retry-After`.",
    "too_many_rows": "Ask for one doctor or one day.",
    "transaction_aborted": _AGAIN,
    "transition_not_allowed": "Choose a status that `allowed` names.",
    "type_name_in_use": "Choose another name, or change or deactivate the one that `typeId` names.",
    "type_not_bookable": "Ask the clinic to book it.",
    "type_too_long": "Give at most `longestMin` minutes, the longest stretch of hours without a"
    " break among these doctors, or enter longer hours first.",
    "unknown_holiday_calendar": "Use the ISO 3166-1 code of a country, such as DE, and for"
    " `subdivision` a part of its ISO 3166-2 code, such as BE.",
    "unknown_parameter": "Correct the parameter's name; the detail lists the valid ones.",
    "unknown_time_zone": "Use a name of the IANA database, such as Europe/London.",
    "unknown_type": "Name one of the clinic's types: see GET /appointment-types.",
    "unsupported_media_type": "Send `Content-Type: application/json`.",
    "upcoming_appointments": "Cancel the patient's appointments first.",
    "user_not_found": _LOOK,
    "offer_invalid": "Use the address that the offer was made to, or ask for another offer.",
    "consent_needed": "Send POST /membership-offers, and have the person accept.",
    "last_administrator": "Add another administrator, or offer somebody that role, first.",
    "operator_only": "Have the operator run clinic clinic create on the server.",
    "user_shared": "Send DELETE /users/{id}/membership or /users/{id}/sessions instead.",
    "version_mismatch": "Read it again, look at what changed, and repeat the change with the new"
    " ETag.",
    "version_missing": "Send the ETag that you read as `If-Match`, or `*` to change it whatever it"
    " is.",
}

_HEAD = """# Problems

Every refusal is an RFC 9457 problem (`application/problem+json`) with a stable `code`. Its `type`
is `/problems/<code>`, where the server says the same as this page; its `title` never changes, its
`detail` says what happened this time, and `requestId` is the response's `X-Request-Id`. Invalid
input also has `errors`, each with a `detail` and either a JSON `pointer` into the body or the
name of a `parameter` (or header). Further members are facts named in the last column.
Refusals of a connection before there is a request (408, 414, 431, 503
`too_many_connections`, and 400 for what is not HTTP) have no `instance` and no `requestId`.

This page is written by `python -m clinic.entrypoints.http.write_docs docs`; a test compares them.

| Status | Code | Meaning | How to fix it |
|---|---|---|---|
"""


def problem_page(kind: type[ClinicError]) -> ProblemPageOut:
    """Return the page that the `type` of problems of this kind links to."""
    remedy = REMEDIES.get(kind.code, "")
    return ProblemPageOut(
        PROBLEMS_PATH + kind.code, kind.code, title_of(kind), status_of(kind), remedy
    )


def errors_page() -> str:
    """Return docs/errors.md."""
    rows = [
        f"| {status_of(kind)} | `{kind.code}` | {title_of(kind)} | {REMEDIES.get(kind.code, '')} |"
        for kind in sorted(answered_errors(), key=lambda kind: (status_of(kind), kind.code))
    ]
    return _HEAD + "\n".join(rows) + "\n"
