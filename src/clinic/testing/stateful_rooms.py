"""Random days at a clinic whose appointments need rooms, run on two stores in parallel."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from clinic.domain.appointments.appointments import Booking, Status
from clinic.domain.appointments.resources import Resource, ResourceClosure
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.calendar.slots import Slot
from clinic.domain.people.people import Role
from clinic.ports.clock import IdSource
from clinic.testing.stateful import PICK, StoreComparison
from clinic.usecases.appointments.resources import (
    ResourceClosed,
    add_resource,
    change_resource,
    close_resource,
    reopen_resource,
)
from clinic.usecases.appointments.types import add_type, change_type

ROOMS_MAX = 3
KINDS = ("room", "scanner")


class RoomsComparison(StoreComparison):
    """The same with few rooms, which open and close, and a type whose needs change.

    Every booking of the machine has the type, once there is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rooms: list[Resource] = []
        self.closed: list[ResourceClosure] = []
        self.kind: AppointmentType | None = None

    @precondition(lambda self: len(self.rooms) < ROOMS_MAX)
    @rule(kind=st.sampled_from(KINDS), capacity=st.sampled_from((1, 1, 2)))
    def add_a_room(self, kind: str, capacity: int) -> None:
        """Add a room or equipment."""
        admin = self.actor(Role.ADMIN, 0)
        new = Resource(
            self._input_id(), self.clinic.id, kind, f"{kind} {len(self.rooms)}", capacity
        )
        added = self.both(lambda side: add_resource(side.context(admin), new))
        assert added == new
        self.rooms.append(new)

    @precondition(lambda self: self.rooms)
    @rule(pick=PICK, is_active=st.sampled_from((True, True, False)), capacity=st.integers(1, 2))
    def change_a_room(self, pick: int, is_active: bool, capacity: int) -> None:
        """Change one, which may be a change of nothing."""
        room, admin = self.rooms[pick % len(self.rooms)], self.actor(Role.ADMIN, 0)
        self.both(
            lambda side: change_resource(
                side.context(admin),
                room.id,
                lambda before: replace(before, is_active=is_active, capacity=capacity),
            )
        )

    @precondition(lambda self: self.rooms and self.slots)
    @rule(pick=PICK, until=PICK)
    def close_a_room(self, pick: int, until: int) -> None:
        """Close one from the start of a slot to the end of another."""
        slots = sorted((self._slot(each) for each in (pick, until)), key=lambda one: one.starts_at)
        room, admin = self.rooms[pick % len(self.rooms)], self.actor(Role.ADMIN, 0)
        closure = ResourceClosure(
            self._input_id(),
            self.clinic.id,
            room.id,
            slots[0].starts_at,
            max(slot.ends_at for slot in slots),
        )
        done = self.both(lambda side: close_resource(side.context(admin), closure))
        if isinstance(done, ResourceClosed):
            self.closed.append(closure)

    @precondition(lambda self: self.closed)
    @rule(pick=PICK)
    def open_a_room(self, pick: int) -> None:
        """Delete a closure of one."""
        closure, admin = self.closed.pop(pick % len(self.closed)), self.actor(Role.ADMIN, 0)
        gone = self.both(
            lambda side: reopen_resource(side.context(admin), closure.resource_id, closure.id)
        )
        assert gone == closure

    @precondition(lambda self: self.rooms)
    @rule(needs=st.sets(st.sampled_from(KINDS)), minutes=st.sampled_from((15, 30, 45)))
    def need_something(self, needs: set[str], minutes: int) -> None:
        """Enter the type, or change what it needs and how long it lasts."""
        admin, kinds = self.actor(Role.ADMIN, 0), tuple(sorted(needs))
        if self.kind is None:
            new = AppointmentType(
                self._input_id(),
                self.clinic.id,
                "Consultation",
                minutes,
                needs=kinds,
                is_default=True,
            )
            added = self.both(lambda side: add_type(side.context(admin), new))
            self.kind = added if isinstance(added, AppointmentType) else None
            return
        known = self.kind
        self.both(
            lambda side: change_type(
                side.context(admin),
                known.id,
                lambda before: replace(before, needs=kinds, visible_min=minutes),
            )
        )
        self.kind = self.run(self.model.store.appointment_types.one(known.clinic_id, known.id))

    def _booking(self, slot: Slot, patient: int, status: Status, new_id: IdSource) -> Booking:
        booking = super()._booking(slot, patient, status, new_id)
        if self.kind is None:
            return booking
        typed = replace(booking.appointment, type_id=self.kind.id)
        return replace(booking, appointment=typed, needs=self.kind.needs)
