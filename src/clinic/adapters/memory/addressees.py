"""Reads a message's recipient, and the appointments on a day sheet, from the tables in memory."""

from datetime import date, datetime
from uuid import UUID

from clinic.adapters.memory.tables import StoredCredentials, Tables
from clinic.domain.calendar.availability import day_interval
from clinic.domain.messaging.deliveries import Addressee, Preferences
from clinic.domain.notifications import DOCTOR_CHANGE, Message
from clinic.domain.status import Status


def recipient_of(tables: Tables, message: Message) -> UUID | None:
    """Return the id of the user that the message is for; None if there is none."""
    if message.user_id is not None or message.appointment_id is None:
        return message.user_id
    key = (message.clinic_id, message.appointment_id)
    appointment = tables.appointments.get(key)
    if appointment is None:
        return None
    of_doctor = message.kind == DOCTOR_CHANGE
    return appointment.doctor_id if of_doctor else appointment.patient_id


def addressee_of(tables: Tables, clinic_id: UUID, user_id: UUID | None) -> Addressee | None:
    """Return the person, their preferences and account; None if they are gone or disabled."""
    user = tables.users.get(user_id) if user_id else None
    if user is None:
        return None
    credentials = tables.credentials.get(user.id) or StoredCredentials()
    if credentials.disabled_at is not None:
        return None
    return Addressee(
        user.id,
        user.name,
        user.email,
        user.phone,
        preferences_of(tables, clinic_id, user.id),
        credentials.password_hash,
        credentials.link_version,
        credentials.email_verified_at is not None,
        credentials.email_unproven_since is not None,
    )


def day_of(tables: Tables, message: Message) -> tuple[tuple[datetime, datetime], ...]:
    """Return start and end of the appointments that a day sheet lists, in order."""
    clinic = tables.clinics.get(message.clinic_id)
    assert clinic is not None
    assert message.user_id is not None
    day = day_interval(date.fromordinal(message.version), clinic.zone)
    of_doctor = tables.appointments.where("doctor", (message.clinic_id, message.user_id))
    return tuple(
        sorted(
            (each.starts_at, each.ends_at)
            for each in of_doctor
            if day.starts_at <= each.starts_at < day.ends_at
            and each.status in (Status.BOOKED, Status.CONFIRMED)
        )
    )


def preferences_of(tables: Tables, clinic_id: UUID, user_id: UUID) -> Preferences:
    """Return the person's preferences, or the defaults in the clinic's language."""
    chosen = tables.preferences.get((clinic_id, user_id))
    clinic = tables.clinics.get(clinic_id)
    if chosen is None and clinic is not None:
        return Preferences(clinic.contact.language)
    return chosen or Preferences()
