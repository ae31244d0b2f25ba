"""The hot statements, in PostgreSQL's own words, prepared once on each connection.

`LOOK` is half of a booking, of two round trips; taking.py has the other half. A test holds every
column named here against the schema.
"""

from collections.abc import Iterable

from clinic.adapters.postgres.engine.mapping import Columns, Layout
from clinic.adapters.postgres.rows import ANSWER, CLINIC, VIEW, WHOLE_CLINIC
from clinic.domain.appointments import OCCUPYING, OPEN, Status


def _listed(statuses: Iterable[Status]) -> str:
    return ", ".join(f"'{status}'" for status in statuses)


#: when the patient's `max_open_appointments`-th latest open appointment begins, NULL with fewer. An
#: appointment that lies ahead today cannot begin earlier than the slot less the horizon, so a long
#: history is not read. One patient is a range here, so that only the patients' index has the order,
#: and only indexes of patients can use the bounds: the planner may take a table that has filled
#: since its last ANALYZE for empty, and by the index of times would read everybody's appointments.
_FULL_UNTIL = f"""(
    SELECT o.starts_at FROM appointments o
    WHERE o.clinic_id = c.id AND o.status IN ({_listed(OPEN)})
      AND o.patient_id >= p.user_id AND o.patient_id <= p.user_id
      AND (o.patient_id, o.starts_at)
          > (p.user_id, s.starts_at - c.horizon_days * interval '24 hours')
    ORDER BY o.patient_id DESC, o.starts_at DESC OFFSET c.max_open_appointments - 1 LIMIT 1
)"""
#: whether the patient may be booked for; taking.py holds the row to it
_IS_OPEN = "p.ended_at IS NULL AND p.disabled_at IS NULL"
_IS_USABLE = "xu.id = x.user_id AND xu.disabled_at IS NULL AND xu.role = x.role"
#: the session asked for still counts where `xu` is there, for that user in that role
_LIVE_SESSION = f"""LEFT JOIN sessions x ON x.clinic_id = c.id AND x.id = asked.session_id
    AND x.revoked_at IS NULL
LEFT JOIN users xu ON {_IS_USABLE}"""
#: a condition: the session, its user and its role, three parameters, still count at the clinic, $1.
#: Answered once, since it is about no row.
SIGNED_IN = f"""EXISTS (
    SELECT FROM sessions x JOIN users xu ON {_IS_USABLE}
    WHERE x.clinic_id = $1 AND x.id = ${{}} AND x.user_id = ${{}} AND x.role = ${{}}
      AND x.revoked_at IS NULL
)"""

IS_SIGNED_IN = f"SELECT {SIGNED_IN.format(2, 3, 4)}"

_SLOT_FACTS = Columns(
    doctor_id="s.doctor_id",
    specialty="s.specialty",
    starts_at="s.starts_at",
    ends_at="s.ends_at",
    state="s.state",
    taken="s.taken",
    doctor_name="d.name",
)
_PATIENT = Columns(user_id="p.user_id", name="pu.name", email="pu.email", phone="pu.phone")
_BRAKES = Columns(full_until=_FULL_UNTIL, is_open=_IS_OPEN)
#: user and role of a session that counts, NULL without one: what is_proven takes
_PROVEN = Columns(user_id="xu.id", role="xu.role")
#: what LOOK selects
FACTS = Layout(CLINIC, _SLOT_FACTS, _PATIENT, ANSWER, _BRAKES, _PROVEN)
_FREE = Columns(name="d.name", specialty="d.specialty", packed="free.*")
#: what GLANCE selects
GLANCED = Layout(CLINIC, _PROVEN, _FREE)

#: booking's read for many bookings at once, as Batcher sends them: clinics, slots, patients,
#: principals and keys (NULL without a key), sessions. One row while the clinic exists; what is
#: absent is NULL.
LOOK = f"""
SELECT asked.number, found.*
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::uuid[])
         WITH ORDINALITY AS asked (clinic_id, slot_id, patient_id, principal_id, key, session_id,
                                   number),
     LATERAL (
         SELECT {FACTS.sql}
         FROM clinics c
         LEFT JOIN slots s ON s.clinic_id = c.id AND s.id = asked.slot_id
         LEFT JOIN doctors_profiles d ON d.clinic_id = s.clinic_id AND d.user_id = s.doctor_id
         LEFT JOIN patients_profiles p ON p.clinic_id = c.id AND p.user_id = asked.patient_id
         LEFT JOIN users pu ON pu.id = p.user_id
         LEFT JOIN idempotency_keys k ON k.clinic_id = c.id
             AND k.principal_id = asked.principal_id AND k.key = asked.key
             AND k.recovery_point = 'finished'
         {_LIVE_SESSION}
         WHERE c.id = asked.clinic_id LIMIT 1
     ) found
"""

_SLOT = "id, doctor_id, specialty, starts_at, ends_at"
#: which free slots; $2 in both
_OF_DOCTOR = " AND doctor_id = $2"
_OF_SPECIALTY = " AND lower(specialty) = lower($2::text)"

_NEAREST = """
SELECT n.id, n.doctor_id, n.specialty, n.starts_at, n.ends_at, d.name
FROM (
    (SELECT {slot} FROM free_slots
     WHERE clinic_id = $1{whose} AND starts_at >= greatest($4::timestamptz, $5::timestamptz)
       AND starts_at < $6::timestamptz AND id <> $3
     ORDER BY starts_at, id LIMIT $7)
    UNION ALL
    (SELECT {slot} FROM free_slots
     WHERE clinic_id = $1{whose} AND starts_at >= $5::timestamptz
       AND starts_at < least($4::timestamptz, $6::timestamptz) AND id <> $3
     ORDER BY starts_at DESC, id LIMIT $7)
) n
JOIN doctors_profiles d ON d.clinic_id = $1 AND d.user_id = n.doctor_id
ORDER BY greatest(n.starts_at - $4::timestamptz, $4::timestamptz - n.starts_at), n.starts_at, n.id
LIMIT $7
"""

#: $1 clinic, $2 doctor or specialty, $3 slot, $4 its start, $5 and $6 the range, $7 how many
NEAREST_OF_DOCTOR = _NEAREST.format(slot=_SLOT, whose=_OF_DOCTOR)
NEAREST_OF_SPECIALTY = _NEAREST.format(slot=_SLOT, whose=_OF_SPECIALTY)


def free_slots(*, doctor: bool, specialty: bool, after: bool, backwards: bool) -> str:
    """Return the listing of free slots; its parameters are, in this order and as far as asked for:
    clinic, from, before, limit, doctor, specialty, and the place (time, id) to go on from.

    It gives id, doctor, specialty, start, end and the doctor's name; when the doctor is asked for,
    one row: name, specialty and all of the slots, packed, NULL when there are none.
    """
    number = 4
    conditions = []
    if doctor:
        number += 1
        conditions.append(f" AND s.doctor_id = ${number}")
    if specialty:
        number += 1
        conditions.append(f" AND lower(s.specialty) = lower(${number}::text)")
    if after:
        sign = "<" if backwards else ">"
        # A doctor's slots have their ids from the same index as the rest.
        id_, given = ("substr(s.packed, 1, 16)", "uuid_send({})") if doctor else ("s.id", "{}")
        beyond = f"${number + 1}::timestamptz, {given.format(f'${number + 2}::uuid')}"
        conditions.append(f" AND (s.starts_at, {id_}) {sign} ({beyond})")
    direction = " DESC" if backwards else ""
    order = f"ORDER BY s.starts_at{direction}" + ("" if doctor else f", s.id{direction}")
    # Cut to the page before the names are looked up, whatever the planner thinks of the sizes.
    cut = f"""
    WHERE s.clinic_id = $1 AND s.starts_at >= $2 AND s.starts_at < $3{"".join(conditions)}
    {order} LIMIT $4
"""
    if doctor:
        # One value is cheaper to send than a row for each slot. Sorting would cost as much again.
        return f"""
SELECT d.name, d.specialty,
       (SELECT string_agg(s.packed, ''::bytea) FROM (SELECT s.packed FROM free_slots s {cut}) s)
FROM doctors_profiles d WHERE d.clinic_id = $1 AND d.user_id = $5
"""
    return f"""
SELECT s.id, s.doctor_id, s.specialty, s.starts_at, s.ends_at, d.name
FROM (SELECT s.id, s.doctor_id, s.specialty, s.starts_at, s.ends_at FROM free_slots s {cut}) s
JOIN doctors_profiles d ON d.clinic_id = $1 AND d.user_id = s.doctor_id
{order}
"""


#: the same for many doctors at once, as Batcher sends them: clinics, doctors, from, before, limits,
#: sessions. One row while the clinic exists: the clinic, whether the session still counts, and all
#: of the doctor's slots, packed, whose bytes say whether anything has changed.
GLANCE = f"""
SELECT asked.number, {GLANCED.sql}
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::int[], $6::uuid[])
         WITH ORDINALITY AS asked (clinic_id, doctor_id, starts_from, starts_before, many,
                                   session_id, number)
JOIN clinics c ON c.id = asked.clinic_id
{_LIVE_SESSION}
LEFT JOIN doctors_profiles d ON d.clinic_id = c.id AND d.user_id = asked.doctor_id,
     LATERAL (
         SELECT string_agg(s.packed, ''::bytea)
         FROM (
             SELECT s.packed FROM free_slots s
             WHERE s.clinic_id = asked.clinic_id AND s.doctor_id = asked.doctor_id
               AND s.starts_at >= asked.starts_from AND s.starts_at < asked.starts_before
             ORDER BY s.starts_at LIMIT asked.many
         ) s
     ) free
"""


#: a condition of appointments: an instant from which the booking horizon is counted. In hours,
#: because a day of PostgreSQL's is as long as the session's zone says.
WITHIN_HORIZON = (
    "a.starts_at <= ${}::timestamptz"
    " + (SELECT horizon_days FROM clinics WHERE id = $1) * interval '24 hours'"
)


def schedule(conditions: Iterable[str]) -> str:
    """Return the listing of appointments with names; $1 is the clinic, $2 how many, and the
    conditions (on `a`) number their parameters from $3."""
    # Cut to the limit before the names are looked up, whatever the planner thinks of the sizes.
    return f"""
SELECT a.id::text, pu.name, d.name, a.starts_at, a.ends_at, a.type, a.status, c.time_zone
FROM (
    SELECT a.id, a.patient_id, a.doctor_id, a.starts_at, a.ends_at, a.type, a.status
    FROM appointments a
    WHERE a.clinic_id = $1{"".join(f" AND {condition}" for condition in conditions)}
    ORDER BY a.starts_at, a.id LIMIT $2
) a
JOIN clinics c ON c.id = $1
JOIN doctors_profiles d ON d.clinic_id = $1 AND d.user_id = a.doctor_id
JOIN users pu ON pu.id = a.patient_id
ORDER BY a.starts_at, a.id
"""


#: $1 clinic; nearly every request asks for its zone or its policy
FIND_CLINIC = f"SELECT {WHOLE_CLINIC.sql} FROM clinics c WHERE c.id = $1"

FIND_ANSWER = f"""
SELECT {ANSWER.sql} FROM idempotency_keys k
WHERE k.clinic_id = $1 AND k.principal_id = $2 AND k.key = $3 AND k.recovery_point = 'finished'
"""

#: one row unless the key has an answer already, whose writing it waits for
KEEP_ANSWER = """
INSERT INTO idempotency_keys (clinic_id, principal_id, key, fingerprint, status, body, location,
                              etag, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO NOTHING RETURNING 1
"""

_VIEW = f"""
SELECT {VIEW.sql}
FROM appointments a
JOIN clinics c ON c.id = a.clinic_id
JOIN doctors_profiles d ON d.clinic_id = a.clinic_id AND d.user_id = a.doctor_id
JOIN users pu ON pu.id = a.patient_id
"""


def listing(conditions: Iterable[str], *, backwards: bool) -> str:
    """Return a page of appointments with names; $1 is the clinic, $2 how many, and the conditions
    (on `a`) number their parameters from $3."""
    direction = " DESC" if backwards else ""
    order = f"ORDER BY a.starts_at{direction}, a.id{direction}"
    # Cut to the page before the names are looked up, whatever the planner thinks of the sizes.
    cut = f"""(
    SELECT a.* FROM appointments a
    WHERE a.clinic_id = $1{"".join(f" AND {condition}" for condition in conditions)}
    {order} LIMIT $2
) a"""
    return f"{_VIEW.replace('appointments a', cut)}{order}"


#: $1 clinic, $2 appointment, $3 and $4 the patient and the doctor that may see it (NULL: anyone)
APPOINTMENT = f"""{_VIEW}
WHERE a.clinic_id = $1 AND a.id = $2
  AND ($3::uuid IS NULL OR a.patient_id = $3) AND ($4::uuid IS NULL OR a.doctor_id = $4)
"""

_OCCUPYING = _listed(OCCUPYING)

#: $1 clinic, $2 slots
OCCUPYING_APPOINTMENTS = f"""{_VIEW}
WHERE a.clinic_id = $1 AND a.slot_id = ANY ($2::uuid[]) AND a.status IN ({_OCCUPYING})
ORDER BY a.starts_at, a.id
"""

PREPARED = (
    LOOK,
    NEAREST_OF_DOCTOR,
    NEAREST_OF_SPECIALTY,
    GLANCE,
    FIND_CLINIC,
    FIND_ANSWER,
    APPOINTMENT,
    OCCUPYING_APPOINTMENTS,
)
