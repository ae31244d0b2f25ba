"""The contract of sending a message: the last check, and how it ends."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest

from clinic.domain.errors import NotFound
from clinic.domain.messaging.deliveries import (
    Claim,
    OutboxState,
    Outcome,
    Preferences,
)
from clinic.domain.notifications import (
    DOCTOR_CHANGE,
    EMAIL_VERIFICATION,
)
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.domain.status import Status
from clinic.ports.outbox import NotificationQuery, NotificationView
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    a_move,
    a_status_change,
    seed_change,
    seed_world,
)
from clinic.testing.contracts.contract import Contract
from clinic.testing.contracts.outbox_steps import (
    AGO,
    LEASE,
    SHORT,
    Sent,
    a_record,
    add_messages,
    an_account_mail,
    claimed,
    publish,
    seed_message,
)


async def revive(store: Store, sent: Sent) -> bool:
    """Revive a dead letter; return False if the message is not one."""
    async with store.begin() as unit:
        done = await unit.messages.revive(*sent.key)
        await unit.commit()
    return done


async def drop(store: Store, sent: Sent, reason: str) -> bool:
    """Log a dead letter as failed; return False if the message is not one."""
    async with store.begin() as unit:
        done = await unit.messages.drop(*sent.key, reason=reason)
        await unit.commit()
    return done


async def views_of(store: Store, sent: Sent) -> Sequence[NotificationView]:
    """Return the messages of the appointment."""
    query = NotificationQuery(Scope(sent.world.clinic.id), appointment_id=sent.appointment.id)
    return await store.outbox.list(query, PageRequest())


class OutboxEndingsContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

    async def test_begin_sending_while_it_fits(self, store: Store) -> None:
        sent = await seed_message(store)
        claim = await claimed(store, sent)

        assert await store.outbox.begin_sending(claim, lease=LEASE)
        assert await store.outbox.begin_sending(claim, lease=LEASE)

    async def test_begin_sending_after_a_cancellation_is_refused(self, store: Store) -> None:
        sent = await seed_message(store)
        claim = await claimed(store, sent)
        await seed_change(
            store, a_status_change(sent.world.clinic, sent.appointment, Status.CANCELLED)
        )

        assert not await store.outbox.begin_sending(claim, lease=LEASE)

    async def test_begin_sending_after_a_move_is_refused(self, store: Store) -> None:
        sent = await seed_message(store)
        claim = await claimed(store, sent)
        await seed_change(store, a_move(sent.world.clinic, sent.appointment, sent.world.slots[-1]))

        assert not await store.outbox.begin_sending(claim, lease=LEASE)

    async def test_begin_sending_after_a_confirmation_is_allowed(self, store: Store) -> None:
        sent = await seed_message(store)
        claim = await claimed(store, sent)
        await seed_change(
            store, a_status_change(sent.world.clinic, sent.appointment, Status.CONFIRMED)
        )

        assert await store.outbox.begin_sending(claim, lease=LEASE)

    async def test_claim_that_another_has_taken_over_can_end_nothing(self, store: Store) -> None:
        sent = await seed_message(store)
        lost = await claimed(store, sent, lease=SHORT)
        await asyncio.sleep(SHORT.total_seconds() * 3)
        held = await claimed(store, sent)
        outbox = store.outbox

        assert not await outbox.begin_sending(lost, lease=LEASE)
        assert not await outbox.retry_later(lost, after=-AGO, error="late", ambiguous=True)
        assert not await outbox.set_aside(lost, error="late", ambiguous=True)
        assert not await outbox.discard(lost)
        assert not await outbox.finish(lost, a_record(lost, Outcome.FAILED))

        assert await outbox.begin_sending(held, lease=LEASE)
        (view,) = await views_of(store, sent)
        assert (view.status, view.attempts, view.error) == (OutboxState.SENDING, 2, None)
        assert await outbox.finish(held, a_record(held))

    async def test_finish_moves_the_message_into_the_log(self, store: Store) -> None:
        sent = await seed_message(store)
        claim = await claimed(store, sent)

        assert await store.outbox.finish(claim, a_record(claim))
        assert not await store.outbox.finish(claim, a_record(claim))

        (view,) = await views_of(store, sent)
        assert (view.status, view.message_id) == (Outcome.SENT, "<1@example.org>")
        assert await store.outbox.claim(*sent.key, token=uuid4(), lease=LEASE) is None

    async def test_message_about_no_appointment_is_sent_by_who_holds_it(self, store: Store) -> None:
        world = await seed_world(store)
        message = an_account_mail(world, EMAIL_VERIFICATION)
        await add_messages(store, message)
        key = (message.clinic_id, message.id)
        lost = await store.outbox.claim(*key, token=uuid4(), lease=SHORT)
        await asyncio.sleep(SHORT.total_seconds() * 3)
        held = await store.outbox.claim(*key, token=uuid4(), lease=LEASE)

        assert isinstance(lost, Claim)
        assert isinstance(held, Claim)
        assert not await store.outbox.begin_sending(lost, lease=LEASE)
        assert await store.outbox.begin_sending(held, lease=LEASE)

    async def test_change_is_told_to_the_doctor_and_not_to_the_patient(self, store: Store) -> None:
        sent = await seed_message(store, kind=DOCTOR_CHANGE)
        clinic_id, world = sent.world.clinic.id, sent.world

        addressee = (await claimed(store, sent)).snapshot.addressee
        of_patient = Scope(clinic_id, patient_id=sent.appointment.patient_id)
        of_doctor = Scope(clinic_id, doctor_id=world.doctor.id)

        assert addressee is not None
        assert addressee.user_id == world.doctor.id
        assert await store.outbox.list(NotificationQuery(of_patient), PageRequest()) == []
        assert len(await store.outbox.list(NotificationQuery(of_doctor), PageRequest())) == 1

    async def test_discard_leaves_nothing(self, store: Store) -> None:
        sent = await seed_message(store)
        claim = await claimed(store, sent)

        assert await store.outbox.discard(claim)
        assert not await store.outbox.discard(claim)

        assert await views_of(store, sent) == []

    async def test_retry_later_waits(self, store: Store) -> None:
        sent = await seed_message(store)
        claim = await claimed(store, sent)

        assert await store.outbox.retry_later(
            claim, after=timedelta(hours=1), error="busy", ambiguous=False
        )

        wait = await store.outbox.claim(*sent.key, token=uuid4(), lease=LEASE)
        assert isinstance(wait, timedelta)
        assert timedelta(minutes=59) < wait <= timedelta(hours=1)
        assert not await store.outbox.retry_later(claim, after=AGO, error="busy", ambiguous=False)
        (view,) = await views_of(store, sent)
        assert (view.status, view.attempts, view.error) == (OutboxState.PENDING, 1, "busy")

    async def test_dead_letter_is_left_alone_until_it_is_revived(self, store: Store) -> None:
        sent = await seed_message(store)
        await publish(store)
        claim = await claimed(store, sent)
        assert await store.outbox.set_aside(claim, error="enough", ambiguous=True)

        assert await store.outbox.claim(*sent.key, token=uuid4(), lease=LEASE) is None
        assert await store.outbox.published(after=None, limit=10) == []
        assert (await store.outbox.counts()).dead == 1
        assert await revive(store, sent)
        assert not await revive(store, sent)

        assert [job.message_id for job in await publish(store)] == [sent.message.id]
        again = await claimed(store, sent)
        assert (again.attempts, again.ambiguous) == (1, True)

    async def test_dead_letter_is_given_up_or_revived_once(self, store: Store) -> None:
        sent = await seed_message(store)
        await store.outbox.set_aside(await claimed(store, sent), error="x", ambiguous=False)

        async with store.begin() as unit:
            assert await unit.messages.revive(*sent.key)
            assert not await unit.messages.revive(*sent.key)
            assert not await unit.messages.drop(*sent.key, reason="no")
            await unit.commit()
        (view,) = await views_of(store, sent)
        assert view.status is OutboxState.PENDING

    async def test_choice_and_end_of_a_dead_letter_leave_no_trace_without_a_commit(
        self, store: Store
    ) -> None:
        sent = await seed_message(store)
        await store.outbox.set_aside(await claimed(store, sent), error="x", ambiguous=False)
        patient = sent.appointment.patient_id

        async with store.begin() as unit:
            assert await unit.messages.revive(*sent.key)
            await unit.messages.choose(sent.world.clinic.id, patient, Preferences("de"))
        async with store.begin() as unit:
            assert await unit.messages.drop(*sent.key, reason="moved away")

        (view,) = await views_of(store, sent)
        assert (view.status, view.error) == (OutboxState.DEAD, "x")
        assert await store.outbox.preferences(sent.world.clinic.id, patient) == Preferences()

    async def test_choice_of_an_unknown_person_is_refused(self, store: Store) -> None:
        sent = await seed_message(store)

        async with store.begin() as unit:
            with pytest.raises(NotFound):
                await unit.messages.choose(sent.world.clinic.id, uuid4(), Preferences())

    async def test_drop_logs_a_dead_letter_as_failed(self, store: Store) -> None:
        sent = await seed_message(store)
        assert not await drop(store, sent, "no")
        claim = await claimed(store, sent)
        await store.outbox.set_aside(claim, error="enough", ambiguous=False)

        assert await drop(store, sent, "moved away")

        (view,) = await views_of(store, sent)
        assert (view.status, view.error) == (Outcome.FAILED, "moved away")

    async def test_drop_expired_takes_dead_letters_past_their_time(self, store: Store) -> None:
        sent = await seed_message(store, due=timedelta(days=-2))
        claim = await claimed(store, sent)
        await store.outbox.set_aside(claim, error="enough", ambiguous=False)

        assert await store.outbox.drop_expired(limit=10) == 1
        assert await store.outbox.drop_expired(limit=10) == 0

        (view,) = await views_of(store, sent)
        assert (view.status, view.error) == (Outcome.FAILED, "enough")

    async def test_drop_expired_leaves_dead_letters_that_may_still_be_sent(
        self, store: Store
    ) -> None:
        sent = await seed_message(store)
        claim = await claimed(store, sent)
        await store.outbox.set_aside(claim, error="enough", ambiguous=False)

        assert await store.outbox.drop_expired(limit=10) == 0
        assert (await store.outbox.counts()).dead == 1
