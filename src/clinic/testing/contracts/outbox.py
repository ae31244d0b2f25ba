"""What an Outbox must do: give a message to one worker at a time, and forget none.

Its own clock decides what is due, so these tests use the real time and short leases.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.calendar.availability import day_interval
from clinic.domain.contact import Contact
from clinic.domain.errors import NotFound
from clinic.domain.messaging.deliveries import (
    Claim,
    Fit,
    OutboxState,
    Outcome,
    Preferences,
    Record,
    judged,
)
from clinic.domain.notifications import (
    ADDRESS_CHANGED,
    CONFIRMATION,
    DAY_SHEET,
    DOCTOR_CHANGE,
    DOCTOR_LEFT,
    EMAIL_VERIFICATION,
    INVITATION,
    Message,
    account_mail,
    day_sheets,
)
from clinic.domain.paging import Keyset, PageRequest
from clinic.domain.people.people import Scope
from clinic.domain.status import Status
from clinic.ports.job_queue import Job
from clinic.ports.outbox import NotificationQuery, NotificationView
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    World,
    a_booking,
    a_move,
    a_slot,
    a_status_change,
    new_id,
    seed_booking,
    seed_change,
    seed_slots,
    seed_world,
)
from clinic.testing.contracts.contract import Contract

LEASE = timedelta(minutes=1)
#: a lease, or a time overdue, that tests wait for: it runs by the store's own clock
SHORT = timedelta(milliseconds=30)
AGO = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Sent:
    """An appointment with one message, and what it takes to look at it."""

    world: World
    appointment: Appointment
    message: Message

    @property
    def key(self) -> tuple[UUID, UUID]:
        return self.message.clinic_id, self.message.id


async def seed_message(
    store: Store,
    *,
    due: timedelta = -AGO,
    written: timedelta = timedelta(0),
    place: int = 0,
    slot: int | None = None,
    world: World | None = None,
    kind: str = CONFIRMATION,
) -> Sent:
    """Book a slot for the patient at `place` with a message due `due` from now, by a clock that is
    `written` fast."""
    world = world or await seed_world(store)
    booking = a_booking(
        world.clinic, world.slots[place if slot is None else slot], world.patients[place]
    )
    now = datetime.now(UTC)
    message = replace(
        booking.messages[0],
        scheduled_for=now + due,
        expires_at=now + due + timedelta(days=1),
        created_at=now + written,
        kind=kind,
    )
    await store.desk.reserve(replace(booking, messages=(message,)))
    return Sent(world, booking.appointment, message)


async def publish(store: Store) -> list[Job]:
    """Publish everything, and return what was handed over."""
    handed: list[Job] = []

    async def hand_over(jobs: Sequence[Job]) -> None:
        handed.extend(jobs)

    await store.outbox.publish(hand_over, limit=100)
    return handed


async def claimed(store: Store, sent: Sent, *, lease: timedelta = LEASE) -> Claim:
    """Claim the message, which must be possible."""
    claim = await store.outbox.claim(*sent.key, token=uuid4(), lease=lease)
    assert isinstance(claim, Claim)
    return claim


def a_record(claim: Claim, status: Outcome = Outcome.SENT) -> Record:
    """Return a line of the log about the claimed message."""
    return Record(
        claim.message, status, claim.attempts, claim.ambiguous, "<1@example.org>", error=None
    )


def _account_mail(
    world: World,
    kind: str,
    *,
    patient: int = 0,
    issued_by: UUID | None = None,
    to_email: str | None = None,
) -> Message:
    return account_mail(
        kind,
        clinic_id=world.clinic.id,
        user_id=world.patients[patient].id,
        valid_for=timedelta(days=1),
        now=datetime.now(UTC) - AGO,
        new_id=new_id,
        issued_by=issued_by,
        to_email=to_email,
    )


async def _add(store: Store, *messages: Message) -> None:
    async with store.begin() as unit:
        await unit.messages.add(messages)
        await unit.commit()


async def _claim_of(store: Store, message: Message) -> Claim:
    claim = await store.outbox.claim(message.clinic_id, message.id, token=uuid4(), lease=LEASE)
    assert isinstance(claim, Claim)
    return claim


async def revive(store: Store, sent: Sent) -> bool:
    """Say whether the message was a dead letter, and send it on its way again."""
    async with store.begin() as unit:
        done = await unit.messages.revive(*sent.key)
        await unit.commit()
    return done


async def drop(store: Store, sent: Sent, reason: str) -> bool:
    """Say whether the message was a dead letter, and log it as failed."""
    async with store.begin() as unit:
        done = await unit.messages.drop(*sent.key, reason=reason)
        await unit.commit()
    return done


async def views_of(store: Store, sent: Sent) -> Sequence[NotificationView]:
    """Return the messages of the appointment."""
    query = NotificationQuery(Scope(sent.world.clinic.id), appointment_id=sent.appointment.id)
    return await store.outbox.list(query, PageRequest())


async def _fill_day(store: Store, sent: Sent) -> None:
    """Cancel another appointment of the doctor on that day, and book one that begins the next."""
    world = sent.world
    clinic = world.clinic
    cancelled = await seed_booking(store, clinic, world.slots[1], world.patients[1])
    await seed_change(store, a_status_change(clinic, cancelled, Status.CANCELLED))
    day = day_interval(clinic.local_date(sent.appointment.starts_at), clinic.zone)
    midnight = a_slot(world.doctor, day.ends_at)
    await seed_slots(store, midnight)
    await seed_booking(store, clinic, midnight, world.patients[1])


class OutboxContract(Contract, contract=True):
    """Give it a fixture `store`: an open Store that holds nothing."""

    # --- handing over to the queue

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

    # --- one worker at a time

    async def test_claim_tells_what_the_message_is_about(self, store: Store) -> None:
        sent = await seed_message(store)

        claim = await claimed(store, sent)

        assert claim.look.appointment == sent.appointment
        assert claim.look.clinic == sent.world.clinic
        assert claim.look.addressee is not None
        assert claim.look.addressee.email == sent.world.patients[0].email
        assert (claim.attempts, claim.ambiguous, claim.interrupted) == (1, False, False)
        assert claim.message.kind == CONFIRMATION

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

    # --- the mailbox

    async def test_claim_tells_whether_the_address_awaits_proof(self, store: Store) -> None:
        sent = await seed_message(store)
        user_id = sent.appointment.patient_id

        async def awaits_proof() -> bool:
            claim = await claimed(store, sent)
            await store.outbox.retry_later(claim, after=-AGO, error="x", ambiguous=False)
            assert claim.look.addressee is not None
            return claim.look.addressee.awaits_proof

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

        assert claim.look.addressee is not None
        assert not claim.look.addressee.awaits_proof

    async def test_claim_counts_what_was_sent_to_the_mailbox_lately(self, store: Store) -> None:
        world = await seed_world(store)
        sent = [await seed_message(store, world=world, place=0)]
        sent += [await seed_message(store, world=world, slot=slot, place=0) for slot in (3, 4)]
        others = await seed_message(store, world=world, place=1)

        counts = []
        for each, outcome in zip(sent, (Outcome.SENT, Outcome.FAILED, Outcome.SENT), strict=True):
            claim = await claimed(store, each)
            counts.append(claim.look.sent_lately)
            await store.outbox.finish(claim, a_record(claim, outcome))
        cancellation = a_status_change(world.clinic, sent[0].appointment, Status.CANCELLED)
        await seed_change(store, cancellation)
        off = Sent(world, cancellation.after, cancellation.messages[0])
        store_now = datetime.now(UTC)
        assert off.message.scheduled_for <= store_now

        assert counts == [0, 1, 1]
        assert (await claimed(store, off)).look.sent_lately == 2
        assert (await claimed(store, others)).look.sent_lately == 0

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
        told = [first, second, *(replace(first, message=each) for each in (left, elsewhere))]

        counts = []
        for each in told:
            claim = await claimed(store, each)
            counts.append(claim.look.sent_lately)
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

    # --- the last look

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

    # --- how it ends

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
        message = _account_mail(world, EMAIL_VERIFICATION)
        await _add(store, message)
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

        addressee = (await claimed(store, sent)).look.addressee
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

    # --- reading

    async def test_list_shows_waiting_and_ended_by_time_in_pages(self, store: Store) -> None:
        one = await seed_message(store, due=-3 * AGO)
        two = await seed_message(store, due=-2 * AGO, place=1, world=one.world)
        three = await seed_message(store, due=-AGO, place=2, world=one.world)
        claim = await claimed(store, two)
        await store.outbox.finish(claim, a_record(claim))
        query = NotificationQuery(Scope(one.world.clinic.id))

        whole = await store.outbox.list(query, PageRequest(10))
        place = Keyset(whole[0].due_at, whole[0].message.id)
        rest = await store.outbox.list(query, PageRequest(10, place))
        last = Keyset(whole[2].due_at, whole[2].message.id, backwards=True)
        before = await store.outbox.list(query, PageRequest(10, last))

        ids = [one.message.id, two.message.id, three.message.id]
        assert [view.message.id for view in whole] == ids
        assert rest == whole[1:]
        assert before == whole[:2]

    async def test_list_filters(self, store: Store) -> None:
        one = await seed_message(store)
        two = await seed_message(store, place=1, world=one.world)
        claim = await claimed(store, two)
        await store.outbox.finish(claim, a_record(claim))
        clinic = Scope(one.world.clinic.id)

        async def found(query: NotificationQuery) -> list[UUID]:
            return [view.message.id for view in await store.outbox.list(query, PageRequest())]

        assert await found(NotificationQuery(clinic, statuses=(Outcome.SENT,))) == [two.message.id]
        assert await found(NotificationQuery(clinic, statuses=(OutboxState.PENDING,))) == [
            one.message.id
        ]
        assert await found(NotificationQuery(clinic, family="reminder")) == []
        assert len(await found(NotificationQuery(clinic, family=CONFIRMATION))) == 2
        assert await found(NotificationQuery(clinic, due_from=datetime.now(UTC))) == []
        assert await found(NotificationQuery(Scope(uuid4()))) == []
        patient = Scope(one.world.clinic.id, patient_id=one.appointment.patient_id)
        assert await found(NotificationQuery(patient)) == [one.message.id]
        doctor = Scope(one.world.clinic.id, doctor_id=one.world.colleague.id)
        assert await found(NotificationQuery(doctor)) == []

    async def test_get_finds_one_of_the_clinic(self, store: Store) -> None:
        sent = await seed_message(store)

        view = await store.outbox.get(*sent.key)

        assert view is not None
        assert view.message.id == sent.message.id
        assert await store.outbox.get(uuid4(), sent.message.id) is None

    async def test_counts_say_where_messages_are(self, store: Store) -> None:
        one = await seed_message(store)
        await seed_message(store, due=timedelta(hours=1), place=1, world=one.world)
        await claimed(store, await seed_message(store, place=2, world=one.world))

        counts = await store.outbox.counts()

        assert (counts.due, counts.unpublished, counts.in_flight, counts.dead) == (1, 3, 1, 0)
        assert counts.oldest_due_s >= AGO.total_seconds()

    # --- choices, and messages without an appointment

    async def test_choice_is_kept_and_looked_up(self, store: Store) -> None:
        sent = await seed_message(store)
        patient = sent.appointment.patient_id
        assert await store.outbox.preferences(sent.world.clinic.id, patient) == Preferences()
        chosen = Preferences("de", "email", frozenset({"reminder"}))

        for each in (Preferences("de"), chosen):
            async with store.begin() as unit:
                await unit.messages.choose(sent.world.clinic.id, patient, each)
                await unit.commit()

        assert await store.outbox.preferences(sent.world.clinic.id, patient) == chosen
        claim = await claimed(store, sent)
        assert claim.look.addressee is not None
        assert claim.look.addressee.preferences == chosen

    async def test_without_a_choice_the_language_is_the_clinics(self, store: Store) -> None:
        sent = await seed_message(store)
        clinic, patient = sent.world.clinic, sent.appointment.patient_id
        async with store.begin() as unit:
            await unit.people.replace_clinic(replace(clinic, contact=Contact(language="de")))
            await unit.commit()

        addressee = (await claimed(store, sent)).look.addressee

        assert addressee is not None
        assert addressee.preferences == Preferences("de")
        assert await store.outbox.preferences(clinic.id, patient) == Preferences("de")
        async with store.begin() as unit:
            await unit.messages.choose(clinic.id, patient, Preferences("en"))
            await unit.commit()
        assert await store.outbox.preferences(clinic.id, patient) == Preferences("en")

    async def test_claim_reads_how_the_clinic_is_reached(self, store: Store) -> None:
        sent = await seed_message(store)
        contact = Contact("1 Quay Road\nBristol", "+441174960123", "de")
        clinic = replace(sent.world.clinic, contact=contact)
        async with store.begin() as unit:
            await unit.people.replace_clinic(clinic)
            await unit.commit()

        assert (await claimed(store, sent)).look.clinic == clinic

    async def test_claim_tells_what_links_of_account_mail_are_bound_to(self, store: Store) -> None:
        sent = await seed_message(store)
        patient = sent.appointment.patient_id
        async with store.begin() as unit:
            await unit.accounts.set_password_hash(patient, "hash")
            await unit.accounts.set_disabled_at(patient, None)
            await unit.accounts.set_email_verified_at(patient, datetime.now(UTC))
            await unit.commit()

        addressee = (await claimed(store, sent)).look.addressee

        assert addressee is not None
        bound_to = (addressee.password_hash, addressee.link_version, addressee.is_verified)
        assert bound_to == ("hash", 1, True)

    async def test_claim_tells_who_issued_a_link_and_which_address_was_left(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        user, issuer = world.patients[0].id, new_id()
        invited = _account_mail(world, INVITATION, issued_by=issuer)
        changed = _account_mail(world, ADDRESS_CHANGED, to_email="old@example.org")

        await _add(store, invited, changed)

        for message, expected in ((invited, (issuer, None)), (changed, (None, "old@example.org"))):
            claim = await _claim_of(store, message)
            assert (claim.message.issued_by, claim.message.to_email) == expected
            assert claim.message == message
            assert claim.look.addressee is not None
            assert claim.look.addressee.user_id == user
            assert claim.look.addressee.email == world.patients[0].email

    async def test_forget_addresses_leaves_nothing_to_send_to(self, store: Store) -> None:
        world = await seed_world(store)
        kept = _account_mail(world, ADDRESS_CHANGED, patient=1, to_email="kept@example.org")
        waits = _account_mail(world, ADDRESS_CHANGED, to_email="old@example.org")
        under_way = replace(waits, id=new_id())
        await _add(store, kept, waits, under_way)
        held = await _claim_of(store, under_way)

        async with store.begin() as unit:
            await unit.messages.forget_addresses(world.patients[0].id)
            await unit.commit()

        assert await store.outbox.retry_later(held, after=-AGO, error="late", ambiguous=False)
        for message, left in ((waits, None), (under_way, None), (kept, "kept@example.org")):
            claim = await _claim_of(store, message)
            assert claim.message.to_email == left
            assert judged(claim) is (Fit.SEND if left else Fit.STALE)

    async def test_day_sheet_is_added_once_and_tells_the_day(self, store: Store) -> None:
        sent = await seed_message(store)
        clinic, doctor = sent.world.clinic, sent.world.doctor
        await _fill_day(store, sent)
        day = clinic.local_date(sent.appointment.starts_at)
        early = sent.appointment.starts_at - timedelta(days=30)

        def sheet() -> Message:
            (made,) = day_sheets(
                clinic_id=clinic.id,
                doctor_id=doctor.id,
                days=[day],
                zone=clinic.zone,
                now=early,
                new_id=new_id,
            )
            now = datetime.now(UTC)
            return replace(made, scheduled_for=now - AGO, expires_at=now + AGO)

        for each in (sheet(), sheet()):
            async with store.begin() as unit:
                await unit.messages.add([each])
                await unit.commit()

        query = NotificationQuery(Scope(clinic.id), family=DAY_SHEET)
        (view,) = await store.outbox.list(query, PageRequest())
        claim = await store.outbox.claim(clinic.id, view.message.id, token=uuid4(), lease=LEASE)
        assert isinstance(claim, Claim)
        assert claim.look.day == ((sent.appointment.starts_at, sent.appointment.ends_at),)
        assert claim.look.addressee is not None
        assert claim.look.addressee.user_id == doctor.id
        assert await store.outbox.begin_sending(claim, lease=LEASE)
