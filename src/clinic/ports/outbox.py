"""Messages on their way, kept until each is sent or has finally failed, and the log of those."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from clinic.domain.messaging.deliveries import Claim, OutboxState, Outcome, Preferences, Record
from clinic.domain.notifications import Message
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Scope
from clinic.ports.job_queue import Job

HandOver = Callable[[Sequence[Job]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NotificationView:
    """A message as staff and its patient read it: on its way, or in the log."""

    message: Message
    #: an OutboxState while it is on its way, an Outcome afterwards
    status: OutboxState | Outcome
    attempts: int
    #: when it is tried next, or was finished
    at: datetime
    maybe_twice: bool = False
    message_id: str | None = None
    error: str | None = None

    @property
    def due_at(self) -> datetime:
        """When it is tried next; of one that has ended, when it was due."""
        return self.at if isinstance(self.status, OutboxState) else self.message.scheduled_for


@dataclass(frozen=True, slots=True)
class NotificationQuery:
    """Which messages to list; None does not filter. `due_from`, `due_before` are half-open."""

    scope: Scope
    appointment_id: UUID | None = None
    statuses: tuple[OutboxState | Outcome, ...] = ()
    family: str | None = None
    due_from: datetime | None = None
    due_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """How many messages are where; `oldest_due_s` is how late the latest one is, in seconds."""

    #: due and waiting
    due: int
    #: not yet handed to the queue
    unpublished: int
    in_flight: int
    dead: int
    oldest_due_s: float


class Outbox(Protocol):
    """The outbox of one database. Its own clock decides what is due; it is one for all workers.

    Each call is a transaction of its own. Raises TemporaryFailure when the database is away.
    """

    async def publish(self, hand_over: HandOver, *, limit: int) -> int:
        """Hand over up to `limit` messages never handed over, oldest first; return how many.

        They count as published once `hand_over` has returned; when it raises, none does. Two
        callers never hand over the same one at the same time. What was due at once is due now,
        whatever the clock said that wrote it.
        """
        ...

    async def published(self, *, after: Job | None, limit: int) -> Sequence[Job]:
        """Return up to `limit` published messages that wait or are in flight, by key, beyond
        `after`; dead letters are not among them."""
        ...

    async def rescue(self, *, overdue: timedelta, limit: int) -> Sequence[Job]:
        """Return up to `limit` published messages that nobody works on and that should have gone:
        due for longer than `overdue`, or their lease ran out. They are due now.

        A message is returned again only after another `overdue`, or when the clock was set back.
        """
        ...

    async def claim(
        self, clinic_id: UUID, message_id: UUID, *, token: UUID, lease: timedelta
    ) -> Claim | timedelta | None:
        """Return the message to the one worker that may send it until the lease runs out.

        Only one that is pending and due, or whose lease ran out. Returns how long it is until then
        when it is not due yet, None when it is gone, dead or somebody else's.
        """
        ...

    async def begin_sending(self, claim: Claim, *, lease: timedelta) -> bool:
        """Say whether the message may be handed over now, and remember that it is being, with a new
        lease.

        False once the lease is somebody else's, or the appointment's schedule_version or status no
        longer fits: every change committed before this call is seen.
        """
        ...

    async def finish(self, claim: Claim, record: Record) -> bool:
        """Move the message from the outbox into the log, at once; False when the token is no longer
        the claim's. Asked twice, it logs once."""
        ...

    async def discard(self, claim: Claim) -> bool:
        """Take a message that is no longer right out of the outbox; False as in `finish`."""
        ...

    async def retry_later(
        self,
        claim: Claim,
        *,
        after: timedelta,
        error: str,
        ambiguous: bool,
        attempts: int | None = None,
    ) -> bool:
        """Give the message back, due `after` from now; False as in `finish`.

        It counts as tried `attempts` times, as often as the claim says when None.
        """
        ...

    async def release(self, user_id: UUID) -> int:
        """Make due now, to be published again, the pending messages about this patient's
        appointments that were scheduled for earlier; return how many."""
        ...

    async def set_aside(self, claim: Claim, *, error: str, ambiguous: bool) -> bool:
        """Make the message a dead letter; False as in `finish`."""
        ...

    async def drop_expired(self, *, limit: int) -> int:
        """Move up to `limit` dead letters past their expiry into the log as failed."""
        ...

    async def list(self, query: NotificationQuery, page: PageRequest) -> Sequence[NotificationView]:
        """Return at most `page.one_more` messages by (due_at, id), beyond `page.after`.

        Always earliest first, those on their way and those in the log alike. Within a patient's
        scope only what went to the patient, within a doctor's what is about their appointments.
        """
        ...

    async def get(self, clinic_id: UUID, message_id: UUID) -> NotificationView | None: ...

    async def counts(self) -> OutboxCounts: ...

    async def preferences(self, clinic_id: UUID, user_id: UUID) -> Preferences:
        """Return what this person chose at this clinic; when nothing, the clinic's language and the
        defaults."""
        ...


class Messages(Protocol):
    """The outbox inside a unit of work."""

    async def add(self, messages: Sequence[Message]) -> None:
        """Add messages that no appointment's change calls for; a day sheet that is there already
        is left as it is."""
        ...

    async def choose(self, clinic_id: UUID, user_id: UUID, preferences: Preferences) -> None:
        """Keep what this person chose at this clinic. Raises NotFound for an unknown person."""
        ...

    async def forget_addresses(self, user_id: UUID) -> None:
        """Remove the addresses that messages about this person hold themselves: such a message is
        no longer sent."""
        ...

    async def revive(self, clinic_id: UUID, message_id: UUID) -> bool:
        """Make a dead letter pending, due now, with no attempts, to be published again; False when
        it is none."""
        ...

    async def drop(self, clinic_id: UUID, message_id: UUID, *, reason: str) -> bool:
        """Move a dead letter into the log as failed; False when it is none."""
        ...
