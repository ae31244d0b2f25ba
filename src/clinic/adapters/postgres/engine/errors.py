"""What the database refuses, said in the clinic's words: by SQLSTATE and by constraint name."""

import re
from collections.abc import Callable, Mapping

import psycopg
from psycopg import errors as pg
from sqlalchemy import exc as sa

from clinic.domain.errors import (
    AlreadyExists,
    ClinicError,
    ClinicNotFound,
    DoctorNotFound,
    EmailInUse,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    PatientBusy,
    PatientNotFound,
    SlotNotFound,
    SlotOverlap,
    SlotTaken,
    TemporaryFailure,
    TransactionAborted,
    UserNotFound,
)

#: constraint → what breaking it means
MEANINGS: Mapping[str, type[ClinicError]] = {
    "appointments_occupied_slot_key": SlotTaken,
    "appointments_patient_excl": PatientBusy,
    "appointments_slot_fkey": SlotNotFound,
    "appointments_patient_fkey": PatientNotFound,
    "slots_doctor_excl": SlotOverlap,
    "slots_doctor_starts_key": SlotOverlap,
    "slots_doctor_fkey": DoctorNotFound,
    "availabilities_doctor_fkey": DoctorNotFound,
    "availability_exceptions_doctor_fkey": DoctorNotFound,
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

#: another try may go through: two transactions met
_GAVE_WAY = (pg.DeadlockDetected, pg.SerializationFailure, pg.LockNotAvailable)
#: what the server says when it is going, coming, full, or only a copy
_OUTAGE_SQLSTATES = re.compile(r"08...|53...|57P0.|57014|25P03|25P04|25006|40003|58...")
#: the connection broke, the server ended it, or nobody can say what became of the statement
_LOST_SQLSTATES = re.compile(r"08...|57P0[12]|40003")
#: an error of this severity ends the connection, a commit's as well: the log of a commit that was
#: not confirmed may be on disk all the same
_ENDING = frozenset({"FATAL", "PANIC"})
#: these end a connection too, but only while it does nothing
_IDLE_SQLSTATES = frozenset({"25P03", "57P05"})
_PLACEMENT_SUFFIX = re.compile(r"_\d+$")


Meaning = Callable[[psycopg.Error], ClinicError | None]


def meaning_of(error: psycopg.Error) -> ClinicError | None:
    """Return the domain's error for what the driver raised, None for a fault of our own."""
    if isinstance(error, _GAVE_WAY):
        return TransactionAborted()
    if isinstance(error, pg.IntegrityError):
        # An engine that spreads tables appends a shard's number to constraint names.
        constraint = _PLACEMENT_SUFFIX.sub("", error.diag.constraint_name or "")
        if constraint in MEANINGS:
            return MEANINGS[constraint]()
        if isinstance(error, pg.UniqueViolation):
            return AlreadyExists()
        return NotFound() if isinstance(error, pg.ForeignKeyViolation) else None
    if error.sqlstate is None:
        # libpq and the pool have no SQLSTATE to tell: no connection, or one that broke. The
        # driver's own DataError is a text that PostgreSQL cannot hold.
        if _is_of_connection(error):
            return TemporaryFailure()
        return InvalidInput() if isinstance(error, psycopg.DataError) else None
    if _OUTAGE_SQLSTATES.fullmatch(error.sqlstate):
        return TemporaryFailure()
    return InvalidInput() if isinstance(error, psycopg.DataError) else None


def meaning_at_commit(error: psycopg.Error) -> ClinicError | None:
    """Return the domain's error for what a commit raised, or a statement that commits by itself.

    Whoever loses the connection then cannot know whether the server had done it.
    """
    sqlstate = error.sqlstate
    if sqlstate is None:
        return OutcomeUnknown() if _is_of_connection(error) else meaning_of(error)
    is_ended = error.diag.severity_nonlocalized in _ENDING and sqlstate not in _IDLE_SQLSTATES
    if is_ended or _LOST_SQLSTATES.fullmatch(sqlstate):
        return OutcomeUnknown()
    return meaning_of(error)


def _is_of_connection(error: psycopg.Error) -> bool:
    """Say whether an error without SQLSTATE is of the connection.

    A connection that breaks within an answer gives a result that libpq itself wrote, of which
    psycopg makes the error that it has for unknown SQLSTATEs.
    """
    return isinstance(error, psycopg.OperationalError) or type(error) is psycopg.DatabaseError


class translated:  # noqa: N801 - read as a verb, in `with translated():`
    """Raise what the driver or a pool raises inside as the domain's error.

    Faults of our own, such as wrong SQL, come through as they are.
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
        told: ClinicError | None = None
        if isinstance(error, sa.DBAPIError):
            told = self._meaning(error.orig) if isinstance(error.orig, psycopg.Error) else None
        elif isinstance(error, psycopg.Error):
            told = self._meaning(error)
        elif isinstance(error, sa.TimeoutError | sa.DisconnectionError):
            told = TemporaryFailure()
        elif isinstance(error, UnicodeEncodeError):
            told = InvalidInput()
        if told is not None:
            raise told from error
