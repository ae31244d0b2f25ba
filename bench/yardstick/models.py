"""The ORM's classes over the tables that booking touches; the schema is Clinic's own."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, DateTime, ForeignKey, Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


def utc_now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012 - SQLAlchemy's own form


class Clinic(Base):
    __tablename__ = "clinics"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    time_zone: Mapped[str]
    notice_min: Mapped[int]
    horizon_days: Mapped[int]
    reminder_leads_min: Mapped[list[int]] = mapped_column(ARRAY(Integer))


class User(Base):
    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    disabled_at: Mapped[datetime | None]


class UserSession(Base):
    __tablename__ = "sessions"

    clinic_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    revoked_at: Mapped[datetime | None]


class Slot(Base):
    __tablename__ = "slots"

    clinic_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    doctor_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    specialty: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    state: Mapped[str]
    taken: Mapped[bool]

    doctor: Mapped[User] = relationship(lazy="joined")


class Appointment(Base):
    __tablename__ = "appointments"

    clinic_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    slot_id: Mapped[UUID]
    doctor_id: Mapped[UUID]
    patient_id: Mapped[UUID]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    type: Mapped[str | None]
    status: Mapped[str] = mapped_column(default="BOOKED")
    version: Mapped[int] = mapped_column(default=1)
    schedule_version: Mapped[int] = mapped_column(default=0)
    status_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class AuditEntry(Base):
    __tablename__ = "audit_appointment"

    clinic_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    appointment_id: Mapped[UUID]
    actor_id: Mapped[UUID]
    actor_role: Mapped[str]
    action: Mapped[str]
    to_status: Mapped[str]
    to_slot_id: Mapped[UUID]
    version: Mapped[int]
    reason: Mapped[str]
    request_id: Mapped[str | None]
    ip: Mapped[str | None]


class OutboxMessage(Base):
    __tablename__ = "notification_outbox"

    clinic_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    appointment_id: Mapped[UUID]
    kind: Mapped[str]
    channel: Mapped[str] = mapped_column(default="email")
    version: Mapped[int] = mapped_column(default=0)
    scheduled_for: Mapped[datetime]
    next_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"

    clinic_id: Mapped[UUID] = mapped_column(primary_key=True)
    principal_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int]
    body: Mapped[bytes]
    location: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
