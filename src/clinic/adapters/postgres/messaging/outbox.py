"""The outbox in PostgreSQL. The database's clock decides what is due and which leases expired.

Every statement names the clinic, locks a single row or skips locked ones, and never waits for a
booking: the appointment's row is only read.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import insert, text
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as insert_or_keep
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from clinic.adapters.postgres.calendar.locations import location_of
from clinic.adapters.postgres.engine.errors import translated
from clinic.adapters.postgres.engine.executors import Executor, PooledExecutor, driver_of
from clinic.adapters.postgres.engine.mapping import Part
from clinic.adapters.postgres.engine.timeouts import TimedExecutor, within
from clinic.adapters.postgres.messaging.mapping import message_values
from clinic.adapters.postgres.messaging.outbox_statements import (
    ADD_REMINDERS,
    ADVANCE_REMINDER_WORK,
    APPOINTMENT,
    BEGIN_SENDING,
    BEGIN_SENDING_APPOINTMENT,
    BY_INDEX,
    CLAIM,
    COUNTS,
    DAY,
    DAYS_OF_SHEETS,
    DISCARD,
    DROP,
    DROP_EXPIRED,
    END_REMINDER_WORK,
    FINISH,
    FORGET_ADDRESSES,
    LOOKED,
    MARK_REMINDERS,
    NEXT_REMINDER_WORK,
    NOT_DUE,
    PREFERENCES,
    PUBLISH,
    PUBLISHED,
    REDATE_SHEETS,
    RELEASE,
    REMOVE_REMINDERS,
    RESCUE,
    RETRY_LATER,
    REVIVE,
    SET_ASIDE,
    TIMES_OF_SHEETS,
    listing,
)
from clinic.adapters.postgres.people.mapping import whole_clinic_of
from clinic.adapters.postgres.schema.messaging import notification_outbox, notification_preferences
from clinic.domain.appointments.appointments import Appointment
from clinic.domain.calendar.availability import day_interval
from clinic.domain.messaging.deliveries import (
    Addressee,
    Claim,
    DeliverySnapshot,
    OutboxState,
    Outcome,
    Preferences,
    Record,
    fitting_statuses,
)
from clinic.domain.notifications import DAY_SHEET, EMAIL, REMINDER, Message
from clinic.domain.paging import Keyset, PageRequest
from clinic.domain.status import Status
from clinic.ports.job_queue import Job
from clinic.ports.outbox import (
    HandOver,
    NotificationQuery,
    NotificationView,
    OutboxCounts,
    ReminderWork,
)

Row = Sequence[Any]

NIL = UUID(int=0)
_STATES = frozenset(state.value for state in OutboxState)


class PostgresOutbox:
    """Messages under way and the log of finished ones."""

    def __init__(
        self, executor: PooledExecutor, engine: AsyncEngine, *, answer_timeout_s: float
    ) -> None:
        self._executor = TimedExecutor(executor, answer_timeout_s)
        self._engine = engine
        self._timeout_s = answer_timeout_s

    async def publish(self, hand_over: HandOver, *, limit: int) -> int:
        with translated():
            async with within(self._timeout_s), self._engine.begin() as connection:
                jobs = await _jobs_by_index(connection, PUBLISH, (limit,))
                if jobs:
                    # Before the commit: after a crash in between they are handed over once more.
                    await hand_over(jobs)
                return len(jobs)

    async def published(self, *, after: Job | None, limit: int) -> Sequence[Job]:
        place = (after.clinic_id, after.message_id) if after else (NIL, NIL)
        with translated():
            async with within(self._timeout_s), self._engine.begin() as connection:
                return await _jobs_by_index(connection, PUBLISHED, (*place, limit))

    async def rescue(self, *, overdue: timedelta, limit: int) -> Sequence[Job]:
        return [Job(*row) for row in await self._executor.fetch(RESCUE, (overdue, limit))]

    async def claim(
        self, clinic_id: UUID, message_id: UUID, *, token: UUID, lease: timedelta
    ) -> Claim | timedelta | None:
        rows = await self._executor.fetch(CLAIM, (clinic_id, message_id, token, lease))
        if not rows:
            later = await self._executor.fetch(NOT_DUE, (clinic_id, message_id))
            return later[0][0] if later else None
        claim = _claim_of(clinic_id, message_id, token, rows[0])
        if claim.message.kind != DAY_SHEET:
            return claim
        return await self._with_day(claim)

    async def _with_day(self, claim: Claim) -> Claim:
        """Return the claim of a day sheet with that day's appointments."""
        message, snapshot = claim.message, claim.snapshot
        day = day_interval(date.fromordinal(message.version), snapshot.clinic.zone)
        rows = await self._executor.fetch(
            DAY, (message.clinic_id, message.user_id, day.starts_at, day.ends_at)
        )
        found = tuple((starts_at, ends_at) for starts_at, ends_at in rows)
        return replace(claim, snapshot=replace(snapshot, day=found))

    async def begin_sending(self, claim: Claim, *, lease: timedelta) -> bool:
        message = claim.message
        parameters: list[Any] = [message.clinic_id, message.id, claim.token, lease]
        statuses = fitting_statuses(message.kind)
        if statuses is None:
            return bool(await self._executor.execute(BEGIN_SENDING, parameters))
        parameters.append([status.value for status in statuses])
        return bool(await self._executor.execute(BEGIN_SENDING_APPOINTMENT, parameters))

    async def finish(self, claim: Claim, record: Record) -> bool:
        message = claim.message
        parameters = (
            message.clinic_id,
            message.id,
            claim.token,
            record.status.value,
            record.channel,
            record.attempts,
            record.maybe_twice,
            record.message_id,
            record.error,
        )
        return bool(await self._executor.execute(FINISH, parameters))

    async def discard(self, claim: Claim) -> bool:
        message = claim.message
        key = (message.clinic_id, message.id, claim.token)
        return bool(await self._executor.execute(DISCARD, key))

    async def retry_later(
        self,
        claim: Claim,
        *,
        after: timedelta,
        error: str,
        ambiguous: bool,
        attempts: int | None = None,
    ) -> bool:
        message = claim.message
        tried = claim.attempts if attempts is None else attempts
        key = (message.clinic_id, message.id, claim.token)
        parameters = (*key, after, error, ambiguous, tried)
        return bool(await self._executor.execute(RETRY_LATER, parameters))

    async def release(self, user_id: UUID) -> int:
        return len(await self._executor.fetch(RELEASE, (user_id,)))

    async def set_aside(self, claim: Claim, *, error: str, ambiguous: bool) -> bool:
        message = claim.message
        parameters = (message.clinic_id, message.id, claim.token, error, ambiguous)
        return bool(await self._executor.execute(SET_ASIDE, parameters))

    async def drop_expired(self, *, limit: int) -> int:
        return len(await self._executor.execute(DROP_EXPIRED, (limit,)))

    async def list(self, query: NotificationQuery, page: PageRequest) -> Sequence[NotificationView]:
        asked = {
            "patient": query.scope.patient_id,
            "doctor": query.scope.doctor_id,
            "appointment": query.appointment_id,
            "statuses": [status.value for status in query.statuses] or None,
            "kind": _pattern(query.family) if query.family else None,
            "from": query.due_from,
            "before": query.due_before,
        }
        filters = {name: value for name, value in asked.items() if value is not None}
        after = page.after
        backwards = after is not None and after.backwards
        place = (after.at, after.id) if after else ()
        rows = await self._executor.fetch(
            listing(tuple(filters), after=after is not None, backwards=backwards),
            (query.scope.clinic_id, page.one_more, *filters.values(), *place),
        )
        views = [_view_of(query.scope.clinic_id, row) for row in rows]
        return views[::-1] if backwards else views

    async def get(self, clinic_id: UUID, message_id: UUID) -> NotificationView | None:
        rows = await self._executor.fetch(listing(("id",)), (clinic_id, 1, message_id))
        return _view_of(clinic_id, rows[0]) if rows else None

    async def counts(self) -> OutboxCounts:
        due, unpublished, in_flight, dead, oldest = (await self._executor.fetch(COUNTS, ()))[0]
        return OutboxCounts(due, unpublished, in_flight, dead, float(oldest))

    async def day_sheet_times(self, clinic_id: UUID) -> Sequence[tuple[date, datetime]]:
        rows = await self._executor.fetch(TIMES_OF_SHEETS, (clinic_id,))
        return [(date.fromordinal(day), due) for day, due in rows]

    async def preferences(self, clinic_id: UUID, user_id: UUID) -> Preferences:
        rows = await self._executor.fetch(PREFERENCES, (clinic_id, user_id))
        return _preferences(*rows[0]) if rows else Preferences()


async def _jobs_by_index(
    connection: AsyncConnection, query: str, parameters: Sequence[object]
) -> list[Job]:
    """Return the jobs of a query that must use indexes, whatever the planner's statistics say."""
    driver = await driver_of(connection)
    async with psycopg.AsyncRawCursor(driver) as cursor:
        await cursor.execute(BY_INDEX)
        await cursor.execute(query, parameters, binary=True)
        return [Job(*row) for row in await cursor.fetchall()]


def _claim_of(clinic_id: UUID, message_id: UUID, token: UUID, row: Row) -> Claim:
    claimed, clinic, contact, appointment, location, addressee, now = LOOKED.parts(row)
    appointment_id, user_id, kind, channel, version, scheduled_for, expires_at, *rest = claimed
    created_at, attempts, ambiguous, interrupted, issued_by, to_email = rest
    message = Message(
        message_id,
        clinic_id,
        appointment_id,
        kind,
        version,
        scheduled_for,
        expires_at,
        created_at,
        channel,
        user_id,
        issued_by,
        to_email,
    )
    sent_lately, claimed_at, instructions = now
    snapshot = DeliverySnapshot(
        whole_clinic_of(clinic_id, clinic, contact),
        _addressee(addressee),
        _appointment(clinic_id, message, appointment),
        sent_lately=sent_lately,
        instructions=instructions,
        location=location_of(location),
    )
    return Claim(message, token, attempts, ambiguous, interrupted, snapshot, claimed_at)


def _appointment(clinic_id: UUID, message: Message, part: Part) -> Appointment | None:
    found = APPOINTMENT.named(part)
    if message.appointment_id is None or found["slot_id"] is None:
        return None
    found["status"] = Status(found["status"])
    return Appointment(id=message.appointment_id, clinic_id=clinic_id, **found)


def _addressee(part: Part) -> Addressee | None:
    user_id, name, email, phone, is_disabled, password_hash, link_version, *rest = part
    verified, unproven, language, channel, opted_out = rest
    if user_id is None or is_disabled:
        return None
    chosen = _preferences(language, channel, opted_out)
    return Addressee(
        user_id, name, email, phone, chosen, password_hash, link_version, verified, unproven
    )


def _preferences(
    language: str, channel: str | None, opted_out: Sequence[str] | None
) -> Preferences:
    """Return the chosen preferences; without a choice, only the clinic's language is given."""
    return Preferences(language, channel or EMAIL, frozenset(opted_out or ()))


def _choosing(clinic_id: UUID, user_id: UUID, preferences: Preferences) -> Insert:
    """Return the statement that stores the choice."""
    chosen = {
        "language": preferences.language,
        "channel": preferences.channel,
        "opted_out": sorted(preferences.opted_out),
    }
    row = insert_or_keep(notification_preferences).values(
        clinic_id=clinic_id, user_id=user_id, **chosen
    )
    return row.on_conflict_do_update(constraint="notification_preferences_pkey", set_=chosen)


def _view_of(clinic_id: UUID, row: Row) -> NotificationView:
    message_id, appointment_id, user_id, kind, channel, version, scheduled_for, *rest = row
    expires_at, created_at, status, attempts, _, at, maybe_twice, sent_as, error = rest
    message = Message(
        message_id,
        clinic_id,
        appointment_id,
        kind,
        version,
        scheduled_for,
        expires_at,
        created_at,
        channel,
        user_id,
    )
    state = OutboxState(status) if status in _STATES else Outcome(status)
    return NotificationView(message, state, attempts, at, maybe_twice, sent_as, error)


def _pattern(family: str) -> str:
    escaped = family.replace("_", r"\_")
    return rf"{escaped}\_%" if family == REMINDER else escaped


class PostgresMessages:
    """The outbox inside a unit of work."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add(self, messages: Sequence[Message]) -> None:
        sheets = [message_values(each) for each in messages if each.kind == DAY_SHEET]
        others = [
            message_values(each) | {"issued_by": each.issued_by, "to_email": each.to_email}
            for each in messages
            if each.kind != DAY_SHEET
        ]
        async with self._executor.connection() as connection:
            if sheets:
                await connection.execute(
                    insert_or_keep(notification_outbox).on_conflict_do_nothing(
                        index_elements=["clinic_id", "user_id", "version"],
                        index_where=text("kind = 'day_sheet'"),
                    ),
                    sheets,
                )
            if others:
                await connection.execute(insert(notification_outbox), others)

    async def redate_day_sheets(
        self, clinic_id: UUID, times: Callable[[date], tuple[datetime, datetime]]
    ) -> None:
        days = [row[0] for row in await self._executor.fetch(DAYS_OF_SHEETS, (clinic_id,))]
        dues = [times(date.fromordinal(day)) for day in days]
        if days:
            values = (clinic_id, days, [due for due, _ in dues], [end for _, end in dues])
            await self._executor.fetch(REDATE_SHEETS, values)

    async def mark_reminders(self, clinic_id: UUID, changed_at: datetime) -> None:
        await self._executor.fetch(MARK_REMINDERS, (clinic_id, changed_at))

    async def next_reminder_work(self, *, changed_before: datetime) -> ReminderWork | None:
        rows = await self._executor.fetch(NEXT_REMINDER_WORK, (changed_before,))
        if not rows:
            return None
        clinic_id, changed_at, after_at, after_id = rows[0]
        after = None if after_at is None else Keyset(after_at, after_id)
        return ReminderWork(clinic_id, changed_at, after)

    async def advance_reminder_work(self, work: ReminderWork, after: Keyset | None) -> None:
        if after is None:
            await self._executor.fetch(END_REMINDER_WORK, (work.clinic_id,))
        else:
            values = (work.clinic_id, after.at, after.id)
            await self._executor.fetch(ADVANCE_REMINDER_WORK, values)

    async def replace_reminders(
        self,
        clinic_id: UUID,
        appointment_ids: Sequence[UUID],
        planned: Sequence[Message],
        now: datetime,
    ) -> None:
        about = [each.appointment_id for each in planned]
        kinds, versions = [each.kind for each in planned], [each.version for each in planned]
        await self._executor.fetch(
            REMOVE_REMINDERS, (clinic_id, list(appointment_ids), now, about, kinds, versions)
        )
        await self._executor.fetch(
            ADD_REMINDERS,
            (
                clinic_id,
                now,
                [each.id for each in planned],
                about,
                kinds,
                [each.channel for each in planned],
                versions,
                [each.scheduled_for for each in planned],
                [each.expires_at for each in planned],
            ),
        )

    async def choose(self, clinic_id: UUID, user_id: UUID, preferences: Preferences) -> None:
        async with self._executor.connection() as connection:
            await connection.execute(_choosing(clinic_id, user_id, preferences))

    async def forget_addresses(self, user_id: UUID) -> None:
        await self._executor.fetch(FORGET_ADDRESSES, (user_id,))

    async def revive(self, clinic_id: UUID, message_id: UUID) -> bool:
        return bool(await self._executor.fetch(REVIVE, (clinic_id, message_id)))

    async def drop(self, clinic_id: UUID, message_id: UUID, *, reason: str) -> bool:
        return bool(await self._executor.fetch(DROP, (clinic_id, message_id, reason)))
