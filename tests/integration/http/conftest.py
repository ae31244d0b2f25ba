"""The whole HTTP application on PostgreSQL and Valkey, in this process."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from secrets import token_urlsafe
from typing import Any
from uuid import UUID

import httpx
import pytest

from clinic.bootstrap import Services, build
from clinic.domain.calendar.slots import Slot
from clinic.domain.people.people import Doctor, Patient, Role, User
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.settings import Settings
from clinic.testing import a_clinic, a_user
from clinic.testing.builders import a_session

SLOTS = 6
PATIENTS = 40
_keys = count(1)


@dataclass
class Api:
    """Sends requests as a user of the clinic."""

    client: httpx.AsyncClient
    services: Services
    clinic_id: UUID
    doctor: Doctor
    receptionist: User
    patients: tuple[Patient, ...]
    slots: tuple[Slot, ...]

    def bearer(self, who: int | None) -> dict[str, str]:
        """Return the header of the patient of this number, or of the receptionist."""
        user_id = self.receptionist.id if who is None else self.patients[who].id
        token = issue_token(
            self.services.settings,
            user_id=user_id,
            role=Role.RECEPTIONIST if who is None else Role.PATIENT,
            clinic_id=self.clinic_id,
            session_id=user_id,
            now=datetime.now(UTC),
            lifetime_s=3600,
        )
        return {"authorization": f"Bearer {token}"}

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: int | None = 0,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        sent = {**self.bearer(who), **(headers or {})}
        if key is not None or method == "POST":
            sent["idempotency-key"] = key or f"key-of-this-test-{next(_keys):08}"
        return await self.client.request(method, path, json=body, headers=sent)


@pytest.fixture
async def api(postgres_urls, valkey_url) -> AsyncIterator[Api]:
    settings = Settings(
        database_url=postgres_urls.app_url,
        broker_url=valkey_url,
        secret=token_urlsafe(48),
        log_level="error",
    )
    services = build(settings)
    app = create_app(services)
    async with app.lifespan():
        made = await _settle(services)
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            yield Api(client, services, *made)


@pytest.fixture
async def other_server(api) -> AsyncIterator[httpx.AsyncClient]:
    """A second server on the same database and counters, unknown to the first."""
    app = create_app(build(api.services.settings))
    async with app.lifespan():
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            yield client


async def _settle(services: Services) -> Any:
    clinic = a_clinic()
    user, receptionist = a_user(Role.DOCTOR, name="Dr Grace Hill"), a_user(Role.RECEPTIONIST)
    doctor = Doctor(clinic.id, user.id, user.name, "General")
    people = [a_user(name=f"Patient {number}") for number in range(PATIENTS)]
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    slots = tuple(
        Slot(
            services.new_id(),
            clinic.id,
            doctor.id,
            "General",
            first + timedelta(minutes=30 * number),
            first + timedelta(minutes=30 * (number + 1)),
        )
        for number in range(SLOTS)
    )
    async with services.store.begin() as unit:
        await unit.people.add_clinic(clinic)
        for each in (user, receptionist, *people):
            await unit.people.add_user(each)
        await unit.people.add_doctor(clinic.id, doctor.id, "General")
        await unit.accounts.add_staff(clinic.id, receptionist.id)
        for each in people:
            await unit.people.add_patient(clinic.id, each.id)
        await unit.calendars.add_slots(slots)
        for each in (user, receptionist, *people):
            session = a_session(clinic, each.id, each.role, now=datetime.now(UTC))
            await unit.sessions.add(session)
        await unit.commit()
    patients = tuple(Patient(clinic.id, each.id, each.name, each.email) for each in people)
    return clinic.id, doctor, receptionist, patients, slots
