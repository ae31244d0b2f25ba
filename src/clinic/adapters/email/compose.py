"""Writes a message out as an email: text, HTML and a calendar part, from templates."""

from collections.abc import Callable, Iterator, Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    pass_context,
    select_autoescape,
)
from jinja2.runtime import Context

from clinic.adapters.email import headers
from clinic.adapters.email.calendar import CANCEL, REQUEST, calendar_part
from clinic.domain.appointments.appointments import Appointment
from clinic.domain.contact import LANGUAGES
from clinic.domain.messaging.deliveries import OutgoingMessage
from clinic.domain.notifications import (
    CANCELLATION,
    CONFIRMATION,
    OPTIONAL,
    REMINDER,
    RESCHEDULE,
)
from clinic.domain.status import Status
from clinic.ports.notifier import TransportError
from clinic.translations import Translations, translations_of, zone_name

#: 7-bit bodies, which every server accepts
_BODIES = SMTP.clone(cte_type="7bit")

#: family → template; the name says whether the message is due by elapsed time or by wall time
TEMPLATES = {REMINDER: "reminder_elapsed_time", "day_sheet": "day_sheet_wall_time"}
#: families about an appointment that the reader may change
_OWN = (CONFIRMATION, RESCHEDULE, REMINDER)
#: families that carry a calendar part
_CALENDAR = {
    CONFIRMATION: REQUEST,
    RESCHEDULE: REQUEST,
    REMINDER: REQUEST,
    CANCELLATION: CANCEL,
}


class Composer:
    """Writes messages as emails from one sender.

    `overrides` is a folder of templates that replace the built-in ones of the same name, `de/NAME`
    for one language only. `show_phone` formats a stored number for people.
    """

    def __init__(
        self,
        sender: str,
        *,
        overrides: Path | None = None,
        show_phone: Callable[[str], str] = str,
    ) -> None:
        name, address = parseaddr(sender)
        self.sender_name, self.sender_address = name, address
        folders = [FileSystemLoader(overrides)] if overrides else []
        of_all = ChoiceLoader([*folders, PackageLoader("clinic.adapters.email", "templates")])
        of_each = PrefixLoader(dict.fromkeys(LANGUAGES, of_all))
        self._templates = Environment(
            loader=ChoiceLoader([*folders, of_each, of_all]),
            extensions=["jinja2.ext.i18n"],
            # Plain texts and subjects are not HTML.
            autoescape=select_autoescape(["html"], default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._templates.filters["shown_phone"] = show_phone
        self._templates.install_gettext_callables(  # type: ignore[attr-defined]
            _gettext, _ngettext, newstyle=True
        )

    def compose(self, outgoing: OutgoingMessage) -> bytes:
        """Return the email as it goes over the wire. Two calls write the same headers.

        Raises a permanent TransportError when it cannot be written safely.
        """
        try:
            return self._written(outgoing)
        except headers.UnsafeEmail as error:
            raise TransportError(f"not written: {error}", permanent=True) from error

    def _written(self, outgoing: OutgoingMessage) -> bytes:
        translations = translations_of(outgoing.addressee.preferences.language)
        language = translations.language
        facts = _facts(outgoing, translations)
        words = self._module(f"{language}/words.jinja", facts)
        name = TEMPLATES.get(outgoing.message.family, outgoing.message.family)
        page = self._module(f"{language}/{name}.jinja", facts)
        facts.update(words=words, page=page)
        email = EmailMessage(policy=_BODIES)
        email.set_content(self._templates.get_template("layout.txt").render(facts))
        html = self._templates.get_template("layout.html").render(facts)
        email.add_alternative(html, subtype="html")
        method = _CALENDAR.get(outgoing.message.family)
        if method is not None and outgoing.appointment is not None:
            email.add_alternative(
                self._calendar(outgoing, outgoing.appointment, method, str(words.summary)),
                subtype="calendar",
                params={"method": method},
                cte="quoted-printable",
            )
        head = "".join(f"{header}\r\n" for header in self._head(outgoing, str(page.subject)))
        data = head.encode() + email.as_bytes()
        headers.check_email(data)
        return data

    def _module(self, name: str, facts: Mapping[str, Any]) -> Any:
        return self._templates.get_template(name).make_module(dict(facts))

    def _head(self, outgoing: OutgoingMessage, subject: str) -> Iterator[str]:
        yield headers.sender(outgoing.clinic.name or self.sender_name, self.sender_address)
        # The address alone: anyone who sees the envelope need not learn a patient's name.
        yield headers.fixed("To", headers.mailbox(outgoing.addressee.email))
        yield headers.text("Subject", subject)
        yield headers.fixed("Date", format_datetime(outgoing.message.scheduled_for))
        yield headers.fixed("Message-ID", outgoing.message_id)
        yield headers.fixed("Auto-Submitted", "auto-generated")
        if outgoing.message.family in OPTIONAL and outgoing.links.unsubscribe:
            yield headers.fixed("List-Unsubscribe", f"<{outgoing.links.unsubscribe}>")
            yield headers.fixed("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")

    def _calendar(
        self, outgoing: OutgoingMessage, appointment: Appointment, method: str, summary: str
    ) -> str:
        return calendar_part(
            appointment,
            method=method,
            summary=headers.one_line(summary),
            made_at=outgoing.message.scheduled_for,
            organizer=self.sender_address,
            organizer_name=headers.one_line(outgoing.clinic.name),
            attendee=outgoing.addressee.email,
            page=outgoing.links.home,
            # Only where it is, nothing about doctors or treatments.
            location=", ".join(_place(outgoing)) or None,
        )


@pass_context
def _gettext(context: Context, text: str) -> str:
    return translations_of(context["language"]).gettext(text)


@pass_context
def _ngettext(context: Context, one: str, many: str, number: int) -> str:
    return translations_of(context["language"]).ngettext(one, many, number)


def _facts(outgoing: OutgoingMessage, language: Translations) -> dict[str, Any]:
    """Return the values that templates may use, without a person's name or medical details."""
    zone, appointment = outgoing.clinic.zone, outgoing.appointment
    contact = outgoing.clinic.contact
    facts: dict[str, Any] = {
        "clinic": outgoing.clinic.name,
        "clinic_address": _lines(contact.address),
        "clinic_phone": contact.phone,
        # to call about the appointment
        "phone": (outgoing.location and outgoing.location.phone) or contact.phone,
        # lines that say where the appointment is, when not at the clinic's own address
        "place": _place(outgoing) if outgoing.location else [],
        "directions": outgoing.location.directions if outgoing.location else None,
        "language": language.language,
        "links": outgoing.links,
        "family": outgoing.message.family,
        "date": None,
        "times": None,
        "zone": None,
        "cancelled": False,
        # whether an appointment that had been cancelled was booked again
        "is_again": outgoing.message.family == CONFIRMATION and outgoing.message.version > 0,
        "sheet": [],
        "sheet_date": None,
        # "today", "tomorrow" or None, when the message is sent
        "sheet_day": None,
        # whether patients can no longer move or cancel the appointment themselves
        "closed": False,
        "hours_ahead": None,
        # what patients should know or bring to an appointment of this type
        "instructions": outgoing.instructions,
        # when the change happened that account mail is about
        "happened": {
            "date": language.date(outgoing.message.created_at, zone),
            "time": language.time(outgoing.message.created_at, zone),
            "zone": zone_name(outgoing.message.created_at, zone),
        },
        # whether someone at the clinic sent the link, rather than its reader having asked for it
        "by_clinic": outgoing.message.issued_by is not None,
    }
    if appointment is not None:
        facts["date"] = language.date(appointment.starts_at, zone)
        facts["times"] = language.times(appointment.starts_at, appointment.ends_at, zone)
        facts["zone"] = zone_name(appointment.starts_at, zone)
        facts["cancelled"] = appointment.status is Status.CANCELLED
        links = outgoing.links
        facts["closed"] = outgoing.message.family in _OWN and not (links.move or links.cancel)
        ahead = appointment.starts_at - outgoing.message.scheduled_for
        facts["hours_ahead"] = round(ahead.total_seconds() / 3600)
    if outgoing.day:
        facts["sheet"] = [language.times(start, end, zone) for start, end in outgoing.day]
        facts["sheet_date"] = language.date(outgoing.day[0][0], zone)
        facts["sheet_day"] = _relative_day(outgoing)
        facts["zone"] = zone_name(outgoing.day[0][0], zone)
    return facts


def _relative_day(outgoing: OutgoingMessage) -> str | None:
    """Return "today" or "tomorrow", by the clinic's date at sending; None for another day."""
    clinic = outgoing.clinic
    sent_on = clinic.local_date(outgoing.sent_at or outgoing.message.scheduled_for)
    days = (clinic.local_date(outgoing.day[0][0]) - sent_on).days
    return {0: "today", 1: "tomorrow"}.get(days)


def _place(outgoing: OutgoingMessage) -> list[str]:
    """Return the lines that say where the appointment is: those of its location, or the clinic's
    address."""
    location, clinics = outgoing.location, _lines(outgoing.clinic.contact.address)
    if location is None:
        return clinics
    return [location.name, *(_lines(location.address) or clinics)]


def _lines(address: str | None) -> list[str]:
    return (address or "").splitlines()
