"""Translates database errors into the domain's, by SQLSTATE and by constraint name."""

import re
from collections.abc import Callable, Mapping

import psycopg
from psycopg import errors as pg
from sqlalchemy import exc as sa

from clinic.domain.errors import (
    AlreadyExists,
    ClinicError,
    ClinicNotFound,
    DefaultTypeTaken,
    DoctorNotFound,
    EmailInUse,
    IdempotencyConflict,
    InvalidInput,
    LocationNameInUse,
    LocationNotFound,
    NoResourceFree,
    NotFound,
    OutcomeUnknown,
    PatientBusy,
    PatientNotFound,
    ResourceNotFound,
    SlotNotFound,
    SlotOverlap,
    SlotTaken,
    TemporaryFailure,
    TooClose,
    TransactionAborted,
    TypeNameInUse,
    UserNotFound,
)

#: constraint → error that a violation means
MEANINGS: Mapping[str, type[ClinicError]] = {
    "appointments_occupied_slot_key": SlotTaken,
    "appointments_busy_excl": SlotTaken,
    "appointments_patient_excl": PatientBusy,
    "appointments_place_fkey": SlotNotFound,
    "appointments_patient_fkey": PatientNotFound,
    "slots_doctor_excl": SlotOverlap,
    "slots_doctor_starts_key": SlotOverlap,
    "slots_location_excl": TooClose,
    "slots_location_fkey": LocationNotFound,
    "slots_doctor_fkey": DoctorNotFound,
    "availabilities_doctor_fkey": DoctorNotFound,
    "availability_exceptions_doctor_fkey": DoctorNotFound,
    "closures_clinic_fkey": ClinicNotFound,
    "leaves_doctor_fkey": DoctorNotFound,
    "blocks_doctor_fkey": DoctorNotFound,
    "added_places_doctor_fkey": DoctorNotFound,
    "appointment_types_clinic_fkey": ClinicNotFound,
    "appointment_types_name_key": TypeNameInUse,
    "appointment_types_default_key": DefaultTypeTaken,
    "appointment_type_offers_doctor_fkey": DoctorNotFound,
    "locations_clinic_fkey": ClinicNotFound,
    "availabilities_location_fkey": LocationNotFound,
    "availability_exceptions_location_fkey": LocationNotFound,
    "added_places_location_fkey": LocationNotFound,
    "closures_location_fkey": LocationNotFound,
    "locations_name_key": LocationNameInUse,
    "resources_clinic_fkey": ClinicNotFound,
    "resources_location_fkey": LocationNotFound,
    "resource_closures_resource_fkey": ResourceNotFound,
    "appointment_resources_excl": NoResourceFree,
    "appointment_resources_place_key": NoResourceFree,
    "appointment_resources_resource_fkey": ResourceNotFound,
    "users_email_key": EmailInUse,
    "doctors_profiles_clinic_fkey": ClinicNotFound,
    "doctors_profiles_user_fkey": DoctorNotFound,
    "patients_profiles_clinic_fkey": ClinicNotFound,
    "patients_profiles_user_fkey": PatientNotFound,
    "staff_profiles_clinic_fkey": ClinicNotFound,
    "membership_offers_clinic_fkey": ClinicNotFound,
    "staff_profiles_user_fkey": UserNotFound,
    "sessions_clinic_fkey": ClinicNotFound,
    "sessions_user_fkey": UserNotFound,
    "idempotency_keys_pkey": IdempotencyConflict,
}

#: conflicts between concurrent transactions: a retry may succeed. Booking's statement divides by
#: zero when it cannot take slots that it holds.
_GAVE_WAY = (
    pg.DeadlockDetected,
    pg.SerializationFailure,
    pg.LockNotAvailable,
    pg.DivisionByZero,
)
#: the server is shutting down, starting, out of resources or read-only, or timed out
_OUTAGE_SQLSTATES = re.compile(r"08...|53...|57P0.|57014|25P03|25P04|25006|40003|58...")
#: the connection broke, the server ended it, or the statement's outcome is unknown
_LOST_SQLSTATES = re.compile(r"08...|57P0[12]|40003")
#: errors of these severities end the connection, even during a commit: an unconfirmed commit may be
#: on disk all the same
_ENDING = frozenset({"FATAL", "PANIC"})
#: these end a connection, too, but only while it is idle
_IDLE_SQLSTATES = frozenset({"25P03", "57P05"})
_PLACEMENT_SUFFIX = re.compile(r"_\d+$")


Meaning = Callable[[psycopg.Error], ClinicError | None]


def meaning_of(error: psycopg.Error) -> ClinicError | None:
    """Return the domain's error for the driver's, or None for a bug of ours."""
    if isinstance(error, _GAVE_WAY):
        return TransactionAborted()
    if isinstance(error, pg.IntegrityError):
        # Engines that distribute tables append a shard's number to constraint names.
        constraint = _PLACEMENT_SUFFIX.sub("", error.diag.constraint_name or "")
        if constraint in MEANINGS:
            return MEANINGS[constraint]()
        if isinstance(error, pg.UniqueViolation):
            return AlreadyExists()
        return NotFound() if isinstance(error, pg.ForeignKeyViolation) else None
    if error.sqlstate is None:
        # Errors of libpq and the pool have no SQLSTATE: no connection, or one that broke. The
        # driver's own DataError is for text that PostgreSQL cannot store.
        if _is_of_connection(error):
            return TemporaryFailure()
        return InvalidInput() if isinstance(error, psycopg.DataError) else None
    if _OUTAGE_SQLSTATES.fullmatch(error.sqlstate):
        return TemporaryFailure()
    return InvalidInput() if isinstance(error, psycopg.DataError) else None


def meaning_at_commit(error: psycopg.Error) -> ClinicError | None:
    """Return the domain's error for an error of a commit, or of a statement in autocommit.

    If the connection is lost then, the caller cannot know whether the server committed.
    """
    sqlstate = error.sqlstate
    if sqlstate is None:
        return OutcomeUnknown() if _is_of_connection(error) else meaning_of(error)
    is_ended = error.diag.severity_nonlocalized in _ENDING and sqlstate not in _IDLE_SQLSTATES
    if is_ended or _LOST_SQLSTATES.fullmatch(sqlstate):
        return OutcomeUnknown()
    return meaning_of(error)


def _is_of_connection(error: psycopg.Error) -> bool:
    """Return whether an error without SQLSTATE is about the connection.

    When a connection breaks within an answer, libpq makes up a result, for which psycopg raises the
    error that it uses for unknown SQLSTATEs.
    """
    return isinstance(error, psycopg.OperationalError) or type(error) is psycopg.DatabaseError


class translated:  # noqa: N801 - read as a verb, in `with translated():`
    """Raise errors of the driver or a pool inside as the domain's errors.

    Bugs of ours, such as wrong SQL, pass through unchanged.
    """

    __slots__ = ("_meaning",)

    def __init__(self, meaning: Meaning = meaning_of) -> None:
        self._meaning = meaning

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        if error is None:
            return
        meaning: ClinicError | None = None
        if isinstance(error, sa.DBAPIError):
            meaning = self._meaning(error.orig) if isinstance(error.orig, psycopg.Error) else None
        elif isinstance(error, psycopg.Error):
            meaning = self._meaning(error)
        elif isinstance(error, sa.TimeoutError | sa.DisconnectionError):
            meaning = TemporaryFailure()
        elif isinstance(error, UnicodeEncodeError):
            meaning = InvalidInput()
        if meaning is not None:
            raise meaning from error
