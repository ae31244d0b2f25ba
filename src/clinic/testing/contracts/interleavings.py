"""Two at once, step by step: for every pair of book, cancel, move, swap, block and open.

A threaded race passes by luck; here every order of steps is set. Both read first. Then the second
is tried in three ways: it decides afresh after the first has committed; it writes what it decided
on stale facts; and it begins while the first holds its locks, is seen to wait, and ends once the
first has committed or given up.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import anyio
import pytest

from clinic.domain.appointments import (
    OCCUPYING,
    Appointment,
    Change,
    Status,
    decide_booking,
    decide_move,
    decide_status,
    decide_swap,
)
from clinic.domain.availability import Interval
from clinic.domain.errors import (
    ClinicError,
    NotSwappable,
    PatientBusy,
    PatientDisabled,
    SlotBlocked,
    SlotNotFound,
    SlotOverlap,
    SlotTaken,
    TransactionAborted,
    TransitionNotAllowed,
    UpcomingAppointments,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people import Patient, Role, Scope, User, system_actor
from clinic.domain.slots import Slot, SlotPlan, SlotState, plan_slots
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
    seed_booking,
    seed_world,
)
from clinic.testing.contracts.attempts import attempt, outcome_of
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound


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
    """Somebody who changes something in two steps: reading, then writing."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.world, self.clinic = scene.world, scene.world.clinic
        self.staff = an_actor(self.clinic)

    @abstractmethod
    async def read(self) -> None:
        """Decide on what is committed now."""

    @abstractmethod
    async def write(self, *, afresh: bool) -> None:
        """Write and commit: what is decided afresh, or what `read` decided."""


class UnitActor(Actor):
    """Somebody who writes in a unit of work."""

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
                await desk.look(system_actor(self.clinic.id), self.slot.id, self.patient.id),
                actor=self.staff,
                type=None,
                reason=None,
                override=False,
                now=NOW,
                new_id=new_id,
            )
        await desk.take(booking)

    @property
    def slot(self) -> Slot:
        return self.world.slots[2]

    @property
    def patient(self) -> Patient:
        return self.world.patients[2]


class BookToo(Book):
    """Books the same slot for somebody else."""

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
    """Somebody who changes appointments."""

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
        """Nothing but the slot's id matters."""

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
    """Opens hours that have no third slot any more, but one more at the end."""

    dropped = 2

    async def read(self) -> None:
        async with self.scene.store.begin() as unit:
            self.plan = await self._plan(unit)

    async def _plan(self, unit: UnitOfWork) -> SlotPlan:
        slots, doctor = self.world.slots, self.world.doctor
        last = slots[-1].ends_at
        hours = [slot.interval for slot in slots if slot != slots[self.dropped]]
        hours.append(Interval(last, last + (last - slots[-1].starts_at)))
        existing = await unit.calendars.slots_between(
            self.clinic.id, doctor.id, MORNING, hours[-1].ends_at
        )
        return plan_slots(hours, existing, NOW)

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        await unit.calendars.lock_doctor(self.clinic.id, self.world.doctor.id)
        plan = await self._plan(unit) if afresh else self.plan
        calendars, clinic_id = unit.calendars, self.clinic.id
        retire = [slot.id for slot in plan.retire]
        strand = [slot.id for slot in plan.strand]
        await calendars.set_slot_state(clinic_id, retire, SlotState.RETIRED, untaken_only=True)
        await calendars.set_slot_state(clinic_id, strand, SlotState.BLOCKED)
        await calendars.add_slots([a_slot(self.world.doctor, new.starts_at) for new in plan.add])


class Disable(UnitActor):
    """Disables the account of the patient whom Book books for."""

    @property
    def patient(self) -> Patient:
        return self.world.patients[2]

    async def read(self) -> None:
        """There is nothing to decide."""

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        await unit.accounts.set_disabled_at(self.patient.id, NOW)


class Erase(Disable):
    """Does what an erasure does, which nobody with appointments ahead may have."""

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        await super().write_in(unit, afresh=afresh)
        ahead = AppointmentQuery(
            Scope(self.clinic.id, patient_id=self.patient.id), starts_from=NOW, statuses=OCCUPYING
        )
        if await unit.appointments.list(system_actor(ahead.scope.clinic_id), ahead, PageRequest(1)):
            raise UpcomingAppointments


class Leave(Disable):
    """Ends the membership of the patient whom Book books for."""

    async def write_in(self, unit: UnitOfWork, *, afresh: bool) -> None:
        patient = self.patient
        user = User(patient.id, patient.name, patient.email, Role.PATIENT)
        await unit.memberships.end(self.clinic.id, user, NOW)


class OpenWithoutTheFirst(Open):
    """Opens hours without the slot that `one` is in."""

    dropped = 0


Refusal = type[ClinicError] | None


@dataclass(frozen=True, slots=True)
class Meeting:
    """What becomes of `second` when `first` came before it; None is that it goes well."""

    first: type[Actor]
    second: type[Actor]
    #: deciding on what the first left
    afresh: Refusal
    #: writing what it decided before the first wrote
    stale: Refusal
    #: beginning while the first holds its locks, which then commits
    waiting: Refusal = None
    #: the same, and the first gives up
    alone: Refusal = None
    #: whether it must wait at all for a right answer
    waits: bool = True

    @property
    def name(self) -> str:
        """The names of both, for pytest."""
        return f"{self.first.__name__}-{self.second.__name__}"


_STALE = TransactionAborted
MEETINGS = (
    Meeting(Book, BookToo, SlotTaken, SlotTaken),
    Meeting(Book, Cancel, None, None),
    Meeting(Book, Move, SlotTaken, SlotTaken),
    Meeting(BookElsewhere, Swap, PatientBusy, PatientBusy),
    Meeting(Book, Block, None, None),
    Meeting(Book, Open, None, _STALE),
    # A slot that is still taken is refused at once, even while it is being freed.
    Meeting(Cancel, BookTheFirst, None, None, SlotTaken, SlotTaken, waits=False),
    Meeting(Cancel, Cancel, TransitionNotAllowed, _STALE, TransitionNotAllowed),
    Meeting(Cancel, Move, TransitionNotAllowed, _STALE, TransitionNotAllowed),
    Meeting(Cancel, Swap, NotSwappable, _STALE, NotSwappable),
    Meeting(Cancel, BlockTheFirst, None, None),
    Meeting(Cancel, OpenWithoutTheFirst, None, None),
    Meeting(Move, Book, SlotTaken, SlotTaken, SlotTaken),
    Meeting(Move, BookTheFirst, None, None, SlotTaken, SlotTaken, waits=False),
    Meeting(Move, Cancel, None, _STALE, _STALE),
    Meeting(Move, MoveFurther, None, _STALE, _STALE),
    Meeting(Move, MoveTheOther, SlotTaken, SlotTaken, SlotTaken),
    Meeting(Move, Swap, None, _STALE, _STALE),
    Meeting(Move, Block, None, None),
    Meeting(Move, Open, None, _STALE, _STALE),
    Meeting(Swap, BookTheFirst, SlotTaken, SlotTaken, SlotTaken, SlotTaken, waits=False),
    Meeting(Swap, BookElsewhere, PatientBusy, PatientBusy, PatientBusy),
    Meeting(Swap, Cancel, None, _STALE, _STALE),
    Meeting(Swap, Move, None, _STALE, _STALE),
    Meeting(Swap, SwapBack, None, _STALE, None),
    Meeting(Swap, BlockTheFirst, None, None),
    Meeting(Swap, OpenWithoutTheFirst, None, None),
    Meeting(Block, Book, SlotBlocked, SlotTaken, SlotTaken),
    Meeting(BlockTheFirst, Cancel, None, None),
    Meeting(Block, Move, SlotBlocked, SlotTaken, SlotBlocked),
    Meeting(BlockTheFirst, Swap, SlotBlocked, SlotTaken, SlotBlocked),
    Meeting(Block, Block, None, None),
    Meeting(Block, Open, None, None),
    Meeting(Open, Book, SlotNotFound, SlotTaken, SlotTaken),
    Meeting(OpenWithoutTheFirst, Cancel, None, None),
    Meeting(Open, Move, SlotNotFound, SlotTaken, SlotNotFound),
    Meeting(OpenWithoutTheFirst, Swap, SlotBlocked, SlotTaken, SlotBlocked),
    Meeting(Open, Block, SlotNotFound, None, SlotNotFound),
    Meeting(Open, Open, None, SlotOverlap),
    Meeting(Disable, Book, PatientDisabled, SlotTaken, SlotTaken),
    Meeting(Erase, Book, PatientDisabled, SlotTaken, SlotTaken),
    Meeting(Leave, Book, PatientDisabled, SlotTaken, SlotTaken),
    Meeting(Book, Disable, None, None),
    Meeting(Book, Erase, UpcomingAppointments, UpcomingAppointments),
    Meeting(Book, Leave, None, None),
)


def _each(meetings: tuple[Meeting, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("meeting", meetings, ids=lambda meeting: meeting.name)


#: those whose first can hold its locks for a while; booking is one statement
HELD = tuple(meeting for meeting in MEETINGS if issubclass(meeting.first, UnitActor))


async def _scene(store: Store, meeting: Meeting) -> tuple[Actor, Actor]:
    """Seed the scene and let both actors read."""
    world = await seed_world(store, slots=4, patients="ABCD")
    booked = [
        await seed_booking(store, world.clinic, world.slots[place], world.patients[place])
        for place in (0, 1)
    ]
    scene = Scene(store, world, *booked)
    first, second = meeting.first(scene), meeting.second(scene)
    await first.read()
    await second.read()
    return first, second


class InterleavingsContract(Contract, contract=True):
    """Give it a fixture `store`: an open Store that holds nothing."""

    @_each(MEETINGS)
    async def test_second_that_decides_afresh(self, store: Store, meeting: Meeting) -> None:
        first, second = await _scene(store, meeting)

        await first.write(afresh=False)
        outcome = await outcome_of(lambda: second.write(afresh=True))

        assert outcome is meeting.afresh
        await check_sound(store, first.clinic.id)

    @_each(MEETINGS)
    async def test_second_that_writes_what_it_had_read(
        self, store: Store, meeting: Meeting
    ) -> None:
        first, second = await _scene(store, meeting)

        await first.write(afresh=False)
        outcome = await outcome_of(lambda: second.write(afresh=False))

        assert outcome is meeting.stale
        await check_sound(store, first.clinic.id)

    @_each(HELD)
    @pytest.mark.parametrize("commits", [True, False], ids=["commits", "gives_up"])
    async def test_second_that_meets_the_locks_of_the_first(
        self, store: Store, meeting: Meeting, commits: bool
    ) -> None:
        first, second = await _scene(store, meeting)
        assert isinstance(first, UnitActor)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await first.write_in(unit, afresh=False)
                # Booking has looked by now; that it looks again is the use case's business.
                afresh = isinstance(second, UnitActor)
                waiting = await attempt(group, lambda: second.write(afresh=afresh), self)
                waited = not waiting.has_ended
                if commits:
                    await unit.commit()
            outcome = await waiting.outcome()

        assert outcome is (meeting.waiting if commits else meeting.alone)
        assert waited or not meeting.waits
        if self.waits_no_more_than_needed:
            assert waited == meeting.waits
        await check_sound(store, first.clinic.id)

    async def test_every_pair_is_met_in_both_orders(self) -> None:
        verbs = (Book, Cancel, Move, Swap, Block, Open)

        met = {
            (one, two)
            for meeting in MEETINGS
            for one in verbs
            for two in verbs
            if issubclass(meeting.first, one) and issubclass(meeting.second, two)
        }

        assert met == {(one, two) for one in verbs for two in verbs}
