"""The contract of MaintenanceBook and Partitions."""

import asyncio
from datetime import timedelta

from clinic.ports.maintenance import Turn
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import new_id
from clinic.testing.contracts.contract import Contract

HOUR, NO_TIME = timedelta(hours=1), timedelta()
#: the lease of a worker that died
RUN_OUT = timedelta(seconds=-1)


async def _claim(
    store: Store,
    service: str = "tidy",
    *,
    period: timedelta = HOUR,
    retry: timedelta = HOUR,
    lease: timedelta = HOUR,
) -> Turn | None:
    return await store.maintenance.claim(
        service, token=new_id(), period=period, retry=retry, lease=lease
    )


async def _claimed(store: Store, *, lease: timedelta = HOUR) -> Turn:
    turn = await _claim(store, lease=lease)
    assert turn is not None
    return turn


class MaintenanceContract(Contract, contract=True):
    """Maintenance. Needs a fixture `store`: an open, empty Store."""

    async def test_service_runs_once_in_its_period(self, store: Store) -> None:
        turn = await _claimed(store)
        await store.maintenance.succeed(turn, duration_ms=5, row_count=7)

        assert await _claim(store) is None
        assert await _claim(store, period=NO_TIME) is not None

    async def test_one_of_many_gets_the_turn(self, store: Store) -> None:
        first = await asyncio.gather(*(_claim(store) for _ in range(8)))
        (turn,) = [each for each in first if each]
        await store.maintenance.succeed(turn, duration_ms=0, row_count=0)

        later = await asyncio.gather(*(_claim(store, period=NO_TIME) for _ in range(8)))

        assert len([each for each in later if each]) == 1

    async def test_nobody_gets_the_turn_while_the_lease_lasts(self, store: Store) -> None:
        turn = await _claimed(store)

        assert await _claim(store, period=NO_TIME) is None
        assert await store.maintenance.renew(turn, lease=HOUR)
        assert await _claim(store, period=NO_TIME) is None

    async def test_services_do_not_wait_for_each_other(self, store: Store) -> None:
        await _claimed(store)

        assert await _claim(store, "another") is not None

    async def test_lease_that_ran_out_passes_on_and_is_over_for_its_holder(
        self, store: Store
    ) -> None:
        dead = await _claimed(store, lease=RUN_OUT)

        heir = await _claimed(store)

        assert not await store.maintenance.renew(dead, lease=HOUR)
        await store.maintenance.succeed(dead, duration_ms=5, row_count=7)
        await store.maintenance.fail(dead)
        await store.maintenance.give_back(dead)
        record = (await store.maintenance.history()).records["tidy"]
        assert record.started_at == heir.began_at
        assert record.lease_until is not None
        assert (record.succeeded_at, record.failures) == (None, 0)

    async def test_lease_that_is_renewed_does_not_pass_on(self, store: Store) -> None:
        turn = await _claimed(store, lease=RUN_OUT)

        assert await store.maintenance.renew(turn, lease=HOUR)

        assert await _claim(store, period=NO_TIME) is None

    async def test_lease_from_a_clock_that_was_set_back_passes_on(self, store: Store) -> None:
        await _claimed(store, lease=3 * HOUR)

        assert await _claim(store) is not None

    async def test_failed_run_is_counted_and_due_sooner(self, store: Store) -> None:
        await store.maintenance.fail(await _claimed(store))

        assert await _claim(store) is None
        again = await _claim(store, retry=NO_TIME)
        assert again is not None
        assert (await store.maintenance.history()).records["tidy"].failures == 1
        await store.maintenance.succeed(again, duration_ms=5, row_count=7)
        assert await _claim(store, retry=NO_TIME) is None
        assert (await store.maintenance.history()).records["tidy"].failures == 0

    async def test_turn_that_is_given_back_is_due_at_once(self, store: Store) -> None:
        await store.maintenance.give_back(await _claimed(store))

        assert await _claim(store) is not None

    async def test_history_tells_of_the_last_success(self, store: Store) -> None:
        assert (await store.maintenance.history()).records == {}
        turn = await _claimed(store)
        await store.maintenance.succeed(turn, duration_ms=5, row_count=7)
        failed = await _claim(store, period=NO_TIME)
        assert failed is not None
        await store.maintenance.fail(failed)

        history = await store.maintenance.history()

        record = history.records["tidy"]
        assert (record.duration_ms, record.row_count, record.failures) == (5, 7, 1)
        assert record.lease_until is None
        assert record.succeeded_at is not None
        assert turn.began_at <= record.succeeded_at <= failed.began_at <= history.now
        assert record.started_at == failed.began_at

    async def test_nothing_is_left_to_make_once_partitions_are_made(self, store: Store) -> None:
        names = set()
        while name := await store.partitions.make_next():
            assert name not in names
            names.add(name)

        assert await store.partitions.make_next() is None
