"""The answers to repeated requests."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from clinic.domain.errors import (
    AnswerErased,
    AvailabilityOverlap,
    ClinicError,
    Conflict,
    IdempotencyConflict,
    IdempotencyKeyMalformed,
    IdempotencyKeyReused,
    InsideNotice,
    InvalidInput,
    NotSignedIn,
    PatientBusy,
    PermissionDenied,
    SlotBlocked,
    SlotNotFound,
    SlotTaken,
    TemporaryFailure,
    TransactionAborted,
    VersionMismatch,
    every_error,
)
from clinic.domain.idempotency import (
    Answer,
    IdempotentRequest,
    StoredAnswer,
    answer_to_repeat,
    checked_key,
    erased,
    fingerprint,
    is_erased,
    is_final,
)

KEY = "0123456789-abcdefghi"
REQUEST = IdempotentRequest(uuid4(), uuid4(), KEY, fingerprint("POST", "/appointments", b"{}"))
STORED = StoredAnswer(REQUEST, Answer(201, b"{}"), datetime(2026, 11, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    "header", [KEY, f'"{KEY}"', f"  {KEY} ", f' "{KEY}" ', '"' + KEY.replace("-", "-") + '"']
)
def test_key_is_the_same_with_and_without_quotes(header: str) -> None:
    assert checked_key(header) == KEY


def test_key_in_quotes_is_unescaped() -> None:
    assert checked_key(r'"a \"quoted\" word and a \\ backslash"') == (
        'a "quoted" word and a \\ backslash'
    )


@pytest.mark.parametrize("key", ["x" * 20, "x" * 255])
def test_key_of_20_to_255_characters_is_accepted(key: str) -> None:
    assert checked_key(key) == key


@pytest.mark.parametrize(
    "header",
    ["", '""', '"', "x" * 19, "x" * 256, "x" * 19 + "é", "x" * 19 + "\n" + "y", "\x7f" * 20],
)
def test_key_that_is_malformed_is_refused(header: str) -> None:
    with pytest.raises(IdempotencyKeyMalformed):
        checked_key(header)


def test_fingerprint_tells_method_route_and_body_apart() -> None:
    prints = {
        fingerprint(*parts)
        for parts in (
            ("POST", "/appointments", b"{}"),
            ("PATCH", "/appointments", b"{}"),
            ("POST", "/swaps", b"{}"),
            ("POST", "/appointments", b"[]"),
        )
    }

    assert len(prints) == 4
    assert {len(each) for each in prints} == {32}


def test_answer_to_a_new_key_is_none() -> None:
    assert answer_to_repeat(None, REQUEST) is None


def test_answer_to_the_same_request_is_the_stored_one() -> None:
    assert answer_to_repeat(STORED, REQUEST) == STORED.answer


def test_answer_to_another_request_under_the_key_is_refused() -> None:
    with pytest.raises(IdempotencyKeyReused):
        answer_to_repeat(STORED, REQUEST._replace(fingerprint=b"f" * 32))


@pytest.mark.parametrize("fingerprint", [REQUEST.fingerprint, b"f" * 32])
def test_erased_answer_is_told_from_none_whatever_the_request(fingerprint: bytes) -> None:
    kept = erased(STORED)

    with pytest.raises(AnswerErased):
        answer_to_repeat(kept, REQUEST._replace(fingerprint=fingerprint))
    assert is_erased(kept)
    assert not is_erased(STORED)


def test_erased_answer_keeps_key_status_and_time_alone() -> None:
    kept = erased(STORED)

    assert kept.answer == Answer(STORED.answer.status, b"")
    assert kept.created_at == STORED.created_at
    assert kept.request._replace(fingerprint=b"") == STORED.request._replace(fingerprint=b"")
    assert STORED.request.fingerprint not in kept.request


@pytest.mark.parametrize("error", [SlotTaken, PatientBusy, SlotBlocked, AvailabilityOverlap])
def test_refusal_by_the_state_of_things_is_final(error: type[ClinicError]) -> None:
    assert is_final(error())


@pytest.mark.parametrize(
    "error",
    [
        IdempotencyConflict,
        InsideNotice,
        InvalidInput,
        NotSignedIn,
        PermissionDenied,
        SlotNotFound,
        TemporaryFailure,
        TransactionAborted,
        VersionMismatch,
    ],
)
def test_refusal_of_what_was_never_carried_out_is_not_final(error: type[ClinicError]) -> None:
    assert not is_final(error())


def test_every_conflict_but_one_is_final() -> None:
    # Entrypoints add their own errors to the tree, which do not concern the domain.
    ours = [error for error in every_error() if error.__module__ == ClinicError.__module__]
    final = {error for error in ours if is_final(error())}

    assert final == {error for error in ours if issubclass(error, Conflict)} - {IdempotencyConflict}
