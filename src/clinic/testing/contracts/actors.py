"""The actors of the interleavings, which read, decide and write step by step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from clinic.domain.appointments.appointments import OCCUPYING, Appointment, Booking, Change, Status
from clinic.domain.appointments.booking import decide_booking
from clinic.domain.appointments.changes import decide_move, decide_status, decide_swap
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.slots import PlannedSlot, Slot, SlotState, plan_slots
from clinic.domain.errors import (
    SlotNotFound,
    UpcomingAppointments,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Patient, Role, Scope, User, system_actor
from clinic.ports.appointments import AppointmentQuery
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.testing.builders import (
    MORNING,
    NOW,
    World,
    a_booking,
    a_move,
    a_slot,
    a_status_change,
    a_swap,
    an_actor,
    new_id,
)


@dataclass(frozen=True, slots=True)
class Scene:
    """`one` in the doctor's first slot, `two` in the second; the others are free."""

    store: Store
    world: World
    one: Appointment
    two: Appointment

    @property
    def scope(self) -> Scope:
        return Scope(self.world.clinic.id)


class Actor(ABC):
    """Changes something in two steps: reading, then writing."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.world, self.clinic = scene.world, scene.world.clinic
        self.staff = an_actor(self.clinic)

    @abstractmethod
    async def read(self) -> None:
        """Decide on what is committed now."""

    @abstractmethod
    async def write(self, *, afresh: bool) -> None:
        """Write and commit what `read` decided, or with `afresh` a new decision."""


class UnitActor(Actor):
    """Writes in a unit of work."""

    async def write(self, *, afresh: bool) -> None:
        async with self.scene.store.begin() as unit:
            await self.write_in(unit, afresh=afresh)
            await unit.commit()

    @abstractmethod
    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        """Lock, decide and write, without committing."""


class Book(Actor):
    """Books a slot for a patient."""

    async def read(self) -> None:
        self.booking = a_booking(self.clinic, self.slot, self.patient)

    async def write(self, *, afresh: bool) -> None:
        booking = self.booking
        desk = self.scene.store.desk
        if afresh:
            booking = decide_booking(
                await desk.load_facts(system_actor(self.clinic.id), self.slot.id, self.patient.id),
                actor=self.staff,
                type=None,
                reason=None,
                override=False,
                now=NOW,
                new_id=new_id,
            )
        await desk.reserve(booking)

    @property
    def slot(self) -> Slot:
        return self.world.slots[2]

    @property
    def patient(self) -> Patient:
        return self.world.patients[2]


class BookToo(Book):
    """Books the same slot for another patient."""

    @property
    def patient(self) -> Patient:
        return self.world.patients[3]


class BookTheFirst(Book):
    """Books the slot that `one` is in."""

    @property
    def slot(self) -> Slot:
        return self.world.slots[0]


class BookElsewhere(Book):
    """Books a colleague for the patient of `one`, at the time of `two`."""

    @property
    def slot(self) -> Slot:
        return self.world.colleague_slots[1]

    @property
    def patient(self) -> Patient:
        return self.world.patients[0]


class ChangeActor(UnitActor):
    """Changes appointments."""

    #: what `read` decided
    decided: list[Change]
    #: the place of the slot to move into
    target: int | None = None

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        into = [] if self.target is None else [self.world.slots[self.target].id]
        ids = [change.before.id for change in self.decided]
        locked = await unit.appointments.lock(self.scene.scope, ids, into)
        changes = self.decided
        if afresh:
            appointments = [locked.appointments[each] for each in ids]
            changes = self.decide(appointments, locked.slots)
        await unit.appointments.apply(changes)

    @abstractmethod
    def decide(self, found: list[Appointment], slots: Mapping[UUID, Slot]) -> list[Change]:
        """Decide on locked rows."""


class Cancel(ChangeActor):
    """Cancels `one`."""

    async def read(self) -> None:
        self.decided = [a_status_change(self.clinic, self.scene.one, Status.CANCELLED)]

    def decide(self, found: list[Appointment], slots: Mapping[UUID, Slot]) -> list[Change]:
        return [
            decide_status(
                found[0],
                Status.CANCELLED,
                actor=self.staff,
                clinic=self.clinic,
                reason=None,
                now=NOW,
                new_id=new_id,
            )
        ]


class Move(ChangeActor):
    """Moves `one` into the third slot."""

    target: int = 2

    @property
    def moving(self) -> Appointment:
        return self.scene.one

    async def read(self) -> None:
        self.decided = [a_move(self.clinic, self.moving, self.world.slots[self.target])]

    def decide(self, found: list[Appointment], slots: Mapping[UUID, Slot]) -> list[Change]:
        return [
            decide_move(
                found[0],
                slots.get(self.world.slots[self.target].id),
                actor=self.staff,
                clinic=self.clinic,
                reason=None,
                override=False,
                now=NOW,
                new_id=new_id,
            )
        ]


class MoveFurther(Move):
    """Moves `one` into the fourth slot."""

    target = 3


class MoveTheOther(Move):
    """Moves `two` into the third slot."""

    @property
    def moving(self) -> Appointment:
        return self.scene.two


class Swap(ChangeActor):
    """Swaps `one` and `two`."""

    turned = False

    async def read(self) -> None:
        slots = self.world.slots
        pairs = [(self.scene.one, slots[0]), (self.scene.two, slots[1])]
        self.decided = [*a_swap(self.clinic, *(pairs[::-1] if self.turned else pairs))]

    def decide(self, found: list[Appointment], slots: Mapping[UUID, Slot]) -> list[Change]:
        a, b = found
        return [
            *decide_swap(
                (a, slots[a.slot_id]),
                (b, slots[b.slot_id]),
                actor=self.staff,
                clinic=self.clinic,
                reason=None,
                now=NOW,
                new_id=new_id,
            )
        ]


class SwapBack(Swap):
    """Swaps `two` and `one`."""

    turned = True


class Block(UnitActor):
    """Blocks the third slot."""

    place = 2

    async def read(self) -> None:
        """Read nothing: only the slot's id matters."""

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        slot = self.world.slots[self.place]
        await unit.calendars.lock_doctor(self.clinic.id, slot.doctor_id)
        if afresh:
            found = await unit.calendars.slot(self.clinic.id, slot.id)
            if found is None or found.slot.state is SlotState.RETIRED:
                raise SlotNotFound()
        await unit.calendars.set_slot_state(self.clinic.id, [slot.id], SlotState.BLOCKED)


class BlockTheFirst(Block):
    """Blocks the slot that `one` is in."""

    place = 0


class Open(UnitActor):
    """Opens hours without the third slot, but with another one at the end."""

    dropped = 2

    async def read(self) -> None:
        """Read nothing: the slots are read when they are locked."""

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        slots, doctor = self.world.slots, self.world.doctor
        last = slots[-1].ends_at
        hours = [slot.interval for slot in slots if slot != slots[self.dropped]]
        hours.append(Interval(last, last + (last - slots[-1].starts_at)))
        calendars, clinic_id = unit.calendars, self.clinic.id
        await calendars.lock_doctor(clinic_id, doctor.id)
        existing = await calendars.lock_slots(clinic_id, [doctor.id], MORNING, hours[-1].ends_at)
        plan = plan_slots([PlannedSlot(each) for each in hours], existing, NOW)
        back = [slot for slot, _ in plan.back]
        for changed, state in ((plan.retire, SlotState.RETIRED), (back, SlotState.OPEN)):
            await calendars.set_slot_state(clinic_id, [slot.id for slot in changed], state)
        await calendars.add_slots([a_slot(doctor, new.starts_at) for new in plan.add])


class Disable(UnitActor):
    """Disables the account of the patient of Book."""

    @property
    def patient(self) -> Patient:
        return self.world.patients[2]

    async def read(self) -> None:
        """Read nothing: there is nothing to decide."""

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        await unit.accounts.set_disabled_at(self.patient.id, NOW)


class Erase(Disable):
    """Does what an erasure does, which is refused for patients with appointments ahead."""

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        await super().write_in(unit, afresh=afresh)
        ahead = AppointmentQuery(
            Scope(self.clinic.id, patient_id=self.patient.id), starts_from=NOW, statuses=OCCUPYING
        )
        if await unit.appointments.list(system_actor(ahead.scope.clinic_id), ahead, PageRequest(1)):
            raise UpcomingAppointments


class Leave(Disable):
    """Ends the membership of the patient of Book."""

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        patient = self.patient
        user = User(patient.id, patient.name, patient.email, Role.PATIENT)
        await unit.memberships.end(self.clinic.id, user, NOW)


class OpenWithoutTheFirst(Open):
    """Opens hours without the slot that `one` is in."""

    dropped = 0


class Add(UnitActor):
    """Makes two appointments: in the third slot for the patient of Book, and in the fourth."""

    #: places of slot and patient, for each booking
    wanted: Sequence[tuple[int, int]] = ((2, 2), (3, 3))

    async def read(self) -> None:
        self.bookings = [self.booking(slot, patient) for slot, patient in self.wanted]

    def booking(self, slot: int, patient: int) -> Booking:
        """Return a booking of the doctor's slot for the patient."""
        return a_booking(self.clinic, self.world.slots[slot], self.world.patients[patient])

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        slot_ids = [booking.appointment.slot_id for booking in self.bookings]
        if afresh:
            await unit.appointments.lock(self.scene.scope, [], slot_ids)
        await unit.appointments.add(self.bookings)


class AddBackwards(Add):
    """Makes appointments in the same slots, in the opposite order and with swapped patients."""

    wanted = ((3, 2), (2, 3))


class AddTheFirst(Add):
    """Makes an appointment in the slot that `one` is in, and one in the fourth."""

    wanted = ((0, 2), (3, 3))


class AddElsewhere(Add):
    """Makes appointments with a colleague for the patients of `one` and of Book, at the time of
    `two` and of the third slot."""

    wanted = ((1, 0), (2, 2))

    def booking(self, slot: int, patient: int) -> Booking:
        """Return a booking of the colleague's slot for the patient."""
        world = self.world
        return a_booking(self.clinic, world.colleague_slots[slot], world.patients[patient])
