"""The outbox, which keeps messages until they are sent or have failed for good, and their log."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol
from uuid import UUID

from clinic.domain.messaging.deliveries import Claim, OutboxState, Outcome, Preferences, Record
from clinic.domain.notifications import Message
from clinic.domain.paging import Keyset, PageRequest
from clinic.domain.people.people import Scope
from clinic.ports.job_queue import Job

HandOver = Callable[[Sequence[Job]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NotificationView:
    """A message as shown to staff and its patient, in the outbox or in the log."""

    message: Message
    #: an OutboxState while it is in the outbox, an Outcome afterwards
    status: OutboxState | Outcome
    attempts: int
    #: when the next attempt is, or when it was finished
    at: datetime
    maybe_twice: bool = False
    message_id: str | None = None
    error: str | None = None

    @property
    def due_at(self) -> datetime:
        """When the next attempt is; for a finished message, when it was due."""
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
    """How many messages are in each state; `oldest_due_s`: seconds since the oldest was due."""

    #: due and waiting
    due: int
    #: not yet handed to the queue
    unpublished: int
    in_flight: int
    dead: int
    oldest_due_s: float


class Outbox(Protocol):
    """The outbox of one database, whose clock decides for all workers what is due.

    Each call is its own transaction. Raises TemporaryFailure when the database cannot be reached.
    """

    async def publish(self, hand_over: HandOver, *, limit: int) -> int:
        """Hand over up to `limit` messages never handed over, oldest first; return how many.

        They count as published once `hand_over` has returned; none does when it raises. Two callers
        never hand over the same message at the same time. A message written as due at once is due
        now, whatever the clock of its writer said.
        """
        ...

    async def published(self, *, after: Job | None, limit: int) -> Sequence[Job]:
        """Return up to `limit` published messages that are waiting or in flight, by key, after
        `after`; dead letters are not included."""
        ...

    async def rescue(self, *, overdue: timedelta, limit: int) -> Sequence[Job]:
        """Return up to `limit` published messages that should have been sent and that no worker
        has: due for longer than `overdue`, or with an expired lease. They are due now.

        A message is returned again only after another `overdue`, or when the clock was set back.
        """
        ...

    async def claim(
        self, clinic_id: UUID, message_id: UUID, *, token: UUID, lease: timedelta
    ) -> Claim | timedelta | None:
        """Claim the message for one worker, which alone may send it until the lease runs out.

        Only a message that is pending and due, or whose lease ran out. Returns the time until it is
        due when that is later, None when it is gone, dead or claimed by another worker.
        """
        ...

    async def begin_sending(self, claim: Claim, *, lease: timedelta) -> bool:
        """Return whether the message may be handed over now; if so, mark it as being sent, with a
        new lease.

        False once another worker has the lease, or the appointment's schedule_version or status no
        longer fits; every change committed before this call is seen.
        """
        ...

    async def finish(self, claim: Claim, record: Record) -> bool:
        """Move the message from the outbox into the log, atomically; False when the claim no longer
        has the current token. Called twice, it logs once."""
        ...

    async def discard(self, claim: Claim) -> bool:
        """Remove an outdated message from the outbox; False as in `finish`."""
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
        """Return the message to the outbox, due `after` from now; False as in `finish`.

        It then has `attempts` attempts, those of the claim when None.
        """
        ...

    async def release(self, user_id: UUID) -> int:
        """Make the pending messages about this patient's appointments that were scheduled for
        earlier due now, to be published again; return how many."""
        ...

    async def set_aside(self, claim: Claim, *, error: str, ambiguous: bool) -> bool:
        """Make the message a dead letter; False as in `finish`."""
        ...

    async def drop_expired(self, *, limit: int) -> int:
        """Move up to `limit` dead letters past their expiry into the log as failed."""
        ...

    async def list(self, query: NotificationQuery, page: PageRequest) -> Sequence[NotificationView]:
        """Return at most `page.one_more` messages by (due_at, id), after `page.after`.

        Always earliest first, from outbox and log together. A patient's scope includes only
        messages to the patient, a doctor's those about their appointments.
        """
        ...

    async def get(self, clinic_id: UUID, message_id: UUID) -> NotificationView | None: ...

    async def counts(self) -> OutboxCounts: ...

    async def day_sheet_times(self, clinic_id: UUID) -> Sequence[tuple[date, datetime]]:
        """Return the days of the clinic's day sheets that were not sent yet, each with when its
        sheets are due, in order; a day whose sheets differ comes several times."""
        ...

    async def preferences(self, clinic_id: UUID, user_id: UUID) -> Preferences:
        """Return this person's preferences at this clinic, by default the clinic's language and the
        defaults."""
        ...


@dataclass(frozen=True, slots=True)
class ReminderWork:
    """A clinic whose reminders are to be planned again, since its lead times have changed."""

    clinic_id: UUID
    changed_at: datetime
    #: the last appointment, by start and id, that has been looked at; None before the first
    after: Keyset | None = None


class Messages(Protocol):
    """The outbox inside a unit of work."""

    async def add(self, messages: Sequence[Message]) -> None:
        """Add messages that are not caused by a change of an appointment; a day sheet that exists
        already is left unchanged."""
        ...

    async def redate_day_sheets(
        self, clinic_id: UUID, times: Callable[[date], tuple[datetime, datetime]]
    ) -> None:
        """Give the clinic's day sheets that were not sent yet the due and expiry times that `times`
        returns for their day, and publish them again."""
        ...

    async def mark_reminders(self, clinic_id: UUID, changed_at: datetime) -> None:
        """Note that the clinic's reminders are to be planned again, from the first on."""
        ...

    async def next_reminder_work(self, *, changed_before: datetime) -> ReminderWork | None:
        """Return the longest-standing work that was noted before an instant, locked until this unit
        ends; None when there is none, or another unit has it."""
        ...

    async def advance_reminder_work(self, work: ReminderWork, after: Keyset | None) -> None:
        """Let the locked work go on after this appointment; None removes it."""
        ...

    async def replace_reminders(
        self,
        clinic_id: UUID,
        appointment_ids: Sequence[UUID],
        planned: Sequence[Message],
        now: datetime,
    ) -> None:
        """Make `planned`, which are due after `now`, the reminders of these appointments.

        Adds those of them that are neither waiting nor in the log, gives waiting ones the expiry of
        the planned, and removes waiting ones due after `now` that are not planned. What is being
        sent, may have been sent, or was due by `now` stays as it is.
        """
        ...

    async def choose(self, clinic_id: UUID, user_id: UUID, preferences: Preferences) -> None:
        """Store this person's preferences at this clinic. Raises NotFound for an unknown person."""
        ...

    async def forget_addresses(self, user_id: UUID) -> None:
        """Remove the addresses stored in messages about this person: such a message is no longer
        sent."""
        ...

    async def revive(self, clinic_id: UUID, message_id: UUID) -> bool:
        """Make a dead letter pending, due now, with no attempts, to be published again; False when
        it is not a dead letter."""
        ...

    async def drop(self, clinic_id: UUID, message_id: UUID, *, reason: str) -> bool:
        """Move a dead letter into the log as failed; False when it is not a dead letter."""
        ...
