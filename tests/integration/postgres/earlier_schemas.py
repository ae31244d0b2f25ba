"""SQL that brings the database back to the schema that an earlier migration left."""

#: at 0026: slots are kept apart by doctor, whatever their lane
BEFORE_CALENDAR_LANES = """
DROP FUNCTION clinic_set_calendar_lane CASCADE;
ALTER TABLE slots DROP calendar_lane CASCADE;
ALTER TABLE slots
    ADD CONSTRAINT slots_doctor_excl EXCLUDE USING gist
        (clinic_id WITH =, doctor_id WITH =, tstzrange(starts_at, ends_at, '[)') WITH &&)
        WHERE (state <> 'RETIRED'),
    ADD CONSTRAINT slots_place_key UNIQUE (clinic_id, id, doctor_id, starts_at, ends_at);
CREATE UNIQUE INDEX slots_doctor_starts_key ON slots (clinic_id, doctor_id, starts_at)
    WHERE state <> 'RETIRED';
CREATE INDEX slots_doctor_idx ON slots (clinic_id, doctor_id, specialty);
ALTER TABLE appointments
    ADD CONSTRAINT appointments_slot_fkey
        FOREIGN KEY (clinic_id, slot_id, doctor_id, starts_at, ends_at)
        REFERENCES slots (clinic_id, id, doctor_id, starts_at, ends_at) ON UPDATE CASCADE,
    ALTER busy_from DROP NOT NULL,
    ALTER busy_until DROP NOT NULL,
    ADD CONSTRAINT appointments_busy_known CHECK (busy_from IS NOT NULL);
UPDATE alembic_version SET version_num = '0026';
"""
