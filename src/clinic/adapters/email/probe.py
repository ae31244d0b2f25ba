"""Checks whether mail could be handed over, without sending any."""

import os
import smtplib
import ssl
from pathlib import Path

from clinic.adapters.email.smtp import MailServer, connect

Finding = tuple[str, str]


def probe_mail_server(server: MailServer, sender: str) -> Finding | None:
    """Return why the server would accept no mail from `sender`, and the remedy; None if it would.

    Signs in, names the sender, and disconnects.
    """
    place = f"{server.host}:{server.port}"
    try:
        with connect(server) as smtp:
            code, text = smtp.mail(sender)
            if code >= 300:
                return (
                    f"{place} takes no mail of {sender}: {code} {text.decode(errors='replace')}",
                    "correct CLINIC_MAIL_FROM, or let the user of CLINIC_MAIL_URL send as it",
                )
            smtp.rset()
    except (smtplib.SMTPException, OSError) as error:
        return f"{place}: {_description(error)}", _remedy(error, server)
    return None


def _description(error: Exception) -> str:
    """Return the error's own text: only the operator reads it, and it concerns only the sender."""
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        return f"{error.smtp_code} {words}"
    return f"{type(error).__name__}: {error}"


def _remedy(error: Exception, server: MailServer) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "fix its certificate or the host's name, or name its authority: ?ca=FILE"
    if isinstance(error, ssl.SSLError):
        return "smtps:// is TLS from the start, mostly port 465; smtp:// is STARTTLS, port 587"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "correct the user or password; special characters in it are written with %-signs"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        if server.starttls and "STARTTLS" in str(error):
            return "it offers no STARTTLS: use smtps://, or ?tls=off within your own network"
        return "it takes no passwords here: use its port for submission, or leave user and password"
    return "start it, or correct the host or port"


def probe_folder(folder: Path) -> Finding | None:
    """Return why mail cannot be written to `folder`, and the remedy; None if it can."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return None
    return f"nothing can be written into {folder}", "correct the path, or let this user write there"


def is_password_in_clear(server: MailServer) -> bool:
    """Return whether the password would cross a network unencrypted."""
    return server.user is not None and not (server.tls_at_once or server.starttls or server.is_here)
