"""Clinics, users, their profiles at clinics, offers of membership, and sessions."""

from sqlalchemy import (
    ARRAY,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

from clinic.adapters.postgres.schema.base import (
    check,
    created_at,
    id_,
    instant,
    int_,
    key,
    metadata,
    one_of,
    references,
    text_,
)
from clinic.domain.clinic import (
    GRACE_MAX_MIN,
    HORIZON_MAX_DAYS,
    LEADS_MAX,
    NAME_MAX_CHARS,
    NOTICE_MAX_MIN,
    OPEN_APPOINTMENTS_MAX,
    SQUEEZE_MAX,
    TRAVEL_MAX_MIN,
)
from clinic.domain.contact import ADDRESS_MAX_CHARS
from clinic.domain.people.people import EMAIL_MAX_CHARS, SPECIALTY_MAX_CHARS, Role
from clinic.domain.people.sessions import SessionKind

clinics = Table(
    "clinics",
    metadata,
    id_("id"),
    text_("name"),
    text_("time_zone"),
    int_("notice_min"),
    int_("horizon_days"),
    int_("cancel_notice_min"),
    int_("hold_min"),
    Column("reminder_leads_min", ARRAY(Integer()), nullable=False),
    created_at(),
    int_("max_open_appointments", default=text("10")),
    int_("squeeze_max", default=text("0")),
    # Rises with each change of its types, by triggers; 0 as long as it has had none.
    int_("types_version", default=text("0")),
    Column("max_open_per_doctor", Integer()),
    Column("max_bookings_per_day", Integer()),
    int_("cancel_grace_min", default=text("0")),
    text_("address", nullable=True),
    text_("phone", nullable=True),
    Column("language", Text(), nullable=False, server_default=text("'en'")),
    # Minutes that doctors need from one of its locations to another.
    int_("travel_min", default=text("0")),
    key("clinics_pkey", "id"),
    check("clinics_name_length", f"char_length(name) BETWEEN 1 AND {NAME_MAX_CHARS}"),
    check("clinics_time_zone_length", "char_length(time_zone) BETWEEN 1 AND 64"),
    check("clinics_notice_range", f"notice_min BETWEEN 0 AND {NOTICE_MAX_MIN}"),
    check("clinics_horizon_range", f"horizon_days BETWEEN 1 AND {HORIZON_MAX_DAYS}"),
    check("clinics_cancel_notice_range", f"cancel_notice_min BETWEEN 0 AND {NOTICE_MAX_MIN}"),
    check("clinics_hold_range", "hold_min BETWEEN 1 AND 1440"),
    check(
        "clinics_max_open_range",
        f"max_open_appointments BETWEEN 1 AND {OPEN_APPOINTMENTS_MAX}",
    ),
    check("clinics_travel_range", f"travel_min BETWEEN 0 AND {TRAVEL_MAX_MIN}"),
    check("clinics_squeeze_range", f"squeeze_max BETWEEN 0 AND {SQUEEZE_MAX}"),
    check(
        "clinics_max_per_doctor_range",
        f"max_open_per_doctor BETWEEN 1 AND {OPEN_APPOINTMENTS_MAX}",
    ),
    check(
        "clinics_max_per_day_range",
        f"max_bookings_per_day BETWEEN 1 AND {OPEN_APPOINTMENTS_MAX}",
    ),
    check("clinics_cancel_grace_range", f"cancel_grace_min BETWEEN 0 AND {GRACE_MAX_MIN}"),
    check("clinics_address_length", f"char_length(address) BETWEEN 1 AND {ADDRESS_MAX_CHARS}"),
    check(
        "clinics_reminder_leads_range",
        f"cardinality(reminder_leads_min) <= {LEADS_MAX} AND 1 <= ALL (reminder_leads_min)"
        f" AND {NOTICE_MAX_MIN} >= ALL (reminder_leads_min)",
    ),
)

users = Table(
    "users",
    metadata,
    id_("id"),
    text_("name"),
    text_("email"),
    text_("email_typed", nullable=True),
    text_("phone", nullable=True),
    text_("role"),
    text_("password_hash", nullable=True),
    created_at(),
    instant("disabled_at", nullable=True),
    instant("email_verified_at", nullable=True),
    int_("link_version", default=text("0")),
    instant("email_unproven_since", nullable=True),
    int_("unbound_link_version", default=text("0")),
    key("users_pkey", "id"),
    check("users_name_length", f"char_length(name) BETWEEN 1 AND {NAME_MAX_CHARS}"),
    check("users_email_length", f"char_length(email) BETWEEN 3 AND {EMAIL_MAX_CHARS}"),
    check("users_email_typed_length", f"char_length(email_typed) BETWEEN 3 AND {EMAIL_MAX_CHARS}"),
    check("users_role_known", f"role IN {one_of(Role)}"),
)

Index("users_email_key", func.lower(users.c.email), unique=True)

doctors_profiles = Table(
    "doctors_profiles",
    metadata,
    id_("clinic_id"),
    id_("user_id"),
    text_("specialty"),
    # The user's name, kept by triggers, so that listing a doctor's slots looks up one row.
    Column("name", Text(), nullable=False, server_default=text("''")),
    instant("ended_at", nullable=True),
    # The last day on which the doctor works at the clinic.
    Column("last_day", Date()),
    key("doctors_profiles_pkey", "clinic_id", "user_id"),
    # The target of slots' foreign key, which keeps their copy of the specialty correct.
    UniqueConstraint("clinic_id", "user_id", "specialty", name="doctors_profiles_specialty_key"),
    references("doctors_profiles_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    references("doctors_profiles_user_fkey", ["user_id"], "users", ["id"]),
    check(
        "doctors_profiles_specialty_length",
        f"char_length(specialty) BETWEEN 1 AND {SPECIALTY_MAX_CHARS}",
    ),
    Index("doctors_profiles_user_idx", "user_id"),
)

patients_profiles = Table(
    "patients_profiles",
    metadata,
    id_("clinic_id"),
    id_("user_id"),
    instant("ended_at", nullable=True),
    # The user's, kept by triggers, so that a booking locks and checks one row.
    instant("disabled_at", nullable=True),
    key("patients_profiles_pkey", "clinic_id", "user_id"),
    references("patients_profiles_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    references("patients_profiles_user_fkey", ["user_id"], "users", ["id"]),
    Index("patients_profiles_user_idx", "user_id"),
)

staff_profiles = Table(
    "staff_profiles",
    metadata,
    id_("clinic_id"),
    id_("user_id"),
    instant("ended_at", nullable=True),
    key("staff_profiles_pkey", "clinic_id", "user_id"),
    references("staff_profiles_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    references("staff_profiles_user_fkey", ["user_id"], "users", ["id"]),
    Index("staff_profiles_user_idx", "user_id"),
)

membership_offers = Table(
    "membership_offers",
    metadata,
    id_("clinic_id"),
    id_("id"),
    text_("role"),
    text_("specialty", nullable=True),
    # A user, or the operator, who is not one.
    id_("offered_by"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    instant("expires_at"),
    Column("address_tag", LargeBinary()),
    key("membership_offers_pkey", "clinic_id", "id"),
    references("membership_offers_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    check("membership_offers_expiry_after_start", "expires_at > created_at"),
    # Across clinics, to find the offers made to one person.
    Index("membership_offers_address_idx", "address_tag"),
)

sessions = Table(
    "sessions",
    metadata,
    id_("clinic_id"),
    id_("id"),
    id_("user_id"),
    text_("role"),
    Column("token_hash", LargeBinary(), nullable=False),
    instant("created_at"),
    instant("expires_at"),
    instant("last_seen_at"),
    instant("revoked_at", nullable=True),
    Column("kind", Text(), nullable=False, server_default=text("'bearer'")),
    key("sessions_pkey", "clinic_id", "id"),
    UniqueConstraint("clinic_id", "token_hash", name="sessions_token_key"),
    references("sessions_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    references("sessions_user_fkey", ["user_id"], "users", ["id"]),
    check("sessions_role_known", f"role IN {one_of(Role)}"),
    check("sessions_kind_known", f"kind IN {one_of(SessionKind)}"),
    check("sessions_token_length", "octet_length(token_hash) BETWEEN 16 AND 64"),
    check("sessions_expiry_after_start", "expires_at > created_at"),
    Index("sessions_user_idx", "user_id"),
)

# To find ended sessions, which are removed.
Index("sessions_ended_idx", func.least(sessions.c.expires_at, sessions.c.revoked_at))
