"""Answers to requests with an idempotency key."""

from sqlalchemy import (
    Column,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)

from clinic.adapters.postgres.schema.base import check, id_, instant, int_, key, metadata, text_
from clinic.domain.idempotency import KEY_MAX_CHARS

# No foreign key to clinics: it would make every booking lock the clinic's row.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    id_("clinic_id"),
    id_("principal_id"),
    text_("key"),
    Column("fingerprint", LargeBinary(), nullable=False),
    int_("status", nullable=True),
    Column("body", LargeBinary()),
    text_("location", nullable=True),
    text_("etag", nullable=True),
    instant("created_at"),
    instant("locked_at", nullable=True),
    Column("recovery_point", Text(), nullable=False, server_default=text("'finished'")),
    key("idempotency_keys_pkey", "clinic_id", "principal_id", "key"),
    check("idempotency_keys_key_length", f"char_length(key) BETWEEN 1 AND {KEY_MAX_CHARS}"),
    check("idempotency_keys_fingerprint_length", "octet_length(fingerprint) BETWEEN 1 AND 64"),
    check("idempotency_keys_status_range", "status BETWEEN 100 AND 599"),
    check(
        "idempotency_keys_point_known",
        "recovery_point IN ('started', 'held', 'payment_authorised', 'booked', 'finished')",
    ),
    check(
        "idempotency_keys_answer_when_finished",
        "(recovery_point = 'finished') = (status IS NOT NULL)"
        " AND (status IS NULL) = (body IS NULL)",
    ),
    # Only for the reaper, and almost free to maintain.
    Index("idempotency_keys_created_idx", "created_at", postgresql_using="brin"),
)
