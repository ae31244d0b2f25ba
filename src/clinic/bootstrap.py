"""The composition root: the one place that knows which adapter stands behind which port."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clinic.ports.answers import IdempotencyCache
from clinic.ports.clock import Clock, IdSource
from clinic.ports.unit_of_work import Store
from clinic.settings import Settings, SettingsError
from clinic.usecases.transactions import Transactions

#: entry points of third-party adapters, named <kind>.<scheme>, such as store.mysql; each is a
#: callable that takes (url, settings) and returns the adapter
ENTRY_POINT_GROUP = "clinic.adapters"


class CannotStart(Exception):
    """A server that this process would run here did not start; the message says why."""


@dataclass(frozen=True, slots=True)
class Servers:
    """A PostgreSQL and a Valkey that run as long as this process; the URLs hold passwords."""

    owner_url: str
    app_url: str
    redis_url: str


@dataclass(frozen=True, slots=True)
class Services:
    """What use cases need, put together; entrypoints hold one."""

    settings: Settings
    store: Store
    cache: IdempotencyCache
    clock: Clock
    new_id: IdSource
    transactions: Transactions

    async def open(self) -> None:
        await self.store.open()

    async def close(self) -> None:
        await self.store.close()


def build(settings: Settings, *, clock: Clock | None = None) -> Services:
    """Return the services that `settings` name; nothing is connected yet.

    Raises SettingsError for a URL whose scheme no adapter knows.
    """
    from clinic.adapters.system.clock import SystemClock
    from clinic.adapters.system.ids import uuid7

    store: Store = _adapter("store", "CLINIC_DATABASE_URL", settings.database_url, settings)
    return Services(
        settings=settings,
        store=store,
        cache=_adapter("cache", "CLINIC_BROKER_URL", settings.broker_url, settings),
        clock=clock or SystemClock(),
        new_id=uuid7,
        transactions=Transactions(store.begin),
    )


def in_memory(*, clock: Clock | None = None, settings: Settings | None = None) -> Services:
    """Return services on fresh in-memory adapters, as strict as the real ones."""
    return build(settings or Settings(), clock=clock)


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date, as its owner.

    Raises SettingsError for a database without a schema, TemporaryFailure when it cannot be
    reached.
    """
    if urlsplit(settings.migration_url).scheme != "postgresql":
        raise SettingsError("CLINIC_DATABASE_URL: only postgresql:// has a schema to migrate.")
    from clinic.adapters.postgres.migrations import migrate as migrate_postgres

    migrate_postgres(settings.migration_url)


@contextmanager
def embedded_servers(data_dir: Path) -> Iterator[Servers]:
    """Run a PostgreSQL and a Valkey with their data under `data_dir`; stop them at the end.

    However this process ends, they end too. Raises CannotStart.
    """
    from clinic.adapters.embedded import EmbeddedServiceError, embedded_services

    running = embedded_services(data_dir)
    try:
        started = running.__enter__()
    except (EmbeddedServiceError, OSError) as error:
        raise CannotStart(str(error)) from error
    try:
        yield Servers(started.owner_url, started.app_url, started.redis_url)
    finally:
        running.__exit__(None, None, None)


def default_data_dir() -> Path:
    """Return where a user's data belong. Raises CannotStart."""
    from clinic.adapters.embedded import EmbeddedServiceError, default_data_dir

    try:
        return default_data_dir()
    except EmbeddedServiceError as error:
        raise CannotStart(str(error)) from error


def _adapter(kind: str, variable: str, url: str, settings: Settings) -> Any:
    """Return the adapter of this kind for the scheme of `url`."""
    scheme = urlsplit(url).scheme
    factory = _BUILT_IN.get((kind, scheme)) or _from_entry_points(kind, scheme)
    if factory is None:
        known = ", ".join(sorted(s for k, s in _BUILT_IN if k == kind))
        raise SettingsError(f"{variable}: no adapter for {scheme}://; use one of: {known}.")
    return factory(url, settings)


def _from_entry_points(kind: str, scheme: str) -> Callable[[str, Settings], Any] | None:
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=f"{kind}.{scheme}"):
        factory: Callable[[str, Settings], Any] = entry.load()
        return factory
    return None


# Imported when chosen: a process that runs on memory pays for no database driver.


def _memory_store(url: str, settings: Settings) -> Store:
    from clinic.adapters.memory.store import MemoryStore

    return MemoryStore()


def _postgres_store(url: str, settings: Settings) -> Store:
    from clinic.adapters.postgres.store import PostgresStore

    return PostgresStore(url, pool_size=settings.pool_size)


def _memory_cache(url: str, settings: Settings) -> IdempotencyCache:
    from clinic.adapters.memory.idempotency_cache import MemoryIdempotencyCache

    return MemoryIdempotencyCache()


def _redis_cache(url: str, settings: Settings) -> IdempotencyCache:
    from clinic.adapters.redis.idempotency_cache import RedisIdempotencyCache

    return RedisIdempotencyCache(url)


_BUILT_IN: dict[tuple[str, str], Callable[[str, Settings], Any]] = {
    ("store", "memory"): _memory_store,
    ("store", "postgresql"): _postgres_store,
    ("cache", "memory"): _memory_cache,
    ("cache", "redis"): _redis_cache,
    ("cache", "rediss"): _redis_cache,
    ("cache", "unix"): _redis_cache,
}
