"""Interleaves every pair of book, add, cancel, move, swap, block and open, step by step.

A threaded race can pass by luck; here the order of steps is fixed. Both actors read first. Then the
second is tried in three ways: it decides again after the first has committed; it writes what it
decided on stale facts; and it begins while the first holds its locks, is seen to wait, and ends
once the first has committed or rolled back.
"""

from dataclasses import dataclass

import anyio
import pytest

from clinic.domain.errors import (
    BookingsRefused,
    ClinicError,
    NotSwappable,
    PatientBusy,
    PatientDisabled,
    SlotBlocked,
    SlotNotFound,
    SlotTaken,
    TransactionAborted,
    TransitionNotAllowed,
    UpcomingAppointments,
)
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    seed_booking,
    seed_world,
)
from clinic.testing.contracts.actors import (
    Actor,
    Add,
    AddBackwards,
    AddElsewhere,
    AddTheFirst,
    Block,
    BlockTheFirst,
    Book,
    BookElsewhere,
    BookTheFirst,
    BookToo,
    Cancel,
    Disable,
    Erase,
    Leave,
    Move,
    MoveFurther,
    MoveTheOther,
    Open,
    OpenWithoutTheFirst,
    Scene,
    Swap,
    SwapBack,
    UnitActor,
)
from clinic.testing.contracts.attempts import attempt, outcome_of
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound

Refusal = type[ClinicError] | None


@dataclass(frozen=True, slots=True)
class Meeting:
    """The expected refusal of `second` when `first` came before it; None means that it succeeds."""

    first: type[Actor]
    second: type[Actor]
    #: when it decides on the state that the first left
    afresh: Refusal
    #: when it writes what it decided before the first wrote
    stale: Refusal
    #: when it begins while the first holds its locks, and the first then commits
    waiting: Refusal = None
    #: the same, but the first rolls back
    alone: Refusal = None
    #: whether it must wait for the first
    waits: bool = True

    @property
    def name(self) -> str:
        """The names of both actors, for pytest."""
        return f"{self.first.__name__}-{self.second.__name__}"


_STALE, _NOT_ALL = TransactionAborted, BookingsRefused
MEETINGS = (
    Meeting(Book, BookToo, SlotTaken, SlotTaken),
    Meeting(Book, Cancel, None, None),
    Meeting(Book, Move, SlotTaken, SlotTaken),
    Meeting(BookElsewhere, Swap, PatientBusy, PatientBusy),
    Meeting(Book, Block, None, None),
    Meeting(Book, Open, None, None),
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
    Meeting(Move, Open, None, None),
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
    Meeting(Open, Open, None, None),
    Meeting(Disable, Book, PatientDisabled, SlotTaken, SlotTaken),
    Meeting(Erase, Book, PatientDisabled, SlotTaken, SlotTaken),
    Meeting(Leave, Book, PatientDisabled, SlotTaken, SlotTaken),
    Meeting(Book, Disable, None, None),
    Meeting(Book, Erase, UpcomingAppointments, UpcomingAppointments),
    Meeting(Book, Leave, None, None),
    Meeting(Add, Book, SlotTaken, SlotTaken, SlotTaken),
    Meeting(Book, Add, _NOT_ALL, _NOT_ALL),
    Meeting(BookElsewhere, AddElsewhere, _NOT_ALL, _NOT_ALL),
    Meeting(Add, AddBackwards, _NOT_ALL, _NOT_ALL, _NOT_ALL),
    Meeting(Add, AddElsewhere, _NOT_ALL, _NOT_ALL, _NOT_ALL),
    Meeting(AddElsewhere, Book, PatientBusy, PatientBusy, PatientBusy),
    Meeting(Add, Cancel, None, None, waits=False),
    Meeting(Cancel, AddTheFirst, None, None, None, _NOT_ALL),
    Meeting(Add, Move, SlotTaken, SlotTaken, SlotTaken),
    Meeting(Move, Add, _NOT_ALL, _NOT_ALL, _NOT_ALL),
    Meeting(Move, AddTheFirst, None, None, None, _NOT_ALL),
    Meeting(AddElsewhere, Swap, PatientBusy, PatientBusy, PatientBusy),
    Meeting(Swap, AddElsewhere, _NOT_ALL, _NOT_ALL, _NOT_ALL),
    Meeting(Swap, AddTheFirst, _NOT_ALL, _NOT_ALL, _NOT_ALL, _NOT_ALL),
    Meeting(Add, Block, None, None),
    Meeting(Block, Add, _NOT_ALL, _NOT_ALL, _NOT_ALL),
    Meeting(Add, Open, None, None),
    Meeting(Open, Add, _NOT_ALL, _NOT_ALL, _NOT_ALL),
    Meeting(Disable, Add, _NOT_ALL, _NOT_ALL, _NOT_ALL),
    Meeting(Leave, Add, _NOT_ALL, _NOT_ALL, _NOT_ALL),
    Meeting(Add, Disable, None, None),
    Meeting(Add, Erase, UpcomingAppointments, UpcomingAppointments, UpcomingAppointments),
    Meeting(Add, Leave, None, None),
)


def _each(meetings: tuple[Meeting, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("meeting", meetings, ids=lambda meeting: meeting.name)


#: those whose first actor can hold its locks for a while; booking is one statement
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
    """Needs a fixture `store`: an open, empty Store."""

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
                # Booking has read by now; reading again is up to the use case.
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
        verbs = (Book, Add, Cancel, Move, Swap, Block, Open)

        met = {
            (one, two)
            for meeting in MEETINGS
            for one in verbs
            for two in verbs
            if issubclass(meeting.first, one) and issubclass(meeting.second, two)
        }

        assert met == {(one, two) for one in verbs for two in verbs}
