"""SQL that reads appointments with names.

A test checks every column named here against the schema.
"""

from collections.abc import Iterable

from clinic.adapters.postgres.appointments.mapping import VIEW
from clinic.domain.appointments.appointments import OCCUPYING, OPEN, Status
from clinic.domain.calendar.availability import SLOT_MAX_MIN


def listed(statuses: Iterable[Status]) -> str:
    return ", ".join(f"'{status}'" for status in statuses)


#: a condition on appointments; takes the instant from which the booking horizon is counted. In
#: hours, because the length of PostgreSQL's day depends on the session's time zone.
WITHIN_HORIZON = (
    "a.starts_at <= ${}::timestamptz"
    " + (SELECT horizon_days FROM clinics WHERE id = $1) * interval '24 hours'"
)


def schedule(conditions: Iterable[str]) -> str:
    """Return the query for schedule entries; $1 is the clinic, $2 the limit, and the conditions
    (on `a`) number their parameters from $3."""
    # Cut to the limit before the names are looked up, whatever table sizes the planner assumes.
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


# Where the appointment is: looked up only at clinics that have locations, which is asked once.
_WHERE = """LEFT JOIN LATERAL (
    SELECT l.id, l.name FROM slots ls
    JOIN locations l ON l.clinic_id = ls.clinic_id AND l.id = ls.location_id
    WHERE ls.clinic_id = a.clinic_id AND ls.id = a.slot_id
      AND (SELECT EXISTS (SELECT FROM locations WHERE clinic_id = $1))
) l ON true"""

_VIEW = f"""
SELECT {VIEW.sql}
FROM appointments a
JOIN clinics c ON c.id = a.clinic_id
JOIN doctors_profiles d ON d.clinic_id = a.clinic_id AND d.user_id = a.doctor_id
JOIN users pu ON pu.id = a.patient_id
{_WHERE}
"""


def listing(conditions: Iterable[str], *, backwards: bool) -> str:
    """Return the query for a page of appointments with names; $1 is the clinic, $2 the limit, and
    the conditions (on `a`) number their parameters from $3."""
    direction = " DESC" if backwards else ""
    order = f"ORDER BY a.starts_at{direction}, a.id{direction}"
    # Cut to the page before the names are looked up, whatever table sizes the planner assumes.
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

_OCCUPYING = listed(OCCUPYING)

# The patient as a range, so that only the index on patients will do, as in booking_facts.py.
_MINE = (
    "clinic_id = $1 AND patient_id >= $2 AND patient_id <= $2"
    " AND (patient_id, starts_at) > ($2::uuid, $4::timestamptz)"
)
_LATEST = "ORDER BY patient_id DESC, starts_at DESC"

# A NULL limit must not become OFFSET NULL, which is no offset.
#: $1 clinic, $2 patient, $3 doctor, $4 earliest start to count, $5 to $7 the limits on open
#: appointments, on those with the doctor, and on bookings a day, NULL for none. Returns Brakes.
BRAKES = f"""
SELECT
    (SELECT starts_at FROM appointments WHERE {_MINE} AND status IN ({listed(OPEN)})
     {_LATEST} OFFSET ($5::int - 1) LIMIT 1),
    CASE WHEN $6::int IS NOT NULL THEN (
        SELECT starts_at FROM appointments
        WHERE {_MINE} AND doctor_id = $3 AND status IN ({listed(OPEN)})
        {_LATEST} OFFSET ($6::int - 1) LIMIT 1) END,
    CASE WHEN $7::int IS NOT NULL THEN (
        SELECT created_at FROM appointments WHERE {_MINE}
        ORDER BY created_at DESC OFFSET ($7::int - 1) LIMIT 1) END
"""

# A busy time is shorter than a day, so the index on starts_at can bound both ends.
#: $1 clinic, $2 doctors, $3 since, $4 until
BUSY_TIMES = f"""
SELECT a.doctor_id, a.lane, a.busy_from, a.busy_until FROM appointments a
WHERE a.clinic_id = $1 AND a.doctor_id = ANY ($2::uuid[]) AND a.status IN ({_OCCUPYING})
  AND a.starts_at > $3::timestamptz - interval '1 day'
  AND a.starts_at < $4::timestamptz + interval '1 day'
  AND a.busy_from < $4::timestamptz AND a.busy_until > $3::timestamptz
ORDER BY a.busy_from
"""

#: $1 clinic, $2 doctors, $3 since, $4 until: those that last beyond the slot they begin in
LASTING_APPOINTMENTS = f"""{_VIEW}
JOIN slots o ON o.clinic_id = a.clinic_id AND o.id = a.slot_id AND o.ends_at < a.ends_at
WHERE a.clinic_id = $1 AND a.doctor_id = ANY ($2::uuid[]) AND a.status IN ({_OCCUPYING})
  AND a.starts_at >= $3 AND a.starts_at < $4
ORDER BY a.starts_at, a.id
"""

#: $1 clinic, $2 resource, $3 since, $4 until (NULL: without end): those that have it then
HOLDING_APPOINTMENTS = f"""{_VIEW}
JOIN appointment_resources held ON held.clinic_id = a.clinic_id AND held.appointment_id = a.id
WHERE held.clinic_id = $1 AND held.resource_id = $2 AND held.occupying
  AND held.busy_from > $3::timestamptz - interval '24 hours' AND held.busy_until > $3::timestamptz
  AND ($4::timestamptz IS NULL OR held.busy_from < $4::timestamptz)
ORDER BY a.starts_at, a.id
"""

#: $1 clinic, $2 since, $3 until, $4 limit: those not wholly within open slots of doctor and lane,
#: at one location
STRANDED_APPOINTMENTS = f"""{_VIEW}
WHERE a.clinic_id = $1 AND a.status IN ({_OCCUPYING}) AND a.starts_at >= $2 AND a.starts_at < $3
  AND NOT EXISTS (
      SELECT FROM slots o
      WHERE o.clinic_id = a.clinic_id AND o.doctor_id = a.doctor_id AND o.lane = a.lane
        AND o.state = 'OPEN' AND o.starts_at > a.starts_at - interval '{SLOT_MAX_MIN} min'
        AND o.starts_at < a.ends_at AND o.ends_at > a.starts_at
      GROUP BY o.location_id
      HAVING range_agg(tstzrange(o.starts_at, o.ends_at)) @> tstzrange(a.starts_at, a.ends_at)
  )
ORDER BY a.starts_at, a.id LIMIT $4
"""

#: $1 clinic, $2 now
COUNT_AHEAD = f"""
SELECT count(*) FROM appointments a
WHERE a.clinic_id = $1 AND a.status IN ({_OCCUPYING}) AND a.starts_at > $2
"""

#: $1 clinic, $2 slots
OCCUPYING_APPOINTMENTS = f"""{_VIEW}
WHERE a.clinic_id = $1 AND a.slot_id = ANY ($2::uuid[]) AND a.status IN ({_OCCUPYING})
ORDER BY a.starts_at, a.id
"""
