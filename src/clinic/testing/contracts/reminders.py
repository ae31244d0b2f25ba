"""The contract of planning reminders again after a clinic has changed its lead times."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from clinic.domain.appointments.appointments import Appointment, Status
from clinic.domain.clinic import Clinic
from clinic.domain.messaging.deliveries import Claim, OutboxState, Outcome
from clinic.domain.notifications import REMINDER, reminder_kind
from clinic.domain.paging import Keyset, PageRequest
from clinic.domain.people.people import Scope
from clinic.ports.outbox import NotificationQuery, NotificationView
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    NOW,
    World,
    a_status_change,
    an_anonymous_context,
    seed_booking,
    seed_change,
    seed_world,
)
from clinic.testing.clock import FixedClock
from clinic.testing.contracts.contract import Contract
from clinic.testing.contracts.outbox_steps import LEASE, a_record
from clinic.usecases.maintenance.plan_reminders import SETTLED_AFTER, plan_reminders

#: when the work of a change made at NOW may be done
_SETTLED = NOW + 2 * SETTLED_AFTER


async def change_leads(store: Store, clinic: Clinic, *leads_min: int, at: datetime = NOW) -> Clinic:
    """Give the clinic these lead times, in minutes, and note the work."""
    changed = replace(clinic, policy=replace(clinic.policy, reminder_leads_min=leads_min))
    async with store.begin() as unit:
        await unit.people.replace_clinic(changed)
        await unit.messages.mark_reminders(clinic.id, at)
        await unit.commit()
    return changed


async def plan(store: Store, *, now: datetime = _SETTLED, batch: int = 2) -> int:
    """Plan again, as the service does at this time."""
    return await plan_reminders(an_anonymous_context(store, clock=FixedClock(now)), batch=batch)


async def reminders_of(store: Store, appointment: Appointment) -> Sequence[NotificationView]:
    """Return the appointment's reminders, waiting and finished, by the time they are due."""
    query = NotificationQuery(
        Scope(appointment.clinic_id), appointment_id=appointment.id, family=REMINDER
    )
    return await store.outbox.list(query, PageRequest(50))


async def _kinds(store: Store, appointment: Appointment) -> list[str]:
    return [each.message.kind for each in await reminders_of(store, appointment)]


async def _claim(store: Store, view: NotificationView) -> Claim:
    message = view.message
    claim = await store.outbox.claim(message.clinic_id, message.id, token=uuid4(), lease=LEASE)
    assert isinstance(claim, Claim)
    return claim


async def _booked(store: Store, world: World, slot: int = 0) -> Appointment:
    patient = world.patients[slot % len(world.patients)]
    return await seed_booking(store, world.clinic, world.slots[slot], patient)


class RemindersContract(Contract, contract=True):
    """Needs a fixture `store`: an open, empty Store."""

    async def test_reminders_are_those_of_the_new_lead_times(self, store: Store) -> None:
        """Leads that are gone, kept, new, and too long for an appointment tomorrow."""
        world = await seed_world(store)
        booked = await _booked(store, world)
        kept, gone = await reminders_of(store, booked)
        assert [each.message.kind for each in (kept, gone)] == ["reminder_1440m", "reminder_120m"]

        await change_leads(store, world.clinic, 60 * 24 * 30, 1440, 60)
        planned = await plan(store)

        assert planned == 1
        found = [each.message for each in await reminders_of(store, booked)]
        starts_at = booked.starts_at
        assert [
            (each.kind, each.version, each.scheduled_for, each.expires_at) for each in found
        ] == [
            (
                reminder_kind(lead),
                0,
                starts_at - timedelta(minutes=lead),
                starts_at - timedelta(minutes=until),
            )
            for lead, until in ((1440, 60), (60, 0))
        ]
        assert found[0].id == kept.message.id

    async def test_planning_again_changes_nothing(self, store: Store) -> None:
        world = await seed_world(store)
        booked = await _booked(store, world)
        clinic = await change_leads(store, world.clinic, 90, 30)
        assert await plan(store) == 1
        once = await reminders_of(store, booked)

        without_work = await plan(store)
        await change_leads(store, clinic, 90, 30)
        again = await plan(store)

        assert (without_work, again) == (0, 1)
        assert await reminders_of(store, booked) == once
        assert len(once) == 2

    async def test_reminder_that_was_sent_or_is_on_its_way_is_left(self, store: Store) -> None:
        """Given a reminder in the log and one that a worker is sending
        When their leads are removed and entered again
        Then both are there once, as they were."""
        world = await seed_world(store)
        booked = await _booked(store, world)
        first, second = await reminders_of(store, booked)
        claim = await _claim(store, first)
        assert await store.outbox.finish(claim, a_record(claim))
        await _claim(store, second)

        clinic = await change_leads(store, world.clinic, 60)
        await plan(store)
        without = await reminders_of(store, booked)
        await change_leads(store, clinic, 1440, 120, 60)
        await plan(store)
        again = await reminders_of(store, booked)

        for found in (without, again):
            assert sorted((each.message.kind, str(each.status)) for each in found) == [
                ("reminder_120m", str(OutboxState.CLAIMED)),
                ("reminder_1440m", str(Outcome.SENT)),
                ("reminder_60m", str(OutboxState.PENDING)),
            ]

    async def test_only_what_is_ahead_is_planned(self, store: Store) -> None:
        """Reminders that were due already are left: they are about to be sent."""
        world = await seed_world(store)
        past, ahead, cancelled = [await _booked(store, world, slot) for slot in (0, 4, 1)]
        await seed_change(store, a_status_change(world.clinic, cancelled, Status.CANCELLED))
        await change_leads(store, world.clinic, 30)

        planned = await plan(store, now=world.slots[0].ends_at)

        assert planned == 1
        assert await _kinds(store, past) == ["reminder_1440m", "reminder_120m"]
        assert await _kinds(store, cancelled) == ["reminder_1440m", "reminder_120m"]
        assert await _kinds(store, ahead) == ["reminder_1440m", "reminder_120m", "reminder_30m"]

    async def test_work_is_done_in_batches_and_begins_again_with_each_change(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        booked = [await _booked(store, world, slot) for slot in range(3)]
        clinic = await change_leads(store, world.clinic, 30)
        async with store.begin() as unit:
            work = await unit.messages.next_reminder_work(changed_before=_SETTLED)
            assert work is not None
            place = Keyset(booked[1].starts_at, booked[1].id)
            await unit.messages.advance_reminder_work(work, place)
            async with store.begin() as other:
                # Another worker does not wait for it.
                assert await other.messages.next_reminder_work(changed_before=_SETTLED) is None
            await unit.commit()

        rest = await plan(store, batch=1)
        half_way = [await _kinds(store, each) for each in booked]
        await change_leads(store, clinic, 45)
        whole = await plan(store, batch=1)

        assert (rest, whole) == (1, 3)
        old = ["reminder_1440m", "reminder_120m"]
        assert half_way == [old, old, ["reminder_30m"]]
        assert [await _kinds(store, each) for each in booked] == [["reminder_45m"]] * 3

    async def test_change_that_bookings_may_not_have_seen_waits(self, store: Store) -> None:
        world = await seed_world(store)
        await _booked(store, world)
        await change_leads(store, world.clinic, 30)

        assert await plan(store, now=NOW + SETTLED_AFTER) == 0
        assert await plan(store) == 1
