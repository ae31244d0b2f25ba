"""Copies of stored answers in Redis, so that a repeated request need not ask the database."""

import time
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from redis.exceptions import RedisError

from clinic.adapters.redis.line import Line
from clinic.domain.idempotency import PROMISED, Answer, IdempotentRequest, StoredAnswer, copy_name

TIMEOUT_S = 0.05
#: how long Redis is left alone after a failure
PAUSE_S = 1.0
TTL_S = int(PROMISED.total_seconds())
#: larger answers are left to the database
BODY_MAX_BYTES = 64 * 1024


class _Copy(msgspec.Struct, array_like=True):
    """What is written to Redis. Its fields keep their order; new ones go to the end."""

    clinic_id: UUID
    principal_id: UUID
    key: str
    fingerprint: bytes
    status: int
    body: bytes
    location: str | None
    etag: str | None
    created_at: datetime


class RedisIdempotencyCache:
    """Answers by a hash of clinic, principal and key; forgets after 24 hours.

    Never raises an error of Redis and never waits longer than `timeout_s` (TIMEOUT_S by default).
    After a failure it finds nothing, and does not ask Redis again for PAUSE_S. Connects when it is
    first used.
    """

    def __init__(self, url: str, *, timeout_s: float | None = None) -> None:
        self._paused_until = 0.0
        self._line = Line(url, timeout_s=TIMEOUT_S if timeout_s is None else timeout_s)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Copy)

    @property
    def is_shared(self) -> bool:
        """True."""
        return True

    async def get(self, request: IdempotentRequest) -> StoredAnswer | None:
        """Return the copy of what this principal's key was answered with, or None."""
        found = await self._ask("GET", _key(copy_name(request)))
        if not isinstance(found, bytes):
            if found is not None:
                self._line.give_up()
            return None
        try:
            copy = self._decoder.decode(found)
        except msgspec.MsgspecError:
            # Another version wrote it.
            return None
        stored = StoredAnswer(
            IdempotentRequest(copy.clinic_id, copy.principal_id, copy.key, copy.fingerprint),
            Answer(copy.status, copy.body, copy.location, copy.etag),
            copy.created_at,
        )
        whose = (request.clinic_id, request.principal_id, request.key)
        if (copy.clinic_id, copy.principal_id, copy.key) != whose:
            # The answer to another question.
            self._line.give_up()
            return None
        return stored

    async def put(self, stored: StoredAnswer) -> None:
        """Keep a copy of an answer that the database has."""
        request, answer = stored.request, stored.answer
        if len(answer.body) > BODY_MAX_BYTES:
            return
        copy = _Copy(
            request.clinic_id,
            request.principal_id,
            request.key,
            request.fingerprint,
            answer.status,
            answer.body,
            answer.location,
            answer.etag,
            stored.created_at,
        )
        encoded = self._encoder.encode(copy)
        # NX: a name that was forgotten holds nothing until its time is over.
        told = await self._ask("SET", _key(copy_name(request)), encoded, "EX", TTL_S, "NX")
        if told not in (b"OK", None):
            self._line.give_up()

    async def forget(self, names: Sequence[bytes]) -> bool:
        """Leave nothing under these names for as long as copies last; False where Redis is away."""
        told = [await self._ask("SET", _key(name), b"", "EX", TTL_S) for name in names]
        return all(each == b"OK" for each in told)

    async def close(self) -> None:
        """Give back every connection."""
        await self._line.close()

    async def _ask(self, *command: str | bytes | int) -> object:
        """Return what Redis answers, or None when it does not in time."""
        if time.monotonic() < self._paused_until:
            return None
        try:
            return await self._line.ask(*command)
        except (RedisError, OSError):
            self._paused_until = time.monotonic() + PAUSE_S
            return None


def _key(name: bytes) -> str:
    return f"clinic:answer:1:{name.hex()}"
