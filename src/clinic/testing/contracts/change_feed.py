"""The contract of ChangeFeed and FeedCursors."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from uuid import UUID

import anyio
import pytest

from clinic.domain.audit.audit import AuditEvent
from clinic.domain.audit.change_feed import NAME_MAX_CHARS
from clinic.domain.clinic import Clinic
from clinic.ports.change_feed import (
    CursorMoved,
    FeedBatch,
    Start,
    UnknownConsumer,
)
from clinic.ports.unit_of_work import Store, UnitOfWork
from clinic.testing.builders import NOW, a_booking, an_event, new_id, seed_clinic, seed_world
from clinic.testing.contracts.attempts import attempt
from clinic.testing.contracts.contract import Contract

CONSUMER = "pages"
MANY = 1000


async def append(store: Store, clinic: Clinic, count: int = 1) -> list[AuditEvent]:
    """Append events in one transaction and return them."""
    events = [an_event(clinic) for _ in range(count)]
    await store.audit_log.append(events)
    return events


async def advance(store: Store, batch: FeedBatch) -> None:
    """Advance past the batch, in a separate unit of work."""
    async with store.begin() as unit:
        await unit.cursors.advance(batch)
        await unit.commit()


async def consume(store: Store, *, limit: int = MANY, consumer: str = CONSUMER) -> FeedBatch:
    """Read a batch and advance past it."""
    batch = await store.changes.read(consumer, limit=limit)
    await advance(store, batch)
    return batch


def records(batch: FeedBatch) -> list[object]:
    return [change.record for change in batch.changes]


class ChangeFeedContract(Contract, contract=True):
    """The change feed. Needs a fixture `store`: an open, empty Store."""

    async def test_consumer_begins_now_or_at_the_beginning(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        early = await append(store, clinic, 2)
        await store.changes.subscribe("late")
        await store.changes.subscribe("thorough", Start.BEGINNING)
        late = await append(store, clinic)

        assert records(await consume(store, consumer="late")) == late
        assert records(await consume(store, consumer="thorough")) == early + late

    async def test_changes_of_appointments_and_other_events_come_as_they_were_written(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        await store.changes.subscribe(CONSUMER)
        booking = a_booking(world.clinic, world.slots[0], world.patients[0])
        event = replace(
            an_event(world.clinic),
            entity_id=new_id(),
            patient_id=new_id(),
            outcome="denied",
            detail={"fields": ["name"], "count": 2},
            session_id=new_id(),
            request_id="request",
            ip="192.0.2.7",
        )
        await store.desk.reserve(booking)
        await store.audit_log.append([event])

        assert records(await consume(store)) == [booking.audit, event]

    async def test_what_is_not_advanced_past_comes_again(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        events = await append(store, clinic, 2)

        first = await store.changes.read(CONSUMER, limit=MANY)
        async with store.begin() as unit:
            await unit.cursors.advance(first)
            # Everything that the consumer did is rolled back, including the advance.
        again = await consume(store)

        assert records(first) == records(again) == events
        assert records(await store.changes.read(CONSUMER, limit=MANY)) == []

    async def test_open_transaction_holds_up_nobody_elses_changes(self, store: Store) -> None:
        """Given a transaction that has written and stays open
        When others commit one after the other
        Then the next read has each of them, and its own rows come after its commit."""
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        slow = an_event(clinic)
        async with store.begin() as unit:
            await unit.events.add(slow)
            for _ in range(5):
                (quick,) = await append(store, clinic)
                assert records(await consume(store)) == [quick]
            assert records(await consume(store)) == []
            await unit.commit()

        assert records(await consume(store)) == [slow]
        assert records(await consume(store)) == []

    async def test_rows_that_were_rolled_back_never_come(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        async with store.begin() as unit:
            await unit.events.add(an_event(clinic))
            assert records(await consume(store)) == []

        assert records(await consume(store)) == []

    async def test_order_is_that_of_transactions_and_within_one_that_of_time(
        self, store: Store
    ) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        second, first = an_event(clinic), replace(an_event(clinic), at=NOW.replace(hour=1))
        async with store.begin() as unit:
            await unit.events.add(second)
            await unit.events.add(first)
            await unit.commit()
        # Dated earlier than all of them, and committed last.
        third = replace(an_event(clinic), at=NOW.replace(hour=0))
        await store.audit_log.append([third])

        batch = await consume(store)

        assert records(batch) == [first, second, third]
        one, other, last = (change.transaction for change in batch.changes)
        assert one == other < last

    async def test_limit_cuts_between_transactions_and_loses_nothing(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        written = [await append(store, clinic, count) for count in (2, 2, 5, 1, 1)]

        batches = [await consume(store, limit=3) for _ in range(5)]

        sizes = [len(batch.changes) for batch in batches]
        # No batch splits a transaction, and the third has one larger than the limit.
        assert sizes == [2, 2, 5, 2, 0]
        assert [batch.has_more for batch in batches] == [True, True, True, False, False]
        together = [record for batch in batches for record in records(batch)]
        assert Counter(_ids(together)) == Counter(_ids(list(chain(*written))))

    async def test_limit_that_cuts_behind_an_open_transaction_loses_nothing(
        self, store: Store
    ) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        slow = [an_event(clinic) for _ in range(2)]
        async with store.begin() as unit:
            await unit.events.add(slow[0])
            early = await append(store, clinic)
            assert records(await consume(store)) == early
            await unit.events.add(slow[1])
            await unit.commit()
        late = [await append(store, clinic) for _ in range(2)]

        batches = [await consume(store, limit=1) for _ in range(4)]

        assert [_ids(records(batch)) for batch in batches] == [
            sorted(_ids(slow)),
            _ids(late[0]),
            _ids(late[1]),
            [],
        ]

    async def test_of_two_copies_one_gets_past_a_batch(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        await append(store, clinic)
        first, second = [await store.changes.read(CONSUMER, limit=MANY) for _ in range(2)]
        found = []

        async def advanced(batch: FeedBatch) -> None:
            try:
                await advance(store, batch)
                found.append(True)
            except CursorMoved:
                found.append(False)

        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.cursors.advance(first)
            other = await attempt(group, lambda: advanced(second), self)
            waited = not other.has_ended
            await unit.commit()

        assert (waited, await other.outcome()) == (True, None)
        assert found == [False]
        assert records(await consume(store)) == []

    async def test_copy_goes_on_when_the_other_one_gave_up(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        await append(store, clinic)
        batch = await store.changes.read(CONSUMER, limit=MANY)

        async with anyio.create_task_group() as group, store.begin() as unit:
            await unit.cursors.advance(batch)
            other = await attempt(group, lambda: advance(store, batch), self)

        assert await other.outcome() is None
        assert records(await consume(store)) == []

    async def test_consumers_do_not_share_a_cursor(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe("one")
        await store.changes.subscribe("two")
        events = await append(store, clinic)
        await consume(store, consumer="one")

        assert records(await consume(store, consumer="two")) == events

    async def test_subscribing_again_keeps_the_cursor(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        events = await append(store, clinic)

        await store.changes.subscribe(CONSUMER)

        assert records(await consume(store)) == events

    async def test_consumer_can_be_restarted(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        events = await append(store, clinic, 2)
        await consume(store)

        await store.changes.restart(CONSUMER, Start.BEGINNING)
        assert records(await store.changes.read(CONSUMER, limit=MANY)) == events
        await store.changes.restart(CONSUMER, Start.NOW)
        assert records(await store.changes.read(CONSUMER, limit=MANY)) == []

    async def test_rebinding_changes_nothing_where_the_database_is_the_same(
        self, store: Store
    ) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        events = await append(store, clinic)

        await store.changes.rebind(CONSUMER)

        assert records(await consume(store)) == events

    async def test_consumer_that_is_not_there_is_unknown(self, store: Store) -> None:
        await store.changes.subscribe(CONSUMER)
        batch = await store.changes.read(CONSUMER, limit=MANY)
        await store.changes.unsubscribe(CONSUMER)
        await store.changes.unsubscribe(CONSUMER)

        for asking in (
            store.changes.read(CONSUMER, limit=1),
            store.changes.restart(CONSUMER, Start.NOW),
            store.changes.rebind(CONSUMER),
            advance(store, batch),
        ):
            with pytest.raises(UnknownConsumer):
                await asking

    @pytest.mark.parametrize("name", ["", "x" * (NAME_MAX_CHARS + 1)], ids=["empty", "long"])
    async def test_name_that_cannot_be_kept_is_refused(self, store: Store, name: str) -> None:
        with pytest.raises(ValueError, match="name"):
            await store.changes.subscribe(name)

    async def test_batch_has_room_for_a_row(self, store: Store) -> None:
        await store.changes.subscribe(CONSUMER)
        with pytest.raises(ValueError, match="row"):
            await store.changes.read(CONSUMER, limit=0)

    async def test_row_that_is_there_already_does_not_come_again(self, store: Store) -> None:
        clinic = await seed_clinic(store)
        await store.changes.subscribe(CONSUMER)
        events = await append(store, clinic, 2)
        await consume(store)

        new = an_event(clinic)
        await store.audit_log.append([*events, new])

        assert records(await consume(store)) == [new]


def _ids(found: Sequence[object]) -> list[UUID]:
    return [record.id for record in found if isinstance(record, AuditEvent)]


class FeedInterleaving:
    """Transactions that begin, write, commit and roll back in any order, and a consumer that reads
    in between; `check` asserts that it got the right rows."""

    def __init__(self, store: Store, clinic: Clinic, consumer: str) -> None:
        self._store, self._clinic, self._consumer = store, clinic, consumer
        self._open: dict[int, tuple[UnitOfWork, list[UUID]]] = {}
        self._committed: list[UUID] = []
        self._delivered: list[UUID] = []

    async def step(self, what: str, number: int) -> None:
        """Do one step; a step that is not possible now does nothing."""
        if what == "append":
            self._committed += _ids(await append(self._store, self._clinic, number))
        elif what == "read":
            await self._read(number)
        elif what == "read in vain":
            await self._store.changes.read(self._consumer, limit=number)
        elif what == "write":
            await self._write(number)
        elif number in self._open:
            unit, written = self._open.pop(number)
            if what == "commit":
                await unit.commit()
                self._committed += written
            await unit.__aexit__(None, None, None)

    async def check(self) -> None:
        """End open transactions, drain the feed, and assert that each committed row came exactly
        once, and no other row."""
        for number in list(self._open):
            await self.step("commit" if number % 2 else "roll back", number)
        while await self._read(2):
            pass
        assert Counter(self._delivered) == Counter(self._committed)

    async def close(self) -> None:
        """Roll back transactions still open after a failure."""
        for unit, _ in self._open.values():
            await unit.__aexit__(None, None, None)

    async def _write(self, number: int) -> None:
        if number not in self._open:
            unit = self._store.begin()
            await unit.__aenter__()
            self._open[number] = (unit, [])
        event = an_event(self._clinic)
        unit, written = self._open[number]
        await unit.events.add(event)
        written.append(event.id)

    async def _read(self, limit: int) -> bool:
        batch = await consume(self._store, limit=limit, consumer=self._consumer)
        numbers = [change.transaction for change in batch.changes]
        assert numbers == sorted(numbers)
        assert len(numbers) <= limit or len(set(numbers)) == 1
        assert len(numbers) > 0 or not batch.has_more
        self._delivered += _ids(records(batch))
        return batch.has_more
