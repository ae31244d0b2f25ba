"""The audit log: both trails as one list, and events that belong to no change."""

from collections.abc import Sequence

import msgspec
import psycopg

from clinic.adapters.postgres.audit.mapping import event_facts
from clinic.adapters.postgres.engine.executors import PooledExecutor, Row
from clinic.domain.audit.audit import AuditEvent
from clinic.domain.errors import AlreadyExists, InvalidInput, TransactionAborted
from clinic.domain.paging import PageRequest
from clinic.domain.people.people import Role
from clinic.ports.audit import EventQuery

_EVENTS = """
SELECT id, clinic_id, at, actor_id, actor_role, action, entity, entity_id, reason, detail, outcome,
       patient_id, request_id, ip, session_id
FROM audit_event WHERE clinic_id = $1{filters}
"""
_CHANGES = """
SELECT t.id, t.clinic_id, t.at, t.actor_id, t.actor_role, t.action, 'appointment',
       t.appointment_id, t.reason,
       jsonb_build_object('from', t.from_status, 'to', t.to_status, 'version', t.version), 'done',
       a.patient_id, t.request_id, t.ip, t.session_id
FROM audit_appointment t
LEFT JOIN appointments a ON a.clinic_id = t.clinic_id AND a.id = t.appointment_id
WHERE t.clinic_id = $1{filters}
"""
#: columns and their types
_COLUMNS = {
    "id": "uuid",
    "clinic_id": "uuid",
    "at": "timestamptz",
    "actor_id": "uuid",
    "actor_role": "text",
    "action": "text",
    "entity": "text",
    "entity_id": "uuid",
    "patient_id": "uuid",
    "reason": "text",
    "outcome": "text",
    "detail": "jsonb",
    "request_id": "text",
    "ip": "text",
    "session_id": "uuid",
}
_RECORD = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
# One prepared statement for any number of events; $1 is a JSON array of rows.
_APPEND = f"""
WITH written AS (
    INSERT INTO audit_event ({", ".join(_COLUMNS)})
    SELECT {", ".join(_COLUMNS)} FROM jsonb_to_recordset($1::jsonb) AS e ({_RECORD}) RETURNING 1
)
SELECT count(*) FROM written
"""

_VALUES = ", ".join(f"{{0}}.{name}" for name in _COLUMNS)
# The same when some events exist already. Returns how many of those differ, in which case nothing
# is written, and how many neither existed nor were written, since another transaction writes them.
_APPEND_AGAIN = f"""
WITH asked AS MATERIALIZED (
    SELECT {", ".join(_COLUMNS)} FROM jsonb_to_recordset($1::jsonb) AS e ({_RECORD})
),
there AS MATERIALIZED (
    SELECT ({_VALUES.format("a")}) IS NOT DISTINCT FROM ({_VALUES.format("e")}) AS same
    FROM asked a
    JOIN audit_event e ON e.clinic_id = a.clinic_id AND e.id = a.id AND e.at = a.at
),
written AS (
    INSERT INTO audit_event ({", ".join(_COLUMNS)})
    SELECT {", ".join(_COLUMNS)} FROM asked
    WHERE NOT EXISTS (SELECT FROM there WHERE NOT same)
    ON CONFLICT (clinic_id, id, at) DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM there WHERE NOT same),
       (SELECT count(*) FROM asked) - (SELECT count(*) FROM there) - (SELECT count(*) FROM written)
"""
#: how often to try to append events that another connection is writing at the same time
APPEND_ATTEMPTS = 3

# Values in details that JSON does not know become text, as in event_values.
_encode = msgspec.json.Encoder(enc_hook=str).encode


class PostgresAuditLog:
    """Reads both trails, and appends events."""

    def __init__(self, executor: PooledExecutor) -> None:
        self._executor = executor

    async def events(self, query: EventQuery, page: PageRequest) -> Sequence[AuditEvent]:
        """Return at most `page.one_more` events, latest first, beyond `page.after`."""
        parameters: list[object] = [query.clinic_id]
        backwards = page.after is not None and page.after.backwards
        events = _EVENTS.format(filters=_filters(query, page, parameters, prefix=""))
        # The same filters with the same parameter numbers.
        changes = _CHANGES.format(filters=_filters(query, page, [query.clinic_id], prefix="t."))
        direction = "" if backwards else " DESC"
        parameters.append(page.one_more)
        order = f"ORDER BY at{direction}, id{direction} LIMIT ${len(parameters)}"
        # Order and limit each part, too, so that each reads no more than a page of its index.
        union = " UNION ALL ".join(f"({part} {order})" for part in (events, changes))
        rows = await self._executor.fetch(f"SELECT * FROM ({union}) found {order}", parameters)
        found = [_event_of(row) for row in rows]
        return found[::-1] if backwards else found

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Append events, all or none; leave those that exist already unchanged.

        Raises AlreadyExists, InvalidInput, TemporaryFailure, OutcomeUnknown.
        """
        rows = _rows_of(events)
        try:
            await self._executor.execute(_APPEND, (rows,))
        except AlreadyExists:
            await self._append_again(events, rows)
        except (psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded) as error:
            raise InvalidInput("An event breaks a rule of the database.") from error

    async def _append_again(self, events: Sequence[AuditEvent], rows: str) -> None:
        known: dict[object, AuditEvent] = {}
        for event in events:
            if known.setdefault((event.clinic_id, event.id, event.at), event) != event:
                raise AlreadyExists()
        for _ in range(APPEND_ATTEMPTS):
            ((different, missing),) = await self._executor.execute(_APPEND_AGAIN, (rows,))
            if different:
                raise AlreadyExists()
            if not missing:
                return
        raise TransactionAborted()


def _rows_of(events: Sequence[AuditEvent]) -> str:
    """Return the rows as JSON. Raises InvalidInput for what JSON cannot hold."""
    try:
        rows = [{**event_facts(each), "detail": dict(each.detail)} for each in events]
        return _encode(rows).decode()
    except (msgspec.MsgspecError, AttributeError, RecursionError, TypeError, ValueError) as error:
        raise InvalidInput("An event contains something that JSON cannot.") from error


def _filters(query: EventQuery, page: PageRequest, parameters: list[object], *, prefix: str) -> str:
    """Return the conditions, and append their values to `parameters`."""
    own = prefix == ""
    names = {
        "entity_id": "entity_id" if own else "t.appointment_id",
        "patient_id": "patient_id" if own else "a.patient_id",
    }
    conditions: list[tuple[str, object, str]] = [
        (f"{prefix}actor_id =", query.actor_id, "uuid"),
        (f"{names['patient_id']} =", query.patient_id, "uuid"),
        (f"{names['entity_id']} =", query.entity_id, "uuid"),
        (f"{prefix}action =", query.action, "text"),
        (f"{prefix}at >=", query.at_from, "timestamptz"),
        (f"{prefix}at <", query.at_before, "timestamptz"),
    ]
    # A change of an appointment is recorded only if it was done.
    conditions.append(("outcome =" if own else "'done' =", query.outcome, "text"))
    made = ""
    for left, value, kind in conditions:
        if value is not None:
            parameters.append(value)
            made += f" AND {left} ${len(parameters)}::{kind}"
    if query.person_id is not None:
        parameters.append(query.person_id)
        people = (f"{prefix}actor_id", names["patient_id"], names["entity_id"])
        made += f" AND ${len(parameters)}::uuid IN ({', '.join(people)})"
    if page.after is not None:
        sign = ">" if page.after.backwards else "<"
        parameters += [page.after.at, page.after.id]
        place = f"(${len(parameters) - 1}::timestamptz, ${len(parameters)}::uuid)"
        made += f" AND ({prefix}at, {prefix}id) {sign} {place}"
    return made


def _event_of(row: Row) -> AuditEvent:
    values = list(row)
    values[4] = Role(values[4])
    return AuditEvent(*values)
