"""The audit trails and their seals, unfinished erasures, and cursors of the change feed."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from clinic.adapters.postgres.schema.base import (
    check,
    erasable,
    id_,
    instant,
    int_,
    key,
    metadata,
    one_of,
    text_,
    xid,
)
from clinic.domain.appointments.appointments import Status
from clinic.domain.audit.audit import NO_REASON, REASON_MAX_CHARS, Action
from clinic.domain.people.people import Role

# The trails have no foreign keys: they outlive what they record, and a partition can be attached or
# detached without a lock on appointments.
audit_appointment = Table(
    "audit_appointment",
    metadata,
    id_("clinic_id"),
    id_("id"),
    id_("appointment_id"),
    instant("at"),
    id_("actor_id"),
    text_("actor_role"),
    text_("action"),
    text_("from_status", nullable=True),
    text_("to_status"),
    id_("from_slot_id", nullable=True),
    id_("to_slot_id"),
    int_("version"),
    text_("reason"),
    text_("request_id", nullable=True),
    text_("ip", nullable=True),
    id_("session_id", nullable=True),
    *erasable("reason"),
    xid(),
    key("audit_appointment_pkey", "clinic_id", "id", "at"),
    check("audit_appointment_role_known", f"actor_role IN {one_of(Role)}"),
    check("audit_appointment_action_known", f"action IN {one_of(Action)}"),
    check("audit_appointment_from_known", f"from_status IN {one_of(Status)}"),
    check("audit_appointment_to_known", f"to_status IN {one_of(Status)}"),
    check("audit_appointment_version_range", "version >= 1"),
    check("audit_appointment_reason_length", f"char_length(reason) <= {REASON_MAX_CHARS}"),
    Index("audit_appointment_trail_idx", "clinic_id", "appointment_id", "version"),
    Index("audit_appointment_time_idx", "clinic_id", "at", "id"),
    check("audit_appointment_xid_range", "xid > 0"),
    Index("audit_appointment_xid_idx", "xid", postgresql_using="brin"),
    postgresql_partition_by="RANGE (at)",
)

audit_event = Table(
    "audit_event",
    metadata,
    id_("clinic_id"),
    id_("id"),
    instant("at"),
    id_("actor_id"),
    text_("actor_role"),
    text_("action"),
    text_("entity"),
    id_("entity_id", nullable=True),
    id_("patient_id", nullable=True),
    text_("reason"),
    text_("outcome"),
    Column("detail", JSONB(), nullable=False),
    text_("request_id", nullable=True),
    text_("ip", nullable=True),
    id_("session_id", nullable=True),
    *erasable("reason"),
    xid(),
    key("audit_event_pkey", "clinic_id", "id", "at"),
    check("audit_event_role_known", f"actor_role IN {one_of(Role)}"),
    check("audit_event_reason_length", f"char_length(reason) <= {REASON_MAX_CHARS}"),
    Index("audit_event_time_idx", "clinic_id", "at", "id"),
    Index("audit_event_entity_idx", "clinic_id", "entity_id", "at"),
    check("audit_event_xid_range", "xid > 0"),
    # Few events have a reason; erasing a patient looks for those.
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

# Written by a separate role, which cannot write the trails; the service has no rights here.
audit_seals = Table(
    "audit_seals",
    metadata,
    Column("seq", BigInteger(), nullable=False, autoincrement=False),
    instant("sealed_at"),
    Column("xid_from", BigInteger(), nullable=False),
    Column("xid_to", BigInteger(), nullable=False),
    int_("row_count"),
    Column("root", LargeBinary(), nullable=False),
    Column("previous", LargeBinary(), nullable=False),
    Column("chain", LargeBinary(), nullable=False),
    Column("keys", LargeBinary(), nullable=False),
    Column("leaves", LargeBinary(), nullable=False),
    # NULL in seals of releases that knew only one format.
    Column("format", SmallInteger()),
    key("audit_seals_pkey", "seq"),
    UniqueConstraint("xid_from", name="audit_seals_from_key"),
    check("audit_seals_range", "xid_to > xid_from AND row_count >= 1"),
)

# Unfinished erasures; each row is gone within minutes, once the cache has confirmed.
erasures = Table(
    "erasures",
    metadata,
    id_("clinic_id"),
    id_("user_id"),
    instant("erased_at"),
    # Names of copies of stored answers, 32 bytes each.
    Column("copies", LargeBinary(), nullable=False),
    key("erasures_pkey", "clinic_id", "user_id"),
    check("erasures_copies_length", "octet_length(copies) % 32 = 0"),
)

# What each consumer of the change feed has seen, as a pg_snapshot. The feed covers all clinics.
change_feeds = Table(
    "change_feeds",
    metadata,
    text_("consumer"),
    text_("seen"),
    # The server's identity: another server numbers transactions independently.
    text_("system"),
    Column("advanced_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    key("change_feeds_pkey", "consumer"),
    check("change_feeds_consumer_length", "char_length(consumer) BETWEEN 1 AND 50"),
    check("change_feeds_seen_form", r"seen ~ '^\d+:\d+:(\d+(,\d+)*)?$'"),
)
