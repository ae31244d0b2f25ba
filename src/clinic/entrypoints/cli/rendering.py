"""Prints appointments, and what changes of calendars do to slots."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from clinic.domain.appointments.appointments import AppointmentView
from clinic.domain.calendar.changes import CalendarChange, SlotCounts
from clinic.entrypoints.cli.output import Row, local, print_row, print_rows
from clinic.usecases.calendar.align import CalendarEffect

APPOINTMENT_COLUMNS = ("id", "startsAt", "doctor", "patient", "type", "status", "version")
CALL = "not in open slots now, from this change or before; call these patients"


def print_effect(effect: CalendarEffect) -> None:
    """Print what a change does to slots, and which appointments are not within open slots then."""
    change, counts = effect.change, effect.counts
    if change is not None and not change.is_done:
        print(
            f"{change.doctors_done} of {counted(change.doctors, 'calendar')} done; the others"
            " follow, the nearest days first, while clinic worker runs."
            f"\nLook at the progress with: clinic changes show {change.id}"
        )
        return
    if effect.as_of is not None:
        print(
            f"It would add {counted(counts.added, 'slot')}, retire {counts.retired:,}, block"
            f" {counts.blocked:,} and unblock {counts.unblocked:,}. Nothing is changed."
        )
    else:
        print(
            f"{counted(counts.added, 'slot')} added, {counts.retired:,} retired,"
            f" {counts.blocked:,} blocked, {counts.unblocked:,} unblocked."
        )
    if counts.relocated:
        print(f"At another location: {counted(counts.relocated, 'slot')}.")
    if effect.note is not None:
        print(effect.note)
    call = (
        "not in open slots then, from this change or before" if effect.as_of is not None else CALL
    )
    print_affected(effect.stranded, call)


def print_change(
    done: str, would: str, row: Row, effect: CalendarEffect, *, as_json: bool = False
) -> None:
    """Print an input as it is after its change, or `would` be after a preview, and what follows."""
    if as_json:
        print_row({**row, "slotsOpened": effect_row(effect)}, as_json=True)
        return
    print(f"{would if effect.as_of is not None else done}.")
    print_effect(effect)


def print_affected(views: Sequence[AppointmentView], what: str) -> None:
    """Print the appointments that a change of slots affects, if there are any."""
    if views:
        print(f"{counted(len(views), 'appointment')} {what}:")
        print_rows([appointment_row(view) for view in views], APPOINTMENT_COLUMNS)


def counted(number: int, what: str) -> str:
    """Return a number of things, such as 1 slot or 2,000 slots."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def effect_row(effect: CalendarEffect) -> Row:
    """Return what a change does to slots, as a row to print as JSON."""
    change = effect.change
    return {
        **counts_row(effect.counts),
        "stranded": [appointment_row(view) for view in effect.stranded],
        "note": effect.note,
        "calendarChange": None if change is None else change_row(change),
        "asOf": effect.as_of,
    }


def change_row(change: CalendarChange) -> Row:
    """Return a change of many calendars as a row to print."""
    return {
        "id": change.id,
        "action": change.action,
        "entityId": change.entity_id,
        "createdAt": change.created_at,
        "status": "done" if change.is_done else "pending",
        "from": change.first,
        "until": change.last,
        "doctors": change.doctors,
        "doctorsDone": change.doctors_done,
        **counts_row(change.counts),
    }


def counts_row(counts: SlotCounts) -> dict[str, Any]:
    """Return how many slots a change added, retired, blocked and unblocked."""
    return asdict(counts)


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
        "locationId": view.location_id,
        "location": view.location_name,
    }
