"""Reading the actor's clinic, which use cases of every topic need."""

from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicNotFound
from clinic.usecases.context import Context


async def read_clinic(context: Context) -> Clinic:
    """Return the actor's clinic. Raises ClinicNotFound."""
    clinic = await context.store.people.clinic(context.actor.clinic_id)
    if clinic is None:
        raise ClinicNotFound()
    return clinic
