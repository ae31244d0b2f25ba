"""Describes failures of a mail server without quoting it.

A server's text may contain the recipient's address, and failures are stored in the log of messages
and shown by the API. So only the server's code and enhanced status (RFC 3463) are kept.
"""

import os
import re
import smtplib
import socket
import ssl

from clinic.adapters.email.bounded import AnswerLost

_ENHANCED = re.compile(rb"([245])\.(\d{1,3})\.(\d{1,3})(?!\S)")
#: the second number of an enhanced status
_ABOUT = {
    "1": "the address",
    "2": "the mailbox",
    "3": "the mail system",
    "4": "the network or the way there",
    "5": "the protocol",
    "6": "the message's content",
    "7": "security or a policy",
}


def refusal(step: str, code: int, text: bytes | str) -> str:
    """Return a line that says that the server refused `step`, such as RCPT, with its status."""
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    status = _ENHANCED.match(raw.strip())
    if status is None:
        return f"{step}: refused with {code}"
    enhanced = b".".join(status.groups()).decode()
    about = _ABOUT.get(status[2].decode(), "something else")
    return f"{step}: refused with {code} {enhanced}, which is about {about}"


def failure(error: Exception) -> str:
    """Return what went wrong, without any text from the server or the operating system."""
    if isinstance(error, smtplib.SMTPResponseException):
        return refusal(_STEPS.get(type(error), "the command"), error.smtp_code, error.smtp_error)
    if isinstance(error, AnswerLost):
        return str(error)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        what = "STARTTLS" if "STARTTLS" in str(error) else "AUTH"
        return f"the server does not offer {what}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"SSL: {error.reason}: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"SSL: {error.reason or 'broken'}"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, socket.gaierror):
        return "the mail server's name cannot be looked up"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return type(error).__name__


_STEPS: dict[type[smtplib.SMTPResponseException], str] = {
    smtplib.SMTPConnectError: "the connection",
    smtplib.SMTPHeloError: "EHLO",
    smtplib.SMTPAuthenticationError: "AUTH",
    smtplib.SMTPDataError: "DATA",
}
