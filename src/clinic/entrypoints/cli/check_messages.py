"""The part of `clinic check` about messages: mail, the queue, and waiting messages."""

from collections.abc import Iterator
from pathlib import Path

from clinic import bootstrap
from clinic.entrypoints.cli.fault import CheckFault
from clinic.ports.outbox import OutboxCounts
from clinic.settings import Settings, SettingsError

#: a message due for longer than this means that no worker is sending
WAITED_MAX_S = 60.0


def mail(settings: Settings) -> Iterator[CheckFault]:
    """Yield the reasons why messages would not reach people, or their links would not work."""
    production = settings.environment == "production"
    yield from _mail_server(settings, production=production)
    if settings.mail_templates and not Path(settings.mail_templates).is_dir():
        yield CheckFault(
            f"CLINIC_MAIL_TEMPLATES: there is no folder {settings.mail_templates}",
            "correct the path; until then the built-in templates are used",
        )
    if not production:
        return
    if not settings.public_url.startswith("https://"):
        yield CheckFault(
            f"CLINIC_PUBLIC_URL is {settings.public_url}: links in messages start with it",
            "set it to the https://… URL at which browsers reach this service",
        )
    if settings.mail_domain == "localhost":
        yield CheckFault(
            f"CLINIC_MAIL_FROM is {settings.mail_from}, which mail servers will not accept",
            "set it to an address of your own domain",
        )


def _mail_server(settings: Settings, *, production: bool) -> Iterator[CheckFault]:
    scheme = settings.mail_url.partition(":")[0]
    keeps_data = not settings.database_url.startswith("memory:")
    if scheme == "memory" and (production or keeps_data):
        yield CheckFault(
            "CLINIC_MAIL_URL is memory://: messages count as sent but reach no one, and"
            " invitations are returned to the inviter",
            "set smtp://user:password@host:587 or smtps://…; to try it out, maildir:///folder",
            hint=not production,
        )
    if scheme == "maildir" and production:
        yield CheckFault(
            "CLINIC_MAIL_URL is maildir://: messages are only written to a folder",
            "set smtp://user:password@host:587 or smtps://…",
        )
    try:
        bootstrap.check_mail(settings)
        found = bootstrap.mail_fault(settings)
        in_clear = bootstrap.is_mail_password_in_clear(settings)
    except SettingsError as error:
        yield CheckFault(
            str(error), "smtp://user:password@host:587, smtps://… or maildir:///folder"
        )
        return
    if found is not None:
        problem, remedy = found
        yield CheckFault(f"CLINIC_MAIL_URL: {problem}", remedy)
    if in_clear:
        yield CheckFault(
            "CLINIC_MAIL_URL: ?tls=off sends the password over the network unencrypted",
            "use smtps:// or STARTTLS, or remove user and password",
            hint=not production,
        )


def queue(settings: Settings) -> Iterator[CheckFault]:
    """Yield the reasons why the queue would lose messages, or no worker would take them."""
    variable = "CLINIC_QUEUE_URL" if settings.queue_url else "CLINIC_BROKER_URL"
    if settings.scheduling_url.startswith("memory:"):
        if settings.environment == "production":
            yield CheckFault(
                f"{variable} is memory://, which no worker can see: nothing is sent",
                "set redis://…",
            )
        return
    for problem, remedy, hint in bootstrap.queue_faults(settings):
        yield CheckFault(f"{variable}: {problem}", remedy, hint)


def waiting(counts: OutboxCounts) -> Iterator[CheckFault]:
    """Yield the signs that messages are not being sent."""
    if counts.oldest_due_s > WAITED_MAX_S:
        yield CheckFault(
            f"{counts.due} messages are due, one for {counts.oldest_due_s:.0f} s: no worker sends",
            "run clinic worker, and look at its log",
        )
    if counts.dead:
        yield CheckFault(
            f"{counts.dead} messages could not be sent and must be retried or dropped",
            "see clinic notifications dead",
            hint=True,
        )
