"""The contract of reading messages, of people's preferences, and of account mail."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from clinic.domain.calendar.availability import day_interval
from clinic.domain.contact import Contact
from clinic.domain.messaging.deliveries import (
    Claim,
    DeliveryVerdict,
    OutboxState,
    Outcome,
    Preferences,
    judged,
)
from clinic.domain.notifications import (
    ADDRESS_CHANGED,
    CONFIRMATION,
    DAY_SHEET,
    INVITATION,
    Message,
    day_sheets,
)
from clinic.domain.paging import Keyset, PageRequest
from clinic.domain.people.people import Scope
from clinic.domain.status import Status
from clinic.ports.outbox import NotificationQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    a_slot,
    a_status_change,
    new_id,
    seed_booking,
    seed_change,
    seed_slots,
    seed_world,
)
from clinic.testing.contracts.contract import Contract
from clinic.testing.contracts.outbox_steps import (
    AGO,
    LEASE,
    Sent,
    a_record,
    add_messages,
    an_account_mail,
    claimed,
    publish,
    seed_message,
)


async def _claim_of(store: Store, message: Message) -> Claim:
    claim = await store.outbox.claim(message.clinic_id, message.id, token=uuid4(), lease=LEASE)
    assert isinstance(claim, Claim)
    return claim


async def _fill_day(store: Store, sent: Sent) -> None:
    """Add a cancelled appointment of the doctor that day, and one that begins at its end."""
    world = sent.world
    clinic = world.clinic
    cancelled = await seed_booking(store, clinic, world.slots[1], world.patients[1])
    await seed_change(store, a_status_change(clinic, cancelled, Status.CANCELLED))
    day = day_interval(clinic.local_date(sent.appointment.starts_at), clinic.zone)
    midnight = a_slot(world.doctor, day.ends_at)
    await seed_slots(store, midnight)
    await seed_booking(store, clinic, midnight, world.patients[1])


class OutboxReadingContract(Contract, contract=True):
    """Give it a fixture `store`: an open, empty Store."""

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
        assert claim.snapshot.addressee is not None
        assert claim.snapshot.addressee.preferences == chosen

    async def test_without_a_choice_the_language_is_the_clinics(self, store: Store) -> None:
        sent = await seed_message(store)
        clinic, patient = sent.world.clinic, sent.appointment.patient_id
        async with store.begin() as unit:
            await unit.people.replace_clinic(replace(clinic, contact=Contact(language="de")))
            await unit.commit()

        addressee = (await claimed(store, sent)).snapshot.addressee

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

        assert (await claimed(store, sent)).snapshot.clinic == clinic

    async def test_claim_tells_what_links_of_account_mail_are_bound_to(self, store: Store) -> None:
        sent = await seed_message(store)
        patient = sent.appointment.patient_id
        async with store.begin() as unit:
            await unit.accounts.set_password_hash(patient, "hash")
            await unit.accounts.set_disabled_at(patient, None)
            await unit.accounts.set_email_verified_at(patient, datetime.now(UTC))
            await unit.commit()

        addressee = (await claimed(store, sent)).snapshot.addressee

        assert addressee is not None
        bound_to = (addressee.password_hash, addressee.link_version, addressee.is_verified)
        assert bound_to == ("hash", 1, True)

    async def test_claim_tells_who_issued_a_link_and_which_address_was_left(
        self, store: Store
    ) -> None:
        world = await seed_world(store)
        user, issuer = world.patients[0].id, new_id()
        invited = an_account_mail(world, INVITATION, issued_by=issuer)
        changed = an_account_mail(world, ADDRESS_CHANGED, to_email="old@example.org")

        await add_messages(store, invited, changed)

        for message, expected in ((invited, (issuer, None)), (changed, (None, "old@example.org"))):
            claim = await _claim_of(store, message)
            assert (claim.message.issued_by, claim.message.to_email) == expected
            assert claim.message == message
            assert claim.snapshot.addressee is not None
            assert claim.snapshot.addressee.user_id == user
            assert claim.snapshot.addressee.email == world.patients[0].email

    async def test_forget_addresses_leaves_nothing_to_send_to(self, store: Store) -> None:
        world = await seed_world(store)
        kept = an_account_mail(world, ADDRESS_CHANGED, patient=1, to_email="kept@example.org")
        waits = an_account_mail(world, ADDRESS_CHANGED, to_email="old@example.org")
        under_way = replace(waits, id=new_id())
        await add_messages(store, kept, waits, under_way)
        held = await _claim_of(store, under_way)

        async with store.begin() as unit:
            await unit.messages.forget_addresses(world.patients[0].id)
            await unit.commit()

        assert await store.outbox.retry_later(held, after=-AGO, error="late", ambiguous=False)
        for message, left in ((waits, None), (under_way, None), (kept, "kept@example.org")):
            claim = await _claim_of(store, message)
            assert claim.message.to_email == left
            assert judged(claim) is (DeliveryVerdict.SEND if left else DeliveryVerdict.STALE)

    async def test_day_sheets_get_other_times_and_are_published_again(self, store: Store) -> None:
        """Given day sheets of two clinics, and another message, all handed to the queue
        When one clinic's sheets are given other times
        Then only those have them, and are handed over again."""
        here, there = await seed_message(store), await seed_message(store)
        now = datetime.now(UTC).replace(microsecond=0)
        days = [now.date() + timedelta(days=each) for each in (9, 10)]
        for sent in (here, there):
            made = day_sheets(
                clinic_id=sent.world.clinic.id,
                doctor_id=sent.world.doctor.id,
                days=days,
                zone=sent.world.clinic.zone,
                now=now,
                new_id=new_id,
            )
            await add_messages(store, *made)
        published = await publish(store)

        def times(day: date) -> tuple[datetime, datetime]:
            due = datetime(day.year, day.month, day.day, 1, tzinfo=UTC)
            return due, due + timedelta(hours=1)

        async with store.begin() as unit:
            await unit.messages.redate_day_sheets(here.world.clinic.id, times)
            await unit.commit()
        again = await publish(store)

        async def sheets(sent: Sent) -> list[Message]:
            query = NotificationQuery(Scope(sent.world.clinic.id), family=DAY_SHEET)
            return [view.message for view in await store.outbox.list(query, PageRequest())]

        found, others = await sheets(here), await sheets(there)
        assert [(each.scheduled_for, each.expires_at) for each in found] == [
            times(day) for day in days
        ]
        assert {each.scheduled_for.hour for each in others} == {18}
        assert len(published) == 6
        assert {job.message_id for job in again} == {each.id for each in found}
        assert {job.due_at for job in again} == {due for due, _ in map(times, days)}

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
        assert claim.snapshot.day == ((sent.appointment.starts_at, sent.appointment.ends_at),)
        assert claim.snapshot.addressee is not None
        assert claim.snapshot.addressee.user_id == doctor.id
        assert await store.outbox.begin_sending(claim, lease=LEASE)
