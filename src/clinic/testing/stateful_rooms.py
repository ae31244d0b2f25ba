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
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import seed_resource, seed_type
from clinic.testing.ids import CountingIds
from clinic.testing.stateful import IDS_PER_STEP, PICK, StoreComparison
from clinic.usecases.appointments.resources import (
    ResourceClosed,
    change_resource,
    close_resource,
    reopen_resource,
)
from clinic.usecases.appointments.types import change_type

KINDS = ("room", "scanner")


class RoomsComparison(StoreComparison):
    """The same with few rooms, which open and close, and one type, whose needs change and which
    every booking has."""

    def __init__(self) -> None:
        super().__init__()
        self.rooms: list[Resource] = []
        self.closed: list[ResourceClosure] = []

    async def _seed(self, store: Store) -> None:
        await super()._seed(store)
        if not self.rooms:
            ids = CountingIds(IDS_PER_STEP // 2)
            self.rooms = [
                Resource(ids(), self.clinic.id, kind, f"{kind} {number}", capacity)
                for number, (kind, capacity) in enumerate(
                    (("room", 1), ("room", 2), ("scanner", 1))
                )
            ]
            self.kind = AppointmentType(
                ids(), self.clinic.id, "Consultation", 30, needs=("room",), is_default=True
            )
        await seed_resource(store, *self.rooms)
        await seed_type(store, self.kind)

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

    @precondition(lambda self: self.slots)
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

    @rule(needs=st.sets(st.sampled_from(KINDS), min_size=1), minutes=st.sampled_from((15, 30, 45)))
    def need_something(self, needs: set[str], minutes: int) -> None:
        """Change what the type needs and how long it lasts."""
        admin, kinds = self.actor(Role.ADMIN, 0), tuple(sorted(needs))
        known = self.kind
        self.both(
            lambda side: change_type(
                side.context(admin),
                known.id,
                lambda before: replace(before, needs=kinds, visible_min=minutes),
            )
        )
        kind = self.run(self.model.store.appointment_types.one(known.clinic_id, known.id))
        assert kind is not None
        self.kind = kind

    def _booking(self, slot: Slot, patient: int, status: Status, new_id: IdSource) -> Booking:
        booking = super()._booking(slot, patient, status, new_id)
        typed = replace(booking.appointment, type_id=self.kind.id)
        return replace(booking, appointment=typed, needs=self.kind.needs)
