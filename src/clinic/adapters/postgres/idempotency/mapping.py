"""Stored answers as rows, and rows as stored answers."""

from clinic.adapters.postgres.engine.mapping import AnyRow, Values, of_table
from clinic.domain.idempotency import Answer, IdempotentRequest, StoredAnswer

#: columns of idempotency_keys as `k`
ANSWER = of_table("k", "fingerprint", "status", "body", "location", "etag", "created_at")


def answer_of(request: IdempotentRequest, part: AnyRow) -> StoredAnswer:
    """Return the answer from the columns of ANSWER."""
    fingerprint, status, body, location, etag, created_at = part
    asked = request._replace(fingerprint=fingerprint)
    return StoredAnswer(asked, Answer(status, body, location, etag), created_at)


def answer_values(stored: StoredAnswer) -> Values:
    """Return the answer's row."""
    request, answer = stored.request, stored.answer
    return {
        "clinic_id": request.clinic_id,
        "principal_id": request.principal_id,
        "key": request.key,
        "fingerprint": request.fingerprint,
        "status": answer.status,
        "body": answer.body,
        "location": answer.location,
        "etag": answer.etag,
        "created_at": stored.created_at,
    }
