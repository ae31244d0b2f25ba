"""Idempotency keys: their form, and the answer to a repeated request."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from clinic.domain.errors import (
    AnswerErased,
    ClinicError,
    Conflict,
    IdempotencyConflict,
    IdempotencyKeyMalformed,
    IdempotencyKeyReused,
    TemporaryFailure,
)

KEY_MIN_CHARS, KEY_MAX_CHARS = 20, 255
#: how long an answer is promised to be kept, and the age at which it may be removed
PROMISED = timedelta(hours=24)
REAPED_AFTER = timedelta(hours=72)
#: replaces the fingerprint of an erased answer, which a guessed request would match
ERASED_FINGERPRINT = b"erased"


# Tuples, because every booking creates them and a frozen dataclass takes twice as long.


class IdempotentRequest(NamedTuple):
    """A request that carries a key: bound to its clinic and principal."""

    clinic_id: UUID
    principal_id: UUID
    key: str
    #: SHA-256 of method, route and canonical body
    fingerprint: bytes


class Answer(NamedTuple):
    """The response to the caller, verbatim; only the entrypoint interprets its parts."""

    status: int
    body: bytes
    location: str | None = None
    etag: str | None = None


class StoredAnswer(NamedTuple):
    """An answer stored in the same transaction as the change it reports."""

    request: IdempotentRequest
    answer: Answer
    created_at: datetime


def checked_key(header: str) -> str:
    """Return the key in `header`, with or without the quotes of a structured-field string.

    Raises IdempotencyKeyMalformed.
    """
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if not KEY_MIN_CHARS <= len(key) <= KEY_MAX_CHARS or not (key.isascii() and key.isprintable()):
        raise IdempotencyKeyMalformed()
    return key


def fingerprint(method: str, route: str, canonical_body: bytes) -> bytes:
    """Return the SHA-256 that distinguishes requests under the same key."""
    return sha256(b"\n".join((method.encode(), route.encode(), canonical_body))).digest()


def copy_name(request: IdempotentRequest) -> bytes:
    """Return the name that a copy of the answer is stored under: a hash, which reveals neither the
    principal nor the client's key."""
    whose = (request.clinic_id.bytes, request.principal_id.bytes, request.key.encode())
    return sha256(b"".join(whose)).digest()


def erased(stored: StoredAnswer) -> StoredAnswer:
    """Return what remains of an answer that showed an erased patient: the fact that there was one,
    so that the request is not carried out again."""
    request = stored.request._replace(fingerprint=ERASED_FINGERPRINT)
    return stored._replace(request=request, answer=Answer(stored.answer.status, b""))


def is_erased(stored: StoredAnswer) -> bool:
    return stored.request.fingerprint == ERASED_FINGERPRINT


def answer_to_repeat(stored: StoredAnswer | None, request: IdempotentRequest) -> Answer | None:
    """Return the answer to replay, None for a request seen for the first time.

    Raises IdempotencyKeyReused when the key was used for another request, AnswerErased.
    """
    if stored is None:
        return None
    if stored.request.fingerprint != request.fingerprint:
        if is_erased(stored):
            raise AnswerErased()
        raise IdempotencyKeyReused()
    return stored.answer


def is_final(error: ClinicError) -> bool:
    """Return whether this refusal is stored for the key, so that a repeat gets the same answer.

    Refusals by the current state (the slot is taken) are stored. Requests that were never carried
    out (bad input, no permission, policy) and outside failures run again.
    """
    return isinstance(error, Conflict) and not isinstance(
        error, IdempotencyConflict | TemporaryFailure
    )
