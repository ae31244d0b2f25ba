"""The types of appointments that can be booked, and the one that a request asks for."""

from collections.abc import Sequence

from clinic.domain.appointments.types import AppointmentType, TypeAsked, chosen_type
from clinic.domain.errors import UnknownType
from clinic.domain.text import words_told
from clinic.usecases.context import Context


async def bookable_types(context: Context) -> Sequence[AppointmentType]:
    """Return the active types of the clinic that the actor may see, by id."""
    types = await context.store.appointment_types.all(context.actor.clinic_id)
    return [type for type in types if type.is_active and type.is_shown_to(context.actor.role)]


async def type_asked_for(context: Context, asked: TypeAsked) -> AppointmentType:
    """Return the active type of this id or name. Raises UnknownType with the names there are."""
    types = await bookable_types(context)
    found = chosen_type(types, asked)
    if found is None:
        raise unknown_type(asked, types)
    return found


def unknown_type(asked: TypeAsked, types: Sequence[AppointmentType]) -> UnknownType:
    """Return the error for a type that is none of these."""
    names = sorted(type.name for type in types)
    if asked.id is not None:
        return UnknownType("The clinic has no active type with this id.", "/typeId", types=names)
    told = words_told(asked.name, names)
    if asked.name is None:
        return UnknownType(f"Name the type of the appointment: {told}", "/type", types=names)
    return UnknownType(f"The clinic has no such type; {told}", "/type", types=names)
