"""`clinic clinic …`: create, change and list clinics."""

from dataclasses import replace
from uuid import UUID

from clinic.domain.clinic import Clinic, Policy
from clinic.domain.contact import LANGUAGES, Contact
from clinic.domain.people.people import Actor, system_actor
from clinic.entrypoints.cli.changing import NoWait, Preview, deciding, followed, status_of
from clinic.entrypoints.cli.output import AsJson, Row, print_row, print_rows
from clinic.entrypoints.cli.rendering import effect_row, print_effect
from clinic.entrypoints.cli.session import Acting, open_services, session
from clinic.usecases.people.add_people import create_clinic
from clinic.usecases.people.change_clinic import change_clinic

COLUMNS = (
    "id",
    "name",
    "timeZone",
    "noticeMin",
    "horizonDays",
    "cancelNoticeMin",
    "maxOpenAppointments",
    "maxOpenPerDoctor",
    "maxBookingsPerDay",
    "cancelGraceMin",
    "address",
    "phone",
    "language",
)
#: without what makes a table too wide
_LEFT_OUT = {"address", "maxOpenPerDoctor", "maxBookingsPerDay", "cancelGraceMin"}
LISTED = tuple(name for name in COLUMNS if name not in _LEFT_OUT)
DEFAULTS = Policy()
NOBODY = Acting()
AHEAD = "Appointments ahead, which get other times on the clock"


async def create(
    name: str,
    time_zone: str,
    /,
    *,
    notice_min: int = DEFAULTS.notice_min,
    horizon_days: int = DEFAULTS.horizon_days,
    cancel_notice_min: int = DEFAULTS.cancel_notice_min,
    max_open_appointments: int = DEFAULTS.max_open_appointments,
    max_open_per_doctor: int | None = None,
    max_bookings_per_day: int | None = None,
    cancel_grace_min: int = DEFAULTS.cancel_grace_min,
    address: list[str] | None = None,
    phone: str | None = None,
    language: str = LANGUAGES[0],
    reason: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Create a clinic.

    Parameters
    ----------
    name
        Its name.
    time_zone
        Its IANA time zone, such as Europe/London.
    notice_min
        Minutes before its start until which a slot can be booked.
    horizon_days
        How many days ahead bookings are taken.
    cancel_notice_min
        Minutes before the start until which patients can cancel and move online.
    max_open_appointments
        Upcoming appointments that one patient may have at a time.
    max_open_per_doctor
        The same with one doctor; no limit when left out.
    max_bookings_per_day
        Bookings for one patient on one day; no limit when left out.
    cancel_grace_min
        Minutes after booking in which patients can cancel and move in spite of the cancel notice.
    address
        A line of its postal address; give the option once for each line.
    phone
        Its phone number, for patients to call.
    language
        Language of messages to people who have not chosen one: en or de.
    reason
        Why; kept in the audit trail.
    as_json
        Print JSON.
    """
    policy = Policy(
        notice_min=notice_min,
        horizon_days=horizon_days,
        cancel_notice_min=cancel_notice_min,
        max_open_appointments=max_open_appointments,
        max_open_per_doctor=max_open_per_doctor,
        max_bookings_per_day=max_bookings_per_day,
        cancel_grace_min=cancel_grace_min,
    )
    async with open_services() as services:
        contact = Contact("\n".join(address or ()) or None, phone, language)
        clinic = Clinic(services.new_id(), name, time_zone, policy, contact)
        actor: Actor = system_actor(clinic.id)
        clinic = await create_clinic(
            services.context(actor, reason), clinic, contacts=services.contacts
        )
    print_row(_row(clinic), as_json=as_json)


async def change(
    *,
    name: str | None = None,
    time_zone: str | None = None,
    address: list[str] | None = None,
    phone: str | None = None,
    language: str | None = None,
    confirm: int | None = None,
    preview: Preview = False,
    no_wait: NoWait = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> int:
    """Change a clinic's name, time zone or contact; options left out change nothing.

    Parameters
    ----------
    name
        Its name.
    time_zone
        Its IANA time zone, such as Europe/London.
    address
        A line of its postal address; give the option once for each line, '' removes it.
    phone
        Its phone number, for patients to call; '' removes it.
    language
        Language of messages to people who have not chosen one: en or de.
    confirm
        How many appointments lie ahead; needed for a new time zone, in which they get other times.
    as_json
        Print JSON.
    """
    async with session(acting) as at:

        def changed(before: Clinic) -> Clinic:
            contact = before.contact
            return replace(
                before,
                name=before.name if name is None else name,
                time_zone=before.time_zone if time_zone is None else time_zone,
                contact=Contact(
                    contact.address if address is None else "\n".join(address),
                    contact.phone if phone is None else phone or None,
                    contact.language if language is None else language,
                ),
            )

        with deciding(f"{AHEAD}: {{ahead}}.", "Look at --preview, then give --confirm {ahead}."):
            done = await change_clinic(
                at.context,
                changed,
                contacts=at.services.contacts,
                confirm=confirm,
                preview=preview,
            )
        effect = done.effect and await followed(at, done.effect, no_wait=no_wait)
    row = _row(done.clinic)
    if as_json and effect is not None:
        row = {
            **row,
            "appointmentsAhead": done.appointments_ahead,
            "slotsOpened": effect_row(effect),
        }
    print_row(row, as_json=as_json)
    if done.appointments_ahead is not None and not as_json:
        print(f"{AHEAD}: {done.appointments_ahead}.")
    if effect is not None and not as_json:
        print_effect(effect)
    return status_of(effect, no_wait=no_wait)


async def list_clinics(*, as_json: AsJson = False) -> None:
    """List all clinics.

    Parameters
    ----------
    as_json
        Print JSON.
    """
    async with open_services() as services:
        clinics = await services.store.people.clinics()
    print_rows([_row(clinic) for clinic in clinics], LISTED, as_json=as_json)


def _row(clinic: Clinic) -> Row:
    policy, contact = clinic.policy, clinic.contact
    values: tuple[UUID | str | int | None, ...] = (
        clinic.id,
        clinic.name,
        clinic.time_zone,
        policy.notice_min,
        policy.horizon_days,
        policy.cancel_notice_min,
        policy.max_open_appointments,
        policy.max_open_per_doctor,
        policy.max_bookings_per_day,
        policy.cancel_grace_min,
        contact.address,
        contact.phone,
        contact.language,
    )
    return dict(zip(COLUMNS, values, strict=True))
