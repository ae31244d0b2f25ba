"""What the contracts of the outbox have in common."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.appointments.types import AppointmentType
from clinic.domain.messaging.deliveries import (
    Claim,
    Outcome,
    Record,
)
from clinic.domain.notifications import (
    CONFIRMATION,
    Message,
    account_mail,
)
from clinic.ports.job_queue import Job
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    World,
    a_booking,
    new_id,
    seed_world,
)

LEASE = timedelta(minutes=1)


#: a lease or overdue time that tests wait for, by the store's own clock
SHORT = timedelta(milliseconds=30)


AGO = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Sent:
    """An appointment with one message, and the world to read it in."""

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
    type: AppointmentType | None = None,
) -> Sent:
    """Book a slot for the patient at `place`, with a message due `due` from now and created by a
    clock that is `written` fast."""
    world = world or await seed_world(store)
    booking = a_booking(
        world.clinic,
        world.slots[place if slot is None else slot],
        world.patients[place],
        kind=type,
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
    """Return a claim on the message; fail the test if there is none."""
    claim = await store.outbox.claim(*sent.key, token=uuid4(), lease=lease)
    assert isinstance(claim, Claim)
    return claim


def a_record(claim: Claim, status: Outcome = Outcome.SENT) -> Record:
    """Return a log record for the claimed message."""
    return Record(
        claim.message, status, claim.attempts, claim.ambiguous, "<1@example.org>", error=None
    )


def an_account_mail(
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


async def add_messages(store: Store, *messages: Message) -> None:
    async with store.begin() as unit:
        await unit.messages.add(messages)
        await unit.commit()
