"""Requests that the OpenAPI document allows, as each role: no server error, and no response that
the document does not describe."""

import asyncio
import random
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import Any
from uuid import UUID

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks

from clinic.bootstrap import Services, build
from clinic.domain.people.people import Role
from clinic.domain.people.sessions import Session, SessionKind, hash_of
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.settings import Settings
from clinic.testing import (
    FixedClock,
    World,
    a_user,
    an_availability,
    seed_booking,
    seed_world,
)
from clinic.testing.builders import NOW, an_exception, new_id

#: the caller, and how many of about 450 requests must have succeeded
LET_IN = {"patient": 50, "doctor": 80, "receptionist": 80, "admin": 100, "nobody": 5}
#: requests to each operation as each role
EXAMPLES = 6
UNLIMITED = "1000000/60"
#: how often an id is one that exists
REAL_IDS = 0.7
CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)


@dataclass
class Running:
    """A server in a separate thread, with a clinic."""

    url: str
    loop: asyncio.AbstractEventLoop
    services: Services
    world: World
    people: dict[str, tuple[UUID, Role]]
    ids: dict[str, list[str]]
    document: dict[str, Any]

    def headers(self, who: str) -> dict[str, str]:
        """Return the headers of a new session, since requests also end sessions."""
        if who == "nobody":
            return {}
        user_id, role = self.people[who]
        session_id = asyncio.run_coroutine_threadsafe(
            _add_session(self.services, self.world, user_id, role), self.loop
        ).result(30)
        token = issue_token(
            self.services.settings,
            user_id=user_id,
            role=role,
            clinic_id=self.world.clinic.id,
            now=NOW,
            lifetime_s=3600,
            session_id=session_id,
        )
        return {"Authorization": f"Bearer {token}"}


async def _add_session(services: Services, world: World, user_id: UUID, role: Role) -> UUID:
    session_id = new_id()
    async with services.store.begin() as unit:
        # An administrator may just have disabled them.
        await unit.accounts.set_disabled_at(user_id, None)
        await unit.sessions.add(
            Session(
                session_id,
                world.clinic.id,
                user_id,
                role,
                SessionKind.BEARER,
                created_at=NOW,
                expires_at=datetime(2030, 1, 1, tzinfo=UTC),
                last_seen_at=NOW,
                token_hash=hash_of(str(session_id)),
            )
        )
        await unit.commit()
    return session_id


async def _settle(services: Services) -> tuple[World, dict[str, Any], dict[str, list[str]]]:
    world = await seed_world(services.store, slots=8)
    office = [a_user(Role.RECEPTIONIST), a_user(Role.ADMIN)]
    hours, day_off = an_availability(world.doctor), an_exception(world.doctor)
    async with services.store.begin() as unit:
        for user in office:
            await unit.people.add_user(user)
            await unit.accounts.add_staff(world.clinic.id, user.id)
        await unit.calendars.add_availability(hours)
        await unit.calendars.add_exception(day_off)
        await unit.commit()
    booked = [
        await seed_booking(services.store, world.clinic, world.slots[number], patient)
        for number, patient in enumerate(world.patients)
    ]
    people = {
        "patient": (world.patients[0].id, Role.PATIENT),
        "doctor": (world.doctor.id, Role.DOCTOR),
        "receptionist": (office[0].id, Role.RECEPTIONIST),
        "admin": (office[1].id, Role.ADMIN),
    }
    ids = {
        "appointmentId": [str(each.id) for each in booked],
        "slotId": [str(each.id) for each in (*world.slots, *world.colleague_slots)],
        "doctorId": [str(world.doctor.id), str(world.colleague.id)],
        "patientId": [str(each.id) for each in world.patients],
        "userId": [str(world.patients[2].id), str(office[0].id)],
        "availabilityId": [str(hours.id)],
        "exceptionId": [str(day_off.id)],
        "code": ["slot_taken"],
    }
    return world, people, ids


@pytest.fixture(scope="module")
def running(module_postgres_urls, services):
    settings_ = Settings(
        database_url=module_postgres_urls.app_url,
        broker_url=services.valkey.url,
        secret=token_urlsafe(48),
        log_level="error",
        fast_passwords=True,
        sign_in_limit=UNLIMITED,
        account_limit=UNLIMITED,
        register_limit=UNLIMITED,
        mail_limit=UNLIMITED,
        mailbox_limit=UNLIMITED,
        write_limit=UNLIMITED,
        read_limit=UNLIMITED,
        anonymous_limit=UNLIMITED,
    )
    made = build(settings_, clock=FixedClock(NOW))
    app = create_app(made)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve()))
    thread.start()
    while not server.started:
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    world, people, ids = asyncio.run_coroutine_threadsafe(_settle(made), loop).result(60)
    url = f"http://127.0.0.1:{port}"
    document = httpx.get(f"{url}/schema/openapi.json").json()
    yield Running(url, loop, made, world, people, ids, document)
    server.should_exit = True
    thread.join(30)
    loop.close()


def _with_real_ids(case: Any, ids: dict[str, list[str]], chance: random.Random) -> None:
    for name in case.path_parameters or {}:
        if name in ids and chance.random() < REAL_IDS:
            case.path_parameters[name] = chance.choice(ids[name])
    for name in case.body if isinstance(case.body, dict) else ():
        if name in ids and chance.random() < REAL_IDS:
            case.body[name] = chance.choice(ids[name])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("who", LET_IN)
def test_the_document_tells_the_truth(running, who):
    schema = schemathesis.openapi.from_dict(running.document)
    answered: Counter[int] = Counter()
    asked = 0
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        asked += 1
        headers = running.headers(who)

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), chance=st.randoms(use_true_random=False))
        def ask(case, chance):
            _with_real_ids(case, running.ids, chance)
            response = case.call(base_url=running.url, headers=headers, timeout=20)  # noqa: B023
            answered[response.status_code // 100] += 1
            case.validate_response(response, checks=CHECKS)

        ask()
    assert asked > 40
    # Not everything was refused.
    assert answered[2] >= LET_IN[who], answered
