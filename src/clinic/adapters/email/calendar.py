"""The calendar part of a message: one appointment, in UTC, without its reason or type."""

from datetime import UTC, datetime
from urllib.parse import quote

from icalendar import Calendar, Event, vCalAddress, vText

from clinic.domain.appointments.appointments import Appointment

PRODUCT = "-//Clinic//Appointments//EN"
REQUEST, CANCEL = "REQUEST", "CANCEL"


def calendar_part(
    appointment: Appointment,
    *,
    method: str,
    summary: str,
    made_at: datetime,
    organizer: str,
    organizer_name: str,
    attendee: str,
    page: str,
    location: str | None,
) -> str:
    """Return the iCalendar text. Its UID is the same for the appointment's lifetime, its SEQUENCE
    rises with every move and with the cancellation. `organizer` and `attendee` are email addresses,
    `page` is the front end's URL, `location` the clinic's; an empty `page` or `location` is left
    out."""
    event = Event()
    event.add("uid", f"{appointment.id}@clinic")
    event.add("sequence", appointment.schedule_version)
    event.add("dtstamp", made_at.astimezone(UTC))
    event.add("dtstart", appointment.starts_at.astimezone(UTC))
    event.add("dtend", appointment.ends_at.astimezone(UTC))
    event.add("summary", summary)
    event.add("class", "PRIVATE")
    if location:
        event.add("location", location)
    if page:
        event.add("url", page)
    organizer_address = vCalAddress(_mailto(organizer))
    organizer_address.params["CN"] = vText(organizer_name)
    event.add("organizer", organizer_address)
    attendee_address = vCalAddress(_mailto(attendee))
    # Patients answer through the links: a reply from their calendar would not be read.
    attendee_address.params["RSVP"] = vText("FALSE")
    attendee_address.params["PARTSTAT"] = vText("ACCEPTED")
    attendee_address.params["ROLE"] = vText("REQ-PARTICIPANT")
    event.add("attendee", attendee_address)
    event.add("status", "CANCELLED" if method == CANCEL else "CONFIRMED")
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(event)
    text: bytes = calendar.to_ical()
    return text.decode()


def _mailto(address: str) -> str:
    # RFC 6068: characters with a meaning in URLs are percent-encoded.
    return "mailto:" + quote(address, safe="@!$'*+")
