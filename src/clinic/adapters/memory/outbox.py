"""The outbox in memory, as strict as PostgreSQL's about who may do what, and when."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from clinic.adapters.memory.addressees import addressee_of, day_of, preferences_of, recipient_of
from clinic.adapters.memory.constraints import location_of
from clinic.adapters.memory.paging import page_of
from clinic.adapters.memory.tables import RowKey, Tables
from clinic.adapters.memory.transaction import Database
from clinic.domain.audit.audit import ERASED
from clinic.domain.audit.seals import Trail
from clinic.domain.messaging.deliveries import (
    SENT_PER_HOUR_MAX,
    Claim,
    DeliverySnapshot,
    OutboxState,
    Outcome,
    Preferences,
    Record,
    fitting_statuses,
)
from clinic.domain.notifications import (
    DAY_SHEET,
    DOCTOR_CHANGE,
    REMINDER,
    TO_DOCTOR_AT_ONCE,
    TO_PATIENT_AT_ONCE,
    Message,
)
from clinic.domain.paging import PageRequest
from clinic.ports.erasures import ErasableText
from clinic.ports.job_queue import Job
from clinic.ports.outbox import HandOver, NotificationQuery, NotificationView, OutboxCounts


@dataclass(slots=True)
class _Row:
    message: Message
    next_at: datetime
    state: OutboxState = OutboxState.PENDING
    token: UUID | None = None
    lease_until: datetime | None = None
    attempts: int = 0
    ambiguous: bool = False
    published_at: datetime | None = None
    error: str | None = None

    @property
    def job(self) -> Job:
        waits = self.state is OutboxState.PENDING
        due = self.next_at if waits or self.lease_until is None else self.lease_until
        return Job(self.message.clinic_id, self.message.id, due)


def _reminder_key(message: Message) -> tuple[UUID, UUID | None, str, int]:
    return (message.clinic_id, message.appointment_id, message.kind, message.version)


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryOutbox:
    """Messages that committed changes have caused; `now` is the database's clock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: dict[RowKey, _Row] = {}
        self._seen: set[UUID] = set()
        self._log: dict[RowKey, tuple[Record, datetime]] = {}
        self.now: Callable[[], datetime] = _now

    async def publish(self, hand_over: HandOver, *, limit: int) -> int:
        waiting = [row for row in self._all() if row.published_at is None]
        waiting.sort(key=lambda row: (row.message.created_at, row.message.id))
        batch = waiting[:limit]
        if batch:
            now = self.now()
            for row in batch:
                row.published_at = now
                if row.message.scheduled_for <= row.message.created_at:
                    row.next_at = min(row.next_at, now)
            try:
                await hand_over([row.job for row in batch])
            except BaseException:
                for row in batch:
                    row.published_at = None
                raise
        return len(batch)

    async def published(self, *, after: Job | None, limit: int) -> Sequence[Job]:
        place = (after.clinic_id, after.message_id) if after else None
        rows = [
            row
            for row in self._all()
            if row.published_at is not None and row.state is not OutboxState.DEAD
        ]
        jobs = sorted((row.job for row in rows), key=lambda job: (job.clinic_id, job.message_id))
        beyond = [job for job in jobs if place is None or (job.clinic_id, job.message_id) > place]
        return beyond[:limit]

    async def rescue(self, *, overdue: timedelta, limit: int) -> Sequence[Job]:
        now = self.now()
        found = [
            row
            for row in self._all()
            if row.published_at is not None
            and not now - overdue <= row.published_at <= now
            and (
                (row.state is OutboxState.PENDING and row.next_at < now - overdue)
                or (row.lease_until is not None and row.lease_until < now)
            )
        ][:limit]
        for row in found:
            row.published_at = now
        return [replace(row.job, due_at=now) for row in found]

    async def claim(
        self, clinic_id: UUID, message_id: UUID, *, token: UUID, lease: timedelta
    ) -> Claim | timedelta | None:
        self._all()
        row, now = self._rows.get((clinic_id, message_id)), self.now()
        if row is None or row.state is OutboxState.DEAD:
            return None
        if row.state is OutboxState.PENDING:
            if row.next_at > now:
                return row.next_at - now
        elif row.lease_until is None or row.lease_until > now:
            return None
        interrupted = row.state is OutboxState.SENDING
        row.state, row.token, row.lease_until = OutboxState.CLAIMED, token, now + lease
        row.attempts += 1
        row.ambiguous = row.ambiguous or interrupted
        snapshot = self._snapshot(row.message)
        return Claim(row.message, token, row.attempts, row.ambiguous, interrupted, snapshot, now)

    async def begin_sending(self, claim: Claim, *, lease: timedelta) -> bool:
        row = self._mine(claim)
        if row is None or row.state not in (OutboxState.CLAIMED, OutboxState.SENDING):
            return False
        statuses, message = fitting_statuses(row.message.kind), row.message
        if statuses is not None:
            assert message.appointment_id is not None
            key = (message.clinic_id, message.appointment_id)
            found = self._tables.appointments.get(key)
            if found is None or found.status not in statuses:
                return False
            if found.schedule_version != message.version:
                return False
        row.state, row.lease_until = OutboxState.SENDING, self.now() + lease
        return True

    async def finish(self, claim: Claim, record: Record) -> bool:
        row = self._mine(claim)
        if row is None:
            return False
        self._end(row, record)
        return True

    async def discard(self, claim: Claim) -> bool:
        row = self._mine(claim)
        if row is None:
            return False
        del self._rows[row.message.clinic_id, row.message.id]
        return True

    async def retry_later(
        self,
        claim: Claim,
        *,
        after: timedelta,
        error: str,
        ambiguous: bool,
        attempts: int | None = None,
    ) -> bool:
        row = self._mine(claim)
        if row is None:
            return False
        row.state, row.next_at = OutboxState.PENDING, self.now() + after
        row.attempts = claim.attempts if attempts is None else attempts
        self._let_go(row, error, ambiguous=ambiguous)
        return True

    async def release(self, user_id: UUID) -> int:
        now, found = self.now(), []
        for row in self._all():
            message = row.message
            to_patient = message.user_id is None and recipient_of(self._tables, message) == user_id
            waits = row.state is OutboxState.PENDING and row.next_at > now
            if to_patient and waits and message.scheduled_for <= now:
                found.append(row)
        for row in found:
            row.next_at, row.published_at = now, None
        return len(found)

    async def set_aside(self, claim: Claim, *, error: str, ambiguous: bool) -> bool:
        row = self._mine(claim)
        if row is None:
            return False
        row.state = OutboxState.DEAD
        self._let_go(row, error, ambiguous=ambiguous)
        return True

    def redate_day_sheets(
        self, clinic_id: UUID, times: Callable[[date], tuple[datetime, datetime]]
    ) -> None:
        """Give pending day sheets these times; called when a unit of work commits."""
        for row in self._all():
            message = row.message
            is_sheet = message.clinic_id == clinic_id and message.kind == DAY_SHEET
            if is_sheet and row.state is OutboxState.PENDING:
                due, ends_at = times(date.fromordinal(message.version))
                row.message = replace(message, scheduled_for=due, expires_at=ends_at)
                row.next_at, row.published_at = due, None

    def replace_reminders(
        self,
        clinic_id: UUID,
        appointment_ids: Collection[UUID],
        planned: Sequence[Message],
        now: datetime,
    ) -> None:
        """Make `planned` the reminders of these appointments; called when a unit of work
        commits."""
        wanted = {_reminder_key(message): message for message in planned}
        for row in [*self._all()]:
            message = row.message
            mine = message.clinic_id == clinic_id and message.appointment_id in appointment_ids
            if not mine or message.family != REMINDER:
                continue
            wish = wanted.pop(_reminder_key(message), None)
            if row.state is not OutboxState.PENDING:
                continue
            if wish is not None:
                row.message = replace(message, expires_at=wish.expires_at)
            elif not row.ambiguous and message.scheduled_for > now:
                del self._rows[message.clinic_id, message.id]
        for record, _ in self._log.values():
            wanted.pop(_reminder_key(record.message), None)
        for message in wanted.values():
            self._seen.add(message.id)
            key = (message.clinic_id, message.id)
            self._rows[key] = _Row(message, next_at=message.scheduled_for)

    def revive(self, clinic_id: UUID, message_id: UUID) -> None:
        """Make a dead letter pending again; called when a unit of work commits."""
        row = self._dead(clinic_id, message_id)
        if row is not None:
            row.state, row.next_at, row.attempts = OutboxState.PENDING, self.now(), 0
            row.published_at = None

    def drop(self, clinic_id: UUID, message_id: UUID, reason: str) -> None:
        """Log a dead letter as failed; called when a unit of work commits."""
        row = self._dead(clinic_id, message_id)
        if row is not None:
            self._end(row, _failed(row, reason))

    def forget_addresses(self, user_id: UUID) -> None:
        """Remove the addresses in messages to a person; called when a unit of work commits."""
        for row in self._all():
            if row.message.user_id == user_id:
                row.message = replace(row.message, to_email=None)

    def is_dead(self, clinic_id: UUID, message_id: UUID) -> bool:
        """Return whether this is a dead letter."""
        return self._dead(clinic_id, message_id) is not None

    async def drop_expired(self, *, limit: int) -> int:
        now = self.now()
        dead = [row for row in self._all() if row.state is OutboxState.DEAD]
        gone = [row for row in dead if row.message.expires_at < now][:limit]
        for row in gone:
            self._end(row, _failed(row, row.error or "expired as a dead letter"))
        return len(gone)

    async def list(self, query: NotificationQuery, page: PageRequest) -> Sequence[NotificationView]:
        wanted = (view for view in self._views() if self._is_wanted(view, query))
        return page_of(wanted, page, lambda view: (view.due_at, view.message.id))

    async def get(self, clinic_id: UUID, message_id: UUID) -> NotificationView | None:
        for view in self._views():
            if (view.message.clinic_id, view.message.id) == (clinic_id, message_id):
                return view
        return None

    async def counts(self) -> OutboxCounts:
        rows, now = list(self._all()), self.now()
        due = [row for row in rows if row.state is OutboxState.PENDING and row.next_at <= now]
        flying = {OutboxState.CLAIMED, OutboxState.SENDING}
        return OutboxCounts(
            due=len(due),
            unpublished=sum(row.published_at is None for row in rows),
            in_flight=sum(row.state in flying for row in rows),
            dead=sum(row.state is OutboxState.DEAD for row in rows),
            oldest_due_s=max(((now - row.next_at).total_seconds() for row in due), default=0.0),
        )

    async def day_sheet_times(self, clinic_id: UUID) -> Sequence[tuple[date, datetime]]:
        found = {
            (date.fromordinal(row.message.version), row.message.scheduled_for)
            for row in self._all()
            if row.message.clinic_id == clinic_id
            and row.message.kind == DAY_SHEET
            and row.state is OutboxState.PENDING
        }
        return sorted(found)

    async def preferences(self, clinic_id: UUID, user_id: UUID) -> Preferences:
        return preferences_of(self._tables, clinic_id, user_id)

    @property
    def _tables(self) -> Tables:
        return self._database.tables

    def about(self, user_id: UUID, appointments: Collection[RowKey]) -> set[RowKey]:
        """Return the keys of messages to the user or about these appointments, also in the log."""
        self._all()
        messages = [row.message for row in self._rows.values()]
        messages += [record.message for record, _ in self._log.values()]
        return {
            (one.clinic_id, one.id)
            for one in messages
            if one.user_id == user_id or (one.clinic_id, one.appointment_id) in appointments
        }

    def errors(self, keys: Collection[RowKey]) -> Sequence[ErasableText]:
        """Return the errors in the log of these messages."""
        return [
            ErasableText(Trail.NOTIFICATION, *key, rest="")
            for key, (record, _) in self._log.items()
            if key in keys and record.error not in (None, ERASED)
        ]

    def blank(self, clinic_id: UUID, message_id: UUID) -> None:
        """Replace the error in the log with ERASED."""
        record, at = self._log[clinic_id, message_id]
        self._log[clinic_id, message_id] = (replace(record, error=ERASED), at)

    def clear(self, user_id: UUID, appointments: Collection[RowKey]) -> None:
        """Remove messages that wait for the patient, and the errors of those in the outbox."""
        for key in self.about(user_id, appointments):
            row = self._rows.get(key)
            if row is None:
                continue
            row.error = None
            message = row.message
            to_patient = message.user_id == user_id or (
                message.user_id is None and message.kind != DOCTOR_CHANGE
            )
            if to_patient and row.state in (OutboxState.PENDING, OutboxState.DEAD):
                del self._rows[key]

    def _all(self) -> Iterable[_Row]:
        """Return every message in the outbox, including those of new commits."""
        for message in self._tables.messages.values():
            if message.id not in self._seen:
                self._seen.add(message.id)
                row = _Row(message, message.scheduled_for)
                self._rows[message.clinic_id, message.id] = row
        return list(self._rows.values())

    def _mine(self, claim: Claim) -> _Row | None:
        row = self._rows.get((claim.message.clinic_id, claim.message.id))
        return row if row is not None and row.token == claim.token else None

    def _dead(self, clinic_id: UUID, message_id: UUID) -> _Row | None:
        self._all()
        row = self._rows.get((clinic_id, message_id))
        return row if row is not None and row.state is OutboxState.DEAD else None

    def _let_go(self, row: _Row, error: str, *, ambiguous: bool) -> None:
        row.token = row.lease_until = None
        row.error = error
        row.ambiguous = row.ambiguous or ambiguous

    def _end(self, row: _Row, record: Record) -> None:
        key = (row.message.clinic_id, row.message.id)
        del self._rows[key]
        self._log[key] = (record, self.now())

    def _snapshot(self, message: Message) -> DeliverySnapshot:
        clinic = self._tables.clinics.get(message.clinic_id)
        assert clinic is not None
        appointment = None
        if message.appointment_id is not None:
            key = (message.clinic_id, message.appointment_id)
            appointment = self._tables.appointments.get(key)
        user_id = recipient_of(self._tables, message)
        day = day_of(self._tables, message) if message.kind == DAY_SHEET else ()
        addressee = addressee_of(self._tables, message.clinic_id, user_id)
        lately = self._sent_lately(message, user_id)
        type_id = None if appointment is None else appointment.type_id
        kind = type_id and self._tables.appointment_types.get((clinic.id, type_id))
        instructions = kind.instructions if kind else None
        location = None if appointment is None else location_of(self._tables, appointment)
        return DeliverySnapshot(clinic, addressee, appointment, day, lately, instructions, location)

    def _sent_lately(self, message: Message, user_id: UUID | None) -> int:
        """Return how many messages of this sort the person got within the last hour, up to
        SENT_PER_HOUR_MAX."""
        for sort in (TO_PATIENT_AT_ONCE, TO_DOCTOR_AT_ONCE):
            if message.kind in sort:
                since = self.now() - timedelta(hours=1)
                found = sum(
                    record.status is Outcome.SENT
                    and record.message.kind in sort
                    and record.message.clinic_id == message.clinic_id
                    and finished_at > since
                    and recipient_of(self._tables, record.message) == user_id
                    for record, finished_at in self._log.values()
                )
                return min(found, SENT_PER_HOUR_MAX)
        return 0

    def _views(self) -> Iterable[NotificationView]:
        for row in self._all():
            yield NotificationView(
                row.message,
                row.state,
                row.attempts,
                row.next_at,
                row.ambiguous,
                None,
                row.error,
            )
        for record, finished_at in self._log.values():
            yield NotificationView(
                replace(record.message, channel=record.channel),
                record.status,
                record.attempts,
                finished_at,
                record.maybe_twice,
                record.message_id,
                record.error,
            )

    def _is_wanted(self, view: NotificationView, query: NotificationQuery) -> bool:
        message, scope = view.message, query.scope
        appointment = None
        if message.appointment_id is not None:
            key = (message.clinic_id, message.appointment_id)
            appointment = self._tables.appointments.get(key)
        to_doctor = message.kind == DOCTOR_CHANGE
        patient = None if to_doctor or appointment is None else appointment.patient_id
        doctor = appointment.doctor_id if appointment else None
        return (
            message.clinic_id == scope.clinic_id
            and scope.patient_id in (None, message.user_id or patient)
            and (scope.doctor_id is None or scope.doctor_id in (message.user_id, doctor))
            and query.appointment_id in (None, message.appointment_id)
            and (not query.statuses or view.status in query.statuses)
            and query.family in (None, message.family)
            and (query.due_from is None or view.due_at >= query.due_from)
            and (query.due_before is None or view.due_at < query.due_before)
        )


def _failed(row: _Row, error: str) -> Record:
    return Record(row.message, Outcome.FAILED, row.attempts, row.ambiguous, None, error)
