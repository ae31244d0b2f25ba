"""Erasing a patient in memory."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from uuid import UUID

from clinic.adapters.memory.events import key_of
from clinic.adapters.memory.outbox import MemoryOutbox
from clinic.adapters.memory.tables import Tables
from clinic.adapters.memory.transaction import Database, Transaction
from clinic.domain.appointments.appointments import Appointment
from clinic.domain.audit.audit import ERASE_USER, ERASED, NO_REASON, Action, AuditEntry
from clinic.domain.audit.seals import Trail, TrailRow
from clinic.domain.idempotency import copy_name, erased, is_erased
from clinic.ports.erasures import ErasableText, Erasure

NO_TEXT = (NO_REASON, ERASED)


class MemoryErasureList:
    """Lists the unfinished erasures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unfinished(self, *, limit: int) -> Sequence[Erasure]:
        found = self._database.tables.erasures.values()
        return sorted(found, key=lambda one: (one.erased_at, one.user_id))[:limit]


class MemoryErasures:
    """Erases inside a unit of work."""

    def __init__(self, transaction: Transaction, outbox: MemoryOutbox) -> None:
        self._transaction = transaction
        self._outbox = outbox

    async def texts(self, user_id: UUID) -> Sequence[ErasableText]:
        tables = self._transaction.tables
        await self._wait(user_id)
        about = {(one.clinic_id, one.id) for one in _appointments(tables, user_id)}
        clinics = {profile.clinic_id for profile in tables.patients.where("user", user_id)}
        messages = self._outbox.about(user_id, about)
        found = []
        for entry in tables.audit.values():
            if entry.reason not in NO_TEXT and _is_about(tables, entry, about):
                rest = TrailRow(Trail.APPOINTMENT, 0, asdict(entry)).rest
                found.append(ErasableText(Trail.APPOINTMENT, entry.clinic_id, entry.id, rest))
        for event in tables.events.values():
            named = user_id in (event.patient_id, event.actor_id, event.entity_id)
            thing = (event.clinic_id, event.entity_id)
            if event.reason in NO_TEXT:
                continue
            if (named and event.clinic_id in clinics) or thing in about or thing in messages:
                rest = TrailRow(Trail.EVENT, 0, asdict(event)).rest
                found.append(ErasableText(Trail.EVENT, event.clinic_id, event.id, rest))
        return [*found, *self._outbox.errors(messages)]

    async def blank(self, user_id: UUID, texts: Sequence[ErasableText]) -> None:
        tables = self._transaction.tables
        named = {
            row_id
            for event in tables.events.values()
            if event.action == ERASE_USER and event.entity_id == user_id
            for row_id in event.detail.get("texts", ())
        }
        for text in texts:
            if str(text.row_id) not in named:
                # A bug in the caller; the trigger of a database raises here, too.
                raise RuntimeError(f"{text.trail} is append-only")
            if text.trail is Trail.APPOINTMENT:
                entry = tables.audit.get(text.row_id)
                assert entry is not None
                tables.audit.put(text.row_id, replace(entry, reason=ERASED))
            elif text.trail is Trail.EVENT:
                for event in [one for one in tables.events.values() if one.id == text.row_id]:
                    tables.events.put(key_of(event), replace(event, reason=ERASED))
            else:
                self._transaction.at_merge["blank", text.row_id] = partial(
                    self._outbox.blank, text.clinic_id, text.row_id
                )

    async def clear(self, user_id: UUID) -> Sequence[bytes]:
        tables = self._transaction.tables
        await self._wait(user_id)
        for one in _appointments(tables, user_id):
            if one.type is not None:
                tables.appointments.put((one.clinic_id, one.id), replace(one, type=None))
        for session in list(tables.sessions.where("user", user_id)):
            tables.sessions.remove((session.clinic_id, session.id))
        for key in [key for key, _ in tables.preferences.items() if key[1] == user_id]:
            tables.preferences.remove(key)
        about = frozenset((one.clinic_id, one.id) for one in _appointments(tables, user_id))
        self._transaction.at_merge["clear messages", user_id] = partial(
            self._outbox.clear, user_id, about
        )
        shown = str(user_id).encode()
        gone = [
            (key, stored)
            for key, stored in tables.answers.items()
            if stored.request.principal_id == user_id or shown in stored.answer.body
            if not is_erased(stored)
        ]
        for answered, stored in gone:
            tables.answers.put(answered, erased(stored))
        return [copy_name(stored.request) for _, stored in gone]

    async def remember(self, erasure: Erasure) -> None:
        key = (erasure.clinic_id, erasure.user_id)
        await self._transaction.lock(("erasure", *key))
        known = self._transaction.tables.erasures.get(key)
        copies = (*(known.copies if known else ()), *erasure.copies)
        self._transaction.tables.erasures.put(key, replace(erasure, copies=copies))

    async def finish(self, erasure: Erasure) -> None:
        key = (erasure.clinic_id, erasure.user_id)
        await self._transaction.lock(("erasure", *key))
        if self._transaction.tables.erasures.get(key) == erasure:
            self._transaction.tables.erasures.remove(key)

    async def _wait(self, user_id: UUID) -> None:
        """Lock the patient's appointments, in the order in which others lock them."""
        found = [
            (one.clinic_id, one.id) for one in _appointments(self._transaction.tables, user_id)
        ]
        for key in sorted(found):
            await self._transaction.lock(("appointment", *key))


def _appointments(tables: Tables, user_id: UUID) -> list[Appointment]:
    clinics = [profile.clinic_id for profile in tables.patients.where("user", user_id)]
    return [
        appointment
        for clinic_id in clinics
        for appointment in tables.appointments.where("patient", (clinic_id, user_id))
    ]


def _is_about(tables: Tables, entry: AuditEntry, about: set[tuple[UUID, UUID]]) -> bool:
    if (entry.clinic_id, entry.appointment_id) in about:
        return True
    return entry.action is Action.SWAP and any(
        other.action is Action.SWAP
        and other.at == entry.at
        and (other.from_slot_id, other.to_slot_id) == (entry.to_slot_id, entry.from_slot_id)
        and (other.clinic_id, other.appointment_id) in about
        for other in tables.audit.values()
    )
