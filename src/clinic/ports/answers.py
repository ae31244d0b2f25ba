"""Stored answers to requests with an idempotency key, and the cache in front of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from clinic.domain.idempotency import IdempotentRequest, StoredAnswer


class AnswerBook(Protocol):
    """Answers outside a unit of work; each call is its own transaction."""

    async def find(self, request: IdempotentRequest) -> StoredAnswer | None:
        """Return the answer stored for this principal's key, whatever the fingerprint."""
        ...

    async def keep(self, stored: StoredAnswer) -> StoredAnswer:
        """Store a refusal unless the key has an answer; return the answer that is stored."""
        ...

    async def remove_old(self, before: datetime, *, limit: int) -> int:
        """Remove up to `limit` answers given before this instant; return how many.

        It neither waits for other transactions nor blocks them: a removed answer's key is free.
        """
        ...


class Answers(Protocol):
    """Answers inside a unit of work."""

    async def add(self, stored: StoredAnswer) -> None:
        """Store the answer. Raises IdempotencyConflict when the key already has one."""
        ...


class IdempotencyCache(Protocol):
    """Copies of stored answers, so that a repeated request need not query the database.

    It may lose copies at any time, fails silently, and never holds what the database does not.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other processes read and remove what this one puts in."""
        ...

    async def get(self, request: IdempotentRequest) -> StoredAnswer | None: ...

    async def put(self, stored: StoredAnswer) -> None:
        """Keep a copy, unless there is one, or its name was forgotten."""
        ...

    async def forget(self, names: Sequence[bytes]) -> bool:
        """Remove the copies with these names (`copy_name`) and accept none under them for the next
        24 hours, so that a concurrent replay brings none back; return whether that is certain."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
