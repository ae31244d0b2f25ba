"""Booking's read: every fact that the domain needs, in one row.

It is the first of a booking's two round trips; booking_statement.py is the second. A test checks
every column named here against the schema.
"""

from clinic.adapters.postgres.appointments.statements import listed
from clinic.adapters.postgres.engine.mapping import Columns, Layout
from clinic.adapters.postgres.idempotency.mapping import ANSWER
from clinic.adapters.postgres.people.mapping import CLINIC, TYPES_VERSION
from clinic.adapters.postgres.people.session_checks import LIVE_SESSION, PROVEN
from clinic.domain.appointments.appointments import OPEN, Status

#: when the patient's `max_open_appointments`-th latest open appointment begins, NULL with fewer. An
#: appointment still ahead cannot begin earlier than the slot minus the horizon, so a long history
#: is not read. The patient is written as a range, so that only the index on patients provides the
#: order and can use the bounds: the planner may take a table that has filled since its last ANALYZE
#: for empty, and would read all patients' appointments through the index on times.
_FULL_UNTIL = f"""(
    SELECT o.starts_at FROM appointments o
    WHERE o.clinic_id = c.id AND o.status IN ({listed(OPEN)})
      AND o.patient_id >= p.user_id AND o.patient_id <= p.user_id
      AND (o.patient_id, o.starts_at)
          > (p.user_id, s.starts_at - c.horizon_days * interval '24 hours')
    ORDER BY o.patient_id DESC, o.starts_at DESC OFFSET c.max_open_appointments - 1 LIMIT 1
)"""

#: whether the patient may be booked for; booking_statement.py checks this again as it writes
_IS_OPEN = "p.ended_at IS NULL AND p.disabled_at IS NULL"

_SLOT_FACTS = Columns(
    doctor_id="s.doctor_id",
    specialty="s.specialty",
    starts_at="s.starts_at",
    ends_at="s.ends_at",
    state="s.state",
    taken="s.taken",
    lane="s.lane",
    location_id="s.location_id",
    location_name="l.name",
    doctor_name="d.name",
)

_PATIENT = Columns(user_id="p.user_id", name="pu.name", email="pu.email", phone="pu.phone")

_BRAKES = Columns(full_until=_FULL_UNTIL, is_open=_IS_OPEN)

#: what LOAD_FACTS selects
FACTS = Layout(CLINIC, _SLOT_FACTS, _PATIENT, ANSWER, _BRAKES, TYPES_VERSION, PROVEN)

#: booking's read for many bookings at once, as Batcher sends them: clinics, slots, patients,
#: principals and keys (NULL without a key), sessions. One row if the clinic exists; whatever else
#: is absent is NULL.
LOAD_FACTS = f"""
SELECT asked.number, found.*
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::uuid[])
         WITH ORDINALITY AS asked (clinic_id, slot_id, patient_id, principal_id, key, session_id,
                                   number),
     LATERAL (
         SELECT {FACTS.sql}
         FROM clinics c
         LEFT JOIN slots s ON s.clinic_id = c.id AND s.id = asked.slot_id
         LEFT JOIN doctors_profiles d ON d.clinic_id = s.clinic_id AND d.user_id = s.doctor_id
         LEFT JOIN locations l ON l.clinic_id = s.clinic_id AND l.id = s.location_id
         LEFT JOIN patients_profiles p ON p.clinic_id = c.id AND p.user_id = asked.patient_id
         LEFT JOIN users pu ON pu.id = p.user_id
         LEFT JOIN idempotency_keys k ON k.clinic_id = c.id
             AND k.principal_id = asked.principal_id AND k.key = asked.key
             AND k.recovery_point = 'finished'
         {LIVE_SESSION}
         WHERE c.id = asked.clinic_id LIMIT 1
     ) found
"""

#: $1 clinic, $2 patient: whether an appointment of the patient is completed
IS_KNOWN = f"""
SELECT EXISTS (
    SELECT FROM appointments
    WHERE clinic_id = $1 AND patient_id = $2 AND status = '{Status.COMPLETED}'
)
"""
