"""The composition root: the one place that knows which adapter stands behind which port."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from clinic.domain.links import LinkSigner
from clinic.domain.messaging.deliveries import AmbiguousMail
from clinic.domain.notifications import EMAIL
from clinic.domain.people.people import Actor
from clinic.ports.answers import IdempotencyCache
from clinic.ports.audit import SealBook
from clinic.ports.clock import Clock, IdSource
from clinic.ports.email_addresses import EmailAddresses
from clinic.ports.job_queue import JobQueue
from clinic.ports.notifier import Notifier
from clinic.ports.password_hasher import PasswordHasher
from clinic.ports.phone_numbers import PhoneNumbers
from clinic.ports.rate_limiter import RateLimiter
from clinic.ports.unit_of_work import Store
from clinic.settings import Settings, SettingsError, check_secret
from clinic.usecases.audit.audit_buffer import AuditBuffer
from clinic.usecases.context import AnonymousContext, Context, Origin
from clinic.usecases.maintenance.service import Resources
from clinic.usecases.messaging.deliver_notification import Courier
from clinic.usecases.people.contact_rules import ContactRules
from clinic.usecases.people.invite_people import InvitationLinks
from clinic.usecases.people.sign_in import SignInRules
from clinic.usecases.transactions import Transactions

if TYPE_CHECKING:
    from clinic.adapters.email.smtp import MailServer

#: entry points of third-party adapters, named <kind>.<scheme>, such as store.mysql; each is a
#: callable that takes (url, settings) and returns the adapter
ENTRY_POINT_GROUP = "clinic.adapters"
#: how long closing one part may take; longer than the audit buffer takes over what waits
CLOSE_MAX_S = 12.0

log = logging.getLogger(__name__)


class CannotStart(Exception):
    """A server that this process would run here did not start; the message says why."""


@dataclass(frozen=True, slots=True)
class Services:
    """What use cases need, put together; entrypoints hold one."""

    settings: Settings
    store: Store
    cache: IdempotencyCache
    clock: Clock
    new_id: IdSource
    transactions: Transactions
    hasher: PasswordHasher
    phones: PhoneNumbers
    emails: EmailAddresses
    limiter: RateLimiter
    audit: AuditBuffer

    @property
    def resources(self) -> Resources:
        """What maintenance services are given."""
        return Resources(self.anonymous(), self.cache)

    @property
    def contacts(self) -> ContactRules:
        return ContactRules(self.phones, self.emails)

    @property
    def sign_ins(self) -> SignInRules:
        return SignInRules(self.emails, self.hasher, self.audit)

    @property
    def invitation_links(self) -> InvitationLinks:
        return InvitationLinks(self.settings.secret, self.settings.mail_works)

    def context(self, actor: Actor, reason: str | None = None) -> Context:
        """Return what a use case needs that acts for `actor`, who does it for `reason`."""
        return Context(actor, self.store, self.transactions, self.clock, self.new_id, reason)

    def anonymous(self, origin: Origin | None = None) -> AnonymousContext:
        """Return what a use case needs that acts for nobody known."""
        return AnonymousContext(
            self.store, self.transactions, self.clock, self.new_id, origin or Origin()
        )

    async def open(self) -> None:
        await self.store.open()
        await self.audit.open()

    async def close(self) -> None:
        """Write what waits, and close everything; never raises an Exception."""
        # The store last: what waits is written to it.
        await _close_all(self.audit, self.limiter, self.cache, self.store)


class _Closable(Protocol):
    async def close(self) -> None: ...


async def _close_all(*parts: _Closable) -> None:
    """Close each part in turn, whatever becomes of the ones before."""
    async with AsyncExitStack() as closing:
        for part in reversed(parts):
            closing.push_async_callback(_close, part)


async def _close(part: _Closable) -> None:
    name = type(part).__qualname__
    try:
        async with asyncio.timeout(CLOSE_MAX_S):
            await part.close()
    except TimeoutError:
        log.error("%s was not closed within %s s", name, CLOSE_MAX_S)  # noqa: TRY400
    except Exception as error:  # noqa: BLE001 - the other parts must still be closed
        # Its kind alone: drivers quote addresses and personal data in their messages.
        log.error("%s could not be closed: %s", name, type(error).__qualname__)  # noqa: TRY400


def build(settings: Settings, *, clock: Clock | None = None) -> Services:
    """Return the services that `settings` name; nothing is connected yet.

    Raises SettingsError for a URL whose scheme no adapter knows, and for the default secret on
    anything but memory://.
    """
    check_secret(settings)
    from clinic.adapters.argon2.password_hasher import Argon2PasswordHasher
    from clinic.adapters.system.clock import SystemClock
    from clinic.adapters.system.email_addresses import WorldEmailAddresses
    from clinic.adapters.system.ids import uuid7
    from clinic.adapters.system.phone_numbers import WorldPhoneNumbers

    store: Store = _adapter("store", "CLINIC_DATABASE_URL", settings.database_url, settings)
    return Services(
        settings=settings,
        store=store,
        cache=_adapter("cache", "CLINIC_BROKER_URL", settings.broker_url, settings),
        clock=clock or SystemClock(),
        new_id=uuid7,
        transactions=Transactions(store.begin),
        hasher=Argon2PasswordHasher(
            threads=settings.password_threads, fast=settings.fast_passwords
        ),
        phones=WorldPhoneNumbers(settings.phone_region or None),
        emails=WorldEmailAddresses(),
        limiter=_adapter("limiter", "CLINIC_BROKER_URL", settings.broker_url, settings),
        audit=AuditBuffer(store.audit_log, new_id=uuid7),
    )


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """What delivering messages needs, put together."""

    settings: Settings
    store: Store
    queue: JobQueue
    courier: Courier
    clock: Clock
    new_id: IdSource
    transactions: Transactions
    cache: IdempotencyCache

    @property
    def resources(self) -> Resources:
        """What maintenance services are given."""
        context = AnonymousContext(self.store, self.transactions, self.clock, self.new_id)
        return Resources(context, self.cache)

    async def close(self) -> None:
        """Close everything; never raises an Exception."""
        await _close_all(*self.courier.notifiers.values(), self.cache, self.store)


def build_worker(settings: Settings, *, store: Store | None = None) -> WorkerServices:
    """Return what a worker needs, on `store` or on the one that `settings` name.

    Raises SettingsError.
    """
    from clinic.adapters.system.clock import SystemClock
    from clinic.adapters.system.ids import uuid7

    check_secret(settings)
    if store is None:
        store = _adapter("store", "CLINIC_DATABASE_URL", settings.database_url, settings)
    queue: JobQueue = _adapter("queue", "CLINIC_QUEUE_URL", settings.scheduling_url, settings)
    notifier: Notifier = _adapter("notifier", "CLINIC_MAIL_URL", settings.mail_url, settings)
    courier = Courier(
        outbox=store.outbox,
        queue=queue,
        notifiers={EMAIL: notifier},
        signer=LinkSigner(settings.secret),
        secret=settings.secret,
        new_id=uuid7,
        public_url=settings.public_url,
        mail_domain=_mail_sender(settings).rpartition("@")[2].rstrip(">"),
        frontend_url=settings.frontend_url,
        on_ambiguous=AmbiguousMail(settings.ambiguous_mail),
        lease=timedelta(seconds=settings.mail_lease_s),
    )
    return WorkerServices(
        settings,
        store,
        queue,
        courier,
        SystemClock(),
        uuid7,
        Transactions(store.begin),
        _adapter("cache", "CLINIC_BROKER_URL", settings.broker_url, settings),
    )


def in_memory(*, clock: Clock | None = None, settings: Settings | None = None) -> Services:
    """Return services on fresh in-memory adapters, as strict as the real ones."""
    return build(settings or Settings(), clock=clock)


def shown_phone(number: str) -> str:
    """Return a stored phone number as people read it."""
    from clinic.adapters.system.phone_numbers import WorldPhoneNumbers

    return WorldPhoneNumbers().shown(number)


def zone_data() -> str:
    """Return where Python reads time zones, and which release of the data that is."""
    from clinic.adapters.postgres.checks.zones import source_of

    return source_of("Europe/London")


def system_clock() -> Clock:
    """Return the machine's clock."""
    from clinic.adapters.system.clock import SystemClock

    return SystemClock()


def seal_book(settings: Settings) -> SealBook:
    """Return the seals over the database's audit trail, as its sealer.

    Raises SettingsError for a database that keeps none.
    """
    if _scheme(settings.sealing_url) != "postgresql":
        raise SettingsError("CLINIC_DATABASE_URL: only postgresql:// has a trail to seal.")
    from clinic.adapters.postgres.audit.seal_book import PostgresSealBook

    return PostgresSealBook(settings.sealing_url)


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date, as its owner.

    Raises SettingsError for a database without a schema, TemporaryFailure when it cannot be
    reached.
    """
    if _scheme(settings.migration_url) != "postgresql":
        raise SettingsError("CLINIC_DATABASE_URL: only postgresql:// has a schema to migrate.")
    from clinic.adapters.postgres.migrations import migrate as migrate_postgres

    variable = "CLINIC_OWNER_URL" if settings.owner_url else "CLINIC_DATABASE_URL"
    _check_postgres_url(variable, settings.migration_url)
    migrate_postgres(settings.migration_url)


def database_faults(settings: Settings, now: datetime) -> list[tuple[str, str]]:
    """Return what is wrong in the database, and how to fix each; nothing for memory://.

    Raises TemporaryFailure when it cannot be reached.
    """
    if _scheme(settings.database_url) != "postgresql":
        return []
    from clinic.adapters.postgres.checks.app_role import check_app_role
    from clinic.adapters.postgres.checks.consistency import check_consistency

    found = check_consistency(settings.database_url, now)
    if settings.environment == "production":
        found += check_app_role(settings.database_url)
    return [(failure.problem, failure.remedy) for failure in found]


def why_database_unreachable(settings: Settings) -> str | None:
    """Return why PostgreSQL takes no connection, or None when it does or none is configured."""
    if _scheme(settings.database_url) != "postgresql":
        return None
    from clinic.adapters.postgres.engine.connections import why_unreachable

    return why_unreachable(settings.database_url)


def why_broker_unreachable(settings: Settings) -> str | None:
    """Return why Redis does not answer, or None when it does or none is configured."""
    if _scheme(settings.broker_url) not in ("redis", "rediss", "unix"):
        return None
    from clinic.adapters.redis.reachable import why_unreachable

    return why_unreachable(settings.broker_url)


def mail_fault(settings: Settings) -> tuple[str, str] | None:
    """Return why mail could not be handed over now, and how to fix it; None if it could.

    Sends nothing. Raises SettingsError.
    """
    scheme, url = _scheme(settings.mail_url), settings.mail_url
    if scheme == "maildir":
        from clinic.adapters.email.trial import try_folder

        return try_folder(_folder(url))
    if scheme not in ("smtp", "smtps"):
        # An adapter of somebody else's is at least there.
        _adapter("notifier", "CLINIC_MAIL_URL", url, settings)
        return None
    from clinic.adapters.email.trial import try_mail_server

    return try_mail_server(_mail_server(url), _composer(settings).sender_address)


def check_mail(settings: Settings) -> None:
    """Raise SettingsError when no message could be written or handed over with these settings."""
    _mail_sender(settings)
    if _scheme(settings.mail_url) in ("smtp", "smtps"):
        _mail_server(settings.mail_url)


def is_mail_password_in_clear(settings: Settings) -> bool:
    """Say whether the mail server's password would cross a network unencrypted.

    Raises SettingsError.
    """
    if _scheme(settings.mail_url) != "smtp":
        return False
    from clinic.adapters.email.trial import is_password_in_clear

    return is_password_in_clear(_mail_server(settings.mail_url))


def queue_faults(settings: Settings) -> Iterator[tuple[str, str, bool]]:
    """Yield what is wrong with the queue, how to fix it, and whether that is a mere hint."""
    if _scheme(settings.scheduling_url) in ("redis", "rediss", "unix"):
        from clinic.adapters.dramatiq.trial import queue_server_faults

        production = settings.environment == "production"
        yield from queue_server_faults(settings.scheduling_url, has_workers=production)


def _adapter(kind: str, variable: str, url: str, settings: Settings) -> Any:
    """Return the adapter of this kind for the scheme of `url`. Raises SettingsError."""
    scheme = _scheme(url)
    factory = _BUILT_IN.get((kind, scheme)) or _from_entry_points(kind, scheme)
    if factory is None:
        known = ", ".join(sorted(s for k, s in _BUILT_IN if k == kind))
        raise SettingsError(f"{variable}: no adapter for {scheme}://; use one of: {known}.")
    try:
        return factory(url, settings)
    except ValueError:
        raise _malformed(variable) from None


def _malformed(variable: str) -> SettingsError:
    # What is wrong with the URL may hold its password, so it is not told.
    return SettingsError(
        f"{variable}: this is not a URL; write scheme://user:password@host:port/name, with %-signs"
        " for special characters in the password."
    )


def _check_postgres_url(variable: str, url: str) -> None:
    """Raise SettingsError for a URL that libpq cannot read."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        raise _malformed(variable) from None


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


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

    _check_postgres_url("CLINIC_DATABASE_URL", url)
    return PostgresStore(url, pool_size=settings.pool_size)


def _memory_cache(url: str, settings: Settings) -> IdempotencyCache:
    from clinic.adapters.memory.idempotency_cache import MemoryIdempotencyCache, NoCopies

    is_alone = _scheme(settings.database_url) == "memory"
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

    return MaildirNotifier(_folder(url), _composer(settings))


def _smtp_notifier(url: str, settings: Settings) -> Notifier:
    from clinic.adapters.email.bounded import Bounds
    from clinic.adapters.email.smtp import SmtpNotifier

    # Well within the lease, after which another worker takes the message over.
    bounds = Bounds()
    conversation_s = min(bounds.conversation_s, settings.mail_lease_s / 3)
    return SmtpNotifier(
        _mail_server(url),
        _composer(settings),
        threads=settings.worker_threads,
        bounds=replace(bounds, conversation_s=conversation_s),
    )


def _folder(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _mail_server(url: str) -> "MailServer":
    from clinic.adapters.email.smtp import MailServer

    try:
        server = MailServer.from_url(url)
        server.tls_context()
    except ValueError as error:
        raise SettingsError(f"CLINIC_MAIL_URL: {error}.") from error
    except OSError as error:
        raise SettingsError(
            f"CLINIC_MAIL_URL: cannot read certificates from {server.ca_file}: {error.strerror}."
        ) from error
    return server


def _composer(settings: Settings) -> Any:
    from clinic.adapters.email.compose import Composer

    folder = settings.mail_templates
    return Composer(
        _mail_sender(settings),
        overrides=Path(folder) if folder else None,
        show_phone=shown_phone,
    )


def _mail_sender(settings: Settings) -> str:
    """Return CLINIC_MAIL_FROM with its domain in ASCII. Raises SettingsError."""
    from clinic.adapters.email.headers import UnsafeEmail, mailbox
    from clinic.adapters.system.email_addresses import WorldEmailAddresses

    # Not by parseaddr, which reads a:x@example.org as x@example.org.
    name, bracket, rest = settings.mail_from.rpartition("<")
    address = rest.removesuffix(">") if bracket else rest
    try:
        # Not by formataddr, whose encoded words would be encoded once more with the header.
        quoted = re.sub(r'(["\\])', r"\\\1", name.strip(' "'))
        return f'"{quoted}" <{mailbox(WorldEmailAddresses().canonical(address))}>'
    except UnsafeEmail:
        raise SettingsError(
            "CLINIC_MAIL_FROM: mail cannot be sent from this address; write one such as"
            " no-reply@example.org."
        ) from None


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
