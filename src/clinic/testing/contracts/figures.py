"""The contract of StoreFigures."""

import asyncio

from clinic.domain.errors import PatientBusy, SlotTaken
from clinic.ports.figures import BOOKED
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import a_booking, seed_world
from clinic.testing.contracts.attempts import outcome_of
from clinic.testing.contracts.contract import Contract


class FiguresContract(Contract, contract=True):
    """Figures. Needs a fixture `store`: an open, empty Store."""

    async def test_bookings_are_counted_by_what_became_of_them(self, store: Store) -> None:
        world = await seed_world(store)
        clinic, slots, patients = world.clinic, world.slots, world.patients
        before = dict(store.figures.bookings)
        await store.desk.reserve(a_booking(clinic, slots[0], patients[0]))

        lost = a_booking(clinic, slots[0], patients[1])
        busy = a_booking(clinic, world.colleague_slots[0], patients[0])
        assert await outcome_of(lambda: store.desk.reserve(lost)) is SlotTaken
        assert await outcome_of(lambda: store.desk.reserve(busy)) is PatientBusy

        now = store.figures.bookings
        for outcome in (BOOKED, "slot_taken", "patient_busy"):
            assert now[outcome] - before.get(outcome, 0) == 1

    async def test_every_booking_is_in_a_statement_that_is_counted(self, store: Store) -> None:
        world = await seed_world(store)
        bookings = [
            a_booking(world.clinic, slot, patient)
            for slot, patient in zip(world.slots, world.patients, strict=False)
        ]
        before = dict(store.figures.batches)

        await asyncio.gather(*(store.desk.reserve(each) for each in bookings))

        new = {size: number - before.get(size, 0) for size, number in store.figures.batches.items()}
        assert sum(size * number for size, number in new.items()) >= len(bookings)
