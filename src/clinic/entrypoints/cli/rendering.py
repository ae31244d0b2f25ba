"""Prints appointments, and what a change of calendars did."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from clinic.domain.appointments.appointments import AppointmentView
from clinic.entrypoints.cli.output import Row, local, print_rows
from clinic.usecases.calendar.align import CalendarEffect

APPOINTMENT_COLUMNS = ("id", "startsAt", "doctor", "patient", "type", "status", "version")


def print_effect(effect: CalendarEffect) -> None:
    """Print what a change does to slots, and which appointments are not within open slots then."""
    counts = effect.counts
    if effect.change is not None:
        change = effect.change
        print(
            f"The calendars of {change.doctors} doctors follow, the nearest days first, while"
            f" clinic worker runs: see clinic closures changes, {change.id}."
        )
        return
    print(
        f"{counts.added} slots added, {counts.retired} retired, {counts.blocked} blocked,"
        f" {counts.unblocked} unblocked."
    )
    if effect.note is not None:
        print(effect.note)
    print_affected(effect.stranded, "not in open slots now; call these patients")


def print_affected(views: Sequence[AppointmentView], what: str) -> None:
    """Print the appointments that a change of slots affects, if there are any."""
    if views:
        print(f"{len(views)} appointments are {what}:")
        print_rows([appointment_row(view) for view in views], APPOINTMENT_COLUMNS)


def appointment_row(view: AppointmentView) -> Row:
    """Return an appointment as a row to print, on the clinic's clock."""
    appointment = view.appointment
    zone: ZoneInfo = view.zone
    return {
        "id": appointment.id,
        "startsAt": local(appointment.starts_at, zone),
        "endsAt": local(appointment.ends_at, zone),
        "doctor": view.doctor_name,
        "doctorId": appointment.doctor_id,
        "patient": view.patient_name,
        "patientId": appointment.patient_id,
        "slotId": appointment.slot_id,
        "type": appointment.type,
        "status": appointment.status,
        "version": appointment.version,
    }
