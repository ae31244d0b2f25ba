"""What a driver's error means, at a commit and elsewhere."""

import psycopg
import pytest
from psycopg.errors import lookup
from psycopg.pq import DiagnosticField

from clinic.adapters.postgres.engine.errors import meaning_at_commit, meaning_of
from clinic.domain.errors import OutcomeUnknown, TemporaryFailure, TransactionAborted


def an_error(sqlstate: str, severity: str) -> psycopg.Error:
    return lookup(sqlstate)("told", info={DiagnosticField.SEVERITY_NONLOCALIZED: severity.encode()})


@pytest.mark.parametrize(
    ("sqlstate", "severity", "during", "at_commit"),
    [
        # The server reports an error: the transaction is rolled back.
        ("53100", "ERROR", TemporaryFailure, TemporaryFailure),
        ("57014", "ERROR", TemporaryFailure, TemporaryFailure),
        ("25006", "ERROR", TemporaryFailure, TemporaryFailure),
        ("55P03", "ERROR", TransactionAborted, TransactionAborted),
        ("40P01", "ERROR", TransactionAborted, TransactionAborted),
        # The connection ends without an answer.
        ("57P01", "FATAL", TemporaryFailure, OutcomeUnknown),
        ("57P02", "FATAL", TemporaryFailure, OutcomeUnknown),
        ("57P03", "FATAL", TemporaryFailure, OutcomeUnknown),
        ("57P04", "FATAL", TemporaryFailure, OutcomeUnknown),
        ("08006", "FATAL", TemporaryFailure, OutcomeUnknown),
        ("08007", "ERROR", TemporaryFailure, OutcomeUnknown),
        ("40003", "ERROR", TemporaryFailure, OutcomeUnknown),
        ("53100", "PANIC", TemporaryFailure, OutcomeUnknown),
        ("58030", "PANIC", TemporaryFailure, OutcomeUnknown),
        ("25P04", "FATAL", TemporaryFailure, OutcomeUnknown),
        # The server had closed an idle connection before the statement was sent.
        ("25P03", "FATAL", TemporaryFailure, TemporaryFailure),
        ("57P05", "FATAL", TemporaryFailure, TemporaryFailure),
    ],
)
def test_error_that_ends_the_connection_leaves_a_commit_open(
    sqlstate: str, severity: str, during: type, at_commit: type
) -> None:
    error = an_error(sqlstate, severity)

    assert (type(meaning_of(error)), type(meaning_at_commit(error))) == (during, at_commit)


def test_connection_that_breaks_without_a_word_leaves_a_commit_open() -> None:
    error = psycopg.OperationalError("server closed the connection unexpectedly")

    assert type(meaning_of(error)) is TemporaryFailure
    assert type(meaning_at_commit(error)) is OutcomeUnknown
