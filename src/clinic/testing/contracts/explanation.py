"""The contract of explanations: they say what becomes of a booking, in the same words."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import time, timedelta
from random import Random
from typing import Any, cast
from uuid import UUID

import pytest

from clinic.domain.appointments.appointments import Booking
from clinic.domain.appointments.types import AppointmentType, BookableBy, Offer
from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.closings import Block, Closure, Leave
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Policy
from clinic.domain.errors import ClinicError
from clinic.domain.people.people import Role
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    NOW,
    World,
    a_context,
    a_type,
    an_actor,
    an_availability,
    new_id,
    seed_type,
    seed_world,
)
from clinic.testing.contracts.contract import Contract
from clinic.usecases.appointments.book import book
from clinic.usecases.appointments.explain import ExplainedStart, Explanation, Question, explain
from clinic.usecases.calendar.blocks import add_block
from clinic.usecases.calendar.change_hours import add_availability
from clinic.usecases.calendar.closures import add_closure
from clinic.usecases.calendar.leaves import add_leave
from clinic.usecases.context import Context

_TODAY = NOW.date()
_DAYS = 3
_SPAN = Interval(NOW - timedelta(hours=8), NOW + timedelta(days=_DAYS))


async def a_random_clinic(store: Store, random: Random) -> tuple[World, Sequence[AppointmentType]]:
    """Add a clinic with hours of three days, closures, leave, blocks, types and appointments, and
    return it with its types."""
    policy = Policy(
        notice_min=random.choice((0, 60, 26 * 60)),
        horizon_days=random.choice((1, 30, 30)),
        max_open_appointments=random.choice((2, 10, 10)),
    )
    world = await seed_world(store, slots=0, patients="ABCD", policy=policy)
    staff = a_context(store, an_actor(world.clinic))
    for start, end in ((time(9), time(12)), (time(13), time(14))):
        for doctor in (world.doctor, world.colleague):
            hours = an_availability(
                doctor,
                start=start,
                end=end,
                slot_min=random.choice((20, 30)),
                capacity=random.choice((1, 1, 2)),
            )
            await add_availability(staff, hours)
    for close in random.sample((_close, _leave, _block, _block_after), random.randint(1, 4)):
        with suppress(ClinicError):
            await close(staff, world, random)
    kinds = _types(world) if random.random() < 0.8 else []
    await seed_type(store, *kinds)
    for _ in range(random.randint(0, 14)):
        doctor = random.choice((world.doctor, world.colleague, world.colleague))
        slot = random.choice(await _slots(store, world, doctor.id))
        with suppress(ClinicError):
            await book(
                staff,
                slot.id,
                patient_id=random.choice(world.patients[:3]).id,
                type=random.choice(kinds).id if kinds else None,
                override=True,
            )
    return world, kinds


async def _close(staff: Context, world: World, random: Random) -> None:
    start = random.choice((None, time(10, 10)))
    day = _TODAY + timedelta(days=random.randrange(_DAYS))
    await add_closure(
        staff, Closure(new_id(), world.clinic.id, "Outing", first=day, last=day, start=start)
    )


async def _leave(staff: Context, world: World, random: Random) -> None:
    day = _TODAY + timedelta(days=random.randrange(_DAYS))
    start = random.choice((None, time(11)))
    leave = Leave(new_id(), world.clinic.id, world.doctor.id, day, day, start, None, "Surgery")
    await add_leave(staff, leave)


async def _block(staff: Context, world: World, random: Random) -> None:
    start = NOW + timedelta(days=random.randrange(_DAYS), hours=random.randint(1, 5))
    end = start + timedelta(minutes=random.choice((15, 50)))
    lane = random.choice((None, None, 1))
    block = Block(new_id(), world.clinic.id, world.doctor.id, start, end, "Audit", lane=lane)
    await add_block(staff, block)


async def _block_after(staff: Context, world: World, random: Random) -> None:
    """Block time in which there are no hours."""
    start = NOW + timedelta(days=random.randrange(_DAYS), hours=random.choice((4, 6)))
    end = start + timedelta(minutes=30)
    await add_block(staff, Block(new_id(), world.clinic.id, world.doctor.id, start, end))


def _types(world: World) -> list[AppointmentType]:
    def kind(name: str, minutes: int, **more: Any) -> AppointmentType:
        return replace(a_type(world.clinic, name, minutes), **more)

    return [
        kind("Buffered", 20, before_min=10, after_min=25),
        kind("Short", 20),
        kind("Long", 70),
        kind("Planned", 20, notice_min=24 * 60, horizon_days=2),
        kind("Internal", 30, bookable_by=BookableBy.STAFF),
        kind("Follow-up", 30, bookable_by=BookableBy.KNOWN_PATIENTS),
        kind("Special", 30, offered_by=(Offer(world.colleague.id),)),
    ]


async def _slots(store: Store, world: World, doctor_id: UUID) -> list[Slot]:
    found = await store.calendars.slots_between(
        world.clinic.id, [doctor_id], _SPAN.starts_at, _SPAN.ends_at
    )
    return [slot for slot in found if slot.state is not SlotState.RETIRED]


class _Rehearsal:
    """A store whose desk tries bookings, and commits none."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.desk = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store if name != "load_facts" else self._store.desk, name)

    async def reserve(self, booking: Booking) -> None:
        async with self._store.begin() as unit:
            await unit.appointments.add([booking])


async def refusal(context: Context, slot_id: UUID, **booking: Any) -> ClinicError | None:
    """Return what a booking would be refused with, None when it would be made."""
    trying = replace(context, store=cast(Store, _Rehearsal(context.store)))
    try:
        await book(trying, slot_id, **booking)
    except ClinicError as error:
        return error
    return None


async def check_explained(store: Store, random: Random) -> Mapping[str, int]:
    """Compare explanations at a random clinic with what becomes of each booking, and return how
    many times each rule refused."""
    world, kinds = await a_random_clinic(store, random)
    refused: dict[str, int] = {}
    patient, other = world.patients[0], world.patients[1]
    askers = (
        (a_context(store, an_actor(world.clinic, Role.PATIENT, user_id=patient.id)), patient.id),
        (a_context(store, an_actor(world.clinic)), other.id),
    )
    for context, patient_id in askers:
        for kind in [kinds[0], *random.sample(kinds[1:], 2)] if kinds else [None]:
            question = Question(
                world.doctor.id,
                starts_from=_SPAN.starts_at,
                starts_before=_SPAN.ends_at,
                type=None if kind is None else kind.id,
                patient_id=patient_id,
            )
            found = await explain(context, question, clinic=world.clinic)
            booking = {"type": question.type, "patient_id": patient_id}
            await _check_starts(context, world, found, booking, refused)
            await _check_one(context, world, found, question, random)
    return refused


async def _check_starts(
    context: Context,
    world: World,
    found: Explanation,
    booking: Mapping[str, Any],
    refused: dict[str, int],
) -> None:
    slots = await _slots(context.store, world, world.doctor.id)
    left = {slot.id for slot in slots} - {
        slot.id for slot in slots for start in found.starts if start.starts_at == slot.starts_at
    }
    for start in found.starts:
        if start.slot_id is None:
            assert not start.is_possible
            continue
        error = await refusal(context, start.slot_id, **booking)
        first = next((each for each in start.findings if each.refuses), None)
        if first is None:
            assert error is None, start
            continue
        refused[first.kind] = refused.get(first.kind, 0) + 1
        assert error is not None, start
        # What patients learn of leave comes first in place of last.
        is_leave = context.actor.role is Role.PATIENT and first.kind == "no_hours"
        named = [each for each in start.findings if each is first or (is_leave and each.refuses)]
        assert (error.message, error.code) in [
            (each.sentence, each.error.code) for each in named if each.error
        ], (start, error)
    for slot_id in left:
        # Leave looks like missing hours.
        assert context.actor.role is Role.PATIENT
        assert await refusal(context, slot_id, **booking) is not None
    for view in found.nearest:
        assert await refusal(context, view.slot.id, **booking) is None, view


async def _check_one(
    context: Context, world: World, found: Explanation, question: Question, random: Random
) -> None:
    """Compare what is said of one start, and of a time at which none is."""
    asked = replace(question, starts_from=None, starts_before=None)
    if found.starts:
        start = random.choice(found.starts)
        one = await explain(context, replace(asked, at=start.starts_at), clinic=world.clinic)
        assert [_told(each) for each in one.starts] == [_told(start)]
    between = NOW + timedelta(days=1, minutes=random.randrange(60) * 10 + 3)
    nothing = await explain(context, replace(asked, at=between), clinic=world.clinic)
    assert [(each.starts_at, each.slot_id) for each in nothing.starts] == [(between, None)]
    assert nothing.starts[0].findings[0].refuses
    for view in nothing.nearest:
        booking = {"type": question.type, "patient_id": question.patient_id}
        assert await refusal(context, view.slot.id, **booking) is None, view


def _told(start: ExplainedStart) -> tuple[object, ...]:
    rules = [(each.kind, each.sentence, each.refuses) for each in start.findings]
    return start.starts_at, start.ends_at, start.slot_id, rules


class ExplanationContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store.

    Every start that is called possible can be booked. Every other is refused with what is named
    first.
    """

    @pytest.mark.parametrize("seed", range(2))
    async def test_explanation_says_what_becomes_of_a_booking(
        self, store: Store, seed: int
    ) -> None:
        assert await check_explained(store, Random(seed))
