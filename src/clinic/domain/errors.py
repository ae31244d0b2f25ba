"""Every error of Clinic, in one tree; each has a stable code.

The docstring of an error is its default message. `facts` are what a caller needs to fix the
request (allowed states, nearest slots, the bound that was crossed); they never hold personal data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any, ClassVar
from uuid import UUID


class ClinicError(Exception):
    """The clinic refused the request."""

    code: ClassVar[str] = "clinic_error"
    #: the docstring, cleaned once per class: errors for lost races are raised often
    meaning: ClassVar[str] = cleandoc(__doc__)

    def __init_subclass__(cls) -> None:
        cls.meaning = cleandoc(cls.__doc__ or "")

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        self.message: str = message or self.meaning
        self.facts: Mapping[str, Any] = facts
        super().__init__(self.message)


# --- input: the request itself cannot be understood or can never be valid


class InvalidInput(ClinicError):
    """The request is not valid."""

    code = "invalid_input"

    def __init__(self, message: str | None = None, pointer: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)
        self.pointer = pointer


class UnknownTimeZone(InvalidInput):
    """The time zone is not an IANA name such as Europe/London."""

    code = "unknown_time_zone"


class NaiveDatetime(InvalidInput):
    """The time has no offset; write it as 2026-11-23T09:00:00Z or with +01:00."""

    code = "naive_datetime"


class DatetimeOutOfRange(InvalidInput):
    """The time is too far off; years 2000 to 2199 are accepted."""

    code = "datetime_out_of_range"


class EndBeforeStart(InvalidInput):
    """The end is not after the start."""

    code = "end_before_start"


class AvailabilityRemainder(InvalidInput):
    """The range is not a whole number of slots."""

    code = "availability_remainder"


class HoursEmpty(InvalidInput):
    """These hours hold no slot on that day, since the clocks change."""

    code = "hours_empty"


class RangeTooLong(InvalidInput):
    """The range is longer than is accepted."""

    code = "range_too_long"


class TimeInPast(InvalidInput):
    """This time is over."""

    code = "time_in_past"


class UnknownHolidayCalendar(InvalidInput):
    """There is no calendar of public holidays for this country or subdivision."""

    code = "unknown_holiday_calendar"


class TypeTooLong(InvalidInput):
    """The type is longer than the hours of every doctor who offers it."""

    code = "type_too_long"


class NoSuchResource(InvalidInput):
    """The clinic has no active room or equipment of this kind."""

    code = "no_such_resource"


class UnknownType(InvalidInput):
    """The clinic has no such type of appointment, or needs to know which type it is."""

    code = "unknown_type"


class PasswordRefused(InvalidInput):
    """Choose another password of 8 to 128 characters."""

    code = "password_refused"


class PhoneNumberRefused(InvalidInput):
    """This is not a phone number; write it such as +44 20 7946 0958, an extension as ext. 12."""

    code = "phone_number_refused"


class TooManyRows(InvalidInput):
    """There are more appointments than one answer holds; ask for one doctor or one day."""

    code = "too_many_rows"


class IdempotencyKeyMissing(InvalidInput):
    """The Idempotency-Key header is missing; send 20 to 255 printable ASCII characters."""

    code = "idempotency_key_missing"


class IdempotencyKeyMalformed(InvalidInput):
    """The Idempotency-Key is malformed; send 20 to 255 printable ASCII characters."""

    code = "idempotency_key_malformed"


class IdempotencyKeyReused(ClinicError):
    """This Idempotency-Key was used before with a different request; make a new key."""

    code = "idempotency_key_reused"


class AnswerErased(ClinicError):
    """This was answered before; the answer was erased along with the patient's data."""

    code = "answer_erased"


# --- authentication and permission


class NotSignedIn(ClinicError):
    """Sign in first: send Authorization: Bearer with a valid token."""

    code = "not_signed_in"


class SignInFailed(NotSignedIn):
    """The email address or the password is wrong."""

    code = "sign_in_failed"


class InvitationInvalid(NotSignedIn):
    """This invitation is not valid: it was used, has expired, or was replaced by a newer one."""

    code = "invitation_invalid"


class PermissionDenied(ClinicError):
    """Your role may not do this."""

    code = "permission_denied"


class OperatorOnly(PermissionDenied):
    """Clinics are created by the operator of the service, with `clinic clinic create`."""

    code = "operator_only"


class ForgedRequest(PermissionDenied):
    """Requests with a session cookie need its X-CSRF-Token and must come from this site."""

    code = "forged_request"


class QuotaExceeded(ClinicError):
    """Too many requests; wait as long as Retry-After says."""

    code = "quota_exceeded"


# --- the requested thing does not exist (for this actor)


class NotFound(ClinicError):
    """There is no such thing here."""

    code = "not_found"


class UserNotFound(NotFound):
    """There is no such user."""

    code = "user_not_found"


class OfferNotFound(NotFound):
    """There is no such offer: it was withdrawn, accepted, or has expired."""

    code = "offer_not_found"


class SessionNotFound(NotFound):
    """There is no such session."""

    code = "session_not_found"


class ClinicNotFound(NotFound):
    """There is no such clinic."""

    code = "clinic_not_found"


class ClinicNotNamed(InvalidInput):
    """There are several clinics; name one with ?clinic=."""

    code = "clinic_not_named"


class DoctorNotFound(NotFound):
    """There is no such doctor."""

    code = "doctor_not_found"


class PatientNotFound(NotFound):
    """There is no such patient."""

    code = "patient_not_found"


class SlotNotFound(NotFound):
    """There is no such slot."""

    code = "slot_not_found"


class AppointmentNotFound(NotFound):
    """There is no such appointment."""

    code = "appointment_not_found"


class AppointmentTypeNotFound(NotFound):
    """There is no such type of appointment in this clinic."""

    code = "appointment_type_not_found"


class LocationNotFound(NotFound):
    """There is no such location in this clinic."""

    code = "location_not_found"


class ResourceNotFound(NotFound):
    """There is no such room or equipment in this clinic."""

    code = "resource_not_found"


class ResourceClosureNotFound(NotFound):
    """There is no such closure of this room or equipment."""

    code = "resource_closure_not_found"


class AvailabilityNotFound(NotFound):
    """There is no such availability."""

    code = "availability_not_found"


class ExceptionNotFound(NotFound):
    """There is no such availability exception."""

    code = "exception_not_found"


class ClosureNotFound(NotFound):
    """There is no such closure in this clinic."""

    code = "closure_not_found"


class LeaveNotFound(NotFound):
    """There is no such leave in this clinic."""

    code = "leave_not_found"


class BlockNotFound(NotFound):
    """There is no such block in this clinic."""

    code = "block_not_found"


class AddedPlaceNotFound(NotFound):
    """There is no such added place in this clinic."""

    code = "added_place_not_found"


class CalendarChangeNotFound(NotFound):
    """There is no such change of calendars in this clinic."""

    code = "calendar_change_not_found"


class NotificationNotFound(NotFound):
    """There is no such message, or it is not a dead letter."""

    code = "notification_not_found"


class LinkInvalid(NotFound):
    """This link is not valid; use the one in the latest message, or call the clinic."""

    code = "link_invalid"


class LinkOutdated(NotFound):
    """This link is from an earlier message; use the one in the latest, or call the clinic."""

    code = "link_outdated"


# --- the clinic's policy refuses it


class PolicyRefused(ClinicError):
    """The clinic's policy does not allow this."""

    code = "policy_refused"


class SlotInPast(PolicyRefused):
    """The slot has already started."""

    code = "slot_in_past"


class InsideNotice(PolicyRefused):
    """The slot starts too soon to be booked."""

    code = "inside_notice"


class BeyondHorizon(PolicyRefused):
    """The slot is further ahead than the clinic takes bookings."""

    code = "beyond_horizon"


class TypeNotBookable(PolicyRefused):
    """Appointments of this type are booked by the clinic's staff."""

    code = "type_not_bookable"


class TooManyOpenAppointments(PolicyRefused):
    """The patient has as many appointments ahead as the clinic allows."""

    code = "too_many_open_appointments"


class TooManyWithDoctor(PolicyRefused):
    """The patient has as many appointments ahead with this doctor as the clinic allows."""

    code = "too_many_with_doctor"


class TooManyBookingsToday(PolicyRefused):
    """As many appointments were booked for the patient today as the clinic allows."""

    code = "too_many_bookings_today"


class InsideCancelNotice(PolicyRefused):
    """It is too late to change this appointment yourself; call the clinic."""

    code = "inside_cancel_notice"


# --- the current state refuses it


@dataclass(frozen=True, slots=True)
class BookingConflict:
    """One reason why one of several bookings added together cannot be made."""

    #: the booking's place among those that were added, from 0
    place: int
    #: the booking's own appointment
    appointment_id: UUID
    #: SlotNotFound, SlotBlocked, SlotTaken, PatientNotFound, PatientDisabled, PatientBusy,
    #: AlreadyExists or IdempotencyConflict
    error: type[ClinicError]
    #: the appointment it conflicts with, stored or of another booking; None when the reason is no
    #: appointment, or it was gone by the time the store looked
    other_id: UUID | None = None


class Conflict(ClinicError):
    """The request conflicts with the current state."""

    code = "conflict"
    #: every reason why bookings added in a unit of work were refused, by place; empty for every
    #: other refusal. Not in `facts`, since not every caller may see others' appointment ids.
    conflicts: tuple[BookingConflict, ...] = ()


class SlotTaken(Conflict):
    """Sorry, this slot was just taken."""

    code = "slot_taken"


class SlotBlocked(Conflict):
    """This slot is blocked by the clinic."""

    code = "slot_blocked"


class DoesNotFit(Conflict):
    """The appointment lasts longer than the doctor's open hours from that time on."""

    code = "does_not_fit"


class NoResourceFree(Conflict):
    """No room or equipment that the appointment needs is free at this time."""

    code = "no_resource_free"


class NotOffered(Conflict):
    """This doctor does not offer appointments of this type."""

    code = "not_offered"


class PatientBusy(Conflict):
    """The patient has another appointment at this time."""

    code = "patient_busy"


class BookingsRefused(Conflict):
    """These appointments cannot all be made, so none of them was."""

    code = "bookings_refused"


class TransitionNotAllowed(Conflict):
    """The appointment cannot change to this status."""

    code = "transition_not_allowed"


class TooEarly(Conflict):
    """It is too early for this status."""

    code = "too_early"


class TooLateToUndo(Conflict):
    """It is too late to take this status back."""

    code = "too_late_to_undo"


class NotSwappable(Conflict):
    """These two appointments cannot be swapped."""

    code = "not_swappable"


class SameSlot(Conflict):
    """The appointment is already in this slot."""

    code = "same_slot"


class AvailabilityOverlap(Conflict):
    """The doctor already has hours in this range."""

    code = "availability_overlap"


class BlockedBy(Conflict):
    """This time is closed; change what closes it first."""

    code = "blocked_by"


class AlreadyEntered(Conflict):
    """This has already been entered."""

    code = "already_entered"


class TypeNameInUse(Conflict):
    """Another active type of appointment has this name."""

    code = "type_name_in_use"


class DefaultTypeTaken(Conflict):
    """Another active type of appointment is the clinic's default."""

    code = "default_type_taken"


class LocationNameInUse(Conflict):
    """Another active location has this name."""

    code = "location_name_in_use"


class LocationInUse(Conflict):
    """Doctors have hours ahead at this location; change or delete those first."""

    code = "location_in_use"


class LocationInactive(Conflict):
    """This location is no longer in use."""

    code = "location_inactive"


class TooClose(Conflict):
    """The doctor could not get from one location to the other in time."""

    code = "too_close"


class TooManyTypes(Conflict):
    """The clinic has as many active types of appointments as it can have."""

    code = "too_many_types"


class ConfirmationNeeded(Conflict):
    """There are appointments ahead; look at the preview, and confirm their number."""

    code = "confirmation_needed"


class SlotOverlap(Conflict):
    """The doctor already has a slot in this range."""

    code = "slot_overlap"


class EmailInUse(Conflict):
    """Somebody is already registered with this email address."""

    code = "email_in_use"


class UpcomingAppointments(Conflict):
    """This patient has appointments ahead; cancel them first."""

    code = "upcoming_appointments"


class PatientDisabled(Conflict):
    """Nobody can book for this patient, who is disabled, erased or no longer at the clinic."""

    code = "patient_disabled"


class UserShared(Conflict):
    """This would affect the person's other clinics; end the membership or sessions at yours."""

    code = "user_shared"


class OfferInvalid(Conflict):
    """This offer was used or withdrawn, has expired, or was made to another address."""

    code = "offer_invalid"


class ConsentNeeded(Conflict):
    """Joining a clinic needs the person's consent; make an offer with POST /membership-offers."""

    code = "consent_needed"


class LastAdministrator(Conflict):
    """This is the clinic's last administrator; add another one first."""

    code = "last_administrator"


class AlreadyExists(Conflict):
    """This already exists."""

    code = "already_exists"


class IdempotencyConflict(Conflict):
    """A request with this Idempotency-Key is still being processed; try again in a moment."""

    code = "idempotency_conflict"


# --- conditional requests


class VersionMissing(ClinicError):
    """Send If-Match with the ETag that you last read."""

    code = "version_missing"


class VersionMismatch(ClinicError):
    """It changed since you read it; read it again and repeat the change."""

    code = "version_mismatch"


# --- outside failures: the same request may be sent again; unless said otherwise, nothing changed


class TemporaryFailure(ClinicError):
    """The service cannot answer right now; nothing was changed, send it again."""

    code = "temporary_failure"


class OutcomeUnknown(TemporaryFailure):
    """This may or may not have been done; send it again with the same key, or check first."""

    code = "outcome_unknown"


class TransactionAborted(TemporaryFailure):
    """Two changes conflicted and this one was rolled back; send it again."""

    code = "transaction_aborted"


class AuditUnavailable(TemporaryFailure):
    """The audit trail cannot be written right now, so nothing is shown or changed."""

    code = "audit_unavailable"


def every_error(root: type[ClinicError] = ClinicError) -> tuple[type[ClinicError], ...]:
    """Return `root` and all errors below it, parents first."""
    found = [root]
    for child in root.__subclasses__():
        found.extend(every_error(child))
    return tuple(found)
