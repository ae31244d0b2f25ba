"""The contract of booking cancelled appointments again, alone and at the same time as others."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from clinic.domain.appointments.appointments import Appointment, Change, Status
from clinic.domain.appointments.rules import Surroundings
from clinic.domain.appointments.undoing import Place, decide_return
from clinic.domain.audit.audit import Action
from clinic.domain.calendar.slots import SlotState
from clinic.domain.clinic import Brakes
from clinic.domain.errors import (
    ClinicError,
    PatientBusy,
    PatientDisabled,
    SlotBlocked,
    SlotTaken,
    TransitionNotAllowed,
)
from clinic.domain.people.people import Scope
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.testing.builders import (
    NOW,
    World,
    a_booking,
    a_context,
    a_status_change,
    a_type,
    an_actor,
    new_id,
    seed_booking,
    seed_change,
    seed_world,
)
from clinic.testing.contracts.attempts import attempt
from clinic.testing.contracts.contract import Contract
from clinic.testing.soundness import check_sound
from clinic.usecases.appointments.change_appointment import change_status

Step = Callable[["_Scene", UnitOfWork], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Scene:
    """`gone` was in the doctor's first slot, and is cancelled."""

    store: Store
    world: World
    gone: Appointment

    async def undo(self) -> None:
        """Book it again, as staff do."""
        context = a_context(self.store, an_actor(self.world.clinic))
        await change_status(context, self.gone.id, to=Status.BOOKED)


async def _scene(store: Store) -> _Scene:
    world = await seed_world(store)
    booked = await seed_booking(store, world.clinic, world.slots[0], world.patients[0])
    return _Scene(store, world, await _cancelled(store, world, booked))


async def _cancelled(store: Store, world: World, booked: Appointment) -> Appointment:
    change = a_status_change(world.clinic, booked, Status.CANCELLED)
    await seed_change(store, change)
    return change.after


async def _undo(scene: _Scene, unit: UnitOfWork) -> None:
    gone, clinic = scene.gone, scene.world.clinic
    patient_open = await unit.people.share_patient(clinic.id, gone.patient_id)
    locked = await unit.appointments.lock(Scope(clinic.id), [gone.id])
    around = Surroundings([*locked.slots.values()])
    place = Place(locked.slots[gone.slot_id], around, patient_open, Brakes())
    change = decide_return(
        locked.appointments[gone.id],
        place,
        actor=an_actor(clinic),
        clinic=clinic,
        reason="cancelled by mistake",
        override=False,
        now=NOW,
        new_id=new_id,
    )
    await unit.appointments.apply([change])


async def _book_the_slot(scene: _Scene, unit: UnitOfWork) -> None:
    world = scene.world
    await unit.appointments.add([a_booking(world.clinic, world.slots[0], world.patients[1])])


async def _book_at_the_desk(scene: _Scene) -> None:
    world = scene.world
    await scene.store.desk.reserve(a_booking(world.clinic, world.slots[0], world.patients[1]))


async def _book_the_patient(scene: _Scene, unit: UnitOfWork) -> None:
    world = scene.world
    slot, patient = world.colleague_slots[0], world.patients[0]
    await unit.appointments.add([a_booking(world.clinic, slot, patient)])


async def _block(scene: _Scene, unit: UnitOfWork) -> None:
    clinic, slot = scene.world.clinic, scene.world.slots[0]
    await unit.calendars.set_slot_state(clinic.id, [slot.id], SlotState.BLOCKED)


async def _disable(scene: _Scene, unit: UnitOfWork) -> None:
    await unit.accounts.set_disabled_at(scene.gone.patient_id, NOW)


async def _in_a_unit(scene: _Scene, step: Step) -> None:
    async with scene.store.begin() as unit:
        await step(scene, unit)
        await unit.commit()


class UndoContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    async def test_appointment_takes_all_of_its_time_again(self, store: Store) -> None:
        world = await seed_world(store)
        kind = a_type(world.clinic, "Any", 60, before_min=5, after_min=5)
        booking = a_booking(world.clinic, world.slots[1], world.patients[0], kind=kind)
        await store.desk.reserve(booking)
        gone = await _cancelled(store, world, booking.appointment)

        await _Scene(store, world, gone).undo()

        view = await store.appointments.get(Scope(world.clinic.id), gone.id)
        assert view is not None
        back = view.appointment
        assert (back.status, back.busy) == (Status.BOOKED, booking.appointment.busy)
        assert (back.version, back.schedule_version) == (3, 2)
        slots = [await store.calendars.slot(world.clinic.id, slot.id) for slot in world.slots]
        assert [each is not None and each.slot.taken for each in slots] == [True] * 4 + [False]
        trail = await store.appointments.trail(Scope(world.clinic.id), gone.id)
        assert [entry.action for entry in trail][-1] is Action.UNDO
        await check_sound(store, world.clinic.id)

    @pytest.mark.parametrize("commits", [True, False], ids=["commits", "gives_up"])
    @pytest.mark.parametrize(
        ("first", "second", "refusal"),
        [
            (_undo, _book_the_slot, SlotTaken),
            (_undo, _book_at_the_desk, SlotTaken),
            (_book_the_slot, _undo, SlotTaken),
            (_undo, _book_the_patient, PatientBusy),
            (_book_the_patient, _undo, PatientBusy),
            (_block, _undo, SlotBlocked),
            (_undo, _block, None),
            (_disable, _undo, PatientDisabled),
            (_undo, _disable, None),
            (_undo, _undo, TransitionNotAllowed),
        ],
        ids=lambda value: getattr(value, "__name__", "none").strip("_"),
    )
    async def test_undo_meets_another_change(
        self,
        store: Store,
        first: Step,
        second: Any,
        refusal: type[ClinicError] | None,
        commits: bool,
    ) -> None:
        """The second waits for the first, and is refused if that one is committed."""
        scene = await _scene(store)

        async def follow() -> None:
            if second is _undo:
                await scene.undo()
            elif second is _book_at_the_desk:
                await second(scene)
            else:
                await _in_a_unit(scene, second)

        async with anyio.create_task_group() as group:
            async with store.begin() as unit:
                await first(scene, unit)
                waiting = await attempt(group, follow, self)
                waited = not waiting.has_ended
                if commits:
                    await unit.commit()
            outcome = await waiting.outcome()

        assert outcome is (refusal if commits else None)
        # A slot that is being taken is still free: adding waits for it.
        assert waited
        await check_sound(store, scene.world.clinic.id)

    async def test_stale_undo_of_a_place_that_was_taken_is_refused(self, store: Store) -> None:
        """Whatever the use case saw, the store decides."""
        scene = await _scene(store)
        async with store.begin() as unit:
            locked = await unit.appointments.lock(Scope(scene.world.clinic.id), [scene.gone.id])
            slot = locked.slots[scene.gone.slot_id]
        place = Place(slot, Surroundings([slot]), True, Brakes())
        change: Change = decide_return(
            scene.gone,
            place,
            actor=an_actor(scene.world.clinic),
            clinic=scene.world.clinic,
            reason=None,
            override=False,
            now=NOW,
            new_id=new_id,
        )
        await _in_a_unit(scene, _book_the_slot)

        with pytest.raises(SlotTaken):
            await seed_change(store, change)

        await check_sound(store, scene.world.clinic.id)
