"""Changes of messages are audited in the same transaction: both are written, or neither."""

from dataclasses import replace
from uuid import UUID

import pytest

from clinic.bootstrap import in_memory
from clinic.domain.errors import TemporaryFailure
from clinic.domain.links import Link, LinkSigner, Purpose
from clinic.domain.messaging.deliveries import OutboxState, Outcome, Preferences
from clinic.domain.notifications import OPTIONAL, REMINDER
from clinic.domain.people.people import Actor, Role
from clinic.testing.builders import NOW
from clinic.testing.clock import FixedClock
from clinic.testing.contracts.outbox import LEASE, claimed, seed_message
from clinic.usecases.context import Origin
from clinic.usecases.messaging.choose_notifications import choose_preferences
from clinic.usecases.messaging.follow_link import unsubscribe
from clinic.usecases.messaging.read_notifications import drop_notification, retry_notification
from clinic.usecases.transactions import Transactions

pytestmark = pytest.mark.anyio


class Unaudited(Transactions):
    """Fails after the work, like a commit whose audit event cannot be written."""

    async def run(self, work):
        async def failing(unit):
            await work(unit)
            raise TemporaryFailure()

        return await super().run(failing)


class Office:
    """A dead letter, and changes to try on it."""

    def __init__(self, services, sent) -> None:
        self.services, self.sent = services, sent
        self.store = services.store
        self.clinic_id, self.message_id = sent.key
        self.patient_id = sent.appointment.patient_id
        self.admin = Actor(UUID(int=7), Role.ADMIN, self.clinic_id)
        self.signer = LinkSigner("of-these-tests-alone-0123456789abcdef")

    def _acting(self, actor, transactions):
        return replace(self.services.context(actor), transactions=transactions)

    async def retry(self, transactions) -> None:
        context = replace(self._acting(self.admin, transactions), reason="asked")
        await retry_notification(context, self.message_id)

    async def drop(self, transactions) -> None:
        await drop_notification(self._acting(self.admin, transactions), self.message_id)

    async def choose(self, transactions, language="de") -> None:
        patient = Actor(self.patient_id, Role.PATIENT, self.clinic_id, session_id=self.patient_id)
        await choose_preferences(
            self._acting(patient, transactions), language=language, channel="email", opted_out=[]
        )

    async def unsubscribe(self, transactions) -> None:
        link = Link(
            Purpose.UNSUBSCRIBE, self.clinic_id, self.patient_id, OPTIONAL[REMINDER], NOW + LEASE
        )
        origin = Origin("request", "192.0.2.1")
        context = replace(self.services.anonymous(origin), transactions=transactions)
        await unsubscribe(context, self.signer.sign(link), signer=self.signer)

    async def state(self):
        view = await self.store.outbox.get(self.clinic_id, self.message_id)
        assert view is not None
        return view.status, await self.store.outbox.preferences(self.clinic_id, self.patient_id)

    def events(self):
        """Return the events: actor, action, entity, and details."""
        return [
            (e.actor_id, e.actor_role, e.action, e.entity, e.entity_id, e.patient_id, e.detail)
            for e in self.store.events
        ]


@pytest.fixture
async def office() -> Office:
    services = in_memory(clock=FixedClock(NOW))
    sent = await seed_message(services.store)
    claim = await claimed(services.store, sent)
    await services.store.outbox.set_aside(claim, error="enough", ambiguous=False)
    return Office(services, sent)


@pytest.mark.parametrize("change", ["retry", "drop", "choose", "unsubscribe"])
async def test_change_whose_event_cannot_be_written_is_not_made(office, change) -> None:
    before = await office.state()

    with pytest.raises(TemporaryFailure):
        await getattr(office, change)(Unaudited(office.store.begin))

    assert await office.state() == before == (OutboxState.DEAD, Preferences())
    assert office.events() == []


@pytest.mark.parametrize(
    ("change", "action", "status"),
    [
        ("retry", "retry_notification", OutboxState.PENDING),
        ("drop", "drop_notification", Outcome.FAILED),
    ],
)
async def test_end_of_a_dead_letter_is_audited(office, change, action, status) -> None:
    await getattr(office, change)(office.services.transactions)

    assert (await office.state())[0] is status
    admin = (UUID(int=7), Role.ADMIN)
    assert office.events() == [
        (*admin, action, "notification", office.message_id, None, {}),
    ]


async def test_choices_are_audited_once_as_those_of_the_person(office) -> None:
    patient = office.patient_id
    for _ in range(2):
        await office.choose(office.services.transactions)
        await office.unsubscribe(office.services.transactions)

    # The second choice turns reminders on again.
    person = (patient, Role.PATIENT)
    about = ("notification_preferences", patient, patient)
    chose = (*person, "choose_notifications", *about)
    left = (*person, "unsubscribe", *about, {"family": REMINDER})
    assert office.events() == [
        (*chose, {"changed": ["language"]}),
        left,
        (*chose, {"changed": ["opted_out"]}),
        left,
    ]
    link = office.store.events[1]
    assert (link.request_id, link.ip, link.session_id) == ("request", "192.0.2.1", None)
    await office.unsubscribe(office.services.transactions)
    assert len(office.store.events) == 4
