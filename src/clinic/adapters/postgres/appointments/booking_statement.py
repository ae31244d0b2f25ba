"""Booking's write: statements for one booking and for several, and their parameters.

All are one template. They differ in where the bookings come from, and in how many slots each takes:
its own, or every slot that it lasts into. A test checks every column named here against the schema.
"""

from collections.abc import Sequence

from clinic.domain.appointments.appointments import Booking

#: the columns of a booking and their types, in the order of `_values`
_COLUMNS = {
    "clinic_id": "uuid",
    "slot_id": "uuid",
    "doctor_id": "uuid",
    "starts_at": "timestamptz",
    "ends_at": "timestamptz",
    "busy_until": "timestamptz",
    "id": "uuid",
    "patient_id": "uuid",
    "type": "text",
    "type_id": "uuid",
    "status": "text",
    "version": "int",
    "schedule_version": "int",
    "status_by": "uuid",
    "created_at": "timestamptz",
    "audit_id": "uuid",
    "at": "timestamptz",
    "actor_id": "uuid",
    "actor_role": "text",
    "action": "text",
    "reason": "text",
    "request_id": "text",
    "ip": "text",
    "session_id": "uuid",
    "principal_id": "uuid",
    "key": "text",
    "fingerprint": "bytea",
    "answer_status": "int",
    "body": "bytea",
    "location": "text",
    "etag": "text",
    "answered_at": "timestamptz",
}
#: the columns of a message, in the order of `_columns`, without the number of its booking
_MESSAGE_COLUMNS = {
    "id": "uuid",
    "kind": "text",
    "channel": "text",
    "version": "int",
    "due": "timestamptz",
    "expires_at": "timestamptz",
    "created_at": "timestamptz",
}

#: All or nothing for each booking: it is written if its slots are open and free, the first still
#: has the same doctor and start, and the patient is open. It keeps no time free before it. A
#: transaction that disables the patient waits for the lock on the profile, which is stronger than
#: the foreign key's. Never use ON CONFLICT here: it would book a slot twice.
_RESERVE = """
{slots_taken},
a AS (
    INSERT INTO appointments (clinic_id, id, slot_id, doctor_id, patient_id, starts_at, ends_at,
                              lane, busy_from, busy_until, type, type_id, status, version,
                              schedule_version, status_by, created_at, updated_at)
    SELECT w.clinic_id, {id}, w.slot_id, w.doctor_id, {patient_id}, w.starts_at, {ends_at},
           w.lane, w.starts_at, {busy_until}, {type}, {type_id}, {status}, {version},
           {schedule_version}, {status_by}, {created_at}, {created_at}
    FROM s w
    RETURNING clinic_id, id, slot_id, status, version
),
au AS (
    INSERT INTO audit_appointment (clinic_id, id, appointment_id, at, actor_id, actor_role, action,
                                   to_status, to_slot_id, version, reason, request_id, ip,
                                   session_id)
    SELECT w.clinic_id, {audit_id}, w.id, {at}, {actor_id}, {actor_role}, {action}, w.status,
           w.slot_id, w.version, {reason}, {request_id}, {ip}, {session_id}
    FROM {written} w
),
o AS (
    INSERT INTO notification_outbox (clinic_id, id, appointment_id, kind, channel, version,
                                     scheduled_for, next_at, expires_at, created_at)
    SELECT w.clinic_id, m.id, w.id, m.kind, m.channel, m.version, m.due, m.due, m.expires_at,
           m.created_at
    FROM {written} w JOIN unnest({message_arrays}) AS m ({message_columns}) ON {whose_message}
),
i AS (
    INSERT INTO idempotency_keys (clinic_id, principal_id, key, fingerprint, status, body, location,
                                  etag, created_at)
    SELECT w.clinic_id, {principal_id}, {key}, {fingerprint}, {answer_status}, {body}, {location},
           {etag}, {answered_at}
    FROM {written} w WHERE {key} IS NOT NULL
)
SELECT {returned} FROM {written} w
"""

_ONE_SLOT = """
WITH s AS (
    UPDATE slots SET taken = true
    FROM (
        SELECT FROM patients_profiles
        WHERE clinic_id = {clinic_id} AND user_id = {patient_id}
          AND ended_at IS NULL AND disabled_at IS NULL
        FOR SHARE
    ) patient
    WHERE clinic_id = {clinic_id} AND id = {slot_id} AND state = 'OPEN' AND NOT taken
      AND doctor_id = {doctor_id} AND starts_at = {starts_at} AND ends_at >= {busy_until}
    RETURNING clinic_id, id AS slot_id, doctor_id, starts_at, lane
)"""

# A booking that waited for a lock would hold up the whole batch, so locked rows are skipped.
# Looking up the locked row by its ctid leaves the planner a single plan, whatever it assumes about
# the table's size.
_MANY_SLOTS = """
WITH s AS (
    UPDATE slots SET taken = true
    FROM unnest({arrays}) WITH ORDINALITY AS b ({columns}, number),
         LATERAL (
             SELECT t.ctid AS place FROM slots t
             WHERE t.clinic_id = b.clinic_id AND t.id = b.slot_id
               AND t.state = 'OPEN' AND NOT t.taken
               AND t.doctor_id = b.doctor_id AND t.starts_at = b.starts_at
               AND t.ends_at >= b.busy_until
             FOR NO KEY UPDATE SKIP LOCKED
         ) held,
         LATERAL (
             SELECT FROM patients_profiles p
             WHERE p.clinic_id = b.clinic_id AND p.user_id = b.patient_id
               AND p.ended_at IS NULL AND p.disabled_at IS NULL
             FOR SHARE SKIP LOCKED
         ) patient
    WHERE slots.ctid = held.place
    RETURNING b.*, slots.lane
)"""

# Every slot of the lane from the booking's start to its end is locked, whatever its state, so that
# none is missed that another transaction frees, takes, blocks or retires. The slots of one lane do
# not overlap, so those that follow each other without a gap are all there are.
_SLOTS_BENEATH = """
WITH patient AS MATERIALIZED (
    SELECT 1 FROM patients_profiles
    WHERE clinic_id = {clinic_id} AND user_id = {patient_id}
      AND ended_at IS NULL AND disabled_at IS NULL
    FOR SHARE
),
held AS MATERIALIZED (
    SELECT id, starts_at, ends_at, lane, location_id, state = 'OPEN' AND NOT taken AS is_free
    FROM slots
    WHERE clinic_id = {clinic_id} AND doctor_id = {doctor_id}
      AND starts_at >= {starts_at} AND starts_at < {ends_at}
      AND calendar_lane = (
          SELECT lane FROM slots WHERE clinic_id = {clinic_id} AND id = {slot_id}
      )
      AND EXISTS (SELECT FROM patient)
    ORDER BY id FOR NO KEY UPDATE
),
fitting AS MATERIALIZED (
    SELECT min(lane) AS lane, count(*) AS slots FROM held
    HAVING bool_and(is_free) AND bool_or(id = {slot_id} AND starts_at = {starts_at})
       AND {is_whole}
),
t AS (
    UPDATE slots SET taken = true FROM fitting, held
    WHERE slots.clinic_id = {clinic_id} AND slots.id = held.id
    RETURNING slots.id
),
s AS MATERIALIZED (
    SELECT {clinic_id} AS clinic_id, {slot_id} AS slot_id, {doctor_id} AS doctor_id,
           {starts_at} AS starts_at, lane
    FROM fitting WHERE {took_all}
)"""

# The same for several. Of those that share a slot, the first may have it; the others are left out,
# as are bookings of which a slot is locked, or was changed since the statement began: a row found
# by its ctid is one that the statement sees.
_MANY_SLOTS_BENEATH = """
WITH b AS MATERIALIZED (
    SELECT * FROM unnest({arrays}) WITH ORDINALITY AS b ({columns}, number)
),
held AS MATERIALIZED (
    SELECT b.number, z.*
    FROM b,
         LATERAL (
             SELECT FROM patients_profiles p
             WHERE p.clinic_id = b.clinic_id AND p.user_id = b.patient_id
               AND p.ended_at IS NULL AND p.disabled_at IS NULL
             FOR SHARE SKIP LOCKED
         ) patient,
         LATERAL (
             SELECT t.id, t.starts_at, t.ends_at, t.lane, t.location_id, t.ctid AS place
             FROM slots t
             WHERE t.clinic_id = b.clinic_id AND t.doctor_id = b.doctor_id
               AND t.starts_at >= b.starts_at AND t.starts_at < b.ends_at
               AND t.state = 'OPEN' AND NOT t.taken
               AND t.calendar_lane = (
                   SELECT lane FROM slots WHERE clinic_id = b.clinic_id AND id = b.slot_id
               )
             FOR NO KEY UPDATE SKIP LOCKED
         ) z,
         LATERAL (SELECT FROM slots v WHERE v.ctid = z.place) seen
),
fitting AS MATERIALIZED (
    SELECT b.number, min(lane) AS lane, count(*) AS slots
    FROM (SELECT *, min(number) OVER (PARTITION BY id) AS first FROM held) h JOIN b USING (number)
    GROUP BY b.number, b.slot_id, b.starts_at, b.ends_at
    HAVING bool_and(h.first = b.number)
       AND bool_or(h.id = b.slot_id AND h.starts_at = b.starts_at) AND {is_whole}
),
t AS (
    UPDATE slots SET taken = true
    FROM fitting JOIN held USING (number) WHERE slots.ctid = held.place
    RETURNING number
),
s AS MATERIALIZED (
    SELECT b.*, fitting.lane FROM fitting JOIN b USING (number) WHERE {took_all}
)"""

_IS_WHOLE = """max({h}ends_at) >= {until}
       AND count(DISTINCT {h}location_id) + bool_or({h}location_id IS NULL)::int = 1
       AND sum({h}ends_at - {h}starts_at) = max({h}ends_at) - min({h}starts_at)"""
# An error in place of a slot that is taken and belongs to no appointment.
_TOOK_ALL = "1 / CASE WHEN (SELECT count(*) FROM t{where}) = fitting.slots THEN 1 ELSE 0 END = 1"

_PLACES = {name: f"${number}::{kind}" for number, (name, kind) in enumerate(_COLUMNS.items(), 1)}
_ARRAYS = [
    f"${number}::{kind}[]"
    for number, kind in enumerate([*_COLUMNS.values(), *_MESSAGE_COLUMNS.values()], 1)
]
_MESSAGE_ARRAYS = _ARRAYS[len(_COLUMNS) :]

_ONE = {
    "message_arrays": ", ".join(_MESSAGE_ARRAYS),
    "message_columns": ", ".join(_MESSAGE_COLUMNS),
    "whose_message": "true",
    "written": "a",
    "returned": "1",
    **_PLACES,
}
_MANY = {
    "message_arrays": ", ".join([*_MESSAGE_ARRAYS, f"${len(_ARRAYS) + 1}::int[]"]),
    "message_columns": ", ".join([*_MESSAGE_COLUMNS, "number"]),
    "whose_message": "m.number = w.number",
    "written": "s",
    "returned": "w.number",
    **{name: f"w.{name}" for name in _COLUMNS},
}
_BOOKINGS = {"arrays": ", ".join(_ARRAYS[: len(_COLUMNS)]), "columns": ", ".join(_COLUMNS)}

#: returns one row if the booking, which needs its own slot alone, was written
RESERVE = _RESERVE.format(slots_taken=_ONE_SLOT.format(**_PLACES), **_ONE)

#: The same for several, each parameter an array; returns the numbers, from 1, of those written.
#: If one breaks a constraint, none is written; one whose slot is locked or not free is left out.
RESERVE_MANY = _RESERVE.format(slots_taken=_MANY_SLOTS.format(**_BOOKINGS), **_MANY)

#: as RESERVE, for a booking without time before and after it that lasts into further slots
RESERVE_LONG = _RESERVE.format(
    slots_taken=_SLOTS_BENEATH.format(
        is_whole=_IS_WHOLE.format(h="", until=_PLACES["ends_at"]),
        took_all=_TOOK_ALL.format(where=""),
        **_PLACES,
    ),
    **_ONE,
)

#: as RESERVE_MANY, for such bookings
RESERVE_MANY_LONG = _RESERVE.format(
    slots_taken=_MANY_SLOTS_BENEATH.format(
        is_whole=_IS_WHOLE.format(h="h.", until="b.ends_at"),
        took_all=_TOOK_ALL.format(where=" WHERE t.number = fitting.number"),
        **_BOOKINGS,
    ),
    **_MANY,
)


def reservation(booking: Booking) -> tuple[str, tuple[object, ...]]:
    """Return the statement that writes the booking, and its parameters."""
    statement = RESERVE_LONG if booking.reaches_beyond else RESERVE
    return statement, (*_values(booking), *_columns([booking])[:-1])


def reservations(bookings: Sequence[Booking]) -> tuple[str, tuple[object, ...]]:
    """Return the statement that writes the bookings whose slots are free, and its parameters.

    Either all reach beyond their slots, or none does.
    """
    statement = RESERVE_MANY_LONG if bookings[0].reaches_beyond else RESERVE_MANY
    values = [list(column) for column in zip(*map(_values, bookings), strict=True)]
    return statement, (*values, *_columns(bookings))


def _values(booking: Booking) -> tuple[object, ...]:
    appointment, audit, stored = booking.appointment, booking.audit, booking.stored
    return (
        appointment.clinic_id,
        appointment.slot_id,
        appointment.doctor_id,
        appointment.starts_at,
        appointment.ends_at,
        appointment.busy.ends_at if appointment.has_buffers else appointment.ends_at,
        appointment.id,
        appointment.patient_id,
        appointment.type,
        appointment.type_id,
        appointment.status,
        appointment.version,
        appointment.schedule_version,
        appointment.status_by,
        appointment.created_at,
        audit.id,
        audit.at,
        audit.actor_id,
        audit.actor_role,
        audit.action,
        audit.reason,
        audit.request_id,
        audit.ip,
        audit.session_id,
        *(
            (None,) * 8
            if stored is None
            else (
                stored.request.principal_id,
                stored.request.key,
                stored.request.fingerprint,
                stored.answer.status,
                stored.answer.body,
                stored.answer.location,
                stored.answer.etag,
                stored.created_at,
            )
        ),
    )


def _columns(bookings: Sequence[Booking]) -> list[list[object]]:
    """Return the columns of all messages, the numbers of their bookings last."""
    rows = [
        (
            message.id,
            message.kind,
            message.channel,
            message.version,
            message.scheduled_for,
            message.expires_at,
            message.created_at,
            number,
        )
        for number, booking in enumerate(bookings, 1)
        for message in booking.messages
    ]
    if not rows:
        return [[] for _ in range(len(_MESSAGE_COLUMNS) + 1)]
    return [list(column) for column in zip(*rows, strict=True)]
