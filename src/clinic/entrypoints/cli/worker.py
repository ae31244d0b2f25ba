"""`clinic worker`: deliver messages until stopped."""

from typing import Literal
from urllib.parse import urlsplit

from clinic import bootstrap
from clinic.entrypoints.worker.supervisor import Supervisor
from clinic.settings import Settings, SettingsError, check_production, settings_from_environment


def worker(*, processes: int = 1, role: Literal["all", "relay", "deliver"] = "all") -> int | None:
    """Deliver messages until stopped; those being handed over are finished first.

    Parameters
    ----------
    processes
        Worker processes; each delivers CLINIC_WORKER_THREADS messages at a time.
    role
        relay moves messages from the outbox to the queue, deliver sends them; all does both.
    """
    settings = settings_from_environment()
    check_production(settings)
    check_worker(settings)
    return Supervisor(
        count=max(1, processes),
        roles=[] if role == "all" else [role],
        stop_timeout_s=settings.shutdown_timeout_s,
    ).run()


def check_worker(settings: Settings) -> None:
    """Raise SettingsError if a separate process could not see what the web servers write, or if
    nothing it sends would be handed over or reach anyone."""
    if urlsplit(settings.database_url).scheme == "memory":
        raise SettingsError(
            "CLINIC_DATABASE_URL: a worker is a separate process and cannot see memory://; set"
            " postgresql://…"
        )
    if urlsplit(settings.scheduling_url).scheme == "memory":
        raise SettingsError(
            "CLINIC_QUEUE_URL: a worker needs Redis or Valkey; set it or CLINIC_BROKER_URL to"
            " redis://…"
        )
    if settings.environment == "production" and urlsplit(settings.mail_url).scheme == "memory":
        raise SettingsError(
            "CLINIC_MAIL_URL: with memory:// messages would count as sent but reach no one; set"
            " smtp://… or smtps://…"
        )
    # Checked here, since the supervisor would keep restarting a process that fails with it.
    bootstrap.check_mail(settings)
