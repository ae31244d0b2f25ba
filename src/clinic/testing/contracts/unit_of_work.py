"""The contract of UnitOfWork and Store: all or nothing, and nothing visible before the commit."""

import anyio
import pytest

from clinic.domain.errors import TransactionAborted
from clinic.domain.people.people import Role
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    a_clinic,
    a_user,
    an_event,
    seed_clinic,
    seed_world,
)
from clinic.testing.contracts.attempts import begin
from clinic.testing.contracts.contract import Contract


class Abandoned(Exception):
    """Any failure in the middle of a unit of work."""


class UnitOfWorkContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    async def test_unit_committed_lasts(self, store: Store) -> None:
        clinic = a_clinic()

        async with store.begin() as unit:
            await unit.people.add_clinic(clinic)
            await unit.commit()

        assert await store.people.clinic(clinic.id) == clinic

    async def test_unit_left_without_commit_leaves_no_trace(self, store: Store) -> None:
        async with store.begin() as unit:
            await unit.people.add_clinic(a_clinic())

        assert list(await store.people.clinics()) == []

    async def test_unit_left_by_an_error_leaves_no_trace(self, store: Store) -> None:
        async def fail() -> None:
            async with store.begin() as unit:
                await unit.people.add_clinic(a_clinic())
                raise Abandoned

        with pytest.raises(Abandoned):
            await fail()

        assert list(await store.people.clinics()) == []

    async def test_unit_cancelled_leaves_no_trace_and_no_lock(self, store: Store) -> None:
        world = await seed_world(store)

        with anyio.move_on_after(self.settle_s):
            async with store.begin() as unit:
                await unit.people.add_clinic(a_clinic())
                await unit.calendars.lock_doctor(world.clinic.id, world.doctor.id)
                await anyio.sleep_forever()

        assert list(await store.people.clinics()) == [world.clinic]
        with anyio.fail_after(5):
            async with store.begin() as unit:
                locked = await unit.calendars.lock_doctor(world.clinic.id, world.doctor.id)
        assert locked == world.doctor

    async def test_unit_uncommitted_is_seen_by_nobody_else(self, store: Store) -> None:
        clinic = a_clinic()

        async with store.begin() as unit, store.begin() as other:
            await unit.people.add_clinic(clinic)
            seen = (await store.people.clinic(clinic.id), await other.people.clinic(clinic.id))

        assert seen == (None, None)

    async def test_unit_sees_what_it_wrote(self, store: Store) -> None:
        clinic, user = a_clinic(), a_user(Role.DOCTOR)

        async with store.begin() as unit:
            await unit.people.add_clinic(clinic)
            await unit.people.add_user(user)
            await unit.people.add_doctor(clinic.id, user.id, "General")
            doctor = await unit.people.doctor(clinic.id, user.id)
            user_seen = await unit.people.user(user.id)

        assert doctor is not None
        assert (doctor.name, doctor.specialty) == (user.name, "General")
        assert user_seen == user

    async def test_unit_sees_what_was_committed_after_it_began(self, store: Store) -> None:
        async with store.begin() as unit:
            before = list(await unit.people.clinics())
            clinic = await seed_clinic(store)
            after = list(await unit.people.clinics())

        assert (before, after) == ([], [clinic])

    async def test_commit_shows_every_change_at_once(self, store: Store) -> None:
        one, two = a_clinic(), a_clinic()

        async with store.begin() as unit:
            await unit.people.add_clinic(one)
            between = list(await store.people.clinics())
            await unit.people.add_clinic(two)
            await unit.commit()
            after = list(await store.people.clinics())

        assert between == []
        assert after == sorted([one, two], key=lambda clinic: clinic.id)

    async def test_unit_used_after_commit_raises(self, store: Store) -> None:
        async with store.begin() as unit:
            people = unit.people
            await unit.commit()

            # A fault of the caller; any exception will do.
            with pytest.raises(Exception):  # noqa: B017, PT011
                await people.add_clinic(a_clinic())
            with pytest.raises(Exception):  # noqa: B017, PT011
                await unit.commit()

        assert list(await store.people.clinics()) == []

    async def test_unit_used_after_its_end_raises(self, store: Store) -> None:
        async with store.begin() as unit:
            people = unit.people

        with pytest.raises(Exception):  # noqa: B017, PT011
            await people.add_clinic(a_clinic())
        with pytest.raises(Exception):  # noqa: B017, PT011
            await unit.commit()

        assert list(await store.people.clinics()) == []

    async def test_unit_used_twice_raises(self, store: Store) -> None:
        unit = store.begin()
        async with unit:
            await unit.people.add_clinic(a_clinic())

        async def use_again() -> None:
            async with unit:
                await unit.people.add_clinic(a_clinic())
                await unit.commit()

        with pytest.raises(Exception):  # noqa: B017, PT011
            await use_again()

        assert list(await store.people.clinics()) == []

    async def test_units_that_wait_for_each_other_end_with_one_aborted(self, store: Store) -> None:
        world = await seed_world(store)
        clinic_id, doctors = world.clinic.id, (world.doctor.id, world.colleague.id)
        holds_one = (anyio.Event(), anyio.Event())

        async def lock_both(place: int) -> None:
            async with store.begin() as unit:
                await unit.calendars.lock_doctor(clinic_id, doctors[place])
                holds_one[place].set()
                await holds_one[1 - place].wait()
                await unit.calendars.lock_doctor(clinic_id, doctors[1 - place])
                await unit.commit()

        async with anyio.create_task_group() as group:
            tries = [
                begin(group, lambda: lock_both(0)),
                begin(group, lambda: lock_both(1)),
            ]
            outcomes = [await each.outcome() for each in tries]

        assert sorted(outcomes, key=str) == sorted([None, TransactionAborted], key=str)

    async def test_event_is_appended_with_the_unit(self, store: Store) -> None:
        clinic = a_clinic()

        async with store.begin() as unit:
            await unit.people.add_clinic(clinic)
            await unit.events.add(an_event(clinic))
            await unit.commit()

        assert await store.people.clinic(clinic.id) == clinic

    async def test_store_that_is_open_is_ready(self, store: Store) -> None:
        await store.check_ready()

    async def test_store_names_the_zone_data_that_its_database_brings_along(
        self, store: Store
    ) -> None:
        named = await store.zone_data()

        # It must fit on one line of a log.
        assert named is None or (named.strip() == named != "" and named.isprintable())
