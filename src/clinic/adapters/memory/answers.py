"""Stored answers in memory."""

from datetime import datetime

from clinic.adapters.memory.constraints import check_clinic
from clinic.adapters.memory.tables import AnswerKey, Tables
from clinic.adapters.memory.transaction import Database, Transaction
from clinic.domain.errors import IdempotencyConflict
from clinic.domain.idempotency import IdempotentRequest, StoredAnswer


class MemoryAnswers:
    """Answers inside a unit of work."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def add(self, stored: StoredAnswer) -> None:
        key = answer_key(stored.request)
        tables = self._transaction.tables
        await self._transaction.lock(("answer", *key))
        if tables.answers.get(key) is not None:
            self._transaction.fail(IdempotencyConflict())
        check_clinic(tables, stored.request.clinic_id)
        tables.answers.put(key, stored)


class MemoryAnswerBook:
    """Answers outside a unit of work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, request: IdempotentRequest) -> StoredAnswer | None:
        return find_answer(self._database.tables, request)

    async def keep(self, stored: StoredAnswer) -> StoredAnswer:
        transaction = Transaction(self._database)
        try:
            await MemoryAnswers(transaction).add(stored)
            transaction.merge()
        except IdempotencyConflict:
            existing = await self.find(stored.request)
            assert existing is not None
            return existing
        finally:
            transaction.end()
        return stored

    async def remove_old(self, before: datetime, *, limit: int) -> int:
        answers = self._database.tables.answers
        old = [key for key, stored in answers.items() if stored.created_at < before][:limit]
        for key in old:
            answers.remove(key)
        return len(old)


def find_answer(tables: Tables, request: IdempotentRequest) -> StoredAnswer | None:
    """Return the answer stored for this principal's key, whatever its fingerprint."""
    return tables.answers.get(answer_key(request))


def answer_key(request: IdempotentRequest) -> AnswerKey:
    """Return the key of an answer's row."""
    return (request.clinic_id, request.principal_id, request.key)
