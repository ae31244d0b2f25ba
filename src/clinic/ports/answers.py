"""Stored answers to requests with an idempotency key, and the cache in front of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from clinic.domain.idempotency import IdempotentRequest, StoredAnswer


class AnswerBook(Protocol):
    """Answers outside a unit of work; each call is a transaction of its own."""

    async def find(self, request: IdempotentRequest) -> StoredAnswer | None:
        """Return what this principal's key was answered with, whatever the fingerprint."""
        ...

    async def keep(self, stored: StoredAnswer) -> StoredAnswer:
        """Store a refusal unless the key has an answer; return the one that stands."""
        ...

    async def remove_old(self, before: datetime, *, limit: int) -> int:
        """Remove up to `limit` answers given before this instant; return how many.

        Nobody waits for it, and it waits for nobody: the key of an answer that is gone is free.
        """
        ...


class Answers(Protocol):
    """Answers inside a unit of work."""

    async def add(self, stored: StoredAnswer) -> None:
        """Store the answer. Raises IdempotencyConflict when the key has one already."""
        ...


class IdempotencyCache(Protocol):
    """Copies of stored answers, so that a repeated request need not ask the database.

    It may forget at any time and fail silently, and never holds what the database does not.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other processes read and forget what this one puts in."""
        ...

    async def get(self, request: IdempotentRequest) -> StoredAnswer | None: ...

    async def put(self, stored: StoredAnswer) -> None:
        """Keep a copy, unless there is one, or one was forgotten by name."""
        ...

    async def forget(self, names: Sequence[bytes]) -> bool:
        """Remove the copies with these names (`copy_name`), and keep none under them for the next
        24 hours, so that a replay under way brings none back; say whether that is certain."""
        ...

    async def close(self) -> None:
        """Give back every connection."""
        ...
