"""The contract of handing messages to the queue and claiming them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from clinic.domain.messaging.deliveries import (
    Claim,
    Outcome,
)
from clinic.domain.notifications import (
    CONFIRMATION,
    DOCTOR_CHANGE,
    DOCTOR_LEFT,
)
from clinic.domain.status import Status
from clinic.ports.job_queue import Job
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    a_status_change,
    a_type,
    new_id,
    seed_change,
    seed_type,
    seed_world,
)
from clinic.testing.contracts.contract import Contract
from clinic.testing.contracts.outbox_steps import (
    AGO,
    LEASE,
    SHORT,
    Sent,
    a_record,
    claimed,
    publish,
    seed_message,
)


class OutboxClaimsContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_publish_hands_over_each_message_once(self, store: Store) -> None:
        sent = await seed_message(store, due=timedelta(hours=1))

        first, second = await publish(store), await publish(store)

        assert [(job.clinic_id, job.message_id) for job in first] == [sent.key]
        assert second == []
        assert abs(first[0].due_at - sent.message.scheduled_for) < timedelta(milliseconds=1)

    async def test_publish_that_fails_hands_over_again(self, store: Store) -> None:
        await seed_message(store)

        async def fail(_: Sequence[Job]) -> None:
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await store.outbox.publish(fail, limit=10)

        assert len(await publish(store)) == 1

    async def test_publish_takes_oldest_first_up_to_the_limit(self, store: Store) -> None:
        one = await seed_message(store)
        await seed_message(store, place=1, world=one.world)
        handed: list[Job] = []

        async def hand_over(jobs: Sequence[Job]) -> None:
            handed.extend(jobs)

        assert await store.outbox.publish(hand_over, limit=1) == 1
        assert [job.message_id for job in handed] == [one.message.id]

    async def test_publish_goes_by_when_messages_were_written(self, store: Store) -> None:
        later = await seed_message(store, due=timedelta(hours=2), written=timedelta(hours=1))
        earlier = await seed_message(store, due=timedelta(hours=2), place=1, world=later.world)
        handed: list[Job] = []

        async def hand_over(jobs: Sequence[Job]) -> None:
            handed.extend(jobs)

        await store.outbox.publish(hand_over, limit=1)
        assert [job.message_id for job in handed] == [earlier.message.id]

    async def test_publish_passes_over_what_another_hands_over(self, store: Store) -> None:
        await seed_message(store)
        handed: list[Job] = []
        counts: list[int] = []

        async def hand_over(jobs: Sequence[Job]) -> None:
            handed.extend(jobs)
            if len(handed) == 1:
                counts.append(await store.outbox.publish(hand_over, limit=10))

        assert await store.outbox.publish(hand_over, limit=10) == 1
        assert (len(handed), counts) == (1, [0])

    async def test_publish_makes_due_what_a_fast_clock_wrote_as_due_at_once(
        self, store: Store
    ) -> None:
        hour = timedelta(hours=1)
        at_once = await seed_message(store, due=hour, written=hour)
        await seed_message(store, due=hour, place=1, world=at_once.world)

        due = {job.message_id: job.due_at for job in await publish(store)}

        assert due[at_once.message.id] < datetime.now(UTC) + timedelta(minutes=1)
        assert len([at for at in due.values() if at > datetime.now(UTC) + hour / 2]) == 1
        await claimed(store, at_once)

    async def test_published_lists_what_waits_by_key(self, store: Store) -> None:
        one = await seed_message(store)
        two = await seed_message(store, place=1, world=one.world)
        assert await store.outbox.published(after=None, limit=10) == []
        await publish(store)

        found = await store.outbox.published(after=None, limit=10)
        rest = await store.outbox.published(after=found[0], limit=10)

        assert [job.message_id for job in found] == sorted([one.message.id, two.message.id])
        assert rest == found[1:]

    async def test_rescue_finds_what_is_overdue_and_waits_before_it_says_so_again(
        self, store: Store
    ) -> None:
        sent = await seed_message(store)
        await publish(store)
        await asyncio.sleep(SHORT.total_seconds() * 2)

        found = await store.outbox.rescue(overdue=SHORT, limit=10)
        again = await store.outbox.rescue(overdue=SHORT, limit=10)

        assert [(job.clinic_id, job.message_id) for job in found] == [sent.key]
        assert again == []

    async def test_rescue_leaves_what_is_not_due(self, store: Store) -> None:
        await seed_message(store, due=timedelta(hours=1))
        await publish(store)
        await asyncio.sleep(SHORT.total_seconds() * 2)

        assert await store.outbox.rescue(overdue=SHORT, limit=10) == []

    async def test_rescue_finds_a_lease_that_ran_out(self, store: Store) -> None:
        sent = await seed_message(store)
        await publish(store)
        await claimed(store, sent, lease=SHORT)
        await asyncio.sleep(SHORT.total_seconds() * 3)

        found = await store.outbox.rescue(overdue=SHORT, limit=10)

        assert [job.message_id for job in found] == [sent.message.id]

    async def test_rescue_leaves_what_somebody_works_on(self, store: Store) -> None:
        sent = await seed_message(store)
        await publish(store)
        await claimed(store, sent)
        await asyncio.sleep(SHORT.total_seconds() * 3)

        assert await store.outbox.rescue(overdue=SHORT, limit=10) == []

    async def test_claim_tells_what_the_message_is_about(self, store: Store) -> None:
        sent = await seed_message(store)

        claim = await claimed(store, sent)

        assert claim.snapshot.appointment == sent.appointment
        assert claim.snapshot.clinic == sent.world.clinic
        assert claim.snapshot.addressee is not None
        assert claim.snapshot.addressee.email == sent.world.patients[0].email
        assert (claim.attempts, claim.ambiguous, claim.interrupted) == (1, False, False)
        assert claim.message.kind == CONFIRMATION

    async def test_claim_has_the_instructions_as_they_are_now(self, store: Store) -> None:
        """Given a message written while its type said something else, and one of no type
        When they are claimed
        Then the first has what the type says now, whether or not it can still be booked."""
        world = await seed_world(store)
        kind = replace(a_type(world.clinic), instructions="Come early.")
        await seed_type(store, kind)
        sent = await seed_message(store, world=world, type=kind)
        other = await seed_message(store, world=world, place=1)
        async with store.begin() as unit:
            changed = replace(kind, instructions="Bring your card.", is_active=False)
            await unit.appointment_types.replace(changed)
            await unit.commit()

        claims = [await claimed(store, each) for each in (sent, other)]

        assert [claim.snapshot.instructions for claim in claims] == ["Bring your card.", None]

    async def test_claim_of_a_claimed_message_gets_nothing(self, store: Store) -> None:
        sent = await seed_message(store)
        await claimed(store, sent)

        assert await store.outbox.claim(*sent.key, token=uuid4(), lease=LEASE) is None

    async def test_claim_at_the_same_moment_goes_to_one(self, store: Store) -> None:
        sent = await seed_message(store)

        claims = await asyncio.gather(
            *(store.outbox.claim(*sent.key, token=uuid4(), lease=LEASE) for _ in range(5))
        )

        assert sum(isinstance(claim, Claim) for claim in claims) == 1

    async def test_claim_before_its_time_gets_the_wait(self, store: Store) -> None:
        sent = await seed_message(store, due=timedelta(hours=1))

        wait = await store.outbox.claim(*sent.key, token=uuid4(), lease=LEASE)

        assert isinstance(wait, timedelta)
        assert timedelta(minutes=59) < wait <= timedelta(hours=1)

    async def test_claim_tells_the_time(self, store: Store) -> None:
        sent = await seed_message(store)

        claim = await claimed(store, sent)

        assert abs(claim.claimed_at - datetime.now(UTC)) < timedelta(minutes=1)

    async def test_claim_of_what_is_not_there_gets_nothing(self, store: Store) -> None:
        sent = await seed_message(store)

        assert (
            await store.outbox.claim(uuid4(), sent.message.id, token=uuid4(), lease=LEASE) is None
        )
        assert (
            await store.outbox.claim(sent.message.clinic_id, uuid4(), token=uuid4(), lease=LEASE)
            is None
        )

    async def test_claim_after_the_lease_counts_on(self, store: Store) -> None:
        sent = await seed_message(store)
        first = await claimed(store, sent, lease=SHORT)
        await asyncio.sleep(SHORT.total_seconds() * 3)

        second = await claimed(store, sent)

        assert (second.attempts, second.interrupted, second.ambiguous) == (2, False, False)
        assert not await store.outbox.begin_sending(first, lease=LEASE)
        assert not await store.outbox.finish(first, a_record(first))

    async def test_claim_after_an_interrupted_hand_over_is_in_doubt_for_good(
        self, store: Store
    ) -> None:
        sent = await seed_message(store)
        first = await claimed(store, sent)
        assert await store.outbox.begin_sending(first, lease=SHORT)
        await asyncio.sleep(SHORT.total_seconds() * 3)

        second = await claimed(store, sent)
        await store.outbox.retry_later(second, after=-AGO, error="x", ambiguous=False)
        third = await claimed(store, sent)

        assert (second.interrupted, second.ambiguous) == (True, True)
        assert (third.interrupted, third.ambiguous) == (False, True)

    async def test_claim_tells_whether_the_address_awaits_proof(self, store: Store) -> None:
        sent = await seed_message(store)
        user_id = sent.appointment.patient_id

        async def awaits_proof() -> bool:
            claim = await claimed(store, sent)
            await store.outbox.retry_later(claim, after=-AGO, error="x", ambiguous=False)
            assert claim.snapshot.addressee is not None
            return claim.snapshot.addressee.awaits_proof

        assert not await awaits_proof()
        async with store.begin() as unit:
            await unit.accounts.expect_proof(user_id, datetime.now(UTC))
            await unit.commit()
        assert await awaits_proof()
        async with store.begin() as unit:
            await unit.accounts.set_email_verified_at(user_id, datetime.now(UTC))
            await unit.commit()
        assert not await awaits_proof()

    async def test_another_address_awaits_no_proof_by_itself(self, store: Store) -> None:
        sent = await seed_message(store)
        user = await store.people.user(sent.appointment.patient_id)
        assert user is not None
        async with store.begin() as unit:
            await unit.accounts.expect_proof(user.id, datetime.now(UTC))
            await unit.accounts.replace_user(replace(user, email=f"new.{user.email}"))
            await unit.commit()

        claim = await claimed(store, sent)

        assert claim.snapshot.addressee is not None
        assert not claim.snapshot.addressee.awaits_proof

    async def test_claim_counts_what_was_sent_to_the_mailbox_lately(self, store: Store) -> None:
        world = await seed_world(store)
        sent = [await seed_message(store, world=world, place=0)]
        sent += [await seed_message(store, world=world, slot=slot, place=0) for slot in (3, 4)]
        others = await seed_message(store, world=world, place=1)

        counts = []
        for each, outcome in zip(sent, (Outcome.SENT, Outcome.FAILED, Outcome.SENT), strict=True):
            claim = await claimed(store, each)
            counts.append(claim.snapshot.sent_lately)
            await store.outbox.finish(claim, a_record(claim, outcome))
        cancellation = a_status_change(world.clinic, sent[0].appointment, Status.CANCELLED)
        await seed_change(store, cancellation)
        off = Sent(world, cancellation.after, cancellation.messages[0])
        store_now = datetime.now(UTC)
        assert off.message.scheduled_for <= store_now

        assert counts == [0, 1, 1]
        assert (await claimed(store, off)).snapshot.sent_lately == 2
        assert (await claimed(store, others)).snapshot.sent_lately == 0

    async def test_claim_counts_what_was_sent_to_the_doctor_lately(self, store: Store) -> None:
        world = await seed_world(store)
        first = await seed_message(store, world=world, place=0, kind=DOCTOR_CHANGE)
        second = await seed_message(store, world=world, place=1, kind=DOCTOR_CHANGE)
        left, elsewhere = [
            replace(
                first.message,
                id=new_id(),
                kind=DOCTOR_LEFT,
                user_id=doctor.id,
                version=first.message.version + 1,
            )
            for doctor in (world.doctor, world.colleague)
        ]
        async with store.begin() as unit:
            await unit.messages.add([left])
            await unit.messages.add([replace(elsewhere, appointment_id=second.appointment.id)])
            await unit.commit()
        sent = [first, second, *(replace(first, message=each) for each in (left, elsewhere))]

        counts = []
        for each in sent:
            claim = await claimed(store, each)
            counts.append(claim.snapshot.sent_lately)
            await store.outbox.finish(claim, a_record(claim))

        assert counts == [0, 1, 2, 0]

    async def test_release_makes_due_what_waits_for_this_patient(self, store: Store) -> None:
        world = await seed_world(store)
        held, others = [await seed_message(store, world=world, place=place) for place in (0, 1)]
        ahead = await seed_message(store, world=world, slot=3, place=0, due=timedelta(hours=1))
        await publish(store)
        for each in (held, others):
            claim = await claimed(store, each)
            await store.outbox.retry_later(
                claim, after=timedelta(hours=1), error="held", ambiguous=False, attempts=0
            )

        released = await store.outbox.release(held.appointment.patient_id)
        again = await publish(store)

        assert released == 1
        assert [(job.clinic_id, job.message_id) for job in again] == [held.key]
        assert (await claimed(store, held)).attempts == 1
        for each in (others, ahead):
            waits = await store.outbox.claim(*each.key, token=uuid4(), lease=LEASE)
            assert isinstance(waits, timedelta)
