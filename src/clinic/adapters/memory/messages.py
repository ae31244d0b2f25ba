"""The outbox inside a unit of work, in memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from clinic.adapters.memory.outbox import MemoryOutbox
from clinic.adapters.memory.transaction import Transaction
from clinic.domain.errors import NotFound
from clinic.domain.messaging.deliveries import Preferences
from clinic.domain.notifications import DAY_SHEET, Message
from clinic.domain.paging import Keyset
from clinic.ports.outbox import ReminderWork


class MemoryMessages:
    """The outbox inside a unit of work."""

    def __init__(self, transaction: Transaction, outbox: MemoryOutbox) -> None:
        self._transaction = transaction
        self._outbox = outbox

    async def add(self, messages: Sequence[Message]) -> None:
        tables = self._transaction.tables
        for message in messages:
            if message.kind == DAY_SHEET and any(
                each.kind == DAY_SHEET
                and (each.clinic_id, each.user_id, each.version)
                == (message.clinic_id, message.user_id, message.version)
                for each in tables.messages.values()
            ):
                continue
            tables.messages.put(message.id, message)

    async def redate_day_sheets(
        self, clinic_id: UUID, times: Callable[[date], tuple[datetime, datetime]]
    ) -> None:
        messages = self._transaction.tables.messages
        for message in [each for each in messages.values() if each.kind == DAY_SHEET]:
            if message.clinic_id == clinic_id:
                due, ends_at = times(date.fromordinal(message.version))
                messages.put(message.id, replace(message, scheduled_for=due, expires_at=ends_at))
        self._transaction.at_merge["day_sheets", clinic_id] = lambda: (
            self._outbox.redate_day_sheets(clinic_id, times)
        )

    async def mark_reminders(self, clinic_id: UUID, changed_at: datetime) -> None:
        await self._transaction.lock(("reminder_work", clinic_id))
        work = ReminderWork(clinic_id, changed_at)
        self._transaction.tables.reminder_work.put(clinic_id, work)

    async def next_reminder_work(self, *, changed_before: datetime) -> ReminderWork | None:
        rows = self._transaction.tables.reminder_work
        found = [work for work in rows.values() if work.changed_at < changed_before]
        for work in sorted(found, key=lambda each: (each.changed_at, each.clinic_id)):
            if self._transaction.can_lock(("reminder_work", work.clinic_id)):
                await self._transaction.lock(("reminder_work", work.clinic_id))
                return work
        return None

    async def advance_reminder_work(self, work: ReminderWork, after: Keyset | None) -> None:
        rows = self._transaction.tables.reminder_work
        if after is None:
            rows.remove(work.clinic_id)
        else:
            rows.put(work.clinic_id, replace(work, after=after))

    async def replace_reminders(
        self,
        clinic_id: UUID,
        appointment_ids: Sequence[UUID],
        planned: Sequence[Message],
        now: datetime,
    ) -> None:
        ids = frozenset(appointment_ids)
        self._transaction.at_merge["reminders", clinic_id, ids] = lambda: (
            self._outbox.replace_reminders(clinic_id, ids, planned, now)
        )

    async def choose(self, clinic_id: UUID, user_id: UUID, preferences: Preferences) -> None:
        tables = self._transaction.tables
        if tables.users.get(user_id) is None or tables.clinics.get(clinic_id) is None:
            self._transaction.fail(NotFound())
        await self._transaction.lock(("preferences", clinic_id, user_id))
        tables.preferences.put((clinic_id, user_id), preferences)

    async def forget_addresses(self, user_id: UUID) -> None:
        messages = self._transaction.tables.messages
        for message in [each for each in messages.values() if each.user_id == user_id]:
            messages.put(message.id, replace(message, to_email=None))
        self._transaction.at_merge["addresses", user_id] = lambda: self._outbox.forget_addresses(
            user_id
        )

    async def revive(self, clinic_id: UUID, message_id: UUID) -> bool:
        return await self._end_death(
            clinic_id, message_id, lambda: self._outbox.revive(clinic_id, message_id)
        )

    async def drop(self, clinic_id: UUID, message_id: UUID, *, reason: str) -> bool:
        return await self._end_death(
            clinic_id, message_id, lambda: self._outbox.drop(clinic_id, message_id, reason)
        )

    async def _end_death(
        self, clinic_id: UUID, message_id: UUID, make_so: Callable[[], None]
    ) -> bool:
        row = ("message", clinic_id, message_id)
        await self._transaction.lock(row)
        if row in self._transaction.at_merge or not self._outbox.is_dead(clinic_id, message_id):
            return False
        self._transaction.at_merge[row] = make_so
        return True
