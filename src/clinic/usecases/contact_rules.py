"""Checks input about people and clinics; every use case that writes them calls it.

Of a changed person or clinic only the fields that differ are checked: values accepted under older
rules may stay.
"""

from dataclasses import dataclass, replace

from clinic.domain.calendar.locations import Location
from clinic.domain.clinic import Clinic, check_for_headers, checked_name, checked_zone
from clinic.domain.contact import Contact, checked_address, checked_language
from clinic.domain.people.people import User
from clinic.ports.email_addresses import EmailAddresses
from clinic.ports.phone_numbers import PhoneNumbers


@dataclass(frozen=True, slots=True)
class ContactRules:
    """The rules that check names, addresses and numbers and bring them into the stored form."""

    phones: PhoneNumbers
    emails: EmailAddresses

    def checked_user(self, user: User, before: User | None = None) -> User:
        """Return the stored form of an input person. Raises InvalidInput, PhoneNumberRefused."""
        name, phone = user.name, user.phone
        email, typed = user.email, user.email_typed
        if before is None or name != before.name:
            name = checked_name(name)
        if before is None or email != before.email:
            address = self.emails.checked(email)
            email, typed = address.ascii, address.typed
        if phone is not None and (before is None or phone != before.phone):
            phone = self.phones.checked(phone)
        return replace(user, name=name, email=email, phone=phone, email_typed=typed)

    def checked_clinic(self, clinic: Clinic, before: Clinic | None = None) -> Clinic:
        """Return the stored form of an input clinic.

        Raises InvalidInput, UnknownTimeZone, PhoneNumberRefused.
        """
        name, zone = clinic.name, clinic.time_zone
        if before is None or name != before.name:
            name = checked_name(name)
            check_for_headers(name)
        if before is None or zone != before.time_zone:
            zone = checked_zone(zone)
        contact = _checked_contact(clinic.contact, before.contact if before else None, self.phones)
        return replace(clinic, name=name, time_zone=zone, contact=contact)

    def checked_location(self, location: Location, before: Location | None = None) -> Location:
        """Return the stored form of an input location. Raises InvalidInput, PhoneNumberRefused."""
        checked, phone = location.checked(before), location.phone
        if phone is not None and (before is None or phone != before.phone):
            phone = self.phones.checked(phone)
        return replace(checked, phone=phone)


def _checked_contact(contact: Contact, before: Contact | None, phones: PhoneNumbers) -> Contact:
    address, phone, language = contact.address, contact.phone, contact.language
    if address is not None and (before is None or address != before.address):
        address = checked_address(address)
    if phone is not None and (before is None or phone != before.phone):
        phone = phones.checked(phone)
    if before is None or language != before.language:
        language = checked_language(language)
    return Contact(address, phone, language)
