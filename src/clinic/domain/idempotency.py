"""Idempotency keys: what a key must look like, what a repeated request is answered with."""

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
#: how long an answer is promised, and after which it may be removed
PROMISED = timedelta(hours=24)
REAPED_AFTER = timedelta(hours=72)
#: in place of an erased answer's fingerprint, which a guessed request would match
ERASED_FINGERPRINT = b"erased"


# These are tuples, because each booking makes them: frozen dataclasses take twice as long.


class IdempotentRequest(NamedTuple):
    """A request that carries a key: bound to its clinic and principal."""

    clinic_id: UUID
    principal_id: UUID
    key: str
    #: SHA-256 of method, route and canonical body
    fingerprint: bytes


class Answer(NamedTuple):
    """What the caller was told, word for word; its parts mean something to the entrypoint only."""

    status: int
    body: bytes
    location: str | None = None
    etag: str | None = None


class StoredAnswer(NamedTuple):
    """An answer kept with the change that it answers for."""

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
    """Return the SHA-256 that tells one request from another under the same key."""
    return sha256(b"\n".join((method.encode(), route.encode(), canonical_body))).digest()


def copy_name(request: IdempotentRequest) -> bytes:
    """Return what a copy of the answer is filed under: a hash, which tells neither the principal
    nor the client's key."""
    whose = (request.clinic_id.bytes, request.principal_id.bytes, request.key.encode())
    return sha256(b"".join(whose)).digest()


def erased(stored: StoredAnswer) -> StoredAnswer:
    """Return what is left of an answer that showed an erased patient: that there was one, so that
    the request is not carried out again."""
    request = stored.request._replace(fingerprint=ERASED_FINGERPRINT)
    return stored._replace(request=request, answer=Answer(stored.answer.status, b""))


def is_erased(stored: StoredAnswer) -> bool:
    return stored.request.fingerprint == ERASED_FINGERPRINT


def answer_to_repeat(stored: StoredAnswer | None, request: IdempotentRequest) -> Answer | None:
    """Return the answer to replay, or None for a request seen for the first time.

    Raises IdempotencyKeyReused when the key answered for another request, AnswerErased.
    """
    if stored is None:
        return None
    if stored.request.fingerprint != request.fingerprint:
        if is_erased(stored):
            raise AnswerErased()
        raise IdempotencyKeyReused()
    return stored.answer


def is_final(error: ClinicError) -> bool:
    """Say whether this refusal is kept for the key, so that repeating it answers the same.

    Refusals by the state of things (the slot is taken) are; requests that were never carried out
    (bad input, no permission, policy) and outside failures run afresh.
    """
    return isinstance(error, Conflict) and not isinstance(
        error, IdempotencyConflict | TemporaryFailure
    )
