"""The constraints on the tables: foreign keys, uniqueness and exclusions."""

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TypeVar
from uuid import UUID

from clinic.adapters.memory.table import Layer, Rows
from clinic.adapters.memory.tables import RowKey, Tables
from clinic.domain.appointments.appointments import Appointment
from clinic.domain.appointments.fitting import begins_in, beneath
from clinic.domain.audit.audit import REASON_MAX_CHARS, AuditEvent
from clinic.domain.calendar.locations import Location
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.errors import (
    ClinicNotFound,
    DoctorNotFound,
    InvalidInput,
    LocationNotFound,
    PatientBusy,
    PatientNotFound,
    SlotNotFound,
    SlotOverlap,
    SlotTaken,
    TooClose,
)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def check_clinic(tables: Tables, clinic_id: UUID) -> None:
    """Raise ClinicNotFound unless the clinic exists."""
    if tables.clinics.get(clinic_id) is None:
        raise ClinicNotFound()


def check_event(event: AuditEvent) -> None:
    """Raise InvalidInput for an event that a database could not hold."""
    texts = (event.action, event.entity, event.reason, event.outcome, event.request_id, event.ip)
    if len(event.reason) > REASON_MAX_CHARS or any("\0" in (text or "") for text in texts):
        raise InvalidInput("An event breaks a rule of the database.")


def check_doctor(tables: Tables, clinic_id: UUID, doctor_id: UUID) -> None:
    """Raise DoctorNotFound unless the clinic has this doctor."""
    if tables.doctors.get((clinic_id, doctor_id)) is None:
        raise DoctorNotFound()


def check_location(tables: Tables, clinic_id: UUID, location_id: UUID | None) -> None:
    """Raise LocationNotFound unless it is None or a location of the clinic."""
    if location_id is not None and tables.locations.get((clinic_id, location_id)) is None:
        raise LocationNotFound()


def location_of(tables: Tables, appointment: Appointment) -> Location | None:
    """Return where the appointment's slot is; None is the clinic's own address."""
    slot = tables.slots.get((appointment.clinic_id, appointment.slot_id))
    if slot is None or slot.location_id is None:
        return None
    return tables.locations.get((slot.clinic_id, slot.location_id))


def busy(tables: Tables, appointment: Appointment) -> Iterator[Appointment]:
    """Yield the other appointments that occupy the patient while this one would."""
    owner = (appointment.clinic_id, appointment.patient_id)
    for other in tables.appointments.where("patient", owner):
        is_another = other.id != appointment.id and other.status.occupies
        if is_another and _meet(other, appointment):
            yield other


def in_lane(tables: Tables, appointment: Appointment) -> Iterator[Appointment]:
    """Yield the other appointments that occupy the doctor's lane while this one would."""
    doctor = (appointment.clinic_id, appointment.doctor_id)
    busy_time = appointment.busy
    for other in tables.appointments.where("doctor", doctor):
        is_another = other.id != appointment.id and other.lane == appointment.lane
        if is_another and other.status.occupies and other.is_busy_in(busy_time):
            yield other


def rivals_for_patient(tables: Tables, wanted: Sequence[Appointment]) -> bool:
    """Return whether the changes of a running transaction affect the patient's time wanted here: it
    adds an appointment in that time, or changes one."""
    for appointment in wanted:
        owner = (appointment.clinic_id, appointment.patient_id)
        for _, old, new in written(tables.appointments):
            for version in (old, new):
                if (
                    version is not None
                    and version.id != appointment.id
                    and (version.clinic_id, version.patient_id) == owner
                    and version.status.occupies
                    and _meet(version, appointment)
                ):
                    return True
    return False


def rivals_for_standing(tables: Tables, clinic_id: UUID, patient_id: UUID) -> bool:
    """Return whether the changes of a running transaction affect whether the patient is open."""
    profiles = {key for key, _, _ in written(tables.patients)}
    users = tables.credentials
    assert isinstance(users, Layer)
    return (clinic_id, patient_id) in profiles or patient_id in users.changed


def rivals_for_bookings(tables: Tables, patient_id: UUID) -> bool:
    """Return whether a running transaction books for this patient."""
    return any(
        old is None and new is not None and new.patient_id == patient_id
        for _, old, new in written(tables.appointments)
    )


def rivals_for_slots(tables: Tables, wanted: Sequence[Slot]) -> bool:
    """Return whether the changes of a running transaction affect the lane's time wanted here, or
    would have the doctor at two locations then."""
    versions = [
        version
        for _, old, new in written(tables.slots)
        for version in (old, new)
        if version is not None and version.state is not SlotState.RETIRED
    ]
    return any(
        version.id != slot.id
        and (version.clinic_id, version.doctor_id) == (slot.clinic_id, slot.doctor_id)
        and (version.lane == slot.lane or _are_apart(version, slot))
        and _meet(version, slot)
        for version in versions
        for slot in wanted
    )


def check_slots(tables: Tables, touched: Collection[Slot]) -> None:
    """Check the slots of every doctor with a touched slot.

    Raises DoctorNotFound, LocationNotFound, SlotOverlap, TooClose.
    """
    for slot in touched:
        check_location(tables, slot.clinic_id, slot.location_id)
    for clinic_id, doctor_id in {(slot.clinic_id, slot.doctor_id) for slot in touched}:
        check_doctor(tables, clinic_id, doctor_id)
        times = sorted(
            (slot.lane, slot.starts_at, slot.ends_at)
            for slot in tables.slots.where("doctor", (clinic_id, doctor_id))
            if slot.state is not SlotState.RETIRED
        )
        if any(two[0] == one[0] and two[1] < one[2] for one, two in pairwise(times)):
            raise SlotOverlap()
        check_sites(tables.slots.where("doctor", (clinic_id, doctor_id)))


def _are_apart(one: Slot, two: Slot) -> bool:
    """Return whether they are at two locations."""
    here, there = one.location_id, two.location_id
    return here is not None and there is not None and here != there


def check_sites(slots: Iterable[Slot]) -> None:
    """Raise TooClose when the doctor whose slots these are is at two locations at a time."""
    located = sorted(
        (slot.starts_at, slot.ends_at, slot.location_id)
        for slot in slots
        if slot.location_id is not None and slot.state is not SlotState.RETIRED
    )
    #: the latest end at each location of those that began before
    ends: dict[UUID, datetime] = {}
    for starts_at, ends_at, location_id in located:
        if any(end > starts_at for other, end in ends.items() if other != location_id):
            raise TooClose()
        ends[location_id] = max(ends_at, ends.get(location_id, ends_at))


def check_appointments(tables: Tables, touched: Iterable[Appointment]) -> None:
    """Check appointments against their slots and patients.

    Raises SlotNotFound, PatientNotFound, SlotTaken, PatientBusy.
    """
    for appointment in touched:
        slot = tables.slots.get((appointment.clinic_id, appointment.slot_id))
        if slot is None or not begins_in(appointment, slot):
            raise SlotNotFound()
        if tables.patients.get((appointment.clinic_id, appointment.patient_id)) is None:
            raise PatientNotFound()
        if len(occupants(tables, (slot.clinic_id, slot.id))) > 1:
            raise SlotTaken()
        if appointment.status.occupies and any(in_lane(tables, appointment)):
            raise SlotTaken()
        if appointment.status.occupies and any(busy(tables, appointment)):
            raise PatientBusy()


def occupants(tables: Tables, slot_key: RowKey) -> list[Appointment]:
    """Return the appointments that occupy the slot; never more than one is committed."""
    return [one for one in tables.appointments.where("slot", slot_key) if one.status.occupies]


def is_taken(tables: Tables, slot: Slot, *, leaving: Collection[UUID] = ()) -> bool:
    """Return what `taken` is of a slot: on the calendar, that an occupying appointment of the
    lane has its time, without those that are `leaving`; retired, that its own appointment
    occupies it."""
    if slot.state is SlotState.RETIRED:
        return bool(occupants(tables, (slot.clinic_id, slot.id)))
    return any(
        one.is_in_time_of(slot) and one.id not in leaving
        for one in tables.appointments.where("doctor", (slot.clinic_id, slot.doctor_id))
    )


def on_calendar(tables: Tables, appointment: Appointment) -> list[Slot]:
    """Return the doctor's slots on the calendar whose time the appointment has, or would have."""
    own = tables.slots.get((appointment.clinic_id, appointment.slot_id))
    if own is not None and beneath(appointment, [own]) and own.interval.holds(appointment.busy):
        # No other slot of the lane overlaps its own; a doctor may have many.
        return [own]
    doctor = (appointment.clinic_id, appointment.doctor_id)
    return beneath(appointment, tables.slots.where("doctor", doctor))


def check_all(tables: Tables) -> None:
    """Check everything this layer has changed once more, before the commit.

    Raises as the checks above; AssertionError where `taken` is wrong, which only a bug in this
    adapter can cause.
    """
    changed: list[tuple[RowKey, Slot | None, Slot | None]] = [*written(tables.slots)]
    slots = [new for _, _, new in changed if new is not None]
    appointments = [new for _, _, new in written(tables.appointments) if new is not None]
    # Taking or blocking a slot does not move it; only new, moved and reopened ones can overlap.
    check_slots(
        tables, [new for _, old, new in changed if new is not None and _is_placed(old, new)]
    )
    check_appointments(tables, appointments)
    for key in {(one.clinic_id, one.slot_id) for one in appointments} | {
        (slot.clinic_id, slot.id) for slot in slots
    }:
        slot = tables.slots.get(key)
        assert slot is not None
        assert slot.taken is is_taken(tables, slot), f"slot {slot.id}: taken is wrong"


def _is_placed(old: Slot | None, new: Slot) -> bool:
    return (
        old is None
        or old.state is SlotState.RETIRED
        or (old.interval, old.location_id) != (new.interval, new.location_id)
    )


def written(rows: Rows[K, V]) -> Iterator[tuple[K, V | None, V | None]]:
    """Yield each changed key with the committed row and the row that replaces it."""
    assert isinstance(rows, Layer)
    for key, new in rows.changed.items():
        yield key, rows.base.get(key), new
    for key in rows.removed:
        yield key, rows.base.get(key), None


def _meet(one: Slot | Appointment, two: Slot | Appointment) -> bool:
    return one.starts_at < two.ends_at and two.starts_at < one.ends_at
