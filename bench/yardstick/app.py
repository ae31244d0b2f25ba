"""POST /appointments with FastAPI and SQLAlchemy's async ORM: select, insert, commit.

It does the same work as Clinic's endpoint, on the same tables with the same constraints: reads the
signed-in patient from the token, whether the session still holds, an earlier answer to the key, the
clinic's policy and the slot, then writes appointment, audit row, outbox rows and the answer, and
takes the slot. It limits how much a patient may write, logs each request and keeps figures.
"""

import hashlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

import jwt
import redis.asyncio
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from .models import (
    Appointment,
    AuditEntry,
    Clinic,
    IdempotencyKey,
    OutboxMessage,
    Slot,
    User,
    UserSession,
)

SECRET = os.environ["CLINIC_SECRET"]
POOL_SIZE = 8
WRITES_A_MINUTE = 3000

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s")
logger = logging.getLogger(__name__)
requests_total = Counter("requests", "Requests", ["method", "path", "status"])
request_seconds = Histogram("request_seconds", "Time to answer", ["method", "path"])

engine = create_async_engine(
    os.environ["CLINIC_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1),
    pool_size=POOL_SIZE,
    max_overflow=0,
)
make_session = async_sessionmaker(engine, expire_on_commit=False)
valkey = redis.asyncio.from_url(os.environ["CLINIC_BROKER_URL"])
app = FastAPI()


class Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class BookingIn(Model):
    slot_id: UUID
    type: str | None = Field(default=None, max_length=80)
    reason: str | None = Field(default=None, max_length=500)


class AppointmentOut(Model):
    id: UUID
    clinic_id: UUID
    slot_id: UUID
    doctor_id: UUID
    doctor_name: str
    patient_id: UUID
    patient_name: str
    starts_at: datetime
    ends_at: datetime
    date: str
    time: str
    duration: int
    type: str | None
    status: str
    version: int


class Patient(BaseModel):
    user_id: UUID
    clinic_id: UUID


async def session() -> AsyncIterator[AsyncSession]:
    async with make_session() as opened:
        yield opened


@app.middleware("http")
async def observed(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    started = time.perf_counter()
    response = await call_next(request)
    elapsed_s = time.perf_counter() - started
    method, path = request.method, request.url.path
    requests_total.labels(method, path, response.status_code).inc()
    request_seconds.labels(method, path).observe(elapsed_s)
    logger.info("%s %s %d %.1f ms", method, path, response.status_code, elapsed_s * 1000)
    return response


async def signed_in(
    authorization: Annotated[str, Header()], db: Annotated[AsyncSession, Depends(session)]
) -> Patient:
    try:
        token = authorization.removeprefix("Bearer ")
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="clinic")
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "Not signed in") from error
    patient = Patient(user_id=claims["sub"], clinic_id=claims["cid"])
    opened = await db.get(UserSession, (patient.clinic_id, UUID(claims["sid"])))
    if opened is None or opened.revoked_at is not None:
        raise HTTPException(401, "Signed out")
    return patient


async def within_limit(patient: Annotated[Patient, Depends(signed_in)]) -> Patient:
    key = f"yardstick:{patient.user_id}:{int(time.time()) // 60}"
    async with valkey.pipeline(transaction=False) as pipeline:
        writes, _ = await pipeline.incr(key).expire(key, 120).execute()
    if writes > WRITES_A_MINUTE:
        raise HTTPException(429, "Too many requests")
    return patient


@app.get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "live"}


@app.post("/appointments", status_code=201)
async def book(
    booking: BookingIn,
    request: Request,
    patient: Annotated[Patient, Depends(within_limit)],
    db: Annotated[AsyncSession, Depends(session)],
    idempotency_key: Annotated[str, Header()],
) -> Response:
    fingerprint = hashlib.sha256(booking.model_dump_json().encode()).digest()
    known = await db.get(IdempotencyKey, (patient.clinic_id, patient.user_id, idempotency_key))
    if known is not None:
        if known.fingerprint != fingerprint:
            raise HTTPException(422, "The key was used for another request")
        return Response(known.body, known.status, media_type="application/json")

    clinic = await db.get(Clinic, patient.clinic_id)
    user = await db.get(User, patient.user_id)
    slot = await db.scalar(
        select(Slot)
        .where(Slot.clinic_id == patient.clinic_id, Slot.id == booking.slot_id)
        .with_for_update(of=Slot)
    )
    if clinic is None or user is None or user.disabled_at is not None or slot is None:
        raise HTTPException(404, "Not found")
    now = datetime.now(UTC)
    if not (
        now + timedelta(minutes=clinic.notice_min)
        <= slot.starts_at
        <= now + timedelta(days=clinic.horizon_days)
    ):
        raise HTTPException(422, "This slot cannot be booked now")
    if slot.state != "OPEN" or slot.taken:
        raise HTTPException(409, "This slot is taken")

    slot.taken = True
    appointment = Appointment(
        clinic_id=clinic.id,
        slot_id=slot.id,
        doctor_id=slot.doctor_id,
        patient_id=user.id,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        type=booking.type,
        status_by=user.id,
    )
    db.add(appointment)
    try:
        await db.flush()
        db.add(
            AuditEntry(
                clinic_id=clinic.id,
                at=now,
                appointment_id=appointment.id,
                actor_id=user.id,
                actor_role="PATIENT",
                action="BOOK",
                to_status=appointment.status,
                to_slot_id=slot.id,
                version=1,
                reason=booking.reason or "No reason given",
                request_id=request.headers.get("x-request-id"),
                ip=request.client.host if request.client else None,
            )
        )
        db.add_all(messages(appointment, clinic, now))
        body = rendered(appointment, slot, user, clinic)
        db.add(
            IdempotencyKey(
                clinic_id=clinic.id,
                principal_id=user.id,
                key=idempotency_key,
                fingerprint=fingerprint,
                status=201,
                body=body,
                location=f"/appointments/{appointment.id}",
            )
        )
        await db.commit()
    except IntegrityError as error:
        raise HTTPException(409, "This slot is taken") from error
    return Response(
        body,
        201,
        headers={"Location": f"/appointments/{appointment.id}", "ETag": '"1"'},
        media_type="application/json",
    )


def messages(appointment: Appointment, clinic: Clinic, now: datetime) -> list[OutboxMessage]:
    dues = [("confirmation", now)]
    for lead in clinic.reminder_leads_min:
        due = appointment.starts_at - timedelta(minutes=lead)
        if due > now:
            dues.append((f"reminder_{lead}m", due))
    return [
        OutboxMessage(
            clinic_id=clinic.id,
            appointment_id=appointment.id,
            kind=kind,
            scheduled_for=due,
            next_at=due,
            expires_at=appointment.starts_at,
        )
        for kind, due in dues
    ]


def rendered(appointment: Appointment, slot: Slot, user: User, clinic: Clinic) -> bytes:
    start = appointment.starts_at.astimezone(ZoneInfo(clinic.time_zone))
    out = AppointmentOut(
        id=appointment.id,
        clinic_id=clinic.id,
        slot_id=slot.id,
        doctor_id=slot.doctor_id,
        doctor_name=slot.doctor.name,
        patient_id=user.id,
        patient_name=user.name,
        starts_at=start,
        ends_at=appointment.ends_at.astimezone(start.tzinfo),
        date=f"{start:%Y-%m-%d}",
        time=f"{start:%H:%M}",
        duration=int((appointment.ends_at - appointment.starts_at).total_seconds() // 60),
        type=appointment.type,
        status=appointment.status,
        version=appointment.version,
    )
    return out.model_dump_json(by_alias=True).encode()
