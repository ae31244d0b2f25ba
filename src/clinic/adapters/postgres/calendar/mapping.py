"""Hours and slots as rows, and rows as hours and slots."""

from uuid import UUID

from clinic.adapters.postgres.engine.mapping import AnyRow, SqlRow, Values
from clinic.domain.calendar.availability import Availability, AvailabilityException, ExceptionKind
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.ports.calendars import SlotView

#: faster than the enumeration's own look-up, for a year of slots
_STATES = {state.value: state for state in SlotState}


def slot_of(row: SqlRow) -> Slot:
    """Return the slot of a row of the whole table."""
    return Slot(
        id=row.id,
        clinic_id=row.clinic_id,
        doctor_id=row.doctor_id,
        specialty=row.specialty,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        state=_STATES[row.state],
        taken=row.taken,
        lane=row.lane,
        location_id=row.location_id,
    )


def slot_of_values(row: AnyRow) -> Slot:
    """Return the slot from its fields in order; for rows by the thousand."""
    slot_id, clinic_id, doctor_id, specialty, starts_at, ends_at, state, *rest = row
    return Slot(slot_id, clinic_id, doctor_id, specialty, starts_at, ends_at, _STATES[state], *rest)


def free_slot_view(clinic_id: UUID, row: AnyRow, places: int | None = 1) -> SlotView:
    """Return the view from id, doctor, specialty, start, end, lane, location and the doctor's
    name."""
    slot_id, doctor_id, specialty, starts_at, ends_at, lane, location_id, doctor_name = row
    slot = Slot(
        slot_id,
        clinic_id,
        doctor_id,
        specialty,
        starts_at,
        ends_at,
        lane=lane,
        location_id=location_id,
    )
    return SlotView(slot, doctor_name, places)


def availability_of(row: SqlRow) -> Availability:
    """Return the hours of a row of the whole table."""
    return Availability(
        id=row.id,
        clinic_id=row.clinic_id,
        doctor_id=row.doctor_id,
        start=row.start_time,
        end=row.end_time,
        slot_min=row.slot_min,
        weekdays=tuple(row.weekdays),
        on_date=row.on_date,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        overnight=row.overnight,
        location_id=row.location_id,
        capacity=row.capacity,
    )


def availability_values(hours: Availability) -> Values:
    """Return the hours' row."""
    return {
        "clinic_id": hours.clinic_id,
        "id": hours.id,
        "doctor_id": hours.doctor_id,
        "start_time": hours.start,
        "end_time": hours.end,
        "slot_min": hours.slot_min,
        "weekdays": list(hours.weekdays),
        "on_date": hours.on_date,
        "valid_from": hours.valid_from,
        "valid_until": hours.valid_until,
        "overnight": hours.overnight,
        "location_id": hours.location_id,
        "capacity": hours.capacity,
    }


def exception_of(row: SqlRow) -> AvailabilityException:
    """Return the exception of a row of the whole table."""
    return AvailabilityException(
        id=row.id,
        clinic_id=row.clinic_id,
        doctor_id=row.doctor_id,
        on_date=row.on_date,
        kind=ExceptionKind(row.kind),
        start=row.start_time,
        end=row.end_time,
        slot_min=row.slot_min,
        overnight=row.overnight,
        location_id=row.location_id,
        capacity=row.capacity,
    )


def exception_values(exception: AvailabilityException) -> Values:
    """Return the exception's row."""
    return {
        "clinic_id": exception.clinic_id,
        "id": exception.id,
        "doctor_id": exception.doctor_id,
        "on_date": exception.on_date,
        "kind": exception.kind.value,
        "start_time": exception.start,
        "end_time": exception.end,
        "slot_min": exception.slot_min,
        "overnight": exception.overnight,
        "location_id": exception.location_id,
        "capacity": exception.capacity,
    }
