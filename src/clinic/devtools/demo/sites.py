"""The sample clinic's two sites."""

from collections.abc import Mapping
from uuid import UUID

from clinic.domain.calendar.locations import Location
from clinic.usecases.calendar.locations import add_location
from clinic.usecases.contact_rules import ContactRules
from clinic.usecases.context import Context

MAIN_SITE, HARBOUR = "Quay Road", "Harbour branch"
#: name, address, how to get in
SITES = (
    (MAIN_SITE, "14 Quay Road\nLondon SE16 4TX", "Ground floor, left of the chemist's."),
    (HARBOUR, "3 Harbour Steps\nLondon SE16 7PB", "Second floor; the lift is behind the café."),
)


async def make_sites(context: Context, contacts: ContactRules) -> Mapping[str, UUID]:
    """Return the sites by name, after adding those that are missing."""
    clinic_id = context.actor.clinic_id
    known = {each.name: each.id for each in await context.store.locations.all(clinic_id)}
    for name, address, directions in SITES:
        if name not in known:
            site = Location(context.new_id(), clinic_id, name, address, directions)
            known[name] = (await add_location(context, site, contacts=contacts)).id
    return known
