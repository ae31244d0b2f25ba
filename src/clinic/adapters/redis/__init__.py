"""Copies of answers in Redis or Valkey, which may be lost at any time."""

from clinic.adapters.redis.idempotency_cache import RedisIdempotencyCache

__all__ = ["RedisIdempotencyCache"]
