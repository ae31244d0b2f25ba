"""SQL that brings the database back to the schema that an earlier migration left."""

from clinic.adapters.postgres.migrations.versions import v0007_free_slots

#: at 0030: free slots are listed without their lanes, and there are no rooms
BEFORE_LANES = f"""
DROP TRIGGER appointments_keep_resources ON appointments;
DROP TABLE appointment_resources;
ALTER TABLE free_slots DROP packed, DROP lane, DROP location_id;
ALTER TABLE free_slots ADD packed BYTEA NOT NULL GENERATED ALWAYS AS
    (uuid_send(id) || timestamptz_send(starts_at) || timestamptz_send(ends_at)) STORED;
ALTER TABLE free_slots ADD CONSTRAINT free_slots_pkey
    PRIMARY KEY (clinic_id, doctor_id, starts_at) INCLUDE (packed);
CREATE INDEX free_slots_specialty_idx
    ON free_slots (clinic_id, lower(specialty), starts_at, id) INCLUDE (doctor_id, ends_at);
CREATE INDEX free_slots_starts_idx
    ON free_slots (clinic_id, starts_at, id) INCLUDE (doctor_id, ends_at);
{v0007_free_slots._FUNCTIONS.format(schema="public")};
ALTER TABLE slots DROP location_id;
ALTER TABLE availabilities DROP capacity;
ALTER TABLE availability_exceptions DROP capacity;
ALTER TABLE added_places DROP lane;
ALTER TABLE clinics DROP squeeze_max;
UPDATE alembic_version SET version_num = '0030';
"""
#: at 0026: slots are kept apart by doctor, whatever their lane
BEFORE_CALENDAR_LANES = f"""
{BEFORE_LANES}
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
