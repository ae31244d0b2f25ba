"""The HTTP application on the memory store, queried over GraphQL by users of a clinic."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import UUID

import graphql as g
import httpx
import pytest
from hypothesis import strategies as st
from tests.apps import an_app

from clinic.bootstrap import Services, in_memory
from clinic.domain.people.people import Role
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.settings import Settings
from clinic.testing import FixedClock, World, a_user, seed_world
from clinic.testing.builders import NOW, a_session

GRAPHQL = "application/graphql-response+json"
_keys = count(1)


def a_key() -> str:
    return f"graphql-key-of-a-test-{next(_keys):08}"


@dataclass
class Gql:
    """Queries as a user of the clinic: admin, receptionist, doctor, colleague, patient, other."""

    client: httpx.AsyncClient
    services: Services
    clock: FixedClock
    world: World
    tokens: dict[str, str]

    async def send(
        self,
        method: str = "POST",
        *,
        who: str | None = "receptionist",
        path: str = "/graphql",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.tokens[who]}"} if who else {}
        return await self.client.request(method, path, headers=sent | (headers or {}), **more)

    async def ask(
        self, query: str, *, who: str = "receptionist", name: str | None = None, **variables: Any
    ) -> httpx.Response:
        body = {"query": query, "variables": variables, "operationName": name}
        return await self.send(who=who, json=body)

    async def data(self, query: str, *, who: str = "receptionist", **variables: Any) -> Any:
        """Return the data of a query, which must have no errors."""
        answer = await self.ask(query, who=who, **variables)
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"data"}
        return answer.json()["data"]

    async def errors(self, query: str, *, who: str = "receptionist", **variables: Any) -> Any:
        """Return the codes and paths of a query's errors."""
        answer = await self.ask(query, who=who, **variables)
        assert answer.status_code == 294, answer.text
        told = answer.json()["errors"]
        return [(each["extensions"]["code"], each.get("path")) for each in told]

    async def rest(self, path: str, *, who: str = "receptionist") -> Any:
        return (await self.send("GET", who=who, path=path)).json()

    async def book(self, slot: int, *, who: str = "patient") -> dict[str, Any]:
        """Book the doctor's slot of this number over REST."""
        answer = await self.send(
            who=who,
            path="/appointments",
            headers={"idempotency-key": a_key()},
            json={
                "slotId": str(self.world.slots[slot].id),
                "type": ["Consultation", None][slot % 2],
            },
        )
        assert answer.status_code == 201, answer.text
        booked: dict[str, Any] = answer.json()
        return booked


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="error")


@pytest.fixture
async def gql(settings: Settings) -> AsyncIterator[Gql]:
    clock = FixedClock(NOW)
    services = in_memory(clock=clock, settings=settings)
    app = an_app(services)
    async with app.lifespan():
        world = await seed_world(services.store, with_hours=True)
        office = {role: a_user(role, name="Robin Reed") for role in (Role.RECEPTIONIST, Role.ADMIN)}
        people: dict[str, tuple[UUID, Role]] = {
            "receptionist": (office[Role.RECEPTIONIST].id, Role.RECEPTIONIST),
            "admin": (office[Role.ADMIN].id, Role.ADMIN),
            "doctor": (world.doctor.id, Role.DOCTOR),
            "colleague": (world.colleague.id, Role.DOCTOR),
            "patient": (world.patients[0].id, Role.PATIENT),
            "other": (world.patients[1].id, Role.PATIENT),
        }
        tokens = {}
        async with services.store.begin() as unit:
            for user in office.values():
                await unit.people.add_user(user)
                await unit.accounts.add_staff(world.clinic.id, user.id)
            for name, (user_id, role) in people.items():
                session = a_session(world.clinic, user_id, role)
                await unit.sessions.add(session)
                tokens[name] = issue_token(
                    settings,
                    user_id=user_id,
                    role=role,
                    clinic_id=world.clinic.id,
                    session_id=session.id,
                    now=clock.now(),
                    lifetime_s=3600,
                )
            await unit.commit()
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic.test") as client:
            yield Gql(client, services, clock, world, tokens)


def canonical(value: Any) -> bytes:
    """Return the value as JSON with sorted keys."""
    return json.dumps(value, sort_keys=True).encode()


def selections(
    type_: g.GraphQLObjectType, depth: int, arguments: Callable[[g.GraphQLField], list[str]]
) -> st.SearchStrategy[str]:
    """Return selections of the type: fields, aliases, arguments, `__typename`."""
    choices: list[st.SearchStrategy[str]] = [st.just("__typename"), st.just("t:__typename")]
    for name, field in type_.fields.items():
        inner = g.get_named_type(field.type)
        if isinstance(inner, g.GraphQLObjectType):
            if depth == 0:
                continue
            below = selections(inner, depth - 1, arguments).map(lambda text: f"{{{text}}}")
        else:
            below = st.just("")
        choices.append(
            st.builds(
                "{}{}{}{}".format,
                st.sampled_from(["", f"{name}1:", f"{name}2:"]),
                st.just(name),
                st.sampled_from(arguments(field)),
                below,
            )
        )
    return st.lists(st.one_of(choices), min_size=1, max_size=5).map(" ".join)
