"""GraphQL on PostgreSQL: how many queries it makes, and that its data is the same as REST's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from clinic.adapters.postgres.engine.executors import PooledExecutor
from clinic.bootstrap import build
from clinic.domain.calendar.slots import SlotState
from clinic.domain.people.people import Patient, Role, User
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.settings import Settings
from clinic.testing import FixedClock, a_user, seed_world
from clinic.testing.builders import MORNING, NOW, a_session, a_slot, seed_booking

SEED = "{getAppointments{id patientName doctorName date time duration type status}}"
NESTED = (
    "{appointments(first:100){edges{cursor node{id startsAt doctor{name}}} pageInfo{endCursor}}}"
)
SLOTS = "{slots(first:100 status:ALL){edges{node{id doctor{name specialty}}}}}"
BLOCKED = "{slots(first:100 status:ALL){edges{node{id doctor{name} blockedBy{kind id name}}}}}"
TWO = f"{{a:getAppointments{{id}} {NESTED[1:-1]} doctors{{edges{{node{{id}}}}}}}}"


@dataclass
class Asked:
    client: httpx.AsyncClient
    statements: int = 0

    async def data(self, query: str) -> Any:
        self.statements = 0
        answer = await self.client.post("/graphql", json={"query": query})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@pytest.fixture
async def asked(
    postgres_urls, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Asked]:
    """An office user at a clinic with as many appointments as the test's parameter."""
    settings = Settings(
        database_url=postgres_urls.app_url, secret=token_urlsafe(48), log_level="error"
    )
    services = replace(build(settings), clock=FixedClock(NOW))
    app = create_app(services)
    async with app.lifespan():
        world = await seed_world(services.store)
        user, patients = a_user(Role.RECEPTIONIST), []
        session = a_session(world.clinic, user.id, Role.RECEPTIONIST)
        doctors = (world.doctor, world.colleague)
        slots = [
            a_slot(doctors[n % 2], MORNING + timedelta(days=1, minutes=30 * n))
            for n in range(request.param)
        ]
        async with services.store.begin() as unit:
            await unit.people.add_user(user)
            await unit.accounts.add_staff(world.clinic.id, user.id)
            await unit.sessions.add(session)
            for _ in slots:
                person: User = a_user()
                await unit.people.add_user(person)
                await unit.people.add_patient(world.clinic.id, person.id)
                patients.append(Patient(world.clinic.id, person.id, person.name, person.email))
            await unit.calendars.add_slots(slots)
            await unit.commit()
        for slot, patient in zip(slots, patients, strict=True):
            await seed_booking(services.store, world.clinic, slot, patient)
        async with services.store.begin() as unit:
            ids = [slot.id for slot in slots]
            await unit.calendars.set_slot_state(world.clinic.id, ids, SlotState.BLOCKED)
            await unit.commit()
        token = issue_token(
            settings,
            user_id=user.id,
            role=Role.RECEPTIONIST,
            clinic_id=world.clinic.id,
            session_id=session.id,
            now=NOW,
            lifetime_s=3600,
        )
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(
            transport=transport,
            base_url="http://clinic.test",
            headers={"authorization": f"Bearer {token}"},
        ) as client:
            asked = Asked(client)
            _count(asked, monkeypatch)
            yield asked


def _count(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count statements, each of which takes a connection."""
    fetch, connection = PooledExecutor.fetch, PooledExecutor.connection

    async def counted_fetch(self: PooledExecutor, *given: Any) -> Any:
        asked.statements += 1
        return await fetch(self, *given)

    @asynccontextmanager
    async def counted_connection(self: PooledExecutor) -> AsyncIterator[AsyncConnection]:
        asked.statements += 1
        async with connection(self) as one:
            yield one

    monkeypatch.setattr(PooledExecutor, "fetch", counted_fetch)
    monkeypatch.setattr(PooledExecutor, "connection", counted_connection)


@pytest.mark.parametrize("asked", [1, 30], indirect=True)
@pytest.mark.parametrize(
    ("query", "statements"),
    # Each request looks up its session; doctors are looked up together.
    # What blocks slots is looked up together: the doctors, and their inputs of seven kinds.
    [(SEED, 2), (NESTED, 3), (SLOTS, 3), (BLOCKED, 11), (TWO, 5)],
    ids=["published", "appointments", "slots", "blocked slots", "three fields"],
)
async def test_statements_do_not_grow_with_the_rows(
    asked: Asked, query: str, statements: int
) -> None:
    await asked.data(query)

    assert asked.statements == statements


@pytest.mark.parametrize("asked", [30], indirect=True)
async def test_blocked_slots_say_why(asked: Asked) -> None:
    edges = (await asked.data(BLOCKED.replace("ALL", "BLOCKED")))["slots"]["edges"]

    no_hours = {"kind": "NO_HOURS", "id": None, "name": None}
    assert [edge["node"]["blockedBy"] for edge in edges] == [[no_hours]] * 30


@pytest.mark.parametrize("asked", [30], indirect=True)
async def test_published_query_says_what_rest_says(asked: Asked) -> None:
    data = await asked.data(SEED)

    rest = (await asked.client.get("/appointments", params={"limit": 200})).json()["items"]
    names = ("id", "patientName", "doctorName", "date", "time", "duration", "type")
    assert len(rest) == 30
    assert data["getAppointments"] == [
        {**{name: one[name] for name in names}, "status": "Scheduled"} for one in rest
    ]
