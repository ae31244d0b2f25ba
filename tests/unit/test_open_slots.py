"""Opening the slots of every doctor: two at a time, each whole or not at all."""

import asyncio

import pytest

from clinic.bootstrap import in_memory
from clinic.domain.errors import TemporaryFailure
from clinic.domain.people import Actor, Role
from clinic.testing import FixedClock, an_availability, seed_clinic, seed_doctor
from clinic.testing.builders import NOW
from clinic.usecases.open_slots import AT_ONCE, open_slots
from clinic.usecases.transactions import Transactions

pytestmark = pytest.mark.anyio

DOCTORS = 5


class Watched(Transactions):
    """Counts what runs at once; one of them fails after it has written."""

    def __init__(self, begin, *, failing: int | None = None) -> None:
        super().__init__(begin)
        self.running = self.most = self.begun = 0
        self._failing = failing

    async def run(self, work):
        self.begun += 1
        number = self.begun

        async def watched(unit):
            result = await work(unit)
            await asyncio.sleep(0.01)
            if number == self._failing:
                raise TemporaryFailure()
            return result

        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await super().run(watched)
        finally:
            self.running -= 1


@pytest.fixture
async def hospital():
    services = in_memory(clock=FixedClock(NOW))
    store = services.store
    clinic = await seed_clinic(store)
    for number in range(DOCTORS):
        doctor = await seed_doctor(store, clinic, name=f"Dr {number}")
        async with store.begin() as unit:
            await unit.calendars.add_availability(an_availability(doctor))
            await unit.commit()
    return services, clinic


def opening(services, clinic, transactions, on_progress=None):
    return open_slots(
        transactions=transactions,
        people=services.store.people,
        clock=services.clock,
        new_id=services.new_id,
        actor=Actor(services.new_id(), Role.ADMIN, clinic.id),
        on_progress=on_progress,
    )


async def test_doctors_are_opened_two_at_a_time_and_told_one_by_one(hospital) -> None:
    services, clinic = hospital
    told = []
    transactions = Watched(services.store.begin)

    opened = await opening(services, clinic, transactions, lambda *each: told.append(each))

    assert transactions.most == AT_ONCE
    assert [each[:2] for each in told] == [(n, DOCTORS) for n in range(1, DOCTORS + 1)]
    assert opened.added == sum(each[2] for each in told) > 0
    assert (await opening(services, clinic, transactions)).added == 0


async def test_failure_ends_the_opening_and_leaves_whole_calendars(hospital) -> None:
    services, clinic = hospital
    transactions = Watched(services.store.begin, failing=3)

    with pytest.raises(TemporaryFailure):
        await opening(services, clinic, transactions)

    assert transactions.running == 0
    assert transactions.begun < DOCTORS
    again = Watched(services.store.begin)
    told = []
    await opening(services, clinic, again, lambda *each: told.append(each[2]))
    # The two before it are done, and nothing of it or of the one beside it.
    assert sorted(map(bool, told)) == [False, False, True, True, True]
    assert len(set(told)) == 2
