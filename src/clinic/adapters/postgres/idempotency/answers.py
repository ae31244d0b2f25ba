"""Stored answers to requests with an idempotency key."""

from datetime import datetime

from sqlalchemy import insert

from clinic.adapters.postgres.engine.executors import Executor, PooledExecutor
from clinic.adapters.postgres.idempotency.mapping import ANSWER, answer_of, answer_values
from clinic.adapters.postgres.schema.idempotency import idempotency_keys
from clinic.domain.errors import IdempotencyConflict
from clinic.domain.idempotency import IdempotentRequest, StoredAnswer

#: attempts to store an answer: the reaper may remove the existing one before it is read
KEEP_ATTEMPTS = 3

FIND_ANSWER = f"""
SELECT {ANSWER.sql} FROM idempotency_keys k
WHERE k.clinic_id = $1 AND k.principal_id = $2 AND k.key = $3 AND k.recovery_point = 'finished'
"""

#: returns one row unless the key has an answer already; waits while another transaction writes it
KEEP_ANSWER = """
INSERT INTO idempotency_keys (clinic_id, principal_id, key, fingerprint, status, body, location,
                              etag, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO NOTHING RETURNING 1
"""

#: $1 before, $2 limit. By ctid: deleting by key would look each key up once more.
_REMOVE_OLD = """
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
)) RETURNING 1
"""


class PostgresAnswerBook:
    """Answers outside a unit of work; each call is a separate transaction."""

    def __init__(self, executor: PooledExecutor) -> None:
        self._executor = executor

    async def find(self, request: IdempotentRequest) -> StoredAnswer | None:
        """Return the answer stored for this principal's key, whatever its fingerprint."""
        rows = await self._executor.fetch(
            FIND_ANSWER, (request.clinic_id, request.principal_id, request.key)
        )
        return answer_of(request, rows[0]) if rows else None

    async def keep(self, stored: StoredAnswer) -> StoredAnswer:
        """Store a refusal unless the key has an answer; return the stored one.

        Waits while a request with the same key is being written. Raises IdempotencyConflict while
        the key is in use.
        """
        values = tuple(answer_values(stored).values())
        for _ in range(KEEP_ATTEMPTS):
            if await self._executor.execute(KEEP_ANSWER, values):
                return stored
            found = await self.find(stored.request)
            if found is not None:
                return found
        raise IdempotencyConflict()

    async def remove_old(self, before: datetime, *, limit: int) -> int:
        """Remove up to `limit` answers given before this instant; return how many."""
        return len(await self._executor.execute(_REMOVE_OLD, (before, limit)))


class PostgresAnswers:
    """Answers inside a unit of work."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add(self, stored: StoredAnswer) -> None:
        """Store the answer. Raises IdempotencyConflict when the key has one already."""
        async with self._executor.connection() as connection:
            await connection.execute(insert(idempotency_keys), answer_values(stored))
