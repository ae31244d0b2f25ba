"""Checks email addresses by RFC 5321 and their domains by IDNA 2008."""

import unicodedata

from email_validator import EmailNotValidError, validate_email

from clinic.domain.errors import InvalidInput
from clinic.domain.people.people import EMAIL_MAX_CHARS, EmailAddress

#: top-level domains that email-validator refuses but private networks and tests use
_OWN_DOMAINS = ("test", "invalid", "local", "localhost", "internal")
_STAND_IN = ".example"


class WorldEmailAddresses:
    """Accepts domains in any script and makes no DNS lookups.

    The part before the @ must be ASCII: anything else needs SMTPUTF8 on every mail server along the
    way, and few can be relied upon to support it.
    """

    def checked(self, address: str) -> EmailAddress:
        """Return `address` in ASCII, and as typed if that differs. Raises InvalidInput."""
        typed = unicodedata.normalize("NFC", address.strip())
        in_ascii = _in_ascii(typed)
        if in_ascii is None:
            raise InvalidInput(_why_not(typed), pointer="/email")
        return EmailAddress(in_ascii, None if in_ascii == typed else typed)

    def canonical(self, address: str) -> str:
        """Return the ASCII form, or the trimmed address if it has none."""
        typed = unicodedata.normalize("NFC", address.strip())
        return typed if typed.isascii() else _in_ascii(typed) or typed


def _in_ascii(address: str) -> str | None:
    if len(address) > EMAIL_MAX_CHARS:
        return None
    local, _, domain = address.rpartition("@")
    is_own = "." in domain and domain.rpartition(".")[2].lower() in _OWN_DOMAINS
    tail = _STAND_IN if is_own else ""
    try:
        found = validate_email(
            f"{address}{tail}",
            check_deliverability=False,
            allow_smtputf8=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            strict=True,
        )
    except (EmailNotValidError, UnicodeError):
        return None
    # Keep the letter case of an address that is ASCII already.
    in_ascii = address if address.isascii() else f"{local}@{found.ascii_domain.removesuffix(tail)}"
    return in_ascii if len(in_ascii) <= EMAIL_MAX_CHARS else None


def _why_not(address: str) -> str:
    local = address.rpartition("@")[0]
    if not local.isascii():
        return (
            "Only the part after the @ of an email address may hold letters that are not ASCII;"
            " write the part before it without them."
        )
    if ".." in address or local.startswith(".") or local.endswith("."):
        return (
            "This is not an email address: a dot is at the start or the end of a part, or there"
            " are two in a row; write it such as name@clinic.test."
        )
    return "This is not an email address; write it such as name@clinic.test."
