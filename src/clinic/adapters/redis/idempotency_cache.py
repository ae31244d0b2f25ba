"""Copies of stored answers in Redis, so that a repeated request need not read the database."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from clinic.domain.idempotency import PROMISED, Answer, IdempotentRequest, StoredAnswer, copy_name

T = TypeVar("T")

TIMEOUT_S = 0.05
#: how long Redis is left alone after a failure
PAUSE_S = 1.0
TTL_S = int(PROMISED.total_seconds())
#: larger answers are left to the database
BODY_MAX_BYTES = 64 * 1024
#: a caller that finds none free waits for one, within the timeout
CONNECTIONS_MAX = 16


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
        self._timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=self._timeout_s,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            # The client would retry three times by itself.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._redis = Redis.from_pool(self._pool)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Copy)

    @property
    def is_shared(self) -> bool:
        """True."""
        return True

    async def get(self, request: IdempotentRequest) -> StoredAnswer | None:
        """Return the copy of the answer to this principal's key, or None."""
        return await self._bounded(lambda: self._get(request))

    async def _get(self, request: IdempotentRequest) -> StoredAnswer | None:
        found = await self._redis.get(_key(copy_name(request)))
        if not isinstance(found, bytes):
            if found is not None:
                await self._disconnect()
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
            await self._disconnect()
            return None
        return stored

    async def put(self, stored: StoredAnswer) -> None:
        """Store a copy of an answer that is in the database."""
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
        # NX: a forgotten name stays empty until it expires.
        await self._bounded(lambda: self._set(copy_name(request), encoded, nx=True))

    async def forget(self, names: Sequence[bytes]) -> bool:
        """Remove the copies under these names, and store none there for TTL_S; return False when
        Redis is unavailable."""
        taken = [await self._bounded(partial(self._set, name, b"", nx=False)) for name in names]
        return all(taken)

    async def _set(self, name: bytes, value: bytes, *, nx: bool) -> bool:
        """Return whether Redis stored the value."""
        reply = await self._redis.set(_key(name), value, ex=TTL_S, nx=nx)
        if reply is False:
            await self._disconnect()
        return reply is True

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()

    async def _bounded(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        """Return what the operation returns, or None if Redis fails or takes too long."""
        if time.monotonic() < self._paused_until:
            return None
        try:
            # The client's own timeouts restart with each step, such as signing in.
            async with asyncio.timeout(self._timeout_s):
                return await operation()
        except (RedisError, OSError):
            self._paused_until = time.monotonic() + PAUSE_S
            return None

    async def _disconnect(self) -> None:
        """Drop idle connections, after a reply that belongs to another command."""
        await self._pool.disconnect(inuse_connections=False)


def _key(name: bytes) -> str:
    return f"clinic:answer:1:{name.hex()}"
