"""Builds what the mail adapters need from the settings."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from clinic.bootstrap.system import shown_phone
from clinic.settings import Settings, SettingsError

if TYPE_CHECKING:
    from clinic.adapters.email.smtp import MailServer


def folder_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def mail_server(url: str) -> "MailServer":
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


def composer(settings: Settings) -> Any:
    from clinic.adapters.email.compose import Composer

    folder = settings.mail_templates
    return Composer(
        mail_sender(settings),
        overrides=Path(folder) if folder else None,
        show_phone=shown_phone,
    )


def mail_sender(settings: Settings) -> str:
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
