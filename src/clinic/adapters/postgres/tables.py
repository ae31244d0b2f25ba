"""The schema as SQLAlchemy Core tables; migrations make it, and a test holds the two together.

Every key carries the clinic's id, so that no row can point into another clinic and the schema can
be spread by clinic. Constraint names are what errors.py tells conflicts by; at most 50 characters.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Time,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlalchemy.sql.elements import TextClause

from clinic.domain.appointments import OCCUPYING, Status
from clinic.domain.audit import NO_REASON, REASON_MAX_CHARS, Action
from clinic.domain.availability import SLOT_MAX_MIN, SLOT_MIN_MIN, ExceptionKind
from clinic.domain.clinic import (
    HORIZON_MAX_DAYS,
    LEADS_MAX,
    NAME_MAX_CHARS,
    NOTICE_MAX_MIN,
    OPEN_APPOINTMENTS_MAX,
)
from clinic.domain.contact import ADDRESS_MAX_CHARS
from clinic.domain.idempotency import KEY_MAX_CHARS
from clinic.domain.people import EMAIL_MAX_CHARS, SPECIALTY_MAX_CHARS, Role
from clinic.domain.sessions import SessionKind
from clinic.domain.slots import SlotState

metadata = MetaData()

#: tables divided by month, and the column that divides them
PARTITIONED = {"audit_appointment": "at", "audit_event": "at", "notification": "scheduled_for"}
#: tables whose rows are never changed
APPEND_ONLY = ("audit_appointment", "audit_event", "audit_seals", "notification")
#: of those, the text that an erasure may erase
ERASABLE = {"audit_appointment": "reason", "audit_event": "reason", "notification": "error"}
#: what no constraint can say, by table
TRIGGERS = {
    "slots": ("slots_keep_free", "slots_add_free", "slots_empty_free"),
    "doctors_profiles": ("doctors_profiles_name",),
    "patients_profiles": ("patients_profiles_disabled",),
    "users": ("users_rename_doctor", "users_disable_patient"),
    **{
        table: (
            f"{table}_no_change",
            f"{table}_no_truncate",
            *([f"{table}_salt"] if table in ERASABLE else []),
        )
        for table in APPEND_ONLY
    },
}


def _one_of(values: Iterable[str]) -> str:
    return "(" + ", ".join(f"'{value}'" for value in values) + ")"


#: a number, not an xid8: only numbers have the index that costs nothing to maintain
THIS_TRANSACTION = "(pg_current_xact_id()::text)::bigint"
_OCCUPIES = f"status IN {_one_of(OCCUPYING)}"
_ON_CALENDAR = "state <> 'RETIRED'"
_TIME = "tstzrange(starts_at, ends_at, '[)')"


def _id(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Uuid(), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Text(), nullable=nullable)


def _int(name: str, *, nullable: bool = False, default: TextClause | None = None) -> Column[Any]:
    return Column(name, Integer(), nullable=nullable, server_default=default)


def _instant(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _made_at() -> Column[Any]:
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def _check(name: str, condition: str) -> CheckConstraint:
    return CheckConstraint(condition, name=name)


def _key(name: str, *columns: str) -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint(*columns, name=name)


def _refers(
    name: str, columns: list[str], table: str, to: list[str], onupdate: str | None = None
) -> ForeignKeyConstraint:
    targets = [f"{table}.{column}" for column in to]
    return ForeignKeyConstraint(columns, targets, name=name, onupdate=onupdate)


# --- clinics and people -----------------------------------------------------------------------

clinics = Table(
    "clinics",
    metadata,
    _id("id"),
    _text("name"),
    _text("time_zone"),
    _int("notice_min"),
    _int("horizon_days"),
    _int("cancel_notice_min"),
    _int("hold_min"),
    Column("reminder_leads_min", ARRAY(Integer()), nullable=False),
    _made_at(),
    _int("max_open_appointments", default=text("10")),
    _text("address", nullable=True),
    _text("phone", nullable=True),
    Column("language", Text(), nullable=False, server_default=text("'en'")),
    _key("clinics_pkey", "id"),
    _check("clinics_name_length", f"char_length(name) BETWEEN 1 AND {NAME_MAX_CHARS}"),
    _check("clinics_time_zone_length", "char_length(time_zone) BETWEEN 1 AND 64"),
    _check("clinics_notice_range", f"notice_min BETWEEN 0 AND {NOTICE_MAX_MIN}"),
    _check("clinics_horizon_range", f"horizon_days BETWEEN 1 AND {HORIZON_MAX_DAYS}"),
    _check("clinics_cancel_notice_range", f"cancel_notice_min BETWEEN 0 AND {NOTICE_MAX_MIN}"),
    _check("clinics_hold_range", "hold_min BETWEEN 1 AND 1440"),
    _check(
        "clinics_max_open_range",
        f"max_open_appointments BETWEEN 1 AND {OPEN_APPOINTMENTS_MAX}",
    ),
    _check("clinics_address_length", f"char_length(address) BETWEEN 1 AND {ADDRESS_MAX_CHARS}"),
    _check(
        "clinics_reminder_leads_range",
        f"cardinality(reminder_leads_min) <= {LEADS_MAX} AND 1 <= ALL (reminder_leads_min)"
        f" AND {NOTICE_MAX_MIN} >= ALL (reminder_leads_min)",
    ),
)

users = Table(
    "users",
    metadata,
    _id("id"),
    _text("name"),
    _text("email"),
    _text("email_typed", nullable=True),
    _text("phone", nullable=True),
    _text("role"),
    _text("password_hash", nullable=True),
    _made_at(),
    _instant("disabled_at", nullable=True),
    _instant("email_verified_at", nullable=True),
    _int("link_version", default=text("0")),
    _instant("email_unproven_since", nullable=True),
    _int("unbound_link_version", default=text("0")),
    _key("users_pkey", "id"),
    _check("users_name_length", f"char_length(name) BETWEEN 1 AND {NAME_MAX_CHARS}"),
    _check("users_email_length", f"char_length(email) BETWEEN 3 AND {EMAIL_MAX_CHARS}"),
    _check("users_email_typed_length", f"char_length(email_typed) BETWEEN 3 AND {EMAIL_MAX_CHARS}"),
    _check("users_role_known", f"role IN {_one_of(Role)}"),
)
Index("users_email_key", func.lower(users.c.email), unique=True)

doctors_profiles = Table(
    "doctors_profiles",
    metadata,
    _id("clinic_id"),
    _id("user_id"),
    _text("specialty"),
    # The user's, as triggers keep it: what lists a doctor's slots has one row to look up.
    Column("name", Text(), nullable=False, server_default=text("''")),
    _instant("ended_at", nullable=True),
    _key("doctors_profiles_pkey", "clinic_id", "user_id"),
    # The target of slots' foreign key, which keeps their copy of the specialty true.
    UniqueConstraint("clinic_id", "user_id", "specialty", name="doctors_profiles_specialty_key"),
    _refers("doctors_profiles_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    _refers("doctors_profiles_user_fkey", ["user_id"], "users", ["id"]),
    _check(
        "doctors_profiles_specialty_length",
        f"char_length(specialty) BETWEEN 1 AND {SPECIALTY_MAX_CHARS}",
    ),
    Index("doctors_profiles_user_idx", "user_id"),
)

patients_profiles = Table(
    "patients_profiles",
    metadata,
    _id("clinic_id"),
    _id("user_id"),
    _instant("ended_at", nullable=True),
    # The user's, as triggers keep it: a booking has one row to lock and to look at.
    _instant("disabled_at", nullable=True),
    _key("patients_profiles_pkey", "clinic_id", "user_id"),
    _refers("patients_profiles_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    _refers("patients_profiles_user_fkey", ["user_id"], "users", ["id"]),
    Index("patients_profiles_user_idx", "user_id"),
)

staff_profiles = Table(
    "staff_profiles",
    metadata,
    _id("clinic_id"),
    _id("user_id"),
    _instant("ended_at", nullable=True),
    _key("staff_profiles_pkey", "clinic_id", "user_id"),
    _refers("staff_profiles_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    _refers("staff_profiles_user_fkey", ["user_id"], "users", ["id"]),
    Index("staff_profiles_user_idx", "user_id"),
)

membership_offers = Table(
    "membership_offers",
    metadata,
    _id("clinic_id"),
    _id("id"),
    _text("role"),
    _text("specialty", nullable=True),
    # A user, or the operator, who is none.
    _id("offered_by"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    _instant("expires_at"),
    Column("address_tag", LargeBinary()),
    _key("membership_offers_pkey", "clinic_id", "id"),
    _refers("membership_offers_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    _check("membership_offers_expiry_after_start", "expires_at > created_at"),
    # Across clinics, for the one whose offers they are.
    Index("membership_offers_address_idx", "address_tag"),
)

sessions = Table(
    "sessions",
    metadata,
    _id("clinic_id"),
    _id("id"),
    _id("user_id"),
    _text("role"),
    Column("token_hash", LargeBinary(), nullable=False),
    _instant("created_at"),
    _instant("expires_at"),
    _instant("last_seen_at"),
    _instant("revoked_at", nullable=True),
    Column("kind", Text(), nullable=False, server_default=text("'bearer'")),
    _key("sessions_pkey", "clinic_id", "id"),
    UniqueConstraint("clinic_id", "token_hash", name="sessions_token_key"),
    _refers("sessions_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    _refers("sessions_user_fkey", ["user_id"], "users", ["id"]),
    _check("sessions_role_known", f"role IN {_one_of(Role)}"),
    _check("sessions_kind_known", f"kind IN {_one_of(SessionKind)}"),
    _check("sessions_token_length", "octet_length(token_hash) BETWEEN 16 AND 64"),
    _check("sessions_expiry_after_start", "expires_at > created_at"),
    Index("sessions_user_idx", "user_id"),
)
# For whoever removes those that have ended.
Index("sessions_ended_idx", func.least(sessions.c.expires_at, sessions.c.revoked_at))

# --- calendars --------------------------------------------------------------------------------

availabilities = Table(
    "availabilities",
    metadata,
    _id("clinic_id"),
    _id("id"),
    _id("doctor_id"),
    Column("start_time", Time(), nullable=False),
    Column("end_time", Time(), nullable=False),
    _int("slot_min"),
    Column("weekdays", ARRAY(SmallInteger()), nullable=False),
    Column("on_date", Date()),
    Column("valid_from", Date()),
    Column("valid_until", Date()),
    _key("availabilities_pkey", "clinic_id", "id"),
    _refers(
        "availabilities_doctor_fkey",
        ["clinic_id", "doctor_id"],
        "doctors_profiles",
        ["clinic_id", "user_id"],
    ),
    _check("availabilities_end_after_start", "end_time > start_time"),
    _check("availabilities_slot_range", f"slot_min BETWEEN {SLOT_MIN_MIN} AND {SLOT_MAX_MIN}"),
    _check("availabilities_weekdays_known", "weekdays <@ '{1,2,3,4,5,6,7}'::smallint[]"),
    _check("availabilities_weekly_or_dated", "(cardinality(weekdays) = 0) = (on_date IS NOT NULL)"),
    _check(
        "availabilities_validity_order",
        "valid_until >= valid_from AND (on_date IS NULL OR (valid_from IS NULL"
        " AND valid_until IS NULL))",
    ),
    Index("availabilities_doctor_idx", "clinic_id", "doctor_id", "id"),
)

availability_exceptions = Table(
    "availability_exceptions",
    metadata,
    _id("clinic_id"),
    _id("id"),
    _id("doctor_id"),
    Column("on_date", Date(), nullable=False),
    _text("kind"),
    Column("start_time", Time()),
    Column("end_time", Time()),
    _int("slot_min", nullable=True),
    _key("availability_exceptions_pkey", "clinic_id", "id"),
    _refers(
        "availability_exceptions_doctor_fkey",
        ["clinic_id", "doctor_id"],
        "doctors_profiles",
        ["clinic_id", "user_id"],
    ),
    _check("availability_exceptions_kind_known", f"kind IN {_one_of(ExceptionKind)}"),
    _check(
        "availability_exceptions_end_after_start",
        "(start_time IS NULL) = (end_time IS NULL) AND end_time > start_time",
    ),
    _check(
        "availability_exceptions_slot_range",
        f"slot_min BETWEEN {SLOT_MIN_MIN} AND {SLOT_MAX_MIN}",
    ),
    _check(
        "availability_exceptions_slot_when_added",
        "(kind = 'ADD') = (slot_min IS NOT NULL) AND (kind = 'REMOVE' OR start_time IS NOT NULL)",
    ),
    Index("availability_exceptions_doctor_idx", "clinic_id", "doctor_id", "on_date", "id"),
)


def _slot_columns() -> list[Column[Any]]:
    """Return new columns for what a listing tells of a slot."""
    ids = [_id(name) for name in ("clinic_id", "id", "doctor_id")]
    return [*ids, _text("specialty"), _instant("starts_at"), _instant("ends_at")]


slots = Table(
    "slots",
    metadata,
    *_slot_columns(),
    _text("state"),
    # Always "has an occupying appointment", so that free slots are cheap to list and a booking
    # cannot slip past somebody who is blocking the slot. In no index: see free_slots.
    Column("taken", Boolean(), nullable=False, server_default=false()),
    _key("slots_pkey", "clinic_id", "id"),
    # The target of appointments' foreign key, which keeps their copy of doctor and times true.
    UniqueConstraint(
        "clinic_id", "id", "doctor_id", "starts_at", "ends_at", name="slots_place_key"
    ),
    _refers(
        "slots_doctor_fkey",
        ["clinic_id", "doctor_id", "specialty"],
        "doctors_profiles",
        ["clinic_id", "user_id", "specialty"],
        onupdate="CASCADE",
    ),
    _check("slots_state_known", f"state IN {_one_of(SlotState)}"),
    _check(
        "slots_length_range",
        f"ends_at > starts_at AND ends_at <= starts_at + interval '{SLOT_MAX_MIN} minutes'",
    ),
    ExcludeConstraint(
        ("clinic_id", "="),
        ("doctor_id", "="),
        (text(_TIME), "&&"),
        name="slots_doctor_excl",
        using="gist",
        where=text(_ON_CALENDAR),
    ),
    Index(
        "slots_doctor_starts_key",
        "clinic_id",
        "doctor_id",
        "starts_at",
        unique=True,
        postgresql_where=text(_ON_CALENDAR),
    ),
    Index("slots_doctor_idx", "clinic_id", "doctor_id", "specialty"),
    # Room on each page for the next version of its rows, which then needs no index entries.
    postgresql_with={"fillfactor": 90},
)

# What is open and free, as triggers on slots keep it. Here, because an index on slots that knew
# `taken` would have every booking write to all the others, too.
free_slots = Table(
    "free_slots",
    metadata,
    *_slot_columns(),
    # What differs among a doctor's slots, so that many of them are one value: id, start and end.
    Column(
        "packed",
        LargeBinary(),
        Computed(
            "uuid_send(id) || timestamptz_send(starts_at) || timestamptz_send(ends_at)",
            persisted=True,
        ),
        nullable=False,
    ),
    # Without the id, which it does not need: what is open and free is on the calendar.
    PrimaryKeyConstraint(
        "clinic_id",
        "doctor_id",
        "starts_at",
        name="free_slots_pkey",
        postgresql_include=["packed"],
    ),
    Index(
        "free_slots_starts_idx",
        "clinic_id",
        "starts_at",
        "id",
        postgresql_include=["doctor_id", "ends_at", "specialty"],
    ),
)
Index(
    "free_slots_specialty_idx",
    free_slots.c.clinic_id,
    func.lower(free_slots.c.specialty),
    free_slots.c.starts_at,
    free_slots.c.id,
    postgresql_include=["doctor_id", "ends_at", "specialty"],
)

# --- appointments -----------------------------------------------------------------------------

appointments = Table(
    "appointments",
    metadata,
    _id("clinic_id"),
    _id("id"),
    _id("slot_id"),
    _id("doctor_id"),
    _id("patient_id"),
    _instant("starts_at"),
    _instant("ends_at"),
    _text("type", nullable=True),
    _text("status"),
    _int("version"),
    _int("schedule_version"),
    _id("status_by"),
    _instant("created_at"),
    _instant("updated_at"),
    _key("appointments_pkey", "clinic_id", "id"),
    _refers(
        "appointments_slot_fkey",
        ["clinic_id", "slot_id", "doctor_id", "starts_at", "ends_at"],
        "slots",
        ["clinic_id", "id", "doctor_id", "starts_at", "ends_at"],
        onupdate="CASCADE",
    ),
    _refers(
        "appointments_patient_fkey",
        ["clinic_id", "patient_id"],
        "patients_profiles",
        ["clinic_id", "user_id"],
    ),
    _check("appointments_status_known", f"status IN {_one_of(Status)}"),
    _check("appointments_type_length", "char_length(type) BETWEEN 1 AND 80"),
    _check("appointments_version_range", "version >= 1 AND schedule_version >= 0"),
    _check("appointments_end_after_start", "ends_at > starts_at"),
    # The backstop behind slots.taken.
    Index(
        "appointments_occupied_slot_key",
        "clinic_id",
        "slot_id",
        unique=True,
        postgresql_where=text(_OCCUPIES),
    ),
    ExcludeConstraint(
        ("clinic_id", "="),
        ("patient_id", "="),
        (text(_TIME), "&&"),
        name="appointments_patient_excl",
        using="gist",
        where=text(_OCCUPIES),
    ),
    Index("appointments_slot_idx", "clinic_id", "slot_id", "doctor_id", "starts_at", "ends_at"),
    Index("appointments_patient_idx", "clinic_id", "patient_id", "starts_at", "id"),
    Index("appointments_doctor_idx", "clinic_id", "doctor_id", "starts_at", "id"),
    Index("appointments_starts_idx", "clinic_id", "starts_at", "id"),
)


def _xid(*, nullable: bool = False) -> Column[Any]:
    # Which transaction wrote the row: what seals are cut by. Not for the application to choose.
    return Column("xid", BigInteger(), nullable=nullable, server_default=text(THIS_TRANSACTION))


def _erasable(text_name: str) -> tuple[Column[Any], Column[Any]]:
    # What is sealed in place of a text that may have to be erased; a trigger makes both.
    return (
        Column(f"{text_name}_salt", LargeBinary()),
        Column(f"{text_name}_digest", LargeBinary()),
    )


# The trails have no foreign keys: they outlive what they tell of, and a partition can be added or
# taken away without a lock on appointments.
audit_appointment = Table(
    "audit_appointment",
    metadata,
    _id("clinic_id"),
    _id("id"),
    _id("appointment_id"),
    _instant("at"),
    _id("actor_id"),
    _text("actor_role"),
    _text("action"),
    _text("from_status", nullable=True),
    _text("to_status"),
    _id("from_slot_id", nullable=True),
    _id("to_slot_id"),
    _int("version"),
    _text("reason"),
    _text("request_id", nullable=True),
    _text("ip", nullable=True),
    _id("session_id", nullable=True),
    *_erasable("reason"),
    _xid(),
    _key("audit_appointment_pkey", "clinic_id", "id", "at"),
    _check("audit_appointment_role_known", f"actor_role IN {_one_of(Role)}"),
    _check("audit_appointment_action_known", f"action IN {_one_of(Action)}"),
    _check("audit_appointment_from_known", f"from_status IN {_one_of(Status)}"),
    _check("audit_appointment_to_known", f"to_status IN {_one_of(Status)}"),
    _check("audit_appointment_version_range", "version >= 1"),
    _check("audit_appointment_reason_length", f"char_length(reason) <= {REASON_MAX_CHARS}"),
    Index("audit_appointment_trail_idx", "clinic_id", "appointment_id", "version"),
    Index("audit_appointment_time_idx", "clinic_id", "at", "id"),
    _check("audit_appointment_xid_range", "xid > 0"),
    Index("audit_appointment_xid_idx", "xid", postgresql_using="brin"),
    postgresql_partition_by="RANGE (at)",
)

audit_event = Table(
    "audit_event",
    metadata,
    _id("clinic_id"),
    _id("id"),
    _instant("at"),
    _id("actor_id"),
    _text("actor_role"),
    _text("action"),
    _text("entity"),
    _id("entity_id", nullable=True),
    _id("patient_id", nullable=True),
    _text("reason"),
    _text("outcome"),
    Column("detail", JSONB(), nullable=False),
    _text("request_id", nullable=True),
    _text("ip", nullable=True),
    _id("session_id", nullable=True),
    *_erasable("reason"),
    _xid(),
    _key("audit_event_pkey", "clinic_id", "id", "at"),
    _check("audit_event_role_known", f"actor_role IN {_one_of(Role)}"),
    _check("audit_event_reason_length", f"char_length(reason) <= {REASON_MAX_CHARS}"),
    Index("audit_event_time_idx", "clinic_id", "at", "id"),
    Index("audit_event_entity_idx", "clinic_id", "entity_id", "at"),
    _check("audit_event_xid_range", "xid > 0"),
    # Few have a reason; who erases a patient looks for those.
    Index(
        "audit_event_reason_idx",
        "clinic_id",
        "patient_id",
        "actor_id",
        postgresql_where=text(f"reason <> '{NO_REASON}'"),
    ),
    Index("audit_event_xid_idx", "xid", postgresql_using="brin"),
    postgresql_partition_by="RANGE (at)",
)

# Written by a role of its own, which cannot write the trails; the service can do neither here.
audit_seals = Table(
    "audit_seals",
    metadata,
    Column("seq", BigInteger(), nullable=False, autoincrement=False),
    _instant("sealed_at"),
    Column("xid_from", BigInteger(), nullable=False),
    Column("xid_to", BigInteger(), nullable=False),
    _int("row_count"),
    Column("root", LargeBinary(), nullable=False),
    Column("previous", LargeBinary(), nullable=False),
    Column("chain", LargeBinary(), nullable=False),
    Column("keys", LargeBinary(), nullable=False),
    Column("leaves", LargeBinary(), nullable=False),
    # NULL in seals of releases that knew one format only.
    Column("format", SmallInteger()),
    _key("audit_seals_pkey", "seq"),
    UniqueConstraint("xid_from", name="audit_seals_from_key"),
    _check("audit_seals_range", "xid_to > xid_from AND row_count >= 1"),
)

# What is left to do of erasures; each row is gone within minutes, once the cache has confirmed.
erasures = Table(
    "erasures",
    metadata,
    _id("clinic_id"),
    _id("user_id"),
    _instant("erased_at"),
    # Names of copies of stored answers, 32 bytes each.
    Column("copies", LargeBinary(), nullable=False),
    _key("erasures_pkey", "clinic_id", "user_id"),
    _check("erasures_copies_length", "octet_length(copies) % 32 = 0"),
)

# What each consumer of the change feed has seen, as a pg_snapshot. Of no clinic, as the feed is.
change_feeds = Table(
    "change_feeds",
    metadata,
    _text("consumer"),
    _text("seen"),
    # The server's identity: another one numbers transactions from anew.
    _text("system"),
    Column("advanced_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _key("change_feeds_pkey", "consumer"),
    _check("change_feeds_consumer_length", "char_length(consumer) BETWEEN 1 AND 50"),
    _check("change_feeds_seen_form", r"seen ~ '^\d+:\d+:(\d+(,\d+)*)?$'"),
)

# One row for each maintenance service. Of no clinic: a service looks after all of them.
maintenance_runs = Table(
    "maintenance_runs",
    metadata,
    _text("service"),
    _id("token", nullable=True),
    _instant("started_at", nullable=True),
    _instant("lease_until", nullable=True),
    _instant("succeeded_at", nullable=True),
    _int("duration_ms", nullable=True),
    _int("row_count", nullable=True),
    _int("failures", default=text("0")),
    _key("maintenance_runs_pkey", "service"),
    _check("maintenance_runs_service_length", "char_length(service) BETWEEN 1 AND 50"),
    _check("maintenance_runs_lease", "(token IS NULL) = (lease_until IS NULL)"),
    _check(
        "maintenance_runs_counts_range", "duration_ms >= 0 AND row_count >= 0 AND failures >= 0"
    ),
)

# --- messages, answers, payments --------------------------------------------------------------

notification_outbox = Table(
    "notification_outbox",
    metadata,
    _id("clinic_id"),
    _id("id"),
    _id("appointment_id", nullable=True),
    # Account mail is about a user instead.
    _id("user_id", nullable=True),
    _text("kind"),
    _text("channel"),
    _int("version"),
    _instant("scheduled_for"),
    _instant("next_at"),
    _instant("expires_at"),
    _instant("created_at"),
    Column("state", Text(), nullable=False, server_default=text("'pending'")),
    _id("claim_token", nullable=True),
    _instant("lease_until", nullable=True),
    _int("attempts", default=text("0")),
    Column("ambiguous", Boolean(), nullable=False, server_default=false()),
    _instant("published_at", nullable=True),
    _text("last_error", nullable=True),
    # Who had a link sent to somebody else; the operator is no user.
    _id("issued_by", nullable=True),
    # Where it goes, if not to the user's address of now.
    _text("to_email", nullable=True),
    _key("notification_outbox_pkey", "clinic_id", "id"),
    UniqueConstraint(
        "clinic_id",
        "appointment_id",
        "kind",
        "channel",
        "version",
        name="notification_outbox_once_key",
    ),
    _refers(
        "notification_outbox_appointment_fkey",
        ["clinic_id", "appointment_id"],
        "appointments",
        ["clinic_id", "id"],
    ),
    _refers("notification_outbox_user_fkey", ["user_id"], "users", ["id"]),
    _check("notification_outbox_one_subject", "num_nonnulls(appointment_id, user_id) >= 1"),
    _check("notification_outbox_state_known", "state IN ('pending', 'claimed', 'sending', 'dead')"),
    _check("notification_outbox_channel_known", "channel IN ('email', 'sms')"),
    _check("notification_outbox_kind_length", "char_length(kind) BETWEEN 1 AND 50"),
    _check("notification_outbox_counts_range", "version >= 0 AND attempts >= 0"),
    _check("notification_outbox_expiry_after_due", "expires_at >= scheduled_for"),
    _check(
        "notification_outbox_to_email_length",
        f"char_length(to_email) BETWEEN 3 AND {EMAIL_MAX_CHARS}",
    ),
    _check("notification_outbox_to_email_kind", "to_email IS NULL OR kind = 'address_changed'"),
    Index("notification_outbox_user_idx", "user_id"),
    Index(
        "notification_outbox_unpublished_idx",
        "created_at",
        "id",
        postgresql_where=text("published_at IS NULL"),
    ),
    Index("notification_outbox_pending_idx", "next_at", postgresql_where=text("state = 'pending'")),
    # One sheet for each doctor and day, however often the day's slots are opened.
    Index(
        "notification_outbox_sheet_key",
        "clinic_id",
        "user_id",
        "version",
        unique=True,
        postgresql_where=text("kind = 'day_sheet'"),
    ),
    Index(
        "notification_outbox_lease_idx",
        "lease_until",
        postgresql_where=text("state <> 'pending'"),
    ),
)

notification = Table(
    "notification",
    metadata,
    _id("clinic_id"),
    _id("id"),
    _id("appointment_id", nullable=True),
    _id("user_id", nullable=True),
    _text("kind"),
    _text("channel"),
    _int("version"),
    _instant("scheduled_for"),
    _text("status"),
    _int("attempts"),
    Column("maybe_twice", Boolean(), nullable=False, server_default=false()),
    _text("message_id", nullable=True),
    _text("error", nullable=True),
    _instant("finished_at"),
    *_erasable("error"),
    # NULL in rows from before the log was sealed.
    _xid(nullable=True),
    _key("notification_pkey", "clinic_id", "id", "scheduled_for"),
    UniqueConstraint(
        "clinic_id",
        "appointment_id",
        "kind",
        "channel",
        "scheduled_for",
        "version",
        name="notification_once_key",
    ),
    _check("notification_one_subject", "num_nonnulls(appointment_id, user_id) >= 1"),
    _check("notification_status_known", "status IN ('SENT', 'FAILED')"),
    _check("notification_channel_known", "channel IN ('email', 'sms')"),
    _check("notification_kind_length", "char_length(kind) BETWEEN 1 AND 50"),
    _check("notification_counts_range", "version >= 0 AND attempts >= 0"),
    Index("notification_user_idx", "clinic_id", "user_id", "scheduled_for"),
    _check("notification_xid_range", "xid > 0"),
    Index("notification_due_idx", "clinic_id", "scheduled_for", "id"),
    Index("notification_xid_idx", "xid", postgresql_using="brin"),
    postgresql_partition_by="RANGE (scheduled_for)",
)

notification_preferences = Table(
    "notification_preferences",
    metadata,
    _id("clinic_id"),
    _id("user_id"),
    _text("language"),
    _text("channel"),
    Column("opted_out", ARRAY(Text()), nullable=False),
    _key("notification_preferences_pkey", "clinic_id", "user_id"),
    _refers("notification_preferences_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    _refers("notification_preferences_user_fkey", ["user_id"], "users", ["id"]),
    _check("notification_preferences_language_length", "char_length(language) BETWEEN 2 AND 35"),
    _check("notification_preferences_channel_known", "channel IN ('email', 'sms')"),
    _check("notification_preferences_opted_out_size", "cardinality(opted_out) <= 20"),
    Index("notification_preferences_user_idx", "user_id"),
)

# Without a foreign key to clinics: every booking would lock the clinic's one row.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    _id("clinic_id"),
    _id("principal_id"),
    _text("key"),
    Column("fingerprint", LargeBinary(), nullable=False),
    _int("status", nullable=True),
    Column("body", LargeBinary()),
    _text("location", nullable=True),
    _text("etag", nullable=True),
    _instant("created_at"),
    _instant("locked_at", nullable=True),
    Column("recovery_point", Text(), nullable=False, server_default=text("'finished'")),
    _key("idempotency_keys_pkey", "clinic_id", "principal_id", "key"),
    _check("idempotency_keys_key_length", f"char_length(key) BETWEEN 1 AND {KEY_MAX_CHARS}"),
    _check("idempotency_keys_fingerprint_length", "octet_length(fingerprint) BETWEEN 1 AND 64"),
    _check("idempotency_keys_status_range", "status BETWEEN 100 AND 599"),
    _check(
        "idempotency_keys_point_known",
        "recovery_point IN ('started', 'held', 'payment_authorised', 'booked', 'finished')",
    ),
    _check(
        "idempotency_keys_answer_when_finished",
        "(recovery_point = 'finished') = (status IS NOT NULL)"
        " AND (status IS NULL) = (body IS NULL)",
    ),
    # For the reaper alone, and as good as free to maintain.
    Index("idempotency_keys_created_idx", "created_at", postgresql_using="brin"),
)

payments = Table(
    "payments",
    metadata,
    _id("clinic_id"),
    _id("id"),
    _id("appointment_id"),
    _text("provider"),
    _text("provider_ref", nullable=True),
    Column("amount_minor", BigInteger(), nullable=False),
    _text("currency"),
    _text("status"),
    _instant("created_at"),
    _instant("updated_at"),
    _key("payments_pkey", "clinic_id", "id"),
    UniqueConstraint("clinic_id", "provider", "provider_ref", name="payments_reference_key"),
    _refers(
        "payments_appointment_fkey",
        ["clinic_id", "appointment_id"],
        "appointments",
        ["clinic_id", "id"],
    ),
    _check("payments_amount_range", "amount_minor >= 0"),
    _check("payments_currency_code", "currency ~ '^[A-Z]{3}$'"),
    _check(
        "payments_status_known",
        "status IN ('PENDING', 'AUTHORISED', 'CAPTURED', 'CANCELLED', 'FAILED', 'REFUNDED')",
    ),
    Index("payments_appointment_idx", "clinic_id", "appointment_id"),
)
