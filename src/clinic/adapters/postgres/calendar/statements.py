"""SQL that reads slots by the thousand, and free slots.

A test checks every column named here against the schema.
"""

from clinic.adapters.postgres.engine.mapping import Columns, Layout
from clinic.adapters.postgres.people.mapping import CLINIC, TYPES_VERSION
from clinic.adapters.postgres.people.session_checks import LIVE_SESSION, PROVEN
from clinic.domain.calendar.availability import SLOT_MAX_MIN

# No slot is longer, so the index on starts_at can bound both ends.
_OVERLAPPING = f"""
SELECT id, clinic_id, doctor_id, specialty, starts_at, ends_at, state, taken, lane, location_id
FROM slots
WHERE clinic_id = $1 AND doctor_id = ANY ($2::uuid[]) AND ends_at > $3::timestamptz
  AND starts_at > $3::timestamptz - interval '{SLOT_MAX_MIN} min' AND starts_at < $4::timestamptz
"""

#: $1 clinic, $2 doctors, $3 and $4 the range that the slots overlap
SLOTS_BETWEEN = f"{_OVERLAPPING} ORDER BY starts_at, id"

LOCK_SLOTS = f"{_OVERLAPPING} ORDER BY id FOR NO KEY UPDATE"

_FREE = Columns(name="d.name", specialty="d.specialty", packed="free.*", is_located="l.is_located")

#: what GLANCE selects
GLANCED = Layout(CLINIC, TYPES_VERSION, PROVEN, _FREE)

_SLOT = "id, doctor_id, specialty, starts_at, ends_at, lane, location_id"

#: whether the clinic has locations: then each packed slot is followed by the id of its location, or
#: zeros. Asked once, so that the slots of other clinics stay short.
_IS_LOCATED = "(SELECT EXISTS (SELECT FROM locations WHERE clinic_id = {clinic}) AS is_located) l"
_PACKED = """string_agg(CASE WHEN l.is_located
    THEN s.packed || coalesce(uuid_send(s.location_id), '\\x00000000000000000000000000000000')
    ELSE s.packed END, ''::bytea)"""

#: conditions on free slots; $2 in both
_OF_DOCTOR = " AND doctor_id = $2"

_OF_SPECIALTY = " AND lower(specialty) = lower($2::text)"

_NEAREST = """
SELECT n.id, n.doctor_id, n.specialty, n.starts_at, n.ends_at, n.lane, n.location_id, d.name
FROM (
    (SELECT DISTINCT ON (starts_at, doctor_id) {slot} FROM free_slots
     WHERE clinic_id = $1{whose} AND starts_at >= greatest($4::timestamptz, $5::timestamptz)
       AND starts_at < $6::timestamptz AND id <> $3
     ORDER BY starts_at, doctor_id, lane LIMIT $7)
    UNION ALL
    (SELECT DISTINCT ON (starts_at, doctor_id) {slot} FROM free_slots
     WHERE clinic_id = $1{whose} AND starts_at >= $5::timestamptz
       AND starts_at < least($4::timestamptz, $6::timestamptz) AND id <> $3
     ORDER BY starts_at DESC, doctor_id, lane LIMIT $7)
) n
JOIN doctors_profiles d ON d.clinic_id = $1 AND d.user_id = n.doctor_id
ORDER BY greatest(n.starts_at - $4::timestamptz, $4::timestamptz - n.starts_at), n.starts_at,
         n.doctor_id
LIMIT $7
"""

#: $1 clinic, $2 doctor or specialty, $3 slot, $4 its start, $5 and $6 the range, $7 how many
NEAREST_OF_DOCTOR = _NEAREST.format(slot=_SLOT, whose=_OF_DOCTOR)

NEAREST_OF_SPECIALTY = _NEAREST.format(slot=_SLOT, whose=_OF_SPECIALTY)


def free_slots(
    *, doctor: bool, specialty: bool, location: bool, after: bool, backwards: bool
) -> str:
    """Return the query for free slots, by start, doctor and lane; its parameters are, in this order
    and as far as requested: clinic, from, before, limit, doctor, specialty, location, and the place
    to continue from: its time and, unless of one doctor, the id of a slot there.

    It selects id, doctor, specialty, start, end, lane, location and the doctor's name; for one
    doctor, a single row: name, specialty, all of the slots, packed, NULL when there are none, and
    whether they have locations. After a place, no other lane of its start follows.
    """
    number = 4
    conditions = []
    if doctor:
        number += 1
        conditions.append(f" AND s.doctor_id = ${number}")
    if specialty:
        number += 1
        conditions.append(f" AND lower(s.specialty) = lower(${number}::text)")
    if location:
        number += 1
        conditions.append(f" AND s.location_id = ${number}")
    if after:
        sign, time, id_ = "<" if backwards else ">", f"${number + 1}", f"${number + 2}::uuid"
        if doctor:
            conditions.append(f" AND s.starts_at {sign} {time}::timestamptz")
        else:
            known = f"(SELECT p.doctor_id FROM slots p WHERE p.clinic_id = $1 AND p.id = {id_})"
            beyond = f"{time}::timestamptz, coalesce({known}, {id_})"
            conditions.append(f" AND (s.starts_at, s.doctor_id) {sign} ({beyond})")
    direction = " DESC" if backwards else ""
    keys = ("starts_at", "lane") if doctor else ("starts_at", "doctor_id", "lane")
    order = "ORDER BY " + ", ".join(f"s.{key}{direction}" for key in keys)
    # Cut to the page before the names are looked up, whatever table sizes the planner assumes.
    cut = f"""
    WHERE s.clinic_id = $1 AND s.starts_at >= $2 AND s.starts_at < $3{"".join(conditions)}
    {order} LIMIT $4
"""
    if doctor:
        # One value is cheaper to send than a row per slot. Sorting in SQL would cost as much again.
        return f"""
SELECT d.name, d.specialty,
       (SELECT {_PACKED}
        FROM (SELECT s.packed, s.location_id FROM free_slots s {cut}) s), l.is_located
FROM doctors_profiles d, {_IS_LOCATED.format(clinic="$1")} WHERE d.clinic_id = $1 AND d.user_id = $5
"""
    return f"""
SELECT s.id, s.doctor_id, s.specialty, s.starts_at, s.ends_at, s.lane, s.location_id, d.name
FROM (
    SELECT s.id, s.doctor_id, s.specialty, s.starts_at, s.ends_at, s.lane, s.location_id
    FROM free_slots s {cut}
) s
JOIN doctors_profiles d ON d.clinic_id = $1 AND d.user_id = s.doctor_id
{order}
"""


#: the same for many doctors at once, as Batcher sends them: clinics, doctors, from, before, limits,
#: sessions. One row if the clinic exists: the clinic, whether the session is still usable, and all
#: of the doctor's slots, packed; their bytes show whether anything has changed.
GLANCE = f"""
SELECT asked.number, {GLANCED.sql}
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::int[], $6::uuid[])
         WITH ORDINALITY AS asked (clinic_id, doctor_id, starts_from, starts_before, many,
                                   session_id, number)
JOIN clinics c ON c.id = asked.clinic_id
{LIVE_SESSION}
LEFT JOIN doctors_profiles d ON d.clinic_id = c.id AND d.user_id = asked.doctor_id,
     LATERAL {_IS_LOCATED.format(clinic="asked.clinic_id")},
     LATERAL (
         SELECT {_PACKED}
         FROM (
             SELECT s.packed, s.location_id FROM free_slots s
             WHERE s.clinic_id = asked.clinic_id AND s.doctor_id = asked.doctor_id
               AND s.starts_at >= asked.starts_from AND s.starts_at < asked.starts_before
             ORDER BY s.starts_at, s.lane LIMIT asked.many
         ) s
     ) free
"""
