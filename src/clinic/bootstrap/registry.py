"""Which adapter implements which port, by the scheme of its URL."""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

from clinic.bootstrap.mail import composer, folder_of, mail_server
from clinic.ports.answers import IdempotencyCache
from clinic.ports.job_queue import JobQueue
from clinic.ports.notifier import Notifier
from clinic.ports.rate_limiter import RateLimiter
from clinic.ports.unit_of_work import Store
from clinic.settings import Settings, SettingsError

#: entry points of third-party adapters, named <kind>.<scheme>, such as store.mysql; each is a
#: callable that takes (url, settings) and returns the adapter
ENTRY_POINT_GROUP = "clinic.adapters"


def make_adapter(kind: str, variable: str, url: str, settings: Settings) -> Any:
    """Return the adapter of this kind for the scheme of `url`. Raises SettingsError."""
    scheme = scheme_of(url)
    factory = _BUILT_IN.get((kind, scheme)) or _from_entry_points(kind, scheme)
    if factory is None:
        known = ", ".join(sorted(s for k, s in _BUILT_IN if k == kind))
        raise SettingsError(f"{variable}: no adapter for {scheme}://; use one of: {known}.")
    try:
        return factory(url, settings)
    except ValueError:
        raise _malformed(variable) from None


def _malformed(variable: str) -> SettingsError:
    # The parser's message may quote the URL's password, so it is left out.
    return SettingsError(
        f"{variable}: this is not a URL; write scheme://user:password@host:port/name, with %-signs"
        " for special characters in the password."
    )


def check_postgres_url(variable: str, url: str) -> None:
    """Raise SettingsError for a URL that libpq cannot read."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        raise _malformed(variable) from None


def scheme_of(url: str) -> str:
    return url.partition(":")[0].lower()


def _from_entry_points(kind: str, scheme: str) -> Callable[[str, Settings], Any] | None:
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=f"{kind}.{scheme}"):
        factory: Callable[[str, Settings], Any] = entry.load()
        return factory
    return None


# Adapters are imported when chosen, so that a process that runs in memory loads no database driver.


def _memory_store(url: str, settings: Settings) -> Store:
    from clinic.adapters.memory.store import MemoryStore

    return MemoryStore()


def _postgres_store(url: str, settings: Settings) -> Store:
    from clinic.adapters.postgres.store import PostgresStore

    check_postgres_url("CLINIC_DATABASE_URL", url)
    return PostgresStore(url, pool_size=settings.pool_size)


def _memory_cache(url: str, settings: Settings) -> IdempotencyCache:
    from clinic.adapters.memory.idempotency_cache import MemoryIdempotencyCache, NoCopies

    is_alone = scheme_of(settings.database_url) == "memory"
    return MemoryIdempotencyCache() if is_alone else NoCopies()


def _redis_cache(url: str, settings: Settings) -> IdempotencyCache:
    from clinic.adapters.redis.idempotency_cache import RedisIdempotencyCache

    return RedisIdempotencyCache(url)


def _memory_limiter(url: str, settings: Settings) -> RateLimiter:
    from clinic.adapters.memory.rate_limiter import MemoryRateLimiter

    return MemoryRateLimiter()


def _redis_limiter(url: str, settings: Settings) -> RateLimiter:
    from clinic.adapters.redis.rate_limiter import RedisRateLimiter

    return RedisRateLimiter(url)


def _memory_queue(url: str, settings: Settings) -> JobQueue:
    from clinic.adapters.memory.job_queue import MemoryQueue
    from clinic.adapters.system.clock import SystemClock

    return MemoryQueue(SystemClock())


def _redis_queue(url: str, settings: Settings) -> JobQueue:
    from clinic.adapters.dramatiq import DramatiqQueue

    return DramatiqQueue(url)


def _memory_notifier(url: str, settings: Settings) -> Notifier:
    from clinic.adapters.memory.notifier import MemoryNotifier

    return MemoryNotifier()


def _maildir_notifier(url: str, settings: Settings) -> Notifier:
    from clinic.adapters.email.maildir import MaildirNotifier

    return MaildirNotifier(folder_of(url), composer(settings))


def _smtp_notifier(url: str, settings: Settings) -> Notifier:
    from clinic.adapters.email.bounded import Bounds
    from clinic.adapters.email.smtp import SmtpNotifier

    # Well within the lease, after which another worker takes the message over.
    bounds = Bounds()
    conversation_s = min(bounds.conversation_s, settings.mail_lease_s / 3)
    return SmtpNotifier(
        mail_server(url),
        composer(settings),
        threads=settings.worker_threads,
        bounds=replace(bounds, conversation_s=conversation_s),
    )


_BUILT_IN: dict[tuple[str, str], Callable[[str, Settings], Any]] = {
    ("store", "memory"): _memory_store,
    ("store", "postgresql"): _postgres_store,
    ("cache", "memory"): _memory_cache,
    ("cache", "redis"): _redis_cache,
    ("cache", "rediss"): _redis_cache,
    ("cache", "unix"): _redis_cache,
    ("limiter", "memory"): _memory_limiter,
    ("limiter", "redis"): _redis_limiter,
    ("limiter", "rediss"): _redis_limiter,
    ("limiter", "unix"): _redis_limiter,
    ("queue", "memory"): _memory_queue,
    ("queue", "redis"): _redis_queue,
    ("queue", "rediss"): _redis_queue,
    ("queue", "unix"): _redis_queue,
    ("notifier", "memory"): _memory_notifier,
    ("notifier", "maildir"): _maildir_notifier,
    ("notifier", "smtp"): _smtp_notifier,
    ("notifier", "smtps"): _smtp_notifier,
}
