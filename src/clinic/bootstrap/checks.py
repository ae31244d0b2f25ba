"""The parts of `clinic check` that depend on the adapters that the settings name."""

from collections.abc import Iterator
from datetime import datetime

from clinic.bootstrap.mail import composer, folder_of, mail_sender, mail_server
from clinic.bootstrap.registry import make_adapter, scheme_of
from clinic.settings import Settings


def database_faults(settings: Settings, now: datetime) -> list[tuple[str, str]]:
    """Return what is wrong in the database, and how to fix each; nothing for memory://.

    Raises TemporaryFailure when it cannot be reached.
    """
    if scheme_of(settings.database_url) != "postgresql":
        return []
    from clinic.adapters.postgres.checks.app_role import check_app_role
    from clinic.adapters.postgres.checks.consistency import check_consistency

    found = check_consistency(settings.database_url, now)
    if settings.environment == "production":
        found += check_app_role(settings.database_url)
    return [(failure.problem, failure.remedy) for failure in found]


def why_database_unreachable(settings: Settings) -> str | None:
    """Return why PostgreSQL accepts no connection, or None when it does or none is configured."""
    if scheme_of(settings.database_url) != "postgresql":
        return None
    from clinic.adapters.postgres.engine.connections import why_unreachable

    return why_unreachable(settings.database_url)


def why_broker_unreachable(settings: Settings) -> str | None:
    """Return why Redis does not answer, or None when it does or none is configured."""
    if scheme_of(settings.broker_url) not in ("redis", "rediss", "unix"):
        return None
    from clinic.adapters.redis.probe import why_unreachable

    return why_unreachable(settings.broker_url)


def mail_fault(settings: Settings) -> tuple[str, str] | None:
    """Return why mail could not be handed over now, and the remedy; None if it could.

    Sends nothing. Raises SettingsError.
    """
    scheme, url = scheme_of(settings.mail_url), settings.mail_url
    if scheme == "maildir":
        from clinic.adapters.email.probe import probe_folder

        return probe_folder(folder_of(url))
    if scheme not in ("smtp", "smtps"):
        # A third-party adapter cannot be tried, but it must exist.
        make_adapter("notifier", "CLINIC_MAIL_URL", url, settings)
        return None
    from clinic.adapters.email.probe import probe_mail_server

    return probe_mail_server(mail_server(url), composer(settings).sender_address)


def check_mail(settings: Settings) -> None:
    """Raise SettingsError when no message could be written or handed over with these settings."""
    mail_sender(settings)
    if scheme_of(settings.mail_url) in ("smtp", "smtps"):
        mail_server(settings.mail_url)


def is_mail_password_in_clear(settings: Settings) -> bool:
    """Return whether the mail server's password would cross a network unencrypted.

    Raises SettingsError.
    """
    if scheme_of(settings.mail_url) != "smtp":
        return False
    from clinic.adapters.email.probe import is_password_in_clear

    return is_password_in_clear(mail_server(settings.mail_url))


def queue_faults(settings: Settings) -> Iterator[tuple[str, str, bool]]:
    """Yield what is wrong with the queue, the remedy, and whether it is only a hint."""
    if scheme_of(settings.scheduling_url) in ("redis", "rediss", "unix"):
        from clinic.adapters.dramatiq.probe import queue_server_faults

        production = settings.environment == "production"
        yield from queue_server_faults(settings.scheduling_url, has_workers=production)
