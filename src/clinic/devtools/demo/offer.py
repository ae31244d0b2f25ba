"""What the sample clinic offers: its types of appointments, and the rooms for them."""

from clinic.bootstrap import Services
from clinic.devtools.demo.sample import Sample, acting
from clinic.devtools.demo.sites import MAIN_SITE, make_sites
from clinic.domain.appointments.resources import Resource
from clinic.domain.appointments.types import AppointmentType, Offer
from clinic.usecases.appointments.resources import add_resource
from clinic.usecases.appointments.types import add_type

ULTRASOUND_ROOM = "ultrasound room"
ROOMS = ("Ultrasound 1", "Ultrasound 2")
CONSULTATION, FOLLOW_UP, CHECK_UP = "Consultation", "Follow-up", "Check-up"
ULTRASOUND, BACK_CLASS = "Ultrasound", "Back class"


async def make_types(services: Services, sample: Sample) -> None:
    """Add the rooms and the types of appointments that are missing."""
    context, clinic_id = acting(services, sample.system), sample.clinic.id
    sites = await make_sites(context, services.contacts)
    rooms = {each.name for each in await services.store.resources.all(clinic_id)}
    for name in ROOMS:
        if name not in rooms:
            room = Resource(
                services.new_id(), clinic_id, ULTRASOUND_ROOM, name, location_id=sites[MAIN_SITE]
            )
            await add_resource(context, room)
    known = {each.name for each in await services.store.appointment_types.all(clinic_id)}
    for type in _types(services, sample):
        if type.name not in known:
            await add_type(context, type)


def _types(services: Services, sample: Sample) -> tuple[AppointmentType, ...]:
    new_id, clinic_id = services.new_id, sample.clinic.id
    *_, group_leader = sample.doctors
    return (
        AppointmentType(new_id(), clinic_id, CONSULTATION, 20, color="#2f6fde", is_default=True),
        AppointmentType(new_id(), clinic_id, FOLLOW_UP, 20, color="#5b8c3a"),
        AppointmentType(
            new_id(),
            clinic_id,
            CHECK_UP,
            40,
            after_min=10,
            instructions="Please come without breakfast; water is fine.",
            color="#a8327e",
        ),
        AppointmentType(
            new_id(),
            clinic_id,
            ULTRASOUND,
            20,
            instructions="Drink a glass of water half an hour before.",
            color="#c4622d",
            needs=(ULTRASOUND_ROOM,),
        ),
        AppointmentType(
            new_id(),
            clinic_id,
            BACK_CLASS,
            40,
            offered_by=(Offer(group_leader.id),),
            instructions="Wear something to move in.",
            color="#6b5bd2",
        ),
    )
