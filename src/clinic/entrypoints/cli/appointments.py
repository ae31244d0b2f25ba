"""`clinic appointments …`: list, book and change appointments."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from clinic.domain.appointments.appointments import AppointmentView, Status
from clinic.domain.audit.audit import AuditEntry
from clinic.domain.paging import PageRequest
from clinic.entrypoints.cli.output import AsJson, Row, local, print_row, print_rows
from clinic.entrypoints.cli.rendering import APPOINTMENT_COLUMNS, appointment_row
from clinic.entrypoints.cli.session import Acting, CommandSession, Where, session
from clinic.usecases.appointments.book import book
from clinic.usecases.appointments.change_appointment import (
    change_status,
    reschedule,
    swap,
    undo_status,
)
from clinic.usecases.appointments.read_appointments import (
    AppointmentSearch,
    list_appointments,
    read_appointment,
    read_trail,
)

AUDIT_COLUMNS = ("version", "at", "action", "from", "to", "by", "reason")
NOBODY, HERE = Acting(), Where()
Flag = Annotated[bool, Parameter(negative="")]


async def list_all(
    *,
    doctor: UUID | None = None,
    patient: UUID | None = None,
    on: date | None = None,
    status: Annotated[list[Status] | None, Parameter(negative="")] = None,
    limit: int = 50,
    where: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """List appointments, earliest first.

    Parameters
    ----------
    doctor
        Only those of this doctor.
    patient
        Only those of this patient.
    on
        Only those on this day, such as 2026-11-23.
    status
        Only those in this status; may be given several times.
    limit
        How many at most, up to 200.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        page = await list_appointments(
            at.context,
            AppointmentSearch(doctor, patient, on, statuses=tuple(status or ())),
            PageRequest(limit),
        )
    rows = [appointment_row(view) for view in page.items]
    print_rows(rows, APPOINTMENT_COLUMNS, as_json=as_json, more=page.next is not None)


async def show(appointment: UUID, /, *, where: Where = HERE, as_json: AsJson = False) -> None:
    """Show one appointment.

    Parameters
    ----------
    appointment
        Its id.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        view = await read_appointment(at.context, appointment)
    print_row(appointment_row(view), as_json=as_json)


async def book_slot(
    slot: UUID,
    patient: UUID,
    /,
    *,
    type: UUID | str | None = None,
    override: Flag = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Book a slot for a patient.

    Parameters
    ----------
    slot
        Id of the slot.
    patient
        Id of the patient.
    type
        Name or id of the type of appointment, which says how long it lasts; without one, the
        clinic's default. At a clinic without types any text, such as Consultation.
    override
        Book even inside the clinic's notice or beyond its horizon.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        view = await book(
            at.context,
            slot,
            patient_id=patient,
            type=type,
            override=override,
        )
    print_row(appointment_row(view), as_json=as_json)


async def move(
    appointment: UUID,
    slot: UUID,
    /,
    *,
    override: Flag = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Move an appointment to another slot; it keeps its id.

    Parameters
    ----------
    appointment
        Id of the appointment.
    slot
        Id of the slot to move to.
    override
        Book even inside the clinic's notice or beyond its horizon.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        view = await reschedule(at.context, appointment, slot_id=slot, override=override)
    print_row(appointment_row(view), as_json=as_json)


async def cancel(appointment: UUID, /, *, acting: Acting = NOBODY, as_json: AsJson = False) -> None:
    """Cancel an appointment; its slot is free again.

    Parameters
    ----------
    appointment
        Id of the appointment.
    as_json
        Print JSON.
    """
    await status(appointment, Status.CANCELLED, acting=acting, as_json=as_json)


async def status(
    appointment: UUID, to: Status, /, *, acting: Acting = NOBODY, as_json: AsJson = False
) -> None:
    """Change an appointment's status, as far as the current one allows.

    Parameters
    ----------
    appointment
        Id of the appointment.
    to
        The new status.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        view = await change_status(at.context, appointment, to=to)
    print_row(appointment_row(view), as_json=as_json)


async def undo(
    appointment: UUID,
    /,
    *,
    override: Flag = False,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Take back the last change of an appointment's status, made by mistake.

    On the same day, one that has arrived, is completed or did not come goes back to the status
    before. Until its start, a cancelled one is booked again if its place and its patient's time are
    free.

    Parameters
    ----------
    appointment
        Id of the appointment.
    override
        Book a cancelled one again whatever the limits on the patient's appointments.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        view = await undo_status(at.context, appointment, override=override)
    print_row(appointment_row(view), as_json=as_json)


async def swap_two(
    one: UUID, two: UUID, /, *, acting: Acting = NOBODY, as_json: AsJson = False
) -> None:
    """Exchange the slots of two appointments.

    Parameters
    ----------
    one
        Id of the first appointment.
    two
        Id of the second appointment.
    as_json
        Print JSON.
    """
    async with session(acting) as at:
        views: Sequence[AppointmentView] = await swap(at.context, [one, two])
    print_rows([appointment_row(view) for view in views], APPOINTMENT_COLUMNS, as_json=as_json)


async def audit(appointment: UUID, /, *, where: Where = HERE, as_json: AsJson = False) -> None:
    """Print everything that happened to an appointment, oldest first.

    Parameters
    ----------
    appointment
        Id of the appointment.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        trail = await read_trail(at.context, appointment)
    print_rows([_entry(entry, at) for entry in trail], AUDIT_COLUMNS, as_json=as_json)


def _entry(entry: AuditEntry, at: CommandSession) -> Row:
    return {
        "version": entry.version,
        "at": local(entry.at, at.clinic.zone),
        "action": entry.action,
        "from": entry.from_status,
        "to": entry.to_status,
        "fromSlotId": entry.from_slot_id,
        "toSlotId": entry.to_slot_id,
        "by": entry.actor_role,
        "actorId": entry.actor_id,
        "reason": entry.reason,
        "requestId": entry.request_id,
        "ip": entry.ip,
    }
