"""Builds the services that the worker needs."""

from dataclasses import dataclass
from datetime import timedelta

from clinic.bootstrap.closing import close_all
from clinic.bootstrap.mail import mail_sender
from clinic.bootstrap.registry import make_adapter
from clinic.domain.links import LinkSigner
from clinic.domain.messaging.deliveries import AmbiguousMail
from clinic.domain.notifications import EMAIL
from clinic.ports.answers import IdempotencyCache
from clinic.ports.clock import Clock, IdSource
from clinic.ports.holidays import HolidayCalendars
from clinic.ports.job_queue import JobQueue
from clinic.ports.notifier import Notifier
from clinic.ports.unit_of_work import Store
from clinic.settings import Settings, check_secret
from clinic.usecases.context import AnonymousContext
from clinic.usecases.maintenance.service import Resources
from clinic.usecases.messaging.delivery_services import DeliveryServices
from clinic.usecases.transactions import Transactions


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """Everything that delivering messages needs."""

    settings: Settings
    store: Store
    queue: JobQueue
    delivery: DeliveryServices
    clock: Clock
    new_id: IdSource
    holidays: HolidayCalendars
    transactions: Transactions
    cache: IdempotencyCache

    @property
    def resources(self) -> Resources:
        """What maintenance services need."""
        context = AnonymousContext(
            self.store, self.transactions, self.clock, self.new_id, holidays=self.holidays
        )
        return Resources(context, self.cache)

    async def close(self) -> None:
        """Close everything; never raises an Exception."""
        await close_all(*self.delivery.notifiers.values(), self.cache, self.store)


def build_worker(settings: Settings, *, store: Store | None = None) -> WorkerServices:
    """Return what a worker needs, using `store` or else the one that `settings` name.

    Raises SettingsError.
    """
    from clinic.adapters.system.clock import SystemClock
    from clinic.adapters.system.holidays import world_holidays
    from clinic.adapters.system.ids import uuid7

    check_secret(settings)
    if store is None:
        store = make_adapter("store", "CLINIC_DATABASE_URL", settings.database_url, settings)
    queue: JobQueue = make_adapter("queue", "CLINIC_QUEUE_URL", settings.scheduling_url, settings)
    notifier: Notifier = make_adapter("notifier", "CLINIC_MAIL_URL", settings.mail_url, settings)
    delivery = DeliveryServices(
        outbox=store.outbox,
        queue=queue,
        notifiers={EMAIL: notifier},
        signer=LinkSigner(settings.secret),
        new_id=uuid7,
        public_url=settings.public_url,
        mail_domain=mail_sender(settings).rpartition("@")[2].rstrip(">"),
        frontend_url=settings.frontend_url,
        on_ambiguous=AmbiguousMail(settings.ambiguous_mail),
        lease=timedelta(seconds=settings.mail_lease_s),
    )
    return WorkerServices(
        settings,
        store,
        queue,
        delivery,
        SystemClock(),
        uuid7,
        world_holidays,
        Transactions(store.begin),
        make_adapter("cache", "CLINIC_BROKER_URL", settings.broker_url, settings),
    )
