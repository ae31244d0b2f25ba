"""`clinic clinic …`: create and list clinics."""

from uuid import UUID

from clinic.domain.clinic import Clinic, Policy
from clinic.domain.people import Actor
from clinic.entrypoints.cli.output import AsJson, Row, print_row, print_rows
from clinic.entrypoints.cli.session import open_services, system_actor
from clinic.usecases.add_people import create_clinic

COLUMNS = (
    "id",
    "name",
    "timeZone",
    "noticeMin",
    "horizonDays",
    "cancelNoticeMin",
    "maxOpenAppointments",
)
DEFAULTS = Policy()


async def create(
    name: str,
    time_zone: str,
    /,
    *,
    notice_min: int = DEFAULTS.notice_min,
    horizon_days: int = DEFAULTS.horizon_days,
    cancel_notice_min: int = DEFAULTS.cancel_notice_min,
    max_open_appointments: int = DEFAULTS.max_open_appointments,
    reason: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Create a clinic.

    Parameters
    ----------
    name
        What it is called.
    time_zone
        Its IANA time zone, such as Europe/London.
    notice_min
        Minutes before its start at which a slot can last be booked.
    horizon_days
        Days ahead that bookings are taken.
    cancel_notice_min
        Minutes before the start until which patients cancel and move by themselves.
    max_open_appointments
        Appointments ahead that one patient may have at a time.
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
    )
    async with open_services() as services:
        clinic = Clinic(services.new_id(), name, time_zone, policy)
        actor: Actor = system_actor(clinic.id)
        await create_clinic(
            clinic,
            transactions=services.transactions,
            clock=services.clock,
            new_id=services.new_id,
            actor=actor,
            reason=reason,
        )
    print_row(_row(clinic), as_json=as_json)


async def list_clinics(*, as_json: AsJson = False) -> None:
    """List all clinics.

    Parameters
    ----------
    as_json
        Print JSON.
    """
    async with open_services() as services:
        clinics = await services.store.people.clinics()
    print_rows([_row(clinic) for clinic in clinics], COLUMNS, as_json=as_json)


def _row(clinic: Clinic) -> Row:
    policy = clinic.policy
    values: tuple[UUID | str | int, ...] = (
        clinic.id,
        clinic.name,
        clinic.time_zone,
        policy.notice_min,
        policy.horizon_days,
        policy.cancel_notice_min,
        policy.max_open_appointments,
    )
    return dict(zip(COLUMNS, values, strict=True))
