-- The first schema. Later migrations change it; this file stays as it is.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE audit_appointment (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    appointment_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor_id UUID NOT NULL,
    actor_role TEXT NOT NULL,
    action TEXT NOT NULL,
    from_status TEXT,
    to_status TEXT NOT NULL,
    from_slot_id UUID,
    to_slot_id UUID NOT NULL,
    version INTEGER NOT NULL,
    reason TEXT NOT NULL,
    request_id TEXT,
    ip TEXT,
    session_id UUID,
    CONSTRAINT audit_appointment_pkey PRIMARY KEY (clinic_id, id, at),
    CONSTRAINT audit_appointment_role_known CHECK (actor_role IN ('PATIENT', 'DOCTOR', 'RECEPTIONIST', 'ADMIN', 'SYSTEM')),
    CONSTRAINT audit_appointment_action_known CHECK (action IN ('BOOK', 'CHANGE_STATUS', 'RESCHEDULE', 'SWAP')),
    CONSTRAINT audit_appointment_from_known CHECK (from_status IN ('HELD', 'BOOKED', 'CONFIRMED', 'ARRIVED', 'COMPLETED', 'CANCELLED', 'NO_SHOW', 'EXPIRED')),
    CONSTRAINT audit_appointment_to_known CHECK (to_status IN ('HELD', 'BOOKED', 'CONFIRMED', 'ARRIVED', 'COMPLETED', 'CANCELLED', 'NO_SHOW', 'EXPIRED')),
    CONSTRAINT audit_appointment_version_range CHECK (version >= 1),
    CONSTRAINT audit_appointment_reason_length CHECK (char_length(reason) <= 500)
)
 PARTITION BY RANGE (at);

CREATE INDEX audit_appointment_trail_idx ON audit_appointment (clinic_id, appointment_id, version);

CREATE TABLE audit_event (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor_id UUID NOT NULL,
    actor_role TEXT NOT NULL,
    action TEXT NOT NULL,
    entity TEXT NOT NULL,
    entity_id UUID,
    patient_id UUID,
    reason TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail JSONB NOT NULL,
    request_id TEXT,
    ip TEXT,
    session_id UUID,
    CONSTRAINT audit_event_pkey PRIMARY KEY (clinic_id, id, at),
    CONSTRAINT audit_event_role_known CHECK (actor_role IN ('PATIENT', 'DOCTOR', 'RECEPTIONIST', 'ADMIN', 'SYSTEM')),
    CONSTRAINT audit_event_reason_length CHECK (char_length(reason) <= 500)
)
 PARTITION BY RANGE (at);

CREATE INDEX audit_event_entity_idx ON audit_event (clinic_id, entity_id, at);

CREATE INDEX audit_event_time_idx ON audit_event (clinic_id, at, id);

CREATE TABLE clinics (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    notice_min INTEGER NOT NULL,
    horizon_days INTEGER NOT NULL,
    cancel_notice_min INTEGER NOT NULL,
    hold_min INTEGER NOT NULL,
    reminder_leads_min INTEGER[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT clinics_pkey PRIMARY KEY (id),
    CONSTRAINT clinics_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT clinics_time_zone_length CHECK (char_length(time_zone) BETWEEN 1 AND 64),
    CONSTRAINT clinics_notice_range CHECK (notice_min BETWEEN 0 AND 527040),
    CONSTRAINT clinics_horizon_range CHECK (horizon_days BETWEEN 1 AND 730),
    CONSTRAINT clinics_cancel_notice_range CHECK (cancel_notice_min BETWEEN 0 AND 527040),
    CONSTRAINT clinics_hold_range CHECK (hold_min BETWEEN 1 AND 1440),
    CONSTRAINT clinics_reminder_leads_range CHECK (cardinality(reminder_leads_min) <= 5 AND 1 <= ALL (reminder_leads_min) AND 527040 >= ALL (reminder_leads_min))
);

CREATE TABLE idempotency_keys (
    clinic_id UUID NOT NULL,
    principal_id UUID NOT NULL,
    key TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    status INTEGER,
    body BYTEA,
    location TEXT,
    etag TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    locked_at TIMESTAMP WITH TIME ZONE,
    recovery_point TEXT DEFAULT 'finished' NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (clinic_id, principal_id, key),
    CONSTRAINT idempotency_keys_key_length CHECK (char_length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_fingerprint_length CHECK (octet_length(fingerprint) BETWEEN 1 AND 64),
    CONSTRAINT idempotency_keys_status_range CHECK (status BETWEEN 100 AND 599),
    CONSTRAINT idempotency_keys_point_known CHECK (recovery_point IN ('started', 'held', 'payment_authorised', 'booked', 'finished')),
    CONSTRAINT idempotency_keys_answer_when_finished CHECK ((recovery_point = 'finished') = (status IS NOT NULL) AND (status IS NULL) = (body IS NULL))
);

CREATE INDEX idempotency_keys_created_idx ON idempotency_keys USING brin (created_at);

CREATE TABLE notification (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    appointment_id UUID,
    user_id UUID,
    kind TEXT NOT NULL,
    channel TEXT NOT NULL,
    version INTEGER NOT NULL,
    scheduled_for TIMESTAMP WITH TIME ZONE NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    maybe_twice BOOLEAN DEFAULT false NOT NULL,
    message_id TEXT,
    error TEXT,
    finished_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT notification_pkey PRIMARY KEY (clinic_id, id, scheduled_for),
    CONSTRAINT notification_once_key UNIQUE (clinic_id, appointment_id, kind, channel, scheduled_for, version),
    CONSTRAINT notification_one_subject CHECK (num_nonnulls(appointment_id, user_id) = 1),
    CONSTRAINT notification_status_known CHECK (status IN ('SENT', 'FAILED')),
    CONSTRAINT notification_channel_known CHECK (channel IN ('email', 'sms')),
    CONSTRAINT notification_kind_length CHECK (char_length(kind) BETWEEN 1 AND 50),
    CONSTRAINT notification_counts_range CHECK (version >= 0 AND attempts >= 0)
)
 PARTITION BY RANGE (scheduled_for);

CREATE INDEX notification_user_idx ON notification (clinic_id, user_id, scheduled_for);

CREATE TABLE users (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    phone TEXT,
    role TEXT NOT NULL,
    password_hash TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    disabled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT users_email_length CHECK (char_length(email) BETWEEN 3 AND 254),
    CONSTRAINT users_role_known CHECK (role IN ('PATIENT', 'DOCTOR', 'RECEPTIONIST', 'ADMIN', 'SYSTEM'))
);

CREATE UNIQUE INDEX users_email_key ON users (lower(email));

CREATE TABLE doctors_profiles (
    clinic_id UUID NOT NULL,
    user_id UUID NOT NULL,
    specialty TEXT NOT NULL,
    CONSTRAINT doctors_profiles_pkey PRIMARY KEY (clinic_id, user_id),
    CONSTRAINT doctors_profiles_specialty_key UNIQUE (clinic_id, user_id, specialty),
    CONSTRAINT doctors_profiles_clinic_fkey FOREIGN KEY(clinic_id) REFERENCES clinics (id),
    CONSTRAINT doctors_profiles_user_fkey FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT doctors_profiles_specialty_length CHECK (char_length(specialty) BETWEEN 1 AND 80)
);

CREATE INDEX doctors_profiles_user_idx ON doctors_profiles (user_id);

CREATE TABLE patients_profiles (
    clinic_id UUID NOT NULL,
    user_id UUID NOT NULL,
    CONSTRAINT patients_profiles_pkey PRIMARY KEY (clinic_id, user_id),
    CONSTRAINT patients_profiles_clinic_fkey FOREIGN KEY(clinic_id) REFERENCES clinics (id),
    CONSTRAINT patients_profiles_user_fkey FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX patients_profiles_user_idx ON patients_profiles (user_id);

CREATE TABLE sessions (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    role TEXT NOT NULL,
    token_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT sessions_pkey PRIMARY KEY (clinic_id, id),
    CONSTRAINT sessions_token_key UNIQUE (clinic_id, token_hash),
    CONSTRAINT sessions_clinic_fkey FOREIGN KEY(clinic_id) REFERENCES clinics (id),
    CONSTRAINT sessions_user_fkey FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT sessions_role_known CHECK (role IN ('PATIENT', 'DOCTOR', 'RECEPTIONIST', 'ADMIN', 'SYSTEM')),
    CONSTRAINT sessions_token_length CHECK (octet_length(token_hash) BETWEEN 16 AND 64),
    CONSTRAINT sessions_expiry_after_start CHECK (expires_at > created_at)
);

CREATE INDEX sessions_user_idx ON sessions (user_id);

CREATE TABLE availabilities (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    doctor_id UUID NOT NULL,
    start_time TIME WITHOUT TIME ZONE NOT NULL,
    end_time TIME WITHOUT TIME ZONE NOT NULL,
    slot_min INTEGER NOT NULL,
    weekdays SMALLINT[] NOT NULL,
    on_date DATE,
    valid_from DATE,
    valid_until DATE,
    CONSTRAINT availabilities_pkey PRIMARY KEY (clinic_id, id),
    CONSTRAINT availabilities_doctor_fkey FOREIGN KEY(clinic_id, doctor_id) REFERENCES doctors_profiles (clinic_id, user_id),
    CONSTRAINT availabilities_end_after_start CHECK (end_time > start_time),
    CONSTRAINT availabilities_slot_range CHECK (slot_min BETWEEN 5 AND 480),
    CONSTRAINT availabilities_weekdays_known CHECK (weekdays <@ '{1,2,3,4,5,6,7}'::smallint[]),
    CONSTRAINT availabilities_weekly_or_dated CHECK ((cardinality(weekdays) = 0) = (on_date IS NOT NULL)),
    CONSTRAINT availabilities_validity_order CHECK (valid_until >= valid_from AND (on_date IS NULL OR (valid_from IS NULL AND valid_until IS NULL)))
);

CREATE INDEX availabilities_doctor_idx ON availabilities (clinic_id, doctor_id, id);

CREATE TABLE availability_exceptions (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    doctor_id UUID NOT NULL,
    on_date DATE NOT NULL,
    kind TEXT NOT NULL,
    start_time TIME WITHOUT TIME ZONE,
    end_time TIME WITHOUT TIME ZONE,
    slot_min INTEGER,
    CONSTRAINT availability_exceptions_pkey PRIMARY KEY (clinic_id, id),
    CONSTRAINT availability_exceptions_doctor_fkey FOREIGN KEY(clinic_id, doctor_id) REFERENCES doctors_profiles (clinic_id, user_id),
    CONSTRAINT availability_exceptions_kind_known CHECK (kind IN ('REMOVE', 'ADD')),
    CONSTRAINT availability_exceptions_end_after_start CHECK ((start_time IS NULL) = (end_time IS NULL) AND end_time > start_time),
    CONSTRAINT availability_exceptions_slot_range CHECK (slot_min BETWEEN 5 AND 480),
    CONSTRAINT availability_exceptions_slot_when_added CHECK ((kind = 'ADD') = (slot_min IS NOT NULL) AND (kind = 'REMOVE' OR start_time IS NOT NULL))
);

CREATE INDEX availability_exceptions_doctor_idx ON availability_exceptions (clinic_id, doctor_id, on_date, id);

CREATE TABLE slots (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    doctor_id UUID NOT NULL,
    specialty TEXT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    taken BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT slots_pkey PRIMARY KEY (clinic_id, id),
    CONSTRAINT slots_place_key UNIQUE (clinic_id, id, doctor_id, starts_at, ends_at),
    CONSTRAINT slots_doctor_fkey FOREIGN KEY(clinic_id, doctor_id, specialty) REFERENCES doctors_profiles (clinic_id, user_id, specialty) ON UPDATE CASCADE,
    CONSTRAINT slots_state_known CHECK (state IN ('OPEN', 'BLOCKED', 'RETIRED')),
    CONSTRAINT slots_length_range CHECK (ends_at > starts_at AND ends_at <= starts_at + interval '480 minutes'),
    CONSTRAINT slots_doctor_excl EXCLUDE USING gist (clinic_id WITH =, doctor_id WITH =, tstzrange(starts_at, ends_at, '[)') WITH &&) WHERE (state <> 'RETIRED')
);

CREATE INDEX slots_doctor_idx ON slots (clinic_id, doctor_id, specialty);

CREATE UNIQUE INDEX slots_doctor_starts_key ON slots (clinic_id, doctor_id, starts_at) WHERE state <> 'RETIRED';

CREATE INDEX slots_free_by_doctor_idx ON slots (clinic_id, doctor_id, starts_at, id) INCLUDE (ends_at, specialty) WHERE state = 'OPEN' AND NOT taken;

CREATE INDEX slots_free_by_specialty_idx ON slots (clinic_id, lower(specialty), starts_at, id) INCLUDE (doctor_id, ends_at, specialty) WHERE state = 'OPEN' AND NOT taken;

CREATE INDEX slots_free_idx ON slots (clinic_id, starts_at, id) INCLUDE (doctor_id, ends_at, specialty) WHERE state = 'OPEN' AND NOT taken;

CREATE TABLE appointments (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    slot_id UUID NOT NULL,
    doctor_id UUID NOT NULL,
    patient_id UUID NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    type TEXT,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    schedule_version INTEGER NOT NULL,
    status_by UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT appointments_pkey PRIMARY KEY (clinic_id, id),
    CONSTRAINT appointments_slot_fkey FOREIGN KEY(clinic_id, slot_id, doctor_id, starts_at, ends_at) REFERENCES slots (clinic_id, id, doctor_id, starts_at, ends_at) ON UPDATE CASCADE,
    CONSTRAINT appointments_patient_fkey FOREIGN KEY(clinic_id, patient_id) REFERENCES patients_profiles (clinic_id, user_id),
    CONSTRAINT appointments_status_known CHECK (status IN ('HELD', 'BOOKED', 'CONFIRMED', 'ARRIVED', 'COMPLETED', 'CANCELLED', 'NO_SHOW', 'EXPIRED')),
    CONSTRAINT appointments_type_length CHECK (char_length(type) BETWEEN 1 AND 80),
    CONSTRAINT appointments_version_range CHECK (version >= 1 AND schedule_version >= 0),
    CONSTRAINT appointments_end_after_start CHECK (ends_at > starts_at),
    CONSTRAINT appointments_patient_excl EXCLUDE USING gist (clinic_id WITH =, patient_id WITH =, tstzrange(starts_at, ends_at, '[)') WITH &&) WHERE (status IN ('HELD', 'BOOKED', 'CONFIRMED', 'ARRIVED', 'COMPLETED', 'NO_SHOW'))
);

CREATE INDEX appointments_doctor_idx ON appointments (clinic_id, doctor_id, starts_at, id);

CREATE UNIQUE INDEX appointments_occupied_slot_key ON appointments (clinic_id, slot_id) WHERE status IN ('HELD', 'BOOKED', 'CONFIRMED', 'ARRIVED', 'COMPLETED', 'NO_SHOW');

CREATE INDEX appointments_patient_idx ON appointments (clinic_id, patient_id, starts_at, id);

CREATE INDEX appointments_slot_idx ON appointments (clinic_id, slot_id, doctor_id, starts_at, ends_at);

CREATE INDEX appointments_starts_idx ON appointments (clinic_id, starts_at, id);

CREATE TABLE notification_outbox (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    appointment_id UUID,
    user_id UUID,
    kind TEXT NOT NULL,
    channel TEXT NOT NULL,
    version INTEGER NOT NULL,
    scheduled_for TIMESTAMP WITH TIME ZONE NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT DEFAULT 'pending' NOT NULL,
    claim_token UUID,
    lease_until TIMESTAMP WITH TIME ZONE,
    attempts INTEGER DEFAULT 0 NOT NULL,
    ambiguous BOOLEAN DEFAULT false NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE,
    last_error TEXT,
    CONSTRAINT notification_outbox_pkey PRIMARY KEY (clinic_id, id),
    CONSTRAINT notification_outbox_once_key UNIQUE (clinic_id, appointment_id, kind, channel, version),
    CONSTRAINT notification_outbox_appointment_fkey FOREIGN KEY(clinic_id, appointment_id) REFERENCES appointments (clinic_id, id),
    CONSTRAINT notification_outbox_user_fkey FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT notification_outbox_one_subject CHECK (num_nonnulls(appointment_id, user_id) = 1),
    CONSTRAINT notification_outbox_state_known CHECK (state IN ('pending', 'claimed', 'sending')),
    CONSTRAINT notification_outbox_channel_known CHECK (channel IN ('email', 'sms')),
    CONSTRAINT notification_outbox_kind_length CHECK (char_length(kind) BETWEEN 1 AND 50),
    CONSTRAINT notification_outbox_counts_range CHECK (version >= 0 AND attempts >= 0),
    CONSTRAINT notification_outbox_expiry_after_due CHECK (expires_at >= scheduled_for)
);

CREATE INDEX notification_outbox_lease_idx ON notification_outbox (lease_until) WHERE state <> 'pending';

CREATE INDEX notification_outbox_pending_idx ON notification_outbox (next_at) WHERE state = 'pending';

CREATE INDEX notification_outbox_unpublished_idx ON notification_outbox (created_at, id) WHERE published_at IS NULL;

CREATE INDEX notification_outbox_user_idx ON notification_outbox (user_id);

CREATE TABLE payments (
    clinic_id UUID NOT NULL,
    id UUID NOT NULL,
    appointment_id UUID NOT NULL,
    provider TEXT NOT NULL,
    provider_ref TEXT,
    amount_minor BIGINT NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT payments_pkey PRIMARY KEY (clinic_id, id),
    CONSTRAINT payments_reference_key UNIQUE (clinic_id, provider, provider_ref),
    CONSTRAINT payments_appointment_fkey FOREIGN KEY(clinic_id, appointment_id) REFERENCES appointments (clinic_id, id),
    CONSTRAINT payments_amount_range CHECK (amount_minor >= 0),
    CONSTRAINT payments_currency_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT payments_status_known CHECK (status IN ('PENDING', 'AUTHORISED', 'CAPTURED', 'CANCELLED', 'FAILED', 'REFUNDED'))
);

CREATE INDEX payments_appointment_idx ON payments (clinic_id, appointment_id);
