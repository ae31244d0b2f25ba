"""Builds the services that use cases need."""

from dataclasses import dataclass

from clinic.bootstrap.closing import close_all
from clinic.bootstrap.registry import make_adapter
from clinic.domain.people.people import Actor
from clinic.ports.answers import IdempotencyCache
from clinic.ports.clock import Clock, IdSource
from clinic.ports.email_addresses import EmailAddresses
from clinic.ports.holidays import HolidayCalendars
from clinic.ports.password_hasher import PasswordHasher
from clinic.ports.phone_numbers import PhoneNumbers
from clinic.ports.rate_limiter import RateLimiter
from clinic.ports.unit_of_work import Store
from clinic.settings import Settings, check_secret
from clinic.usecases.audit.audit_buffer import AuditBuffer
from clinic.usecases.contact_rules import ContactRules
from clinic.usecases.context import AnonymousContext, Context, Origin
from clinic.usecases.maintenance.service import Resources
from clinic.usecases.people.invite_people import InvitationLinks
from clinic.usecases.people.sign_in import SignInRules
from clinic.usecases.transactions import Transactions


class CannotStart(Exception):
    """A server that this process was to run here did not start; the message says why."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that use cases need; each entrypoint has one instance."""

    settings: Settings
    store: Store
    cache: IdempotencyCache
    clock: Clock
    new_id: IdSource
    transactions: Transactions
    hasher: PasswordHasher
    phones: PhoneNumbers
    emails: EmailAddresses
    holidays: HolidayCalendars
    limiter: RateLimiter
    audit: AuditBuffer

    @property
    def resources(self) -> Resources:
        """What maintenance services need."""
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
        """Return the context of a use case that acts for `actor`, with their `reason`."""
        return Context(
            actor, self.store, self.transactions, self.clock, self.new_id, reason, self.holidays
        )

    def anonymous(self, origin: Origin | None = None) -> AnonymousContext:
        """Return the context of a use case that acts for no known user."""
        return AnonymousContext(
            self.store,
            self.transactions,
            self.clock,
            self.new_id,
            origin or Origin(),
            self.holidays,
        )

    async def open(self) -> None:
        await self.store.open()
        await self.audit.open()

    async def close(self) -> None:
        """Write what is still buffered, and close everything; never raises an Exception."""
        # The store last: the buffered audit events are written to it.
        await close_all(self.audit, self.limiter, self.cache, self.store)


def build(settings: Settings, *, clock: Clock | None = None) -> Services:
    """Return the services that `settings` name; nothing is connected yet.

    Raises SettingsError for a URL whose scheme no adapter knows, and for the default secret on
    anything but memory://.
    """
    check_secret(settings)
    from clinic.adapters.argon2.password_hasher import Argon2PasswordHasher
    from clinic.adapters.system.clock import SystemClock
    from clinic.adapters.system.email_addresses import WorldEmailAddresses
    from clinic.adapters.system.holidays import world_holidays
    from clinic.adapters.system.ids import uuid7
    from clinic.adapters.system.phone_numbers import WorldPhoneNumbers

    store: Store = make_adapter("store", "CLINIC_DATABASE_URL", settings.database_url, settings)
    return Services(
        settings=settings,
        store=store,
        cache=make_adapter("cache", "CLINIC_BROKER_URL", settings.broker_url, settings),
        clock=clock or SystemClock(),
        new_id=uuid7,
        transactions=Transactions(store.begin),
        hasher=Argon2PasswordHasher(
            threads=settings.password_threads, fast=settings.fast_passwords
        ),
        phones=WorldPhoneNumbers(settings.phone_region or None),
        emails=WorldEmailAddresses(),
        holidays=world_holidays,
        limiter=make_adapter("limiter", "CLINIC_BROKER_URL", settings.broker_url, settings),
        audit=AuditBuffer(store.audit_log, new_id=uuid7),
    )


def in_memory(*, clock: Clock | None = None, settings: Settings | None = None) -> Services:
    """Return services on fresh in-memory adapters, as strict as the real ones."""
    return build(settings or Settings(), clock=clock)
