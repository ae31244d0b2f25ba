"""The outbox's SQL.

Writing statements return a row for each row that they wrote. now() is the time of the statement's
transaction, by the database's clock.
"""

from collections.abc import Iterable

from clinic.adapters.postgres.calendar.locations import LOCATION
from clinic.adapters.postgres.engine.mapping import Columns, Layout, of_table
from clinic.adapters.postgres.people.mapping import CLINIC, CONTACT
from clinic.domain.messaging.deliveries import SENT_PER_HOUR_MAX
from clinic.domain.notifications import TO_DOCTOR_AT_ONCE, TO_PATIENT_AT_ONCE

_MESSAGE = "{t}.appointment_id, {t}.user_id, {t}.kind, {t}.channel, {t}.version, {t}.scheduled_for"

#: With statistics from before a backlog, the planner would read the whole table for each batch.
BY_INDEX = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_sort = off"
)

#: $1 limit. Oldest first; skips what another relay is handing over. A message that was due when it
#: was written is due now, even if the clock of the machine that wrote it is fast.
PUBLISH = """
WITH batch AS (
    SELECT clinic_id, id FROM notification_outbox WHERE published_at IS NULL
    ORDER BY created_at, id LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE notification_outbox o
SET published_at = now(),
    next_at = CASE WHEN o.scheduled_for <= o.created_at THEN least(o.next_at, now())
                   ELSE o.next_at END
FROM batch b WHERE o.clinic_id = b.clinic_id AND o.id = b.id
RETURNING o.clinic_id, o.id, o.next_at
"""

#: $1 clinic and $2 id to continue after, $3 limit
PUBLISHED = """
SELECT clinic_id, id, CASE WHEN state = 'pending' THEN next_at ELSE lease_until END
FROM notification_outbox
WHERE (clinic_id, id) > ($1, $2) AND published_at IS NOT NULL AND state <> 'dead'
ORDER BY clinic_id, id LIMIT $3
"""

#: $1 how long overdue, $2 limit. Each is returned again only after the same time; a published_at in
#: the future dates from before the clock was set back.
RESCUE = """
WITH late AS (
    SELECT clinic_id, id FROM notification_outbox
    WHERE state = 'pending' AND next_at < now() - $1::interval
      AND published_at NOT BETWEEN now() - $1::interval AND now()
    ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED
),
lapsed AS (
    SELECT clinic_id, id FROM notification_outbox
    WHERE state <> 'pending' AND lease_until < now()
      AND published_at NOT BETWEEN now() - $1::interval AND now()
    ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED
),
found AS (SELECT * FROM late UNION ALL SELECT * FROM lapsed LIMIT $2)
UPDATE notification_outbox o SET published_at = now()
FROM found f WHERE o.clinic_id = f.clinic_id AND o.id = f.id
RETURNING o.clinic_id, o.id, now()
"""


def _listed(kinds: Iterable[str]) -> str:
    return ", ".join(f"'{kind}'" for kind in sorted(kinds))


#: DeliverySnapshot.sent_lately for the claimed message `o`, its appointment `a` and its addressee
#: `u`. A doctor's messages are few and found by time, since a doctor has many appointments.
_LATELY = "n.status = 'SENT' AND n.finished_at > now() - interval '1 hour'"
_SENT_LATELY = f"""CASE
    WHEN o.kind IN ({_listed(TO_PATIENT_AT_ONCE)}) THEN (
        SELECT count(*) FROM (
            SELECT 1 FROM appointments m
            JOIN notification n ON n.clinic_id = m.clinic_id AND n.appointment_id = m.id
            WHERE m.clinic_id = $1 AND m.patient_id = a.patient_id AND {_LATELY}
              AND n.kind IN ({_listed(TO_PATIENT_AT_ONCE)})
              AND n.scheduled_for > now() - interval '31 days'
            LIMIT {SENT_PER_HOUR_MAX}
        ) sent
    )
    WHEN o.kind IN ({_listed(TO_DOCTOR_AT_ONCE)}) THEN (
        SELECT count(*) FROM (
            SELECT 1 FROM notification n
            LEFT JOIN appointments m ON m.clinic_id = n.clinic_id AND m.id = n.appointment_id
            WHERE n.clinic_id = $1 AND {_LATELY} AND n.kind IN ({_listed(TO_DOCTOR_AT_ONCE)})
              AND n.scheduled_for > now() - interval '1 day'
              AND coalesce(n.user_id, m.doctor_id) = u.id
            LIMIT {SENT_PER_HOUR_MAX}
        ) sent
    )
    ELSE 0 END"""

_CLAIMED = of_table(
    "o",
    *("appointment_id", "user_id", "kind", "channel", "version", "scheduled_for", "expires_at"),
    *("created_at", "attempts", "ambiguous", "interrupted", "issued_by", "to_email"),
)
APPOINTMENT = of_table(
    "a",
    *("slot_id", "doctor_id", "patient_id", "starts_at", "ends_at", "type", "status", "version"),
    *("schedule_version", "status_by", "created_at"),
)
_ADDRESSEE = Columns(
    user_id="u.id",
    name="u.name",
    email="u.email",
    phone="u.phone",
    is_disabled="u.disabled_at IS NOT NULL",
    password_hash="u.password_hash",  # noqa: S106 - the name of a column
    link_version="u.link_version",
    is_verified="u.email_verified_at IS NOT NULL",
    is_unproven="u.email_unproven_since IS NOT NULL",
    language="coalesce(p.language, c.language)",
    channel="p.channel",
    opted_out="p.opted_out",
)
_NOW = Columns(sent_lately=_SENT_LATELY, claimed_at="now()", instructions="t.instructions")
#: what CLAIM selects
LOOKED = Layout(_CLAIMED, CLINIC, CONTACT, APPOINTMENT, LOCATION, _ADDRESSEE, _NOW)

#: $1 clinic, $2 message, $3 token, $4 lease. Claims the message and reads what sending it needs.
CLAIM = f"""
WITH old AS (
    SELECT clinic_id, id, state FROM notification_outbox
    WHERE clinic_id = $1 AND id = $2
      AND (state = 'pending' AND next_at <= now()
           OR state IN ('claimed', 'sending') AND lease_until <= now())
    FOR UPDATE
),
o AS (
    UPDATE notification_outbox o
    SET state = 'claimed', claim_token = $3, lease_until = now() + $4::interval,
        attempts = attempts + 1, ambiguous = ambiguous OR old.state = 'sending'
    FROM old WHERE o.clinic_id = old.clinic_id AND o.id = old.id
    RETURNING {_MESSAGE.format(t="o")}, o.expires_at, o.created_at, o.attempts, o.ambiguous,
        old.state = 'sending' AS interrupted, o.issued_by, o.to_email
)
SELECT {LOOKED.sql}
FROM o
JOIN clinics c ON c.id = $1
LEFT JOIN appointments a ON a.clinic_id = $1 AND a.id = o.appointment_id
LEFT JOIN appointment_types t ON t.clinic_id = $1 AND t.id = a.type_id
LEFT JOIN slots s ON s.clinic_id = $1 AND s.id = a.slot_id
LEFT JOIN locations l ON l.clinic_id = $1 AND l.id = s.location_id
LEFT JOIN users u ON u.id = CASE
    WHEN o.user_id IS NOT NULL THEN o.user_id
    WHEN o.kind = 'doctor_change' THEN a.doctor_id
    ELSE a.patient_id END
LEFT JOIN notification_preferences p ON p.clinic_id = $1 AND p.user_id = u.id
"""

#: $1 clinic, $2 message
NOT_DUE = """
SELECT next_at - now() FROM notification_outbox
WHERE clinic_id = $1 AND id = $2 AND state = 'pending' AND next_at > now()
"""

#: $1 clinic, $2 doctor, $3 and $4 the day
DAY = """
SELECT starts_at, ends_at FROM appointments
WHERE clinic_id = $1 AND doctor_id = $2 AND starts_at >= $3 AND starts_at < $4
  AND status IN ('BOOKED', 'CONFIRMED')
ORDER BY starts_at LIMIT 500
"""

#: $1 clinic, $2 message, $3 token, $4 lease
BEGIN_SENDING = """
UPDATE notification_outbox SET state = 'sending', lease_until = now() + $4::interval
WHERE clinic_id = $1 AND id = $2 AND claim_token = $3 AND state IN ('claimed', 'sending')
RETURNING 1
"""

#: also $5, the statuses in which the message is right
BEGIN_SENDING_APPOINTMENT = """
UPDATE notification_outbox o SET state = 'sending', lease_until = now() + $4::interval
FROM appointments a
WHERE o.clinic_id = $1 AND o.id = $2 AND o.claim_token = $3
  AND o.state IN ('claimed', 'sending')
  AND a.clinic_id = $1 AND a.id = o.appointment_id AND a.schedule_version = o.version
  AND a.status = ANY ($5::text[])
RETURNING 1
"""

_LOG = """
INSERT INTO notification (clinic_id, id, appointment_id, user_id, kind, channel, version,
                          scheduled_for, status, attempts, maybe_twice, message_id, error,
                          finished_at)
"""

#: $1 clinic, $2 message, $3 token, $4 status, $5 channel, $6 attempts, $7 maybe twice,
#: $8 message id, $9 error
FINISH = f"""
WITH o AS (
    DELETE FROM notification_outbox WHERE clinic_id = $1 AND id = $2 AND claim_token = $3
    RETURNING *
)
{_LOG}
SELECT o.clinic_id, o.id, o.appointment_id, o.user_id, o.kind, $5, o.version, o.scheduled_for,
       $4, $6, $7, $8, $9, now()
FROM o
RETURNING 1
"""

DISCARD = """
DELETE FROM notification_outbox WHERE clinic_id = $1 AND id = $2 AND claim_token = $3
RETURNING 1
"""

#: $4 after, $5 error, $6 ambiguous, $7 attempts
RETRY_LATER = """
UPDATE notification_outbox
SET state = 'pending', next_at = now() + $4::interval, claim_token = NULL, lease_until = NULL,
    last_error = $5, ambiguous = ambiguous OR $6, attempts = $7
WHERE clinic_id = $1 AND id = $2 AND claim_token = $3
RETURNING 1
"""

#: $1 patient
RELEASE = """
UPDATE notification_outbox o SET next_at = now(), published_at = NULL
FROM patients_profiles p, appointments a
WHERE p.user_id = $1 AND a.clinic_id = p.clinic_id AND a.patient_id = p.user_id
  AND o.clinic_id = a.clinic_id AND o.appointment_id = a.id AND o.user_id IS NULL
  AND o.kind <> 'doctor_change'
  AND o.state = 'pending' AND o.next_at > now() AND o.scheduled_for <= now()
RETURNING 1
"""

#: $4 error, $5 ambiguous
SET_ASIDE = """
UPDATE notification_outbox
SET state = 'dead', claim_token = NULL, lease_until = NULL, last_error = $4,
    ambiguous = ambiguous OR $5
WHERE clinic_id = $1 AND id = $2 AND claim_token = $3
RETURNING 1
"""

#: $1 user
FORGET_ADDRESSES = """
UPDATE notification_outbox SET to_email = NULL WHERE user_id = $1 AND to_email IS NOT NULL
RETURNING 1
"""

REVIVE = """
UPDATE notification_outbox SET state = 'pending', next_at = now(), attempts = 0,
    published_at = NULL
WHERE clinic_id = $1 AND id = $2 AND state = 'dead'
RETURNING 1
"""

#: $1 clinic
DAYS_OF_SHEETS = """
SELECT DISTINCT version FROM notification_outbox
WHERE clinic_id = $1 AND kind = 'day_sheet' AND state = 'pending'
"""

#: $1 clinic
TIMES_OF_SHEETS = """
SELECT DISTINCT version, scheduled_for FROM notification_outbox
WHERE clinic_id = $1 AND kind = 'day_sheet' AND state = 'pending'
ORDER BY version, scheduled_for
"""

#: $1 clinic; $2 days, $3 when their sheets are due, $4 when they expire
REDATE_SHEETS = """
UPDATE notification_outbox o
SET scheduled_for = d.due, next_at = d.due, expires_at = d.expires, published_at = NULL
FROM unnest($2::int[], $3::timestamptz[], $4::timestamptz[]) AS d (day, due, expires)
WHERE o.clinic_id = $1 AND o.kind = 'day_sheet' AND o.state = 'pending' AND o.version = d.day
RETURNING 1
"""

#: $1 clinic, $2 when the lead times changed
MARK_REMINDERS = """
INSERT INTO reminder_work (clinic_id, changed_at) VALUES ($1, $2)
ON CONFLICT (clinic_id) DO UPDATE
SET changed_at = excluded.changed_at, after_at = NULL, after_id = NULL
RETURNING 1
"""

#: $1 changed before
NEXT_REMINDER_WORK = """
SELECT clinic_id, changed_at, after_at, after_id FROM reminder_work
WHERE changed_at < $1 ORDER BY changed_at, clinic_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""

#: $1 clinic, $2 and $3 start and id of the last appointment that was looked at
ADVANCE_REMINDER_WORK = """
UPDATE reminder_work SET after_at = $2, after_id = $3 WHERE clinic_id = $1 RETURNING 1
"""

#: $1 clinic
END_REMINDER_WORK = "DELETE FROM reminder_work WHERE clinic_id = $1 RETURNING 1"

#: $1 clinic, $2 appointments, $3 now; $4 to $6 appointments, kinds and versions of those planned
REMOVE_REMINDERS = r"""
DELETE FROM notification_outbox o
WHERE o.clinic_id = $1 AND o.appointment_id = ANY ($2::uuid[]) AND o.kind LIKE 'reminder\_%'
  AND o.state = 'pending' AND NOT o.ambiguous AND o.scheduled_for > $3
  AND NOT EXISTS (
      SELECT FROM unnest($4::uuid[], $5::text[], $6::int[]) AS p (appointment_id, kind, version)
      WHERE (p.appointment_id, p.kind, p.version) = (o.appointment_id, o.kind, o.version)
  )
RETURNING 1
"""

# Not as NOT EXISTS, which the planner might answer by reading the whole log.
#: $1 clinic, $2 now; $3 to $9 id, appointment, kind, channel, version, due and expiry of each
ADD_REMINDERS = """
INSERT INTO notification_outbox AS o (clinic_id, id, appointment_id, kind, channel, version,
                                      scheduled_for, next_at, expires_at, created_at)
SELECT $1, p.id, p.appointment_id, p.kind, p.channel, p.version, p.due, p.due, p.expires_at, $2
FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::int[], $8::timestamptz[],
            $9::timestamptz[]) AS p (id, appointment_id, kind, channel, version, due, expires_at)
WHERE (
    SELECT true FROM notification n
    WHERE n.clinic_id = $1 AND n.appointment_id = p.appointment_id AND n.kind = p.kind
      AND n.version = p.version AND n.scheduled_for = p.due
    LIMIT 1
) IS NULL
ORDER BY p.appointment_id, p.kind
ON CONFLICT ON CONSTRAINT notification_outbox_once_key DO UPDATE
SET expires_at = excluded.expires_at WHERE o.state = 'pending'
RETURNING 1
"""

_DEAD_INTO_LOG = f"""
{_LOG}
SELECT o.clinic_id, o.id, o.appointment_id, o.user_id, o.kind, o.channel, o.version,
       o.scheduled_for, 'FAILED', o.attempts, o.ambiguous, NULL, {{error}}, now()
FROM o
RETURNING 1
"""

#: $3 reason
DROP = f"""
WITH o AS (
    DELETE FROM notification_outbox WHERE clinic_id = $1 AND id = $2 AND state = 'dead'
    RETURNING *
)
{_DEAD_INTO_LOG.format(error="$3")}
"""

#: $1 limit
DROP_EXPIRED = f"""
WITH gone AS (
    SELECT clinic_id, id FROM notification_outbox
    WHERE state <> 'pending' AND state = 'dead' AND expires_at < now()
    LIMIT $1 FOR UPDATE SKIP LOCKED
),
o AS (
    DELETE FROM notification_outbox o USING gone g
    WHERE o.clinic_id = g.clinic_id AND o.id = g.id
    RETURNING o.*
)
{_DEAD_INTO_LOG.format(error="coalesce(o.last_error, 'expired as a dead letter')")}
"""

#: due, not handed to the queue, in flight, dead, seconds by which the most overdue one is late
COUNTS = """
SELECT (SELECT count(*) FROM notification_outbox WHERE state = 'pending' AND next_at <= now()),
       (SELECT count(*) FROM notification_outbox WHERE published_at IS NULL),
       (SELECT count(*) FROM notification_outbox
        WHERE state <> 'pending' AND state IN ('claimed', 'sending')),
       (SELECT count(*) FROM notification_outbox WHERE state <> 'pending' AND state = 'dead'),
       coalesce((SELECT extract(epoch FROM now() - min(next_at)) FROM notification_outbox
                 WHERE state = 'pending' AND next_at <= now()), 0)
"""

#: $1 clinic, $2 person
PREFERENCES = """
SELECT coalesce(p.language, c.language), p.channel, p.opted_out
FROM clinics c
LEFT JOIN notification_preferences p ON p.clinic_id = c.id AND p.user_id = $2
WHERE c.id = $1
"""

_WAY = (
    _MESSAGE.format(t="m")
    + ", m.expires_at, m.created_at, m.state, m.attempts, m.next_at AS due_at, m.next_at,"
    " m.ambiguous, NULL, m.last_error"
)
_ENDED = (
    _MESSAGE.format(t="m")
    + ", m.scheduled_for, m.scheduled_for, m.status, m.attempts, m.scheduled_for AS due_at,"
    " m.finished_at, m.maybe_twice, m.message_id, m.error"
)

#: tables of messages, the columns of a view, the column to order by, and a condition
_PLACES = (
    ("notification_outbox", _WAY, "next_at", " AND m.state = 'pending'"),
    ("notification_outbox", _WAY, "next_at", " AND m.state <> 'pending'"),
    ("notification", _ENDED, "scheduled_for", ""),
)
#: filter → condition on a message m and its appointment a
_CONDITIONS = {
    "id": "m.id = {n}",
    "patient": "coalesce(m.user_id, CASE WHEN m.kind = 'doctor_change' THEN NULL"
    " ELSE a.patient_id END) = {n}",
    "doctor": "(m.user_id = {n} OR a.doctor_id = {n})",
    "appointment": "m.appointment_id = {n}",
    "statuses": "m.{status} = ANY ({n}::text[])",
    "kind": "m.kind LIKE {n}",
    "from": "m.{due} >= {n}::timestamptz",
    "before": "m.{due} < {n}::timestamptz",
}


def listing(filters: tuple[str, ...], *, after: bool = False, backwards: bool = False) -> str:
    """Return the query for messages, under way and finished, by (due, id). Its parameters are the
    clinic, the limit, those of the filters in order, and the place (due, id) to continue from."""
    direction = " DESC" if backwards else ""
    branches = []
    for table, columns, due, state in _PLACES:
        status = "status" if table == "notification" else "state"
        conditions = "".join(
            " AND " + _CONDITIONS[name].format(n=f"${number}", due=due, status=status)
            for number, name in enumerate(filters, start=3)
        )
        if after:
            sign, n = "<" if backwards else ">", len(filters) + 3
            conditions += f" AND (m.{due}, m.id) {sign} (${n}::timestamptz, ${n + 1}::uuid)"
        branches.append(f"""
(SELECT m.id, {columns} FROM {table} m
 LEFT JOIN appointments a ON a.clinic_id = m.clinic_id AND a.id = m.appointment_id
 WHERE m.clinic_id = $1{state}{conditions}
 ORDER BY m.{due}{direction}, m.id{direction} LIMIT $2)""")
    return f"{' UNION ALL '.join(branches)}\nORDER BY due_at{direction}, id{direction} LIMIT $2"
