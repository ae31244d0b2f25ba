"""Payments for appointments."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Table,
    UniqueConstraint,
)

from clinic.adapters.postgres.schema.base import (
    check,
    id_,
    instant,
    key,
    metadata,
    references,
    text_,
)

payments = Table(
    "payments",
    metadata,
    id_("clinic_id"),
    id_("id"),
    id_("appointment_id"),
    text_("provider"),
    text_("provider_ref", nullable=True),
    Column("amount_minor", BigInteger(), nullable=False),
    text_("currency"),
    text_("status"),
    instant("created_at"),
    instant("updated_at"),
    key("payments_pkey", "clinic_id", "id"),
    UniqueConstraint("clinic_id", "provider", "provider_ref", name="payments_reference_key"),
    references(
        "payments_appointment_fkey",
        ["clinic_id", "appointment_id"],
        "appointments",
        ["clinic_id", "id"],
    ),
    check("payments_amount_range", "amount_minor >= 0"),
    check("payments_currency_code", "currency ~ '^[A-Z]{3}$'"),
    check(
        "payments_status_known",
        "status IN ('PENDING', 'AUTHORISED', 'CAPTURED', 'CANCELLED', 'FAILED', 'REFUNDED')",
    ),
    Index("payments_appointment_idx", "clinic_id", "appointment_id"),
)
