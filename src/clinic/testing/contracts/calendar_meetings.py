"""The contract of changes of calendars that meet bookings, and each other.

The first holds its locks, having written everything; the second begins, is seen to wait, and ends
once the first has committed or rolled back. Both are the use cases themselves.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import time, timedelta
from typing import Any

import anyio
import pytest

from clinic.bootstrap import in_memory
from clinic.domain.appointments.appointments import Appointment, Status
from clinic.domain.calendar.availability import Availability
from clinic.domain.calendar.changes import CalendarChange, CalendarWork
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Policy
from clinic.domain.errors import (
    AlreadyEntered,
    ClinicError,
    ConfirmationNeeded,
    SlotBlocked,
    SlotNotFound,
)
from clinic.domain.people.people import system_actor
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.testing.builders import (
    MORNING,
    NOW,
    World,
    a_block,
    a_booking,
    a_closure,
    a_context,
    a_leave,
    an_availability,
    new_id,
    seed_booking,
    seed_closings,
    seed_world,
    some_holidays,
)
from clinic.testing.contracts.attempts import attempt, begin
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_planned, check_promises, everything, stranded
from clinic.usecases.appointments.book import book
from clinic.usecases.appointments.change_appointment import change_status, reschedule
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.blocks import add_block
from clinic.usecases.calendar.calendar_changes import carry_on
from clinic.usecases.calendar.change_hours import add_availability, change_availability
from clinic.usecases.calendar.closures import add_closure
from clinic.usecases.calendar.leaves import add_leave
from clinic.usecases.context import Context
from clinic.usecases.people.change_clinic import change_clinic
from clinic.usecases.people.manage_users import set_enabled
from clinic.usecases.transactions import Transactions, Work

DAY = MORNING.date()


@dataclass(frozen=True, slots=True)
class Scene:
    """A doctor with hours from 09:00 to 11:00, and an appointment in the first slot of the day."""

    store: Store
    world: World
    hours: Availability
    #: the doctor's slots of the day
    slots: list[Slot]
    one: Appointment
    #: of a closure of the day that no slot follows yet
    work: CalendarWork


Act = Callable[[Scene, Context], Awaitable[Any]]


async def _book_at_once(scene: Scene, context: Context) -> None:
    patient = scene.world.patients[1]
    await book(context, scene.slots[1].id, patient_id=patient.id, type=None)


async def _book_in_a_unit(scene: Scene, context: Context) -> None:
    booking = a_booking(scene.world.clinic, scene.slots[1], scene.world.patients[1])

    async def add(unit: UnitOfWork) -> None:
        await unit.appointments.add([booking])

    await context.transactions.run(add)


async def _cancel(scene: Scene, context: Context) -> None:
    await change_status(context, scene.one.id, to=Status.CANCELLED)


async def _move(scene: Scene, context: Context) -> None:
    await reschedule(context, scene.one.id, slot_id=scene.slots[1].id)


async def _block(scene: Scene, context: Context) -> object:
    return await add_block(context, a_block(scene.world.doctor, minutes=60))


async def _close(scene: Scene, context: Context) -> object:
    return await add_closure(context, a_closure(scene.world.clinic))


async def _close_until_noon(scene: Scene, context: Context) -> object:
    closure = a_closure(scene.world.clinic, DAY - timedelta(days=1), DAY)
    return await add_closure(context, replace(closure, end=time(12)))


async def _leave(scene: Scene, context: Context) -> object:
    return await add_leave(context, a_leave(scene.world.doctor))


async def _begin_later(scene: Scene, context: Context) -> object:
    return await change_availability(
        context, scene.hours.id, lambda known: replace(known, start=time(10))
    )


async def _divide(scene: Scene, context: Context) -> object:
    return await change_availability(
        context, scene.hours.id, lambda known: replace(known, slot_min=20)
    )


async def _change_zone(scene: Scene, context: Context) -> object:
    return await change_clinic(
        context,
        lambda known: replace(known, time_zone="Asia/Kolkata"),
        contacts=in_memory().contacts,
        confirm=1,
    )


async def _disable(scene: Scene, context: Context) -> object:
    return await set_enabled(context, scene.world.doctor.id, enabled=False, keep_appointments=True)


async def _disable_undecided(scene: Scene, context: Context) -> object:
    return await set_enabled(context, scene.world.doctor.id, enabled=False)


async def _carry_on(scene: Scene, context: Context) -> object:
    return await carry_on(context, scene.work)


@dataclass(frozen=True, slots=True)
class Meeting:
    """The expected refusal of `second` once `first` has committed; None means that it succeeds, as
    it does when the first rolls back."""

    first: Act
    second: Act
    refusal: type[ClinicError] | None = None
    #: the same when the first rolls back
    alone: type[ClinicError] | None = None

    @property
    def name(self) -> str:
        """What both do, for pytest."""
        return f"{self.first.__name__[1:]}-{self.second.__name__[1:]}"


MEETINGS = (
    Meeting(_book_in_a_unit, _block),
    Meeting(_block, _book_at_once, SlotBlocked),
    Meeting(_book_in_a_unit, _close),
    Meeting(_close, _book_at_once, SlotBlocked),
    Meeting(_book_in_a_unit, _leave),
    Meeting(_leave, _book_at_once, SlotBlocked),
    Meeting(_book_in_a_unit, _begin_later),
    Meeting(_begin_later, _book_at_once, SlotNotFound),
    Meeting(_cancel, _divide),
    Meeting(_divide, _cancel),
    Meeting(_move, _block),
    Meeting(_block, _move, SlotBlocked),
    Meeting(_move, _close),
    Meeting(_close, _move, SlotBlocked),
    Meeting(_cancel, _begin_later),
    Meeting(_begin_later, _cancel),
    Meeting(_book_in_a_unit, _change_zone),
    Meeting(_change_zone, _book_at_once, SlotNotFound),
    Meeting(_leave, _disable),
    Meeting(_disable, _leave),
    Meeting(_change_zone, _begin_later),
    Meeting(_begin_later, _change_zone),
    Meeting(_disable, _book_at_once, SlotNotFound),
    Meeting(_book_in_a_unit, _disable),
    Meeting(_book_in_a_unit, _disable_undecided, ConfirmationNeeded, ConfirmationNeeded),
    Meeting(_close, _close, AlreadyEntered),
    Meeting(_close, _close_until_noon),
    Meeting(_close_until_noon, _close),
    Meeting(_carry_on, _block),
    Meeting(_block, _carry_on),
    Meeting(_carry_on, _divide),
    Meeting(_divide, _carry_on),
    Meeting(_carry_on, _carry_on),
)


class HeldTransactions:
    """Runs one piece of work, and holds its locks until it may end."""

    def __init__(self, store: Store, *, commits: bool) -> None:
        self._store, self._commits = store, commits
        self.has_written, self.may_end = anyio.Event(), anyio.Event()

    async def run(self, work: Work[Any]) -> Any:
        """Return what `work` returns, committed or not."""
        async with self._store.begin() as unit:
            result = await work(unit)
            self.has_written.set()
            await self.may_end.wait()
            if self._commits:
                await unit.commit()
            return result


class CalendarMeetingsContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    @pytest.mark.parametrize("commits", [True, False], ids=["commits", "gives_up"])
    @pytest.mark.parametrize("meeting", MEETINGS, ids=lambda meeting: meeting.name)
    async def test_change_of_a_calendar_waits_for_what_it_meets(
        self, store: Store, meeting: Meeting, commits: bool
    ) -> None:
        """Neither is lost: the slots are those of the plan, and everybody outside is reported."""
        deferred = _carry_on in (meeting.first, meeting.second)
        scene = await _scene(store, deferred=deferred)
        held, usual = HeldTransactions(store, commits=commits), Transactions(store.begin)
        actor, answers = system_actor(scene.world.clinic.id), []

        async def go_second() -> None:
            context = a_context(store, actor, transactions=usual)
            answers.append(await meeting.second(scene, context))

        async with anyio.create_task_group() as group:
            holding = a_context(store, actor, transactions=held)
            first = begin(group, lambda: meeting.first(scene, holding))
            with anyio.fail_after(10):
                await held.has_written.wait()
            second = await attempt(group, go_second, self)
            waited = not second.has_ended
            held.may_end.set()
            outcomes = await first.outcome(), await second.outcome()

        assert waited
        assert outcomes == (None, meeting.refusal if commits else meeting.alone)
        # A deadlock would have been retried.
        assert usual.retried == 0
        found = await everything(store, scene.world.clinic.id)
        check_promises(found)
        check_planned(found, NOW, some_holidays)
        for effect in map(_effect_of, answers):
            if effect is not None:
                reported = [view.appointment.id for view in effect.stranded]
                assert reported == [*stranded(found, NOW)]


def _effect_of(answer: Any) -> CalendarEffect | None:
    """Return what a change did to slots and appointments, None when it is not of a calendar."""
    return answer if isinstance(answer, CalendarEffect) else getattr(answer, "effect", None)


async def _scene(store: Store, *, deferred: bool) -> Scene:
    """Return a clinic without closures, or with one that was stored and not carried out yet."""
    world = await seed_world(store, slots=0, policy=Policy(horizon_days=3))
    context = a_context(store, system_actor(world.clinic.id))
    hours = an_availability(world.doctor)
    await add_availability(context, hours)
    if not deferred:
        await add_availability(context, an_availability(world.colleague))
    found = await everything(store, world.clinic.id)
    slots = [slot for slot in found.slots_of(world.doctor) if slot.starts_at.date() == DAY]
    one = await seed_booking(store, world.clinic, slots[0], world.patients[0])
    closure = a_closure(world.clinic)
    change = CalendarChange(
        new_id(),
        world.clinic.id,
        "add_closure",
        "closure",
        closure.id,
        new_id(),
        NOW,
        DAY - timedelta(days=1),
        DAY,
        1,
    )
    work = CalendarWork(world.clinic.id, change.id, world.doctor.id, change.first, change.last)
    if deferred:
        await seed_closings(store, closure)
        async with store.begin() as unit:
            await unit.calendar_changes.add(change, [work])
            await unit.commit()
    return Scene(store, world, hours, slots, one, work)
