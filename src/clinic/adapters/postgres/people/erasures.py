"""Erases a patient: removes rows, and blanks texts of the trails."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from clinic.adapters.postgres.engine.executors import Executor, PooledExecutor
from clinic.adapters.postgres.schema import metadata
from clinic.adapters.postgres.schema.rules import ERASABLE
from clinic.domain.audit.audit import ERASED, NO_REASON
from clinic.domain.audit.seals import Trail, TrailRow
from clinic.domain.idempotency import ERASED_FINGERPRINT, IdempotentRequest, copy_name
from clinic.ports.erasures import ErasableText, Erasure

NAME_BYTES = 32

#: the clinics of the patient $1
_CLINICS = "SELECT clinic_id FROM patients_profiles WHERE user_id = $1"
_APPOINTMENTS = f"""
SELECT clinic_id, id FROM appointments WHERE clinic_id IN ({_CLINICS}) AND patient_id = $1
"""
#: messages of one table to the patient, from any clinic, or about one of the appointments
_MESSAGES = f"""
SELECT m.clinic_id, m.id FROM clinics c JOIN {{table}} m ON m.clinic_id = c.id AND m.user_id = $1
UNION ALL
SELECT m.clinic_id, m.id FROM ({_APPOINTMENTS}) a
JOIN {{table}} m ON m.clinic_id = a.clinic_id AND m.appointment_id = a.id
"""
_LOG, _WAITING = (_MESSAGES.format(table=name) for name in ("notification", "notification_outbox"))
# Wait for transactions that are changing these rows; lock by id, as they do. The statements that
# follow see what they wrote.
_LOCKS = (
    f"""
    SELECT 1 FROM appointments WHERE (clinic_id, id) IN ({_APPOINTMENTS})
    ORDER BY clinic_id, id FOR NO KEY UPDATE
    """,
    f"""
    SELECT 1 FROM notification_outbox WHERE (clinic_id, id) IN ({_WAITING})
    ORDER BY clinic_id, id FOR UPDATE
    """,
)
_CLEARED = (
    *_LOCKS,
    f"""
    UPDATE appointments SET type = NULL
    WHERE (clinic_id, id) IN ({_APPOINTMENTS}) AND type IS NOT NULL RETURNING 1
    """,
    "DELETE FROM sessions WHERE user_id = $1 RETURNING 1",
    "DELETE FROM notification_preferences WHERE user_id = $1 RETURNING 1",
    # Nothing more is sent; messages that are being handed over finish by themselves.
    f"""
    DELETE FROM notification_outbox
    WHERE (clinic_id, id) IN ({_WAITING}) AND state IN ('pending', 'dead')
      AND (user_id = $1 OR user_id IS NULL AND kind <> 'doctor_change')
    RETURNING 1
    """,
    f"""
    UPDATE notification_outbox SET last_error = NULL
    WHERE (clinic_id, id) IN ({_WAITING}) AND last_error IS NOT NULL RETURNING 1
    """,
)
# The key is kept as long as others are, or a repeated request would be carried out again.
_ANSWERS = f"""
UPDATE idempotency_keys SET fingerprint = $2, body = '', location = NULL, etag = NULL
WHERE fingerprint <> $2 AND (
    principal_id = $1
    OR clinic_id IN ({_CLINICS}) AND position(convert_to($1::text, 'UTF8') IN body) > 0
)
RETURNING clinic_id, principal_id, key
"""
#: the keys of rows about the patient; written as joins, so that each is looked up by an index
_ABOUT = {
    Trail.APPOINTMENT: f"""
        SELECT t.clinic_id, t.id FROM ({_APPOINTMENTS}) a
        JOIN audit_appointment t ON t.clinic_id = a.clinic_id AND t.appointment_id = a.id
        UNION ALL
        SELECT t.clinic_id, t.id FROM ({_APPOINTMENTS}) a
        JOIN audit_appointment mine ON mine.clinic_id = a.clinic_id AND mine.appointment_id = a.id
        JOIN audit_appointment t ON t.clinic_id = mine.clinic_id AND t.at = mine.at
            AND t.from_slot_id = mine.to_slot_id AND t.to_slot_id = mine.from_slot_id
        WHERE mine.action = 'SWAP' AND t.action = 'SWAP'
    """,
    Trail.EVENT: f"""
        SELECT t.clinic_id, t.id FROM audit_event t
        WHERE t.clinic_id IN ({_CLINICS}) AND t.reason <> '{NO_REASON}'
          AND (t.patient_id = $1 OR t.actor_id = $1 OR t.entity_id = $1)
        UNION ALL
        SELECT t.clinic_id, t.id FROM ({_APPOINTMENTS} UNION ALL {_LOG} UNION ALL {_WAITING}) a
        JOIN audit_event t ON t.clinic_id = a.clinic_id AND t.entity_id = a.id
    """,
    Trail.NOTIFICATION: _LOG,
}
_SAY_WHO = "SELECT set_config('clinic.erasing', $1::text, true)"

_REMEMBER = """
INSERT INTO erasures AS e (clinic_id, user_id, erased_at, copies) VALUES ($1, $2, $3, $4)
ON CONFLICT ON CONSTRAINT erasures_pkey
DO UPDATE SET erased_at = excluded.erased_at, copies = e.copies || excluded.copies
RETURNING 1
"""
_FINISH = """
DELETE FROM erasures WHERE clinic_id = $1 AND user_id = $2 AND erased_at = $3 AND copies = $4
RETURNING 1
"""
_UNFINISHED = """
SELECT clinic_id, user_id, erased_at, copies FROM erasures ORDER BY erased_at, user_id LIMIT $1
"""


class PostgresErasureList:
    """Lists the unfinished erasures."""

    def __init__(self, executor: PooledExecutor) -> None:
        self._executor = executor

    async def unfinished(self, *, limit: int) -> Sequence[Erasure]:
        """Return up to `limit` erasures that are not finished, earliest first."""
        rows = await self._executor.fetch(_UNFINISHED, (limit,))
        return [
            Erasure(clinic_id, user_id, erased_at, _unpacked(bytes(copies)))
            for clinic_id, user_id, erased_at, copies in rows
        ]


class PostgresErasures:
    """Erases inside a unit of work."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def texts(self, user_id: UUID) -> Sequence[ErasableText]:
        """Return every free text about the patient in the trails that is not erased."""
        for statement in _LOCKS:
            await self._run(statement, user_id)
        found = []
        for trail, about in _ABOUT.items():
            columns = [column.name for column in metadata.tables[trail].c]
            names = ", ".join(f"t.{name}" for name in columns)
            query = f"""
                SELECT {names} FROM {trail} t
                WHERE t.{ERASABLE[trail]} <> '{NO_REASON}' AND t.{ERASABLE[trail]} <> '{ERASED}'
                  AND (t.clinic_id, t.id) IN ({about})
            """
            for values in await self._executor.fetch(query, (user_id,)):
                row: dict[str, Any] = dict(zip(columns, values, strict=True))
                rest = TrailRow(trail, row.pop("xid") or 0, row).rest
                found.append(ErasableText(trail, row["clinic_id"], row["id"], rest))
        return found

    async def blank(self, user_id: UUID, texts: Sequence[ErasableText]) -> None:
        """Replace the texts with ERASED; the tables' triggers check for the erasure's events."""
        await self._run(_SAY_WHO, user_id)
        ordered = sorted(texts, key=_place)
        for (trail, clinic_id), rows in groupby(ordered, key=_place):
            text = ERASABLE[trail]
            await self._run(
                f"UPDATE {trail} SET {text} = '{ERASED}', {text}_salt = NULL"
                " WHERE clinic_id = $1 AND id = ANY ($2::uuid[]) RETURNING 1",
                clinic_id,
                [row.row_id for row in rows],
            )

    async def clear(self, user_id: UUID) -> Sequence[bytes]:
        """Remove what the port lists; return the names of the copies of blanked answers."""
        for statement in _CLEARED:
            await self._run(statement, user_id)
        erased = await self._executor.fetch(_ANSWERS, (user_id, ERASED_FINGERPRINT))
        return [
            copy_name(IdempotentRequest(clinic_id, principal_id, key, fingerprint=b""))
            for clinic_id, principal_id, key in erased
        ]

    async def remember(self, erasure: Erasure) -> None:
        """Add to the list; an erasure already listed gains the copies and starts over."""
        await self._run(_REMEMBER, *_values(erasure))

    async def finish(self, erasure: Erasure) -> None:
        """Remove from the list, unless it has changed."""
        await self._run(_FINISH, *_values(erasure))

    async def _run(self, statement: str, *parameters: object) -> None:
        await self._executor.fetch(statement, parameters)


def _place(text: ErasableText) -> tuple[Trail, UUID]:
    return text.trail, text.clinic_id


def _values(erasure: Erasure) -> tuple[object, ...]:
    return erasure.clinic_id, erasure.user_id, erasure.erased_at, b"".join(erasure.copies)


def _unpacked(copies: bytes) -> tuple[bytes, ...]:
    return tuple(copies[at : at + NAME_BYTES] for at in range(0, len(copies), NAME_BYTES))
