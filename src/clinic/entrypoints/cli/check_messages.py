"""What `clinic check` says of messages: of mail, of the queue, and of what waits."""

from collections.abc import Iterator
from pathlib import Path

from clinic import bootstrap
from clinic.entrypoints.cli.fault import Fault
from clinic.ports.outbox import OutboxCounts
from clinic.settings import Settings, SettingsError

#: a message that has been due for so long says that nobody sends
WAITED_MAX_S = 60.0


def mail(settings: Settings) -> Iterator[Fault]:
    """Yield why messages would not reach people, or their links lead nowhere."""
    production = settings.environment == "production"
    yield from _mail_server(settings, production=production)
    if settings.mail_templates and not Path(settings.mail_templates).is_dir():
        yield Fault(
            f"CLINIC_MAIL_TEMPLATES: there is no folder {settings.mail_templates}",
            "correct the path; until then the built-in templates are used",
        )
    if not production:
        return
    if not settings.public_url.startswith("https://"):
        yield Fault(
            f"CLINIC_PUBLIC_URL is {settings.public_url}: links in messages start with it",
            "set it to https://…, as people's browsers reach this service",
        )
    if settings.mail_domain == "localhost":
        yield Fault(
            f"CLINIC_MAIL_FROM is {settings.mail_from}, which mail servers will not accept",
            "set it to an address of your own domain",
        )


def _mail_server(settings: Settings, *, production: bool) -> Iterator[Fault]:
    scheme = settings.mail_url.partition(":")[0]
    keeps_data = not settings.database_url.startswith("memory:")
    if scheme == "memory" and (production or keeps_data):
        yield Fault(
            "CLINIC_MAIL_URL is memory://: messages count as sent, nobody gets them, and"
            " invitations are returned to the inviter",
            "set smtp://user:password@host:587 or smtps://…; for trying out, maildir:///folder",
            hint=not production,
        )
    if scheme == "maildir" and production:
        yield Fault(
            "CLINIC_MAIL_URL is maildir://: messages go into a folder, and nobody gets them",
            "set smtp://user:password@host:587 or smtps://…",
        )
    try:
        bootstrap.check_mail(settings)
        found = bootstrap.mail_fault(settings)
        in_clear = bootstrap.is_mail_password_in_clear(settings)
    except SettingsError as error:
        yield Fault(str(error), "smtp://user:password@host:587, smtps://… or maildir:///folder")
        return
    if found is not None:
        problem, remedy = found
        yield Fault(f"CLINIC_MAIL_URL: {problem}", remedy)
    if in_clear:
        yield Fault(
            "CLINIC_MAIL_URL: ?tls=off sends the password over the network in clear",
            "use smtps:// or STARTTLS, or leave user and password out",
            hint=not production,
        )


def queue(settings: Settings) -> Iterator[Fault]:
    """Yield why the queue would lose messages, or nobody takes them out."""
    variable = "CLINIC_QUEUE_URL" if settings.queue_url else "CLINIC_BROKER_URL"
    if settings.scheduling_url.startswith("memory:"):
        if settings.environment == "production":
            yield Fault(
                f"{variable} is memory://, which no worker can see: nothing is sent",
                "set redis://…",
            )
        return
    for problem, remedy, hint in bootstrap.queue_faults(settings):
        yield Fault(f"{variable}: {problem}", remedy, hint)


def waiting(counts: OutboxCounts) -> Iterator[Fault]:
    """Yield what says that messages do not go out."""
    if counts.oldest_due_s > WAITED_MAX_S:
        yield Fault(
            f"{counts.due} messages are due, one for {counts.oldest_due_s:.0f} s: no worker sends",
            "run clinic worker, and look at its log",
        )
    if counts.dead:
        yield Fault(
            f"{counts.dead} messages could not be sent and wait for somebody to decide",
            "see clinic notifications dead",
            hint=True,
        )
