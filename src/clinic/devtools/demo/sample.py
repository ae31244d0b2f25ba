"""The sample clinic: its people, hours and slots, made through the use cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from uuid import UUID, uuid5

from clinic.bootstrap import Services
from clinic.devtools.demo.names import patient_names
from clinic.devtools.demo.sites import HARBOUR, MAIN_SITE, make_sites
from clinic.domain.calendar.availability import Availability
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.contact import Contact
from clinic.domain.paging import LIMIT_MAX
from clinic.domain.people.people import Actor, Doctor, Patient, Role, User, system_actor
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.change_hours import add_availability
from clinic.usecases.calendar.open_slots import open_slots
from clinic.usecases.context import Context
from clinic.usecases.people.add_people import add_doctor, add_patient, create_clinic

CLINIC_NAME, TIME_ZONE = "Riverside Clinic", "Europe/London"
POLICY = Policy(notice_min=60, horizon_days=28, cancel_notice_min=120)
#: with a number that Ofcom reserves for fiction
CONTACT = Contact("14 Quay Road\nLondon SE16 4TX", "+442079460958", "en")
REASON = "Sample data"

DOCTORS = (
    ("Dr Ingrid Halvorsen", "halvorsen@example.org", "General practice"),
    ("Dr Tomás Arredondo", "arredondo@example.org", "General practice"),
    ("Dr Leila Farahani", "farahani@example.org", "Dermatology"),
    ("Dr Kofi Mensah", "mensah@example.org", "Out of hours"),
    ("Yuki Tanaka", "tanaka@example.org", "Physiotherapy"),
)
STAFF = (
    ("Marek Dvorsky", "reception@example.org", Role.RECEPTIONIST),
    ("Adaeze Nwosu", "admin@example.org", Role.ADMIN),
)
#: how many a class has room for
GROUP_SIZE = 4
WEEKDAYS, EARLY_DAYS, LATE_DAYS = (1, 2, 3, 4, 5), (1, 2, 3), (4, 5)


@dataclass(frozen=True, slots=True)
class Hours:
    """Weekly hours of a sample doctor."""

    start: time
    end: time
    slot_min: int
    weekdays: Sequence[int] = WEEKDAYS
    #: the name of the site
    site: str = MAIN_SITE
    capacity: int = 1


HOURS = (Hours(time(9), time(12, 20), 20), Hours(time(13, 40), time(17), 20))
#: of the doctor who is at the other site at the end of the week
TWO_SITES = (
    Hours(time(9), time(12, 20), 20, EARLY_DAYS),
    Hours(time(13, 40), time(17), 20, EARLY_DAYS),
    Hours(time(9), time(12), 20, LATE_DAYS, HARBOUR),
)
#: more than the sample needs, since users of the demo may have added people
PAGES_MAX = 50
SATURDAY = Hours(time(10), time(12), 20, (6,))
#: until the next morning, from Friday and Saturday evening on
ON_CALL = Hours(time(22), time(6), 30, (5, 6))
#: a class, and single appointments before it
GROUPS = (
    Hours(time(14), time(17), 20, (2, 4)),
    Hours(time(17, 20), time(18, 40), 40, (2, 4), capacity=GROUP_SIZE),
)
#: by doctor, in their order
HOURS_OF: Sequence[Sequence[Hours]] = ((*HOURS, SATURDAY), HOURS, TWO_SITES, (ON_CALL,), GROUPS)


@dataclass(frozen=True, slots=True)
class Sample:
    """The sample clinic and its people; the patients in the order they were created."""

    clinic: Clinic
    doctors: Sequence[Doctor]
    patients: Sequence[Patient]
    receptionist: User
    admin: User

    @property
    def office(self) -> Actor:
        return Actor(self.receptionist.id, self.receptionist.role, self.clinic.id)

    @property
    def system(self) -> Actor:
        return system_actor(self.clinic.id)


async def make_people(services: Services) -> Sample:
    """Return the sample clinic with its people, creating those that are missing."""
    clinic = await _clinic(services)
    context = acting(services, system_actor(clinic.id))
    known_doctors = {doctor.name for doctor in await services.store.people.doctors(clinic.id)}
    for name, email, specialty in DOCTORS:
        if name not in known_doctors:
            user = User(services.new_id(), name, email, Role.DOCTOR)
            await add_doctor(context, user, specialty, contacts=services.contacts)
    known_patients = {patient.email for patient in await _patients(services, clinic)}
    for name, email in patient_names():
        if email not in known_patients:
            user = User(services.new_id(), name, email, Role.PATIENT)
            await add_patient(context, user, contacts=services.contacts)
    for name, email, role in STAFF:
        await _make_staff(services, clinic, User(_staff_id(clinic, email), name, email, role))
    return await read_sample(services, clinic)


async def read_sample(services: Services, clinic: Clinic) -> Sample:
    """Return the people of the sample clinic."""
    by_name = {each.name: each for each in await services.store.people.doctors(clinic.id)}
    receptionist, admin = [
        User(_staff_id(clinic, email), name, email, role) for name, email, role in STAFF
    ]
    return Sample(
        clinic,
        # A folder of an earlier release may have fewer.
        [by_name[name] for name, _, _ in DOCTORS if name in by_name],
        await _patients(services, clinic),
        receptionist,
        admin,
    )


async def make_hours(services: Services, sample: Sample) -> None:
    """Give every doctor the hours that are missing, which opens their slots up to the horizon."""
    context = acting(services, sample.system)
    sites = await make_sites(context, services.contacts)
    for doctor, wanted in zip(sample.doctors, HOURS_OF, strict=False):
        there = await services.store.calendars.availabilities(sample.clinic.id, doctor.id)
        known = {(hours.start, hours.end, hours.weekdays) for hours in there}
        for each in wanted:
            days = tuple(each.weekdays)
            if (each.start, each.end, days) in known:
                continue
            hours = Availability(
                services.new_id(),
                sample.clinic.id,
                doctor.id,
                each.start,
                each.end,
                each.slot_min,
                weekdays=days,
                overnight=each.end < each.start,
                capacity=each.capacity,
                location_id=sites[each.site],
            )
            await add_availability(context, hours)


async def open_coming_weeks(services: Services, sample: Sample) -> int:
    """Open the slots that have come within the horizon since the last run; return how many."""
    opened = await open_slots(acting(services, sample.system))
    return opened.added


def acting(services: Services, actor: Actor) -> Context:
    """Return the context of a use case that acts for `actor`."""
    return services.context(actor, REASON)


async def find_clinic(services: Services) -> Clinic | None:
    """Return the sample clinic, or None before it is created."""
    for clinic in await services.store.people.clinics():
        if clinic.name == CLINIC_NAME:
            return clinic
    return None


async def _clinic(services: Services) -> Clinic:
    found = await find_clinic(services)
    if found is not None:
        return found
    clinic = Clinic(services.new_id(), CLINIC_NAME, TIME_ZONE, POLICY, CONTACT)
    return await create_clinic(
        acting(services, system_actor(clinic.id)), clinic, contacts=services.contacts
    )


def _staff_id(clinic: Clinic, email: str) -> UUID:
    """Return an id that the next start finds again: people are not looked up by email."""
    return uuid5(clinic.id, email)


async def _make_staff(services: Services, clinic: Clinic, user: User) -> None:
    if await services.store.people.user(user.id) is not None:
        return

    async def work(unit: UnitOfWork) -> None:
        await unit.people.add_user(user)
        await unit.accounts.add_staff(clinic.id, user.id)
        await unit.events.add(
            acting(services, system_actor(clinic.id)).event("add_staff", "user", user.id)
        )

    await services.transactions.run(work)


async def _patients(services: Services, clinic: Clinic) -> list[Patient]:
    """Return the sample's patients ordered by email, which is the order they were created in."""
    sample_emails = {email for _, email in patient_names()}
    found: list[Patient] = []
    after: UUID | None = None
    for _ in range(PAGES_MAX):
        page = await services.store.people.patients(clinic.id, after=after, limit=LIMIT_MAX)
        found.extend(patient for patient in page if patient.email in sample_emails)
        if len(page) < LIMIT_MAX:
            break
        after = page[-1].id
    return sorted(found, key=lambda patient: patient.email)
