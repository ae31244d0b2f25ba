"""The whole HTTP application on the memory store, with a clinic and a fixed clock."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
import pytest
from tests.apps import an_app

from clinic.bootstrap import Services, in_memory
from clinic.domain.people.people import Role, User
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.settings import Settings
from clinic.testing import FixedClock, World, a_user, seed_world
from clinic.testing.builders import NOW, a_session

_keys = count(1)


def a_key() -> str:
    return f"key-of-this-test-{next(_keys):08}"


def a_scope(method: str, path: str, headers: dict[str, str]) -> Any:
    """Return an ASGI scope, for tests beyond httpx, such as disconnecting."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "client": ("192.0.2.1", 1),
        "server": ("clinic.test", 80),
        "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "extensions": {},
        "state": {},
    }


@dataclass
class Api:
    """Sends requests as a user of the clinic."""

    client: httpx.AsyncClient
    services: Services
    clock: FixedClock
    world: World
    receptionist: User
    admin: User

    def token(self, user_id: UUID, role: Role, **more: Any) -> str:
        given = {
            "clinic_id": self.world.clinic.id,
            "now": self.clock.now(),
            "lifetime_s": 3600,
            "session_id": user_id,
        }
        return issue_token(self.services.settings, user_id=user_id, role=role, **{**given, **more})

    def bearer(self, who: str) -> dict[str, str]:
        people = {
            "patient": (self.world.patients[0].id, Role.PATIENT),
            "other": (self.world.patients[1].id, Role.PATIENT),
            "third": (self.world.patients[2].id, Role.PATIENT),
            "doctor": (self.world.doctor.id, Role.DOCTOR),
            "colleague": (self.world.colleague.id, Role.DOCTOR),
            "receptionist": (self.receptionist.id, Role.RECEPTIONIST),
            "admin": (self.admin.id, Role.ADMIN),
        }
        return {"authorization": f"Bearer {self.token(*people[who])}"}

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str | None = "patient",
        key: str | None = None,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Send it as `who`; every POST gets a new key unless one is given."""
        sent = dict(self.bearer(who)) if who else {}
        if key is not None or method == "POST":
            sent["idempotency-key"] = key or a_key()
        sent |= headers or {}
        if content is not None:
            sent.setdefault("content-type", "application/json")
            return await self.client.request(method, path, content=content, headers=sent)
        return await self.client.request(method, path, json=body, headers=sent)

    async def book(self, slot: int = 0, **more: Any) -> dict[str, Any]:
        """Book the doctor's slot of this number for the first patient."""
        slot_id = str(self.world.slots[slot].id)
        answer = await self.send("POST", "/appointments", {"slotId": slot_id}, **more)
        assert answer.status_code == 201, answer.text
        booked: dict[str, Any] = answer.json()
        return booked

    async def everything(self) -> list[Any]:
        """Return everything that a refused request might have changed."""
        paths = (
            "/appointments?limit=200",
            "/slots?status=all&limit=200",
            "/appointment-types",
            "/resources",
            "/locations",
            "/availabilities",
            "/availability-exceptions",
            "/closures",
            "/leaves",
            "/blocks",
            "/added-places",
            "/doctors",
            "/patients",
            "/clinics/current",
        )
        return [(await self.send("GET", path, who="admin")).json() for path in paths]


@dataclass
class Calendar:
    """A doctor without hours yet, whose calendar the office changes."""

    api: Api
    doctor: str

    async def send(
        self, method: str, path: str, body: Any = None, *, status: int | None = None, **more: Any
    ) -> dict[str, Any]:
        """Send it as the receptionist, and return the body of the answer, which has `status` or at
        least succeeds."""
        answer = await self.api.send(method, path, body, **{"who": "receptionist", **more})
        assert status == answer.status_code if status else answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def add(self, path: str, **members: Any) -> dict[str, Any]:
        """Add hours, an exception, a closure, leave or a block."""
        doctor = {} if path == "/closures" else {"doctorId": self.doctor}
        return await self.send("POST", path, {**doctor, **members}, status=201)

    async def add_hours(self, start: str, end: str, minutes: int, **more: Any) -> dict[str, Any]:
        """Add hours, every day unless `weekdays` or a `date` are given."""
        if "date" not in more:
            more = {"weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], **more}
        return await self.add(
            "/availabilities", startTime=start, endTime=end, slotMinutes=minutes, **more
        )

    async def slots(self, day: str, last: str | None = None, **more: Any) -> list[dict[str, Any]]:
        """Return what the office sees of the slots that begin on these days, read as UTC."""
        query = {"status": "all", "from": f"{day}T00:00:00Z", "to": f"{last or day}T23:59:59Z"}
        query |= {"limit": "200", **more}
        path = f"/doctors/{self.doctor}/slots?{urlencode(query)}"
        found: list[dict[str, Any]] = (await self.send("GET", path))["items"]
        return found

    async def day(self, day: str) -> list[str]:
        """Return the slots of a day, such as 09:00 OPEN, or 09:00 OPEN taken."""
        return [
            f"{slot['time']} {slot['status']}{' taken' * slot['taken']}"
            for slot in await self.slots(day)
        ]

    async def book(self, day: str, time: str, who: str = "patient") -> dict[str, Any]:
        """Book the slot that begins then."""
        [slot] = [each for each in await self.slots(day) if each["time"] == time]
        body = {"slotId": slot["id"]}
        return await self.send("POST", "/appointments", body, who=who, status=201)

    async def cancel(self, booked: dict[str, Any]) -> None:
        """Cancel an appointment."""
        body, headers = {"status": "CANCELLED"}, {"if-match": "*"}
        await self.send("PATCH", f"/appointments/{booked['id']}", body, headers=headers)

    async def change_clinic(self, **members: Any) -> dict[str, Any]:
        """Change the clinic."""
        path, headers = "/clinics/current", {"if-match": "*"}
        return await self.send("PATCH", path, members, who="admin", headers=headers)


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="error")


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    clock = FixedClock(NOW)
    services = in_memory(clock=clock, settings=settings)
    app = an_app(services)
    async with app.lifespan():
        world = await seed_world(services.store, with_hours=True)
        receptionist = a_user(Role.RECEPTIONIST, name="Robin Reed")
        admin = a_user(Role.ADMIN, name="Alex Adair")
        async with services.store.begin() as unit:
            await unit.people.add_user(receptionist)
            await unit.people.add_user(admin)
            await unit.accounts.add_staff(world.clinic.id, receptionist.id)
            await unit.accounts.add_staff(world.clinic.id, admin.id)
            for user in (receptionist, admin):
                await unit.sessions.add(a_session(world.clinic, user.id, user.role))
            for doctor in (world.doctor, world.colleague):
                await unit.sessions.add(a_session(world.clinic, doctor.id, Role.DOCTOR))
            for patient in world.patients:
                await unit.sessions.add(a_session(world.clinic, patient.id, Role.PATIENT))
            await unit.commit()
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            yield Api(client, services, clock, world, receptionist, admin)


@pytest.fixture
async def calendar(api: Api) -> Calendar:
    body = {"name": "Dr Ida Quist", "email": "ida.quist@example.org", "specialty": "General"}
    added = await api.send("POST", "/doctors", body, who="admin")
    return Calendar(api, added.json()["id"])
