"""Locations: the places where a clinic's doctors work."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from clinic.domain.contact import checked_address
from clinic.domain.errors import InvalidInput, LocationInactive, LocationNotFound
from clinic.domain.text import checked_line, plain_line

LOCATION_NAME_MAX_CHARS = 200
DIRECTIONS_MAX_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Location:
    """A place where doctors of a clinic work, such as a branch. It is never deleted, since
    appointments have been there; hours cannot be entered at an inactive one."""

    id: UUID
    clinic_id: UUID
    #: shown to patients
    name: str
    #: one to six lines; None is the clinic's
    address: str | None = None
    #: how to get there and in; shown to patients
    directions: str | None = None
    #: E.164; None is the clinic's
    phone: str | None = None
    #: ISO 3166 codes of where its public holidays are; None are those of the clinic
    country: str | None = None
    subdivision: str | None = None
    is_active: bool = True

    def __post_init__(self) -> None:
        if self.subdivision is not None and self.country is None:
            raise InvalidInput("A subdivision needs its country.", pointer="/subdivision")

    def checked(self, before: "Location | None" = None) -> "Location":
        """Return a copy with its texts normalized for storage; those that are as `before` stay.

        The phone number is checked elsewhere. Raises InvalidInput.
        """
        name, address, directions = self.name, self.address, self.directions
        if before is None or name != before.name:
            name = checked_line(name, "name", max_chars=LOCATION_NAME_MAX_CHARS, pointer="/name")
        if address is not None and (before is None or address != before.address):
            address = checked_address(address)
        if directions is not None and (before is None or directions != before.directions):
            directions = checked_line(
                directions, "text", max_chars=DIRECTIONS_MAX_CHARS, pointer="/directions"
            )
        return replace(self, name=name, address=address, directions=directions)

    def is_called(self, name: str) -> bool:
        """Return whether this is its name, whatever the case and encoding."""
        return self.name.casefold() == plain_line(name).casefold()


def check_location(location_id: UUID | None, locations: Iterable[Location]) -> None:
    """Raise unless hours can be entered at the location: LocationNotFound, LocationInactive."""
    if location_id is None:
        return
    found = next((one for one in locations if one.id == location_id), None)
    if found is None:
        raise LocationNotFound(locationId=str(location_id))
    if not found.is_active:
        raise LocationInactive(locationId=str(location_id))
