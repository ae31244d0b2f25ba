"""A list of free slots from memory or by 304 is never older than its request."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial

import pytest

from clinic.adapters.postgres import PostgresStore
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import system_actor
from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.response_cache import ResponseCache
from clinic.ports.calendars import SlotQuery
from clinic.testing.builders import World, seed_booking, seed_state, seed_world

pytestmark = pytest.mark.anyio

Step = Callable[[], Awaitable[object]]
READERS = 2


class Reader:
    """Reads in two steps: from the database, then what the memory holds for that."""

    def __init__(self, store: PostgresStore, world: World, kept: ResponseCache) -> None:
        self._store = store
        self._kept = kept
        span = (world.slots[0].starts_at, world.slots[-1].ends_at)
        self._query = SlotQuery(world.clinic.id, *span, doctor_id=world.doctor.id)
        self.shown: set[str] = set()

    async def look(self) -> None:
        glance = await self._store.calendars.glance(
            system_actor(self._query.clinic_id), self._query, PageRequest(200)
        )
        assert glance is not None
        self._found = glance.free

    async def answer(self) -> None:
        found = self._found
        assert found is not None
        reply = self._kept.reply(("the list",), found.state, lambda: _written(found.slots()))
        self.shown = set(reply.body.decode().split())


def _written(views) -> Reply:
    return Reply(200, " ".join(str(view.slot.id) for view in views).encode())


def _orders(*actors: Sequence[str]) -> Iterator[list[str]]:
    """Yield every order of the actors' steps that keeps the order of each actor's own."""
    if not any(actors):
        yield []
    for number, steps in enumerate(actors):
        if steps:
            rest = [*actors[:number], steps[1:], *actors[number + 1 :]]
            for order in _orders(*rest):
                yield [steps[0], *order]


def _steps(readers: Sequence[Reader], change: Sequence[Step]) -> dict[str, Step]:
    steps = {f"change {number}": step for number, step in enumerate(change)}
    for number, reader in enumerate(readers):
        steps |= {f"look {number}": reader.look, f"answer {number}": reader.answer}
    return steps


async def _run(
    order: list[str], steps: dict[str, Step], readers: Sequence[Reader], slot: Slot
) -> None:
    """Take the steps in this order; a read before the last change must show the slot, a read
    after it must not."""
    done_at = order.index("change 1" if "change 1" in steps else "change 0")
    for step in order:
        await steps[step]()
    for number, reader in enumerate(readers):
        looked_before = order.index(f"look {number}") < done_at
        assert (str(slot.id) in reader.shown) == looked_before, order


def _all_orders(change: Sequence[str]) -> list[list[str]]:
    readers = [[f"look {number}", f"answer {number}"] for number in range(READERS)]
    return list(_orders(change, *readers))


async def test_no_order_of_booking_and_reading_shows_a_slot_that_was_booked_before(store) -> None:
    orders = _all_orders(["change 0"])
    world = await seed_world(store, slots=len(orders))
    kept = ResponseCache()

    for order, slot in zip(orders, world.slots, strict=True):
        readers = [Reader(store, world, kept) for _ in range(READERS)]
        book = partial(seed_booking, store, world.clinic, slot, world.patients[0])
        await _run(order, _steps(readers, [book]), readers, slot)

    assert len(orders) == 30


async def test_no_order_of_a_slow_commit_and_reading_shows_what_it_has_changed(store) -> None:
    orders = _all_orders(["change 0", "change 1"])
    world = await seed_world(store, slots=2)
    slot = world.slots[0]
    kept = ResponseCache()

    for order in orders:
        readers = [Reader(store, world, kept) for _ in range(READERS)]
        async with store.begin() as unit:
            ids = [slot.id]
            block = partial(unit.calendars.set_slot_state, slot.clinic_id, ids, SlotState.BLOCKED)
            await _run(order, _steps(readers, [block, unit.commit]), readers, slot)
        await seed_state(store, SlotState.OPEN, slot)

    assert len(orders) == 90


async def test_what_was_undone_leaves_no_trace(store) -> None:
    world = await seed_world(store, slots=3)
    reader = Reader(store, world, ResponseCache())

    async with store.begin() as unit:
        await unit.calendars.set_slot_state(world.clinic.id, [world.slots[0].id], SlotState.BLOCKED)
        await reader.look()
        await reader.answer()
    during = reader.shown
    await reader.look()
    await reader.answer()

    assert during == reader.shown == {str(slot.id) for slot in world.slots}


async def test_questions_that_go_together_are_each_answered_as_of_when_they_were_asked(
    store,
) -> None:
    """Given readers who keep reading, so that their reads are batched
    When slots are booked meanwhile
    Then a read begun after a booking was answered never finds its slot."""
    world = await seed_world(store, slots=60)
    kept = ResponseCache()
    booked: deque[str] = deque()
    over = asyncio.Event()
    asked = 0

    async def read() -> None:
        nonlocal asked
        reader = Reader(store, world, kept)
        while not over.is_set():
            before = set(booked)
            await reader.look()
            await reader.answer()
            asked += 1
            assert not reader.shown & before

    readers = [asyncio.create_task(read()) for _ in range(40)]
    for slot in world.slots:
        await seed_booking(store, world.clinic, slot, world.patients[0])
        booked.append(str(slot.id))
        await asyncio.sleep(timedelta(milliseconds=2).total_seconds())
    over.set()
    await asyncio.gather(*readers)

    assert asked > len(world.slots)
