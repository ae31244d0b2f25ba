"""Redis or Valkey: copies of answers, which may be lost at any time."""

from clinic.adapters.redis.idempotency_cache import RedisIdempotencyCache

__all__ = ["RedisIdempotencyCache"]
