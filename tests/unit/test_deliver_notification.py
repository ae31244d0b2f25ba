"""Delivering one message: what is checked, what is logged, and what happens in doubt."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from clinic.adapters.email.compose import Composer
from clinic.adapters.email.maildir import MaildirNotifier
from clinic.adapters.memory.job_queue import MemoryQueue
from clinic.adapters.memory.notifier import MemoryNotifier
from clinic.adapters.memory.store import MemoryStore
from clinic.domain.errors import TemporaryFailure
from clinic.domain.links import LinkSigner
from clinic.domain.messaging.deliveries import (
    ATTEMPTS_MAX,
    SENT_PER_HOUR_MAX,
    AmbiguousMail,
    OutboxState,
    Outcome,
    Preferences,
)
from clinic.domain.notifications import CONFIRMATION, DOCTOR_CHANGE, RESCHEDULE, reminder_kind
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.domain.status import Status
from clinic.ports.notifier import TransportError
from clinic.ports.outbox import NotificationQuery, NotificationView
from clinic.testing import FixedClock
from clinic.testing.builders import (
    a_move,
    a_status_change,
    a_type,
    new_id,
    seed_change,
    seed_type,
    seed_world,
)
from clinic.testing.contracts.outbox import Sent, seed_message
from clinic.usecases.messaging.deliver_notification import HELD_FOR, Delivered, deliver_notification
from clinic.usecases.messaging.delivery_services import DeliveryServices
from clinic.usecases.messaging.relay_outbox import OVERDUE, relay_outbox, resync_queue, sweep_outbox

pytestmark = pytest.mark.anyio

BUSY = TransportError("451 later", permanent=False)
REFUSED = TransportError("550 no such mailbox", permanent=True)
LOST = TransportError("the answer was lost", permanent=False, ambiguous=True)


@dataclass
class Office:
    store: MemoryStore
    queue: MemoryQueue
    mail: MemoryNotifier
    clock: FixedClock
    delivery: DeliveryServices

    async def deliver(self, sent: Sent) -> Delivered:
        delivery = await deliver_notification(
            self.delivery, clinic_id=sent.message.clinic_id, message_id=sent.message.id
        )
        return delivery.result

    async def view(self, sent: Sent) -> NotificationView | None:
        return await self.store.outbox.get(*sent.key)

    async def work(self) -> None:
        """Relay, promote and deliver due messages."""
        await relay_outbox(outbox=self.store.outbox, queue=self.queue)
        await self.queue.promote(limit=100)
        await self.queue.run_ready(self._handle)

    async def _handle(self, clinic_id, message_id) -> None:
        await deliver_notification(self.delivery, clinic_id=clinic_id, message_id=message_id)


@pytest.fixture
def office() -> Office:
    clock = FixedClock(datetime.now(UTC))
    store, queue, mail = MemoryStore(), MemoryQueue(clock), MemoryNotifier()
    store.outbox.now = clock.now
    delivery = DeliveryServices(
        outbox=store.outbox,
        queue=queue,
        notifiers={"email": mail},
        signer=LinkSigner("s" * 32),
        new_id=new_id,
        public_url="https://clinic.example",
        mail_domain="clinic.example",
    )
    return Office(store, queue, mail, clock, delivery)


async def test_message_is_sent_and_logged(office) -> None:
    sent = await seed_message(office.store)

    await office.work()

    (outgoing,) = office.mail.sent
    assert outgoing.message_id == f"<{sent.message.id}@clinic.example>"
    assert outgoing.links.confirm.startswith("https://clinic.example/m/")
    view = await office.view(sent)
    assert (view.status, view.attempts, view.maybe_twice) == (Outcome.SENT, 1, False)


@pytest.mark.parametrize(
    ("kind", "is_shown"),
    [
        (CONFIRMATION, True),
        (reminder_kind(1440), True),
        (RESCHEDULE, False),
        (DOCTOR_CHANGE, False),
    ],
)
async def test_instructions_go_out_with_confirmations_and_reminders(office, kind, is_shown) -> None:
    world = await seed_world(office.store)
    type = replace(a_type(world.clinic), instructions="Bring your card.")
    await seed_type(office.store, type)
    await seed_message(office.store, world=world, kind=kind, type=type)

    await office.work()

    (outgoing,) = office.mail.sent
    assert outgoing.instructions == ("Bring your card." if is_shown else None)


async def test_message_of_a_cancelled_appointment_is_discarded(office) -> None:
    sent = await seed_message(office.store)
    await seed_change(
        office.store, a_status_change(sent.world.clinic, sent.appointment, Status.CANCELLED)
    )

    assert await office.deliver(sent) is Delivered.DISCARDED

    assert office.mail.sent == []
    assert await office.view(sent) is None


async def test_message_of_a_moved_appointment_is_discarded(office) -> None:
    sent = await seed_message(office.store)
    move = a_move(sent.world.clinic, sent.appointment, sent.world.slots[3])
    await seed_change(office.store, replace(move, messages=()))

    assert await office.deliver(sent) is Delivered.DISCARDED

    assert office.mail.sent == []


async def test_confirming_does_not_drop_messages(office) -> None:
    sent = await seed_message(office.store)
    await seed_change(
        office.store, a_status_change(sent.world.clinic, sent.appointment, Status.CONFIRMED)
    )

    assert await office.deliver(sent) is Delivered.SENT


async def test_cancellation_between_look_up_and_hand_over_stops_the_message(office) -> None:
    sent = await seed_message(office.store)
    deliver = office.mail.deliver

    async def cancelled_meanwhile(outgoing, may_send):
        await seed_change(
            office.store, a_status_change(sent.world.clinic, sent.appointment, Status.CANCELLED)
        )
        return await deliver(outgoing, may_send)

    office.mail.deliver = cancelled_meanwhile

    assert await office.deliver(sent) is Delivered.RETRIED
    assert office.mail.sent == []
    assert await office.deliver(sent) is Delivered.DISCARDED


async def test_unwanted_reminder_is_discarded_and_a_confirmation_is_not(office) -> None:
    reminder, confirmation = await seed_message(office.store), None
    confirmation = await seed_message(office.store, place=1, world=reminder.world)
    key = (reminder.message.clinic_id, reminder.message.id)
    office.store._database.tables.messages.put(
        reminder.message.id, replace(reminder.message, kind="reminder_120m")
    )
    nothing = Preferences(opted_out=frozenset({"reminder"}))
    for sent in (reminder, confirmation):
        async with office.store.begin() as unit:
            await unit.messages.choose(key[0], sent.appointment.patient_id, nothing)
            await unit.commit()

    assert await office.deliver(reminder) is Delivered.DISCARDED
    assert await office.deliver(confirmation) is Delivered.SENT


async def test_nothing_about_appointments_goes_to_an_address_that_awaits_proof(
    office,
) -> None:
    sent = await seed_message(office.store)
    async with office.store.begin() as unit:
        await unit.accounts.expect_proof(sent.appointment.patient_id, office.clock.now())
        await unit.commit()

    results = []
    for _ in range(ATTEMPTS_MAX + 2):
        results.append(await office.deliver(sent))
        office.clock.advance(HELD_FOR)
    view = await office.view(sent)

    assert set(results) == {Delivered.HELD}
    assert office.mail.sent == []
    assert (view.status, view.attempts) == (OutboxState.PENDING, 0)
    assert view.error == "the email address is not verified yet"


async def test_a_mailbox_gets_only_so_many_messages_within_an_hour(office) -> None:
    world = await seed_world(office.store, slots=SENT_PER_HOUR_MAX + 2)
    messages = [
        await seed_message(office.store, world=world, slot=slot)
        for slot in range(SENT_PER_HOUR_MAX + 2)
    ]
    others = await seed_message(office.store)

    results = [await office.deliver(each) for each in messages]
    to_others = await office.deliver(others)
    office.clock.advance(timedelta(hours=1))
    later = [await office.deliver(each) for each in messages[-2:]]

    assert results == [Delivered.SENT] * SENT_PER_HOUR_MAX + [Delivered.HELD] * 2
    assert to_others is Delivered.SENT
    assert later == [Delivered.SENT] * 2


async def test_one_that_may_have_been_handed_over_is_not_held(office) -> None:
    sent = await seed_message(office.store)
    office.mail.refusals.append(LOST)
    assert await office.deliver(sent) is Delivered.RETRIED
    async with office.store.begin() as unit:
        await unit.accounts.expect_proof(sent.appointment.patient_id, office.clock.now())
        await unit.commit()
    office.clock.advance(hours=1)

    assert await office.deliver(sent) is Delivered.SENT


async def test_message_past_its_use_is_logged_as_failed(office) -> None:
    sent = await seed_message(office.store, due=timedelta(days=-2))

    assert await office.deliver(sent) is Delivered.FAILED

    view = await office.view(sent)
    assert (view.status, view.error) == (Outcome.FAILED, "too late to be of use")


async def test_refusal_for_now_is_tried_again_later(office) -> None:
    office.mail.refusals = [BUSY]
    sent = await seed_message(office.store)

    assert await office.deliver(sent) is Delivered.RETRIED
    assert await office.deliver(sent) is Delivered.SKIPPED
    office.clock.advance(seconds=2)

    await office.queue.promote(limit=10)
    await office.queue.run_ready(office._handle)
    view = await office.view(sent)
    assert (view.status, view.attempts, view.maybe_twice) == (Outcome.SENT, 2, False)


async def test_refusal_for_good_is_logged(office) -> None:
    office.mail.refusals = [REFUSED]
    sent = await seed_message(office.store)

    assert await office.deliver(sent) is Delivered.FAILED

    view = await office.view(sent)
    assert (view.status, view.error) == (Outcome.FAILED, "550 no such mailbox")


async def test_message_tried_too_often_becomes_a_dead_letter(office) -> None:
    office.mail.refusals = [BUSY] * ATTEMPTS_MAX
    sent = await seed_message(office.store)

    results = []
    for _ in range(ATTEMPTS_MAX):
        results.append(await office.deliver(sent))
        office.clock.advance(minutes=15)

    assert set(results[:-1]) == {Delivered.RETRIED}
    assert results[-1] is Delivered.DEAD
    view = await office.view(sent)
    assert (view.status, view.error) == (OutboxState.DEAD, "451 later")


async def test_message_that_cannot_be_written_does_not_stop_the_others(office) -> None:
    broken = await seed_message(office.store)
    other = await seed_message(office.store, place=1, world=broken.world)
    deliver = office.mail.deliver

    async def choke(outgoing, may_send):
        if outgoing.message.id == broken.message.id:
            raise KeyError("template")
        return await deliver(outgoing, may_send)

    office.mail.deliver = choke
    await office.work()

    assert [outgoing.message.id for outgoing in office.mail.sent] == [other.message.id]
    view = await office.view(broken)
    assert (view.status, view.error) == (OutboxState.PENDING, "KeyError")


async def test_log_is_insisted_on_while_the_database_is_away(office, monkeypatch) -> None:
    monkeypatch.setattr("clinic.usecases.messaging.deliver_notification.LOG_PAUSE_S", 0.0)
    sent = await seed_message(office.store)
    finish, failures = office.store.outbox.finish, [TemporaryFailure()] * 3

    async def away(claim, record):
        if failures:
            raise failures.pop()
        return await finish(claim, record)

    office.store.outbox.finish = away

    assert await office.deliver(sent) is Delivered.SENT
    assert (await office.view(sent)).status is Outcome.SENT


async def test_giving_back_is_insisted_on_while_the_database_is_away(office, monkeypatch) -> None:
    monkeypatch.setattr("clinic.usecases.messaging.deliver_notification.LOG_PAUSE_S", 0.0)
    sent = await seed_message(office.store)
    office.mail.refusals.append(BUSY)
    retry_later, failures = office.store.outbox.retry_later, [TemporaryFailure()] * 3

    async def away(claim, **how):
        if failures:
            raise failures.pop()
        return await retry_later(claim, **how)

    office.store.outbox.retry_later = away

    assert await office.deliver(sent) is Delivered.RETRIED
    assert (await office.view(sent)).status is OutboxState.PENDING


# --- in doubt


def deciding(office: Office, policy: AmbiguousMail) -> Office:
    return replace(office, delivery=replace(office.delivery, on_ambiguous=policy))


async def test_lost_answer_is_sent_again_and_flagged(office) -> None:
    office.mail.refusals = [LOST]
    sent = await seed_message(office.store)

    assert await office.deliver(sent) is Delivered.RETRIED
    office.clock.advance(seconds=2)
    assert await office.deliver(sent) is Delivered.SENT

    view = await office.view(sent)
    assert len({outgoing.message_id for outgoing in office.mail.sent}) == 1
    assert (len(office.mail.sent), view.maybe_twice) == (2, True)


@pytest.mark.parametrize(
    ("policy", "results", "copies"),
    [
        (AmbiguousMail.RESEND, [Delivered.RETRIED, Delivered.SENT], 2),
        (AmbiguousMail.HOLD, [Delivered.DEAD, Delivered.SKIPPED], 1),
        (AmbiguousMail.ASK, [Delivered.SENT, Delivered.SKIPPED], 1),
    ],
)
async def test_fault_after_the_hand_over_leaves_a_doubt(office, policy, results, copies) -> None:
    office = deciding(office, policy)
    sent = await seed_message(office.store)
    finish, faults = office.store.outbox.finish, [KeyError("fault")]

    async def faulty(claim, record):
        if faults:
            raise faults.pop()
        return await finish(claim, record)

    office.store.outbox.finish = faulty
    first = await office.deliver(sent)
    office.clock.advance(seconds=2)

    assert [first, await office.deliver(sent)] == results
    assert len(office.mail.sent) == copies
    # If the provider was asked, the message is known to have arrived once.
    assert (await office.view(sent)).maybe_twice == (policy is not AmbiguousMail.ASK)


async def test_lost_answer_is_held_where_nothing_may_come_twice(office) -> None:
    office = deciding(office, AmbiguousMail.HOLD)
    office.mail.refusals = [LOST]
    sent = await seed_message(office.store)

    assert await office.deliver(sent) is Delivered.DEAD

    assert len(office.mail.sent) == 1
    assert (await office.view(sent)).status is OutboxState.DEAD


async def test_lost_answer_is_asked_for_where_the_provider_can_tell(office) -> None:
    office = deciding(office, AmbiguousMail.ASK)
    office.mail.refusals = [LOST]
    sent = await seed_message(office.store)

    assert await office.deliver(sent) is Delivered.SENT
    assert len(office.mail.sent) == 1


@pytest.mark.parametrize(
    ("policy", "result", "copies"),
    [
        (AmbiguousMail.RESEND, Delivered.SENT, 1),
        (AmbiguousMail.HOLD, Delivered.DEAD, 0),
        (AmbiguousMail.ASK, Delivered.SENT, 1),
    ],
)
async def test_worker_that_died_while_sending(office, policy, result, copies) -> None:
    office = deciding(office, policy)
    sent = await seed_message(office.store)
    claim = await office.store.outbox.claim(*sent.key, token=new_id(), lease=timedelta(seconds=1))
    await office.store.outbox.begin_sending(claim, lease=timedelta(seconds=1))
    office.clock.advance(seconds=2)

    assert await office.deliver(sent) is result

    assert len(office.mail.sent) == copies
    assert (await office.view(sent)).maybe_twice


async def test_doubtful_message_of_a_cancelled_appointment_is_logged_not_sent(office) -> None:
    office.mail.refusals = [LOST]
    sent = await seed_message(office.store)
    await office.deliver(sent)
    await seed_change(
        office.store, a_status_change(sent.world.clinic, sent.appointment, Status.CANCELLED)
    )
    office.clock.advance(seconds=2)

    assert await office.deliver(sent) is Delivered.FAILED
    assert len(office.mail.sent) == 1
    assert (await office.view(sent)).maybe_twice


# --- a queue that loses jobs


async def test_queue_that_lost_everything_is_told_anew(office) -> None:
    sent = await seed_message(office.store)
    await relay_outbox(outbox=office.store.outbox, queue=office.queue)
    assert await resync_queue(outbox=office.store.outbox, queue=office.queue) == 1
    assert await resync_queue(outbox=office.store.outbox, queue=office.queue) is None

    office.queue.forget()
    await office.work()
    assert office.mail.sent == []
    assert await resync_queue(outbox=office.store.outbox, queue=office.queue) == 1
    await office.work()

    assert (await office.view(sent)).status is Outcome.SENT


async def test_sweep_finds_what_the_queue_does_not_know(office) -> None:
    await seed_message(office.store)
    await relay_outbox(outbox=office.store.outbox, queue=office.queue)
    office.clock.advance(minutes=1)

    waiting = await sweep_outbox(outbox=office.store.outbox, queue=office.queue)
    office.queue.forget()
    office.clock.advance(minutes=1)
    lost = await sweep_outbox(outbox=office.store.outbox, queue=office.queue)

    assert (waiting.overdue, lost.overdue) == (0, 1)


async def test_sweep_gives_the_queue_its_time_before_it_takes_a_message_for_lost(office) -> None:
    sent = await seed_message(office.store, due=timedelta(hours=1))
    await relay_outbox(outbox=office.store.outbox, queue=office.queue)
    office.queue.forget()

    found = []
    for late in (timedelta(0), OVERDUE, OVERDUE + timedelta(milliseconds=1)):
        office.clock.set(sent.message.scheduled_for + late)
        found.append(await sweep_outbox(outbox=office.store.outbox, queue=office.queue))

    assert [each.overdue for each in found] == [0, 0, 1]
    assert timedelta(seconds=5) == OVERDUE


async def test_queue_that_is_away_keeps_messages_in_the_outbox(office) -> None:
    sent = await seed_message(office.store)
    office.queue.away = True
    with pytest.raises(Exception, match="away"):
        await relay_outbox(outbox=office.store.outbox, queue=office.queue)

    office.queue.away = False
    await office.work()

    assert (await office.view(sent)).status is Outcome.SENT


async def test_waiting_messages_are_listed_for_their_patient(office) -> None:
    sent = await seed_message(office.store)
    query = NotificationQuery(Scope(sent.world.clinic.id, patient_id=sent.appointment.patient_id))

    (view,) = await office.store.outbox.list(query, PageRequest())

    assert view.message.id == sent.message.id


async def test_channel_that_cannot_be_used_uses_no_message_up(office) -> None:
    away = TransportError("535 wrong password", permanent=False, of_channel=True)
    sent = await seed_message(office.store)
    for _ in range(2 * ATTEMPTS_MAX):
        office.mail.refusals = [away]
        assert await office.deliver(sent) is Delivered.RETRIED
        office.clock.advance(minutes=15)

    assert (await office.view(sent)).error == "535 wrong password"
    assert await office.deliver(sent) is Delivered.SENT


async def test_channel_that_cannot_be_used_until_the_message_expires_fails_it(office) -> None:
    away = TransportError("535 wrong password", permanent=False, of_channel=True)
    sent = await seed_message(office.store)
    office.mail.refusals = [away]
    await office.deliver(sent)

    office.clock.advance(days=2)

    assert await office.deliver(sent) is Delivered.FAILED
    assert (await office.view(sent)).status is Outcome.FAILED


class Quoting(ValueError):
    """Fails as third-party libraries do, with the address in its message."""


@pytest.mark.parametrize("begun", [False, True])
async def test_words_of_an_exception_are_neither_kept_nor_logged(office, caplog, begun) -> None:
    sent = await seed_message(office.store)
    address = sent.world.patients[0].email

    async def broken(outgoing, may_send):
        if begun:
            assert await may_send()
        try:
            {}[outgoing.addressee.email]
        except KeyError as error:
            raise Quoting(f"cannot write to {outgoing.addressee.email}") from error

    office.mail.deliver = broken

    assert await office.deliver(sent) is Delivered.RETRIED

    view = await office.view(sent)
    assert view.error == "Quoting < KeyError"
    assert "in broken" in caplog.text
    assert "Quoting < KeyError" in caplog.text
    assert address not in caplog.text


@pytest.mark.parametrize("address", ["ada..b@example.org", "ada:x@example.org", "a\x01@b.org"])
async def test_address_of_older_rules_fails_for_good_and_is_not_quoted(
    office, caplog, tmp_path, address
) -> None:
    sent = await seed_message(office.store)
    user = await office.store.people.user(sent.world.patients[0].id)
    async with office.store.begin() as unit:
        await unit.accounts.replace_user(replace(user, email=address))
        await unit.commit()
    folder = MaildirNotifier(tmp_path, Composer("no-reply@clinic.test"))
    office.delivery = replace(office.delivery, notifiers={"email": folder})

    assert await office.deliver(sent) is Delivered.FAILED

    view = await office.view(sent)
    said = "not written: the address is not one that mail can be sent to"
    assert (view.status, view.error) == (Outcome.FAILED, said)
    assert caplog.text == ""
    assert list(tmp_path.rglob("*.eml")) == []
